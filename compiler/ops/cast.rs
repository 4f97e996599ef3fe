//! The same numbers as another dtype.

use super::{Array, Backward, Op, Problem, Rules, array::limits, cut, lift, shape};
use crate::cost::{self, Cost};
use crate::graph::ValueId;
use crate::types::{DType, Type};

/// What is true of `cast`.
pub const RULES: Rules = Rules {
    name: "cast",
    page: include_str!("../../specs/ops/cast.md"),
    infer,
    grad,
    cuts: cut::elementwise,
    cost,
    lift: lift::elementwise,
    eval,
};

fn infer(op: &Op, args: &[&Type]) -> Result<Type, Problem> {
    let Op::Cast(dtype) = op else { unreachable!("the table of rules pairs them") };
    let [x] = shape::operands(args)?;
    Ok(x.with_dtype(*dtype))
}

fn grad(b: &mut Backward) -> Vec<Option<ValueId>> {
    let from = b.ty(b.args[0]).dtype;
    let slope = from.is_float() && b.ty(b.value).dtype.is_float();
    vec![slope.then(|| b.add(Op::Cast(from), &[b.dy]))]
}

fn cost(_op: &Op, args: &[&Type], result: &Type) -> Cost {
    Cost::streaming(cost::elements(result), args, result)
}

fn eval(op: &Op, args: &[&Array], _result: &Type) -> Array {
    let Op::Cast(dtype) = op else { unreachable!("the table of rules pairs them") };
    args[0].map(|x| apply(*dtype, x))
}

/// A number as another dtype: from floats to integers toward zero, into the dtype's limits, NaN as 0; between
/// integers by wrapping around; to bool by `!= 0`. Floats are not rounded.
///
/// Integers beyond the limits of `dtype` that come from floats and from integers cannot be told apart here;
/// both are kept within the limits. (Compiled code wraps integers.)
pub fn apply(dtype: DType, x: f64) -> f64 {
    if dtype.is_float() {
        return x;
    }
    if dtype == DType::Bool {
        return f64::from(u8::from(x != 0.0));
    }
    let (low, high) = limits(dtype);
    if x.is_nan() { 0.0 } else { x.trunc().clamp(low, high) }
}
