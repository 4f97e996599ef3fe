//! A text in pieces that are read one by one, each an item with the comments before it; so that after a change only the
//! pieces that changed are read again.
//!
//! Where brackets balance, an item begins in the first column, and no bracket is open, nothing before it has a part in
//! how it is read but the comments right before it, which are of its piece. Any other text is one piece.

use std::collections::HashMap;
use std::ops::Range;

use crate::ast::Item;
use crate::lex::{TokenKind, lex};
use crate::scan::begins_item;
use crate::shift::{Shift, Shifted};
use crate::source::FileId;

/// The trees of sound pieces that were read before, by their texts.
#[derive(Debug, Default)]
pub struct Memory {
    pub(super) now: HashMap<String, Read>,
    pub(super) before: HashMap<String, Read>,
}

/// What came of a piece, and where it lay.
#[derive(Debug)]
pub(super) struct Read {
    file: FileId,
    start: usize,
    items: Vec<Item>,
}

impl Memory {
    /// Forgets what was not met since the last time: call it when all texts are about to be read again.
    pub fn turn(&mut self) {
        self.before = std::mem::take(&mut self.now);
    }

    /// Forgets nothing this time: a bracket is open, which will soon be closed.
    pub(super) fn stay(&mut self) {
        self.now.extend(self.before.drain());
    }

    /// The items of a piece with this text, as they would lie in `file` from `start` on.
    pub(super) fn recall(&mut self, text: &str, file: FileId, start: usize) -> Option<Vec<Item>> {
        if let Some((text, read)) = self.before.remove_entry(text) {
            self.now.insert(text, read);
        }
        let read = self.now.get(text)?;
        let mut items = read.items.clone();
        let by = start as i64 - read.start as i64;
        if by != 0 || file != read.file {
            items.shift(Shift { file, by });
        }
        Some(items)
    }

    /// Remembers a piece without a mistake.
    pub(super) fn keep(&mut self, text: &str, file: FileId, start: usize, items: &[Item]) {
        self.now.insert(text.to_string(), Read { file, start, items: items.to_vec() });
    }
}

/// The pieces of a text whose brackets balance.
pub(super) fn pieces(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let mut starts = vec![0];
    let mut depth = 0_usize;
    // The comments since the last token that is none.
    let mut comments: Option<usize> = None;
    for token in lex(text) {
        match token.kind {
            TokenKind::Comment => {
                if token.first && comments.is_none() {
                    comments = Some(token.line_start);
                }
                continue;
            }
            TokenKind::Open => depth += 1,
            TokenKind::Close => depth = depth.saturating_sub(1),
            TokenKind::Word => {
                let unindented = token.first && token.indent == 0;
                if depth == 0 && unindented && begins_item(&bytes[token.start..]) {
                    starts.push(comments.unwrap_or(token.start));
                }
            }
            TokenKind::Number
            | TokenKind::Unit
            | TokenKind::Text
            | TokenKind::OpenText
            | TokenKind::Symbol
            | TokenKind::Unknown => {}
        }
        comments = None;
    }
    let ends = starts.iter().copied().skip(1).chain([text.len()]);
    starts.iter().copied().zip(ends).map(|(start, end)| start..end).collect()
}
