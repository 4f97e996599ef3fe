//! Convolutions of f32 over images that lie pixel by pixel (NHWC), and their gradients.
//!
//! - x\[images, h, w, ci\], w\[kh, kw, ci / groups, co\], y\[images, oh, ow, co\].
//! - y at (i, j) is the sum over taps (a, b) and channels of x at (i·stride + a·dilation - low, …) times w;
//!   x is zero outside. One spatial axis: let h = kh = 1.
//!
//! All three are products over patches of images (see `patches.rs`; channel by channel in `depthwise.rs` where
//! every channel is a group) and keep the promise of products: bits depend on the shape of the convolution and on
//! the element, never on the part asked for.

use super::contract::{self, Extent, Left, Output, Right, RowMap};
use super::depthwise::{EachPoint, EachTap};
use super::isa::Isa;
use super::micro::{Layout, Micro, PITCH, Runs};
use super::patches::{ByPlace, ByPoint, Patches};
use super::product::{FEW, Matrix, RELU};
use super::sums::{self, Axes};
use super::wide;
use std::ops::Range;

/// A convolution's shape. Spatial pairs are (height, width).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct ConvolveDesc {
    /// Images in x and y.
    pub images: u64,
    /// Height and width of x.
    pub size: [u64; 2],
    /// Channels of x, a multiple of `groups`.
    pub channels_in: u64,
    /// Channels of y, a multiple of `groups`.
    pub channels_out: u64,
    /// Taps by axis, at least 1.
    pub kernel: [u64; 2],
    /// Pixels of x between neighbours of y, at least 1.
    pub stride: [u64; 2],
    /// Pixels of x between neighbouring taps, at least 1.
    pub dilation: [u64; 2],
    /// Zeros before the first row and column; negative crops.
    pub low: [i64; 2],
    /// Zeros after the last row and column; negative crops.
    pub high: [i64; 2],
    /// Groups of channels that do not mix, at least 1.
    pub groups: u64,
    /// [`RELU`] (for the forward pass alone), or 0.
    pub flags: u64,
}

impl ConvolveDesc {
    /// Height and width of y; zero where the kernel does not fit.
    pub fn output(&self) -> [u64; 2] {
        [0, 1].map(|axis| {
            let room = self.size[axis] as i64 + self.low[axis] + self.high[axis];
            let span = (self.dilation[axis] * (self.kernel[axis] - 1)) as i64 + 1;
            if room < span { 0 } else { (room - span) as u64 / self.stride[axis] + 1 }
        })
    }

    /// Rows of the weights seen as a matrix \[kh · kw · ci / groups, co\]: what the weights' gradient is cut by.
    pub fn weight_rows(&self) -> u64 {
        self.kernel[0] * self.kernel[1] * self.channels_in / self.groups
    }

    /// Bytes of scratch for any part of the forward pass, on any processor.
    pub fn forward_scratch_bytes(&self) -> usize {
        scratch_bytes(&self.taps(), self.points(), self.out_group())
    }

    /// Bytes of scratch for any part of the input's gradient, on any processor.
    pub fn input_gradient_scratch_bytes(&self) -> usize {
        let mut bytes = 0;
        for y in self.phases(0) {
            for x in self.phases(1) {
                let sum = sums::axes(&[y.taps, x.taps, self.out_group()]);
                let points = self.images as usize * y.points * x.points;
                bytes = bytes.max(scratch_bytes(&sum, points, self.in_group()));
            }
        }
        bytes
    }

    /// Bytes of scratch for any part of the weights' gradient, on any processor.
    pub fn weight_gradient_scratch_bytes(&self) -> usize {
        scratch_bytes(&self.grid(), self.weight_rows() as usize, self.out_group())
    }

    /// What an element of y is summed over.
    fn taps(&self) -> Axes {
        sums::axes(&[self.kernel[0] as usize, self.kernel[1] as usize, self.in_group()])
    }

    /// What an element of the weights' gradient is summed over.
    fn grid(&self) -> Axes {
        let [height, width] = self.output().map(|size| size as usize);
        sums::axes(&[self.images as usize, height, width])
    }

