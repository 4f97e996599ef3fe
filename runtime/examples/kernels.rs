//! Speed of the kernels on one core, and their share of the fused multiply-add peak measured in the same run.
//!
//! `cargo run --release -p strata-runtime --example kernels [PART OF A NAME]`

use std::hint::black_box;
use std::time::Instant;
use strata_runtime::kernels::math::{self, Function};
use strata_runtime::kernels::{ConvolveDesc, Draw, PoolDesc, ProductDesc, convolve, pool, product};

fn main() {
    let wanted = std::env::args().nth(1).unwrap_or_default();
    let bench = Bench { peak: peak(), wanted };
    println!("peak {:.1} GFLOP/s", bench.peak);
    products(&bench);
    convolutions(&bench);
    pools(&bench);
    functions(&bench);
}

struct Bench {
    /// GFLOP/s of nothing but fused multiply-adds.
    peak: f64,
    wanted: String,
}

impl Bench {
    /// Prints the speed of `run`, which does `work` operations (or handles `work` elements).
    fn time(&self, name: &str, work: f64, unit: &str, mut run: impl FnMut()) {
        if !name.contains(&self.wanted) {
            return;
        }
        let best = seconds(&mut run);
        let rate = work / best / 1e9;
        let share =
            if unit == "GFLOP/s" { format!("{:4.0} %", rate / self.peak * 100.0) } else { String::new() };
        println!("{name:44} {:10.1} µs {rate:8.2} {unit} {share}", best * 1e6);
    }
}

/// The shortest of many runs by the clock, or their mean by the time this thread had a core, if that is less:
/// then others were using the machine.
fn seconds(run: &mut impl FnMut()) -> f64 {
    let (mut best, mut runs) = (f64::INFINITY, 0);
    let (begin, begin_busy) = (Instant::now(), busy());
    while begin.elapsed().as_secs_f64() < 0.4 {
        let begin = Instant::now();
        run();
        best = best.min(begin.elapsed().as_secs_f64());
        runs += 1;
    }
    match (begin_busy, busy()) {
        (Some(begin), Some(end)) => best.min((end - begin) / f64::from(runs)),
        _ => best,
    }
}

/// Seconds that this thread has had a core, where the system says (Linux).
fn busy() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(text.split(' ').next()?.parse::<f64>().ok()? / 1e9)
}

fn numbers(n: usize) -> Vec<f32> {
    let mut out = vec![0.0; n];
    Draw::new(1, 2, 3).fill_uniform(&mut out, 0);
    out
}

#[derive(Clone, Copy, PartialEq)]
enum Side {
    Plain,
    /// A is stored transposed: the weights' gradient.
    TurnedA,
    /// B is stored transposed: the input's gradient.
    TurnedB,
}

fn products(bench: &Bench) {
    let shapes = [
        (1024, 1024, 1024),
        (256, 64, 576),
        (128, 512, 784),
        (64, 512, 512),
        (128, 10, 512),
        (512, 10, 128),
        (32, 512, 512),
        (32, 1024, 256),
        (32, 10, 512),
        (784, 512, 128),
        (128, 784, 512),
        (1, 512, 512),
        (512, 1, 512),
        (8, 512, 512),
        (1000, 1000, 9),
    ];
    for (m, n, k) in shapes {
        for (side, name) in [(Side::Plain, "A·B"), (Side::TurnedA, "Aᵀ·B"), (Side::TurnedB, "A·Bᵀ")] {
            let mut desc = ProductDesc::row_major(m, n, k);
            if side == Side::TurnedA {
                (desc.a_row, desc.a_column) = (1, m as i64);
            }
            if side == Side::TurnedB {
                (desc.b_row, desc.b_column) = (1, k as i64);
            }
            let (a, b, mut c) = (numbers(m * k), numbers(k * n), numbers(m * n));
            let mut scratch = vec![0u8; desc.scratch_bytes()];
            let flops = 2.0 * (m * n * k) as f64;
            // SAFETY: the operands are as large as the shape says.
            bench.time(&format!("product {name} {m}×{n}×{k}"), flops, "GFLOP/s", || unsafe {
                let (a, b, none) = (a.as_ptr(), b.as_ptr(), std::ptr::null());
                product::product(&desc, a, b, c.as_mut_ptr(), none, 0..m, 0..n, scratch.as_mut_ptr());
            });
        }
    }
}

