//! The innermost loops of products: a tile of C in registers, and the copies that feed it.
//!
//! Each element of a tile is one chain of fused multiply-adds over k, begun at +0. The order of that chain
//! is k's order and nothing else, so all instruction sets and all tile shapes give the same bits.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;

use super::isa::Isa;

/// The longest chain over k that is summed in registers.
pub const BLOCK_MAX: usize = super::sums::LEAF;

/// Elements between rows of a left panel in [`Layout::Along`]. The odd cache line over [`BLOCK_MAX`] keeps
/// the rows in different sets of the first-level cache.
pub const PITCH: usize = BLOCK_MAX + 16;

/// Elements between steps of k in a left panel in [`Layout::Across`]; no tile has more rows.
pub const ROWS_MAX: usize = 16;

/// No tile has more columns, and every instruction set's number of columns divides this.
pub const COLUMNS_MAX: usize = 32;

/// How the left operand of a tile lies in its panel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Row after row, [`PITCH`] apart, each contiguous along k.
    Along,
    /// Step of k after step of k, [`ROWS_MAX`] apart, each contiguous over the rows.
    Across,
}

/// One tile's work: C\[rows, columns\] = (C +) A·B, then bias, then relu.
pub struct Tile {
    /// Steps of the chain; zero is allowed.
    pub k: usize,
    /// The left panel.
    pub a: *const f32,
    /// The right operand's first row; only the first `columns` elements of each row are read.
    pub b: *const f32,
    /// Elements between rows of the right operand.
    pub b_stride: usize,
    /// Where the tile's columns begin, before the offset of the row.
    pub c: *mut f32,
    /// For each row of the tile its offset from `c`, in elements.
    pub rows: *const isize,
    /// Columns of the tile: 1 up to the instruction set's `columns`.
    pub columns: usize,
    /// Whether the chain is added to what C holds, or replaces it.
    pub add: bool,
    /// Added after the chain: one per column, or one per row, or none when null.
    pub bias: *const f32,
    /// Whether `bias` goes with rows.
    pub bias_by_row: bool,
    /// Whether what is below zero becomes +0 at the very end (NaN and -0 stay).
    pub relu: bool,
}

/// A kernel for one number of rows, one width and one layout.
pub type TileKernel = unsafe fn(&Tile);

/// Runs to copy: run i is `len` elements from place `start + i · step`, to `to + i · to_stride`.
pub struct Runs {
    /// Place 0.
    pub from: *const f32,
    /// The first run's place.
    pub start: isize,
    /// Places from run to run.
    pub step: isize,
    /// Where the first run goes.
    pub to: *mut f32,
    /// Elements between runs there.
    pub to_stride: usize,
    /// Runs.
    pub count: usize,
    /// Elements of a run.
    pub len: usize,
    /// Elements that may be written from the beginning of a run, at least `len`: what lies behind a run may be
    /// overwritten with anything.
    pub room: usize,
}

impl Runs {
    /// Some of the runs.
    #[inline]
    pub fn part(&self, range: std::ops::Range<usize>) -> Runs {
        Runs {
            start: self.start + range.start as isize * self.step,
            to: self.to.wrapping_add(range.start * self.to_stride),
            count: range.len(),
            ..*self
        }
    }
}

/// Copies runs all of whose places are readable.
pub type CopyRuns = unsafe fn(&Runs);

/// Copies runs whose places from 0 up to the limit are readable; the others are zero.
pub type GatherRuns = unsafe fn(&Runs, isize);

/// Transposes: to\[j·to_stride + i\] = from\[i·from_stride + j\] for i < rows, j < columns:
/// (from, from_stride, to, to_stride, rows, columns).
pub type Transpose = unsafe fn(*const f32, isize, *mut f32, usize, usize, usize);

