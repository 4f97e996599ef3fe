//! The standard library as files that an editor can open: written once into the user's cache, read-only.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use strata::load::LIBRARY;
use strata_grammar::FileId;
use strata_runtime::kernels::random::stream_of;

/// The folder that holds the library of this version, whether or not it was written yet.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let named = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let home = || {
            let below = if cfg!(target_os = "macos") { "Library/Caches" } else { ".cache" };
            named("HOME").map(|home| home.join(below))
        };
        let cache = named("XDG_CACHE_HOME").or_else(|| named("LOCALAPPDATA")).or_else(home);
        let texts: String = LIBRARY.iter().flat_map(|(name, text)| [*name, *text]).collect();
        let version = format!("library-{}-{:08x}", env!("CARGO_PKG_VERSION"), stream_of(&texts) as u32);
        cache.unwrap_or_else(std::env::temp_dir).join("strata").join(version)
    })
}

/// Where a file of the library lies; written if it is not there. Nothing where it cannot be written.
pub fn path_of(file: FileId) -> Option<PathBuf> {
    let (name, text) = LIBRARY.get(file.0 as usize)?;
    let path = folder().join(name);
    if fs::read_to_string(&path).ok().as_deref() != Some(*text) {
        fs::create_dir_all(path.parent()?).ok()?;
        // Under another name first: a second server may write it at the same time.
        let fresh = path.with_extension(format!("{}.new", std::process::id()));
        fs::write(&fresh, text).ok()?;
        let mut rights = fs::metadata(&fresh).ok()?.permissions();
        rights.set_readonly(true);
        fs::set_permissions(&fresh, rights).ok()?;
        fs::rename(&fresh, &path).ok()?;
    }
    Some(path)
}

/// The library's file that lies at a path.
pub fn file_at(path: &Path) -> Option<FileId> {
    let below = path.strip_prefix(folder()).ok()?;
    let at = LIBRARY.iter().position(|(name, _)| Path::new(name) == below)?;
    Some(FileId(at as u32))
}
