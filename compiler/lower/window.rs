//! Convolutions and poolings as the kernels of the runtime are told of them.

use strata_runtime::kernels::{ConvolveDesc, PoolDesc};

use crate::ops::{Convolution, Pooling};

/// A pair for the kernels' two spatial axes: a missing first one is `fill`.
fn pair<T: Copy>(values: &[T], fill: T) -> [T; 2] {
    match values {
        [] => [fill, fill],
        [one] => [fill, *one],
        [height, width, ..] => [*height, *width],
    }
}

/// How many spatial axes the kernels have.
pub const SPATIAL: usize = 2;

/// The descriptor of a convolution of images with axes `x` by a kernel with axes `w`.
pub fn convolve_desc(convolution: &Convolution, x: &[usize], w: &[usize]) -> ConvolveDesc {
    let spatial = |dims: &[usize]| -> Vec<u64> { dims.iter().map(|d| *d as u64).collect() };
    let low: Vec<i64> = convolution.padding.iter().map(|p| p.0 as i64).collect();
    let high: Vec<i64> = convolution.padding.iter().map(|p| p.1 as i64).collect();
    ConvolveDesc {
        images: x[0] as u64,
        size: pair(&spatial(&x[1..x.len() - 1]), 1),
        channels_in: x[x.len() - 1] as u64,
        channels_out: w[w.len() - 1] as u64,
        kernel: pair(&spatial(&w[..w.len() - 2]), 1),
        stride: pair(&convolution.stride, 1),
        dilation: pair(&convolution.dilation, 1),
        low: pair(&low, 0),
        high: pair(&high, 0),
        groups: convolution.groups,
        block: 0,
        flags: 0,
    }
}

/// The descriptor of a pooling of images with axes `x`.
pub fn pool_desc(pooling: &Pooling, x: &[usize]) -> PoolDesc {
    let size: Vec<u64> = x[1..x.len() - 1].iter().map(|d| *d as u64).collect();
    let low: Vec<i64> = pooling.padding.iter().map(|p| p.0 as i64).collect();
    let high: Vec<i64> = pooling.padding.iter().map(|p| p.1 as i64).collect();
    PoolDesc {
        images: x[0] as u64,
        size: pair(&size, 1),
        channels: x[x.len() - 1] as u64,
        window: pair(&pooling.window, 1),
        stride: pair(&pooling.stride, 1),
        low: pair(&low, 0),
        high: pair(&high, 0),
        flags: 0,
    }
}
