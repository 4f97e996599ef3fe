//! Tiles of up to 4 × 16 in plain Rust: fast where the target has fused multiply-add, right everywhere.

use super::{Isa, Micro, PITCH, ROWS_MAX, Tile, TileKernel};

/// Elements that are handled as one vector.
const LANES: usize = 8;

macro_rules! tiles {
    ($vectors:literal, $row:expr, $step:expr) => {
        &[
            tile::<1, $vectors, $row, $step> as TileKernel,
            tile::<2, $vectors, $row, $step>,
            tile::<3, $vectors, $row, $step>,
            tile::<4, $vectors, $row, $step>,
        ]
    };
}

/// The kernels for any processor.
pub(super) static MICRO: Micro = Micro {
    isa: Isa::Portable,
    rows: 4,
    columns: 2 * LANES,
    tiles: [[tiles!(1, PITCH, 1), tiles!(2, PITCH, 1)], [tiles!(1, 1, ROWS_MAX), tiles!(2, 1, ROWS_MAX)]],
    copy: super::copy_runs,
    gather: super::gather_runs,
    transpose: super::transpose,
};

/// One tile of `ROWS` × (`VECTORS` · 8). `ROW` and `STEP` are the panel's strides over rows and over k.
///
/// # Safety
/// The tile's pointers as [`Tile`] describes them.
unsafe fn tile<const ROWS: usize, const VECTORS: usize, const ROW: usize, const STEP: usize>(tile: &Tile) {
    let mut sums = [[[0f32; LANES]; VECTORS]; ROWS];
    let full = tile.columns == VECTORS * LANES;
    let (mut a, mut b) = (tile.a, tile.b);
    for _ in 0..tile.k {
        let mut right = [[0f32; LANES]; VECTORS];
        // SAFETY: the panels hold `k` steps, and each row of B at least `columns` elements.
        unsafe {
            if full {
                right = b.cast::<[[f32; LANES]; VECTORS]>().read_unaligned();
            } else {
                let right = right.as_flattened_mut();
                std::ptr::copy_nonoverlapping(b, right.as_mut_ptr(), tile.columns.min(VECTORS * LANES));
            }
            for (r, sums) in sums.iter_mut().enumerate() {
                let left = *a.add(r * ROW);
                for (sum, &right) in sums.as_flattened_mut().iter_mut().zip(right.as_flattened()) {
                    *sum = left.mul_add(right, *sum);
                }
            }
            a = a.add(STEP);
            b = b.add(tile.b_stride);
        }
    }
    for (r, sums) in sums.iter().enumerate() {
        for (j, &sum) in sums.as_flattened().iter().enumerate().take(tile.columns) {
            // SAFETY: `rows` has an offset for each row, and C and the bias have `columns` elements there.
            unsafe {
                let c = tile.c.offset(*tile.rows.add(r)).add(j);
                let mut value = if tile.add { *c + sum } else { sum };
                if !tile.bias.is_null() {
                    value += *tile.bias.add(if tile.bias_by_row { r } else { j });
                }
                *c = if tile.relu && value < 0.0 { 0.0 } else { value };
            }
        }
    }
}
