//! The same numbers as another dtype.

use super::{Op, Problem, Rules, shape};
use crate::types::Type;

/// What is true of `cast`.
pub const RULES: Rules = Rules { name: "cast", infer };

fn infer(op: &Op, args: &[&Type]) -> Result<Type, Problem> {
    let Op::Cast(dtype) = op else { unreachable!("the table of rules pairs them") };
    let [x] = shape::operands(args)?;
    Ok(x.with_dtype(*dtype))
}
