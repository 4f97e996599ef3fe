//! What the checker wants to know about data files before anything runs.

use serde::{Deserialize, Serialize};

use super::error::Fault;
use super::recipe::Unit;
use super::vocabulary::Counts;

/// What is in a csv file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CsvFacts {
    /// Rows, not counting names; at least 1.
    pub rows: usize,
    /// The columns, in order.
    pub columns: Vec<ColumnFacts>,
}

/// What is in a column of a csv file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ColumnFacts {
    /// What the first row calls it, where the first row holds names.
    pub name: Option<String>,
    /// Its smallest and largest number; `None` if it has no number at all.
    pub range: Option<Range>,
    /// The first cell that is no finite number.
    pub word: Option<Word>,
}

/// What numbers there are.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Range {
    pub min: f64,
    pub max: f64,
    /// Whether all are whole numbers.
    pub whole: bool,
}

/// A cell that is no finite number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Word {
    /// Its line in the file, from 1.
    pub line: u64,
    /// What stands there.
    pub text: String,
}

/// What is in an array.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ArrayFacts {
    /// What its elements are.
    pub element: Element,
    /// Sizes of its axes; the first counts examples.
    pub sizes: Vec<usize>,
    /// Its smallest and largest number; only for those with one axis (labels), which alone are read
    /// to the end.
    pub range: Option<Range>,
}

/// What is in an npz file.
#[derive(Clone, Debug, PartialEq)]
pub struct NpzFacts {
    /// Its arrays by name, or what is wrong with them.
    pub arrays: Vec<(String, Result<ArrayFacts, Fault>)>,
}

/// What is in a folder of pictures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PictureFacts {
    /// The folders in it, by name: the classes, by number.
    pub classes: Vec<String>,
    /// Pictures, readable or not.
    pub pictures: usize,
}

/// What is in a text.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TextFacts {
    /// Lines that are not empty, or 1 for a whole; at least 1.
    pub rows: usize,
    /// The cells of a line, or the line, or the whole.
    pub parts: Vec<PartFacts>,
    /// What was counted.
    pub counted: Vec<Unit>,
}

/// What is in a part of a text: the tokens of the longest, and how often each token occurs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PartFacts {
    /// Characters, where they were counted.
    pub characters: (usize, Counts),
    /// Words, where they were counted.
    pub words: (usize, Counts),
}

impl PartFacts {
    /// The tokens of the longest, and how often each token occurs.
    pub fn of(&self, unit: Unit) -> &(usize, Counts) {
        match unit {
            Unit::Characters => &self.characters,
            Unit::Words => &self.words,
        }
    }
}

/// Element types of arrays in files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Element {
    Bool,
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F16,
    F32,
    F64,
}

impl Element {
    /// The element type with this code in an idx header.
    pub fn from_code(code: u8) -> Option<Element> {
        match code {
            0x08 => Some(Element::U8),
            0x09 => Some(Element::I8),
            0x0b => Some(Element::I16),
            0x0c => Some(Element::I32),
            0x0d => Some(Element::F32),
            0x0e => Some(Element::F64),
            _ => None,
        }
    }

    /// Bytes of one element.
    pub const fn bytes(self) -> usize {
        match self {
            Element::Bool | Element::U8 | Element::I8 => 1,
            Element::U16 | Element::I16 | Element::F16 => 2,
            Element::U32 | Element::I32 | Element::F32 => 4,
            Element::U64 | Element::I64 | Element::F64 => 8,
        }
    }
}

impl Range {
    /// The range that also covers `value`.
    pub fn with(range: Option<Range>, value: f64) -> Range {
        let whole = value.fract() == 0.0;
        match range {
            None => Range { min: value, max: value, whole },
            Some(old) => {
                Range { min: old.min.min(value), max: old.max.max(value), whole: old.whole && whole }
            }
        }
    }
}
