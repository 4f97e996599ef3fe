//! Examples in memory, read once and shared by all feeds of the same source.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::SystemTime;

use bytemuck::Pod;

use super::error::{DataError, Fault};
use super::open::find;
use super::pictures::{self, Files};
use super::recipe::{Origin, Source, TextContent, TextField, Tokens, VocabularySource};
use super::vocabulary::Vocabulary;
use super::{arrays, csv, json, parquet, text};
use crate::{DType, Tensor};

/// All examples of a source.
pub struct Dataset {
    /// How many there are.
    pub examples: usize,
    /// One for each field of the source, in order.
    pub columns: Vec<Column>,
    /// Why examples were left out, where that was asked for.
    pub left_out: Vec<DataError>,
    /// The vocabularies that texts were read with, by field.
    pub vocabularies: Vec<(Arc<str>, Arc<Vocabulary>)>,
}

impl Dataset {
    /// Examples of which none was left out, and no text.
    pub fn new(examples: usize, columns: Vec<Column>) -> Dataset {
        Dataset { examples, columns, left_out: Vec::new(), vocabularies: Vec::new() }
    }
}

/// One field of all examples.
pub struct Column {
    /// The field's name.
    pub name: Arc<str>,
    /// Shape of one example, or of one step of a sequence.
    pub shape: Vec<usize>,
    /// What elements are once gathered.
    pub dtype: DType,
    /// The elements, example after example.
    pub store: Store,
}

/// How elements are kept.
pub enum Store {
    /// As they will be, in native byte order.
    Ready(Vec<u8>),
    /// A byte for each, and 256 elements for what the bytes stand for.
    Coded { raw: Vec<u8>, table: Vec<u8> },
    /// Sequences of different lengths, as they will be: where each begins, in steps, and where the last ends.
    Ragged { starts: Vec<usize>, bytes: Vec<u8> },
    /// One long sequence, as it will be, of which each example is a window, `stride` steps after the one before.
    Windows { bytes: Vec<u8>, stride: usize, windows: usize },
    /// Pictures, which are read when they are wanted.
    Pictures(Files),
}

impl Column {
    /// Steps of an example, where each has its own number of them.
    pub fn length(&self, example: usize) -> Option<usize> {
        match &self.store {
            Store::Ragged { starts, .. } => Some(starts[example + 1] - starts[example]),
            Store::Ready(_) | Store::Coded { .. } | Store::Windows { .. } | Store::Pictures(_) => None,
        }
    }

    /// Whether each example has its own length.
    pub fn is_ragged(&self) -> bool {
        matches!(self.store, Store::Ragged { .. })
    }

    /// Windows of one long sequence; 0 for anything else.
    pub fn windows(&self) -> usize {
        match self.store {
            Store::Windows { windows, .. } => windows,
            Store::Ready(_) | Store::Coded { .. } | Store::Ragged { .. } | Store::Pictures(_) => 0,
        }
    }

    /// The shape of a batch of so many examples, sequences filled up to `length` steps.
    pub fn batch_shape(&self, examples: usize, length: usize) -> Vec<usize> {
        let steps = self.is_ragged().then_some(length);
        std::iter::once(examples).chain(steps).chain(self.shape.iter().copied()).collect()
    }

    /// The named examples, in that order, as a tensor of shape `[indices.len(), shape..]`. Sequences are filled
    /// up with zeros or cut to `length` steps: `[indices.len(), length, shape..]`.
    ///
    /// # Errors
    /// Whatever is wrong with a picture: those are read now.
    pub fn gather(&self, wanted: &Wanted<'_>, length: usize) -> Result<Tensor, DataError> {
        let indices = wanted.examples;
        let mut tensor = Tensor::zeros(self.dtype, &self.batch_shape(indices.len(), length));
        let elements = self.shape.iter().product::<usize>();
        match &self.store {
            Store::Ragged { starts, bytes } => {
                let step = elements * self.dtype.bytes();
                let rows = tensor.bytes_mut().chunks_exact_mut((length * step).max(1));
                for (to, index) in rows.zip(indices) {
                    let from = &bytes[starts[*index] * step..starts[index + 1] * step];
                    let kept = from.len().min(to.len());
                    to[..kept].copy_from_slice(&from[..kept]);
                }
            }
            Store::Windows { bytes, stride, .. } => {
                let window = elements * self.dtype.bytes();
                let step = window / self.shape.first().copied().unwrap_or(1).max(1);
                for (to, index) in tensor.bytes_mut().chunks_exact_mut(window.max(1)).zip(indices) {
                    to.copy_from_slice(&bytes[index * stride * step..][..window]);
                }
            }
            Store::Pictures(files) => files.gather(self, wanted, tensor.bytes_mut())?,
            Store::Ready(bytes) => {
                let length = elements * self.dtype.bytes();
                for (to, index) in tensor.bytes_mut().chunks_exact_mut(length.max(1)).zip(indices) {
                    to.copy_from_slice(&bytes[index * length..][..length]);
                }
            }
            Store::Coded { raw, table } => {
                let coded = Coded { raw, table, elements, indices };
                match self.dtype.bytes() {
                    8 => coded.gather::<u64>(tensor.bytes_mut()),
                    4 => coded.gather::<u32>(tensor.bytes_mut()),
                    2 => coded.gather::<u16>(tensor.bytes_mut()),
                    _ => coded.gather::<u8>(tensor.bytes_mut()),
                }
            }
        }
        Ok(tensor)
    }
}

