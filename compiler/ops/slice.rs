//! A stretch of one axis.

use super::{Array, Backward, Cut, Need, Op, Problem, Rules, lift, shape};
use crate::cost::Cost;
use crate::graph::ValueId;
use crate::types::Type;

/// What is true of `slice`.
pub const RULES: Rules = Rules {
    name: "slice",
    page: include_str!("../../specs/ops/slice.md"),
    infer,
    grad,
    cuts,
    cost,
    lift: lift::one_axis_on,
    eval,
};

fn infer(op: &Op, args: &[&Type]) -> Result<Type, Problem> {
    let Op::Slice { axis, start, end } = op else { unreachable!("the table of rules pairs them") };
    let [x] = shape::operands(args)?;
    shape::has_axis(args, 0, *axis)?;
    let mut result = x.clone();
    let size = &x.axes[*axis].size;
    if let (Some(start), Some(end)) = (start.known(), end.known())
        && (start > end || size.known().is_some_and(|size| end > size))
    {
        let of = size.known().map_or("a free size".into(), |n| n.to_string());
        return Err(Problem::Other(format!("{start}..{end} is not within an axis of {of}")));
    }
    result.axes[*axis].size = end.sub(start);
    Ok(result)
}

fn grad(b: &mut Backward) -> Vec<Option<ValueId>> {
    let Op::Slice { axis, start, end } = b.graph.op(b.value).clone() else {
        unreachable!("the table of rules pairs them")
    };
    let high = b.ty(b.args[0]).axes[axis].size.sub(&end);
    vec![Some(b.add(Op::Pad { axis, low: start, high }, &[b.dy]))]
}

fn cuts(op: &Op, _args: &[&Type], result: &Type) -> Vec<Cut> {
    let Op::Slice { axis: sliced, start, .. } = op else { unreachable!("the table of rules pairs them") };
    let start = start.known().expect("unfold has bound every free axis");
    let need =
        |axis| if axis == *sliced { Need::Shifted { axis, start } } else { Need::Piece { axis, unit: 1 } };
    (0..result.rank()).map(|axis| Cut::along(axis, result, vec![need(axis)])).collect()
}

fn cost(_op: &Op, _args: &[&Type], result: &Type) -> Cost {
    Cost::streaming(0, &[result], result)
}

fn eval(op: &Op, args: &[&Array], _result: &Type) -> Array {
    let Op::Slice { axis, start, end } = op else { unreachable!("the table of rules pairs them") };
    let [start, end] = [start, end].map(|n| n.known().expect("unfold has bound every free axis") as usize);
    args[0].slice(*axis, start..end)
}
