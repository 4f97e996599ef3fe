//! The loops around the tiles: cuts a contraction into panels that fit the caches.
//!
//! A contraction is C\[rows, columns\] = left\[rows, k\] · right\[k, columns\]. Its k is summed in the order of
//! [`sums`]. Rows and columns may be cut anywhere without changing a bit.
//!
//! What waits for its other half lies in C, if nothing to its left waits, and else in scratch: level 1, 2, ….

use super::micro::{BLOCK_MAX, COLUMNS_MAX, Layout, Micro, PITCH, ROWS_MAX, Tile};
use super::sums::{self, LEAF, Leaf};
use super::wide::{self, Job};
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

/// Rows that go through all of k before the next rows begin, where k is packed in several rounds: it bounds the sums
/// that wait.
const ROWS_FAR: usize = 2048;

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

/// Which part of the contraction to compute, and how its sums are made.
#[derive(Clone)]
pub(super) struct Extent<'a> {
    /// Rows of C.
    pub rows: Range<usize>,
    /// Columns of C.
    pub columns: Range<usize>,
    /// The chains of each sum.
    pub leaves: &'a [Leaf],
}

impl Extent<'_> {
    /// The same part of the transposed contraction.
    pub fn turned(self) -> Self {
        Extent { rows: self.columns, columns: self.rows, ..self }
    }

    /// Steps of the whole sum.
    pub fn k(&self) -> usize {
        self.leaves.last().map_or(0, |leaf| leaf.end)
    }
}

/// Steps and columns of the right operand that are packed at once.
///
/// With few rows the packing is used too little to be worth fetching from afar. Where C is small it is gone
/// through once for every packing, which then is as small as stays in the second-level cache; where C is large,
/// as much of k as possible is packed, and C is gone through once.
fn packed_extent(k: usize, rows: usize, columns: usize) -> (usize, usize) {
    let columns = columns.next_multiple_of(COLUMNS_MAX);
    let (steps, elements) = if rows <= ROWS_NEAR {
        (STEPS_FEW, NEAR_MAX)
    } else if rows * columns <= SMALL {
        (NEAR_MAX / columns, RIGHT_MAX)
    } else {
        (STEPS_MAX, RIGHT_MAX)
    };
    let steps = k.clamp(1, steps.max(LEAF));
    (steps, columns.min(elements / steps / COLUMNS_MAX * COLUMNS_MAX))
}

/// Rows whose sums wait together.
fn waiting_rows(k: usize, steps: usize, rows: usize) -> usize {
    rows.min(if k <= steps { ROWS_NEAR } else { ROWS_FAR })
}

/// Levels of sums that wait in scratch.
fn levels(leaves: &[Leaf]) -> usize {
    sums::depth(leaves).saturating_sub(1)
}

/// Bytes of scratch that [`contract`] needs for any part of at most so many rows and columns of a sum over `axes`.
pub(super) fn scratch_bytes(axes: &sums::Axes, rows: usize, columns: usize) -> usize {
    let (k, levels) = (sums::terms(axes), levels(&sums::leaves(axes)));
    // What is packed and what waits depends on the number of rows, of which a part may have fewer.
    let need = |rows: usize| {
        let (steps, width) = packed_extent(k, rows, columns);
        steps * width + levels * waiting_rows(k, steps, rows) * width
    };
    let all = [rows, rows.min(ROWS_NEAR), rows.min(SMALL / columns.next_multiple_of(COLUMNS_MAX).max(1))];
    let most = all.into_iter().map(need).max().unwrap_or(0);
    (PANEL + ROWS_MAX * COLUMNS_MAX + most) * size_of::<f32>() + ALIGN
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
    let Extent { rows, columns, leaves } = extent;
    if rows.is_empty() || columns.is_empty() {
        return;
    }
    let k = extent.k();
    let (steps, width) = packed_extent(k, rows.len(), columns.len());
    let rounds = rounds(leaves, steps);
    let far = waiting_rows(k, steps, rows.len());
    let scratch = scratch.wrapping_add(scratch.align_offset(ALIGN)).cast::<f32>();
    let panel = scratch.wrapping_add(ROWS_MAX * COLUMNS_MAX);
    let packed = panel.wrapping_add(PANEL);
    let waiting = packed.wrapping_add(steps * width);
    let rest = Waiting { base: waiting, row: width, level: far * width };
    let work = Work { micro, left, right, out, columns: 0..0, leaves, spare: scratch, panel, waiting: rest };
    let in_place = rows.len() <= DIRECT_TILES * micro.rows && right.direct(0, columns.start).is_some();
    for from in columns.clone().step_by(width) {
        let work = Work { columns: from..columns.end.min(from + width), ..work };
        // SAFETY: the caller's; `packed` has room for steps × width elements, and what waits for `far` rows.
        let round = |round: &Range<usize>, rows: Range<usize>| unsafe {
            let ks = work.steps(round);
            if !in_place {
                work.pack(ks, packed);
            }
            let packed = (!in_place).then_some(packed.cast_const());
            for near in rows.clone().step_by(ROWS_NEAR) {
                let near = near..rows.end.min(near + ROWS_NEAR);
                let first = if rounds.len() == 1 { near.start } else { rows.start };
                work.rows(near, first, round.clone(), packed);
            }
        };
        if let [all] = rounds.as_slice() {
            round(all, rows.clone());
            continue;
        }
        for first in rows.clone().step_by(far) {
            for leaves in &rounds {
                round(leaves, first..rows.end.min(first + far));
            }
        }
    }
}

