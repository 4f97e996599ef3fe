//! Maximum and sum over windows of images that lie pixel by pixel (NHWC), and their gradients.
//!
//! x\[images, h, w, c\], y\[images, oh, ow, c\]. Pixels outside an image never win a maximum and add nothing to a
//! sum. A window that is all outside gives -∞ and 0. Everything happens per image, in window order, so no
//! split over images changes a bit.

use super::lanes::{N, Stretch, load, store, stretches};
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
    // Without short cuts, so that it becomes vector comparisons.
    (x > best) | (x.is_nan() & !best.is_nan())
}

/// A window of one image: its pixels in x, and its point in y as an offset to its first channel.
struct Window {
    rows: Range<usize>,
    columns: Range<usize>,
    at: usize,
}

impl Window {
    /// Calls `visit` with each pixel's number within the window and the offset of its first channel in x.
    #[inline(always)]
    fn pixels(&self, desc: &PoolDesc, mut visit: impl FnMut(i32, usize)) {
        let mut i = 0;
        for row in self.rows.clone() {
            for column in self.columns.clone() {
                visit(i, (row * desc.size[1] as usize + column) * desc.channels as usize);
                i += 1;
            }
        }
    }
}

/// Calls `visit` with each window.
#[inline(always)]
fn windows(desc: &PoolDesc, mut visit: impl FnMut(Window)) {
    let [height, width] = desc.output().map(|s| s as usize);
    for i in 0..height {
        for j in 0..width {
            visit(Window {
                rows: desc.covered(0, i),
                columns: desc.covered(1, j),
                at: (i * width + j) * desc.channels as usize,
            });
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
        let (image_x, image_y) = self.desc.image();
        for image in self.part.clone() {
            let (x, y) = (self.x.wrapping_add(image * image_x), self.y.wrapping_add(image * image_y));
            windows(self.desc, |window| {
                let stretch = ForwardStretch { job: &self, window, x, y };
                // SAFETY: the caller of the public functions vouches for whole images.
                unsafe { stretches(self.desc.channels as usize, &stretch) };
            });
        }
    }
}

struct ForwardStretch<'a, F> {
    job: &'a Forward<'a, F>,
    window: Window,
    x: *const f32,
    y: *mut f32,
}

impl<F: Fn(f32, f32) -> f32> Stretch for ForwardStretch<'_, F> {
    #[inline(always)]
    unsafe fn channels(&self, from: usize, len: usize) {
        let mut near = [self.job.begin; N];
        self.window.pixels(self.job.desc, |_, pixel| {
            // SAFETY: the pixel is inside the image, the stretch inside its channels.
            let x = unsafe { load(self.x.add(pixel + from), len) };
            for (near, x) in near.iter_mut().zip(x) {
                *near = (self.job.join)(*near, x);
            }
        });
        // SAFETY: as above, in y.
        unsafe { store(near, self.y.add(self.window.at + from), len) };
    }
}

/// Sets one image of dx to zero.
#[inline(always)]
unsafe fn clear(desc: &PoolDesc, dx: *mut f32) {
    // SAFETY: the caller vouches for one image.
    unsafe { std::ptr::write_bytes(dx, 0, desc.image().0) };
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
        let (image_x, image_y) = self.desc.image();
        for image in self.part.clone() {
            let (x, dx) = (self.x.wrapping_add(image * image_x), self.dx.wrapping_add(image * image_x));
            let dy = self.dy.wrapping_add(image * image_y);
            // SAFETY: one image of dx.
            unsafe { clear(self.desc, dx) };
            windows(self.desc, |window| {
                let stretch = MaxGradientStretch { desc: self.desc, window, x, dy, dx };
                // SAFETY: the caller of `max_gradient` vouches for whole images.
                unsafe { stretches(self.desc.channels as usize, &stretch) };
            });
        }
    }
}

struct MaxGradientStretch<'a> {
    desc: &'a PoolDesc,
    window: Window,
    x: *const f32,
    dy: *const f32,
    dx: *mut f32,
}

impl Stretch for MaxGradientStretch<'_> {
    #[inline(always)]
    unsafe fn channels(&self, from: usize, len: usize) {
        let (mut best, mut place) = ([f32::NEG_INFINITY; N], [0i32; N]);
        self.window.pixels(self.desc, |i, pixel| {
            // SAFETY: the pixel is inside the image, the stretch inside its channels.
            let x = unsafe { load(self.x.add(pixel + from), len) };
            for ((best, place), x) in best.iter_mut().zip(&mut place).zip(x) {
                let won = wins(*best, x);
                *best = if won { x } else { *best };
                *place = if won { i } else { *place };
            }
        });
        // SAFETY: as above, in y.
        let dy = unsafe { load(self.dy.add(self.window.at + from), len) };
        self.window.pixels(self.desc, |i, pixel| {
            let dx = self.dx.wrapping_add(pixel + from);
            // SAFETY: as above.
            let mut near = unsafe { load(dx, len) };
            for ((near, dy), &place) in near.iter_mut().zip(dy).zip(&place) {
                let more = *near + dy;
                *near = if place == i { more } else { *near };
            }
            // SAFETY: as above.
            unsafe { store(near, dx, len) };
        });
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
        let (image_x, image_y) = self.desc.image();
        for image in self.part.clone() {
            let (dy, dx) = (self.dy.wrapping_add(image * image_y), self.dx.wrapping_add(image * image_x));
            // SAFETY: one image of dx.
            unsafe { clear(self.desc, dx) };
            windows(self.desc, |window| {
                let stretch = SumGradientStretch { desc: self.desc, window, dy, dx };
                // SAFETY: the caller of `sum_gradient` vouches for whole images.
                unsafe { stretches(self.desc.channels as usize, &stretch) };
            });
        }
    }
}

struct SumGradientStretch<'a> {
    desc: &'a PoolDesc,
    window: Window,
    dy: *const f32,
    dx: *mut f32,
}

impl Stretch for SumGradientStretch<'_> {
    #[inline(always)]
    unsafe fn channels(&self, from: usize, len: usize) {
        // SAFETY: the point is inside y, the stretch inside its channels.
        let dy = unsafe { load(self.dy.add(self.window.at + from), len) };
        self.window.pixels(self.desc, |_, pixel| {
            let dx = self.dx.wrapping_add(pixel + from);
            // SAFETY: the pixel is inside the image.
            let mut near = unsafe { load(dx, len) };
            for (near, dy) in near.iter_mut().zip(dy) {
                *near += dy;
            }
            // SAFETY: as above.
            unsafe { store(near, dx, len) };
        });
    }
}
