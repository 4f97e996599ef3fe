//! Every primitive, compiled, on random shapes.

use strata::lower::{LowerOptions, supported};
use strata::types::DType;
use strata_tests::primitives::{PRIMITIVES, graph_of};
use strata_tests::random::Choices;

use crate::machine::{Outcome, agree, expected, run};

#[test]
fn every_primitive_is_what_the_reference_says() {
    for (name, draw) in PRIMITIVES {
        for (dtype, cases, tolerance) in [(DType::F32, 60, 2e-5), (DType::F64, 15, 1e-12)] {
            for seed in 0..cases {
                let mut choices = Choices::new(seed);
                let primitive = draw(&mut choices, dtype);
                let (graph, _, environment) = graph_of(&primitive, &mut choices);
                if let Err(refused) = supported(&graph) {
                    assert!(dtype == DType::F64 && refused.what.contains("f64"), "{refused}");
                    continue;
                }
                let what = format!("{name} of {dtype}, {seed}: {primitive:?}");
                let wanted = expected(&graph, &environment);
                let one = run(&graph, &environment, &LowerOptions::default(), 1);
                // Random numbers are of f32 whatever the rest is.
                agree(&what, &one, &wanted, if name == "random" { 2e-5 } else { tolerance });
                for threads in [2, 3] {
                    let more = run(&graph, &environment, &LowerOptions::default(), threads);
                    assert!(same_bits(&one, &more), "{what} with {threads} threads");
                }
            }
        }
    }
}

/// Bit for bit.
pub fn same_bits(a: &Outcome, b: &Outcome) -> bool {
    let bytes = |o: &Outcome| -> Vec<Vec<u8>> { o.tensors.iter().map(|(_, t)| t.bytes().to_vec()).collect() };
    bytes(a) == bytes(b)
}
