//! Loss and metrics over many batches: what they would be if all examples were one batch.
//!
//! A measure is a function of sums, and of largest and smallest numbers, over examples: a mean is a sum divided by a
//! count, perplexity a function of a mean, precision a quotient of sums. So a program hands out those (`parts`), whoever
//! goes through the batches combines them, and the function is taken once, of all. In: a model. Out: parts with the way
//! they are combined, and a graph from parts to measures. A measure in which examples of a batch meet in other ways is no
//! such function; of it there is the mean over batches alone.

use std::collections::HashMap;

use strata_grammar::Span;
use strata_runtime::train::{LARGEST, Outputs, SAME, SMALLEST, TOTAL};

use crate::graph::{Graph, Output, ValueId};
use crate::model::{Input, Model};
use crate::ops::{Array, InputId, Op, Reduction};
use crate::reference::{Environment, step};
use crate::types::{Axis, FreeId, Size, Type};

/// What a model's measures are functions of.
#[derive(Debug)]
pub struct Totals {
    /// What a program hands out for each batch, under the names by which it is combined.
    pub parts: Vec<(String, ValueId)>,
    /// From all parts to the measures, each under its plain name.
    finish: Graph,
}

impl Totals {
    /// Of a model's loss and metrics.
    pub fn of(model: &Model) -> Totals {
        let mut finding = Finding {
            model,
            examples: examples(model),
            mixed: Vec::with_capacity(model.values.len()),
            varies: Vec::with_capacity(model.values.len()),
            parts: Vec::new(),
            fits: HashMap::new(),
        };
        finding.look();
        let loss = model.loss.map(|value| ("loss".to_string(), value));
        let metrics = model.metrics.iter().map(|metric| (metric.name.clone(), metric.value));
        let measures: Vec<(String, ValueId)> = loss.into_iter().chain(metrics).collect();
        let found: Vec<(String, ValueId)> =
            measures.into_iter().filter(|(_, value)| finding.fits(*value)).collect();
        finding.finish(&found)
    }

    /// The measures in `outputs` by the parts that are among them, which are left out.
    pub fn finish(&self, outputs: Outputs) -> Outputs {
        let (parts, mut rest): (Outputs, Outputs) = outputs.into_iter().partition(|(name, _)| is_part(name));
        if parts.is_empty() {
            return rest;
        }
        let mut numbers = parts.into_iter().map(|(_, number)| number);
        let array = |input: &Input| {
            let shape = input.ty.dims();
            let data = numbers.by_ref().take(shape.iter().product()).collect();
            Array::new(&shape, data)
        };
        let inputs = self.finish.inputs.iter().map(array).collect();
        let environment = Environment { inputs, ..Environment::default() };
        for (name, value) in step(&self.finish, &environment).0 {
            if let Some((_, measure)) = rest.iter_mut().find(|(known, _)| **known == *name) {
                *measure = value.data[0];
            }
        }
        rest
    }
}

/// Whether an output is a part of measures, and no measure itself.
pub fn is_part(name: &str) -> bool {
    [TOTAL, LARGEST, SMALLEST, SAME].iter().any(|prefix| name.starts_with(prefix))
}

/// The axis of the examples, where all inputs that have one agree.
fn examples(model: &Model) -> Option<FreeId> {
    let first = |input: &Input| match input.ty.axes.first()?.size {
        Size::Free(free) => Some(free),
        Size::Known(_) | Size::Expr(_) => None,
    };
    let mut found = model.inputs.iter().filter_map(first);
    let axis = found.next()?;
    found.all(|other| other == axis).then_some(axis)
}

struct Finding<'m> {
    model: &'m Model,
    examples: Option<FreeId>,
    /// Whether examples of a batch meet in a value.
    mixed: Vec<bool>,
    /// Whether a value may be another one for another batch.
    varies: Vec<bool>,
    parts: Vec<(String, ValueId)>,
    /// Whether a value is a function of parts.
    fits: HashMap<ValueId, bool>,
}

