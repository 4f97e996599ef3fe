//! What files of weights call the parameters of a model: `names`.

use super::{Expr, Ident, Text};
use crate::source::Span;

/// `names Model { … }`: what files call the parameters of a model.
#[derive(Clone, Debug)]
pub struct Names {
    /// The model; `None` where the head is broken.
    pub model: Option<Ident>,
    /// Its lines.
    pub body: Vec<NamesLine>,
    /// The braces.
    pub block: Span,
    /// The whole item.
    pub span: Span,
}

/// One line of `names`.
#[derive(Clone, Debug)]
pub struct NamesLine {
    /// What it says.
    pub kind: NamesKind,
    /// Its place.
    pub span: Span,
}

/// What a line of `names` says.
#[derive(Clone, Debug)]
pub enum NamesKind {
    /// `"*/w" = "*.weight" |> transpose`
    Called {
        /// The parameters, by a pattern.
        ours: Text,
        /// What is made of the file's tensors, which its texts name.
        theirs: Expr,
    },
    /// `new "head/*"`: what files do not have.
    New(Vec<Text>),
    /// `unused "classifier.*"`: what files have and the model does not.
    Unused(Vec<Text>),
    /// Reported when it was skipped.
    Bad,
}
