//! Parameters and state on disk: safetensors files that other tools read, with what is needed to go on.
//!
//! In: named tensors and a [`Meta`]. Out: a file, whole or not there at all. Promise: what is loaded is bit
//! for bit what was saved, or it is an error; a save that fails or is killed damages nothing saved before.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use serde::{Deserialize, Serialize};

use crate::queue::Cursor;
use crate::{DType, Tensor, files};

/// Names our files among all safetensors files.
const FORMAT: &str = "strata checkpoint";
/// The version that is written; none above it is read.
const VERSION: u64 = 1;
/// Headers beyond this are refused by other readers of the format too.
const LARGEST_HEADER: u64 = 100_000_000;

const _: () = assert!(cfg!(target_endian = "little"), "safetensors files hold little-endian numbers");

/// What a run needs besides its tensors to go on where it was.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Meta {
    /// Steps that were taken.
    pub step: u64,
    /// Where the training data stands.
    pub cursor: Cursor,
    /// The run's seed.
    pub seed: u64,
    /// Stands for the model that was trained; another model has another one.
    pub fingerprint: String,
    /// Whatever else is worth keeping.
    #[serde(default)]
    pub extra: BTreeMap<String, String>,
}

/// How a [`Meta`] stands in the file.
#[derive(Serialize, Deserialize)]
struct Stored<M> {
    format: String,
    version: u64,
    #[serde(flatten)]
    meta: M,
}

/// Why a file cannot be loaded or saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    pub fault: CheckpointFault,
}

/// What is wrong with a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckpointFault {
    /// There is no such file.
    Missing,
    /// The system refused or failed, or it is no file.
    Unreadable { reason: String },
    /// It holds fewer bytes than it says.
    Truncated { expected: u64, found: u64 },
    /// What it holds contradicts itself.
    Corrupt { reason: String },
    /// A safetensors file, but not written as a checkpoint by us.
    Foreign,
    /// Written by a newer program.
    Newer { version: u64, known: u64 },
    /// Elements of a type that we do not have.
    Dtype { tensor: String, dtype: String },
    /// It could not be saved; what was saved before is as it was.
    Unwritable { reason: String },
}

/// What a model expects of one tensor: its name, dtype and shape.
pub type Expected = (String, DType, Vec<usize>);

/// How what was found differs from what a model expects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mismatch {
    /// Expected and not found.
    pub missing: Vec<String>,
    /// Found and not expected.
    pub left_over: Vec<String>,
    /// Found with another dtype or shape.
    pub misshapen: Vec<Misshapen>,
}

/// A tensor of another dtype or shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misshapen {
    /// Its name.
    pub name: String,
    /// What the model has.
    pub expected: (DType, Vec<usize>),
    /// What the file has.
    pub found: (DType, Vec<usize>),
}

/// Saves tensors, in their order (but wider elements first), and `meta`.
///
/// # Errors
/// A folder that cannot be written to, a full disk, two tensors of the same name. What `path` held before
/// is then still there.
pub fn save(path: &Path, tensors: &[(String, &Tensor)], meta: &Meta) -> Result<(), CheckpointError> {
    let fail = |reason: String| fault(path, CheckpointFault::Unwritable { reason });
    let file = Layout::new(tensors, meta).map_err(fail)?;
    files::replace(path, |to| file.write(to)).map_err(|error| fail(error.to_string()))
}

/// Loads a file that [`save`] wrote: tensors in the order of the file.
///
/// # Errors
/// A file that is missing, unreadable, damaged, not ours or too new.
pub fn load(path: &Path) -> Result<(Vec<(String, Tensor)>, Meta), CheckpointError> {
    let (tensors, metadata) = read(path)?;
    let meta = saved(path, &tensors, metadata.as_ref())?;
    meta.map(|meta| (tensors, meta)).ok_or_else(|| fault(path, CheckpointFault::Foreign))
}

