//! Which pictures a folder holds: with classes, each folder in it is one, numbered from 0 by name.

use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::decode::looks_like;
use crate::queue::error::{DataError, Fault};
use crate::queue::facts::PictureFacts;
use crate::queue::recipe::Origin;

/// Pictures, and the folders that they lie in.
pub struct Folder {
    /// The folders' names, by number.
    pub classes: Vec<String>,
    /// Each picture with the number of its folder, folder by folder, by name within.
    pub pictures: Vec<(PathBuf, u32)>,
}

/// Lists a folder. Without `classes` its own pictures come first, and those in its folders follow; one picture by
/// itself will do then. Names that begin with a dot, and files whose names do not end as those of pictures do, are none.
///
/// # Errors
/// A folder that cannot be read; no pictures in it, or in one of its classes; pictures of no class.
pub fn list(path: &Path, classes: bool, origin: Origin) -> Result<Folder, DataError> {
    let fail = |path: &Path, fault| DataError::in_file(origin, path, fault);
    let about = about(path, origin)?;
    if about.is_file() && !classes {
        return Ok(Folder { classes: Vec::new(), pictures: vec![(path.to_path_buf(), 0)] });
    }
    if !about.is_dir() {
        return Err(fail(path, Fault::NotAFolder));
    }
    let (files, folders) = entries(path).map_err(|error| fail(path, unreadable(&error)))?;
    if let (true, Some(file)) = (classes, files.first()) {
        return Err(fail(file, Fault::NoClass));
    }
    let mut pictures: Vec<(PathBuf, u32)> = files.into_iter().map(|file| (file, 0)).collect();
    for (folder, class) in folders.iter().zip(0..) {
        let (files, _) = entries(folder).map_err(|error| fail(folder, unreadable(&error)))?;
        if files.is_empty() && classes {
            return Err(fail(folder, Fault::NoPictures));
        }
        pictures.extend(files.into_iter().map(|file| (file, class)));
    }
    if pictures.is_empty() {
        return Err(fail(path, Fault::NoPictures));
    }
    let name = |folder: &PathBuf| folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Folder { classes: folders.iter().map(name).collect(), pictures })
}

/// What the checker wants to know; no picture is opened.
///
/// # Errors
/// As [`list`].
pub fn inspect(path: &Path, classes: bool, origin: Origin) -> Result<PictureFacts, DataError> {
    let folder = list(path, classes, origin)?;
    Ok(PictureFacts { classes: folder.classes, pictures: folder.pictures.len() })
}

/// What tells whether a folder is still the same: when something came into it, or into a folder in it, or left.
///
/// # Errors
/// A folder that cannot be read.
pub fn stamps(path: &Path, origin: Origin) -> Result<Vec<(PathBuf, u64, Option<SystemTime>)>, DataError> {
    let stamp = |path: &Path, about: Metadata| (path.to_path_buf(), about.len(), about.modified().ok());
    let whole = about(path, origin)?;
    let mut stamps = Vec::new();
    if whole.is_dir() {
        let (_, folders) = entries(path).map_err(|e| DataError::in_file(origin, path, unreadable(&e)))?;
        for folder in &folders {
            stamps.push(stamp(folder, about(folder, origin)?));
        }
    }
    stamps.push(stamp(path, whole));
    Ok(stamps)
}

fn about(path: &Path, origin: Origin) -> Result<Metadata, DataError> {
    fs::metadata(path).map_err(|error| {
        let missing = error.kind() == io::ErrorKind::NotFound;
        let fault =
            if missing { Fault::Missing { tried: vec![path.to_path_buf()] } } else { unreadable(&error) };
        DataError::in_file(origin, path, fault)
    })
}

/// Pictures and folders in a folder, each by name.
fn entries(path: &Path) -> io::Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let (mut files, mut folders) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let path = entry.path();
        // Follows links; what a link leads to may be gone.
        if fs::metadata(&path).is_ok_and(|about| about.is_dir()) {
            folders.push(path);
        } else if looks_like(&path) {
            files.push(path);
        }
    }
    files.sort_unstable();
    folders.sort_unstable();
    Ok((files, folders))
}

fn unreadable(error: &io::Error) -> Fault {
    Fault::Unreadable { reason: error.to_string() }
}
