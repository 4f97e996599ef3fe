//! Reverse-mode differentiation: adds to a graph the gradient of a scalar by variables.
//!
//! Contributions to one value are added in a fixed order: later users first, of one user its operands in order.

use crate::graph::{Graph, ValueId};
use crate::ops::{Backward, Binary, Op, VariableId, rules};
use crate::passes::recurrence;

/// The gradient of `loss` by each variable, of the variable's type; zeros where the loss does not depend on it.
///
/// # Panics
/// If `loss` is not a scalar.
pub fn gradients(graph: &mut Graph, loss: ValueId, by: &[VariableId]) -> Vec<ValueId> {
    assert_eq!(graph.ty(loss).rank(), 0, "a loss is one number");
    let carries = carries(graph, loss, by);
    let mut parts: Vec<Vec<ValueId>> = vec![Vec::new(); loss.0 as usize + 1];
    if carries[loss.0 as usize] {
        let one = graph.filled(1.0, &graph.ty(loss).clone(), graph.node(loss).origin);
        parts[loss.0 as usize].push(one);
    }
    let totals = propagate(graph, &carries, &mut parts);
    let variable = |graph: &Graph, v: VariableId| {
        (0..=loss.0).map(ValueId).find(|value| *graph.op(*value) == Op::Variable(v))
    };
    let origin = graph.node(loss).origin;
    let gradient = |v: &VariableId| match variable(graph, *v).and_then(|leaf| totals[leaf.0 as usize]) {
        Some(total) => total,
        None => graph.filled(0.0, &graph.variables[v.0 as usize].ty.clone(), origin),
    };
    by.iter().map(gradient).collect()
}

/// Hands gradients back from users to operands. `parts` holds, by value, the contributions to its gradient: at first
/// those from outside; it may be shorter than the graph, and what lies behind it is not looked at. Gives the sum
/// of each value's contributions.
pub(super) fn propagate(
    graph: &mut Graph,
    carries: &[bool],
    parts: &mut [Vec<ValueId>],
) -> Vec<Option<ValueId>> {
    let mut totals: Vec<Option<ValueId>> = vec![None; parts.len()];
    for value in (0..parts.len()).rev().map(|at| ValueId(at as u32)).filter(|v| carries[v.0 as usize]) {
        let (args, given) = if let Op::Scan { .. } = graph.op(value) {
            scan(graph, value, carries, parts)
        } else {
            let Some(dy) = sum(graph, value, &parts[value.0 as usize]) else { continue };
            totals[value.0 as usize] = Some(dy);
            let args = graph.args(value);
            let rule = rules(graph.op(value)).grad;
            let origin = graph.node(value).origin;
            let given = rule(&mut Backward { graph, value, args: args.clone(), dy, origin });
            (args, given)
        };
        for (arg, part) in args.into_iter().zip(given) {
            if let Some(part) = part.filter(|_| carries[arg.0 as usize]) {
                parts[arg.0 as usize].push(part);
            }
        }
    }
    totals
}

/// The gradients by the operands of a recurrence, of which `value` is the last result that carries any. Its results
/// stand one after the other, so that all of their users have been seen.
fn scan(
    graph: &mut Graph,
    value: ValueId,
    carries: &[bool],
    parts: &mut [Vec<ValueId>],
) -> (Vec<ValueId>, Vec<Option<ValueId>>) {
    let Op::Scan { scan, .. } = graph.op(value).clone() else { unreachable!("only recurrences come here") };
    let args = graph.args(value);
    let mut dys: Vec<Option<ValueId>> = vec![None; scan.results()];
    for sibling in (0..=value.0).rev().map(ValueId) {
        let Op::Scan { scan: other, result } = graph.op(sibling) else { break };
        if *other != scan || graph.args(sibling) != args {
            break;
        }
        let result = *result;
        let contributions = std::mem::take(&mut parts[sibling.0 as usize]);
        dys[result] = sum(graph, sibling, &contributions);
    }
    if dys.iter().all(Option::is_none) {
        return (Vec::new(), Vec::new());
    }
    let asked: Vec<bool> = args.iter().map(|arg| carries[arg.0 as usize]).collect();
    let origin = graph.node(value).origin;
    let given = recurrence::gradient(graph, &scan, &args, &dys, &asked, origin);
    (args, given)
}

/// Which values up to the loss carry a gradient back to one of the variables.
fn carries(graph: &Graph, loss: ValueId, by: &[VariableId]) -> Vec<bool> {
    let mut carries = vec![false; loss.0 as usize + 1];
    for value in (0..=loss.0).map(ValueId) {
        let node = graph.node(value);
        let from = || graph.args(value).into_iter().any(|arg| carries[arg.0 as usize]);
        let asked = matches!(&node.op, Op::Variable(v) if by.contains(v));
        let passes = node.op != Op::Stop && node.ty.dtype.is_float();
        carries[value.0 as usize] = passes && (asked || from());
    }
    carries
}

/// The sum of all contributions to the gradient by `value`, with its axes' names.
fn sum(graph: &mut Graph, value: ValueId, parts: &[ValueId]) -> Option<ValueId> {
    let node = graph.node(value).clone();
    let mut total: Option<ValueId> = None;
    for part in parts {
        let part = if graph.ty(*part).axes == node.ty.axes {
            *part
        } else {
            graph.add(Op::Reshape { axes: node.ty.axes.clone() }, &[*part], node.origin)
        };
        total = Some(match total {
            Some(total) => graph.add(Op::Binary(Binary::Add), &[total, part], node.origin),
            None => part,
        });
    }
    total
}
