//! Ragged axes: along them each example has its own length, and what lies beyond it does not count.
//!
//! An input `x: f32[batch, ragged time]` brings an input `x.length: i32[batch]`. What is derived from it stays ragged
//! as long as it has both axes; where such an axis (or that of the examples) is combined, what lies beyond the ends is
//! replaced by a number that does not matter.

use std::collections::HashSet;

use strata_grammar::{Code, Diagnostic, Span};

use super::Checker;
use super::build::Builder;
use super::shapes::axis_text;
use super::value::Value;
use crate::graph::ValueId;
use crate::model::Input;
use crate::ops::{Binary, InputId, Op, Reduction};
use crate::types::{Axis, DType, Size, Type};

/// One ragged axis of the model.
#[derive(Clone, Debug)]
pub(super) struct Ragged {
    /// The axis of the examples.
    batch: Axis,
    axis: Axis,
    /// `i32[batch]`: how long each example is.
    length: ValueId,
    /// `bool[batch, axis]`: whether a position is one of the example's.
    within: ValueId,
}

/// Where a tensor is ragged: the positions of the two axes, and which axis of the model it is.
#[derive(Clone, Copy)]
struct Place {
    batch: usize,
    axis: usize,
    which: usize,
}

/// A number that no maximum (or minimum) takes while there is another, finite so that differences are numbers.
pub(super) fn extreme(dtype: DType, op: Reduction) -> f64 {
    let largest = match dtype {
        DType::F64 => 1e300,
        DType::F32 | DType::Bf16 => 3e38,
        DType::F16 => 65504.0,
        DType::I64 => i64::MAX as f64,
        DType::I32 => f64::from(i32::MAX),
        DType::U8 => 255.0,
        DType::Bool => 1.0,
    };
    let smallest = match dtype {
        DType::F64 | DType::F32 | DType::Bf16 | DType::F16 => -largest,
        DType::I64 => i64::MIN as f64,
        DType::I32 => f64::from(i32::MIN),
        DType::U8 | DType::Bool => 0.0,
    };
    match op {
        Reduction::Sum => 0.0,
        Reduction::Max => smallest,
        Reduction::Min => largest,
    }
}

impl Builder {
    /// Which of the model's ragged axes this is.
    fn ragged_axis(&self, axis: &Axis) -> Option<usize> {
        let same = |known: &Ragged| {
            known.axis.size == axis.size && (axis.size.known().is_none() || known.axis.name == axis.name)
        };
        if axis.ragged { self.ragged.iter().position(same) } else { None }
    }

    fn ragged_places(&self, ty: &Type) -> Vec<Place> {
        let mut places = Vec::new();
        for (at, axis) in ty.axes.iter().enumerate() {
            let Some(which) = self.ragged_axis(axis) else { continue };
            let examples = &self.ragged[which].batch;
            let named = |a: &Axis| a.name.is_none() || examples.name.is_none() || a.name == examples.name;
            let is_batch = |a: &Axis| !a.ragged && a.size == examples.size && named(a);
            if let Some(batch) = ty.axes.iter().position(is_batch) {
                places.push(Place { batch, axis: at, which });
            }
        }
        places
    }
}

impl<'a> Checker<'a> {
    /// Adds the lengths that an input with a ragged axis brings. `None` where it cannot have one, which is said.
    pub(super) fn lengths_of_input(&mut self, name: &str, ty: &Type, span: Span) -> Option<()> {
        let ragged: Vec<usize> = (0..ty.rank()).filter(|at| ty.axes[*at].ragged).collect();
        let Some(at) = ragged.first().copied() else { return Some(()) };
        let axis = ty.axes[at].clone();
        let leads = ty.axes[0].size.known().is_none() && !ty.axes[0].ragged;
        if !leads || ragged.len() > 1 {
            let message = if leads {
                "examples have their own length along one axis of an input, not along two".to_string()
            } else {
                format!("{} has a length for each example, so the examples come first", axis_text(&axis))
            };
            let found = Diagnostic::error(Code::BadValue, span, message).help(if leads {
                "take one `ragged` out, or make two inputs"
            } else {
                "write `[batch, ragged …]`"
            });
            self.report(found);
            return None;
        }
        if self.build.ragged_axis(&axis).is_some() {
            return Some(());
        }
        let batch = ty.axes[0].clone();
        let id = InputId(self.build.model.inputs.len() as u32);
        let lengths = Type::new(DType::I32, vec![batch.clone()]);
        self.build.model.inputs.push(Input { name: format!("{name}{}", Input::LENGTH), ty: lengths, span });
        let length = self.emit(Op::Input(id), &[], span)?;
        self.add_ragged(batch, axis, length, span)
    }

