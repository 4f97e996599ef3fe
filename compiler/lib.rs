//! The road from text to machine: parse, check, unfold, passes, lower.

pub mod graph;
pub mod model;
pub mod ops;
pub mod run;
pub mod types;
