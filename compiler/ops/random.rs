//! Uniform random numbers, each a function of seed, stream, step and element index.

use super::{Op, Problem, Rules, shape};
use crate::types::{DType, Type};

/// What is true of random numbers.
pub const RULES: Rules = Rules { name: "random", infer };

fn infer(op: &Op, args: &[&Type]) -> Result<Type, Problem> {
    let Op::Random { axes, .. } = op else { unreachable!("the table of rules pairs them") };
    let [..] = shape::operands::<2>(args)?;
    for (arg, ty) in args.iter().enumerate() {
        shape::rank(args, arg, 0)?;
        if ty.dtype != DType::I64 {
            return Err(Problem::Dtype { arg, expected: "i64".into() });
        }
    }
    Ok(Type::new(DType::F32, axes.clone()))
}