    /// Points of y in all images.
    fn points(&self) -> usize {
        let [height, width] = self.output();
        (self.images * height * width) as usize
    }

    fn in_group(&self) -> usize {
        (self.channels_in / self.groups) as usize
    }

    fn out_group(&self) -> usize {
        (self.channels_out / self.groups) as usize
    }

    /// Whether every channel is a group by itself.
    fn depthwise(&self) -> bool {
        self.groups > 1 && self.in_group() == 1 && self.out_group() == 1
    }

    /// Groups that are computed one after the other: depthwise they are one.
    fn rounds(&self) -> usize {
        if self.depthwise() { 1 } else { self.groups as usize }
    }

    /// Channels of x, and of y, that are computed together.
    fn together(&self) -> (usize, usize) {
        if self.depthwise() {
            (self.channels_in as usize, self.channels_out as usize)
        } else {
            (self.in_group(), self.out_group())
        }
    }

    /// The patches of x that points of y see, in one round.
    fn patches(&self, x: *const f32, group: usize) -> Patches {
        Patches {
            base: x.wrapping_add(group * self.in_group()),
            size: self.size.map(|s| s as isize),
            channels: self.together().0,
            pixel: self.channels_in as isize,
            kernel: self.kernel.map(|s| s as usize),
            stride: self.stride.map(|s| s as isize),
            dilation: self.dilation.map(|s| s as isize),
            low: self.low.map(|s| s as isize),
            grid: self.output().map(|s| s as usize),
        }
    }

    /// The phases of one axis of x: pixels that are the same distance past a multiple of the stride are
    /// touched by the same taps.
    fn phases(&self, axis: usize) -> impl Iterator<Item = Phase> {
        let stride = self.stride[axis] as i64;
        let (dilation, low, kernel) = (self.dilation[axis] as i64, self.low[axis], self.kernel[axis] as i64);
        let size = self.size[axis] as i64;
        (0..stride.min(size)).map(move |start| {
            let hits = |tap: &i64| (start + low - tap * dilation).rem_euclid(stride) == 0;
            let mut taps = (0..kernel).filter(hits);
            let first = taps.next();
            let step = taps.next().map_or(kernel, |second| second - first.unwrap_or(0));
            let count = first.map_or(0, |first| (kernel - 1 - first) / step + 1);
            // The tap furthest on in the kernel sees the earliest point of y.
            let last = first.unwrap_or(0) + (count - 1).max(0) * step;
            Phase {
                start: start as usize,
                points: ((size - start + stride - 1) / stride) as usize,
                taps: count as usize,
                last_tap: last as usize,
                tap_step: step as usize,
                dilation: (step * dilation / stride) as isize,
                low: -((start + low - last * dilation).div_euclid(stride)) as isize,
            }
        })
    }
}

/// Pixels of one axis of x, a stride apart, and the taps that touch them. Seen from these pixels, the taps in
/// reverse are a convolution of y's gradient with stride one.
#[derive(Clone, Copy, Debug)]
struct Phase {
    /// First pixel.
    start: usize,
    /// Number of pixels.
    points: usize,
    /// Taps that touch them.
    taps: usize,
    /// The last of those taps.
    last_tap: usize,
    /// From one of those taps to the next; past the kernel if there is none.
    tap_step: usize,
    /// Points of y between the ones that neighbouring such taps see; of no meaning with one tap.
    dilation: isize,
    /// Points by which the first seen lies before y.
    low: isize,
}

/// y = x convolved with w, plus `bias` (one per channel, or null), for the images `part`.
///
/// # Safety
/// All operands readable, and y writable, as `desc` says; y overlaps none of the others; `scratch` has
/// [`ConvolveDesc::forward_scratch_bytes`] bytes and nobody else uses it.
pub unsafe fn convolve(
    desc: &ConvolveDesc,
    x: *const f32,
    w: *const f32,
    y: *mut f32,
    bias: *const f32,
    part: Range<usize>,
    scratch: *mut u8,
) {
    // SAFETY: the caller's; the best instruction set is one that the processor has.
    unsafe { convolve_with(Micro::of(Isa::best()), desc, x, w, y, bias, part, scratch) }
}