    /// Remembers that examples have these lengths along an axis.
    fn add_ragged(&mut self, batch: Axis, axis: Axis, length: ValueId, span: Span) -> Option<()> {
        let axes = vec![batch.clone(), axis.clone()];
        let along = vec![Axis { ragged: false, ..axis.clone() }];
        let place = self.emit(Op::Index { axes: along, axis: 0 }, &[], span)?;
        let place = self.emit(Op::Broadcast { axes: axes.clone(), from: vec![1] }, &[place], span)?;
        let wide = self.emit(Op::Broadcast { axes, from: vec![0] }, &[length], span)?;
        let within = self.emit(Op::Binary(Binary::Less), &[place, wide], span)?;
        self.build.ragged.push(Ragged { batch, axis, length, within });
        Some(())
    }

    /// `x` with zeros before the beginning and behind the end of each example, along a ragged axis that becomes longer.
    pub(super) fn padded_ends(
        &mut self,
        x: ValueId,
        axis: usize,
        (low, high): (u64, u64),
        span: Span,
    ) -> Option<ValueId> {
        // What lay beyond an end now lies before one.
        let x = if high > 0 { self.ends(x, &[axis], 0.0, span)? } else { x };
        let old = self.ty(x).axes[axis].clone();
        let pad = Op::Pad { axis, low: Size::Known(low), high: Size::Known(high) };
        let longer = self.emit(pad, &[x], span)?;
        let new = self.ty(longer).axes[axis].clone();
        if let (Some(which), None) = (self.build.ragged_axis(&old), self.build.ragged_axis(&new)) {
            let Ragged { batch, length, .. } = self.build.ragged[which].clone();
            let more = self.constant((low + high) as f64, DType::I32, span)?;
            let more = self.spread(more, std::slice::from_ref(&batch), span)?;
            let length = self.emit(Op::Binary(Binary::Add), &[length, more], span)?;
            self.add_ragged(batch, new, length, span)?;
        }
        Some(longer)
    }

    /// `x` with `number` beyond the ends of examples, where one of `axes` is ragged or that of the examples.
    pub(super) fn ends(&mut self, x: ValueId, axes: &[usize], number: f64, span: Span) -> Option<ValueId> {
        let ty = self.ty(x).clone();
        let mut x = x;
        for place in self.build.ragged_places(&ty) {
            if !axes.contains(&place.axis) && !axes.contains(&place.batch) {
                continue;
            }
            let wide: Vec<usize> = (0..ty.rank()).collect();
            let mask = self.mask(&ty.axes, &wide, place, span)?;
            let number = self.constant(number, ty.dtype, span)?;
            let number = self.spread(number, &ty.axes, span)?;
            x = self.emit(Op::Select, &[mask, x, number], span)?;
        }
        Some(x)
    }

    /// Whether positions are within an example, over those axes of a tensor that are `chosen` (increasing).
    fn mask(&mut self, axes: &[Axis], chosen: &[usize], place: Place, span: Span) -> Option<ValueId> {
        let mut within = self.build.ragged[place.which].within;
        if place.batch > place.axis {
            within = self.emit(Op::Transpose { order: vec![1, 0] }, &[within], span)?;
        }
        let mut from: Vec<usize> =
            [place.batch, place.axis].iter().filter_map(|at| chosen.iter().position(|c| c == at)).collect();
        from.sort_unstable();
        let axes: Vec<Axis> = chosen.iter().map(|at| axes[*at].clone()).collect();
        if axes.len() == 2 {
            return Some(within);
        }
        self.emit(Op::Broadcast { axes, from }, &[within], span)
    }

    /// How many elements are combined along `axes` of a tensor of type `ty`: of the dtype, at least 1, with the axes
    /// that stay.
    pub(super) fn count_along(&mut self, ty: &Type, axes: &[usize], span: Span) -> Option<ValueId> {
        let stay: Vec<usize> = (0..ty.rank()).filter(|at| !axes.contains(at)).collect();
        let rest: Vec<Axis> = stay.iter().map(|at| ty.axes[*at].clone()).collect();
        let places: Vec<Place> = self
            .build
            .ragged_places(ty)
            .into_iter()
            .filter(|place| axes.contains(&place.axis) || axes.contains(&place.batch))
            .collect();
        let mut group: Vec<usize> = places.iter().flat_map(|place| [place.batch, place.axis]).collect();
        group.sort_unstable();
        group.dedup();
        let plain = axes.iter().filter(|axis| !group.contains(axis));
        let plain = plain.fold(Size::Known(1), |n, axis| n.mul(&ty.axes[*axis].size));
        if places.is_empty() {
            let count = self.count(plain, ty.dtype, span)?;
            return self.spread(count, &rest, span);
        }
        let mut all: Option<ValueId> = None;
        for place in places {
            let mask = self.mask(&ty.axes, &group, place, span)?;
            all = Some(match all {
                None => mask,
                Some(before) => self.emit(Op::Binary(Binary::And), &[before, mask], span)?,
            });
        }
        // Halves cannot count far.
        let counter = if ty.dtype == DType::F64 { DType::F64 } else { DType::F32 };
        let ones = self.emit(Op::Cast(counter), &[all?], span)?;
        let summed: Vec<usize> = (0..group.len()).filter(|at| axes.contains(&group[*at])).collect();
        let mut count = self.emit(Op::Reduce { op: Reduction::Sum, axes: summed }, &[ones], span)?;
        let kept = self.ty(count).axes.clone();
        for (function, number) in [(Binary::Max, Size::Known(1)), (Binary::Mul, plain)] {
            let number = self.count(number, counter, span)?;
            let number = self.spread(number, &kept, span)?;
            count = self.emit(Op::Binary(function), &[count, number], span)?;
        }
        if counter != ty.dtype {
            count = self.emit(Op::Cast(ty.dtype), &[count], span)?;
        }
        let from: Vec<usize> = (0..stay.len()).filter(|at| group.contains(&stay[*at])).collect();
        if from.len() == stay.len() {
            return Some(count);
        }
        self.emit(Op::Broadcast { axes: rest, from }, &[count], span)
    }

