//! Unfolding a model: what each phase hands back, what is left out, and that a step is the step it should be.

use strata::graph::Graph;
use strata::graph_svg::svg;
use strata::ops::Op;
use strata::passes::optimise;
use strata::reference::{Array, Environment, step};
use strata::types::DType;
use strata::unfold::{Phase, unfold};
use strata::verify::verify;
use strata_tests::digits::digits;
use strata_tests::primitives::{Domain, Spread, numbers};
use strata_tests::random::Choices;

fn names(graph: &Graph) -> Vec<&str> {
    graph.outputs.iter().map(|o| o.name.as_str()).collect()
}

/// Random numbers for everything that a program of `digits` reads.
fn environment(graph: &Graph) -> Environment {
    let mut choices = Choices::new(3);
    let mut fill = |ty: &strata::types::Type| {
        let mut spread = Spread::over(ty.elements(), &mut choices);
        let domain = if ty.dtype.is_float() { Domain::Any } else { Domain::Whole };
        let small = if ty.dtype.is_float() { 0.2 } else { 1.0 };
        numbers(ty, domain, &mut spread, &mut choices)
            .map(|x| (x * small).abs() * if ty.dtype == DType::I32 { 1.0 } else { x.signum() })
    };
    let inputs = graph.inputs.iter().map(|input| fill(&input.ty)).collect();
    let variables = graph.variables.iter().map(|variable| fill(&variable.ty)).collect();
    Environment { inputs, variables, seed: 1, step: 0 }
}

#[test]
fn each_phase_hands_back_what_it_is_for() {
    let model = digits();
    let train = unfold(&model, &[4], Phase::Train, &[]);
    assert_eq!(names(&train), ["loss", "metric/accuracy"]);
    assert_eq!(train.updates.len(), 12);
    let evaluate = unfold(&model, &[4], Phase::Evaluate, &[]);
    assert_eq!(names(&evaluate), ["loss", "metric/accuracy"]);
    assert!(evaluate.updates.is_empty());
    let predict = unfold(&model, &[1], Phase::Predict, &["logits".into(), "nothing".into()]);
    assert_eq!(names(&predict), ["logits"]);
    assert_eq!(predict.ty(predict.outputs[0].value).dims(), [1, 10]);
    // The digit is of no use to it.
    assert!(predict.values().all(|value| !matches!(predict.op(value), Op::Input(i) if i.0 == 1)));
    for graph in [train, evaluate, predict] {
        verify(&graph).expect("unfolding keeps its promises");
        verify(&optimise(graph)).expect("passes keep their promises");
    }
}

#[test]
fn only_training_drops_out() {
    let random = |phase| {
        let graph = optimise(unfold(&digits(), &[4], phase, &[]));
        let drawn = graph.values().filter(|value| matches!(graph.op(*value), Op::Random { .. })).count();
        assert!(graph.values().all(|value| !matches!(graph.op(value), Op::Stop | Op::Cast(DType::Bool))));
        drawn
    };
    assert_eq!(random(Phase::Train), 1);
    assert_eq!(random(Phase::Evaluate), 0);
}

#[test]
fn passes_keep_what_a_training_step_does() {
    for batch in [0, 1, 3] {
        let graph = unfold(&digits(), &[batch], Phase::Train, &[]);
        let optimised = optimise(graph.clone());
        assert!(optimised.len() < graph.len());
        let environment = environment(&graph);
        let ((before, updates), (after, changed)) =
            (step(&graph, &environment), step(&optimised, &environment));
        for ((name, a), (_, b)) in before.iter().zip(&after) {
            assert_near(a, b, name);
        }
        for ((a, b), update) in updates.iter().zip(&changed).zip(&graph.updates) {
            assert_near(a, b, &graph.variables[update.variable.0 as usize].name);
        }
    }
}

fn assert_near(a: &Array, b: &Array, what: &str) {
    assert_eq!(a.shape, b.shape, "{what}");
    for (x, y) in a.data.iter().zip(&b.data) {
        // Of an empty batch the mean is no number.
        let same = (x.is_nan() && y.is_nan()) || (x - y).abs() <= 1e-6 * x.abs().max(1.0);
        assert!(same, "{what}: {x} became {y}");
    }
}

#[test]
fn steps_lower_the_loss() {
    let graph = optimise(unfold(&digits(), &[6], Phase::Train, &[]));
    let mut environment = environment(&graph);
    let mut losses = Vec::new();
    for _ in 0..15 {
        let (outputs, updates) = step(&graph, &environment);
        losses.push(outputs[0].1.data[0]);
        for (update, value) in graph.updates.iter().zip(updates) {
            environment.variables[update.variable.0 as usize] = value;
        }
        environment.step += 1;
    }
    assert!(losses[14] < 0.5 * losses[0], "{losses:?}");
}

/// Every value that is no constant stands in the picture, under its layer's name.
#[test]
fn the_picture_shows_every_value() {
    let model = digits();
    let graph = optimise(unfold(&model, &[64], Phase::Train, &[]));
    let picture = svg(&graph, &model);
    for value in graph.values().filter(|value| graph.constant(*value).is_none()) {
        let line = graph.line(value).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        assert!(picture.contains(&format!("<title>{line}</title>")), "{line}");
    }
    for region in ["max_pool", "cross_entropy", "optimizer"] {
        assert!(picture.contains(&format!(">{region}</text>")), "{region}");
    }
    let text = graph.to_text(Some(&model));
    assert_eq!(text.lines().count(), graph.len() + graph.outputs.len() + graph.updates.len());
    if let Ok(folder) = std::env::var("STRATA_PICTURES") {
        std::fs::write(format!("{folder}/graph.svg"), picture).expect("a folder to write to");
        std::fs::write(format!("{folder}/graph.txt"), text).expect("a folder to write to");
    }
}
