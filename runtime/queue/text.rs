//! Reads texts: lines, cells or a whole as sequences of numbers.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::convert::Conversion;
use super::dataset::{Column, Dataset, Store, shorten};
use super::error::{DataError, Fault, Place};
use super::facts::{PartFacts, TextFacts};
use super::open::open;
use super::recipe::{
    Origin, Part, TextContent, TextField, TextPart, Tokens, Unit, VocabularySource, Windows,
};
use super::tokenizer::Tokenizer;
use super::vocabulary::{Counter, Counts, END, Vocabulary};
use crate::DType;

/// Reads the parts that the fields name.
///
/// # Errors
/// Whatever is wrong with the file, at the first place where it is.
pub fn load(
    path: &Path,
    fields: &[TextField],
    windows: Option<Windows>,
    origin: Origin,
) -> Result<Dataset, DataError> {
    let text = Text::read(path, origin)?;
    let mut known = Vocabularies::default();
    let mut sequences = Vec::with_capacity(fields.len());
    for field in fields {
        sequences.push(Sequences::new(field, &text, &mut known)?);
    }
    let examples = text.for_each_row(
        origin,
        |row| {
            fields.iter().zip(&mut sequences).try_for_each(|(field, to)| {
                let part = row.part(field.part, field.origin)?;
                to.append(part).map_err(|fault| row.error(field.origin, fault))
            })
        },
        is_whole(fields),
    )?;
    let vocabularies = sequences.iter().zip(fields).filter_map(|(sequences, field)| {
        Some((field.name.as_str().into(), Arc::clone(sequences.vocabulary()?)))
    });
    let vocabularies = vocabularies.collect();
    let columns =
        fields.iter().zip(sequences).map(|(field, sequences)| sequences.column(field, &text, windows));
    let columns: Vec<Column> = columns.collect::<Result<_, _>>()?;
    let examples = match windows {
        None => examples,
        Some(_) => columns.iter().map(Column::windows).min().unwrap_or(0),
    };
    Ok(Dataset { vocabularies, ..Dataset::new(examples, columns) })
}

fn is_whole(fields: &[TextField]) -> bool {
    fields.iter().any(|field| field.part == Part::Whole)
}

/// Reads the whole file and says what is in it; `units` says what to count.
///
/// # Errors
/// A file that cannot be read, is no text, is empty, or has lines of different numbers of cells where `part` is
/// a cell.
pub fn inspect(path: &Path, part: Part, units: &[Unit], origin: Origin) -> Result<TextFacts, DataError> {
    let text = Text::read(path, origin)?;
    let mut counters: Vec<[Counter; 2]> = Vec::new();
    let mut cells = 0;
    let whole = part == Part::Whole;
    let rows = text.for_each_row(
        origin,
        |row| {
            let parts: Vec<&str> = match part {
                Part::Whole | Part::Line => vec![row.text],
                Part::Cell(_) => row.text.split('\t').collect(),
            };
            cells = parts.len();
            counters.resize_with(cells, Default::default);
            for (counters, part) in counters.iter_mut().zip(parts) {
                units.iter().for_each(|unit| counters[slot(*unit)].add(*unit, part));
            }
            Ok(())
        },
        whole,
    )?;
    if let Part::Cell(_) = part {
        text.check_widths(origin, cells)?;
    }
    let facts = |counters: [Counter; 2]| {
        let [characters, words] = counters.map(|counter| (counter.longest, counter.finish()));
        PartFacts { characters, words }
    };
    Ok(TextFacts { rows, parts: counters.into_iter().map(facts).collect(), counted: units.to_vec() })
}

fn slot(unit: Unit) -> usize {
    match unit {
        Unit::Characters => 0,
        Unit::Words => 1,
    }
}

/// A file's text.
struct Text {
    /// The path that was asked for.
    asked: PathBuf,
    /// The path that was found.
    path: PathBuf,
    text: String,
}

/// A line, or the whole.
struct Row<'a> {
    path: &'a Path,
    /// From 1; `None` for the whole.
    line: Option<u64>,
    text: &'a str,
}

