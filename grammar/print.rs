//! Syntax tree and text -> canonical text: `strata fmt`.
//!
//! The author's line breaks stay, as do blank lines (one at a time) and comments; blanks, indentation and semicolons
//! follow rules. Where the author aligned neighbouring lines (`=`, the columns of a `train` block, trailing
//! comments), they stay aligned. A block on one line stays there if it fits. Numbers and texts stay as written.
//! Formatting twice changes nothing more, and the tree stays the same.

mod align;
mod hints;
mod layout;

use crate::parse::Parsed;
use crate::source::Source;

/// The longest line that a block on one line may make, in characters.
const WIDTH: usize = 110;

/// The canonical text of a file, or `None` for one with mistakes, of which nothing must be lost.
/// `parsed` must be what `parse` made of `source`.
pub fn print(parsed: &Parsed, source: &Source) -> Option<String> {
    if !parsed.diagnostics.is_empty() {
        return None;
    }
    let hints = hints::hints(&parsed.file);
    let lines = layout::lines(&source.text, &hints);
    Some(align::render(&lines))
}
