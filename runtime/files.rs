//! Replaces a file so that at any moment either the old or the new one is whole.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

/// Ends the names of files that are being written.
const PART: &str = ".part";

/// Puts what `write` writes at `path`: written aside in the same folder, brought to the disk, then renamed.
/// A failure or a kill at any moment leaves the previous file as it was; what a kill leaves aside is cleared
/// away by the next call for the same path. A symbolic link is followed, and the file it leads to replaced.
///
/// # Errors
/// What the system or `write` says; also if `path` is there and not a regular file.
pub fn replace<E: From<io::Error>>(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<(), E>,
) -> Result<(), E> {
    let path = match fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => {
            return Err(io::Error::other("expected a file, found a folder or a device").into());
        }
        Ok(_) => fs::canonicalize(path)?,
        Err(_) => path.to_path_buf(),
    };
    let name = path.file_name().ok_or_else(|| io::Error::other("this path names no file"))?;
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    clear_aside(folder, name);
    let aside = folder.join(name_aside(name));
    let done = write_aside(&aside, write).and_then(|()| Ok(fs::rename(&aside, &path)?));
    if done.is_err() {
        // The first failure is the one to tell; there may be nothing to remove.
        let _ = fs::remove_file(&aside);
        return done;
    }
    Ok(settle(folder)?)
}

fn write_aside<E: From<io::Error>>(
    aside: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<(), E>,
) -> Result<(), E> {
    let file = OpenOptions::new().write(true).create_new(true).open(aside)?;
    // Says that its writer lives. Where files cannot be locked, leftovers are not cleared either.
    let _ = file.try_lock();
    let mut buffer = BufWriter::with_capacity(1 << 20, &file);
    write(&mut buffer)?;
    buffer.flush()?;
    drop(buffer);
    Ok(file.sync_all()?)
}

/// Brings the folder's list of names to the disk, so that a rename survives a loss of power.
fn settle(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

fn name_aside(name: &std::ffi::OsStr) -> OsString {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mut aside = beginning(name);
    aside.push(format!("{}-{}{PART}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
    aside
}

fn beginning(name: &std::ffi::OsStr) -> OsString {
    let mut beginning = OsString::from(".");
    beginning.push(name);
    beginning.push(".");
    beginning
}

/// Removes what writers of this file that no longer live have left.
fn clear_aside(folder: &Path, name: &std::ffi::OsStr) {
    for left in left_aside(folder, name) {
        let dead = OpenOptions::new().write(true).open(&left).is_ok_and(|file| file.try_lock().is_ok());
        if dead {
            // At worst it is there next time as well.
            let _ = fs::remove_file(&left);
        }
    }
}

fn left_aside(folder: &Path, name: &std::ffi::OsStr) -> Vec<PathBuf> {
    let beginning = beginning(name);
    let is_ours = |found: &OsString| {
        let found = found.as_encoded_bytes();
        found.starts_with(beginning.as_encoded_bytes()) && found.ends_with(PART.as_bytes())
    };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter(|entry| is_ours(&entry.file_name())).map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn nothing(_: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        replace(&path, |to| to.write_all(b"old")).unwrap();
        let failed = replace(&path, |to| to.write_all(&[0; 3 << 20]).and(Err(io::Error::other("full"))));
        assert_eq!(failed.unwrap_err().to_string(), "full");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["a"]);
        replace(&path, |to| to.write_all(b"new")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn what_a_killed_writer_left_is_cleared_but_not_what_a_living_one_writes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(folder.path().join(".a.1-0.part"), b"half").unwrap();
        fs::write(folder.path().join(".ab.1-0.part"), b"of another file").unwrap();
        let living = folder.path().join(".a.2-0.part");
        let writer = File::create(&living).unwrap();
        writer.try_lock().unwrap();
        replace(&path, |to| to.write_all(b"new")).unwrap();
        assert_eq!(names(folder.path()), [".a.2-0.part", ".ab.1-0.part", "a"]);
        drop(writer);
        replace(&path, |to| to.write_all(b"new")).unwrap();
        assert_eq!(names(folder.path()), [".ab.1-0.part", "a"]);
    }

    #[test]
    fn only_files_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        assert!(replace(folder.path(), nothing).is_err());
        assert!(replace(Path::new("/"), nothing).is_err());
        assert!(replace(&folder.path().join("none/a"), nothing).is_err());
        assert!(names(folder.path()).is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link_and_a_device_a_device() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("a"), folder.path().join("link"));
        fs::write(&path, b"old").unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        replace(&link, |to| to.write_all(b"new")).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert!(replace(Path::new("/dev/null"), nothing).is_err());
    }
}
