//! Reads the columns of parquet files: numbers and truths, one row for one example. Only with the feature `parquet`.

#[cfg(not(feature = "parquet"))]
mod implementation {
    use std::path::Path;

    use crate::queue::dataset::Dataset;
    use crate::queue::error::{DataError, Fault};
    use crate::queue::facts::CsvFacts;
    use crate::queue::open::find;
    use crate::queue::recipe::{CsvField, Origin};

    /// Says how to get what reads such files.
    ///
    /// # Errors
    /// Always.
    pub fn load(path: &Path, _: &[CsvField], origin: Origin) -> Result<Dataset, DataError> {
        find(path, origin)?;
        Err(DataError::in_file(origin, path, Fault::NotBuilt { feature: "parquet" }))
    }

    /// Says how to get what reads such files.
    ///
    /// # Errors
    /// Always.
    pub fn inspect(path: &Path, origin: Origin) -> Result<CsvFacts, DataError> {
        find(path, origin)?;
        Err(DataError::in_file(origin, path, Fault::NotBuilt { feature: "parquet" }))
    }
}

#[cfg(feature = "parquet")]
mod implementation {
    use std::fs::File;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::path::{Path, PathBuf};

    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::Field;
    use parquet::schema::types::Type;

    use crate::queue::convert::{Conversion, exact};
    use crate::queue::dataset::{Column, Dataset, Store, shorten};
    use crate::queue::error::{DataError, Fault, Place};
    use crate::queue::facts::{ColumnFacts, CsvFacts, Range, Word};
    use crate::queue::open::find;
    use crate::queue::recipe::{CsvField, Origin};

