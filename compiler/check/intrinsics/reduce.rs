//! Functions that combine elements along axes.

use strata_grammar::{Code, Diagnostic};

use super::{Call, given, truth};
use crate::check::Checker;
use crate::check::ragged::extreme;
use crate::check::value::{Bound, Value};
use crate::graph::ValueId;
use crate::ops::{Binary, Op, Reduction};
use crate::types::{Axis, Size};

pub(super) fn reduce<'a>(checker: &mut Checker<'a>, call: &Call<'a>) -> Value<'a> {
    if let Some(Bound { value: Value::List(items), span }) = given(call, 0) {
        return reduce_list(checker, call, &items.clone(), *span);
    }
    let Some((x, span)) = checker.tensor_argument(call, 0) else { return Value::Unknown };
    let Some(axes) = reduced_axes(checker, call, x) else { return Value::Unknown };
    let ty = checker.ty(x).clone();
    let op = match call.intrinsic.name {
        "max" => Reduction::Max,
        "min" => Reduction::Min,
        _ => Reduction::Sum,
    };
    let is_mean = call.intrinsic.name == "mean";
    if is_mean && !ty.dtype.is_float() {
        let text = checker.quote(span).unwrap_or_else(|| "this".into());
        let found = Diagnostic::error(
            Code::DtypeMismatch,
            span,
            format!("a mean is taken over floats, and {text} is {ty}"),
        )
        .help(format!("write `mean(cast({}, f32))`", text.trim_matches('`')));
        checker.report(found);
        return Value::Unknown;
    }
    let Some(x) = checker.ends(x, &axes, extreme(ty.dtype, op), call.span) else { return Value::Unknown };
    let Some(mut result) = checker.emit(Op::Reduce { op, axes: axes.clone() }, &[x], call.span) else {
        return Value::Unknown;
    };
    if is_mean {
        let Some(count) = checker.count_along(&ty, &axes, call.span) else { return Value::Unknown };
        match checker.emit(Op::Binary(Binary::Div), &[result, count], call.span) {
            Some(mean) => {
                checker.note_mean(mean, &ty, &axes, count);
                result = mean;
            }
            None => return Value::Unknown,
        }
    }
    let Some(result) = checker.without_ends(result, call.span) else { return Value::Unknown };
    if truth(call, 3) {
        let kept = ty.axes.iter().enumerate().map(|(at, axis)| {
            let one = Axis { size: Size::Known(1), ragged: false, ..axis.clone() };
            if axes.contains(&at) { one } else { axis.clone() }
        });
        return checker.tensor(Op::Reshape { axes: kept.collect() }, &[result], call.span);
    }
    Value::Tensor(result)
}

/// `axis: …` or `but: …`; all where neither was given.
fn reduced_axes<'a>(checker: &mut Checker<'a>, call: &Call<'a>, x: ValueId) -> Option<Vec<usize>> {
    let rank = checker.ty(x).rank();
    let mut positions = |at: usize| -> Option<Option<Vec<usize>>> {
        let Some(Bound { value: Value::Axes(axes), .. }) = given(call, at) else { return Some(None) };
        let mut found = Vec::new();
        for axis in axes.iter() {
            found.push(checker.axis_position(x, axis)?);
        }
        found.sort_unstable();
        found.dedup();
        Some(Some(found))
    };
    let (along, but) = (positions(1)?, positions(2)?);
    Some(match (along, but) {
        (Some(axes), None) => axes,
        (None, Some(but)) => (0..rank).filter(|axis| !but.contains(axis)).collect(),
        (None, None) => (0..rank).collect(),
        (Some(_), Some(_)) => {
            let found = Diagnostic::error(
                Code::ExtraArgument,
                call.span,
                "`axis:` and `but:` say the same thing twice",
            )
            .help("take one of the two out");
            checker.report(found);
            return None;
        }
    })
}

/// A list of tensors, combined one with the next.
fn reduce_list<'a>(
    checker: &mut Checker<'a>,
    call: &Call<'a>,
    items: &[Value<'a>],
    span: strata_grammar::Span,
) -> Value<'a> {
    if items.iter().any(Value::is_unknown) {
        return Value::Unknown;
    }
    let op = match call.intrinsic.name {
        "max" => Binary::Max,
        "min" => Binary::Min,
        _ => Binary::Add,
    };
    let mut items = items.iter();
    let Some(first) = items.next() else {
        checker.report(Diagnostic::error(Code::BadValue, span, "this list is empty"));
        return Value::Unknown;
    };
    let mut total = first.clone();
    let mut count = 1.0;
    let whose = format!("`{}`", call.intrinsic.name);
    for item in items {
        let Some(args) =
            checker.together([(total, span), (item.clone(), span)], &whose, call.span, call.span)
        else {
            return Value::Unknown;
        };
        total = checker.tensor(Op::Binary(op), &args, call.span);
        count += 1.0;
    }
    if call.intrinsic.name != "mean" {
        return total;
    }
    match checker.together([(total, span), (Value::Float(count), span)], &whose, call.span, call.span) {
        Some(args) => checker.tensor(Op::Binary(Binary::Div), &args, call.span),
        None => Value::Unknown,
    }
}

pub(super) fn argmax<'a>(checker: &mut Checker<'a>, call: &Call<'a>) -> Value<'a> {
    let Some((x, _)) = checker.tensor_argument(call, 0) else { return Value::Unknown };
    let Some(axis) = checker.axis_argument(call, 1, x) else { return Value::Unknown };
    let lowest = extreme(checker.ty(x).dtype, Reduction::Max);
    let Some(x) = checker.ends(x, &[axis], lowest, call.span) else { return Value::Unknown };
    checker.tensor(Op::ArgMax { axis }, &[x], call.span)
}

/// 0, 1, 2 … along an axis of a tensor; a tensor of that axis alone.
pub(super) fn index<'a>(checker: &mut Checker<'a>, call: &Call<'a>) -> Value<'a> {
    let Some((x, _)) = checker.tensor_argument(call, 0) else { return Value::Unknown };
    let Some(axis) = checker.axis_argument(call, 1, x) else { return Value::Unknown };
    let axes = vec![checker.ty(x).axes[axis].clone()];
    checker.tensor(Op::Index { axes, axis: 0 }, &[], call.span)
}

pub(super) fn size<'a>(checker: &mut Checker<'a>, call: &Call<'a>) -> Value<'a> {
    let Some((x, _)) = checker.tensor_argument(call, 0) else { return Value::Unknown };
    let Some(axis) = checker.axis_argument(call, 1, x) else { return Value::Unknown };
    Value::Axis(checker.ty(x).axes[axis].clone())
}