impl Text {
    fn read(path: &Path, origin: Origin) -> Result<Text, DataError> {
        let mut opened = open(path, origin)?;
        let mut bytes = Vec::new();
        opened.reader.by_ref().read_to_end(&mut bytes).map_err(|error| opened.error(&error))?;
        // The mark that some programs put before a text in UTF-8.
        if bytes.starts_with(b"\xef\xbb\xbf") {
            bytes.drain(..3);
        }
        let (asked, path) = (path.to_path_buf(), opened.path);
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Text { asked, path, text }),
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                let bytes = error.as_bytes();
                let line = bytes[..at].iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
                let place = Place { file: Some(path), line: Some(line), ..Place::default() };
                Err(DataError { origin, place: Box::new(place), fault: Fault::NotUtf8 { found: bytes[at] } })
            }
        }
    }

    /// Hands out lines that are not empty, or the whole, and returns how many there were.
    fn for_each_row(
        &self,
        origin: Origin,
        mut each: impl FnMut(&Row<'_>) -> Result<(), DataError>,
        whole: bool,
    ) -> Result<usize, DataError> {
        let mut rows = 0;
        if whole {
            if !self.text.is_empty() {
                each(&Row { path: &self.path, line: None, text: &self.text })?;
                rows = 1;
            }
        } else {
            for (line, text) in (1..).zip(self.lines()) {
                if !text.is_empty() {
                    each(&Row { path: &self.path, line: Some(line), text })?;
                    rows += 1;
                }
            }
        }
        if rows == 0 {
            return Err(DataError::in_file(origin, &self.path, Fault::Empty));
        }
        Ok(rows)
    }

    /// Every line; `str::lines` takes a carriage return before the newline away.
    fn lines(&self) -> impl Iterator<Item = &str> {
        self.text.lines()
    }

    /// That all lines that are not empty have as many cells.
    fn check_widths(&self, origin: Origin, expected: usize) -> Result<(), DataError> {
        let first = self.lines().find(|line| !line.is_empty()).map_or(expected, cells);
        self.for_each_row(origin, |row| row.check_width(first, origin), false).map(drop)
    }
}

fn cells(line: &str) -> usize {
    line.bytes().filter(|byte| *byte == b'\t').count() + 1
}

impl<'a> Row<'a> {
    fn part(&self, part: Part, origin: Origin) -> Result<&'a str, DataError> {
        match part {
            Part::Whole | Part::Line => Ok(self.text),
            Part::Cell(cell) => {
                self.text.split('\t').nth(cell).ok_or_else(|| {
                    self.error(origin, Fault::NoCell { column: cell, columns: cells(self.text) })
                })
            }
        }
    }

    fn check_width(&self, expected: usize, origin: Origin) -> Result<(), DataError> {
        let found = cells(self.text);
        if found == expected {
            return Ok(());
        }
        Err(self.error(origin, Fault::RowLength { expected, found }))
    }

    fn error(&self, origin: Origin, fault: Fault) -> DataError {
        let place = Place { file: Some(self.path.to_path_buf()), line: self.line, ..Place::default() };
        DataError { origin, place: Box::new(place), fault }
    }
}

/// The sequences of one field, one after the other.
struct Sequences<'a> {
    encoder: Encoder<'a>,
    dtype: DType,
    bytes: Vec<u8>,
    /// Where each begins, in steps, and where the last ends.
    starts: Vec<usize>,
    scratch: Vec<i32>,
}

/// What makes numbers of a text.
enum Encoder<'a> {
    Vocabulary { vocabulary: Arc<Vocabulary>, end: bool },
    Tokenizer { tokenizer: Box<Tokenizer>, end: bool },
    Numbers { conversion: Conversion<'a>, step: usize },
}

