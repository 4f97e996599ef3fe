//! Text -> syntax tree: the bracket scan, the grammar, and the tree made of what the grammar found.
//!
//! Any text gives a tree. What is wrong costs the smallest thing around it: a statement becomes `Bad`, a head loses
//! what cannot be read, a bracket is taken as closed where indentation says so. Each cause is reported once.

mod explain;
mod expression;
mod item;
mod repair;
mod statement;

use std::iter::{Filter, Peekable};

use pest::Parser;
use pest::iterators::{Pair, Pairs};

use crate::ast::{self, Ident};
use crate::diagnostic::{Code, Diagnostic};
use crate::lex::{TokenKind, lex};
use crate::scan::scan;
use crate::source::{FileId, Source, Span};

#[derive(pest_derive::Parser)]
#[grammar = "model.pest"]
struct Grammar;

/// How many times a text's length may be read again for recovery. Only broken blocks nested in broken blocks ask for
/// more than once.
const AGAIN: usize = 4;

/// So many bytes are read in a file to find out how its broken statements were meant: some hundred slips, a
/// fraction of a second.
const REPAIRS: usize = 200_000;

/// A tree, and what was wrong with its text.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// The whole file; `Bad` nodes where `diagnostics` speak.
    pub file: ast::File,
    /// In order of appearance. Without one, the file is sound.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads a text. Never fails and never panics; time is linear in the text's length.
pub fn parse(file: FileId, source: &Source) -> Parsed {
    let text = source.text.as_str();
    let span = Span::new(file, 0, text.len());
    if u32::try_from(text.len()).is_err() {
        let found = Diagnostic::error(Code::SyntaxError, span, "a file may hold at most 4 GiB");
        let file = ast::File { items: vec![ast::Item::Bad(span)], comments: Vec::new(), span };
        return Parsed { file, diagnostics: vec![found] };
    }
    let scanned = scan(file, text);
    let comments = comments(file, text);
    let stretch = Stretch { file, text: &scanned.text, origin: 0, mended: None };
    let mut builder = Builder {
        source,
        reported: &scanned.reported,
        comments: &comments,
        diagnostics: scanned.diagnostics,
        operators: 0,
        again: AGAIN * text.len() + 1000,
        repairs: REPAIRS,
    };
    let items = match Grammar::parse(Rule::file, stretch.text) {
        Ok(pairs) => builder.items(stretch, pairs),
        Err(error) => {
            // The grammar takes any text, so this is a mistake of ours; say so rather than stop.
            let message = format!("this file could not be read: {}", error.variant.message());
            builder.diagnostics.push(Diagnostic::error(Code::SyntaxError, span, message));
            vec![ast::Item::Bad(span)]
        }
    };
    let mut diagnostics = builder.diagnostics;
    diagnostics.sort_by_key(|found| found.primary.span.start);
    Parsed { file: ast::File { items, comments, span }, diagnostics }
}

fn comments(file: FileId, text: &str) -> Vec<ast::Comment> {
    lex(text)
        .filter(|token| token.kind == TokenKind::Comment)
        .map(|token| ast::Comment { span: Span::new(file, token.start, token.end), trailing: !token.first })
        .collect()
}

/// A text that the grammar reads, and where it lies in the file.
#[derive(Clone, Copy)]
struct Stretch<'t> {
    file: FileId,
    text: &'t str,
    /// Where it begins in the file.
    origin: usize,
    /// The word in it that the file spells differently.
    mended: Option<Mend>,
}

/// A misspelt word, replaced by the one it was taken for.
#[derive(Clone, Copy)]
struct Mend {
    /// Where it begins in the mended text.
    at: usize,
    /// Its length in the mended text.
    here: usize,
    /// Its length in the file.
    there: usize,
}

impl<'t> Stretch<'t> {
    /// The place in the file of an offset in the text.
    fn offset(&self, at: usize) -> usize {
        let shifted = match self.mended {
            Some(mend) if at >= mend.at + mend.here => at - mend.here + mend.there,
            Some(mend) if at > mend.at => mend.at + (at - mend.at).min(mend.there),
            _ => at,
        };
        self.origin + shifted
    }

    fn span(&self, start: usize, end: usize) -> Span {
        Span::new(self.file, self.offset(start), self.offset(end))
    }

