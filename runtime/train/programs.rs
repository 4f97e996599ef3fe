//! Programs by phase and shapes of batches, made when first needed; the least recently used go first.

use super::machine::{Machine, MachineError, Outputs, Phase, Turn};
use crate::queue::{Batch, Shapes};

/// How many are kept: a whole and a short batch for training and a few evaluations, in eight buckets.
const KEPT: usize = 32;

/// The programs that were made, most recently used first.
pub struct Programs<P> {
    made: Vec<(Phase, Shapes, P)>,
}

impl<P> Default for Programs<P> {
    fn default() -> Programs<P> {
        Programs { made: Vec::new() }
    }
}

impl<P> Programs<P> {
    /// Carries out the program that fits the batch.
    ///
    /// # Errors
    /// As [`Machine::compile`] and [`Machine::run`].
    pub fn run<M: Machine<Program = P>>(
        &mut self,
        machine: &mut M,
        phase: Phase,
        batch: &Batch,
        turn: Turn,
    ) -> Result<Outputs, MachineError> {
        let program = self.of(machine, phase, batch.shapes())?;
        machine.run(program, batch, turn)
    }

    fn of<M: Machine<Program = P>>(
        &mut self,
        machine: &mut M,
        phase: Phase,
        shapes: Shapes,
    ) -> Result<&mut P, MachineError> {
        let found = self.made.iter().position(|(p, s, _)| *p == phase && *s == shapes);
        let entry = match found {
            Some(at) => self.made.remove(at),
            None => {
                let program = machine.compile(phase, &shapes)?;
                (phase, shapes, program)
            }
        };
        self.made.truncate(KEPT - 1);
        self.made.insert(0, entry);
        Ok(&mut self.made[0].2)
    }
}
