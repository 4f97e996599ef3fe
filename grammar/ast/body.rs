//! What stands in the braces of a model, a layer, a group or a loop.

use super::{Argument, Definition, Expr, FamilyRef, Ident, TypeExpr};
use crate::source::Span;

/// Statements in braces.
#[derive(Clone, Debug)]
pub struct Block {
    /// In order.
    pub statements: Vec<Statement>,
    /// Braces included.
    pub span: Span,
}

/// One statement of a model, layer, group or loop.
#[derive(Clone, Debug)]
pub struct Statement {
    /// What it says.
    pub kind: StatementKind,
    /// Its place.
    pub span: Span,
}

/// What a statement of a model, layer, group or loop says.
#[derive(Clone, Debug)]
pub enum StatementKind {
    /// `input x: f32[batch, 4]`
    Input {
        /// The input's name.
        name: Ident,
        /// Its type.
        ty: TypeExpr,
    },
    /// `param w: f32[4, 2] = glorot`, `const …`, `state …`
    Declare {
        /// Which of the three.
        kind: DeclareKind,
        /// The variable's name.
        name: Ident,
        /// Its type.
        ty: TypeExpr,
        /// Its initial value.
        init: Option<Expr>,
    },
    /// `update s = value`
    Update {
        /// The state.
        name: Ident,
        /// Its value after the step.
        value: Expr,
    },
    /// `loss value`
    Loss(Expr),
    /// `metric value`
    Metric(Expr),
    /// `for i in 0..4 { … }`
    For {
        /// The index.
        var: Ident,
        /// What it runs over.
        over: Expr,
        /// What is repeated.
        body: Block,
    },
    /// `scan x over time reverse with (h, c) = start { … }`
    Scan(Scan),
    /// `return a, b`
    Return(Vec<Expr>),
    /// `generate words { … }`
    Generate {
        /// The input that is generated.
        name: Ident,
        /// How.
        rules: Vec<GenerateRule>,
        /// The braces.
        block: Span,
    },
    /// A layer defined where it is used.
    Layer(Definition),
    /// `layer d = dense(64)`, `frozen layer net = Net()`
    LayerBind {
        /// Whether gradients stop at its parameters.
        frozen: bool,
        /// Its name.
        name: Ident,
        /// The call that lacks its tensor.
        value: Expr,
    },
    /// `name { … }`
    Group {
        /// The group, perhaps of a family: `tower[t]`.
        name: FamilyRef,
        /// Its statements.
        body: Block,
    },
    /// `a, (b, c) = x, y`
    Bind {
        /// What is bound.
        targets: Vec<Target>,
        /// To what.
        values: Vec<Expr>,
    },
    /// An expression alone: the value of a `for` expression's turn.
    Value(Expr),
    /// Text that is no statement; reported when it was skipped.
    Bad,
}

/// `param`, `const` or `state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeclareKind {
    /// Trained.
    Param,
    /// Never changes.
    Const,
    /// Carried from step to step.
    State,
}

/// A recurrence.
#[derive(Clone, Debug)]
pub struct Scan {
    /// The sequences (`scan a, b over time`), or the one count (`scan n times`).
    pub over: ScanOver,
    /// Whether it runs from the end.
    pub reverse: bool,
    /// `with (h, c) = start`
    pub state: Option<(Target, Expr)>,
    /// What one step does.
    pub body: Block,
}

/// What a `scan` runs over.
#[derive(Clone, Debug)]
pub enum ScanOver {
    /// `scan a, b over time`
    Axis {
        /// The sequences.
        inputs: Vec<Expr>,
        /// The axis.
        axis: Ident,
    },
    /// `scan n times`
    Times(Expr),
}

/// What a binding binds.
#[derive(Clone, Debug)]
pub enum Target {
    /// `x`, `final[i]`, `_`
    Name(FamilyRef),
    /// `(h, c)`
    Tuple {
        /// The members.
        members: Vec<FamilyRef>,
        /// Parentheses included.
        span: Span,
    },
}

/// One rule of a decoder.
#[derive(Clone, Debug)]
pub struct GenerateRule {
    /// What it says.
    pub kind: GenerateKind,
    /// Its place.
    pub span: Span,
}

/// What a decoder's rule says.
#[derive(Clone, Debug)]
pub enum GenerateKind {
    /// `greedy`
    Greedy,
    /// `beam 12 length 0.6`
    Beam {
        /// How many hypotheses.
        width: Expr,
        /// The exponent of length normalisation.
        length: Option<Expr>,
    },
    /// `sample temperature: 0.7, top: 40, nucleus: 0.9`
    Sample(Vec<Argument>),
    /// `prefix X`
    Prefix(Expr),
    /// `stop at END`
    StopAt(Expr),
    /// `at most 50`
    AtMost(Expr),
    /// `no repeats`
    NoRepeats,
    /// Reported when it was skipped.
    Bad,
}
