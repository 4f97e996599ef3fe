//! The loops around the tiles: cuts a contraction into panels that fit the caches.
//!
//! A contraction is C\[rows, columns\] = (C +) left\[rows, k\] · right\[k, columns\]. Its k is cut into blocks by
//! [`block_of`], a function of k alone; each block is one chain of fused multiply-adds from +0, and the blocks
//! are added to C in order. Rows and columns may be cut anywhere without changing a bit.

use super::micro::{BLOCK_MAX, COLUMNS_MAX, Layout, Micro, PITCH, ROWS_MAX, Tile};
use std::ops::Range;

/// Elements of the packed right operand that are kept at once (2 MiB: found by measuring).
const RIGHT_MAX: usize = 512 * 1024;

/// Elements of C, up to which it counts as small.
const SMALL: usize = 512 * 1024;

/// Elements of the packed right operand that stay in the second-level cache.
const NEAR_MAX: usize = 128 * 1024;

/// Steps of k that are packed at once, where there are so many.
const STEPS_MAX: usize = 2048;

/// The same for few rows.
const STEPS_FEW: usize = 1024;

/// Rows that go through all of the packed k before the next rows begin, so that their part of C stays near.
const ROWS_NEAR: usize = 224;

/// With no more tiles of rows than this, the right operand is read where it lies.
const DIRECT_TILES: usize = 3;

/// Tiles whose left panels may be filled together.
pub(super) const GROUP: usize = 4;

/// Elements from tile to tile in panels of [`Layout::Across`].
pub(super) const ACROSS: usize = BLOCK_MAX * ROWS_MAX;

/// Elements of a group's left panels.
const PANEL: usize = GROUP * ROWS_MAX * PITCH;

/// Up to so many steps the rows of a group, one after the other, stay in the first-level cache.
const SHORT: usize = 64;

/// Alignment of the panels in bytes: a cache line.
const ALIGN: usize = 64;

/// The left operand: something that can fill a panel.
pub(super) trait Left {
    /// How [`Left::fill`] lays the panel out.
    fn layout(&self) -> Layout;

    /// Writes the rows of up to [`GROUP`] tiles that follow each other, for the steps `ks` (at most
    /// [`BLOCK_MAX`]), to `to`: in [`Layout::Along`] row after row, in [`Layout::Across`] tile after tile,
    /// [`ACROSS`] elements apart.
    ///
    /// # Safety
    /// The operand must be readable there, and `to` have room for [`PANEL`] elements.
    unsafe fn fill(&self, micro: &Micro, tiles: &[Range<usize>], ks: Range<usize>, to: *mut f32);
}

/// The right operand.
pub(super) trait Right {
    /// Writes the steps `ks` of `columns` to `to`, `stride` elements between steps.
    ///
    /// # Safety
    /// The operand must be readable there, and `to` have room.
    unsafe fn fill(
        &self,
        micro: &Micro,
        ks: Range<usize>,
        columns: Range<usize>,
        to: *mut f32,
        stride: usize,
    );

    /// Where element (`k`, `column`) lies and how far the next step of k is, if columns are contiguous and
    /// steps evenly spaced from there to the end of the operand.
    fn direct(&self, k: usize, column: usize) -> Option<(*const f32, usize)>;
}

/// Where the rows of C begin.
#[derive(Clone, Copy)]
pub(super) enum RowMap {
    /// Evenly spaced, in elements.
    Even(isize),
    /// Rows are the points of images, last axis fastest.
    Grid {
        /// Points per image, by axis.
        size: [usize; 2],
        /// Elements between images.
        image: isize,
        /// Elements between points, by axis.
        step: [isize; 2],
    },
}

impl RowMap {
    /// The offset of `row` in elements.
    #[inline]
    fn offset(&self, row: usize) -> isize {
        match *self {
            RowMap::Even(step) => row as isize * step,
            RowMap::Grid { size, image, step } => {
                let (rest, x) = (row / size[1], row % size[1]);
                let (i, y) = (rest / size[0], rest % size[0]);
                i as isize * image + y as isize * step[0] + x as isize * step[1]
            }
        }
    }
}

/// C and what happens to its elements after the sum.
pub(super) struct Output {
    /// Element (0, 0).
    pub c: *mut f32,
    /// Where rows begin.
    pub rows: RowMap,
    /// Elements between columns.
    pub column: isize,
    /// Whether the sum is added to what C holds.
    pub add: bool,
    /// One per column, or per row, or null.
    pub bias: *const f32,
    /// Whether `bias` goes with rows.
    pub bias_by_row: bool,
    /// Whether what is below zero becomes zero.
    pub relu: bool,
}

impl Output {
    /// Where `row` begins.
    #[inline]
    pub fn at(&self, row: usize) -> *mut f32 {
        self.c.wrapping_offset(self.rows.offset(row))
    }

    /// C transposed; its rows, columns from now on, are `row` elements apart.
    pub fn turned(self, row: isize) -> Output {
        Output { rows: RowMap::Even(self.column), column: row, bias_by_row: !self.bias_by_row, ..self }
    }
}

