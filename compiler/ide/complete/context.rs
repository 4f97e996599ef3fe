//! Where in the language the cursor stands, by the tokens before it: what follows may be anything, as the text is
//! being written.

use strata_grammar::lex::{Token, TokenKind, lex};

use super::words;
use crate::check::catalog::data_sources;

/// Where the cursor stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// The word that is being written: its first byte. It ends at the cursor.
    pub start: usize,
    /// What can stand there.
    pub spot: Spot,
    /// Where the statement begins, at the latest at the cursor's word.
    pub statement: usize,
    /// Whether the statement is a recipe of data.
    pub data_line: bool,
    /// The block around it, from outermost: the first words of their heads.
    pub blocks: Vec<Head>,
}

/// The head of a block: its first two words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// `model`, `train`, …
    pub word: String,
    /// What follows it: the model that `place` is about.
    pub name: String,
}

/// What can stand at the cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spot {
    /// The first word of a statement or an item.
    Head,
    /// A value.
    Value,
    /// What a recurrence runs over.
    Turns,
    /// What something is piped into.
    Pipe,
    /// An argument of a call.
    Argument(Call),
    /// A type.
    Type,
    /// An axis in a list of axes.
    Axes,
    /// The axis that a recurrence runs along.
    Axis,
    /// An input, which a decoder makes.
    Input,
    /// How a variable begins.
    Initial,
    /// The name of a model.
    Model,
    /// After a part of `place`: `on`, `split over`; a text for each possibility.
    Words(&'static [&'static str]),
    /// A part of a model, in `place`.
    Part,
    /// A device.
    Device,
    /// An axis to split by.
    SplitAxis,
    /// The optimizer.
    Optimizer,
    /// What a rate is piped into.
    Schedule,
    /// A loss or metric.
    Measured,
    /// Inside the quotes of `net(x)["…"]`: a part of this model.
    PartOf(String),
    /// After a number: its unit.
    Unit,
    /// Inside a text in quotes; what stands before the cursor in it, and the call that it is an argument of.
    Text {
        /// What was written of it.
        written: String,
        /// The call around it.
        call: Option<Call>,
        /// Whether it is the path of a `use`.
        used: bool,
    },
}

/// A call that the cursor is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// What is called.
    pub callee: String,
    /// Whether something is piped into it.
    pub piped: bool,
    /// The argument's place: how many commas stand before it.
    pub position: usize,
    /// The argument's name, where the cursor is behind its colon.
    pub named: Option<String>,
    /// Whether nothing of the argument stands before the cursor's word.
    pub fresh: bool,
    /// Names that are given already.
    pub given: Vec<String>,
    /// The path that a call further out begins with: the file that `columns` are of.
    pub path: Option<String>,
    /// The source that it is a field of.
    pub source: Option<String>,
    /// What it is an argument of, where that is no layer of a model: `train`, `optimize`.
    pub line: Option<&'static str>,
}

/// What the tokens before the cursor say; see [`Context`].
struct Found {
    spot: Spot,
    statement: Option<usize>,
    data_line: bool,
    blocks: Vec<Head>,
}

struct Cursor<'t> {
    text: &'t str,
    before: Vec<Token>,
}

/// Where `offset` stands; nothing in a comment.
pub fn context(text: &str, offset: usize) -> Option<Context> {
    let offset = offset.min(text.len());
    let mut before: Vec<Token> = Vec::new();
    let mut quoted = None;
    for token in lex(text) {
        if token.start >= offset {
            break;
        }
        if token.kind == TokenKind::Comment && offset <= token.end {
            return None;
        }
        let inside = match token.kind {
            TokenKind::Text => offset < token.end,
            // It runs to the end of its line.
            TokenKind::OpenText => !text[token.start..offset].contains('\n'),
            TokenKind::Word
            | TokenKind::Number
            | TokenKind::Unit
            | TokenKind::Open
            | TokenKind::Close
            | TokenKind::Symbol
            | TokenKind::Comment
            | TokenKind::Unknown => false,
        };
        if inside {
            quoted = Some(token);
            break;
        }
        if token.kind != TokenKind::Comment {
            before.push(token);
        }
    }
    let mut cursor = Cursor { text, before };
    if let Some(token) = quoted {
        return Some(cursor.in_text(token, offset));
    }
    let start = match cursor.before.last() {
        Some(last) if last.kind == TokenKind::Word && last.end >= offset => {
            let start = last.start;
            cursor.before.pop();
            start
        }
        // Within a number nothing is offered.
        Some(last) if last.kind == TokenKind::Number && last.end >= offset => return None,
        _ => offset,
    };
    let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let Found { spot, statement, data_line, blocks } = cursor.spot(line_start);
    Some(Context { start, spot, statement: statement.unwrap_or(start), data_line, blocks })
}

