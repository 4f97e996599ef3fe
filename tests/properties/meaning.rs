//! What each primitive means: the examples of its page, worked out by hand.

use strata::ops::{ALL, Binary, Convolution, Op, Pooling, Reduction, Scalar, Unary, rules};
use strata::reference::{Array, apply};
use strata::types::{Axis, DType, Size, Type};

/// Elements of any depth of nesting: `[[1, 2], [3, 4]]` is a shape and numbers.
fn array(shape: &[usize], data: &[f64]) -> Array {
    Array::new(shape, data.to_vec())
}

fn ty(dtype: DType, array: &Array) -> Type {
    Type::new(dtype, axes(&array.shape))
}

fn axes(shape: &[usize]) -> Vec<Axis> {
    shape.iter().map(|size| Axis::sized(*size as u64)).collect()
}

/// That `op(args)` is `expected`, and that the primitive's page shows this very result.
fn assert_example(op: Op, args: &[(DType, Array)], expected: Array, shown: &str) {
    let types: Vec<Type> = args.iter().map(|(dtype, array)| ty(*dtype, array)).collect();
    let result = op.infer(&types.iter().collect::<Vec<_>>()).expect("the example fits");
    let found = apply(&op, &args.iter().map(|(_, array)| array).collect::<Vec<_>>(), &result);
    assert_eq!(found, expected, "{op:?}");
    let page = rules(&op).page;
    assert!(page.contains(shown), "the page of {} does not show {shown}", rules(&op).name);
}

fn floats(args: &[Array]) -> Vec<(DType, Array)> {
    args.iter().map(|array| (DType::F32, array.clone())).collect()
}

/// Along one spatial axis, without padding.
fn one_axis() -> Convolution {
    Convolution { stride: vec![1], dilation: vec![1], padding: vec![(0, 0)], groups: 1 }
}

fn pairs(op: Reduction) -> Pooling {
    Pooling { op, window: vec![2], stride: vec![2], padding: vec![(0, 0)] }
}

#[test]
fn element_by_element() {
    let row = |data: &[f64]| array(&[data.len()], data);
    let abs = Op::Unary(Unary::Abs);
    assert_example(abs, &floats(&[row(&[-2.0, 0.0, 3.0])]), row(&[2.0, 0.0, 3.0]), "`[2, 0, 3]`");
    let max = Op::Binary(Binary::Max);
    assert_example(max, &floats(&[row(&[1.0, -2.0]), row(&[0.0, 0.0])]), row(&[1.0, 0.0]), "is `[1, 0]`");
    let cast = Op::Cast(DType::I32);
    assert_example(cast, &floats(&[row(&[1.9, -1.9])]), row(&[1.0, -1.0]), "`[1, -1]`");
    let condition = (DType::Bool, row(&[1.0, 0.0]));
    let sides = floats(&[row(&[1.0, 2.0]), row(&[3.0, 4.0])]);
    let args = [vec![condition], sides].concat();
    assert_example(Op::Select, &args, row(&[1.0, 4.0]), "`[1, 4]`");
    let args = floats(&[row(&[2.0])]);
    assert_example(Op::Stop, &args, row(&[2.0]), "same numbers");
}

#[test]
fn leaves() {
    assert_example(Op::Constant(Scalar::new(2.5), DType::F32), &[], array(&[], &[2.5]), "`2.5`");
    let index = Op::Index { axes: axes(&[2, 3]), axis: 1 };
    let expected = array(&[2, 3], &[0.0, 1.0, 2.0, 0.0, 1.0, 2.0]);
    assert_example(index, &[], expected, "`[[0, 1, 2], [0, 1, 2]]`");
}

/// The stream, seed and step decide, and nothing else: numbers that every version must draw alike.
#[test]
fn random_numbers_are_those_of_their_seed() {
    let draw = |seed: f64, step: f64, stream: u64| {
        let op = Op::Random { stream, axes: axes(&[2, 3]) };
        let args = [Array::number(seed), Array::number(step)];
        apply(&op, &args.iter().collect::<Vec<_>>(), &Type::new(DType::F32, axes(&[2, 3]))).data
    };
    let first = draw(1.0, 2.0, 3);
    assert_eq!(first, draw(1.0, 2.0, 3));
    assert!(first.iter().all(|x| (0.0..1.0).contains(x)));
    for other in [draw(2.0, 2.0, 3), draw(1.0, 3.0, 3), draw(1.0, 2.0, 4)] {
        assert!(first.iter().zip(&other).all(|(a, b)| a != b));
    }
}

