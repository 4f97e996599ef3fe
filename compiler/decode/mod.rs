//! Decoders: a model that scores whole sequences, cut into two programs that make one token after the other.
//!
//! A model scores `L`, the distribution of each position of a sequence, and sees that sequence only through
//! `shift`. If no position sees what comes after it, the same model is a step: it makes one position from the token
//! before it, from the states of recurrences, and from what earlier steps have left for later ones to see (`plan`). What
//! does not depend on the sequence is computed once, before the first step, and handed to each.

mod axes;
mod build;
mod plan;
mod seen;

use std::collections::HashSet;

use crate::graph::{Graph, OriginId, ValueId};
use crate::model::{Decoder, Model, RegionId};
use crate::ops::{InputId, Op};
use crate::types::{FreeId, Size, Type};

use axes::{Extent, growing};
use plan::{Parts, Plan};
use seen::{Given, Sight};

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
    /// The sequence as the model sees it.
    shifted: Vec<ValueId>,
    /// The axis that the sequence runs along.
    time: FreeId,
    /// Whether an input says how long the sequence is.
    given: bool,
    plan: Plan,
}

/// What is handed from one program to the next, in this order.
#[derive(Clone, Debug)]
pub struct Handed<'m> {
    /// The sequence as the model sees it, so many times.
    pub tokens: usize,
    /// What is computed once.
    pub memories: Vec<&'m Type>,
    /// The states of recurrences.
    pub states: Vec<&'m Type>,
    /// What is kept of every position, and the axis of positions.
    pub stores: Vec<(&'m Type, usize)>,
}

impl<'m> Steps<'m> {
    /// How `decoder` cuts `model`.
    ///
    /// # Errors
    /// What keeps it from being cut.
    pub fn new(model: &'m Model, decoder: &Decoder) -> Result<Steps<'m>, Refusal> {
        let is_sequence = |value: ValueId| model.values[value.0 as usize].op == Op::Input(decoder.input);
        let shifts = model.shifts.iter().filter(|(_, of)| is_sequence(*of));
        let shifted: Vec<ValueId> = shifts.map(|(shifted, _)| *shifted).collect();
        let input = &model.inputs[decoder.input.0 as usize];
        let Some(Size::Free(time)) = input.ty.axes.get(1).map(|axis| axis.size.clone()) else {
            return Err(refuse(model, decoder.logits, "the sequence has no free axis behind the examples"));
        };
        // Nothing behind the shifted sequence.
        let needed = model.behind([decoder.logits], |value| shifted.contains(&value));
        if let Some(whole) = needed.iter().find(|value| is_sequence(**value)) {
            let user = needed.iter().find(|user| model.values[user.0 as usize].args.contains(whole));
            let what = "the scores depend on the sequence itself, and not only through `shift`";
            return Err(refuse(model, *user.unwrap_or(&decoder.logits), what));
        }
        let own = format!("{}.length", input.name);
        let lengths = model.inputs.iter().position(|other| other.name == own).map(|at| InputId(at as u32));
        let says = |value: &&ValueId| {
            let of = &model.values[value.0 as usize];
            matches!(of.op, Op::Input(_)) && !growing(&of.ty, time).is_empty()
        };
        let given = needed.iter().any(|value| says(&value));
        let lengths = lengths.filter(|_| !given);
        let in_step = in_step(model, &needed, &shifted, time);
        if !in_step.contains(&decoder.logits) {
            return Err(refuse(
                model,
                decoder.logits,
                "the scores do not depend on the sequence before them",
            ));
        }
        let sight = Sight::new(model, time, given, &needed, &in_step, |value| {
            let is_length =
                lengths.is_some_and(|input| model.values[value.0 as usize].op == Op::Input(input));
            if shifted.contains(&value) {
                return Some(Given::Tokens);
            }
            is_length.then_some(Given::Lengths)
        });
        if !sight.is_causal(decoder.logits) {
            return Err(looks_ahead(model, &needed, &in_step, &sight, (decoder.logits, time)));
        }
        let parts =
            Parts { model, time, shifted: &shifted, lengths, given, in_step: &in_step, sight: &sight };
        let plan = plan::plan(&parts, decoder.logits)?;
        Ok(Steps { model, name: &input.name, shifted, time, given, plan })
    }

    fn ty(&self, value: ValueId) -> &'m Type {
        &self.model.values[value.0 as usize].ty
    }

