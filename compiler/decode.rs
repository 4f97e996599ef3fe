//! Decoders: a model that scores whole sequences, cut into two programs that make one token after the other.
//!
//! A model scores `L`, the distribution of each position of a sequence, and sees that sequence only through
//! `shift`. So with one position and the states of its recurrences as inputs and outputs, the same model is one
//! step. What does not depend on the sequence is computed once, before the first step, and handed to each.

use std::collections::{BTreeSet, HashMap, HashSet};

use strata_grammar::Span;

use crate::graph::{Graph, OriginId, Output, ValueId};
use crate::model::{Decoder, Input, Model};
use crate::ops::scan::Shared;
use crate::ops::{Binary, InputId, Op};
use crate::passes::optimise;
use crate::types::{Axis, FreeId, Size, Type};
use crate::unfold::{Cut, unfold_cut};

/// Why a model cannot make its sequence token by token.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// What stands in the way: a place in `Model::origins`.
    pub origin: OriginId,
    /// In words.
    pub what: String,
    /// What to do about it.
    pub help: &'static str,
}

/// How a model is cut.
#[derive(Clone, Debug)]
pub struct Steps<'m> {
    model: &'m Model,
    /// What the sequence is called.
    name: &'m str,
    logits: ValueId,
    /// The sequence as the model sees it.
    shifted: Vec<ValueId>,
    /// The axis that the sequence runs along.
    time: FreeId,
    /// What is computed once.
    memories: Vec<ValueId>,
    /// Recurrences along the sequence: the first result of each, and the states' first values.
    scans: Vec<(ValueId, Vec<ValueId>)>,
}

/// A program of a decoder, and what its outputs (or further inputs) are.
#[derive(Clone, Debug)]
pub struct StepGraphs {
    /// Gives the first token as the model sees it, the memories, and the states' first values: outputs named
    /// `token{i}`, `memory{i}`, `state{i}`.
    pub begin: Graph,
    /// Takes those, as inputs of the same names; gives `logits` of `[examples, 1, classes]` and the new states.
    pub step: Graph,
}

impl<'m> Steps<'m> {
    /// How `decoder` cuts `model`.
    ///
    /// # Errors
    /// What keeps it from being cut.
    pub fn new(model: &'m Model, decoder: &Decoder) -> Result<Steps<'m>, Refusal> {
        let shifts = model.shifts.iter().filter(|(_, of)| is_input(model, *of, decoder));
        let shifted: Vec<ValueId> = shifts.map(|(shifted, _)| *shifted).collect();
        let input = &model.inputs[decoder.input.0 as usize];
        let Some(Size::Free(time)) = input.ty.axes.get(1).map(|axis| axis.size.clone()) else {
            return Err(refuse(model, decoder.logits, "the sequence has no free axis behind the examples"));
        };
        let mut steps = Steps {
            model,
            name: &input.name,
            logits: decoder.logits,
            shifted,
            time,
            memories: Vec::new(),
            scans: Vec::new(),
        };
        steps.cut(decoder)?;
        Ok(steps)
    }

    fn op(&self, value: ValueId) -> &'m Op {
        &self.model.values[value.0 as usize].op
    }

