//! `scan`: a recurrence. Its body is elaborated once, with slots where the states' current values and the slices
//! stand; `body` makes the turn of it.

mod after;
mod head;
mod trial;

use std::collections::HashMap;
use std::rc::Rc;

use strata_grammar::ast::{FamilyRef, Ident, Scan, StatementKind};
use strata_grammar::{Code, Diagnostic, Span};

use super::Checker;
use super::body::{Turns, slice_type};
use super::scope::Binding;
use super::value::Value;
use crate::graph::ValueId;
use crate::model::StateUpdate;
use crate::ops::Op;
use crate::types::{Axis, Type};

pub(super) use after::stack_value;

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

impl<'a> Checker<'a> {
    pub(super) fn scan(&mut self, scan: &'a Scan, span: Span) {
        let at = Span { end: span.start.saturating_add(4).min(span.end), ..span };
        let names = self.scan_names(scan);
        let section = self.begin_section(names, at);
        self.scan_over(scan, span, at);
        self.end_section(section);
    }

    /// What a recurrence as a whole computes: its states; where it has none, what its body binds.
    fn scan_names(&mut self, scan: &'a Scan) -> Vec<String> {
        if let Some((target, _)) = &scan.state {
            return self.bound_names(std::slice::from_ref(target));
        }
        let targets = scan.body.statements.iter().filter_map(|statement| match &statement.kind {
            StatementKind::Bind { targets, .. } => Some(targets.as_slice()),
            _ => None,
        });
        targets.flat_map(|targets| self.bound_names(targets)).collect()
    }

    fn scan_over(&mut self, scan: &'a Scan, span: Span, at: Span) {
        let head = self.scan_head(scan);
        let states = self.scan_states(scan);
        let (Some(head), Some(states)) = (head, states) else { return self.scan_unknown(scan) };
        if !self.step(span) || !self.enter(span) {
            return;
        }
        let outer = self.outer_names();
        let done = self.scan_turns(scan, &head, &states, at, &outer);
        self.leave();
        if done.is_none() {
            self.after_unknown(scan, &outer);
        }
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
}
