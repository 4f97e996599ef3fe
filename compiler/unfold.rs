//! From a checked model to the graph of one program: free axes bound to sizes, the phase decided, gradients
//! built, and nothing in it that is not wanted.

use std::collections::HashMap;
use std::sync::Arc;

pub use strata_runtime::train::Phase;
use strata_runtime::train::WEIGHT;

use crate::graph::{Graph, OriginId, Output, Update, ValueId, rebuild};
use crate::model::{Input, Model, Variable, When};
use crate::ops::scan::{Scan, Shared};
use crate::ops::{Op, Scalar, VariableId};
use crate::passes::differentiate::gradients;
use crate::passes::{self, recurrence};
use crate::totals::Totals;
use crate::types::{Axis, DType, Size};

/// The program of a phase, with `binding[f]` as the size of free axis `f`. `wanted` names the bindings that
/// `Predict` hands out; those the model lacks are left out.
pub fn unfold(model: &Model, binding: &[u64], phase: Phase, wanted: &[String]) -> Graph {
    let mut unfolding = Unfolding::new(model, binding, phase);
    let outputs: Vec<(String, ValueId)> = match phase {
        Phase::Train => {
            let watched = model.watched.iter().cloned();
            measures(model).into_iter().chain(watched).chain(gathered(model)).collect()
        }
        Phase::Gather => measures(model).into_iter().chain(gathered(model)).collect(),
        Phase::Evaluate => {
            let weight = model.weight.map(|value| (WEIGHT.to_string(), value));
            weight.into_iter().chain(measures(model)).chain(Totals::of(model).parts).collect()
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

/// The program, without labels, that hands out some values of a model.
pub fn unfold_values(model: &Model, binding: &[u64], wanted: &[(String, ValueId)]) -> Graph {
    let mut unfolding = Unfolding::new(model, binding, Phase::Predict);
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

/// What measures of a step are functions of, where it is made of several batches.
fn gathered(model: &Model) -> Vec<(String, ValueId)> {
    let several = model.updates.iter().any(|update| update.when == When::WithinStep);
    if several { Totals::of(model).parts } else { Vec::new() }
}

struct Unfolding<'a> {
    model: &'a Model,
    phase: Phase,
    graph: Graph,
    /// What each value of the model has become.
    becomes: Vec<Option<ValueId>>,
    /// The gradient by each variable, once differentiated.
    gradients: Vec<Option<ValueId>>,
    bind: Binding<'a>,
}

/// Operators with the sizes of the free axes and the phase bound.
pub struct Binding<'a> {
    model: &'a Model,
    sizes: &'a [u64],
    training: bool,
    /// What each recurrence of the model has become, by its key.
    scans: HashMap<usize, Shared>,
}

impl<'a> Unfolding<'a> {
    fn new(model: &'a Model, binding: &'a [u64], phase: Phase) -> Unfolding<'a> {
        let input = |i: &Input| Input { ty: i.ty.bind(binding), ..i.clone() };
        let variable = |v: &Variable| Variable { ty: v.ty.bind(binding), ..v.clone() };
        let inputs: Arc<[Input]> = model.inputs.iter().map(input).collect();
        let variables: Arc<[Variable]> = model.variables.iter().map(variable).collect();
        Unfolding {
            model,
            phase,
            graph: Graph::new(inputs, variables),
            becomes: vec![None; model.values.len()],
            gradients: vec![None; model.variables.len()],
            bind: Binding { training: is_training(phase), ..Binding::new(model, binding) },
        }
    }

    /// The model's `value` in the graph, with everything it needs.
    fn value(&mut self, value: ValueId) -> ValueId {
        for needed in self.missing(&[value]) {
            let from = &self.model.values[needed.0 as usize];
            let args: Vec<ValueId> = from.args.iter().map(|arg| self.there(*arg)).collect();
            let found = if let Op::Gradient(v) = &from.op {
                self.gradients[v.0 as usize].expect("gradients are built before what uses them")
            } else {
                let op = self.bind.op(&from.op);
                add(&mut self.graph, op, &args, from.origin)
            };
            self.becomes[needed.0 as usize] = Some(found);
        }
        self.there(value)
    }

    /// Whether the program changes anything.
    fn training(&self) -> bool {
        is_training(self.phase)
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
}

fn is_training(phase: Phase) -> bool {
    match phase {
        Phase::Train | Phase::Gather => true,
        Phase::Evaluate | Phase::Predict => false,
    }
}

impl<'a> Binding<'a> {
    /// To these sizes, not training.
    pub fn new(model: &'a Model, sizes: &'a [u64]) -> Binding<'a> {
        Binding { model, sizes, training: false, scans: HashMap::new() }
    }

    /// A recurrence with its sizes bound; all its results get the same one.
    pub fn scan(&mut self, scan: &Shared) -> Shared {
        if let Some(bound) = self.scans.get(&scan.key()) {
            return bound.clone();
        }
        let from = &scan.body;
        let input = |i: &Input| Input { ty: i.ty.bind(self.sizes), ..i.clone() };
        let mut body = Graph::new(from.inputs.iter().map(input).collect(), [].into());
        let mut becomes: Vec<ValueId> = Vec::with_capacity(from.len());
        for value in from.values() {
            let args: Vec<ValueId> = from.args(value).iter().map(|arg| becomes[arg.0 as usize]).collect();
            let op = self.op(from.op(value));
            becomes.push(add(&mut body, op, &args, from.node(value).origin));
        }
        let output = |o: &Output| Output { name: o.name.clone(), value: becomes[o.value.0 as usize] };
        body.outputs = from.outputs.iter().map(output).collect();
        let body = passes::decided(&body);
        let axis = Axis { size: Size::Known(scan.axis.size.bind(self.sizes)), ..scan.axis.clone() };
        let bound = Shared::new(Scan { body, axis, ..Scan::clone(scan) });
        self.scans.insert(scan.key(), bound.clone());
        bound
    }

    /// An operator.
    pub fn op(&mut self, op: &Op) -> Op {
        if *op == Op::Training {
            let training = if self.training { 1.0 } else { 0.0 };
            return Op::Constant(Scalar::new(training), DType::Bool);
        }
        if let Op::Variable(variable) = op {
            return Op::Variable(if self.training { *variable } else { self.model.evaluated(*variable) });
        }
        if let Op::Scan { scan, result } = op {
            return Op::Scan { scan: self.scan(scan), result: *result };
        }
        let mut bound = op.clone();
        for size in bound.sizes_mut() {
            *size = Size::Known(size.bind(self.sizes));
        }
        bound
    }
}