/// Loads the tensors of any safetensors file, in the order of the file.
///
/// # Errors
/// A file that is missing, unreadable or damaged, or a tensor of a dtype that we do not have; one of ours that is too new.
pub fn load_tensors(path: &Path) -> Result<Vec<(String, Tensor)>, CheckpointError> {
    let (tensors, metadata) = read(path)?;
    saved(path, &tensors, metadata.as_ref())?;
    Ok(tensors)
}

/// What [`save`] wrote beside the tensors, which are then those that it wrote; `None` where the file is not ours.
fn saved(
    path: &Path,
    tensors: &[(String, Tensor)],
    metadata: Option<&HashMap<String, String>>,
) -> Result<Option<Meta>, CheckpointError> {
    let Some(text) = metadata.and_then(|entries| entries.get("strata")) else { return Ok(None) };
    let corrupt = |reason: &str| fault(path, CheckpointFault::Corrupt { reason: reason.to_string() });
    let version: Stored<serde::de::IgnoredAny> =
        serde_json::from_str(text).map_err(|error| corrupt(&error.to_string()))?;
    if version.format != FORMAT {
        return Ok(None);
    }
    if version.version > VERSION {
        return Err(fault(path, CheckpointFault::Newer { version: version.version, known: VERSION }));
    }
    let sum = metadata.and_then(|entries| entries.get("checksum"));
    let borrowed = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor));
    if sum.map(String::as_str) != Some(checksum(text, borrowed).as_str()) {
        return Err(corrupt("its bytes do not give the checksum it was saved with"));
    }
    let stored: Stored<Meta> = serde_json::from_str(text).map_err(|error| corrupt(&error.to_string()))?;
    Ok(Some(stored.meta))
}

/// What is in a safetensors file, by its header alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightFacts {
    /// Names, dtypes and shapes, in the order of the file.
    pub tensors: Vec<Expected>,
    /// Whether a training run of ours wrote it.
    pub ours: bool,
}

/// Reads names and shapes of any safetensors file.
///
/// # Errors
/// As [`load_tensors`].
pub fn inspect(path: &Path) -> Result<WeightFacts, CheckpointError> {
    let header = Header::read(path)?;
    let one = |(name, info): (String, &TensorInfo)| {
        let dtype = dtype_of(path, &name, info)?;
        Ok((name, dtype, info.shape.clone()))
    };
    let tensors = in_order(&header.metadata).into_iter().map(one);
    let tensors = tensors.collect::<Result<_, CheckpointError>>()?;
    let ours = header.metadata.metadata().as_ref().is_some_and(|entries| entries.contains_key("strata"));
    Ok(WeightFacts { tensors, ours })
}

/// What differs between what a model expects and what a file held.
pub fn compare(expected: &[Expected], found: &[(String, Tensor)]) -> Mismatch {
    let by_name: HashMap<&str, &Tensor> =
        found.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    let wanted: HashMap<&str, ()> = expected.iter().map(|(name, ..)| (name.as_str(), ())).collect();
    let mut mismatch = Mismatch::default();
    for (name, dtype, shape) in expected {
        match by_name.get(name.as_str()) {
            None => mismatch.missing.push(name.clone()),
            Some(tensor) if tensor.dtype() == *dtype && tensor.shape() == shape => {}
            Some(tensor) => mismatch.misshapen.push(Misshapen {
                name: name.clone(),
                expected: (*dtype, shape.clone()),
                found: (tensor.dtype(), tensor.shape().to_vec()),
            }),
        }
    }
    let left = found.iter().map(|(name, _)| name).filter(|name| !wanted.contains_key(name.as_str()));
    mismatch.left_over = left.cloned().collect();
    mismatch
}

impl Mismatch {
    /// Whether everything fits.
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.left_over.is_empty() && self.misshapen.is_empty()
    }
}

/// A file as it will be written.
struct Layout<'a> {
    header: Vec<u8>,
    tensors: Vec<(&'a str, &'a Tensor)>,
}

