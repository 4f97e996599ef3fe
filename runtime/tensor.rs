//! Host tensors: a dtype, a shape and aligned bytes, row-major (the last axis varies fastest).

use std::fmt;

/// What one element is stored as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DType {
    F32,
    F64,
    Bf16,
    F16,
    I32,
    I64,
    U8,
    Bool,
}

impl DType {
    /// Every dtype, in the order of the language reference.
    pub const ALL: [DType; 8] =
        [DType::F32, DType::F64, DType::Bf16, DType::F16, DType::I32, DType::I64, DType::U8, DType::Bool];

    /// Bytes of one element.
    pub const fn bytes(self) -> usize {
        match self {
            DType::F64 | DType::I64 => 8,
            DType::F32 | DType::I32 => 4,
            DType::Bf16 | DType::F16 => 2,
            DType::U8 | DType::Bool => 1,
        }
    }

    /// The name as it is written in a spec.
    pub const fn name(self) -> &'static str {
        match self {
            DType::F32 => "f32",
            DType::F64 => "f64",
            DType::Bf16 => "bf16",
            DType::F16 => "f16",
            DType::I32 => "i32",
            DType::I64 => "i64",
            DType::U8 => "u8",
            DType::Bool => "bool",
        }
    }

    /// The dtype called `name` in a spec, if there is one.
    pub fn from_name(name: &str) -> Option<DType> {
        DType::ALL.into_iter().find(|d| d.name() == name)
    }

    /// Whether elements are floating-point numbers.
    pub const fn is_float(self) -> bool {
        matches!(self, DType::F32 | DType::F64 | DType::Bf16 | DType::F16)
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A tensor in the host's memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    dtype: DType,
    shape: Vec<usize>,
    /// Whole words, so that a view as any element type is aligned.
    words: Vec<u64>,
    len: usize,
}

impl Tensor {
    /// All elements zero (false).
    pub fn zeros(dtype: DType, shape: &[usize]) -> Tensor {
        let len = shape.iter().product::<usize>() * dtype.bytes();
        Tensor { dtype, shape: shape.to_vec(), words: vec![0; len.div_ceil(8)], len }
    }

    /// A tensor whose elements have the given bytes (native order); `None` if their number does not fit the shape.
    pub fn from_bytes(dtype: DType, shape: &[usize], bytes: &[u8]) -> Option<Tensor> {
        let mut tensor = Tensor::zeros(dtype, shape);
        (bytes.len() == tensor.len).then(|| {
            tensor.bytes_mut().copy_from_slice(bytes);
            tensor
        })
    }

    /// An `f32` tensor; `None` if the number of values does not fit the shape.
    pub fn from_f32(shape: &[usize], values: &[f32]) -> Option<Tensor> {
        Tensor::from_bytes(DType::F32, shape, bytemuck::cast_slice(values))
    }

    /// An `i32` tensor; `None` if the number of values does not fit the shape.
    pub fn from_i32(shape: &[usize], values: &[i32]) -> Option<Tensor> {
        Tensor::from_bytes(DType::I32, shape, bytemuck::cast_slice(values))
    }

    /// What one element is stored as.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Sizes of the axes.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// The elements' bytes, row-major, native order.
    pub fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.words)[..self.len]
    }

    /// The elements' bytes, to be changed.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.words)[..self.len]
    }

    /// The elements as `f32`; `None` for another dtype.
    pub fn as_f32(&self) -> Option<&[f32]> {
        (self.dtype == DType::F32).then(|| bytemuck::cast_slice(self.bytes()))
    }

    /// The elements as `i32`; `None` for another dtype.
    pub fn as_i32(&self) -> Option<&[i32]> {
        (self.dtype == DType::I32).then(|| bytemuck::cast_slice(self.bytes()))
    }
}
