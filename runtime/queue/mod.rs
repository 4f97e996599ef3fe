//! Input queues: from files to batches.
//!
//! In: a [`Recipe`] (a source and its stages), a seed and a place to start. Out: batches, one after the
//! other. Promise: the order of examples is a function of (seed, epoch, position) and nothing else, so a
//! feed opened at a cursor gives exactly the batches that would have followed it.

mod recipe;

pub use recipe::{Arithmetic, CsvField, IdxField, Origin, Recipe, Source, Stage, StageKind};
