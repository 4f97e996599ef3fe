//! The axes in another order.

use super::{Op, Problem, Rules, shape};
use crate::types::Type;

/// What is true of `transpose`.
pub const RULES: Rules = Rules { name: "transpose", infer };

fn infer(op: &Op, args: &[&Type]) -> Result<Type, Problem> {
    let Op::Transpose { order } = op else { unreachable!("the table of rules pairs them") };
    let [x] = shape::operands(args)?;
    shape::rank(args, 0, order.len())?;
    let mut sorted = order.clone();
    sorted.sort_unstable();
    if sorted.into_iter().ne(0..order.len()) {
        return Err(Problem::Other(format!("{order:?} is not an order of {} axes", order.len())));
    }
    Ok(Type::new(x.dtype, order.iter().map(|i| x.axes[*i].clone()).collect()))
}