/// Which part of the contraction to compute.
#[derive(Clone)]
pub(super) struct Extent {
    /// Rows of C.
    pub rows: Range<usize>,
    /// Columns of C.
    pub columns: Range<usize>,
    /// Steps of the whole sum.
    pub k: usize,
    /// Steps of a block; see [`block_of`].
    pub block: usize,
}

impl Extent {
    /// The same part of the transposed contraction.
    pub fn turned(self) -> Extent {
        Extent { rows: self.columns, columns: self.rows, ..self }
    }
}

/// The length of the chains that a sum of `k` steps is cut into: `wanted` if it is not zero, but at most
/// [`BLOCK_MAX`]; else equal parts, as few as that limit allows. The last chain may be shorter.
pub(super) fn block_of(k: usize, wanted: usize) -> usize {
    if wanted != 0 {
        return wanted.min(BLOCK_MAX);
    }
    k.div_ceil(k.div_ceil(BLOCK_MAX).max(1)).max(1)
}

/// Steps and columns of the right operand that are packed at once.
///
/// With few rows the packing is used too little to be worth fetching from afar. Where C is small it is gone
/// through once for every packing, which then is as small as stays in the second-level cache; where C is large,
/// as much of k as possible is packed, and C is gone through once.
fn packed_extent(k: usize, rows: usize, columns: usize, block: usize) -> (usize, usize) {
    let columns = columns.next_multiple_of(COLUMNS_MAX);
    let (steps, elements) = if rows <= ROWS_NEAR {
        (STEPS_FEW, NEAR_MAX)
    } else if rows * columns <= SMALL {
        (NEAR_MAX / columns, RIGHT_MAX)
    } else {
        (STEPS_MAX, RIGHT_MAX)
    };
    let steps = k.div_ceil(block).clamp(1, (steps / block).max(1)) * block;
    (steps, columns.min(elements / steps / COLUMNS_MAX * COLUMNS_MAX))
}

/// Bytes of scratch that [`contract`] needs for any part of k steps and `columns` columns.
pub(super) fn scratch_bytes(k: usize, columns: usize, block: usize) -> usize {
    let all = k.next_multiple_of(block).max(block) * columns.next_multiple_of(COLUMNS_MAX);
    (PANEL + ROWS_MAX * COLUMNS_MAX + all.min(RIGHT_MAX)) * size_of::<f32>() + ALIGN
}

/// Computes a part of a contraction.
///
/// # Safety
/// The operands must be readable and C writable over the extent; C overlaps neither; `scratch` has
/// [`scratch_bytes`] bytes and nobody else uses it; `micro` belongs to this processor.
pub(super) unsafe fn contract<L: Left, R: Right>(
    micro: &Micro,
    left: &L,
    right: &R,
    out: &Output,
    extent: &Extent,
    scratch: *mut u8,
) {
    let Extent { rows, columns, k, block } = extent;
    if rows.is_empty() || columns.is_empty() {
        return;
    }
    let (steps, width) = packed_extent(*k, rows.len(), columns.len(), *block);
    let scratch = scratch.wrapping_add(scratch.align_offset(ALIGN)).cast::<f32>();
    let panel = scratch.wrapping_add(ROWS_MAX * COLUMNS_MAX);
    let packed = panel.wrapping_add(PANEL);
    let work = Work { micro, left, right, out, columns: 0..0, k: *k, block: *block, spare: scratch, panel };
    let in_place = rows.len() <= DIRECT_TILES * micro.rows && right.direct(0, columns.start).is_some();
    for from in columns.clone().step_by(width) {
        let work = Work { columns: from..columns.end.min(from + width), ..work };
        // At least one round, so that an empty sum is written too.
        for first in (0..(*k).max(1)).step_by(steps) {
            let ks = first..(first + steps).min(*k);
            // SAFETY: the caller's; `packed` has room for steps × width elements.
            unsafe {
                let packed = if in_place {
                    None
                } else {
                    work.pack(ks.clone(), packed);
                    Some(packed.cast_const())
                };
                for near in rows.clone().step_by(ROWS_NEAR) {
                    work.rows(near..rows.end.min(near + ROWS_NEAR), ks.clone(), packed);
                }
            }
        }
    }
}

/// What the inner loops share.
struct Work<'a, L, R> {
    micro: &'a Micro,
    left: &'a L,
    right: &'a R,
    out: &'a Output,
    /// The columns in work.
    columns: Range<usize>,
    k: usize,
    block: usize,
    /// Room for one tile, for a C whose columns are not contiguous.
    spare: *mut f32,
    /// Room for a left panel.
    panel: *mut f32,
}

