//! Products.

use super::super::isa::Isa;
use super::super::micro::Micro;
use super::super::product::{ProductDesc, RELU, product_with};
use super::super::sums;
use super::{assert_near, bits, numbers, pick, scratch};
use std::ops::Range;

/// Operands of a product; all elements of A, B and C, as the strides ask for them.
struct Case {
    desc: ProductDesc,
    a: Vec<f32>,
    b: Vec<f32>,
    c: Vec<f32>,
    bias: Option<Vec<f32>>,
}

impl Case {
    fn new(desc: ProductDesc, seed: u64) -> Case {
        let room = |rows: u64, columns: u64, row: i64, column: i64| {
            let last = (rows.max(1) - 1) as i64 * row + (columns.max(1) - 1) as i64 * column;
            last as usize + 1
        };
        let ProductDesc { m, n, k, .. } = desc;
        Case {
            desc,
            a: numbers(room(m, k, desc.a_row, desc.a_column), seed),
            b: numbers(room(k, n, desc.b_row, desc.b_column), seed + 1),
            c: numbers(room(m, n, desc.c_row, desc.c_column), seed + 2),
            bias: None,
        }
    }

    /// C after computing each part.
    fn run(&self, isa: Isa, parts: &[(Range<usize>, Range<usize>)]) -> Vec<f32> {
        let mut c = self.c.clone();
        let mut scratch = scratch(self.desc.scratch_bytes());
        let bias = self.bias.as_ref().map_or(std::ptr::null(), |bias| bias.as_ptr());
        for (rows, columns) in parts.iter().cloned() {
            // SAFETY: `new` made the operands as large as the strides ask for.
            unsafe {
                product_with(
                    Micro::of(isa),
                    &self.desc,
                    self.a.as_ptr(),
                    self.b.as_ptr(),
                    c.as_mut_ptr(),
                    bias,
                    rows,
                    columns,
                    scratch.as_mut_ptr(),
                );
            }
        }
        c
    }

    fn whole(&self, isa: Isa) -> Vec<f32> {
        self.run(isa, &[(0..self.desc.m as usize, 0..self.desc.n as usize)])
    }

    /// C by plain loops; `None` for elements that the product does not touch.
    fn plain(&self) -> Vec<f64> {
        let d = self.desc;
        let mut c: Vec<f64> = self.c.iter().map(|&c| f64::from(c)).collect();
        for i in 0..d.m as i64 {
            for j in 0..d.n as i64 {
                let at = &mut c[(i * d.c_row + j * d.c_column) as usize];
                let mut sum = 0.0;
                for p in 0..d.k as i64 {
                    let a = self.a[(i * d.a_row + p * d.a_column) as usize];
                    let b = self.b[(p * d.b_row + j * d.b_column) as usize];
                    sum += f64::from(a) * f64::from(b);
                }
                sum += self.bias.as_ref().map_or(0.0, |bias| f64::from(bias[j as usize]));
                *at = if d.flags & RELU != 0 && sum < 0.0 { 0.0 } else { sum };
            }
        }
        c
    }

    /// Right on every instruction set, with the same bits for each, whole and in parts.
    fn check(&self, seed: u64) {
        let d = &self.desc;
        let want = self.whole(Isa::Portable);
        assert_near(&want, &self.plain(), d.k as usize, d);
        let (m, n) = (d.m as usize, d.n as usize);
        let (i, j) = (pick(seed, 0, m + 1), pick(seed, 1, n + 1));
        let rows = [(0..i, 0..n), (i..m, 0..n)];
        let columns = [(0..m, 0..j), (0..m, j..n)];
        let quarters = [(0..i, 0..j), (i..m, 0..j), (0..i, j..n), (i..m, j..n)];
        for isa in Isa::available() {
            assert_eq!(bits(&self.whole(isa)), bits(&want), "{isa:?} {d:?}");
            for parts in [&rows[..], &columns[..], &quarters[..]] {
                assert_eq!(bits(&self.run(isa, parts)), bits(&want), "{isa:?} {d:?} {parts:?}");
            }
        }
    }
}

#[test]
fn every_small_shape_is_a_part_of_a_larger_one() {
    // The element at (i, j) of an m × n product has the bits that it has in the largest product.
    for k in [0, 1, 2, 7, 64, 255, 257, 700, 1100] {
        let (m_max, n_max) = (40, 40);
        let large = Case::new(ProductDesc::row_major(m_max, n_max, k), 5);
        for isa in Isa::available() {
            let want = large.whole(isa);
            for m in 1..=m_max {
                for n in 1..=n_max {
                    let desc = ProductDesc { m: m as u64, n: n as u64, ..large.desc };
                    let c = numbers(m_max * n_max, 6);
                    let case = Case { desc, a: large.a.clone(), b: large.b.clone(), c, bias: None };
                    let got = case.whole(isa);
                    for i in 0..m {
                        let row = i * n_max..i * n_max + n;
                        assert_eq!(bits(&got[row.clone()]), bits(&want[row]), "{isa:?} {m} {n} {k} row {i}");
                    }
                    // What is not C stays as it was.
                    for i in 0..m_max {
                        let rest = i * n_max + if i < m { n } else { 0 }..(i + 1) * n_max;
                        assert_eq!(bits(&got[rest.clone()]), bits(&case.c[rest]), "{isa:?} {m} {n} {k}");
                    }
                }
            }
        }
    }
}

