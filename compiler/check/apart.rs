//! `apart`: a layer for each slice of a tensor, all of one text and each with parameters of its own.
//!
//! The layer is elaborated once, as a turn of a recurrence without states: `x` is a sequence, and so is every variable
//! that the layer declares, which has one more axis in front. Such a recurrence leaves no loop behind: what it computes
//! for all its turns at once is one product over that axis, as large as all of them together.

use std::collections::HashMap;

use strata_grammar::{Code, Diagnostic, Span};

use super::Checker;
use super::body::{Turns, slice_type};
use super::build::tensors;
use super::call::Site;
use super::intrinsics::Call;
use super::scan::stack_value;
use super::value::{Bound, Value};
use crate::graph::ValueId;
use crate::model::StateUpdate;
use crate::ops::{Op, VariableId};
use crate::types::{Axis, Type};

/// Slices that have layers of their own, while one of these is elaborated.
#[derive(Clone, Debug)]
pub(super) struct Apart {
    /// What tells them apart.
    pub(super) axis: Axis,
    /// The slot of each slice and what it is a slice of.
    slices: Vec<(ValueId, ValueId)>,
    /// The slot of each variable that was read.
    slots: HashMap<ValueId, ValueId>,
}

/// `apart(x, each, axis:, called:)`
pub(super) fn apart<'a>(checker: &mut Checker<'a>, call: &Call<'a>) -> Value<'a> {
    let Some((x, _)) = checker.tensor_argument(call, 0) else { return Value::Unknown };
    let Some(axis) = checker.axis_argument(call, 2, x) else { return Value::Unknown };
    let Some(Some(Bound { value: Value::Layer(each), span })) = call.slots.get(1).cloned() else {
        return Value::Unknown;
    };
    if checker.ty(x).axes[axis].size.known().is_none() {
        let text = super::shapes::axis_text(&checker.ty(x).axes[axis]);
        let message =
            format!("every slice has parameters of its own, and how many there are of {text} is not known");
        let found = Diagnostic::error(Code::UnboundAxis, call.span, message)
            .help("take an axis with a size, as in `dense(expert = 8)`");
        checker.report(found);
        return Value::Unknown;
    }
    let along = checker.ty(x).axes[axis].clone();
    let called = match call.slots.get(3) {
        Some(Some(Bound { value: Value::Axis(called), span })) if called.size != along.size => {
            let texts = [&along, called].map(super::shapes::axis_text);
            let [found, wanted] = texts;
            let message = format!("there is a layer for each of {found}, and they are called {wanted}");
            let found = Diagnostic::error(Code::ShapeMismatch, *span, message)
                .help("both count the same: give them one size");
            checker.report(found);
            return Value::Unknown;
        }
        Some(Some(Bound { value: Value::Axis(called), .. })) => called.clone(),
        Some(_) | None => along,
    };
    let site = Site { span, name: None, path: None, frozen: false };
    let work = |checker: &mut Checker<'a>, slice: ValueId| {
        let piped = vec![Bound { value: Value::Tensor(slice), span: call.span }];
        checker.apply(&each, &[], piped, &site)
    };
    checker.apart_along(x, (axis, called), call.span, work).unwrap_or(Value::Unknown)
}

