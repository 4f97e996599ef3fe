//! Reads arrays: idx files, npy files and the members of npz files, told apart by what they begin with. The first
//! axis counts examples.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::convert::{Conversion, exact};
use super::dataset::{Column, Dataset, Store};
use super::error::{DataError, Fault, Place};
use super::facts::{ArrayFacts, Element, NpzFacts, Range};
use super::open::open;
use super::recipe::{ArrayField, Origin};
use super::{idx, npy, npz};

/// What an array's head says.
pub struct Head {
    pub element: Element,
    /// Whether an element's first byte is its largest.
    pub big: bool,
    /// Whether the first axis varies fastest; else the last does.
    pub fortran: bool,
    pub sizes: Vec<usize>,
    /// Bytes of all elements.
    bytes: usize,
}

/// What stops a read: the system, or what was read.
pub enum Trouble {
    Io(io::Error),
    Fault(Fault),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Trouble {
        Trouble::Io(error)
    }
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Trouble {
        Trouble::Fault(fault)
    }
}

impl Head {
    /// # Errors
    /// More elements than a machine can address.
    pub fn new(element: Element, big: bool, fortran: bool, sizes: Vec<usize>) -> Result<Head, Trouble> {
        let bytes = sizes
            .iter()
            .try_fold(element.bytes(), |product, size| product.checked_mul(*size))
            .filter(|bytes| *bytes <= isize::MAX as usize);
        match bytes {
            Some(bytes) => Ok(Head { element, big, fortran, sizes, bytes }),
            None => Err(Fault::ArrayTooLarge { sizes }.into()),
        }
    }

    /// Reads the head of whatever array begins here.
    pub fn read(reader: &mut dyn Read) -> Result<Head, Trouble> {
        let magic = read_most(reader, 4)?;
        if magic.is_empty() {
            return Err(Fault::Empty.into());
        }
        match <[u8; 4]>::try_from(magic.as_slice()) {
            Ok(npy::MAGIC) => npy::head(reader),
            Ok(magic) if magic[..2] == idx::MAGIC => idx::head(magic, reader),
            Ok(npz::MAGIC) => Err(Fault::IsNpz.into()),
            Ok(_) | Err(_) => Err(Fault::NotAnArray { found: magic }.into()),
        }
    }

    /// Reads exactly the elements that the head promises. The file holds `most` bytes at most.
    fn elements(&self, reader: &mut dyn Read, most: usize) -> Result<Vec<u8>, Trouble> {
        // Room for more than the file can hold is never needed, whatever the head promises.
        let mut raw = Vec::with_capacity(self.bytes.min(most) + 1);
        reader.take(self.bytes as u64 + 1).read_to_end(&mut raw)?;
        if raw.len() != self.bytes {
            return Err(Fault::ArrayLength { expected: self.bytes as u64, found: raw.len() as u64 }.into());
        }
        Ok(if self.fortran { self.in_order(&raw) } else { raw })
    }

    /// Elements whose first axis varies fastest, laid out with the last axis varying fastest.
    fn in_order(&self, raw: &[u8]) -> Vec<u8> {
        let width = self.element.bytes();
        let mut ordered = Vec::with_capacity(raw.len());
        let mut index = vec![0; self.sizes.len()];
        for _ in 0..raw.len() / width {
            let at = self.sizes.iter().zip(&index).rev().fold(0, |at, (size, index)| at * size + index);
            ordered.extend_from_slice(&raw[at * width..][..width]);
            for (index, size) in index.iter_mut().zip(&self.sizes).rev() {
                *index += 1;
                if *index < *size {
                    break;
                }
                *index = 0;
            }
        }
        ordered
    }

    /// What the checker wants to know; labels, which have one axis, are read to their end.
    fn facts(self, reader: &mut dyn Read, most: usize) -> Result<ArrayFacts, Trouble> {
        let mut range = None;
        if self.sizes.len() == 1 {
            for raw in self.elements(reader, most)?.chunks_exact(self.element.bytes()) {
                range = Some(Range::with(range, self.number(raw)?));
            }
        }
        Ok(ArrayFacts { element: self.element, sizes: self.sizes, range })
    }

    /// The number that `raw`, as long as one element, stands for.
    fn number(&self, raw: &[u8]) -> Result<f64, Fault> {
        /// As many bytes, the largest first.
        fn array<const N: usize>(raw: &[u8], big: bool) -> [u8; N] {
            let mut array: [u8; N] = raw.try_into().expect("files are cut into pieces as long as an element");
            if !big {
                array.reverse();
            }
            array
        }
        let big = self.big;
        Ok(match self.element {
            Element::Bool => f64::from(u8::from(raw[0] != 0)),
            Element::U8 => f64::from(raw[0]),
            Element::I8 => f64::from(raw[0] as i8),
            Element::U16 => f64::from(u16::from_be_bytes(array(raw, big))),
            Element::I16 => f64::from(i16::from_be_bytes(array(raw, big))),
            Element::U32 => f64::from(u32::from_be_bytes(array(raw, big))),
            Element::I32 => f64::from(i32::from_be_bytes(array(raw, big))),
            Element::U64 => exact(u64::from_be_bytes(array(raw, big)))?,
            Element::I64 => exact(i64::from_be_bytes(array(raw, big)))?,
            Element::F16 => half::f16::from_be_bytes(array(raw, big)).to_f64(),
            Element::F32 => f64::from(f32::from_be_bytes(array(raw, big))),
            Element::F64 => f64::from_be_bytes(array(raw, big)),
        })
    }
}

