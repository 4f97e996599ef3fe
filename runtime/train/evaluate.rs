//! One pass over some examples: loss and metrics, each a function of sums over all examples or, where it is none, a mean
//! in which each batch counts by its examples.

use super::TrainError;
use super::machine::{Machine, Outputs, Phase, Turn};
use super::programs::Programs;
use crate::queue::Input;

/// Means over examples.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Weighted {
    /// The means.
    pub outputs: Outputs,
    /// How many examples they run over.
    pub examples: usize,
    /// How much all of them count: their number, or what the batches say by [`WEIGHT`].
    weight: f64,
}

/// The output by which a batch says how much its means count, where that is not by its examples: the positions of
/// sequences, each as long as it is.
pub const WEIGHT: &str = "weight";

/// An output whose name begins so is summed over batches.
pub const TOTAL: &str = "total/";
/// Of one whose name begins so the largest counts.
pub const LARGEST: &str = "largest/";
/// Of one whose name begins so the smallest counts.
pub const SMALLEST: &str = "smallest/";
/// What is named so is the same for all batches.
pub const SAME: &str = "same/";

/// How a number of one batch joins that of those before.
fn joined(name: &str, before: f64, value: f64, part: f64) -> f64 {
    if name.starts_with(TOTAL) {
        before + value
    } else if name.starts_with(LARGEST) {
        if value > before || value.is_nan() { value } else { before }
    } else if name.starts_with(SMALLEST) {
        if value < before || value.is_nan() { value } else { before }
    } else {
        // Moving the mean keeps equal values equal, however many batches there are.
        before + (value - before) * part
    }
}

impl Weighted {
    /// Takes in the means over a batch, and what is totalled otherwise.
    pub fn add(&mut self, mut outputs: Outputs, examples: usize) {
        let said = outputs.iter().position(|(name, _)| &**name == WEIGHT);
        let weight = said.map_or(examples as f64, |at| outputs.remove(at).1);
        self.examples += examples;
        self.weight += weight;
        let part = if self.weight > 0.0 { weight / self.weight } else { 0.0 };
        if self.outputs.is_empty() {
            self.outputs = outputs;
            return;
        }
        for ((name, before), (_, value)) in self.outputs.iter_mut().zip(outputs) {
            *before = joined(name, *before, value, part);
        }
    }
}

/// Evaluates all examples of `input` once, after so many updates; `None` if somebody asked to end before it was done.
///
/// # Errors
/// The data, or a program that cannot be made or run.
pub fn evaluate<M: Machine>(
    machine: &mut M,
    programs: &mut Programs<M::Program>,
    input: &Input,
    step: u64,
    asked: &dyn Fn() -> bool,
) -> Result<Option<Weighted>, TrainError> {
    let mut means = Weighted::default();
    for batch in input.pass()? {
        if asked() {
            return Ok(None);
        }
        let batch = batch?;
        let outputs = programs.run(machine, Phase::Evaluate, &batch, Turn { step, part: 0 })?;
        means.add(outputs, batch.examples);
    }
    means.outputs = machine.finish(means.outputs);
    Ok(Some(means))
}