    /// Remembers how many positions a single number is the mean of, where it is one over ragged axes.
    pub(super) fn note_mean(&mut self, mean: ValueId, of: &Type, axes: &[usize], count: ValueId) {
        let places = self.build.ragged_places(of);
        if self.ty(mean).rank() > 0 || places.is_empty() {
            return;
        }
        let plain =
            axes.iter().filter(|at| !places.iter().any(|place| [place.axis, place.batch].contains(at)));
        let sizes: Vec<&Size> = plain.map(|at| &of.axes[*at].size).collect();
        let which: Vec<usize> = places.iter().map(|place| place.which).collect();
        self.build.means.insert(mean, (count, format!("{which:?} {sizes:?}")));
    }

    /// How many positions the loss is a mean over, where all means that it is made of are over the same.
    pub(super) fn weight_of_loss(&self) -> Option<ValueId> {
        match self.means_of_loss().as_slice() {
            [count] => Some(*count),
            _ => None,
        }
    }

    /// The means over ragged axes that the loss is made of, one of each kind: how many positions.
    pub(super) fn means_of_loss(&self) -> Vec<ValueId> {
        let build = &self.build;
        let mut waiting: Vec<ValueId> = build.model.loss.into_iter().collect();
        let mut found: Vec<&(ValueId, String)> = Vec::new();
        let mut seen = HashSet::new();
        while let Some(value) = waiting.pop() {
            if !seen.insert(value) {
                continue;
            }
            if let Some(mean) = build.means.get(&value) {
                if found.iter().all(|(_, kind)| *kind != mean.1) {
                    found.push(mean);
                }
            } else if self.ty(value).rank() == 0 {
                // Single numbers made of single numbers.
                waiting.extend(&build.model.values[value.0 as usize].args);
            }
        }
        found.into_iter().map(|(count, _)| *count).collect()
    }

    /// `x` without the mark of a ragged axis where the examples are combined.
    pub(super) fn without_ends(&mut self, x: ValueId, span: Span) -> Option<ValueId> {
        let ty = self.ty(x).clone();
        let places = self.build.ragged_places(&ty);
        let keeps = |at: usize| places.iter().any(|place| place.axis == at);
        let mark = |(at, axis): (usize, &Axis)| Axis { ragged: axis.ragged && keeps(at), ..axis.clone() };
        let axes: Vec<Axis> = ty.axes.iter().enumerate().map(mark).collect();
        if axes == ty.axes { Some(x) } else { self.emit(Op::Reshape { axes }, &[x], span) }
    }

    /// Operands of a product without what lies beyond the ends, where a ragged axis is summed over.
    pub(super) fn product_ends(
        &mut self,
        [a, b]: [ValueId; 2],
        sum: &[(usize, usize)],
        span: Span,
    ) -> Option<[ValueId; 2]> {
        let (left, right): (Vec<usize>, Vec<usize>) = sum.iter().copied().unzip();
        let masked = self.ends(a, &left, 0.0, span)?;
        if masked != a {
            return Some([masked, b]);
        }
        Some([a, self.ends(b, &right, 0.0, span)?])
    }

    /// Whether each turn is one of the example's, `bool[turns, batch]`, and the axis of the examples; `None` where the
    /// turns are not ragged.
    pub(super) fn turns_within(&mut self, turns: &Axis, span: Span) -> Option<Option<(ValueId, Axis)>> {
        let Some(which) = self.build.ragged_axis(turns) else { return Some(None) };
        let Ragged { batch, within, .. } = self.build.ragged[which].clone();
        let turned = self.emit(Op::Transpose { order: vec![1, 0] }, &[within], span)?;
        Some(Some((turned, batch)))
    }

