//! Windows and products with more channels and columns than fit the strips of the plain kernels.

use strata::graph::ValueId;
use strata::lower::LowerOptions;
use strata::ops::{Convolution, Op, Pooling, Reduction};
use strata::reference::Environment;
use strata::types::{Axis, DType, Type};
use strata_tests::primitives::{Domain, Primitive, graph_of};
use strata_tests::random::Choices;

use crate::machine::{agree, expected, run};
use crate::primitives::same_bits;

fn ty(dtype: DType, sizes: &[u64]) -> Type {
    Type::new(dtype, sizes.iter().map(|n| Axis::sized(*n)).collect())
}

/// A primitive gives what the reference says, and the same bits on any number of threads.
fn check(what: &str, op: Op, args: Vec<Type>, tolerance: f64) {
    let args = args.into_iter().map(|ty| (ty, Domain::Any)).collect();
    let (graph, _, environment): (_, ValueId, Environment) =
        graph_of(&Primitive { op, args }, &mut Choices::new(5));
    let one = run(&graph, &environment, &LowerOptions::default(), 1);
    agree(what, &one, &expected(&graph, &environment), tolerance);
    for threads in [2, 3] {
        let more = run(&graph, &environment, &LowerOptions::default(), threads);
        assert!(same_bits(&one, &more), "{what} with {threads} threads");
    }
}

#[test]
fn convolutions_of_many_channels() {
    for (dtype, groups, ci, co, spatial) in [
        (DType::F64, 1, 300, 70, vec![4, 3]),
        (DType::F64, 2, 66, 80, vec![5]),
        (DType::F64, 40, 40, 40, vec![4, 4]),
        (DType::F32, 1, 35, 33, vec![3, 4, 3]),
        (DType::F32, 3, 36, 99, vec![3, 3, 3]),
    ] {
        let axes = spatial.len();
        let c = Convolution {
            stride: (0..axes).map(|i| 1 + (i as u64 % 2)).collect(),
            dilation: vec![1; axes],
            padding: vec![(1, 0); axes],
            groups,
        };
        let x = ty(dtype, &[&[3], &spatial[..], &[ci]].concat());
        let w = ty(dtype, &[&vec![2; axes][..], &[ci / groups, co]].concat());
        let y = Op::Convolve(c.clone()).infer(&[&x, &w]).expect("the kernel fits");
        let tolerance = if dtype == DType::F64 { 1e-12 } else { 1e-4 };
        let what = format!("{dtype}, {groups} groups of {ci} to {co}");
        check(&what, Op::Convolve(c.clone()), vec![x.clone(), w.clone()], tolerance);
        let back = Op::ConvolveInput(c.clone(), x.axes.clone());
        check(&format!("{what}, by the input"), back, vec![y.clone(), w.clone()], tolerance);
        let kernel = Op::ConvolveKernel(c, w.axes.clone());
        check(&format!("{what}, by the kernel"), kernel, vec![x, y], tolerance);
    }
}

#[test]
fn poolings_of_three_axes_and_many_channels() {
    for op in [Reduction::Sum, Reduction::Max] {
        let pooling = Pooling {
            op,
            window: vec![2, 3, 2],
            stride: vec![2, 1, 2],
            padding: vec![(0, 0), (1, 1), (0, 1)],
        };
        let x = ty(DType::F32, &[3, 4, 5, 4, 37]);
        let y = Op::Pool(pooling.clone()).infer(&[&x]).expect("the window fits");
        check("pooling", Op::Pool(pooling.clone()), vec![x.clone()], 1e-6);
        check("pooling, by the input", Op::PoolInput(pooling), vec![x, y], 1e-6);
    }
}

#[test]
fn products_of_doubles_in_long_rows() {
    for (m, k, n) in [(3, 700, 70), (65, 40, 1), (1, 300, 33), (20, 1, 64)] {
        let op = Op::Contract { batch: vec![], sum: vec![(1, 0)] };
        check(&format!("{m} x {k} x {n}"), op, vec![ty(DType::F64, &[m, k]), ty(DType::F64, &[k, n])], 1e-12);
        let turned = Op::Contract { batch: vec![], sum: vec![(0, 1)] };
        check(
            &format!("{m} x {k} x {n}, turned"),
            turned,
            vec![ty(DType::F64, &[k, m]), ty(DType::F64, &[n, k])],
            1e-12,
        );
    }
}
