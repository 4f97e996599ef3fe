//! Text cut into tokens: what the bracket scan, the printer, the messages and editors need to know of it. Never
//! fails; what is no token of the language becomes [`TokenKind::Unknown`], one character at a time.

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// A name or a keyword.
    Word,
    /// `3`, `1e-3`
    Number,
    /// `GB/s`: a unit with a slash in it; those without are words.
    Unit,
    /// `"text"`, with both quotes.
    Text,
    /// The opening quote of a text that is not closed on its line; what follows is read as if it were not there.
    OpenText,
    /// `(`, `[`, `{`
    Open,
    /// `)`, `]`, `}`
    Close,
    /// An operator or punctuation.
    Symbol,
    /// `// …`, without the newline.
    Comment,
    /// Anything else, one character.
    Unknown,
}

/// A token and its place.
#[derive(Clone, Copy, Debug)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
    /// Its line, from 0.
    pub line: usize,
    /// Where its line begins.
    pub line_start: usize,
    /// How far its line is indented, in bytes.
    pub indent: usize,
    /// Whether it is the first on its line.
    pub first: bool,
}

/// All tokens of `text` in order.
pub fn lex(text: &str) -> Lexer<'_> {
    let at = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    Lexer { text, at, line: 0, line_start: at, indent: 0, first: true, after_number: false }
}

/// The iterator behind [`lex`].
#[derive(Clone, Debug)]
pub struct Lexer<'t> {
    text: &'t str,
    at: usize,
    line: usize,
    line_start: usize,
    indent: usize,
    first: bool,
    after_number: bool,
}

impl Iterator for Lexer<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        let bytes = self.text.as_bytes();
        loop {
            match bytes.get(self.at)? {
                b'\n' => {
                    self.at += 1;
                    self.line += 1;
                    self.line_start = self.at;
                    self.first = true;
                }
                b' ' | b'\t' | b'\r' => self.at += 1,
                _ => break,
            }
        }
        let start = self.at;
        let (kind, end) = token_at(self.text, start, self.after_number);
        let first = std::mem::replace(&mut self.first, false);
        if first {
            self.indent = start - self.line_start;
        }
        self.at = end;
        self.after_number = kind == TokenKind::Number;
        let Lexer { line, line_start, indent, .. } = *self;
        Some(Token { kind, start, end, line, line_start, indent, first })
    }
}

/// Whether `byte` may stand in a word after its first letter.
pub(crate) fn in_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn token_at(text: &str, start: usize, after_number: bool) -> (TokenKind, usize) {
    let rest = &text.as_bytes()[start..];
    let run = |from: usize, part: fn(u8) -> bool| {
        rest[from..].iter().position(|&b| !part(b)).map_or(rest.len(), |n| from + n)
    };
    let (kind, length) = match rest[0] {
        b'/' if rest.get(1) == Some(&b'/') => (TokenKind::Comment, line_length(rest)),
        b'"' => text_length(rest),
        b'(' | b'[' | b'{' => (TokenKind::Open, 1),
        b')' | b']' | b'}' => (TokenKind::Close, 1),
        b'0'..=b'9' => number_length(rest),
        b if in_word(b) => {
            let word = run(1, in_word);
            let slashed =
                matches!(&rest[..word], [.., b'B'] | [.., b'b', b'i', b't'] | [.., b'F', b'L', b'O', b'P'])
                    && rest[word..].starts_with(b"/s")
                    && !rest.get(word + 2).is_some_and(|&b| in_word(b));
            if after_number && slashed { (TokenKind::Unit, word + 2) } else { (TokenKind::Word, word) }
        }
        _ => {
            let pairs: [&[u8]; 6] = [b"|>", b"==", b"!=", b"<=", b">=", b".."];
            if pairs.iter().any(|pair| rest.starts_with(pair)) {
                (TokenKind::Symbol, 2)
            } else if b"<>+-*/%@:,;=".contains(&rest[0]) {
                (TokenKind::Symbol, 1)
            } else {
                (TokenKind::Unknown, text[start..].chars().next().map_or(1, char::len_utf8))
            }
        }
    };
    (kind, start + length)
}

/// Bytes up to the end of the line, without a carriage return before the newline.
fn line_length(rest: &[u8]) -> usize {
    let end = rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len());
    rest[..end].iter().rposition(|&b| b != b'\r').map_or(0, |last| last + 1)
}

fn text_length(rest: &[u8]) -> (TokenKind, usize) {
    let mut at = 1;
    loop {
        match rest.get(at) {
            None | Some(b'\n') => return (TokenKind::OpenText, 1),
            Some(b'"') => return (TokenKind::Text, at + 1),
            Some(b'\\') if rest.get(at + 1).is_some_and(|&b| b != b'\n') => at += 2,
            Some(_) => at += 1,
        }
    }
}

/// As the grammar has it: `1_000.5e-3`. A number with letters at its end is no number: a word, for messages.
fn number_length(rest: &[u8]) -> (TokenKind, usize) {
    let digits = |from: usize| {
        let part = |b: &u8| b.is_ascii_digit() || *b == b'_';
        rest[from..].iter().position(|b| !part(b)).map_or(rest.len(), |n| from + n)
    };
    let is_digit = |at: usize| rest.get(at).is_some_and(u8::is_ascii_digit);
    let mut end = digits(1);
    if rest.get(end) == Some(&b'.') && is_digit(end + 1) {
        end = digits(end + 2);
    }
    if matches!(rest.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(rest.get(end + 1), Some(b'+' | b'-')));
        if is_digit(end + 1 + sign) {
            end += 1 + sign;
            end += rest[end..].iter().position(|b| !b.is_ascii_digit()).unwrap_or(rest.len() - end);
        }
    }
    match rest[end..].iter().position(|&b| !in_word(b)).unwrap_or(rest.len() - end) {
        0 => (TokenKind::Number, end),
        letters => (TokenKind::Word, end + letters),
    }
}
