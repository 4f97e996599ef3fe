//! Compiles a loop once for each instruction set and calls the best: the loop is plain Rust that the compiler
//! turns into vectors. Every operation in such a loop is rounded by IEEE 754 (fused ones are written
//! `mul_add`), so the bits are the same whatever its width.

use super::isa::Isa;

/// Something to run at full vector width. `run` must be `#[inline(always)]`.
pub(super) trait Job {
    /// Does it.
    fn run(self);
}

/// Runs `job` with the instruction set `isa`, which the processor must have.
#[inline]
pub(super) fn run_as<J: Job>(isa: Isa, job: J) {
    #[cfg(target_arch = "x86_64")]
    {
        assert!(isa <= Isa::best(), "instruction set not available");
        match isa {
            // SAFETY: the processor has what `isa` says, by the assertion.
            Isa::Avx512 => unsafe { avx512(job) },
            // SAFETY: likewise.
            Isa::Avx2 => unsafe { avx2(job) },
            Isa::Portable => job.run(),
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let _ = isa;
        job.run();
    }
}

/// Runs `job` with the best instruction set there is.
#[inline]
pub(super) fn run<J: Job>(job: J) {
    run_as(Isa::best(), job);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
fn avx512<J: Job>(job: J) {
    job.run();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2<J: Job>(job: J) {
    job.run();
}
