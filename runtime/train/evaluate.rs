//! One pass over some examples: means of loss and metrics, each batch counting by its examples.

use std::sync::Arc;

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

impl Weighted {
    /// Takes in the means over a batch.
    pub fn add(&mut self, mut outputs: Outputs, examples: usize) {
        let said = outputs.iter().position(|(name, _)| &**name == WEIGHT);
        let weight = said.map_or(examples as f64, |at| outputs.remove(at).1);
        if self.outputs.is_empty() {
            self.outputs = outputs.iter().map(|(name, _)| (Arc::clone(name), 0.0)).collect();
        }
        self.examples += examples;
        // Moving the mean keeps equal values equal, however many batches there are.
        self.weight += weight;
        let part = if self.weight > 0.0 { weight / self.weight } else { 0.0 };
        for ((_, mean), (_, value)) in self.outputs.iter_mut().zip(outputs) {
            *mean += (value - *mean) * part;
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
    Ok(Some(means))
}
