//! Functions that put the elements along one axis in order, or add them up one after the other.

use strata_grammar::{Code, Diagnostic, Span};

use super::rows::whole;
use super::{Call, float, given, int, truth};
use crate::check::Checker;
use crate::check::ragged::extreme;
use crate::check::shapes::axis_text;
use crate::check::value::{Bound, Value};
use crate::graph::ValueId;
use crate::ops::{Op, Reduction};
use crate::types::{Axis, Size};

/// `order(x, axis:, descending:)`: where the elements stand when sorted.
pub(super) fn order<'a>(checker: &mut Checker<'a>, call: &Call<'a>) -> Value<'a> {
    let Some((_, axis, places)) = ordered(checker, call) else { return Value::Unknown };
    let Some(share) = float(call, 3) else { return Value::Tensor(places) };
    if !(share > 0.0 && share <= 1.0) {
        let at = given(call, 3).map_or(call.span, |bound| bound.span);
        let message =
            format!("`share` is how much of the order is wanted, above 0 and at most 1, not {share}");
        checker.report(Diagnostic::error(Code::BadValue, at, message));
        return Value::Unknown;
    }
    // In millionths, rounded down: what was divided, as 2 / 3 is, would else be one too many.
    const WHOLE: u64 = 1_000_000;
    let millionths = ((share * WHOLE as f64 + 1e-3).floor() as u64).clamp(1, WHOLE);
    let size = checker.ty(places).axes[axis].size.clone();
    let end = size.mul(&Size::Known(millionths)).add(&Size::Known(WHOLE - 1)).div(&Size::Known(WHOLE));
    let first = Op::Slice { axis, start: Size::Known(0), end };
    let Some(first) = checker.emit(first, &[places], call.span) else { return Value::Unknown };
    // It is another axis than the one that was sorted.
    let mut axes = checker.ty(first).axes.clone();
    axes[axis] = Axis { size: axes[axis].size.clone(), name: None, ragged: false };
    checker.tensor(Op::Reshape { axes }, &[first], call.span)
}

/// `pick(x, places, axis:)`: the elements at these places, each line by places of its own.
pub(super) fn pick<'a>(checker: &mut Checker<'a>, call: &Call<'a>) -> Value<'a> {
    let (Some((x, x_span)), Some((places, span))) =
        (checker.tensor_argument(call, 0), checker.tensor_argument(call, 1))
    else {
        return Value::Unknown;
    };
    if !whole(checker, places, span, "pick") {
        return Value::Unknown;
    }
    let Some(axis) = checker.axis_argument(call, 2, x) else { return Value::Unknown };
    let (from, by) = (checker.ty(x).clone(), checker.ty(places).clone());
    let alike = from.rank() == by.rank()
        && from.axes.iter().zip(&by.axes).enumerate().all(|(at, (a, b))| at == axis || a.size == b.size);
    if !alike {
        let message = format!(
            "`pick` takes places for each line along {}, so all other axes are alike: {}, {}",
            axis_text(&from.axes[axis]),
            checker.described(x, x_span),
            checker.described(places, span)
        );
        let found = Diagnostic::error(Code::ShapeMismatch, span, message)
            .label(x_span, "picked from this")
            .help("`gather` picks whole slices");
        checker.report(found);
        return Value::Unknown;
    }
    picked(checker, x, places, axis, call.span).map_or(Value::Unknown, Value::Tensor)
}

/// `sort(x, axis:, descending:)`: the elements in order.
pub(super) fn sort<'a>(checker: &mut Checker<'a>, call: &Call<'a>) -> Value<'a> {
    let Some((x, axis, places)) = ordered(checker, call) else { return Value::Unknown };
    picked(checker, x, places, axis, call.span).map_or(Value::Unknown, Value::Tensor)
}

fn ordered<'a>(checker: &mut Checker<'a>, call: &Call<'a>) -> Option<(ValueId, usize, ValueId)> {
    let (x, _) = checker.tensor_argument(call, 0)?;
    let axis = checker.axis_argument(call, 1, x)?;
    let count = checker.ty(x).axes[axis].size.clone();
    // What lies beyond the ends of examples comes last.
    let descending = truth(call, 2);
    let last = extreme(checker.ty(x).dtype, if descending { Reduction::Max } else { Reduction::Min });
    let x = checker.ends(x, &[axis], last, call.span)?;
    let places = checker.emit(Op::Order { axis, descending, count }, &[x], call.span)?;
    Some((x, axis, places))
}

