//! Loss and metrics over many batches are what they would be if all examples were one batch: functions of sums over all
//! of them, whatever the batches are; on this machine's code.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops where it stands")]

use std::sync::Arc;

use strata::machine::Machine;
use strata::model::Model;
use strata_runtime::Tensor;
use strata_runtime::queue::{Batch, Cursor};
use strata_runtime::train::{Machine as _, Outputs, Phase, Turn, Weighted};
use strata_tests::random::Choices;
use strata_tests::trial::model;

/// So many examples, each with a length of its own.
struct Set {
    features: usize,
    classes: usize,
    lengths: Vec<usize>,
    x: Vec<Vec<f32>>,
    label: Vec<Vec<i32>>,
}

impl Set {
    fn new(examples: usize, longest: usize, [features, classes]: [usize; 2]) -> Set {
        let mut choices = Choices::new(11);
        let lengths: Vec<usize> = (0..examples).map(|_| 1 + choices.below(longest)).collect();
        let mut row = |length: usize| -> Vec<f32> {
            (0..length * features).map(|_| choices.below(400) as f32 / 100.0 - 2.0).collect()
        };
        let x = lengths.iter().map(|length| row(*length)).collect();
        let mut choices = Choices::new(12);
        let mut tokens = |length: usize| (0..length).map(|_| choices.below(classes) as i32).collect();
        let label = lengths.iter().map(|length| tokens(*length)).collect();
        Set { features, classes, lengths, x, label }
    }

    /// Some of them, filled up to `longest`, as `x` and `label` with their lengths.
    fn batch(&self, which: std::ops::Range<usize>, longest: usize) -> Batch {
        let count = which.len();
        let (mut x, mut label, mut lengths) = (Vec::new(), Vec::new(), Vec::new());
        for at in which {
            // What lies beyond an end must not count.
            let mut row = self.x[at].clone();
            row.resize(longest * self.features, 77.0);
            x.extend(row);
            let mut row = self.label[at].clone();
            row.resize(longest, (at % self.classes) as i32);
            label.extend(row);
            lengths.push(self.lengths[at] as i32);
        }
        let tensors: Vec<(Arc<str>, Tensor)> = vec![
            ("x".into(), Tensor::from_f32(&[count, longest, self.features], &x).unwrap()),
            ("label".into(), Tensor::from_i32(&[count, longest], &label).unwrap()),
            ("x.length".into(), Tensor::from_i32(&[count], &lengths).unwrap()),
        ];
        Batch { tensors, examples: count, epoch: 0, ends_epoch: false, cursor: Cursor::default() }
    }

    /// Whole passes over these cuts of it, each batch as long as its longest example.
    fn measured(&self, model: &Model, cuts: &[usize]) -> Outputs {
        let mut machine = Machine::new(model, 3, 1).unwrap();
        let mut found = Weighted::default();
        let mut from = 0;
        for count in cuts {
            let longest = *self.lengths[from..from + count].iter().max().unwrap();
            let batch = self.batch(from..from + count, longest);
            let mut program = machine.compile(Phase::Evaluate, &batch.shapes()).unwrap();
            let outputs = machine.run(&mut program, &batch, Turn::default()).unwrap();
            found.add(outputs, *count);
            from += count;
        }
        machine.finish(found.outputs)
    }
}

/// That every cut of 10 examples gives what all at once do.
fn same_however_cut(model: &Model, set: &Set) -> Outputs {
    let whole = set.measured(model, &[10]);
    for cuts in [&[5, 5][..], &[4, 4, 2], &[9, 1], &[1; 10], &[3, 3, 3, 1]] {
        let found = set.measured(model, cuts);
        assert_eq!(found.len(), whole.len(), "{found:?}");
        for ((name, a), (other, b)) in found.iter().zip(&whole) {
            assert_eq!(name, other);
            assert!((a - b).abs() <= 3e-6 * (1.0 + b.abs()), "{name} over {cuts:?}: {a}, all at once {b}");
        }
    }
    whole
}

fn named(outputs: &Outputs, name: &str) -> f64 {
    outputs.iter().find(|(known, _)| **known == *name).unwrap_or_else(|| panic!("{name} in {outputs:?}")).1
}

#[test]
fn perplexity_is_that_of_the_whole_set() {
    let body = "input x: f32[batch, ragged time, 3]
        input label: i32[batch, ragged time]
        logits = dense(x, 4)
        loss cross_entropy(logits, label)
        metric perplexity(logits, label)
        metric accuracy(logits, label)
        metric exact_sequence(logits, label)";
    let found = same_however_cut(&model("", body), &Set::new(10, 7, [3, 4]));
    assert!((named(&found, "perplexity") - named(&found, "loss").exp()).abs() < 1e-5, "{found:?}");
}

