//! Initialisers: how variables begin.

use super::Checker;
use super::intrinsics::{Call, float};
use super::value::{Initial, Value};

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

/// `glorot`, `uniform(0.1)`
pub(super) fn initialiser<'a>(_: &mut Checker<'a>, call: &Call<'a>) -> Value<'a> {
    let first = float(call, 0).unwrap_or(1.0);
    Value::Init(match call.intrinsic.name {
        "uniform" => Initial::Uniform(first),
        "normal" => Initial::Normal(first),
        "orthogonal" => Initial::Orthogonal(first),
        name => by_name(name).unwrap_or(Initial::Constant(0.0)),
    })
}
