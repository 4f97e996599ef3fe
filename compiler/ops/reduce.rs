//! All elements along some axes combined into one.

use super::{Op, Problem, Rules, shape};
use crate::types::Type;

/// What is true of `reduce`.
pub const RULES: Rules = Rules { name: "reduce", infer };

fn infer(op: &Op, args: &[&Type]) -> Result<Type, Problem> {
    let Op::Reduce { axes, .. } = op else { unreachable!("the table of rules pairs them") };
    let [x] = shape::operands(args)?;
    shape::number(args, 0)?;
    if !axes.windows(2).all(|pair| pair[0] < pair[1]) {
        return Err(Problem::Other(format!("{axes:?} are not increasing")));
    }
    for axis in axes {
        shape::has_axis(args, 0, *axis)?;
    }
    let kept = x.axes.iter().enumerate().filter(|(i, _)| !axes.contains(i));
    Ok(Type::new(x.dtype, kept.map(|(_, axis)| axis.clone()).collect()))
}
