//! Patches of images as the left operand of a product, without storing them: im2col, a panel at a time.
//!
//! A point (image, y, x) of a grid names a patch: for each tap (i, j) of the kernel the channels of the pixel
//! (y · stride + i · dilation - low, x · stride + j · dilation - low), or zeros where that is outside.
//! Point p and place q of its patch (taps, then channels) are a matrix: p down and q across in the forward
//! pass and the input's gradient, the other way round in the weights' gradient.

use super::contract::{ACROSS, Left, Right};
use super::micro::{BLOCK_MAX, Layout, Micro, PITCH, ROWS_MAX, Runs};
use std::ops::Range;

/// Points whose places are copied together for a group of tiles, before the next points.
const NEAR: usize = 64;

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

/// Neighbouring points of one row of the grid.
struct Line {
    image: usize,
    /// Row of the grid.
    y: usize,
    /// Columns of the grid.
    xs: Range<usize>,
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

    /// Writes the places `qs` of the points `ps`, `stride` elements between points. What lies behind the last
    /// place, up to `room` elements from the first, may be overwritten with anything.
    ///
    /// # Safety
    /// The images must be readable and `to` writable there; `room` is at most `stride`.
    unsafe fn gather(
        &self,
        micro: &Micro,
        ps: Range<usize>,
        qs: Range<usize>,
        to: *mut f32,
        stride: usize,
        room: usize,
    ) {
        let mut p = ps.start;
        while p < ps.end {
            let line = self.line(p, ps.end);
            let mut q = qs.start;
            while q < qs.end {
                let segment = self.segment(q, qs.end);
                let to = to.wrapping_add((p - ps.start) * stride + q - qs.start);
                // SAFETY: the caller's. Later segments of a point are written later, over what is left behind.
                unsafe { self.copy(micro, &line, &segment, to, stride, room - (q - qs.start)) };
                q = segment.places.end;
            }
            p += line.xs.len();
        }
    }

    /// The points from `p` on, but before `end`, that share a row of the grid.
    fn line(&self, p: usize, end: usize) -> Line {
        let (row, x) = (p / self.grid[1], p % self.grid[1]);
        let (image, y) = (row / self.grid[0], row % self.grid[0]);
        Line { image, y, xs: x..self.grid[1].min(x + end - p) }
    }

    /// One segment of the points of a line.
    #[inline]
    unsafe fn copy(
        &self,
        micro: &Micro,
        line: &Line,
        segment: &Segment,
        to: *mut f32,
        stride: usize,
        room: usize,
    ) {
        let row = line.y as isize * self.stride[0] + segment.y;
        let pitch = self.size[1] * self.pixel;
        let runs = Runs {
            from: self.base.wrapping_offset((line.image as isize * self.size[0] + row) * pitch),
            start: (line.xs.start as isize * self.stride[1] + segment.x) * self.pixel
                + segment.channel as isize,
            step: self.stride[1] * self.pixel,
            to,
            to_stride: stride,
            count: line.xs.len(),
            len: segment.places.len(),
            room,
        };
        // Neighbouring pixels are contiguous, so what is outside a row of the image is before or after it.
        let limit = if row < 0 || row >= self.size[0] { 0 } else { pitch };
        // Runs that begin before the row, and those that end in it.
        let before = (-runs.start + runs.step - 1).max(0) / runs.step;
        let within = (limit - runs.len as isize - runs.start + runs.step).max(0) / runs.step;
        let before = (before as usize).min(runs.count);
        let within = (within as usize).clamp(before, runs.count);
        // SAFETY: places from 0 to `limit` are a row of the image; the caller vouches for `to`.
        unsafe {
            if before > 0 {
                (micro.gather)(&runs.part(0..before), limit);
            }
            if within > before {
                (micro.copy)(&runs.part(before..within));
            }
            if within < runs.count {
                (micro.gather)(&runs.part(within..runs.count), limit);
            }
        }
    }
}

/// Points down, places across; as a right operand, which is k × columns, the places are k.
pub(super) struct ByPoint<'a>(pub &'a Patches);

impl Left for ByPoint<'_> {
    fn layout(&self) -> Layout {
        Layout::Along
    }

    unsafe fn fill(&self, micro: &Micro, tiles: &[Range<usize>], ks: Range<usize>, to: *mut f32) {
        let [first, .., last] = tiles else {
            // SAFETY: the caller's; there is at least one tile.
            return unsafe { self.0.gather(micro, tiles[0].clone(), ks, to, PITCH, PITCH) };
        };
        // SAFETY: the caller's.
        unsafe { self.0.gather(micro, first.start..last.end, ks, to, PITCH, PITCH) }
    }
}

impl Right for ByPoint<'_> {
    unsafe fn fill(
        &self,
        micro: &Micro,
        ks: Range<usize>,
        columns: Range<usize>,
        to: *mut f32,
        stride: usize,
    ) {
        let mut aside = [0f32; ROWS_MAX * PITCH];
        for k in ks.clone().step_by(BLOCK_MAX) {
            let places = k..ks.end.min(k + BLOCK_MAX);
            for p in columns.clone().step_by(ROWS_MAX) {
                let points = p..columns.end.min(p + ROWS_MAX);
                let to = to.wrapping_add((k - ks.start) * stride + p - columns.start);
                // SAFETY: the caller's; what is aside holds a row of places for each point.
                unsafe {
                    let aside = aside.as_mut_ptr();
                    self.0.gather(micro, points.clone(), places.clone(), aside, PITCH, PITCH);
                    (micro.transpose)(aside, PITCH as isize, to, stride, points.len(), places.len());
                }
            }
        }
    }

    fn direct(&self, _: usize, _: usize) -> Option<(*const f32, usize)> {
        None
    }
}

/// Places down, points across; as a right operand, which is k × columns, the points are k.
pub(super) struct ByPlace<'a>(pub &'a Patches);

impl Left for ByPlace<'_> {
    fn layout(&self) -> Layout {
        Layout::Across
    }

    unsafe fn fill(&self, micro: &Micro, tiles: &[Range<usize>], ks: Range<usize>, to: *mut f32) {
        // A few points at a time for all tiles, so that each cache line is fetched once.
        for from in ks.clone().step_by(NEAR) {
            let points = from..ks.end.min(from + NEAR);
            for (t, rows) in tiles.iter().enumerate() {
                let to = to.wrapping_add(t * ACROSS + (from - ks.start) * ROWS_MAX);
                // SAFETY: the caller's.
                unsafe { self.0.gather(micro, points.clone(), rows.clone(), to, ROWS_MAX, ROWS_MAX) }
            }
        }
    }
}

impl Right for ByPlace<'_> {
    unsafe fn fill(
        &self,
        micro: &Micro,
        ks: Range<usize>,
        columns: Range<usize>,
        to: *mut f32,
        stride: usize,
    ) {
        // SAFETY: the caller's.
        unsafe { self.0.gather(micro, ks, columns, to, stride, stride) }
    }

    fn direct(&self, _: usize, _: usize) -> Option<(*const f32, usize)> {
        None
    }
}
