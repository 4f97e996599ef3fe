//! Ragged axes: examples of their own lengths in one batch give what each gives alone, and what lies beyond their ends
//! counts for nothing, in values, losses and gradients.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops where it stands")]

use strata::reference::Array;
use strata::unfold::Phase;
use strata_tests::trial::{Trial, model, numbers};

const LENGTHS: [usize; 3] = [3, 1, 5];
/// How long the batch is: longer than its longest example.
const PADDED: usize = 6;

/// An input as a batch of all examples, other numbers beyond their ends for each `filling`; or as one example alone.
struct Sequences {
    name: &'static str,
    step: Vec<usize>,
    /// Whole numbers from 0 to below this, or floats.
    whole: Option<f64>,
}

impl Sequences {
    fn floats(name: &'static str, step: &[usize]) -> Sequences {
        Sequences { name, step: step.to_vec(), whole: None }
    }

    fn labels(name: &'static str, classes: f64) -> Sequences {
        Sequences { name, step: Vec::new(), whole: Some(classes) }
    }

    fn all(&self, filling: &str) -> Array {
        let shape = [vec![LENGTHS.len(), PADDED], self.step.clone()].concat();
        let mut array = numbers(self.name, &shape);
        let other = numbers(filling, &shape);
        let step: usize = self.step.iter().product();
        for (example, length) in LENGTHS.iter().enumerate() {
            let beyond = (example * PADDED + length) * step..(example + 1) * PADDED * step;
            // Far out, so that it would be seen.
            beyond.for_each(|at| {
                array.data[at] = if self.whole.is_some() { other.data[at] } else { 9.0 * other.data[at] }
            });
        }
        if let Some(classes) = self.whole {
            array
                .data
                .iter_mut()
                .for_each(|x| *x = ((*x + 1.0) / 2.0 * classes).floor().clamp(0.0, classes - 1.0));
        }
        array
    }

    fn alone(&self, example: usize) -> Array {
        let all = self.all("any");
        let step: usize = self.step.iter().product();
        let from = example * PADDED * step;
        let shape = [vec![1, LENGTHS[example]], self.step.clone()].concat();
        Array::new(&shape, all.data[from..from + LENGTHS[example] * step].to_vec())
    }
}

fn trial(
    body: &str,
    sequences: &[Sequences],
    array: impl Fn(&Sequences) -> Array,
    lengths: &[usize],
) -> Trial {
    let names: Vec<String> = sequences.iter().map(|s| format!("{}.length", s.name)).collect();
    let lengths: Vec<f64> = lengths.iter().map(|n| *n as f64).collect();
    let mut inputs: Vec<(&str, Array)> = Vec::new();
    for (sequence, name) in sequences.iter().zip(&names) {
        inputs.push((sequence.name, array(sequence)));
        inputs.push((name, Array::new(&[lengths.len()], lengths.clone())));
    }
    Trial::new(model("", body), &inputs)
}

#[track_caller]
fn near(a: &[f64], b: &[f64], what: &str) {
    assert_eq!(a.len(), b.len(), "{what}");
    assert!(
        a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-9 * (1.0 + b.abs())),
        "{what}: {a:?} is not {b:?}"
    );
}

/// That nothing beyond the ends counts.
#[track_caller]
fn ends_do_not_count(body: &str, sequences: &[Sequences]) {
    let [one, other] = ["one", "other"]
        .map(|filling| trial(body, sequences, |s| s.all(filling), &LENGTHS).loss_and_gradients());
    assert!(one.0.is_finite(), "{body}: {}", one.0);
    near(&[one.0], &[other.0], body);
    assert_eq!(one.1.len(), other.1.len());
    for ((name, a), (_, b)) in one.1.iter().zip(&other.1) {
        near(&a.data, &b.data, &format!("{name} of {body}"));
    }
}

/// That also `y` of each example is what it is alone, and that the loss is the mean over all steps.
#[track_caller]
fn same_alone(body: &str, sequences: &[Sequences]) {
    ends_do_not_count(body, sequences);
    let together = trial(body, sequences, |s| s.all("one"), &LENGTHS);
    let y = together.bindings(Phase::Predict, &["y"]).remove("y").unwrap();
    let row = y.data.len() / LENGTHS.len();
    let mut sum = 0.0;
    for (example, length) in LENGTHS.iter().enumerate() {
        let alone = trial(body, sequences, |s| s.alone(example), &[*length]);
        let own = alone.bindings(Phase::Predict, &["y"]).remove("y").unwrap();
        let found = &y.data[example * row..][..own.data.len()];
        near(found, &own.data, &format!("example {example} of {body}"));
        sum += alone.loss_and_gradients().0 * *length as f64;
    }
    let steps: usize = LENGTHS.iter().sum();
    near(&[together.loss_and_gradients().0], &[sum / steps as f64], body);
}

