//! What every stage promises of a graph, checked between passes.

use crate::graph::{Graph, ValueId};
use crate::ops::Op;
use crate::types::Size;

/// That a graph is well-formed: leaves of a model are gone, sizes are known, every type follows from its operands,
/// operands come before users, the loss and metrics are scalars, and updates have their variable's type.
///
/// # Errors
/// The first promise that is broken, and where.
pub fn verify(graph: &Graph) -> Result<(), String> {
    for value in graph.values() {
        node(graph, value).map_err(|problem| format!("%{}: {problem}", value.0))?;
    }
    for output in &graph.outputs {
        let ty = graph.ty(output.value);
        let measure = output.name == "loss" || output.name.starts_with("metric/");
        if measure && ty.rank() > 0 {
            return Err(format!("{} is {ty}, not a scalar", output.name));
        }
    }
    for update in &graph.updates {
        let variable = &graph.variables[update.variable.0 as usize];
        let ty = graph.ty(update.value);
        if ty.dtype != variable.ty.dtype || ty.dims() != variable.ty.dims() {
            return Err(format!("{} is {}, its new value {ty}", variable.name, variable.ty));
        }
    }
    Ok(())
}

fn node(graph: &Graph, value: ValueId) -> Result<(), String> {
    let node = graph.node(value);
    if matches!(node.op, Op::Training | Op::Gradient(_)) {
        return Err(format!("{} is left from the model", node.op.name()));
    }
    if node.ty.axes.iter().any(|axis| !matches!(axis.size, Size::Known(_))) {
        return Err(format!("{} has a free axis", node.ty));
    }
    let args = graph.args(value);
    if args.iter().any(|arg| *arg >= value) {
        return Err("an operand comes after it".into());
    }
    let inferred = graph.infer(&node.op, &args).map_err(|problem| problem.to_string())?;
    if inferred == node.ty {
        return Ok(());
    }
    Err(format!("{} is {}, but follows as {inferred}", node.op.name(), node.ty))
}
