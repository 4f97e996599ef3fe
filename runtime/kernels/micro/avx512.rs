//! Tiles of up to 14 × 32 in 512-bit registers: 28 sums, two vectors of B, one of A, one to spare.

use super::{COLUMNS_MAX, Isa, Micro, PITCH, ROWS_MAX, Runs, Tile, TileKernel, inside};
use std::arch::x86_64::*;

/// Elements of a vector.
const LANES: usize = 16;

macro_rules! by_rows {
    ($vectors:literal, $row:expr, $step:expr; $($rows:literal)*) => {
        &[$(tile::<$rows, $vectors, $row, $step> as TileKernel),*]
    };
}
macro_rules! tiles {
    ($vectors:literal, $row:expr, $step:expr) => {
        by_rows!($vectors, $row, $step; 1 2 3 4 5 6 7 8 9 10 11 12 13 14)
    };
}

/// The kernels for AVX-512.
pub(super) static MICRO: Micro = Micro {
    isa: Isa::Avx512,
    rows: 14,
    columns: COLUMNS_MAX,
    tiles: [[tiles!(1, PITCH, 1), tiles!(2, PITCH, 1)], [tiles!(1, 1, ROWS_MAX), tiles!(2, 1, ROWS_MAX)]],
    copy: copy_runs,
    gather: gather_runs,
    transpose,
};

/// The mask of the first `count` lanes (all of them from 16 on).
#[inline(always)]
fn first(count: usize) -> __mmask16 {
    if count >= LANES { !0 } else { (1 << count) - 1 }
}

/// One tile of `ROWS` × (`VECTORS` · 16). `ROW` and `STEP` are the panel's strides over rows and over k.
///
/// # Safety
/// AVX-512F; the tile's pointers as [`Tile`] describes them.
#[target_feature(enable = "avx512f")]
unsafe fn tile<const ROWS: usize, const VECTORS: usize, const ROW: usize, const STEP: usize>(tile: &Tile) {
    let masks: [__mmask16; VECTORS] = std::array::from_fn(|v| first(tile.columns.saturating_sub(v * LANES)));
    let mut sums = [[_mm512_setzero_ps(); VECTORS]; ROWS];
    let (mut a, mut b) = (tile.a, tile.b);
    for _ in 0..tile.k {
        // SAFETY: the panels hold `k` steps; lanes past the columns are masked off.
        unsafe {
            let mut right = [_mm512_setzero_ps(); VECTORS];
            for v in 0..VECTORS {
                right[v] = _mm512_maskz_loadu_ps(masks[v], b.add(v * LANES));
            }
            for (r, sums) in sums.iter_mut().enumerate() {
                let left = _mm512_set1_ps(*a.add(r * ROW));
                for (sum, &right) in sums.iter_mut().zip(&right) {
                    *sum = _mm512_fmadd_ps(left, right, *sum);
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
                    sum = _mm512_add_ps(_mm512_maskz_loadu_ps(masks[v], c.add(v * LANES)), sum);
                }
                if !tile.bias.is_null() {
                    let bias = if tile.bias_by_row {
                        _mm512_set1_ps(*tile.bias.add(r))
                    } else {
                        _mm512_maskz_loadu_ps(masks[v], tile.bias.add(v * LANES))
                    };
                    sum = _mm512_add_ps(sum, bias);
                }
                if tile.relu {
                    // Where either is NaN, or both are zero, the second operand is the result.
                    sum = _mm512_max_ps(_mm512_setzero_ps(), sum);
                }
                _mm512_mask_storeu_ps(c.add(v * LANES), masks[v], sum);
            }
        }
    }
}