#[test]
fn layout() {
    let broadcast = Op::Broadcast { axes: axes(&[2, 3]), from: vec![0] };
    let expected = array(&[2, 3], &[7.0, 7.0, 7.0, 8.0, 8.0, 8.0]);
    assert_example(broadcast, &floats(&[array(&[2], &[7.0, 8.0])]), expected, "`[[7, 7, 7], [8, 8, 8]]`");
    let square = array(&[2, 2], &[1.0, 2.0, 3.0, 4.0]);
    let transpose = Op::Transpose { order: vec![1, 0] };
    let expected = array(&[2, 2], &[1.0, 3.0, 2.0, 4.0]);
    assert_example(transpose, &floats(&[square]), expected, "`[[1, 3], [2, 4]]`");
    let six = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    let reshape = Op::Reshape { axes: axes(&[3, 2]) };
    assert_example(
        reshape,
        &floats(&[array(&[2, 3], &six)]),
        array(&[3, 2], &six),
        "`[[1, 2], [3, 4], [5, 6]]`",
    );
    let slice = Op::Slice { axis: 0, start: Size::Known(1), end: Size::Known(3) };
    let row = array(&[4], &[5.0, 6.0, 7.0, 8.0]);
    assert_example(slice, &floats(&[row]), array(&[2], &[6.0, 7.0]), "is `[6, 7]`");
    let pad = Op::Pad { axis: 0, low: Size::Known(1), high: Size::Known(2) };
    let expected = array(&[5], &[0.0, 5.0, 6.0, 0.0, 0.0]);
    assert_example(pad, &floats(&[array(&[2], &[5.0, 6.0])]), expected, "`[0, 5, 6, 0, 0]`");
    let table = (DType::F32, array(&[3, 2], &six));
    let rows = |data: &[f64]| (DType::I32, array(&[data.len()], data));
    let gather = Op::Gather { axis: 0, batch: 0 };
    let expected = array(&[3, 2], &[5.0, 6.0, 1.0, 2.0, 5.0, 6.0]);
    let shown = "`[[5, 6], [1, 2], [5, 6]]`";
    assert_example(gather, &[table.clone(), rows(&[2.0, 0.0, 2.0])], expected, shown);
    let scatter = Op::ScatterAdd { axis: 0, batch: 0, axes: axes(&[3, 2]) };
    let expected = array(&[3, 2], &[3.0, 4.0, 6.0, 8.0, 0.0, 0.0]);
    assert_example(scatter, &[rows(&[1.0, 0.0, 1.0]), table], expected, "`[[3, 4], [6, 8], [0, 0]]`");
    let parts = floats(&[array(&[2], &[1.0, 2.0]), array(&[1], &[3.0])]);
    assert_example(Op::Concat { axis: 0 }, &parts, array(&[3], &[1.0, 2.0, 3.0]), "is `[1, 2, 3]`");
}

#[test]
fn across_elements() {
    let square = array(&[2, 2], &[1.0, 2.0, 3.0, 4.0]);
    let sum = Op::Reduce { op: Reduction::Sum, axes: vec![1] };
    assert_example(sum, &floats(std::slice::from_ref(&square)), array(&[2], &[3.0, 7.0]), "is `[3, 7]`");
    let row = array(&[3], &[3.0, 9.0, 9.0]);
    assert_example(Op::ArgMax { axis: 0 }, &floats(&[row]), array(&[], &[1.0]), "is `1`");
    let row = array(&[4], &[3.0, 9.0, 1.0, 9.0]);
    let order = Op::Order { axis: 0, descending: true, count: Size::Known(2) };
    assert_example(order, &floats(&[row]), array(&[2], &[1.0, 3.0]), "is `[1, 3]`");
    let row = array(&[3], &[1.0, 2.0, 3.0]);
    for (exclusive, wanted, shown) in
        [(false, [1.0, 3.0, 6.0], "`[1, 3, 6]`"), (true, [0.0, 1.0, 3.0], "`[0, 1, 3]`")]
    {
        let sums = Op::Cumulate { axis: 0, exclusive, reverse: false };
        assert_example(sums, &floats(std::slice::from_ref(&row)), array(&[3], &wanted), shown);
    }
    let product = Op::Contract { batch: vec![], sum: vec![(1, 0)] };
    let right = array(&[2, 2], &[1.0, 0.0, 0.0, 2.0]);
    let expected = array(&[2, 2], &[1.0, 4.0, 3.0, 8.0]);
    assert_example(product, &floats(&[square, right]), expected, "`[[1, 4], [3, 8]]`");
    let none = array(&[0], &[]);
    let largest = Op::Reduce { op: Reduction::Max, axes: vec![0] };
    assert_example(largest, &floats(&[none]), array(&[], &[f64::NEG_INFINITY]), "-inf");
}

