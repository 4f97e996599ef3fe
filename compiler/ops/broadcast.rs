//! Repetition along new axes and along axes of size 1.

use super::{Array, Backward, Cut, Need, Op, Problem, Rules, lift, shape};
use crate::cost::Cost;
use crate::graph::ValueId;
use crate::types::{Size, Type};

/// What is true of `broadcast`.
pub const RULES: Rules = Rules {
    name: "broadcast",
    page: include_str!("../../specs/ops/broadcast.md"),
    infer,
    grad,
    cuts,
    cost,
    lift: lift::one_axis_on,
    eval,
};

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

fn grad(b: &mut Backward) -> Vec<Option<ValueId>> {
    let Op::Broadcast { from, .. } = b.graph.op(b.value).clone() else {
        unreachable!("the table of rules pairs them")
    };
    let (x, y) = (b.ty(b.args[0]), b.ty(b.value));
    let repeated = |axis: &usize| match from.iter().position(|to| to == axis) {
        None => true,
        Some(i) => x.axes[i].size != y.axes[*axis].size,
    };
    let sum = b.sum(b.dy, (0..y.rank()).filter(repeated).collect());
    vec![Some(b.shaped_like(sum, b.args[0]))]
}

fn cuts(op: &Op, args: &[&Type], result: &Type) -> Vec<Cut> {
    let Op::Broadcast { from, .. } = op else { unreachable!("the table of rules pairs them") };
    let need = |axis: usize| match from.iter().position(|to| *to == axis) {
        Some(i) if args[0].axes[i].size == result.axes[axis].size => Need::Piece { axis: i, unit: 1 },
        Some(_) | None => Need::Whole,
    };
    (0..result.rank()).map(|axis| Cut::along(axis, result, vec![need(axis)])).collect()
}

fn cost(_op: &Op, args: &[&Type], result: &Type) -> Cost {
    Cost::streaming(0, args, result)
}

fn eval(op: &Op, args: &[&Array], result: &Type) -> Array {
    let Op::Broadcast { from, .. } = op else { unreachable!("the table of rules pairs them") };
    let x = args[0];
    Array::from_fn(&result.dims(), |index| {
        let at: Vec<usize> =
            from.iter().zip(&x.shape).map(|(to, size)| if *size == 1 { 0 } else { index[*to] }).collect();
        x.at(&at)
    })
}
