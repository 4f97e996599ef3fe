//! Reads idx files: a header with element type and sizes, then big-endian elements, the last axis
//! varying fastest.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::convert::Conversion;
use super::dataset::{Column, Dataset, Store};
use super::error::{DataError, Fault, Place};
use super::facts::{Element, IdxFacts, Range};
use super::open::{Opened, open};
use super::recipe::{IdxField, Origin};

/// Reads every field's file.
///
/// # Errors
/// Whatever is wrong with the files, at the first place where it is; files of different lengths.
pub fn load(fields: &[IdxField]) -> Result<Dataset, DataError> {
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
    Ok(Dataset { examples, columns })
}

/// Reads the header, and the numbers of a file with one axis.
///
/// # Errors
/// A file that cannot be read or whose header makes no sense.
pub fn inspect(path: &Path, origin: Origin) -> Result<IdxFacts, DataError> {
    let mut file = read_header(path, origin)?;
    let mut range = None;
    if file.sizes.len() == 1 {
        let bytes = read_elements(&mut file, origin)?;
        for raw in bytes.chunks_exact(file.element.bytes()) {
            range = Some(Range::with(range, decode(file.element, raw)));
        }
    }
    Ok(IdxFacts { element: file.element, sizes: file.sizes, range })
}

/// An idx file read up to its first element.
struct Idx {
    opened: Opened,
    element: Element,
    sizes: Vec<usize>,
    /// Bytes of all elements.
    bytes: usize,
}

fn load_field(field: &IdxField) -> Result<(usize, Column), DataError> {
    let mut file = read_header(&field.path, field.origin)?;
    let shape = &file.sizes[1..];
    if shape.iter().product::<usize>() != field.shape.iter().product::<usize>() {
        let fault = Fault::IdxShape { expected: field.shape.clone(), found: shape.to_vec() };
        return Err(DataError::in_file(field.origin, &file.opened.path, fault));
    }
    let examples = file.sizes[0];
    if examples == 0 {
        return Err(DataError::in_file(field.origin, &file.opened.path, Fault::Empty));
    }
    let raw = read_elements(&mut file, field.origin)?;
    let column = Column {
        name: field.name.as_str().into(),
        shape: field.shape.clone(),
        dtype: field.dtype,
        store: convert(field, &file, raw)?,
    };
    Ok((examples, column))
}

fn read_header(path: &Path, origin: Origin) -> Result<Idx, DataError> {
    let mut opened = open(path, origin)?;
    let mut magic = Vec::new();
    take(&mut opened, 4, &mut magic)?;
    if magic.is_empty() {
        return Err(DataError::in_file(origin, &opened.path, Fault::Empty));
    }
    let (element, axes) = match *magic.as_slice() {
        [0, 0, code, axes @ 1..=255] => (Element::from_code(code), usize::from(axes)),
        _ => (None, 0),
    };
    let Some(element) = element else {
        return Err(DataError::in_file(origin, &opened.path, Fault::NotIdx { found: magic }));
    };
    let mut header = Vec::new();
    take(&mut opened, 4 * axes, &mut header)?;
    if header.len() < 4 * axes {
        let fault = Fault::IdxLength { expected: 4 * axes as u64, found: header.len() as u64 };
        return Err(DataError::in_file(origin, &opened.path, fault));
    }
    let sizes: Vec<usize> =
        header.as_chunks().0.iter().map(|size: &[u8; 4]| u32::from_be_bytes(*size) as usize).collect();
    let bytes = sizes
        .iter()
        .try_fold(element.bytes(), |product, size| product.checked_mul(*size))
        .filter(|bytes| *bytes <= isize::MAX as usize);
    let Some(bytes) = bytes else {
        return Err(DataError::in_file(origin, &opened.path, Fault::IdxTooLarge { sizes }));
    };
    Ok(Idx { opened, element, sizes, bytes })
}

/// Reads exactly the elements that the header promises.
fn read_elements(file: &mut Idx, origin: Origin) -> Result<Vec<u8>, DataError> {
    // Gzip packs at most 1032 to 1: room for more is never needed, whatever the header promises.
    let most = if file.opened.gzip { 1032 } else { 1 } * file.opened.stored as usize;
    let mut raw = Vec::with_capacity(file.bytes.min(most) + 1);
    take(&mut file.opened, file.bytes + 1, &mut raw)?;
    if raw.len() != file.bytes {
        let fault = Fault::IdxLength { expected: file.bytes as u64, found: raw.len() as u64 };
        return Err(DataError::in_file(origin, &file.opened.path, fault));
    }
    Ok(raw)
}

/// Appends up to `bytes` bytes of the file; fewer if it ends.
fn take(opened: &mut Opened, bytes: usize, to: &mut Vec<u8>) -> Result<(), DataError> {
    let read: io::Result<usize> = opened.reader.by_ref().take(bytes as u64).read_to_end(to);
    read.map(drop).map_err(|error| opened.error(&error))
}

/// Keeps bytes as they are, with a table of what each becomes (a quarter of the memory of f32 for an
/// image); converts everything else at once.
fn convert(field: &IdxField, file: &Idx, raw: Vec<u8>) -> Result<Store, DataError> {
    let conversion = Conversion { arithmetic: &field.arithmetic, dtype: field.dtype, classes: field.classes };
    let elements_per_example = field.shape.iter().product::<usize>().max(1);
    let fail = |position: usize, fault: Fault| DataError {
        origin: field.origin,
        place: place(&file.opened.path, position / elements_per_example),
        fault,
    };
    if file.element == Element::U8 {
        let mut table = Vec::new();
        for byte in 0..=u8::MAX {
            let before = table.len();
            if let Err(fault) = conversion.append(f64::from(byte), &mut table) {
                // Wrong only if the file has such a byte.
                if let Some(position) = raw.iter().position(|found| *found == byte) {
                    return Err(fail(position, fault));
                }
                table.resize(before + field.dtype.bytes(), 0);
            }
        }
        return Ok(Store::Coded { raw, table });
    }
    let width = file.element.bytes();
    let mut bytes = Vec::with_capacity(raw.len() / width * field.dtype.bytes());
    for (position, element) in raw.chunks_exact(width).enumerate() {
        let value = decode(file.element, element);
        let fits = if value.is_finite() {
            conversion.append(value, &mut bytes)
        } else {
            Err(Fault::NotFinite { found: value.to_string() })
        };
        fits.map_err(|fault| fail(position, fault))?;
    }
    Ok(Store::Ready(bytes))
}

fn place(file: &Path, example: usize) -> Box<Place> {
    Box::new(Place { file: Some(PathBuf::from(file)), example: Some(example), ..Place::default() })
}

/// The number that `raw`, as long as one element, stands for.
fn decode(element: Element, raw: &[u8]) -> f64 {
    fn array<const N: usize>(raw: &[u8]) -> [u8; N] {
        raw.try_into().expect("files are cut into pieces as long as an element")
    }
    match element {
        Element::U8 => f64::from(raw[0]),
        Element::I8 => f64::from(raw[0] as i8),
        Element::I16 => f64::from(i16::from_be_bytes(array(raw))),
        Element::I32 => f64::from(i32::from_be_bytes(array(raw))),
        Element::F32 => f64::from(f32::from_be_bytes(array(raw))),
        Element::F64 => f64::from_be_bytes(array(raw)),
    }
}