/// [`convolve`] with the kernels of a given instruction set.
///
/// # Safety
/// As for [`convolve`], and the processor must have the instruction set.
#[expect(clippy::too_many_arguments, reason = "the operands of a convolution, its part and its scratch")]
pub(super) unsafe fn convolve_with(
    micro: &Micro,
    desc: &ConvolveDesc,
    x: *const f32,
    w: *const f32,
    y: *mut f32,
    bias: *const f32,
    part: Range<usize>,
    scratch: *mut u8,
) {
    let channels = desc.channels_out as usize;
    let [height, width] = desc.output().map(|s| s as usize);
    let leaves = sums::leaves(&desc.taps());
    for group in 0..desc.rounds() {
        let shift = group * desc.out_group();
        let patches = desc.patches(x, group);
        let weights = Matrix { base: w.wrapping_add(shift), row: channels as isize, column: 1 };
        let out = Output {
            c: y.wrapping_add(shift),
            rows: RowMap::Even(channels as isize),
            column: 1,
            bias: if bias.is_null() { bias } else { bias.wrapping_add(shift) },
            bias_by_row: false,
            relu: desc.flags & RELU != 0,
        };
        let extent = Extent {
            rows: part.start * height * width..part.end * height * width,
            columns: 0..desc.out_group(),
            leaves: &leaves,
        };
        let points = ByPoint(&patches);
        // SAFETY: the caller's.
        unsafe {
            if desc.depthwise() {
                let step = [desc.kernel[1] as usize * channels, channels].map(|step| step as isize);
                let (patches, out, extent) = (&patches, &out, &extent);
                wide::run_as(micro.isa, EachPoint { patches, weights: w, step, out, extent });
            } else if few(desc.out_group()) {
                let (out, extent) = (out.turned(channels as isize), extent.turned());
                contract::contract(micro, &weights.transposed(), &points, &out, &extent, scratch);
            } else {
                contract::contract(micro, &points, &weights, &out, &extent, scratch);
            }
        }
    }
}

/// Bytes of scratch for a contraction of so many rows and columns, put down or across.
fn scratch_bytes(sum: &Axes, rows: usize, columns: usize) -> usize {
    let (rows, columns) = if few(columns) { (columns, rows) } else { (rows, columns) };
    contract::scratch_bytes(sum, rows, columns)
}

/// Whether channels are so few that they are better put down than across.
fn few(channels: usize) -> bool {
    channels as u64 <= FEW
}

/// dx = the gradient by x, given dy, for the images `part`.
///
/// # Safety
/// All operands readable, and dx writable, as `desc` says; dx overlaps none of the others; `scratch` has
/// [`ConvolveDesc::input_gradient_scratch_bytes`] bytes and nobody else uses it.
pub unsafe fn convolve_input_gradient(
    desc: &ConvolveDesc,
    dy: *const f32,
    w: *const f32,
    dx: *mut f32,
    part: Range<usize>,
    scratch: *mut u8,
) {
    // SAFETY: the caller's; the best instruction set is one that the processor has.
    unsafe { input_gradient_with(Micro::of(Isa::best()), desc, dy, w, dx, part, scratch) }
}

/// [`convolve_input_gradient`] with the kernels of a given instruction set.
///
/// # Safety
/// As for [`convolve_input_gradient`], and the processor must have the instruction set.
pub(super) unsafe fn input_gradient_with(
    micro: &Micro,
    desc: &ConvolveDesc,
    dy: *const f32,
    w: *const f32,
    dx: *mut f32,
    part: Range<usize>,
    scratch: *mut u8,
) {
    for group in 0..desc.rounds() {
        for y in desc.phases(0) {
            for x in desc.phases(1) {
                // SAFETY: the caller's.
                unsafe { phase_gradient(micro, desc, [y, x], group, dy, w, dx, part.clone(), scratch) }
            }
        }
    }
}

