//! Matrix products of f32: C\[m, n\] = A\[m, k\] · B\[k, n\], then a bias and relu while the tile is near.
//!
//! Any strides, so transposes cost nothing. An element's bits depend on its row of A, its column of B and the axes
//! that k is made of: not on m, n, the strides, the part asked for, or the instruction set.

use super::contract::{self, ACROSS, Extent, Left, Output, Right, RowMap};
use super::isa::Isa;
use super::micro::{Layout, Micro, PITCH, ROWS_MAX, Runs};
use super::sums::{self, Axes};
use std::ops::Range;

/// After the bias, replace what is below zero by +0 (NaN stays NaN, -0 stays -0).
pub const RELU: u64 = 2;

/// So few columns are better put down than across.
pub(super) const FEW: u64 = 4;

/// The same, where the other operand is contiguous that way.
const FEW_READY: u64 = 8;

/// A product's shape and strides; strides are in elements and may be anything for axes of size one.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct ProductDesc {
    /// Rows of A and C.
    pub m: u64,
    /// Columns of B and C.
    pub n: u64,
    /// Columns of A, rows of B: what is summed over.
    pub k: u64,
    /// Elements from one row of A to the next.
    pub a_row: i64,
    /// Elements from one column of A to the next.
    pub a_column: i64,
    /// Elements from one row of B to the next.
    pub b_row: i64,
    /// Elements from one column of B to the next.
    pub b_column: i64,
    /// Elements from one row of C to the next.
    pub c_row: i64,
    /// Elements from one column of C to the next.
    pub c_column: i64,
    /// The axes that k is made of: their sizes' product is k.
    pub sum: Axes,
    /// [`RELU`], or 0.
    pub flags: u64,
}

impl ProductDesc {
    /// A product of contiguous row-major matrices.
    pub fn row_major(m: usize, n: usize, k: usize) -> ProductDesc {
        let [m, n, k] = [m as u64, n as u64, k as u64];
        let (a_row, b_row, c_row) = (k as i64, n as i64, n as i64);
        ProductDesc {
            m,
            n,
            k,
            a_row,
            a_column: 1,
            b_row,
            b_column: 1,
            c_row,
            c_column: 1,
            sum: sums::axes(&[k as usize]),
            flags: 0,
        }
    }

    /// Bytes of scratch for any part of the product, on any processor.
    pub fn scratch_bytes(&self) -> usize {
        let (rows, columns) = if self.turned() { (self.n, self.m) } else { (self.m, self.n) };
        contract::scratch_bytes(&self.sum, rows as usize, columns as usize)
    }

    /// Whether to compute the transposed product: because C is contiguous down its columns, or because it has
    /// so few columns that rows fill vectors better, though A may have to be transposed for it.
    fn turned(&self) -> bool {
        let down = self.c_column != 1 && self.n > 1 && (self.c_row == 1 || self.m == 1);
        let few = if self.a_row == 1 { FEW_READY } else { FEW };
        down || self.n <= few && self.m > FEW_READY
    }
}

/// Computes `rows` × `columns` of a product. `bias` has n elements, or is null.
///
/// # Safety
/// A, B and the bias must be readable and C writable as `desc` says; C overlaps none of them; `scratch` has
/// [`ProductDesc::scratch_bytes`] bytes and is used by nobody else. Parts computed at the same time must not
/// overlap.
#[expect(clippy::too_many_arguments, reason = "the operands of a product, its part and its scratch")]
pub unsafe fn product(
    desc: &ProductDesc,
    a: *const f32,
    b: *const f32,
    c: *mut f32,
    bias: *const f32,
    rows: Range<usize>,
    columns: Range<usize>,
    scratch: *mut u8,
) {
    // SAFETY: the caller's; the best instruction set is one that the processor has.
    unsafe { product_with(Micro::of(Isa::best()), desc, a, b, c, bias, rows, columns, scratch) }
}