#[test]
fn recurrences_end_with_their_examples() {
    for layer in ["lstm(3)", "gru(3)", "rnn(3)", "bidirectional(lstm(2))"] {
        let body = format!("input x: f32[batch, ragged time, 4]\n y, _ = x |> {layer}\n loss mean(y * y)");
        same_alone(&body, &[Sequences::floats("x", &[4])]);
    }
    let reverse = "input x: f32[batch, ragged time, 4]\n \
                   scan x over time reverse with s = zeros(batch, 4) { s = 0.5 * s + x }\n y = s\n \
                   param w: f32[] = 1.0\n loss mean(w * s * s)";
    same_alone(reverse, &[Sequences::floats("x", &[4])]);
}

#[test]
fn examples_turn_round_at_their_own_ends() {
    let body =
        "input x: f32[batch, ragged time, 4]\n param w: f32[] = 1.0\n y = reversed(x)\n loss mean(w * y * y)";
    same_alone(body, &[Sequences::floats("x", &[4])]);
}

#[test]
fn products_over_time_end_with_their_examples() {
    let body = "input x: f32[batch, ragged time, 4]\n param w: f32[] = 1.0\n \
                y = transpose(x, axes: [0, 2, 1]) @ x\n loss mean(w * y * y)";
    ends_do_not_count(body, &[Sequences::floats("x", &[4])]);
}

#[test]
fn last_states_are_those_at_the_true_ends() {
    for layer in ["lstm(3)", "bidirectional(gru(3))"] {
        let which = if layer.starts_with("lstm") { "last[0]" } else { "last[1]" };
        let body = format!(
            "input x: f32[batch, ragged time, 4]\n h, last = x |> {layer}\n y = {which}\n loss mean(h) + mean(h * h)"
        );
        same_alone(&body, &[Sequences::floats("x", &[4])]);
    }
}

#[test]
fn attention_looks_at_no_ends() {
    for layer in [
        "attention(4, heads: 2)",
        "attention(4, causal: true)",
        "transformer_block(2)",
        "softmax(axis: 1)",
        "log_softmax(axis: 1)",
    ] {
        let body = format!(
            "input x: f32[batch, ragged time, 4]\n param w: f32[4] = 1.0\n y = x * w |> {layer}\n loss mean(y * x)"
        );
        same_alone(&body, &[Sequences::floats("x", &[4])]);
    }
}

#[test]
fn sums_means_and_extremes() {
    for combined in
        ["sum(z, axis: 1)", "mean(z, axis: time)", "max(z, axis: 1)", "min(z, but: 0)", "argmax(z, axis: 1)"]
    {
        let body = format!(
            "input x: f32[batch, ragged time, 4]\n param w: f32[4] = 1.0\n z = x * w\n y = {combined}\n \
             loss mean(z) + mean(z * z)"
        );
        same_alone(&body, &[Sequences::floats("x", &[4])]);
    }
    let body = "input x: f32[batch, ragged time, 4]\n param w: f32[4] = 1.0\n z = x * w\n y = z\n \
                loss mean(mean(z, but: -1) * mean(z, but: -1)) + max(z) - min(z) + mean(mean(z, axis: 0)) + sum(z)";
    ends_do_not_count(body, &[Sequences::floats("x", &[4])]);
}

#[test]
fn windows_see_no_ends() {
    for layer in [
        "conv(3, kernel: 3)",
        "max_pool(3, stride: 1, padding: same)",
        "average_pool(3, stride: 1, padding: same)",
    ] {
        let body = format!(
            "input x: f32[batch, ragged time, 4]\n param w: f32[4] = 1.0\n y = x * w |> {layer}\n loss mean(y * y)"
        );
        same_alone(&body, &[Sequences::floats("x", &[4])]);
    }
}

#[test]
fn statistics_of_a_batch() {
    let body = "input x: f32[batch, ragged time, 4]\n y = x |> batch_norm\n loss mean(y * x)";
    ends_do_not_count(body, &[Sequences::floats("x", &[4])]);
}