impl<L: Left, R: Right> Work<'_, L, R> {
    /// Packs the steps `ks` of the columns in work, panel by panel.
    unsafe fn pack(&self, ks: Range<usize>, to: *mut f32) {
        let wide = self.micro.columns;
        for (i, from) in self.columns.clone().step_by(wide).enumerate() {
            let columns = from..self.columns.end.min(from + wide);
            // SAFETY: the caller's.
            unsafe {
                self.right.fill(self.micro, ks.clone(), columns, to.add(i * ks.len() * wide), wide);
            }
        }
    }

    /// The steps `ks` of some rows, whose part of C stays in the second-level cache.
    unsafe fn rows(&self, rows: Range<usize>, ks: Range<usize>, packed: Option<*const f32>) {
        let tiles = rows.len().div_ceil(self.micro.rows);
        let cut = |t: usize| rows.start + rows.len() * t / tiles;
        let mut first = ks.start;
        loop {
            let steps = first..(first + self.block).min(ks.end);
            // Short rows are filled together to save calls, rows that lie across to use whole cache lines.
            let together = match self.left.layout() {
                Layout::Along if steps.len() > SHORT => 1,
                Layout::Along | Layout::Across => GROUP,
            };
            for t in (0..tiles).step_by(together) {
                let group: [_; GROUP] = std::array::from_fn(|i| cut(t + i)..cut(t + i + 1));
                // SAFETY: the caller's.
                unsafe { self.group(&group[..together.min(tiles - t)], steps.clone(), &ks, packed) }
            }
            first = steps.end;
            if first >= ks.end {
                return;
            }
        }
    }

    /// One block of k for a group of tiles and all columns in work.
    unsafe fn group(
        &self,
        tiles: &[Range<usize>],
        steps: Range<usize>,
        ks: &Range<usize>,
        packed: Option<*const f32>,
    ) {
        // SAFETY: the caller's; a tile has no more rows and a block no more steps than a panel holds.
        unsafe { self.left.fill(self.micro, tiles, steps.clone(), self.panel) };
        for (t, rows) in tiles.iter().enumerate() {
            let panel = match self.left.layout() {
                Layout::Along => self.panel.wrapping_add((rows.start - tiles[0].start) * PITCH),
                Layout::Across => self.panel.wrapping_add(t * ACROSS),
            };
            // SAFETY: the caller's.
            unsafe { self.tile(rows, &steps, ks, panel, packed) };
        }
    }

    /// One block of k for one tile's rows and all columns in work.
    unsafe fn tile(
        &self,
        rows: &Range<usize>,
        steps: &Range<usize>,
        ks: &Range<usize>,
        panel: *const f32,
        packed: Option<*const f32>,
    ) {
        let Work { micro, out, .. } = self;
        let mut offsets = [0isize; ROWS_MAX];
        for (offset, row) in offsets.iter_mut().zip(rows.clone()) {
            *offset = out.rows.offset(row);
        }
        let last = steps.end == self.k;
        let layout = self.left.layout();
        for (i, from) in self.columns.clone().step_by(micro.columns).enumerate() {
            let columns = from..self.columns.end.min(from + micro.columns);
            let (b, b_stride) = match packed {
                Some(packed) => (
                    packed.wrapping_add((i * ks.len() + steps.start - ks.start) * micro.columns),
                    micro.columns,
                ),
                None => self.right.direct(steps.start, from).expect("asked before the loops began"),
            };
            let bias = if last && !out.bias.is_null() {
                out.bias.wrapping_add(if out.bias_by_row { rows.start } else { from })
            } else {
                std::ptr::null()
            };
            let tile = Tile {
                k: steps.len(),
                a: panel,
                b,
                b_stride,
                c: out.c.wrapping_offset(from as isize * out.column),
                rows: offsets.as_ptr(),
                columns: columns.len(),
                add: out.add || steps.start > 0,
                bias,
                bias_by_row: out.bias_by_row,
                relu: last && out.relu,
            };
            let kernel = micro.tile(layout, rows.len(), columns.len());
            // SAFETY: the caller's.
            unsafe {
                if out.column == 1 || columns.len() == 1 {
                    kernel(&tile);
                } else {
                    self.scattered(&tile, out.column, rows.len(), kernel);
                }
            }
        }
    }

    /// A tile of a C whose columns are `column` elements apart, by way of the spare room.
    unsafe fn scattered(&self, tile: &Tile, column: isize, rows: usize, kernel: unsafe fn(&Tile)) {
        let near: [isize; ROWS_MAX] = std::array::from_fn(|r| (r * COLUMNS_MAX) as isize);
        // SAFETY: rows and columns of the tile; the spare room holds a whole tile.
        unsafe {
            let far = |r: usize, j: usize| tile.c.offset(*tile.rows.add(r) + j as isize * column);
            let spare = |r: usize, j: usize| self.spare.add(r * COLUMNS_MAX + j);
            if tile.add {
                for r in 0..rows {
                    for j in 0..tile.columns {
                        *spare(r, j) = *far(r, j);
                    }
                }
            }
            kernel(&Tile { c: self.spare, rows: near.as_ptr(), ..*tile });
            for r in 0..rows {
                for j in 0..tile.columns {
                    *far(r, j) = *spare(r, j);
                }
            }
        }
    }
}
