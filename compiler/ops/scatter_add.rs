//! Slices added up where positions say: the gradient of `gather`.

use super::lift::Lift;
use super::{Array, Backward, Cut, Need, Op, Problem, Reduction, Rules, gather, shape};
use crate::cost::{self, Cost};
use crate::graph::ValueId;
use crate::types::{Size, Type};

/// What is true of `scatter_add`.
pub const RULES: Rules = Rules {
    name: "scatter_add",
    page: include_str!("../../specs/ops/scatter_add.md"),
    infer,
    grad,
    lift,
    cuts,
    cost,
    eval,
};

fn infer(op: &Op, args: &[&Type]) -> Result<Type, Problem> {
    let Op::ScatterAdd { axis, batch, axes } = op else { unreachable!("the table of rules pairs them") };
    let [positions, dy] = shape::operands(args)?;
    shape::number(args, 1)?;
    let x = Type::new(dy.dtype, axes.clone());
    if *axis >= axes.len() {
        return Err(Problem::Other(format!("{x} has no axis {axis}")));
    }
    gather::positions_fit(&[positions, dy, &x], (2, 0), *axis, *batch)?;
    let picked = [&axes[..*axis], &positions.axes[*batch..], &axes[axis + 1..]].concat();
    let sizes = |axes: &[crate::types::Axis]| axes.iter().map(|a| a.size.clone()).collect::<Vec<Size>>();
    if sizes(&picked) != sizes(&dy.axes) {
        let picked = Type::new(dy.dtype, picked);
        return Err(Problem::Other(format!("{dy} is not what {positions} pick from {x}, which is {picked}")));
    }
    Ok(x)
}

fn grad(b: &mut Backward) -> Vec<Option<ValueId>> {
    let Op::ScatterAdd { axis, batch, .. } = *b.graph.op(b.value) else {
        unreachable!("the table of rules pairs them")
    };
    let picked = b.add(Op::Gather { axis, batch }, &[b.dy, b.args[0]]);
    vec![None, Some(b.shaped_like(picked, b.args[1]))]
}

fn lift(lift: &mut Lift) -> ValueId {
    let Op::ScatterAdd { axis, batch, axes } = lift.op.clone() else {
        unreachable!("the table of rules pairs them")
    };
    let axes = lift.stack(&axes);
    let (positions, dy) = (lift.args[0], lift.args[1]);
    if !positions.1 && dy.1 && batch == 0 {
        return lift.add(Op::ScatterAdd { axis: axis + 1, batch, axes }, &[positions.0, dy.0]);
    }
    lift.of_stacked(Op::ScatterAdd { axis: axis + 1, batch: batch + 1, axes })
}

/// Not along the axis that positions count: a piece of it must know which positions are its own.
fn cuts(op: &Op, args: &[&Type], result: &Type) -> Vec<Cut> {
    let Op::ScatterAdd { axis, batch, .. } = op else { unreachable!("the table of rules pairs them") };
    let picks = args[0].rank() - batch;
    let piece = |axis: usize| Need::Piece { axis, unit: 1 };
    let mut cuts = Vec::new();
    for to in (0..result.rank()).filter(|to| to != axis) {
        let needs = if to < *batch {
            vec![piece(to), piece(to)]
        } else if to < *axis {
            vec![Need::Whole, piece(to)]
        } else {
            vec![Need::Whole, piece(to + picks - 1)]
        };
        cuts.push(Cut::along(to, result, needs));
    }
    for pick in 0..picks {
        let needs = vec![piece(batch + pick), piece(axis + pick)];
        cuts.push(Cut::partial(Reduction::Sum, &args[0].axes[batch + pick], needs));
    }
    cuts
}

fn cost(_op: &Op, args: &[&Type], result: &Type) -> Cost {
    Cost::streaming(cost::elements(args[1]), args, result)
}

/// What belongs to a position outside is left out; to a machine it is a mistake that ends the run.
fn eval(op: &Op, args: &[&Array], result: &Type) -> Array {
    let Op::ScatterAdd { axis, batch, .. } = op else { unreachable!("the table of rules pairs them") };
    let mut x = Array::filled(&result.dims(), 0.0);
    gather::each_pick(*axis, *batch, result.dims(), args[0], |to, from| x.add_at(to, args[1].at(from)));
    x
}
