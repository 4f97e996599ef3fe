//! Orders and running sums along long lines, with equals and numbers that are no ordinary ones.

use strata::graph::{Graph, OriginId, Output};
use strata::lower::LowerOptions;
use strata::model::Input;
use strata::ops::{InputId, Op};
use strata::reference::{Array, Environment};
use strata::types::{Axis, DType, Size, Type};
use strata_grammar::Span;

use crate::machine::{agree, array, expected, run};
use crate::primitives::same_bits;

/// What an operator gives of an input, which is what the reference says of it, on any number of threads.
fn check(op: Op, dtype: DType, x: &Array) -> Array {
    let ty = Type::new(dtype, x.shape.iter().map(|n| Axis::sized(*n as u64)).collect());
    let input = Input { name: "x".into(), ty, span: Span::default() };
    let mut graph = Graph::new([input].into(), [].into());
    let leaf = graph.add(Op::Input(InputId(0)), &[], OriginId(0));
    let value = graph.add(op, &[leaf], OriginId(0));
    graph.outputs.push(Output { name: "y".into(), value });
    let environment = Environment { inputs: vec![x.clone()], ..Environment::default() };
    let one = run(&graph, &environment, &LowerOptions::default(), 1);
    agree(graph.op(value).name(), &one, &expected(&graph, &environment), 1e-4);
    for threads in [2, 3] {
        assert!(same_bits(&one, &run(&graph, &environment, &LowerOptions::default(), threads)));
    }
    array(&one.tensors[0].1)
}

fn order(axis: usize, descending: bool, count: u64) -> Op {
    Op::Order { axis, descending, count: Size::Known(count) }
}

#[test]
fn a_nan_is_largest_and_equals_keep_their_order() {
    let odd = [f64::NAN, 0.0, f64::INFINITY, -0.0, -1.0, f64::NEG_INFINITY, f64::NAN, 2.0, 0.0];
    for dtype in [DType::F32, DType::F64, DType::Bf16, DType::F16] {
        let x = Array::new(&[9], odd.to_vec());
        assert_eq!(check(order(0, false, 9), dtype, &x).data, [5.0, 4.0, 1.0, 3.0, 8.0, 7.0, 2.0, 0.0, 6.0]);
        assert_eq!(check(order(0, true, 9), dtype, &x).data, [0.0, 6.0, 2.0, 7.0, 1.0, 3.0, 8.0, 4.0, 5.0]);
        assert_eq!(check(order(0, true, 4), dtype, &x).data, [0.0, 6.0, 2.0, 7.0]);
    }
    let whole = Array::new(&[5], vec![-3.0, 7.0, -3.0, f64::from(i32::MIN), f64::from(i32::MAX)]);
    assert_eq!(check(order(0, false, 5), DType::I32, &whole).data, [3.0, 0.0, 2.0, 1.0, 4.0]);
    assert_eq!(check(order(0, false, 5), DType::I64, &whole).data, [3.0, 0.0, 2.0, 1.0, 4.0]);
}

#[test]
fn long_lines_along_any_axis() {
    let numbers = |at: &[usize]| ((at[0] * 7919 + at[1] * 104_729) % 611) as f64 - 300.0;
    for (axis, shape) in [(0, [3000, 5]), (1, [5, 3000]), (0, [40, 70])] {
        let x = Array::from_fn(&shape, numbers);
        let size = shape[axis] as u64;
        for count in [size, size / 3, 1] {
            check(order(axis, true, count), DType::F32, &x);
            check(order(axis, false, count), DType::I32, &x);
        }
        for (exclusive, reverse) in [(false, false), (true, false), (false, true), (true, true)] {
            let sums = Op::Cumulate { axis, exclusive, reverse };
            check(sums.clone(), DType::I32, &x);
            check(sums, DType::F64, &x);
        }
    }
}

/// A chain of single sums, whatever happens beside it.
#[test]
fn a_running_sum_rounds_once_an_element() {
    let x = Array::from_fn(&[3, 400, 40], |at| f64::from((at[0] + at[1] * 3 + at[2]) as f32 * 0.1));
    let found = check(Op::Cumulate { axis: 1, exclusive: false, reverse: false }, DType::F32, &x);
    for (outer, inner) in [(0, 0), (1, 31), (2, 39)] {
        let mut sum = 0.0f32;
        for place in 0..400 {
            sum += x.at(&[outer, place, inner]) as f32;
            assert_eq!(found.at(&[outer, place, inner]), f64::from(sum));
        }
    }
}
