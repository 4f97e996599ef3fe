//! Analyses what is open, on a thread of its own: of several changes that wait, only the newest is looked at, and only
//! what it touches.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use lsp_types::PublishDiagnosticsParams;
use strata::Memory;
use strata::check::DataFacts;
use strata::ide::Study;
use strata::load::Loaded;
use strata_grammar::FileId;

use super::convert::{Encoding, uri_of};
use super::diagnostics::translate;
use super::{Event, shelf};
use crate::facts::Facts;
use crate::front;
use crate::messages::say;

/// A text in the editor.
#[derive(Clone, Debug)]
pub struct Document {
    /// What it holds now.
    pub text: Arc<str>,
    /// The client's number for it.
    pub version: i32,
}

/// All texts in the editor, by absolute path.
pub type Documents = BTreeMap<PathBuf, Document>;

/// What changed since the last analysis.
#[derive(Clone, Debug)]
pub enum Touched {
    /// These texts.
    Some(BTreeSet<PathBuf>),
    /// Perhaps anything, as files on disk may have.
    All,
}

impl Touched {
    /// Both together.
    pub fn and(self, other: Touched) -> Touched {
        match (self, other) {
            (Touched::Some(mut a), Touched::Some(b)) => {
                a.extend(b);
                Touched::Some(a)
            }
            (Touched::All, _) | (_, Touched::All) => Touched::All,
        }
    }

    fn has(&self, path: &Path) -> bool {
        match self {
            Touched::Some(paths) => paths.contains(path),
            Touched::All => true,
        }
    }
}

/// The texts to be analysed.
#[derive(Debug)]
pub struct Job {
    /// Counts the changes of any text.
    pub revision: u64,
    /// The texts.
    pub documents: Documents,
    /// What changed.
    pub touched: Touched,
}

/// What came of the texts of one revision.
#[derive(Debug)]
pub struct Snapshot {
    /// Which revision.
    pub revision: u64,
    /// Its texts.
    pub documents: Documents,
    /// What came of every text that is the root of a spec.
    pub studies: BTreeMap<PathBuf, Arc<Study>>,
    /// The library alone, for its files.
    pub library: Arc<Study>,
}

impl Snapshot {
    /// The study to ask about a file in the editor, and the file in it.
    pub fn place(&self, path: &Path) -> Option<(Arc<Study>, FileId)> {
        if let Some(study) = self.studies.get(path) {
            return Some((study.clone(), study.analysis.loaded.root()));
        }
        shelf::file_at(path).map(|file| (self.library.clone(), file))
    }
}

/// Where the newest job lies until the analyst takes it.
#[derive(Debug, Default)]
pub struct Tray {
    job: Mutex<(Option<Job>, bool)>,
    filled: Condvar,
}