    /// Reads the columns that the fields name.
    ///
    /// # Errors
    /// Whatever is wrong with the file, at the first place where it is.
    pub fn load(path: &Path, fields: &[CsvField], origin: Origin) -> Result<Dataset, DataError> {
        for field in fields {
            let (columns, shape) = (field.columns.len(), &field.shape);
            if shape.iter().product::<usize>() != columns {
                let fault = Fault::FieldShape { columns, shape: shape.clone() };
                return Err(DataError::in_file(field.origin, path, fault));
            }
        }
        let mut stores: Vec<Vec<u8>> = vec![Vec::new(); fields.len()];
        let (path, _, examples) = rows(path, origin, &mut |path, row, cells| {
            for (field, store) in fields.iter().zip(&mut stores) {
                let conversion =
                    Conversion { arithmetic: &field.arithmetic, dtype: field.dtype, classes: field.classes };
                for column in field.columns.clone() {
                    let fail = |fault| place(path, row, column, field.origin, fault);
                    let Some(cell) = cells.get(column) else {
                        return Err(fail(Fault::NoColumn { column, columns: cells.len() }));
                    };
                    let number = number(cell).map_err(fail)?;
                    if !number.is_finite() {
                        return Err(fail(Fault::NotFinite { found: number.to_string() }));
                    }
                    conversion.append(number, store).map_err(fail)?;
                }
            }
            Ok(())
        })?;
        if examples == 0 {
            return Err(DataError::in_file(origin, &path, Fault::Empty));
        }
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
    /// A file that cannot be read, or has no rows. Words are no error here.
    pub fn inspect(path: &Path, origin: Origin) -> Result<CsvFacts, DataError> {
        let mut facts: Vec<ColumnFacts> = Vec::new();
        let (path, names, rows) = rows(path, origin, &mut |_, row, cells| {
            facts.resize_with(cells.len(), ColumnFacts::default);
            for (facts, cell) in facts.iter_mut().zip(cells) {
                let text = match number(cell) {
                    Ok(number) if number.is_finite() => {
                        facts.range = Some(Range::with(facts.range, number));
                        continue;
                    }
                    Ok(number) => number.to_string(),
                    Err(Fault::NotANumber { found } | Fault::NotExact { found }) => found,
                    Err(other) => other.to_string(),
                };
                facts.word.get_or_insert(Word { line: row as u64 + 1, text });
            }
            Ok(())
        })?;
        if rows == 0 {
            return Err(DataError::in_file(origin, &path, Fault::Empty));
        }
        facts.iter_mut().zip(names).for_each(|(facts, name)| facts.name = Some(name));
        Ok(CsvFacts { rows, columns: facts })
    }

    /// What is done with each row.
    type Each<'a> = dyn FnMut(&Path, usize, &[Field]) -> Result<(), DataError> + 'a;

    /// The names of all columns and the number of rows, each of which was shown.
    fn rows(
        path: &Path,
        origin: Origin,
        each: &mut Each,
    ) -> Result<(PathBuf, Vec<String>, usize), DataError> {
        let (path, _) = find(path, origin)?;
        let damaged = |reason: String| DataError::in_file(origin, &path, Fault::ParquetDamaged { reason });
        // The library may panic over what a damaged file promises.
        let read = catch_unwind(AssertUnwindSafe(|| {
            let file = File::open(&path).map_err(|error| {
                DataError::in_file(origin, &path, Fault::Unreadable { reason: error.to_string() })
            })?;
            let reader = SerializedFileReader::new(file).map_err(|error| damaged(error.to_string()))?;
            let schema = reader.metadata().file_metadata().schema();
            let names: Vec<String> =
                schema.get_fields().iter().map(|field: &_| Type::name(field).to_string()).collect();
            let mut examples = 0;
            for row in reader.get_row_iter(None).map_err(|error| damaged(error.to_string()))? {
                let row = row.map_err(|error| damaged(error.to_string()))?;
                let cells: Vec<Field> = row.into_columns().into_iter().map(|(_, field)| field).collect();
                each(&path, examples, &cells)?;
                examples += 1;
            }
            Ok((path.clone(), names, examples))
        }));
        read.unwrap_or_else(|_| Err(damaged("it promises what it does not hold".to_string())))
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "what is no number is told of as it is written")]
    fn number(cell: &Field) -> Result<f64, Fault> {
        Ok(match cell {
            Field::Bool(truth) => f64::from(u8::from(*truth)),
            Field::Byte(n) => f64::from(*n),
            Field::Short(n) => f64::from(*n),
            Field::Int(n) => f64::from(*n),
            Field::UByte(n) => f64::from(*n),
            Field::UShort(n) => f64::from(*n),
            Field::UInt(n) => f64::from(*n),
            Field::Long(n) => exact(*n)?,
            Field::ULong(n) => exact(*n)?,
            Field::Float16(x) => x.to_f64(),
            Field::Float(x) => f64::from(*x),
            Field::Double(x) => *x,
            Field::Null => return Err(Fault::NotANumber { found: String::new() }),
            other => return Err(Fault::NotANumber { found: shorten(&other.to_string()) }),
        })
    }

    fn place(path: &Path, row: usize, column: usize, origin: Origin, fault: Fault) -> DataError {
        let place = Place {
            file: Some(path.to_path_buf()),
            column: Some(column + 1),
            example: Some(row),
            ..Place::default()
        };
        DataError { origin, place: Box::new(place), fault }
    }
}

