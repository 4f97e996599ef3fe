//! The meaning of a graph: every value computed slowly in `f64`, one after the other. Floats are never rounded;
//! integers wrap around as their dtype does (exactly up to 2^53).

use crate::graph::{Graph, ValueId};
use crate::ops::array::stored;
pub use crate::ops::array::{Array, each_index};
use crate::ops::{Op, rules};
use crate::types::Type;

/// What a step starts from.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// Inputs, in the order of the graph's table.
    pub inputs: Vec<Array>,
    /// Variables, in the order of the graph's table.
    pub variables: Vec<Array>,
    /// The run's seed.
    pub seed: i64,
    /// Updates applied before this step.
    pub step: i64,
}

/// Every value of the graph, by its id.
///
/// # Panics
/// If an input or variable has not the shape that the graph says, or the graph holds leaves that only a model has.
pub fn evaluate(graph: &Graph, environment: &Environment) -> Vec<Array> {
    let mut values: Vec<Array> = Vec::with_capacity(graph.len());
    for value in graph.values() {
        let array = match graph.op(value) {
            Op::Input(i) => environment.inputs[i.0 as usize].clone(),
            Op::Variable(v) => environment.variables[v.0 as usize].clone(),
            Op::Seed => Array::number(environment.seed as f64),
            Op::Step => Array::number(environment.step as f64),
            Op::Receive { .. } => unreachable!("a device's program has no meaning without the others'"),
            Op::Training | Op::Gradient(_) | Op::Slot(_) => {
                unreachable!("unfold has replaced the leaves of a model")
            }
            Op::Constant(..)
            | Op::Index { .. }
            | Op::Random { .. }
            | Op::Unary(_)
            | Op::Binary(_)
            | Op::Select
            | Op::Cast(_)
            | Op::Stop
            | Op::Broadcast { .. }
            | Op::Transpose { .. }
            | Op::Reshape { .. }
            | Op::Slice { .. }
            | Op::Pad { .. }
            | Op::Concat { .. }
            | Op::Gather { .. }
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
            | Op::PoolInput(_)
            | Op::Scan { .. } => {
                let args = graph.args(value);
                let operands: Vec<&Array> = args.iter().map(|a| &values[a.0 as usize]).collect();
                apply(graph.op(value), &operands, graph.ty(value))
            }
        };
        assert_eq!(array.shape, graph.ty(value).dims(), "{:?} has another shape", graph.op(value));
        values.push(array);
    }
    values
}

/// What a primitive gives for these operands.
pub fn apply(op: &Op, args: &[&Array], result: &Type) -> Array {
    (rules(op).eval)(op, args, result).map(|x| stored(result.dtype, x))
}

/// The outputs by name, then the variables' new values, in the graph's order.
pub fn step(graph: &Graph, environment: &Environment) -> (Vec<(String, Array)>, Vec<Array>) {
    let values = evaluate(graph, environment);
    let get = |value: ValueId| values[value.0 as usize].clone();
    let outputs = graph.outputs.iter().map(|o| (o.name.clone(), get(o.value))).collect();
    (outputs, graph.updates.iter().map(|u| get(u.value)).collect())
}
