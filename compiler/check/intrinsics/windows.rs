//! Convolution and pooling over the axes between the first and the last.

use strata_grammar::{Code, Diagnostic, Span};

use super::{Call, given, int};
use crate::check::Checker;
use crate::check::ragged::extreme;
use crate::check::shapes::axis_text;
use crate::check::value::{Bound, Value};
use crate::ops::{Convolution, Op, Pooling, Reduction};
use crate::types::{Axis, Size, Type};

/// No kernel, stride or padding of ours is larger; keeps sums of them within 64 bits.
const MOST: i64 = 1 << 20;

pub(super) fn convolve<'a>(checker: &mut Checker<'a>, call: &Call<'a>) -> Value<'a> {
    let (Some((x, x_span)), Some((kernel, _))) =
        (checker.tensor_argument(call, 0), checker.tensor_argument(call, 1))
    else {
        return Value::Unknown;
    };
    let ty = checker.ty(x).clone();
    let Some(spatial) = spatial(checker, &ty, x_span) else { return Value::Unknown };
    let taps: Vec<u64> = {
        let axes = &checker.ty(kernel).axes;
        let last = axes.len().saturating_sub(2);
        axes[..last].iter().filter_map(|axis| axis.size.known()).collect()
    };
    if taps.len() != spatial {
        let message = format!(
            "a kernel for {ty} has {} axes: {spatial} of its own, then the channels it takes and those it gives",
            spatial + 2
        );
        checker.report(Diagnostic::error(Code::WrongRank, call.span, message));
        return Value::Unknown;
    }
    let (Some(stride), Some(dilation)) =
        (per_axis(checker, call, 2, spatial, "stride"), per_axis(checker, call, 3, spatial, "dilation"))
    else {
        return Value::Unknown;
    };
    let reach: Vec<u64> =
        taps.iter().zip(&dilation).map(|(taps, d)| taps.saturating_sub(1) * d + 1).collect();
    let Some(padding) = padding(checker, call, 4, &ty, &reach, &stride) else { return Value::Unknown };
    if !fits(checker, call, &ty, &reach, &padding) {
        return Value::Unknown;
    }
    let groups = int(call, 5).unwrap_or(1);
    if groups < 1 {
        let message = format!("groups is at least 1, not {groups}");
        checker.report(Diagnostic::error(Code::BadValue, call.span, message));
        return Value::Unknown;
    }
    let convolution = Convolution { stride, dilation, padding, groups: groups as u64 };
    let moved: Vec<usize> = (1..=spatial).collect();
    let Some(x) = checker.ends(x, &moved, 0.0, call.span) else { return Value::Unknown };
    let result = checker.tensor(Op::Convolve(convolution), &[x, kernel], call.span);
    checker.windows_fit(&ty, result, call.intrinsic.name, call.span)
}

/// What a convolution of the result by the same kernel would have come from: the gradient of a convolution by its
/// input, used forward. The kernel is `[…, channels given / groups, channels taken]`.
pub(super) fn convolve_transposed<'a>(checker: &mut Checker<'a>, call: &Call<'a>) -> Value<'a> {
    let (Some((x, x_span)), Some((kernel, _))) =
        (checker.tensor_argument(call, 0), checker.tensor_argument(call, 1))
    else {
        return Value::Unknown;
    };
    let (ty, kernel_ty) = (checker.ty(x).clone(), checker.ty(kernel).clone());
    let Some(spatial) = spatial(checker, &ty, x_span) else { return Value::Unknown };
    let taps: Vec<u64> = kernel_ty.axes.iter().take(spatial).filter_map(|axis| axis.size.known()).collect();
    if kernel_ty.rank() != spatial + 2 || taps.len() != spatial {
        let message = format!(
            "a kernel for {ty} has {} axes: {spatial} of its own, then the channels it gives and those it takes",
            spatial + 2
        );
        checker.report(Diagnostic::error(Code::WrongRank, call.span, message));
        return Value::Unknown;
    }
    let Some(stride) = per_axis(checker, call, 2, spatial, "stride") else { return Value::Unknown };
    let mut axes = vec![ty.axes[0].clone()];
    let mut padding = Vec::new();
    let same = matches!(given(call, 3), Some(Bound { value: Value::Text(word), .. }) if &**word == "same");
    for (i, axis) in ty.axes[1..=spatial].iter().enumerate() {
        // `same` gives `stride` times as many; else windows lie side by side and stand over at the ends.
        let total = if same { taps[i].saturating_sub(stride[i]) } else { 0 };
        padding.push((total / 2, total - total / 2));
        let size = if same {
            axis.size.mul(&Size::Known(stride[i]))
        } else {
            axis.size.sub(&Size::Known(1)).mul(&Size::Known(stride[i])).add(&Size::Known(taps[i]))
        };
        axes.push(Axis { size, ..axis.clone() });
    }
    axes.push(kernel_ty.axes[spatial].clone());
    let convolution = Convolution { stride, dilation: vec![1; spatial], padding, groups: 1 };
    let moved: Vec<usize> = (1..=spatial).collect();
    let Some(x) = checker.ends(x, &moved, 0.0, call.span) else { return Value::Unknown };
    let result = checker.tensor(Op::ConvolveInput(convolution, axes), &[x, kernel], call.span);
    checker.windows_fit(&ty, result, call.intrinsic.name, call.span)
}

