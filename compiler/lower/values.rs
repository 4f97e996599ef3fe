//! Which values of a graph have a place in memory, and how kernels see them through layout operators.

use crate::graph::{Graph, ValueId};
use crate::ops::{InputId, Op, VariableId};

/// A tensor in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// What the caller supplies.
    Input(InputId),
    /// A variable at the beginning of the step.
    Variable(VariableId),
    /// The run's seed.
    Seed,
    /// The number of the step.
    Step,
    /// A value of the graph.
    Value(ValueId),
    /// A variable once everything has read its old value, where its new value was made elsewhere.
    Updated(VariableId),
    /// A copy, in another order of axes or at another place: an index into `Fused::copies`.
    Copy(usize),
}

/// Which values are stored.
#[derive(Clone, Debug)]
pub struct Stored {
    /// By value: whether a kernel or a nest of its own makes it.
    pub values: Vec<bool>,
}

impl Stored {
    /// Where a value lies, if it does.
    pub fn source(&self, graph: &Graph, value: ValueId) -> Option<Source> {
        if let Some(leaf) = leaf(graph, value) {
            return Some(leaf);
        }
        self.values[value.0 as usize].then_some(Source::Value(value))
    }
}

/// Where a value lies that is there before the step begins.
pub fn leaf(graph: &Graph, value: ValueId) -> Option<Source> {
    let op = graph.op(value);
    if let Op::Input(i) = op {
        Some(Source::Input(*i))
    } else if let Op::Variable(v) = op {
        Some(Source::Variable(*v))
    } else if *op == Op::Seed {
        Some(Source::Seed)
    } else {
        (*op == Op::Step).then_some(Source::Step)
    }
}

/// How a value comes about, as far as fusion is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It is there before the step.
    Leaf,
    /// A number or an index: never worth storing.
    Number,
    /// Random numbers, or a function of the operands' elements at the same place.
    Element,
    /// Other axes over the operand's elements.
    Layout,
    /// Put together from parts.
    Parts,
    /// A reduction.
    Fold,
    /// The position of the largest.
    Search,
    /// A product.
    Product,
    /// Something else that a kernel of the runtime computes, from operands that lie in memory as they are.
    Kernel,
    /// A result of a recurrence.
    Scan,
}

/// The kind of an operator.
pub fn kind(op: &Op) -> Kind {
    match op {
        Op::Input(_) | Op::Variable(_) | Op::Seed | Op::Step => Kind::Leaf,
        Op::Training | Op::Gradient(_) | Op::Slot(_) => {
            unreachable!("unfold has replaced the leaves of a model")
        }
        Op::Constant(..) | Op::Index { .. } => Kind::Number,
        Op::Random { .. } | Op::Unary(_) | Op::Binary(_) | Op::Select | Op::Cast(_) => Kind::Element,
        Op::Stop | Op::Broadcast { .. } | Op::Transpose { .. } | Op::Reshape { .. } | Op::Slice { .. } => {
            Kind::Layout
        }
        Op::Pad { .. } | Op::Concat { .. } => Kind::Parts,
        Op::Reduce { .. } => Kind::Fold,
        Op::ArgMax { .. } => Kind::Search,
        Op::Contract { .. } => Kind::Product,
        Op::Gather { .. }
        | Op::Order { .. }
        | Op::Cumulate { .. }
        | Op::ScatterAdd { .. }
        | Op::Receive { .. }
        | Op::Convolve(_)
        | Op::ConvolveInput(..)
        | Op::ConvolveKernel(..)
        | Op::Pool(_)
        | Op::PoolInput(_) => Kind::Kernel,
        Op::Scan { .. } => Kind::Scan,
    }
}

/// Distances between neighbours along each axis of a contiguous tensor, in elements.
pub fn row_major(dims: &[usize]) -> Vec<i64> {
    let mut strides = vec![1; dims.len()];
    for axis in (1..dims.len()).rev() {
        strides[axis - 1] = strides[axis] * dims[axis].max(1) as i64;
    }
    strides
}

/// A value as seen in the memory of another: through layout operators alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The value that lies in memory, row-major.
    pub base: ValueId,
    /// Elements before the first.
    pub start: i64,
    /// Sizes of the viewed value's axes.
    pub dims: Vec<usize>,
    /// Elements between neighbours along each.
    pub strides: Vec<i64>,
}

/// The deepest base through which a value can be seen with fixed strides.
pub fn view(graph: &Graph, value: ValueId) -> View {
    through(graph, value).unwrap_or_else(|| plain(graph, value))
}

/// The deepest base that holds the same elements in the same order.
pub fn same_order(graph: &Graph, value: ValueId) -> ValueId {
    if matches!(graph.op(value), Op::Stop | Op::Reshape { .. }) {
        return same_order(graph, graph.args(value)[0]);
    }
    value
}

fn plain(graph: &Graph, value: ValueId) -> View {
    let dims = graph.ty(value).dims();
    View { base: value, start: 0, strides: row_major(&dims), dims }
}

/// The view through this value's operator, if it is one of layout and the strides allow it.
fn through(graph: &Graph, value: ValueId) -> Option<View> {
    let op = graph.op(value);
    if kind(op) != Kind::Layout {
        return None;
    }
    let mut inner = view(graph, graph.args(value)[0]);
    let dims = graph.ty(value).dims();
    let strides = if let Op::Transpose { order } = op {
        order.iter().map(|of| inner.strides[*of]).collect()
    } else if let Op::Slice { axis, start, .. } = op {
        inner.start += start.known()? as i64 * inner.strides[*axis];
        inner.strides
    } else if let Op::Broadcast { from, .. } = op {
        let mut strides = vec![0; dims.len()];
        for (axis, to) in from.iter().enumerate() {
            strides[*to] = if inner.dims[axis] == 1 { 0 } else { inner.strides[axis] };
        }
        strides
    } else if let Op::Reshape { .. } = op {
        regroup(&inner.dims, &inner.strides, &dims)?
    } else {
        inner.strides
    };
    Some(View { base: inner.base, start: inner.start, strides, dims })
}

/// Strides of the same elements under other axes, where there are such.
fn regroup(dims: &[usize], strides: &[i64], to: &[usize]) -> Option<Vec<i64>> {
    if to.contains(&0) {
        return Some(row_major(to));
    }
    // Runs of axes that lie one in the other, from the last: (elements, distance of neighbours).
    let mut runs: Vec<(usize, i64)> = Vec::new();
    for (dim, stride) in dims.iter().zip(strides).rev().filter(|(dim, _)| **dim != 1) {
        match runs.last_mut() {
            Some((count, step)) if *stride == *step * *count as i64 => *count *= dim,
            _ => runs.push((*dim, *stride)),
        }
    }
    let mut runs = runs.into_iter();
    let (mut left, mut step) = runs.next().unwrap_or((1, 1));
    let mut result = vec![1; to.len()];
    for (axis, dim) in to.iter().enumerate().rev() {
        if *dim == 1 {
            continue;
        }
        if left == 1 {
            (left, step) = runs.next()?;
        }
        if left % dim != 0 {
            return None;
        }
        result[axis] = step;
        step *= *dim as i64;
        left /= dim;
    }
    Some(result)
}