impl<'a> Layout<'a> {
    fn new(tensors: &'a [(String, &'a Tensor)], meta: &Meta) -> Result<Layout<'a>, String> {
        let mut tensors: Vec<(&str, &Tensor)> = tensors.iter().map(|(name, t)| (name.as_str(), *t)).collect();
        // Keeps every tensor aligned in the file, and is what other writers do.
        tensors.sort_by_key(|(_, tensor)| std::cmp::Reverse(tensor.dtype().bytes()));
        let mut seen: Vec<&str> = tensors.iter().map(|(name, _)| *name).collect();
        seen.sort_unstable();
        if let Some(twice) = seen.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(format!("two tensors are called `{}`", twice[0]));
        }
        let mut end = 0;
        let infos = tensors.iter().map(|(name, tensor)| {
            let start = end;
            end += tensor.bytes().len();
            let shape = tensor.shape().to_vec();
            let info = TensorInfo { dtype: stored_as(tensor.dtype()), shape, data_offsets: (start, end) };
            ((*name).to_string(), info)
        });
        let infos = infos.collect();
        let stored = Stored { format: FORMAT.to_string(), version: VERSION, meta };
        let text = serde_json::to_string(&stored).map_err(|error| error.to_string())?;
        let sum = checksum(&text, tensors.iter().copied());
        let entries = HashMap::from([("strata".to_string(), text), ("checksum".to_string(), sum)]);
        let metadata = Metadata::new(Some(entries), infos).map_err(|error| error.to_string())?;
        let mut header = serde_json::to_vec(&metadata).map_err(|error| error.to_string())?;
        header.resize(header.len().next_multiple_of(8), b' ');
        Ok(Layout { header, tensors })
    }

    fn write(&self, to: &mut dyn Write) -> io::Result<()> {
        to.write_all(&(self.header.len() as u64).to_le_bytes())?;
        to.write_all(&self.header)?;
        self.tensors.iter().try_for_each(|(_, tensor)| to.write_all(tensor.bytes()))
    }
}

/// Covers what a change of would be a change of meaning: the meta, and names, dtypes, shapes and elements.
fn checksum<'a>(meta: &str, tensors: impl Iterator<Item = (&'a str, &'a Tensor)>) -> String {
    let mut sum = crc32c::crc32c(meta.as_bytes());
    for (name, tensor) in tensors {
        let kind = format!("{name}\n{}\n{:?}\n", tensor.dtype(), tensor.shape());
        sum = crc32c::crc32c_append(sum, kind.as_bytes());
        sum = crc32c::crc32c_append(sum, tensor.bytes());
    }
    format!("{sum:08x}")
}

/// Tensors and the text entries of a file.
type Contents = (Vec<(String, Tensor)>, Option<HashMap<String, String>>);

fn read(path: &Path) -> Result<Contents, CheckpointError> {
    let mut header = Header::read(path)?;
    let mut tensors = Vec::new();
    for (name, info) in in_order(&header.metadata) {
        let mut tensor = Tensor::zeros(dtype_of(path, &name, info)?, &info.shape);
        header.file.read_exact(tensor.bytes_mut()).map_err(|error| failed(path, &error))?;
        tensors.push((name, tensor));
    }
    Ok((tensors, header.metadata.metadata().clone()))
}

/// A file whose header was read, and stands there as it says.
struct Header {
    metadata: Metadata,
    /// Where the first tensor begins.
    file: BufReader<File>,
}

impl Header {
    fn read(path: &Path) -> Result<Header, CheckpointError> {
        let fail = |error: io::Error| failed(path, &error);
        let known = fs::metadata(path).map_err(fail)?;
        if !known.is_file() {
            return Err(fail(io::Error::other("expected a file, found a folder or a device")));
        }
        let found = known.len();
        let mut file = BufReader::with_capacity(1 << 16, File::open(path).map_err(fail)?);
        let truncated = |expected| fault(path, CheckpointFault::Truncated { expected, found });
        let corrupt = |reason: String| fault(path, CheckpointFault::Corrupt { reason });
        if found < 8 {
            return Err(truncated(8));
        }
        let mut length = [0; 8];
        file.read_exact(&mut length).map_err(fail)?;
        let length = u64::from_le_bytes(length);
        if length > LARGEST_HEADER {
            return Err(corrupt("it does not begin as a safetensors file does".to_string()));
        }
        if found < 8 + length {
            return Err(truncated(8 + length));
        }
        let mut header = vec![0; length as usize];
        file.read_exact(&mut header).map_err(fail)?;
        let metadata: Metadata =
            serde_json::from_slice(&header).map_err(|error| corrupt(error.to_string()))?;
        let expected = 8 + length + metadata.data_len() as u64;
        if found < expected {
            return Err(truncated(expected));
        }
        if found > expected {
            return Err(corrupt(format!("it says it has {expected} bytes, found {found}")));
        }
        Ok(Header { metadata, file })
    }
}