pub use implementation::{inspect, load};

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use crate::queue::error::Fault;

    /// What `tests/data/make.py` has written.
    fn flowers() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/flowers.parquet")
    }

    #[cfg(not(feature = "parquet"))]
    #[test]
    fn a_program_built_without_says_so() {
        let refused = super::inspect(&flowers(), 7).unwrap_err();
        assert_eq!((refused.origin, refused.fault), (7, Fault::NotBuilt { feature: "parquet" }));
    }

    #[cfg(feature = "parquet")]
    mod with {
        use std::fs;

        use super::{Fault, Path, flowers};
        use crate::DType;
        use crate::queue::dataset::Store;
        use crate::queue::error::DataError;
        use crate::queue::recipe::CsvField;

        /// All numbers of some columns.
        fn numbers(path: &Path, columns: std::ops::Range<usize>) -> Result<Vec<f64>, DataError> {
            let field = CsvField {
                name: "x".into(),
                shape: vec![columns.len()],
                columns,
                dtype: DType::F64,
                arithmetic: vec![],
                classes: None,
                origin: 3,
            };
            let data = super::super::load(path, &[field], 1)?;
            let Store::Ready(bytes) = &data.columns[0].store else { panic!("numbers are ready") };
            let all: Vec<f64> = bytes.as_chunks().0.iter().map(|bytes| f64::from_ne_bytes(*bytes)).collect();
            assert_eq!(data.examples, 60);
            Ok(all)
        }

        fn size(row: u32, column: u32) -> f64 {
            f64::from(u8::from(row % 3 == column)) + f64::from((row * 7 + column * 13) % 11) / 20.0
        }

        #[test]
        fn numbers_of_every_kind_and_packing_are_read_row_by_row() {
            let rows = (0..60_u32).flat_map(|row| {
                [
                    f64::from(size(row, 0) as f32),
                    size(row, 1),
                    half::f16::from_f64(size(row, 2)).to_f64(),
                    f64::from(u8::from(row % 2 == 0)),
                    f64::from(row) - 30.0,
                    f64::from(row % 3),
                ]
            });
            assert_eq!(numbers(&flowers(), 0..6).unwrap(), rows.collect::<Vec<_>>());
        }

        #[test]
        fn what_a_column_holds_is_known_before() {
            let facts = super::super::inspect(&flowers(), 0).unwrap();
            let names: Vec<&str> = facts.columns.iter().filter_map(|c| c.name.as_deref()).collect();
            assert_eq!(names, ["float", "double", "half", "wet", "count", "kind", "serial", "gap", "name"]);
            assert_eq!(facts.rows, 60);
            let range = |at: usize| facts.columns[at].range.map(|range| (range.min, range.max, range.whole));
            assert_eq!((range(4), range(5)), (Some((-30.0, 29.0, true)), Some((0.0, 2.0, true))));
            let word = |at: usize| facts.columns[at].word.clone().map(|word| (word.line, word.text));
            assert_eq!((word(4), word(7)), (None, Some((6, String::new()))));
            assert_eq!(word(6), Some((42, "9007199254740993".into())));
            assert_eq!(word(8), Some((1, "\"flower 0\"".into())));
        }

        #[test]
        fn what_is_no_number_or_would_lose_digits_is_refused_where_it_stands() {
            let refused = |column: usize| numbers(&flowers(), column..column + 1).unwrap_err();
            for (column, example, text) in [
                (6, 41, "9007199254740993 is beyond 2^53"),
                (7, 5, "expected a number, found an empty cell"),
                (8, 0, "expected a number, found `\"flower 0\"`"),
            ] {
                let error = refused(column);
                assert_eq!((error.origin, error.place.example), (3, Some(example)));
                assert_eq!(error.place.column, Some(column + 1));
                assert!(error.to_string().contains(text), "{error}");
            }
            assert_eq!(refused(9).fault, Fault::NoColumn { column: 9, columns: 9 });
        }

        #[test]
        fn damaged_files_are_errors_and_no_panics() {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("a.parquet");
            let whole = fs::read(flowers()).unwrap();
            for length in (0..whole.len()).step_by(13) {
                fs::write(&path, &whole[..length]).unwrap();
                let error = numbers(&path, 0..6).unwrap_err();
                assert!(matches!(error.fault, Fault::ParquetDamaged { .. }), "cut at {length}: {error}");
            }
            for at in (0..whole.len()).step_by(7) {
                let mut bytes = whole.clone();
                bytes[at] ^= 0x24;
                fs::write(&path, &bytes).unwrap();
                drop((super::super::load(&path, &[], 0), super::super::inspect(&path, 0)));
            }
        }
    }
}
