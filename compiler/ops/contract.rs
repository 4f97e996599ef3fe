//! Sums of products: matrix products, inner and outer products, one for each index of the batch axes.

use super::{Op, Problem, Rules, shape};
use crate::types::Type;

/// What is true of `contract`.
pub const RULES: Rules = Rules { name: "contract", infer };

fn infer(op: &Op, args: &[&Type]) -> Result<Type, Problem> {
    let Op::Contract { batch, sum } = op else { unreachable!("the table of rules pairs them") };
    let [left, right] = shape::operands(args)?;
    shape::float(args, 0)?;
    shape::like(args, 1, 0)?;
    let pairs = || batch.iter().chain(sum);
    for (l, r) in pairs() {
        shape::has_axis(args, 0, *l)?;
        shape::has_axis(args, 1, *r)?;
        if pairs().filter(|(a, _)| a == l).count() > 1 || pairs().filter(|(_, b)| b == r).count() > 1 {
            return Err(Problem::Other(format!("pair {l}, {r} takes an axis that another pair has")));
        }
        // Names of summed axes vanish, so they may differ.
        shape::same_size(args, (0, *l), (1, *r))?;
    }
    let mut axes = Vec::new();
    for (l, r) in batch {
        axes.push(shape::merge(args, (0, *l), (1, *r))?);
    }
    axes.extend(rest(left.rank(), pairs().map(|p| p.0)).into_iter().map(|i| left.axes[i].clone()));
    axes.extend(rest(right.rank(), pairs().map(|p| p.1)).into_iter().map(|i| right.axes[i].clone()));
    Ok(Type::new(left.dtype, axes))
}

/// The axes of an operand of `rank` that no pair takes.
pub(crate) fn rest(rank: usize, paired: impl Iterator<Item = usize>) -> Vec<usize> {
    let paired: Vec<usize> = paired.collect();
    (0..rank).filter(|i| !paired.contains(i)).collect()
}
