//! Slices picked by position, and added up by position.
//!
//! Tensors are seen as `[batch, before, rows, width]` and `[batch, before, picks, width]`; positions as
//! `[batch, picks]`. The sum of a row adds the slices in the order of their positions, in blocks of [`BLOCK`]
//! positions: each block from +0, and the blocks in order from +0. No split of the work changes a bit.
//!
//! A position outside is noted among the step's faults; it picks zeros, and adds nothing.

use std::ops::Range;

use super::element::{Element, Kind};
use crate::faults::{BadIndex, Faults};

/// Positions of a block of sums.
pub const BLOCK: usize = 256;

/// Axes of positions that a message can tell apart.
pub const AXES: usize = 8;

/// What is picked, from where, by what.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct RowsDesc {
    /// Indices that both tensors and positions share.
    pub batch: u64,
    /// Indices before the axis of rows that only the tensors have.
    pub before: u64,
    /// Length of the axis that positions count.
    pub rows: u64,
    /// Positions for each index of the batch.
    pub picks: u64,
    /// Elements of a slice.
    pub width: u64,
    /// The dtype of elements: a [`Kind`].
    pub element: u64,
    /// The dtype of positions: a [`Kind`].
    pub position: u64,
    /// Where the operator comes from; opaque.
    pub origin: u64,
    /// The number of the call in its program.
    pub order: u64,
    /// Number of axes of positions, at most [`AXES`].
    pub rank: u64,
    /// Sizes of the axes of positions, for messages; leading axes beyond [`AXES`] count as one.
    pub dims: [u64; AXES],
}

impl RowsDesc {
    /// Slices that `gather` writes: what threads share.
    pub fn picked(&self) -> u64 {
        self.batch * self.before * self.picks
    }

    /// Slices that `scatter_add` writes: what threads share.
    pub fn summed(&self) -> u64 {
        self.batch * self.before * self.rows
    }

    /// Bytes of scratch that `scatter_add` needs.
    pub fn scatter_scratch_bytes(&self) -> usize {
        (self.picks as usize + 1) * size_of::<u64>()
    }

    /// Notes that position `at` (of all, row-major) is outside.
    fn outside(&self, at: usize, found: i64, faults: &Faults) {
        let mut rest = at as u64;
        let mut index = vec![0; self.rank as usize];
        for (axis, place) in index.iter_mut().enumerate().rev() {
            let size = self.dims[axis].max(1);
            *place = if axis == 0 { rest } else { rest % size };
            rest /= size;
        }
        let fault = BadIndex { origin: self.origin as u32, at: index, found, size: self.rows };
        faults.note((self.order, at as u64), fault);
    }
}

/// The position at `at`.
///
/// # Safety
/// There must be so many, of the dtype that the descriptor names.
unsafe fn position(desc: &RowsDesc, positions: *const u8, at: usize) -> i64 {
    // SAFETY: the caller's.
    unsafe {
        match Kind::of(desc.position) {
            Kind::I64 => positions.cast::<i64>().add(at).read_unaligned(),
            Kind::I32 => i64::from(positions.cast::<i32>().add(at).read_unaligned()),
            Kind::U8 | Kind::Half | Kind::F32 | Kind::F64 => i64::from(*positions.add(at)),
        }
    }
}

/// Writes the slices `part` of what is picked.
///
/// # Safety
/// The tensors must be as large as the descriptor says; nobody else may touch the slices that are written.
pub unsafe fn gather(
    desc: &RowsDesc,
    x: *const u8,
    positions: *const u8,
    y: *mut u8,
    part: Range<usize>,
    faults: &Faults,
) {
    let bytes = desc.width as usize * Kind::of(desc.element).bytes();
    let (before, rows, picks) = (desc.before as usize, desc.rows as usize, desc.picks as usize);
    for slice in part {
        let (block, pick) = (slice / picks, slice % picks);
        let at = block / before * picks + pick;
        // SAFETY: `slice` is one of the result's, and a row is used only if it is one of the operand's.
        unsafe {
            let row = position(desc, positions, at);
            let to = y.add(slice * bytes);
            match usize::try_from(row).ok().filter(|row| *row < rows) {
                Some(row) => copy(x.add((block * rows + row) * bytes), to, bytes),
                None => {
                    desc.outside(at, row, faults);
                    to.write_bytes(0, bytes);
                }
            }
        }
    }
}

