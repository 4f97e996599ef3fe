//! Graphs cut over devices, compiled: the same bits as on one.

use strata::graph::Graph;
use strata::lower::{LowerOptions, layout, waits};
use strata::partition::{Homes, lowered, partition};
use strata::reference::Environment;
use strata::types::DType;
use strata_runtime::Tensor;
use strata_runtime::group::{Device, Group};
use strata_tests::random::Choices;
use strata_tests::random_graph::random_graph;
use strata_tests::random_homes::random_homes;

use crate::machine::{Outcome, run, tensor};
use crate::primitives::same_bits;

/// How many cases to try: `STRATA_CASES`, else a sample.
fn cases(sample: u64) -> u64 {
    std::env::var("STRATA_CASES").ok().and_then(|count| count.parse().ok()).unwrap_or(sample)
}

/// One step of `graph`, cut over devices.
fn run_apart(graph: &Graph, homes: &Homes, environment: &Environment, threads: usize) -> Outcome {
    let cut = partition(graph, homes);
    let program = lowered(graph, &cut, &LowerOptions::default());
    waits::verify(&program.plans, &program.channels).expect("nobody waits for ever");
    program.check().expect("the program is sound");
    let device = |(at, own): (usize, &strata::partition::Program)| Device {
        name: format!("cpu[{at}]"),
        layout: layout(&own.graph.variables),
    };
    let devices = cut.programs.iter().enumerate().map(device).collect();
    let mut group = Group::new(devices, program.variables.clone(), threads).expect("threads can be had");
    for (variable, value) in graph.variables.iter().zip(&environment.variables) {
        group.set(&variable.name, &tensor(value, variable.ty.dtype)).expect("the value fits");
    }
    let inputs: Vec<Tensor> =
        graph.inputs.iter().zip(&environment.inputs).map(|(i, x)| tensor(x, i.ty.dtype)).collect();
    let inputs: Vec<(&str, &Tensor)> = graph.inputs.iter().map(|i| i.name.as_str()).zip(&inputs).collect();
    let loaded = group.load(program).expect("the program was made here");
    let outputs = group.run(&loaded, environment.seed, environment.step, &inputs).expect("the inputs fit");
    let names = graph.outputs.iter().map(|output| output.name.clone());
    let mut tensors: Vec<(String, Tensor)> = names.zip(outputs).collect();
    for variable in graph.variables.iter() {
        tensors.push((variable.name.clone(), group.get(&variable.name).expect("it is there")));
    }
    Outcome { tensors }
}

#[test]
fn random_graphs_have_the_bits_of_one_device() {
    for seed in 0..cases(150) {
        let random = random_graph(seed, 12, DType::F32);
        let (graph, environment) = (&random.graph, &random.environment);
        let mut choices = Choices::new(seed ^ 0xd0e5);
        let devices = 2 + choices.below(4);
        let homes = random_homes(graph, devices, &mut choices);
        let whole = run(graph, environment, &LowerOptions::default(), 1);
        let apart = run_apart(graph, &homes, environment, 1 + choices.below(devices + 1));
        if !same_bits(&whole, &apart) {
            let other = whole.tensors.iter().zip(&apart.tensors).find(|((_, a), (_, b))| a != b);
            let cut = partition(graph, &homes);
            let programs: String = cut.programs.iter().map(|own| format!("{}\n", own.graph)).collect();
            panic!("seed {seed}: {other:?}\n{graph}\n{programs}");
        }
    }
}
