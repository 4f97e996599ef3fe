//! The sum or the largest of each window of the spatial axes.

use super::lift::Lift;
use super::{
    Array, Backward, Cut, Need, Op, Pooling, Problem, Reduction, Rules, Window, array::each_index, binary,
    reduce, shape,
};
use crate::cost::{self, Cost};
use crate::graph::ValueId;
use crate::types::Type;

/// What is true of `pool`.
pub const RULES: Rules = Rules {
    name: "pool",
    page: include_str!("../../specs/ops/pool.md"),
    infer,
    grad,
    cuts,
    cost,
    lift,
    eval,
};

fn infer(op: &Op, args: &[&Type]) -> Result<Type, Problem> {
    let Op::Pool(pooling) = op else { unreachable!("the table of rules pairs them") };
    let [x] = shape::operands(args)?;
    result(pooling, x)
}

/// The type of `pool(x[n, spatial…, c])`.
pub(super) fn result(pooling: &Pooling, x: &Type) -> Result<Type, Problem> {
    shape::float(&[x], 0)?;
    shape::rank(&[x], 0, pooling.window.len() + 2)?;
    if pooling.op == Reduction::Min {
        return Err(Problem::Other("pooling takes sums or maxima".into()));
    }
    let mut axes = x.axes.clone();
    for (axis, window) in axes[1..].iter_mut().zip(pooling.windows()?) {
        *axis = window.over(axis);
    }
    Ok(Type::new(x.dtype, axes))
}

fn grad(b: &mut Backward) -> Vec<Option<ValueId>> {
    let Op::Pool(pooling) = b.graph.op(b.value).clone() else {
        unreachable!("the table of rules pairs them")
    };
    vec![Some(b.add(Op::PoolInput(pooling), &[b.args[0], b.dy]))]
}

fn cuts(op: &Op, _args: &[&Type], result: &Type) -> Vec<Cut> {
    let Op::Pool(pooling) = op else { unreachable!("the table of rules pairs them") };
    let windows = windows(pooling);
    let need = |axis: usize| match axis.checked_sub(1).and_then(|i| windows.get(i)) {
        Some(window) => Need::Window { axis, window: *window },
        None => Need::Piece { axis, unit: 1 },
    };
    (0..result.rank()).map(|axis| Cut::along(axis, result, vec![need(axis)])).collect()
}

/// The windows of a pooling that the shape rule has passed.
pub(super) fn windows(pooling: &Pooling) -> Vec<Window> {
    pooling.windows().expect("the shape rule has asked for the windows")
}

/// Turns and examples are one axis.
fn lift(lift: &mut Lift) -> ValueId {
    let x = lift.merged(0);
    let value = lift.add(lift.op.clone(), &[x]);
    lift.parted(value)
}

fn cost(op: &Op, args: &[&Type], result: &Type) -> Cost {
    let Op::Pool(pooling) = op else { unreachable!("the table of rules pairs them") };
    Cost::streaming(pooling.window.iter().product::<u64>() * cost::elements(result), args, result)
}

fn eval(op: &Op, args: &[&Array], result: &Type) -> Array {
    let Op::Pool(pooling) = op else { unreachable!("the table of rules pairs them") };
    Array::from_fn(&result.dims(), |index| {
        let mut y = reduce::neutral(pooling.op, result.dtype);
        each_seen(pooling, index, &args[0].shape, |x| {
            y = binary::apply(reduce::combine(pooling.op), y, args[0].at(x));
        });
        y
    })
}

/// Calls `visit` with the indices in an input of shape `x` that the window of output `index` sees, in order.
pub(super) fn each_seen(pooling: &Pooling, index: &[usize], x: &[usize], mut visit: impl FnMut(&[usize])) {
    let windows = windows(pooling);
    let taps: Vec<usize> = pooling.window.iter().map(|n| *n as usize).collect();
    let mut at = index.to_vec();
    each_index(&taps, |tap| {
        for (i, window) in windows.iter().enumerate() {
            match window.input(index[i + 1], tap[i], x[i + 1]) {
                Some(input) => at[i + 1] = input,
                None => return,
            }
        }
        visit(&at);
    });
}
