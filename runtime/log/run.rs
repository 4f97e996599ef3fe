//! The folder of a run and what grows in it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::LogError;
use super::curves::Curves;
use super::events::Events;
use super::folder;
use super::metrics::{Line, Metrics};
use crate::files;

/// How long numbers may wait before they are handed to the system.
const WAIT: Duration = Duration::from_secs(2);

/// What was measured at some step.
#[derive(Clone, Copy, Debug)]
pub struct Point<'a> {
    /// `train`, or the name of the data that was evaluated.
    pub part: &'a str,
    /// Steps taken.
    pub step: u64,
    /// Passes over the training data, with fractions.
    pub epoch: f64,
    /// Loss and metrics.
    pub values: &'a [(&'a str, f64)],
}

/// A run's folder, open for more.
pub struct Run {
    folder: PathBuf,
    title: String,
    events: Events,
    metrics: Metrics,
    curves: Curves,
    flushed: Instant,
}

impl Run {
    /// Makes the folder `root/name/time` for a run that starts now.
    ///
    /// # Errors
    /// A folder that cannot be made or written to.
    pub fn create(root: &Path, name: &str) -> Result<Run, LogError> {
        let now = SystemTime::now();
        let folder = folder::create(root, name, now).map_err(|error| LogError::new(root, &error))?;
        let fail = |error: io::Error| LogError::new(&folder, &error);
        Ok(Run {
            title: title(&folder),
            events: Events::create(&folder, now, None).map_err(fail)?,
            metrics: Metrics::create(&folder.join("metrics.jsonl")).map_err(fail)?,
            curves: Curves::default(),
            flushed: Instant::now(),
            folder,
        })
    }

    /// Goes on with a run from a checkpoint taken after `step` steps; what the folder says of later steps is
    /// forgotten.
    ///
    /// # Errors
    /// A folder that cannot be read or written to.
    pub fn reopen(folder: &Path, step: u64) -> Result<Run, LogError> {
        let fail = |error: io::Error| LogError::new(folder, &error);
        let (metrics, lines) = Metrics::reopen(&folder.join("metrics.jsonl"), step).map_err(fail)?;
        let mut curves = Curves::default();
        for line in &lines {
            for (name, value) in &line.values {
                curves.add(&line.part, name, line.step, line.epoch, value.unwrap_or(f64::NAN));
            }
        }
        Ok(Run {
            title: title(folder),
            events: Events::create(folder, SystemTime::now(), Some(step)).map_err(fail)?,
            metrics,
            curves,
            flushed: Instant::now(),
            folder: folder.to_path_buf(),
        })
    }

    /// Where everything lies.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Adds numbers to all files.
    ///
    /// # Errors
    /// A file that cannot be written to any more.
    pub fn add(&mut self, point: &Point<'_>) -> Result<(), LogError> {
        let now = SystemTime::now();
        for (name, value) in point.values {
            let tag = format!("{}/{name}", point.part);
            let added = self.events.scalar(now, &tag, point.step, *value);
            added.map_err(|error| LogError::new(&self.events.path, &error))?;
            self.curves.add(point.part, name, point.step, point.epoch, *value);
        }
        let finite = |(name, value): &(&str, f64)| ((*name).to_string(), value.is_finite().then_some(*value));
        let line = Line {
            time: now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64(),
            part: point.part.to_string(),
            step: point.step,
            epoch: point.epoch,
            values: point.values.iter().map(finite).collect::<BTreeMap<_, _>>(),
        };
        self.metrics.add(&line).map_err(|error| LogError::new(&self.metrics.path, &error))?;
        if self.flushed.elapsed() >= WAIT { self.flush() } else { Ok(()) }
    }

    /// Hands all numbers to the system and draws the curves anew: after an evaluation, with a checkpoint, at
    /// the end.
    ///
    /// # Errors
    /// A file that cannot be written to any more.
    pub fn settle(&mut self) -> Result<(), LogError> {
        self.flush()?;
        let path = self.folder.join("curves.svg");
        let drawn = self.curves.svg(&self.title).map_err(io::Error::other);
        let written = drawn.and_then(|svg| match svg {
            Some(svg) => files::replace(&path, |to| to.write_all(svg.as_bytes())),
            None => Ok(()),
        });
        written.map_err(|error| LogError::new(&path, &error))
    }

    /// Puts a file into the folder, whole or not at all: the spec the run came from, what was reached.
    ///
    /// # Errors
    /// A folder that cannot be written to any more.
    pub fn put(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, LogError> {
        let path = self.folder.join(name);
        let written = files::replace(&path, |to: &mut dyn Write| to.write_all(bytes));
        written.map_err(|error| LogError::new(&path, &error)).map(|()| path)
    }

    fn flush(&mut self) -> Result<(), LogError> {
        self.flushed = Instant::now();
        self.events.flush().map_err(|error| LogError::new(&self.events.path, &error))?;
        self.metrics.flush().map_err(|error| LogError::new(&self.metrics.path, &error))
    }
}

/// `digits, 2026-11-23T01-14-37`.
fn title(folder: &Path) -> String {
    let whole = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_path_buf());
    let names: Vec<_> = whole.iter().rev().take(2).map(|name| name.to_string_lossy().into_owned()).collect();
    names.into_iter().rev().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(run: &mut Run, part: &str, step: u64) {
        let values = [("loss", 1.0 / step as f64), ("accuracy", 0.5)];
        run.add(&Point { part, step, epoch: step as f64 / 4.0, values: &values }).unwrap();
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_run_leaves_its_numbers_and_goes_on() {
        let root = tempfile::tempdir().unwrap();
        let mut run = Run::create(root.path(), "digits").unwrap();
        let folder = run.folder().to_path_buf();
        (1..=8).for_each(|step| add(&mut run, "train", step));
        add(&mut run, "test", 8);
        run.put("digits.model", b"model").unwrap();
        run.settle().unwrap();
        assert_eq!(names(&folder).len(), 4, "{:?}", names(&folder));
        drop(run);

        let mut run = Run::reopen(&folder, 6).unwrap();
        (7..=9).for_each(|step| add(&mut run, "train", step));
        run.settle().unwrap();
        let lines = fs::read_to_string(folder.join("metrics.jsonl")).unwrap();
        let steps: Vec<u64> =
            lines.lines().map(|line| serde_json::from_str::<Line>(line).unwrap().step).collect();
        assert_eq!(steps, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(names(&folder).len(), 5, "a second events file");
        assert!(fs::read_to_string(folder.join("curves.svg")).unwrap().contains("train  0.1111"));
    }

    #[test]
    fn a_place_that_is_no_folder_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("file");
        fs::write(&file, b"").unwrap();
        assert!(Run::create(&file, "digits").is_err());
        assert!(Run::reopen(&root.path().join("none"), 1).is_err());
        let mut run = Run::create(root.path(), "digits").unwrap();
        add(&mut run, "train", 1);
        fs::remove_dir_all(run.folder()).unwrap();
        assert!(run.settle().is_err());
        assert!(run.put("a", b"").is_err());
    }
}
