//! The library's layers, losses and optimizers against PyTorch's numbers for the same weights: values, gradients, and
//! a hundred steps. The numbers lie in `tests/torch`, with the scripts that made them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops where it stands")]
#![expect(clippy::wildcard_enum_match_arm, reason = "the numbers are of few dtypes")]

use std::path::Path;

use serde_json::Value;
use strata::check::{DataFacts, Settings, check};
use strata::graph::{Graph, Output};
use strata::lower::{LowerOptions, layout, lower};
use strata::model::{Model, VariableKind};
use strata::ops::VariableId;
use strata::passes::differentiate::gradients;
use strata::passes::optimise;
use strata::reference::{Array, Environment, step};
use strata::unfold::{Phase, unfold};
use strata_grammar::Report;
use strata_runtime::session::Session;
use strata_runtime::{DType, Tensor};
use strata_tests::spec::load_case;

/// A file of numbers beside the scripts.
fn numbers(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("torch").join(name);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

fn checked(text: &str) -> strata::check::Checked {
    let loaded = load_case(Path::new("torch.model"), text);
    let (checked, found) = check(&loaded, &DataFacts::default(), &Settings::default());
    if let Some(found) = loaded.diagnostics.iter().chain(&found).next() {
        panic!("{}\n{text}", Report::new(found, &loaded.sources).short());
    }
    checked
}

/// As an `f32` holds it.
fn narrow(x: f64) -> f64 {
    f64::from(x as f32)
}

#[track_caller]
fn near(what: &str, found: &[f64], wanted: &[f64], tolerance: f64) {
    assert_eq!(found.len(), wanted.len(), "{what}");
    let scale = wanted.iter().fold(1.0f64, |most, x| most.max(x.abs()));
    for (a, b) in found.iter().zip(wanted) {
        assert!((a - b).abs() <= tolerance * scale, "{what}: {found:?} is not {wanted:?}");
    }
}

/// A model that binds `y` as `case` says, with the loss `sum(y * c)`.
fn layer_model(case: &Value) -> Model {
    let mut text = "model Net {\n".to_string();
    for (name, variable) in case["variables"].as_object().unwrap() {
        if name.contains('/') || name == "c" {
            continue;
        }
        let kind = if case["gradients"].get(name).is_some() { "param" } else { "const" };
        let dtype = variable["dtype"].as_str().unwrap();
        text += &format!("  {kind} {name}: {dtype}{} = zeros\n", variable["shape"]);
    }
    text += &format!("  param c: f32{} = zeros\n", case["variables"]["c"]["shape"]);
    text += &format!("  {}\n  loss sum(y * c)\n}}\n", case["line"].as_str().unwrap());
    checked(&text).models.remove(0)
}

fn environment(case: &Value, model: &Model) -> Environment {
    let start = |v: &strata::model::Variable| {
        let given = &case["variables"][&v.name];
        assert!(given.is_object(), "{}: the model has a variable `{}`", case["name"], v.name);
        let shape = v.ty.dims();
        let wanted: Vec<usize> = floats(&given["shape"]).iter().map(|n| *n as usize).collect();
        assert_eq!(shape, wanted, "{}: `{}`", case["name"], v.name);
        Array { shape, data: floats(&given["data"]).into_iter().map(narrow).collect() }
    };
    let variables = model.variables.iter().map(start).collect();
    Environment { inputs: vec![], variables, seed: 1, step: 0 }
}

/// The program of the case, with the gradient by each parameter among its outputs.
fn differentiated(case: &Value, model: &Model) -> Graph {
    let phase = if case["training"] == true { Phase::Train } else { Phase::Evaluate };
    let mut graph = unfold(model, &[], phase, &[]);
    let ids = (0..model.variables.len() as u32).map(VariableId);
    let by: Vec<VariableId> =
        ids.filter(|id| model.variables[id.0 as usize].kind == VariableKind::Param).collect();
    let loss = graph.outputs[0].value;
    for (id, value) in by.iter().zip(gradients(&mut graph, loss, &by)) {
        graph.outputs.push(Output { name: model.variables[id.0 as usize].name.clone(), value });
    }
    optimise(graph)
}

fn tensor(array: &Array, dtype: DType) -> Tensor {
    let bytes: Vec<u8> = match dtype {
        DType::I32 => array.data.iter().flat_map(|x| (*x as i32).to_ne_bytes()).collect(),
        DType::F64 => array.data.iter().flat_map(|x| x.to_ne_bytes()).collect(),
        _ => array.data.iter().flat_map(|x| (*x as f32).to_ne_bytes()).collect(),
    };
    Tensor::from_bytes(dtype, &array.shape, &bytes).unwrap()
}

fn wide(tensor: &Tensor) -> Vec<f64> {
    tensor.as_f32().unwrap().iter().map(|x| f64::from(*x)).collect()
}

#[test]
fn layers_have_pytorchs_values_and_gradients() {
    let file = numbers("layers.json");
    let cases = file["cases"].as_array().unwrap();
    assert!(cases.len() > 70, "{} cases", cases.len());
    for case in cases {
        let what = case["name"].as_str().unwrap();
        let model = layer_model(case);
        let environment = environment(case, &model);
        let graph = differentiated(case, &model);
        let wanted = case["gradients"].as_object().unwrap();
        assert_eq!(graph.outputs.len(), wanted.len() + 1, "{what}: everything trained has a gradient");
        let (found, updates) = step(&graph, &environment);
        for (name, value) in &found[1..] {
            near(&format!("{what}: reference, by {name}"), &value.data, &floats(&wanted[name]), 1e-6);
        }
        for (name, state) in case["states"].as_object().into_iter().flatten() {
            let at = graph.updates.iter().position(|u| model.variables[u.variable.0 as usize].name == *name);
            let value = &updates[at.expect("the state is updated")];
            near(&format!("{what}: {name}"), &value.data, &floats(state), 1e-6);
        }
        let layout = layout(&graph.variables);
        let plan = lower(&graph, &layout, &LowerOptions::default());
        let mut session = Session::new(layout, 2).unwrap();
        for (v, value) in model.variables.iter().zip(&environment.variables) {
            session.set(&v.name, &tensor(value, v.ty.dtype)).unwrap();
        }
        let executable = session.load(plan).unwrap();
        let outputs = session.run(&executable, 1, 0, &[]).unwrap();
        for (port, value) in executable.plan.outputs.iter().zip(&outputs).skip(1) {
            near(&format!("{what}: by {}", port.name), &wide(value), &floats(&wanted[&port.name]), 1e-5);
        }
        for (name, state) in case["states"].as_object().into_iter().flatten() {
            near(&format!("{what}: {name}"), &wide(&session.get(name).unwrap()), &floats(state), 1e-5);
        }
    }
}

/// The regression that the script trains.
fn regression(optimizer: &str) -> Model {
    let text = format!(
        "model Net {{
  input x: f32[batch, 3]
  input t: f32[batch, 2]
  param w: f32[3, 2] = zeros
  param b: f32[2] = zeros
  loss mse(x @ w + b, t)
}}
data d = csv(\"d.csv\", x: columns(0..3), t: columns(3..5))
train Net {{ feed d |> batch(8); optimize {optimizer}; stop after 1 epoch }}
"
    );
    checked(&text).runs.remove(0).model
}

