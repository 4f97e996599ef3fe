//! How variables begin.
//!
//! In: how, a seed, the variable's full name, its dtype and shape. Out: a tensor. Promise: an element is a
//! function of the seed, the name and the element's index (of an orthogonal matrix: and of its shape), never of
//! a thread or a device; adding a variable changes no other.

use std::fmt;

use crate::kernels::random::{Draw, stream_of};
use crate::{DType, Tensor};

/// How a variable begins. A function of seed, name and element index, never of a device or thread.
#[derive(Clone, Debug, PartialEq)]
pub enum Init {
    /// Every element this number.
    Constant(f64),
    /// Uniform in `-limit..limit`.
    Uniform {
        /// The bound.
        limit: f64,
    },
    /// Normal with mean 0.
    Normal {
        /// Its standard deviation.
        deviation: f64,
    },
    /// Orthonormal rows or columns, whichever are fewer, times `gain`. Rows run over all axes but the last.
    Orthogonal {
        /// The factor.
        gain: f64,
        /// How many matrices it holds, one after the other along the first axes; mostly 1.
        blocks: u64,
    },
}

/// As in the text of a model: `normal(0.05)`.
impl fmt::Display for Init {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Init::Constant(value) => write!(f, "{value}"),
            Init::Uniform { limit } => write!(f, "uniform({limit})"),
            Init::Normal { deviation } => write!(f, "normal({deviation})"),
            Init::Orthogonal { gain, .. } => write!(f, "orthogonal({gain})"),
        }
    }
}

/// The tensor with which the variable `name` begins in a run with this seed.
pub fn initial(init: &Init, seed: u64, name: &str, dtype: DType, shape: &[usize]) -> Tensor {
    // The words before the name keep these draws apart from those that a step makes.
    let draw = Draw::new(seed, stream_of(&format!("initial value of {name}")), 0);
    let mut tensor = Tensor::zeros(dtype, shape);
    let mut values = vec![0.0_f32; tensor.elements()];
    match init {
        Init::Constant(value) => store(&mut tensor, std::iter::repeat(*value)),
        Init::Uniform { limit } => {
            draw.fill_uniform(&mut values, 0);
            store(&mut tensor, values.iter().map(|u| limit * (2.0 * f64::from(*u) - 1.0)));
        }
        Init::Normal { deviation } => {
            draw.fill_normal(&mut values, 0);
            store(&mut tensor, values.iter().map(|n| deviation * f64::from(*n)));
        }
        Init::Orthogonal { gain, blocks } => {
            draw.fill_normal(&mut values, 0);
            let columns = shape.last().copied().unwrap_or(1);
            let each = values.len() / usize::try_from(*blocks).unwrap_or(1).max(1);
            let rows = each.checked_div(columns).unwrap_or(0);
            let blocks = values.chunks(each.max(1)).flat_map(|block| orthogonal(block, rows, columns));
            store(&mut tensor, blocks.map(|q| gain * q));
        }
    }
    tensor
}

/// `rows × columns` numbers, row-major, whose rows (or columns, where they are fewer) are orthonormal, made of
/// as many normally distributed ones.
///
/// Gram and Schmidt's method, each projection taken twice, so that rounding errors of the first are removed.
fn orthogonal(normal: &[f32], rows: usize, columns: usize) -> Vec<f64> {
    let length = rows.max(columns);
    let mut basis: Vec<Vec<f64>> = Vec::with_capacity(rows.min(columns));
    for drawn in normal.chunks(length.max(1)) {
        let mut new: Vec<f64> = drawn.iter().map(|n| f64::from(*n)).collect();
        for _ in 0..2 {
            for old in &basis {
                let shared = dot(old, &new);
                new.iter_mut().zip(old).for_each(|(n, o)| *n -= shared * o);
            }
        }
        let norm = dot(&new, &new).sqrt();
        new.iter_mut().for_each(|n| *n /= norm);
        basis.push(new);
    }
    let element = |row: usize, column: usize| {
        if rows <= columns { basis[row][column] } else { basis[column][row] }
    };
    (0..rows)
        .flat_map(|row| (0..columns).map(move |column| (row, column)))
        .map(|(r, c)| element(r, c))
        .collect()
}

/// Eight partial sums, so that the order of addition is fixed and still fills a vector unit.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let (a, a_rest) = a.as_chunks::<8>();
    let (b, b_rest) = b.as_chunks::<8>();
    for (a, b) in a.iter().zip(b) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f64>() + rest
}

