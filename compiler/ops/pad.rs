//! Zeros before and after one axis.

use super::{Op, Problem, Rules, shape};
use crate::types::Type;

/// What is true of `pad`.
pub const RULES: Rules = Rules { name: "pad", infer };

fn infer(op: &Op, args: &[&Type]) -> Result<Type, Problem> {
    let Op::Pad { axis, low, high } = op else { unreachable!("the table of rules pairs them") };
    let [x] = shape::operands(args)?;
    shape::has_axis(args, 0, *axis)?;
    let mut result = x.clone();
    result.axes[*axis].size = x.axes[*axis].size.add(low).add(high);
    Ok(result)
}
