//! Functions of one operand, element by element.

use super::{Op, Problem, Rules, Unary, shape};
use crate::types::Type;

/// What is true of every function of one operand.
pub const RULES: Rules = Rules { name: "unary", infer };

fn infer(op: &Op, args: &[&Type]) -> Result<Type, Problem> {
    let Op::Unary(function) = op else { unreachable!("the table of rules pairs them") };
    let [x] = shape::operands(args)?;
    match function {
        Unary::Neg | Unary::Abs | Unary::Sign => shape::number(args, 0)?,
        Unary::Not => shape::truth(args, 0)?,
        Unary::Exp
        | Unary::Log
        | Unary::Sqrt
        | Unary::Tanh
        | Unary::Sigmoid
        | Unary::Erf
        | Unary::Sin
        | Unary::Cos
        | Unary::Floor => shape::float(args, 0)?,
    }
    Ok(x.clone())
}