#[test]
fn any_strides_flags_and_parts() {
    for seed in 0..300 {
        let size = |index, bound| pick(seed, index, bound) as i64;
        let (m, n, inner) = (size(10, 70), size(11, 100), [1, 1, 2, 3, 5, 64][pick(seed, 13, 6)]);
        let (outer, k) = (size(12, 2100) / inner, size(12, 2100) / inner * inner);
        let sum = sums::axes(&[outer as usize, inner as usize]);
        // Row-major, column-major or neither, with room between.
        let strides = |index: u64, rows: i64, columns: i64| match size(index, 3) {
            0 => (columns.max(1) + size(index + 1, 3), 1),
            1 => (1, rows.max(1) + size(index + 1, 3)),
            _ => (columns.max(1) * 2 + size(index + 1, 3), 2),
        };
        let (a_row, a_column) = strides(20, m, k);
        let (b_row, b_column) = strides(30, k, n);
        let (c_row, c_column) = strides(40, m, n);
        let [m, n, k] = [m, n, k].map(|x| x as u64);
        let flags = [0, RELU][pick(seed, 14, 2)];
        let desc = ProductDesc { m, n, k, a_row, a_column, b_row, b_column, c_row, c_column, sum, flags };
        let mut case = Case::new(desc, seed);
        case.bias = (pick(seed, 15, 2) == 1).then(|| numbers(n as usize, seed + 9));
        case.check(seed);
    }
}

#[test]
fn large_shapes_go_through_all_loops() {
    // More columns than one packing holds, more steps than one packing holds, many rows.
    for (m, n, k) in
        [(3, 9000, 64), (300, 40, 2500), (1, 300, 5000), (500, 1, 700), (60, 700, 2100), (2100, 300, 2500)]
    {
        let case = Case::new(ProductDesc::row_major(m, n, k), 8);
        let best = Isa::best();
        let got = case.whole(best);
        assert_near(&got, &case.plain(), k, &case.desc);
        let (i, j) = (m / 3, n / 3);
        let parts = [(0..i, 0..j), (i..m, 0..j), (0..i, j..n), (i..m, j..n)];
        assert_eq!(bits(&case.run(best, &parts)), bits(&got), "{:?}", case.desc);
    }
}

/// The sum over `axes` of products from the first terms on, by its definition.
fn by_halves(axes: &sums::Axes, a: &[f32], b: &[f32]) -> f32 {
    let Some((axis, first)) = sums::halves(axes) else {
        return a.iter().zip(b).fold(0.0f32, |sum, (&a, &b)| a.mul_add(b, sum));
    };
    let (mut left, mut right) = (*axes, *axes);
    left[axis] = first;
    right[axis] -= first;
    let middle = sums::terms(&left);
    by_halves(&left, &a[..middle], &b[..middle]) + by_halves(&right, &a[middle..], &b[middle..])
}

#[test]
fn a_sum_is_that_of_its_halves() {
    for axes in
        [[256, 1, 1, 1], [257, 1, 1, 1], [1000, 1, 1, 1], [5, 100, 1, 1], [7, 3, 40, 5], [20_000, 1, 1, 1]]
    {
        let k = sums::terms(&axes);
        let mut case = Case::new(ProductDesc::row_major(1, 1, k), 4);
        case.desc.sum = axes;
        let want = by_halves(&axes, &case.a, &case.b);
        for isa in Isa::available() {
            assert_eq!(case.whole(isa)[0].to_bits(), want.to_bits(), "{isa:?} {axes:?}");
        }
    }
}

#[test]
fn relu_keeps_nan() {
    let mut case = Case::new(ProductDesc { flags: RELU, ..ProductDesc::row_major(2, 2, 1) }, 4);
    case.a = vec![1.0, -1.0];
    case.b = vec![f32::NAN, 3.0];
    for isa in Isa::available() {
        let c = case.whole(isa);
        assert!(c[0].is_nan() && c[2].is_nan(), "{isa:?} {c:?}");
        assert_eq!((c[1], c[3].to_bits()), (3.0, 0), "{isa:?} {c:?}");
    }
}
