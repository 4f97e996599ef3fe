//! The sum or the largest of each window of the spatial axes.

use super::{Op, Pooling, Problem, Reduction, Rules, shape};
use crate::types::Type;

/// What is true of `pool`.
pub const RULES: Rules = Rules { name: "pool", infer };

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
