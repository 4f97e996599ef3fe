//! From a checked model to the graph of one program: free axes bound to sizes, the phase decided, gradients
//! built, and nothing in it that is not wanted.

use std::collections::HashMap;
use std::sync::Arc;

pub use strata_runtime::train::Phase;
use strata_runtime::train::WEIGHT;

use crate::graph::{Graph, OriginId, Output, Update, ValueId, rebuild};
use crate::model::{Input, Model, Variable, When};
use crate::ops::scan::{Scan, Shared};
use crate::ops::{InputId, Op, Scalar, VariableId};
use crate::passes::differentiate::gradients;
use crate::passes::{self, recurrence};
use crate::types::{Axis, DType, Size};

/// The program of a phase, with `binding[f]` as the size of free axis `f`. `wanted` names the bindings that
/// `Predict` hands out; those the model lacks are left out.
pub fn unfold(model: &Model, binding: &[u64], phase: Phase, wanted: &[String]) -> Graph {
    let mut unfolding = Unfolding::new(model, binding, phase);
    let outputs = match phase {
        Phase::Train => measures(model).into_iter().chain(model.watched.iter().cloned()).collect(),
        Phase::Gather => measures(model),
        Phase::Evaluate => {
            let weight = model.weight.map(|value| (WEIGHT.to_string(), value));
            weight.into_iter().chain(measures(model)).collect()
        }
        Phase::Predict => {
            let named = |name: &String| model.bindings.iter().rev().find(|(n, _)| n == name).cloned();
            wanted.iter().filter_map(named).collect()
        }
    };
    for (name, value) in outputs {
        let value = unfolding.value(value);
        unfolding.graph.outputs.push(Output { name, value });
    }
    if unfolding.training() {
        unfolding.updates();
    }
    // Differentiation also builds gradients of what no parameter stands behind.
    rebuild(&unfolding.graph, |_, _, _| None)
}

/// Where a model is cut: what is handed in instead of being computed.
#[derive(Clone, Debug, Default)]
pub struct Cut {
    /// Inputs behind those of the model; types bound.
    pub inputs: Vec<Input>,
    /// Values that are one of these inputs.
    pub values: HashMap<ValueId, usize>,
    /// Recurrences, by each result, whose states begin with these inputs.
    pub states: HashMap<ValueId, Vec<usize>>,
}

/// The program, without labels, that hands out some values of a model that is cut.
pub fn unfold_cut(model: &Model, binding: &[u64], wanted: &[(String, ValueId)], cut: &Cut) -> Graph {
    let mut unfolding = Unfolding::new(model, binding, Phase::Predict);
    let inputs = unfolding.graph.inputs.iter().chain(&cut.inputs).cloned();
    unfolding.graph.inputs = inputs.collect();
    let own = model.inputs.len();
    let input = |at: usize| Op::Input(InputId((own + at) as u32));
    for (value, at) in &cut.values {
        let origin = model.values[value.0 as usize].origin;
        unfolding.becomes[value.0 as usize] = Some(unfolding.graph.add(input(*at), &[], origin));
    }
    for (value, states) in &cut.states {
        unfolding.states.insert(*value, states.iter().map(|at| input(*at)).collect());
    }
    for (name, value) in wanted {
        let value = unfolding.value(*value);
        unfolding.graph.outputs.push(Output { name: name.clone(), value });
    }
    rebuild(&unfolding.graph, |_, _, _| None)
}

/// `op(args)`; of a recurrence all results at once, as differentiation wants them.
fn add(graph: &mut Graph, op: Op, args: &[ValueId], origin: OriginId) -> ValueId {
    if let Op::Scan { scan, result } = &op {
        return recurrence::results(graph, scan, args, origin)[*result];
    }
    graph.add(op, args, origin)
}

fn measures(model: &Model) -> Vec<(String, ValueId)> {
    let loss = model.loss.map(|value| ("loss".to_string(), value));
    let metrics = model.metrics.iter().map(|m| (format!("metric/{}", m.name), m.value));
    loss.into_iter().chain(metrics).collect()
}

