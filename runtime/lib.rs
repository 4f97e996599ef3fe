//! Machines: what a plan is, and what carries one out. Knows nothing of source text or layers.

pub mod channels;
pub mod checkpoint;
pub mod code;
pub mod faults;
pub mod files;
pub mod generate;
pub mod group;
pub mod init;
pub mod kernels;
pub mod log;
pub mod plan;
pub mod program;
pub mod queue;
pub mod saved;
pub mod session;
pub mod tensor;
pub mod threads;
pub mod train;

pub use tensor::{DType, Tensor};
