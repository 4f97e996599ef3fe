//! A kernel moved over the spatial axes of its input.

use super::lift::{self, Lift};
use super::{
    Array, Backward, Convolution, Cut, Join, Need, Op, Problem, Reduction, Rules, Window, array::each_index,
    shape,
};
use crate::cost::{self, Cost};
use crate::graph::ValueId;
use crate::types::{Axis, Size, Type};

/// What is true of `convolve`.
pub const RULES: Rules = Rules {
    name: "convolve",
    page: include_str!("../../specs/ops/convolve.md"),
    infer,
    grad,
    cuts,
    cost,
    lift,
    eval,
};

fn infer(op: &Op, args: &[&Type]) -> Result<Type, Problem> {
    let Op::Convolve(convolution) = op else { unreachable!("the table of rules pairs them") };
    result(convolution, args)
}

/// The type of `convolve(x[n, spatial…, ci], w[spatial…, ci / groups, co])`.
pub(super) fn result(convolution: &Convolution, args: &[&Type]) -> Result<Type, Problem> {
    let [x, w] = shape::operands(args)?;
    shape::float(args, 0)?;
    shape::like(args, 1, 0)?;
    let rank = convolution.stride.len() + 2;
    shape::rank(args, 0, rank)?;
    shape::rank(args, 1, rank)?;
    let (ci, co) = (rank - 2, rank - 1);
    let groups = Size::Known(convolution.groups);
    if w.axes[ci].size.mul(&groups) != x.axes[co].size {
        return Err(match convolution.groups {
            1 => Problem::Sizes { left: (0, co), right: (1, ci) },
            n => Problem::Other(format!("{n} groups of {w} do not take the last axis of {x}")),
        });
    }
    if convolution.groups == 0 || w.axes[co].size.div(&groups).mul(&groups) != w.axes[co].size {
        return Err(Problem::Other(format!(
            "{w} gives channels that do not fall into {} groups",
            convolution.groups
        )));
    }
    let windows = convolution.windows(&w.axes[..ci])?;
    let mut axes = vec![x.axes[0].clone()];
    axes.extend(windows.iter().zip(&x.axes[1..]).map(|(window, axis)| window.over(axis)));
    axes.push(w.axes[co].clone());
    Ok(Type::new(x.dtype, axes))
}

/// That `dy` is what `convolve(x, w)` gives, up to names.
pub(super) fn check(convolution: &Convolution, x: &Type, w: &Type, dy: &Type) -> Result<(), Problem> {
    let y = result(convolution, &[x, w])?;
    let sizes = |ty: &Type| ty.axes.iter().map(|a| a.size.clone()).collect::<Vec<_>>();
    if y.dtype == dy.dtype && sizes(&y) == sizes(dy) {
        return Ok(());
    }
    Err(Problem::Other(format!("{dy} is not what {x} and {w} give, which is {y}")))
}

fn grad(b: &mut Backward) -> Vec<Option<ValueId>> {
    let Op::Convolve(convolution) = b.graph.op(b.value).clone() else {
        unreachable!("the table of rules pairs them")
    };
    let (x, w, dy) = (b.args[0], b.args[1], b.dy);
    let (x_axes, w_axes) = (b.ty(x).axes, b.ty(w).axes);
    let dx = b.add(Op::ConvolveInput(convolution.clone(), x_axes), &[dy, w]);
    let dw = b.add(Op::ConvolveKernel(convolution, w_axes), &[x, dy]);
    vec![Some(dx), Some(dw)]
}

