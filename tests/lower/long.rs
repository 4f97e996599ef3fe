//! Tensors longer than strips, rows and runs, and numbers that are no ordinary ones.

use std::sync::Arc;

use strata::graph::{Graph, OriginId, Output, ValueId};
use strata::lower::LowerOptions;
use strata::model::Input;
use strata::ops::{Binary, InputId, Op, Reduction, Scalar, Unary};
use strata::reference::{Array, Environment};
use strata::types::{Axis, DType, Type};
use strata_grammar::Span;

use crate::machine::{agree, expected, run};
use crate::primitives::same_bits;

/// A graph over one input, whose numbers are given by their index.
struct Case {
    graph: Graph,
    x: ValueId,
    environment: Environment,
}

fn case(dtype: DType, shape: &[usize], number: impl Fn(usize) -> f64) -> Case {
    let axes = shape.iter().map(|n| Axis::sized(*n as u64)).collect();
    let span = Span::new(strata_grammar::FileId(0), 0, 0);
    let input = Input { name: "x".to_string(), ty: Type::new(dtype, axes), span };
    let mut graph = Graph::new(Arc::new([input]), Arc::new([]));
    let x = graph.add(Op::Input(InputId(0)), &[], OriginId(0));
    let data = (0..shape.iter().product()).map(number).collect();
    let environment =
        Environment { inputs: vec![Array::new(shape, data)], seed: 1, step: 2, ..Environment::default() };
    Case { graph, x, environment }
}

impl Case {
    fn add(&mut self, op: Op, args: &[ValueId]) -> ValueId {
        self.graph.add(op, args, OriginId(0))
    }

    fn reduce(&mut self, op: Reduction, of: ValueId, axes: &[usize]) -> ValueId {
        self.add(Op::Reduce { op, axes: axes.to_vec() }, &[of])
    }

    /// `of` again along `axes` of the shape of `like`.
    fn along(&mut self, of: ValueId, like: ValueId, axes: &[usize]) -> ValueId {
        let wide = self.graph.ty(like).axes.clone();
        let from = (0..wide.len()).filter(|axis| !axes.contains(axis)).collect();
        self.add(Op::Broadcast { axes: wide, from }, &[of])
    }

    fn output(&mut self, value: ValueId) {
        let name = format!("y{}", self.graph.outputs.len());
        self.graph.outputs.push(Output { name, value });
    }

    /// Reference, unfused and fused agree, the latter two and all numbers of threads to the bit.
    fn check(&self, what: &str, tolerance: f64) {
        let wanted = expected(&self.graph, &self.environment);
        let fused = run(&self.graph, &self.environment, &LowerOptions::default(), 1);
        agree(what, &fused, &wanted, tolerance);
        let plain = LowerOptions { fuse: false, ..LowerOptions::default() };
        for (options, threads) in [(plain, 2), (LowerOptions::default(), 2), (LowerOptions::default(), 3)] {
            let other = run(&self.graph, &self.environment, &options, threads);
            assert!(same_bits(&fused, &other), "{what}: {options:?} on {threads} threads");
        }
    }
}

fn wave(i: usize) -> f64 {
    f64::from(((i * 37 + 11) % 101) as f32 / 64.0 - 0.75)
}

#[test]
fn sums_over_any_axes_of_long_tensors() {
    for (shape, axes) in [
        (vec![3, 1500], vec![1]),
        (vec![150, 700], vec![0]),
        (vec![150, 700], vec![0, 1]),
        (vec![5, 130, 33], vec![0, 2]),
        (vec![5, 130, 33], vec![1]),
        (vec![5, 130, 33], vec![0, 1]),
        (vec![2, 70, 3, 40], vec![0, 2]),
        (vec![70, 2, 3, 600], vec![0, 1, 3]),
        (vec![20_000], vec![0]),
        (vec![1, 700, 1], vec![0, 2]),
    ] {
        for op in [Reduction::Sum, Reduction::Max, Reduction::Min] {
            let mut case = case(DType::F32, &shape, wave);
            let plain = case.reduce(op, case.x, &axes);
            let exp = case.add(Op::Unary(Unary::Exp), &[case.x]);
            let product = case.add(Op::Binary(Binary::Mul), &[exp, case.x]);
            let deep = case.reduce(op, product, &axes);
            let (y, z) = (case.along(deep, case.x, &axes), case.x);
            let both = case.add(Op::Binary(Binary::Sub), &[z, y]);
            for value in [plain, exp, deep, both] {
                case.output(value);
            }
            case.check(&format!("{op:?} of {shape:?} over {axes:?}"), 1e-5);
        }
    }
}

#[test]
fn sums_of_whole_numbers_are_exact() {
    for dtype in [DType::I32, DType::I64, DType::U8] {
        let mut case = case(dtype, &[150, 70], |i| (i % 3) as f64);
        for axes in [vec![0], vec![1]] {
            for op in [Reduction::Sum, Reduction::Max, Reduction::Min] {
                let value = case.reduce(op, case.x, &axes);
                if dtype != DType::U8 || op != Reduction::Sum {
                    case.output(value);
                }
            }
        }
        case.check(&format!("{dtype}"), 0.0);
    }
}

