//! Steps of a decoder against the whole model: the scores of each position are the same, on this machine's code; and
//! whatever way tokens are chosen, they are those that the whole model would have led to.

mod pointing;
mod whole;

use strata_runtime::Tensor;
use strata_runtime::generate::{Rules, Sampling, Strategy};
use strata_tests::trial::model;
use whole::{CLASSES, LENGTH, ROWS, Whole, compare, generated, numbers, tokens};

#[test]
fn two_layers_carry_their_states() {
    let body = "input text: i32[batch, time]
        x = embedding(shift(text, with: START), 6, 4)
        a, _ = lstm(x, 5)
        b, _ = gru(dense(a, 3) |> tanh, 4)
        scores = dense(dropout(b, rate: 0.5), 6)
        loss cross_entropy(scores, text)
        generate text { greedy; at most 9 }";
    compare(&model("", body), Vec::new());
}

#[test]
fn an_encoder_is_run_once_and_attended_to() {
    let body = "input source: f32[batch, place, 3]
        input text: i32[batch, ragged time]
        e, state = lstm(source, 5)
        d, _ = lstm(embedding(shift(text, with: START), 6, 4), 5, from: state)
        weights = softmax(attend(d, e, 7), axis: -1)
        seen = weights @ e
        scores = dense(d + seen, 6)
        loss cross_entropy(scores, text)
        generate text { beam 2; at most place + 1 }";
    compare(&model("", body), vec![("source", numbers(9, &[ROWS, LENGTH - 1, 3]))]);
}

/// A language model of two blocks; `time` is how its axis is declared.
fn transformer(time: &str, rules: &str) -> String {
    format!(
        "input text: i32[batch, {time}]
        x = embedding(shift(text, with: START), 6, 8) + embedding(index(text, axis: 1), 64, 8)
        for i in 0..2 {{
          x = transformer_block(x, heads: 2, rate: 0.1, causal: true)
        }}
        scores = dense(layer_norm(x), 6)
        loss cross_entropy(scores, text)
        generate text {{ {rules} }}"
    )
}

#[test]
fn a_transformer_keeps_what_positions_have_left() {
    compare(&model("", &transformer("time", "greedy; at most 40")), Vec::new());
    compare(&model("", &transformer("ragged time", "greedy; stop at END")), Vec::new());
}

#[test]
fn a_transformer_attends_to_its_encoder() {
    let body = "input source: i32[batch, ragged place]
        input text: i32[batch, ragged time]
        e = embedding(source, 6, 8) |> transformer_block(heads: 2)
        x = embedding(shift(text, with: START), 6, 8) + embedding(index(text, axis: 1), 40, 8)
        x = x + attention(layer_norm(x), 8, heads: 2, causal: true)
        x = x + attention(layer_norm(x), 8, memory: e, heads: 2)
        x = x + (dense(layer_norm(x), 16) |> relu |> dense(8))
        scores = dense(x, 6)
        loss cross_entropy(scores, text)
        generate text { beam 3 length 0.6; stop at END; at most 2 * place + 8 }";
    let lengths = Tensor::from_i32(&[3], &[4, 2, 3]).expect("it fits");
    compare(&model("", body), vec![("source", tokens(5, &[3, 4])), ("source.length", lengths)]);
}

#[test]
fn additive_attention_sees_an_encoder_and_the_positions_before() {
    let body = "input source: f32[batch, place, 3]
        input text: i32[batch, time]
        e = dense(source, 8)
        x = embedding(shift(text, with: START), 6, 8)
        raw = attend(x, x, 5)
        mask = index(raw, axis: 2) <= new_axis(index(raw, axis: 1))
        own = softmax(choose(mask, raw, -1e30)) @ dense(x, 8)
        seen = softmax(attend(own, e, 7)) @ e
        d, _ = gru(own + seen, 6)
        scores = dense(d, 6)
        loss cross_entropy(scores, text)
        generate text { greedy; at most 20 }";
    compare(&model("", body), vec![("source", numbers(9, &[ROWS, LENGTH - 1, 3]))]);
}

