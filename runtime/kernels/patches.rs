//! Patches of images as the left operand of a product, without storing them: im2col, a panel at a time.
//!
//! A point (image, y, x) of a grid names a patch: for each tap (i, j) of the kernel the channels of the pixel
//! (y · stride + i · dilation - low, x · stride + j · dilation - low), or zeros where that is outside.
//! Point p and place q of its patch (taps, then channels) are a matrix: p down and q across in the forward
//! pass and the input's gradient, the other way round in the weights' gradient.

use super::contract::Left;
use super::micro::{BLOCK_MAX, Layout, Micro, PITCH, ROWS_MAX};
use std::ops::Range;

/// What pixels outside an image are copied from.
static ZEROS: [f32; BLOCK_MAX] = [0.0; BLOCK_MAX];

/// The geometry of all patches of one group of channels.
#[derive(Clone, Debug)]
pub(super) struct Patches {
    /// The first image's first pixel's first channel of the group.
    pub base: *const f32,
    /// Height and width of an image.
    pub size: [isize; 2],
    /// Channels of the group.
    pub channels: usize,
    /// Elements between pixels: the channels of all groups.
    pub pixel: isize,
    /// Taps by axis.
    pub kernel: [usize; 2],
    /// Pixels between points of the grid, by axis.
    pub stride: [isize; 2],
    /// Pixels between taps, by axis.
    pub dilation: [isize; 2],
    /// Pixels by which the first tap of the first point lies before the image, by axis.
    pub low: [isize; 2],
    /// Points per image, by axis.
    pub grid: [usize; 2],
}

/// Places of a patch that lie in one row of the image and, for neighbouring taps, are contiguous there.
struct Segment {
    /// Where the places lie in the patch.
    places: Range<usize>,
    /// Row of the image, less that of the point.
    y: isize,
    /// Column of the first pixel, less that of the point.
    x: isize,
    /// First channel in the first pixel.
    channel: usize,
}

impl Patches {
    /// Places of a patch.
    pub fn places(&self) -> usize {
        self.kernel[0] * self.kernel[1] * self.channels
    }

    /// Whether taps that are neighbours in a row are contiguous in memory.
    fn merged(&self) -> bool {
        (self.dilation[1] == 1 || self.kernel[1] == 1) && self.channels as isize == self.pixel
    }

    /// The segment that begins at place `from`, cut off at `end`.
    fn segment(&self, from: usize, end: usize) -> Segment {
        let (tap, channel) = (from / self.channels, from % self.channels);
        let (i, j) = (tap / self.kernel[1], tap % self.kernel[1]);
        let last = if self.merged() { (i + 1) * self.kernel[1] } else { tap + 1 };
        Segment {
            places: from..end.min(last * self.channels),
            y: i as isize * self.dilation[0] - self.low[0],
            x: j as isize * self.dilation[1] - self.low[1],
            channel,
        }
    }

    /// Writes the places `qs` of the points `ps`, `stride` elements between points.
    ///
    /// # Safety
    /// The images must be readable and `to` writable there; at most [`BLOCK_MAX`] places.
    unsafe fn gather(&self, micro: &Micro, ps: Range<usize>, qs: Range<usize>, to: *mut f32, stride: usize) {
        let mut p = ps.start;
        while p < ps.end {
            // The points of one row of the grid.
            let (line, x) = (p / self.grid[1], p % self.grid[1]);
            let xs = x..self.grid[1].min(x + ps.end - p);
            let (image, y) = (line / self.grid[0], line % self.grid[0]);
            let mut q = qs.start;
            while q < qs.end {
                let segment = self.segment(q, qs.end);
                let to = to.wrapping_add((p - ps.start) * stride + q - qs.start);
                // SAFETY: the caller's.
                unsafe { self.line(micro, image, y, xs.clone(), &segment, to, stride) };
                q = segment.places.end;
            }
            p += xs.len();
        }
    }

