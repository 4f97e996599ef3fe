//! Random graphs: reference, unfused and fused agree, on any number of threads.

use strata::lower::LowerOptions;
use strata::types::DType;
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
