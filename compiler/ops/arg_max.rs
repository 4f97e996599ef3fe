//! The index of the first largest element along one axis.

use super::{Op, Problem, Rules, shape};
use crate::types::{DType, Type};

/// What is true of `arg_max`.
pub const RULES: Rules = Rules { name: "arg_max", infer };

fn infer(op: &Op, args: &[&Type]) -> Result<Type, Problem> {
    let Op::ArgMax { axis } = op else { unreachable!("the table of rules pairs them") };
    let [x] = shape::operands(args)?;
    shape::number(args, 0)?;
    shape::has_axis(args, 0, *axis)?;
    let mut axes = x.axes.clone();
    axes.remove(*axis);
    Ok(Type::new(DType::I32, axes))
}