/// Copies one slice; single elements without a call.
///
/// # Safety
/// Both must have so many bytes, and not overlap.
#[inline]
unsafe fn copy(from: *const u8, to: *mut u8, bytes: usize) {
    // SAFETY: the caller's.
    unsafe {
        match bytes {
            4 => to.cast::<u32>().write_unaligned(from.cast::<u32>().read_unaligned()),
            8 => to.cast::<u64>().write_unaligned(from.cast::<u64>().read_unaligned()),
            _ => std::ptr::copy_nonoverlapping(from, to, bytes),
        }
    }
}

/// Writes the slices `part` of the sums.
///
/// # Safety
/// As for [`gather`]; `scratch` has [`RowsDesc::scatter_scratch_bytes`] and belongs to the caller alone.
pub unsafe fn scatter_add<T: Element>(
    desc: &RowsDesc,
    positions: *const u8,
    dy: *const T,
    x: *mut T,
    part: Range<usize>,
    scratch: *mut u8,
    faults: &Faults,
) {
    let (before, rows) = (desc.before as usize, desc.rows as usize);
    let (picks, width) = (desc.picks as usize, desc.width as usize);
    if part.is_empty() {
        return;
    }
    let scratch = scratch.wrapping_add(scratch.align_offset(align_of::<u64>())).cast::<u64>();
    let mut sorted: (usize, Range<usize>, usize) = (usize::MAX, 0..0, 0);
    for block in part.start / rows..=(part.end - 1) / rows {
        // The rows of this block that are ours.
        let own =
            part.start.max(block * rows) - block * rows..part.end.min((block + 1) * rows) - block * rows;
        let batch = block / before;
        if (sorted.0, &sorted.1) != (batch, &own) {
            // SAFETY: there is room for one word a position, and the operands are the caller's promise.
            let count = unsafe { order(desc, positions, batch, &own, scratch, faults) };
            sorted = (batch, own.clone(), count);
        }
        // SAFETY: `count` words were written; rows and positions are those of the tensors.
        unsafe {
            let ordered = std::slice::from_raw_parts(scratch, sorted.2);
            let zeros = x.add((block * rows + own.start) * width);
            zeros.write_bytes(0, own.len() * width);
            let from = dy.add(block * picks * width);
            for group in ordered.chunk_by(|a, b| a >> 32 == b >> 32) {
                let row = (group[0] >> 32) as usize;
                sum_slices(from, width, group, x.add((block * rows + row) * width));
            }
        }
    }
}

/// Writes (row, position) of all positions of an index of the batch that name a row of `own` to `to`, sorted; returns
/// how many.
///
/// # Safety
/// `to` must have room for a word a position.
unsafe fn order(
    desc: &RowsDesc,
    positions: *const u8,
    batch: usize,
    own: &Range<usize>,
    to: *mut u64,
    faults: &Faults,
) -> usize {
    let picks = desc.picks as usize;
    let mut count = 0;
    for pick in 0..picks {
        let at = batch * picks + pick;
        // SAFETY: `at` is one of the positions, `count` below their number.
        unsafe {
            let row = position(desc, positions, at);
            match usize::try_from(row).ok().filter(|row| *row < desc.rows as usize) {
                Some(row) if own.contains(&row) => {
                    to.add(count).write((row as u64) << 32 | pick as u64);
                    count += 1;
                }
                Some(_) => {}
                None => desc.outside(at, row, faults),
            }
        }
    }
    // SAFETY: so many were written. No two are alike, so there is one order.
    unsafe { std::slice::from_raw_parts_mut(to, count) }.sort_unstable();
    count
}

/// Elements of a slice that are summed at once.
const STRIP: usize = 64;

/// The sum of the slices at the positions of `group`, which are of one row, to `to`.
///
/// # Safety
/// The slices must be readable, and `to` writable.
unsafe fn sum_slices<T: Element>(from: *const T, width: usize, group: &[u64], to: *mut T) {
    let pick = |entry: &u64| (*entry & 0xffff_ffff) as usize;
    for start in (0..width).step_by(STRIP) {
        let count = STRIP.min(width - start);
        let mut total = [T::ZERO; STRIP];
        for block in group.chunk_by(|a, b| pick(a) / BLOCK == pick(b) / BLOCK) {
            let mut sum = [T::ZERO; STRIP];
            for entry in block {
                // SAFETY: the caller's.
                let slice =
                    unsafe { std::slice::from_raw_parts(from.add(pick(entry) * width + start), count) };
                sum.iter_mut().zip(slice).for_each(|(sum, x)| *sum = sum.plus(*x));
            }
            total.iter_mut().zip(&sum).for_each(|(total, sum)| *total = total.plus(*sum));
        }
        // SAFETY: the caller's.
        unsafe { std::ptr::copy_nonoverlapping(total.as_ptr(), to.add(start), count) };
    }
}
