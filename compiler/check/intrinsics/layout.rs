//! Functions that move axes about.

use strata_grammar::ast::{Argument, ArgumentName};
use strata_grammar::{Code, Diagnostic, Span};

use super::{Call, given, int};
use crate::check::Checker;
use crate::check::shapes::axis_text;
use crate::check::signature::lone_name;
use crate::check::value::{AxisRef, Bound, Value};
use crate::graph::ValueId;
use crate::ops::Op;
use crate::types::{Axis, Size};

/// How many axes there are.
pub(super) fn rank<'a>(checker: &mut Checker<'a>, call: &Call<'a>) -> Value<'a> {
    let Some((x, _)) = checker.tensor_argument(call, 0) else { return Value::Unknown };
    Value::Int(checker.ty(x).rank() as i64)
}

/// All axes but the first become one.
pub(super) fn flatten<'a>(checker: &mut Checker<'a>, call: &Call<'a>) -> Value<'a> {
    let Some((x, span)) = checker.tensor_argument(call, 0) else { return Value::Unknown };
    let ty = checker.ty(x).clone();
    let Some((first, rest)) = ty.axes.split_first() else {
        let message = "`flatten` keeps the first axis, and this is a single number";
        checker.report(Diagnostic::error(Code::WrongRank, span, message));
        return Value::Unknown;
    };
    if rest.len() == 1 {
        return Value::Tensor(x);
    }
    if !(1..ty.rank()).all(|axis| checker.not_ragged(x, axis, "`flatten`", span)) {
        return Value::Unknown;
    }
    let size = rest.iter().fold(Size::Known(1), |n, axis| n.mul(&axis.size));
    checker.tensor(Op::Reshape { axes: vec![first.clone(), Axis::sized(size)] }, &[x], call.span)
}

/// `rename(x)`: `Checker::rename` takes those that rename something.
pub(super) fn nothing_to_rename<'a>(checker: &mut Checker<'a>, call: &Call<'a>) -> Value<'a> {
    let found =
        Diagnostic::error(Code::MissingArgument, call.span, "`rename` needs an axis and its new name")
            .help("write `rename(x, old: new)`");
    checker.report(found);
    Value::Unknown
}

impl<'a> Checker<'a> {
    /// `rename(x, old: new)`
    pub(in crate::check) fn rename(
        &mut self,
        args: &'a [Argument],
        piped: Vec<Bound<'a>>,
        span: Span,
    ) -> Value<'a> {
        if !args.iter().any(|arg| matches!(arg.name, ArgumentName::Colon(_))) {
            let message = "`rename` needs an axis and its new name";
            let found =
                Diagnostic::error(Code::MissingArgument, span, message).help("write `rename(x, old: new)`");
            self.report(found);
            return Value::Unknown;
        }
        let mut args = args.iter();
        let value = match piped.into_iter().next() {
            Some(bound) => bound.value,
            None => match args.next() {
                Some(Argument { name: ArgumentName::None, value, .. }) => self.eval(value),
                _ => {
                    let found = Diagnostic::error(Code::MissingArgument, span, "`rename` needs a tensor")
                        .help("write `rename(x, old: new)`");
                    self.report(found);
                    return Value::Unknown;
                }
            },
        };
        let Value::Tensor(x) = value else {
            if !value.is_unknown() {
                self.wrong_kind(&value, "a tensor", span, "`rename`");
            }
            return Value::Unknown;
        };
        let mut axes = self.ty(x).axes.clone();
        for arg in args {
            let (ArgumentName::Colon(old), Some(new)) = (&arg.name, lone_name(&arg.value)) else {
                let found = Diagnostic::error(
                    Code::WrongKind,
                    arg.span,
                    "`rename` takes the old name, a colon, and the new name",
                )
                .help("write `rename(x, old: new)`");
                self.report(found);
                return Value::Unknown;
            };
            let Some(at) = self.axis_position(x, &AxisRef::Named(old.text.as_str().into(), old.span)) else {
                return Value::Unknown;
            };
            axes[at].name = Some(new.text.as_str().into());
        }
        self.tensor(Op::Reshape { axes }, &[x], span)
    }
}

