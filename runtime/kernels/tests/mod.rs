//! Kernels against plain f64 loops, and bit for bit against themselves: other splits, other instruction sets.

mod convolve;
mod math;
mod pool;
mod product;
mod random;
mod table;

use super::random::Draw;

/// `n` numbers in [-1, 1), a function of the seed.
fn numbers(n: usize, seed: u64) -> Vec<f32> {
    let draw = Draw::new(seed, 1, 2);
    (0..n as u64).map(|i| draw.uniform(i) * 2.0 - 1.0).collect()
}

/// A number below `bound`, a function of the seed and the index.
fn pick(seed: u64, index: u64, bound: usize) -> usize {
    Draw::new(seed, 3, 4).below(index, bound as u64) as usize
}

/// The bits, for comparisons that tell zeros apart and NaN equal.
fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

/// Asserts that `got` differs from `want` by no more than rounding does in sums of `terms` numbers below one.
fn assert_near(got: &[f32], want: &[f64], terms: usize, what: &dyn std::fmt::Debug) {
    assert_eq!(got.len(), want.len(), "{what:?}");
    let bound = 1e-7 * (terms as f64 + 2.0);
    for (i, (&got, &want)) in got.iter().zip(want).enumerate() {
        assert!((f64::from(got) - want).abs() <= bound, "{what:?}: element {i} is {got}, not {want}");
    }
}

/// Scratch of just the size asked for: whoever writes behind it is found out when it is dropped.
struct Scratch {
    all: Vec<u8>,
    bytes: usize,
}

fn scratch(bytes: usize) -> Scratch {
    Scratch { all: vec![0xa5; bytes + (1 << 16)], bytes }
}

impl Scratch {
    fn as_mut_ptr(&mut self) -> *mut u8 {
        self.all.as_mut_ptr()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let behind = &self.all[self.bytes..];
        assert!(std::thread::panicking() || behind.iter().all(|&byte| byte == 0xa5), "scratch is too small");
    }
}
