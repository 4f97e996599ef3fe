//! Tensor types: a dtype and axes, each with a size and maybe a name. Sizes are symbolic in the free axes
//! of a model until `unfold` binds them.

use std::fmt;
use std::sync::Arc;

pub use strata_runtime::DType;

/// A name that many values share.
pub type Name = Arc<str>;

/// A free axis of a model: an index into `Model::free`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FreeId(pub u32);

/// The size of an axis. Two sizes are equal where their normal forms are.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Size {
    /// A number.
    Known(u64),
    /// The size of a free axis.
    Free(FreeId),
    /// Computed from free axes; made by the constructors below, which keep normal form.
    Expr(Arc<SizeExpr>),
}

/// A size computed from others.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SizeExpr {
    /// How.
    pub op: SizeOp,
    /// Left operand.
    pub left: Size,
    /// Right operand.
    pub right: Size,
}

/// How a size is computed from two others. Subtraction stops at 0, division rounds down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SizeOp {
    /// Sum.
    Add,
    /// Difference, never below 0.
    Sub,
    /// Product.
    Mul,
    /// Quotient, rounded down; by 0 it is 0.
    Div,
}

impl SizeOp {
    fn apply(self, left: u64, right: u64) -> u64 {
        match self {
            SizeOp::Add => left.saturating_add(right),
            SizeOp::Sub => left.saturating_sub(right),
            SizeOp::Mul => left.saturating_mul(right),
            SizeOp::Div => left.checked_div(right).unwrap_or(0),
        }
    }
}

impl Size {
    /// The number, where it does not depend on a free axis.
    pub fn known(&self) -> Option<u64> {
        match self {
            Size::Known(n) => Some(*n),
            Size::Free(_) | Size::Expr(_) => None,
        }
    }

    /// Whether it depends on a free axis.
    pub fn mentions(&self, axis: FreeId) -> bool {
        match self {
            Size::Known(_) => false,
            Size::Free(other) => *other == axis,
            Size::Expr(expr) => expr.left.mentions(axis) || expr.right.mentions(axis),
        }
    }

    fn combine(op: SizeOp, left: &Size, right: &Size) -> Size {
        if let (Size::Known(a), Size::Known(b)) = (left, right) {
            return Size::Known(op.apply(*a, *b));
        }
        match (op, left, right) {
            (SizeOp::Add, Size::Known(0), other)
            | (SizeOp::Add | SizeOp::Sub, other, Size::Known(0))
            | (SizeOp::Mul, Size::Known(1), other)
            | (SizeOp::Mul | SizeOp::Div, other, Size::Known(1)) => return other.clone(),
            (SizeOp::Mul, Size::Known(0), _) | (SizeOp::Mul, _, Size::Known(0)) => return Size::Known(0),
            _ => {}
        }
        if let Some(shorter) = Size::shortened(op, left, right) {
            return shorter;
        }
        let commutes = matches!(op, SizeOp::Add | SizeOp::Mul);
        let (left, right) = if commutes && left > right { (right, left) } else { (left, right) };
        Size::Expr(Arc::new(SizeExpr { op, left: left.clone(), right: right.clone() }))
    }

    /// Sums and differences whose parts cancel or join: what a history, one longer than its turns, is cut into has the
    /// size of the turns again.
    fn shortened(op: SizeOp, left: &Size, right: &Size) -> Option<Size> {
        let parts = |size: &Size, wanted: SizeOp| match size {
            Size::Expr(e) if e.op == wanted => Some((e.left.clone(), e.right.clone())),
            Size::Known(_) | Size::Free(_) | Size::Expr(_) => None,
        };
        match op {
            SizeOp::Add => {
                let (number, other) =
                    if left.known().is_some() { (left.known()?, right) } else { (right.known()?, left) };
                // Normal form has the number on the left.
                let (inner, rest) = parts(other, SizeOp::Add)?;
                Some(rest.add(&Size::Known(inner.known()?.checked_add(number)?)))
            }
            SizeOp::Sub if left == right => Some(Size::Known(0)),
            SizeOp::Sub => {
                if let Some((a, b)) = parts(left, SizeOp::Add) {
                    // Of two sums with a number each, as the end and the start of a stretch are.
                    if let Some((less, other)) = parts(right, SizeOp::Add)
                        && b == other
                        && let (Some(have), Some(less)) = (a.known(), less.known())
                    {
                        return Some(Size::Known(have.saturating_sub(less)));
                    }
                    if a == *right {
                        return Some(b);
                    }
                    if b == *right {
                        return Some(a);
                    }
                    let (have, less) = (a.known()?, right.known()?);
                    return Some(if have >= less {
                        b.add(&Size::Known(have - less))
                    } else {
                        b.sub(&Size::Known(less - have))
                    });
                }
                let (from, less) = parts(left, SizeOp::Sub)?;
                Some(from.sub(&Size::Known(less.known()?.checked_add(right.known()?)?)))
            }
            SizeOp::Mul | SizeOp::Div => None,
        }
    }

