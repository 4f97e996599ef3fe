//! Random graphs: reference, unfused and fused agree, on any number of threads.

use strata::graph::{Graph, OriginId, Output};
use strata::lower::{LowerOptions, layout, lower};
use strata::model::Input;
use strata::ops::{InputId, Op};
use strata::reference::{Array, Environment};
use strata::types::{Axis, DType, Type};
use strata_grammar::Span;
use strata_tests::random_graph::random_graph;

use crate::machine::{agree, expected, run};
use crate::primitives::same_bits;

#[test]
fn random_graphs_are_what_the_reference_says() {
    for seed in 0..120 {
        let random = random_graph(seed, 12, DType::F32);
        let (graph, environment) = (&random.graph, &random.environment);
        let wanted = expected(graph, environment);
        let plain = LowerOptions { fuse: false, ..LowerOptions::default() };
        let unfused = run(graph, environment, &plain, 1);
        agree(&format!("graph {seed}, unfused"), &unfused, &wanted, 1e-3);
        let fused = run(graph, environment, &LowerOptions::default(), 1);
        agree(&format!("graph {seed}, fused"), &fused, &wanted, 1e-3);
        assert!(same_bits(&fused, &unfused), "fusion changed graph {seed}");
        for threads in [2, 3] {
            let more = run(graph, environment, &LowerOptions::default(), threads);
            assert!(same_bits(&fused, &more), "graph {seed} with {threads} threads");
        }
        let all = LowerOptions { keep_all: true, ..plain };
        let kept = run(graph, environment, &all, 2);
        let outputs = graph.outputs.len();
        assert_eq!(kept.tensors[..outputs], unfused.tensors[..outputs], "graph {seed}");
    }
}

/// Fusion and threads change no bit of other floats either.
#[test]
fn random_graphs_of_every_float() {
    for (dtype, tolerance) in [(DType::F64, 1e-9), (DType::F16, f64::INFINITY), (DType::Bf16, f64::INFINITY)]
    {
        for seed in 0..25 {
            let random = random_graph(seed, 12, dtype);
            let (graph, environment) = (&random.graph, &random.environment);
            let fused = run(graph, environment, &LowerOptions::default(), 1);
            if tolerance.is_finite() {
                agree(&format!("graph {seed} of {dtype}"), &fused, &expected(graph, environment), tolerance);
            }
            let plain = LowerOptions { fuse: false, ..LowerOptions::default() };
            let unfused = run(graph, environment, &plain, 3);
            assert!(same_bits(&fused, &unfused), "fusion changed graph {seed} of {dtype}");
        }
    }
}

/// Rows that lie in another order than those of the result are copied where columns are many: then one product does.
#[test]
fn scattered_rows_are_brought_together() {
    const HERE: OriginId = OriginId(0);
    for (columns, products) in [(40, 1), (5, 4)] {
        let input = |name: &str, sizes: &[u64]| Input {
            name: name.into(),
            ty: Type::new(DType::F32, sizes.iter().map(|size| Axis::sized(*size)).collect()),
            span: Span::default(),
        };
        let inputs = [input("x", &[7, 4, 5]), input("w", &[5, columns])];
        let mut graph = Graph::new(inputs.into(), [].into());
        let [x, w] = [0, 1].map(|i| graph.add(Op::Input(InputId(i)), &[], HERE));
        let turned = graph.add(Op::Transpose { order: vec![1, 0, 2] }, &[x], HERE);
        let op = Op::Contract { batch: Vec::new(), sum: vec![(2, 0)] };
        let value = graph.add(op, &[turned, w], HERE);
        graph.outputs.push(Output { name: "y".into(), value });
        let array =
            |sizes: &[usize]| Array::from_fn(sizes, |at| at.iter().fold(1, |n, i| (n * 7 + i) % 11) as f64);
        let inputs = vec![array(&[7, 4, 5]), array(&[5, columns as usize])];
        let environment = Environment { inputs, ..Environment::default() };
        let plain = LowerOptions { fuse: false, ..LowerOptions::default() };
        let one = run(&graph, &environment, &plain, 1);
        agree("scattered rows", &one, &expected(&graph, &environment), 1e-6);
        for threads in [1, 2, 3] {
            let other = run(&graph, &environment, &LowerOptions::default(), threads);
            assert!(same_bits(&one, &other), "{columns} columns, {threads} threads");
        }
        let options = LowerOptions { text: true, ..LowerOptions::default() };
        let plan = lower(&graph, &layout(&graph.variables), &options).to_string();
        let times =
            if products == 1 { plan.contains("28 x ") } else { plan.contains(&format!("{products} times")) };
        assert!(times, "{plan}");
    }
}
