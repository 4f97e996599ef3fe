//! Values without operands: inputs, variables, the step and the seed, constants, indices.

use super::{Array, Cut, Op, Problem, Rules, lift, shape};
use crate::cost::Cost;
use crate::types::{DType, Type};

/// What is true of every leaf.
pub const RULES: Rules = Rules {
    name: "leaf",
    page: include_str!("../../specs/ops/leaf.md"),
    infer,
    grad: super::no_gradient,
    cuts,
    cost,
    lift: lift::fixed,
    eval,
};

fn infer(op: &Op, args: &[&Type]) -> Result<Type, Problem> {
    let [] = shape::operands(args)?;
    #[expect(clippy::wildcard_enum_match_arm, reason = "only leaves have these rules")]
    match op {
        Op::Step | Op::Seed => Ok(Type::scalar(DType::I64)),
        Op::Training => Ok(Type::scalar(DType::Bool)),
        Op::Constant(_, dtype) => Ok(Type::scalar(*dtype)),
        Op::Receive { axes, dtype, .. } => Ok(Type::new(*dtype, axes.clone())),
        Op::Index { axes, axis } if *axis < axes.len() => Ok(Type::new(DType::I32, axes.clone())),
        Op::Index { axes, axis } => {
            Err(Problem::Other(format!("axis {axis} is not one of the {} axes", axes.len())))
        }
        _ => Err(Problem::Other("its type stands in a table of the model".into())),
    }
}

fn cuts(_op: &Op, _args: &[&Type], result: &Type) -> Vec<Cut> {
    (0..result.rank()).map(|axis| Cut::along(axis, result, Vec::new())).collect()
}

/// Inputs and variables lie in memory; indices are computed where they are used.
fn cost(_op: &Op, _args: &[&Type], _result: &Type) -> Cost {
    Cost::FREE
}

fn eval(op: &Op, _args: &[&Array], result: &Type) -> Array {
    #[expect(clippy::wildcard_enum_match_arm, reason = "only leaves have these rules")]
    match op {
        Op::Constant(value, _) => Array::number(value.get()),
        Op::Index { axis, .. } => Array::from_fn(&result.dims(), |index| index[*axis] as f64),
        _ => unreachable!("the evaluator is given what the tables hold"),
    }
}
