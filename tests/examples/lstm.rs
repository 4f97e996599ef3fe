//! Measures training steps of one LSTM layer, and what the first thread spends on each step of the plan:
//! `cargo run --release -p strata-tests --example lstm [THREADS]`

use std::time::Instant;

use strata::graph::{OriginId, Update};
use strata::lower::{LowerOptions, layout, lower};
use strata::ops::{Binary, Op, Reduction, VariableId};
use strata::passes::differentiate::gradients;
use strata::passes::optimise;
use strata::types::Type;
use strata_runtime::plan::{Kernel, Step};
use strata_runtime::session::Session;
use strata_runtime::{DType, Tensor};
use strata_tests::recurrences::lstm;

const HERE: OriginId = OriginId(0);
const STEPS: i64 = 30;

fn main() {
    let threads = std::env::args().nth(1).map_or(2, |n| n.parse().expect("a number of threads"));
    let (batch, units, turns) = (32, 256, 64);
    let case = lstm(batch, units, units, turns);
    let mut graph = case.graph;
    let ty = graph.ty(case.results[0]).clone();
    let squares = graph.add(Op::Binary(Binary::Mul), &[case.results[0]; 2], HERE);
    let axes = (0..ty.rank()).collect();
    let loss = graph.add(Op::Reduce { op: Reduction::Sum, axes }, &[squares], HERE);
    let x = graph.variables.iter().position(|v| v.name == "x").expect("it has a sequence") as u32;
    // The layer before it wants a gradient too.
    let by = ["x", "w", "u", "bias"].map(|name| {
        VariableId(graph.variables.iter().position(|v| v.name == name).expect("it has it") as u32)
    });
    let found = gradients(&mut graph, loss, &by);
    for (variable, gradient) in by.into_iter().zip(found) {
        let old = graph.add(Op::Variable(variable), &[], HERE);
        let ty: Type = graph.ty(gradient).clone();
        let rate = graph.filled(if variable.0 == x { 0.0 } else { 1e-4 }, &ty, HERE);
        let change = graph.add(Op::Binary(Binary::Mul), &[gradient, rate], HERE);
        let value = graph.add(Op::Binary(Binary::Sub), &[old, change], HERE);
        graph.updates.push(Update { variable, value });
    }
    graph.outputs = vec![strata::graph::Output { name: "loss".into(), value: loss }];
    let graph = optimise(graph);
    let layout = layout(&graph.variables);
    let start = Instant::now();
    let plan = lower(&graph, &layout, &LowerOptions::default());
    println!("lowered in {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
    if std::env::args().nth(2).is_some() {
        println!("{plan}");
    }
    let mut session = Session::new(layout, threads).expect("threads can be had");
    for (variable, value) in graph.variables.iter().zip(&case.environment.variables) {
        let scale = if value.shape.len() == 2 { 0.05 } else { 1.0 };
        let bytes: Vec<u8> = value.data.iter().flat_map(|x| ((x * scale) as f32).to_ne_bytes()).collect();
        let tensor = Tensor::from_bytes(DType::F32, &value.shape, &bytes).expect("it fills its shape");
        session.set(&variable.name, &tensor).expect("it fits");
    }
    let executable = session.load(plan).expect("the plan was made here");
    let mut times: Vec<f64> = Vec::new();
    for step in 0..STEPS {
        let start = Instant::now();
        session.run(&executable, 1, step, &[]).expect("it takes no inputs");
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    println!("{threads} threads: median {:.2} ms, least {:.2} ms", times[times.len() / 2], times[0]);
    let steps = executable.plan.all_steps();
    let mut kernels = vec![Vec::new(); steps.len()];
    for step in 0..STEPS {
        let seconds = session.time(&executable, 1, step, &[]).expect("it takes no inputs");
        kernels.iter_mut().zip(seconds).for_each(|(all, one)| all.push(one));
    }
    for (index, (step, mut times)) in steps.iter().zip(kernels).enumerate() {
        times.sort_by(f64::total_cmp);
        let name = match step {
            Step::Barrier => "barrier".to_owned(),
            Step::Loop(turns) => format!("{} turns", turns.turns),
            Step::Call(call) => match &call.kernel {
                Kernel::Loop { function, .. } => executable.plan.functions[*function].name.clone(),
                Kernel::Table { name, text, .. } => format!("{name} {}", text.lines().next().unwrap_or("")),
                Kernel::Transfer { way, channel, .. } => format!("{} by channel {channel}", way.name()),
            },
        };
        println!("{:9.1} us  {index:3} {name}", times[times.len() / 2] * 1e6);
    }
}
