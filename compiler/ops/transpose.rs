//! The axes in another order.

use super::{Array, Backward, Cut, Need, Op, Problem, Rules, lift, shape};
use crate::cost::Cost;
use crate::graph::ValueId;
use crate::types::Type;

/// What is true of `transpose`.
pub const RULES: Rules = Rules {
    name: "transpose",
    page: include_str!("../../specs/ops/transpose.md"),
    infer,
    grad,
    cuts,
    cost,
    lift: lift::one_axis_on,
    eval,
};

fn infer(op: &Op, args: &[&Type]) -> Result<Type, Problem> {
    let Op::Transpose { order } = op else { unreachable!("the table of rules pairs them") };
    let [x] = shape::operands(args)?;
    shape::rank(args, 0, order.len())?;
    let mut sorted = order.clone();
    sorted.sort_unstable();
    if sorted.into_iter().ne(0..order.len()) {
        return Err(Problem::Other(format!("{order:?} is not an order of {} axes", order.len())));
    }
    Ok(Type::new(x.dtype, order.iter().map(|i| x.axes[*i].clone()).collect()))
}

fn grad(b: &mut Backward) -> Vec<Option<ValueId>> {
    let Op::Transpose { order } = b.graph.op(b.value).clone() else {
        unreachable!("the table of rules pairs them")
    };
    vec![Some(b.transpose(b.dy, inverse(&order)))]
}

/// The order that undoes an order.
pub fn inverse(order: &[usize]) -> Vec<usize> {
    let mut inverse = vec![0; order.len()];
    for (to, from) in order.iter().enumerate() {
        inverse[*from] = to;
    }
    inverse
}

fn cuts(op: &Op, _args: &[&Type], result: &Type) -> Vec<Cut> {
    let Op::Transpose { order } = op else { unreachable!("the table of rules pairs them") };
    let cut =
        |(axis, from): (usize, &usize)| Cut::along(axis, result, vec![Need::Piece { axis: *from, unit: 1 }]);
    order.iter().enumerate().map(cut).collect()
}

fn cost(_op: &Op, args: &[&Type], result: &Type) -> Cost {
    Cost::streaming(0, args, result)
}

fn eval(op: &Op, args: &[&Array], result: &Type) -> Array {
    let Op::Transpose { order } = op else { unreachable!("the table of rules pairs them") };
    let from = inverse(order);
    Array::from_fn(&result.dims(), |index| {
        let at: Vec<usize> = from.iter().map(|to| index[*to]).collect();
        args[0].at(&at)
    })
}
