//! The gradient of pooling by its input.

use super::lift::Lift;
use super::{
    Array, Backward, Cut, Join, Need, Op, Problem, Reduction, Rules, arg_max, array::each_index, pool, shape,
};
use crate::cost::{self, Cost};
use crate::graph::ValueId;
use crate::types::Type;

/// What is true of `pool_input`.
pub const RULES: Rules = Rules {
    name: "pool_input",
    page: include_str!("../../specs/ops/pool_input.md"),
    infer,
    grad,
    cuts,
    cost,
    lift,
    eval,
};

fn infer(op: &Op, args: &[&Type]) -> Result<Type, Problem> {
    let Op::PoolInput(pooling) = op else { unreachable!("the table of rules pairs them") };
    let [x, dy] = shape::operands(args)?;
    let y = pool::result(pooling, x)?;
    let sizes = |ty: &Type| ty.axes.iter().map(|a| a.size.clone()).collect::<Vec<_>>();
    if y.dtype != dy.dtype || sizes(&y) != sizes(dy) {
        return Err(Problem::Other(format!("{dy} is not what pooling {x} gives, which is {y}")));
    }
    Ok(x.clone())
}

/// Of sums. The gradient of a maximum's gradient cannot be expressed, and nothing asks for it: a loss is made of
/// what a model is made of, and no model holds the gradient of a pooling.
fn grad(b: &mut Backward) -> Vec<Option<ValueId>> {
    let Op::PoolInput(pooling) = b.graph.op(b.value).clone() else {
        unreachable!("the table of rules pairs them")
    };
    if pooling.op != Reduction::Sum {
        return vec![None, None];
    }
    let pooled = b.add(Op::Pool(pooling), &[b.dy]);
    vec![None, Some(b.shaped_like(pooled, b.args[1]))]
}

/// Along spatial axes where windows do not overlap: a unit is what lies from the start of one to the next.
fn cuts(op: &Op, args: &[&Type], result: &Type) -> Vec<Cut> {
    let Op::PoolInput(pooling) = op else { unreachable!("the table of rules pairs them") };
    let piece = |axis: usize, unit: u64| Need::Piece { axis, unit };
    let last = result.rank() - 1;
    let mut cuts: Vec<Cut> =
        [0, last].map(|axis| Cut::along(axis, result, vec![piece(axis, 1), piece(axis, 1)])).into();
    for (i, window) in pool::windows(pooling).into_iter().enumerate() {
        let (axis, unit) = (i + 1, window.stride);
        if window.low == 0 && window.taps <= unit {
            let extent = (args[0].dims()[axis] as u64).div_ceil(unit);
            cuts.push(Cut {
                extent,
                join: Join::Along { axis, unit },
                needs: vec![piece(axis, unit), piece(axis, 1)],
            });
        }
    }
    cuts
}

/// Turns and examples are one axis.
fn lift(lift: &mut Lift) -> ValueId {
    let (x, dy) = (lift.merged(0), lift.merged(1));
    let value = lift.add(lift.op.clone(), &[x, dy]);
    lift.parted(value)
}

fn cost(op: &Op, args: &[&Type], result: &Type) -> Cost {
    let Op::PoolInput(pooling) = op else { unreachable!("the table of rules pairs them") };
    Cost::streaming(pooling.window.iter().product::<u64>() * cost::elements(args[1]), args, result)
}

fn eval(op: &Op, args: &[&Array], result: &Type) -> Array {
    let Op::PoolInput(pooling) = op else { unreachable!("the table of rules pairs them") };
    let (x, dy) = (args[0], args[1]);
    let mut dx = Array::filled(&result.dims(), 0.0);
    each_index(&dy.shape, |index| {
        let mut best: Option<(Vec<usize>, f64)> = None;
        pool::each_seen(pooling, index, &x.shape, |at| match pooling.op {
            Reduction::Sum => dx.add_at(at, dy.at(index)),
            Reduction::Max | Reduction::Min => {
                let value = x.at(at);
                if best.as_ref().is_none_or(|(_, largest)| arg_max::larger(value, *largest)) {
                    best = Some((at.to_vec(), value));
                }
            }
        });
        if let Some((at, _)) = best {
            dx.add_at(&at, dy.at(index));
        }
    });
    dx
}
