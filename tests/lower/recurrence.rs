//! Recurrences: compiled loops against the reference, and against the same turns written out.

use strata::lower::LowerOptions;
use strata::types::DType;
use strata_tests::random_scan::{random_scan, unrolled};

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
