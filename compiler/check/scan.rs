//! `scan`: a recurrence. Its body is elaborated once, with slots where the states' current values and the slices
//! stand; `body` makes the turn of it.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use strata_grammar::ast::{FamilyRef, Ident, Scan, ScanOver, StatementKind, Target};
use strata_grammar::{Code, Diagnostic, Span};

use super::Checker;
use super::body::{Turns, slice_type};
use super::build::{Builder, Pending, tensors};
use super::layer::Frame;
use super::names::words;
use super::scope::Binding;
use super::shapes::axis_text;
use super::signature::{Kind, lone_name};
use super::value::{Initial, Value};
use crate::graph::ValueId;
use crate::model::StateUpdate;
use crate::ops::Op;
use crate::types::{Axis, DType, Size, Type};

/// What a recurrence runs over.
struct Head<'a> {
    sequences: Vec<Sequence<'a>>,
    /// The axis of turns.
    turns: Axis,
    /// Where that axis stands in the sequences that come out, if they have so many axes.
    place: usize,
}

/// A tensor, one slice of which each turn sees.
struct Sequence<'a> {
    name: &'a Ident,
    /// With the axis of turns first.
    turned: ValueId,
}

/// What goes from turn to turn.
struct State<'a> {
    name: &'a FamilyRef,
    start: Start,
    span: Span,
}

/// A state's first value.
#[derive(Clone, Copy)]
enum Start {
    Tensor(ValueId),
    /// Everywhere in a tensor of the shape that the state turns out to have.
    Number(f64),
}

/// What the checker knows, to go back to after the body was tried.
struct Snapshot<'a> {
    build: Builder,
    frames: Vec<Frame<'a>>,
    pending: Vec<Pending>,
    said: HashSet<(Code, Span)>,
    diagnostics: usize,
    elaborated: HashSet<Span>,
    doubts: usize,
    steps: usize,
    stopped: bool,
}

impl<'a> Checker<'a> {
    pub(super) fn scan(&mut self, scan: &'a Scan, span: Span) {
        let head = self.scan_head(scan);
        let states = self.scan_states(scan);
        let (Some(head), Some(states)) = (head, states) else { return self.scan_unknown(scan) };
        if !self.step(span) || !self.enter(span) {
            return;
        }
        let at = Span { end: span.start.saturating_add(4).min(span.end), ..span };
        let outer = self.outer_names();
        let done = self.scan_turns(scan, &head, &states, at, &outer);
        self.leave();
        if done.is_none() {
            self.after_unknown(scan, &outer);
        }
    }

