//! The same numbers in the same order under other axes.

use super::{Op, Problem, Rules, shape};
use crate::types::{Axis, Type};

/// What is true of `reshape`.
pub const RULES: Rules = Rules { name: "reshape", infer };

fn infer(op: &Op, args: &[&Type]) -> Result<Type, Problem> {
    let Op::Reshape { axes } = op else { unreachable!("the table of rules pairs them") };
    let [x] = shape::operands(args)?;
    let elements = |axes: &[Axis]| shape::product(axes.iter().map(|a| &a.size));
    let result = Type::new(x.dtype, axes.clone());
    if elements(&x.axes) != elements(axes) {
        return Err(Problem::Other(format!("{x} and {result} differ in their number of elements")));
    }
    Ok(result)
}
