//! The bracket scan, before the grammar sees a text: a text goes in, a text of the same length comes out in which
//! brackets balance and nest at most [`MAX_DEPTH`] deep, and a diagnostic for each that did not.
//!
//! A sound text passes through untouched. In any other, single bytes are replaced by marks that no statement can
//! hold, so that the statement around a broken bracket fails where it should and the grammar's recovery goes on
//! after it. Where a bracket was never closed, indentation says where it should have been.
//!
//! Time is linear: an open bracket's extent is read again at most once, and at most `MAX_DEPTH` extents overlap.

use std::borrow::Cow;

use crate::diagnostic::{Code, Diagnostic};
use crate::lex::{Token, TokenKind, lex};
use crate::source::{FileId, Span};

/// How deep brackets and blocks may nest.
pub(crate) const MAX_DEPTH: usize = 64;

/// So many brackets of one line are mended together.
const MOST_EDITS: usize = 8;

/// What a broken bracket becomes: no rule of the grammar takes it.
const BROKEN: u8 = 1;
/// A newline at which the innermost block should have ended (`block_ends` in the grammar).
const BLOCK_ENDS: u8 = 4;
/// A newline at which all blocks should have ended (`all_blocks_end`).
const ALL_BLOCKS_END: u8 = 5;
/// A newline at which a block should have begun (`block_begins`).
const BLOCK_BEGINS: u8 = 6;
/// Marks of ours, the one on pest's stack included, that stand in the text itself become this.
const FOREIGN: u8 = 0x7f;

/// A text whose brackets balance.
pub(crate) struct Scanned<'t> {
    /// The text, as long as the original.
    pub text: Cow<'t, str>,
    /// One for each place where brackets are wrong.
    pub diagnostics: Vec<Diagnostic>,
    /// Offsets of the brackets that were reported, ascending: what fails there needs no second message.
    pub reported: Vec<usize>,
}

/// Balances the brackets of `text`.
pub(crate) fn scan(file: FileId, text: &str) -> Scanned<'_> {
    if is_sound(text) {
        return Scanned { text: Cow::Borrowed(text), diagnostics: Vec::new(), reported: Vec::new() };
    }
    let bytes = text.as_bytes();
    let mut repair = Repair {
        file,
        bytes,
        out: bytes.iter().map(|&b| if is_mark(b) { FOREIGN } else { b }).collect(),
        diagnostics: Vec::new(),
        reported: Vec::new(),
        stack: Vec::new(),
        braces: Vec::new(),
        last_line: usize::MAX,
        awaits_block: false,
        item_has_head: false,
        head_line: None,
        next_line: None,
    };
    for token in lex(text) {
        repair.token(token);
    }
    while !repair.stack.is_empty() {
        repair.give_up(bytes.len());
    }
    repair.reported.sort_unstable();
    let out = String::from_utf8(repair.out).expect("one ASCII byte was put for another");
    Scanned { text: Cow::Owned(out), diagnostics: repair.diagnostics, reported: repair.reported }
}

fn is_mark(byte: u8) -> bool {
    (BROKEN..=7).contains(&byte)
}

fn is_sound(text: &str) -> bool {
    let mut open = Vec::new();
    for token in lex(text) {
        match token.kind {
            TokenKind::Open => {
                open.push(text.as_bytes()[token.start]);
                if open.len() > MAX_DEPTH {
                    return false;
                }
            }
            TokenKind::Close => {
                if open.pop().map(closer) != Some(text.as_bytes()[token.start]) {
                    return false;
                }
            }
            TokenKind::OpenText => return false,
            TokenKind::Word
            | TokenKind::Number
            | TokenKind::Unit
            | TokenKind::Text
            | TokenKind::Symbol
            | TokenKind::Comment
            | TokenKind::Unknown => {}
        }
    }
    open.is_empty() && !text.bytes().any(is_mark)
}

fn closer(open: u8) -> u8 {
    match open {
        b'(' => b')',
        b'[' => b']',
        _ => b'}',
    }
}

/// Whether an item begins here: one of the words that only stand at the top of a file, and a space.
pub(crate) fn begins_item(rest: &[u8]) -> bool {
    let words = [
        "model ",
        "layer ",
        "devices ",
        "cluster ",
        "place ",
        "replicas ",
        "names ",
        "data ",
        "train ",
        "use ",
    ];
    words.iter().any(|word| rest.starts_with(word.as_bytes()))
}

#[derive(Clone, Copy)]
struct Open {
    byte: u8,
    at: usize,
    line: usize,
    indent: usize,
    too_deep: bool,
}

