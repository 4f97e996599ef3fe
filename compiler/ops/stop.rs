//! The same numbers, where gradients stop.

use super::{Array, Op, Problem, Rules, cut, lift, shape};
use crate::cost::Cost;
use crate::types::Type;

/// What is true of `stop`.
pub const RULES: Rules = Rules {
    name: "stop",
    page: include_str!("../../specs/ops/stop.md"),
    infer,
    grad: super::no_gradient,
    cuts: cut::elementwise,
    cost,
    lift: lift::elementwise,
    eval,
};

fn infer(_op: &Op, args: &[&Type]) -> Result<Type, Problem> {
    let [x] = shape::operands(args)?;
    Ok(x.clone())
}

fn cost(_op: &Op, _args: &[&Type], _result: &Type) -> Cost {
    Cost::FREE
}

fn eval(_op: &Op, args: &[&Array], _result: &Type) -> Array {
    args[0].clone()
}