impl<'m> Finding<'m> {
    fn op(&self, value: ValueId) -> &'m Op {
        &self.model.values[value.0 as usize].op
    }

    fn ty(&self, value: ValueId) -> &'m Type {
        &self.model.values[value.0 as usize].ty
    }

    fn args(&self, value: ValueId) -> &'m [ValueId] {
        &self.model.values[value.0 as usize].args
    }

    fn along(&self, axis: &Axis) -> bool {
        self.examples.is_none_or(|examples| axis.size.mentions(examples))
    }

    /// Goes through all values, operands before users.
    fn look(&mut self) {
        for at in 0..self.model.values.len() {
            let value = ValueId(at as u32);
            let moves = |size: &Size| size.known().is_none();
            let own = matches!(self.op(value), Op::Input(_) | Op::Random { .. } | Op::Step)
                || matches!(self.op(value), Op::Slice { start, end, .. } if moves(start) || moves(end));
            let sizes = self.ty(value).axes.iter().any(|axis| moves(&axis.size));
            let any = |flags: &[bool]| self.args(value).iter().any(|arg| flags[arg.0 as usize]);
            let varies = own || sizes || any(&self.varies);
            let mixed = self.mixes(value) || any(&self.mixed);
            self.varies.push(varies);
            self.mixed.push(mixed);
        }
    }

    /// Whether an operator lets examples meet, or tells them by their place in the batch.
    fn mixes(&self, value: ValueId) -> bool {
        let args = self.args(value);
        let has = |arg: usize, axis: usize| self.along(&self.ty(args[arg]).axes[axis]);
        let any = |arg: usize, from: usize| (from..self.ty(args[arg]).rank()).any(|axis| has(arg, axis));
        match self.op(value) {
            Op::Reduce { axes, .. } => axes.iter().any(|axis| has(0, *axis)),
            Op::ArgMax { axis }
            | Op::Order { axis, .. }
            | Op::Cumulate { axis, .. }
            | Op::Slice { axis, .. }
            | Op::Pad { axis, .. }
            | Op::Concat { axis }
            | Op::Gather { axis, .. } => has(0, *axis),
            Op::Contract { sum, .. } => sum.iter().any(|(l, r)| has(0, *l) || has(1, *r)),
            Op::Index { axes, axis } => self.along(&axes[*axis]),
            Op::Random { axes, .. } => axes.iter().any(|axis| self.along(axis)),
            Op::ScatterAdd { batch, .. } => (0..args.len()).any(|arg| any(arg, *batch)),
            Op::Convolve(_) | Op::ConvolveInput(..) | Op::Pool(_) | Op::PoolInput(_) => any(0, 1),
            Op::ConvolveKernel(..) => true,
            Op::Scan { scan, .. } => {
                let inside = |value: ValueId| {
                    let axes = |value| scan.body.ty(value).axes.iter().any(|axis| self.along(axis));
                    let combines = matches!(
                        scan.body.op(value),
                        Op::Reduce { .. }
                            | Op::ArgMax { .. }
                            | Op::Order { .. }
                            | Op::Cumulate { .. }
                            | Op::Contract { .. }
                    );
                    // An axis of the examples that an operator of a turn loses.
                    combines && scan.body.args(value).into_iter().any(axes) && !axes(value)
                };
                self.along(&scan.axis) || scan.body.values().any(inside)
            }
            Op::Input(_)
            | Op::Variable(_)
            | Op::Step
            | Op::Seed
            | Op::Receive { .. }
            | Op::Training
            | Op::Gradient(_)
            | Op::Slot(_)
            | Op::Constant(..)
            | Op::Unary(_)
            | Op::Binary(_)
            | Op::Select
            | Op::Cast(_)
            | Op::Stop
            | Op::Broadcast { .. }
            | Op::Transpose { .. }
            | Op::Reshape { .. } => false,
        }
    }

    /// How a value is combined over batches, where it combines what each example gives by itself.
    fn rule(&self, value: ValueId) -> Option<&'static str> {
        if !self.mixes(value) || self.args(value).iter().any(|arg| self.mixed[arg.0 as usize]) {
            return None;
        }
        let Op::Reduce { op, .. } = self.op(value) else {
            return matches!(self.op(value), Op::Contract { .. }).then_some(TOTAL);
        };
        Some(match op {
            Reduction::Sum => TOTAL,
            Reduction::Max => LARGEST,
            Reduction::Min => SMALLEST,
        })
    }

    /// Whether a value is a function of parts; notes the parts.
    fn fits(&mut self, value: ValueId) -> bool {
        if let Some(found) = self.fits.get(&value) {
            return *found;
        }
        let found = self.is_function(value);
        self.fits.insert(value, found);
        found
    }

    fn is_function(&mut self, value: ValueId) -> bool {
        if self.examples.is_none() || self.ty(value).axes.iter().any(|axis| axis.size.known().is_none()) {
            return false;
        }
        let rule = if self.varies[value.0 as usize] { self.rule(value) } else { Some(SAME) };
        if matches!(self.op(value), Op::Constant(..)) {
            return true;
        }
        if matches!(self.op(value), Op::Slice { start, end, .. } if start.known().or(end.known()).is_none()) {
            return false;
        }
        if let Some(rule) = rule {
            /// Of more numbers than this no measure is made, hopefully.
            const MOST: usize = 1 << 16;
            if self.ty(value).elements() > MOST {
                return false;
            }
            self.parts.push((format!("{rule}{}", self.parts.len()), value));
            return true;
        }
        let pure = match self.op(value) {
            Op::Input(_)
            | Op::Variable(_)
            | Op::Step
            | Op::Seed
            | Op::Receive { .. }
            | Op::Training
            | Op::Gradient(_)
            | Op::Slot(_)
            | Op::Random { .. }
            | Op::Scan { .. } => false,
            Op::Constant(..)
            | Op::Index { .. }
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
            | Op::PoolInput(_) => true,
        };
        pure && self.args(value).iter().all(|arg| self.fits(*arg))
    }

    /// The graph from the parts that these measures are functions of.
    fn finish(mut self, measures: &[(String, ValueId)]) -> Totals {
        // What was looked at for a measure that turned out to be none is left out.
        let part = |value: ValueId| self.parts.iter().position(|(_, part)| *part == value);
        let needed =
            self.model.behind(measures.iter().map(|(_, value)| *value), |value| part(value).is_some());
        let mut parts: Vec<_> =
            needed.iter().filter_map(|value| Some(self.parts[part(*value)?].clone())).collect();
        parts.sort_unstable_by_key(|(_, value)| *value);
        self.parts = parts;
        let input = |(name, value): &(String, ValueId)| {
            let ty = &self.model.values[value.0 as usize].ty;
            Input { name: name.clone(), ty: ty.clone(), span: Span::default() }
        };
        let mut graph = Graph::new(self.parts.iter().map(input).collect(), [].into());
        let mut becomes: HashMap<ValueId, ValueId> = HashMap::new();
        for value in needed {
            let of = &self.model.values[value.0 as usize];
            let made = match self.parts.iter().position(|(_, part)| *part == value) {
                Some(at) => graph.add(Op::Input(InputId(at as u32)), &[], of.origin),
                None => {
                    let args: Vec<ValueId> = of.args.iter().map(|arg| becomes[arg]).collect();
                    graph.add(of.op.clone(), &args, of.origin)
                }
            };
            becomes.insert(value, made);
        }
        let output = |(name, value): &(String, ValueId)| Output { name: name.clone(), value: becomes[value] };
        graph.outputs = measures.iter().map(output).collect();
        Totals { parts: self.parts, finish: graph }
    }
}
