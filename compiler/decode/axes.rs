//! How a value that is wanted at one position of a sequence, or at all so far, makes its operands wanted.
//!
//! In: an operator, the types of its operands and its result, and for each axis of the result how it is wanted. Out: the
//! same for each axis of each operand, or the axis along which the whole result is needed first.

use crate::ops::scan::Scan;
use crate::ops::{Op, contract_rest, size_product};
use crate::types::{Axis, FreeId, Size, Type};

/// How one axis of a value is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Extent {
    /// It does not run along the sequence.
    Plain,
    /// One position: the one whose scores are made.
    Now,
    /// All positions, those not made yet included: what stands there does not matter.
    All,
}

/// What an operator needs.
#[derive(Clone, Debug, PartialEq)]
pub enum Needs {
    /// These extents of the axes of each operand.
    Operands(Vec<Vec<Extent>>),
    /// Its own result along all of this axis, of which one position is picked.
    Whole(usize),
}

/// Whether positions along an axis are those of the sequence.
pub fn is_time(axis: &Axis, time: FreeId) -> bool {
    axis.size == Size::Free(time)
}

/// The axes of a type that grow with the sequence.
pub fn growing(ty: &Type, time: FreeId) -> Vec<usize> {
    (0..ty.rank()).filter(|at| ty.axes[*at].size.mentions(time)).collect()
}

/// Every axis of a type that grows with the sequence, wanted in one way.
pub fn extents(ty: &Type, time: FreeId, extent: Extent) -> Vec<Extent> {
    let of = |axis: &Axis| if axis.size.mentions(time) { extent } else { Extent::Plain };
    ty.axes.iter().map(of).collect()
}

/// Which axis of the operand each growing axis of a reshape's result is, where all of them stay axes of their own.
pub fn reshaped(from: &Type, to: &Type, time: FreeId) -> Option<Vec<(usize, usize)>> {
    let (old, new) = (growing(from, time), growing(to, time));
    let before = |ty: &Type, at: usize| size_product(ty.axes[..at].iter().map(|axis| &axis.size));
    let same = |(a, b): (&usize, &usize)| {
        from.axes[*a].size == to.axes[*b].size && before(from, *a) == before(to, *b)
    };
    (old.len() == new.len() && old.iter().zip(&new).all(same)).then(|| old.into_iter().zip(new).collect())
}

