//! The gradient of every primitive, and of random graphs, against finite differences in `f64`.

use strata::graph::{Graph, OriginId, Output, ValueId};
use strata::ops::{Binary, Op, Reduction, VariableId};
use strata::passes::differentiate::gradients;
use strata::reference::{Array, Environment, evaluate};
use strata::types::{Axis, DType};
use strata_tests::primitives::{PRIMITIVES, graph_of};
use strata_tests::random::Choices;
use strata_tests::random_graph::random_graph;
use strata_tests::recurrences::recurrence;

/// Adds `sum(y * weights)`, the weights a function of the element's index.
fn loss(graph: &mut Graph, y: ValueId) -> ValueId {
    let origin = OriginId(0);
    let ty = graph.ty(y).clone();
    let mut weights = graph.filled(0.7, &ty, origin);
    for axis in 0..ty.rank() {
        let axes: Vec<Axis> = ty.axes.clone();
        let index = graph.add(Op::Index { axes, axis }, &[], origin);
        let index = graph.add(Op::Cast(ty.dtype), &[index], origin);
        let scale = graph.filled(0.31 + axis as f64, &ty, origin);
        let scaled = graph.add(Op::Binary(Binary::Mul), &[index, scale], origin);
        let wave = graph.add(Op::Unary(strata::ops::Unary::Sin), &[scaled], origin);
        weights = graph.add(Op::Binary(Binary::Add), &[weights, wave], origin);
    }
    let product = graph.add(Op::Binary(Binary::Mul), &[y, weights], origin);
    let axes = (0..ty.rank()).collect();
    graph.add(Op::Reduce { op: Reduction::Sum, axes }, &[product], origin)
}

/// Compares the gradient of `y` by every variable with differences of fourth order.
fn check(mut graph: Graph, y: ValueId, environment: &Environment, what: &str) {
    let loss = loss(&mut graph, y);
    graph.outputs = vec![Output { name: "loss".into(), value: loss }];
    let forward = graph.clone();
    let by: Vec<VariableId> = (0..environment.variables.len() as u32).map(VariableId).collect();
    let found = gradients(&mut graph, loss, &by);
    let values = evaluate(&graph, environment);
    let at = |variable: usize, element: usize, step: f64| -> f64 {
        let mut moved = environment.clone();
        moved.variables[variable].data[element] += step;
        evaluate(&forward, &moved)[loss.0 as usize].data[0]
    };
    for (variable, gradient) in found.iter().enumerate() {
        let analytic: &Array = &values[gradient.0 as usize];
        assert_eq!(
            analytic.shape, environment.variables[variable].shape,
            "{what}: shape of gradient {variable}"
        );
        let count = analytic.data.len();
        // Of large operands every few elements.
        for element in (0..count).step_by(count.div_ceil(40).max(1)) {
            let h = 1e-3;
            let near = at(variable, element, h) - at(variable, element, -h);
            let far = at(variable, element, 2.0 * h) - at(variable, element, -2.0 * h);
            let numeric = (8.0 * near - far) / (12.0 * h);
            let exact = analytic.data[element];
            let error = (exact - numeric).abs() / exact.abs().max(numeric.abs()).max(1e-2);
            assert!(
                error < 1e-6,
                "{what}: by operand {variable}, element {element}: {exact}, but differences give {numeric}"
            );
        }
    }
}

#[test]
fn gradients_of_every_primitive_are_those_of_finite_differences() {
    for (name, draw) in PRIMITIVES {
        for seed in 0..60 {
            let mut choices = Choices::new(seed);
            let primitive = draw(&mut choices, DType::F32);
            let (graph, y, environment) = graph_of(&primitive, &mut choices);
            // The gradient of a maximum's gradient is not expressed; that of `stop` is zero by intent.
            let second = matches!(&primitive.op, Op::PoolInput(p) if p.op == Reduction::Max);
            if !graph.ty(y).dtype.is_float() || second || primitive.op == Op::Stop {
                continue;
            }
            check(graph, y, &environment, &format!("{name}, seed {seed}, {primitive:?}"));
        }
    }
}

#[test]
fn gradients_of_recurrences_are_those_of_finite_differences() {
    for seed in 0..120 {
        let case = recurrence(seed);
        for (i, result) in case.results.iter().enumerate() {
            if case.graph.ty(*result).dtype.is_float() {
                check(case.graph.clone(), *result, &case.environment, &format!("seed {seed}, result {i}"));
            }
        }
    }
}

#[test]
fn no_gradient_passes_a_stop() {
    let mut choices = Choices::new(1);
    let (_, draw) = PRIMITIVES.into_iter().find(|(name, _)| *name == "stop").expect("stop is a primitive");
    let primitive = draw(&mut choices, DType::F32);
    let (mut graph, y, environment) = graph_of(&primitive, &mut choices);
    let loss = loss(&mut graph, y);
    let found = gradients(&mut graph, loss, &[VariableId(0)]);
    let values = evaluate(&graph, &environment);
    assert!(values[found[0].0 as usize].data.iter().all(|x| *x == 0.0));
}

#[test]
fn equal_maxima_share_the_gradient_and_the_second_of_equals_gets_it() {
    use strata::types::Type;
    use strata_tests::primitives::{Domain, Primitive};
    let ty = Type::new(DType::F32, vec![Axis::sized(3)]);
    let reduce = Op::Reduce { op: Reduction::Max, axes: vec![0] };
    let mut choices = Choices::new(0);
    let (mut graph, y, mut environment) =
        graph_of(&Primitive { op: reduce, args: vec![(ty.clone(), Domain::Any)] }, &mut choices);
    environment.variables[0] = Array::new(&[3], vec![2.0, 1.0, 2.0]);
    let dx = gradients(&mut graph, y, &[VariableId(0)])[0];
    assert_eq!(evaluate(&graph, &environment)[dx.0 as usize].data, [0.5, 0.0, 0.5]);

    let args = vec![(Type::scalar(DType::F32), Domain::Any); 2];
    let (mut graph, y, mut environment) =
        graph_of(&Primitive { op: Op::Binary(Binary::Max), args }, &mut choices);
    environment.variables = vec![Array::number(0.0); 2];
    let by = gradients(&mut graph, y, &[VariableId(0), VariableId(1)]);
    let values = evaluate(&graph, &environment);
    assert_eq!(by.iter().map(|v| values[v.0 as usize].data[0]).collect::<Vec<_>>(), [0.0, 1.0]);
}

#[test]
fn gradients_of_random_graphs_are_those_of_finite_differences() {
    for seed in 0..60 {
        let case = random_graph(seed, 14, DType::F32);
        for (i, y) in case.smooth.iter().enumerate().rev().take(2) {
            check(case.graph.clone(), *y, &case.environment, &format!("random graph {seed}, value {i}"));
        }
    }
}