struct Unfolding<'a> {
    model: &'a Model,
    binding: &'a [u64],
    phase: Phase,
    graph: Graph,
    /// What each value of the model has become.
    becomes: Vec<Option<ValueId>>,
    /// The gradient by each variable, once differentiated.
    gradients: Vec<Option<ValueId>>,
    /// What each recurrence of the model has become, by its key.
    scans: HashMap<usize, Shared>,
    /// What the states of a recurrence begin with instead, by each of its results.
    states: HashMap<ValueId, Vec<Op>>,
}

impl<'a> Unfolding<'a> {
    fn new(model: &'a Model, binding: &'a [u64], phase: Phase) -> Unfolding<'a> {
        let input = |i: &Input| Input { ty: i.ty.bind(binding), ..i.clone() };
        let variable = |v: &Variable| Variable { ty: v.ty.bind(binding), ..v.clone() };
        let inputs: Arc<[Input]> = model.inputs.iter().map(input).collect();
        let variables: Arc<[Variable]> = model.variables.iter().map(variable).collect();
        Unfolding {
            model,
            binding,
            phase,
            graph: Graph::new(inputs, variables),
            becomes: vec![None; model.values.len()],
            gradients: vec![None; model.variables.len()],
            scans: HashMap::new(),
            states: HashMap::new(),
        }
    }

    /// The model's `value` in the graph, with everything it needs.
    fn value(&mut self, value: ValueId) -> ValueId {
        for needed in self.missing(&[value]) {
            let from = &self.model.values[needed.0 as usize];
            let mut args: Vec<ValueId> = from.args.iter().map(|arg| self.there(*arg)).collect();
            for (arg, op) in args.iter_mut().zip(self.states.get(&needed).into_iter().flatten()) {
                *arg = self.graph.add(op.clone(), &[], from.origin);
            }
            let found = if let Op::Gradient(v) = &from.op {
                self.gradients[v.0 as usize].expect("gradients are built before what uses them")
            } else {
                let op = self.bind(&from.op);
                add(&mut self.graph, op, &args, from.origin)
            };
            self.becomes[needed.0 as usize] = Some(found);
        }
        self.there(value)
    }

    /// Whether the program changes anything.
    fn training(&self) -> bool {
        match self.phase {
            Phase::Train | Phase::Gather => true,
            Phase::Evaluate | Phase::Predict => false,
        }
    }

    /// Whether an update happens in the program.
    fn happens(&self, when: When) -> bool {
        match when {
            When::EveryBatch => self.training(),
            When::EndOfStep => self.phase == Phase::Train,
            When::WithinStep => self.phase == Phase::Gather,
        }
    }

    fn there(&self, value: ValueId) -> ValueId {
        self.becomes[value.0 as usize].expect("operands come before users")
    }

    /// What `values` need that is not in the graph yet, operands before users.
    fn missing(&self, values: &[ValueId]) -> Vec<ValueId> {
        let mut needed = vec![false; self.model.values.len()];
        values.iter().for_each(|value| needed[value.0 as usize] = true);
        for i in (0..needed.len()).rev() {
            if needed[i] && self.becomes[i].is_none() {
                self.model.values[i].args.iter().for_each(|arg| needed[arg.0 as usize] = true);
            }
        }
        let missing = (0..needed.len()).filter(|i| needed[*i] && self.becomes[*i].is_none());
        missing.map(|i| ValueId(i as u32)).collect()
    }

    /// All updates, and before them the gradients they ask for.
    fn updates(&mut self) {
        let model = self.model;
        let updates: Vec<_> = model.updates.iter().filter(|update| self.happens(update.when)).collect();
        let values: Vec<ValueId> = updates.iter().map(|u| u.value).collect();
        let asks = |value: &ValueId| {
            let op = &self.model.values[value.0 as usize].op;
            if let Op::Gradient(v) = op { Some(*v) } else { None }
        };
        let mut by: Vec<VariableId> = self.missing(&values).iter().filter_map(asks).collect();
        by.sort_unstable();
        by.dedup();
        if let Some(loss) = self.model.loss {
            let loss = self.value(loss);
            for (variable, gradient) in by.iter().zip(gradients(&mut self.graph, loss, &by)) {
                self.gradients[variable.0 as usize] = Some(gradient);
            }
        }
        for update in updates {
            let value = self.value(update.value);
            self.graph.updates.push(Update { variable: update.variable, value });
        }
    }

    /// A recurrence with its sizes bound; all its results get the same one.
    fn bind_scan(&mut self, scan: &Shared) -> Shared {
        if let Some(bound) = self.scans.get(&scan.key()) {
            return bound.clone();
        }
        let from = &scan.body;
        let input = |i: &Input| Input { ty: i.ty.bind(self.binding), ..i.clone() };
        let mut body = Graph::new(from.inputs.iter().map(input).collect(), [].into());
        let mut becomes: Vec<ValueId> = Vec::with_capacity(from.len());
        for value in from.values() {
            let args: Vec<ValueId> = from.args(value).iter().map(|arg| becomes[arg.0 as usize]).collect();
            let op = self.bind(from.op(value));
            becomes.push(add(&mut body, op, &args, from.node(value).origin));
        }
        let output = |o: &Output| Output { name: o.name.clone(), value: becomes[o.value.0 as usize] };
        body.outputs = from.outputs.iter().map(output).collect();
        // Differentiation is to see no side of a selection that is never taken.
        let body = passes::optimise(body);
        let axis = Axis { size: Size::Known(scan.axis.size.bind(self.binding)), ..scan.axis.clone() };
        let bound = Shared::new(Scan { body, axis, ..Scan::clone(scan) });
        self.scans.insert(scan.key(), bound.clone());
        bound
    }

    fn bind(&mut self, op: &Op) -> Op {
        let size = |size: &Size| Size::Known(size.bind(self.binding));
        let axes = |axes: &[Axis]| -> Vec<Axis> {
            axes.iter().map(|a| Axis { size: size(&a.size), ..a.clone() }).collect()
        };
        match op {
            Op::Training => {
                let training = if self.training() { 1.0 } else { 0.0 };
                Op::Constant(Scalar::new(training), DType::Bool)
            }
            Op::Variable(variable) if !self.training() => Op::Variable(self.model.evaluated(*variable)),
            Op::Index { axes: a, axis } => Op::Index { axes: axes(a), axis: *axis },
            Op::Random { stream, axes: a } => Op::Random { stream: *stream, axes: axes(a) },
            Op::Broadcast { axes: a, from } => Op::Broadcast { axes: axes(a), from: from.clone() },
            Op::Reshape { axes: a } => Op::Reshape { axes: axes(a) },
            Op::Slice { axis, start, end } => Op::Slice { axis: *axis, start: size(start), end: size(end) },
            Op::Pad { axis, low, high } => Op::Pad { axis: *axis, low: size(low), high: size(high) },
            Op::Order { axis, descending, count } => {
                Op::Order { axis: *axis, descending: *descending, count: size(count) }
            }
            Op::ScatterAdd { axis, batch, axes: a } => {
                Op::ScatterAdd { axis: *axis, batch: *batch, axes: axes(a) }
            }
            Op::ConvolveInput(c, a) => Op::ConvolveInput(c.clone(), axes(a)),
            Op::ConvolveKernel(c, a) => Op::ConvolveKernel(c.clone(), axes(a)),
            Op::Scan { scan, result } => Op::Scan { scan: self.bind_scan(scan), result: *result },
            Op::Input(_)
            | Op::Variable(_)
            | Op::Step
            | Op::Seed
            | Op::Gradient(_)
            | Op::Slot(_)
            | Op::Constant(..)
            | Op::Unary(_)
            | Op::Binary(_)
            | Op::Select
            | Op::Cast(_)
            | Op::Stop
            | Op::Transpose { .. }
            | Op::Concat { .. }
            | Op::Gather { .. }
            | Op::Reduce { .. }
            | Op::ArgMax { .. }
            | Op::Cumulate { .. }
            | Op::Contract { .. }
            | Op::Convolve(_)
            | Op::Pool(_)
            | Op::PoolInput(_) => op.clone(),
        }
    }
}
