//! npz files: zip archives whose members are npy files, named after their arrays.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use zip::ZipArchive;
use zip::result::ZipError;

use super::arrays::Trouble;
use super::error::{DataError, Fault};
use super::open::find;
use super::recipe::Origin;

/// What every zip archive that holds something begins with.
pub const MAGIC: [u8; 4] = *b"PK\x03\x04";

/// The most that deflate packs into a byte.
const PACKED: u64 = 1032;

/// What was read of each array, by its name, in the order of the archive.
type Each<T> = Vec<(String, Result<T, Fault>)>;

/// Reads something of each array. What is wrong with one of them stands in its place.
pub fn each<T>(
    path: &Path,
    origin: Origin,
    mut read: impl FnMut(&mut dyn Read, usize) -> Result<T, Trouble>,
) -> Result<Each<T>, DataError> {
    let (_, mut archive) = open(path, origin)?;
    let names = array_names(&archive);
    let read_one = |(at, name)| (name, read_member(&mut archive, at, &mut read));
    Ok(names.into_iter().enumerate().map(read_one).collect())
}

/// Reads the array called `name`.
pub fn member<T>(
    path: &Path,
    name: &str,
    origin: Origin,
    mut read: impl FnMut(&mut dyn Read, usize) -> Result<T, Trouble>,
) -> Result<(PathBuf, T), DataError> {
    let (path, mut archive) = open(path, origin)?;
    let names = array_names(&archive);
    let Some(at) = names.iter().position(|found| found == name) else {
        let fault = Fault::NoArray { wanted: name.to_string(), found: names };
        return Err(DataError::in_file(origin, &path, fault));
    };
    let found = read_member(&mut archive, at, &mut read);
    found.map(|found| (path.clone(), found)).map_err(|fault| {
        let fault = Fault::InArray { name: name.to_string(), fault: Box::new(fault) };
        DataError::in_file(origin, &path, fault)
    })
}

/// The names of all members, in order; one that is no text is empty.
fn array_names(archive: &ZipArchive<BufReader<File>>) -> Vec<String> {
    let name = |at: usize| {
        let name = archive.name_for_index(at)?.ok()?;
        Some(name.strip_suffix(".npy").unwrap_or(&name).to_string())
    };
    (0..archive.len()).map(|at| name(at).unwrap_or_default()).collect()
}

fn read_member<T>(
    archive: &mut ZipArchive<BufReader<File>>,
    at: usize,
    read: &mut impl FnMut(&mut dyn Read, usize) -> Result<T, Trouble>,
) -> Result<T, Fault> {
    let mut file = archive.by_index(at).map_err(|error| zip_fault(&error))?;
    let most = file.compressed_size().saturating_mul(PACKED).min(file.size()) as usize;
    let found = read(&mut file, most).map_err(|trouble| match trouble {
        Trouble::Fault(fault) => fault,
        Trouble::Io(error) => zip_fault(&ZipError::Io(error)),
    })?;
    Ok(found)
}

fn open(path: &Path, origin: Origin) -> Result<(PathBuf, ZipArchive<BufReader<File>>), DataError> {
    let (path, _) = find(path, origin)?;
    let fail = |fault| DataError::in_file(origin, &path, fault);
    let file = File::open(&path).map_err(|error| fail(Fault::Unreadable { reason: error.to_string() }))?;
    let archive = ZipArchive::new(BufReader::new(file)).map_err(|error| fail(zip_fault(&error)))?;
    Ok((path, archive))
}

fn zip_fault(error: &ZipError) -> Fault {
    if let ZipError::Io(error) = error
        && error.kind() == io::ErrorKind::UnexpectedEof
    {
        return Fault::NpzDamaged { reason: "it ends too early; it was cut short".to_string() };
    }
    Fault::NpzDamaged { reason: error.to_string() }
}
