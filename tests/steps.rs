//! Steps made of several batches, averages of parameters, and rates that follow evaluations.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops where it stands")]

use std::path::Path;

use strata::check::{DataFacts, Settings, check};
use strata::lower::{LowerOptions, layout, lower};
use strata::model::Model;
use strata::passes::optimise;
use strata::unfold::{Phase, unfold};
use strata_grammar::Report;
use strata_runtime::init::initial;
use strata_runtime::session::Session;
use strata_runtime::train::told;
use strata_runtime::{DType, Tensor};
use strata_tests::spec::load_case;

/// A small net trained by these lines.
fn model(lines: &str) -> Model {
    let text = format!(
        "model Net {{
  input x: f32[batch, 3]
  input t: f32[batch, 2]
  loss mse(x |> dense(4) |> tanh |> dense(2), t)
}}
data d = csv(\"d.csv\", x: columns(0..3), t: columns(3..5))
train Net {{
  feed d |> batch(4)
  evaluate d every 1 epoch
  stop after 1 epoch
  {lines}
}}
"
    );
    let loaded = load_case(Path::new("steps.model"), &text);
    let (mut checked, found) = check(&loaded, &DataFacts::default(), &Settings::default());
    if let Some(found) = loaded.diagnostics.iter().chain(&found).next() {
        panic!("{}\n{text}", Report::new(found, &loaded.sources).short());
    }
    checked.runs.remove(0).model
}

fn tensor(shape: &[usize], data: &[f32]) -> Tensor {
    let bytes: Vec<u8> = data.iter().flat_map(|x| x.to_ne_bytes()).collect();
    Tensor::from_bytes(DType::F32, shape, &bytes).unwrap()
}

/// Examples `from..to` of a set without a pattern.
fn examples(from: usize, to: usize) -> [Tensor; 2] {
    let number = |i: usize| ((i * 37 + i * i * 11) % 41) as f32 / 20.0 - 1.0;
    let rows = |columns: usize, seed: usize| -> Vec<f32> {
        (from * columns..to * columns).map(|i| number(i + seed)).collect()
    };
    [tensor(&[to - from, 3], &rows(3, 0)), tensor(&[to - from, 2], &rows(2, 7))]
}

/// A session with the variables as a run begins.
fn begun(model: &Model) -> Session {
    let mut session = Session::new(layout(&model.variables), 2).unwrap();
    for v in &model.variables {
        session.set(&v.name, &initial(&v.init, 5, &v.name, v.ty.dtype, &v.ty.dims())).unwrap();
    }
    session
}

/// Runs the program of a phase on some examples; gives its outputs by name.
fn run(
    model: &Model,
    session: &mut Session,
    phase: Phase,
    [x, t]: &[Tensor; 2],
    step: i64,
) -> Vec<(String, Tensor)> {
    let graph = optimise(unfold(model, &[x.shape()[0] as u64], phase, &[]));
    let plan = lower(&graph, &layout(&graph.variables), &LowerOptions::default());
    let executable = session.load(plan).unwrap();
    let outputs = session.run(&executable, 5, step, &[("x", x), ("t", t)]).unwrap();
    executable.plan.outputs.iter().map(|port| port.name.clone()).zip(outputs).collect()
}

fn parameters(model: &Model, session: &Session) -> Vec<Vec<f32>> {
    let trained = model.variables.iter().filter(|v| v.kind == strata::model::VariableKind::Param);
    trained.map(|v| session.get(&v.name).unwrap().as_f32().unwrap().to_vec()).collect()
}

fn close(a: &[Vec<f32>], b: &[Vec<f32>], tolerance: f32) -> bool {
    a.len() == b.len() && a.iter().flatten().zip(b.iter().flatten()).all(|(a, b)| (a - b).abs() <= tolerance)
}

#[test]
fn batches_of_a_step_count_by_their_examples() {
    for optimizer in ["optimize adam(rate: 0.05)", "optimize momentum(rate: 0.3)\n  clip norm 0.2"] {
        let whole = model(optimizer);
        let parted = model(&format!("{optimizer}\n  accumulate 3"));
        let (mut one, mut three) = (begun(&whole), begun(&parted));
        for step in 0..3 {
            let from = 20 * step as usize;
            run(&whole, &mut one, Phase::Train, &examples(from, from + 9), step);
            let before = parameters(&parted, &three);
            run(&parted, &mut three, Phase::Gather, &examples(from, from + 4), step);
            run(&parted, &mut three, Phase::Gather, &examples(from + 4, from + 8), step);
            assert_eq!(before, parameters(&parted, &three), "nothing moves within a step");
            run(&parted, &mut three, Phase::Train, &examples(from + 8, from + 9), step);
            let (a, b) = (parameters(&whole, &one), parameters(&parted, &three));
            assert!(close(&a, &b, 2e-6), "{optimizer}: {a:?} is not {b:?}");
            assert!(!close(&before, &b, 1e-3), "{optimizer}: the last batch moves them");
        }
    }
}

