//! What a training run shows and keeps: progress on the terminal, JSON lines, the run's folder.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use strata::run::Save;
use strata_runtime::checkpoint::{self, Meta};
use strata_runtime::log::{self, LogError, Point, Status, number};
use strata_runtime::saved::save_tensor;
use strata_runtime::train::{Event, Outputs, Place, Variables, Weighted};

use crate::messages::Failure;

/// Points of the training curve in an epoch, at most; by feel.
const POINTS_AN_EPOCH: usize = 20;

/// Everything that wants to know how a run goes.
pub struct Record {
    log: log::Run,
    /// None once the terminal is wanted for other things.
    progress: Option<log::Progress>,
    json: bool,
    /// Examples and updates of an epoch.
    epoch: (usize, usize),
    /// Means since the last point of the curve.
    since: Weighted,
    steps_since: usize,
    /// The last evaluation of each set, in order of appearance.
    pub reached: Vec<(String, Outputs)>,
    /// The first thing that could not be written.
    failure: Option<Failure>,
}

impl Record {
    /// `epoch`: examples and updates of an epoch.
    pub fn new(log: log::Run, progress: log::Progress, json: bool, epoch: (usize, usize)) -> Record {
        let (since, reached) = (Weighted::default(), Vec::new());
        Record { log, progress: Some(progress), json, epoch, since, steps_since: 0, reached, failure: None }
    }

    /// Where everything lies.
    pub fn folder(&self) -> &Path {
        self.log.folder()
    }

    /// Takes the progress bar away, so that what is said next begins on a clean line.
    pub fn end_progress(&mut self) {
        self.progress = None;
    }

    /// Whether something could not be written, so that there is no point in going on.
    pub fn failed(&self) -> bool {
        self.failure.is_some()
    }

    /// The first thing that could not be written.
    pub fn into_failure(self) -> Option<Failure> {
        self.failure
    }

    /// Takes in what happened.
    pub fn event(&mut self, event: &Event) {
        let done = match event {
            Event::Step { place, epoch, ends_epoch, outputs, examples } => {
                let status = Status {
                    epoch: *epoch,
                    ends_epoch: *ends_epoch,
                    step: place.step,
                    examples: *examples as u64,
                    values: &borrowed(outputs),
                };
                if let Some(progress) = &mut self.progress {
                    progress.step(&status);
                }
                self.since.add(outputs.clone(), *examples);
                self.steps_since += 1;
                let due = *ends_epoch || self.steps_since >= self.epoch.1.div_ceil(POINTS_AN_EPOCH);
                if due { self.point(place) } else { Ok(()) }
            }
            Event::Evaluated { name, place, outputs, .. } => self.evaluated(name, place, outputs),
        };
        if let Err(failure) = done
            && self.failure.is_none()
        {
            self.failure = Some(failure);
        }
    }

    /// A point of the training curve: means since the last.
    fn point(&mut self, place: &Place) -> Result<(), Failure> {
        let Weighted { outputs, .. } = std::mem::take(&mut self.since);
        self.steps_since = 0;
        self.add("train", place, &outputs)
    }

    fn evaluated(&mut self, name: &str, place: &Place, outputs: &Outputs) -> Result<(), Failure> {
        match self.reached.iter_mut().find(|(known, _)| known == name) {
            Some((_, last)) => last.clone_from(outputs),
            None => self.reached.push((name.to_string(), outputs.clone())),
        }
        let epoch = number(self.epochs(place));
        if let Some(progress) = &mut self.progress {
            progress.say(&format!("{name} after epoch {epoch}: {}", in_words(outputs)));
        }
        self.add(name, place, outputs)?;
        self.log.settle().map_err(unwritable)
    }

    fn add(&mut self, part: &str, place: &Place, outputs: &Outputs) -> Result<(), Failure> {
        let values = borrowed(outputs);
        let epoch = self.epochs(place);
        if self.json {
            let event = if part == "train" { "train" } else { "evaluate" };
            let mut line = json!({ "event": event, "on": part, "step": place.step, "epoch": epoch });
            merge(&mut line, &values);
            json_line(&line)?;
        }
        self.log.add(&Point { part, step: place.step, epoch, values: &values }).map_err(unwritable)
    }

    /// Passes over the data, with fractions.
    fn epochs(&self, place: &Place) -> f64 {
        place.cursor.epoch as f64 + place.cursor.position as f64 / self.epoch.0 as f64
    }

    /// Keeps a state as `last.safetensors`.
    ///
    /// # Errors
    /// Says in words why it could not.
    pub fn keep(&self, variables: &Variables, meta: &Meta) -> Result<(), String> {
        self.put_tensors("last.safetensors", variables.iter().map(|(n, t)| (n.clone(), t)).collect(), meta)
            .map(drop)
    }

    /// Puts tensors into the folder.
    ///
    /// # Errors
    /// Says in words why it could not.
    pub fn put_tensors(
        &self,
        name: &str,
        tensors: Vec<(String, &strata_runtime::Tensor)>,
        meta: &Meta,
    ) -> Result<PathBuf, String> {
        let path = self.folder().join(name);
        checkpoint::save(&path, &tensors, meta).map_err(|error| error.to_string())?;
        Ok(path)
    }

    /// Writes a variable to the file that a line of the spec asks for.
    ///
    /// # Errors
    /// Says in words why it could not.
    pub fn write(&self, save: &Save, place: &Place, variables: &Variables) -> Result<(), String> {
        let found = variables.iter().find(|(name, _)| *name == save.variable);
        let (name, tensor) = found.ok_or_else(|| format!("there is no variable `{}`", save.variable))?;
        let path = self.folder().join(save.file.replace("{step}", &place.step.to_string()));
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        }
        save_tensor(&path, name, tensor)
    }

    /// Writes what waits to be written and draws the curves.
    ///
    /// # Errors
    /// A folder that cannot be written to.
    pub fn settle(&mut self) -> Result<(), Failure> {
        self.log.settle().map_err(unwritable)
    }
}

/// The same with borrowed names.
pub fn borrowed(outputs: &Outputs) -> Vec<(&str, f64)> {
    outputs.iter().map(|(name, value)| (&**name, *value)).collect()
}

/// `loss 0.04 · accuracy 0.99`
pub fn in_words(outputs: &Outputs) -> String {
    let parts: Vec<String> =
        outputs.iter().map(|(name, value)| format!("{name} {}", number(*value))).collect();
    parts.join(" · ")
}

/// Adds values under their names; what is not finite becomes null, as JSON has no word for it.
pub fn merge(line: &mut Value, values: &[(&str, f64)]) {
    let empty = &mut Map::new();
    let map = line.as_object_mut().unwrap_or(empty);
    for (name, value) in values {
        map.insert((*name).to_string(), json!(value));
    }
}

/// One line on the standard output.
///
/// # Errors
/// Nobody reads it any more.
pub fn line(line: &str) -> Result<(), Failure> {
    Ok(writeln!(io::stdout().lock(), "{line}")?)
}

/// One line of JSON on the standard output.
///
/// # Errors
/// Nobody reads it any more.
pub fn json_line(line: &Value) -> Result<(), Failure> {
    Ok(writeln!(io::stdout().lock(), "{line}")?)
}

/// A folder of a run that cannot be written to.
pub fn unwritable(error: LogError) -> Failure {
    Failure::Message(format!("cannot write the run's folder: {error}"))
}
