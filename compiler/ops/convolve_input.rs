//! The gradient of a convolution by its input: each output's gradient spread over the inputs it saw.

use super::{Op, Problem, Rules, convolve, shape};
use crate::types::Type;

/// What is true of `convolve_input`.
pub const RULES: Rules = Rules { name: "convolve_input", infer };

fn infer(op: &Op, args: &[&Type]) -> Result<Type, Problem> {
    let Op::ConvolveInput(convolution, axes) = op else { unreachable!("the table of rules pairs them") };
    let [dy, w] = shape::operands(args)?;
    let x = Type::new(dy.dtype, axes.clone());
    convolve::check(convolution, &x, w, dy)?;
    Ok(x)
}