struct Repair<'t> {
    file: FileId,
    bytes: &'t [u8],
    out: Vec<u8>,
    diagnostics: Vec<Diagnostic>,
    reported: Vec<usize>,
    stack: Vec<Open>,
    /// Where in the stack the `{` are.
    braces: Vec<usize>,
    last_line: usize,
    /// Whether the last line was an item's head without its `{`.
    awaits_block: bool,
    /// Whether the last item has a head and a block, in whose head no other block can stand.
    item_has_head: bool,
    /// The last line if it begins with a word that has a head and a block.
    head_line: Option<usize>,
    /// For a line: how far the next one with code is indented, and what it begins with.
    next_line: Option<(usize, usize, u8)>,
}

impl Repair<'_> {
    fn token(&mut self, token: Token) {
        let Token { start: at, line, first, indent, .. } = token;
        if token.kind == TokenKind::Comment {
            return;
        }
        if first {
            self.line_begins(at, line, indent, token.kind);
        }
        match (token.kind, self.bytes[at]) {
            (TokenKind::Open, byte) => self.open(at, byte, line, indent),
            (TokenKind::Close, b'}') => self.close_block(at, line, indent, first),
            (TokenKind::Close, byte) => self.close_bracket(at, byte, line),
            (TokenKind::OpenText, _) => self.open_text(at, line),
            _ => {}
        }
    }

    fn open_text(&mut self, at: usize, line: usize) {
        let message = "this text is never closed: expected `\"` before the end of the line";
        let rest = &self.bytes[at + 1..];
        // A path or a word: what follows it on its line is no part of it.
        let length = rest.iter().position(|&b| matches!(b, b'\n' | b',' | b')' | b']')).unwrap_or(rest.len());
        let text = rest[..length].trim_ascii_end().len();
        let end = Span::new(self.file, at + 1 + text, at + 1 + text);
        let found = Diagnostic::error(Code::SyntaxError, self.span(at), message);
        self.say(at, line, found.help("close it: write `\"` at its end").edit(end, "\""));
    }

    /// What the first token of a line says about brackets still open.
    fn line_begins(&mut self, at: usize, line: usize, indent: usize, kind: TokenKind) {
        let item = indent == 0 && begins_item(&self.bytes[at..]);
        if item && !self.stack.is_empty() {
            // An item begins in the first column: whatever is still open was never closed.
            let in_block = !self.braces.is_empty();
            while let Some(&open) = self.stack.last() {
                if open.byte == b'{' && !open.too_deep {
                    self.pop();
                    self.never_closed(open, at);
                } else {
                    self.give_up(at);
                }
            }
            if in_block && at > 0 {
                self.out[at - 1] = ALL_BLOCKS_END;
            }
        }
        if self.awaits_block && self.stack.is_empty() && indent > 0 {
            self.begin_block(at, line);
        }
        let one_line = self.bytes[at..].starts_with(b"use ") || self.bytes[at..].starts_with(b"data ");
        self.awaits_block = item && !one_line;
        if item {
            self.item_has_head = !one_line;
        }
        let heads = ["for ", "scan ", "layer ", "generate ", "machine "];
        self.head_line =
            heads.iter().any(|word| self.bytes[at..].starts_with(word.as_bytes())).then_some(line);
        if kind != TokenKind::Close {
            // A line that stands no further in than the one with the open bracket is no part of it.
            while self.stack.last().is_some_and(|o| o.byte != b'{' && o.line != line && indent <= o.indent) {
                self.give_up(at);
            }
        }
    }

    /// An item's head had no `{`, yet an indented line follows.
    fn begin_block(&mut self, at: usize, line: usize) {
        let newline =
            self.bytes[..at].iter().rposition(|&b| b == b'\n').expect("an indented line is not the first");
        if self.out[newline] != b'\n' {
            return;
        }
        self.out[newline] = BLOCK_BEGINS;
        let end =
            self.bytes[..newline].iter().rposition(|b| !b.is_ascii_whitespace()).map_or(0, |last| last + 1);
        // `model Net:` as in Python.
        let colon = end > 0 && self.bytes[end - 1] == b':';
        if colon {
            self.out[end - 1] = b' ';
        }
        let span = Span::new(self.file, end - usize::from(colon), end);
        let help = if colon {
            "write `{` instead of `:`, and `}` after the block"
        } else {
            "add `{`: an indented line follows"
        };
        self.say(
            newline,
            line - 1,
            Diagnostic::error(Code::UnmatchedBracket, span, "expected `{` at the end of this line")
                .help(help)
                .edit(span, " {"),
        );
        self.push(Open { byte: b'{', at: newline, line: line - 1, indent: 0, too_deep: false });
    }

    fn open(&mut self, at: usize, byte: u8, line: usize, indent: usize) {
        if byte == b'{' {
            self.awaits_block = false;
            // `for i in f(n {`: a head's brackets end before its block.
            let is_in_head = |open: &Open, braces: usize| {
                open.byte != b'{' && (braces == 0 && self.item_has_head || Some(open.line) == self.head_line)
            };
            let unclosed =
                self.stack.iter().rev().take_while(|open| is_in_head(open, self.braces.len())).count();
            for _ in 0..unclosed {
                self.give_up(at);
            }
        }
        let too_deep = self.stack.len() >= MAX_DEPTH;
        if too_deep {
            self.out[at] = BROKEN;
            self.reported.push(at);
        }
        if self.stack.len() == MAX_DEPTH {
            let message = format!("brackets and blocks nest deeper than {MAX_DEPTH} here");
            let found = Diagnostic::error(Code::NestedTooDeep, self.span(at), message);
            self.say(at, line, found.help("bind the inner part to a name, or make it a layer"));
        }
        self.push(Open { byte, at, line, indent, too_deep });
    }

    fn close_bracket(&mut self, at: usize, byte: u8, line: usize) {
        let inner = self.stack.iter().rev().take(MAX_DEPTH).take_while(|open| open.byte != b'{');
        match inner.map(|open| closer(open.byte)).position(|b| b == byte) {
            Some(unclosed) => {
                for _ in 0..unclosed {
                    self.give_up(at);
                }
                self.close(at);
            }
            None => match self.stack.last() {
                Some(&open) if open.byte != b'{' && open.line == line && !open.too_deep => {
                    self.mismatched(at, line, open);
                }
                _ => self.stray(at, line),
            },
        }
    }

    /// `[1, 2)`: read as if the right bracket stood there.
    fn mismatched(&mut self, at: usize, line: usize, open: Open) {
        self.pop();
        self.out[at] = closer(open.byte);
        let (expected, found) = (closer(open.byte) as char, self.bytes[at] as char);
        let message = format!("expected `{expected}`, found `{found}`");
        let found = Diagnostic::error(Code::UnmatchedBracket, self.span(at), message)
            .label(self.span(open.at), format!("closes this `{}`", open.byte as char))
            .help(format!("write `{expected}`"))
            .edit(self.span(at), expected);
        self.say(at, line, found);
    }

    fn close_block(&mut self, at: usize, line: usize, indent: usize, first: bool) {
        let Some(&block) = self.braces.last() else { return self.stray(at, line) };
        let (top, brace) = (self.stack[self.stack.len() - 1], self.stack[block]);
        let unclosed = self.stack.len() - 1 - block;
        // `w = f(a}` is more likely a slip for `)` than the end of a block opened lines above.
        if unclosed > 0 && !first && top.line == line && brace.line != line {
            return self.stray(at, line);
        }
        // A `}` behind a statement, and its block goes on in the next line.
        if !first && brace.line != line && self.goes_on(at, line, brace) {
            return self.stray(at, line);
        }
        // A `}` further right than its block's head: the `{` of an inner block is what is missing.
        if first && brace.line != line && indent > brace.indent {
            return self.stray(at, line);
        }
        for _ in 0..unclosed {
            self.give_up(at);
        }
        // A `}` further left than its block's head belongs to an outer block.
        while first && self.braces.len() > 1 && self.stack[self.stack.len() - 1].indent > indent {
            self.give_up(at);
        }
        self.close(at);
    }

    /// Whether the line after `line` is of the block that `brace` opened: it stands further in, or closes it.
    fn goes_on(&mut self, at: usize, line: usize, brace: Open) -> bool {
        if self.next_line.is_none_or(|(of, ..)| of != line) {
            let rest = &self.bytes[at..];
            let newline = rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len());
            let begins = |line: &[u8]| {
                let indent = line.iter().position(|b| !b.is_ascii_whitespace())?;
                (!line[indent..].starts_with(b"//")).then(|| (indent, line[indent]))
            };
            let (indent, byte) = rest[newline..].split(|&b| b == b'\n').find_map(begins).unwrap_or((0, b' '));
            self.next_line = Some((line, indent, byte));
        }
        let closes_outermost =
            |indent, byte| byte == b'}' && indent == brace.indent && self.braces.len() == 1;
        self.next_line
            .is_some_and(|(_, indent, byte)| indent > brace.indent || closes_outermost(indent, byte))
    }

    fn close(&mut self, at: usize) {
        if self.pop().is_some_and(|open| open.too_deep) {
            self.out[at] = BROKEN;
            self.reported.push(at);
        }
    }

    fn stray(&mut self, at: usize, line: usize) {
        self.out[at] = BROKEN;
        self.reported.push(at);
        let message = format!("no open bracket that this `{}` could close", self.bytes[at] as char);
        let found = Diagnostic::error(Code::UnmatchedBracket, self.span(at), message);
        self.say(at, line, found.help("take it out").edit(self.alone(at), ""));
    }

    /// The bracket at `at`, with its line where nothing else stands there.
    fn alone(&self, at: usize) -> Span {
        // A line that is longer holds more than a bracket.
        const FAR: usize = 200;
        let low = at.saturating_sub(FAR);
        let high = (at + 1 + FAR).min(self.bytes.len());
        let newline = self.bytes[low..at].iter().rposition(|&b| b == b'\n').map(|n| low + n + 1);
        let Some(start) = newline.or((low == 0).then_some(0)) else { return self.span(at) };
        let newline = self.bytes[at + 1..high].iter().position(|&b| b == b'\n').map(|n| at + n + 2);
        let Some(end) = newline.or((high == self.bytes.len()).then_some(high)) else { return self.span(at) };
        let blank = |range: std::ops::Range<usize>| self.bytes[range].iter().all(u8::is_ascii_whitespace);
        if blank(start..at) && blank(at + 1..end) {
            return Span::new(self.file, start, end);
        }
        self.span(at)
    }

    /// Where the partner of an open bracket was forgotten, and what to write there.
    fn partner(&self, open: Open, here: usize) -> (Span, String) {
        let at = |offset: usize| Span::new(self.file, offset, offset);
        if open.byte != b'{' {
            let extent = std::str::from_utf8(&self.bytes[open.at..here]).unwrap_or_default();
            let code = lex(extent).filter(|token| token.kind != TokenKind::Comment).last();
            let end = code.map_or(open.at + 1, |last| open.at + last.end);
            return (at(end), (closer(open.byte) as char).to_string());
        }
        let start = self.bytes[..here].iter().rposition(|&b| b == b'\n').map_or(0, |newline| newline + 1);
        let newline = if start == here || self.bytes[start..here].iter().all(u8::is_ascii_whitespace) {
            ""
        } else {
            "\n"
        };
        let place = if newline.is_empty() { start } else { here };
        (at(place), format!("{newline}{}}}\n", " ".repeat(open.indent)))
    }

    /// The innermost open bracket has no partner before `here`. A `(` or `[` is marked where it opens, and its
    /// extent becomes one line, so that it fails as one statement; a block ends at the last newline before `here`.
    fn give_up(&mut self, here: usize) {
        let Some(open) = self.pop() else { return };
        if open.too_deep {
            return;
        }
        let extent = open.at..here;
        let last_newline = self.bytes[extent.clone()].iter().rposition(|&b| b == b'\n').map(|n| open.at + n);
        if open.byte != b'{' {
            self.out[open.at] = BROKEN;
            self.reported.push(open.at);
            for byte in &mut self.out[open.at..last_newline.unwrap_or(open.at)] {
                if *byte == b'\n' {
                    *byte = b' ';
                }
            }
        } else if here < self.bytes.len() {
            match last_newline {
                Some(newline) if self.out[newline] == b'\n' => self.out[newline] = BLOCK_ENDS,
                _ => {
                    self.out[open.at] = BROKEN;
                    self.reported.push(open.at);
                }
            }
        } // else the end of the text closes it
        self.never_closed(open, here);
    }

    fn never_closed(&mut self, open: Open, here: usize) {
        if self.out[open.at] == BLOCK_BEGINS {
            return; // was reported when it began
        }
        let message = format!("this `{}` is never closed", open.byte as char);
        let (place, partner) = self.partner(open, here);
        let mut found = Diagnostic::error(Code::UnmatchedBracket, self.span(open.at), message)
            .help(format!("close it: write `{}`", partner.trim()))
            .edit(place, partner);
        if here < self.bytes.len() {
            found =
                found.label(self.span(here), format!("expected `{}` before this", closer(open.byte) as char));
        }
        self.say(open.at, open.line, found);
    }

    /// At most one message a line.
    fn say(&mut self, at: usize, line: usize, found: Diagnostic) {
        if line != self.last_line {
            self.last_line = line;
            self.diagnostics.push(found);
        } else if let Some(last) = self.diagnostics.last_mut()
            && last.code == Code::UnmatchedBracket
            && last.message == found.message
            && last.edits.len() < MOST_EDITS
        {
            // `f(g(x`: one message, and both edits.
            last.edits.extend(found.edits);
        }
        self.reported.push(at);
    }

    /// The character at `at`.
    fn span(&self, at: usize) -> Span {
        let rest = &self.bytes[at + 1..];
        let more = rest.iter().position(|&b| b & 0xc0 != 0x80).unwrap_or(rest.len());
        Span::new(self.file, at, at + 1 + more)
    }

    fn push(&mut self, open: Open) {
        if open.byte == b'{' {
            self.braces.push(self.stack.len());
        }
        self.stack.push(open);
    }

    fn pop(&mut self) -> Option<Open> {
        let open = self.stack.pop();
        if open.is_some_and(|open| open.byte == b'{') {
            self.braces.pop();
        }
        open
    }
}