    /// A part of it.
    fn part(&self, start: usize, end: usize) -> Stretch<'t> {
        let inside = self.mended.filter(|mend| start <= mend.at && mend.at + mend.here <= end);
        let mended = inside.map(|mend| Mend { at: mend.at - start, ..mend });
        Stretch { file: self.file, text: &self.text[start..end], origin: self.offset(start), mended }
    }
}

/// What building a tree needs at hand.
struct Builder<'a> {
    source: &'a Source,
    reported: &'a [usize],
    comments: &'a [ast::Comment],
    diagnostics: Vec<Diagnostic>,
    /// Operators in the expressions around the one that is being built.
    operators: usize,
    /// How many more bytes may be read again in order to keep what stands inside of something broken.
    again: usize,
    /// How many more bytes may be read to find out how broken statements were meant.
    repairs: usize,
}

impl Builder<'_> {
    fn report(&mut self, found: Diagnostic) {
        self.diagnostics.push(found);
    }

    /// Whether a stretch so long may be read again.
    fn afford(&mut self, length: usize) -> bool {
        let affordable = self.again >= length;
        self.again -= if affordable { length } else { 0 };
        affordable
    }

    /// Whether the bracket scan has already spoken about this stretch.
    fn was_reported(&self, start: usize, end: usize) -> bool {
        let next = self.reported.partition_point(|&at| at < start);
        self.reported.get(next).is_some_and(|&at| at < end)
    }
}

/// Whether a pair says something, and is not punctuation between others that do.
fn has_meaning(pair: &Pair<'_, Rule>) -> bool {
    !matches!(
        pair.as_rule(),
        Rule::open_paren
            | Rule::close_paren
            | Rule::open_bracket
            | Rule::close_bracket
            | Rule::open_brace
            | Rule::close_brace
            | Rule::colon
            | Rule::comma
            | Rule::equals
            | Rule::start
            | Rule::EOI
    )
}

/// The parts of a pair without its punctuation, in order, taken one by one by what they must or may be.
struct Parts<'i> {
    left: Peekable<Filter<Pairs<'i, Rule>, HasMeaning<'i>>>,
}

type HasMeaning<'i> = fn(&Pair<'i, Rule>) -> bool;

impl<'i> Parts<'i> {
    fn of(pair: &Pair<'i, Rule>) -> Parts<'i> {
        let has_meaning: HasMeaning<'i> = has_meaning;
        Parts { left: pair.clone().into_inner().filter(has_meaning).peekable() }
    }

    /// The next part.
    fn must(&mut self) -> Pair<'i, Rule> {
        self.left.next().expect("the grammar gives this rule a part here")
    }

    /// The next part if it is a `rule`.
    fn maybe(&mut self, rule: Rule) -> Option<Pair<'i, Rule>> {
        self.left.next_if(|pair| pair.as_rule() == rule)
    }

    /// Whether the next part is a `rule`, which is then taken.
    fn has(&mut self, rule: Rule) -> bool {
        self.maybe(rule).is_some()
    }
}

impl<'i> Iterator for Parts<'i> {
    type Item = Pair<'i, Rule>;

    fn next(&mut self) -> Option<Pair<'i, Rule>> {
        self.left.next()
    }
}

/// Whether a pair is some block: braces and what they hold.
fn is_block(pair: &Pair<'_, Rule>) -> bool {
    pair.clone().into_inner().next().is_some_and(|first| first.as_rule() == Rule::open_brace)
}

/// Where a pair's last token ends: pest counts the blanks before an absent optional part as the pair's own.
fn end_of(pair: &Pair<'_, Rule>) -> usize {
    let mut pair = pair.clone();
    while let Some(last) = pair.clone().into_inner().next_back() {
        pair = last;
    }
    pair.as_span().end()
}

impl Stretch<'_> {
    fn span_of(&self, pair: &Pair<'_, Rule>) -> Span {
        self.span(pair.as_span().start(), end_of(pair))
    }

    fn ident(&self, pair: &Pair<'_, Rule>) -> Ident {
        self.ident_at(pair.as_span().start(), pair.as_str())
    }

    fn ident_at(&self, start: usize, word: &str) -> Ident {
        Ident { text: word.to_string(), span: self.span(start, start + word.len()) }
    }
}
