//! The gradient of a convolution by its input: each output's gradient spread over the inputs it saw.

use super::convolve::{self, Channels};
use super::lift::{self, Lift};
use super::{Array, Backward, Cut, Join, Need, Op, Problem, Reduction, Rules, shape};
use crate::cost::Cost;
use crate::graph::ValueId;
use crate::types::Type;

/// What is true of `convolve_input`.
pub const RULES: Rules = Rules {
    name: "convolve_input",
    page: include_str!("../../specs/ops/convolve_input.md"),
    infer,
    grad,
    cuts,
    cost,
    lift,
    eval,
};

fn infer(op: &Op, args: &[&Type]) -> Result<Type, Problem> {
    let Op::ConvolveInput(convolution, axes) = op else { unreachable!("the table of rules pairs them") };
    let [dy, w] = shape::operands(args)?;
    let x = Type::new(dy.dtype, axes.clone());
    convolve::check(convolution, &x, w, dy)?;
    Ok(x)
}

fn grad(b: &mut Backward) -> Vec<Option<ValueId>> {
    let Op::ConvolveInput(convolution, _) = b.graph.op(b.value).clone() else {
        unreachable!("the table of rules pairs them")
    };
    let (dy, w, dz) = (b.args[0], b.args[1], b.dy);
    let w_axes = b.ty(w).axes;
    let by_dy = b.add(Op::Convolve(convolution.clone()), &[dz, w]);
    let by_dy = b.shaped_like(by_dy, dy);
    let by_w = b.add(Op::ConvolveKernel(convolution, w_axes), &[dz, dy]);
    vec![Some(by_dy), Some(by_w)]
}

fn cuts(op: &Op, args: &[&Type], result: &Type) -> Vec<Cut> {
    let Op::ConvolveInput(convolution, _) = op else { unreachable!("the table of rules pairs them") };
    let Channels { groups, inputs, outputs } = Channels::of(convolution, result, args[0]);
    let piece = |axis: usize, unit: u64| Need::Piece { axis, unit };
    let mut cuts = vec![Cut::along(0, result, vec![piece(0, 1), Need::Whole])];
    for (i, window) in convolve::windows(convolution, args[1]).into_iter().enumerate() {
        cuts.push(Cut::along(i + 1, result, vec![Need::Seeing { axis: i + 1, window }, Need::Whole]));
    }
    let last = result.rank() - 1;
    if groups == 1 {
        cuts.push(Cut::along(last, result, vec![Need::Whole, piece(last - 1, 1)]));
        cuts.push(Cut::partial(Reduction::Sum, &args[0].axes[last], vec![piece(last, 1), piece(last, 1)]));
    } else {
        let join = Join::Along { axis: last, unit: inputs };
        cuts.push(Cut { extent: groups, join, needs: vec![piece(last, outputs), piece(last, outputs)] });
    }
    cuts
}

/// Turns and examples are one axis, where the kernel is the same in every turn.
fn lift(lift: &mut Lift) -> ValueId {
    let Op::ConvolveInput(convolution, axes) = lift.op.clone() else {
        unreachable!("the table of rules pairs them")
    };
    if lift.args[1].1 {
        return lift::turn_by_turn(lift);
    }
    let axes = lift.merged_axes(&axes);
    let (dy, w) = (lift.merged(0), lift.args[1].0);
    let value = lift.add(Op::ConvolveInput(convolution, axes), &[dy, w]);
    lift.parted(value)
}

fn cost(_op: &Op, args: &[&Type], result: &Type) -> Cost {
    Cost::streaming(convolve::operations(args[1], args[0]), args, result)
}

fn eval(op: &Op, args: &[&Array], result: &Type) -> Array {
    let Op::ConvolveInput(convolution, _) = op else { unreachable!("the table of rules pairs them") };
    let mut dx = Array::filled(&result.dims(), 0.0);
    let shapes = [&result.dims(), &args[1].shape, &args[0].shape];
    convolve::each_product(convolution, shapes, |x, w, y| dx.add_at(x, args[0].at(y) * args[1].at(w)));
    dx
}
