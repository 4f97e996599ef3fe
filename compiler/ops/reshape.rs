//! The same numbers in the same order under other axes.

use std::ops::Range;

use super::{Array, Backward, Cut, Join, Need, Op, Problem, Rules, lift, shape};
use crate::cost::Cost;
use crate::graph::ValueId;
use crate::types::{Axis, Type};

/// What is true of `reshape`.
pub const RULES: Rules = Rules {
    name: "reshape",
    page: include_str!("../../specs/ops/reshape.md"),
    infer,
    grad,
    cuts,
    cost,
    lift: lift::one_axis_on,
    eval,
};

fn infer(op: &Op, args: &[&Type]) -> Result<Type, Problem> {
    let Op::Reshape { axes } = op else { unreachable!("the table of rules pairs them") };
    let [x] = shape::operands(args)?;
    let elements = |axes: &[Axis]| shape::product(axes.iter().map(|a| &a.size));
    let result = Type::new(x.dtype, axes.clone());
    if elements(&x.axes) != elements(axes) {
        return Err(Problem::Other(format!("{x} and {result} differ in their number of elements")));
    }
    Ok(result)
}

fn grad(b: &mut Backward) -> Vec<Option<ValueId>> {
    vec![Some(b.shaped_like(b.dy, b.args[0]))]
}

/// Axes fall into groups that hold the same elements before and after; the outermost axis of a group can be
/// cut wherever a cut of the one is a cut of the other.
fn cuts(_op: &Op, args: &[&Type], result: &Type) -> Vec<Cut> {
    let (before, after) = (args[0].dims(), result.dims());
    let mut cuts = Vec::new();
    for (from, to) in groups(&before, &after) {
        let outer = |dims: &[usize], group: &Range<usize>| {
            group.clone().find(|i| dims[*i] != 1).unwrap_or(group.start)
        };
        let (i, j) = (outer(&before, &from), outer(&after, &to));
        let inner_before: usize = before[i + 1..from.end].iter().product();
        let inner_after: usize = after[j + 1..to.end].iter().product();
        let common = gcd(inner_before, inner_after).max(1);
        let unit = (inner_before / common).max(1);
        cuts.push(Cut {
            extent: (after[j] / unit) as u64,
            join: Join::Along { axis: j, unit: unit as u64 },
            needs: vec![Need::Piece { axis: i, unit: (inner_after / common).max(1) as u64 }],
        });
    }
    cuts
}

/// Ranges of axes that hold the same number of elements before and after, the finest such. Where there are no
/// elements, only axes that stay as they are.
pub fn groups(before: &[usize], after: &[usize]) -> Vec<(Range<usize>, Range<usize>)> {
    if before.contains(&0) || after.contains(&0) {
        let same = before.iter().zip(after).take_while(|(a, b)| a == b).count();
        return (0..same).map(|i| (i..i + 1, i..i + 1)).collect();
    }
    let mut groups = Vec::new();
    let (mut i, mut j) = (0, 0);
    while i < before.len() && j < after.len() {
        let (from, to) = (i, j);
        let (mut a, mut b) = (before[i], after[j]);
        (i, j) = (i + 1, j + 1);
        while a != b {
            if a < b {
                a *= before[i];
                i += 1;
            } else {
                b *= after[j];
                j += 1;
            }
        }
        groups.push((from..i, to..j));
    }
    groups
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The elements stay where they are.
fn cost(_op: &Op, _args: &[&Type], _result: &Type) -> Cost {
    Cost::FREE
}

fn eval(_op: &Op, args: &[&Array], result: &Type) -> Array {
    Array::new(&result.dims(), args[0].data.clone())
}
