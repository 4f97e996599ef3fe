//! What the checker hands over for a `data` name: where examples come from and what happens to them on
//! the way to a batch. Plain data; nothing is opened here.

use std::ops::Range;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::DType;

/// An opaque number that comes back in errors; whoever made the recipe knows which line it stands for.
pub type Origin = u32;

/// A source and the stages its examples go through, in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// Where examples come from.
    pub source: Source,
    /// What happens to them. Orders and cuts first, then one `Batch`, then at most one `Prefetch`.
    pub stages: Vec<Stage>,
}

/// Files that hold examples. Paths are absolute or relative to the current folder; where a path is
/// missing, the same with `.gz` added (or taken away) is tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Source {
    /// One row of a comma-separated file is one example.
    Csv {
        /// The file, plain or gzip.
        path: PathBuf,
        /// Whether the first row holds names; `None`: it does if no cell of it is a number.
        header: Option<bool>,
        /// What is made of the columns.
        fields: Vec<CsvField>,
        /// Comes back in errors about the file as a whole.
        origin: Origin,
    },
    /// Files in the format of the MNIST collection, one for each field, one entry of the first axis for
    /// each example.
    Idx {
        /// The files.
        fields: Vec<IdxField>,
    },
}

/// A tensor made of neighbouring columns of a csv file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CsvField {
    /// The name batches know it by.
    pub name: String,
    /// Columns, from 0. As many as `shape` has elements.
    pub columns: Range<usize>,
    /// Shape of one example; `[]` for a single column.
    pub shape: Vec<usize>,
    /// What elements become.
    pub dtype: DType,
    /// Applied in f64, in order, before the value becomes a `dtype`.
    pub arithmetic: Vec<(Arithmetic, f64)>,
    /// The number of classes, for labels: every value must be a whole number from 0 up to below it.
    pub classes: Option<u64>,
    /// Comes back in errors about this field.
    pub origin: Origin,
}

/// A tensor read from an idx file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IdxField {
    /// The name batches know it by.
    pub name: String,
    /// The file, plain or gzip.
    pub path: PathBuf,
    /// Shape of one example: as many elements as the file's axes after the first.
    pub shape: Vec<usize>,
    /// What elements become.
    pub dtype: DType,
    /// Applied in f64, in order, before the value becomes a `dtype`.
    pub arithmetic: Vec<(Arithmetic, f64)>,
    /// The number of classes, for labels: every value must be a whole number from 0 up to below it.
    pub classes: Option<u64>,
    /// Comes back in errors about this field.
    pub origin: Origin,
}

/// What a spec may do to the values of a field, with a number at the right (`/ 16`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
}

impl Arithmetic {
    /// `value (op) number`.
    pub fn apply(self, value: f64, number: f64) -> f64 {
        match self {
            Arithmetic::Add => value + number,
            Arithmetic::Subtract => value - number,
            Arithmetic::Multiply => value * number,
            Arithmetic::Divide => value / number,
        }
    }
}

/// One stage and where it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// What it does.
    pub kind: StageKind,
    /// Comes back in errors about this stage.
    pub origin: Origin,
}

/// What a stage does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StageKind {
    /// Draws each example at random from the next `window` of those still to come; a window of all
    /// examples is a permutation with every order as likely. Before a `Split` it is drawn once, after the
    /// last one anew in each epoch.
    Shuffle {
        /// Examples to draw from; at least 1.
        window: usize,
        /// Its own seed; `None`: the seed given when the feed is opened.
        seed: Option<u64>,
    },
    /// Keeps the examples from bound `part - 1` (0 for the first part) up to below bound `part` (the end
    /// for the last part).
    Split {
        /// Ascending positions at which the examples are cut.
        bounds: Vec<usize>,
        /// Which of the `bounds.len() + 1` parts is kept, from 0.
        part: usize,
    },
    /// Groups examples; the last batch of an epoch may be short.
    Batch {
        /// Examples of a batch; at least 1.
        size: usize,
    },
    /// Prepares batches on a thread of its own.
    Prefetch {
        /// Batches that may be ready at a time; at least 1.
        batches: usize,
    },
}

impl Source {
    /// Names, shapes of one example and dtypes of what a batch holds, in order.
    pub fn fields(&self) -> Vec<(&str, &[usize], DType)> {
        match self {
            Source::Csv { fields, .. } => {
                fields.iter().map(|f| (f.name.as_str(), f.shape.as_slice(), f.dtype)).collect()
            }
            Source::Idx { fields } => {
                fields.iter().map(|f| (f.name.as_str(), f.shape.as_slice(), f.dtype)).collect()
            }
        }
    }
}