/// The kernels of one instruction set.
pub struct Micro {
    /// The instruction set.
    pub isa: Isa,
    /// Most rows of a tile.
    pub rows: usize,
    /// Most columns of a tile.
    pub columns: usize,
    /// Kernels by \[layout\]\[more than half of the columns\]\[rows - 1\].
    pub tiles: [[&'static [TileKernel]; 2]; 2],
    /// Copies runs.
    pub copy: CopyRuns,
    /// Copies runs that may reach outside.
    pub gather: GatherRuns,
    /// Transposes.
    pub transpose: Transpose,
}

impl Micro {
    /// The kernels for `isa`, which must be one of [`Isa::available`].
    pub fn of(isa: Isa) -> &'static Micro {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => &avx512::MICRO,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => &avx2::MICRO,
            #[cfg(not(target_arch = "x86_64"))]
            Isa::Avx512 | Isa::Avx2 => &portable::MICRO,
            Isa::Portable => &portable::MICRO,
        }
    }

    /// The kernel for a tile of `rows` × `columns` whose left panel lies as `layout` says.
    #[inline]
    pub fn tile(&self, layout: Layout, rows: usize, columns: usize) -> TileKernel {
        let layout = match layout {
            Layout::Along => 0,
            Layout::Across => 1,
        };
        self.tiles[layout][usize::from(columns * 2 > self.columns)][rows - 1]
    }
}

/// Copies runs with plain loops; inlined so that each instruction set compiles its own.
///
/// # Safety
/// All runs must be readable and writable, and must not overlap.
#[inline(always)]
unsafe fn copy_runs(runs: &Runs) {
    for i in 0..runs.count {
        // SAFETY: the caller vouches for run i of both sides.
        unsafe {
            let from = runs.from.offset(runs.start + i as isize * runs.step);
            copy_run(from, runs.to.add(i * runs.to_stride), runs.len);
        }
    }
}

/// Copies runs, with zeros for what is outside 0 to `limit`.
///
/// # Safety
/// What is inside must be readable, all runs writable, without overlap.
#[inline(always)]
unsafe fn gather_runs(runs: &Runs, limit: isize) {
    for i in 0..runs.count {
        let begin = runs.start + i as isize * runs.step;
        let inside = inside(begin, runs.len, limit);
        // SAFETY: the caller vouches for run i of `to`, and for what is inside of `from`.
        unsafe {
            let to = runs.to.add(i * runs.to_stride);
            for j in (0..inside.start).chain(inside.end..runs.len) {
                *to.add(j) = 0.0;
            }
            let from = runs.from.wrapping_offset(begin + inside.start as isize);
            copy_run(from, to.add(inside.start), inside.len());
        }
    }
}

/// Those of the `len` elements from place `begin` whose places are from 0 to `limit`, counted from `begin`.
#[inline(always)]
fn inside(begin: isize, len: usize, limit: isize) -> std::ops::Range<usize> {
    let lo = (-begin).clamp(0, len as isize);
    lo as usize..(limit - begin).clamp(lo, len as isize) as usize
}

/// Copies one run.
///
/// # Safety
/// It must be readable and writable, without overlap.
#[inline(always)]
unsafe fn copy_run(from: *const f32, to: *mut f32, len: usize) {
    // SAFETY: the caller's.
    unsafe {
        if len >= 32 {
            std::ptr::copy_nonoverlapping(from, to, len);
        } else {
            for j in 0..len {
                *to.add(j) = *from.add(j);
            }
        }
    }
}

/// Transposes with plain loops, in squares that stay in the first-level cache.
///
/// # Safety
/// All elements named must be readable and writable, and must not overlap.
#[inline(always)]
unsafe fn transpose(
    from: *const f32,
    from_stride: isize,
    to: *mut f32,
    to_stride: usize,
    rows: usize,
    columns: usize,
) {
    let mut j0 = 0;
    while j0 < columns {
        let width = (columns - j0).min(8);
        for i in 0..rows {
            for j in j0..j0 + width {
                // SAFETY: i < rows and j < columns, which the caller vouches for.
                unsafe { *to.add(j * to_stride + i) = *from.offset(i as isize * from_stride + j as isize) }
            }
        }
        j0 += width;
    }
}
