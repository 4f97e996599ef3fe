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

/// A place of a patch.
#[derive(Clone, Copy)]
struct Place {
    /// Its tap, by axis.
    tap: [usize; 2],
    channel: usize,
}

/// A point of the grid.
#[derive(Clone, Copy)]
pub(super) struct Point {
    image: usize,
    y: usize,
    x: usize,
}

impl Patches {
    /// Whether taps that are neighbours in a row are contiguous in memory.
    fn merged(&self) -> bool {
        (self.dilation[1] == 1 || self.kernel[1] == 1) && self.channels as isize == self.pixel
    }

    fn place(&self, q: usize) -> Place {
        let (tap, channel) = (q / self.channels, q % self.channels);
        Place { tap: [tap / self.kernel[1], tap % self.kernel[1]], channel }
    }

    /// The point with number `p`. Where there are no points it is of no meaning.
    pub fn point(&self, p: usize) -> Point {
        let [height, width] = self.grid.map(|size| size.max(1));
        let (row, x) = (p / width, p % width);
        Point { image: row / height, y: row % height, x }
    }

    /// Goes to the next point.
    #[inline(always)]
    pub fn advance(&self, point: &mut Point) {
        point.x += 1;
        if point.x == self.grid[1] {
            self.next_row(point);
        }
    }

    /// Goes to the first point of the next row.
    #[inline(always)]
    fn next_row(&self, point: &mut Point) {
        (point.x, point.y) = (0, point.y + 1);
        if point.y == self.grid[0] {
            (point.y, point.image) = (0, point.image + 1);
        }
    }

    /// Where the group's channels of the pixel that `tap` sees from `point` lie; none outside the image.
    #[inline(always)]
    pub fn pixel_at(&self, point: &Point, tap: [usize; 2]) -> Option<*const f32> {
        let [row, column] = [0, 1].map(|axis| {
            let at = [point.y, point.x][axis];
            at as isize * self.stride[axis] + tap[axis] as isize * self.dilation[axis] - self.low[axis]
        });
        let inside = row >= 0 && row < self.size[0] && column >= 0 && column < self.size[1];
        let pixel = (point.image as isize * self.size[0] + row) * self.size[1] + column;
        inside.then(|| self.base.wrapping_offset(pixel * self.pixel))
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
        if ps.is_empty() || qs.is_empty() {
            return;
        }
        // Found by division once; from there on by counting.
        let (first, mut point) = (self.place(qs.start), self.point(ps.start));
        let merged = self.merged();
        let mut p = 0;
        while p < ps.len() {
            let count = (self.grid[1] - point.x).min(ps.len() - p);
            let (mut q, mut place) = (0, first);
            while q < qs.len() {
                // Up to the end of the tap, or of the row of taps where they are contiguous.
                let taps = if merged { self.kernel[1] - place.tap[1] } else { 1 };
                let len = (taps * self.channels - place.channel).min(qs.len() - q);
                let to = to.wrapping_add(p * stride + q);
                // SAFETY: the caller's. Later places of a point are written later, over what is left behind.
                unsafe {
                    self.copy(micro, &point, count, &place, len, Target { to, stride, room: room - q })
                };
                q += len;
                place.channel = 0;
                place.tap[1] += taps;
                if place.tap[1] == self.kernel[1] {
                    place.tap = [place.tap[0] + 1, 0];
                }
            }
            p += count;
            self.next_row(&mut point);
        }
    }

    /// `len` places from `place` on, all in one row of the image, of `count` points of one row of the grid.
    #[inline]
    unsafe fn copy(
        &self,
        micro: &Micro,
        point: &Point,
        count: usize,
        place: &Place,
        len: usize,
        target: Target,
    ) {
        let at = |axis: usize, point: usize| {
            point as isize * self.stride[axis] + place.tap[axis] as isize * self.dilation[axis]
                - self.low[axis]
        };
        let (row, pitch) = (at(0, point.y), self.size[1] * self.pixel);
        let runs = Runs {
            from: self.base.wrapping_offset((point.image as isize * self.size[0] + row) * pitch),
            start: at(1, point.x) * self.pixel + place.channel as isize,
            step: self.stride[1] * self.pixel,
            to: target.to,
            to_stride: target.stride,
            count,
            len,
            room: target.room,
        };
        // Neighbouring pixels are contiguous, so what is outside a row of the image is before or after it.
        let limit = if row < 0 || row >= self.size[0] { 0 } else { pitch };
        // Runs that begin before the row, and those that end in it: few are neither.
        let (mut before, mut within) = (0, count);
        let mut begin = runs.start;
        while before < count && begin < 0 {
            before += 1;
            begin += runs.step;
        }
        let mut end = runs.start + (count as isize - 1) * runs.step + len as isize;
        while within > before && end > limit {
            within -= 1;
            end -= runs.step;
        }
        // SAFETY: places from 0 to `limit` are a row of the image; the caller vouches for `to`.
        unsafe {
            if before > 0 {
                (micro.gather)(&runs.part(0..before), limit);
            }
            if within > before {
                (micro.copy)(&runs.part(before..within));
            }
            if within < count {
                (micro.gather)(&runs.part(within..count), limit);
            }
        }
    }
}

/// Where places go: see [`Patches::gather`].
struct Target {
    to: *mut f32,
    stride: usize,
    room: usize,
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
