//! Passes keep the meaning of random graphs, and their promises.

use strata::graph::{Graph, OriginId, Output, ValueId};
use strata::model::Input;
use strata::ops::{Binary, InputId, Op, VariableId};
use strata::passes::differentiate::gradients;
use strata::passes::{PASSES, optimise};
use strata::reference::{Array, Environment, step};
use strata::types::{Axis, DType, Size, Type};
use strata::verify::verify;
use strata_grammar::Span;
use strata_tests::random_graph::random_graph;

fn assert_same(before: &Graph, after: &Graph, environment: &Environment, what: &str) {
    let (outputs, updates) = step(before, environment);
    let (found, changed) = step(after, environment);
    let names = |outputs: &[(String, Array)]| outputs.iter().map(|o| o.0.clone()).collect::<Vec<_>>();
    assert_eq!(names(&outputs), names(&found), "{what}");
    let pairs = outputs.iter().zip(&found).map(|(a, b)| (&a.1, &b.1)).chain(updates.iter().zip(&changed));
    for (a, b) in pairs {
        assert_eq!(a.shape, b.shape, "{what}");
        for (x, y) in a.data.iter().zip(&b.data) {
            // Folding rounds constants as a machine would.
            assert!((x - y).abs() <= 1e-5 * x.abs().max(1.0), "{what}: {x} became {y}");
        }
    }
}

#[test]
fn every_pass_keeps_what_random_graphs_mean() {
    for seed in 0..150 {
        let case = random_graph(seed, 25, DType::F32);
        verify(&case.graph).unwrap_or_else(|broken| panic!("random graph {seed}: {broken}"));
        let mut graph = case.graph.clone();
        for (name, pass) in PASSES {
            graph = pass(&graph);
            verify(&graph).unwrap_or_else(|broken| panic!("random graph {seed} after {name}: {broken}"));
            assert_same(&case.graph, &graph, &case.environment, &format!("random graph {seed} after {name}"));
        }
    }
}

#[test]
fn passes_keep_what_gradients_mean() {
    for seed in 0..60 {
        let mut case = random_graph(seed, 18, DType::F32);
        let scalars: Vec<ValueId> =
            case.smooth.iter().copied().filter(|v| case.graph.ty(*v).rank() == 0).collect();
        let Some(loss) = scalars.last() else { continue };
        let by: Vec<VariableId> = (0..case.environment.variables.len() as u32).map(VariableId).collect();
        for (i, value) in gradients(&mut case.graph, *loss, &by).into_iter().enumerate() {
            case.graph.outputs.push(Output { name: format!("d{i}"), value });
        }
        let optimised = optimise(case.graph.clone());
        verify(&optimised).unwrap_or_else(|broken| panic!("random graph {seed}: {broken}"));
        assert_same(&case.graph, &optimised, &case.environment, &format!("gradients of random graph {seed}"));
    }
}

#[test]
fn optimising_twice_changes_nothing() {
    for seed in 0..40 {
        let once = optimise(random_graph(seed, 25, DType::F32).graph);
        let twice = optimise(once.clone());
        assert!(
            twice.len() <= once.len(),
            "random graph {seed} grows from {} to {}",
            once.len(),
            twice.len()
        );
    }
}

#[test]
fn no_stop_and_no_unused_value_is_left() {
    for seed in 0..40 {
        let graph = optimise(random_graph(seed, 25, DType::F32).graph);
        assert!(graph.needed().into_iter().all(|needed| needed), "random graph {seed} has unused values");
        assert!(graph.values().all(|value| *graph.op(value) != Op::Stop), "random graph {seed} has a stop");
    }
}

/// What was split comes together without adding zeros, where the parts fill the whole and none lies over another.
#[test]
fn parts_side_by_side_are_joined() {
    const HERE: OriginId = OriginId(0);
    let cases: [(&[(u64, u64)], bool); 5] = [
        (&[(2, 5), (0, 2), (5, 6)], true),
        (&[(3, 6), (0, 3)], true),
        (&[(0, 2), (3, 6)], false),
        (&[(0, 4), (2, 6)], false),
        (&[(1, 3), (3, 6)], false),
    ];
    for (bounds, joins) in cases {
        let input = |(i, (start, end)): (usize, &(u64, u64))| Input {
            name: format!("x{i}"),
            ty: Type::new(DType::F32, vec![Axis::sized(3), Axis::sized(end - start)]),
            span: Span::default(),
        };
        let mut graph = Graph::new(bounds.iter().enumerate().map(input).collect(), [].into());
        let mut sum: Option<ValueId> = None;
        for (i, (start, end)) in bounds.iter().enumerate() {
            let x = graph.add(Op::Input(InputId(i as u32)), &[], HERE);
            let pad = Op::Pad { axis: 1, low: Size::Known(*start), high: Size::Known(6 - end) };
            let part = graph.add(pad, &[x], HERE);
            sum = Some(sum.map_or(part, |sum| graph.add(Op::Binary(Binary::Add), &[sum, part], HERE)));
        }
        graph.outputs.push(Output { name: "sum".into(), value: sum.expect("there are parts") });
        let optimised = optimise(graph.clone());
        let joined = optimised.values().any(|value| matches!(optimised.op(value), Op::Concat { .. }));
        assert_eq!(joined, joins, "{bounds:?}");
        let array = |(start, end): &(u64, u64)| {
            Array::from_fn(&[3, (end - start) as usize], |at| (10 * at[0] + at[1]) as f64 + *start as f64)
        };
        let inputs = bounds.iter().map(array).collect();
        assert_same(&graph, &optimised, &Environment { inputs, ..Environment::default() }, "parts");
    }
}
