//! Every optimizer of the library, as a spec names it: one compiled step is what the reference says, and steps train.

use std::path::Path;

use strata::check::{DataFacts, Settings, check};
use strata::graph::Graph;
use strata::load::LIBRARY;
use strata::lower::{LowerOptions, layout, lower};
use strata::model::Model;
use strata::reference::{Array, Environment};
use strata::unfold::{Phase, unfold};
use strata::{graph_of, types::DType};
use strata_grammar::Report;
use strata_runtime::session::Session;
use strata_tests::spec::load_case;

use crate::machine::{agree, expected, run, tensor};

const BATCH: usize = 12;
const COLUMNS: usize = 6;
const CLASSES: usize = 3;

/// The layers of the library that take a weight and its gradient.
fn optimizers() -> Vec<&'static str> {
    let (_, text) = LIBRARY.iter().find(|(name, _)| name.ends_with("optimizers.model")).expect("it is there");
    let heads = text
        .lines()
        .filter_map(|line| line.strip_prefix("layer ")?.split_once("(weight: float[..], gradient: "));
    heads.map(|(name, _)| name).collect()
}

/// A classifier trained as `optimizer` says.
fn model(optimizer: &str) -> Model {
    let text = format!(
        "model Net {{
  input x: f32[batch, {COLUMNS}]
  input y: i32[batch]
  loss cross_entropy(x |> dense(9) |> tanh |> dense({CLASSES}), y)
}}
data d = csv(\"d.csv\", x: columns(0..{COLUMNS}), y: column({COLUMNS}))
train Net {{ feed d |> batch({BATCH}); optimize {optimizer}; stop after 1 epoch }}
"
    );
    let loaded = load_case(Path::new("optimizers.model"), &text);
    let (mut checked, found) = check(&loaded, &DataFacts::default(), &Settings::default());
    if let Some(found) = loaded.diagnostics.iter().chain(&found).next() {
        panic!("{}\n{text}", Report::new(found, &loaded.sources).short());
    }
    checked.runs.remove(0).model
}

/// Numbers from `low` to `high` that follow no pattern of the net's.
fn numbers(shape: &[usize], from: usize, (low, high): (f64, f64)) -> Array {
    let count = shape.iter().product::<usize>();
    let number = |i: usize| low + (high - low) * ((i * 29 + from * 7) % 31) as f64 / 30.0;
    // As an f32 holds them, so that both sides begin with the same.
    Array::new(shape, (0..count).map(|i| f64::from(number(i) as f32)).collect())
}

fn inputs() -> Vec<Array> {
    let classes = (0..BATCH).map(|i| (i % CLASSES) as f64).collect();
    let mut x = numbers(&[BATCH, COLUMNS], 1, (-0.5, 0.5));
    (0..BATCH).for_each(|i| x.data[i * COLUMNS + i % CLASSES] += 1.0);
    vec![x, Array::new(&[BATCH], classes)]
}

/// Parameters of either sign, and a memory that is positive, as that of squares is.
fn environment(model: &Model) -> Environment {
    let start = |(i, v): (usize, &strata::model::Variable)| {
        let range = if model.is_memory(v) { (0.02, 0.3) } else { (-0.4, 0.4) };
        numbers(&v.ty.dims(), i, range)
    };
    let variables = model.variables.iter().enumerate().map(start).collect();
    Environment { inputs: inputs(), variables, seed: 1, step: 3 }
}

fn graph(model: &Model) -> Graph {
    graph_of(model, &vec![BATCH as u64; model.free.len()], Phase::Train, &[])
}

#[test]
fn a_step_is_what_the_reference_says() {
    let all = optimizers();
    assert!(all.len() >= 6, "{all:?}");
    for name in all {
        for settings in [
            "rate: 0.05",
            "rate: 0.05, decay: 0.1",
            "rate: 0.05, nesterov: true",
            "rate: 0.05, momentum: 0.9, centred: true",
            "rate: 0.05 |> warm_up(10 steps) |> cosine(over: 90 steps, to: 0.001)",
            "rate: 0.05 |> exponential(every: 10 steps) |> halve(every: 2 steps) |> inverse_root(2 steps)",
            "rate: 0.05 |> linear(over: 9 steps, power: 2.0) |> drop(at: [2 steps, 3 steps])",
        ] {
            // A setting that the optimizer does not have says nothing of it.
            if !settings.split(", ").all(|setting| settings.contains("|>") || has(name, setting)) {
                continue;
            }
            let optimizer = format!("{name}({settings})");
            let model = model(&optimizer);
            let environment = environment(&model);
            let plain = unfold(&model, &[BATCH as u64], Phase::Train, &[]);
            let wanted = expected(&plain, &environment);
            let trained = plain.updates.iter().filter(|update| {
                let i = update.variable.0 as usize;
                let new = wanted.iter().find(|(n, _)| *n == model.variables[i].name);
                new.is_some_and(|(_, new)| *new != environment.variables[i])
            });
            assert_eq!(trained.count(), model.variables.len(), "{optimizer}: something stands still");
            for threads in [1, 2] {
                let found = run(&graph(&model), &environment, &LowerOptions::default(), threads);
                agree(&optimizer, &found, &wanted, 2e-6);
            }
        }
    }
}

/// Whether the optimizer's signature has the setting's name.
fn has(optimizer: &str, setting: &str) -> bool {
    let (_, text) = LIBRARY.iter().find(|(name, _)| name.ends_with("optimizers.model")).expect("it is there");
    let (_, rest) = text.split_once(&format!("layer {optimizer}(")).expect("it was found there");
    let signature = rest.split_once('{').map_or("", |(signature, _)| signature);
    let name = setting.split(':').next().unwrap_or("");
    signature.contains(&format!(" {name}: "))
}

#[test]
fn steps_train() {
    for name in optimizers() {
        // Steps whose size is not the gradient's, or a part of the weight's norm, need other rates.
        let rate = match name {
            "adadelta" | "lars" => 10.0,
            "lion" => 0.005,
            _ => 0.05,
        };
        let model = model(&format!("{name}(rate: {rate})"));
        let start = environment(&model);
        let graph = graph(&model);
        let layout = layout(&graph.variables);
        let plan = lower(&graph, &layout, &LowerOptions::default());
        let mut session = Session::new(layout, 2).expect("threads can be had");
        for (v, value) in model.variables.iter().zip(&start.variables) {
            let value = if model.is_memory(v) { Array::filled(&v.ty.dims(), 0.0) } else { value.clone() };
            session.set(&v.name, &tensor(&value, v.ty.dtype)).expect("the value fits");
        }
        let [x, y] = [tensor(&start.inputs[0], DType::F32), tensor(&start.inputs[1], DType::I32)];
        let executable = session.load(plan).expect("the plan was made here");
        let at = executable.plan.outputs.iter().position(|output| output.name == "loss").expect("it has one");
        let losses: Vec<f32> = (0..200)
            .map(|step| {
                let outputs = session.run(&executable, 1, step, &[("x", &x), ("y", &y)]);
                outputs.expect("the inputs fit")[at].as_f32().expect("a loss is f32")[0]
            })
            .collect();
        assert!(losses[199] < 0.5 * losses[0], "{name}: {losses:?}");
    }
}