    /// One segment of the points (`y`, `xs`) of one image.
    #[expect(
        clippy::too_many_arguments,
        reason = "a place in the grid, one in the patch, and one to write to"
    )]
    unsafe fn line(
        &self,
        micro: &Micro,
        image: usize,
        y: usize,
        xs: Range<usize>,
        segment: &Segment,
        to: *mut f32,
        stride: usize,
    ) {
        let len = segment.places.len();
        let zero = |xs: Range<usize>, to: *mut f32| {
            // SAFETY: `len` is at most BLOCK_MAX; the caller vouches for `to`.
            unsafe { (micro.copy)(ZEROS.as_ptr(), 0, to, stride, xs.len(), len) }
        };
        let row = y as isize * self.stride[0] + segment.y;
        if row < 0 || row >= self.size[0] {
            return zero(xs, to);
        }
        let pitch = self.size[1] * self.pixel;
        let base = self.base.wrapping_offset((image as isize * self.size[0] + row) * pitch);
        let pixel = |x: usize| x as isize * self.stride[1] + segment.x;
        // Pixels of the segment: 0 to `span`, counted from its first.
        let span = ((segment.channel + len - 1) / self.channels) as isize;
        let inner = self.inner(&xs, segment.x, span);
        for x in (xs.start..inner.start).chain(inner.end..xs.end) {
            let to = to.wrapping_add((x - xs.start) * stride);
            // SAFETY: the caller's.
            unsafe { self.clipped(base, pixel(x), segment.channel, len, to) };
        }
        if !inner.is_empty() {
            let from = base.wrapping_offset(pixel(inner.start) * self.pixel).wrapping_add(segment.channel);
            let to = to.wrapping_add((inner.start - xs.start) * stride);
            // SAFETY: every pixel from 0 to `span` of these points is inside the image.
            unsafe { (micro.copy)(from, self.stride[1] * self.pixel, to, stride, inner.len(), len) };
        }
    }

    /// Those of the points `xs` whose pixels from `offset` to `offset + span` are all inside the image.
    fn inner(&self, xs: &Range<usize>, offset: isize, span: isize) -> Range<usize> {
        let ceil = |a: isize| a.div_euclid(self.stride[1]) + isize::from(a.rem_euclid(self.stride[1]) != 0);
        let clamp = |x: isize| x.clamp(xs.start as isize, xs.end as isize) as usize;
        let start = clamp(ceil(-offset));
        start..clamp(ceil(self.size[1] - span - offset)).max(start)
    }

    /// One segment of one point, some of whose pixels may be outside.
    unsafe fn clipped(&self, base: *const f32, x: isize, channel: usize, len: usize, to: *mut f32) {
        for i in 0..len {
            let (ahead, c) = ((channel + i) / self.channels, (channel + i) % self.channels);
            let x = x + ahead as isize;
            let inside = x >= 0 && x < self.size[1];
            // SAFETY: the pixel is inside the image, or not read.
            unsafe {
                *to.add(i) = if inside { *base.offset(x * self.pixel + c as isize) } else { 0.0 };
            }
        }
    }
}

/// Points down, places across.
pub(super) struct ByPoint<'a>(pub &'a Patches);

impl Left for ByPoint<'_> {
    fn layout(&self) -> Layout {
        Layout::Along
    }

    unsafe fn fill(&self, micro: &Micro, rows: Range<usize>, ks: Range<usize>, to: *mut f32) {
        // SAFETY: the caller's.
        unsafe { self.0.gather(micro, rows, ks, to, PITCH) }
    }
}

/// Places down, points across.
pub(super) struct ByPlace<'a>(pub &'a Patches);

impl Left for ByPlace<'_> {
    fn layout(&self) -> Layout {
        Layout::Across
    }

    unsafe fn fill(&self, micro: &Micro, rows: Range<usize>, ks: Range<usize>, to: *mut f32) {
        // SAFETY: the caller's.
        unsafe { self.0.gather(micro, ks, rows, to, ROWS_MAX) }
    }
}