impl Cursor<'_> {
    fn word(&self, token: &Token) -> &str {
        &self.text[token.start..token.end]
    }

    fn in_text(&self, quote: Token, offset: usize) -> Context {
        let written = self.text[quote.start + 1..offset].to_string();
        let Found { spot, statement, data_line, blocks } = self.spot(quote.line_start);
        let part = self.part_of();
        let call = if let Spot::Argument(call) = spot { Some(call) } else { None };
        let used = self.before.last().is_some_and(|last| self.word(last) == "use");
        let statement = statement.unwrap_or(quote.start);
        Context {
            start: quote.start + 1,
            spot: part.map_or(Spot::Text { written, call, used }, Spot::PartOf),
            statement,
            data_line,
            blocks,
        }
    }

    /// What is called or named right before the `[` at the end: `net` of `net(x)[`.
    fn part_of(&self) -> Option<String> {
        let (bracket, before) = self.before.split_last()?;
        if self.word(bracket) != "[" {
            return None;
        }
        let mut depth = 0usize;
        for token in before.iter().rev() {
            match token.kind {
                TokenKind::Close => depth += 1,
                TokenKind::Open => depth = depth.checked_sub(1)?,
                TokenKind::Word if depth == 0 => return Some(self.word(token).to_string()),
                TokenKind::Word
                | TokenKind::Number
                | TokenKind::Unit
                | TokenKind::Text
                | TokenKind::OpenText
                | TokenKind::Symbol
                | TokenKind::Comment
                | TokenKind::Unknown => {
                    if depth == 0 {
                        return None;
                    }
                }
            }
        }
        None
    }

    /// Whether it begins an item: that ends whatever was left open before it.
    fn begins_item(&self, token: &Token) -> bool {
        let unindented = token.first && token.indent == 0 && token.kind == TokenKind::Word;
        unindented && words::ITEMS.contains(&self.word(token))
    }

    /// The indices of the brackets that are open before the cursor.
    fn open(&self) -> Vec<usize> {
        let mut open: Vec<usize> = Vec::new();
        for (at, token) in self.before.iter().enumerate() {
            let byte = self.text.as_bytes()[token.start];
            if self.begins_item(token) {
                open.clear();
            }
            if token.kind == TokenKind::Open {
                open.push(at);
            } else if token.kind == TokenKind::Close {
                let partner = match byte {
                    b')' => b'(',
                    b']' => b'[',
                    _ => b'{',
                };
                if let Some(found) =
                    open.iter().rposition(|i| self.text.as_bytes()[self.before[*i].start] == partner)
                {
                    open.truncate(found);
                }
            }
        }
        open
    }

    /// Where the statement begins that token `at` stands in: after the block's bracket, a `;`, a `}`, or at a line's
    /// beginning that is no operator and inside no bracket. `floor`: the block's bracket.
    fn statement_start(&self, floor: usize, at: usize) -> usize {
        let mut start = floor;
        let mut depth = 0usize;
        for i in floor..at {
            let token = &self.before[i];
            let text = self.word(token);
            if self.begins_item(token) {
                depth = 0;
            }
            match token.kind {
                TokenKind::Open => depth += 1,
                TokenKind::Close => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 && text == "}" {
                        start = i + 1;
                        continue;
                    }
                }
                TokenKind::Symbol if text == ";" && depth == 0 => {
                    start = i + 1;
                    continue;
                }
                TokenKind::Word
                | TokenKind::Number
                | TokenKind::Unit
                | TokenKind::Text
                | TokenKind::OpenText
                | TokenKind::Symbol
                | TokenKind::Comment
                | TokenKind::Unknown => {}
            }
            let inside = if token.kind == TokenKind::Open { depth > 1 } else { depth > 0 };
            if token.first && !inside && token.kind != TokenKind::Symbol && token.kind != TokenKind::Close {
                start = i;
            }
        }
        start
    }

    fn spot(&self, line_start: usize) -> Found {
        let open = self.open();
        let byte = |at: usize| self.text.as_bytes()[self.before[at].start];
        let braces: Vec<usize> = open.iter().copied().filter(|at| byte(*at) == b'{').collect();
        let mut floor = 0;
        let mut blocks = Vec::new();
        for brace in &braces {
            let start = self.statement_start(floor, *brace);
            blocks.push(self.head(start, *brace));
            floor = brace + 1;
        }
        let count = self.before.len();
        let mut start = self.statement_start(floor, count);
        let bracket = open.last().copied().filter(|at| byte(*at) != b'{');
        // The word at the cursor may begin a new statement.
        if bracket.is_none()
            && let Some(last) = self.before.last()
            && last.line_start < line_start
            && start < count
        {
            start = count;
        }
        let first = self.before.get(start).filter(|_| start < count).map_or("", |token| self.word(token));
        let second = self.before.get(start + 1).map_or("", |token| self.word(token));
        let block = blocks.last().map_or("", |head| head.word.as_str());
        let data_line = (blocks.is_empty() && first == "data")
            || (block == "train" && matches!(first, "feed" | "evaluate"));
        let spot = match bracket {
            Some(at) if byte(at) == b'(' => self.argument(at, &open, block, first),
            Some(at) => self.bracket(at, block),
            None => self.statement(&self.before[start..], block, first, second),
        };
        let statement = self.before.get(start).map(|token| token.start);
        Found { spot, statement, data_line, blocks }
    }

    fn head(&self, start: usize, brace: usize) -> Head {
        let word = |at: usize| {
            let token = self.before.get(at).filter(|_| at < brace);
            token.map_or(String::new(), |token| self.word(token).to_string())
        };
        Head { word: word(start), name: word(start + 1) }
    }

    fn argument(&self, open: usize, all: &[usize], block: &str, first: &str) -> Spot {
        let Some(callee) = open.checked_sub(1).map(|at| &self.before[at]) else { return Spot::Value };
        if callee.kind != TokenKind::Word || matches!(self.word(callee), "and" | "or" | "not" | "in") {
            return Spot::Value;
        }
        if self.word(callee) == "with" {
            // The states of a recurrence, which get their names here.
            return Spot::Words(&[]);
        }
        if matches!(first, "model" | "layer") && open >= 2 && self.word(&self.before[open - 2]) == first {
            // The parameters of a definition: a type after the colon.
            let colon = self.before.last().is_some_and(|last| self.word(last) == ":");
            return if colon { Spot::Type } else { Spot::Words(&[]) };
        }
        let piped = open >= 2 && self.word(&self.before[open - 2]) == "|>";
        let (mut position, mut depth, mut given) = (0, 0usize, Vec::new());
        let mut begins = open + 1;
        for at in open + 1..self.before.len() {
            let token = &self.before[at];
            match token.kind {
                TokenKind::Open => depth += 1,
                TokenKind::Close => depth = depth.saturating_sub(1),
                TokenKind::Symbol if depth == 0 && self.word(token) == "," => {
                    position += 1;
                    begins = at + 1;
                }
                TokenKind::Symbol if depth == 0 && self.word(token) == ":" && at == begins + 1 => {
                    given.push(self.word(&self.before[begins]).to_string());
                }
                TokenKind::Word
                | TokenKind::Number
                | TokenKind::Unit
                | TokenKind::Text
                | TokenKind::OpenText
                | TokenKind::Symbol
                | TokenKind::Comment
                | TokenKind::Unknown => {}
            }
        }
        let argument = &self.before[begins..];
        let named = match argument {
            [name, colon, ..] if self.word(colon) == ":" => Some(self.word(name).to_string()),
            _ => None,
        };
        let fresh = argument.is_empty() || (argument.len() == 2 && named.is_some());
        let line = match (block, first) {
            ("", "train") => Some("train"),
            ("train", "optimize") => Some("optimize"),
            _ => None,
        };
        if !fresh && argument.last().is_some_and(|last| self.word(last) == "|>") {
            return if line == Some("optimize") { Spot::Schedule } else { Spot::Pipe };
        }
        let path = all.iter().rev().find_map(|bracket| {
            let text = self.before.get(bracket + 1).filter(|token| token.kind == TokenKind::Text)?;
            Some(self.word(text).trim_matches('"').to_string())
        });
        // Brackets further out that hold a call's arguments.
        let outer = all.iter().rev().skip_while(|bracket| **bracket >= open);
        let called = outer.filter_map(|bracket| self.before.get(bracket.checked_sub(1)?));
        let source = called.map(|token| self.word(token)).find(|word| data_sources().contains(word));
        let callee = self.word(callee).to_string();
        let own = data_sources().contains(&callee.as_str()).then(|| callee.clone());
        let source = own.or(source.map(str::to_string));
        Spot::Argument(Call { callee, piped, position, named, fresh, given, path, source, line })
    }

    fn bracket(&self, open: usize, block: &str) -> Spot {
        if block == "place" {
            return Spot::Part;
        }
        let before = open.checked_sub(1).map(|at| &self.before[at]);
        let is_type = before.is_some_and(|token| {
            let word = self.word(token);
            strata_runtime::DType::from_name(word).is_some() || matches!(word, "float" | "int" | "tensor")
        });
        if is_type { Spot::Axes } else { Spot::Value }
    }

    fn statement(&self, tokens: &[Token], block: &str, first: &str, second: &str) -> Spot {
        let Some(last) = tokens.last() else { return Spot::Head };
        let end = self.word(last);
        if end == "|>" {
            return Spot::Pipe;
        }
        if first == "scan" && !matches!(second, "=" | ",") && !block.is_empty() {
            return self.scan(tokens, last);
        }
        if last.kind == TokenKind::Number {
            return Spot::Unit;
        }
        let alone = tokens.len() == 1;
        match (block, first) {
            ("", "place" | "replicas" | "names" | "train") if alone => Spot::Model,
            ("", "use" | "model" | "layer" | "cluster" | "devices") => Spot::Words(&[]),
            ("", "data") if end == "=" => Spot::Value,
            ("", _) => Spot::Words(&[]),
            ("place", _) => self.place(tokens, first, end),
            ("replicas", "params") => match tokens.len() {
                1 => Spot::Words(&["split over"]),
                _ if end == "over" => Spot::Device,
                _ => Spot::Words(&[]),
            },
            ("replicas", "copies" | "groups") if tokens.len() > 1 => Spot::Words(&["sync", "async"]),
            ("replicas", "wire") | ("train", "precision") if alone => Spot::Type,
            ("train", "optimize") if alone => Spot::Optimizer,
            ("train", "optimize") if end == "|>" => Spot::Schedule,
            ("train", "stop") if alone => Spot::Words(&["after", "when"]),
            ("train", "stop") if end == "when" => Spot::Measured,
            ("train", "clip") if alone => Spot::Words(&["norm", "value"]),
            ("train", "evaluate") if last.kind == TokenKind::Word && !alone => Spot::Words(&["every"]),
            ("replicas" | "devices" | "machine" | "cluster" | "generate", _) => Spot::Words(&[]),
            (_, "input" | "param" | "const" | "state") if end == ":" && tokens.len() == 3 => Spot::Type,
            (_, "input" | "param" | "const" | "state" | "layer" | "update" | "for" | "generate") if alone => {
                match first {
                    "update" => Spot::Value,
                    "generate" => Spot::Input,
                    _ => Spot::Words(&[]),
                }
            }
            (_, "param" | "const" | "state") if end == "=" => Spot::Initial,
            _ if last.kind == TokenKind::Word
                && !second.is_empty()
                && !matches!(
                    end,
                    "in" | "return" | "loss" | "metric" | "and" | "or" | "not" | "frozen" | "with"
                ) =>
            {
                Spot::Words(&[])
            }
            _ if matches!(last.kind, TokenKind::Close | TokenKind::Text) => Spot::Words(&["as"]),
            _ => Spot::Value,
        }
    }

    /// `scan a, b over time reverse with (h, c) = start`, up to its bracket.
    fn scan(&self, tokens: &[Token], last: &Token) -> Spot {
        let has = |word: &str| tokens.iter().any(|token| self.word(token) == word);
        let along = has("over") || has("times");
        let open =
            last.kind == TokenKind::Symbol || matches!(self.word(last), "and" | "or" | "not" | "frozen");
        match self.word(last) {
            "over" => Spot::Axis,
            "scan" => Spot::Turns,
            "," if !along => Spot::Turns,
            _ if has("with") && !has("=") => Spot::Words(&[]),
            _ if open => Spot::Value,
            _ if has("with") => Spot::Words(if last.kind == TokenKind::Close { &["as"] } else { &[] }),
            "reverse" => Spot::Words(&["with"]),
            _ if along => Spot::Words(&["reverse", "with"]),
            _ => Spot::Words(&["over", "times"]),
        }
    }

    fn place(&self, tokens: &[Token], first: &str, end: &str) -> Spot {
        let has = |word: &str| tokens.iter().any(|token| self.word(token) == word);
        match end {
            "on" | "over" => Spot::Device,
            "by" => Spot::SplitAxis,
            "split" => Spot::Words(&["over"]),
            "wire" => Spot::Type,
            "," if has("by") => Spot::SplitAxis,
            "," | "remat" => Spot::Part,
            "pipeline" => Spot::Words(&["["]),
            _ if first == "pipeline" => Spot::Words(&["over", "microbatches", "schedule"]),
            _ if has("over") => Spot::Words(&["by"]),
            _ if has("on") => Spot::Words(&[]),
            _ => Spot::Words(&["on", "split over"]),
        }
    }
}