    /// `new` where the example goes on, else `old`; both of one type, which needs the axis of the examples.
    pub(super) fn held(
        &mut self,
        (goes_on, batch): (ValueId, &Axis),
        new: ValueId,
        old: ValueId,
        name: &str,
        span: Span,
    ) -> Option<ValueId> {
        let ty = self.ty(new).clone();
        let Some(at) = ty.axes.iter().position(|axis| !axis.ragged && axis.size == batch.size) else {
            let message = format!(
                "each example ends elsewhere, and the state `{name}` is one for all of them: {ty} has no {}",
                axis_text(batch)
            );
            let help = format!("give it the axis {}, or take `ragged` out", axis_text(batch));
            self.report(Diagnostic::error(Code::ShapeMismatch, span, message).help(help));
            return None;
        };
        let goes_on = if ty.rank() == 1 {
            goes_on
        } else {
            self.emit(Op::Broadcast { axes: ty.axes.clone(), from: vec![at] }, &[goes_on], span)?
        };
        self.emit(Op::Select, &[goes_on, new, old], span)
    }

    /// `x` from its end to its beginning along an axis; each example from its own end.
    pub(super) fn turned_round(&mut self, x: ValueId, axis: usize, span: Span) -> Option<ValueId> {
        let ty = self.ty(x).clone();
        let along = vec![Axis { ragged: false, ..ty.axes[axis].clone() }];
        let place = self.emit(Op::Index { axes: along.clone(), axis: 0 }, &[], span)?;
        let one = self.constant(1.0, DType::I32, span)?;
        let ragged = self.build.ragged_places(&ty).into_iter().find(|place| place.axis == axis);
        let Some(Place { batch, which, .. }) = ragged else {
            let last = self.count(ty.axes[axis].size.clone(), DType::I32, span)?;
            let last = self.emit(Op::Binary(Binary::Sub), &[last, one], span)?;
            let last = self.spread(last, &along, span)?;
            let from = self.emit(Op::Binary(Binary::Sub), &[last, place], span)?;
            return self.emit(Op::Gather { axis, batch: 0 }, &[x, from], span);
        };
        if (batch, axis) != (0, 1) {
            let message = format!("{ty} is turned round as `[batch, ragged …]` alone");
            let found =
                Diagnostic::error(Code::BadValue, span, message).help("move its axes with `transpose` first");
            self.report(found);
            return None;
        }
        let within = self.build.ragged[which].within;
        let axes = self.ty(within).axes.clone();
        let ones = self.emit(Op::Cast(DType::I32), &[within], span)?;
        let length = self.emit(Op::Reduce { op: Reduction::Sum, axes: vec![1] }, &[ones], span)?;
        let length = self.emit(Op::Broadcast { axes: axes.clone(), from: vec![0] }, &[length], span)?;
        let place = self.emit(Op::Broadcast { axes: axes.clone(), from: vec![1] }, &[place], span)?;
        let one = self.spread(one, &axes, span)?;
        let last = self.emit(Op::Binary(Binary::Sub), &[length, one], span)?;
        let from = self.emit(Op::Binary(Binary::Sub), &[last, place], span)?;
        let from = self.emit(Op::Select, &[within, from, place], span)?;
        self.emit(Op::Gather { axis: 1, batch: 1 }, &[x, from], span)
    }

    /// That an axis can be cut, joined or merged; said where each example has its own length along it.
    pub(super) fn not_ragged(&mut self, x: ValueId, axis: usize, what: &str, span: Span) -> bool {
        if !self.ty(x).axes[axis].ragged {
            return true;
        }
        let text = axis_text(&self.ty(x).axes[axis]);
        let message =
            format!("each example has its own length along {text}, so that {what} mixes up where they end");
        let found = Diagnostic::error(Code::BadValue, span, message).help(
            "combine it first (`mean`, `last` of a recurrence, attention), or take `ragged` out of the input",
        );
        let found = self.with_statement(found, x);
        self.report(found);
        false
    }

    /// What a window function gives for a ragged axis: as long, or it is said.
    pub(super) fn windows_fit(
        &mut self,
        before: &Type,
        result: Value<'a>,
        name: &str,
        span: Span,
    ) -> Value<'a> {
        let Value::Tensor(id) = result else { return result };
        let after = self.ty(id).clone();
        let moved = before.axes.iter().zip(&after.axes).find(|(a, b)| a.ragged && a.size != b.size);
        if let Some((axis, _)) = moved {
            let text = axis_text(axis);
            let message =
                format!("`{name}` changes how long {text} is, along which each example has its own length");
            let found = Diagnostic::error(Code::BadValue, span, message)
                .help("keep its length: a stride of 1 and `padding: same`");
            self.report(found);
            return Value::Unknown;
        }
        result
    }
}
