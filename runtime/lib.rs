//! Machines: what a plan is, and what carries one out. Knows nothing of source text or layers.

pub mod checkpoint;
mod files;
pub mod kernels;
pub mod queue;
pub mod tensor;

pub use tensor::{DType, Tensor};