impl<'a> Sequences<'a> {
    fn new(
        field: &'a TextField,
        text: &Text,
        known: &mut Vocabularies<'a>,
    ) -> Result<Sequences<'a>, DataError> {
        let encoder = match &field.content {
            TextContent::Tokens(Tokens { vocabulary, end }) => match vocabulary {
                VocabularySource::Counted { .. } | VocabularySource::Kept { .. } => {
                    Encoder::Vocabulary { vocabulary: known.of(vocabulary, text)?, end: *end }
                }
                VocabularySource::File { path, origin } => {
                    Encoder::Tokenizer { tokenizer: Box::new(Tokenizer::open(path, *origin)?), end: *end }
                }
            },
            TextContent::Numbers { shape, arithmetic } => Encoder::Numbers {
                conversion: Conversion { arithmetic, dtype: field.dtype, classes: None },
                step: shape.iter().product(),
            },
        };
        Ok(Sequences { encoder, dtype: field.dtype, bytes: Vec::new(), starts: vec![0], scratch: Vec::new() })
    }

    fn append(&mut self, text: &str) -> Result<(), Fault> {
        let steps = match &self.encoder {
            Encoder::Vocabulary { vocabulary, end } => {
                self.scratch.clear();
                vocabulary.encode(text, &mut self.scratch);
                self.scratch.extend(end.then_some(END));
                append_numbers(&self.scratch, self.dtype, &mut self.bytes)
            }
            Encoder::Tokenizer { tokenizer, end } => {
                self.scratch.clear();
                tokenizer.encode(text, &mut self.scratch)?;
                self.scratch.extend(end.then_some(END));
                append_numbers(&self.scratch, self.dtype, &mut self.bytes)
            }
            Encoder::Numbers { conversion, step } => {
                let mut numbers = 0;
                let separates = |c: char| c.is_whitespace() || c == ',';
                for word in text.split(separates).filter(|word| !word.is_empty()) {
                    let number: f64 = word.parse().map_err(|_| Fault::NotANumber { found: shorten(word) })?;
                    if !number.is_finite() {
                        return Err(Fault::NotFinite { found: shorten(word) });
                    }
                    conversion.append(number, &mut self.bytes)?;
                    numbers += 1;
                }
                if numbers % (*step).max(1) != 0 {
                    return Err(Fault::Steps { numbers, step: *step });
                }
                numbers / (*step).max(1)
            }
        };
        let start = self.starts.last().copied().unwrap_or(0);
        self.starts.push(start + steps);
        Ok(())
    }

    fn vocabulary(&self) -> Option<&Arc<Vocabulary>> {
        match &self.encoder {
            Encoder::Vocabulary { vocabulary, .. } => Some(vocabulary),
            Encoder::Tokenizer { .. } | Encoder::Numbers { .. } => None,
        }
    }

    fn column(self, field: &TextField, text: &Text, windows: Option<Windows>) -> Result<Column, DataError> {
        let inner = match &field.content {
            TextContent::Tokens(_) => Vec::new(),
            TextContent::Numbers { shape, .. } => shape.clone(),
        };
        let name: Arc<str> = field.name.as_str().into();
        let Some(Windows { length, stride, origin }) = windows else {
            let store = Store::Ragged { starts: self.starts, bytes: self.bytes };
            return Ok(Column { name, shape: inner, dtype: field.dtype, store });
        };
        let steps = self.starts.last().copied().unwrap_or(0);
        if steps < length || length == 0 || stride == 0 {
            return Err(DataError::in_file(
                origin,
                &text.path,
                Fault::TooShort { expected: length, found: steps },
            ));
        }
        let windows = (steps - length) / stride + 1;
        let shape = std::iter::once(length).chain(inner).collect();
        Ok(Column {
            name,
            shape,
            dtype: field.dtype,
            store: Store::Windows { bytes: self.bytes, stride, windows },
        })
    }
}

/// Appends whole numbers, and returns how many.
fn append_numbers(numbers: &[i32], dtype: DType, bytes: &mut Vec<u8>) -> usize {
    for number in numbers {
        match dtype {
            DType::I64 => bytes.extend(i64::from(*number).to_ne_bytes()),
            // The checker lets tokens feed i32 and i64 alone.
            DType::F32 | DType::F64 | DType::Bf16 | DType::F16 | DType::I32 | DType::U8 | DType::Bool => {
                bytes.extend(number.to_ne_bytes());
            }
        }
    }
    numbers.len()
}

/// Vocabularies that were made, so that fields share them.
#[derive(Default)]
struct Vocabularies<'a>(Vec<(&'a VocabularySource, Arc<Vocabulary>)>);

impl<'a> Vocabularies<'a> {
    /// The vocabulary that a recipe asks for; `text` is the file that is being read.
    fn of(&mut self, source: &'a VocabularySource, text: &Text) -> Result<Arc<Vocabulary>, DataError> {
        if let Some((_, vocabulary)) = self.0.iter().find(|(known, _)| *known == source) {
            return Ok(Arc::clone(vocabulary));
        }
        let vocabulary = Arc::new(count(source, Some(text))?);
        self.0.push((source, Arc::clone(&vocabulary)));
        Ok(vocabulary)
    }
}

/// Counts what a vocabulary is made of and makes it.
///
/// # Errors
/// Whatever is wrong with the files; a source that holds no counts.
pub fn vocabulary(source: &VocabularySource) -> Result<Vocabulary, DataError> {
    count(source, None)
}

/// `text`: a file that is open already.
fn count(source: &VocabularySource, text: Option<&Text>) -> Result<Vocabulary, DataError> {
    let (unit, over, size, least) = match source {
        VocabularySource::Counted { unit, over, size, least } => (*unit, over, *size, *least),
        VocabularySource::Kept { unit, tokens } => return Ok(Vocabulary::of(*unit, tokens.clone())),
        VocabularySource::File { origin, .. } => {
            let reason = "a tokenizer's file holds no counts";
            return Err(DataError::new(*origin, Fault::Stages { reason }));
        }
    };
    let mut all: Vec<Counts> = Vec::new();
    for TextPart { path, part, origin } in over {
        let mut counter = Counter::default();
        let add = |row: &Row<'_>| {
            counter.add(unit, row.part(*part, *origin)?);
            Ok(())
        };
        let whole = *part == Part::Whole;
        match text.filter(|text| text.asked == *path) {
            Some(text) => text.for_each_row(*origin, add, whole)?,
            None => Text::read(path, *origin)?.for_each_row(*origin, add, whole)?,
        };
        all.push(counter.finish());
    }
    let all: Vec<&Counts> = all.iter().collect();
    Ok(Vocabulary::new(unit, &all, size, least))
}
