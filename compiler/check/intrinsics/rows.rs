//! Functions that pick and add up slices by position.

use strata_grammar::{Code, Diagnostic, Span};

use super::{Call, given, int};
use crate::check::Checker;
use crate::check::shapes::axis_text;
use crate::check::value::{Bound, Value};
use crate::graph::ValueId;
use crate::ops::Op;
use crate::types::{Axis, DType};

/// `gather(x, positions, axis:)`. Leading axes that both have by name are shared: each of their indices has positions
/// of its own. Picked from is the next axis, where none is given.
pub(super) fn gather<'a>(checker: &mut Checker<'a>, call: &Call<'a>) -> Value<'a> {
    let (Some((x, x_span)), Some((by, by_span))) =
        (checker.tensor_argument(call, 0), checker.tensor_argument(call, 1))
    else {
        return Value::Unknown;
    };
    if !whole(checker, by, by_span, "gather") {
        return Value::Unknown;
    }
    let (from, positions) = (checker.ty(x).clone(), checker.ty(by).clone());
    let alike = |(a, b): &(&Axis, &Axis)| a.name.is_some() && a.name == b.name;
    let mut batch = from.axes.iter().zip(&positions.axes).take_while(alike).count();
    let axis = match given(call, 2) {
        Some(_) => checker.axis_argument(call, 2, x),
        None => Some(batch),
    };
    let Some(axis) = axis else { return Value::Unknown };
    batch = batch.min(axis);
    if axis >= from.rank() {
        let shared = if batch == 0 { String::new() } else { format!(" behind the {batch} that both share") };
        let message = format!(
            "`gather` picks along an axis{shared}, and there is none: {}, {}",
            checker.described(x, x_span),
            checker.described(by, by_span)
        );
        let found = Diagnostic::error(Code::WrongRank, x_span, message)
            .help("give positions other names of axes with `rename`, or say along which: `axis: …`");
        checker.report(found);
        return Value::Unknown;
    }
    if let Some(at) = (0..batch).find(|i| from.axes[*i].size != positions.axes[*i].size) {
        let message = format!(
            "`gather` picks for each {} of both, and they differ in size: {}, {}",
            axis_text(&from.axes[at]),
            checker.described(x, x_span),
            checker.described(by, by_span)
        );
        let found =
            Diagnostic::error(Code::ShapeMismatch, by_span, message).label(x_span, "picked from this");
        checker.report(found);
        return Value::Unknown;
    }
    checker.tensor(Op::Gather { axis, batch }, &[x, by], call.span)
}

/// `scatter_add(x, positions, rows, shared:)`: the first axes of `x` are those of `positions`; the first `shared` of
/// them stay, the others become the axis of rows.
pub(super) fn scatter_add<'a>(checker: &mut Checker<'a>, call: &Call<'a>) -> Value<'a> {
    let (Some((x, x_span)), Some((by, by_span))) =
        (checker.tensor_argument(call, 0), checker.tensor_argument(call, 1))
    else {
        return Value::Unknown;
    };
    let Some(Bound { value: Value::Axis(rows), .. }) = given(call, 2) else { return Value::Unknown };
    let rows = rows.clone();
    if !whole(checker, by, by_span, "scatter_add") {
        return Value::Unknown;
    }
    let (from, positions) = (checker.ty(x).clone(), checker.ty(by).clone());
    let leads = from.rank() >= positions.rank()
        && from.axes.iter().zip(&positions.axes).all(|(a, b)| a.size == b.size);
    if !leads {
        let message = format!(
            "`scatter_add` takes a position for each slice, so the first axes of both are alike: {}, {}",
            checker.described(x, x_span),
            checker.described(by, by_span)
        );
        let found =
            Diagnostic::error(Code::ShapeMismatch, by_span, message).label(x_span, "adds these slices");
        checker.report(found);
        return Value::Unknown;
    }
    let shared = int(call, 3).unwrap_or(0);
    let Some(batch) = usize::try_from(shared).ok().filter(|n| *n <= positions.rank()) else {
        let message = format!(
            "`shared` is how many axes of the positions stay, from 0 to {}, not {shared}",
            positions.rank()
        );
        let span = given(call, 3).map_or(call.span, |bound| bound.span);
        checker.report(Diagnostic::error(Code::BadValue, span, message));
        return Value::Unknown;
    };
    let axes = [&from.axes[..batch], &[rows], &from.axes[positions.rank()..]].concat();
    checker.tensor(Op::ScatterAdd { axis: batch, batch, axes }, &[by, x], call.span)
}

/// Whether positions are whole numbers; said where they are not.
pub(super) fn whole(checker: &mut Checker<'_>, by: ValueId, span: Span, name: &str) -> bool {
    let dtype = checker.ty(by).dtype;
    if !dtype.is_float() && dtype != DType::Bool {
        return true;
    }
    let text = checker.described(by, span);
    let quoted = checker.quote(span).unwrap_or_else(|| "it".into());
    let found = Diagnostic::error(
        Code::DtypeMismatch,
        span,
        format!("`{name}` takes positions as whole numbers: {text}"),
    )
    .help(format!("write `cast({}, i32)`", quoted.trim_matches('`')));
    let found = checker.with_statement(found, by);
    checker.report(found);
    false
}
