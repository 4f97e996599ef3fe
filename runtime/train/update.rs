//! One step: the batches that make one update.

use super::TrainError;
use super::evaluate::{WEIGHT, Weighted};
use super::machine::{Machine, Outputs, Phase, Turn};
use super::programs::Programs;
use crate::queue::{Batch, Feed};

/// The batches of one update, one after the other: so many, or fewer at the end of an epoch.
pub(super) struct Update {
    accumulate: u64,
    turn: Turn,
    means: Weighted,
}

/// One batch of an update.
pub(super) struct Part {
    /// It.
    pub batch: Batch,
    /// What was done with it: [`Phase::Train`] for the last.
    pub phase: Phase,
    /// When.
    pub turn: Turn,
    /// What it gave.
    pub outputs: Outputs,
}

impl Update {
    pub fn new(accumulate: u64, step: u64) -> Update {
        Update { accumulate, turn: Turn { step, part: 0 }, means: Weighted::default() }
    }

    /// Does the next batch.
    pub fn part<M: Machine>(
        &mut self,
        machine: &mut M,
        programs: &mut Programs<M::Program>,
        feed: &mut Feed,
    ) -> Result<Part, TrainError> {
        let batch = feed.next()?;
        let last = self.turn.part + 1 >= self.accumulate || batch.ends_epoch;
        let phase = if last { Phase::Train } else { Phase::Gather };
        let turn = self.turn;
        let outputs = programs.run(machine, phase, &batch, turn)?;
        self.turn.part += 1;
        let known =
            |name: &str| name == WEIGHT || self.means.outputs.iter().any(|(other, _)| **other == *name);
        // What the last batch alone gives (a rate) is of the whole step.
        let alone: Outputs = if last && turn.part > 0 {
            outputs.iter().filter(|(name, _)| !known(name)).cloned().collect()
        } else {
            Outputs::new()
        };
        self.means.add(
            outputs.iter().filter(|(name, _)| !alone.iter().any(|(a, _)| a == name)).cloned().collect(),
            batch.examples,
        );
        self.means.outputs.extend(alone);
        Ok(Part { batch, phase, turn, outputs })
    }

    /// Means over the examples of all batches.
    pub fn means(self) -> Weighted {
        self.means
    }
}
