//! Input queues: from files to batches.
//!
//! In: a [`Recipe`] (a source and its stages), a seed and a place to start. Out: batches, one after the
//! other. Promise: the order of examples is a function of (seed, epoch, position) and nothing else, so a
//! feed opened at a cursor gives exactly the batches that would have followed it. What is wrong with the
//! data is a [`DataError`]: never a panic, never a wait without end.

mod arrays;
mod buckets;
mod convert;
mod csv;
mod dataset;
mod error;
mod facts;
mod feed;
mod idx;
mod json;
mod npy;
mod npz;
mod open;
mod order;
mod parquet;
mod pictures;
mod prefetch;
mod recipe;
mod text;
mod tokenizer;
mod vocabulary;
mod weights;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_arrays;
#[cfg(test)]
mod tests_text;

pub use arrays::{inspect as inspect_array, inspect_npz};
pub use csv::inspect as inspect_csv;
pub use error::{DataError, Fault, Place};
pub use facts::{
    ArrayFacts, ColumnFacts, CsvFacts, Element, NpzFacts, PartFacts, PictureFacts, Range, TextFacts, Word,
};
pub use feed::{Batch, Cursor, Feed, Input, Pass, Shapes};
pub use npy::written_head as npy_head;
pub use open::locate;
pub use parquet::inspect as inspect_parquet;
pub use pictures::{
    CAN_READ as CAN_READ_PICTURES, inspect as inspect_pictures, inspect_picture, read_picture,
    stamps as picture_stamps,
};
pub use recipe::{
    Arithmetic, ArrayField, CsvField, FieldShape, JsonField, Longer, Origin, Part, PictureContent,
    PictureField, PictureStep, Recipe, Resize, Source, Stage, StageKind, TextContent, TextField, TextPart,
    Tokens, Unit, VocabularySource, Windows,
};
pub use text::{inspect as inspect_text, vocabulary};
pub use tokenizer::inspect as inspect_tokenizer;
pub use vocabulary::{Counts, END, PAD, RESERVED, START, UNKNOWN, Vocabulary, vocabulary_size};
pub use weights::inspect_weights;
