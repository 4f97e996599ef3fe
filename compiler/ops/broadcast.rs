//! Repetition along new axes and along axes of size 1.

use super::{Op, Problem, Rules, shape};
use crate::types::{Size, Type};

/// What is true of `broadcast`.
pub const RULES: Rules = Rules { name: "broadcast", infer };

fn infer(op: &Op, args: &[&Type]) -> Result<Type, Problem> {
    let Op::Broadcast { axes, from } = op else { unreachable!("the table of rules pairs them") };
    let [x] = shape::operands(args)?;
    shape::rank(args, 0, from.len())?;
    let increasing = from.windows(2).all(|pair| pair[0] < pair[1]);
    if !increasing || from.last().is_some_and(|last| *last >= axes.len()) {
        return Err(Problem::Other(format!(
            "{from:?} are not increasing axes of a result of {}",
            axes.len()
        )));
    }
    for (axis, to) in x.axes.iter().zip(from) {
        if axis.size != axes[*to].size && axis.size != Size::Known(1) {
            let wide = Type::new(x.dtype, axes.clone());
            return Err(Problem::Other(format!("{x} does not repeat into {wide}")));
        }
    }
    Ok(Type::new(x.dtype, axes.clone()))
}
