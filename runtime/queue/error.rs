//! What can be wrong with data: which file, where in it, what was expected and what was found.

use std::fmt;
use std::path::{Path, PathBuf};

use super::recipe::Origin;
use crate::DType;

/// Why no batch can be had. `Display` gives one line that is understandable alone; `origin` says which
/// part of the recipe it concerns.
#[derive(Clone, Debug, PartialEq)]
pub struct DataError {
    /// The number that the recipe gave to what is at fault.
    pub origin: Origin,
    /// Where in the data (boxed, so that results stay small).
    pub place: Box<Place>,
    /// What is wrong there.
    pub fault: Fault,
}

/// A place in a data file, as exactly as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: Option<PathBuf>,
    /// Line of a text file, from 1.
    pub line: Option<u64>,
    /// Column of a csv file, from 1 (recipes count from 0).
    pub column: Option<usize>,
    /// Entry of an idx file, from 0.
    pub example: Option<usize>,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// None of these paths exists.
    Missing { tried: Vec<PathBuf> },
    /// The path leads to a folder, a device or the like.
    NotAFile,
    /// The operating system refused or failed.
    Unreadable { reason: String },
    /// A gzip file that ends too early.
    GzipTruncated,
    /// A gzip file that cannot be unpacked.
    GzipCorrupt { reason: String },
    /// The file does not begin as an idx or an npy file does.
    NotAnArray { found: Vec<u8> },
    /// An array that holds fewer or more bytes of data than its head says. `found` counts one more
    /// than `expected` where there is more (the rest is not read).
    ArrayLength { expected: u64, found: u64 },
    /// An array whose sizes multiply to more than a machine can address.
    ArrayTooLarge { sizes: Vec<usize> },
    /// Examples of the file have another shape than the recipe says.
    ArrayShape { expected: Vec<usize>, found: Vec<usize> },
    /// The head of an npy file makes no sense.
    NpyHead { reason: String },
    /// Elements of an npy file that are no numbers this program has.
    NpyElement { descr: String, what: &'static str },
    /// An archive of several arrays, where one array is wanted.
    IsNpz,
    /// A file that is no npz archive, or a damaged one.
    NpzDamaged { reason: String },
    /// An archive without the array that is wanted.
    NoArray { wanted: String, found: Vec<String> },
    /// What is wrong with one array of an archive.
    InArray { name: String, fault: Box<Fault> },
    /// A whole number beyond those that are read exactly.
    NotExact { found: String },
    /// A file that is no parquet file, or a damaged one.
    ParquetDamaged { reason: String },
    /// What is wrong with examples in JSON.
    NotJson { reason: String },
    /// The path leads to no folder.
    NotAFolder,
    /// A folder without pictures.
    NoPictures,
    /// A picture in no folder, where folders are classes.
    NoClass,
    /// A file that does not begin as pictures do that can be read.
    NotAPicture { found: Vec<u8> },
    /// A picture whose file is damaged.
    PictureDamaged { reason: String },
    /// A picture, height and width, that is too small for what is to be cut out of it.
    PictureTooSmall { wanted: [usize; 2], found: [usize; 2] },
    /// A picture with another height, width or number of channels than the model takes.
    PictureSize { expected: Vec<usize>, found: Vec<usize> },
    /// There is no example in it.
    Empty,
    /// A csv row with another number of cells than the first.
    RowLength { expected: usize, found: usize },
    /// The recipe wants a column that the file does not have.
    NoColumn { column: usize, columns: usize },
    /// A field's columns do not fill its shape.
    FieldShape { columns: usize, shape: Vec<usize> },
    /// A cell that is no number (empty text: an empty cell).
    NotANumber { found: String },
    /// A number that is not finite, or one that arithmetic made so.
    NotFinite { found: String },
    /// A label that is not a whole number from 0 up to below `classes`.
    NotALabel { classes: u64, found: f64 },
    /// A value that the dtype cannot hold.
    NoFit { dtype: DType, found: f64 },
    /// A text that is not in UTF-8.
    NotUtf8 { found: u8 },
    /// The recipe wants a cell that a line does not have.
    NoCell { column: usize, columns: usize },
    /// Numbers that do not make whole steps of a sequence.
    Steps { numbers: usize, step: usize },
    /// A sequence that does not fill a single window.
    TooShort { expected: usize, found: usize },
    /// Examples that fit into no bucket; the first of them with its longest field.
    TooLong { examples: usize, field: String, length: usize, longest: usize },
    /// Lengths of buckets that do not ascend from 1, or are not as many for each field.
    Buckets { reason: &'static str },
    /// A field that is to be filled up and is no sequence.
    NoSequence { field: String },
    /// A file that holds no named tensors.
    NotWeights { reason: String },
    /// A file that is no tokenizer.
    NotATokenizer { reason: String },
    /// What this program was built without.
    NotBuilt { feature: &'static str },
    /// Two fields of one source have different numbers of examples.
    Lengths { first: String, first_examples: usize, second: String, second_examples: usize },
    /// A split at or beyond the end of the data.
    SplitBound { bound: usize, examples: usize },
    /// A split whose bounds do not ascend.
    SplitOrder { bounds: Vec<usize> },
    /// A part that the split does not have.
    SplitPart { part: usize, parts: usize },
    /// An epoch that would be longer than can be written down.
    TooManyRepetitions { times: usize, most: usize },
    /// Nothing is left after this stage.
    NoneLeft,
    /// A window, batch or number of batches that is 0.
    Zero { what: &'static str },
    /// Stages in an order that has no meaning, or none where one is needed.
    Stages { reason: &'static str },
    /// A place to go on from that the data does not have: it is not the data the place was noted for.
    Cursor { position: u64, examples: usize },
    /// The thread that prepares batches broke down; a mistake of ours.
    Broken { message: String },
}

impl DataError {
    /// A fault of no known place in the data.
    pub fn new(origin: Origin, fault: Fault) -> DataError {
        DataError { origin, place: Box::default(), fault }
    }

    /// A fault of a file as a whole.
    pub fn in_file(origin: Origin, file: &Path, fault: Fault) -> DataError {
        let place = Place { file: Some(file.to_path_buf()), ..Place::default() };
        DataError { origin, place: Box::new(place), fault }
    }
}

impl std::error::Error for DataError {}

impl fmt::Display for DataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { file, line, column, example } = &*self.place;
        let mut parts = Vec::new();
        parts.extend(file.as_ref().map(|file| file.display().to_string()));
        parts.extend(line.map(|line| format!("line {line}")));
        parts.extend(column.map(|column| format!("column {column}")));
        parts.extend(example.map(|example| format!("example {example}")));
        if !parts.is_empty() {
            write!(f, "{}: ", parts.join(", "))?;
        }
        self.fault.fmt(f)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Missing { tried } => {
                let tried: Vec<_> = tried.iter().map(|path| path.display().to_string()).collect();
                write!(f, "no such file; looked for {}", tried.join(" and "))
            }
            Fault::NotAFile => write!(f, "expected a file, found a folder or a device"),
            Fault::Unreadable { reason } => write!(f, "cannot be read: {reason}"),
            Fault::GzipTruncated => write!(f, "this gzip file ends too early; it was cut short"),
            Fault::GzipCorrupt { reason } => write!(f, "this gzip file is damaged: {reason}"),
            Fault::NotAnArray { found } => write!(
                f,
                "expected an array: an idx file begins with the bytes 0, 0, an element type and a number of \
                 axes, an npy file with 147, 78, 85, 77; found {}",
                list(found)
            ),
            Fault::ArrayLength { expected, found } if found < expected => {
                write!(f, "its head promises {expected} bytes of data, found {found}; it was cut short")
            }
            Fault::ArrayLength { expected, .. } => {
                write!(f, "its head promises {expected} bytes of data, found more")
            }
            Fault::ArrayTooLarge { sizes } => {
                write!(f, "its head promises {} elements, which no machine can hold", times(sizes))
            }
            Fault::ArrayShape { expected, found } => write!(
                f,
                "expected examples of {} elements ({}), found {} ({})",
                expected.iter().product::<usize>(),
                times(expected),
                found.iter().product::<usize>(),
                times(found)
            ),
            Fault::NpyHead { reason } => write!(f, "the head of this npy file makes no sense: {reason}"),
            Fault::NpyElement { descr, what } => write!(
                f,
                "its elements, `{descr}`, are {what}; save them as numbers, as in `np.save(file, \
                 x.astype(\"float32\"))`"
            ),
            Fault::IsNpz => write!(
                f,
                "this is an npz file, which holds several arrays: write `npz(\"file.npz\", x: array(\"name\"))`"
            ),
            Fault::NpzDamaged { reason } => write!(f, "this is no npz file, or it is damaged: {reason}"),
            Fault::NoArray { wanted, found } => {
                write!(f, "there is no array `{wanted}` in it; there is {}", found.join(", "))
            }
            Fault::InArray { name, fault } => write!(f, "array `{name}`: {fault}"),
            Fault::NotExact { found } => {
                write!(f, "{found} is beyond 2^53, up to which whole numbers are read exactly")
            }
            Fault::ParquetDamaged { reason } => {
                write!(f, "this is no parquet file, or it is damaged: {reason}")
            }
            Fault::NotJson { reason } => write!(f, "{reason}"),
            Fault::NotAFolder => write!(f, "expected a folder of pictures, found something else"),
            Fault::NoPictures => {
                write!(
                    f,
                    "there is no picture in this folder: no file whose name ends in .jpg, .jpeg or .png"
                )
            }
            Fault::NoClass => write!(
                f,
                "this picture lies in no class: with `label: folder`, each class is a folder of its own"
            ),
            Fault::NotAPicture { found } if found.is_empty() => write!(f, "this file is empty"),
            Fault::NotAPicture { found } => write!(
                f,
                "expected a JPEG or PNG picture, which begins with 255, 216 or 137, 80, 78, 71; found {}",
                list(found)
            ),
            Fault::PictureDamaged { reason } => write!(f, "this picture is damaged: {reason}"),
            Fault::PictureTooSmall { wanted: [height, width], found: [high, wide] } => write!(
                f,
                "this picture is {high} × {wide} (height × width), too small for a piece of {height} × {width}; \
                 put `resize({})` before it",
                height.max(width)
            ),
            Fault::PictureSize { expected, found } => write!(
                f,
                "expected a picture of {} (height × width × channels), found {}; `resize` and `crop` change sizes",
                times(expected),
                times(found)
            ),
            Fault::Empty => write!(f, "there is not a single example in it"),
            Fault::RowLength { expected, found } => {
                write!(f, "expected {} as in the first row, found {found}", count(*expected, "cell"))
            }
            Fault::NoColumn { column, columns } => {
                write!(f, "there is no column {column}: it has {}, counted from 0", count(*columns, "column"))
            }
            Fault::FieldShape { columns, shape } => {
                write!(f, "{} do not make a tensor of shape [{}]", count(*columns, "column"), list(shape))
            }
            Fault::NotANumber { found } if found.is_empty() => {
                write!(f, "expected a number, found an empty cell")
            }
            Fault::NotANumber { found } => write!(f, "expected a number, found `{found}`"),
            Fault::NotFinite { found } => write!(f, "expected a finite number, found `{found}`"),
            Fault::NotALabel { classes, found } => {
                let last = classes.saturating_sub(1);
                write!(f, "expected a label, a whole number from 0 to {last}, found {found}")
            }
            Fault::NoFit { dtype, found } => write!(f, "{found} cannot be held as {dtype}"),
            Fault::NotUtf8 { found } => {
                write!(f, "expected a text in UTF-8, found the byte {found:#04x} where no character begins")
            }
            Fault::NoCell { column, columns } => write!(
                f,
                "there is no column {column}: this line has {}, counted from 0 and separated by tabs",
                count(*columns, "cell")
            ),
            Fault::Steps { numbers, step } => {
                write!(f, "{} cannot be cut into steps of {step}", count(*numbers, "number"))
            }
            Fault::TooShort { expected, found } => {
                write!(f, "expected at least {expected} steps, which one window has, found {found}")
            }
            Fault::TooLong { examples, field, length, longest } => write!(
                f,
                "{} {} into no bucket: `{field}` has {length} steps, and the last bucket has room for \
                 {longest}; give a longer bucket, or say `longer: skip` or `longer: cut`",
                count(*examples, "example"),
                if *examples == 1 { "fits" } else { "fit" }
            ),
            Fault::Buckets { reason } => write!(f, "{reason}"),
            Fault::NoSequence { field } => {
                write!(f, "`{field}` is no sequence: all its examples are equally long")
            }
            Fault::NotWeights { reason } => write!(f, "cannot be read as safetensors: {reason}"),
            Fault::NotATokenizer { reason } => write!(f, "this is no tokenizer: {reason}"),
            Fault::NotBuilt { feature } => write!(
                f,
                "this program was built without what reads it: build it with `--features {feature}`"
            ),
            Fault::Lengths { first, first_examples, second, second_examples } => {
                let (a, b) = (count(*first_examples, "example"), count(*second_examples, "example"));
                write!(f, "`{first}` has {a}, `{second}` has {b}")
            }
            Fault::SplitBound { bound, examples } => {
                write!(f, "cannot split at {bound}: there are only {}", count(*examples, "example"))
            }
            Fault::SplitOrder { bounds } => {
                write!(f, "expected the bounds of a split to ascend from 1, found {}", list(bounds))
            }
            Fault::SplitPart { part, parts } => {
                write!(f, "there is no part {part}, the split makes {parts} (counted from 0)")
            }
            Fault::TooManyRepetitions { times, most } => {
                write!(f, "{times} repetitions make an epoch of more than {most} examples")
            }
            Fault::NoneLeft => write!(f, "no example is left"),
            Fault::Zero { what } => write!(f, "expected {what} of at least 1, found 0"),
            Fault::Stages { reason } => write!(f, "{reason}"),
            Fault::Cursor { position, examples } => write!(
                f,
                "cannot go on after {} of an epoch that has {examples}: this is other data",
                count(*position as usize, "example")
            ),
            Fault::Broken { message } => write!(f, "the thread that prepares batches failed: {message}"),
        }
    }
}

fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

fn list<T: fmt::Display>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

fn times(sizes: &[usize]) -> String {
    if sizes.is_empty() {
        return "a single number".to_string();
    }
    sizes.iter().map(usize::to_string).collect::<Vec<_>>().join(" × ")
}
