//! Convolution and pooling over one to three axes, of any float: plain loops over the channels, for what the tiled
//! kernels do not take (`f64`, three axes).
//!
//! Tensors are `[image, spatial…, channel]`, weights `[spatial…, in / groups, out]`. Sums are chains of fused
//! multiply-adds from +0 that are added in order to a total from +0. A chain is at most [`CHAIN`] long: of a tap's
//! input channels in a convolution, of a tap's output channels in its gradient by the input, of outputs (counted over
//! all images) in its gradient by the weights. No split of the work changes a bit.

use std::ops::Range;

use super::element::Element;
use super::wide::Job;

/// Products that are added to each other before they are added to the total.
pub const CHAIN: usize = 256;

/// Channels whose sums are kept in registers.
const STRIP: usize = 32;

/// Most axes that windows move over.
pub const SPATIAL: usize = 3;

/// How windows move over images. Axes that are missing come first and have size 1.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct WindowsDesc {
    /// Number of images.
    pub images: u64,
    /// Sizes of an image.
    pub size: [u64; SPATIAL],
    /// Number of windows along each axis.
    pub windows: [u64; SPATIAL],
    /// Taps of a window along each axis.
    pub taps: [u64; SPATIAL],
    /// Distance of neighbouring windows.
    pub stride: [u64; SPATIAL],
    /// Distance of neighbouring taps.
    pub dilation: [u64; SPATIAL],
    /// How far the first window reaches over the beginning.
    pub low: [u64; SPATIAL],
    /// Channels of an image.
    pub channels_in: u64,
    /// Channels that come out; those that went in, for a pooling.
    pub channels_out: u64,
    /// Groups of channels that do not mix.
    pub groups: u64,
    /// The dtype of elements: a [`super::element::Kind`].
    pub element: u64,
    /// 1 where the largest is taken of each window, 0 for sums.
    pub largest: u64,
}

/// A point: one index an axis.
type Point = [usize; SPATIAL];

impl WindowsDesc {
    /// Rows of the weights: what threads share of their gradient.
    pub fn weight_rows(&self) -> u64 {
        self.taps.iter().product::<u64>() * self.group_in() as u64
    }

    /// Bytes of scratch for the gradient by the input: the weights turned.
    pub fn input_scratch_bytes(&self, element: usize) -> usize {
        (self.weight_rows() * self.channels_out) as usize * element + 64
    }

    fn group_in(&self) -> usize {
        (self.channels_in / self.groups) as usize
    }

    fn group_out(&self) -> usize {
        (self.channels_out / self.groups) as usize
    }

    /// The input that tap `tap` of window `window` sees; `None` in the padding.
    #[inline(always)]
    fn input(&self, window: Point, tap: Point) -> Option<usize> {
        let mut at = 0;
        for axis in 0..SPATIAL {
            let reach = window[axis] * self.stride[axis] as usize + tap[axis] * self.dilation[axis] as usize;
            let size = self.size[axis] as usize;
            let place = reach.checked_sub(self.low[axis] as usize)?;
            if place >= size {
                return None;
            }
            at = at * size + place;
        }
        Some(at)
    }

    /// The window whose tap `tap` sees `input`, if there is one.
    #[inline(always)]
    fn seeing(&self, input: Point, tap: Point) -> Option<usize> {
        let mut at = 0;
        for axis in 0..SPATIAL {
            let reach = (input[axis] + self.low[axis] as usize)
                .checked_sub(tap[axis] * self.dilation[axis] as usize)?;
            let (stride, windows) = (self.stride[axis] as usize, self.windows[axis] as usize);
            if !reach.is_multiple_of(stride) || reach / stride >= windows {
                return None;
            }
            at = at * windows + reach / stride;
        }
        Some(at)
    }
}

fn points(sizes: [u64; SPATIAL]) -> impl Iterator<Item = Point> {
    let [a, b, c] = sizes.map(|n| n as usize);
    (0..a).flat_map(move |i| (0..b).flat_map(move |j| (0..c).map(move |k| [i, j, k])))
}

fn count(sizes: [u64; SPATIAL]) -> usize {
    sizes.iter().product::<u64>() as usize
}

/// Sums for a strip of channels: a chain, and the total of finished chains.
struct Sums<T> {
    total: [T; STRIP],
    chain: [T; STRIP],
}

impl<T: Element> Sums<T> {
    #[inline(always)]
    fn new() -> Sums<T> {
        Sums { total: [T::ZERO; STRIP], chain: [T::ZERO; STRIP] }
    }

    /// Adds `x` times each of `count` numbers to the chains.
    ///
    /// # Safety
    /// The numbers must be readable.
    #[inline(always)]
    unsafe fn add(&mut self, x: T, numbers: *const T, count: usize) {
        if count == STRIP {
            for (i, sum) in self.chain.iter_mut().enumerate() {
                // SAFETY: the caller's.
                *sum = x.times_plus(unsafe { *numbers.add(i) }, *sum);
            }
        } else {
            for (i, sum) in self.chain[..count].iter_mut().enumerate() {
                // SAFETY: the caller's.
                *sum = x.times_plus(unsafe { *numbers.add(i) }, *sum);
            }
        }
    }

