//! Maximum and sum over windows of images that lie pixel by pixel (NHWC), and their gradients.
//!
//! x\[images, h, w, c\], y\[images, oh, ow, c\]. Pixels outside an image never win a maximum and add nothing to a
//! sum. A window that is all outside gives -∞ and 0. Everything happens per image, in window order, so no
//! split over images changes a bit.

use super::product::ACCUMULATE;
use super::wide::{self, Job};
use std::ops::Range;

/// A pooling's shape. Spatial pairs are (height, width).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct PoolDesc {
    /// Images in x and y.
    pub images: u64,
    /// Height and width of x.
    pub size: [u64; 2],
    /// Channels of x and y.
    pub channels: u64,
    /// Pixels of a window by axis, at least 1.
    pub window: [u64; 2],
    /// Pixels of x between neighbouring windows, at least 1.
    pub stride: [u64; 2],
    /// Pixels before the first row and column; negative crops.
    pub low: [i64; 2],
    /// Pixels after the last row and column; negative crops.
    pub high: [i64; 2],
    /// [`ACCUMULATE`], for the gradients alone.
    pub flags: u64,
}

impl PoolDesc {
    /// Height and width of y; zero where the window does not fit.
    pub fn output(&self) -> [u64; 2] {
        [0, 1].map(|axis| {
            let room = self.size[axis] as i64 + self.low[axis] + self.high[axis];
            let span = self.window[axis] as i64;
            if room < span { 0 } else { (room - span) as u64 / self.stride[axis] + 1 }
        })
    }

    /// The pixels of x along one axis that window `at` covers.
    fn covered(&self, axis: usize, at: usize) -> Range<usize> {
        let start = at as i64 * self.stride[axis] as i64 - self.low[axis];
        let end = start + self.window[axis] as i64;
        let clamp = |x: i64| x.clamp(0, self.size[axis] as i64) as usize;
        clamp(start)..clamp(end)
    }

    /// Elements of one image of x, and of y.
    fn image(&self) -> (usize, usize) {
        let [height, width] = self.output();
        ((self.size[0] * self.size[1] * self.channels) as usize, (height * width * self.channels) as usize)
    }
}

/// y = the maximum over each window of x, for the images `part`. NaN wins.
///
/// # Safety
/// `x` readable and `y` writable as `desc` says, without overlap.
pub unsafe fn max(desc: &PoolDesc, x: *const f32, y: *mut f32, part: Range<usize>) {
    wide::run(Forward { desc, x, y, part, begin: f32::NEG_INFINITY, join: larger });
}

/// y = the sum over each window of x, for the images `part`.
///
/// # Safety
/// `x` readable and `y` writable as `desc` says, without overlap.
pub unsafe fn sum(desc: &PoolDesc, x: *const f32, y: *mut f32, part: Range<usize>) {
    wide::run(Forward { desc, x, y, part, begin: 0.0, join: |sum, x| sum + x });
}

/// dx = (dx +) for each window dy at its first maximum in x, for the images `part`.
///
/// # Safety
/// `x` and `dy` readable and `dx` writable as `desc` says, without overlap.
pub unsafe fn max_gradient(desc: &PoolDesc, x: *const f32, dy: *const f32, dx: *mut f32, part: Range<usize>) {
    wide::run(MaxGradient { desc, x, dy, dx, part });
}

/// dx = (dx +) for each window dy at all its pixels, for the images `part`.
///
/// # Safety
/// `dy` readable and `dx` writable as `desc` says, without overlap.
pub unsafe fn sum_gradient(desc: &PoolDesc, dy: *const f32, dx: *mut f32, part: Range<usize>) {
    wide::run(SumGradient { desc, dy, dx, part });
}

/// The larger of the two, the first where they are equal; the first NaN if there is one.
#[inline(always)]
fn larger(best: f32, x: f32) -> f32 {
    if wins(best, x) { x } else { best }
}

/// Whether `x` takes the place of what came before it.
#[inline(always)]
fn wins(best: f32, x: f32) -> bool {
    x > best || (x.is_nan() && !best.is_nan())
}

/// Channels that are handled at once.
const NEAR: usize = 64;

/// Calls `visit` with the start of each stretch of channels and its length.
#[inline(always)]
fn stretches(channels: usize, mut visit: impl FnMut(usize, usize)) {
    for from in (0..channels).step_by(NEAR) {
        visit(from, NEAR.min(channels - from));
    }
}

/// Calls `visit` with the rows and columns of each window and the offset of its first channel in y.
#[inline(always)]
fn windows(desc: &PoolDesc, mut visit: impl FnMut(Range<usize>, Range<usize>, usize)) {
    let [height, width] = desc.output().map(|s| s as usize);
    for i in 0..height {
        let rows = desc.covered(0, i);
        for j in 0..width {
            visit(rows.clone(), desc.covered(1, j), (i * width + j) * desc.channels as usize);
        }
    }
}

struct Forward<'a, F> {
    desc: &'a PoolDesc,
    x: *const f32,
    y: *mut f32,
    part: Range<usize>,
    begin: f32,
    join: F,
}

