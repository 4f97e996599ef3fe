//! The crank: turns batches into steps until there is a reason to end.
//!
//! In: a [`Machine`] that holds the variables, an input, a place to start. Out: why it ended; on the way events
//! for whoever shows and logs, and states to be kept. Promises: a run that starts from a kept [`Progress`] and
//! the variables kept with it goes on bit for bit as the run that kept them; a loss that is not finite ends it
//! with the step, and the tensor, that it came from; and no state is kept that holds a number that is not finite.

mod divergence;
mod evaluate;
mod machine;
mod programs;
mod schedule;
pub mod told;
mod update;

#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::Tensor;
use crate::queue::{Batch, Cursor, DataError, Feed, Input};

pub use divergence::{Divergence, Suspect};
pub use evaluate::{LARGEST, SAME, SMALLEST, TOTAL, WEIGHT, Weighted, evaluate};
pub use machine::{Machine, MachineError, Outputs, Phase, Turn};
pub use programs::Programs;
pub use schedule::{Every, Stop, total_steps};

use divergence::Snapshot;
use update::Update;

/// All variables by their full names.
pub type Variables = Vec<(String, Tensor)>;

/// What there is to do.
pub struct Job {
    /// Where training examples come from.
    pub input: Input,
    /// What is evaluated, and how often.
    pub evaluate: Vec<EvaluateJob>,
    /// When to end: at whichever comes first.
    pub stop: Vec<Stop>,
    /// When states are kept, beyond at the end and at evaluations.
    pub save_every: Option<Every>,
    /// When something is written beside, each on its own; at the end in any case.
    pub writes: Vec<Option<Every>>,
    /// So many batches make one update, or fewer at the end of an epoch; from 1 on.
    pub accumulate: u64,
}

impl Job {
    /// How many updates an epoch has.
    pub fn steps_per_epoch(&self) -> u64 {
        (self.input.batches() as u64).div_ceil(self.accumulate)
    }
}

/// Something to evaluate on.
pub struct EvaluateJob {
    /// Its name in the spec.
    pub name: String,
    /// Its examples.
    pub input: Input,
    /// How often; at the end in any case.
    pub every: Option<Every>,
}

/// A place between two steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// Updates applied.
    pub step: u64,
    /// The next batch.
    pub cursor: Cursor,
    /// Seconds of training so far, over all stretches of the run.
    pub seconds: f64,
}

/// How far a run has come; with the variables and the seed, all that is needed to go on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Where it stands.
    pub at: Place,
    /// The place before the last step, if what is due after that step (evaluation, keeping) was not done yet.
    pub owed_since: Option<Place>,
    /// How often the first set was evaluated.
    #[serde(default)]
    pub evaluations: u64,
}

/// What happens on the way.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A step was done.
    Step {
        /// How far the run has come.
        place: Place,
        /// The epoch of its batch, from 0.
        epoch: u64,
        /// Whether that batch was the last of it.
        ends_epoch: bool,
        /// The step's `loss` and the like, in the order of the program's outputs.
        outputs: Outputs,
        /// Examples of its batch.
        examples: usize,
    },
    /// Something was evaluated.
    Evaluated {
        /// What.
        name: String,
        /// After so many updates.
        place: Place,
        /// Means over its examples.
        outputs: Outputs,
        /// How many examples.
        examples: usize,
    },
}

/// Why a run ended well.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// A limit of `stop after` was reached.
    Limit(Every),
    /// A metric was good enough.
    Metric {
        /// Its name.
        metric: String,
        /// Its value.
        value: f64,
    },
    /// Somebody asked for it; the state was kept.
    Asked,
}

/// Why a run failed.
#[derive(Debug)]
pub enum TrainError {
    /// The data.
    Data(DataError),
    /// A program could not be made or run.
    Machine(MachineError),
    /// A number stopped being finite.
    Diverged(Box<Divergence>),
    /// A state could not be kept.
    Save(String),
}

impl From<DataError> for TrainError {
    fn from(error: DataError) -> TrainError {
        TrainError::Data(error)
    }
}