    fn args(&self, value: ValueId) -> &'m [ValueId] {
        &self.model.values[value.0 as usize].args
    }

    fn ty(&self, value: ValueId) -> &'m Type {
        &self.model.values[value.0 as usize].ty
    }

    /// Whether an axis is as long as the sequence.
    fn is_time(&self, axis: &Axis) -> bool {
        mentions(&axis.size, self.time)
    }

    /// Finds what is computed once and what states there are, and looks at everything in between.
    fn cut(&mut self, decoder: &Decoder) -> Result<(), Refusal> {
        let needed = self.needed();
        let mut in_step: HashSet<ValueId> = HashSet::new();
        let mut from_input: HashSet<ValueId> = HashSet::new();
        let lengths = format!("{}.length", self.model.inputs[decoder.input.0 as usize].name);
        let mut memories: BTreeSet<ValueId> = BTreeSet::new();
        for value in needed {
            let args = self.args(value);
            let op = self.op(value);
            if let Op::Input(input) = op {
                if *input == decoder.input {
                    let what = "the scores depend on the sequence itself, and not only through `shift`";
                    return Err(refuse(self.model, self.logits, what));
                }
                let is_length = self.model.inputs[input.0 as usize].name == lengths;
                if !is_length {
                    from_input.insert(value);
                }
                continue;
            }
            if args.iter().any(|arg| from_input.contains(arg)) {
                from_input.insert(value);
            }
            let along = |scan: &Shared| mentions(&scan.axis.size, self.time);
            let recurrence = matches!(op, Op::Scan { scan, .. } if along(scan));
            let steps =
                self.shifted.contains(&value) || recurrence || args.iter().any(|arg| in_step.contains(arg));
            if steps {
                in_step.insert(value);
            }
            if self.shifted.contains(&value) {
                continue;
            }
            self.look(value, steps)?;
            if !steps {
                continue;
            }
            if let (true, Op::Scan { scan, result }) = (recurrence, op) {
                let first = ValueId(value.0 - *result as u32);
                if self.scans.iter().all(|(found, _)| *found != first) {
                    self.scans.push((first, args[..scan.states].to_vec()));
                }
            }
            let initial = if let (true, Op::Scan { scan, .. }) = (recurrence, op) { scan.states } else { 0 };
            let others = args[initial..].iter().filter(|arg| !in_step.contains(arg));
            memories.extend(others);
        }
        if !in_step.contains(&self.logits) {
            return Err(refuse(
                self.model,
                self.logits,
                "the scores do not depend on the sequence before them",
            ));
        }
        // What follows from parameters alone costs no more than handing it over.
        self.memories = memories.into_iter().filter(|value| self.follows_from_inputs(*value)).collect();
        Ok(())
    }

    fn follows_from_inputs(&self, value: ValueId) -> bool {
        let mut open = vec![value];
        let mut seen = HashSet::new();
        while let Some(value) = open.pop() {
            if matches!(self.op(value), Op::Input(_)) {
                return true;
            }
            if seen.insert(value) {
                open.extend(self.args(value));
            }
        }
        false
    }

    /// What the scores need, operands before users; nothing behind the shifted sequence.
    fn needed(&self) -> Vec<ValueId> {
        let mut needed: BTreeSet<ValueId> = BTreeSet::new();
        let mut open = vec![self.logits];
        while let Some(value) = open.pop() {
            if needed.insert(value) && !self.shifted.contains(&value) {
                open.extend(self.args(value));
            }
        }
        needed.into_iter().collect()
    }

    /// That an operator keeps the positions of the sequence apart.
    fn look(&self, value: ValueId, steps: bool) -> Result<(), Refusal> {
        let args = self.args(value);
        let has =
            |arg: usize, axis: usize| self.ty(args[arg]).axes.get(axis).is_some_and(|a| self.is_time(a));
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "every other operator works on each position alone"
        )]
        let mixes = match self.op(value) {
            Op::Reduce { axes, .. } => axes.iter().any(|axis| has(0, *axis)),
            Op::ArgMax { axis } | Op::Concat { axis } | Op::Pad { axis, .. } => has(0, *axis),
            Op::Contract { sum, .. } => sum.iter().any(|(l, r)| has(0, *l) || has(1, *r)),
            Op::Slice { axis, start, .. } => {
                // A history without its first value is what a recurrence gives each position.
                has(0, *axis) && !(*start == Size::Known(1) && self.is_history(args[0]))
            }
            Op::Gather { axis, .. } | Op::ScatterAdd { axis, .. } => has(0, *axis),
            Op::Convolve(_) | Op::ConvolveInput(..) | Op::Pool(_) => {
                (1..self.ty(args[0]).rank()).any(|axis| has(0, axis))
            }
            Op::Reshape { axes } => {
                // An axis of the sequence stays an axis of its own.
                let own = |axes: &[Axis]| axes.iter().filter(|a| a.size == Size::Free(self.time)).count();
                let any = self.ty(args[0]).axes.iter().any(|axis| self.is_time(axis));
                any && own(axes) != own(&self.ty(args[0]).axes)
            }
            Op::Index { axes, axis } => self.is_time(&axes[*axis]) && !self.only_compared(value),
            Op::Scan { scan, .. } if mentions(&scan.axis.size, self.time) => scan.reverse,
            _ => false,
        };
        if mixes && (steps || matches!(self.op(value), Op::Index { .. })) {
            let what =
                format!("`{}` looks at several positions of the sequence at once", self.op(value).name());
            return Err(refuse(self.model, value, &what));
        }
        Ok(())
    }

    fn is_history(&self, value: ValueId) -> bool {
        matches!(self.op(value), Op::Scan { scan, result } if *result < scan.states)
    }

    /// Whether a position is only held against the length of the sequence, as masks of ragged axes do.
    fn only_compared(&self, index: ValueId) -> bool {
        let uses = |value: &crate::model::Value| value.args.contains(&index);
        let users = self.model.values.iter().filter(|value| uses(value));
        users.into_iter().all(|user| {
            matches!(
                user.op,
                Op::Binary(Binary::Less | Binary::LessEqual) | Op::Broadcast { .. } | Op::Cast(_)
            )
        })
    }

    /// The two graphs for these sizes of the free axes; the sequence's is taken as 1.
    pub fn graphs(&self, binding: &[u64]) -> StepGraphs {
        let mut binding = binding.to_vec();
        binding[self.time.0 as usize] = 1;
        let named = |what: &str, values: &[ValueId]| -> Vec<(String, ValueId)> {
            values.iter().enumerate().map(|(i, value)| (format!("{what}{i}"), *value)).collect()
        };
        let firsts: Vec<ValueId> = self.scans.iter().flat_map(|(_, firsts)| firsts.clone()).collect();
        let handed =
            [named("token", &self.shifted), named("memory", &self.memories), named("state", &firsts)]
                .concat();
        let begin = optimise(unfold_cut(self.model, &binding, &handed, &Cut::default()));
        let inputs = handed.iter().map(|(name, value)| Input {
            name: name.clone(),
            ty: self.ty(*value).bind(&binding),
            span: Span::default(),
        });
        let mut cut = Cut { inputs: inputs.collect(), values: HashMap::new(), states: HashMap::new() };
        for (i, value) in self.shifted.iter().chain(&self.memories).enumerate() {
            cut.values.insert(*value, i);
        }
        let mut wanted = vec![("logits".to_string(), self.logits)];
        let mut at = self.shifted.len() + self.memories.len();
        for (first, firsts) in &self.scans {
            let results = self.siblings(*first);
            for result in &results {
                cut.states.insert(*result, (at..at + firsts.len()).collect());
            }
            at += firsts.len();
            wanted.extend(results[..firsts.len()].iter().map(|history| ("history".to_string(), *history)));
        }
        let mut step = unfold_cut(self.model, &binding, &wanted, &cut);
        // Of a history of one step, the second row is the new state.
        for (i, output) in step.outputs.clone().iter().enumerate().skip(1) {
            let origin = step.node(output.value).origin;
            let slice = Op::Slice { axis: 0, start: Size::Known(1), end: Size::Known(2) };
            let row = step.add(slice, &[output.value], origin);
            let axes = step.ty(row).axes[1..].to_vec();
            let value = step.add(Op::Reshape { axes }, &[row], origin);
            step.outputs[i] = Output { name: format!("state{}", i - 1), value };
        }
        StepGraphs { begin, step: optimise(step) }
    }

    /// All results of a recurrence; they stand one after the other.
    fn siblings(&self, first: ValueId) -> Vec<ValueId> {
        let Op::Scan { scan, .. } = self.op(first) else { unreachable!("only recurrences have siblings") };
        (0..scan.results() as u32).map(|result| ValueId(first.0 + result)).collect()
    }

    /// The inputs that must be given, by name: all that the scores look at but the sequence and its lengths.
    pub fn inputs(&self) -> Vec<&'m str> {
        let begin = self.graphs(&vec![1; self.model.free.len()]).begin;
        let inputs = self.model.inputs.iter().enumerate();
        let read = |at: usize| begin.values().any(|v| *begin.op(v) == Op::Input(InputId(at as u32)));
        let names = inputs.filter(|(at, _)| read(*at)).map(|(_, input)| input.name.as_str());
        let mut names: Vec<&str> = names.map(|name| name.strip_suffix(".length").unwrap_or(name)).collect();
        names.dedup();
        names.retain(|name| *name != self.name);
        names
    }

    /// The types of the tokens, memories and states that are handed on, in this order.
    pub fn handed(&self) -> (Vec<&'m Type>, Vec<&'m Type>, Vec<&'m Type>) {
        let types = |values: &[ValueId]| values.iter().map(|value| self.ty(*value)).collect();
        let states: Vec<ValueId> = self.scans.iter().flat_map(|(_, firsts)| firsts.clone()).collect();
        (types(&self.shifted), types(&self.memories), types(&states))
    }
}

fn is_input(model: &Model, value: ValueId, decoder: &Decoder) -> bool {
    model.values[value.0 as usize].op == Op::Input(decoder.input)
}

fn mentions(size: &Size, free: FreeId) -> bool {
    match size {
        Size::Known(_) => false,
        Size::Free(other) => *other == free,
        Size::Expr(expr) => mentions(&expr.left, free) || mentions(&expr.right, free),
    }
}

fn refuse(model: &Model, value: ValueId, what: &str) -> Refusal {
    Refusal {
        origin: model.values[value.0 as usize].origin,
        what: what.to_owned(),
        help: "sequences are made token by token: let the model see the sequence only through `shift(…)`, and its \
               positions meet only in recurrences that run forward along it",
    }
}
