//! From a word to where it is defined, to all its places, and to another name for it.

use std::collections::HashMap;

use strata_grammar::ast::Item;
use strata_grammar::{Code, Edit, FileId, Severity, Span};

use super::Study;
use super::names::{Occurrence, SymbolId};
use crate::load::used_path;

/// Where the word at an offset is defined; for the path of a `use`, the beginning of that file.
pub fn definition(study: &Study, file: FileId, offset: usize) -> Option<Span> {
    let used = study.analysis.loaded.files.iter().filter(|tree| tree.span.file == file);
    for item in used.flat_map(|tree| &tree.items) {
        if let Item::Use(used) = item
            && used.path_span.touches(offset)
        {
            return self::used_file(study, file, &used.path).map(|target| Span::new(target, 0, 0));
        }
    }
    let word = study.names.at(file, offset)?;
    study.names.definition(&word)
}

/// The file that `path` in a `use` line of `file` names, if it was read.
pub(super) fn used_file(study: &Study, file: FileId, path: &str) -> Option<FileId> {
    study.file(&used_path(&study.source(file).name, path))
}

/// The symbol at an offset.
pub fn symbol(study: &Study, file: FileId, offset: usize) -> Option<(Occurrence, SymbolId)> {
    let word = study.names.at(file, offset)?;
    Some((word, word.symbol?))
}

/// Every place of the symbol at an offset, those in the library too.
pub fn references(study: &Study, file: FileId, offset: usize) -> Vec<Occurrence> {
    let Some((_, id)) = symbol(study, file, offset) else { return Vec::new() };
    study.names.places(id).copied().collect()
}

/// The word at an offset, if it can get another name.
///
/// # Errors
/// Why it cannot, for the user.
pub fn can_rename(study: &Study, file: FileId, offset: usize) -> Result<Span, String> {
    let Some(word) = study.names.at(file, offset) else {
        return Err("there is no name here".into());
    };
    let text = study.source(file).text.get(word.span.range()).unwrap_or("").to_string();
    let Some(id) = word.symbol else {
        return Err(format!("nothing in this spec defines `{text}`, so it cannot be renamed"));
    };
    let loaded = &study.analysis.loaded;
    let definitions = &study.names.symbol(id).definitions;
    if definitions.is_empty() || definitions.iter().any(|at| loaded.in_library(*at)) {
        return Err(format!(
            "`{text}` belongs to the library: copy it into a layer of your own to change it"
        ));
    }
    Ok(word.span)
}

/// What cannot be a name: it has a meaning of its own in expressions.
const RESERVED: [&str; 9] = ["true", "false", "and", "or", "not", "for", "frozen", "every", "_"];

/// The edits that give the symbol at an offset another name in all files of the spec. Whether they change what
/// anything means is for [`same_meaning`] to say.
///
/// # Errors
/// Why they cannot be made, for the user.
pub fn rename(study: &Study, file: FileId, offset: usize, new_name: &str) -> Result<Vec<Edit>, String> {
    can_rename(study, file, offset)?;
    let mut letters = new_name.bytes();
    let begins = letters.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    if !begins || !letters.all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Err(format!(
            "`{new_name}` is no name: names are letters, digits and `_`, and begin with no digit"
        ));
    }
    if RESERVED.contains(&new_name) {
        return Err(format!("`{new_name}` has a meaning of its own in expressions"));
    }
    let unreadable =
        |code: Code| matches!(code, Code::SyntaxError | Code::UnmatchedBracket | Code::MissingFile);
    let broken = study.analysis.diagnostics.iter().find(|found| unreadable(found.code));
    if let Some(found) = broken {
        let source = study.source(found.primary.span.file);
        let line = source.line_column(found.primary.span.start as usize).line + 1;
        return Err(format!(
            "mend {} line {line} first: the name may stand in what cannot be read",
            source.name
        ));
    }
    let places = references(study, file, offset);
    let edit = |place: &Occurrence| Edit { span: place.span, text: new_name.to_string() };
    Ok(places.iter().map(edit).collect())
}

/// That every word stands for the same after a renaming as before it, and nothing new is wrong. `after` is the study
/// of the texts with `edits` made; files have the same ids in both.
///
/// # Errors
/// What would change, for the user.
pub fn same_meaning(before: &Study, after: &Study, edits: &[Edit], new_name: &str) -> Result<(), String> {
    let user = |study: &Study| -> Vec<Occurrence> {
        let first = study.analysis.loaded.root();
        study.names.occurrences.iter().filter(|word| word.span.file >= first).copied().collect()
    };
    let (old, new) = (user(before), user(after));
    let shift = Shift::new(edits);
    let mut becomes: HashMap<SymbolId, SymbolId> = HashMap::new();
    let mut was: HashMap<SymbolId, SymbolId> = HashMap::new();
    for (at, word) in old.iter().enumerate() {
        let same = new.get(at).is_some_and(|other| {
            let placed = other.span.file == word.span.file && other.span.start == shift.start(word.span);
            let symbols = match (word.symbol, other.symbol) {
                (None, None) => true,
                (Some(a), Some(b)) => *becomes.entry(a).or_insert(b) == b && *was.entry(b).or_insert(a) == a,
                (Some(_), None) | (None, Some(_)) => false,
            };
            placed && symbols && other.kind == word.kind
        });
        if !same {
            let source = before.source(word.span.file);
            let line = source.line_column(word.span.start as usize).line + 1;
            return Err(format!(
                "`{new_name}` already has a meaning: the name in {} line {line} would stand for something else",
                source.name
            ));
        }
    }
    if new.len() != old.len() {
        return Err(format!("`{new_name}` cannot be a name here: the text would read differently"));
    }
    let said = |study: &Study| {
        let mut codes: HashMap<(Code, Severity), i64> = HashMap::new();
        study.analysis.diagnostics.iter().for_each(|d| *codes.entry((d.code, d.severity)).or_default() += 1);
        codes
    };
    let earlier = said(before);
    let more = |found: &&strata_grammar::Diagnostic| {
        let key = (found.code, found.severity);
        said(after).get(&key) > earlier.get(&key)
    };
    match after.analysis.diagnostics.iter().find(more) {
        Some(found) => Err(format!("with `{new_name}` there: {}", found.message)),
        None => Ok(()),
    }
}

/// Where places move to when edits are made.
struct Shift {
    /// File, place, and by how many bytes what follows moves; by place.
    moves: Vec<(FileId, u32, i64)>,
}

impl Shift {
    fn new(edits: &[Edit]) -> Shift {
        let by = |edit: &Edit| edit.text.len() as i64 - edit.span.range().len() as i64;
        let mut moves: Vec<_> = edits.iter().map(|e| (e.span.file, e.span.start, by(e))).collect();
        moves.sort_unstable();
        Shift { moves }
    }

    fn start(&self, span: Span) -> u32 {
        let before = self.moves.iter().filter(|(file, at, _)| *file == span.file && *at < span.start);
        let by: i64 = before.map(|(.., by)| by).sum();
        u32::try_from(i64::from(span.start) + by).unwrap_or(u32::MAX)
    }
}

/// A text with edits made; they must lie in it and not overlap.
pub fn edited(text: &str, edits: &[Edit]) -> String {
    let mut edits: Vec<&Edit> = edits.iter().collect();
    edits.sort_by_key(|edit| edit.span.start);
    let mut new = String::with_capacity(text.len());
    let mut at = 0;
    for edit in edits {
        new += text.get(at..edit.span.start as usize).unwrap_or("");
        new += &edit.text;
        at = edit.span.end as usize;
    }
    new + text.get(at..).unwrap_or("")
}
