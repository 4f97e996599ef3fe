//! Plain arrays of `f64`, row-major: what the reference evaluator computes with. Truth values are 0 and 1.

use std::ops::Range;

use crate::types::DType;

/// Numbers in a shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Sizes of the axes.
    pub shape: Vec<usize>,
    /// The numbers; the last axis varies fastest.
    pub data: Vec<f64>,
}

impl Array {
    /// These numbers in this shape.
    ///
    /// # Panics
    /// If their number is not that of the shape.
    pub fn new(shape: &[usize], data: Vec<f64>) -> Array {
        assert_eq!(shape.iter().product::<usize>(), data.len(), "{shape:?} holds another number of elements");
        Array { shape: shape.to_vec(), data }
    }

    /// A single number.
    pub fn number(value: f64) -> Array {
        Array::new(&[], vec![value])
    }

    /// One number everywhere.
    pub fn filled(shape: &[usize], value: f64) -> Array {
        Array::new(shape, vec![value; shape.iter().product()])
    }

    /// Each number from its index.
    pub fn from_fn(shape: &[usize], mut number: impl FnMut(&[usize]) -> f64) -> Array {
        let mut data = Vec::with_capacity(shape.iter().product());
        each_index(shape, |index| data.push(number(index)));
        Array::new(shape, data)
    }

    /// Each number from the one at its place.
    pub fn map(&self, number: impl FnMut(f64) -> f64) -> Array {
        Array::new(&self.shape, self.data.iter().copied().map(number).collect())
    }

    /// The number at an index.
    pub fn at(&self, index: &[usize]) -> f64 {
        self.data[self.offset(index)]
    }

    /// Adds to the number at an index.
    pub fn add_at(&mut self, index: &[usize], value: f64) {
        let offset = self.offset(index);
        self.data[offset] += value;
    }

    /// Where in `data` an index lies.
    pub fn offset(&self, index: &[usize]) -> usize {
        debug_assert!(index.len() == self.shape.len() && index.iter().zip(&self.shape).all(|(i, n)| i < n));
        index.iter().zip(&self.shape).fold(0, |offset, (i, size)| offset * size + i)
    }

    /// A stretch of one axis.
    pub fn slice(&self, axis: usize, range: Range<usize>) -> Array {
        let mut shape = self.shape.clone();
        shape[axis] = range.len();
        Array::from_fn(&shape, |index| {
            let mut from = index.to_vec();
            from[axis] += range.start;
            self.at(&from)
        })
    }

    /// Arrays one after the other along one axis.
    pub fn concat(parts: &[&Array], axis: usize) -> Array {
        let mut shape = parts[0].shape.clone();
        shape[axis] = parts.iter().map(|p| p.shape[axis]).sum();
        Array::from_fn(&shape, |index| {
            let mut from = index.to_vec();
            for part in parts {
                if from[axis] < part.shape[axis] {
                    return part.at(&from);
                }
                from[axis] -= part.shape[axis];
            }
            unreachable!("the sizes of the parts add up to that of the whole")
        })
    }
}

/// Calls `visit` with every index of a shape, the last axis fastest.
pub fn each_index(shape: &[usize], mut visit: impl FnMut(&[usize])) {
    if shape.contains(&0) {
        return;
    }
    let mut index = vec![0; shape.len()];
    loop {
        visit(&index);
        let Some(axis) = (0..shape.len()).rev().find(|i| index[*i] + 1 < shape[*i]) else { return };
        index[axis] += 1;
        index[axis + 1..].fill(0);
    }
}

/// What a number becomes when it is stored: integers wrap around; floats are left as they are, unrounded.
pub fn stored(dtype: DType, value: f64) -> f64 {
    match dtype {
        DType::F32 | DType::F64 | DType::Bf16 | DType::F16 => value,
        DType::I32 => value as i128 as i32 as f64,
        DType::I64 => value as i128 as i64 as f64,
        DType::U8 => value as i128 as u8 as f64,
        DType::Bool => f64::from(u8::from(value != 0.0)),
    }
}

/// The smallest and the largest number of a dtype.
pub fn limits(dtype: DType) -> (f64, f64) {
    match dtype {
        DType::F32 | DType::F64 | DType::Bf16 | DType::F16 => (f64::NEG_INFINITY, f64::INFINITY),
        DType::I32 => (f64::from(i32::MIN), f64::from(i32::MAX)),
        DType::I64 => (i64::MIN as f64, i64::MAX as f64),
        DType::U8 => (0.0, 255.0),
        DType::Bool => (0.0, 1.0),
    }
}
