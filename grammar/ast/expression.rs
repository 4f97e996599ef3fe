//! Expressions: their kinds, operators and arguments.

use super::{Block, FamilyRef, Ident, IndexItem};
use crate::source::Span;

/// An expression.
#[derive(Clone, Debug)]
pub struct Expr {
    /// What it says.
    pub kind: ExprKind,
    /// Its place, its own parentheses included.
    pub span: Span,
}

/// What an expression says.
#[derive(Clone, Debug)]
pub enum ExprKind {
    /// `3`, `0.5`, `10_000`, `1e-3`
    Number(Number),
    /// `5 epochs`, `25 Gbit/s`
    Quantity {
        /// How many.
        value: Number,
        /// The unit as written.
        unit: Ident,
    },
    /// `"text"`, escapes resolved.
    String(String),
    /// `true`, `false`
    Bool(bool),
    /// A name.
    Name(Ident),
    /// `(a)`: kept, so that the printer writes what the user wrote.
    Paren(Box<Expr>),
    /// `(a, b)`, `()`, `(a,)`
    Tuple(Vec<Expr>),
    /// `[a, b]`
    List(Vec<Expr>),
    /// `-x`, `not x`, `frozen f(x)`
    Unary {
        /// Which.
        op: UnaryOp,
        /// Of what.
        arg: Box<Expr>,
    },
    /// `a + b`, `x |> f`, `0..4`
    Binary {
        /// Which.
        op: BinaryOp,
        /// Where the operator stands.
        op_span: Span,
        /// Left of it.
        left: Box<Expr>,
        /// Right of it.
        right: Box<Expr>,
    },
    /// `f(a, b: c, d = 3)`
    Call {
        /// What is called.
        callee: Box<Expr>,
        /// With what.
        args: Vec<Argument>,
        /// The parentheses.
        args_span: Span,
    },
    /// `a[i]`, `net(x)["fire4"]`
    Index {
        /// What is indexed.
        base: Box<Expr>,
        /// By what.
        items: Vec<IndexItem>,
    },
    /// `conv(3) as first`
    As {
        /// The call.
        call: Box<Expr>,
        /// Its name.
        name: FamilyRef,
    },
    /// `for l in names { … }`: a list.
    For {
        /// The index.
        var: Ident,
        /// What it runs over.
        over: Box<Expr>,
        /// Whose last statement is the value.
        body: Block,
    },
    /// `every 2 epochs`, `every(0.5 epochs, from: 5 epochs)` is a call.
    Every(Box<Expr>),
    /// Reported when it was skipped.
    Bad,
}

/// A number and how it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Number {
    /// As written.
    pub text: String,
    /// Its value.
    pub value: f64,
    /// Its value where it is written as a whole number that fits.
    pub int: Option<i64>,
}

/// Operators before their operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UnaryOp {
    /// `-`
    Neg,
    /// `not`
    Not,
    /// `frozen`
    Frozen,
}

/// Operators between two operands, loosest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    /// `|>`
    Pipe,
    /// `or`
    Or,
    /// `and`
    And,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
    /// `..`
    Range,
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `%`
    Rem,
    /// `@`
    MatMul,
}

impl BinaryOp {
    /// How it is written.
    pub const fn text(self) -> &'static str {
        match self {
            BinaryOp::Pipe => "|>",
            BinaryOp::Or => "or",
            BinaryOp::And => "and",
            BinaryOp::Equal => "==",
            BinaryOp::NotEqual => "!=",
            BinaryOp::Less => "<",
            BinaryOp::LessEqual => "<=",
            BinaryOp::Greater => ">",
            BinaryOp::GreaterEqual => ">=",
            BinaryOp::Range => "..",
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::Mul => "*",
            BinaryOp::Div => "/",
            BinaryOp::Rem => "%",
            BinaryOp::MatMul => "@",
        }
    }
}

/// One argument of a call.
#[derive(Clone, Debug)]
pub struct Argument {
    /// What it is given as.
    pub name: ArgumentName,
    /// Its value.
    pub value: Expr,
    /// The whole argument.
    pub span: Span,
}

/// How an argument is given.
#[derive(Clone, Debug)]
pub enum ArgumentName {
    /// By position.
    None,
    /// `kernel: 3`
    Colon(Ident),
    /// `class = 1000`: an axis with a name and a size.
    Equals(Ident),
}
