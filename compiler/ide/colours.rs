//! What each word and sign of a text is, for colouring.

use strata_grammar::FileId;
use strata_grammar::lex::{Token, TokenKind, lex};
use strata_grammar::words;

use super::Study;
use super::names::{Occurrence, SymbolKind};

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// `// …`
    Comment,
    /// `"text"`
    Text,
    /// `3`, and the unit after it.
    Number,
    /// A sign between operands, or an operator in letters.
    Operator,
    /// A word of the language.
    Keyword,
    /// A name, by what it stands for.
    Name(SymbolKind),
}

/// A token with its colour; it lies on one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coloured {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
    /// What it is.
    pub colour: Colour,
    /// Whether a name is bound here.
    pub defines: bool,
    /// Whether it is the library's or the compiler's.
    pub library: bool,
}

/// The tokens of a file that have a colour, in order.
pub fn colours(study: &Study, file: FileId) -> Vec<Coloured> {
    let text = study.source(file).text.as_str();
    let mut names = study.names.in_file(file).iter().peekable();
    let mut after_number = false;
    let mut found = Vec::new();
    for token in lex(text) {
        while names.next_if(|name| (name.span.end as usize) <= token.start).is_some() {}
        let name = names.peek().filter(|name| name.span.range() == (token.start..token.end));
        let colour = match name {
            Some(name) => Some(Colour::Name(name.kind)),
            None => plain(text, &token, after_number),
        };
        after_number = token.kind == TokenKind::Number;
        if let Some(colour) = colour {
            let library = name.is_some_and(|name| is_library(study, name));
            let defines = name.is_some_and(|name| name.defines);
            found.push(Coloured { start: token.start, end: token.end, colour, defines, library });
        }
    }
    found
}

fn is_library(study: &Study, name: &Occurrence) -> bool {
    let Some(symbol) = name.symbol else {
        return matches!(name.kind, SymbolKind::Type | SymbolKind::Stage);
    };
    let first = study.names.symbol(symbol).definitions.first();
    first.is_none_or(|at| study.analysis.loaded.in_library(*at))
}

/// A token that is no name.
fn plain(text: &str, token: &Token, after_number: bool) -> Option<Colour> {
    let word = &text[token.start..token.end];
    match token.kind {
        TokenKind::Comment => Some(Colour::Comment),
        TokenKind::Text => Some(Colour::Text),
        TokenKind::Number | TokenKind::Unit => Some(Colour::Number),
        TokenKind::Word if after_number && is_unit(word) => Some(Colour::Number),
        TokenKind::Word if matches!(word, "and" | "or" | "not") => Some(Colour::Operator),
        TokenKind::Word => words::keywords().binary_search(&word).ok().map(|_| Colour::Keyword),
        TokenKind::Symbol => words::operators().contains(&word).then_some(Colour::Operator),
        TokenKind::Open | TokenKind::Close | TokenKind::OpenText | TokenKind::Unknown => None,
    }
}

/// Whether a word after a number is its unit.
fn is_unit(word: &str) -> bool {
    let bare = word.strip_prefix(words::PREFIXES).map(|rest| rest.strip_prefix('i').unwrap_or(rest));
    words::units().contains(&word) || bare.is_some_and(|bare| words::units().contains(&bare))
}