fn cuts(op: &Op, args: &[&Type], result: &Type) -> Vec<Cut> {
    let Op::Convolve(convolution) = op else { unreachable!("the table of rules pairs them") };
    let channels = Channels::of(convolution, args[0], result);
    let piece = |axis: usize, unit: u64| Need::Piece { axis, unit };
    let mut cuts = vec![Cut::along(0, result, vec![piece(0, 1), Need::Whole])];
    for (i, window) in windows(convolution, args[1]).into_iter().enumerate() {
        cuts.push(Cut::along(i + 1, result, vec![Need::Window { axis: i + 1, window }, Need::Whole]));
    }
    let last = result.rank() - 1;
    let Channels { groups, inputs, outputs } = channels;
    if groups == 1 {
        cuts.push(Cut::along(last, result, vec![Need::Whole, piece(last, 1)]));
        cuts.push(Cut::partial(
            Reduction::Sum,
            &args[0].axes[last],
            vec![piece(last, 1), piece(last - 1, 1)],
        ));
    } else {
        let join = Join::Along { axis: last, unit: outputs };
        cuts.push(Cut { extent: groups, join, needs: vec![piece(last, inputs), piece(last, outputs)] });
    }
    cuts
}

/// The channels of one group.
pub(super) struct Channels {
    /// Number of groups.
    pub groups: u64,
    /// Channels that go into one.
    pub inputs: u64,
    /// Channels that come out of one.
    pub outputs: u64,
}

impl Channels {
    pub(super) fn of(convolution: &Convolution, x: &Type, y: &Type) -> Channels {
        let groups = convolution.groups;
        let of = |ty: &Type| ty.dims()[ty.rank() - 1] as u64 / groups;
        Channels { groups, inputs: of(x), outputs: of(y) }
    }
}

/// The windows of a convolution by a kernel of this type.
pub(super) fn windows(convolution: &Convolution, w: &Type) -> Vec<Window> {
    let spatial = &w.axes[..w.rank() - 2];
    convolution.windows(spatial).expect("the shape rule has asked for the windows")
}

/// Turns and examples are one axis, where the kernel is the same in every turn.
fn lift(lift: &mut Lift) -> ValueId {
    if lift.args[1].1 {
        return lift::turn_by_turn(lift);
    }
    let (x, w) = (lift.merged(0), lift.args[1].0);
    let value = lift.add(lift.op.clone(), &[x, w]);
    lift.parted(value)
}

fn cost(_op: &Op, args: &[&Type], result: &Type) -> Cost {
    Cost::streaming(operations(args[1], result), args, result)
}

/// A product and a sum for every tap, input channel of the group and output.
pub(super) fn operations(w: &Type, y: &Type) -> u64 {
    let kernel = w.dims();
    let each: u64 = kernel[..kernel.len() - 1].iter().map(|n| *n as u64).product();
    2 * each * cost::elements(y)
}

fn eval(op: &Op, args: &[&Array], result: &Type) -> Array {
    let Op::Convolve(convolution) = op else { unreachable!("the table of rules pairs them") };
    let mut y = Array::filled(&result.dims(), 0.0);
    let shapes = [&args[0].shape, &args[1].shape, &result.dims()];
    each_product(convolution, shapes, |x, w, at| y.add_at(at, args[0].at(x) * args[1].at(w)));
    y
}

/// Calls `visit` with the indices in input, kernel and output of every product of a convolution whose input,
/// kernel and output have these shapes.
pub(super) fn each_product(
    convolution: &Convolution,
    [x, w, y]: [&Vec<usize>; 3],
    mut visit: impl FnMut(&[usize], &[usize], &[usize]),
) {
    let spatial = x.len() - 2;
    let axes: Vec<Axis> = w[..spatial].iter().map(|n| Axis::sized(*n as u64)).collect();
    let windows = convolution.windows(&axes).expect("the shape rule has asked for the windows");
    let (inputs, outputs) = (w[spatial], w[spatial + 1] / convolution.groups as usize);
    each_index(y, |at_y| {
        let group = at_y[spatial + 1] / outputs;
        each_index(&w[..spatial], |tap| {
            let mut at_x = vec![at_y[0]];
            for (i, window) in windows.iter().enumerate() {
                match window.input(at_y[i + 1], tap[i], x[i + 1]) {
                    Some(input) => at_x.push(input),
                    None => return,
                }
            }
            at_x.push(0);
            for channel in 0..inputs {
                at_x[spatial + 1] = group * inputs + channel;
                let at_w = [tap, &[channel, at_y[spatial + 1]]].concat();
                visit(&at_x, &at_w, at_y);
            }
        });
    });
}
