//! Text -> syntax tree: the bracket scan, the grammar, and the tree made of what the grammar found.
//!
//! A text is read piece by piece, so that of a text that was read before only what changed is read again.
//!
//! Any text gives a tree. What is wrong costs the smallest thing around it: a statement becomes `Bad`, a head loses
//! what cannot be read, a bracket is taken as closed where indentation says so. Each cause is reported once.

mod explain;
mod expression;
mod item;
mod pieces;
mod repair;
mod statement;

use std::borrow::Cow;
use std::iter::{Filter, Peekable};
use std::ops::Range;

use pest::Parser;
use pest::iterators::{Pair, Pairs};

use crate::ast::{self, Ident};
use crate::diagnostic::{Code, Diagnostic};
use crate::lex::{TokenKind, lex};
use crate::scan::{Scanned, scan};
use crate::source::{FileId, Source, Span};

pub use pieces::Memory;

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
    parse_with(file, source, None)
}

/// The same, without reading again what `memory` holds of it.
pub fn parse_again(file: FileId, source: &Source, memory: &mut Memory) -> Parsed {
    parse_with(file, source, Some(memory))
}

fn parse_with(file: FileId, source: &Source, memory: Option<&mut Memory>) -> Parsed {
    let scanned = scan(file, &source.text);
    match &scanned.text {
        Cow::Borrowed(text) => parse_pieces(file, source, &scanned, &pieces::pieces(text), memory),
        Cow::Owned(_) => {
            memory.into_iter().for_each(Memory::stay);
            parse_whole(file, source, &scanned)
        }
    }
}

fn parse_whole(file: FileId, source: &Source, scanned: &Scanned<'_>) -> Parsed {
    let whole = 0..source.text.len();
    parse_pieces(file, source, scanned, &[whole], None)
}

fn parse_pieces(
    file: FileId,
    source: &Source,
    scanned: &Scanned<'_>,
    pieces: &[Range<usize>],
    mut memory: Option<&mut Memory>,
) -> Parsed {
    let text = source.text.as_str();
    let span = Span::new(file, 0, text.len());
    if u32::try_from(text.len()).is_err() {
        let found = Diagnostic::error(Code::SyntaxError, span, "a file may hold at most 4 GiB");
        let file = ast::File { items: vec![ast::Item::Bad(span)], comments: Vec::new(), span };
        return Parsed { file, diagnostics: vec![found] };
    }
    let comments = comments(file, text);
    let mut builder = Builder {
        source,
        reported: &scanned.reported,
        comments: &comments,
        diagnostics: scanned.diagnostics.clone(),
        operators: 0,
        again: AGAIN * text.len() + 1000,
        repairs: REPAIRS,
    };
    let mut items = Vec::new();
    for piece in pieces {
        let (text, start) = (&scanned.text[piece.clone()], piece.start);
        if let Some(known) = memory.as_mut().and_then(|memory| memory.recall(text, file, start)) {
            items.extend(known);
            continue;
        }
        let (at, said) = (items.len(), builder.diagnostics.len());
        builder.piece(Stretch { file, text, origin: start, mended: None }, &mut items);
        if let Some(memory) = &mut memory
            && builder.diagnostics.len() == said
        {
            memory.keep(text, file, start, &items[at..]);
        }
    }
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
    fn piece(&mut self, at: Stretch<'_>, items: &mut Vec<ast::Item>) {
        match Grammar::parse(Rule::file, at.text) {
            Ok(pairs) => items.extend(self.items(at, pairs)),
            Err(error) => {
                // The grammar takes any text, so this is a mistake of ours; say so rather than stop.
                let message = format!("this file could not be read: {}", error.variant.message());
                let span = at.span(0, at.text.len());
                self.report(Diagnostic::error(Code::SyntaxError, span, message));
                items.push(ast::Item::Bad(span));
            }
        }
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    /// A text read as one piece.
    fn whole(source: &Source) -> Parsed {
        parse_whole(FileId(0), source, &scan(FileId(0), &source.text))
    }

    const TEXT: &str = "// first
use \"a.model\"   // trailing
/// What it does.
/// In two lines.
model Net(n: axis = 3) {
  input x: f32[batch, 2]     // a comment with { in it
  y = x |> dense(n) |> relu
      |> dense(2)
  part[1] { z = (y,
    y) }
  for i in [1, 2] { a[i] = conv(x, kernel: \"}\") as c[i] }
  scan x over t reverse with (h, c) = zeros { h = h + 1; c = c }
  layer own(x: f32[.., n], k: int = 2) { return frozen x }
  generate x { beam 3 length 0.5; stop at END }
  loss mean(y - 1) ; metric f(y)[..]
}

// between

layer two(x: f32[.., ragged t = 3, k = 2 * n]) { return x, x }
data a, b = csv(\"d.csv\", x: columns(0..2)) |> split(at: 5)
  |> batch(3)
devices { gpu[8]: 80 GiB; link within machine: 300 GB/s }
place Net { y, z on gpu[0]; pipeline [y, z] over gpu[0..2] microbatches 2; wire bf16, sum f32 }
replicas Net { copies 8 sync; staleness at most 3 }
/// Of what.
train Net(n: 4) {
  feed a |> batch(2)
  optimize sgd(rate: 0.1)
  evaluate b every 1 epoch
  stop after 2 epochs
  clip norm 5; seed 3; average 0.9; save y to \"p.png\" every 5 steps
}
";

    #[test]
    fn after_any_edits_it_is_what_reading_the_whole_text_anew_gives() {
        let mut state = 7_u64;
        let mut random = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % below
        };
        let snippets = [
            "",
            "",
            "",
            "{",
            "}",
            "(",
            ")",
            "\n",
            "\"",
            "//",
            "///",
            " ",
            "x",
            "model A {\n}\n",
            "}\n\n",
            "@",
            "\ndata c = d\n",
            "\nlayer q(x: f32[..]) {\n  return x\n",
            "input",
            "\u{6}",
            "\u{feff}",
            "é",
            "\nuse ",
        ];
        for round in 0..60 {
            let mut text = TEXT.to_string();
            let mut memory = Memory::default();
            for _ in 0..12 {
                let source = Source::new("a.model", text.as_str());
                memory.turn();
                let found = parse_again(FileId(0), &source, &mut memory);
                let wanted = whole(&source);
                assert_eq!(format!("{found:#?}"), format!("{wanted:#?}"), "round {round}:\n{text}");
                let mut start = random(text.len() + 1);
                let mut end = (start + random(12) * random(2)).min(text.len());
                while !text.is_char_boundary(start) {
                    start -= 1;
                }
                while !text.is_char_boundary(end) {
                    end += 1;
                }
                text.replace_range(start..end, snippets[random(snippets.len())]);
            }
        }
    }

    #[test]
    fn what_did_not_change_is_not_read_again() {
        let mut memory = Memory::default();
        parse_again(FileId(0), &Source::new("a.model", TEXT), &mut memory);
        memory.turn();
        let known = memory.before.len();
        let changed = TEXT.replace("dense(n)", "dense(4 * n)");
        parse_again(FileId(0), &Source::new("a.model", changed), &mut memory);
        assert!(known > 6 && memory.before.len() == 1, "{known}, {:?}", memory.before.keys());
        // A bracket that stays open for a moment forgets nothing.
        memory.turn();
        parse_again(FileId(0), &Source::new("a.model", TEXT.replace("dense(n)", "dense((n)")), &mut memory);
        memory.turn();
        assert!(memory.before.len() >= known, "{:?}", memory.before.keys());
    }
}
