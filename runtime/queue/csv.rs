//! Reads csv files: numbers in rows, one row for one example.

use std::io::{self, BufReader, Read};
use std::path::Path;

use ::csv::{ByteRecord, ReaderBuilder, Trim};

use super::convert::Conversion;
use super::dataset::{Column, Dataset, Store, shorten};
use super::error::{DataError, Fault, Place};
use super::facts::{ColumnFacts, CsvFacts, Range, Word};
use super::open::{Opened, open, read_up_to};
use super::recipe::{CsvField, Origin};

/// Reads the columns that the fields name.
///
/// # Errors
/// Whatever is wrong with the file, at the first place where it is.
pub fn load(
    path: &Path,
    header: Option<bool>,
    fields: &[CsvField],
    origin: Origin,
) -> Result<Dataset, DataError> {
    for field in fields {
        let (columns, shape) = (field.columns.len(), &field.shape);
        if shape.iter().product::<usize>() != columns {
            let fault = Fault::FieldShape { columns, shape: shape.clone() };
            return Err(DataError::in_file(field.origin, path, fault));
        }
    }
    let mut stores: Vec<Vec<u8>> = vec![Vec::new(); fields.len()];
    let examples = for_each_line(path, header, origin, |line| match line {
        Line::Names(_) => Ok(()),
        Line::Values(row) => {
            fields.iter().zip(&mut stores).try_for_each(|(field, store)| row.append(field, store))
        }
    })?;
    let columns = fields.iter().zip(stores).map(|(field, bytes)| Column {
        name: field.name.as_str().into(),
        shape: field.shape.clone(),
        dtype: field.dtype,
        store: Store::Ready(bytes),
    });
    Ok(Dataset::new(examples, columns.collect()))
}

/// Reads the whole file and says what is in it.
///
/// # Errors
/// A file that cannot be read, has no rows, or rows of different lengths. Words are no error here.
pub fn inspect(path: &Path, header: Option<bool>, origin: Origin) -> Result<CsvFacts, DataError> {
    let mut columns: Vec<ColumnFacts> = Vec::new();
    let rows = for_each_line(path, header, origin, |line| {
        match line {
            Line::Names(names) => {
                let named = |name| ColumnFacts { name: Some(text(name)), ..ColumnFacts::default() };
                columns = names.iter().map(named).collect();
            }
            Line::Values(row) => {
                columns.resize_with(row.cells.len(), ColumnFacts::default);
                columns.iter_mut().zip(row.cells).for_each(|(facts, cell)| note(facts, &row, cell));
            }
        }
        Ok(())
    })?;
    Ok(CsvFacts { rows, columns })
}

fn note(facts: &mut ColumnFacts, row: &Row<'_>, cell: &[u8]) {
    match number(cell) {
        Ok(value) => facts.range = Some(Range::with(facts.range, value)),
        Err(_) if facts.word.is_none() => facts.word = Some(Word { line: row.line(), text: text(cell) }),
        Err(_) => {}
    }
}

/// A row of a file.
enum Line<'a> {
    Names(&'a ByteRecord),
    Values(Row<'a>),
}

struct Row<'a> {
    file: &'a Path,
    cells: &'a ByteRecord,
}

