//! Removes arithmetic whose result is at hand: `x + 0`, `x * 1`, `-(-x)`, a sum of parts that lie side by side among
//! zeros. Nothing is reassociated; the sign of a zero is the only bit that can change.

use crate::graph::{Graph, Node, ValueId, rebuild};
use crate::ops::{Binary, Op, Unary};

/// The graph without needless arithmetic.
pub fn arithmetic(old: &Graph) -> Graph {
    rebuild(old, |new, node, args| match (&node.op, args) {
        (Op::Unary(function), [x]) => unary(new, *function, *x),
        (Op::Binary(function), [a, b]) => binary(new, node, *function, *a, *b),
        (Op::Select, [condition, a, b]) => {
            let not = inner(new, *condition, Unary::Not)?;
            Some(new.add(Op::Select, &[not, *b, *a], node.origin))
        }
        (Op::Cast(dtype), [x]) if new.ty(*x).dtype == *dtype => Some(*x),
        // Differentiation has seen it.
        (Op::Stop, [x]) => Some(*x),
        _ => None, // keep it as it is
    })
}

/// `x`, where `value` is `function(x)`.
fn inner(graph: &Graph, value: ValueId, function: Unary) -> Option<ValueId> {
    (*graph.op(value) == Op::Unary(function)).then(|| graph.args(value)[0])
}

fn unary(new: &Graph, function: Unary, x: ValueId) -> Option<ValueId> {
    match (function, new.op(x)) {
        (Unary::Neg, Op::Unary(Unary::Neg)) | (Unary::Not, Op::Unary(Unary::Not)) => Some(new.args(x)[0]),
        (Unary::Abs, Op::Unary(Unary::Abs)) | (Unary::Floor, Op::Unary(Unary::Floor)) => Some(x),
        _ => None, // no other function undoes or repeats itself
    }
}

fn binary(new: &mut Graph, node: &Node, function: Binary, a: ValueId, b: ValueId) -> Option<ValueId> {
    let (left, right) = (new.constant(a), new.constant(b));
    let whole = !new.ty(a).dtype.is_float();
    let mut add = |op: Op, args: &[ValueId]| Some(new.add(op, args, node.origin));
    match (function, left, right) {
        (Binary::Add, Some(0.0), _) | (Binary::Mul, Some(1.0), _) => Some(b),
        (Binary::Add | Binary::Sub, _, Some(0.0)) => Some(a),
        (Binary::Mul | Binary::Div | Binary::Pow, _, Some(1.0)) => Some(a),
        (Binary::Mul, _, Some(-1.0)) => add(Op::Unary(Unary::Neg), &[a]),
        (Binary::Mul, Some(-1.0), _) => add(Op::Unary(Unary::Neg), &[b]),
        // A float might be infinite or no number.
        (Binary::Mul, _, Some(0.0)) if whole => Some(b),
        (Binary::Mul, Some(0.0), _) if whole => Some(a),
        (Binary::Pow, _, Some(2.0)) => add(Op::Binary(Binary::Mul), &[a, a]),
        (Binary::Max | Binary::Min | Binary::And | Binary::Or, _, _) if a == b => Some(a),
        (Binary::And, _, Some(1.0)) | (Binary::Or, _, Some(0.0)) => Some(a),
        (Binary::And, Some(1.0), _) | (Binary::Or, Some(0.0), _) => Some(b),
        (Binary::And, _, Some(0.0)) | (Binary::Or, _, Some(1.0)) => Some(b),
        (Binary::And, Some(0.0), _) | (Binary::Or, Some(1.0), _) => Some(a),
        (Binary::Add, _, _) => {
            if let Some(joined) = side_by_side(new, node, a, b) {
                return Some(joined);
            }
            if let Some(x) = inner(new, b, Unary::Neg) {
                return Some(new.add(Op::Binary(Binary::Sub), &[a, x], node.origin));
            }
            let x = inner(new, a, Unary::Neg)?;
            Some(new.add(Op::Binary(Binary::Sub), &[b, x], node.origin))
        }
        (Binary::Sub, _, _) => {
            let x = inner(new, b, Unary::Neg)?;
            Some(new.add(Op::Binary(Binary::Add), &[a, x], node.origin))
        }
        _ => None, // keep it as it is
    }
}

/// Parts of a sum that are looked at; by feel.
const MOST_PARTS: usize = 64;

/// `pad(x, 0, 3) + pad(y, 2, 0)`, where `x` has two elements along the axis and `y` three: `concat(x, y)`. Such is the
/// gradient of what was split.
fn side_by_side(new: &mut Graph, node: &Node, a: ValueId, b: ValueId) -> Option<ValueId> {
    let mut open = vec![a, b];
    let mut along: Option<usize> = None;
    let mut parts: Vec<(u64, u64, ValueId)> = Vec::new();
    while let Some(value) = open.pop() {
        if *new.op(value) == Op::Binary(Binary::Add) {
            open.extend(new.args(value));
        } else if let Op::Pad { axis, low, high: _ } = new.op(value) {
            let part = new.args(value)[0];
            let (start, size) = (low.known()?, new.ty(part).axes[*axis].size.known()?);
            if *along.get_or_insert(*axis) != *axis {
                return None;
            }
            parts.push((start, start + size, part));
        } else {
            return None;
        }
        if parts.len() + open.len() > MOST_PARTS {
            return None;
        }
    }
    let axis = along?;
    parts.sort_unstable();
    let meet = parts.windows(2).all(|pair| pair[0].1 == pair[1].0);
    let (first, last) = (parts.first()?.0, parts.last()?.1);
    let whole = meet && first == 0 && node.ty.axes[axis].size.known() == Some(last);
    let parts: Vec<ValueId> = parts.into_iter().map(|(.., part)| part).collect();
    whole.then(|| new.add(Op::Concat { axis }, &parts, node.origin))
}
