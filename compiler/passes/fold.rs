//! Computes what is known at compile time, decides selections whose condition is known, and does once what would
//! be done for each of many equal elements: `exp(broadcast(x))` becomes `broadcast(exp(x))`.

use crate::graph::{Graph, Node, ValueId, rebuild};
use crate::ops::{Array, Op, Reduction, rules};
use crate::reference;
use crate::types::{DType, Type};

/// The graph with constants folded.
pub fn fold(old: &Graph) -> Graph {
    rebuild(old, |new, node, args| {
        decide(new, node, args)
            .or_else(|| compute(new, node, args))
            .or_else(|| count(new, node, args))
            .or_else(|| narrow(new, node, args))
    })
}

/// A selection whose condition is one known truth value.
fn decide(new: &Graph, node: &Node, args: &[ValueId]) -> Option<ValueId> {
    let (Op::Select, [condition, a, b]) = (&node.op, args) else { return None };
    if a == b {
        return Some(*a);
    }
    new.constant(*condition).map(|holds| if holds != 0.0 { *a } else { *b })
}

/// A function of numbers that are all known, of one element.
fn compute(new: &mut Graph, node: &Node, args: &[ValueId]) -> Option<ValueId> {
    if !elementwise(&node.op) || node.ty.rank() > 0 {
        return None;
    }
    let numbers: Option<Vec<Array>> = args.iter().map(|arg| new.constant(*arg).map(Array::number)).collect();
    let numbers = numbers?;
    let result = reference::apply(&node.op, &numbers.iter().collect::<Vec<_>>(), &node.ty).data[0];
    // As the machine would round it.
    let rounded = match node.ty.dtype {
        DType::F32 => f64::from(result as f32),
        DType::F64 | DType::I32 | DType::I64 | DType::U8 | DType::Bool => result,
        DType::Bf16 => half::bf16::from_f64(result).to_f64(),
        DType::F16 => half::f16::from_f64(result).to_f64(),
    };
    Some(new.filled(rounded, &node.ty, node.origin))
}

/// A sum of one whole number, as counts of examples are, where every partial sum is exact in `f32`; and the largest
/// or smallest of one number.
fn count(new: &mut Graph, node: &Node, args: &[ValueId]) -> Option<ValueId> {
    let (Op::Reduce { op, axes }, [x]) = (&node.op, args) else { return None };
    let number = new.constant(*x)?;
    let dims = new.ty(*x).dims();
    let terms: usize = axes.iter().map(|axis| dims[*axis]).product();
    let result = match op {
        Reduction::Sum => number * terms as f64,
        Reduction::Max | Reduction::Min if terms > 0 => number,
        Reduction::Max | Reduction::Min => return None,
    };
    const EXACT: f64 = (1 << 24) as f64;
    let exact = matches!(node.ty.dtype, DType::F32 | DType::F64 | DType::I32 | DType::I64);
    let whole = number.fract() == 0.0 && result.abs() <= EXACT;
    (exact && (whole || *op != Reduction::Sum)).then(|| new.filled(result, &node.ty, node.origin))
}

/// A function, element by element, of what is repeated alike in every operand.
fn narrow(new: &mut Graph, node: &Node, args: &[ValueId]) -> Option<ValueId> {
    if !elementwise(&node.op) || args.is_empty() {
        return None;
    }
    // The widest operand before repetition decides; numbers that are everywhere the same fit any.
    let sources: Option<Vec<(ValueId, Vec<usize>)>> = args.iter().map(|arg| repeated(new, *arg)).collect();
    let sources = sources?;
    let (widest, from) = sources.iter().max_by_key(|(source, _)| new.ty(*source).rank())?.clone();
    let narrow = new.ty(widest).clone();
    if narrow.elements() >= node.ty.elements() {
        return None;
    }
    let mut operands = Vec::new();
    for (source, at) in &sources {
        let ty = new.ty(*source).clone();
        if ty.rank() == 0 && narrow.rank() > 0 {
            let axes = narrow.axes.clone();
            operands.push(new.add(Op::Broadcast { axes, from: Vec::new() }, &[*source], node.origin));
        } else if ty.axes == narrow.axes && *at == from {
            operands.push(*source);
        } else {
            return None;
        }
    }
    let types: Vec<&Type> = operands.iter().map(|operand| new.ty(*operand)).collect();
    (rules(&node.op).infer)(&node.op, &types).ok()?;
    let once = new.add(node.op.clone(), &operands, node.origin);
    Some(new.add(Op::Broadcast { axes: node.ty.axes.clone(), from }, &[once], node.origin))
}

/// What a value repeats, and along which axes of it.
fn repeated(graph: &Graph, value: ValueId) -> Option<(ValueId, Vec<usize>)> {
    let Op::Broadcast { from, .. } = graph.op(value) else { return None };
    Some((graph.args(value)[0], from.clone()))
}

fn elementwise(op: &Op) -> bool {
    matches!(op, Op::Unary(_) | Op::Binary(_) | Op::Select | Op::Cast(_))
}
