//! Where numbers stopped being finite.
//!
//! The crank keeps a copy of the variables in memory from time to time. As a step is a function of variables,
//! batch and number, the steps since then can be done again one by one, looking at every variable after each:
//! so the first step that made such a number is found, and its variables from before, whatever kind of number it
//! was and however late the loss showed it.

use std::time::{Duration, Instant};

use super::machine::{Machine, MachineError, Outputs, Phase};
use super::programs::Programs;
use super::update::Update;
use super::{Job, Place, TrainError, Variables};
use crate::{DType, Tensor};

/// The first tensor in the order of computation that holds a number that is not finite.
#[derive(Clone, Debug, PartialEq)]
pub struct Suspect {
    /// What it is called.
    pub name: String,
    /// Its id in the table of whoever made the program: it knows the line.
    pub id: u32,
    /// The number, as it is written: `NaN`, `inf`, `-inf`.
    pub found: String,
    /// Where in the tensor.
    pub index: Vec<usize>,
}

/// A step whose numbers are not all finite.
#[derive(Clone, Debug, PartialEq)]
pub struct Divergence {
    /// Which step, counted from 1.
    pub step: u64,
    /// Epoch of its batch, from 0.
    pub epoch: u64,
    /// What the step gave as loss and the like.
    pub outputs: Outputs,
    /// The tensor it begins with, where it was found again.
    pub suspect: Option<Suspect>,
    /// A variable that was not finite before any step of this stretch.
    pub variable: Option<String>,
}

/// The variables at some place of the run.
pub(super) struct Snapshot {
    pub variables: Variables,
    place: Place,
    taken: Instant,
    /// How long to wait before the next.
    rest: Duration,
    /// The first variable with a number that is not finite.
    odd: Option<String>,
}

/// A copy may cost this part of the time: a hundredth.
const REST_PER_COST: u32 = 100;

impl Snapshot {
    pub fn take<M: Machine>(machine: &M, place: &Place) -> Snapshot {
        let start = Instant::now();
        let variables = machine.read();
        let odd = variables.iter().find(|(_, tensor)| !is_finite(tensor)).map(|(name, _)| name.clone());
        let rest = start.elapsed() * REST_PER_COST;
        Snapshot { variables, place: *place, taken: Instant::now(), rest, odd }
    }

    pub fn is_finite(&self) -> bool {
        self.odd.is_none()
    }

    pub fn is_old(&self) -> bool {
        self.taken.elapsed() >= self.rest
    }
}

/// Does the steps since the snapshot again, up to step `last` (counted from 0) or the first before it that makes a
/// number that is not finite, and leaves the machine as it was before that step's batch.
pub(super) fn diagnose<M: Machine>(
    machine: &mut M,
    programs: &mut Programs<M::Program>,
    job: &Job,
    snapshot: &Snapshot,
    last: u64,
) -> Result<Divergence, TrainError> {
    machine.write(&snapshot.variables);
    let Place { mut step, cursor, .. } = snapshot.place;
    let mut before = snapshot.variables.clone();
    let mut feed = job.input.feed(cursor)?;
    while step <= last {
        let mut update = Update::new(job.accumulate, step);
        loop {
            let part = update.part(machine, programs, &mut feed)?;
            let after = machine.read();
            if is_finite_loss(&part.outputs)
                && snapshot.is_finite()
                && after.iter().all(|(_, tensor)| is_finite(tensor))
            {
                before = after;
                if part.phase == Phase::Train {
                    break;
                }
                continue;
            }
            machine.write(&before);
            let variable = snapshot.odd.clone();
            let found = variable.is_none().then(|| machine.examine(part.phase, &part.batch, part.turn));
            let suspect = found.transpose()?.flatten();
            let (epoch, outputs) = (part.batch.epoch, part.outputs);
            return Ok(Divergence { step: step + 1, epoch, outputs, suspect, variable });
        }
        step += 1;
    }
    let text = format!("a number up to step {} was not finite, but was when it was computed again", last + 1);
    Err(MachineError::Words(text).into())
}

/// Whether the loss is finite; other outputs may be what they like.
pub(super) fn is_finite_loss(outputs: &Outputs) -> bool {
    outputs.iter().filter(|(name, _)| &**name == "loss").all(|(_, value)| value.is_finite())
}

/// Whether all elements are finite; integers always are.
pub(super) fn is_finite(tensor: &Tensor) -> bool {
    let bytes = tensor.bytes();
    // The largest exponent means infinity or NaN. Sixteen bits are enough to see it in either short format.
    let short = |mask: u16| bytes.as_chunks::<2>().0.iter().all(|b| u16::from_ne_bytes(*b) & mask != mask);
    match tensor.dtype() {
        DType::F32 => bytes.as_chunks::<4>().0.iter().all(|b| f32::from_ne_bytes(*b).is_finite()),
        DType::F64 => bytes.as_chunks::<8>().0.iter().all(|b| f64::from_ne_bytes(*b).is_finite()),
        DType::Bf16 => short(0x7f80),
        DType::F16 => short(0x7c00),
        DType::I32 | DType::I64 | DType::U8 | DType::Bool => true,
    }
}
