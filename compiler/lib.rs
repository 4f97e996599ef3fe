//! The road from text to machine: parse, check, unfold, passes, lower.

pub mod check;
pub mod cost;
pub mod graph;
pub mod graph_svg;
pub mod graph_text;
pub mod load;
pub mod lower;
pub mod model;
pub mod model_text;
pub mod ops;
pub mod passes;
pub mod reference;
pub mod run;
pub mod types;
pub mod unfold;
pub mod verify;