impl Row<'_> {
    fn append(&self, field: &CsvField, bytes: &mut Vec<u8>) -> Result<(), DataError> {
        let conversion =
            Conversion { arithmetic: &field.arithmetic, dtype: field.dtype, classes: field.classes };
        for column in field.columns.clone() {
            let Some(cell) = self.cells.get(column) else {
                let fault = Fault::NoColumn { column, columns: self.cells.len() };
                return Err(DataError::in_file(field.origin, self.file, fault));
            };
            let done = number(cell).and_then(|raw| conversion.append(raw, bytes));
            done.map_err(|fault| self.error(field.origin, Some(column + 1), fault))?;
        }
        Ok(())
    }

    fn error(&self, origin: Origin, column: Option<usize>, fault: Fault) -> DataError {
        let file = Some(self.file.to_path_buf());
        let place = Place { file, line: Some(self.line()), column, example: None };
        DataError { origin, place: Box::new(place), fault }
    }

    /// The line it stands in, from 1. The reader says where it began to look, and skips blank lines from
    /// there; they are counted by reading the file once more, which only a message is worth.
    fn line(&self) -> u64 {
        let Some(start) = self.cells.position() else { return 0 };
        let skipped = open_text(self.file, 0).ok().and_then(|(_, reader)| {
            let mut reader = BufReader::new(reader);
            io::copy(&mut reader.by_ref().take(start.byte()), &mut io::sink()).ok()?;
            let blank = reader.bytes().map_while(Result::ok).take_while(|byte| b"\r\n".contains(byte));
            Some(blank.filter(|byte| *byte == b'\n').count() as u64)
        });
        start.line() + skipped.unwrap_or(0)
    }
}

/// Reads all rows, checks that they are equally long, and returns the number of those that hold values.
fn for_each_line(
    path: &Path,
    header: Option<bool>,
    origin: Origin,
    mut each: impl FnMut(Line<'_>) -> Result<(), DataError>,
) -> Result<usize, DataError> {
    let (opened, bytes) = open_text(path, origin)?;
    // Rows of different lengths are found here, with a better message.
    let mut reader =
        ReaderBuilder::new().has_headers(false).flexible(true).trim(Trim::All).from_reader(bytes);
    let mut cells = ByteRecord::new();
    let (mut first, mut width, mut examples) = (true, 0, 0);
    loop {
        let more = reader.read_byte_record(&mut cells).map_err(|error| row_error(&opened, error))?;
        if !more {
            break;
        }
        if first {
            first = false;
            width = cells.len();
            if header.unwrap_or_else(|| cells.iter().all(|cell| parse(cell).is_none())) {
                each(Line::Names(&cells))?;
                continue;
            }
        }
        let row = Row { file: &opened.path, cells: &cells };
        if cells.len() != width {
            return Err(row.error(origin, None, Fault::RowLength { expected: width, found: cells.len() }));
        }
        each(Line::Values(row))?;
        examples += 1;
    }
    if examples == 0 {
        return Err(DataError::in_file(origin, &opened.path, Fault::Empty));
    }
    Ok(examples)
}

/// Opens a file, without the mark that some programs put before a text in UTF-8. The reader comes apart
/// from the file, so that its errors can be put into words while it is in use.
fn open_text(path: &Path, origin: Origin) -> Result<(Opened, impl Read), DataError> {
    let mut opened = open(path, origin)?;
    let mut reader = std::mem::replace(&mut opened.reader, Box::new(io::empty()));
    let mut start = [0; 3];
    let mut known = read_up_to(&mut reader, &mut start).map_err(|error| opened.error(&error))?;
    if start == *b"\xef\xbb\xbf" {
        known = 0;
    }
    Ok((opened, io::Cursor::new(start).take(known as u64).chain(reader)))
}

fn row_error(opened: &Opened, error: ::csv::Error) -> DataError {
    let reason = error.to_string();
    if let ::csv::ErrorKind::Io(error) = error.into_kind() {
        return opened.error(&error);
    }
    opened.error(&io::Error::other(reason))
}

fn number(cell: &[u8]) -> Result<f64, Fault> {
    let value = parse(cell).ok_or_else(|| Fault::NotANumber { found: text(cell) })?;
    if value.is_finite() { Ok(value) } else { Err(Fault::NotFinite { found: text(cell) }) }
}

fn parse(cell: &[u8]) -> Option<f64> {
    std::str::from_utf8(cell).ok()?.parse().ok()
}

/// A cell as it may stand in a message: whole characters, and not too many.
fn text(cell: &[u8]) -> String {
    shorten(&String::from_utf8_lossy(cell))
}
