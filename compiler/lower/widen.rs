//! Half floats are for storage: what computes with them computes as `f32` and rounds its result once.
//!
//! ```text
//! %2 = add(%0, %1): bf16     →     %2 = cast f32(%0); %3 = cast f32(%1); %4 = add(%2, %3); %5 = cast bf16(%4)
//! ```

use std::collections::HashMap;

use crate::graph::{Graph, Node, ValueId, rebuild};
use crate::ops::Op;
use crate::ops::scan::{Scan, Shared};
use crate::types::{DType, Type};

/// The graph with arithmetic that the processor has; `None` where it has no half floats.
pub fn widen(old: &Graph) -> Option<Graph> {
    let mut bodies = HashMap::new();
    has_halves(old).then(|| rebuild(old, |new, node, args| compute(new, node, args, &mut bodies)))
}

fn has_halves(graph: &Graph) -> bool {
    graph.values().any(|value| {
        let inside = matches!(graph.op(value), Op::Scan { scan, .. } if has_halves(&scan.body));
        is_half(graph.ty(value)) || inside
    })
}

fn is_half(ty: &Type) -> bool {
    matches!(ty.dtype, DType::Bf16 | DType::F16)
}

fn compute(
    new: &mut Graph,
    node: &Node,
    args: &[ValueId],
    bodies: &mut HashMap<usize, Shared>,
) -> Option<ValueId> {
    if let Op::Scan { scan, result } = &node.op {
        let body = widen(&scan.body)?;
        // All results of a recurrence share it.
        let wide =
            bodies.entry(scan.key()).or_insert_with(|| Shared::new(Scan { body, ..Scan::clone(scan) }));
        return Some(new.add(Op::Scan { scan: wide.clone(), result: *result }, args, node.origin));
    }
    let halves = args.iter().any(|arg| is_half(new.ty(*arg)));
    if !halves || only_moves(&node.op) {
        return None;
    }
    let wide: Vec<ValueId> = args
        .iter()
        .map(|arg| match is_half(new.ty(*arg)) {
            true => new.add(Op::Cast(DType::F32), &[*arg], node.origin),
            false => *arg,
        })
        .collect();
    let result = new.add(node.op.clone(), &wide, node.origin);
    if !is_half(&node.ty) {
        return Some(result);
    }
    Some(new.add(Op::Cast(node.ty.dtype), &[result], node.origin))
}

/// Whether an operator takes elements as they are.
fn only_moves(op: &Op) -> bool {
    match op {
        Op::Select
        | Op::Cast(_)
        | Op::Stop
        | Op::Broadcast { .. }
        | Op::Transpose { .. }
        | Op::Reshape { .. }
        | Op::Slice { .. }
        | Op::Pad { .. }
        | Op::Concat { .. }
        | Op::Gather { .. }
        | Op::Scan { .. }
        | Op::Input(_)
        | Op::Variable(_)
        | Op::Step
        | Op::Seed
        | Op::Receive { .. }
        | Op::Training
        | Op::Gradient(_)
        | Op::Constant(..)
        | Op::Index { .. }
        | Op::Random { .. }
        | Op::Slot(_) => true,
        Op::Unary(_)
        | Op::Binary(_)
        | Op::ScatterAdd { .. }
        | Op::Reduce { .. }
        | Op::ArgMax { .. }
        | Op::Order { .. }
        | Op::Cumulate { .. }
        | Op::Contract { .. }
        | Op::Convolve(_)
        | Op::ConvolveInput(..)
        | Op::ConvolveKernel(..)
        | Op::Pool(_)
        | Op::PoolInput(_) => false,
    }
}
