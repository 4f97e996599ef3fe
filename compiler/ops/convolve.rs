//! A kernel moved over the spatial axes of its input.

use super::{Convolution, Op, Problem, Rules, shape};
use crate::types::{Size, Type};

/// What is true of `convolve`.
pub const RULES: Rules = Rules { name: "convolve", infer };

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
