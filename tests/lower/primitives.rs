//! Every primitive, compiled, on random shapes.

use strata::lower::LowerOptions;
use strata::types::DType;
use strata_tests::primitives::{PRIMITIVES, graph_of};
use strata_tests::random::Choices;

use crate::machine::{agree, expected, run};

#[test]
fn every_primitive_is_what_the_reference_says() {
    for (name, draw) in PRIMITIVES {
        for seed in 0..60 {
            let mut choices = Choices::new(seed);
            let primitive = draw(&mut choices, DType::F32);
            let (graph, _, environment) = graph_of(&primitive, &mut choices);
            let what = format!("{name} {seed}: {primitive:?}");
            let wanted = expected(&graph, &environment);
            let one = run(&graph, &environment, &LowerOptions::default(), 1);
            agree(&what, &one, &wanted, 2e-5);
            for threads in [2, 3] {
                let more = run(&graph, &environment, &LowerOptions::default(), threads);
                assert!(same_bits(&one, &more), "{what} with {threads} threads");
            }
        }
    }
}

/// Bit for bit.
pub fn same_bits(a: &crate::machine::Outcome, b: &crate::machine::Outcome) -> bool {
    let bytes = |o: &crate::machine::Outcome| -> Vec<Vec<u8>> {
        o.tensors.iter().map(|(_, t)| t.bytes().to_vec()).collect()
    };
    bytes(a) == bytes(b)
}
