//! Helpers shared by the tests: case files, and diagnostics written into them as comments; random primitives
//! and graphs.

pub mod dates;
pub mod digits;
pub mod points;
pub mod primitives;
pub mod random;
pub mod random_graph;
pub mod random_homes;
pub mod random_scan;
pub mod recurrences;
pub mod spec;
pub mod together;
pub mod trial;

use std::path::{Path, PathBuf};

use strata_grammar::{Diagnostic, FileId, Report, Severity, Source, Sources};

/// One case file: a text whose first line says what is looked at, with what is expected in it.
#[derive(Clone, Debug)]
pub struct Case {
    /// Where it lies.
    pub path: PathBuf,
    /// The whole file.
    pub text: String,
    /// What its first line says after the name of its kind: `graph` in `// emit graph`, if the kind is `emit`.
    pub arguments: String,
}

impl Case {
    /// The file's name, as a source is called.
    pub fn name(&self) -> String {
        self.path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    }

    /// The text without the diagnostics that are written into it, as a lone source.
    pub fn source(&self) -> (Sources, FileId) {
        let mut sources = Sources::default();
        let file = sources.add(Source::new(self.name(), without_annotations(&self.text)));
        (sources, file)
    }
}

/// The repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The text of the first fenced block of a page that opens with `fence`.
pub fn fenced<'a>(page: &'a str, fence: &str) -> Option<&'a str> {
    let (_, rest) = page.split_once(fence)?;
    rest.split_once("\n```").map(|(text, _)| text)
}

/// Every `.model` file under `folder`, in order of path.
pub fn model_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else { return found };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(model_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "model") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The text of `file` with each diagnostic as a comment under the line where it points: a caret under the column,
/// the code and the message. Columns 0 and 1, where the comment's own slashes stand, are written `//<` and `//<<`.
/// Diagnostics in other files follow at the end.
pub fn with_annotations(sources: &Sources, file: FileId, diagnostics: &[Diagnostic]) -> String {
    let (here, elsewhere) = annotations(sources, file, diagnostics);
    let mut out = String::new();
    let mut here = here.into_iter().peekable();
    for (number, line) in sources.get(file).text.split_inclusive('\n').enumerate() {
        out += line;
        while let Some(found) = here.next_if(|found| found.line <= number) {
            end_line(&mut out);
            out += &found.text;
            out.push('\n');
        }
    }
    for annotation in here.map(|found| found.text).chain(elsewhere) {
        end_line(&mut out);
        out += &annotation;
        out.push('\n');
    }
    out
}

/// A diagnostic as a comment, and the line under which it stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Annotation {
    /// The line to which the diagnostic points, from 0.
    pub line: usize,
    /// The column, from 0, in characters.
    pub column: usize,
    /// The comment, without a newline.
    pub text: String,
    /// Which of the diagnostics it is.
    pub at: usize,
}

/// Diagnostics as comments: those in `file` in order of their places, then those in other files.
pub fn annotations(
    sources: &Sources,
    file: FileId,
    diagnostics: &[Diagnostic],
) -> (Vec<Annotation>, Vec<String>) {
    let source = sources.get(file);
    let mut here = Vec::new();
    let mut elsewhere = Vec::new();
    for (at, found) in diagnostics.iter().enumerate() {
        let what = match found.severity {
            Severity::Error => found.code.name().to_string(),
            Severity::Warning | Severity::Note => format!("{} {}", found.severity.name(), found.code.name()),
        };
        if found.primary.span.file != file {
            elsewhere.push(format!("//> {}", Report::new(found, sources).short()));
            continue;
        }
        let place = source.line_column(found.primary.span.start as usize);
        let column =
            source.line(place.line).char_indices().take_while(|(byte, _)| *byte < place.column).count();
        let mark = match column {
            0 => "//<".to_string(),
            1 => "//<<".to_string(),
            _ => format!("//{}^", " ".repeat(column - 2)),
        };
        let text = format!("{mark} {what}: {}", found.message);
        here.push(Annotation { line: place.line, column, text, at });
    }
    here.sort();
    (here, elsewhere)
}

fn end_line(out: &mut String) {
    if !out.is_empty() && !out.ends_with('\n') {
        out.push('\n');
    }
}

/// The text without the comments that [`with_annotations`] writes.
pub fn without_annotations(text: &str) -> String {
    text.split_inclusive('\n').filter(|line| !is_annotation(line)).collect()
}

fn is_annotation(line: &str) -> bool {
    let Some(rest) = line.strip_prefix("//") else { return false };
    rest.starts_with('<') || rest.starts_with("> ") || rest.trim_start_matches(' ').starts_with("^ ")
}
