//! The gradient of a convolution by its kernel: for every tap, the products of what it saw and what came out.

use super::{Op, Problem, Rules, convolve, shape};
use crate::types::Type;

/// What is true of `convolve_kernel`.
pub const RULES: Rules = Rules { name: "convolve_kernel", infer };

fn infer(op: &Op, args: &[&Type]) -> Result<Type, Problem> {
    let Op::ConvolveKernel(convolution, axes) = op else { unreachable!("the table of rules pairs them") };
    let [x, dy] = shape::operands(args)?;
    let w = Type::new(x.dtype, axes.clone());
    convolve::check(convolution, x, &w, dy)?;
    Ok(w)
}
