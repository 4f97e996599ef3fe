//! Tokens that are places along a ragged axis: each example chooses among its own.

use std::sync::Arc;

use strata::decode::Steps;
use strata::machine::{Machine, binding};
use strata::sequences::Sequences;
use strata_runtime::Tensor;
use strata_runtime::generate::{Decoder as _, Rules, Strategy, generate};
use strata_runtime::queue::{Batch, Cursor};
use strata_tests::trial::model;

use super::whole::{ROWS, numbers};

/// How many points each example has, of four places in the batch.
const OWN: [i32; ROWS] = [2, 4, 1];

/// Makes sequences of places by an untrained pointer network: its lines from `places` on are given.
fn pointing<T>(lines: &str, work: impl FnOnce(&mut Sequences) -> T) -> T {
    let body = format!(
        "input points: f32[batch, ragged n, 2]
        input to: i32[batch, ragged time]
        {lines}
        e, state = lstm(places, 4)
        d, _ = lstm(gather(places, shift(to)), 4, from: state)
        scores = attend(d, e, 3)
        loss cross_entropy(scores, to)"
    );
    let model = model("", &body);
    let inputs = vec![
        ("points".to_string(), numbers(5, &[ROWS, 4, 2])),
        ("points.length".to_string(), Tensor::from_i32(&[ROWS], &OWN).expect("it fits")),
    ];
    let mut machine = Machine::new(&model, 7, 2).expect("threads start");
    let decoder = model.decoders[0].clone();
    let steps = Steps::new(&model, &decoder).expect("it can be made step by step");
    let tensors = inputs.iter().map(|(name, tensor)| (Arc::from(name.as_str()), tensor.clone())).collect();
    let batch = Batch { tensors, examples: ROWS, epoch: 0, ends_epoch: false, cursor: Cursor::default() };
    let sizes = binding(&model, &batch.shapes()).expect("it fits");
    work(&mut Sequences::new(&mut machine, &model, &decoder, steps, &sizes, inputs))
}

#[test]
fn places_beyond_an_example_are_no_choice() {
    // Place 0 ends a sequence; each example has as many others as it is long.
    let lines = "places = pad(points, 1, 0, axis: n)
        generate to { beam 2; stop at 0; at most n + 1; no repeats }";
    pointing(lines, |sequences| {
        let mut scores = sequences.begin().expect("the first step runs");
        for _ in 0..2 {
            assert_eq!(scores.classes, 5);
            for (row, length) in OWN.iter().enumerate() {
                let row = scores.row(row);
                for (place, score) in row.iter().enumerate() {
                    assert_eq!(score.is_finite(), place <= *length as usize, "{length}: {row:?}");
                }
            }
            scores = sequences.next(&[0, 1, 2], &[1, 2, 1]).expect("a step runs");
        }
    });
}

#[test]
fn without_repeats_every_tour_is_whole() {
    let lines = "places = points
        generate to { beam 3; at most n; no repeats }";
    for strategy in [Strategy::Greedy, Strategy::Beam { width: 3, length: 0.0 }] {
        let rules = Rules {
            strategy,
            stop: None,
            most: OWN.iter().map(|n| *n as usize).collect(),
            no_repeats: true,
            prefixes: Vec::new(),
            seed: 1,
        };
        let found = pointing(lines, |sequences| generate(sequences, &rules).expect("it can"));
        for (hypotheses, length) in found.iter().zip(OWN) {
            for hypothesis in hypotheses {
                let mut places = hypothesis.tokens.clone();
                places.sort_unstable();
                assert!(places.into_iter().eq(0..length as u32), "{length}: {hypotheses:?}");
            }
        }
        // Two points have two tours, and nothing impossible stands beside them.
        assert!(found[0].len() <= 2 && found[2].len() == 1, "{found:?}");
    }
}
