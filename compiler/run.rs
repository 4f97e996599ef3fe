//! A checked `train` block: which model learns from what, and when it is done.

use strata_grammar::Span;
use strata_runtime::queue::Recipe;
pub use strata_runtime::train::{Every, Stop};

use crate::model::Model;
use crate::placement::Placement;

/// A `train` block with everything resolved.
#[derive(Clone, Debug)]
pub struct Run {
    /// What the block is called: its `as` name, or else its model's.
    pub name: String,
    /// The model, with the optimizer's memory among its variables and new weights among its updates.
    pub model: Model,
    /// Where training examples come from; its fields bear the names of the model's inputs.
    pub feed: Recipe,
    /// What is evaluated, and how often.
    pub evaluate: Vec<Evaluate>,
    /// When it ends; at least one limit is given.
    pub stop: Vec<Stop>,
    /// Checkpoints beyond those at the end and at each evaluation.
    pub save_every: Option<Every>,
    /// Variables that are written to files on the way.
    pub saves: Vec<Save>,
    /// So many batches make one update; 1 unless it says `accumulate`.
    pub accumulate: u64,
    /// Decides initial values, shuffles and masks; `--seed` overrides it.
    pub seed: u64,
    /// What the numbers in data errors stand for: index = the recipe's origin.
    pub data_origins: Vec<Span>,
    /// Where the model runs, where the spec has devices.
    pub placement: Option<Placement>,
    /// The `train` item.
    pub span: Span,
}

/// One line such as `save canvas to "canvas.png" every 50 steps`.
#[derive(Clone, Debug)]
pub struct Save {
    /// The variable's full name.
    pub variable: String,
    /// The file, within the run's folder; `{step}` in it stands for the number of steps.
    pub file: String,
    /// How often; at the end in any case.
    pub every: Option<Every>,
    /// The statement.
    pub span: Span,
}

/// One `evaluate` line.
#[derive(Clone, Debug)]
pub struct Evaluate {
    /// The data's name in the spec: `test`.
    pub name: String,
    /// Where its examples come from.
    pub data: Recipe,
    /// How often; at the end in any case.
    pub every: Option<Every>,
}
