//! Shapes shown between the words of a text: what names are bound to, and what the calls of a long pipe give.

use strata_grammar::{FileId, Span};

use super::names::SymbolKind;
use super::{Study, types_of_all};

/// A text shown between others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inlay {
    /// Where it is shown.
    pub offset: u32,
    /// What is shown.
    pub text: String,
}

/// What to show in a stretch of a file.
pub fn inlays(study: &Study, file: FileId, start: usize, end: usize) -> Vec<Inlay> {
    let within = Span::new(file, start, end);
    let source = study.source(file);
    let mut found = Vec::new();
    for (model, hint) in study.hints(within) {
        let end = hint.span.end as usize;
        let word = study.names.at(file, hint.span.start as usize);
        let binds = word.filter(|word| word.defines && word.span.start == hint.span.start);
        match binds.map(|word| word.kind) {
            Some(SymbolKind::Value) => {
                let text = format!(": {}", types_of_all(model, hint));
                found.push(Inlay { offset: hint.span.end, text });
            }
            // Of an input the text itself says it.
            Some(_) => {}
            None => {
                let rest = &source.text[end.min(source.text.len())..];
                let (line, next) = rest.split_once('\n').unwrap_or((rest, ""));
                let line = line.split("//").next().unwrap_or("").trim();
                let is_call = source.text.as_bytes().get(end.wrapping_sub(1)) == Some(&b')')
                    || word.is_some_and(|word| word.kind == SymbolKind::Layer);
                if line.is_empty() && is_call && next.trim_start().starts_with("|>") {
                    let text = format!("  {}", types_of_all(model, hint));
                    found.push(Inlay { offset: hint.span.end, text });
                }
            }
        }
    }
    found
}
