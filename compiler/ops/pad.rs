//! Zeros before and after one axis.

use super::{Array, Backward, Cut, Need, Op, Problem, Rules, Window, lift, shape};
use crate::cost::Cost;
use crate::graph::ValueId;
use crate::types::Type;

/// What is true of `pad`.
pub const RULES: Rules = Rules {
    name: "pad",
    page: include_str!("../../specs/ops/pad.md"),
    infer,
    grad,
    cuts,
    cost,
    lift: lift::one_axis_on,
    eval,
};

fn infer(op: &Op, args: &[&Type]) -> Result<Type, Problem> {
    let Op::Pad { axis, low, high } = op else { unreachable!("the table of rules pairs them") };
    let [x] = shape::operands(args)?;
    shape::has_axis(args, 0, *axis)?;
    let mut result = x.clone();
    result.axes[*axis].size = x.axes[*axis].size.add(low).add(high);
    Ok(result)
}

fn grad(b: &mut Backward) -> Vec<Option<ValueId>> {
    let Op::Pad { axis, low, .. } = b.graph.op(b.value).clone() else {
        unreachable!("the table of rules pairs them")
    };
    let end = low.add(&b.ty(b.args[0]).axes[axis].size);
    vec![Some(b.slice(b.dy, axis, low, end))]
}

fn cuts(op: &Op, _args: &[&Type], result: &Type) -> Vec<Cut> {
    let Op::Pad { axis: padded, low, high } = op else { unreachable!("the table of rules pairs them") };
    let [low, high] = [low, high].map(|n| n.known().expect("unfold has bound every free axis"));
    let window = Window { taps: 1, stride: 1, dilation: 1, low, high };
    let need =
        |axis| if axis == *padded { Need::Window { axis, window } } else { Need::Piece { axis, unit: 1 } };
    (0..result.rank()).map(|axis| Cut::along(axis, result, vec![need(axis)])).collect()
}

fn cost(_op: &Op, args: &[&Type], result: &Type) -> Cost {
    Cost::streaming(0, args, result)
}

fn eval(op: &Op, args: &[&Array], result: &Type) -> Array {
    let Op::Pad { axis, low, .. } = op else { unreachable!("the table of rules pairs them") };
    let low = low.known().expect("unfold has bound every free axis") as usize;
    let x = args[0];
    Array::from_fn(&result.dims(), |index| {
        let mut from = index.to_vec();
        match index[*axis].checked_sub(low) {
            Some(at) if at < x.shape[*axis] => {
                from[*axis] = at;
                x.at(&from)
            }
            Some(_) | None => 0.0,
        }
    })
}
