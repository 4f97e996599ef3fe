//! Sums of products: matrix products, inner and outer products, one for each index of the batch axes.

use super::lift::Lift;
use super::{Array, Backward, Cut, Need, Op, Problem, Reduction, Rules, array::each_index, shape, transpose};
use crate::cost::{self, Cost};
use crate::graph::ValueId;
use crate::types::Type;

/// What is true of `contract`.
pub const RULES: Rules = Rules {
    name: "contract",
    page: include_str!("../../specs/ops/contract.md"),
    infer,
    grad,
    cuts,
    cost,
    lift,
    eval,
};

fn infer(op: &Op, args: &[&Type]) -> Result<Type, Problem> {
    let Op::Contract { batch, sum } = op else { unreachable!("the table of rules pairs them") };
    let [left, right] = shape::operands(args)?;
    shape::number(args, 0)?;
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

/// `dl = dy · r` over what only the right has, `dr = l · dy` over what only the left has.
fn grad(b: &mut Backward) -> Vec<Option<ValueId>> {
    let Op::Contract { batch, sum } = b.graph.op(b.value).clone() else {
        unreachable!("the table of rules pairs them")
    };
    let (left, right, dy) = (b.args[0], b.args[1], b.dy);
    let (rank_left, rank_right) = (b.ty(left).rank(), b.ty(right).rank());
    let pairs = || batch.iter().chain(&sum);
    let rest_left = rest(rank_left, pairs().map(|p| p.0));
    let rest_right = rest(rank_right, pairs().map(|p| p.1));
    let first_right = batch.len() + rest_left.len();

    let back = Op::Contract {
        batch: batch.iter().enumerate().map(|(i, p)| (i, p.1)).collect(),
        sum: rest_right.iter().enumerate().map(|(i, axis)| (first_right + i, *axis)).collect(),
    };
    let dl = b.add(back, &[dy, right]);
    // Its axes: the batch, the left's rest, then the summed axes in the order in which the right has them.
    let mut summed = sum.clone();
    summed.sort_unstable_by_key(|p| p.1);
    let has: Vec<usize> = batch
        .iter()
        .map(|p| p.0)
        .chain(rest_left.iter().copied())
        .chain(summed.iter().map(|p| p.0))
        .collect();
    let dl = b.transpose(dl, transpose::inverse(&has));

    let forth = Op::Contract {
        batch: batch.iter().enumerate().map(|(i, p)| (p.0, i)).collect(),
        sum: rest_left.iter().enumerate().map(|(i, axis)| (*axis, batch.len() + i)).collect(),
    };
    let dr = b.add(forth, &[left, dy]);
    summed.sort_unstable_by_key(|p| p.0);
    let has: Vec<usize> = batch
        .iter()
        .map(|p| p.1)
        .chain(summed.iter().map(|p| p.1))
        .chain(rest_right.iter().copied())
        .collect();
    let dr = b.transpose(dr, transpose::inverse(&has));
    vec![Some(dl), Some(dr)]
}

fn cuts(op: &Op, args: &[&Type], result: &Type) -> Vec<Cut> {
    let Op::Contract { batch, sum } = op else { unreachable!("the table of rules pairs them") };
    let piece = |axis: usize| Need::Piece { axis, unit: 1 };
    let pairs = || batch.iter().chain(sum);
    let mut needs: Vec<Vec<Need>> = batch.iter().map(|(l, r)| vec![piece(*l), piece(*r)]).collect();
    let rest_left = rest(args[0].rank(), pairs().map(|p| p.0));
    needs.extend(rest_left.into_iter().map(|l| vec![piece(l), Need::Whole]));
    let rest_right = rest(args[1].rank(), pairs().map(|p| p.1));
    needs.extend(rest_right.into_iter().map(|r| vec![Need::Whole, piece(r)]));
    let mut cuts: Vec<Cut> =
        needs.into_iter().enumerate().map(|(axis, needs)| Cut::along(axis, result, needs)).collect();
    cuts.extend(
        sum.iter().map(|(l, r)| Cut::partial(Reduction::Sum, &args[0].axes[*l], vec![piece(*l), piece(*r)])),
    );
    cuts
}

/// Turns are one more pair that stays, or one more free axis of the operand that has them.
fn lift(lift: &mut Lift) -> ValueId {
    let Op::Contract { batch, sum } = lift.op.clone() else { unreachable!("the table of rules pairs them") };
    let (left, right) = (lift.args[0], lift.args[1]);
    let [l, r] = [left.1, right.1].map(usize::from);
    let shift = |pairs: &[(usize, usize)]| pairs.iter().map(|p| (p.0 + l, p.1 + r)).collect::<Vec<_>>();
    let (mut batch, sum) = (shift(&batch), shift(&sum));
    if left.1 && right.1 {
        batch.insert(0, (0, 0));
        return lift.add(Op::Contract { batch, sum }, &[left.0, right.0]);
    }
    // Free axes of the left come behind the batch, those of the right behind both.
    let free = lift.graph.ty(left.0).rank() - batch.len() - sum.len();
    let at = if left.1 { batch.len() } else { batch.len() + free };
    let value = lift.add(Op::Contract { batch, sum }, &[left.0, right.0]);
    let rank = lift.graph.ty(value).rank();
    let order: Vec<usize> = [at].into_iter().chain((0..rank).filter(|axis| *axis != at)).collect();
    if at == 0 { value } else { lift.add(Op::Transpose { order }, &[value]) }
}

fn cost(op: &Op, args: &[&Type], result: &Type) -> Cost {
    let Op::Contract { sum, .. } = op else { unreachable!("the table of rules pairs them") };
    let dims = args[0].dims();
    let terms: u64 = sum.iter().map(|(l, _)| dims[*l] as u64).product();
    Cost::streaming(2 * terms * cost::elements(result), args, result)
}

fn eval(op: &Op, args: &[&Array], result: &Type) -> Array {
    let Op::Contract { batch, sum } = op else { unreachable!("the table of rules pairs them") };
    let (left, right) = (args[0], args[1]);
    let pairs = || batch.iter().chain(sum);
    let rest_left = rest(left.shape.len(), pairs().map(|p| p.0));
    let rest_right = rest(right.shape.len(), pairs().map(|p| p.1));
    let terms: Vec<usize> = sum.iter().map(|p| left.shape[p.0]).collect();
    let (mut at_left, mut at_right) = (vec![0; left.shape.len()], vec![0; right.shape.len()]);
    Array::from_fn(&result.dims(), |index| {
        for (i, (l, r)) in batch.iter().enumerate() {
            (at_left[*l], at_right[*r]) = (index[i], index[i]);
        }
        rest_left.iter().enumerate().for_each(|(i, l)| at_left[*l] = index[batch.len() + i]);
        let first = batch.len() + rest_left.len();
        rest_right.iter().enumerate().for_each(|(i, r)| at_right[*r] = index[first + i]);
        let mut total = 0.0;
        each_index(&terms, |term| {
            for (i, (l, r)) in sum.iter().enumerate() {
                (at_left[*l], at_right[*r]) = (term[i], term[i]);
            }
            total += left.at(&at_left) * right.at(&at_right);
        });
        total
    })
}
