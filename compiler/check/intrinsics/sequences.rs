//! Functions of sequences.

use strata_grammar::{Code, Diagnostic};

use super::{Call, float, given, int};
use crate::check::Checker;
use crate::check::value::{Bound, Value};
use crate::graph::ValueId;
use crate::ops::{Binary, Op};
use crate::types::{Axis, DType, Size};

/// What the states of a recurrence were after its last turn.
pub(super) fn last<'a>(checker: &mut Checker<'a>, call: &Call<'a>) -> Value<'a> {
    let Some((x, span)) = checker.tensor_argument(call, 0) else { return Value::Unknown };
    if let Some(last) = checker.build.lasts.get(&x) {
        return Value::Tensor(*last);
    }
    let text = checker.described(x, span);
    let message = format!("`last` takes what a recurrence carried in `with`, as it is after it: {text}");
    let found = Diagnostic::error(Code::WrongKind, span, message)
        .help("carry it: `scan … with h = … { h = … }`; of other tensors take a part with `slice`");
    checker.report(found);
    Value::Unknown
}

/// A sequence one later (or `by` later), with a number where nothing comes from; along the second axis, or the only one.
pub(super) fn shift<'a>(checker: &mut Checker<'a>, call: &Call<'a>) -> Value<'a> {
    let Some((x, span)) = checker.tensor_argument(call, 0) else { return Value::Unknown };
    let ty = checker.ty(x).clone();
    let Some(axis) = along(checker, call, 3, x) else { return Value::Unknown };
    let by = int(call, 2).unwrap_or(1);
    let Some(by) = u64::try_from(by).ok().filter(|by| (1..1 << 40).contains(by)) else {
        let at = given(call, 2).map_or(call.span, |bound| bound.span);
        let message = format!("`shift` moves by 1 or more, not {by}");
        checker.report(
            Diagnostic::error(Code::BadValue, at, message)
                .help("to move the other way, use `slice` and `pad`"),
        );
        return Value::Unknown;
    };
    let with = float(call, 1).unwrap_or(0.0);
    if with.fract() != 0.0 && !ty.dtype.is_float() {
        let at = given(call, 1).map_or(call.span, |bound| bound.span);
        let message =
            format!("`with` is {with}, and {} is {ty}", checker.quote(span).unwrap_or("this".into()));
        checker.report(Diagnostic::error(Code::DtypeMismatch, at, message).help("give a whole number"));
        return Value::Unknown;
    }
    let shifted = (|| {
        let (low, high) = (Size::Known(by), Size::Known(0));
        let longer = checker.emit(Op::Pad { axis, low, high }, &[x], call.span)?;
        let end = ty.axes[axis].size.clone();
        let cut = checker.emit(Op::Slice { axis, start: Size::Known(0), end }, &[longer], call.span)?;
        if with == 0.0 {
            return Some(cut);
        }
        let along: Vec<Axis> = vec![ty.axes[axis].clone()];
        let place = checker.emit(Op::Index { axes: along.clone(), axis: 0 }, &[], call.span)?;
        let by = checker.constant(by as f64, DType::I32, call.span)?;
        let by = checker.spread(by, &along, call.span)?;
        let first = checker.emit(Op::Binary(Binary::Less), &[place, by], call.span)?;
        let wide = Op::Broadcast { axes: ty.axes.clone(), from: vec![axis] };
        let first = checker.emit(wide, &[first], call.span)?;
        let number = checker.constant(with, ty.dtype, call.span)?;
        let number = checker.spread(number, &ty.axes, call.span)?;
        checker.emit(Op::Select, &[first, number, cut], call.span)
    })();
    let Some(shifted) = shifted else { return Value::Unknown };
    if by == 1 && axis == 1 {
        // What a decoder makes is seen through this alone.
        checker.build.model.shifts.push((shifted, x));
    }
    Value::Tensor(shifted)
}

/// A tensor with a number beyond the ends of examples, along the axes that are ragged; itself where none is.
pub(super) fn beyond<'a>(checker: &mut Checker<'a>, call: &Call<'a>) -> Value<'a> {
    let (Some((x, _)), Some(number)) = (checker.tensor_argument(call, 0), float(call, 1)) else {
        return Value::Unknown;
    };
    let mut axes: Vec<usize> = (0..checker.ty(x).rank()).collect();
    if let Some(Bound { value: Value::Axes(given), .. }) = given(call, 2) {
        let given = given.clone();
        let found: Option<Vec<usize>> = given.iter().map(|axis| checker.axis_position(x, axis)).collect();
        let Some(found) = found else { return Value::Unknown };
        axes = found;
    }
    checker.ends(x, &axes, number, call.span).map_or(Value::Unknown, Value::Tensor)
}

/// A sequence from its end to its beginning, each example from its own end; along the second axis, or the only one.
pub(super) fn reversed<'a>(checker: &mut Checker<'a>, call: &Call<'a>) -> Value<'a> {
    let Some((x, span)) = checker.tensor_argument(call, 0) else { return Value::Unknown };
    let Some(axis) = along(checker, call, 1, x) else { return Value::Unknown };
    checker.turned_round(x, axis, span).map_or(Value::Unknown, Value::Tensor)
}

/// The axis that argument `at` names; else the second, or the only one.
fn along<'a>(checker: &mut Checker<'a>, call: &Call<'a>, at: usize, x: ValueId) -> Option<usize> {
    if given(call, at).is_some() {
        return checker.axis_argument(call, at, x);
    }
    let ty = checker.ty(x).clone();
    if ty.rank() == 0 {
        let message = format!("`{}` moves along an axis, and this is {ty}", call.intrinsic.name);
        checker.report(Diagnostic::error(Code::WrongRank, call.span, message));
        return None;
    }
    Some(1.min(ty.rank() - 1))
}