/// As many bytes as there are, up to `bytes`.
pub fn read_most(reader: &mut dyn Read, bytes: usize) -> io::Result<Vec<u8>> {
    let mut read = Vec::new();
    reader.take(bytes as u64).read_to_end(&mut read)?;
    Ok(read)
}

/// Reads every field's array.
///
/// # Errors
/// Whatever is wrong with the files, at the first place where it is; arrays of different lengths.
pub fn load(fields: &[ArrayField]) -> Result<Dataset, DataError> {
    let mut columns = Vec::with_capacity(fields.len());
    let mut examples = 0;
    for field in fields {
        let (found, column) = load_field(field)?;
        if columns.is_empty() {
            examples = found;
        } else if found != examples {
            let fault = Fault::Lengths {
                first: fields[0].name.clone(),
                first_examples: examples,
                second: field.name.clone(),
                second_examples: found,
            };
            return Err(DataError::in_file(field.origin, &field.path, fault));
        }
        columns.push(column);
    }
    Ok(Dataset::new(examples, columns))
}

/// Reads the head of an idx or npy file, and the numbers if it has one axis.
///
/// # Errors
/// A file that cannot be read or whose head makes no sense.
pub fn inspect(path: &Path, origin: Origin) -> Result<ArrayFacts, DataError> {
    with_file(path, origin, |reader, most| Head::read(reader)?.facts(reader, most)).map(|(_, facts)| facts)
}

/// Reads the heads of all arrays of an npz file, and the numbers of those that have one axis.
///
/// # Errors
/// A file that cannot be read or is no npz file. An array that cannot be read is told of in its place.
pub fn inspect_npz(path: &Path, origin: Origin) -> Result<NpzFacts, DataError> {
    let arrays = npz::each(path, origin, |reader, most| Head::read(reader)?.facts(reader, most))?;
    Ok(NpzFacts { arrays })
}

/// Opens a plain or packed file, and puts what goes wrong in reading it into words.
fn with_file<T>(
    path: &Path,
    origin: Origin,
    read: impl FnOnce(&mut dyn Read, usize) -> Result<T, Trouble>,
) -> Result<(PathBuf, T), DataError> {
    let mut opened = open(path, origin)?;
    // Gzip packs at most 1032 to 1.
    let most = if opened.gzip { 1032 } else { 1 } * opened.stored as usize;
    match read(&mut *opened.reader, most) {
        Ok(read) => Ok((opened.path, read)),
        Err(Trouble::Io(error)) => Err(opened.error(&error)),
        Err(Trouble::Fault(fault)) => Err(DataError::in_file(origin, &opened.path, fault)),
    }
}

fn load_field(field: &ArrayField) -> Result<(usize, Column), DataError> {
    let read = |reader: &mut dyn Read, most: usize| {
        let head = Head::read(reader)?;
        let [examples, shape @ ..] = head.sizes.as_slice() else {
            return Err(Fault::ArrayShape { expected: field.shape.clone(), found: Vec::new() }.into());
        };
        if shape.iter().product::<usize>() != field.shape.iter().product::<usize>() {
            return Err(Fault::ArrayShape { expected: field.shape.clone(), found: shape.to_vec() }.into());
        }
        if *examples == 0 {
            return Err(Fault::Empty.into());
        }
        let raw = head.elements(reader, most)?;
        Ok((head, raw))
    };
    let (path, (head, raw)) = match &field.member {
        None => with_file(&field.path, field.origin, read)?,
        Some(member) => npz::member(&field.path, member, field.origin, read)?,
    };
    let column = Column {
        name: field.name.as_str().into(),
        shape: field.shape.clone(),
        dtype: field.dtype,
        store: convert(field, &path, &head, raw)?,
    };
    Ok((head.sizes[0], column))
}

/// Keeps bytes as they are, with a table of what each becomes (a quarter of the memory of f32 for an
/// image); converts everything else at once.
fn convert(field: &ArrayField, file: &Path, head: &Head, raw: Vec<u8>) -> Result<Store, DataError> {
    let conversion = Conversion { arithmetic: &field.arithmetic, dtype: field.dtype, classes: field.classes };
    let elements_per_example = field.shape.iter().product::<usize>().max(1);
    let fail = |position: usize, fault: Fault| DataError {
        origin: field.origin,
        place: place(file, position / elements_per_example),
        fault,
    };
    if matches!(head.element, Element::U8 | Element::Bool) {
        let mut table = Vec::new();
        for byte in 0..=u8::MAX {
            let before = table.len();
            let number = if head.element == Element::Bool { byte.min(1) } else { byte };
            if let Err(fault) = conversion.append(f64::from(number), &mut table) {
                // Wrong only if the file has such a byte.
                if let Some(position) = raw.iter().position(|found| *found == byte) {
                    return Err(fail(position, fault));
                }
                table.resize(before + field.dtype.bytes(), 0);
            }
        }
        return Ok(Store::Coded { raw, table });
    }
    let width = head.element.bytes();
    let mut bytes = Vec::with_capacity(raw.len() / width * field.dtype.bytes());
    for (position, element) in raw.chunks_exact(width).enumerate() {
        let fits = head.number(element).and_then(|value| {
            if value.is_finite() {
                conversion.append(value, &mut bytes)
            } else {
                Err(Fault::NotFinite { found: value.to_string() })
            }
        });
        fits.map_err(|fault| fail(position, fault))?;
    }
    Ok(Store::Ready(bytes))
}

fn place(file: &Path, example: usize) -> Box<Place> {
    Box::new(Place { file: Some(PathBuf::from(file)), example: Some(example), ..Place::default() })
}
