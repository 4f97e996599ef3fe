//! Types of tensors as written.

use super::{Expr, Ident};
use crate::source::Span;

/// A tensor type or a tuple of them.
#[derive(Clone, Debug)]
pub enum TypeExpr {
    /// `f32[batch, units]`, `axis`, `int`
    Tensor {
        /// The dtype or kind as written.
        head: Ident,
        /// `None` without brackets; `f32[]` is a scalar with `Some(vec![])`.
        axes: Option<Vec<AxisExpr>>,
        /// The whole type.
        span: Span,
    },
    /// `(f32[…], f32[…])`
    Tuple {
        /// The members.
        members: Vec<TypeExpr>,
        /// The whole type.
        span: Span,
    },
}

impl TypeExpr {
    /// Its place.
    pub fn span(&self) -> Span {
        match self {
            TypeExpr::Tensor { span, .. } | TypeExpr::Tuple { span, .. } => *span,
        }
    }
}

/// One axis in a tensor type.
#[derive(Clone, Debug)]
pub struct AxisExpr {
    /// What is said of it.
    pub kind: AxisKind,
    /// Its place.
    pub span: Span,
}

/// What is said of an axis.
#[derive(Clone, Debug)]
pub enum AxisKind {
    /// `..`: any leading axes.
    Rest,
    /// `ragged time` or `ragged time = 20`
    Ragged {
        /// The axis's name.
        name: Ident,
        /// Its size, where it has one.
        size: Option<Expr>,
    },
    /// `height = 28`
    Sized {
        /// The axis's name.
        name: Ident,
        /// Its size.
        size: Expr,
    },
    /// `batch`, `28`, `4 * units`: a lone name is a name, anything else a size.
    Expr(Expr),
}