    /// `self + other`
    pub fn add(&self, other: &Size) -> Size {
        Size::combine(SizeOp::Add, self, other)
    }

    /// `self - other`, never below 0
    pub fn sub(&self, other: &Size) -> Size {
        Size::combine(SizeOp::Sub, self, other)
    }

    /// `self * other`
    pub fn mul(&self, other: &Size) -> Size {
        Size::combine(SizeOp::Mul, self, other)
    }

    /// `self / other`, rounded down
    pub fn div(&self, other: &Size) -> Size {
        Size::combine(SizeOp::Div, self, other)
    }

    /// The number once every free axis `f` has the size `binding[f]`.
    pub fn bind(&self, binding: &[u64]) -> u64 {
        match self {
            Size::Known(n) => *n,
            Size::Free(f) => binding[f.0 as usize],
            Size::Expr(e) => e.op.apply(e.left.bind(binding), e.right.bind(binding)),
        }
    }
}

impl From<u64> for Size {
    fn from(n: u64) -> Size {
        Size::Known(n)
    }
}

/// One axis of a tensor.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Axis {
    /// How long it is.
    pub size: Size,
    /// What it is called; what `split … by` and `axis:` speak of.
    pub name: Option<Name>,
    /// Whether each example has its own length along it.
    pub ragged: bool,
}

impl Axis {
    /// An axis without a name.
    pub fn sized(size: impl Into<Size>) -> Axis {
        Axis { size: size.into(), name: None, ragged: false }
    }

    /// An axis with a name.
    pub fn named(name: &str, size: impl Into<Size>) -> Axis {
        Axis { size: size.into(), name: Some(name.into()), ragged: false }
    }
}

/// The type of a tensor. Row-major: the last axis varies fastest.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Type {
    /// What one element is stored as.
    pub dtype: DType,
    /// From the slowest to the fastest.
    pub axes: Vec<Axis>,
}

impl Type {
    /// A tensor of `dtype` with `axes`.
    pub fn new(dtype: DType, axes: Vec<Axis>) -> Type {
        Type { dtype, axes }
    }

    /// A single number.
    pub fn scalar(dtype: DType) -> Type {
        Type { dtype, axes: Vec::new() }
    }

    /// Number of axes.
    pub fn rank(&self) -> usize {
        self.axes.len()
    }

    /// The sizes, all known. Types in a `Graph` always are.
    pub fn dims(&self) -> Vec<usize> {
        let known = |a: &Axis| a.size.known().expect("unfold has bound every free axis") as usize;
        self.axes.iter().map(known).collect()
    }

    /// Number of elements of a type with known sizes.
    pub fn elements(&self) -> usize {
        self.dims().iter().product()
    }

    /// The same axes with another dtype.
    pub fn with_dtype(&self, dtype: DType) -> Type {
        Type { dtype, axes: self.axes.clone() }
    }

    /// The same type with every free axis `f` of the size `binding[f]`.
    pub fn bind(&self, binding: &[u64]) -> Type {
        let bind = |a: &Axis| Axis { size: Size::Known(a.size.bind(binding)), ..a.clone() };
        Type { dtype: self.dtype, axes: self.axes.iter().map(bind).collect() }
    }
}

/// As written in a spec; free sizes of unnamed axes show as `?`.
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[", self.dtype)?;
        for (i, axis) in self.axes.iter().enumerate() {
            let comma = if i > 0 { ", " } else { "" };
            let ragged = if axis.ragged { "ragged " } else { "" };
            match (&axis.name, axis.size.known()) {
                (Some(name), Some(size)) => write!(f, "{comma}{ragged}{name} = {size}")?,
                (Some(name), None) => write!(f, "{comma}{ragged}{name}")?,
                (None, Some(size)) => write!(f, "{comma}{ragged}{size}")?,
                (None, None) => write!(f, "{comma}{ragged}?")?,
            }
        }
        write!(f, "]")
    }
}
