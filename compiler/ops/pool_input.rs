//! The gradient of pooling by its input.

use super::{Op, Problem, Rules, pool, shape};
use crate::types::Type;

/// What is true of `pool_input`.
pub const RULES: Rules = Rules { name: "pool_input", infer };

fn infer(op: &Op, args: &[&Type]) -> Result<Type, Problem> {
    let Op::PoolInput(pooling) = op else { unreachable!("the table of rules pairs them") };
    let [x, dy] = shape::operands(args)?;
    let y = pool::result(pooling, x)?;
    let sizes = |ty: &Type| ty.axes.iter().map(|a| a.size.clone()).collect::<Vec<_>>();
    if y.dtype != dy.dtype || sizes(&y) != sizes(dy) {
        return Err(Problem::Other(format!("{dy} is not what pooling {x} gives, which is {y}")));
    }
    Ok(x.clone())
}