/// See [`super::CopyRuns`].
///
/// # Safety
/// AVX-512F; as for [`super::copy_runs`].
#[target_feature(enable = "avx512f")]
unsafe fn copy_runs(runs: &Runs) {
    let tail = Tail::of(runs);
    if runs.len < LANES && tail.store == !0 {
        let (mut from, mut to) = (runs.from.wrapping_offset(runs.start), runs.to);
        for _ in 0..runs.count {
            // SAFETY: the caller vouches for each run, and for room behind it.
            unsafe { _mm512_storeu_ps(to, _mm512_maskz_loadu_ps(tail.load, from)) };
            (from, to) = (from.wrapping_offset(runs.step), to.wrapping_add(runs.to_stride));
        }
        return;
    }
    for i in 0..runs.count {
        // SAFETY: the caller vouches for run i of both sides.
        unsafe {
            let from = runs.from.offset(runs.start + i as isize * runs.step);
            copy_run(from, runs.to.add(i * runs.to_stride), runs.len, &tail);
        }
    }
}

/// See [`super::GatherRuns`].
///
/// # Safety
/// AVX-512F; as for [`super::gather_runs`].
#[target_feature(enable = "avx512f")]
unsafe fn gather_runs(runs: &Runs, limit: isize) {
    let tail = Tail::of(runs);
    if runs.len < LANES && tail.store == !0 {
        let (mut begin, mut to) = (runs.start, runs.to);
        for _ in 0..runs.count {
            let lo = (-begin).clamp(0, LANES as isize);
            let hi = (limit - begin).clamp(0, runs.len as isize);
            let mask = (((1u32 << hi) - 1) & (!0 << lo)) as __mmask16;
            // SAFETY: lanes outside are masked off; there is room for a whole vector.
            unsafe { _mm512_storeu_ps(to, _mm512_maskz_loadu_ps(mask, runs.from.wrapping_offset(begin))) };
            (begin, to) = (begin + runs.step, to.wrapping_add(runs.to_stride));
        }
        return;
    }
    for i in 0..runs.count {
        let begin = runs.start + i as isize * runs.step;
        let to = runs.to.wrapping_add(i * runs.to_stride);
        let from = runs.from.wrapping_offset(begin);
        let inside = inside(begin, runs.len, limit);
        if runs.len > LANES && inside.len() == runs.len {
            // SAFETY: all of the run is inside.
            unsafe { copy_run(from, to, runs.len, &tail) };
            continue;
        }
        for j in (0..runs.len).step_by(LANES) {
            let last = j + LANES >= runs.len;
            let mask = first(inside.end.saturating_sub(j)) & !first(inside.start.saturating_sub(j));
            // SAFETY: what is outside is masked off; past the run there is room or the tail's mask.
            unsafe {
                let part = _mm512_maskz_loadu_ps(mask, from.wrapping_add(j));
                let (to, store) = (to.wrapping_add(j), if last { tail.store } else { !0 });
                if store == !0 { _mm512_storeu_ps(to, part) } else { _mm512_mask_storeu_ps(to, store, part) }
            }
        }
    }
}

/// What is left of a run after whole vectors.
struct Tail {
    /// Lanes of the run.
    load: __mmask16,
    /// Lanes that are written: all where there is room.
    store: __mmask16,
}

impl Tail {
    fn of(runs: &Runs) -> Tail {
        let load = first(runs.len % LANES);
        let room = runs.room >= runs.len.next_multiple_of(LANES);
        Tail { load, store: if room || load == 0 { !0 } else { load } }
    }
}

/// Copies one run.
///
/// # Safety
/// AVX-512F; the run readable, and writable as far as the tail's mask goes.
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn copy_run(from: *const f32, to: *mut f32, len: usize, tail: &Tail) {
    // SAFETY: whole vectors stay below `len`; the tail is masked or has room.
    unsafe {
        let mut j = 0;
        while j + LANES <= len {
            _mm512_storeu_ps(to.add(j), _mm512_loadu_ps(from.add(j)));
            j += LANES;
        }
        if j < len {
            let (part, to) = (_mm512_maskz_loadu_ps(tail.load, from.add(j)), to.add(j));
            if tail.store == !0 {
                _mm512_storeu_ps(to, part);
            } else {
                _mm512_mask_storeu_ps(to, tail.store, part);
            }
        }
    }
}