#[test]
fn losses_and_metrics() {
    let head =
        "input x: f32[batch, ragged time, 4]\n input label: i32[batch, time]\n z = x |> dense(5)\n y = z";
    let both = || [Sequences::floats("x", &[4]), Sequences::labels("label", 5.0)];
    same_alone(&format!("{head}\n loss cross_entropy(z, label)"), &both());
    same_alone(&format!("{head}\n loss cross_entropy(z, label, smoothing: 0.1)"), &both());
    for metric in ["accuracy", "exact_sequence", "perplexity"] {
        let body = format!("{head}\n loss {metric}(z, label) + 0 * mean(z)");
        ends_do_not_count(&body, &both());
    }
    // Labels that are the answer up to each end: all are right, whatever comes behind.
    let body = format!("{head}\n exact = exact_sequence(z, cast(argmax(z), i32))\n loss mean(z)");
    let all = trial(&body, &both(), |s| s.all("one"), &LENGTHS);
    assert_eq!(all.binding("exact").data, [1.0]);
}

#[test]
fn positions_among_places_of_their_own() {
    // Each example points to places of itself only.
    let body = "input x: f32[batch, ragged time, 4]\n input to: i32[batch, time]\n \
                y = attend(x |> dense(3), x, 5)\n loss cross_entropy(y, minimum(to, 0))";
    let inputs = [Sequences::floats("x", &[4]), Sequences::labels("to", 1.0)];
    ends_do_not_count(body, &inputs);
    let all = trial(&format!("{body}\n p = softmax(y)"), &inputs, |s| s.all("one"), &LENGTHS).binding("p");
    assert_eq!(all.shape, [3, PADDED, PADDED]);
    for (example, length) in LENGTHS.iter().enumerate() {
        for step in 0..*length {
            let row = &all.data[(example * PADDED + step) * PADDED..][..PADDED];
            near(&[row[..*length].iter().sum()], &[1.0], "within");
            assert!(row[*length..].iter().all(|p| *p == 0.0), "{row:?}");
        }
    }
}

#[test]
fn batches_count_by_their_steps() {
    let body = "input x: f32[batch, ragged time, 4]\n input label: i32[batch, time]\n z = x |> dense(5)\n \
                loss cross_entropy(z, label) + 0.5 * mean(mean(z, axis: -1))";
    let both = [Sequences::floats("x", &[4]), Sequences::labels("label", 5.0)];
    let weight = |trial: &Trial| {
        let graph = strata::unfold::unfold(&trial.model, &trial.binding, Phase::Evaluate, &[]);
        let found = strata::reference::step(&graph, &trial.environment).0;
        found
            .into_iter()
            .find(|(name, _)| name == strata_runtime::train::WEIGHT)
            .map(|(_, value)| value.data[0])
    };
    let all = trial(body, &both, |s| s.all("one"), &LENGTHS);
    assert_eq!(weight(&all), Some(LENGTHS.iter().sum::<usize>() as f64));
}

#[test]
fn padded_examples_are_longer() {
    let z = "input x: f32[batch, ragged time, 4]\n param w: f32[4] = 1.0\n z = x * w";
    for (before, after) in [(1, 0), (0, 2), (2, 1)] {
        for used in
            ["mean(y * y)", "mean(max(y, axis: 1)) + mean(softmax(y, axis: 1) * y)", "mean(lstm(y, 3)[0])"]
        {
            let body = format!("{z}\n y = pad(z, {before}, {after}, axis: time)\n loss {used}");
            ends_do_not_count(&body, &[Sequences::floats("x", &[4])]);
        }
        let body =
            format!("{z}\n y = pad(z, {before}, {after}, axis: time)\n many = sum(y * 0 + 1)\n loss mean(y)");
        let all = trial(&body, &[Sequences::floats("x", &[4])], |s| s.all("one"), &LENGTHS);
        let (x, y, w) = (&all.environment.inputs[0], all.binding("y"), all.variable("w"));
        assert_eq!(y.shape, [3, PADDED + before + after, 4]);
        let steps: usize = LENGTHS.iter().map(|n| n + before + after).sum();
        assert_eq!(all.binding("many").data, [4.0 * steps as f64]);
        for (example, length) in LENGTHS.iter().enumerate() {
            for at in 0..length + before + after {
                for (feature, w) in w.iter().enumerate() {
                    let inside = (before..before + length).contains(&at);
                    let from = |at: usize| x.data[(example * PADDED + at) * 4 + feature] * w;
                    let expected = if inside { from(at - before) } else { 0.0 };
                    let found = y.data[(example * y.shape[1] + at) * 4 + feature];
                    near(&[found], &[expected], &format!("{before}, {after}: {example} at {at}"));
                }
            }
        }
    }
}
