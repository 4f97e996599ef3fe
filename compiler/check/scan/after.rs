//! What stands for the names of a body after all turns: states as sequences, and what was bound inside.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use strata_grammar::ast::{Scan, ScanOver};
use strata_grammar::{Code, Diagnostic, Span};

use super::{Head, State};
use crate::check::Checker;
use crate::check::body::Turns;
use crate::check::build::tensors;
use crate::check::names::words;
use crate::check::scope::Binding;
use crate::check::signature::lone_name;
use crate::check::value::Value;
use crate::graph::ValueId;
use crate::ops::Op;
use crate::types::{Axis, Size};

impl<'a> Checker<'a> {
    /// Names that the body bound, other than states.
    pub(super) fn bound_inside(
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
    pub(super) fn stack_inside(
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
    pub(super) fn bind_states(
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
    pub(super) fn last_of(
        &mut self,
        history: ValueId,
        turns: &Axis,
        reverse: bool,
        at: Span,
    ) -> Option<ValueId> {
        let start = if reverse { Size::Known(0) } else { turns.size.clone() };
        let end = start.add(&Size::Known(1));
        let axes = self.ty(history).axes[1..].to_vec();
        let row = self.emit(Op::Slice { axis: 0, start, end }, &[history], at)?;
        self.emit(Op::Reshape { axes }, &[row], at)
    }

    /// The sequences of values that the body's names held.
    pub(super) fn stacks(
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
    pub(super) fn rebind(&mut self, name: &str, value: Value<'a>, binding: &Binding<'a>) {
        if self.frame().is_model {
            let bindings = &mut self.build.model.bindings;
            bindings.retain(|(bound, _)| bound != name);
            if let [id] = tensors(&value)[..] {
                bindings.push((name.to_string(), id));
            }
        }
        self.frame().scope.set(name, value, binding.span);
    }

    /// Reads a body of which nothing can be known for its names.
    pub(super) fn scan_unknown(&mut self, scan: &'a Scan) {
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
    pub(super) fn after_unknown(&mut self, scan: &'a Scan, outer: &HashMap<String, (Binding<'a>, bool)>) {
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
    pub(in crate::check) fn used_outside(&mut self, span: Span) {
        let message = "this was computed turn after turn, and the recurrence is over";
        let found = Diagnostic::error(Code::MisplacedStatement, span, message)
            .help("bind it in the body of `scan`: after it, its name is the sequence of all values");
        self.report(found);
    }

    /// That nothing which the model hands out is a value of a turn.
    pub(in crate::check) fn check_turns_over(&mut self) {
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
pub(in crate::check) fn stack_value<'a>(value: &Value<'a>, stacks: &HashMap<ValueId, ValueId>) -> Value<'a> {
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