#[test]
fn averages_are_what_evaluation_sees() {
    let model = model("optimize sgd(rate: 0.5)\n  average 0.75");
    let mut session = begun(&model);
    let set = examples(0, 6);
    let mut averages: Vec<Vec<f32>> = vec![];
    for step in 0..4 {
        run(&model, &mut session, Phase::Train, &set, step);
        let now = parameters(&model, &session);
        averages = if averages.is_empty() {
            now
        } else {
            let moved = |(a, w): (&f32, &f32)| a + 0.25 * (w - a);
            averages.iter().zip(&now).map(|(a, w)| a.iter().zip(w).map(moved).collect()).collect()
        };
    }
    let kept: Vec<Vec<f32>> = model
        .averages
        .iter()
        .map(|(_, average)| {
            let name = &model.variables[average.0 as usize].name;
            session.get(name).unwrap().as_f32().unwrap().to_vec()
        })
        .collect();
    assert!(close(&kept, &averages, 1e-6), "{kept:?} is not {averages:?}");
    let loss = |session: &mut Session| {
        run(&model, session, Phase::Evaluate, &set, 4).remove(0).1.as_f32().unwrap()[0]
    };
    let seen = loss(&mut session);
    // The averages as parameters, and the other way round.
    for (param, average) in &model.averages {
        let [param, average] = [param, average].map(|id| model.variables[id.0 as usize].name.clone());
        let (w, a) = (session.get(&param).unwrap(), session.get(&average).unwrap());
        session.set(&param, &a).unwrap();
        session.set(&average, &w).unwrap();
    }
    assert!(loss(&mut session) < seen, "the latest parameters are better than their averages here");
    for (param, average) in &model.averages {
        let [param, average] = [param, average].map(|id| model.variables[id.0 as usize].name.clone());
        let average_now = session.get(&param).unwrap();
        session.set(&average, &average_now).unwrap();
    }
    assert_eq!(loss(&mut session), seen);
}

/// As PyTorch's `ReduceLROnPlateau` has it.
#[test]
fn a_plateau_lowers_the_rate() {
    let model = model("optimize sgd(rate: 0.5 |> plateau(by: 0.5, patience: 1, least: 0.1))");
    let mut session = begun(&model);
    let set = examples(0, 4);
    let scalar = |x: f64| Tensor::from_bytes(DType::F64, &[], &x.to_ne_bytes()).unwrap();
    // Better, worse, worse (more than one): lower. Then worse, better, worse, worse: lower. Then never below `least`.
    let losses = [3.0, 4.0, 3.5, 5.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0];
    let rates = [0.5, 0.5, 0.25, 0.25, 0.25, 0.25, 0.125, 0.125, 0.1, 0.1, 0.1];
    let mut step = 0;
    for (n, (loss, rate)) in losses.iter().zip(rates).enumerate() {
        session.set(told::EVALUATIONS, &scalar(n as f64 + 1.0)).unwrap();
        session.set(&told::evaluated("loss"), &scalar(*loss)).unwrap();
        // However many steps there are between evaluations, each counts once.
        for _ in 0..=n % 3 {
            let outputs = run(&model, &mut session, Phase::Train, &set, step);
            let (_, found) = outputs.iter().find(|(name, _)| name == "rate").expect("the rate is watched");
            let found = f64::from_ne_bytes(found.bytes().try_into().unwrap());
            assert!((found - rate).abs() < 1e-12, "after evaluation {}: {found}, not {rate}", n + 1);
            step += 1;
        }
    }
}

#[test]
fn schedules_are_what_their_formulas_say() {
    // Forty steps an epoch, so that a tenth of one is four steps, of which 0.1 × 40 is a little more.
    let root = |n: f64| n.sqrt();
    let cases: [(&str, &dyn Fn(f64) -> f64); 6] = [
        ("0.8 |> step_down(every: 0.1 epochs, from: 3 steps)", &|n| {
            0.8 * 0.1_f64.powi(((n - 3.0).max(0.0) / 4.0 + 1e-9).floor() as i32)
        }),
        ("0.8 |> step_down(every: 0.3 epochs)", &|n| if n < 12.0 { 0.8 } else { 0.08 }),
        ("0.8 |> exponential(every: 2 steps, by: 0.25, from: 3 steps)", &|n| {
            0.8 * 0.25_f64.powf((n - 3.0).max(0.0) / 2.0)
        }),
        ("0.8 |> warm_up(4 steps, start: 0.5)", &|n| 0.8 * (0.5 + 0.5 * ((n + 1.0) / 4.0).min(1.0))),
        ("0.8 |> linear(10 steps, to: 0.2, power: 2.0, from: 1 steps)", &|n| {
            0.2 + 0.6 * (1.0 - ((n - 1.0).max(0.0) / 10.0).min(1.0)).powi(2)
        }),
        ("0.8 |> inverse_root(3 steps)", &|n| 0.8 / root(((n + 1.0) / 3.0).max(1.0))),
    ];
    let set = examples(0, 4);
    for (text, formula) in cases {
        let model = model(&format!("optimize sgd(rate: {text})"));
        let mut session = begun(&model);
        if model.variables.iter().any(|v| v.name == told::STEPS_PER_EPOCH) {
            let forty = Tensor::from_bytes(DType::F64, &[], &40.0_f64.to_ne_bytes()).unwrap();
            session.set(told::STEPS_PER_EPOCH, &forty).unwrap();
        }
        for step in 0..16 {
            let outputs = run(&model, &mut session, Phase::Train, &set, step);
            let (_, found) = outputs.iter().find(|(name, _)| name == "rate").expect("the rate is watched");
            let found = f64::from_ne_bytes(found.bytes().try_into().unwrap());
            let expected = formula(step as f64);
            assert!((found - expected).abs() < 1e-12, "{text}, step {step}: {found}, not {expected}");
        }
    }
}
