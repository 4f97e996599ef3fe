//! How a model is trained: `train`.

use super::{Argument, Expr, FamilyRef, Ident, Text};
use crate::source::Span;

/// `train Model(args) { … }`
#[derive(Clone, Debug)]
pub struct Train {
    /// The model; `None` where the head is broken.
    pub model: Option<Ident>,
    /// Values of the model's parameters.
    pub args: Vec<Argument>,
    /// `as NAME`: what the run is called, where a file has several.
    pub name: Option<Ident>,
    /// Its lines.
    pub body: Vec<TrainStatement>,
    /// The braces.
    pub block: Span,
    /// The whole item.
    pub span: Span,
}

/// One line of `train`.
#[derive(Clone, Debug)]
pub struct TrainStatement {
    /// What it says.
    pub kind: TrainKind,
    /// Its place.
    pub span: Span,
}

/// What a line of `train` says.
#[derive(Clone, Debug)]
pub enum TrainKind {
    /// `feed recipe`
    Feed(Expr),
    /// `init from "pretrained.safetensors"`
    InitFrom(Text),
    /// `optimize momentum(rate: 0.1)`
    Optimize(Expr),
    /// `evaluate test every 1 epoch`
    Evaluate {
        /// On what.
        data: Expr,
        /// How often.
        every: Option<Expr>,
    },
    /// `stop after 20 epochs`
    StopAfter(Expr),
    /// `stop when accuracy >= 0.98`
    StopWhen(Expr),
    /// `clip norm 5`, `clip value 1`
    Clip {
        /// By the norm of the whole gradient, else by each element's size.
        norm: bool,
        /// The bound.
        limit: Expr,
    },
    /// `save canvas to "painted.png" every 50 steps`
    Save {
        /// What; `None` for the checkpoint (`save every 1000 steps`).
        name: Option<Ident>,
        /// Where to.
        path: Option<Expr>,
        /// How often.
        every: Option<Expr>,
    },
    /// `precision bf16`
    Precision(Ident),
    /// `seed 7`
    Seed(Expr),
    /// `average 0.999`, `accumulate 4` and what later versions add: a word and its values.
    Setting {
        /// The word.
        word: Ident,
        /// Its value.
        value: Expr,
    },
    /// `remat a, b`
    Remat(Vec<FamilyRef>),
    /// `restart at most 3`
    Restart(Expr),
    /// `sum any order`
    SumAnyOrder,
    /// Reported when it was skipped.
    Bad,
}
