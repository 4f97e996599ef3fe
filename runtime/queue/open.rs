//! Opens data files, plain or gzip.

use std::fs::{self, File, Metadata};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use super::error::{DataError, Fault};
use super::recipe::Origin;

/// Two bytes that every gzip file begins with.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// An open file that unpacks itself where needed.
pub struct Opened {
    /// The path that was found: the one asked for, or the same with or without `.gz`.
    pub path: PathBuf,
    /// Bytes on disk.
    pub stored: u64,
    /// Whether it is packed.
    pub gzip: bool,
    /// The unpacked bytes.
    pub reader: Box<dyn Read>,
    origin: Origin,
}

/// Opens `path`, or where it is missing the same with `.gz` added or taken away.
///
/// # Errors
/// A file that is missing, cannot be read or is not a file; a name in `.gz` on something else.
pub fn open(path: &Path, origin: Origin) -> Result<Opened, DataError> {
    let (path, metadata) = find(path, origin)?;
    let fail = |error: io::Error| DataError::in_file(origin, &path, read_fault(&error));
    let mut file = File::open(&path).map_err(fail)?;
    let mut start = [0; 2];
    let known = read_up_to(&mut file, &mut start).map_err(fail)?;
    let gzip = start == GZIP;
    if !gzip && known > 0 && is_packed_name(&path) {
        let reason = "it does not begin as a gzip file does".to_string();
        return Err(DataError::in_file(origin, &path, Fault::GzipCorrupt { reason }));
    }
    let whole = BufReader::with_capacity(1 << 16, io::Cursor::new(start).take(known as u64).chain(file));
    let reader: Box<dyn Read> = if gzip { Box::new(MultiGzDecoder::new(whole)) } else { Box::new(whole) };
    Ok(Opened { path, stored: metadata.len(), gzip, reader, origin })
}

impl Opened {
    /// The error for a failed read of this file.
    pub fn error(&self, error: &io::Error) -> DataError {
        let is = |kinds: &[io::ErrorKind]| self.gzip && kinds.contains(&error.kind());
        let fault = if is(&[io::ErrorKind::UnexpectedEof]) {
            Fault::GzipTruncated
        } else if is(&[io::ErrorKind::InvalidInput, io::ErrorKind::InvalidData]) {
            Fault::GzipCorrupt { reason: error.to_string() }
        } else {
            read_fault(error)
        };
        DataError::in_file(self.origin, &self.path, fault)
    }
}

/// The file meant by `path`: itself, or the same with `.gz` added or taken away; `None` if there is neither.
pub fn locate(path: &Path) -> Option<PathBuf> {
    [path.to_path_buf(), other_name(path)].into_iter().find(|candidate| candidate.exists())
}

/// Finds the file meant by `path` and asks the system about it.
///
/// # Errors
/// As [`open`].
pub fn find(path: &Path, origin: Origin) -> Result<(PathBuf, Metadata), DataError> {
    let tried = [path.to_path_buf(), other_name(path)];
    for candidate in &tried {
        match fs::metadata(candidate) {
            // Opening a pipe would wait for its writer.
            Ok(metadata) if !metadata.is_file() => {
                return Err(DataError::in_file(origin, candidate, Fault::NotAFile));
            }
            Ok(metadata) => return Ok((candidate.clone(), metadata)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(DataError::in_file(origin, candidate, read_fault(&error))),
        }
    }
    Err(DataError::in_file(origin, path, Fault::Missing { tried: tried.to_vec() }))
}

fn is_packed_name(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "gz")
}

fn other_name(path: &Path) -> PathBuf {
    if is_packed_name(path) {
        return path.with_extension("");
    }
    let mut name = path.as_os_str().to_os_string();
    name.push(".gz");
    PathBuf::from(name)
}

fn read_fault(error: &io::Error) -> Fault {
    Fault::Unreadable { reason: error.to_string() }
}

/// Fills as much of `buffer` as there is to read, and says how much that was.
pub fn read_up_to(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
