//! Compiled plans against the reference evaluator, and against themselves on other numbers of threads.

mod devices;
mod graphs;
mod halves;
mod lines;
mod long;
mod machine;
mod optimizers;
mod parts;
mod primitives;
mod recurrence;
mod rows;
mod scatter;
mod training;
mod wide;