/// The input's gradient at the pixels of one phase.
#[expect(clippy::too_many_arguments, reason = "the operands of a convolution, its part and its scratch")]
unsafe fn phase_gradient(
    micro: &Micro,
    desc: &ConvolveDesc,
    phase: [Phase; 2],
    group: usize,
    dy: *const f32,
    w: *const f32,
    dx: *mut f32,
    part: Range<usize>,
    scratch: *mut u8,
) {
    let (out_shift, in_shift) = (group * desc.out_group(), group * desc.in_group());
    let channels_in = desc.channels_in as isize;
    let [height, width] = desc.size.map(|s| s as isize);
    let patches = Patches {
        base: dy.wrapping_add(out_shift),
        size: desc.output().map(|s| s as isize),
        channels: desc.together().1,
        pixel: desc.channels_out as isize,
        kernel: phase.map(|p| p.taps),
        stride: [1, 1],
        dilation: phase.map(|p| p.dilation),
        low: phase.map(|p| p.low),
        grid: phase.map(|p| p.points),
    };
    let weights = Turned {
        base: w.wrapping_add(out_shift),
        phase,
        kernel_width: desc.kernel[1] as usize,
        channels_in: desc.in_group(),
        channels_out: desc.out_group(),
        row: desc.channels_out as usize,
    };
    let first = phase[0].start as isize * width + phase[1].start as isize;
    let out = Output {
        c: dx.wrapping_offset(first * channels_in).wrapping_add(in_shift),
        rows: RowMap::Grid {
            size: patches.grid,
            image: height * width * channels_in,
            step: [desc.stride[0] as isize * width * channels_in, desc.stride[1] as isize * channels_in],
        },
        column: 1,
        bias: std::ptr::null(),
        bias_by_row: false,
        relu: false,
    };
    let points = phase[0].points * phase[1].points;
    let leaves = sums::leaves(&sums::axes(&[phase[0].taps, phase[1].taps, desc.out_group()]));
    let extent =
        Extent { rows: part.start * points..part.end * points, columns: 0..desc.in_group(), leaves: &leaves };
    let points = ByPoint(&patches);
    // SAFETY: the caller's.
    unsafe {
        if desc.depthwise() {
            let [y, x] = phase;
            let row = desc.kernel[1] as usize;
            let last = w.wrapping_add((y.last_tap * row + x.last_tap) * desc.channels_out as usize);
            let step = [y.tap_step * row, x.tap_step].map(|taps| -(taps as isize) * channels_in);
            let (patches, out, extent) = (&patches, &out, &extent);
            wide::run_as(micro.isa, EachPoint { patches, weights: last, step, out, extent });
        } else if few(desc.in_group()) && desc.stride == [1, 1] {
            let (out, extent) = (Output { rows: RowMap::Even(channels_in), ..out }, extent.turned());
            contract::contract(micro, &weights, &points, &out.turned(channels_in), &extent, scratch);
        } else {
            contract::contract(micro, &points, &weights, &out, &extent, scratch);
        }
    }
}

/// The weights of one phase as a right operand: taps in reverse and channels of y down, channels of x across.
/// As a left operand, the other way round.
struct Turned {
    base: *const f32,
    phase: [Phase; 2],
    kernel_width: usize,
    channels_in: usize,
    channels_out: usize,
    /// Elements between input channels of the weights.
    row: usize,
}

impl Turned {
    /// Calls `visit` for each stretch of `ks` that lies in one tap: with where it begins in `ks`, its length, and
    /// where its first element lies for input channel 0.
    fn stretches(&self, ks: Range<usize>, mut visit: impl FnMut(usize, usize, *const f32)) {
        let [y, x] = self.phase;
        let mut k = ks.start;
        while k < ks.end {
            let (tap, channel) = (k / self.channels_out, k % self.channels_out);
            let count = (self.channels_out - channel).min(ks.end - k);
            let i = y.last_tap - tap / x.taps * y.tap_step;
            let j = x.last_tap - tap % x.taps * x.tap_step;
            let row = (i * self.kernel_width + j) * self.channels_in;
            visit(k - ks.start, count, self.base.wrapping_add(row * self.row + channel));
            k += count;
        }
    }
}

