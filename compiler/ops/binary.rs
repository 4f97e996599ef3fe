//! Functions of two operands of one shape, element by element.

use super::{Binary, Op, Problem, Rules, shape};
use crate::types::{DType, Type};

/// What is true of every function of two operands.
pub const RULES: Rules = Rules { name: "binary", infer };

fn infer(op: &Op, args: &[&Type]) -> Result<Type, Problem> {
    let Op::Binary(function) = op else { unreachable!("the table of rules pairs them") };
    let [a, _] = shape::operands(args)?;
    let dtype = match function {
        Binary::Add | Binary::Sub | Binary::Mul | Binary::Div | Binary::Rem | Binary::Max | Binary::Min => {
            shape::number(args, 0)?;
            a.dtype
        }
        Binary::Pow => {
            shape::float(args, 0)?;
            a.dtype
        }
        Binary::Equal => DType::Bool,
        Binary::Less | Binary::LessEqual => {
            shape::number(args, 0)?;
            DType::Bool
        }
        Binary::And | Binary::Or => {
            shape::truth(args, 0)?;
            DType::Bool
        }
    };
    shape::like(args, 1, 0)?;
    Ok(Type::new(dtype, shape::merge_all(args, 0, 1)?))
}