/// An axis of size 1; the last where nothing is said.
pub(super) fn new_axis<'a>(checker: &mut Checker<'a>, call: &Call<'a>) -> Value<'a> {
    let Some((x, _)) = checker.tensor_argument(call, 0) else { return Value::Unknown };
    let mut axes = checker.ty(x).axes.clone();
    let at = int(call, 1).unwrap_or(-1);
    let place = if at < 0 { at + axes.len() as i64 + 1 } else { at };
    match usize::try_from(place).ok().filter(|place| *place <= axes.len()) {
        Some(place) => axes.insert(place, Axis::sized(1)),
        None => {
            let message = format!("an axis cannot be put at {at} of {}", checker.ty(x));
            checker.report(Diagnostic::error(Code::UnknownAxis, call.span, message));
            return Value::Unknown;
        }
    }
    checker.tensor(Op::Reshape { axes }, &[x], call.span)
}

/// `transpose(x)` turns the last two axes; `transpose(x, axes: [1, 0, 2])` gives all in their new order.
pub(super) fn transpose<'a>(checker: &mut Checker<'a>, call: &Call<'a>) -> Value<'a> {
    let Some((Value::Tensor(x), span)) = call.extra.first().map(|b| (b.value.clone(), b.span)) else {
        let message = "`transpose` needs a tensor";
        checker.report(Diagnostic::error(Code::MissingArgument, call.span, message));
        return Value::Unknown;
    };
    if let Some(extra) = call.extra.get(1) {
        let found = Diagnostic::error(Code::ExtraArgument, extra.span, "`transpose` takes one tensor")
            .help("give the new order by name: `axes: [1, 0, 2]`");
        checker.report(found);
        return Value::Unknown;
    }
    let rank = checker.ty(x).rank();
    let order = match given(call, 0) {
        Some(Bound { value: Value::Axes(axes), .. }) => {
            let mut order = Vec::new();
            for axis in axes.iter() {
                match checker.axis_position(x, axis) {
                    Some(at) => order.push(at),
                    None => return Value::Unknown,
                }
            }
            order
        }
        _ if rank < 2 => {
            let message = format!("`transpose` turns the last two axes, and this is {}", checker.ty(x));
            checker.report(Diagnostic::error(Code::WrongRank, span, message));
            return Value::Unknown;
        }
        _ => (0..rank - 2).chain([rank - 1, rank - 2]).collect(),
    };
    checker.tensor(Op::Transpose { order }, &[x], call.span)
}

/// Tensors one after the other.
pub(super) fn concat<'a>(checker: &mut Checker<'a>, call: &Call<'a>) -> Value<'a> {
    let mut parts: Vec<(ValueId, Span)> = Vec::new();
    for bound in &call.extra {
        let items = match &bound.value {
            Value::List(items) => items.to_vec(),
            other => vec![other.clone()],
        };
        for item in items {
            match item {
                Value::Tensor(id) => parts.push((id, bound.span)),
                Value::Unknown => return Value::Unknown,
                other => {
                    checker.wrong_kind(&other, "tensors", bound.span, "`concat`");
                    return Value::Unknown;
                }
            }
        }
    }
    let Some((first, _)) = parts.first().copied() else {
        let found = Diagnostic::error(Code::MissingArgument, call.span, "`concat` needs tensors")
            .help("write `concat(a, b, axis: channel)`");
        checker.report(found);
        return Value::Unknown;
    };
    let Some(axis) = checker.axis_argument(call, 0, first) else { return Value::Unknown };
    for (id, span) in &parts[1..] {
        if !joins(checker, (first, parts[0].1), (*id, *span), axis) {
            return Value::Unknown;
        }
    }
    if !parts.iter().all(|(id, span)| checker.not_ragged(*id, axis, "`concat`", *span)) {
        return Value::Unknown;
    }
    let ids: Vec<ValueId> = parts.iter().map(|part| part.0).collect();
    checker.tensor(Op::Concat { axis }, &ids, call.span)
}

