//! Sums of everything before, along one axis.

use super::{Array, Backward, Cut, Need, Op, Problem, Rules, array::each_index, lift, shape};
use crate::cost::{self, Cost};
use crate::graph::ValueId;
use crate::types::Type;

/// What is true of `cumulate`.
pub const RULES: Rules = Rules {
    name: "cumulate",
    page: include_str!("../../specs/ops/cumulate.md"),
    infer,
    grad,
    lift: lift::one_axis_on,
    cuts,
    cost,
    eval,
};

fn infer(op: &Op, args: &[&Type]) -> Result<Type, Problem> {
    let Op::Cumulate { axis, .. } = op else { unreachable!("the table of rules pairs them") };
    let [x] = shape::operands(args)?;
    shape::number(args, 0)?;
    shape::has_axis(args, 0, *axis)?;
    Ok(x.clone())
}

/// Each element counts in all sums behind it, so its gradient is the sum of theirs.
fn grad(b: &mut Backward) -> Vec<Option<ValueId>> {
    let Op::Cumulate { axis, exclusive, reverse } = *b.graph.op(b.value) else {
        unreachable!("the table of rules pairs them")
    };
    vec![Some(b.add(Op::Cumulate { axis, exclusive, reverse: !reverse }, &[b.dy]))]
}

fn cuts(op: &Op, _args: &[&Type], result: &Type) -> Vec<Cut> {
    let Op::Cumulate { axis: summed, .. } = op else { unreachable!("the table of rules pairs them") };
    let others = (0..result.rank()).filter(|axis| axis != summed);
    others.map(|axis| Cut::along(axis, result, vec![Need::Piece { axis, unit: 1 }])).collect()
}

fn cost(_op: &Op, args: &[&Type], result: &Type) -> Cost {
    Cost::streaming(cost::elements(args[0]), args, result)
}

fn eval(op: &Op, args: &[&Array], result: &Type) -> Array {
    let Op::Cumulate { axis, exclusive, reverse } = op else { unreachable!("the table of rules pairs them") };
    let mut y = Array::filled(&result.dims(), 0.0);
    let (x, size) = (args[0], args[0].shape[*axis]);
    let lines = [&x.shape[..*axis], &[1], &x.shape[axis + 1..]].concat();
    each_index(&lines, |line| {
        let mut at = line.to_vec();
        let mut sum = 0.0;
        for i in 0..size {
            at[*axis] = if *reverse { size - 1 - i } else { i };
            let offset = y.offset(&at);
            let next = sum + x.data[offset];
            y.data[offset] = if *exclusive { sum } else { next };
            sum = next;
        }
    });
    y
}
