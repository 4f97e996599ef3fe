//! Tokens -> lines: which tokens share a line, how many blanks lie between them, and what each line's indentation
//! hangs on. Columns come later, in `align.rs`.

use std::collections::HashMap;

use super::WIDTH;
use super::hints::Hints;
use crate::lex::{Token, TokenKind, lex};

/// Blanks a block's lines stand further in than its head.
const INDENT: usize = 2;

/// A line to be.
pub(super) struct Line<'t> {
    /// What its first piece's column follows.
    pub anchor: Anchor,
    /// Which bracket it begins in: lines of one bracket may be aligned with each other.
    pub frame: usize,
    /// Its tokens; one for a comment on its own line.
    pub pieces: Vec<Piece<'t>>,
    /// The comment behind its code.
    pub comment: Option<Trailing<'t>>,
    /// Whether an empty line stands before it.
    pub blank_before: bool,
    /// Whether it begins a statement or an element, rather than going on with one.
    pub begins: Begins,
}

/// What a line begins with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Begins {
    /// A statement, or an element in brackets.
    Statement,
    /// An operator that goes on with what stands above, or a closing bracket.
    Rest,
    /// A comment, which is all there is.
    Comment,
}

/// Where a line's first piece goes.
#[derive(Clone, Copy)]
pub(super) enum Anchor {
    /// So many blanks.
    Fixed(usize),
    /// So many columns further in than a line's first piece.
    Line(usize, usize),
    /// So many columns right of where a piece (line, index) begins.
    Piece(usize, usize, usize),
    /// An operator so wide, so that its right operand stands under a piece (line, index), its left operand.
    Operand(usize, usize, usize),
}

/// A token in a line.
pub(super) struct Piece<'t> {
    /// As written.
    pub text: &'t str,
    /// Blanks before it, if nothing is aligned: 0 or 1.
    pub gap: usize,
    /// What may stand above or below it in an aligned column.
    pub class: Class<'t>,
    /// Where it stood, unless the printer made it.
    pub origin: Option<Origin>,
}

/// Where a piece stood in the source; columns in characters.
#[derive(Clone, Copy)]
pub(super) struct Origin {
    /// Its line.
    pub line: usize,
    /// Its column.
    pub column: usize,
    /// Whether more than one blank stood before it.
    pub wide: bool,
}

/// Pieces of one class may be aligned with each other.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Class<'t> {
    /// What begins an operand.
    Operand,
    /// An operator or a `{`, as written.
    Symbol(&'t str),
}

/// A comment behind code; columns in characters.
pub(super) struct Trailing<'t> {
    /// As written.
    pub text: &'t str,
    /// Its column in the source.
    pub column: usize,
    /// Where the code before it ended in the source.
    pub code_end: usize,
}

struct Frame {
    id: usize,
    kind: FrameKind,
    /// Where its lines go, and its closing bracket if that begins a line.
    inside: Anchor,
    close: Anchor,
    /// The line on which its statement under way begins.
    statement: usize,
    /// Whether the next token begins a statement.
    fresh: bool,
    /// Whether it holds no statement so far.
    empty: bool,
    /// Whether it is part of an expression, so that its end is not its statement's.
    is_inner: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum FrameKind {
    /// The file, or a block over several lines.
    Lines,
    /// A block on one line.
    OneLine,
    /// `(` or `[`.
    Bracket,
}

struct Layout<'t, 'h> {
    text: &'t str,
    hints: &'h Hints,
    tokens: Vec<Token>,
    /// For each opening bracket the index of its partner.
    partners: Vec<usize>,
    /// For each token the columns where it begins and ends, in characters.
    columns: Vec<(usize, usize)>,
    lines: Vec<Line<'t>>,
    frames: Vec<Frame>,
    next_frame: usize,
    /// Comments on their own lines that wait for the line they belong to.
    waiting: Vec<usize>,
    /// Where the tokens went, by their offset.
    places: HashMap<usize, (usize, usize)>,
    /// The first `|>` of each chain, by the offset of the chain's first operand.
    pipes: HashMap<usize, usize>,
}

pub(super) fn lines<'t>(text: &'t str, hints: &Hints) -> Vec<Line<'t>> {
    let tokens: Vec<Token> = lex(text).collect();
    let partners = partners(&tokens);
    let columns = columns(text, &tokens);
    let file = Frame {
        id: 0,
        kind: FrameKind::Lines,
        inside: Anchor::Fixed(0),
        close: Anchor::Fixed(0),
        statement: 0,
        fresh: true,
        empty: true,
        is_inner: true,
    };
    let mut layout = Layout {
        text,
        hints,
        tokens,
        partners,
        columns,
        lines: Vec::new(),
        frames: vec![file],
        next_frame: 1,
        waiting: Vec::new(),
        places: HashMap::new(),
        pipes: HashMap::new(),
    };
    for at in 0..layout.tokens.len() {
        match layout.tokens[at].kind {
            TokenKind::Comment => layout.comment(at),
            TokenKind::Word
            | TokenKind::Number
            | TokenKind::Unit
            | TokenKind::Text
            | TokenKind::OpenText
            | TokenKind::Open
            | TokenKind::Close
            | TokenKind::Symbol
            | TokenKind::Unknown => layout.token(at),
        }
    }
    layout.settle(Anchor::Fixed(0));
    layout.lines
}

