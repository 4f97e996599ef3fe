//! Shape rules: what they infer is what evaluation gives; names travel; misfits are named.

use strata::cost;
use strata::ops::{Binary, Convolution, Op, Problem, Reduction, Unary};
use strata::reference::evaluate;
use strata::types::{Axis, DType, FreeId, Size, Type};
use strata_tests::primitives::{PRIMITIVES, graph_of};
use strata_tests::random::Choices;

#[test]
fn evaluation_gives_the_inferred_shape() {
    for (name, draw) in PRIMITIVES {
        for seed in 0..120 {
            let mut choices = Choices::new(seed);
            let primitive = draw(&mut choices, DType::F32);
            let (graph, value, environment) = graph_of(&primitive, &mut choices);
            let ty = graph.ty(value);
            let y = &evaluate(&graph, &environment)[value.0 as usize];
            assert_eq!(y.shape, ty.dims(), "{name}, seed {seed}");
            assert_eq!(y.data.len(), ty.elements(), "{name}, seed {seed}");
            if !ty.dtype.is_float() {
                assert!(y.data.iter().all(|x| x.fract() == 0.0), "{name}, seed {seed}: {y:?} is not whole");
            }
        }
    }
}

#[test]
fn cost_counts_what_is_written_and_every_product() {
    for (name, draw) in PRIMITIVES {
        for seed in 0..60 {
            let mut choices = Choices::new(seed);
            let primitive = draw(&mut choices, DType::F32);
            let (graph, value, _) = graph_of(&primitive, &mut choices);
            let cost = cost::of_value(&graph, value);
            assert!(cost.written == 0 || cost.written == cost::bytes(graph.ty(value)), "{name}, seed {seed}");
        }
    }
    let ty = |sizes: &[u64]| Type::new(DType::F32, sizes.iter().map(|n| Axis::sized(*n)).collect());
    let (left, right) = (ty(&[6, 5]), ty(&[5, 7]));
    let op = Op::Contract { batch: vec![], sum: vec![(1, 0)] };
    let result = op.infer(&[&left, &right]).expect("a matrix product");
    let cost = (strata::ops::rules(&op).cost)(&op, &[&left, &right], &result);
    assert_eq!((cost.operations, cost.read, cost.written), (2 * 6 * 5 * 7, 4 * (30 + 35), 4 * 42));
}

fn f32s(axes: Vec<Axis>) -> Type {
    Type::new(DType::F32, axes)
}

fn free() -> Size {
    Size::Free(FreeId(0))
}

#[test]
fn a_name_travels_from_either_operand() {
    let named = f32s(vec![Axis::named("batch", free()), Axis::sized(3u64)]);
    let bare = f32s(vec![Axis::sized(free()), Axis::named("class", 3u64)]);
    for (a, b) in [(&named, &bare), (&bare, &named)] {
        let sum = Op::Binary(Binary::Add).infer(&[a, b]).expect("sizes agree");
        assert_eq!(sum.to_string(), "f32[batch, class = 3]");
    }
}

#[test]
fn two_names_of_one_size_do_not_fit() {
    let (a, b) = (f32s(vec![Axis::named("height", 4u64)]), f32s(vec![Axis::named("width", 4u64)]));
    let problem = Op::Binary(Binary::Mul).infer(&[&a, &b]);
    assert_eq!(problem, Err(Problem::Names { left: (0, 0), right: (1, 0) }));
}

#[test]
fn misfits_are_named() {
    let (three, four) = (f32s(vec![Axis::sized(3u64)]), f32s(vec![Axis::sized(4u64)]));
    let truth = three.with_dtype(DType::Bool);
    let add = Op::Binary(Binary::Add);
    assert_eq!(add.infer(&[&three, &four]), Err(Problem::Sizes { left: (0, 0), right: (1, 0) }));
    let scalar = Type::scalar(DType::F32);
    assert_eq!(add.infer(&[&three, &scalar]), Err(Problem::Rank { arg: 1, expected: 1 }));
    let float = Problem::Dtype { arg: 0, expected: "a float".into() };
    assert_eq!(Op::Unary(Unary::Exp).infer(&[&truth]), Err(float));
    let alike = Problem::Dtype { arg: 1, expected: "f32 like operand 0".into() };
    assert_eq!(add.infer(&[&three, &three.with_dtype(DType::F64)]), Err(alike));
}

#[test]
fn a_free_batch_passes_through_a_convolutional_net() {
    let x = f32s(vec![
        Axis::named("batch", free()),
        Axis::named("height", 8u64),
        Axis::named("width", 8u64),
        Axis::named("channel", 1u64),
    ]);
    let w =
        f32s(vec![Axis::sized(3u64), Axis::sized(3u64), Axis::sized(1u64), Axis::named("feature", 32u64)]);
    let same = Convolution { stride: vec![1, 1], dilation: vec![1, 1], padding: vec![(1, 1); 2], groups: 1 };
    let y = Op::Convolve(same).infer(&[&x, &w]).expect("fits");
    assert_eq!(y.to_string(), "f32[batch, height = 8, width = 8, feature = 32]");
    let axes = vec![Axis::named("batch", free()), Axis::sized(2048u64)];
    let flat = Op::Reshape { axes }.infer(&[&y]).expect("as many elements");
    let total = Op::Reduce { op: Reduction::Sum, axes: vec![1] }.infer(&[&flat]).expect("has that axis");
    assert_eq!(total.to_string(), "f32[batch]");
}

#[test]
fn a_reshape_compares_products_whatever_their_order() {
    let time = Size::Free(FreeId(1));
    let x = f32s(vec![Axis::sized(free()), Axis::sized(time.clone()), Axis::sized(6u64)]);
    let axes = vec![Axis::sized(2u64), Axis::sized(time.mul(&free())), Axis::sized(3u64)];
    assert!(Op::Reshape { axes }.infer(&[&x]).is_ok());
    let axes = vec![Axis::sized(time.mul(&time)), Axis::sized(6u64)];
    assert!(Op::Reshape { axes }.infer(&[&x]).is_err());
}

#[test]
fn sizes_that_cannot_be_counted_are_refused() {
    let huge = Type::scalar(DType::F32);
    let axes = vec![Axis::sized(u64::MAX / 2), Axis::sized(u64::MAX / 2), Axis::sized(0u64)];
    let problem = Op::Broadcast { axes, from: vec![] }.infer(&[&huge]).expect_err("2^126 elements");
    assert!(problem.to_string().contains("more than 2^48 elements"), "{problem}");
}

#[test]
fn a_window_larger_than_its_input_is_refused() {
    let x = f32s(vec![Axis::sized(free()), Axis::sized(2u64), Axis::sized(1u64)]);
    let w = f32s(vec![Axis::sized(5u64), Axis::sized(1u64), Axis::sized(1u64)]);
    let valid = Convolution { stride: vec![1], dilation: vec![1], padding: vec![(0, 0)], groups: 1 };
    assert!(Op::Convolve(valid).infer(&[&x, &w]).is_err());
}