/// Whether two tensors agree in all axes but one; said where they do not.
fn joins(
    checker: &mut Checker<'_>,
    (a, a_span): (ValueId, Span),
    (b, b_span): (ValueId, Span),
    along: usize,
) -> bool {
    let (first, next) = (checker.ty(a).clone(), checker.ty(b).clone());
    let both = format!("{}, {}", checker.described(a, a_span), checker.described(b, b_span));
    let (code, message, help) = if first.rank() != next.rank() {
        (Code::WrongRank, format!("`concat` joins tensors with the same number of axes: {both}"), None)
    } else if first.dtype != next.dtype {
        let help = Some(format!("cast the second to {}", first.dtype));
        (Code::DtypeMismatch, format!("`concat` joins tensors of one dtype: {both}"), help)
    } else {
        let others = || first.axes.iter().zip(&next.axes).enumerate().filter(|(at, _)| *at != along);
        let sizes = others().find(|(_, (x, y))| x.size != y.size);
        let names = others().find(|(_, (x, y))| x.name.is_some() && y.name.is_some() && x.name != y.name);
        match (sizes, names) {
            (Some((_, (x, y))), _) => {
                let joined = axis_text(&first.axes[along]);
                let message = format!(
                    "`concat` along {joined} needs the other axes equal, and {} meets {}: {both}",
                    axis_text(x),
                    axis_text(y)
                );
                (
                    Code::ShapeMismatch,
                    message,
                    Some(format!(
                        "make {} and {} equal, or join along another axis: `axis: …`",
                        axis_text(x),
                        axis_text(y)
                    )),
                )
            }
            (None, Some((_, (x, y)))) => {
                let message =
                    format!("`concat` brings {} and {} together: {both}", axis_text(x), axis_text(y));
                (
                    Code::AxisMismatch,
                    message,
                    Some("give them one name with `rename(x, old: new)`".to_string()),
                )
            }
            (None, None) => return true,
        }
    };
    let mut found = Diagnostic::error(code, b_span, message).label(a_span, "joined with this");
    if let Some(help) = help {
        found = found.help(help);
    }
    checker.report(found);
    false
}

/// An axis in equal parts: the tensor, the axis, how many parts, and how long each is. Said where there are none.
fn equal_parts<'a>(checker: &mut Checker<'a>, call: &Call<'a>) -> Option<(ValueId, usize, u64, u64)> {
    let name = call.intrinsic.name;
    let ((x, span), parts) = (checker.tensor_argument(call, 0)?, int(call, 1)?);
    let axis = checker.axis_argument(call, 2, x)?;
    if !checker.not_ragged(x, axis, &format!("`{name}`"), call.span) {
        return None;
    }
    let ty = checker.ty(x).clone();
    let size = ty.axes[axis].size.known();
    let (Some(size), true) = (size, parts >= 1) else {
        let message = format!(
            "`{name}` cuts an axis of known size into equal parts, not {} into {parts}",
            axis_text(&ty.axes[axis])
        );
        checker.report(Diagnostic::error(Code::BadValue, call.span, message));
        return None;
    };
    let parts = parts as u64;
    if size % parts == 0 {
        return Some((x, axis, parts, size / parts));
    }
    let text = checker.described(x, span);
    let message = format!("{} does not fall into {parts} equal parts: {text}", axis_text(&ty.axes[axis]));
    let fitting: Vec<String> = (2..=size).filter(|n| size % n == 0).take(4).map(|n| n.to_string()).collect();
    let found = Diagnostic::error(Code::ShapeMismatch, call.span, message)
        .help(format!("{size} falls into {} parts", fitting.join(" or ")));
    checker.report(found);
    None
}

/// An axis as two: its equal parts, and the places in each.
pub(super) fn grouped<'a>(checker: &mut Checker<'a>, call: &Call<'a>) -> Value<'a> {
    let Some((x, axis, parts, each)) = equal_parts(checker, call) else { return Value::Unknown };
    let mut axes = checker.ty(x).axes.clone();
    axes[axis] = Axis::sized(parts);
    axes.insert(axis + 1, Axis::sized(each));
    checker.tensor(Op::Reshape { axes }, &[x], call.span)
}

