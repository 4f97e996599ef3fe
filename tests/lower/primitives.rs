//! Every primitive, compiled, on random shapes.

use strata::graph::Graph;
use strata::lower::LowerOptions;
use strata::reference::{Array, Environment};
use strata::types::DType;
use strata_tests::primitives::{PRIMITIVES, graph_of};
use strata_tests::random::Choices;

use crate::machine::{Outcome, agree, expected, run};

/// Dtypes of floats, how many cases of each, and how far results may be off: half floats round each result once.
const DTYPES: &[(DType, u64, f64)] =
    &[(DType::F32, 60, 2e-5), (DType::F64, 15, 1e-12), (DType::Bf16, 15, 4e-3), (DType::F16, 15, 5e-4)];

/// The same numbers as they are after being stored.
fn as_stored(graph: &Graph, environment: Environment) -> Environment {
    let stored = |array: &Array, dtype: DType| crate::machine::array(&crate::machine::tensor(array, dtype));
    let inputs = graph.inputs.iter().zip(&environment.inputs).map(|(i, x)| stored(x, i.ty.dtype)).collect();
    let variables = graph.variables.iter().zip(&environment.variables);
    let variables = variables.map(|(v, x)| stored(x, v.ty.dtype)).collect();
    Environment { inputs, variables, ..environment }
}

#[test]
fn every_primitive_is_what_the_reference_says() {
    for (name, draw) in PRIMITIVES {
        for (dtype, cases, tolerance) in DTYPES {
            for seed in 0..*cases {
                let mut choices = Choices::new(seed);
                let primitive = draw(&mut choices, *dtype);
                let (graph, _, environment) = graph_of(&primitive, &mut choices);
                let environment = as_stored(&graph, environment);
                let what = format!("{name} of {dtype}, {seed}: {primitive:?}");
                let wanted = expected(&graph, &environment);
                let one = run(&graph, &environment, &LowerOptions::default(), 1);
                // Random numbers are of f32 whatever the rest is.
                agree(&what, &one, &wanted, if name == "random" { 2e-5 } else { *tolerance });
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