impl From<MachineError> for TrainError {
    fn from(error: MachineError) -> TrainError {
        TrainError::Machine(error)
    }
}

/// Whom a run tells, and whom it asks.
pub struct Hooks<'a> {
    /// Is told of everything.
    pub event: &'a mut dyn FnMut(&Event),
    /// Keeps a state; says in words why it could not.
    pub save: &'a mut dyn FnMut(&Progress, &Variables) -> Result<(), String>,
    /// Writes what is due beside, by its place in [`Job::writes`]; says in words why it could not.
    pub write: &'a mut dyn FnMut(usize, &Place, &Variables) -> Result<(), String>,
    /// Whether somebody asked to end.
    pub asked: &'a dyn Fn() -> bool,
}

/// A state is kept at an evaluation only if the last was kept this long ago: a lost second is cheap to redo.
const KEEP_AT_EVALUATIONS_AFTER: Duration = Duration::from_secs(2);
/// And in any case after so long.
const KEEP_AFTER: Duration = Duration::from_secs(60);

/// Runs from `progress` to an end.
///
/// # Errors
/// Data, program, a number that is not finite, a position outside the axis that it counts, a state that cannot be
/// kept. The variables are then those before the step that failed; but after a position outside they mean nothing.
pub fn train<M: Machine>(
    machine: &mut M,
    job: &Job,
    progress: Progress,
    hooks: &mut Hooks,
) -> Result<(Place, End), TrainError> {
    let mut run = Crank::new(machine, job, progress)?;
    if progress.owed_since.is_none()
        && let Some(limit) = run.limit()
    {
        return Ok((progress.at, End::Limit(limit)));
    }
    loop {
        if let Some(end) = run.settle(hooks)? {
            return Ok((run.progress.at, end));
        }
        if (hooks.asked)() {
            run.keep(hooks)?;
            return Ok((run.progress.at, End::Asked));
        }
        run.step(hooks)?;
    }
}

/// A run under way.
struct Crank<'a, M: Machine> {
    machine: &'a mut M,
    job: &'a Job,
    programs: Programs<M::Program>,
    feed: Feed,
    progress: Progress,
    snapshot: Snapshot,
    /// When this stretch began, and how many seconds were on the clock then.
    clock: (Instant, f64),
    kept: Instant,
}