pub(super) fn pool<'a>(checker: &mut Checker<'a>, call: &Call<'a>) -> Value<'a> {
    let Some((x, x_span)) = checker.tensor_argument(call, 0) else { return Value::Unknown };
    let ty = checker.ty(x).clone();
    let Some(spatial) = spatial(checker, &ty, x_span) else { return Value::Unknown };
    let Some(window) = per_axis(checker, call, 1, spatial, "window") else { return Value::Unknown };
    let stride = match given(call, 2) {
        Some(_) => per_axis(checker, call, 2, spatial, "stride"),
        None => Some(window.clone()),
    };
    let Some(stride) = stride else { return Value::Unknown };
    let Some(padding) = padding(checker, call, 3, &ty, &window, &stride) else { return Value::Unknown };
    if !fits(checker, call, &ty, &window, &padding) {
        return Value::Unknown;
    }
    let op = if call.intrinsic.name == "pool_max" { Reduction::Max } else { Reduction::Sum };
    let moved: Vec<usize> = (1..=spatial).collect();
    let Some(x) = checker.ends(x, &moved, extreme(ty.dtype, op), call.span) else { return Value::Unknown };
    let result = checker.tensor(Op::Pool(Pooling { op, window, stride, padding }), &[x], call.span);
    checker.windows_fit(&ty, result, call.intrinsic.name, call.span)
}

/// The number of axes between the first and the last.
fn spatial(checker: &mut Checker<'_>, ty: &Type, span: Span) -> Option<usize> {
    if ty.rank() >= 3 {
        return Some(ty.rank() - 2);
    }
    let message = format!("windows move over the axes between the first and the last, and {ty} has none");
    let found =
        Diagnostic::error(Code::WrongRank, span, message).help("an image is [batch, height, width, channel]");
    checker.report(found);
    None
}

/// Argument `at`: one number for every spatial axis; 1 where it was not given.
fn per_axis(
    checker: &mut Checker<'_>,
    call: &Call<'_>,
    at: usize,
    spatial: usize,
    what: &str,
) -> Option<Vec<u64>> {
    let Some(bound) = given(call, at) else { return Some(vec![1; spatial]) };
    let numbers: Vec<i64> = match &bound.value {
        Value::List(items) => items.iter().map(|item| item.int()).collect::<Option<_>>()?,
        other => vec![other.int()?; spatial],
    };
    if numbers.len() != spatial {
        let message =
            format!("{what} has {} numbers, and there are {spatial} axes to move over", numbers.len());
        let mut found = Diagnostic::error(Code::WrongRank, bound.span, message);
        if numbers.len() > spatial {
            let some: Vec<String> = numbers.iter().take(spatial).map(ToString::to_string).collect();
            found = found.help(format!("write one for each: `{what}: [{}]`", some.join(", ")));
        } else {
            found = found.help("write one number for all; an image is [batch, height, width, channel]");
        }
        let found = if spatial + 1 == numbers.len() {
            let help = found.help.clone().unwrap_or_default();
            found.help(format!("{help}; an image of one colour has an axis for it: `channel = 1`"))
        } else {
            found
        };
        checker.report(found);
        return None;
    }
    if let Some(wrong) = numbers.iter().find(|n| !(1..=MOST).contains(*n)) {
        let message = format!("{what} is at least 1 and at most {MOST}, not {wrong}");
        checker.report(Diagnostic::error(Code::BadValue, bound.span, message));
        return None;
    }
    Some(numbers.into_iter().map(|n| n as u64).collect())
}