#[test]
fn attention_stands_on_recurrences_and_recurrences_on_attention() {
    let body = "input text: i32[batch, ragged time]
        x = embedding(shift(text, with: START), 6, 8)
        a, _ = lstm(x, 8)
        b = a + attention(a, 8, heads: 2, causal: true)
        c, _ = gru(b, 7)
        scores = dense(c, 6)
        loss cross_entropy(scores, text)
        generate text { greedy; at most 20 }";
    compare(&model("", body), Vec::new());
}

#[test]
fn masks_count_for_what_they_do() {
    // A window of three, one that leaves out the position itself, and weights that a mask sets to 0.
    let body = "input text: i32[batch, time]
        x = embedding(shift(text, with: START), 6, 8)
        raw = x @ transpose(x)
        q = new_axis(index(raw, axis: 1))
        k = index(raw, axis: 2)
        near = choose(k <= q and k > q - 3, raw, -1e30)
        a = softmax(near) @ x
        past = choose(k < q, raw, 0)
        b = past @ dense(x, 8)
        scores = dense(a + b, 6)
        loss cross_entropy(scores, text)
        generate text { greedy; at most 9 }";
    compare(&model("", body), Vec::new());
}

#[test]
fn the_sequence_may_be_as_long_as_what_is_given() {
    let body = "input given: f32[batch, time, 3]
        input text: i32[batch, time]
        e = dense(given, 8) |> attention(8, heads: 2)
        x = embedding(shift(text, with: START), 6, 8) + e
        x = x + attention(x, 8, heads: 2, causal: true) + attention(x, 8, memory: e)
        scores = dense(x, 6)
        loss cross_entropy(scores, text)
        generate text { greedy; at most time }";
    compare(&model("", body), vec![("given", numbers(4, &[ROWS, LENGTH, 3]))]);
}

fn rules(strategy: Strategy) -> Rules {
    Rules { strategy, stop: None, most: vec![7; 3], no_repeats: false, prefixes: Vec::new(), seed: 5 }
}

#[test]
fn tokens_are_those_that_the_whole_model_leads_to() {
    let model = model("", &transformer("time", "greedy; at most 7"));
    let sampling = Sampling { temperature: 0.7, top: Some(4), nucleus: Some(0.9) };
    let plain = Sampling { temperature: 1.3, top: None, nucleus: None };
    let beam = |width, length| Strategy::Beam { width, length };
    let all = [
        rules(Strategy::Greedy),
        rules(beam(1, 0.0)),
        rules(beam(4, 0.6)),
        rules(Strategy::Sample(sampling.clone())),
        rules(Strategy::Sample(plain)),
        Rules { stop: Some(2), most: vec![7, 20, 3], ..rules(beam(3, 1.0)) },
        Rules { stop: Some(3), most: vec![25; 3], ..rules(Strategy::Sample(sampling)) },
        Rules { no_repeats: true, most: vec![6; 3], ..rules(Strategy::Greedy) },
        Rules { no_repeats: true, most: vec![5; 3], ..rules(beam(3, 0.0)) },
        Rules { prefixes: vec![vec![1, 4], vec![], vec![5, 5, 5]], ..rules(Strategy::Greedy) },
        Rules { prefixes: vec![vec![1, 4], vec![], vec![5, 5, 5]], ..rules(beam(3, 0.6)) },
    ];
    for rules in all {
        let steps = generated(&model, &rules);
        let whole = Whole::generated(&model, &rules);
        assert_eq!(steps.len(), 3);
        for (example, (a, b)) in steps.iter().zip(&whole).enumerate() {
            assert_eq!(a.len(), b.len(), "{rules:?}");
            for (a, b) in a.iter().zip(b) {
                assert_eq!(a.tokens, b.tokens, "example {example} of {rules:?}");
                let close = (a.log_probability - b.log_probability).abs() < 1e-4;
                assert!(close, "{} and {}, {rules:?}", a.log_probability, b.log_probability);
                assert!(a.tokens.iter().all(|token| (*token as usize) < CLASSES));
            }
        }
    }
}
