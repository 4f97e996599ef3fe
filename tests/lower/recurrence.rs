//! Recurrences: compiled loops against the reference, and against the same turns written out.

use strata::graph::Graph;
use strata::lower::{LowerOptions, layout, lower};
use strata::types::DType;
use strata_runtime::plan::{Deal, Plan, Step};
use strata_tests::random_scan::{random_scan, unrolled};
use strata_tests::recurrences::{lstm, recurrence};

use crate::machine::{agree, expected, run};
use crate::primitives::same_bits;

#[test]
fn random_recurrences_are_what_the_reference_says() {
    for seed in 0..100 {
        let random = random_scan(seed, 5, DType::F32);
        let (graph, environment) = (&random.graph, &random.environment);
        let wanted = expected(graph, environment);
        let plain = LowerOptions { fuse: false, ..LowerOptions::default() };
        let unfused = run(graph, environment, &plain, 1);
        agree(&format!("recurrence {seed}, unfused"), &unfused, &wanted, 1e-2);
        for threads in [1, 2, 3] {
            let fused = run(graph, environment, &LowerOptions::default(), threads);
            assert!(same_bits(&fused, &unfused), "recurrence {seed}, fused, with {threads} threads");
        }
        let flat = unrolled(graph);
        let flat = run(&flat, environment, &LowerOptions::default(), 2);
        assert!(same_bits(&flat, &unfused), "recurrence {seed} against its turns written out");
    }
}

/// Other floats: `f64` as exactly as it goes; half floats round every result alike, in loops and written out.
#[test]
fn recurrences_of_every_float() {
    for (dtype, tolerance) in [(DType::F64, 1e-9), (DType::F16, f64::INFINITY), (DType::Bf16, f64::INFINITY)]
    {
        for seed in 0..12 {
            let random = random_scan(seed, 4, dtype);
            let (graph, environment) = (&random.graph, &random.environment);
            let one = run(graph, environment, &LowerOptions::default(), 1);
            if tolerance.is_finite() {
                let what = format!("recurrence {seed} of {dtype}");
                agree(&what, &one, &expected(graph, environment), tolerance);
            }
            let more = run(graph, environment, &LowerOptions::default(), 3);
            assert!(same_bits(&one, &more), "recurrence {seed} of {dtype} with 3 threads");
            let plain = LowerOptions { fuse: false, ..LowerOptions::default() };
            let unfused = run(graph, environment, &plain, 2);
            assert!(same_bits(&one, &unfused), "recurrence {seed} of {dtype}, unfused");
            let flat = run(&unrolled(graph), environment, &LowerOptions::default(), 2);
            assert!(same_bits(&one, &flat), "recurrence {seed} of {dtype} against its turns written out");
        }
    }
}

#[test]
fn cells_and_what_they_emit_are_what_the_reference_says() {
    for seed in 0..60 {
        let case = recurrence(seed);
        let (graph, environment) = (&case.graph, &case.environment);
        let wanted = expected(graph, environment);
        let one = run(graph, environment, &LowerOptions::default(), 1);
        agree(&format!("recurrence {seed}"), &one, &wanted, 1e-4);
        let more = run(graph, environment, &LowerOptions::default(), 3);
        assert!(same_bits(&one, &more), "recurrence {seed} with 3 threads");
        let flat = run(&unrolled(graph), environment, &LowerOptions::default(), 2);
        assert!(same_bits(&one, &flat), "recurrence {seed} against its turns written out");
    }
}

fn plan_of(graph: &Graph) -> Plan {
    lower(graph, &layout(&graph.variables), &LowerOptions::default())
}

/// The steps of the only loop.
fn turn(plan: &Plan) -> &[Step] {
    let mut loops = plan.steps.iter().filter_map(|step| match step {
        Step::Loop(turns) => Some(&turns.steps),
        Step::Call(_) | Step::Barrier => None,
    });
    let found = loops.next().expect("there is a loop");
    assert!(loops.next().is_none(), "there is one loop:\n{plan}");
    found
}

#[test]
fn threads_that_share_examples_do_not_wait_within_a_loop() {
    let plan = plan_of(&lstm(32, 64, 48, 9).graph);
    let shared = |step: &Step| match step {
        // What is no part of an example, the first thread does.
        Step::Call(call) => matches!(call.deal, Deal::Shares { count: 32, .. } | Deal::First),
        Step::Barrier | Step::Loop(_) => false,
    };
    assert!(turn(&plan).iter().all(shared), "{plan}");
}

#[test]
fn a_program_does_not_grow_with_the_number_of_turns() {
    let [few, many] = [4, 400].map(|turns| plan_of(&lstm(5, 16, 17, turns).graph));
    assert_eq!(few.functions.len(), many.functions.len());
    assert_eq!(few.all_steps().len(), many.all_steps().len());
    // Numbers in instructions may take more bytes.
    assert!(many.code.len() < few.code.len() * 5 / 4, "{} and {}", few.code.len(), many.code.len());
}
