//! What the checker hands over for a `data` name: where examples come from and what happens to them on
//! the way to a batch. Plain data; nothing is opened here.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::feed::Shapes;
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
    /// One row of a parquet file is one example.
    Parquet {
        /// The file.
        path: PathBuf,
        /// What is made of the columns.
        fields: Vec<CsvField>,
        /// Comes back in errors about the file as a whole.
        origin: Origin,
    },
    /// Arrays in idx, npy or npz files, one for each field, one entry of the first axis for each example.
    Arrays {
        /// The arrays.
        fields: Vec<ArrayField>,
    },
    /// One object of a JSON file is one example; of its lists fields are made.
    Json {
        /// The file, plain or gzip: an object a line, or a list of them.
        path: PathBuf,
        /// The members that are read.
        fields: Vec<JsonField>,
        /// Comes back in errors about the file as a whole.
        origin: Origin,
    },
    /// Pictures in a folder, JPEG or PNG; each is one example.
    Pictures {
        /// The folder.
        path: PathBuf,
        /// What is made of them.
        fields: Vec<PictureField>,
        /// Whether each is read once in the beginning, and left out if that fails.
        skip: bool,
        /// Comes back in errors about the folder as a whole.
        origin: Origin,
    },
    /// A text in UTF-8. One line is one example, or the windows of the whole are.
    Text {
        /// The file, plain or gzip.
        path: PathBuf,
        /// What is made of its parts; all of one kind.
        fields: Vec<TextField>,
        /// How a whole is cut into examples; without, it is one example.
        windows: Option<Windows>,
        /// Comes back in errors about the file as a whole.
        origin: Origin,
    },
    /// No file: one example without fields, for a model that takes no input.
    Nothing,
}

/// A sequence made of a part of a text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TextField {
    /// The name batches know it by.
    pub name: String,
    /// What of the text it is made of.
    pub part: Part,
    /// What it holds.
    pub content: TextContent,
    /// What elements become.
    pub dtype: DType,
    /// Comes back in errors about this field.
    pub origin: Origin,
}

/// A part of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Part {
    /// All of it.
    Whole,
    /// Each line that is not empty.
    Line,
    /// A cell, from 0, of each line that is not empty; cells are separated by tabs.
    Cell(usize),
}

/// What the text of a field holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum TextContent {
    /// Words or characters that become numbers of a vocabulary.
    Tokens(Tokens),
    /// Numbers with blanks (or commas) between them: a sequence of tensors.
    Numbers {
        /// Shape of one step of the sequence; `[]` for single numbers.
        shape: Vec<usize>,
        /// Applied in f64, in order, before a number becomes an element.
        arithmetic: Vec<(Arithmetic, f64)>,
    },
}

/// How texts become sequences of whole numbers: 0 to 3 are PAD, START, END and UNKNOWN.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tokens {
    /// What the numbers from 4 on stand for.
    pub vocabulary: VocabularySource,
    /// Whether END follows the last token.
    pub end: bool,
}

/// Where a vocabulary comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum VocabularySource {
    /// What there is in parts of texts, the most frequent first, ties by their text.
    Counted {
        /// What is counted.
        unit: Unit,
        /// Where: all of it counts together.
        over: Vec<TextPart>,
        /// Numbers it may have at most, those below 4 included.
        size: Option<usize>,
        /// What occurs less often is UNKNOWN.
        least: u64,
    },
    /// What a run has kept.
    Kept {
        /// What its entries are.
        unit: Unit,
        /// What the numbers from 4 on stand for.
        tokens: Vec<String>,
    },
    /// A `tokenizer.json`, whose numbers are moved up by 4.
    File {
        /// The file.
        path: PathBuf,
        /// Comes back in errors about it.
        origin: Origin,
    },
}

/// What a vocabulary is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Unit {
    /// Single characters.
    Characters,
    /// Letters and digits that stand together; any other character that is no blank by itself.
    Words,
}

/// A part of a text file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextPart {
    /// The file, plain or gzip.
    pub path: PathBuf,
    /// What of it.
    pub part: Part,
    /// Comes back in errors about it.
    pub origin: Origin,
}

/// How a long sequence becomes examples of one length; what does not fill a last one is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Windows {
    /// Steps of an example; at least 1.
    pub length: usize,
    /// From the first step of one to the first step of the next; at least 1.
    pub stride: usize,
    /// Comes back in errors about it.
    pub origin: Origin,
}

/// A tensor made of a member of an object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JsonField {
    /// The name batches know it by, and the member's.
    pub name: String,
    /// Shape of one example: lists of lists like that, or one of all numbers.
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

/// A tensor made of a picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PictureField {
    /// The name batches know it by.
    pub name: String,
    /// What of the picture it is.
    pub content: PictureContent,
    /// What elements become.
    pub dtype: DType,
    /// Comes back in errors about this field.
    pub origin: Origin,
}

/// What a field has of a picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum PictureContent {
    /// Its pixels, from 0 to 255.
    Pixels {
        /// Height, width, and channels (1 for grey, 3 for red, green and blue), once all stages are done.
        shape: [usize; 3],
        /// Applied in f64, in order, before a number becomes an element.
        arithmetic: Vec<(Arithmetic, f64)>,
    },
    /// The number of the folder that it lies in, folders counted by name from 0.
    Folder {
        /// The number of classes that the model tells apart.
        classes: Option<u64>,
    },
}

/// What happens to a picture. What is left to chance is a function of seed, epoch and example; before a split or a
/// `Take` it is the same in every epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PictureStep {
    /// Changes its size.
    Resize(Resize),
    /// Keeps its middle.
    Crop { height: usize, width: usize },
    /// Keeps a piece from anywhere; the seed is its own, or the one given when the feed is opened.
    RandomCrop { height: usize, width: usize, seed: Option<u64> },
    /// Mirrors every second one, left to right.
    Flip { seed: Option<u64> },
    /// Makes the mean of its elements 0 and their variance 1.
    Whiten,
}

