//! Convolutions and poolings as the kernels of the runtime are told of them.

use strata_runtime::kernels::element::Kind;
use strata_runtime::kernels::{ConvolveDesc, Entry, PoolDesc, WindowsDesc, windows};

use super::table::TableCall;
use crate::ops::{Convolution, Op, Pooling, Reduction};
use crate::types::{DType, Type};

/// A pair for the kernels' two spatial axes: a missing first one is `fill`.
fn pair<T: Copy>(values: &[T], fill: T) -> [T; 2] {
    match values {
        [] => [fill, fill],
        [one] => [fill, *one],
        [height, width, ..] => [*height, *width],
    }
}

/// How many spatial axes the tiled kernels have.
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
    }
}

/// The call of a plain kernel for `op`, where the tiled ones do not take it: they are of `f32`, over up to two axes.
/// `types` are those of the images, of the kernel (none for a pooling), and of what comes out.
pub fn plain(op: &Op, x: &Type, w: Option<&Type>, y: &Type) -> Option<TableCall> {
    let (x_dims, y_dims) = (x.dims(), y.dims());
    let spatial = x_dims.len() - 2;
    if x.dtype == DType::F32 && spatial <= SPATIAL {
        return None;
    }
    let triple = |values: Vec<u64>, fill: u64| -> [u64; windows::SPATIAL] {
        let missing = windows::SPATIAL - values.len();
        std::array::from_fn(|i| if i < missing { fill } else { values[i - missing] })
    };
    let sizes = |dims: &[usize]| dims.iter().map(|n| *n as u64).collect::<Vec<_>>();
    let inner = |dims: &[usize]| triple(sizes(&dims[1..=spatial]), 1);
    let low = |padding: &[(u64, u64)]| triple(padding.iter().map(|p| p.0).collect(), 0);
    let mut desc = WindowsDesc {
        images: x_dims[0] as u64,
        size: inner(&x_dims),
        windows: inner(&y_dims),
        taps: [1; windows::SPATIAL],
        stride: [1; windows::SPATIAL],
        dilation: [1; windows::SPATIAL],
        low: [0; windows::SPATIAL],
        channels_in: x_dims[spatial + 1] as u64,
        channels_out: y_dims[spatial + 1] as u64,
        groups: 1,
        element: Kind::from(x.dtype).code(),
        largest: 0,
    };
    let entry = if let Op::Pool(p) | Op::PoolInput(p) = op {
        desc.taps = triple(p.window.clone(), 1);
        desc.stride = triple(p.stride.clone(), 1);
        desc.low = low(&p.padding);
        desc.largest = u64::from(p.op == Reduction::Max);
        if matches!(op, Op::Pool(_)) { Entry::WindowsPool } else { Entry::WindowsPoolInput }
    } else if let Op::Convolve(c) | Op::ConvolveInput(c, _) | Op::ConvolveKernel(c, _) = op {
        desc.taps = triple(sizes(&w?.dims()[..spatial]), 1);
        desc.stride = triple(c.stride.clone(), 1);
        desc.dilation = triple(c.dilation.clone(), 1);
        desc.low = low(&c.padding);
        desc.groups = c.groups;
        if matches!(op, Op::Convolve(_)) {
            Entry::WindowsConvolve
        } else if matches!(op, Op::ConvolveInput(..)) {
            Entry::WindowsInput
        } else {
            Entry::WindowsKernel
        }
    } else {
        return None;
    };
    let count = if entry == Entry::WindowsKernel { desc.weight_rows() } else { desc.images };
    let text = format!(
        "{} images {:?} of {}, {} windows {:?} of {:?}, stride {:?}, dilation {:?}, reach {:?}, groups {}",
        desc.images,
        desc.size,
        desc.channels_in,
        desc.channels_out,
        desc.windows,
        desc.taps,
        desc.stride,
        desc.dilation,
        desc.low,
        desc.groups
    );
    let scratch = (entry == Entry::WindowsInput).then(|| desc.input_scratch_bytes(x.dtype.bytes()));
    let desc = bytemuck::bytes_of(&desc).to_vec();
    Some(TableCall { entry, desc, text, count: count as usize, scratch, faults: false })
}
