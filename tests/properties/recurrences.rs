//! What leaves the loop of a recurrence, and that nothing changes by it.

use strata::graph::{Graph, OriginId, Output, ValueId};
use strata::ops::{Binary, Op, Reduction, Unary, VariableId};
use strata::passes::differentiate::gradients;
use strata::passes::optimise;
use strata::reference::step;
use strata_tests::recurrences::{Recurrence, lstm, recurrence};

/// The recurrence with the gradients of a function of all its results as outputs too, or of those that `which`.
fn with_gradients(case: &Recurrence, which: impl Fn(usize) -> bool) -> Graph {
    let mut graph = case.graph.clone();
    let origin = OriginId(0);
    let mut loss = graph.filled(0.0, &strata::types::Type::scalar(strata::types::DType::F32), origin);
    for (_, result) in case.results.iter().enumerate().filter(|(i, _)| which(*i)) {
        if graph.ty(*result).dtype.is_float() {
            let wave = graph.add(Op::Unary(Unary::Sin), &[*result], origin);
            let axes = (0..graph.ty(wave).rank()).collect();
            let sum = graph.add(Op::Reduce { op: Reduction::Sum, axes }, &[wave], origin);
            loss = graph.add(Op::Binary(Binary::Add), &[loss, sum], origin);
        }
    }
    let by: Vec<VariableId> = (0..case.environment.variables.len() as u32).map(VariableId).collect();
    for (i, value) in gradients(&mut graph, loss, &by).into_iter().enumerate() {
        graph.outputs.push(Output { name: format!("d{i}"), value });
    }
    graph
}

fn assert_same(graph: &Graph, other: &Graph, case: &Recurrence, what: &str) {
    let (before, after) = (step(graph, &case.environment).0, step(other, &case.environment).0);
    for ((name, a), (_, b)) in before.iter().zip(&after) {
        assert_eq!(a.shape, b.shape, "{what}: {name}");
        for (x, y) in a.data.iter().zip(&b.data) {
            assert!(
                (x - y).abs() <= 1e-9 * x.abs().max(1.0),
                "{what}: {name} is {y} instead of {x}\n{other}"
            );
        }
    }
}

#[test]
fn what_leaves_the_loop_changes_no_number() {
    for seed in 0..300 {
        let case = recurrence(seed);
        assert_same(&case.graph, &optimise(case.graph.clone()), &case, &format!("seed {seed}"));
        for part in 0..3 {
            // Now and then only some of the results are wanted.
            let mut graph = with_gradients(&case, |i| part == 0 || i % 3 == part);
            if part == 1 {
                graph.outputs.retain(|output| output.name.starts_with('d'));
            }
            assert_same(&graph, &optimise(graph.clone()), &case, &format!("seed {seed}, part {part}"));
        }
    }
}

/// The operators of a graph outside and inside its loops, as (products outside, products inside, loops).
fn products(graph: &Graph) -> (usize, usize, usize) {
    let is_product = |graph: &Graph, v: &ValueId| matches!(graph.op(*v), Op::Contract { .. });
    let outside = graph.values().filter(|v| is_product(graph, v)).count();
    let mut loops = Vec::new();
    for value in graph.values() {
        if let Op::Scan { scan, .. } = graph.op(value)
            && !loops.contains(scan)
        {
            loops.push(scan.clone());
        }
    }
    let inside =
        |scan: &strata::ops::scan::Shared| scan.body.values().filter(|v| is_product(&scan.body, v)).count();
    (outside, loops.iter().map(inside).sum(), loops.len())
}

/// The sequence's products are done at once; the loop keeps the one that needs the state.
#[test]
fn an_lstm_keeps_one_product_a_direction_in_its_loop() {
    let case = lstm(4, 3, 5, 6);
    let forward = optimise(case.graph.clone());
    assert_eq!(products(&forward), (1, 1, 1), "{forward}");
    let mut graph = with_gradients(&case, |_| true);
    graph.outputs.retain(|output| output.name.starts_with('d'));
    let training = optimise(graph);
    // Outside: x w, and the gradients by x, w and u; inside: h u, and the gradient by h.
    assert_eq!(products(&training), (4, 2, 2), "{training}");
    // The weights' gradients are sums over turns and examples at once.
    let both = |v: &ValueId| matches!(training.op(*v), Op::Contract { sum, .. } if sum.len() == 2);
    assert_eq!(training.values().filter(both).count(), 2, "{training}");
}
