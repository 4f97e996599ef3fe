//! Graphs cut over devices, compiled: the same bits as on one.

use strata::graph::{Graph, OriginId, Output};
use strata::lower::{LowerOptions, layout, waits};
use strata::model::Input;
use strata::ops::{InputId, Op, VariableId};
use strata::partition::{AxisCut, Home, Homes, lowered, partition};
use strata::placement::DeviceId;
use strata::reference::{Array, Environment};
use strata::types::{Axis, DType, Type};
use strata_grammar::Span;
use strata_runtime::Tensor;
use strata_runtime::group::{Device, Group};
use strata_tests::primitives::variable;
use strata_tests::random::{Choices, cases};
use strata_tests::random_graph::random_graph;
use strata_tests::random_homes::random_homes;

use crate::machine::{Outcome, run, tensor};
use crate::primitives::same_bits;

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

/// An axis of `size` cut over the devices, and the same values with nothing cut.
fn over(devices: u32, axis: usize, size: u64) -> Home {
    let bounds = (0..=u64::from(devices)).map(|i| size * i / u64::from(devices)).collect();
    let cuts = vec![Some(AxisCut { axis, bounds })];
    Home { devices: (0..devices).map(DeviceId).collect(), grid: vec![devices], cuts }
}

/// A sum over an axis that is cut is made of the sums of its parts: of every dtype, and wherever the cuts are.
#[test]
fn sums_over_a_cut_axis_have_the_bits_of_one_device() {
    const HERE: OriginId = OriginId(0);
    for dtype in [DType::F32, DType::F64, DType::F16, DType::Bf16, DType::I32] {
        for (devices, k) in [(2, 600), (3, 1024), (4, 1024), (5, 777)] {
            let ty = |sizes: &[u64]| Type::new(dtype, sizes.iter().map(|size| Axis::sized(*size)).collect());
            let x = Input { name: "x".into(), ty: ty(&[40, k]), span: Span::default() };
            let mut graph = Graph::new([x].into(), [variable("w", &ty(&[k, 33]))].into());
            let x = graph.add(Op::Input(InputId(0)), &[], HERE);
            let w = graph.add(Op::Variable(VariableId(0)), &[], HERE);
            let y = graph.add(Op::Contract { batch: Vec::new(), sum: vec![(1, 0)] }, &[x, w], HERE);
            graph.outputs.push(Output { name: "y".into(), value: y });
            let cut = over(devices, 0, k);
            let values = vec![None, Some(cut.clone()), Some(cut.uncut())];
            let homes = Homes { devices: devices as usize, values, variables: vec![cut] };
            let numbers = |sizes: &[usize], salt: usize| {
                let number = |at: &[usize]| ((at[0] * 31 + at[1] * 17 + salt) % 23) as f64;
                let scale = if dtype.is_float() { 1.0 / 23.0 } else { 1.0 };
                Array::from_fn(sizes, |at| (number(at) - 11.0) * scale)
            };
            let environment = Environment {
                inputs: vec![numbers(&[40, k as usize], 1)],
                variables: vec![numbers(&[k as usize, 33], 2)],
                ..Environment::default()
            };
            let whole = run(&graph, &environment, &LowerOptions::default(), 2);
            let apart = run_apart(&graph, &homes, &environment, 2);
            assert!(same_bits(&whole, &apart), "{k} terms of {dtype} over {devices} devices");
        }
    }
}
