//! Which instructions this processor has: asked once, and every kernel chooses by the answer.

use std::sync::OnceLock;

/// The widest set of vector instructions that the kernels may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Isa {
    /// Whatever the compiler makes of plain loops for the target it was built for.
    Portable,
    /// x86-64 with 256-bit vectors and fused multiply-add.
    Avx2,
    /// x86-64 with 512-bit vectors (F, BW, DQ, VL).
    Avx512,
}

impl Isa {
    /// The best that this processor has. Constant for the life of the process.
    pub fn best() -> Isa {
        static BEST: OnceLock<Isa> = OnceLock::new();
        *BEST.get_or_init(|| Isa::available().last().copied().unwrap_or(Isa::Portable))
    }

    /// All that this processor has, narrowest first.
    pub fn available() -> Vec<Isa> {
        let mut all = vec![Isa::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            if avx2 {
                all.push(Isa::Avx2);
            }
            if avx2
                && is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl")
            {
                all.push(Isa::Avx512);
            }
        }
        all
    }
}