impl<'a> Checker<'a> {
    fn apart_along(
        &mut self,
        x: ValueId,
        (axis, along): (usize, Axis),
        at: Span,
        work: impl FnOnce(&mut Self, ValueId) -> Value<'a>,
    ) -> Option<Value<'a>> {
        let own = self.ty(x).axes[axis].clone();
        let mut turned = self.axis_first(x, axis, at)?;
        if along != own {
            let axes = [std::slice::from_ref(&along), &self.ty(turned).axes[1..]].concat();
            turned = self.emit(Op::Reshape { axes }, &[turned], at)?;
        }
        let mark = self.build.model.values.len();
        let slice = self.slot(slice_type(self.ty(turned)), at)?;
        self.build.turn_updates.push(Vec::new());
        self.build.apart.push(Apart {
            axis: along.clone(),
            slices: vec![(slice, turned)],
            slots: HashMap::new(),
        });
        let value = work(self, slice);
        let level = self.build.apart.pop().expect("pushed above");
        let updates = self.build.turn_updates.pop().expect("pushed above");
        if self.stopped || value.is_unknown() {
            return None;
        }
        let depth = self.build.apart.len();
        let mut turns = Turns {
            mark,
            axis: &along,
            reverse: false,
            states: Vec::new(),
            sequences: level.slices,
            outputs: Vec::new(),
        };
        let varying = turns.varying(&self.build);
        let varies = |id: ValueId| (id.0 as usize).checked_sub(mark).is_some_and(|value| varying[value]);
        let mut kept: Vec<StateUpdate> = Vec::new();
        for update in updates {
            if self.build.apart_of.get(&update.variable).copied().unwrap_or(0) > depth {
                kept.push(update);
            } else if varies(update.value) {
                let message =
                    "each slice would make another value of this state, which is one for all of them";
                let found = Diagnostic::error(Code::MisplacedStatement, update.span, message)
                    .help("declare the state inside of the layer, so that each slice has its own");
                self.report(found);
                return None;
            } else {
                self.updated(update);
            }
        }
        let given = tensors(&value);
        let wanted: Vec<ValueId> = kept.iter().map(|update| update.value).chain(given).collect();
        for id in &wanted {
            if varies(*id) && !turns.outputs.contains(id) {
                turns.outputs.push(*id);
            }
        }
        let results = self.add_turns(&turns, at)?;
        let mut stacks: HashMap<ValueId, ValueId> = turns.outputs.iter().copied().zip(results).collect();
        for id in wanted {
            if stacks.contains_key(&id) {
                continue;
            }
            // The same for every slice.
            let ty = self.ty(id).clone();
            let axes = [vec![along.clone()], ty.axes.clone()].concat();
            let same = self.emit(Op::Broadcast { axes, from: (1..=ty.rank()).collect() }, &[id], at)?;
            stacks.insert(id, same);
        }
        for update in kept {
            let value = stacks[&update.value];
            self.updated(StateUpdate { value, ..update });
        }
        // In the order of the value: a model must not depend on that of a table.
        let mut turned: HashMap<ValueId, ValueId> = HashMap::new();
        for id in tensors(&value) {
            if turned.contains_key(&id) {
                continue;
            }
            let mut stack = stacks[&id];
            if along != own {
                let axes = [std::slice::from_ref(&own), &self.ty(stack).axes[1..]].concat();
                stack = self.emit(Op::Reshape { axes }, &[stack], at)?;
            }
            turned.insert(id, self.axis_back(stack, axis, at)?);
        }
        Some(stack_value(&value, &turned))
    }

    /// The type of a variable that is declared here: with an axis for each `apart` around.
    pub(super) fn type_apart(&self, slice: &Type) -> Type {
        let around = self.build.apart.iter().map(|level| level.axis.clone());
        Type::new(slice.dtype, around.chain(slice.axes.iter().cloned()).collect())
    }

    /// The value of a variable as it is seen here: inside of `apart` the slice of what was declared there.
    pub(super) fn variable_value(&mut self, variable: VariableId, span: Span) -> Option<ValueId> {
        let mut value = self.emit(Op::Variable(variable), &[], span)?;
        let depth = self.build.apart_of.get(&variable).copied().unwrap_or(0);
        for level in 0..depth.min(self.build.apart.len()) {
            value = match self.build.apart[level].slots.get(&value).copied() {
                Some(slot) => slot,
                None => {
                    let slot = self.slot(slice_type(self.ty(value)), span)?;
                    let level = &mut self.build.apart[level];
                    level.slices.push((slot, value));
                    level.slots.insert(value, slot);
                    slot
                }
            };
        }
        Some(value)
    }
}