/// `top_k(x, k, axis:)`: the largest few in falling order, and where they stand.
pub(super) fn top_k<'a>(checker: &mut Checker<'a>, call: &Call<'a>) -> Value<'a> {
    let (Some((x, x_span)), Some(k)) = (checker.tensor_argument(call, 0), int(call, 1)) else {
        return Value::Unknown;
    };
    let Some(axis) = checker.axis_argument(call, 2, x) else { return Value::Unknown };
    let k_span = given(call, 1).map_or(call.span, |bound| bound.span);
    let Some(count) = u64::try_from(k).ok().filter(|k| *k >= 1) else {
        let message = format!("`top_k` gives at least 1 element, not {k}");
        checker.report(Diagnostic::error(Code::BadValue, k_span, message));
        return Value::Unknown;
    };
    let along = checker.ty(x).axes[axis].clone();
    match along.size.known() {
        Some(size) if count <= size => {}
        Some(_) => {
            let message = format!(
                "{} has fewer than {k} elements to take: {}",
                axis_text(&along),
                checker.described(x, x_span)
            );
            let found =
                Diagnostic::error(Code::ShapeMismatch, k_span, message).label(x_span, "taken from this");
            checker.report(found);
            return Value::Unknown;
        }
        None => {
            let message = format!("{} is free and may have fewer than {k} elements", axis_text(&along));
            let found = Diagnostic::error(Code::UnboundAxis, k_span, message)
                .help("take them along an axis of known size, or `sort` the whole axis");
            checker.report(found);
            return Value::Unknown;
        }
    }
    let lowest = extreme(checker.ty(x).dtype, Reduction::Max);
    let Some(x) = checker.ends(x, &[axis], lowest, call.span) else { return Value::Unknown };
    let order = Op::Order { axis, descending: true, count: Size::Known(count) };
    let Some(places) = checker.emit(order, &[x], call.span) else { return Value::Unknown };
    match picked(checker, x, places, axis, call.span) {
        Some(values) => Value::Tuple(vec![Value::Tensor(values), Value::Tensor(places)].into()),
        None => Value::Unknown,
    }
}

/// The elements of `x` at `places` along `axis`, each line by its own.
fn picked(
    checker: &mut Checker<'_>,
    x: ValueId,
    places: ValueId,
    axis: usize,
    span: Span,
) -> Option<ValueId> {
    let last = checker.ty(x).rank() - 1;
    let gather = Op::Gather { axis: last, batch: last };
    if axis == last {
        return checker.emit(gather, &[x, places], span);
    }
    // With the axis last, everything before it is shared.
    let order: Vec<usize> = (0..=last).filter(|i| *i != axis).chain([axis]).collect();
    let mut back: Vec<usize> = (0..last).collect();
    back.insert(axis, last);
    let x = checker.emit(Op::Transpose { order: order.clone() }, &[x], span)?;
    let places = checker.emit(Op::Transpose { order }, &[places], span)?;
    let values = checker.emit(gather, &[x, places], span)?;
    checker.emit(Op::Transpose { order: back }, &[values], span)
}

/// `cumulate(x, axis:, exclusive:, reverse:)`: running sums.
pub(super) fn cumulate<'a>(checker: &mut Checker<'a>, call: &Call<'a>) -> Value<'a> {
    let Some((x, _)) = checker.tensor_argument(call, 0) else { return Value::Unknown };
    let Some(axis) = checker.axis_argument(call, 1, x) else { return Value::Unknown };
    let Some(x) = checker.ends(x, &[axis], 0.0, call.span) else { return Value::Unknown };
    let op = Op::Cumulate { axis, exclusive: truth(call, 2), reverse: truth(call, 3) };
    checker.tensor(op, &[x], call.span)
}

/// `numbered(axis)`: 0, 1, 2 … along an axis of its own.
pub(super) fn numbered<'a>(checker: &mut Checker<'a>, call: &Call<'a>) -> Value<'a> {
    let Some(Bound { value: Value::Axis(axis), .. }) = given(call, 0) else { return Value::Unknown };
    checker.tensor(Op::Index { axes: vec![axis.clone()], axis: 0 }, &[], call.span)
}