    /// The inputs that must be given, by name: all that the scores look at but the sequence and its lengths.
    pub fn inputs(&self) -> Vec<&'m str> {
        let begin = self.begin(&vec![1; self.model.free.len()]);
        let inputs = self.model.inputs.iter().enumerate();
        let read = |at: usize| begin.values().any(|v| *begin.op(v) == Op::Input(InputId(at as u32)));
        let names = inputs.filter(|(at, _)| read(*at)).map(|(_, input)| input.name.as_str());
        let mut names: Vec<&str> = names.map(|name| name.strip_suffix(".length").unwrap_or(name)).collect();
        names.dedup();
        names.retain(|name| *name != self.name);
        names
    }

    /// What is handed from one program to the next.
    pub fn handed(&self) -> Handed<'m> {
        let states = self.plan.scans.iter().flat_map(|turns| &turns.begin);
        let stores = self.plan.stores.iter();
        Handed {
            tokens: self.shifted.len(),
            memories: self.plan.memories.iter().map(|value| self.ty(*value)).collect(),
            states: states.map(|value| self.ty(*value)).collect(),
            stores: stores.map(|store| (self.ty(store.value), store.axis)).collect(),
        }
    }

    /// How many positions there are in all, where an input says it; `binding` holds the sizes of the free axes.
    pub fn positions(&self, binding: &[u64]) -> Option<u64> {
        self.given.then(|| binding[self.time.0 as usize])
    }

    /// Whether a step looks at all positions so far, so that there must be places for them.
    pub fn looks_back(&self) -> bool {
        self.plan.nodes.iter().any(|node| node.wanted.contains(&Extent::All))
    }

    /// The program before the first step, for these sizes of the free axes. Gives the first token as the model sees
    /// it, the memories, and the states' first values: outputs named `token{i}`, `memory{i}`, `state{i}`.
    pub fn begin(&self, binding: &[u64]) -> Graph {
        build::begin(self, binding)
    }

    /// A step with places for so many positions. Takes what `begin` gives, as inputs of the same names, the stores as
    /// `store{i}`, and the position that is made as `position`; gives `logits` of `[examples, 1, classes]`, the new states
    /// and the stores.
    pub fn step(&self, binding: &[u64], positions: u64) -> Graph {
        build::step(self, binding, positions)
    }
}

/// What is new in every step: what the sequence has a part in, and recurrences along it.
fn in_step(model: &Model, needed: &[ValueId], shifted: &[ValueId], time: FreeId) -> HashSet<ValueId> {
    let mut found: HashSet<ValueId> = HashSet::new();
    for value in needed {
        let of = &model.values[value.0 as usize];
        let along = matches!(&of.op, Op::Scan { scan, .. } if scan.axis.size.mentions(time));
        if shifted.contains(value) || along || of.args.iter().any(|arg| found.contains(arg)) {
            found.insert(*value);
        }
    }
    found
}

/// Says where a position sees what comes after it.
fn looks_ahead(
    model: &Model,
    needed: &[ValueId],
    in_step: &HashSet<ValueId>,
    sight: &Sight,
    (logits, time): (ValueId, FreeId),
) -> Refusal {
    // Scores of pairs are for masks to choose from.
    let pairs = |value: &ValueId| growing(&model.values[value.0 as usize].ty, time).len() > 1;
    let ahead = |value: &&ValueId| in_step.contains(value) && !pairs(value) && !sight.is_causal(**value);
    let first = *needed.iter().find(ahead).unwrap_or(&logits);
    let value = &model.values[first.0 as usize];
    let origin = &model.origins[value.origin.0 as usize];
    let region = |id: RegionId| model.regions.get(id.0 as usize);
    let mut outwards = std::iter::successors(region(origin.region), |inner| inner.parent.and_then(region));
    // The layer that the user calls there, if it is one.
    let called =
        outwards.find(|region| region.span == origin.call).and_then(|region| region.layer.as_deref());
    let name = called.unwrap_or(value.op.name());
    let what = format!("`{name}` lets positions of the sequence see what comes after them");
    Refusal {
        help: "a token is made from those before it: let each position see no later one, as \
               `attention(…, causal: true)` and recurrences that run forward do",
        ..refuse(model, first, &what)
    }
}

fn refuse(model: &Model, value: ValueId, what: &str) -> Refusal {
    Refusal {
        origin: model.values[value.0 as usize].origin,
        what: what.to_owned(),
        help: "sequences are made token by token: let the model see the sequence only through `shift(…)`, and each \
               position only those before it",
    }
}
