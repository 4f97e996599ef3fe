//! One of two values, element by element.

use super::{Op, Problem, Rules, shape};
use crate::types::Type;

/// What is true of `select`.
pub const RULES: Rules = Rules { name: "select", infer };

fn infer(_op: &Op, args: &[&Type]) -> Result<Type, Problem> {
    let [_, a, _] = shape::operands(args)?;
    shape::truth(args, 0)?;
    shape::like(args, 2, 1)?;
    shape::merge_all(args, 1, 0)?;
    shape::merge_all(args, 2, 0)?;
    let both = Type::new(a.dtype, shape::merge_all(args, 1, 2)?);
    // The condition's names and ragged axes count too.
    let axes = shape::merge_all(&[&both, args[0]], 0, 1)?;
    Ok(Type::new(a.dtype, axes))
}
