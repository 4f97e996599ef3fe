//! Cutting: the pieces of every primitive, computed apart and joined, are the whole.

use std::ops::Range;

use strata::ops::{Cut, Join, Op, Reduction, piece_op, rules};
use strata::reference::{Array, apply};
use strata::types::{DType, Size, Type};
use strata_tests::primitives::{PRIMITIVES, Primitive, Spread, numbers};
use strata_tests::random::Choices;

/// Stretches that cover all units of a cut, in order.
fn pieces(extent: u64, choices: &mut Choices) -> Vec<Range<u64>> {
    let mut pieces = Vec::new();
    let mut start = 0;
    while start < extent {
        let end = start + 1 + choices.below((extent - start) as usize) as u64;
        pieces.push(start..end);
        start = end;
    }
    pieces
}

fn sliced(ty: &Type, axis: usize, range: &Range<u64>) -> Type {
    let mut ty = ty.clone();
    ty.axes[axis].size = Size::Known(range.end - range.start);
    ty
}

/// The results of a cut's pieces; `None` where a piece must know where in the whole it stands.
fn parts(
    primitive: &Primitive,
    cut: &Cut,
    args: &[Array],
    result: &Type,
    c: &mut Choices,
) -> Option<Vec<Array>> {
    let types: Vec<&Type> = primitive.args.iter().map(|(ty, _)| ty).collect();
    let mut parts = Vec::new();
    for piece in pieces(cut.extent, c) {
        let op = piece_op(&primitive.op, cut, &piece, &types, result)?;
        let (mut local, mut local_types) = (Vec::new(), Vec::new());
        for ((need, array), ty) in cut.needs.iter().zip(args).zip(&types) {
            match need.range(&piece, ty) {
                Some((axis, range)) => {
                    local.push(array.slice(axis, range.start as usize..range.end as usize));
                    local_types.push(sliced(ty, axis, &range));
                }
                None => {
                    local.push(array.clone());
                    local_types.push((*ty).clone());
                }
            }
        }
        let expected = match cut.result_range(&piece, result) {
            Some((axis, range)) => sliced(result, axis, &range),
            None => result.clone(),
        };
        let inferred =
            (rules(&op).infer)(&op, &local_types.iter().collect::<Vec<_>>()).unwrap_or_else(|problem| {
                panic!("{primitive:?} cut as {cut:?}, piece {piece:?}, {op:?}: {problem}")
            });
        assert_eq!(inferred.dims(), expected.dims(), "{primitive:?} cut as {cut:?}, piece {piece:?}, {op:?}");
        parts.push(apply(&op, &local.iter().collect::<Vec<_>>(), &expected));
    }
    Some(parts)
}

fn join(join: Join, parts: &[Array]) -> Array {
    match join {
        Join::Along { axis, .. } => Array::concat(&parts.iter().collect::<Vec<_>>(), axis),
        Join::Partial(op) => {
            let mut whole = parts[0].clone();
            for part in &parts[1..] {
                for (a, b) in whole.data.iter_mut().zip(&part.data) {
                    *a = match op {
                        Reduction::Sum => *a + b,
                        Reduction::Max => a.max(*b),
                        Reduction::Min => a.min(*b),
                    };
                }
            }
            whole
        }
    }
}

#[test]
fn pieces_of_every_cut_join_to_the_whole() {
    let mut tried = 0;
    for (name, draw) in PRIMITIVES {
        for seed in 0..120 {
            let mut choices = Choices::new(seed);
            let primitive = draw(&mut choices, DType::F32);
            let types: Vec<&Type> = primitive.args.iter().map(|(ty, _)| ty).collect();
            let result = primitive.op.infer(&types).expect("drawn operands fit");
            let count = types.iter().map(|ty| ty.elements()).sum();
            let mut spread = Spread::over(count, &mut choices);
            let mut args = Vec::new();
            for (ty, domain) in &primitive.args {
                args.push(numbers(ty, *domain, &mut spread, &mut choices));
            }
            let whole = apply(&primitive.op, &args.iter().collect::<Vec<_>>(), &result);
            for cut in (rules(&primitive.op).cuts)(&primitive.op, &types, &result) {
                let Some(parts) = parts(&primitive, &cut, &args, &result, &mut choices) else {
                    let placed = matches!(primitive.op, Op::Random { .. } | Op::Index { .. });
                    assert!(placed, "{name}: only these must know where they stand");
                    continue;
                };
                if parts.is_empty() {
                    continue; // nothing to do, nothing to join
                }
                let joined = join(cut.join, &parts);
                assert_eq!(joined.shape, whole.shape, "{name}, seed {seed}: {primitive:?} cut as {cut:?}");
                for (a, b) in joined.data.iter().zip(&whole.data) {
                    let same = match cut.join {
                        Join::Along { .. } => a == b,
                        Join::Partial(_) => a == b || (a - b).abs() <= 1e-12 * b.abs().max(1.0),
                    };
                    assert!(same, "{name}, seed {seed}: {primitive:?} cut as {cut:?}: {a} instead of {b}");
                }
                tried += 1;
            }
        }
    }
    assert!(tried > 3000, "only {tried} cuts were tried");
}

fn whole_by_intent(op: &Op, axis: usize, rank: usize) -> bool {
    if let Op::Concat { axis: joined } = op {
        return axis == *joined;
    }
    if let Op::Order { axis: along, .. } | Op::Cumulate { axis: along, .. } = op {
        return axis == *along;
    }
    if let Op::ScatterAdd { axis: rows, .. } = op {
        return axis == *rows;
    }
    if let Op::ConvolveKernel(c, _) = op {
        return c.groups > 1 && axis + 2 == rank;
    }
    if let Op::PoolInput(p) = op {
        let spatial = axis > 0 && axis + 1 < rank;
        return spatial && (p.padding[axis - 1].0 > 0 || p.stride[axis - 1] < p.window[axis - 1]);
    }
    matches!(op, Op::Reshape { .. })
}

/// Axes that may not be cut are known by name, so that one that is forgotten is noticed.
#[test]
fn every_axis_can_be_cut_but_for_the_known_exceptions() {
    for (name, draw) in PRIMITIVES {
        for seed in 0..60 {
            let primitive = draw(&mut Choices::new(seed), DType::F32);
            let types: Vec<&Type> = primitive.args.iter().map(|(ty, _)| ty).collect();
            let result = primitive.op.infer(&types).expect("drawn operands fit");
            let cuts = (rules(&primitive.op).cuts)(&primitive.op, &types, &result);
            for axis in 0..result.rank() {
                let exception = whole_by_intent(&primitive.op, axis, result.rank());
                let can = cuts.iter().any(|cut| matches!(cut.join, Join::Along { axis: a, .. } if a == axis));
                assert!(can || exception, "{name}, seed {seed}: axis {axis} of {primitive:?}");
            }
        }
    }
}

#[test]
fn a_reshape_keeps_leading_axes_whole() {
    use strata::types::Axis;
    let ty = |sizes: &[u64]| Type::new(DType::F32, sizes.iter().map(|n| Axis::sized(*n)).collect());
    let (from, to) = (ty(&[5, 8, 8, 64]), ty(&[5, 4096]));
    let op = Op::Reshape { axes: to.axes.clone() };
    let cuts = (rules(&op).cuts)(&op, &[&from], &to);
    assert_eq!(cuts[0].join, Join::Along { axis: 0, unit: 1 });
    assert_eq!(cuts[1].join, Join::Along { axis: 1, unit: 512 });
    assert_eq!((cuts[0].extent, cuts[1].extent), (5, 8));
}