impl<F: Fn(f32, f32) -> f32> Job for Forward<'_, F> {
    #[inline(always)]
    fn run(self) {
        let Forward { desc, x, y, part, begin, join } = self;
        let (channels, width) = (desc.channels as usize, desc.size[1] as usize);
        let (image_x, image_y) = desc.image();
        for image in part {
            let (x, y) = (x.wrapping_add(image * image_x), y.wrapping_add(image * image_y));
            windows(desc, |rows, columns, at| {
                stretches(channels, |from, len| {
                    let mut near = [begin; NEAR];
                    for row in rows.clone() {
                        for column in columns.clone() {
                            // SAFETY: the pixel is inside the image, the stretch inside its channels.
                            let x = unsafe {
                                std::slice::from_raw_parts(
                                    x.add((row * width + column) * channels + from),
                                    len,
                                )
                            };
                            for (near, &x) in near.iter_mut().zip(x) {
                                *near = join(*near, x);
                            }
                        }
                    }
                    // SAFETY: as above, in y.
                    unsafe { std::ptr::copy_nonoverlapping(near.as_ptr(), y.add(at + from), len) };
                });
            });
        }
    }
}

/// Sets one image of dx to zero unless it is added to.
#[inline(always)]
unsafe fn clear(desc: &PoolDesc, dx: *mut f32) {
    if desc.flags & ACCUMULATE == 0 {
        // SAFETY: the caller vouches for one image.
        unsafe { std::ptr::write_bytes(dx, 0, desc.image().0) };
    }
}

struct MaxGradient<'a> {
    desc: &'a PoolDesc,
    x: *const f32,
    dy: *const f32,
    dx: *mut f32,
    part: Range<usize>,
}

impl Job for MaxGradient<'_> {
    #[inline(always)]
    fn run(self) {
        let MaxGradient { desc, x, dy, dx, part } = self;
        let (channels, width) = (desc.channels as usize, desc.size[1] as usize);
        let (image_x, image_y) = desc.image();
        for image in part {
            let (x, dx) = (x.wrapping_add(image * image_x), dx.wrapping_add(image * image_x));
            let dy = dy.wrapping_add(image * image_y);
            // SAFETY: one image of dx.
            unsafe { clear(desc, dx) };
            windows(desc, |rows, columns, at| {
                stretches(channels, |from, len| {
                    let (mut best, mut place) = ([f32::NEG_INFINITY; NEAR], [-1i32; NEAR]);
                    let pixels =
                        || rows.clone().flat_map(|row| columns.clone().map(move |c| row * width + c));
                    for (i, pixel) in pixels().enumerate() {
                        // SAFETY: the pixel is inside the image, the stretch inside its channels.
                        let x = unsafe { std::slice::from_raw_parts(x.add(pixel * channels + from), len) };
                        for ((best, place), &x) in best.iter_mut().zip(&mut place).zip(x) {
                            // The first pixel counts even where it is -∞.
                            let won = wins(*best, x) || *place < 0;
                            *best = if won { x } else { *best };
                            *place = if won { i as i32 } else { *place };
                        }
                    }
                    // SAFETY: as above, in y.
                    let dy = unsafe { std::slice::from_raw_parts(dy.add(at + from), len) };
                    for (i, pixel) in pixels().enumerate() {
                        // SAFETY: as above; dx overlaps neither x nor dy.
                        let dx =
                            unsafe { std::slice::from_raw_parts_mut(dx.add(pixel * channels + from), len) };
                        for ((dx, &dy), &place) in dx.iter_mut().zip(dy).zip(&place) {
                            let more = *dx + dy;
                            *dx = if place == i as i32 { more } else { *dx };
                        }
                    }
                });
            });
        }
    }
}

struct SumGradient<'a> {
    desc: &'a PoolDesc,
    dy: *const f32,
    dx: *mut f32,
    part: Range<usize>,
}

impl Job for SumGradient<'_> {
    #[inline(always)]
    fn run(self) {
        let SumGradient { desc, dy, dx, part } = self;
        let (channels, width) = (desc.channels as usize, desc.size[1] as usize);
        let (image_x, image_y) = desc.image();
        for image in part {
            let (dy, dx) = (dy.wrapping_add(image * image_y), dx.wrapping_add(image * image_x));
            // SAFETY: one image of dx.
            unsafe { clear(desc, dx) };
            windows(desc, |rows, columns, at| {
                // SAFETY: one point of y, the pixels of one window; dx does not overlap dy.
                let dy = unsafe { std::slice::from_raw_parts(dy.add(at), channels) };
                for row in rows {
                    for column in columns.clone() {
                        let dx = unsafe {
                            std::slice::from_raw_parts_mut(
                                dx.add((row * width + column) * channels),
                                channels,
                            )
                        };
                        for (dx, &dy) in dx.iter_mut().zip(dy) {
                            *dx += dy;
                        }
                    }
                }
            });
        }
    }
}
