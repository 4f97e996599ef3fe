//! One of two values, element by element.

use super::{Array, Backward, Op, Problem, Rules, cut, lift, shape};
use crate::cost::{self, Cost};
use crate::graph::ValueId;
use crate::types::Type;

/// What is true of `select`.
pub const RULES: Rules = Rules {
    name: "select",
    page: include_str!("../../specs/ops/select.md"),
    infer,
    grad,
    cuts: cut::elementwise,
    cost,
    lift: lift::elementwise,
    eval,
};

fn infer(_op: &Op, args: &[&Type]) -> Result<Type, Problem> {
    let [_, a, _] = shape::operands(args)?;
    shape::truth(args, 0)?;
    shape::like(args, 2, 1)?;
    shape::merge_all(args, 1, 0)?;
    shape::merge_all(args, 2, 0)?;
    let both = Type::new(a.dtype, shape::merge_all(args, 1, 2)?);
    // The condition's names and ragged axes count too.
    let axes = shape::merge_all(&[&both, args[0]], 0, 1)?;
    Ok(Type::new(a.dtype, axes))
}

fn grad(b: &mut Backward) -> Vec<Option<ValueId>> {
    let (condition, dy) = (b.args[0], b.dy);
    let zero = b.number(0.0, dy);
    vec![None, Some(b.select(condition, dy, zero)), Some(b.select(condition, zero, dy))]
}

fn cost(_op: &Op, args: &[&Type], result: &Type) -> Cost {
    Cost::streaming(cost::elements(result), args, result)
}

fn eval(_op: &Op, args: &[&Array], _result: &Type) -> Array {
    let [condition, a, b] = [0, 1, 2].map(|i| &args[i].data);
    let pick = |i: usize| if condition[i] != 0.0 { a[i] } else { b[i] };
    Array::new(&args[0].shape, (0..a.len()).map(pick).collect())
}
