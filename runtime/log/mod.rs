//! What a run leaves behind and what it shows meanwhile.
//!
//! A run has a folder of its own ([`Run`]) with its numbers three times over: `metrics.jsonl` for programs,
//! an events file for TensorBoard, `curves.svg` for eyes. [`Progress`] is what the terminal shows. A folder
//! that cannot be written to or a full disk is a [`LogError`], never a panic.

mod curves;
mod events;
mod folder;
mod metrics;
mod progress;
mod run;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

pub use progress::{Look, Progress, Status, Total, grouped, number};
pub use run::{Point, Run};

/// Something of a run that could not be written or read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogError {
    /// The file or folder.
    pub path: PathBuf,
    /// What the system says.
    pub reason: String,
}

impl LogError {
    fn new(path: &Path, error: &io::Error) -> LogError {
        LogError { path: path.to_path_buf(), reason: error.to_string() }
    }
}

impl std::error::Error for LogError {}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.reason)
    }
}
