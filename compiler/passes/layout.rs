//! Removes and merges what only rearranges: reshapes, transposes, broadcasts, slices and pads that change nothing,
//! chains of them, and transposes that a contraction can read through.

use crate::graph::{Graph, Node, ValueId, rebuild};
use crate::ops::Op;
use crate::types::{Axis, Size};

/// The graph with fewer rearrangements.
pub fn layout(old: &Graph) -> Graph {
    rebuild(old, |new, node, args| {
        if let [x] = args
            && rearranges(&node.op)
            && *new.ty(*x) == node.ty
            && !matches!(&node.op, Op::Transpose { order } if !order.iter().copied().eq(0..order.len()))
        {
            return Some(*x);
        }
        match (&node.op, args) {
            (Op::Reshape { axes }, [x]) => reshape(new, node, axes, *x),
            (Op::Transpose { order }, [x]) => transpose(new, node, order, *x),
            (Op::Broadcast { from, .. }, [x]) => broadcast(new, node, from, *x),
            (Op::Reduce { axes, .. }, [x]) => reduce(new, node, axes, *x),
            (Op::Concat { .. }, [x]) => Some(*x),
            (op @ Op::Contract { .. }, [l, r]) => contract(new, node, op, [*l, *r]),
            _ => None, // keep it as it is
        }
    })
}

/// Whether an operator of one operand only rearranges elements: then it does nothing where the type stays.
fn rearranges(op: &Op) -> bool {
    matches!(
        op,
        Op::Reshape { .. } | Op::Transpose { .. } | Op::Broadcast { .. } | Op::Slice { .. } | Op::Pad { .. }
    )
}

fn reshape(new: &mut Graph, node: &Node, axes: &[Axis], x: ValueId) -> Option<ValueId> {
    let y = *new.args(x).first()?;
    if let Op::Reshape { .. } = new.op(x) {
        if new.ty(y).axes == axes {
            return Some(y);
        }
        return Some(new.add(Op::Reshape { axes: axes.to_vec() }, &[y], node.origin));
    }
    if let Op::Broadcast { from, .. } = new.op(x)
        && from.is_empty()
    {
        // One number repeated has no order.
        return Some(repeat(new, node, Vec::new(), y));
    }
    None
}

fn transpose(new: &mut Graph, node: &Node, order: &[usize], x: ValueId) -> Option<ValueId> {
    let y = *new.args(x).first()?;
    if let Op::Transpose { order: first } = new.op(x) {
        let order: Vec<usize> = order.iter().map(|i| first[*i]).collect();
        if order.iter().copied().eq(0..order.len()) {
            return Some(y);
        }
        return Some(new.add(Op::Transpose { order }, &[y], node.origin));
    }
    let Op::Broadcast { from, .. } = new.op(x) else { return None };
    // Where the operand's axes keep their order, they are only repeated elsewhere.
    let at = |axis: &usize| order.iter().position(|o| o == axis);
    let from: Vec<usize> = from.iter().filter_map(at).collect();
    let increasing = from.windows(2).all(|pair| pair[0] < pair[1]);
    increasing.then(|| repeat(new, node, from, y))
}

fn broadcast(new: &mut Graph, node: &Node, from: &[usize], x: ValueId) -> Option<ValueId> {
    let y = *new.args(x).first()?;
    if let Op::Broadcast { from: first, .. } = new.op(x) {
        let from = first.iter().map(|axis| from[*axis]).collect();
        return Some(repeat(new, node, from, y));
    }
    if let Op::Reshape { .. } = new.op(x) {
        // Axes of size 1 that come and go repeat as if they had not.
        let from = through_ones(&new.ty(y).axes, &new.ty(x).axes, from)?;
        return Some(repeat(new, node, from, y));
    }
    None
}

/// `x` repeated into the type of `node`, unless it has it.
fn repeat(new: &mut Graph, node: &Node, from: Vec<usize>, x: ValueId) -> ValueId {
    if *new.ty(x) == node.ty {
        return x;
    }
    new.add(Op::Broadcast { axes: node.ty.axes.clone(), from }, &[x], node.origin)
}

/// Where the axes of `before` go, if those of `after` go to `from` and the two differ in axes of size 1 alone.
fn through_ones(before: &[Axis], after: &[Axis], from: &[usize]) -> Option<Vec<usize>> {
    let long = |axes: &[Axis]| -> Vec<(usize, Size)> {
        let axes = axes.iter().enumerate().filter(|(_, a)| a.size != Size::Known(1));
        axes.map(|(i, a)| (i, a.size.clone())).collect()
    };
    let (a, b) = (long(before), long(after));
    // An axis of size 1 left in `before` would need a place of its own among those of the result.
    let same = a.len() == b.len() && a.iter().zip(&b).all(|(p, q)| p.1 == q.1);
    (same && a.len() == before.len()).then(|| b.iter().map(|(i, _)| from[*i]).collect())
}

/// Combining along axes of size 1 combines nothing.
fn reduce(new: &mut Graph, node: &Node, axes: &[usize], x: ValueId) -> Option<ValueId> {
    let single = axes.iter().all(|axis| new.ty(x).axes[*axis].size == Size::Known(1));
    if axes.is_empty() {
        return Some(x);
    }
    single.then(|| new.add(Op::Reshape { axes: node.ty.axes.clone() }, &[x], node.origin))
}

/// A contraction takes its axes by number, so it can read an operand as it was before a transpose, if the axes
/// that stay keep their order. Every product and the order of the sum stay the same.
fn contract(new: &mut Graph, node: &Node, op: &Op, args: [ValueId; 2]) -> Option<ValueId> {
    let (mut op, mut operands) = (op.clone(), args);
    for side in [Side::Left, Side::Right] {
        let operand = &mut operands[side as usize];
        let Op::Transpose { order } = new.op(*operand) else { continue };
        if let Some(through) = read_through(&op, side, order) {
            (op, *operand) = (through, new.args(*operand)[0]);
        }
    }
    (operands != args).then(|| new.add(op, &operands, node.origin))
}

#[derive(Clone, Copy)]
enum Side {
    Left = 0,
    Right = 1,
}

/// The contraction that takes one operand as it is before it is transposed by `order`.
fn read_through(op: &Op, side: Side, order: &[usize]) -> Option<Op> {
    let Op::Contract { batch, sum } = op else { return None };
    let renumber = |pair: &(usize, usize)| match side {
        Side::Left => (order[pair.0], pair.1),
        Side::Right => (pair.0, order[pair.1]),
    };
    let taken = |pair: &(usize, usize)| match side {
        Side::Left => pair.0,
        Side::Right => pair.1,
    };
    let taken: Vec<usize> = batch.iter().chain(sum).map(taken).collect();
    let rest: Vec<usize> = (0..order.len()).filter(|i| !taken.contains(i)).map(|i| order[i]).collect();
    let pairs = |pairs: &[(usize, usize)]| pairs.iter().map(renumber).collect();
    let keeps = rest.windows(2).all(|pair| pair[0] < pair[1]);
    keeps.then(|| Op::Contract { batch: pairs(batch), sum: pairs(sum) })
}