#[test]
fn windows() {
    let (x, w) = (array(&[1, 3, 1], &[1.0, 2.0, 3.0]), array(&[2, 1, 1], &[1.0, -1.0]));
    let dy = array(&[1, 2, 1], &[1.0, 2.0]);
    let args = floats(&[x.clone(), w.clone()]);
    assert_example(Op::Convolve(one_axis()), &args, array(&[1, 2, 1], &[-1.0, -1.0]), "`[-1, -1]`");
    let back = Op::ConvolveInput(one_axis(), axes(&[1, 3, 1]));
    let expected = array(&[1, 3, 1], &[1.0, 1.0, -2.0]);
    assert_example(back, &floats(&[dy.clone(), w]), expected, "`[1, 1, -2]`");
    let kernel = Op::ConvolveKernel(one_axis(), axes(&[2, 1, 1]));
    assert_example(kernel, &floats(&[x, dy]), array(&[2, 1, 1], &[5.0, 8.0]), "`[5, 8]`");
    let x = array(&[1, 4, 1], &[1.0, 3.0, 2.0, 0.0]);
    let expected = array(&[1, 2, 1], &[3.0, 2.0]);
    assert_example(Op::Pool(pairs(Reduction::Max)), &floats(&[x]), expected, "are `[3, 2]`");
    let (x, dy) = (array(&[1, 4, 1], &[1.0, 3.0, 2.0, 2.0]), array(&[1, 2, 1], &[5.0, 7.0]));
    let expected = array(&[1, 4, 1], &[0.0, 5.0, 7.0, 0.0]);
    assert_example(Op::PoolInput(pairs(Reduction::Max)), &floats(&[x, dy]), expected, "`[0, 5, 7, 0]`");
}

/// Two channels in, two groups, stride 2, dilation 2, padding on one side: worked out by hand.
#[test]
fn a_convolution_with_everything() {
    let c = Convolution { stride: vec![2], dilation: vec![2], padding: vec![(1, 0)], groups: 2 };
    // Channel 0 holds 1, 2, 3, 4, 5 and channel 1 ten times as much.
    let x = array(&[1, 5, 2], &[1.0, 10.0, 2.0, 20.0, 3.0, 30.0, 4.0, 40.0, 5.0, 50.0]);
    // Output channel 0 sees channel 0 with taps 1 and 2; output channel 1 sees channel 1 with taps 3 and 4.
    let w = array(&[2, 1, 2], &[1.0, 3.0, 2.0, 4.0]);
    let op = Op::Convolve(c);
    let types = [ty(DType::F32, &x), ty(DType::F32, &w)];
    let result = op.infer(&[&types[0], &types[1]]).expect("two groups of one channel");
    // Windows start at -1 and 1: taps at -1 and 1, then at 1 and 3.
    let expected = array(&[1, 2, 2], &[2.0 * 2.0, 4.0 * 20.0, 2.0 + 2.0 * 4.0, 3.0 * 20.0 + 4.0 * 40.0]);
    assert_eq!(apply(&op, &[&x, &w], &result), expected);
}

/// A running sum, forward and in reverse.
#[test]
fn a_recurrence_keeps_the_history_of_its_states() {
    use strata::graph::{Graph, OriginId, Output};
    use strata::model::Input;
    use strata::ops::InputId;
    use strata::ops::scan::{Scan, Shared};
    use strata_grammar::Span;
    let number = Type::scalar(DType::F32);
    let input = |name: &str| Input { name: name.into(), ty: number.clone(), span: Span::default() };
    let mut body = Graph::new([input("s"), input("x")].into(), [].into());
    let [s, x] = [0, 1].map(|i| body.add(Op::Input(InputId(i)), &[], OriginId(0)));
    let sum = body.add(Op::Binary(Binary::Add), &[s, x], OriginId(0));
    body.outputs.push(Output { name: "s".into(), value: sum });
    for (reverse, expected) in [(false, [0.0, 1.0, 3.0, 6.0]), (true, [6.0, 5.0, 3.0, 0.0])] {
        let axis = Axis::named("time", 3);
        let (states, sequences, body) = (1, 1, body.clone());
        let scan = Shared::new(Scan { body, states, sequences, axis, reverse, extends: None });
        let args = floats(&[Array::number(0.0), array(&[3], &[1.0, 2.0, 3.0])]);
        let shown = if reverse { "`[6, 5, 3, 0]`" } else { "`[0, 1, 3, 6]`" };
        assert_example(Op::Scan { scan, result: 0 }, &args, array(&[4], &expected), shown);
    }
}

#[test]
fn every_primitive_has_a_page_under_its_name() {
    for rules in ALL {
        assert!(rules.page.starts_with(&format!("# {}: ", rules.name)), "{}", rules.name);
        assert!(rules.page.contains("**Cuts.**"), "the page of {} does not say how it is cut", rules.name);
    }
}