/// What `op` needs for a result wanted so.
pub fn needs(op: &Op, args: &[&Type], result: &Type, wanted: &[Extent], time: FreeId) -> Needs {
    use Extent::{All, Now, Plain};
    let odd = |at: &usize| wanted[*at] == Now && !is_time(&result.axes[*at], time);
    if let Some(axis) = (0..result.rank()).find(odd) {
        return Needs::Whole(axis);
    }
    let grows = |arg: usize, axis: usize| args[arg].axes[axis].size.mentions(time);
    let same = || Needs::Operands(args.iter().map(|_| wanted.to_vec()).collect());
    let whole = || match wanted.iter().position(|extent| *extent == Now) {
        Some(axis) => Needs::Whole(axis),
        None => Needs::Operands(args.iter().map(|ty| extents(ty, time, All)).collect()),
    };
    match op {
        Op::Input(_)
        | Op::Variable(_)
        | Op::Step
        | Op::Seed
        | Op::Receive { .. }
        | Op::Training
        | Op::Gradient(_)
        | Op::Slot(_)
        | Op::Constant(..)
        | Op::Index { .. } => Needs::Operands(Vec::new()),
        // A number follows from where it stands.
        Op::Random { .. } => whole(),
        Op::Unary(_) | Op::Binary(_) | Op::Select | Op::Cast(_) | Op::Stop => same(),
        Op::Broadcast { from, .. } => {
            let of = |i: usize| if grows(0, i) { wanted[from[i]] } else { Plain };
            Needs::Operands(vec![(0..from.len()).map(of).collect()])
        }
        Op::Transpose { order } => {
            let mut operand = vec![Plain; order.len()];
            order.iter().enumerate().for_each(|(i, from)| operand[*from] = wanted[i]);
            Needs::Operands(vec![operand])
        }
        Op::Reshape { .. } => match reshaped(args[0], result, time) {
            Some(pairs) => {
                let mut operand = vec![Plain; args[0].rank()];
                pairs.into_iter().for_each(|(from, to)| operand[from] = wanted[to]);
                Needs::Operands(vec![operand])
            }
            None => whole(),
        },
        Op::Slice { axis, .. }
        | Op::Pad { axis, .. }
        | Op::Concat { axis }
        | Op::Cumulate { axis, .. }
        | Op::Order { axis, .. } => {
            let along =
                (0..args.len()).any(|arg| grows(arg, *axis)) || result.axes[*axis].size.mentions(time);
            if !along {
                return same();
            }
            if wanted[*axis] == Now {
                return Needs::Whole(*axis);
            }
            let of = |arg: usize| {
                let mut operand = wanted.to_vec();
                operand[*axis] = if grows(arg, *axis) { All } else { Plain };
                operand
            };
            Needs::Operands((0..args.len()).map(of).collect())
        }
        Op::Reduce { axes, .. } => Needs::Operands(vec![without(args[0], axes, wanted, time)]),
        Op::ArgMax { axis } => Needs::Operands(vec![without(args[0], &[*axis], wanted, time)]),
        Op::Contract { batch, sum } => {
            let mut operands: Vec<Vec<Extent>> = args.iter().map(|ty| extents(ty, time, All)).collect();
            let pairs = || batch.iter().chain(sum);
            let left = contract_rest(args[0].rank(), pairs().map(|pair| pair.0));
            let right = contract_rest(args[1].rank(), pairs().map(|pair| pair.1));
            for (at, (l, r)) in batch.iter().enumerate() {
                operands[0][*l] = wanted[at];
                operands[1][*r] = wanted[at];
            }
            for (at, axis) in left.iter().enumerate() {
                operands[0][*axis] = wanted[batch.len() + at];
            }
            for (at, axis) in right.iter().enumerate() {
                operands[1][*axis] = wanted[batch.len() + left.len() + at];
            }
            Needs::Operands(operands)
        }
        Op::Gather { axis, batch } => {
            let picks = args[1].rank() - batch;
            let mut x = wanted[..*axis].to_vec();
            x.push(if grows(0, *axis) { All } else { Plain });
            x.extend_from_slice(&wanted[axis + picks..]);
            let positions = [&wanted[..*batch], &wanted[*axis..axis + picks]].concat();
            Needs::Operands(vec![x, positions])
        }
        Op::Convolve(_) | Op::Pool(_) => match (1..result.rank()).find(|axis| wanted[*axis] == Now) {
            Some(axis) => Needs::Whole(axis),
            None => {
                let mut operands: Vec<Vec<Extent>> = args.iter().map(|ty| extents(ty, time, All)).collect();
                operands[0][0] = wanted[0];
                Needs::Operands(operands)
            }
        },
        Op::ScatterAdd { .. } | Op::ConvolveInput(..) | Op::ConvolveKernel(..) | Op::PoolInput(_) => whole(),
        Op::Scan { scan, .. } if is_time(&scan.axis, time) && !scan.reverse => {
            if wanted[0] == All {
                return whole();
            }
            let turns = scan.states..scan.states + scan.sequences;
            let of = |(arg, ty): (usize, &&Type)| {
                let mut operand = extents(ty, time, All);
                if turns.contains(&arg) {
                    operand[0] = Now;
                }
                operand
            };
            Needs::Operands(args.iter().enumerate().map(of).collect())
        }
        Op::Scan { scan, .. } => {
            let each = wanted.contains(&Now) && !wanted.contains(&All) && keeps_apart(scan, time);
            if each {
                Needs::Operands(args.iter().map(|ty| extents(ty, time, Now)).collect())
            } else {
                whole()
            }
        }
    }
}

/// The extents of an operand of which some axes vanish: all of those is wanted.
fn without(operand: &Type, gone: &[usize], wanted: &[Extent], time: FreeId) -> Vec<Extent> {
    let mut stay = wanted.iter();
    let all = extents(operand, time, Extent::All);
    let of = |(at, all): (usize, Extent)| match gone.contains(&at) {
        true => all,
        false => *stay.next().expect("an axis that stays is one of the result"),
    };
    all.into_iter().enumerate().map(of).collect()
}

/// Whether every operator of a recurrence across the sequence works on each position alone.
pub fn keeps_apart(scan: &Scan, time: FreeId) -> bool {
    if scan.axis.size.mentions(time) {
        return false;
    }
    let body = &scan.body;
    body.values().all(|value| {
        let args: Vec<&Type> = body.args(value).iter().map(|arg| body.ty(*arg)).collect();
        let result = body.ty(value);
        match needs(body.op(value), &args, result, &extents(result, time, Extent::Now), time) {
            Needs::Operands(operands) => !operands.iter().flatten().any(|extent| *extent == Extent::All),
            Needs::Whole(_) => false,
        }
    })
}
