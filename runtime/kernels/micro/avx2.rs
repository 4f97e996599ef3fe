//! Tiles of up to 6 × 16 in 256-bit registers: 12 sums, two vectors of B, one of A, one to spare.

use super::{Isa, Micro, PITCH, ROWS_MAX, Runs, Tile, TileKernel};
use std::arch::x86_64::*;

/// Elements of a vector.
const LANES: usize = 8;

macro_rules! tiles {
    ($vectors:literal, $row:expr, $step:expr) => {
        &[
            tile::<1, $vectors, $row, $step> as TileKernel,
            tile::<2, $vectors, $row, $step>,
            tile::<3, $vectors, $row, $step>,
            tile::<4, $vectors, $row, $step>,
            tile::<5, $vectors, $row, $step>,
            tile::<6, $vectors, $row, $step>,
        ]
    };
}

/// The kernels for AVX2 with fused multiply-add.
pub(super) static MICRO: Micro = Micro {
    isa: Isa::Avx2,
    rows: 6,
    columns: 2 * LANES,
    tiles: [[tiles!(1, PITCH, 1), tiles!(2, PITCH, 1)], [tiles!(1, 1, ROWS_MAX), tiles!(2, 1, ROWS_MAX)]],
    copy: copy_runs,
    gather: gather_runs,
    transpose,
};

/// The mask of the first `count` lanes (all of them from 8 on).
#[target_feature(enable = "avx2")]
#[inline]
fn first(count: usize) -> __m256i {
    let lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    _mm256_cmpgt_epi32(_mm256_set1_epi32(count.min(LANES) as i32), lane)
}

/// One tile of `ROWS` × (`VECTORS` · 8). `ROW` and `STEP` are the panel's strides over rows and over k.
///
/// # Safety
/// AVX2 and FMA; the tile's pointers as [`Tile`] describes them.
#[target_feature(enable = "avx2,fma")]
unsafe fn tile<const ROWS: usize, const VECTORS: usize, const ROW: usize, const STEP: usize>(tile: &Tile) {
    let mut masks = [_mm256_setzero_si256(); VECTORS];
    for (v, mask) in masks.iter_mut().enumerate() {
        *mask = first(tile.columns.saturating_sub(v * LANES));
    }
    let mut sums = [[_mm256_setzero_ps(); VECTORS]; ROWS];
    let (mut a, mut b) = (tile.a, tile.b);
    for _ in 0..tile.k {
        // SAFETY: the panels hold `k` steps; lanes past the columns are masked off.
        unsafe {
            let mut right = [_mm256_setzero_ps(); VECTORS];
            for v in 0..VECTORS {
                right[v] = _mm256_maskload_ps(b.add(v * LANES), masks[v]);
            }
            for (r, sums) in sums.iter_mut().enumerate() {
                let left = _mm256_broadcast_ss(&*a.add(r * ROW));
                for (sum, &right) in sums.iter_mut().zip(&right) {
                    *sum = _mm256_fmadd_ps(left, right, *sum);
                }
            }
            a = a.add(STEP);
            b = b.add(tile.b_stride);
        }
    }
    for (r, sums) in sums.iter().enumerate() {
        // SAFETY: `rows` has an offset for each row, and C and the bias have `columns` elements there.
        unsafe {
            let c = tile.c.offset(*tile.rows.add(r));
            for (v, &sum) in sums.iter().enumerate() {
                let mut sum = sum;
                if tile.add {
                    sum = _mm256_add_ps(_mm256_maskload_ps(c.add(v * LANES), masks[v]), sum);
                }
                if !tile.bias.is_null() {
                    let bias = if tile.bias_by_row {
                        _mm256_broadcast_ss(&*tile.bias.add(r))
                    } else {
                        _mm256_maskload_ps(tile.bias.add(v * LANES), masks[v])
                    };
                    sum = _mm256_add_ps(sum, bias);
                }
                if tile.relu {
                    // Where either is NaN, or both are zero, the second operand is the result.
                    sum = _mm256_max_ps(_mm256_setzero_ps(), sum);
                }
                _mm256_maskstore_ps(c.add(v * LANES), masks[v], sum);
            }
        }
    }
}

/// See [`super::CopyRuns`].
///
/// # Safety
/// AVX2; as for [`super::copy_runs`].
#[target_feature(enable = "avx2,fma")]
unsafe fn copy_runs(runs: &Runs) {
    // SAFETY: the caller's.
    unsafe { super::copy_runs(runs) }
}

/// See [`super::GatherRuns`].
///
/// # Safety
/// AVX2; as for [`super::gather_runs`].
#[target_feature(enable = "avx2,fma")]
unsafe fn gather_runs(runs: &Runs, limit: isize) {
    // SAFETY: the caller's.
    unsafe { super::gather_runs(runs, limit) }
}

/// See [`super::Transpose`].
///
/// # Safety
/// AVX2; all elements named readable and writable, not overlapping.
#[target_feature(enable = "avx2,fma")]
unsafe fn transpose(
    from: *const f32,
    from_stride: isize,
    to: *mut f32,
    to_stride: usize,
    rows: usize,
    columns: usize,
) {
    // SAFETY: the caller's.
    unsafe { super::transpose(from, from_stride, to, to_stride, rows, columns) }
}