#[test]
fn several_vector_functions_one_after_the_other() {
    let mut case = case(DType::F32, &[3, 1111], wave);
    let tanh = case.add(Op::Unary(Unary::Tanh), &[case.x]);
    let exp = case.add(Op::Unary(Unary::Exp), &[tanh]);
    let sum = case.add(Op::Binary(Binary::Add), &[exp, case.x]);
    let erf = case.add(Op::Unary(Unary::Erf), &[sum]);
    let mixed = case.add(Op::Binary(Binary::Mul), &[erf, tanh]);
    let seed = case.add(Op::Seed, &[]);
    let step = case.add(Op::Step, &[]);
    let axes = case.graph.ty(case.x).axes.clone();
    let random = case.add(Op::Random { stream: 5, axes }, &[seed, step]);
    let power = case.add(Op::Unary(Unary::Abs), &[mixed]);
    let power = case.add(Op::Binary(Binary::Pow), &[power, random]);
    let order = vec![1, 0];
    let turned = case.add(Op::Transpose { order }, &[power]);
    let sum = case.reduce(Reduction::Sum, turned, &[0]);
    for value in [power, turned, sum] {
        case.output(value);
    }
    case.check("functions", 1e-4);
}

#[test]
fn softmax_over_the_last_axis() {
    for shape in [[4, 10], [3, 1000]] {
        let mut case = case(DType::F32, &shape, |i| 8.0 * wave(i));
        let most = case.reduce(Reduction::Max, case.x, &[1]);
        let most = case.along(most, case.x, &[1]);
        let moved = case.add(Op::Binary(Binary::Sub), &[case.x, most]);
        let exp = case.add(Op::Unary(Unary::Exp), &[moved]);
        let sum = case.reduce(Reduction::Sum, exp, &[1]);
        let log = case.add(Op::Unary(Unary::Log), &[sum]);
        let sum = case.along(sum, case.x, &[1]);
        let share = case.add(Op::Binary(Binary::Div), &[exp, sum]);
        for value in [share, log] {
            case.output(value);
        }
        case.check(&format!("softmax of {shape:?}"), 1e-6);
    }
}

#[test]
fn numbers_that_are_not_finite() {
    let odd = [0.0, -0.0, 1.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 3.5, -2.5];
    let mut case = case(DType::F32, &[odd.len(), odd.len()], |i| odd[i % odd.len()]);
    let turned = case.add(Op::Transpose { order: vec![1, 0] }, &[case.x]);
    for op in [
        Binary::Max,
        Binary::Min,
        Binary::Add,
        Binary::Mul,
        Binary::Div,
        Binary::Rem,
        Binary::Equal,
        Binary::Less,
        Binary::LessEqual,
    ] {
        let value = case.add(Op::Binary(op), &[case.x, turned]);
        case.output(value);
    }
    for op in [Unary::Sign, Unary::Abs, Unary::Neg, Unary::Floor, Unary::Exp] {
        let value = case.add(Op::Unary(op), &[case.x]);
        case.output(value);
    }
    for axis in [0, 1] {
        for op in [Reduction::Max, Reduction::Min, Reduction::Sum] {
            let value = case.reduce(op, case.x, &[axis]);
            case.output(value);
        }
        let value = case.add(Op::ArgMax { axis }, &[case.x]);
        case.output(value);
    }
    let zero = case.graph.filled(0.0, &case.graph.ty(case.x).clone(), OriginId(0));
    let relu = case.add(Op::Binary(Binary::Max), &[case.x, zero]);
    let some = case.add(Op::Cast(DType::Bool), &[case.x]);
    let chosen = case.add(Op::Select, &[some, relu, turned]);
    for value in [relu, some, chosen] {
        case.output(value);
    }
    case.check("odd numbers", 1e-6);
}

#[test]
fn whole_numbers_divide_toward_zero_and_by_zero_give_zero() {
    for dtype in [DType::I32, DType::I64, DType::U8] {
        let least = if dtype == DType::I32 { f64::from(i32::MIN) } else { 0.0 };
        let numbers = [7.0, 0.0, 3.0, 1.0, 2.0, if dtype == DType::U8 { 200.0 } else { -7.0 }, least];
        let mut case = case(dtype, &[numbers.len(), numbers.len()], |i| numbers[i % numbers.len()]);
        let turned = case.add(Op::Transpose { order: vec![1, 0] }, &[case.x]);
        for op in [Binary::Div, Binary::Rem, Binary::Max, Binary::Less] {
            let value = case.add(Op::Binary(op), &[case.x, turned]);
            case.output(value);
        }
        let sign = case.add(Op::Unary(Unary::Sign), &[case.x]);
        case.output(sign);
        case.check(&format!("{dtype}"), 0.0);
    }
}

#[test]
fn numbers_alone_can_be_outputs() {
    let mut case = case(DType::F32, &[2], wave);
    let number = case.add(Op::Constant(Scalar::new(2.5), DType::F32), &[]);
    let step = case.add(Op::Step, &[]);
    let x = case.x;
    for value in [number, step, x] {
        case.output(value);
    }
    case.check("leaves", 0.0);
}