/// [`product`] with the kernels of a given instruction set.
///
/// # Safety
/// As for [`product`], and the processor must have the instruction set.
#[expect(clippy::too_many_arguments, reason = "the operands of a product, its part and its scratch")]
pub(super) unsafe fn product_with(
    micro: &Micro,
    desc: &ProductDesc,
    a: *const f32,
    b: *const f32,
    c: *mut f32,
    bias: *const f32,
    rows: Range<usize>,
    columns: Range<usize>,
    scratch: *mut u8,
) {
    let a = Matrix { base: a, row: desc.a_row as isize, column: desc.a_column as isize };
    let b = Matrix { base: b, row: desc.b_row as isize, column: desc.b_column as isize };
    let (c_row, c_column) = (desc.c_row as isize, desc.c_column as isize);
    let relu = desc.flags & RELU != 0;
    let out = Output { c, rows: RowMap::Even(c_row), column: c_column, bias, bias_by_row: false, relu };
    let leaves = sums::leaves(&desc.sum);
    let extent = Extent { rows, columns, leaves: &leaves };
    // SAFETY: the caller's.
    unsafe {
        if desc.turned() {
            let (out, extent) = (out.turned(c_row), extent.turned());
            contract::contract(micro, &b.transposed(), &a.transposed(), &out, &extent, scratch);
        } else {
            contract::contract(micro, &a, &b, &out, &extent, scratch);
        }
    }
}

/// A matrix in memory, with strides in elements.
#[derive(Clone, Copy)]
pub(super) struct Matrix {
    /// Element (0, 0).
    pub base: *const f32,
    /// From row to row.
    pub row: isize,
    /// From column to column.
    pub column: isize,
}

impl Matrix {
    /// Rows for columns.
    pub fn transposed(self) -> Matrix {
        Matrix { base: self.base, row: self.column, column: self.row }
    }

    /// Where element (`row`, `column`) lies.
    fn at(&self, row: usize, column: usize) -> *const f32 {
        self.base.wrapping_offset(row as isize * self.row + column as isize * self.column)
    }
}

impl Matrix {
    /// Copies `count` runs of `len` elements, `step` apart, from `from`.
    #[inline]
    unsafe fn copy(micro: &Micro, from: *const f32, step: isize, to: Place, count: usize, len: usize) {
        let Place { to, stride, room } = to;
        // SAFETY: the caller's.
        unsafe {
            (micro.copy)(&Runs { from, start: 0, step, to, to_stride: stride, count, len, room });
        }
    }
}

/// Where runs go.
struct Place {
    to: *mut f32,
    /// Elements between runs.
    stride: usize,
    /// Elements that may be written from the beginning of each.
    room: usize,
}

impl Left for Matrix {
    fn layout(&self) -> Layout {
        if self.row == 1 && self.column != 1 { Layout::Across } else { Layout::Along }
    }

    unsafe fn fill(&self, micro: &Micro, tiles: &[Range<usize>], ks: Range<usize>, to: *mut f32) {
        for (t, rows) in tiles.iter().enumerate() {
            let from = self.at(rows.start, ks.start);
            let along = to.wrapping_add((rows.start - tiles[0].start) * PITCH);
            // SAFETY: the caller's; a panel has room for PITCH elements of k and ROWS_MAX rows.
            unsafe {
                match self.layout() {
                    Layout::Across => {
                        let to = to.add(t * ACROSS);
                        let place = Place { to, stride: ROWS_MAX, room: ROWS_MAX };
                        Matrix::copy(micro, from, self.column, place, ks.len(), rows.len());
                    }
                    Layout::Along if self.column == 1 => {
                        let place = Place { to: along, stride: PITCH, room: PITCH };
                        Matrix::copy(micro, from, self.row, place, rows.len(), ks.len());
                    }
                    Layout::Along => {
                        for (i, r) in rows.clone().enumerate() {
                            for (j, k) in ks.clone().enumerate() {
                                *along.add(i * PITCH + j) = *self.at(r, k);
                            }
                        }
                    }
                }
            }
        }
    }
}

impl Right for Matrix {
    unsafe fn fill(
        &self,
        micro: &Micro,
        ks: Range<usize>,
        columns: Range<usize>,
        to: *mut f32,
        stride: usize,
    ) {
        let from = self.at(ks.start, columns.start);
        // SAFETY: the caller's.
        unsafe {
            if self.column == 1 {
                let place = Place { to, stride, room: stride };
                Matrix::copy(micro, from, self.row, place, ks.len(), columns.len());
            } else if self.row == 1 {
                (micro.transpose)(from, self.column, to, stride, columns.len(), ks.len());
            } else {
                for (i, k) in ks.enumerate() {
                    for (j, c) in columns.clone().enumerate() {
                        *to.add(i * stride + j) = *self.at(k, c);
                    }
                }
            }
        }
    }

    fn direct(&self, k: usize, column: usize) -> Option<(*const f32, usize)> {
        let step = usize::try_from(self.row).ok()?;
        (self.column == 1).then(|| (self.at(k, column), step))
    }
}