    /// Ends the chains.
    #[inline(always)]
    fn flush(&mut self) {
        for (total, chain) in self.total.iter_mut().zip(&mut self.chain) {
            *total = total.plus(*chain);
            *chain = T::ZERO;
        }
    }
}

/// y = x convolved with w, for the images `part`.
pub struct Convolve<'a, T> {
    pub desc: &'a WindowsDesc,
    pub x: *const T,
    pub w: *const T,
    pub y: *mut T,
    pub part: Range<usize>,
}

impl<T: Element> Job for Convolve<'_, T> {
    #[inline(always)]
    fn run(self) {
        let Convolve { desc, x, w, y, part } = self;
        let (ci, co) = (desc.channels_in as usize, desc.channels_out as usize);
        let (group_in, group_out) = (desc.group_in(), desc.group_out());
        let (inputs, windows) = (count(desc.size), count(desc.windows));
        for image in part {
            for (at, window) in points(desc.windows).enumerate() {
                for start in strips(desc.groups as usize, group_out) {
                    let width = STRIP.min(group_out - start % group_out);
                    let first = start / group_out * group_in;
                    let mut sums = Sums::new();
                    for (tap_at, tap) in points(desc.taps).enumerate() {
                        let Some(input) = desc.input(window, tap) else { continue };
                        // SAFETY: the point lies in the image, the strip within a group's channels.
                        unsafe {
                            let from = x.add((image * inputs + input) * ci + first);
                            let row = w.add(tap_at * group_in * co + start);
                            for c in 0..group_in {
                                sums.add(*from.add(c), row.add(c * co), width);
                                if c % CHAIN == CHAIN - 1 {
                                    sums.flush();
                                }
                            }
                        }
                        sums.flush();
                    }
                    // SAFETY: the window is one of the result's.
                    unsafe {
                        let to = y.add((image * windows + at) * co + start);
                        std::ptr::copy_nonoverlapping(sums.total.as_ptr(), to, width);
                    }
                }
            }
        }
    }
}

/// Where strips of channels begin that lie within one group each.
#[inline(always)]
fn strips(groups: usize, each: usize) -> impl Iterator<Item = usize> {
    (0..groups).flat_map(move |group| (0..each).step_by(STRIP).map(move |start| group * each + start))
}

/// dx = the gradient by the input, for the images `part`; `turned` has room for the weights.
pub struct ConvolveInput<'a, T> {
    pub desc: &'a WindowsDesc,
    pub dy: *const T,
    pub w: *const T,
    pub dx: *mut T,
    pub part: Range<usize>,
    pub turned: *mut T,
}

impl<T: Element> Job for ConvolveInput<'_, T> {
    #[inline(always)]
    fn run(self) {
        let ConvolveInput { desc, dy, w, dx, part, turned } = self;
        if part.is_empty() {
            return;
        }
        let (ci, co) = (desc.channels_in as usize, desc.channels_out as usize);
        let (group_in, group_out) = (desc.group_in(), desc.group_out());
        let (inputs, windows) = (count(desc.size), count(desc.windows));
        // Of [tap, in, out] make [tap, out, in], so that a strip of inputs lies side by side.
        for tap in 0..count(desc.taps) {
            for c in 0..group_in {
                for o in 0..co {
                    // SAFETY: both have a number for every tap and pair of channels.
                    unsafe {
                        *turned.add((tap * co + o) * group_in + c) = *w.add((tap * group_in + c) * co + o)
                    };
                }
            }
        }
        for image in part {
            for (at, input) in points(desc.size).enumerate() {
                for start in strips(desc.groups as usize, group_in) {
                    let width = STRIP.min(group_in - start % group_in);
                    let first = start / group_in * group_out;
                    let mut sums = Sums::new();
                    for (tap_at, tap) in points(desc.taps).enumerate() {
                        let Some(window) = desc.seeing(input, tap) else { continue };
                        // SAFETY: the window is one of dy's, the strip within a group's channels.
                        unsafe {
                            let from = dy.add((image * windows + window) * co + first);
                            let row = turned.add((tap_at * co + first) * group_in + start % group_in);
                            for o in 0..group_out {
                                sums.add(*from.add(o), row.add(o * group_in), width);
                                if o % CHAIN == CHAIN - 1 {
                                    sums.flush();
                                }
                            }
                        }
                        sums.flush();
                    }
                    // SAFETY: the point is one of the result's.
                    unsafe {
                        let to = dx.add((image * inputs + at) * ci + start);
                        std::ptr::copy_nonoverlapping(sums.total.as_ptr(), to, width);
                    }
                }
            }
        }
    }
}

/// dw = the gradient by the weights, for the rows `part` of them.
pub struct ConvolveKernel<'a, T> {
    pub desc: &'a WindowsDesc,
    pub x: *const T,
    pub dy: *const T,
    pub dw: *mut T,
    pub part: Range<usize>,
}

