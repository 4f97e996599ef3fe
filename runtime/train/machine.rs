//! What the crank needs of whatever carries out steps.

use std::fmt;
use std::sync::Arc;

use super::{Suspect, Variables};
use crate::faults::BadIndex;
use crate::group::Ended;
use crate::queue::{Batch, Shapes};

/// What a program is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// Changes variables; dropout is on.
    Train,
    /// The same for a microbatch that is not the last of its step: gradients are added up, and states change, but no
    /// parameter does.
    Gather,
    /// Loss and metrics.
    Evaluate,
    /// The model's bindings, without labels.
    Predict,
}

impl Phase {
    /// As the command line calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Phase::Train => "train",
            Phase::Gather => "gather",
            Phase::Evaluate => "evaluate",
            Phase::Predict => "predict",
        }
    }
}

/// When a program runs: what its random numbers and rates depend on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// Updates applied before.
    pub step: u64,
    /// Which microbatch of the step, from 0.
    pub part: u64,
}

/// Named scalars: `loss`, `accuracy`.
pub type Outputs = Vec<(Arc<str>, f64)>;

/// Why a program could not be made or run.
#[derive(Debug)]
pub enum MachineError {
    /// A limit of this machine or a mistake of ours, in words.
    Words(String),
    /// A position outside the axis that it counts.
    Index(BadIndex),
    /// Several devices did not end a step.
    Ended(Box<Ended>),
}

impl fmt::Display for MachineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MachineError::Words(text) => f.write_str(text),
            MachineError::Index(bad) => write!(f, "{bad}"),
            MachineError::Ended(ended) => write!(f, "{ended}"),
        }
    }
}

impl std::error::Error for MachineError {}

/// Holds the variables and carries out programs on them.
///
/// What `run` computes and changes is a function of the variables, the batch and the turn, bit for bit.
pub trait Machine {
    /// Something to be carried out, for one phase and the shapes of batches.
    type Program;

    /// Makes the program of a phase for batches of these shapes.
    ///
    /// # Errors
    /// What this machine cannot do; shapes that contradict each other.
    fn compile(&mut self, phase: Phase, shapes: &Shapes) -> Result<Self::Program, MachineError>;

    /// Carries a program out.
    ///
    /// # Errors
    /// A batch that is not what the program was made for.
    fn run(
        &mut self,
        program: &mut Self::Program,
        batch: &Batch,
        turn: Turn,
    ) -> Result<Outputs, MachineError>;

    /// What was gathered over several batches, once it is all there: measures that are functions of totals become what the
    /// totals make of them, and only measures remain.
    fn finish(&self, outputs: Outputs) -> Outputs {
        outputs
    }

    /// A copy of every variable.
    fn read(&self) -> Variables;

    /// Sets every variable; names and shapes are those of [`Machine::read`].
    fn write(&mut self, variables: &Variables);

    /// Sets the scalar variable of this name (see [`super::told`]), if there is one; says whether there is.
    fn tell(&mut self, name: &str, value: f64) -> bool;

    /// Carries a training program out without fusion and without changing anything, and names the first tensor
    /// that holds a number that is not finite.
    ///
    /// # Errors
    /// As `compile` and `run`.
    fn examine(&mut self, phase: Phase, batch: &Batch, turn: Turn) -> Result<Option<Suspect>, MachineError>;
}
