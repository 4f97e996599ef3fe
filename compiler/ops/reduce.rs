//! All elements along some axes combined into one.

use super::{
    Array, Backward, Binary, Cut, Need, Op, Problem, Reduction, Rules, array::each_index, array::limits,
    binary, lift, shape,
};
use crate::cost::{self, Cost};
use crate::graph::ValueId;
use crate::types::{DType, Type};

/// What is true of `reduce`.
pub const RULES: Rules = Rules {
    name: "reduce",
    page: include_str!("../../specs/ops/reduce.md"),
    infer,
    grad,
    cuts,
    cost,
    lift: lift::one_axis_on,
    eval,
};

fn infer(op: &Op, args: &[&Type]) -> Result<Type, Problem> {
    let Op::Reduce { axes, .. } = op else { unreachable!("the table of rules pairs them") };
    let [x] = shape::operands(args)?;
    shape::number(args, 0)?;
    if !axes.windows(2).all(|pair| pair[0] < pair[1]) {
        return Err(Problem::Other(format!("{axes:?} are not increasing")));
    }
    for axis in axes {
        shape::has_axis(args, 0, *axis)?;
    }
    let kept = x.axes.iter().enumerate().filter(|(i, _)| !axes.contains(i));
    Ok(Type::new(x.dtype, kept.map(|(_, axis)| axis.clone()).collect()))
}

fn grad(b: &mut Backward) -> Vec<Option<ValueId>> {
    let Op::Reduce { op, axes } = b.graph.op(b.value).clone() else {
        unreachable!("the table of rules pairs them")
    };
    let (x, y, dy) = (b.args[0], b.value, b.dy);
    let wide = b.ty(x);
    let from: Vec<usize> = (0..wide.rank()).filter(|i| !axes.contains(i)).collect();
    let repeat = Op::Broadcast { axes: wide.axes, from };
    let dx = match op {
        Reduction::Sum => b.add(repeat, &[dy]),
        Reduction::Max | Reduction::Min => {
            // Those that are equal to the largest share its gradient.
            let best = b.add(repeat.clone(), &[y]);
            let chosen = b.binary(Binary::Equal, x, best);
            let ones = b.as_number(chosen, wide.dtype);
            let count = b.sum(ones, axes);
            let share = b.div(dy, count);
            let shares = b.add(repeat, &[share]);
            b.mul(ones, shares)
        }
    };
    vec![Some(dx)]
}

fn cuts(op: &Op, args: &[&Type], result: &Type) -> Vec<Cut> {
    let Op::Reduce { op, axes } = op else { unreachable!("the table of rules pairs them") };
    let mut cuts = Vec::new();
    let mut kept = 0;
    for axis in 0..args[0].rank() {
        let needs = vec![Need::Piece { axis, unit: 1 }];
        if axes.contains(&axis) {
            cuts.push(Cut::partial(*op, &args[0].axes[axis], needs));
        } else {
            cuts.push(Cut::along(kept, result, needs));
            kept += 1;
        }
    }
    cuts
}

fn cost(_op: &Op, args: &[&Type], result: &Type) -> Cost {
    Cost::streaming(cost::elements(args[0]), args, result)
}

fn eval(op: &Op, args: &[&Array], result: &Type) -> Array {
    let Op::Reduce { op, axes } = op else { unreachable!("the table of rules pairs them") };
    let mut y = Array::filled(&result.dims(), neutral(*op, result.dtype));
    each_index(&args[0].shape, |index| {
        let kept: Vec<usize> = (0..index.len()).filter(|i| !axes.contains(i)).map(|i| index[i]).collect();
        let at = y.offset(&kept);
        y.data[at] = binary::apply(combine(*op), y.data[at], args[0].at(index));
    });
    y
}

/// What combining nothing gives.
pub fn neutral(op: Reduction, dtype: DType) -> f64 {
    match op {
        Reduction::Sum => 0.0,
        Reduction::Max => limits(dtype).0,
        Reduction::Min => limits(dtype).1,
    }
}

/// How two elements are combined.
pub fn combine(op: Reduction) -> Binary {
    match op {
        Reduction::Sum => Binary::Add,
        Reduction::Max => Binary::Max,
        Reduction::Min => Binary::Min,
    }
}