impl Tray {
    /// Puts a job there; one that still lies there gives way, what it was about does not.
    pub fn put(&self, mut job: Job) {
        let mut guard = self.job.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waiting) = guard.0.take() {
            job.touched = job.touched.and(waiting.touched);
        }
        guard.0 = Some(job);
        self.filled.notify_one();
    }

    /// Lets the analyst go home.
    pub fn close(&self) {
        self.job.lock().unwrap_or_else(PoisonError::into_inner).1 = true;
        self.filled.notify_one();
    }

    /// The newest job; waits for one. Nothing once it is closed.
    fn take(&self) -> Option<Job> {
        let mut guard = self.job.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if guard.1 {
                return None;
            }
            if let Some(job) = guard.0.take() {
                return Some(job);
            }
            guard = self.filled.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// What is known of one root.
#[derive(Default)]
struct Root {
    study: Option<Arc<Study>>,
    /// What need not be read and checked again while it stays as it is.
    memory: Memory,
    /// All files that were asked for, those that are missing too.
    read: BTreeSet<PathBuf>,
    /// What is to be said of which file.
    said: BTreeMap<PathBuf, Vec<lsp_types::Diagnostic>>,
}

/// Analyses jobs until the tray is closed, and sends what came of them.
pub fn work(tray: &Tray, events: &Sender<Event>, encoding: Encoding) {
    let mut facts = Facts::default();
    let library = Arc::new(library_alone());
    let mut roots: BTreeMap<PathBuf, Root> = BTreeMap::new();
    // What was said last of each file, and of which version of it.
    let mut last: BTreeMap<PathBuf, (Option<i32>, Vec<lsp_types::Diagnostic>)> = BTreeMap::new();
    while let Some(Job { revision, documents, touched }) = tray.take() {
        roots.retain(|path, _| documents.contains_key(path));
        for path in documents.keys().filter(|path| shelf::file_at(path).is_none()) {
            let known = roots.get(path).is_some_and(|root| !root.read.iter().any(|file| touched.has(file)));
            if !known {
                let memory = roots.remove(path).map(|root| root.memory).unwrap_or_default();
                roots.insert(path.clone(), analyse(path, &documents, &mut facts, memory, encoding));
            }
        }
        let mut said: BTreeMap<PathBuf, Vec<lsp_types::Diagnostic>> = BTreeMap::new();
        for (path, root) in &roots {
            said.entry(path.clone()).or_default();
            for (file, diagnostics) in &root.said {
                let list = said.entry(file.clone()).or_default();
                for diagnostic in diagnostics {
                    if !list.contains(diagnostic) {
                        list.push(diagnostic.clone());
                    }
                }
            }
        }
        for path in last.keys() {
            said.entry(path.clone()).or_default();
        }
        let mut notes = Vec::new();
        let mut now = BTreeMap::new();
        for (path, diagnostics) in said {
            let version = documents.get(&path).map(|document| document.version);
            let before = last.get(&path);
            let same = before.is_some_and(|(v, list)| *v == version && *list == diagnostics);
            if !same && let Some(uri) = uri_of(&path) {
                notes.push(PublishDiagnosticsParams { uri, diagnostics: diagnostics.clone(), version });
            }
            if version.is_some() || !diagnostics.is_empty() {
                now.insert(path, (version, diagnostics));
            }
        }
        last = now;
        let found = roots.iter().filter_map(|(path, root)| Some((path.clone(), root.study.clone()?)));
        let studies = found.collect();
        let snapshot = Snapshot { revision, documents, studies, library: library.clone() };
        if events.send(Event::Analysed(Arc::new(snapshot), notes)).is_err() {
            return;
        }
    }
}

fn library_alone() -> Study {
    let settings = front::settings(&[], &[]);
    let nothing = &mut |_: &str| Ok(Vec::new());
    Study::new(strata::analyse("", nothing, &mut |_| DataFacts::default(), &settings))
}

fn analyse(
    path: &Path,
    documents: &Documents,
    facts: &mut Facts,
    mut memory: Memory,
    encoding: Encoding,
) -> Root {
    let mut read = BTreeSet::from([path.to_path_buf()]);
    let settings = front::settings(&[], &[]);
    let mut facts = |loaded: &Loaded| facts.of(loaded, &settings);
    let study = study_again(path, documents, &mut facts, &mut read, &mut memory).map(Arc::new);
    let mut said: BTreeMap<PathBuf, Vec<lsp_types::Diagnostic>> = BTreeMap::new();
    if let Some(study) = &study {
        for diagnostic in &study.analysis.diagnostics {
            let source = study.source(diagnostic.primary.span.file);
            if let Some(place) = on_disk(&source.name) {
                said.entry(place).or_default().push(translate(diagnostic, study, encoding));
            }
        }
    }
    Root { study, memory, read, said }
}

/// Analyses a file, with the texts in the editor before those on disk; notes which files were asked for. A panic
/// would be a mistake of ours; it must not take the editor's server down with it.
pub fn study(
    path: &Path,
    documents: &Documents,
    facts: &mut dyn FnMut(&Loaded) -> DataFacts,
    asked: &mut BTreeSet<PathBuf>,
) -> Option<Study> {
    study_again(path, documents, facts, asked, &mut Memory::default())
}

/// The same, without doing again what `memory` holds.
fn study_again(
    path: &Path,
    documents: &Documents,
    facts: &mut dyn FnMut(&Loaded) -> DataFacts,
    asked: &mut BTreeSet<PathBuf>,
    memory: &mut Memory,
) -> Option<Study> {
    let mut read = |name: &str| {
        asked.insert(PathBuf::from(name));
        match documents.get(Path::new(name)) {
            Some(document) => Ok(document.text.as_bytes().to_vec()),
            None => front::read(name),
        }
    };
    let settings = front::settings(&[], &[]);
    let name = path.to_string_lossy();
    let work = || Study::new(strata::analyse_again(&name, &mut read, facts, &settings, memory));
    let done = catch_unwind(AssertUnwindSafe(work));
    if done.is_err() {
        *memory = Memory::default();
    }
    done.inspect_err(|_| say(&format!("{}: could not be analysed", path.display()))).ok()
}

/// Where a source lies; nothing for the standard library, which is part of the program.
pub fn on_disk(name: &str) -> Option<PathBuf> {
    let path = Path::new(name);
    path.is_absolute().then(|| path.to_path_buf())
}