/// Which examples a batch has.
pub struct Wanted<'a> {
    /// The examples.
    pub examples: &'a [usize],
    /// The same, where repetitions of an example have numbers of their own.
    pub drawn: &'a [usize],
    /// Their epoch.
    pub epoch: u64,
    /// What happens to pictures.
    pub steps: &'a pictures::Steps,
}

struct Coded<'a> {
    raw: &'a [u8],
    table: &'a [u8],
    /// Elements of one example.
    elements: usize,
    indices: &'a [usize],
}

impl Coded<'_> {
    /// `T` is any type as wide as an element.
    fn gather<T: Pod>(&self, to: &mut [u8]) {
        // The table's bytes need not lie where a `T` may.
        let table: Vec<T> =
            self.table.chunks_exact(size_of::<T>()).map(bytemuck::pod_read_unaligned).collect();
        let table: &[T; 256] = table.as_slice().try_into().expect("a table has one element for each byte");
        let to: &mut [T] = bytemuck::cast_slice_mut(to);
        for (to, index) in to.chunks_exact_mut(self.elements.max(1)).zip(self.indices) {
            let from = &self.raw[index * self.elements..][..self.elements];
            for (to, byte) in to.iter_mut().zip(from) {
                *to = table[usize::from(*byte)];
            }
        }
    }
}

/// What a file was like when it was read; a changed file is read again.
type Stamp = (PathBuf, u64, Option<SystemTime>);

struct Known {
    source: Source,
    stamps: Vec<Stamp>,
    data: Weak<Dataset>,
}

/// What is in memory now. Weak: data goes when its last feed goes.
static KNOWN: Mutex<Vec<Known>> = Mutex::new(Vec::new());

/// The examples of `source`, from memory if a feed of the same source lives and its files are as they were.
///
/// # Errors
/// Whatever is wrong with the files.
pub fn load(source: &Source) -> Result<Arc<Dataset>, DataError> {
    let stamps = stamps(source)?;
    // Held while reading, so that two feeds opened at once read once.
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    known.retain(|entry| entry.data.strong_count() > 0);
    let found = known.iter().find(|entry| entry.source == *source && entry.stamps == stamps);
    if let Some(data) = found.and_then(|entry| entry.data.upgrade()) {
        return Ok(data);
    }
    let data = Arc::new(match source {
        Source::Csv { path, header, fields, origin } => csv::load(path, *header, fields, *origin)?,
        Source::Parquet { path, fields, origin } => parquet::load(path, fields, *origin)?,
        Source::Arrays { fields } => arrays::load(fields)?,
        Source::Json { path, fields, origin } => json::load(path, fields, *origin)?,
        Source::Pictures { path, fields, skip, origin } => pictures::load(path, fields, *skip, *origin)?,
        Source::Nothing => Dataset::new(1, Vec::new()),
        Source::Text { path, fields, windows, origin } => text::load(path, fields, *windows, *origin)?,
    });
    known.push(Known { source: source.clone(), stamps, data: Arc::downgrade(&data) });
    Ok(data)
}

fn stamps(source: &Source) -> Result<Vec<Stamp>, DataError> {
    let files: Vec<(&Path, Origin)> = match source {
        Source::Csv { path, origin, .. }
        | Source::Parquet { path, origin, .. }
        | Source::Json { path, origin, .. } => vec![(path, *origin)],
        Source::Arrays { fields } => {
            fields.iter().map(|field| (field.path.as_path(), field.origin)).collect()
        }
        Source::Pictures { path, origin, .. } => return pictures::stamps(path, *origin),
        Source::Nothing => return Ok(Vec::new()),
        Source::Text { path, fields, origin, .. } => std::iter::once((path.as_path(), *origin))
            .chain(fields.iter().flat_map(vocabulary_files))
            .collect(),
    };
    if files.is_empty() {
        return Err(DataError::new(0, Fault::Stages { reason: "a source needs at least one field" }));
    }
    let stamp = |(path, origin)| {
        let (path, metadata) = find(path, origin)?;
        Ok((path, metadata.len(), metadata.modified().ok()))
    };
    files.into_iter().map(stamp).collect()
}

/// The files that a field's vocabulary comes from.
fn vocabulary_files(field: &TextField) -> Vec<(&Path, Origin)> {
    match &field.content {
        TextContent::Tokens(Tokens { vocabulary: VocabularySource::Counted { over, .. }, .. }) => {
            over.iter().map(|part| (part.path.as_path(), part.origin)).collect()
        }
        TextContent::Tokens(Tokens { vocabulary: VocabularySource::File { path, origin }, .. }) => {
            vec![(path, *origin)]
        }
        TextContent::Tokens(Tokens { vocabulary: VocabularySource::Kept { .. }, .. })
        | TextContent::Numbers { .. } => Vec::new(),
    }
}

/// A text from a file as it may stand in a message: not too long.
pub fn shorten(text: &str) -> String {
    if text.chars().count() <= 40 { text.to_string() } else { text.chars().take(39).chain(['…']).collect() }
}
