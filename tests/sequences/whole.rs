//! The whole model as the judge of its steps: run anew on everything so far, whenever the next token is asked for.

use std::sync::Arc;

use strata::decode::Steps;
use strata::machine::{Machine, binding};
use strata::model::Model;
use strata::sequences::Sequences;
use strata_runtime::Tensor;
use strata_runtime::generate::{Decoder, Hypothesis, Rules, Scores, generate};
use strata_runtime::queue::{Batch, Cursor, Shapes};
use strata_runtime::train::MachineError;
use strata_tests::random::Choices;

/// Examples.
pub const ROWS: usize = 3;
/// Positions that are compared.
pub const LENGTH: usize = 6;
/// Different tokens.
pub const CLASSES: usize = 6;

/// Numbers between -1 and 1.
pub fn numbers(seed: u64, shape: &[usize]) -> Tensor {
    let mut choices = Choices::new(seed);
    let count = shape.iter().product();
    let numbers: Vec<f32> = (0..count).map(|_| choices.below(200) as f32 / 100.0 - 1.0).collect();
    Tensor::from_f32(shape, &numbers).expect("it fits")
}

/// Tokens, made of the seed.
pub fn tokens(seed: u64, shape: &[usize]) -> Tensor {
    let mut choices = Choices::new(seed);
    let count = shape.iter().product();
    let tokens: Vec<i32> = (0..count).map(|_| choices.below(CLASSES) as i32).collect();
    Tensor::from_i32(shape, &tokens).expect("it fits")
}

/// The scores of every position of `rows` sequences of one length.
fn scores(machine: &mut Machine, rows: &[Vec<u32>], others: &[(&str, Tensor)]) -> Vec<f32> {
    let (count, length) = (rows.len(), rows[0].len());
    let numbers: Vec<i32> = rows.iter().flatten().map(|token| *token as i32).collect();
    let text = Tensor::from_i32(&[count, length], &numbers).expect("it fits");
    let lengths = Tensor::from_i32(&[count], &vec![length as i32; count]).expect("it fits");
    let mut tensors: Vec<(Arc<str>, Tensor)> = vec![("text".into(), text), ("text.length".into(), lengths)];
    tensors.extend(others.iter().map(|(name, tensor)| (Arc::from(*name), tensor.clone())));
    let batch = Batch { tensors, examples: count, epoch: 0, ends_epoch: false, cursor: Cursor::default() };
    let program = machine.predictor(&batch.shapes(), &["scores".into()]).expect("it compiles");
    let whole = machine.carry_out(&program, &batch, 0).expect("it runs").remove(0);
    whole.as_f32().expect("scores are f32").to_vec()
}

/// The scores of a whole sequence, and what steps give for it; other rows run along in another order.
pub fn compare(model: &Model, others: Vec<(&str, Tensor)>) {
    let text = tokens(3, &[ROWS, LENGTH]);
    let text: Vec<u32> = text.as_i32().expect("tokens are i32").iter().map(|token| *token as u32).collect();
    let rows: Vec<Vec<u32>> = text.chunks(LENGTH).map(<[u32]>::to_vec).collect();
    let mut machine = Machine::new(model, 7, 2).expect("threads start");
    let whole = scores(&mut machine, &rows, &others);
    assert!(whole.iter().any(|score| score.abs() > 1e-3), "scores say something");
    let decoder = model.decoders[0].clone();
    let steps = Steps::new(model, &decoder).expect("it can be made step by step");
    let shapes = others.iter().map(|(name, tensor)| (Arc::from(*name), tensor.shape().to_vec()));
    let mut sizes = binding(model, &Shapes(shapes.collect())).expect("it fits");
    sizes[axis_of_examples(model)] = ROWS as u64;
    let inputs = others.into_iter().map(|(name, tensor)| (name.to_string(), tensor)).collect();
    let mut sequences = Sequences::new(&mut machine, model, &decoder, steps, &sizes, inputs);
    let mut scores = sequences.begin().expect("the first step runs");
    // Which example each row belongs to: at first in order, then turned round, once doubled, and once as it was.
    let mut owners: Vec<usize> = (0..ROWS).collect();
    for at in 0..LENGTH {
        for (row, owner) in owners.iter().enumerate() {
            let expected = &whole[(owner * LENGTH + at) * CLASSES..][..CLASSES];
            for (a, b) in scores.row(row).iter().zip(expected) {
                let found = scores.row(row);
                assert!((a - b).abs() < 1e-5, "position {at}, row {row}: {found:?} for {expected:?}");
            }
        }
        if at + 1 == LENGTH {
            return;
        }
        let from: Vec<usize> = match at {
            1 => (0..owners.len()).chain([0]).collect(),
            2 => (0..owners.len()).collect(),
            _ => (0..owners.len()).rev().collect(),
        };
        owners = from.iter().map(|row| owners[*row]).collect();
        let next: Vec<u32> = owners.iter().map(|owner| rows[*owner][at]).collect();
        scores = sequences.next(&from, &next).expect("a step runs");
    }
}

fn axis_of_examples(model: &Model) -> usize {
    model.free.iter().position(|axis| axis.name == "batch").expect("the models here have one")
}

/// What the rules make of a model that looks at nothing else, by its steps.
pub fn generated(model: &Model, rules: &Rules) -> Vec<Vec<Hypothesis>> {
    let mut machine = Machine::new(model, 7, 1).expect("threads start");
    let decoder = model.decoders[0].clone();
    let steps = Steps::new(model, &decoder).expect("it can be made step by step");
    let mut sizes = vec![1; model.free.len()];
    sizes[axis_of_examples(model)] = rules.most.len() as u64;
    let mut sequences = Sequences::new(&mut machine, model, &decoder, steps, &sizes, Vec::new());
    generate(&mut sequences, rules).expect("steps run")
}

/// A decoder without steps.
pub struct Whole<'m> {
    machine: Machine<'m>,
    examples: usize,
    rows: Vec<Vec<u32>>,
}

impl<'m> Whole<'m> {
    /// What the rules make of a model that looks at nothing else, by the whole of it.
    pub fn generated(model: &'m Model, rules: &Rules) -> Vec<Vec<Hypothesis>> {
        let machine = Machine::new(model, 7, 1).expect("threads start");
        let mut whole = Whole { machine, examples: rules.most.len(), rows: Vec::new() };
        generate(&mut whole, rules).expect("the model runs")
    }

    fn last(&mut self) -> Scores {
        // The token whose scores are asked for is not there yet: any will do.
        let rows: Vec<Vec<u32>> = self.rows.iter().map(|row| [&row[..], &[0]].concat()).collect();
        let all = scores(&mut self.machine, &rows, &[]);
        let ends = all.chunks(rows[0].len() * CLASSES).map(|row| &row[row.len() - CLASSES..]);
        Scores { numbers: ends.flatten().copied().collect(), classes: CLASSES }
    }
}

impl Decoder for Whole<'_> {
    type Error = MachineError;

    fn begin(&mut self) -> Result<Scores, MachineError> {
        self.rows = vec![Vec::new(); self.examples];
        Ok(self.last())
    }

    fn next(&mut self, from: &[usize], tokens: &[u32]) -> Result<Scores, MachineError> {
        let row = |(from, token): (&usize, &u32)| [&self.rows[*from][..], &[*token]].concat();
        self.rows = from.iter().zip(tokens).map(row).collect();
        Ok(self.last())
    }
}
