//! What the gradient of a primitive is written with.

use super::{Binary, Op, Reduction, Unary};
use crate::graph::{Graph, OriginId, ValueId};
use crate::types::{DType, Size, Type};

/// A value whose gradient is known, and the graph in which the gradients of its operands are to be built.
pub struct Backward<'a> {
    /// Grows.
    pub graph: &'a mut Graph,
    /// The value.
    pub value: ValueId,
    /// Its operands.
    pub args: Vec<ValueId>,
    /// The gradient of the loss by the value; of the value's type.
    pub dy: ValueId,
    /// Where the value comes from; so do its gradients.
    pub origin: OriginId,
}

impl Backward<'_> {
    /// The type of a value.
    pub fn ty(&self, value: ValueId) -> Type {
        self.graph.ty(value).clone()
    }

    /// `op(args)`
    pub fn add(&mut self, op: Op, args: &[ValueId]) -> ValueId {
        self.graph.add(op, args, self.origin)
    }

    /// `function(x)`
    pub fn unary(&mut self, function: Unary, x: ValueId) -> ValueId {
        self.add(Op::Unary(function), &[x])
    }

    /// `function(a, b)`
    pub fn binary(&mut self, function: Binary, a: ValueId, b: ValueId) -> ValueId {
        self.add(Op::Binary(function), &[a, b])
    }

    /// `a * b`
    pub fn mul(&mut self, a: ValueId, b: ValueId) -> ValueId {
        self.binary(Binary::Mul, a, b)
    }

    /// `a / b`
    pub fn div(&mut self, a: ValueId, b: ValueId) -> ValueId {
        self.binary(Binary::Div, a, b)
    }

    /// `-x`
    pub fn neg(&mut self, x: ValueId) -> ValueId {
        self.unary(Unary::Neg, x)
    }

    /// `condition ? a : b`
    pub fn select(&mut self, condition: ValueId, a: ValueId, b: ValueId) -> ValueId {
        self.add(Op::Select, &[condition, a, b])
    }

    /// A number everywhere, in the type of `like`.
    pub fn number(&mut self, number: f64, like: ValueId) -> ValueId {
        let ty = self.ty(like);
        self.graph.filled(number, &ty, self.origin)
    }

    /// The axes of `x` in another order.
    pub fn transpose(&mut self, x: ValueId, order: Vec<usize>) -> ValueId {
        if order.iter().copied().eq(0..order.len()) {
            return x;
        }
        self.add(Op::Transpose { order }, &[x])
    }

    /// The sum along some axes, increasing.
    pub fn sum(&mut self, x: ValueId, axes: Vec<usize>) -> ValueId {
        if axes.is_empty() {
            return x;
        }
        self.add(Op::Reduce { op: Reduction::Sum, axes }, &[x])
    }

    /// `start..end` of one axis.
    pub fn slice(&mut self, x: ValueId, axis: usize, start: Size, end: Size) -> ValueId {
        self.add(Op::Slice { axis, start, end }, &[x])
    }

    /// `x` under the axes of `like`, which has as many elements.
    pub fn shaped_like(&mut self, x: ValueId, like: ValueId) -> ValueId {
        let axes = self.ty(like).axes;
        if self.ty(x).axes == axes {
            return x;
        }
        self.add(Op::Reshape { axes }, &[x])
    }

    /// Truth values as numbers of `dtype`.
    pub fn as_number(&mut self, truth: ValueId, dtype: DType) -> ValueId {
        self.add(Op::Cast(dtype), &[truth])
    }
}
