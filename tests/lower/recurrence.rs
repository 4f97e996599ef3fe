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