/// The size that a picture gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Resize {
    /// The shorter side, and the other in proportion.
    Shorter(usize),
    /// Both sides, whatever that does to proportions.
    To { height: usize, width: usize },
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

/// A tensor read from an array in a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ArrayField {
    /// The name batches know it by.
    pub name: String,
    /// The file, plain or gzip.
    pub path: PathBuf,
    /// Which array of an npz file; `None`: the file is one array.
    pub member: Option<String>,
    /// Shape of one example: as many elements as the array's axes after the first.
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
    /// Keeps so many examples, the first. What stands before it is evaluated once, as before a `Split`.
    Take {
        /// How many; all if there are fewer.
        count: usize,
    },
    /// Makes an epoch of so many epochs of what stands before it, each in its own order.
    Repeat {
        /// How many; at least 1.
        times: usize,
    },
    /// Changes each picture.
    Picture(PictureStep),
    /// Puts examples of about the same length together. Example after example goes to the first bucket that
    /// it fits into, and is filled up with zeros (PAD) to that bucket's length. Fields that are not named are
    /// filled up to their longest.
    Bucket {
        /// For each field its lengths, ascending and as many as those of the others: bucket `i` has the
        /// `i`th of each.
        lengths: Vec<(String, Vec<usize>)>,
        /// What becomes of examples that fit into none.
        longer: Longer,
    },
    /// Groups examples; the last batch of an epoch (of each bucket) may be short.
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

/// What becomes of examples that are longer than the last bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Longer {
    /// They are an error.
    Refuse,
    /// They are left out.
    Skip,
    /// Their ends are cut off.
    Cut,
}

impl Recipe {
    /// The number of examples of a batch, if it says so.
    pub fn batch(&self) -> Option<usize> {
        self.stages.iter().find_map(|stage| match stage.kind {
            StageKind::Batch { size } => Some(size),
            StageKind::Shuffle { .. }
            | StageKind::Split { .. }
            | StageKind::Take { .. }
            | StageKind::Repeat { .. }
            | StageKind::Picture(_)
            | StageKind::Bucket { .. }
            | StageKind::Prefetch { .. } => None,
        })
    }

    /// The shapes of a batch of so many examples in the last bucket, as far as they are known before the data
    /// are read; lengths that are not count as 1.
    pub fn shapes(&self, examples: usize) -> Shapes {
        let buckets = self.stages.iter().find_map(|stage| match &stage.kind {
            StageKind::Bucket { lengths, .. } => Some(lengths.as_slice()),
            StageKind::Shuffle { .. }
            | StageKind::Split { .. }
            | StageKind::Take { .. }
            | StageKind::Repeat { .. }
            | StageKind::Picture(_)
            | StageKind::Batch { .. }
            | StageKind::Prefetch { .. } => None,
        });
        let longest = |name: &str| {
            let own = buckets.unwrap_or_default().iter().find(|(field, _)| field == name);
            own.and_then(|(_, lengths)| lengths.last().copied()).unwrap_or(1)
        };
        let fields = self.source.fields();
        let shapes = fields.iter().flat_map(|FieldShape { name, shape, .. }| {
            let known = shape.iter().map(|size| size.unwrap_or_else(|| longest(name)));
            let whole = (Arc::from(*name), std::iter::once(examples).chain(known).collect());
            let ragged = shape.contains(&None);
            let lengths = ragged.then(|| (Arc::from(format!("{name}.length")), vec![examples]));
            std::iter::once(whole).chain(lengths)
        });
        Shapes(shapes.collect())
    }
}

/// What a batch holds of one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldShape<'a> {
    /// Its name.
    pub name: &'a str,
    /// Sizes of one example's axes; `None`: each example has its own.
    pub shape: Vec<Option<usize>>,
    /// What elements are.
    pub dtype: DType,
}

impl Source {
    /// What a batch holds of each field, in order.
    pub fn fields(&self) -> Vec<FieldShape<'_>> {
        let fixed = |shape: &[usize]| shape.iter().copied().map(Some).collect();
        match self {
            Source::Csv { fields, .. } | Source::Parquet { fields, .. } => fields
                .iter()
                .map(|f| FieldShape { name: &f.name, shape: fixed(&f.shape), dtype: f.dtype })
                .collect(),
            Source::Arrays { fields } => fields
                .iter()
                .map(|f| FieldShape { name: &f.name, shape: fixed(&f.shape), dtype: f.dtype })
                .collect(),
            Source::Json { fields, .. } => fields
                .iter()
                .map(|f| FieldShape { name: &f.name, shape: fixed(&f.shape), dtype: f.dtype })
                .collect(),
            Source::Pictures { fields, .. } => {
                let shape = |field: &PictureField| match &field.content {
                    PictureContent::Pixels { shape, .. } => fixed(shape),
                    PictureContent::Folder { .. } => Vec::new(),
                };
                fields.iter().map(|f| FieldShape { name: &f.name, shape: shape(f), dtype: f.dtype }).collect()
            }
            Source::Nothing => Vec::new(),
            Source::Text { fields, windows, .. } => {
                let first = windows.map(|windows| windows.length);
                let shape = |field: &TextField| match &field.content {
                    TextContent::Tokens(_) => vec![first],
                    TextContent::Numbers { shape, .. } => {
                        std::iter::once(first).chain(shape.iter().copied().map(Some)).collect()
                    }
                };
                fields.iter().map(|f| FieldShape { name: &f.name, shape: shape(f), dtype: f.dtype }).collect()
            }
        }
    }
}