/// For each opening bracket its closing one; brackets balance in a text without mistakes.
fn partners(tokens: &[Token]) -> Vec<usize> {
    let mut partners = vec![tokens.len(); tokens.len()];
    let mut open = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        if token.kind == TokenKind::Open {
            open.push(at);
        } else if token.kind == TokenKind::Close
            && let Some(opener) = open.pop()
        {
            partners[opener] = at;
        }
    }
    partners
}

fn columns(text: &str, tokens: &[Token]) -> Vec<(usize, usize)> {
    let (mut offset, mut column) = (0, 0);
    let mut columns = Vec::with_capacity(tokens.len());
    for token in tokens {
        if offset < token.line_start {
            (offset, column) = (token.line_start, 0);
        }
        let start = column + text[offset..token.start].chars().count();
        let end = start + text[token.start..token.end].chars().count();
        (offset, column) = (token.end, end);
        columns.push((start, end));
    }
    columns
}

impl<'t> Layout<'t, '_> {
    fn text(&self, at: usize) -> &'t str {
        let token = self.tokens[at];
        &self.text[token.start..token.end]
    }

    fn frame(&mut self) -> &mut Frame {
        self.frames.last_mut().expect("the file's frame is never closed")
    }

    fn comment(&mut self, at: usize) {
        let token = self.tokens[at];
        let text = self.text(at).trim_end();
        if !token.first
            && at > 0
            && let Some(line) = self.lines.last()
            && line.comment.is_none()
            && line.begins != Begins::Comment
        {
            let trailing = Trailing { text, column: self.columns[at].0, code_end: self.columns[at - 1].1 };
            self.lines.last_mut().expect("it was there a moment ago").comment = Some(trailing);
            return;
        }
        let blank_before = self.blank_before(at);
        let frame = self.frame().id;
        self.waiting.push(self.lines.len());
        let piece = Piece { text, gap: 0, class: Class::Operand, origin: None };
        self.lines.push(Line {
            anchor: Anchor::Fixed(0),
            frame,
            pieces: vec![piece],
            comment: None,
            blank_before,
            begins: Begins::Comment,
        });
    }

    /// Gives comments that wait for the next line their place.
    fn settle(&mut self, anchor: Anchor) {
        for line in self.waiting.drain(..) {
            self.lines[line].anchor = anchor;
        }
    }

    /// Whether an empty line before this token is kept: not where a bracket was just opened.
    fn blank_before(&self, at: usize) -> bool {
        let Some(before) = at.checked_sub(1).map(|before| self.tokens[before]) else { return false };
        before.kind != TokenKind::Open && self.tokens[at].line > before.line + 1
    }

    fn token(&mut self, at: usize) {
        let token = self.tokens[at];
        let text = self.text(at);
        match self.frame().kind {
            FrameKind::Lines | FrameKind::OneLine if text == ";" => self.frame().fresh = true,
            FrameKind::Lines => self.token_in_lines(at, token),
            FrameKind::OneLine => self.token_in_one_line(at, token),
            FrameKind::Bracket => self.token_in_bracket(at, token),
        }
        if token.kind == TokenKind::Open {
            self.open(at);
        }
    }

    fn token_in_lines(&mut self, at: usize, token: Token) {
        let (inside, close, fresh, empty) = {
            let frame = self.frame();
            (frame.inside, frame.close, frame.fresh, frame.empty)
        };
        if token.kind == TokenKind::Close {
            self.settle(inside);
            let holds_nothing = empty && self.tokens[at - 1].kind == TokenKind::Open;
            self.close_block();
            if holds_nothing {
                self.append(at, 0);
            } else {
                self.begin(at, close, Begins::Rest);
            }
        } else if fresh || token.first && !self.hints.operators.contains_key(&token.start) {
            let line = self.lines.len();
            let frame = self.frame();
            frame.fresh = false;
            frame.empty = false;
            frame.statement = line;
            self.begin(at, inside, Begins::Statement);
        } else if token.first {
            let anchor = self.under_operand(at);
            self.begin(at, anchor, Begins::Rest);
        } else {
            self.append(at, self.gap(at - 1, at));
        }
    }

    fn token_in_one_line(&mut self, at: usize, token: Token) {
        let line = self.lines.len() - 1;
        let frame = self.frame();
        if token.kind == TokenKind::Close {
            let gap = usize::from(!frame.empty);
            self.close_block();
            self.append(at, gap);
            return;
        }
        if !frame.fresh {
            return self.append(at, self.gap(at - 1, at));
        }
        let is_first = std::mem::replace(&mut frame.empty, false);
        frame.fresh = false;
        frame.statement = line;
        if !is_first {
            let semicolon = Piece { text: ";", gap: 0, class: Class::Symbol(";"), origin: None };
            self.lines[line].pieces.push(semicolon);
        }
        self.append(at, 1);
    }

    fn token_in_bracket(&mut self, at: usize, token: Token) {
        let (inside, close) = (self.frame().inside, self.frame().close);
        if token.kind == TokenKind::Close {
            self.settle(inside);
            self.frames.pop();
            if token.first {
                self.begin(at, close, Begins::Rest);
            } else {
                self.append(at, self.gap(at - 1, at));
            }
        } else if token.first && self.hints.operators.contains_key(&token.start) {
            let anchor = self.under_operand(at);
            self.begin(at, anchor, Begins::Rest);
        } else if token.first {
            self.begin(at, inside, Begins::Statement);
        } else {
            self.append(at, self.gap(at - 1, at));
        }
    }

    /// Ends the innermost block; unless it was part of an expression, its statement ends as well.
    fn close_block(&mut self) {
        if self.frames.pop().is_some_and(|block| !block.is_inner) {
            self.frame().fresh = true;
        }
    }

    fn open(&mut self, at: usize) {
        let (line, piece) = self.places[&self.tokens[at].start];
        let partner = self.partners[at];
        let id = self.next_frame;
        self.next_frame += 1;
        if self.text(at) != "{" {
            let hangs =
                self.tokens.get(at + 1).is_some_and(|next| next.first || next.kind == TokenKind::Comment);
            let (inside, close) = if hangs {
                (Anchor::Line(line, INDENT), Anchor::Line(line, 0))
            } else {
                (Anchor::Piece(line, piece, 1), Anchor::Piece(line, piece, 0))
            };
            let kind = FrameKind::Bracket;
            let is_inner = true;
            self.frames.push(Frame {
                id,
                kind,
                inside,
                close,
                statement: line,
                fresh: false,
                empty: true,
                is_inner,
            });
            return;
        }
        let is_inner = self.hints.inner_blocks.contains(&self.tokens[at].start);
        let head = if is_inner { line } else { self.frame().statement };
        let last = self.tokens.get(partner).copied().unwrap_or(self.tokens[at]);
        let one_line =
            last.line == self.tokens[at].line && self.natural_width(line) + self.width_of_block(at) <= WIDTH;
        let kind = if one_line { FrameKind::OneLine } else { FrameKind::Lines };
        let (inside, close) = (Anchor::Line(head, INDENT), Anchor::Line(head, 0));
        self.frames.push(Frame {
            id,
            kind,
            inside,
            close,
            statement: line,
            fresh: true,
            empty: true,
            is_inner,
        });
    }

    /// How wide a line is so far, were nothing aligned and its indentation that of its block.
    fn natural_width(&self, line: usize) -> usize {
        let blocks = self.frames.iter().filter(|frame| frame.kind == FrameKind::Lines).count() - 1;
        let pieces = self.lines[line].pieces.iter().map(|piece| piece.gap + piece.text.chars().count());
        blocks * INDENT + pieces.sum::<usize>()
    }

    /// How wide the block that opens at `open` is on one line, without the `{`.
    fn width_of_block(&self, open: usize) -> usize {
        struct Block {
            fresh: bool,
            empty: bool,
            is_inner: bool,
        }
        let is_inner = |at: usize| self.hints.inner_blocks.contains(&self.tokens[at].start);
        let mut width = 0;
        let mut blocks = vec![Block { fresh: true, empty: true, is_inner: true }];
        for at in open + 1..=self.partners[open].min(self.tokens.len() - 1) {
            let text = self.text(at);
            let Some(block) = blocks.last_mut() else { break };
            match text {
                ";" => block.fresh = true,
                "}" => {
                    width += usize::from(!block.empty) + 1;
                    let ends_statement = !block.is_inner;
                    blocks.pop();
                    if let Some(outer) = blocks.last_mut() {
                        outer.fresh |= ends_statement;
                    }
                }
                _ => {
                    let before = match (block.fresh, block.empty) {
                        (false, _) => self.gap(at - 1, at),
                        (true, true) => 1,
                        (true, false) => "; ".len(),
                    };
                    width += before + text.chars().count();
                    block.fresh = false;
                    block.empty = false;
                    if text == "{" {
                        blocks.push(Block { fresh: true, empty: true, is_inner: is_inner(at) });
                    }
                }
            }
        }
        width
    }

    /// Where an operator that begins a line goes: `|>` under the first of its chain, any other so that what follows
    /// it stands under its left operand.
    fn under_operand(&self, at: usize) -> Anchor {
        let token = self.tokens[at];
        let left = self.hints.operators.get(&token.start).copied().unwrap_or(token.start);
        let first_pipe = self.pipes.get(&left).filter(|_| self.text(at) == "|>");
        if let Some(&(line, piece)) = first_pipe.and_then(|pipe| self.places.get(pipe)) {
            return Anchor::Piece(line, piece, 0);
        }
        match self.places.get(&left) {
            Some(&(line, piece)) => Anchor::Operand(line, piece, self.text(at).chars().count()),
            None => Anchor::Fixed(INDENT),
        }
    }

    fn begin(&mut self, at: usize, anchor: Anchor, begins: Begins) {
        self.settle(anchor);
        let is_end = self.tokens[at].kind == TokenKind::Close;
        let goes_on = self.hints.operators.contains_key(&self.tokens[at].start);
        let blank_before = !is_end && !goes_on && self.blank_before(at);
        let frame = self.frame().id;
        self.lines.push(Line { anchor, frame, pieces: Vec::new(), comment: None, blank_before, begins });
        self.append(at, 0);
    }

    fn append(&mut self, at: usize, gap: usize) {
        let token = self.tokens[at];
        let text = self.text(at);
        let line = self.lines.len() - 1;
        let class = match token.kind {
            TokenKind::Symbol if !self.hints.signs.contains(&token.start) => Class::Symbol(text),
            TokenKind::Open if text == "{" => Class::Symbol(text),
            TokenKind::Word
            | TokenKind::Number
            | TokenKind::Unit
            | TokenKind::Text
            | TokenKind::OpenText
            | TokenKind::Open
            | TokenKind::Close
            | TokenKind::Symbol
            | TokenKind::Comment
            | TokenKind::Unknown => Class::Operand,
        };
        let wide = !token.first && at > 0 && gap == 1 && token.start > self.tokens[at - 1].end + 1;
        let origin = Some(Origin { line: token.line, column: self.columns[at].0, wide });
        self.places.insert(token.start, (line, self.lines[line].pieces.len()));
        if text == "|>"
            && let Some(&left) = self.hints.operators.get(&token.start)
        {
            self.pipes.entry(left).or_insert(token.start);
        }
        self.lines[line].pieces.push(Piece { text, gap, class, origin });
    }

    /// Blanks between two tokens of one line that are no statements' borders.
    fn gap(&self, before: usize, at: usize) -> usize {
        let (last, next) = (self.text(before), self.text(at));
        let (last_token, next_token) = (self.tokens[before], self.tokens[at]);
        let is_tight = match (last, next) {
            (_, "," | ";" | ":" | ")" | "]") | ("(" | "[", _) => true,
            (_, "(" | "[") => {
                let after_pipeline = self.hints.pipelines.contains(&last_token.start);
                !self.hints.loose.contains(&next_token.start) && !after_pipeline
                    || self.hints.signs.contains(&last_token.start)
                    || last == ".."
            }
            ("..", _) => true,
            (_, "..") => last != "," && last != ":" && last != "=",
            _ => self.hints.signs.contains(&last_token.start),
        };
        usize::from(!is_tight)
    }
}
