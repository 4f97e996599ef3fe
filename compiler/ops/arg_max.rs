//! The index of the first largest element along one axis.

use super::{Array, Cut, Need, Op, Problem, Rules, lift, shape};
use crate::cost::{self, Cost};
use crate::types::{DType, Type};

/// What is true of `arg_max`.
pub const RULES: Rules = Rules {
    name: "arg_max",
    page: include_str!("../../specs/ops/arg_max.md"),
    infer,
    grad: super::no_gradient,
    cuts,
    cost,
    lift: lift::one_axis_on,
    eval,
};

fn infer(op: &Op, args: &[&Type]) -> Result<Type, Problem> {
    let Op::ArgMax { axis } = op else { unreachable!("the table of rules pairs them") };
    let [x] = shape::operands(args)?;
    shape::number(args, 0)?;
    shape::has_axis(args, 0, *axis)?;
    let mut axes = x.axes.clone();
    axes.remove(*axis);
    Ok(Type::new(DType::I32, axes))
}

fn cuts(op: &Op, args: &[&Type], result: &Type) -> Vec<Cut> {
    let Op::ArgMax { axis: searched } = op else { unreachable!("the table of rules pairs them") };
    let kept = (0..args[0].rank()).filter(|axis| axis != searched);
    kept.enumerate().map(|(to, axis)| Cut::along(to, result, vec![Need::Piece { axis, unit: 1 }])).collect()
}

fn cost(_op: &Op, args: &[&Type], result: &Type) -> Cost {
    Cost::streaming(cost::elements(args[0]), args, result)
}

/// A NaN counts as larger than any number; of nothing the index is 0.
fn eval(op: &Op, args: &[&Array], result: &Type) -> Array {
    let Op::ArgMax { axis } = op else { unreachable!("the table of rules pairs them") };
    Array::from_fn(&result.dims(), |index| {
        let mut from = index.to_vec();
        from.insert(*axis, 0);
        let mut best: Option<(usize, f64)> = None;
        for i in 0..args[0].shape[*axis] {
            from[*axis] = i;
            let x = args[0].at(&from);
            if best.is_none_or(|(_, largest)| larger(x, largest)) {
                best = Some((i, x));
            }
        }
        best.map_or(0.0, |(i, _)| i as f64)
    })
}

/// Whether `x` comes before `other` when the largest is sought: a NaN before all numbers.
pub fn larger(x: f64, other: f64) -> bool {
    x > other || (x.is_nan() && !other.is_nan())
}
