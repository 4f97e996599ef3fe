//! What generated code calls: products, convolutions, pooling, vector math, random numbers.
//!
//! All on raw memory that the plan owns. What threads may share takes a part of one axis, and no split of that
//! axis changes a bit of the result; see each file's first lines for what its bits depend on.

pub mod table;

pub mod product;

pub mod convolve;

pub mod pool;

pub mod math;

pub mod random;

pub mod isa;

pub mod element;

pub mod rows;

pub mod sums;

pub mod lines;

pub mod plain;

pub mod windows;

pub mod transfer;

mod contract;
mod depthwise;
mod lanes;
mod micro;
mod patches;
mod wide;

#[cfg(test)]
mod tests;

pub use convolve::ConvolveDesc;
pub use lines::LinesDesc;
pub use plain::PlainDesc;
pub use pool::PoolDesc;
pub use product::{ProductDesc, RELU};
pub use random::{Draw, stream_of};
pub use rows::RowsDesc;
pub use table::{Entry, TABLE, Table};
pub use transfer::TransferDesc;
pub use windows::WindowsDesc;