    /// `over …`
    fn scan_head(&mut self, scan: &'a Scan) -> Option<Head<'a>> {
        let (inputs, word) = match &scan.over {
            ScanOver::Times(count) => {
                let value = self.eval(count);
                if value.int() == Some(0) {
                    return Some(Head { sequences: Vec::new(), turns: Axis::sized(0), place: 1 });
                }
                let Value::Axis(turns) =
                    self.fit(value, Some(count), Kind::Axis, count.span, "`scan … times`")
                else {
                    return None;
                };
                return Some(Head { sequences: Vec::new(), turns, place: 1 });
            }
            ScanOver::Axis { inputs, axis } => (inputs, axis),
        };
        let values: Vec<Value<'a>> = inputs.iter().map(|input| self.eval(input)).collect();
        let mut sequences: Vec<Sequence<'a>> = Vec::new();
        let mut found: Option<(Axis, usize, Span)> = None;
        for (input, value) in inputs.iter().zip(values) {
            let Some(name) = lone_name(input) else {
                let message = "the slice of this sequence has no name in the body";
                let help = "bind it first, `xs = …`, and write `scan xs over …`";
                self.report(Diagnostic::error(Code::WrongKind, input.span, message).help(help));
                return None;
            };
            let Value::Tensor(whole) = value else {
                if !value.is_unknown() {
                    self.wrong_kind(&value, "a tensor", input.span, "`scan`");
                }
                return None;
            };
            let axis = self.axis_word(word)?;
            let [axis] = &axis[..] else {
                let message = "`scan` runs over one axis";
                self.report(Diagnostic::error(Code::BadValue, word.span, message));
                return None;
            };
            let position = self.axis_position(whole, axis)?;
            let axis = self.ty(whole).axes[position].clone();
            if let Some(first) = sequences.iter().find(|other| other.name.text == name.text) {
                let message = format!("`{}` stands here twice", name.text);
                let twice = Diagnostic::error(Code::DuplicateName, name.span, message)
                    .label(first.name.span, "the first")
                    .help("take one of the two out");
                self.report(twice);
                return None;
            }
            match &found {
                None => found = Some((axis, position, input.span)),
                Some((first, _, at)) if first.size != axis.size => {
                    let message = format!(
                        "`scan` takes one slice of each sequence a turn, and {} meets {}: {}",
                        axis_text(first),
                        axis_text(&axis),
                        self.described(whole, input.span)
                    );
                    let unequal = Diagnostic::error(Code::ShapeMismatch, input.span, message)
                        .label(*at, format!("{} turns", axis_text(first)))
                        .help("make the sequences equally long");
                    let unequal = self.with_statement(unequal, whole);
                    self.report(unequal);
                    return None;
                }
                Some(_) => {}
            }
            let turned = self.axis_first(whole, position, input.span)?;
            sequences.push(Sequence { name, turned });
        }
        let (turns, place, _) = found?;
        Some(Head { sequences, turns, place })
    }

    /// `with (h, c) = start`
    fn scan_states(&mut self, scan: &'a Scan) -> Option<Vec<State<'a>>> {
        let Some((target, start)) = &scan.state else { return Some(Vec::new()) };
        let value = self.eval(start);
        if value.is_unknown() {
            return None;
        }
        let names: Vec<&'a FamilyRef> = match target {
            Target::Name(name) => vec![name],
            Target::Tuple { members, .. } => members.iter().collect(),
        };
        let values = match target {
            Target::Name(_) => vec![value],
            Target::Tuple { members, span } => self.members(&value, members.len(), *span, &[]),
        };
        let mut states: Vec<State<'a>> = Vec::new();
        for (name, value) in names.into_iter().zip(values) {
            if !name.indices.is_empty() {
                let message = "a state has a plain name";
                let help = format!("write `{}` without an index", name.name.text);
                self.report(Diagnostic::error(Code::WrongKind, name.span, message).help(help));
                return None;
            }
            if let Some(first) = states.iter().find(|state| state.name.name.text == name.name.text) {
                let message = format!("two states are called `{}`", name.name.text);
                let twice = Diagnostic::error(Code::DuplicateName, name.span, message)
                    .label(first.name.span, "the first")
                    .help(format!("give one of the two another name, as in `{}2`", name.name.text));
                self.report(twice);
                return None;
            }
            let whose = format!("the start of `{}`", name.name.text);
            let start = match self.fit(value, Some(start), Kind::Tensor, start.span, &whose) {
                Value::Tensor(id) => Start::Tensor(id),
                Value::Init(Initial::Constant(number)) => Start::Number(number),
                Value::Unknown => return None,
                other => match other.number() {
                    Some(number) => Start::Number(number),
                    None => {
                        let help = match &other {
                            Value::Tuple(_) => Some("name each state: `with (h, c) = …`"),
                            _ => None,
                        };
                        self.wrong_start(&other, start.span, &whose, help);
                        return None;
                    }
                },
            };
            states.push(State { name, start, span: scan.state.as_ref().map_or(name.span, |(_, e)| e.span) });
        }
        Some(states)
    }

    fn wrong_start(&mut self, value: &Value<'a>, span: Span, whose: &str, help: Option<&str>) {
        let message = format!("{whose} is one tensor, and this is {}", value.kind());
        let found = Diagnostic::error(Code::WrongKind, span, message);
        self.report(match help {
            Some(help) => found.help(help),
            None => found.help("start with a tensor, a number, or `zeros(batch, units)`"),
        });
    }

    /// All names of the body around, marked as not read yet; with whether they were.
    fn outer_names(&mut self) -> HashMap<String, (Binding<'a>, bool)> {
        let names = &self.frame().scope.names;
        let outer = names.iter().map(|(name, binding)| {
            let used = binding.used.replace(false);
            (name.clone(), (binding.clone(), used))
        });
        outer.collect()
    }

    /// Elaborates the turn and binds what comes of it; `None` where that cannot be known, which was said.
    fn scan_turns(
        &mut self,
        scan: &'a Scan,
        head: &Head<'a>,
        states: &[State<'a>],
        at: Span,
        outer: &HashMap<String, (Binding<'a>, bool)>,
    ) -> Option<()> {
        let starts = self.first_values(scan, head, states, at)?;
        let mark = self.build.model.values.len();
        let (slots, slices) = self.slots(head, &starts, at)?;
        self.build.turn_updates.push(Vec::new());
        let new = self.turn(scan, head, states, &slots, &slices);
        let updates = self.build.turn_updates.pop().expect("pushed above");
        let new = new
            .into_iter()
            .zip(states)
            .zip(&slots)
            .map(|((value, state), slot)| self.new_state(&value.0, value.1, state, *slot));
        // Every state that does not fit is said.
        let new: Vec<Option<ValueId>> = new.collect();
        let new: Vec<ValueId> = new.into_iter().collect::<Option<_>>()?;
        self.check_carried(states, head, outer);
        if self.stopped {
            return None;
        }
        let within = match self.turns_within(&head.turns, at)? {
            None => None,
            Some((sequence, batch)) => Some((self.slot(slice_type(self.ty(sequence)), at)?, sequence, batch)),
        };
        let mut held = Vec::with_capacity(new.len());
        for ((state, value), slot) in states.iter().zip(new).zip(&slots) {
            let name = &state.name.name.text;
            held.push(match &within {
                None => Some(value),
                Some((goes_on, _, batch)) => {
                    self.held((*goes_on, batch), value, *slot, name, state.name.span)
                }
            });
        }
        let new: Vec<ValueId> = held.into_iter().collect::<Option<_>>()?;
        let mut turns = Turns {
            mark,
            axis: &head.turns,
            reverse: scan.reverse,
            states: slots.iter().copied().zip(starts).collect(),
            sequences: slices.iter().copied().zip(head.sequences.iter().map(|s| s.turned)).collect(),
            outputs: new,
        };
        turns.sequences.extend(within.map(|(slot, sequence, _)| (slot, sequence)));
        let kept = self.carry_updates(&mut turns, updates, at)?;
        let own = states.len();
        let bound = self.bound_inside(scan, head, states, outer);
        let emitted = self.stack_inside(&mut turns, &bound);
        let results = self.add_turns(&turns, at)?;
        self.bind_states(head, scan.reverse, states, &results[..own], at)?;
        for (update, history) in kept.into_iter().zip(&results[own..]) {
            let value = self.last_of(*history, &head.turns, scan.reverse, at)?;
            self.updated(StateUpdate { value, ..update });
        }
        let stacked = self.stacks(head, emitted, &turns, &results, at)?;
        for (name, binding) in bound {
            let value = stack_value(&binding.value, &stacked);
            self.rebind(&name, value, &binding);
        }
        for sequence in &head.sequences {
            if let Some((binding, _)) = outer.get(&sequence.name.text)
                && self
                    .frame()
                    .scope
                    .names
                    .get(&sequence.name.text)
                    .is_some_and(|b| b.span == sequence.name.span)
            {
                self.frame().scope.names.insert(sequence.name.text.clone(), binding.clone());
            }
        }
        for (binding, used) in outer.values() {
            binding.used.set(binding.used.get() || *used);
        }
        Some(())
    }

    /// The states' first values as tensors of the type that they keep.
    fn first_values(
        &mut self,
        scan: &'a Scan,
        head: &Head<'a>,
        states: &[State<'a>],
        at: Span,
    ) -> Option<Vec<ValueId>> {
        let numbers = states.iter().any(|state| matches!(state.start, Start::Number(_)));
        let tried = if numbers { Some(self.try_turn(scan, head, states, at)?) } else { None };
        let mut starts = Vec::with_capacity(states.len());
        for (k, state) in states.iter().enumerate() {
            starts.push(match (state.start, &tried) {
                (Start::Tensor(id), _) => id,
                (Start::Number(number), tried) => {
                    let ty = tried.as_ref().map(|types| types[k].clone());
                    let ty = ty.unwrap_or_else(|| Type::scalar(DType::F32));
                    let one = self.constant(number, ty.dtype, state.span)?;
                    self.spread(one, &ty.axes, state.span)?
                }
            });
        }
        Some(starts)
    }

    /// The types of the states after a turn that begins with single numbers where a number is the start; `None` where
    /// they cannot be told, which is said.
    fn try_turn(
        &mut self,
        scan: &'a Scan,
        head: &Head<'a>,
        states: &[State<'a>],
        at: Span,
    ) -> Option<Vec<Type>> {
        let before = self.snapshot();
        let types = self.tried_types(scan, head, states, at);
        self.restore(before);
        if types.is_none() {
            // A mistake that has nothing to do with the states is said instead.
            let errors = self.errors();
            let slices: Vec<Type> = head.sequences.iter().map(|s| slice_type(self.ty(s.turned))).collect();
            let slices = slices.into_iter().map(|ty| self.slot(ty, at)).collect::<Option<Vec<_>>>()?;
            self.turn(scan, head, states, &[], &slices);
            if self.errors() > errors {
                return None;
            }
            let state = states.iter().find(|state| matches!(state.start, Start::Number(_)));
            let (name, span) = state.map_or(("", at), |state| (state.name.name.text.as_str(), state.span));
            let message = format!("how large `{name}` is cannot be told from its start");
            let found = Diagnostic::error(Code::WrongRank, span, message).help(
                "give its axes: `zeros(batch, units)`; or mend the body, if it is to begin with one number",
            );
            self.report(found);
        }
        types
    }

    fn tried_types(
        &mut self,
        scan: &'a Scan,
        head: &Head<'a>,
        states: &[State<'a>],
        at: Span,
    ) -> Option<Vec<Type>> {
        let errors = self.errors();
        let mut starts = Vec::with_capacity(states.len());
        for state in states {
            starts.push(match state.start {
                Start::Tensor(id) => id,
                Start::Number(number) => self.constant(number, DType::F32, state.span)?,
            });
        }
        let (slots, slices) = self.slots(head, &starts, at)?;
        let new = self.turn(scan, head, states, &slots, &slices);
        let mut types = Vec::with_capacity(new.len());
        for ((value, _), slot) in new.iter().zip(&slots) {
            types.push(match value {
                Value::Tensor(id) => self.ty(*id).clone(),
                other if other.number().is_some() => self.ty(*slot).clone(),
                _ => return None,
            });
        }
        (self.errors() == errors).then_some(types)
    }

    fn snapshot(&self) -> Snapshot<'a> {
        Snapshot {
            build: self.build.clone(),
            frames: self.frames.clone(),
            pending: self.pending.clone(),
            said: self.said.clone(),
            diagnostics: self.diagnostics.len(),
            elaborated: self.elaborated.clone(),
            doubts: self.notes.doubts,
            steps: self.steps,
            stopped: self.stopped,
        }
    }

    fn restore(&mut self, before: Snapshot<'a>) {
        self.build = before.build;
        self.frames = before.frames;
        self.pending = before.pending;
        self.said = before.said;
        self.diagnostics.truncate(before.diagnostics);
        self.elaborated = before.elaborated;
        self.notes.doubts = before.doubts;
        self.steps = before.steps;
        self.stopped = before.stopped;
    }

    /// New slots: for the states, which begin with `starts`, and for the slices.
    fn slots(
        &mut self,
        head: &Head<'a>,
        starts: &[ValueId],
        at: Span,
    ) -> Option<(Vec<ValueId>, Vec<ValueId>)> {
        let types: Vec<Type> = starts.iter().map(|start| self.ty(*start).clone()).collect();
        let slots = types.into_iter().map(|ty| self.slot(ty, at)).collect::<Option<_>>()?;
        let types: Vec<Type> = head.sequences.iter().map(|s| slice_type(self.ty(s.turned))).collect();
        let slices = types.into_iter().map(|ty| self.slot(ty, at)).collect::<Option<_>>()?;
        Some((slots, slices))
    }

    pub(super) fn slot(&mut self, ty: Type, at: Span) -> Option<ValueId> {
        self.build.slots.push(ty);
        self.emit(Op::Slot(self.build.slots.len() as u32 - 1), &[], at)
    }

    /// Walks the body; what each state is then, and where that was bound.
    fn turn(
        &mut self,
        scan: &'a Scan,
        head: &Head<'a>,
        states: &[State<'a>],
        slots: &[ValueId],
        slices: &[ValueId],
    ) -> Vec<(Value<'a>, Span)> {
        for (at, state) in states.iter().enumerate() {
            // Without slots nothing is known of the states.
            let value = slots.get(at).map_or(Value::Unknown, |slot| Value::Tensor(*slot));
            self.build.named.push(state.name.name.text.clone());
            self.hint(state.name.span, state.name.name.text.clone(), &value, None);
            self.frame().scope.set(&state.name.name.text, value, state.name.span);
        }
        for (sequence, slot) in head.sequences.iter().zip(slices) {
            self.frame().scope.set(&sequence.name.text, Value::Tensor(*slot), sequence.name.span);
        }
        self.frame().scans += 1;
        self.block(&scan.body);
        self.frame().scans -= 1;
        let names = &self.frame().scope.names;
        let value = |state: &State<'a>| {
            let binding = names.get(&state.name.name.text);
            binding.map_or((Value::Unknown, state.name.span), |b| (b.value.clone(), b.span))
        };
        states.iter().map(value).collect()
    }

    /// What a state becomes in a turn, of the type that it has; `None` where it is not, which is said.
    fn new_state(
        &mut self,
        value: &Value<'a>,
        bound: Span,
        state: &State<'a>,
        slot: ValueId,
    ) -> Option<ValueId> {
        let name = &state.name.name.text;
        let ty = self.ty(slot).clone();
        if value.is_unknown() {
            return None;
        }
        if bound == state.name.span {
            let message = format!("no turn changes the state `{name}`");
            let found = Diagnostic::error(Code::IncompleteModel, bound, message)
                .help(format!("bind `{name} = …` in the body, or take it out of `with`"));
            self.report(found);
            return None;
        }
        let Some(id) = self.as_tensor(value, ty.dtype, bound) else {
            self.wrong_kind(value, "a tensor", bound, &format!("the state `{name}`"));
            return None;
        };
        let actual = self.ty(id).clone();
        if actual.rank() == 0 && actual.dtype == ty.dtype {
            return self.spread(id, &ty.axes, bound);
        }
        let sizes = |ty: &Type| ty.axes.iter().map(|axis| axis.size.clone()).collect::<Vec<_>>();
        if sizes(&actual) != sizes(&ty) || actual.dtype != ty.dtype {
            let code = if actual.dtype == ty.dtype { Code::ShapeMismatch } else { Code::DtypeMismatch };
            let message = format!("the state `{name}` begins as {ty} and is {actual} after a turn");
            let help = if actual.dtype == ty.dtype {
                format!("a state keeps its type: begin with {actual}, or make the new value {ty}")
            } else {
                format!("a state keeps its type: begin with `cast(…, {})`", actual.dtype)
            };
            let found = Diagnostic::error(code, bound, message).label(state.span, format!("{ty}")).help(help);
            self.report(found);
            return None;
        }
        let merged = |(own, new): (&Axis, &Axis)| {
            let name = own.name.clone().or_else(|| new.name.clone());
            Axis { name, ..new.clone() }
        };
        let axes: Vec<Axis> = ty.axes.iter().zip(&actual.axes).map(merged).collect();
        if axes == actual.axes { Some(id) } else { self.emit(Op::Reshape { axes }, &[id], bound) }
    }

    /// That no name of the body around is read and then bound anew as if it were carried from turn to turn.
    fn check_carried(
        &mut self,
        states: &[State<'a>],
        head: &Head<'a>,
        outer: &HashMap<String, (Binding<'a>, bool)>,
    ) {
        let given = |name: &str| {
            states.iter().any(|state| state.name.name.text == name)
                || head.sequences.iter().any(|sequence| sequence.name.text == name)
        };
        let mut lost: Vec<(String, Span, Span)> = Vec::new();
        for (name, (binding, _)) in outer.iter().filter(|(name, _)| !given(name)) {
            if let Some(now) = self.frame().scope.names.get(name)
                && !Rc::ptr_eq(&now.used, &binding.used)
                && binding.used.get()
                && !now.value.is_unknown()
            {
                lost.push((name.clone(), now.span, binding.span));
            }
        }
        lost.sort_by_key(|(_, at, _)| at.start);
        for (name, at, before) in lost {
            let message =
                format!("`{name}` is read in every turn as it was before the recurrence, and bound anew");
            let found = Diagnostic::error(Code::DuplicateName, at, message).label(before, "bound here").help(
                format!(
                    "to carry it from turn to turn, write `with {name} = …`; else bind another name here"
                ),
            );
            self.report(found);
        }
    }

    /// Lets states of the model that the body updates be states of the recurrence, so that the last turn's value
    /// is the step's. Returns them in the order of their outputs.
    fn carry_updates(
        &mut self,
        turns: &mut Turns<'_>,
        updates: Vec<StateUpdate>,
        at: Span,
    ) -> Option<Vec<StateUpdate>> {
        let mut kept = Vec::new();
        for update in updates {
            let varying = turns.varying(&self.build);
            let varies =
                (update.value.0 as usize).checked_sub(turns.mark).is_some_and(|value| varying[value]);
            if !varies {
                self.updated(update);
                continue;
            }
            let start = self.variable_value(update.variable, at)?;
            let slot = self.slot(self.ty(start).clone(), at)?;
            turns.states.push((slot, start));
            turns.outputs.push(update.value);
            kept.push(update);
        }
        Some(kept)
    }

    /// Names that the body bound, other than states.
    fn bound_inside(
        &mut self,
        scan: &'a Scan,
        head: &Head<'a>,
        states: &[State<'a>],
        outer: &HashMap<String, (Binding<'a>, bool)>,
    ) -> Vec<(String, Binding<'a>)> {
        let wanted = self.words_around(scan);
        let is_state = |name: &str| states.iter().any(|state| state.name.name.text == name);
        let is_slice = |name: &str, binding: &Binding<'a>| {
            head.sequences.iter().any(|s| s.name.text == name && s.name.span == binding.span)
        };
        let is_old = |name: &str, binding: &Binding<'a>| {
            outer.get(name).is_some_and(|(before, _)| Rc::ptr_eq(&before.used, &binding.used))
        };
        let names = &self.frame().scope.names;
        let mut bound: Vec<(String, Binding<'a>)> = names
            .iter()
            .filter(|(name, b)| !is_state(name) && !is_slice(name, b) && !is_old(name, b))
            .filter(|(name, _)| wanted.as_ref().is_none_or(|wanted| wanted.contains(name.as_str())))
            .map(|(name, binding)| (name.clone(), binding.clone()))
            .collect();
        bound.sort_by(|a, b| (a.1.span.start, &a.0).cmp(&(b.1.span.start, &b.0)));
        bound
    }

    /// The words of a layer's text outside of the recurrence: what of it can be asked for. All of a model can.
    fn words_around(&mut self, scan: &'a Scan) -> Option<HashSet<&'a str>> {
        if self.frame().is_model {
            return None;
        }
        let (whole, body) = (self.frame().definition.span, scan.body.span);
        let loaded = self.loaded;
        let before = loaded.sources.text(Span { end: body.start, ..whole });
        let after = loaded.sources.text(Span { start: body.end, ..whole });
        Some(words(before).chain(words(after)).collect())
    }

    /// Asks for the values that names of the body hold; those that differ from turn to turn, with their result's
    /// number.
    fn stack_inside(
        &mut self,
        turns: &mut Turns<'_>,
        bound: &[(String, Binding<'a>)],
    ) -> Vec<(ValueId, Option<usize>)> {
        let varying = turns.varying(&self.build);
        let mut asked: Vec<(ValueId, Option<usize>)> = Vec::new();
        for id in bound.iter().flat_map(|(_, binding)| tensors(&binding.value)) {
            if asked.iter().any(|(other, _)| *other == id) {
                continue;
            }
            let varies = (id.0 as usize).checked_sub(turns.mark).is_some_and(|value| varying[value]);
            if varies {
                turns.outputs.push(id);
                asked.push((id, Some(turns.outputs.len() - 1)));
            } else {
                asked.push((id, None));
            }
        }
        asked
    }

    /// Binds the states' names to the sequences of their values.
    fn bind_states(
        &mut self,
        head: &Head<'a>,
        reverse: bool,
        states: &[State<'a>],
        histories: &[ValueId],
        at: Span,
    ) -> Option<()> {
        let turns = head.turns.size.clone();
        let (start, end) = if reverse {
            (Size::Known(0), turns.clone())
        } else {
            (Size::Known(1), turns.add(&Size::Known(1)))
        };
        for (state, history) in states.iter().zip(histories) {
            let last = self.last_of(*history, &head.turns, reverse, at)?;
            let (start, end) = (start.clone(), end.clone());
            let sequence = self.emit(Op::Slice { axis: 0, start, end }, &[*history], at)?;
            let sequence = self.axis_back(sequence, head.place, at)?;
            self.build.lasts.insert(sequence, last);
            self.bind_name(state.name, Value::Tensor(sequence));
        }
        Some(())
    }

    /// What a state was after the last turn.
    fn last_of(&mut self, history: ValueId, turns: &Axis, reverse: bool, at: Span) -> Option<ValueId> {
        let start = if reverse { Size::Known(0) } else { turns.size.clone() };
        let end = start.add(&Size::Known(1));
        let axes = self.ty(history).axes[1..].to_vec();
        let row = self.emit(Op::Slice { axis: 0, start, end }, &[history], at)?;
        self.emit(Op::Reshape { axes }, &[row], at)
    }

    /// The sequences of values that the body's names held.
    fn stacks(
        &mut self,
        head: &Head<'a>,
        asked: Vec<(ValueId, Option<usize>)>,
        turns: &Turns<'_>,
        results: &[ValueId],
        at: Span,
    ) -> Option<HashMap<ValueId, ValueId>> {
        let mut stacks = HashMap::new();
        for (id, result) in asked {
            let sequence = match result {
                Some(result) => results[result],
                None => {
                    let ty = self.ty(id).clone();
                    let axes = [vec![turns.axis.clone()], ty.axes.clone()].concat();
                    self.emit(Op::Broadcast { axes, from: (1..=ty.rank()).collect() }, &[id], at)?
                }
            };
            stacks.insert(id, self.axis_back(sequence, head.place, at)?);
        }
        Some(stacks)
    }

    /// Binds a name of the body to what it is after it.
    fn rebind(&mut self, name: &str, value: Value<'a>, binding: &Binding<'a>) {
        if self.frame().is_model {
            let bindings = &mut self.build.model.bindings;
            bindings.retain(|(bound, _)| bound != name);
            if let [id] = tensors(&value)[..] {
                bindings.push((name.to_string(), id));
            }
        }
        self.frame().scope.set(name, value, binding.span);
    }

    /// `x` with one axis as the first.
    pub(super) fn axis_first(&mut self, x: ValueId, position: usize, at: Span) -> Option<ValueId> {
        if position == 0 {
            return Some(x);
        }
        let rank = self.ty(x).rank();
        let order = std::iter::once(position).chain((0..rank).filter(|axis| *axis != position)).collect();
        self.emit(Op::Transpose { order }, &[x], at)
    }

    /// `x` with its first axis at `place`, or last where it has fewer axes.
    pub(super) fn axis_back(&mut self, x: ValueId, place: usize, at: Span) -> Option<ValueId> {
        let place = place.min(self.ty(x).rank() - 1);
        if place == 0 {
            return Some(x);
        }
        let mut order: Vec<usize> = (1..self.ty(x).rank()).collect();
        order.insert(place, 0);
        self.emit(Op::Transpose { order }, &[x], at)
    }

    /// Reads a body of which nothing can be known for its names.
    fn scan_unknown(&mut self, scan: &'a Scan) {
        let outer = self.outer_names();
        if let ScanOver::Axis { inputs, .. } = &scan.over {
            for name in inputs.iter().filter_map(lone_name) {
                self.frame().scope.set(&name.text, Value::Unknown, name.span);
            }
        }
        if let Some((target, _)) = &scan.state {
            self.bind_target(target, &Value::Unknown);
        }
        self.frame().scans += 1;
        self.block_unknown(&scan.body);
        self.frame().scans -= 1;
        self.after_unknown(scan, &outer);
    }

    /// What the body bound is unknown after it.
    fn after_unknown(&mut self, scan: &'a Scan, outer: &HashMap<String, (Binding<'a>, bool)>) {
        if let Some((target, _)) = &scan.state {
            self.bind_target(target, &Value::Unknown);
        }
        let scope = &mut self.frame().scope;
        let mut lost = Vec::new();
        for (name, binding) in &mut scope.names {
            let old = outer.get(name);
            if !old.is_some_and(|(before, _)| Rc::ptr_eq(&before.used, &binding.used)) {
                binding.value = Value::Unknown;
                lost.push(name.clone());
            }
        }
        self.build.model.bindings.retain(|(name, _)| !lost.contains(name));
        if let ScanOver::Axis { inputs, .. } = &scan.over {
            for name in inputs.iter().filter_map(lone_name) {
                if let Some((binding, _)) = outer.get(&name.text) {
                    self.frame().scope.names.insert(name.text.clone(), binding.clone());
                }
            }
        }
        for (binding, used) in outer.values() {
            binding.used.set(binding.used.get() || *used);
        }
    }

    /// That a value of a turn is asked for after all turns.
    pub(super) fn used_outside(&mut self, span: Span) {
        let message = "this was computed turn after turn, and the recurrence is over";
        let found = Diagnostic::error(Code::MisplacedStatement, span, message)
            .help("bind it in the body of `scan`: after it, its name is the sequence of all values");
        self.report(found);
    }

    /// Whether a statement can stand in the body of a recurrence; said where it cannot.
    pub(super) fn fits_a_turn(&mut self, kind: &StatementKind, span: Span) -> bool {
        let what = match kind {
            StatementKind::Input { .. } => "an input",
            StatementKind::Loss(_) => "the loss",
            StatementKind::Metric(_) => "a metric",
            StatementKind::Return(_) => "`return`",
            StatementKind::Generate { .. } => "`generate`",
            StatementKind::Declare { .. }
            | StatementKind::Update { .. }
            | StatementKind::For { .. }
            | StatementKind::Scan(_)
            | StatementKind::Layer(_)
            | StatementKind::LayerBind { .. }
            | StatementKind::Group { .. }
            | StatementKind::Bind { .. }
            | StatementKind::Value(_)
            | StatementKind::Bad => return true,
        };
        let message = format!("{what} does not belong in a recurrence");
        if matches!(kind, StatementKind::Return(_)) {
            self.frame().returned = Some(Value::Unknown);
        }
        self.misplaced(
            span,
            &message,
            "move it behind the `scan`, where names are the sequences of all turns",
        );
        false
    }

    /// That nothing which the model hands out is a value of a turn.
    pub(super) fn check_turns_over(&mut self) {
        let model = &self.build.model;
        let mut wanted: Vec<(ValueId, Span)> = model.metrics.iter().map(|m| (m.value, m.span)).collect();
        wanted.extend(model.loss.zip(self.build.loss_span));
        wanted.extend(model.updates.iter().map(|update| (update.value, update.span)));
        let over = &self.build.over;
        let outside: Vec<Span> =
            wanted.iter().filter(|(id, _)| over.contains(id)).map(|(_, at)| *at).collect();
        outside.into_iter().for_each(|at| self.used_outside(at));
        self.build.model.bindings.retain(|(_, id)| !self.build.over.contains(id));
    }
}

/// The value with each tensor as the sequence of its values.
pub(super) fn stack_value<'a>(value: &Value<'a>, stacks: &HashMap<ValueId, ValueId>) -> Value<'a> {
    let all = |members: &Rc<[Value<'a>]>| members.iter().map(|member| stack_value(member, stacks)).collect();
    match value {
        Value::Tensor(id) => stacks.get(id).map_or(Value::Unknown, |stack| Value::Tensor(*stack)),
        Value::Tuple(members) => Value::Tuple(all(members)),
        Value::List(members) => Value::List(all(members)),
        Value::Unknown
        | Value::Parts(_)
        | Value::Axis(_)
        | Value::Int(_)
        | Value::Size(_)
        | Value::Float(_)
        | Value::Bool(_)
        | Value::Text(_)
        | Value::Range(..)
        | Value::Layer(_)
        | Value::Init(_)
        | Value::DType(_)
        | Value::Axes(_)
        | Value::Pending(_) => value.clone(),
    }
}
