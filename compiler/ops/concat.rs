//! Operands one after the other along one axis.

use super::{Array, Backward, Cut, Need, Op, Problem, Rules, lift, shape};
use crate::cost::Cost;
use crate::graph::ValueId;
use crate::types::{Size, Type};

/// What is true of `concat`.
pub const RULES: Rules = Rules {
    name: "concat",
    page: include_str!("../../specs/ops/concat.md"),
    infer,
    grad,
    cuts,
    cost,
    lift: lift::one_axis_on,
    eval,
};

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

fn grad(b: &mut Backward) -> Vec<Option<ValueId>> {
    let Op::Concat { axis } = *b.graph.op(b.value) else { unreachable!("the table of rules pairs them") };
    let mut start = Size::Known(0);
    let mut parts = Vec::new();
    for arg in b.args.clone() {
        let end = start.add(&b.ty(arg).axes[axis].size);
        parts.push(Some(b.slice(b.dy, axis, start, end.clone())));
        start = end;
    }
    parts
}

/// Not along the joined axis: a piece of that takes pieces of different operands.
fn cuts(op: &Op, args: &[&Type], result: &Type) -> Vec<Cut> {
    let Op::Concat { axis: joined } = op else { unreachable!("the table of rules pairs them") };
    let others = (0..result.rank()).filter(|axis| axis != joined);
    others.map(|axis| Cut::along(axis, result, vec![Need::Piece { axis, unit: 1 }; args.len()])).collect()
}

fn cost(_op: &Op, args: &[&Type], result: &Type) -> Cost {
    Cost::streaming(0, args, result)
}

fn eval(op: &Op, args: &[&Array], _result: &Type) -> Array {
    let Op::Concat { axis } = op else { unreachable!("the table of rules pairs them") };
    Array::concat(args, *axis)
}