#[test]
fn optimizers_and_schedules_do_pytorchs_steps() {
    let file = numbers("optimizers.json");
    let start =
        |name: &str, shape: &[usize]| Array { shape: shape.to_vec(), data: floats(&file["start"][name]) };
    let inputs = [tensor(&start("x", &[8, 3]), DType::F32), tensor(&start("t", &[8, 2]), DType::F32)];
    let cases = file["cases"].as_array().unwrap();
    assert!(cases.len() > 25, "{} cases", cases.len());
    for case in cases {
        let what = case["optimizer"].as_str().unwrap();
        let model = regression(what);
        let graph = optimise(unfold(&model, &[8], Phase::Train, &[]));
        let layout = layout(&graph.variables);
        let plan = lower(&graph, &layout, &LowerOptions::default());
        let mut session = Session::new(layout, 1).unwrap();
        for v in &model.variables {
            let init = strata_runtime::init::initial(&v.init, 1, &v.name, v.ty.dtype, &v.ty.dims());
            session.set(&v.name, &init).unwrap();
        }
        for (name, shape) in [("w", &[3, 2][..]), ("b", &[2])] {
            session.set(name, &tensor(&start(name, shape), DType::F32)).unwrap();
        }
        let executable = session.load(plan).unwrap();
        let rate = executable.plan.outputs.iter().position(|output| output.name == "rate");
        let rates = case.get("rates").map(floats);
        assert_eq!(rate.is_some(), rates.is_some(), "{what}: a schedule's rate is among the outputs");
        for done in 1..=100i64 {
            let inputs = [("x", &inputs[0]), ("t", &inputs[1])];
            let outputs = session.run(&executable, 1, done - 1, &inputs).unwrap();
            if let (Some(at), Some(rates)) = (rate, &rates) {
                let bytes = outputs[at].bytes().try_into().expect("a rate is f64");
                let wanted = rates[done as usize - 1];
                let found = f64::from_ne_bytes(bytes);
                let close = (found - wanted).abs() <= 2e-8 * wanted.abs() + 1e-15;
                assert!(close, "{what}: step {done} has the rate {found}, not {wanted}");
            }
            let Some(after) = case["after"].get(done.to_string()) else { continue };
            for name in ["w", "b"] {
                let found = wide(&session.get(name).unwrap());
                near(&format!("{what}: {name} after {done}"), &found, &floats(&after[name]), 5e-6);
            }
        }
    }
}
