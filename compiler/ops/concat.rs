//! Operands one after the other along one axis.

use super::{Op, Problem, Rules, shape};
use crate::types::Type;

/// What is true of `concat`.
pub const RULES: Rules = Rules { name: "concat", infer };

fn infer(op: &Op, args: &[&Type]) -> Result<Type, Problem> {
    let Op::Concat { axis } = op else { unreachable!("the table of rules pairs them") };
    let Some(first) = args.first() else { return Err(Problem::Other("takes at least one operand".into())) };
    shape::has_axis(args, 0, *axis)?;
    let mut result = (*first).clone();
    for arg in 1..args.len() {
        shape::rank(args, arg, first.rank())?;
        shape::like(args, arg, 0)?;
        for i in 0..first.rank() {
            let next = &args[arg].axes[i];
            if i != *axis {
                shape::merge(args, (0, i), (arg, i))?;
            }
            let joined = &mut result.axes[i];
            joined.name = joined.name.take().or_else(|| next.name.clone());
            joined.ragged |= next.ragged;
            if i == *axis {
                joined.size = joined.size.add(&next.size);
            }
        }
    }
    Ok(result)
}