fn convolutions(bench: &Bench) {
    // Images, size, channels in and out, kernel, stride, groups.
    let shapes = [
        (32, 32, 64, 64, 3, 1, 1),
        (32, 28, 1, 32, 5, 1, 1),
        (32, 14, 32, 64, 5, 1, 1),
        (32, 32, 3, 64, 3, 1, 1),
        (64, 8, 1, 16, 3, 1, 1),
        (32, 16, 64, 128, 3, 1, 1),
        (32, 8, 128, 256, 3, 1, 1),
        (8, 13, 192, 192, 3, 1, 1),
        (16, 32, 64, 128, 3, 2, 1),
        (4, 224, 3, 64, 11, 4, 1),
        (32, 14, 256, 256, 1, 1, 1),
        (8, 32, 64, 64, 3, 1, 4),
        (8, 32, 64, 64, 3, 1, 64),
    ];
    for (images, size, channels_in, channels_out, kernel, stride, groups) in shapes {
        let pad = kernel as i64 / 2;
        let desc = ConvolveDesc {
            images,
            size: [size; 2],
            channels_in,
            channels_out,
            kernel: [kernel; 2],
            stride: [stride; 2],
            dilation: [1; 2],
            low: [pad; 2],
            high: [pad; 2],
            groups,
            ..ConvolveDesc::default()
        };
        let [height, width] = desc.output();
        let flops = (2 * images * height * width * channels_out * desc.weight_rows()) as f64;
        let mut x = numbers((images * size * size * channels_in) as usize);
        let mut w = numbers((desc.weight_rows() * channels_out) as usize);
        let mut y = numbers((images * height * width * channels_out) as usize);
        let shape =
            format!("{channels_in}→{channels_out}:{groups} {size}² {kernel}×{kernel}/{stride} [{images}]");
        let all = 0..images as usize;
        let mut scratch = vec![0u8; desc.forward_scratch_bytes()];
        // SAFETY: the operands are as large as the shape says.
        bench.time(&format!("convolve {shape}"), flops, "GFLOP/s", || unsafe {
            let (x, w, none) = (x.as_ptr(), w.as_ptr(), std::ptr::null());
            convolve::convolve(&desc, x, w, y.as_mut_ptr(), none, all.clone(), scratch.as_mut_ptr());
        });
        let mut scratch = vec![0u8; desc.input_gradient_scratch_bytes()];
        // SAFETY: likewise.
        bench.time(&format!("convolve dx {shape}"), flops, "GFLOP/s", || unsafe {
            let (y, w, dx) = (y.as_ptr(), w.as_ptr(), x.as_mut_ptr());
            convolve::convolve_input_gradient(&desc, y, w, dx, all.clone(), scratch.as_mut_ptr());
        });
        let mut scratch = vec![0u8; desc.weight_gradient_scratch_bytes()];
        let rows = 0..desc.weight_rows() as usize;
        // SAFETY: likewise.
        bench.time(&format!("convolve dw {shape}"), flops, "GFLOP/s", || unsafe {
            let (x, y, dw) = (x.as_ptr(), y.as_ptr(), w.as_mut_ptr());
            convolve::convolve_weight_gradient(&desc, x, y, dw, rows.clone(), scratch.as_mut_ptr());
        });
    }
}

fn pools(bench: &Bench) {
    for channels in [16, 32, 64] {
        let desc = PoolDesc {
            images: 32,
            size: [28; 2],
            channels,
            window: [2; 2],
            stride: [2; 2],
            ..PoolDesc::default()
        };
        let n = (desc.images * 28 * 28 * channels) as usize;
        let (x, mut y, mut dx) = (numbers(n), numbers(n / 4), numbers(n));
        let shape = format!("28² 2×2/2 [32, {channels}]");
        // SAFETY: the operands are as large as the shape says.
        unsafe {
            bench.time(&format!("max pool {shape}"), n as f64, "G/s", || {
                pool::max(&desc, x.as_ptr(), y.as_mut_ptr(), 0..32);
            });
            bench.time(&format!("sum pool {shape}"), n as f64, "G/s", || {
                pool::sum(&desc, x.as_ptr(), y.as_mut_ptr(), 0..32);
            });
            bench.time(&format!("max pool dx {shape}"), n as f64, "G/s", || {
                pool::max_gradient(&desc, x.as_ptr(), y.as_ptr(), dx.as_mut_ptr(), 0..32);
            });
            bench.time(&format!("sum pool dx {shape}"), n as f64, "G/s", || {
                pool::sum_gradient(&desc, y.as_ptr(), dx.as_mut_ptr(), 0..32);
            });
        }
    }
}

fn functions(bench: &Bench) {
    let n = 4096;
    let x = numbers(n);
    let mut out = numbers(n);
    for function in Function::ALL {
        // SAFETY: both have n elements.
        bench.time(&format!("{function:?}").to_lowercase(), n as f64, "G/s", || unsafe {
            math::apply(function, out.as_mut_ptr(), x.as_ptr(), n);
        });
    }
    // SAFETY: both have n elements.
    bench.time("pow", n as f64, "G/s", || unsafe {
        math::apply_pow(out.as_mut_ptr(), x.as_ptr(), x.as_ptr(), n);
    });
    let draw = Draw::new(1, 2, 3);
    bench.time("uniform", n as f64, "G/s", || draw.fill_uniform(&mut out, 0));
    bench.time("normal", n as f64, "G/s", || draw.fill_normal(&mut out, 0));
}

/// GFLOP/s of the widest fused multiply-adds there are.
fn peak() -> f64 {
    let (turns, chains) = (100_000usize, 16);
    let mut lanes = 1;
    let mut run = || {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx512f") {
            lanes = 16;
            // SAFETY: asked just now.
            unsafe { avx512(turns) };
            return;
        }
        let mut sums = [0f32; 16];
        let (x, y) = (black_box(1.000_000_1f32), black_box(1e-9f32));
        for _ in 0..turns {
            for sum in &mut sums {
                *sum = sum.mul_add(x, y);
            }
        }
        black_box(sums);
    };
    let best = seconds(&mut run);
    (turns * chains * lanes * 2) as f64 / best / 1e9
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn avx512(turns: usize) {
    use std::arch::x86_64::{_mm512_fmadd_ps, _mm512_set1_ps};
    let mut sums = [_mm512_set1_ps(0.5); 16];
    let (x, y) = (_mm512_set1_ps(black_box(1.000_000_1)), _mm512_set1_ps(black_box(1e-9)));
    for _ in 0..turns {
        for sum in &mut sums {
            *sum = _mm512_fmadd_ps(*sum, x, y);
        }
    }
    black_box(sums);
}