impl<'a, M: Machine> Crank<'a, M> {
    fn new(machine: &'a mut M, job: &'a Job, progress: Progress) -> Result<Crank<'a, M>, TrainError> {
        let feed = job.input.feed(progress.at.cursor)?;
        machine.tell(told::STEPS_PER_EPOCH, job.steps_per_epoch() as f64);
        let snapshot = Snapshot::take(machine, &progress.at);
        let now = Instant::now();
        let (programs, clock) = (Programs::default(), (now, progress.at.seconds));
        Ok(Crank { machine, job, programs, feed, progress, snapshot, clock, kept: now })
    }

    fn limit(&self) -> Option<Every> {
        let of = self.job.input.examples();
        self.job.stop.iter().find_map(|stop| stop.reached(&self.progress.at, of))
    }

    fn step(&mut self, hooks: &mut Hooks) -> Result<(), TrainError> {
        let mut update = Update::new(self.job.accumulate, self.progress.at.step);
        let batch = loop {
            let part = update.part(self.machine, &mut self.programs, &mut self.feed)?;
            if !divergence::is_finite_loss(&part.outputs) {
                return Err(self.diagnose());
            }
            if part.phase == Phase::Train {
                break part.batch;
            }
        };
        self.advance(&batch);
        if self.snapshot.is_old() {
            self.retake()?;
        }
        let Weighted { outputs, examples, .. } = update.means();
        let outputs = self.machine.finish(outputs);
        let Batch { epoch, ends_epoch, .. } = batch;
        (hooks.event)(&Event::Step { place: self.progress.at, epoch, ends_epoch, outputs, examples });
        Ok(())
    }

    fn advance(&mut self, batch: &Batch) {
        let before = self.progress.at;
        let (since, seconds) = self.clock;
        let seconds = seconds + since.elapsed().as_secs_f64();
        let at = Place { step: before.step + 1, cursor: batch.cursor, seconds };
        self.progress = Progress { at, owed_since: Some(before), ..self.progress };
    }

    /// Does what is due after the last step; says whether the run is at its end.
    fn settle(&mut self, hooks: &mut Hooks) -> Result<Option<End>, TrainError> {
        let Some(before) = self.progress.owed_since else { return Ok(None) };
        let (place, of) = (self.progress.at, self.job.input.examples());
        let due = |every: Option<Every>| every.is_some_and(|every| every.passed(&before, &place, of));
        let mut end = self.limit().map(End::Limit);
        let (mut evaluated, mut first) = (false, None);
        for (at, job) in self.job.evaluate.iter().enumerate() {
            if end.is_none() && !due(job.every) {
                continue;
            }
            let found = evaluate(self.machine, &mut self.programs, &job.input, place.step, hooks.asked)?;
            let Some(Weighted { outputs, examples, .. }) = found else {
                // Kept as a state that still owes this evaluation.
                self.keep(hooks)?;
                return Ok(Some(End::Asked));
            };
            evaluated = true;
            if at == 0 {
                first = Some(outputs.clone());
            }
            let met = self.job.stop.iter().find_map(|stop| stop.met(&outputs));
            end = end.or(met.map(|(metric, value)| End::Metric { metric, value }));
            (hooks.event)(&Event::Evaluated { name: job.name.clone(), place, outputs, examples });
        }
        // Only once all are done: a run that is stopped within them does all of them again.
        if let Some(outputs) = first {
            self.tell(&outputs)?;
        }
        let writes = self.job.writes.iter().enumerate();
        let due_writes: Vec<usize> =
            writes.filter(|(_, every)| end.is_some() || due(**every)).map(|(at, _)| at).collect();
        if !due_writes.is_empty() {
            self.retake()?;
            for at in due_writes {
                (hooks.write)(at, &place, &self.snapshot.variables).map_err(TrainError::Save)?;
            }
        }
        self.progress.owed_since = None;
        let since = self.kept.elapsed();
        let worth_it = evaluated && since >= KEEP_AT_EVALUATIONS_AFTER || since >= KEEP_AFTER;
        if end.is_some() || worth_it || due(self.job.save_every) {
            self.keep(hooks)?;
        }
        Ok(end)
    }

    /// Lets schedules know what an evaluation gave.
    fn tell(&mut self, outputs: &Outputs) -> Result<(), TrainError> {
        self.progress.evaluations += 1;
        if !self.machine.tell(told::EVALUATIONS, self.progress.evaluations as f64) {
            return Ok(());
        }
        for (metric, value) in outputs {
            // Variables are finite; no evaluation is worse than this.
            let value = if value.is_nan() { f64::MAX } else { value.clamp(f64::MIN, f64::MAX) };
            self.machine.tell(&told::evaluated(metric), value);
        }
        // What is computed again from here on must know it too.
        self.retake()
    }

    fn keep(&mut self, hooks: &mut Hooks) -> Result<(), TrainError> {
        self.retake()?;
        (hooks.save)(&self.progress, &self.snapshot.variables).map_err(TrainError::Save)?;
        self.kept = Instant::now();
        Ok(())
    }

    /// Looks at all variables anew; one that is not finite ends the run.
    fn retake(&mut self) -> Result<(), TrainError> {
        let new = Snapshot::take(self.machine, &self.progress.at);
        if !new.is_finite() {
            return Err(self.diagnose());
        }
        self.snapshot = new;
        Ok(())
    }

    fn diagnose(&mut self) -> TrainError {
        let last = self.progress.at.step;
        let found = divergence::diagnose(self.machine, &mut self.programs, self.job, &self.snapshot, last);
        found.map_or_else(|error| error, |found| TrainError::Diverged(Box::new(found)))
    }
}
