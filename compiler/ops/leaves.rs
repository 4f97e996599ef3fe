//! Values without operands: inputs, variables, the step and the seed, constants, indices.

use super::{Op, Problem, Rules, shape};
use crate::types::{DType, Type};

/// What is true of every leaf.
pub const RULES: Rules = Rules { name: "leaf", infer };

fn infer(op: &Op, args: &[&Type]) -> Result<Type, Problem> {
    let [] = shape::operands(args)?;
    #[expect(clippy::wildcard_enum_match_arm, reason = "only leaves have these rules")]
    match op {
        Op::Step | Op::Seed => Ok(Type::scalar(DType::I64)),
        Op::Training => Ok(Type::scalar(DType::Bool)),
        Op::Constant(_, dtype) => Ok(Type::scalar(*dtype)),
        Op::Index { axes, axis } if *axis < axes.len() => Ok(Type::new(DType::I32, axes.clone())),
        Op::Index { axes, axis } => {
            Err(Problem::Other(format!("axis {axis} is not one of the {} axes", axes.len())))
        }
        _ => Err(Problem::Other("its type stands in a table of the model".into())),
    }
}