impl<T: Element> Job for ConvolveKernel<'_, T> {
    #[inline(always)]
    fn run(self) {
        let ConvolveKernel { desc, x, dy, dw, part } = self;
        let (ci, co) = (desc.channels_in as usize, desc.channels_out as usize);
        let (group_in, group_out) = (desc.group_in(), desc.group_out());
        let (inputs, windows) = (count(desc.size), count(desc.windows));
        for row in part {
            let [_, b, c] = desc.taps.map(|n| n as usize);
            let (tap, channel) = (row / group_in, row % group_in);
            let tap = [tap / (b * c), tap / c % b, tap % c];
            for start in strips(desc.groups as usize, group_out) {
                let width = STRIP.min(group_out - start % group_out);
                let channel = start / group_out * group_in + channel;
                let mut sums = Sums::new();
                for image in 0..desc.images as usize {
                    for (at, window) in points(desc.windows).enumerate() {
                        let term = image * windows + at;
                        if let Some(input) = desc.input(window, tap) {
                            // SAFETY: the point lies in the image, the window in dy, the strip in a group's channels.
                            unsafe {
                                let x = *x.add((image * inputs + input) * ci + channel);
                                sums.add(x, dy.add(term * co + start), width);
                            }
                        }
                        if term % CHAIN == CHAIN - 1 {
                            sums.flush();
                        }
                    }
                }
                sums.flush();
                // SAFETY: the row is one of the weights'.
                unsafe {
                    std::ptr::copy_nonoverlapping(sums.total.as_ptr(), dw.add(row * co + start), width)
                };
            }
        }
    }
}

/// y = the sum or the largest of each window of x, for the images `part`.
pub struct Pool<'a, T> {
    pub desc: &'a WindowsDesc,
    pub x: *const T,
    pub y: *mut T,
    pub part: Range<usize>,
}

impl<T: Element> Job for Pool<'_, T> {
    #[inline(always)]
    fn run(self) {
        let Pool { desc, x, y, part } = self;
        let channels = desc.channels_in as usize;
        let (inputs, windows) = (count(desc.size), count(desc.windows));
        let largest = desc.largest == 1;
        for image in part {
            for (at, window) in points(desc.windows).enumerate() {
                // SAFETY: the window is one of the result's, and points lie in the image.
                unsafe {
                    let to = y.add((image * windows + at) * channels);
                    let to = std::slice::from_raw_parts_mut(to, channels);
                    to.fill(if largest { T::LEAST } else { T::ZERO });
                    for tap in points(desc.taps) {
                        let Some(input) = desc.input(window, tap) else { continue };
                        let from = x.add((image * inputs + input) * channels);
                        let from = std::slice::from_raw_parts(from, channels);
                        for (y, x) in to.iter_mut().zip(from) {
                            *y = if largest { y.larger(*x) } else { y.plus(*x) };
                        }
                    }
                }
            }
        }
    }
}

/// dx = the gradient of a pooling by its input, for the images `part`. The gradients of windows are added in order.
pub struct PoolInput<'a, T> {
    pub desc: &'a WindowsDesc,
    pub x: *const T,
    pub dy: *const T,
    pub dx: *mut T,
    pub part: Range<usize>,
}

impl<T: Element> Job for PoolInput<'_, T> {
    #[inline(always)]
    fn run(self) {
        let PoolInput { desc, x, dy, dx, part } = self;
        let channels = desc.channels_in as usize;
        let (inputs, windows) = (count(desc.size), count(desc.windows));
        for image in part {
            // SAFETY: the image is one of the result's, windows of dy's, and points lie in the image.
            unsafe {
                let (x, dx) = (x.add(image * inputs * channels), dx.add(image * inputs * channels));
                dx.write_bytes(0, inputs * channels);
                for (at, window) in points(desc.windows).enumerate() {
                    let dy = dy.add((image * windows + at) * channels);
                    if desc.largest == 1 {
                        for c in 0..channels {
                            if let Some(best) = largest(desc, x, window, c) {
                                let to = dx.add(best * channels + c);
                                *to = (*to).plus(*dy.add(c));
                            }
                        }
                        continue;
                    }
                    for tap in points(desc.taps) {
                        let Some(input) = desc.input(window, tap) else { continue };
                        for c in 0..channels {
                            let to = dx.add(input * channels + c);
                            *to = (*to).plus(*dy.add(c));
                        }
                    }
                }
            }
        }
    }
}

/// The first largest input of a window in one channel.
///
/// # Safety
/// `x` must be the image.
#[inline(always)]
unsafe fn largest<T: Element>(
    desc: &WindowsDesc,
    x: *const T,
    window: Point,
    channel: usize,
) -> Option<usize> {
    let mut best: Option<(usize, T)> = None;
    for tap in points(desc.taps) {
        let Some(input) = desc.input(window, tap) else { continue };
        // SAFETY: the caller's; the point lies in the image.
        let value = unsafe { *x.add(input * desc.channels_in as usize + channel) };
        if best.is_none_or(|(_, found)| value.beats(found)) {
            best = Some((input, value));
        }
    }
    best.map(|(input, _)| input)
}