/// Stretches of the leaves, each of at most so many steps.
fn rounds(leaves: &[Leaf], steps: usize) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let (mut first, mut start) = (0, 0);
    for (at, leaf) in leaves.iter().enumerate() {
        if leaf.end - start > steps {
            found.push(first..at);
            first = at;
            start = leaves[at - 1].end;
        }
    }
    found.push(first..leaves.len());
    found
}

/// Where sums wait for their other half, from level 1 on.
#[derive(Clone, Copy)]
struct Waiting {
    base: *mut f32,
    /// Elements between rows.
    row: usize,
    /// Elements between levels.
    level: usize,
}

impl Waiting {
    /// Where a column of the columns in work begins at a level.
    #[inline]
    fn at(&self, level: usize, column: usize) -> *mut f32 {
        self.base.wrapping_add((level - 1) * self.level + column)
    }

    /// Where rows begin, from `first` on.
    fn rows(&self, first: usize) -> [isize; ROWS_MAX] {
        std::array::from_fn(|r| ((first + r) * self.row) as isize)
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
    leaves: &'a [Leaf],
    /// Room for one tile, for a C whose columns are not contiguous.
    spare: *mut f32,
    /// Room for a left panel.
    panel: *mut f32,
    waiting: Waiting,
}

/// A leaf in work.
#[derive(Clone, Copy)]
struct Chain {
    /// Its steps.
    start: usize,
    end: usize,
    /// See [`Leaf::joins`].
    joins: usize,
    /// How many sums to its left wait.
    before: usize,
    /// Whether it is the last of the whole sum.
    last: bool,
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

    /// The steps of some leaves.
    fn steps(&self, leaves: &Range<usize>) -> Range<usize> {
        let start = leaves.start.checked_sub(1).map_or(0, |before| self.leaves[before].end);
        start..self.leaves[leaves.end - 1].end
    }

    /// Some leaves of some rows, whose part of C stays in the second-level cache. What waits is counted from row
    /// `first`.
    unsafe fn rows(
        &self,
        rows: Range<usize>,
        first: usize,
        leaves: Range<usize>,
        packed: Option<*const f32>,
    ) {
        let tiles = rows.len().div_ceil(self.micro.rows);
        let cut = |t: usize| rows.start + rows.len() * t / tiles;
        let ks = self.steps(&leaves);
        let joined: usize = self.leaves[..leaves.start].iter().map(|leaf| leaf.joins).sum();
        let (mut before, mut start) = (leaves.start - joined, ks.start);
        for (leaf, at) in self.leaves[leaves.clone()].iter().zip(leaves) {
            let last = at + 1 == self.leaves.len();
            let chain = Chain { start, end: leaf.end, joins: leaf.joins, before, last };
            // Short rows are filled together to save calls, rows that lie across to use whole cache lines.
            let together = match self.left.layout() {
                Layout::Along if chain.end - chain.start > SHORT => 1,
                Layout::Along | Layout::Across => GROUP,
            };
            for t in (0..tiles).step_by(together) {
                let group: [_; GROUP] = std::array::from_fn(|i| cut(t + i)..cut(t + i + 1));
                // SAFETY: the caller's.
                unsafe { self.group(&group[..together.min(tiles - t)], first, chain, &ks, packed) }
            }
            before = before + 1 - leaf.joins;
            start = leaf.end;
        }
    }

    /// One leaf for a group of tiles and all columns in work.
    unsafe fn group(
        &self,
        tiles: &[Range<usize>],
        first: usize,
        chain: Chain,
        ks: &Range<usize>,
        packed: Option<*const f32>,
    ) {
        // SAFETY: the caller's; a tile has no more rows and a leaf no more steps than a panel holds.
        unsafe { self.left.fill(self.micro, tiles, chain.start..chain.end, self.panel) };
        for (t, rows) in tiles.iter().enumerate() {
            let panel = match self.left.layout() {
                Layout::Along => self.panel.wrapping_add((rows.start - tiles[0].start) * PITCH),
                Layout::Across => self.panel.wrapping_add(t * ACROSS),
            };
            // SAFETY: the caller's.
            unsafe { self.tile(rows, first, chain, ks, panel, packed) };
        }
    }

