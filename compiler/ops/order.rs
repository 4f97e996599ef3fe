//! Where the elements along one axis stand when they are sorted: the whole order, or the first few of it.

use super::{Array, Cut, Need, Op, Problem, Rules, array::each_index, lift, shape};
use crate::cost::{self, Cost};
use crate::types::{DType, Type};

/// What is true of `order`.
pub const RULES: Rules = Rules {
    name: "order",
    page: include_str!("../../specs/ops/order.md"),
    infer,
    grad: super::no_gradient,
    lift: lift::one_axis_on,
    cuts,
    cost,
    eval,
};

fn infer(op: &Op, args: &[&Type]) -> Result<Type, Problem> {
    let Op::Order { axis, count, .. } = op else { unreachable!("the table of rules pairs them") };
    let [x] = shape::operands(args)?;
    shape::number(args, 0)?;
    shape::has_axis(args, 0, *axis)?;
    let size = &x.axes[*axis].size;
    let enough = size == count || size.known().zip(count.known()).is_some_and(|(size, count)| count <= size);
    if !enough {
        let count = count.known().map_or("as many as a free axis has".into(), |n| n.to_string());
        return Err(Problem::Other(format!("{x} may not have {count} elements along axis {axis}")));
    }
    if size.known().is_some_and(|size| size > i32::MAX as u64) {
        return Err(Problem::Other(format!("{x} has more elements along axis {axis} than i32 can count")));
    }
    let mut axes = x.axes.clone();
    axes[*axis].size = count.clone();
    Ok(Type::new(DType::I32, axes))
}

fn cuts(op: &Op, _args: &[&Type], result: &Type) -> Vec<Cut> {
    let Op::Order { axis: sorted, .. } = op else { unreachable!("the table of rules pairs them") };
    let others = (0..result.rank()).filter(|axis| axis != sorted);
    others.map(|axis| Cut::along(axis, result, vec![Need::Piece { axis, unit: 1 }])).collect()
}

/// About twenty comparisons an element.
fn cost(_op: &Op, args: &[&Type], result: &Type) -> Cost {
    Cost::streaming(20 * cost::elements(args[0]), args, result)
}

/// Of equal elements the first comes first, in either direction; a NaN counts as larger than any number.
fn eval(op: &Op, args: &[&Array], result: &Type) -> Array {
    let Op::Order { axis, descending, .. } = op else { unreachable!("the table of rules pairs them") };
    let mut y = Array::filled(&result.dims(), 0.0);
    let (x, size) = (args[0], args[0].shape[*axis]);
    let lines = [&x.shape[..*axis], &[1], &x.shape[axis + 1..]].concat();
    let count = y.shape[*axis];
    each_index(&lines, |line| {
        let mut at = line.to_vec();
        let numbers: Vec<f64> = (0..size)
            .map(|i| {
                at[*axis] = i;
                x.at(&at)
            })
            .collect();
        let mut places: Vec<usize> = (0..size).collect();
        places.sort_by(|a, b| {
            let found = compare(numbers[*a], numbers[*b]);
            if *descending { found.reverse() } else { found }
        });
        for (i, place) in places.into_iter().take(count).enumerate() {
            at[*axis] = i;
            let offset = y.offset(&at);
            y.data[offset] = place as f64;
        }
    });
    y
}

/// Both zeros are equal, and so are all NaNs, above all numbers.
fn compare(a: f64, b: f64) -> std::cmp::Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}
