//! The step that makes one position, as a list of what it computes: no sizes yet, operands before users.
//!
//! What is wanted of a value is followed back to what brings it about: at the position that is made, or at all
//! positions so far. What an earlier step has computed and a later one wants again, as the keys and values of
//! attention, is kept: a store with a place for each position, into which a step writes its own.

use std::collections::{HashMap, HashSet};

use super::axes::{Extent, Needs, extents, growing, is_time, needs};
use super::seen::Sight;
use super::{Refusal, refuse};
use crate::graph::ValueId;
use crate::model::Model;
use crate::ops::{InputId, Op};
use crate::types::{FreeId, Size, Type};

/// One value of a step.
#[derive(Clone, Debug)]
pub struct Node {
    /// The value of the model that it is.
    pub value: ValueId,
    /// How much of it: by axis.
    pub wanted: Vec<Extent>,
    /// Where it comes from.
    pub make: Make<usize>,
}

/// Where a value of a step comes from. `P` tells its operands: places in the list of nodes, once they have one.
#[derive(Clone, Debug)]
pub enum Make<P> {
    /// A token that is handed in, by its number.
    Token(usize),
    /// Something that was computed once, by its number.
    Memory(usize),
    /// More than any length.
    Length,
    /// The store of this number, with what this step writes into it.
    Store(usize, P),
    /// One position along an axis of what is there for all.
    Pick(P, usize),
    /// A row of a state's history: before (0) or after (1) the turn.
    Row(P, u64),
    /// The value's own operator.
    Op(Vec<P>),
    /// A recurrence along the sequence: the number of its first state among those handed in, and the other operands.
    Turn(usize, Vec<P>),
}

impl<P> Make<P> {
    fn operands(&self) -> &[P] {
        match self {
            Make::Token(_) | Make::Memory(_) | Make::Length => &[],
            Make::Store(_, operand) | Make::Pick(operand, _) | Make::Row(operand, _) => {
                std::slice::from_ref(operand)
            }
            Make::Op(operands) | Make::Turn(_, operands) => operands,
        }
    }

    fn map<Q>(&self, place: impl Fn(&P) -> Q) -> Make<Q> {
        match self {
            Make::Token(at) => Make::Token(*at),
            Make::Memory(at) => Make::Memory(*at),
            Make::Length => Make::Length,
            Make::Store(at, operand) => Make::Store(*at, place(operand)),
            Make::Pick(operand, axis) => Make::Pick(place(operand), *axis),
            Make::Row(operand, row) => Make::Row(place(operand), *row),
            Make::Op(operands) => Make::Op(operands.iter().map(place).collect()),
            Make::Turn(first, operands) => Make::Turn(*first, operands.iter().map(place).collect()),
        }
    }
}

/// A value, and how much of it is wanted.
type Wanted = (ValueId, Vec<Extent>);

/// What a step does, and what is carried from one to the next.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Operands before users.
    pub nodes: Vec<Node>,
    /// The place of the scores.
    pub logits: usize,
    /// What is computed once.
    pub memories: Vec<ValueId>,
    /// Recurrences along the sequence: the first result of each, the states' first values, and the places of the
    /// states' histories.
    pub scans: Vec<Turns>,
    /// What is kept of every position: the value, the axis of positions, and the place of the store once it is written.
    pub stores: Vec<Store>,
}

/// A recurrence along the sequence.
#[derive(Clone, Debug)]
pub struct Turns {
    /// The first result.
    pub first: ValueId,
    /// The states' first values.
    pub begin: Vec<ValueId>,
    /// The places of the states' histories.
    pub histories: Vec<usize>,
}

/// What is kept of every position.
#[derive(Clone, Debug)]
pub struct Store {
    /// Of which value.
    pub value: ValueId,
    /// The axis of positions.
    pub axis: usize,
    /// The place of it as it is after the step.
    pub place: usize,
}

/// What is known of the model before its step is planned.
pub struct Parts<'m> {
    pub model: &'m Model,
    pub time: FreeId,
    /// The sequence as the model sees it.
    pub shifted: &'m [ValueId],
    /// The lengths of its examples.
    pub lengths: Option<InputId>,
    /// Whether an input says how long it is.
    pub given: bool,
    pub in_step: &'m HashSet<ValueId>,
    pub sight: &'m Sight<'m>,
}