    /// One leaf for one tile's rows and all columns in work.
    unsafe fn tile(
        &self,
        rows: &Range<usize>,
        first: usize,
        chain: Chain,
        ks: &Range<usize>,
        panel: *const f32,
        packed: Option<*const f32>,
    ) {
        let Work { micro, out, waiting, .. } = self;
        let mut offsets = [0isize; ROWS_MAX];
        for (offset, row) in offsets.iter_mut().zip(rows.clone()) {
            *offset = out.rows.offset(row);
        }
        // Where the chain goes: to a place of its own, or onto the sum that waits for it.
        let level = if chain.joins == 0 { chain.before } else { chain.before - 1 };
        let done = chain.last && chain.joins <= 1;
        let near = if level == 0 { [0; ROWS_MAX] } else { waiting.rows(rows.start - first) };
        let layout = self.left.layout();
        for (i, from) in self.columns.clone().step_by(micro.columns).enumerate() {
            let columns = from..self.columns.end.min(from + micro.columns);
            let (b, b_stride) = match packed {
                Some(packed) => (
                    packed.wrapping_add((i * ks.len() + chain.start - ks.start) * micro.columns),
                    micro.columns,
                ),
                None => self.right.direct(chain.start, from).expect("asked before the loops began"),
            };
            let bias = if chain.last && !out.bias.is_null() {
                out.bias.wrapping_add(if out.bias_by_row { rows.start } else { from })
            } else {
                std::ptr::null()
            };
            let c = out.c.wrapping_offset(from as isize * out.column);
            let (base, offsets_there) = match level {
                0 => (c, &offsets),
                _ => (waiting.at(level, from - self.columns.start), &near),
            };
            let tile = Tile {
                k: chain.end - chain.start,
                a: panel,
                b,
                b_stride,
                c: base,
                rows: offsets_there.as_ptr(),
                columns: columns.len(),
                add: chain.joins > 0,
                bias: if done { bias } else { std::ptr::null() },
                bias_by_row: out.bias_by_row,
                relu: done && out.relu,
            };
            let kernel = micro.tile(layout, rows.len(), columns.len());
            // SAFETY: the caller's; what waits has room for these rows and columns at each level.
            unsafe {
                if level > 0 || out.column == 1 || columns.len() == 1 {
                    kernel(&tile);
                } else {
                    self.scattered(&tile, out.column, rows.len(), kernel);
                }
            }
            if chain.joins > 1 {
                let to = Place { base: c, rows: &offsets, column: out.column };
                let size = [rows.len(), columns.len()];
                let finish = chain.last.then_some(bias);
                // SAFETY: as above.
                unsafe { self.join(chain, level, from - self.columns.start, &near, &to, size, finish) };
            }
        }
    }

    /// Joins what a chain was added to, at `level`, with the sums that wait on its left. `to`: the tile of C.
    #[expect(clippy::too_many_arguments, reason = "a tile, and where it lies at each level")]
    #[inline(never)]
    unsafe fn join(
        &self,
        chain: Chain,
        level: usize,
        column: usize,
        near: &[isize; ROWS_MAX],
        to: &Place,
        size: [usize; 2],
        finish: Option<*const f32>,
    ) {
        let place = |level: usize| match level {
            0 => *to,
            _ => Place { base: self.waiting.at(level, column), rows: near, column: 1 },
        };
        for upper in (0..level).rev().take(chain.joins - 1) {
            let join = Join { to: place(upper), from: place(upper + 1), size };
            wide::run_as(self.micro.isa, join);
        }
        if let Some(bias) = finish {
            // SAFETY: the caller's.
            unsafe { finish_tile(to, bias, self.out, size) };
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

/// Where a tile lies.
#[derive(Clone, Copy)]
struct Place<'a> {
    base: *mut f32,
    /// Elements from the base to each row.
    rows: &'a [isize; ROWS_MAX],
    /// Elements between columns.
    column: isize,
}

impl Place<'_> {
    #[inline(always)]
    fn at(&self, row: usize, column: usize) -> *mut f32 {
        self.base.wrapping_offset(self.rows[row] + column as isize * self.column)
    }
}

/// Adds a sum to the one on its left. Who makes it vouches for both tiles, which do not overlap; that of `from` has
/// contiguous columns.
struct Join<'a> {
    to: Place<'a>,
    from: Place<'a>,
    /// Rows and columns.
    size: [usize; 2],
}

impl Job for Join<'_> {
    #[inline(always)]
    fn run(self) {
        let Join { to, from, size: [rows, columns] } = self;
        for r in 0..rows {
            let (sum, other) = (to.at(r, 0), from.at(r, 0));
            // SAFETY: whoever made the job vouches for the tiles.
            unsafe {
                if to.column == 1 {
                    for j in 0..columns {
                        *sum.add(j) += *other.add(j);
                    }
                } else {
                    for j in 0..columns {
                        *to.at(r, j) += *other.add(j);
                    }
                }
            }
        }
    }
}

/// Bias and relu of sums that were joined.
unsafe fn finish_tile(to: &Place, bias: *const f32, out: &Output, [rows, columns]: [usize; 2]) {
    if bias.is_null() && !out.relu {
        return;
    }
    for r in 0..rows {
        for j in 0..columns {
            // SAFETY: the tile and its part of the bias are the caller's.
            unsafe {
                let mut value = *to.at(r, j);
                if !bias.is_null() {
                    value += *bias.add(if out.bias_by_row { r } else { j });
                }
                *to.at(r, j) = if out.relu && value < 0.0 { 0.0 } else { value };
            }
        }
    }
}
