//! The same numbers, where gradients stop.

use super::{Op, Problem, Rules, shape};
use crate::types::Type;

/// What is true of `stop`.
pub const RULES: Rules = Rules { name: "stop", infer };

fn infer(_op: &Op, args: &[&Type]) -> Result<Type, Problem> {
    let [x] = shape::operands(args)?;
    Ok(x.clone())
}