/// Zeros before and after each spatial axis. `same` puts the odd one at the end.
fn padding(
    checker: &mut Checker<'_>,
    call: &Call<'_>,
    at: usize,
    ty: &Type,
    reach: &[u64],
    stride: &[u64],
) -> Option<Vec<(u64, u64)>> {
    let spatial = reach.len();
    let Some(bound) = given(call, at) else { return Some(vec![(0, 0); spatial]) };
    let numbers = match &bound.value {
        Value::Text(word) if &**word == "same" => return same_padding(checker, bound, ty, reach, stride),
        Value::Text(_) => return Some(vec![(0, 0); spatial]),
        Value::List(items) => items.iter().map(|item| item.int()).collect::<Option<Vec<i64>>>(),
        other => other.int().map(|n| vec![n; spatial]),
    };
    let numbers = numbers.unwrap_or_default();
    if numbers.len() != spatial || numbers.iter().any(|n| !(0..=MOST).contains(n)) {
        let message = format!("padding is `same`, `valid`, a number from 0 on, or a list of {spatial}");
        checker.report(Diagnostic::error(Code::BadValue, bound.span, message));
        return None;
    }
    Some(numbers.into_iter().map(|n| (n as u64, n as u64)).collect())
}

fn same_padding(
    checker: &mut Checker<'_>,
    bound: &Bound<'_>,
    ty: &Type,
    reach: &[u64],
    stride: &[u64],
) -> Option<Vec<(u64, u64)>> {
    let mut out = Vec::new();
    for (i, axis) in ty.axes[1..=reach.len()].iter().enumerate() {
        let total = match axis.size.known() {
            Some(size) => {
                let windows = size.div_ceil(stride[i]);
                (windows.saturating_sub(1) * stride[i] + reach[i]).saturating_sub(size)
            }
            None if stride[i] == 1 => reach[i] - 1,
            None => {
                let message = format!(
                    "how much to pad the free axis {} is not known for a stride above 1",
                    axis_text(axis)
                );
                let found = Diagnostic::error(Code::UnboundAxis, bound.span, message)
                    .help("give the axis a size, or the padding as a number");
                checker.report(found);
                return None;
            }
        };
        out.push((total / 2, total - total / 2));
    }
    Some(out)
}

/// Whether a window fits into each padded axis; said where it does not.
fn fits(
    checker: &mut Checker<'_>,
    call: &Call<'_>,
    ty: &Type,
    reach: &[u64],
    padding: &[(u64, u64)],
) -> bool {
    for ((axis, reach), (low, high)) in ty.axes[1..].iter().zip(reach).zip(padding) {
        let Some(size) = axis.size.known() else {
            if *reach <= low + high + 1 {
                continue;
            }
            let message =
                format!("a window of {reach} may not fit into {}, whose size is free", axis_text(axis));
            let found = Diagnostic::error(Code::UnboundAxis, call.span, message)
                .help("give the axis a size, or use `padding: same`");
            checker.report(found);
            return false;
        };
        if *reach > size + low + high {
            let padded =
                if low + high > 0 { format!(" with {} of padding", low + high) } else { String::new() };
            let message =
                format!("a window of {reach} does not fit into {}{padded}: this is {ty}", axis_text(axis));
            let found = Diagnostic::error(Code::ShapeMismatch, call.span, message)
                .help("use a smaller window, fewer poolings before it, or `padding: same`");
            checker.report(found);
            return false;
        }
    }
    true
}

/// A number for every spatial axis, as a list.
pub(super) fn per_spatial_axis<'a>(checker: &mut Checker<'a>, call: &Call<'a>) -> Value<'a> {
    let Some((x, span)) = checker.tensor_argument(call, 0) else { return Value::Unknown };
    let ty = checker.ty(x).clone();
    let Some(spatial) = spatial(checker, &ty, span) else { return Value::Unknown };
    match per_axis(checker, call, 1, spatial, "kernel") {
        Some(numbers) => Value::List(numbers.into_iter().map(|n| Value::Int(n as i64)).collect()),
        None => Value::Unknown,
    }
}