/// See [`super::Transpose`]. Squares of 16 × 16 go through registers; edges are masked.
///
/// # Safety
/// AVX-512F; all elements named readable and writable, not overlapping.
#[target_feature(enable = "avx512f")]
unsafe fn transpose(
    from: *const f32,
    from_stride: isize,
    to: *mut f32,
    to_stride: usize,
    rows: usize,
    columns: usize,
) {
    for i in (0..rows).step_by(LANES) {
        for j in (0..columns).step_by(LANES) {
            let (height, width) = ((rows - i).min(LANES), (columns - j).min(LANES));
            // SAFETY: the square lies inside what the caller vouches for.
            unsafe {
                let from = from.offset(i as isize * from_stride).add(j);
                square(from, from_stride, to.add(j * to_stride + i), to_stride, height, width);
            }
        }
    }
}

/// Transposes at most 16 × 16.
///
/// # Safety
/// As for [`transpose`].
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn square(
    from: *const f32,
    from_stride: isize,
    to: *mut f32,
    to_stride: usize,
    height: usize,
    width: usize,
) {
    let mut row = [_mm512_setzero_ps(); LANES];
    let mask = first(width);
    for (i, row) in row.iter_mut().enumerate() {
        if i < height {
            // SAFETY: row i < height, lanes below `width`.
            *row = unsafe { _mm512_maskz_loadu_ps(mask, from.offset(i as isize * from_stride)) };
        }
    }
    // Pairs of rows, then pairs of pairs: within each 128-bit lane L, `quad[4g + e]` then holds column
    // 4L + e of rows 4g to 4g + 3.
    let mut quad = [_mm512_setzero_ps(); LANES];
    for g in 0..4 {
        let [a, b, c, d] = [row[4 * g], row[4 * g + 1], row[4 * g + 2], row[4 * g + 3]];
        let (ab_low, ab_high) = (_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
        let (cd_low, cd_high) = (_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
        let pair = |x, y, high: bool| {
            let (x, y) = (_mm512_castps_pd(x), _mm512_castps_pd(y));
            _mm512_castpd_ps(if high { _mm512_unpackhi_pd(x, y) } else { _mm512_unpacklo_pd(x, y) })
        };
        quad[4 * g] = pair(ab_low, cd_low, false);
        quad[4 * g + 1] = pair(ab_low, cd_low, true);
        quad[4 * g + 2] = pair(ab_high, cd_high, false);
        quad[4 * g + 3] = pair(ab_high, cd_high, true);
    }
    for e in 0..4 {
        let [a, b, c, d] = [quad[e], quad[4 + e], quad[8 + e], quad[12 + e]];
        // Lanes 0 and 1, then 2 and 3, of two groups of rows; then even and odd of those.
        let (ab_01, ab_23) = (_mm512_shuffle_f32x4::<0x44>(a, b), _mm512_shuffle_f32x4::<0xee>(a, b));
        let (cd_01, cd_23) = (_mm512_shuffle_f32x4::<0x44>(c, d), _mm512_shuffle_f32x4::<0xee>(c, d));
        let columns = [
            _mm512_shuffle_f32x4::<0x88>(ab_01, cd_01),
            _mm512_shuffle_f32x4::<0xdd>(ab_01, cd_01),
            _mm512_shuffle_f32x4::<0x88>(ab_23, cd_23),
            _mm512_shuffle_f32x4::<0xdd>(ab_23, cd_23),
        ];
        for (lane, column) in columns.into_iter().enumerate() {
            let j = 4 * lane + e;
            if j < width {
                // SAFETY: column j < width, lanes below `height`.
                unsafe { _mm512_mask_storeu_ps(to.add(j * to_stride), first(height), column) }
            }
        }
    }
}