impl Right for Turned {
    unsafe fn fill(
        &self,
        micro: &Micro,
        ks: Range<usize>,
        columns: Range<usize>,
        to: *mut f32,
        stride: usize,
    ) {
        self.stretches(ks, |at, count, from| {
            let from = from.wrapping_add(columns.start * self.row);
            let to = to.wrapping_add(at * stride);
            // SAFETY: the caller's.
            unsafe { (micro.transpose)(from, self.row as isize, to, stride, columns.len(), count) }
        });
    }

    fn direct(&self, _: usize, _: usize) -> Option<(*const f32, usize)> {
        None
    }
}

impl Left for Turned {
    fn layout(&self) -> Layout {
        Layout::Along
    }

    unsafe fn fill(&self, micro: &Micro, tiles: &[Range<usize>], ks: Range<usize>, to: *mut f32) {
        let rows = tiles[0].start..tiles[tiles.len() - 1].end;
        self.stretches(ks, |at, len, from| {
            let runs = Runs {
                from,
                start: (rows.start * self.row) as isize,
                step: self.row as isize,
                to: to.wrapping_add(at),
                to_stride: PITCH,
                count: rows.len(),
                len,
                // Later stretches are written later, over what is left behind.
                room: PITCH - at,
            };
            // SAFETY: the caller's.
            unsafe { (micro.copy)(&runs) }
        });
    }
}

/// dw = the gradient by w, given dy, for the rows `part` of [`ConvolveDesc::weight_rows`]. Each element
/// is one sum over all points of all images.
///
/// # Safety
/// All operands readable, and dw writable, as `desc` says; dw overlaps none of the others; `scratch` has
/// [`ConvolveDesc::weight_gradient_scratch_bytes`] bytes and nobody else uses it.
pub unsafe fn convolve_weight_gradient(
    desc: &ConvolveDesc,
    x: *const f32,
    dy: *const f32,
    dw: *mut f32,
    part: Range<usize>,
    scratch: *mut u8,
) {
    // SAFETY: the caller's; the best instruction set is one that the processor has.
    unsafe { weight_gradient_with(Micro::of(Isa::best()), desc, x, dy, dw, part, scratch) }
}

/// [`convolve_weight_gradient`] with the kernels of a given instruction set.
///
/// # Safety
/// As for [`convolve_weight_gradient`], and the processor must have the instruction set.
pub(super) unsafe fn weight_gradient_with(
    micro: &Micro,
    desc: &ConvolveDesc,
    x: *const f32,
    dy: *const f32,
    dw: *mut f32,
    part: Range<usize>,
    scratch: *mut u8,
) {
    let channels = desc.channels_out as usize;
    let leaves = sums::leaves(&desc.grid());
    for group in 0..desc.rounds() {
        let shift = group * desc.out_group();
        let patches = desc.patches(x, group);
        let gradient = Matrix { base: dy.wrapping_add(shift), row: channels as isize, column: 1 };
        let out = Output {
            c: dw.wrapping_add(shift),
            rows: RowMap::Even(channels as isize),
            column: 1,
            bias: std::ptr::null(),
            bias_by_row: false,
            relu: false,
        };
        let extent = Extent { rows: part.clone(), columns: 0..desc.out_group(), leaves: &leaves };
        let places = ByPlace(&patches);
        // SAFETY: the caller's.
        unsafe {
            if desc.depthwise() {
                let (patches, out, extent) = (&patches, &out, &extent);
                wide::run_as(micro.isa, EachTap { patches, gradient: dy, out, extent });
            } else if few(desc.out_group()) {
                let (out, extent) = (out.turned(channels as isize), extent.turned());
                contract::contract(micro, &gradient.transposed(), &places, &out, &extent, scratch);
            } else {
                contract::contract(micro, &places, &gradient, &out, &extent, scratch);
            }
        }
    }
}
