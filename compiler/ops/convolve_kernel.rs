//! The gradient of a convolution by its kernel: for every tap, the products of what it saw and what came out.

use super::convolve::{self, Channels};
use super::{Array, Backward, Cut, Join, Need, Op, Problem, Reduction, Rules, Window, lift, shape};
use crate::cost::Cost;
use crate::graph::ValueId;
use crate::types::Type;

/// What is true of `convolve_kernel`.
pub const RULES: Rules = Rules {
    name: "convolve_kernel",
    page: include_str!("../../specs/ops/convolve_kernel.md"),
    infer,
    grad,
    cuts,
    cost,
    lift: lift::turn_by_turn,
    eval,
};

fn infer(op: &Op, args: &[&Type]) -> Result<Type, Problem> {
    let Op::ConvolveKernel(convolution, axes) = op else { unreachable!("the table of rules pairs them") };
    let [x, dy] = shape::operands(args)?;
    let w = Type::new(x.dtype, axes.clone());
    convolve::check(convolution, x, &w, dy)?;
    Ok(w)
}

fn grad(b: &mut Backward) -> Vec<Option<ValueId>> {
    let Op::ConvolveKernel(convolution, _) = b.graph.op(b.value).clone() else {
        unreachable!("the table of rules pairs them")
    };
    let (x, dy, dz) = (b.args[0], b.args[1], b.dy);
    let x_axes = b.ty(x).axes;
    let by_x = b.add(Op::ConvolveInput(convolution.clone(), x_axes), &[dy, dz]);
    let by_dy = b.add(Op::Convolve(convolution), &[x, dz]);
    let by_dy = b.shaped_like(by_dy, dy);
    vec![Some(by_x), Some(by_dy)]
}

/// Along a spatial axis of the kernel the parts swap: the output's positions are the taps of a window that the
/// kernel's taps move over the input.
fn cuts(op: &Op, args: &[&Type], result: &Type) -> Vec<Cut> {
    let Op::ConvolveKernel(convolution, _) = op else { unreachable!("the table of rules pairs them") };
    let Channels { groups, inputs, outputs } = Channels::of(convolution, args[0], args[1]);
    let piece = |axis: usize, unit: u64| Need::Piece { axis, unit };
    let last = result.rank() - 1;
    let mut cuts = Vec::new();
    if groups == 1 {
        cuts.push(Cut::along(last - 1, result, vec![piece(last, 1), Need::Whole]));
        cuts.push(Cut::along(last, result, vec![Need::Whole, piece(last, 1)]));
    } else {
        let join = Join::Along { axis: last, unit: outputs };
        cuts.push(Cut { extent: groups, join, needs: vec![piece(last, inputs), piece(last, outputs)] });
    }
    cuts.push(Cut::partial(Reduction::Sum, &args[0].axes[0], vec![piece(0, 1), piece(0, 1)]));
    for (i, window) in convolve::windows(convolution, result).into_iter().enumerate() {
        let axis = i + 1;
        let needs = vec![Need::Window { axis, window }, piece(axis, 1)];
        cuts.push(Cut::partial(Reduction::Sum, &args[1].axes[axis], needs));
        let (stride, dilation) = (window.dilation, window.stride);
        let swapped = Window { taps: args[1].dims()[axis] as u64, stride, dilation, ..window };
        cuts.push(Cut::along(i, result, vec![Need::Window { axis, window: swapped }, Need::Whole]));
    }
    cuts
}

fn cost(_op: &Op, args: &[&Type], result: &Type) -> Cost {
    Cost::streaming(convolve::operations(result, args[1]), args, result)
}

fn eval(op: &Op, args: &[&Array], result: &Type) -> Array {
    let Op::ConvolveKernel(convolution, _) = op else { unreachable!("the table of rules pairs them") };
    let mut dw = Array::filled(&result.dims(), 0.0);
    let shapes = [&args[0].shape, &result.dims(), &args[1].shape];
    convolve::each_product(convolution, shapes, |x, w, y| dw.add_at(w, args[0].at(x) * args[1].at(y)));
    dw
}
