//! Slices picked and added up by position: many for one row, and positions that lie outside.

use std::sync::Arc;

use strata::graph::{Graph, OriginId, Output};
use strata::lower::LowerOptions;
use strata::model::Input;
use strata::ops::{InputId, Op};
use strata::reference::{Array, Environment};
use strata::types::{Axis, DType, Type};
use strata_grammar::Span;
use strata_runtime::faults::BadIndex;
use strata_runtime::session::SessionError;

use crate::machine::{agree, array, expected, run, try_run};
use crate::primitives::same_bits;

/// The graph of one operator over inputs of these types.
fn graph(op: Op, types: &[Type]) -> Graph {
    let input =
        |(i, ty): (usize, &Type)| Input { name: format!("x{i}"), ty: ty.clone(), span: Span::default() };
    let inputs: Arc<[Input]> = types.iter().enumerate().map(input).collect();
    let mut graph = Graph::new(inputs, Arc::new([]));
    let args: Vec<_> =
        (0..types.len()).map(|i| graph.add(Op::Input(InputId(i as u32)), &[], OriginId(0))).collect();
    let value = graph.add(op, &args, OriginId(7));
    graph.outputs.push(Output { name: "y".into(), value });
    graph
}

fn ty(dtype: DType, sizes: &[usize]) -> Type {
    Type::new(dtype, sizes.iter().map(|n| Axis::sized(*n as u64)).collect())
}

fn environment(inputs: Vec<Array>) -> Environment {
    Environment { inputs, ..Environment::default() }
}

/// Numbers whose sum depends on the order in which they are added.
fn rough(index: usize) -> f32 {
    let scattered = (index * 7919 + 13) % 1009;
    (scattered as f32 - 500.0) * 1.37e-2 * if scattered.is_multiple_of(5) { 1e4 } else { 1.0 }
}

#[test]
fn sums_of_many_slices_follow_the_order_on_the_page() {
    let (picks, rows, width) = (2000, 6, 67);
    let positions = Array::from_fn(&[picks], |at| ((at[0] * at[0] / 3) % rows) as f64);
    let dy = Array::from_fn(&[picks, width], |at| f64::from(rough(at[0] * width + at[1])));
    let axes = ty(DType::F32, &[rows, width]).axes;
    let op = Op::ScatterAdd { axis: 0, batch: 0, axes };
    let graph = graph(op, &[ty(DType::I32, &[picks]), ty(DType::F32, &[picks, width])]);
    let environment = environment(vec![positions.clone(), dy.clone()]);
    let one = run(&graph, &environment, &LowerOptions::default(), 1);
    agree("sums of slices", &one, &expected(&graph, &environment), 1e-4);
    for threads in [2, 3, 4] {
        let more = run(&graph, &environment, &LowerOptions::default(), threads);
        assert!(same_bits(&one, &more), "{threads} threads");
    }
    let found = array(&one.tensors[0].1);
    for row in 0..rows {
        for column in 0..width {
            let mut total = 0.0f32;
            for block in (0..picks).step_by(256) {
                let mut sum = 0.0f32;
                for pick in (block..picks.min(block + 256)).filter(|p| positions.data[*p] == row as f64) {
                    sum += dy.at(&[pick, column]) as f32;
                }
                total += sum;
            }
            assert_eq!(found.at(&[row, column]), f64::from(total), "row {row}, column {column}");
        }
    }
}

/// What a step says of positions.
fn said(graph: &Graph, environment: &Environment, threads: usize) -> BadIndex {
    match try_run(graph, environment, &LowerOptions::default(), threads) {
        Err(SessionError::Index(bad)) => bad,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_first_position_outside_is_told() {
    let x = Array::from_fn(&[3, 4, 2], |at| at[1] as f64);
    for (dtype, wrong) in [(DType::I32, -1.0), (DType::I32, 4.0), (DType::I64, 1e15), (DType::U8, 200.0)] {
        for first in [0usize, 17, 29] {
            let number = |at: &[usize]| if at[0] * 10 + at[1] >= first { wrong } else { 3.0 };
            let positions = Array::from_fn(&[3, 10], number);
            let graph =
                graph(Op::Gather { axis: 1, batch: 1 }, &[ty(DType::F32, &[3, 4, 2]), ty(dtype, &[3, 10])]);
            let environment = environment(vec![x.clone(), positions]);
            for threads in [1, 2, 3] {
                let at = vec![first as u64 / 10, first as u64 % 10];
                let bad = BadIndex { origin: 7, at, found: wrong as i64, size: 4 };
                assert_eq!(said(&graph, &environment, threads), bad);
            }
        }
    }
}

#[test]
fn a_sum_has_no_place_for_a_position_outside() {
    let axes = ty(DType::F32, &[5]).axes;
    let op = Op::ScatterAdd { axis: 0, batch: 0, axes };
    let graph = graph(op, &[ty(DType::I64, &[3]), ty(DType::F32, &[3])]);
    let inputs = vec![Array::new(&[3], vec![0.0, 5.0, -9.0]), Array::filled(&[3], 1.0)];
    let environment = environment(inputs);
    for threads in [1, 2, 3] {
        let bad = BadIndex { origin: 7, at: vec![1], found: 5, size: 5 };
        assert_eq!(said(&graph, &environment, threads), bad);
    }
}

#[test]
fn nothing_can_be_picked_from_nothing() {
    let op = Op::Gather { axis: 0, batch: 0 };
    let graph = graph(op, &[ty(DType::F32, &[0, 2]), ty(DType::I32, &[1])]);
    let environment = environment(vec![Array::new(&[0, 2], vec![]), Array::filled(&[1], 0.0)]);
    assert_eq!(said(&graph, &environment, 1).size, 0);
}
