//! The run's numbers as lines of JSON, one object for each point.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::files;

/// A line. JSON has no word for a number that is not finite: such values are null.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Seconds since 1970.
    pub time: f64,
    /// What was measured: `train`, or the name of the data that was evaluated.
    pub part: String,
    /// Steps taken.
    pub step: u64,
    /// Passes over the training data.
    pub epoch: f64,
    /// Loss and metrics.
    pub values: BTreeMap<String, Option<f64>>,
}

/// A `metrics.jsonl` that grows.
pub struct Metrics {
    /// Where it lies.
    pub path: PathBuf,
    to: BufWriter<File>,
}

impl Metrics {
    /// Begins a file.
    pub fn create(path: &Path) -> io::Result<Metrics> {
        File::create(path).map(|file| Metrics { path: path.to_path_buf(), to: BufWriter::new(file) })
    }

    /// Goes on with a file after `step` steps. Returns what it holds up to there; what it says of later
    /// steps, and a line that a kill left unfinished, is removed.
    pub fn reopen(path: &Path, step: u64) -> io::Result<(Metrics, Vec<Line>)> {
        let text = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            done => done?,
        };
        let lines = text.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
        let lines: Vec<Line> = lines.filter(|line: &Line| line.step <= step).collect();
        files::replace(path, |to| lines.iter().try_for_each(|line| write_line(line, to)))?;
        let file = OpenOptions::new().append(true).open(path)?;
        Ok((Metrics { path: path.to_path_buf(), to: BufWriter::new(file) }, lines))
    }

    /// Adds a line.
    pub fn add(&mut self, line: &Line) -> io::Result<()> {
        write_line(line, &mut self.to)
    }

    /// Hands what was added to the system.
    pub fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

fn write_line(line: &Line, to: &mut dyn Write) -> io::Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    to.write_all(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_goes_on_where_the_checkpoint_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let line = |step: u64, value| Line {
            time: 1.5,
            part: "train".to_string(),
            step,
            epoch: step as f64 / 4.0,
            values: BTreeMap::from([("loss".to_string(), value)]),
        };
        let mut metrics = Metrics::create(&path).unwrap();
        (1..=5).for_each(|step| metrics.add(&line(step, Some(0.5))).unwrap());
        metrics.add(&line(6, None)).unwrap();
        drop(metrics);
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 5]).unwrap();
        let (mut metrics, lines) = Metrics::reopen(&path, 3).unwrap();
        assert_eq!(lines, [1, 2, 3].map(|step| line(step, Some(0.5))));
        metrics.add(&line(4, None)).unwrap();
        drop(metrics);
        let (_, lines) = Metrics::reopen(&path, u64::MAX).unwrap();
        assert_eq!(lines.len(), 4);
        assert_eq!(lines[3], line(4, None));
    }
}