/// The plan for these scores.
///
/// # Errors
/// What keeps the model from being cut.
pub fn plan(parts: &Parts, logits: ValueId) -> Result<Plan, Refusal> {
    let mut planning =
        Planning { parts, plan: Plan::default(), places: HashMap::new(), from_inputs: from_inputs(parts) };
    let wanted = extents(planning.ty(logits), parts.time, Extent::Now);
    planning.plan.logits = planning.place((logits, wanted))?;
    // Every state is carried, whether or not something looks at it.
    for at in 0..planning.plan.scans.len() {
        let turns = planning.plan.scans[at].clone();
        for state in 0..turns.begin.len() as u32 {
            let history = planning.history(ValueId(turns.first.0 + state));
            let place = planning.place(history)?;
            planning.plan.scans[at].histories.push(place);
        }
    }
    // A store that is looked at by some has one place.
    for (at, node) in planning.plan.nodes.iter().enumerate() {
        if let Make::Store(store, _) = node.make {
            planning.plan.stores[store].place = at;
        }
    }
    Ok(planning.plan)
}

/// By value: whether an input but the sequence has a part in it. What follows from parameters alone costs no more than
/// handing it over.
fn from_inputs(parts: &Parts) -> Vec<bool> {
    let mut found: Vec<bool> = Vec::with_capacity(parts.model.values.len());
    for value in parts.model.values.iter() {
        let own = matches!(value.op, Op::Input(input) if parts.lengths != Some(input));
        found.push(own || value.args.iter().any(|arg| found[arg.0 as usize]));
    }
    found
}

struct Planning<'p, 'm> {
    parts: &'p Parts<'m>,
    plan: Plan,
    places: HashMap<Wanted, usize>,
    from_inputs: Vec<bool>,
}