/// Writes numbers as the tensor's dtype, each rounded to the nearest that it holds.
fn store(tensor: &mut Tensor, values: impl Iterator<Item = f64>) {
    let dtype = tensor.dtype();
    for (element, value) in tensor.bytes_mut().chunks_exact_mut(dtype.bytes()).zip(values) {
        match dtype {
            DType::F32 => element.copy_from_slice(&(value as f32).to_ne_bytes()),
            DType::F64 => element.copy_from_slice(&value.to_ne_bytes()),
            DType::Bf16 => element.copy_from_slice(&half::bf16::from_f64(value).to_ne_bytes()),
            DType::F16 => element.copy_from_slice(&half::f16::from_f64(value).to_ne_bytes()),
            DType::I32 => element.copy_from_slice(&(value as i32).to_ne_bytes()),
            DType::I64 => element.copy_from_slice(&(value as i64).to_ne_bytes()),
            DType::U8 => element.copy_from_slice(&[value as u8]),
            DType::Bool => element.copy_from_slice(&[u8::from(value != 0.0)]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Init, initial};
    use crate::{DType, Tensor};

    fn f32s(init: &Init, seed: u64, name: &str, shape: &[usize]) -> Vec<f32> {
        initial(init, seed, name, DType::F32, shape).as_f32().unwrap().to_vec()
    }

    #[test]
    fn depends_on_seed_and_name_and_prefix_of_index_only() {
        let init = Init::Normal { deviation: 2.0 };
        let long = f32s(&init, 7, "a/w", &[300_000]);
        assert_eq!(&long[..1000], f32s(&init, 7, "a/w", &[10, 100]));
        assert_ne!(&long[..1000], f32s(&init, 8, "a/w", &[1000]));
        assert_ne!(&long[..1000], f32s(&init, 7, "b/w", &[1000]));
    }

    #[test]
    fn distributions_have_their_moments() {
        let moments = |v: &[f32]| {
            let n = v.len() as f64;
            let mean = v.iter().map(|x| f64::from(*x)).sum::<f64>() / n;
            (mean, (v.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / n).sqrt())
        };
        // Bounds are five standard errors of 100,000 draws.
        let (mean, deviation) = moments(&f32s(&Init::Normal { deviation: 2.0 }, 1, "w", &[100_000]));
        assert!(mean.abs() < 0.032 && (deviation - 2.0).abs() < 0.023, "{mean} {deviation}");
        let uniform = f32s(&Init::Uniform { limit: 3.0 }, 1, "w", &[100_000]);
        let (mean, deviation) = moments(&uniform);
        assert!(mean.abs() < 0.028 && (deviation - 3.0_f64.sqrt()).abs() < 0.013, "{mean} {deviation}");
        assert!(uniform.iter().all(|x| x.abs() <= 3.0));
    }

    fn f64s(init: &Init, shape: &[usize]) -> Vec<f64> {
        let tensor = initial(init, 3, "u", DType::F64, shape);
        tensor.bytes().chunks(8).map(|b| f64::from_ne_bytes(b.try_into().unwrap())).collect()
    }

    /// That rows (or columns, where they are fewer) are orthogonal to each other and 2 long.
    fn assert_orthogonal(m: &[f64], rows: usize, columns: usize) {
        let few = rows.min(columns);
        for (a, b) in (0..few).flat_map(|a| (0..few).map(move |b| (a, b))) {
            let products = (0..rows.max(columns)).map(|k| match rows <= columns {
                true => m[a * columns + k] * m[b * columns + k],
                false => m[k * columns + a] * m[k * columns + b],
            });
            let expected = if a == b { 4.0 } else { 0.0 };
            assert!((products.sum::<f64>() - expected).abs() < 1e-12, "{rows} × {columns}: {a}, {b}");
        }
    }

    #[test]
    fn orthogonal_both_ways() {
        for (rows, columns) in [(5, 20), (20, 5), (1, 1), (8, 8), (3, 0)] {
            let m = f64s(&Init::Orthogonal { gain: 2.0, blocks: 1 }, &[rows, columns]);
            assert_orthogonal(&m, rows, columns);
        }
    }

    #[test]
    fn each_block_is_orthogonal_by_itself() {
        // Rows of a block run over what is left of the axes before the last: 2 × 3 and 4.
        for (blocks, shape, rows) in
            [(3, &[3, 2, 3, 4][..], 6), (6, &[3, 2, 3, 4], 3), (4, &[4, 5, 4], 5), (2, &[2, 0, 4], 0)]
        {
            let m = f64s(&Init::Orthogonal { gain: 2.0, blocks }, shape);
            let each: Vec<&[f64]> = m.chunks((rows * 4).max(1)).collect();
            assert_eq!(each.len(), if rows == 0 { 0 } else { blocks as usize });
            each.iter().for_each(|block| assert_orthogonal(block, rows, 4));
            assert!(each.windows(2).all(|pair| pair[0] != pair[1]), "blocks are drawn apart");
        }
        let one = f64s(&Init::Orthogonal { gain: 2.0, blocks: 1 }, &[2, 3, 4]);
        assert_ne!(one, f64s(&Init::Orthogonal { gain: 2.0, blocks: 2 }, &[2, 3, 4]));
    }

    #[test]
    fn constants_of_every_dtype() {
        for dtype in DType::ALL {
            let one = initial(&Init::Constant(1.0), 0, "s", dtype, &[3]);
            assert_eq!(one.shape(), [3]);
            assert_ne!(one, Tensor::zeros(dtype, &[3]));
        }
        assert_eq!(initial(&Init::Constant(-3.0), 0, "s", DType::I64, &[]).bytes(), (-3_i64).to_ne_bytes());
    }
}
