//! Quick fixes: the help of a diagnostic, where it is an edit.

use strata_grammar::{Diagnostic, Edit, FileId};

use super::Study;

/// A diagnostic's help as edits.
#[derive(Clone, Debug)]
pub struct Fix<'s> {
    /// What it mends.
    pub diagnostic: &'s Diagnostic,
    /// What it does, in the words of the help.
    pub title: String,
    /// What it does.
    pub edits: Vec<Edit>,
}

/// The fixes of what is wrong in a stretch of a file.
pub fn fixes(study: &Study, file: FileId, start: usize, end: usize) -> Vec<Fix<'_>> {
    let loaded = &study.analysis.loaded;
    let touches = |found: &&Diagnostic| {
        let span = found.primary.span;
        span.file == file && span.start as usize <= end && start <= span.end as usize
    };
    let own = |edits: &[Edit]| !edits.is_empty() && edits.iter().all(|edit| !loaded.in_library(edit.span));
    let diagnostics = study.analysis.diagnostics.iter().filter(touches).filter(|found| own(&found.edits));
    let mut found: Vec<Fix<'_>> = Vec::new();
    for diagnostic in diagnostics {
        let title = title(study, diagnostic);
        if !found.iter().any(|fix| fix.edits == diagnostic.edits) {
            found.push(Fix { diagnostic, title, edits: diagnostic.edits.clone() });
        }
    }
    found
}

/// In the imperative: what one edit does; of several what the help says.
fn title(study: &Study, diagnostic: &Diagnostic) -> String {
    if let [edit] = diagnostic.edits.as_slice() {
        let old = study.source(edit.span.file).text.get(edit.span.range()).unwrap_or("").trim();
        let new = edit.text.trim();
        let short = |text: &str| text.chars().count() <= 60 && !text.contains('\n');
        if short(old) && short(new) {
            match (old.is_empty(), new.is_empty()) {
                (false, false) => return format!("replace `{old}` by `{new}`"),
                (true, false) => return format!("insert `{new}`"),
                (false, true) => return format!("take out `{old}`"),
                (true, true) => {}
            }
        }
    }
    diagnostic.help.clone().unwrap_or_else(|| diagnostic.message.clone())
}