/// An axis and the one behind it as one.
pub(super) fn merged<'a>(checker: &mut Checker<'a>, call: &Call<'a>) -> Value<'a> {
    let Some((x, span)) = checker.tensor_argument(call, 0) else { return Value::Unknown };
    let Some(axis) = checker.axis_argument(call, 1, x) else { return Value::Unknown };
    let mut axes = checker.ty(x).axes.clone();
    // The last one and the one before it, where nothing is said.
    let first = if given(call, 1).is_some() { axis } else { axis.saturating_sub(1) };
    if first + 1 >= axes.len() {
        let message =
            format!("`merged` joins an axis with the one behind it: {}", checker.described(x, span));
        let found = Diagnostic::error(Code::WrongRank, call.span, message).help("name the first of two axes");
        checker.report(found);
        return Value::Unknown;
    }
    if ![first, first + 1].iter().all(|axis| checker.not_ragged(x, *axis, "`merged`", call.span)) {
        return Value::Unknown;
    }
    let second = axes.remove(first + 1);
    axes[first] = Axis::sized(axes[first].size.mul(&second.size));
    checker.tensor(Op::Reshape { axes }, &[x], call.span)
}

/// An axis in equal parts.
pub(super) fn split<'a>(checker: &mut Checker<'a>, call: &Call<'a>) -> Value<'a> {
    let Some((x, axis, parts, each)) = equal_parts(checker, call) else { return Value::Unknown };
    let mut out = Vec::new();
    for part in 0..parts {
        let (start, end) = (Size::Known(part * each), Size::Known((part + 1) * each));
        let value = checker.tensor(Op::Slice { axis, start, end }, &[x], call.span);
        if value.is_unknown() {
            return Value::Unknown;
        }
        out.push(value);
    }
    Value::Tuple(out.into())
}

pub(super) fn slice<'a>(checker: &mut Checker<'a>, call: &Call<'a>) -> Value<'a> {
    let (Some((x, _)), Some(start), Some(end)) =
        (checker.tensor_argument(call, 0), int(call, 1), int(call, 2))
    else {
        return Value::Unknown;
    };
    let Some(axis) = checker.axis_argument(call, 3, x) else { return Value::Unknown };
    if !checker.not_ragged(x, axis, "`slice`", call.span) {
        return Value::Unknown;
    }
    checker.slice(x, axis, start, end, call.span).map_or(Value::Unknown, Value::Tensor)
}

pub(super) fn pad<'a>(checker: &mut Checker<'a>, call: &Call<'a>) -> Value<'a> {
    let (Some((x, _)), Some(before), Some(after)) =
        (checker.tensor_argument(call, 0), int(call, 1), int(call, 2))
    else {
        return Value::Unknown;
    };
    let Some(axis) = checker.axis_argument(call, 3, x) else { return Value::Unknown };
    let (Ok(low), Ok(high)) = (u64::try_from(before), u64::try_from(after)) else {
        let found =
            Diagnostic::error(Code::BadValue, call.span, "`pad` adds zeros, so both numbers are 0 or more")
                .help("`slice` takes elements away");
        checker.report(found);
        return Value::Unknown;
    };
    if checker.ty(x).axes[axis].ragged {
        return checker.padded_ends(x, axis, (low, high), call.span).map_or(Value::Unknown, Value::Tensor);
    }
    checker.tensor(Op::Pad { axis, low: Size::Known(low), high: Size::Known(high) }, &[x], call.span)
}

/// A size with its own name, or else that of another axis.
pub(super) fn named_like<'a>(_: &mut Checker<'a>, call: &Call<'a>) -> Value<'a> {
    let axis = |at: usize| match given(call, at) {
        Some(Bound { value: Value::Axis(axis), .. }) => Some(axis.clone()),
        _ => None,
    };
    match (axis(0), axis(1)) {
        (Some(own), Some(like)) => Value::Axis(Axis { name: own.name.clone().or(like.name), ..own }),
        _ => Value::Unknown,
    }
}