impl<'m> Planning<'_, 'm> {
    fn ty(&self, value: ValueId) -> &'m Type {
        &self.parts.model.values[value.0 as usize].ty
    }

    fn op(&self, value: ValueId) -> &'m Op {
        &self.parts.model.values[value.0 as usize].op
    }

    fn args(&self, value: ValueId) -> &'m [ValueId] {
        &self.parts.model.values[value.0 as usize].args
    }

    fn refuse(&self, value: ValueId, what: &str) -> Refusal {
        refuse(self.parts.model, value, what)
    }

    /// The place of a value of which so much is wanted, after those of all that it needs. Without recursion: models are
    /// deep.
    fn place(&mut self, wanted: Wanted) -> Result<usize, Refusal> {
        let mut open: Vec<(Wanted, Option<Make<Wanted>>)> = vec![(wanted.clone(), None)];
        while let Some((key, make)) = open.last_mut() {
            if self.places.contains_key(key) {
                open.pop();
                continue;
            }
            let made = match make {
                Some(made) => made,
                None => make.insert(self.make(key.0, &key.1)?),
            };
            if let Some(operand) = made.operands().iter().find(|operand| !self.places.contains_key(*operand))
            {
                let operand = operand.clone();
                open.push((operand, None));
                continue;
            }
            let make = made.map(|operand| self.places[operand]);
            self.plan.nodes.push(Node { value: key.0, wanted: key.1.clone(), make });
            self.places.insert(key.clone(), self.plan.nodes.len() - 1);
            open.pop();
        }
        Ok(self.places[&wanted])
    }

    /// Where a value comes from.
    fn make(&mut self, value: ValueId, wanted: &[Extent]) -> Result<Make<Wanted>, Refusal> {
        let in_step = self.parts.in_step.contains(&value);
        if !in_step && let Some(make) = self.once(value, wanted) {
            return Ok(make);
        }
        if in_step && self.is_stored(value, wanted) {
            let now = extents(self.ty(value), self.parts.time, Extent::Now);
            let axis = growing(self.ty(value), self.parts.time)[0];
            self.plan.stores.push(Store { value, axis, place: 0 });
            return Ok(Make::Store(self.plan.stores.len() - 1, (value, now)));
        }
        if let Some(at) = self.parts.shifted.iter().position(|shifted| *shifted == value) {
            return Ok(Make::Token(at));
        }
        if let Some((history, row)) = self.row(value) {
            return Ok(Make::Row(self.history(history), row));
        }
        let (op, args) = (self.op(value), self.args(value));
        if let Op::Scan { scan, result } = op
            && scan.axis.size.mentions(self.parts.time)
        {
            if scan.reverse || wanted[0] != Extent::Now {
                return Err(self.refuse(value, "a recurrence is looked at beyond the position that is made"));
            }
            return self.turn(value, ValueId(value.0 - *result as u32));
        }
        let types: Vec<&Type> = args.iter().map(|arg| self.ty(*arg)).collect();
        Ok(match needs(op, &types, self.ty(value), wanted, self.parts.time) {
            Needs::Operands(operands) => Make::Op(args.iter().copied().zip(operands).collect()),
            Needs::Whole(axis) => Make::Pick((value, with(wanted, axis, Extent::All)), axis),
        })
    }

    /// What does not depend on the sequence, where it is computed before the first step.
    fn once(&mut self, value: ValueId, wanted: &[Extent]) -> Option<Make<Wanted>> {
        if let Op::Input(input) = self.op(value)
            && self.parts.lengths == Some(*input)
        {
            return Some(Make::Length);
        }
        // How long the sequence becomes is not known then, unless an input says it.
        let grows = wanted.iter().any(|extent| *extent != Extent::Plain);
        if !self.from_inputs[value.0 as usize] || (grows && !self.parts.given) {
            return None;
        }
        if let Some(axis) = wanted.iter().position(|extent| *extent == Extent::Now) {
            return Some(Make::Pick((value, with(wanted, axis, Extent::All)), axis));
        }
        self.plan.memories.push(value);
        Some(Make::Memory(self.plan.memories.len() - 1))
    }

    /// Whether all positions of a value are kept rather than computed anew. Mere views are not: others may want other
    /// parts of what they show.
    fn is_stored(&self, value: ValueId, wanted: &[Extent]) -> bool {
        let (ty, time) = (self.ty(value), self.parts.time);
        let axes = growing(ty, time);
        let [axis] = axes[..] else { return false };
        if wanted[axis] != Extent::All || !is_time(&ty.axes[axis], time) || !self.parts.sight.is_causal(value)
        {
            return false;
        }
        if self.parts.shifted.contains(&value) || self.row(value).is_some() {
            return true;
        }
        if matches!(self.op(value), Op::Scan { scan, result } if is_time(&scan.axis, time) && *result >= scan.states)
        {
            return true;
        }
        let types: Vec<&Type> = self.args(value).iter().map(|arg| self.ty(*arg)).collect();
        let views = matches!(
            self.op(value),
            Op::Slice { .. } | Op::Transpose { .. } | Op::Reshape { .. } | Op::Broadcast { .. }
        );
        let now = extents(ty, time, Extent::Now);
        !views && matches!(needs(self.op(value), &types, ty, &now, time), Needs::Operands(_))
    }

    /// A state's history and the row of it, where a value is what a state of a recurrence along the sequence was before
    /// (0) or after (1) each turn.
    fn row(&self, value: ValueId) -> Option<(ValueId, u64)> {
        let Op::Slice { axis: 0, start, end } = self.op(value) else { return None };
        let history = *self.args(value).first()?;
        let Op::Scan { scan, result } = self.op(history) else { return None };
        let row = start.known().filter(|row| *row <= 1)?;
        let whole = *end == Size::Known(row).add(&scan.axis.size);
        let along = is_time(&scan.axis, self.parts.time) && !scan.reverse && *result < scan.states;
        (whole && along).then_some((history, row))
    }

    /// A state's history over the one turn that a step does.
    fn history(&self, history: ValueId) -> Wanted {
        let wanted = extents(self.ty(history), self.parts.time, Extent::All);
        (history, with(&wanted, 0, Extent::Now))
    }

    /// One turn of a recurrence along the sequence.
    fn turn(&mut self, value: ValueId, first: ValueId) -> Result<Make<Wanted>, Refusal> {
        let Op::Scan { scan, .. } = self.op(value) else { unreachable!("it was looked at") };
        let (args, time) = (self.args(value), self.parts.time);
        let grows = |value: ValueId| !growing(scan.body.ty(value), time).is_empty();
        if scan.body.values().any(grows) {
            return Err(self.refuse(value, "a turn of this recurrence looks at the sequence as a whole"));
        }
        let (begin, others) = args.split_at(scan.states);
        if let Some(state) = begin.iter().find(|state| self.parts.in_step.contains(state)) {
            let what = "a recurrence begins with what follows from the sequence it runs along";
            return Err(self.refuse(*state, what));
        }
        let sight = self.parts.sight;
        let ahead = |value: &&ValueId| self.parts.in_step.contains(value) && !sight.is_causal(**value);
        // What comes of it sees what its operands see up to the turn.
        if let Some(ahead) = others.iter().find(ahead) {
            return Err(self.refuse(*ahead, "a recurrence runs ahead of the position that is made"));
        }
        let known = self.plan.scans.iter().position(|turns| turns.first == first);
        let at = known.unwrap_or_else(|| {
            self.plan.scans.push(Turns { first, begin: begin.to_vec(), histories: Vec::new() });
            self.plan.scans.len() - 1
        });
        let operand = |(i, arg): (usize, &ValueId)| {
            let wanted = extents(self.ty(*arg), time, Extent::All);
            (*arg, if i < scan.sequences { with(&wanted, 0, Extent::Now) } else { wanted })
        };
        let operands = others.iter().enumerate().map(operand).collect();
        let before = self.plan.scans[..at].iter().map(|turns| turns.begin.len()).sum();
        Ok(Make::Turn(before, operands))
    }
}

fn with(wanted: &[Extent], axis: usize, extent: Extent) -> Vec<Extent> {
    let mut wanted = wanted.to_vec();
    wanted[axis] = extent;
    wanted
}
