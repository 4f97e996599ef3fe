//! Slices of a tensor, picked along one axis by position: rows of a table, points of each example.

use super::lift::Lift;
use super::{Array, Backward, Cut, Need, Op, Problem, Rules, array::each_index, shape};
use crate::cost::Cost;
use crate::graph::ValueId;
use crate::types::{Axis, DType, Type};

/// What is true of `gather`.
pub const RULES: Rules = Rules {
    name: "gather",
    page: include_str!("../../specs/ops/gather.md"),
    infer,
    grad,
    lift,
    cuts,
    cost,
    eval,
};

fn infer(op: &Op, args: &[&Type]) -> Result<Type, Problem> {
    let Op::Gather { axis, batch } = op else { unreachable!("the table of rules pairs them") };
    let [x, positions] = shape::operands(args)?;
    shape::has_axis(args, 0, *axis)?;
    positions_fit(args, (0, 1), *axis, *batch)?;
    let mut axes = Vec::new();
    for i in 0..*batch {
        axes.push(shape::merge(args, (0, i), (1, i))?);
    }
    axes.extend_from_slice(&x.axes[*batch..*axis]);
    axes.extend_from_slice(&positions.axes[*batch..]);
    axes.extend_from_slice(&x.axes[axis + 1..]);
    Ok(Type::new(x.dtype, axes))
}

/// That operand `by` holds positions along axis `axis` of operand `of`, both with `batch` leading axes in common.
pub(super) fn positions_fit(
    args: &[&Type],
    (of, by): (usize, usize),
    axis: usize,
    batch: usize,
) -> Result<(), Problem> {
    let dtype = args[by].dtype;
    if dtype.is_float() || dtype == DType::Bool {
        return Err(Problem::Dtype { arg: by, expected: "whole numbers".into() });
    }
    if batch > axis {
        return Err(Problem::Other(format!("{batch} axes are shared, and axis {axis} is one of them")));
    }
    if args[by].rank() < batch {
        return Err(Problem::Rank { arg: by, expected: batch });
    }
    for i in 0..batch {
        shape::same_size(args, (of, i), (by, i))?;
    }
    let elements = |axes: &[Axis]| axes.iter().map(|a| a.size.known().unwrap_or(1).max(1)).product::<u64>();
    let (rows, picks) = (elements(&args[of].axes[axis..=axis]), elements(&args[by].axes[batch..]));
    if rows > MOST || picks > MOST {
        return Err(Problem::Other(format!("{} has more than 2^32 rows, or {}", args[of], args[by])));
    }
    Ok(())
}

/// Rows and positions are counted in 32 bits where they are put in order.
const MOST: u64 = 1 << 32;

fn grad(b: &mut Backward) -> Vec<Option<ValueId>> {
    let Op::Gather { axis, batch } = *b.graph.op(b.value) else {
        unreachable!("the table of rules pairs them")
    };
    let axes = b.ty(b.args[0]).axes;
    let dx = b.add(Op::ScatterAdd { axis, batch, axes }, &[b.args[1], b.dy]);
    vec![Some(dx), None]
}

/// Where `x` is the same in every turn, turns are among the positions, and nothing is repeated.
fn lift(lift: &mut Lift) -> ValueId {
    let Op::Gather { axis, batch } = *lift.op else { unreachable!("the table of rules pairs them") };
    let ((x, x_varies), (positions, positions_vary)) = (lift.args[0], lift.args[1]);
    if x_varies && (positions_vary || batch > 0) {
        return lift.of_stacked(Op::Gather { axis: axis + 1, batch: batch + 1 });
    }
    if x_varies {
        return lift.add(Op::Gather { axis: axis + 1, batch }, &[x, positions]);
    }
    let positions = if positions_vary { positions } else { lift.stacked(1) };
    let rank = lift.graph.ty(positions).rank();
    let inward = (1..=batch).chain([0]).chain(batch + 1..rank).collect();
    let positions =
        if batch == 0 { positions } else { lift.add(Op::Transpose { order: inward }, &[positions]) };
    let value = lift.add(Op::Gather { axis, batch }, &[x, positions]);
    let rank = lift.graph.ty(value).rank();
    let outward = [axis].into_iter().chain((0..rank).filter(|i| *i != axis)).collect();
    if axis == 0 { value } else { lift.add(Op::Transpose { order: outward }, &[value]) }
}

/// Not along the axis that is picked from: a piece of it must know which positions are its own.
fn cuts(op: &Op, args: &[&Type], result: &Type) -> Vec<Cut> {
    let Op::Gather { axis, batch } = op else { unreachable!("the table of rules pairs them") };
    let picks = args[1].rank() - batch;
    let piece = |axis: usize| Need::Piece { axis, unit: 1 };
    let needs = |to: usize| {
        if to < *batch {
            vec![piece(to), piece(to)]
        } else if to < *axis {
            vec![piece(to), Need::Whole]
        } else if to < axis + picks {
            vec![Need::Whole, piece(batch + to - axis)]
        } else {
            vec![piece(to + 1 - picks), Need::Whole]
        }
    };
    (0..result.rank()).map(|to| Cut::along(to, result, needs(to))).collect()
}

/// Reads what it picks, and no more.
fn cost(_op: &Op, args: &[&Type], result: &Type) -> Cost {
    Cost::streaming(0, &[result, args[1]], result)
}

/// A position outside gives zeros; to a machine it is a mistake that ends the run.
fn eval(op: &Op, args: &[&Array], result: &Type) -> Array {
    let Op::Gather { axis, batch } = op else { unreachable!("the table of rules pairs them") };
    let mut y = Array::filled(&result.dims(), 0.0);
    each_pick(*axis, *batch, args[0].shape.clone(), args[1], |from, to| {
        let at = y.offset(to);
        y.data[at] = args[0].at(from);
    });
    y
}

/// Calls `visit` with the index in a tensor of shape `x` and that in what is picked from it, for every element whose
/// position lies inside; the positions in row-major order within each element of the rest.
pub(super) fn each_pick(
    axis: usize,
    batch: usize,
    x: Vec<usize>,
    positions: &Array,
    mut visit: impl FnMut(&[usize], &[usize]),
) {
    let rows = x[axis];
    each_index(&positions.shape, |at| {
        let row = positions.at(at);
        if row < 0.0 || row >= rows as f64 {
            return;
        }
        let (shared, pick) = at.split_at(batch);
        let (before, after) = (&x[batch..axis], &x[axis + 1..]);
        each_index(before, |before| {
            each_index(after, |after| {
                let from = [shared, before, &[row as usize], after].concat();
                visit(&from, &[shared, before, pick, after].concat());
            });
        });
    });
}
