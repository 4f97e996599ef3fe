//! Initialisers: how variables begin.

use super::Checker;
use super::intrinsics::{Call, float};
use super::signature::Kind;
use super::value::{Initial, Value};
use crate::graph::ValueId;
use crate::types::DType;

/// The initialiser that a bare name means.
pub(super) fn by_name(name: &str) -> Option<Initial> {
    Some(match name {
        "zeros" => Initial::Constant(0.0),
        "ones" => Initial::Constant(1.0),
        "glorot" => Initial::Glorot,
        "he" => Initial::He,
        "orthogonal" => Initial::Orthogonal(1.0),
        _ => return None,
    })
}

/// `glorot`, `uniform(0.1)`; `zeros(batch, units)` is a tensor of these axes.
pub(super) fn initialiser<'a>(checker: &mut Checker<'a>, call: &Call<'a>) -> Value<'a> {
    if !call.extra.is_empty() {
        return filled(checker, call).map_or(Value::Unknown, Value::Tensor);
    }
    let first = float(call, 0).unwrap_or(1.0);
    Value::Init(match call.intrinsic.name {
        "uniform" => Initial::Uniform(first),
        "normal" => Initial::Normal(first),
        "orthogonal" => Initial::Orthogonal(first),
        name => by_name(name).unwrap_or(Initial::Constant(0.0)),
    })
}

/// A tensor of `f32` with one number everywhere.
fn filled<'a>(checker: &mut Checker<'a>, call: &Call<'a>) -> Option<ValueId> {
    let name = call.intrinsic.name;
    let mut axes = Vec::with_capacity(call.extra.len());
    for bound in &call.extra {
        let whose = format!("`{name}`");
        match checker.fit(bound.value.clone(), None, Kind::Axis, bound.span, &whose) {
            Value::Axis(axis) => axes.push(axis),
            _ => return None,
        }
    }
    let number = if name == "ones" { 1.0 } else { 0.0 };
    let one = checker.constant(number, DType::F32, call.span)?;
    checker.spread(one, &axes, call.span)
}