#[test]
fn quotients_of_sums_and_means_of_different_kinds_are_exact() {
    // Over positions, over examples, over elements, with a part that no example changes.
    let body = "input x: f32[batch, ragged time, 3]
        input label: i32[batch, ragged time]
        hidden = dense(x, 5) |> tanh
        logits = dense(hidden, 4)
        logit = sum(dense(hidden, 1), axis: -1)
        target = cast(label == 1, f32)
        weights = mean(hidden, axis: 1) |> dense(2)
        param w: f32[6] = 0.3
        loss cross_entropy(logits, label) + 0.5 * mean(weights * weights) + 0.1 * sum(w * w)
        metric precision(logit, target)
        metric recall(logit, target)
        metric f1(logit, target)
        metric macro_precision(logits, label)
        metric macro_recall(logits, label)
        metric macro_f1(logits, label)
        metric sqrt(mse(logit, target)) as rmse
        metric max(abs(logit)) as furthest
        metric min(logit) as lowest
        metric sum(target) as ones";
    let set = Set::new(10, 7, [3, 4]);
    let found = same_however_cut(&model("", body), &set);
    let ones = set.label.iter().flatten().filter(|label| **label == 1).count();
    assert_eq!(named(&found, "ones"), ones as f64);
    let (p, r) = (named(&found, "precision"), named(&found, "recall"));
    assert!(p > 0.0 && r > 0.0, "{found:?}");
    assert!((named(&found, "f1") - 2.0 * p * r / (p + r)).abs() < 1e-6, "{found:?}");
}

#[test]
fn what_is_no_function_of_sums_is_a_mean_over_batches() {
    // The spread around a batch's own mean: examples meet before anything is summed up.
    let body = "input x: f32[batch, ragged time, 1]
        input label: i32[batch, ragged time]
        each = mean(x, axis: [1, 2])
        loss mean(each)
        metric mean((each - mean(each)) * (each - mean(each))) as spread";
    let model = model("", body);
    let set = Set::new(10, 7, [1, 4]);
    let alone = set.measured(&model, &[1; 10]);
    assert!(named(&alone, "spread").abs() < 1e-9, "one example alone has no spread: {alone:?}");
    let mean = |numbers: &[f64]| numbers.iter().sum::<f64>() / numbers.len() as f64;
    let each: Vec<f64> =
        set.x.iter().map(|x| mean(&x.iter().map(|x| f64::from(*x)).collect::<Vec<_>>())).collect();
    let spread = |batch: &[f64]| {
        let middle = mean(batch);
        mean(&batch.iter().map(|each| (each - middle).powi(2)).collect::<Vec<_>>())
    };
    for cuts in [&[10][..], &[5, 5], &[7, 3]] {
        let (mut from, mut wanted) = (0, 0.0);
        for count in cuts {
            wanted += spread(&each[from..from + count]) * *count as f64 / 10.0;
            from += count;
        }
        let found = named(&set.measured(&model, cuts), "spread");
        assert!((found - wanted).abs() < 1e-6, "{cuts:?}: {found}, not {wanted}");
    }
}

#[test]
fn plain_batches_are_exact_too() {
    let mut choices = Choices::new(5);
    let x: Vec<f32> = (0..30).map(|_| choices.below(100) as f32 / 50.0 - 1.0).collect();
    let body = "input x: f32[batch, 3]
        loss exp(mean(x))
        metric mean(cast(sum(x, axis: 1) > 0.2, f32)) as above";
    let model = model("", body);
    let over = |cuts: &[usize]| {
        let mut machine = Machine::new(&model, 3, 1).unwrap();
        let (mut found, mut from) = (Weighted::default(), 0);
        for count in cuts {
            let tensor = Tensor::from_f32(&[*count, 3], &x[from * 3..(from + count) * 3]).unwrap();
            let tensors = vec![(Arc::from("x"), tensor)];
            let batch =
                Batch { tensors, examples: *count, epoch: 0, ends_epoch: false, cursor: Cursor::default() };
            let mut program = machine.compile(Phase::Evaluate, &batch.shapes()).unwrap();
            found.add(machine.run(&mut program, &batch, Turn::default()).unwrap(), *count);
            from += count;
        }
        machine.finish(found.outputs)
    };
    let whole: f64 = x.iter().map(|x| f64::from(*x)).sum::<f64>() / 30.0;
    for cuts in [&[10][..], &[4, 4, 2], &[9, 1]] {
        let found = over(cuts);
        assert!((named(&found, "loss") - whole.exp()).abs() < 1e-6, "{cuts:?}: {found:?}, {}", whole.exp());
        assert_eq!(found.len(), 2, "no part remains: {found:?}");
    }
}