/// The tensors in the order of the file.
fn in_order(metadata: &Metadata) -> Vec<(String, &TensorInfo)> {
    let mut infos: Vec<(String, &TensorInfo)> = metadata.tensors().into_iter().collect();
    infos.sort_by(|(a, x), (b, y)| (x.data_offsets, a).cmp(&(y.data_offsets, b)));
    infos
}

fn dtype_of(path: &Path, name: &str, info: &TensorInfo) -> Result<DType, CheckpointError> {
    held_as(info.dtype).ok_or_else(|| {
        let (tensor, dtype) = (name.to_string(), info.dtype.to_string());
        fault(path, CheckpointFault::Dtype { tensor, dtype })
    })
}

fn failed(path: &Path, error: &io::Error) -> CheckpointError {
    let reason = error.to_string();
    let missing = error.kind() == io::ErrorKind::NotFound;
    fault(path, if missing { CheckpointFault::Missing } else { CheckpointFault::Unreadable { reason } })
}

fn fault(path: &Path, fault: CheckpointFault) -> CheckpointError {
    CheckpointError { path: path.to_path_buf(), fault }
}

fn stored_as(dtype: DType) -> Dtype {
    match dtype {
        DType::F32 => Dtype::F32,
        DType::F64 => Dtype::F64,
        DType::Bf16 => Dtype::BF16,
        DType::F16 => Dtype::F16,
        DType::I32 => Dtype::I32,
        DType::I64 => Dtype::I64,
        DType::U8 => Dtype::U8,
        DType::Bool => Dtype::BOOL,
    }
}

fn held_as(dtype: Dtype) -> Option<DType> {
    DType::ALL.into_iter().find(|ours| stored_as(*ours) == dtype)
}

impl std::error::Error for CheckpointError {}

impl fmt::Display for CheckpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.fault)
    }
}

impl fmt::Display for CheckpointFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CheckpointFault::Missing => write!(f, "no such file"),
            CheckpointFault::Unreadable { reason } => write!(f, "cannot be read: {reason}"),
            CheckpointFault::Truncated { expected, found } => {
                write!(f, "expected at least {expected} bytes, found {found}; it was cut short")
            }
            CheckpointFault::Corrupt { reason } => write!(f, "it is damaged: {reason}"),
            CheckpointFault::Foreign => write!(f, "a safetensors file, but not one saved by a training run"),
            CheckpointFault::Newer { version, known } => write!(
                f,
                "saved in version {version} of the format by a newer program; this one knows versions up to \
                 {known}"
            ),
            CheckpointFault::Dtype { tensor, dtype } => {
                write!(f, "`{tensor}` has elements of type {dtype}, which is not supported")
            }
            CheckpointFault::Unwritable { reason } => write!(f, "cannot be saved: {reason}"),
        }
    }
}

/// One line for each difference, the same kind together.
impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let missing = self.missing.iter().map(|name| format!("missing: {name}"));
        let left_over = self.left_over.iter().map(|name| format!("left over: {name}"));
        let misshapen = self.misshapen.iter().map(|Misshapen { name, expected, found }| {
            format!(
                "misshapen: {name}, expected {}{:?}, found {}{:?}",
                expected.0, expected.1, found.0, found.1
            )
        });
        let lines: Vec<String> = missing.chain(left_over).chain(misshapen).collect();
        f.write_str(&lines.join("\n"))
    }
}

#[cfg(test)]
mod tests;
