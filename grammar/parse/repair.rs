//! How a stretch that could not be read was probably meant: what other languages write in its place, or a single slip
//! of punctuation. A slip counts only if the stretch can be read once it is mended.

#![expect(clippy::wildcard_enum_match_arm, reason = "tokens and rules that need no mending are left alone")]

use std::ops::Range;

use super::explain::{expected, keyword};
use super::{Grammar, Rule};
use crate::habits::called_here;
use crate::lex::{Token, TokenKind, lex};
use pest::Parser;

/// Longer stretches are not tried.
const MOST_BYTES: usize = 2000;
/// So many slips of one kind are mended together: `a && b && c`.
const MOST_SLIPS: usize = 8;

/// What parts two statements on one line.
const TWO: &str = "; ";

/// What was probably meant.
pub(super) struct Repair {
    /// What to replace in the stretch.
    pub range: Range<usize>,
    /// By what.
    pub text: String,
    /// What is wrong, where that says more than what was expected.
    pub message: Option<String>,
    /// What to do.
    pub help: String,
    /// Whether the stretch can then be read.
    pub reads: bool,
}

/// One replacement.
struct Slip {
    range: Range<usize>,
    text: String,
    message: Option<String>,
    help: String,
    /// Whether it is so sure that it is offered though something else is wrong, too.
    sure: bool,
}

impl Slip {
    fn new(range: Range<usize>, text: impl Into<String>, help: impl Into<String>) -> Slip {
        Slip { range, text: text.into(), message: None, help: help.into(), sure: false }
    }

    /// What another language writes.
    fn habit(range: Range<usize>, text: impl Into<String>, message: impl Into<String>, help: &str) -> Slip {
        let message = Some(message.into());
        Slip { range, text: text.into(), message, help: help.to_string(), sure: true }
    }

    fn applied(&self, text: &str) -> String {
        format!("{}{}{}", &text[..self.range.start], self.text, &text[self.range.end..])
    }
}

/// How `text`, which `door` does not take, was probably meant. `budget` is how many bytes may still be read for that.
pub(super) fn repair(text: &str, door: Rule, budget: &mut usize) -> Option<Repair> {
    if text.len() > MOST_BYTES {
        return None;
    }
    let mut mended = text.to_string();
    let mut first: Option<Slip> = None;
    let mut reads = false;
    for _ in 0..MOST_SLIPS {
        let Some(slip) = slip(&mended, door, budget) else { break };
        if first.as_ref().is_some_and(|first| first.help != slip.help) {
            break; // that is another mistake
        }
        let next = slip.applied(&mended);
        first = first.or(Some(slip));
        if next == mended {
            break; // there is something to say, and nothing to write
        }
        mended = next;
        if first.as_ref().is_some_and(|first| first.text == TWO) {
            break; // neither of the two is read here
        }
        reads = takes(&mended, door, budget);
        if reads {
            break;
        }
    }
    let first = first?;
    let (range, replaced) = difference(text, &mended);
    Some(Repair { range, text: replaced, message: first.message, help: first.help, reads })
}

/// Where two texts differ, in the first, and what stands there in the second.
fn difference(old: &str, new: &str) -> (Range<usize>, String) {
    let before: usize =
        old.chars().zip(new.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum();
    let (old_rest, new_rest) = (&old[before..], &new[before..]);
    let after: usize = old_rest
        .chars()
        .rev()
        .zip(new_rest.chars().rev())
        .take_while(|(a, b)| a == b)
        .map(|(a, _)| a.len_utf8())
        .sum();
    (before..old.len() - after, new_rest[..new_rest.len() - after].to_string())
}

fn takes(text: &str, door: Rule, budget: &mut usize) -> bool {
    if *budget < text.len() {
        *budget = 0;
        return false;
    }
    *budget -= text.len();
    Grammar::parse(door, text).is_ok()
}

/// The tokens around the place where a text cannot be read.
struct Place<'t> {
    text: &'t str,
    tokens: Vec<Token>,
    /// The first that does not fit; as many as there are where the end does not.
    at: usize,
    door: Rule,
}

impl<'t> Place<'t> {
    fn word(&self, at: usize) -> &'t str {
        self.tokens.get(at).map_or("", |token| &self.text[token.start..token.end])
    }

    fn kind(&self, at: usize) -> Option<TokenKind> {
        self.tokens.get(at).map(|token| token.kind)
    }

    fn start(&self, at: usize) -> usize {
        self.tokens.get(at).map_or(self.text.len(), |token| token.start)
    }

    fn end(&self, at: usize) -> usize {
        self.tokens.get(at).map_or(self.text.len(), |token| token.end)
    }

    /// Where the token before the place ends.
    fn before(&self) -> usize {
        self.at.checked_sub(1).map_or(0, |before| self.end(before))
    }

    /// Whether token `at` follows the one before it without a blank.
    fn touches(&self, at: usize) -> bool {
        at > 0 && at < self.tokens.len() && self.tokens[at - 1].end == self.tokens[at].start
    }

    /// The bracket that closes the one at `open`.
    fn closing(&self, open: usize) -> Option<usize> {
        let mut depth = 0_usize;
        for (at, token) in self.tokens.iter().enumerate().skip(open) {
            match token.kind {
                TokenKind::Open => depth += 1,
                TokenKind::Close => {
                    depth = depth.checked_sub(1)?;
                    if depth == 0 {
                        return Some(at);
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// The first token of the operand that ends with token `last`: `3`, `x`, `f(a)[1]`, `(a + b)`.
    fn operand_before(&self, last: usize) -> Option<usize> {
        let mut at = last;
        loop {
            match self.kind(at)? {
                TokenKind::Close => {
                    let open = (0..at).rev().find(|open| self.closing(*open) == Some(at))?;
                    let called = open > 0
                        && self.touches(open)
                        && matches!(self.kind(open - 1), Some(TokenKind::Word | TokenKind::Close));
                    if !called {
                        return Some(open);
                    }
                    at = open - 1;
                }
                TokenKind::Word | TokenKind::Number => return Some(at),
                _ => return None,
            }
        }
    }

    /// The last token of the operand that begins with token `first`.
    fn operand_after(&self, first: usize) -> Option<usize> {
        let mut at = match self.kind(first)? {
            TokenKind::Open => self.closing(first)?,
            TokenKind::Word | TokenKind::Number => first,
            TokenKind::Symbol if self.word(first) == "-" => self.operand_after(first + 1)?,
            _ => return None,
        };
        while self.kind(at + 1) == Some(TokenKind::Open) && self.touches(at + 1) && self.word(at + 1) != "{" {
            at = self.closing(at + 1)?;
        }
        Some(at)
    }
}

/// What is wrong where `text` cannot be read, and how it was meant.
fn slip(text: &str, door: Rule, budget: &mut usize) -> Option<Slip> {
    if *budget < text.len() {
        return None;
    }
    *budget -= text.len();
    let (offset, rules) = expected(text, door);
    let tokens: Vec<Token> = lex(text).filter(|token| token.kind != TokenKind::Comment).collect();
    let at = tokens.iter().position(|token| token.end > offset).unwrap_or(tokens.len());
    let place = Place { text, tokens, at, door };
    let mut candidates = Vec::new();
    candidates.extend(strange_character(&place));
    candidates.extend(foreign_head(&place));
    candidates.extend(foreign_operator(&place));
    candidates.extend(foreign_number(&place));
    candidates.extend(foreign_brackets(&place));
    if matches!(door, Rule::only_statement | Rule::only_train) && candidates.is_empty() {
        candidates.extend(two_statements(&place, &rules, budget));
    }
    let sure = candidates.iter().any(|slip| slip.sure);
    if !sure {
        candidates.extend(punctuation(&place, &rules));
    }
    let mut fallback = None;
    for slip in candidates {
        if takes(&slip.applied(text), door, budget) {
            return Some(slip);
        }
        if slip.sure && fallback.is_none() {
            fallback = Some(slip);
        }
    }
    fallback
}

/// Characters that the language does not have.
fn strange_character(place: &Place<'_>) -> Option<Slip> {
    let at = place.at;
    let token = place.tokens.get(at).filter(|token| token.kind == TokenKind::Unknown)?;
    let (text, start, end) = (place.text, token.start, token.end);
    let line_end = text[start..].find('\n').map_or(text.len(), |n| start + n);
    let found = text[start..].chars().next()?;
    let other = |ours: &str, help: &str| {
        Some(Slip::habit(start..end, ours, format!("`{found}` is written `{ours}`"), help))
    };
    match found {
        '\'' | '“' | '”' | '„' | '‘' | '’' | '«' | '»' | '`' => {
            let is_quote = |c: char| matches!(c, '\'' | '“' | '”' | '"' | '‘' | '’' | '«' | '»' | '`');
            let close = text[end..line_end].char_indices().find(|(_, c)| is_quote(*c))?;
            let inside = &text[end..end + close.0];
            let whole = start..end + close.0 + close.1.len_utf8();
            let message = format!("texts stand in double quotes, found `{found}`");
            Some(Slip::habit(whole, format!("\"{inside}\""), message, "write `\"…\"`"))
        }
        '#' => Some(Slip::habit(start..end, "//", "comments begin with `//`, not with `#`", "write `// …`")),
        '&' => {
            let end = if place.word(at + 1) == "&" && place.touches(at + 1) { end + 1 } else { end };
            let shown = &text[start..end];
            Some(Slip::habit(start..end, "and", format!("`{shown}` is written `and`"), "write `and`"))
        }
        '|' if place.word(at + 1) == "|" && place.touches(at + 1) => {
            Some(Slip::habit(start..end + 1, "or", "`||` is written `or`", "write `or`"))
        }
        '|' => Some(Slip::habit(start..end, "|>", "a pipe is written `|>`, found `|`", "write `|>`")),
        '!' => Some(Slip::habit(start..end, "not ", "`!` is written `not`", "write `not`")),
        '^' => power(place, at, at),
        '.' => dot(place),
        '?' | '$' | '\\' => {
            let message = format!("`{found}` means nothing here");
            let help = if found == '\\' {
                "take it out: a line that begins with an operator goes on anyway"
            } else {
                "take it out"
            };
            Some(Slip::habit(start..end, "", message, help))
        }
        '×' | '·' | '⋅' | '∗' => other("*", "write `*`"),
        '÷' => other("/", "write `/`"),
        '−' | '–' | '—' => other("-", "write `-`"),
        '≤' => other("<=", "write `<=`"),
        '≥' => other(">=", "write `>=`"),
        '≠' => other("!=", "write `!=`"),
        '→' | '▷' | '⇒' => other("|>", "write `|>`"),
        '…' => other("..", "write `..`"),
        '，' => other(",", "write `,`"),
        '：' => other(":", "write `:`"),
        c if c.is_whitespace() || matches!(c, '\u{200b}' | '\u{feff}' | '\u{200c}' | '\u{200d}') => {
            let message = format!("unexpected character U+{:04X}, which looks like a blank", u32::from(c));
            Some(Slip::habit(start..end, " ", message, "write an ordinary blank"))
        }
        c if c.is_alphabetic() => {
            let message = format!("unexpected character `{c}`: names are made of ASCII letters");
            let mut slip = Slip::habit(start..end, "", message, "letters are `a` to `z`: spell it out");
            slip.range = start..start; // what it should be called is not ours to say
            slip.text = String::new();
            Some(slip)
        }
        _ => None,
    }
}

/// Dots: of numbers, methods, modules, and `...`.
fn dot(place: &Place<'_>) -> Option<Slip> {
    let at = place.at;
    let (start, end) = (place.start(at), place.end(at));
    let (left, right) = (place.touches(at), place.touches(at + 1));
    let before = at.checked_sub(1).and_then(|before| place.kind(before)).filter(|_| left);
    let after = place.kind(at + 1).filter(|_| right);
    let zero = |text: &str, shown: String| {
        let help = "write a digit before and after the point";
        Some(Slip::habit(start..end, text, format!("a number lacks a digit: `{shown}`"), help))
    };
    match (before, after) {
        (None | Some(TokenKind::Open), Some(TokenKind::Number)) => {
            zero("0.", format!(".{}", place.word(at + 1)))
        }
        (Some(TokenKind::Number), _) => zero(".0", format!("{}.", place.word(at - 1))),
        (Some(TokenKind::Word), Some(TokenKind::Word)) if is_module(place.word(at - 1)) => {
            let mut last = at + 1;
            while place.word(last + 1) == "." && place.touches(last + 1) && place.touches(last + 2) {
                last += 2;
            }
            let theirs = place.word(last);
            let ours = called_here(theirs).first().copied().unwrap_or(theirs);
            let whole = place.start(at - 1)..place.end(last);
            let message = format!("layers have no module before them: `{}`", &place.text[whole.clone()]);
            Some(Slip::habit(whole, ours, message, &format!("write `{ours}`")))
        }
        (Some(TokenKind::Word | TokenKind::Close), Some(TokenKind::Word)) => {
            if place.word(at + 1) == "T" {
                let first = place.operand_before(at - 1)?;
                let x = &place.text[place.start(first)..place.end(at - 1)];
                let help = format!("write `transpose({x})`");
                let whole = place.start(first)..place.end(at + 1);
                let message = "there are no attributes: what is done to a tensor is a function";
                return Some(Slip::habit(whole, format!("transpose({x})"), message, &help));
            }
            let message = "there are no methods: a pipe brings a value to a layer";
            Some(Slip::habit(start..end, " |> ", message, "write ` |> ` for the point"))
        }
        _ => None,
    }
}

/// How people call the modules that layers come from.
fn is_module(word: &str) -> bool {
    const MODULES: [&str; 16] = [
        "nn",
        "F",
        "torch",
        "tf",
        "keras",
        "layers",
        "np",
        "numpy",
        "jnp",
        "jax",
        "optim",
        "functional",
        "math",
        "flax",
        "tensorflow",
        "linen",
    ];
    MODULES.contains(&word)
}

/// `a ** b` and `a ^ b`; the operator is made of the tokens `first` to `last`.
fn power(place: &Place<'_>, first: usize, last: usize) -> Option<Slip> {
    let left = place.operand_before(first.checked_sub(1)?)?;
    let right = place.operand_after(last + 1)?;
    let a = &place.text[place.start(left)..place.end(first - 1)];
    let b = &place.text[place.start(last + 1)..place.end(right)];
    let sign = &place.text[place.start(first)..place.end(last)];
    let ours = format!("pow({a}, {b})");
    let help = format!("write `{ours}`");
    let whole = place.start(left)..place.end(right);
    Some(Slip::habit(whole, ours, format!("there is no operator `{sign}`: powers are a function"), &help))
}

/// Operators that are written otherwise here.
fn foreign_operator(place: &Place<'_>) -> Vec<Slip> {
    let at = place.at;
    let Some(before) = at.checked_sub(1) else { return Vec::new() };
    let pair = (place.word(before), place.word(at));
    let joined = place.touches(at);
    let whole = place.start(before)..place.end(at);
    let mut out = Vec::new();
    match pair {
        ("-" | "=" | ">", ">") if joined => {
            let arrow = &place.text[whole.clone()];
            let message = |ours: &str| format!("`{arrow}` is no operator: here it is `{ours}`");
            out.push(Slip::habit(whole.clone(), "|>", message("|>"), "write `|>`"));
        }
        ("*", "*") if joined => out.extend(power(place, before, at)),
        ("+" | "-" | "*" | "/" | "@", "=") if joined && place.door == Rule::only_statement => {
            let name = &place.text[..place.start(before)].trim_end();
            let rest = &place.text[place.end(at)..].trim();
            let plain = place.operand_after(at + 1).is_some_and(|last| last + 1 == place.tokens.len());
            let rest = if plain { (*rest).to_string() } else { format!("({rest})") };
            let ours = format!("{name} = {name} {} {rest}", pair.0);
            let message = format!("there is no `{}=`: a name is bound anew", pair.0);
            let help = format!("write `{name} = {name} {} …`", pair.0);
            out.push(Slip::habit(0..place.text.len(), ours, message, &help));
        }
        ("..", "=") if joined => {
            let end = place.word(at + 1).replace('_', "").parse::<u64>().ok().and_then(|n| n.checked_add(1));
            if let Some(end) = end {
                let whole = whole.start..place.end(at + 1);
                let help = format!("write `..{end}`");
                let message = "a range goes up to its end and without it";
                out.push(Slip::habit(whole, format!("..{end}"), message, &help));
            }
        }
        ("..", _) if place.kind(at) == Some(TokenKind::Unknown) && joined => {
            out.push(Slip::habit(whole, "..", "`...` has one point too many", "write `..`"));
        }
        (_, "..") if place.word(at + 1) == "." && place.touches(at + 1) => {
            let whole = place.start(at)..place.end(at + 1);
            out.push(Slip::habit(whole, "..", "`...` has one point too many", "write `..`"));
        }
        (number, "") if number == "%" && before > 0 => out.extend(percent(place, before)),
        (_, ":") => {
            let range = place.start(at)..place.end(at);
            let mut slip = Slip::new(range, "..", "a range is written with `..`");
            // `x[:, 0]`: all of an axis.
            if matches!(pair.0, "[" | ",") && matches!(place.word(at + 1), "]" | ",") {
                slip.sure = true;
                slip.message = Some("all of an axis is written `..`, found `:`".to_string());
            }
            out.push(slip);
        }
        _ => {}
    }
    if pair.0 == "%" && out.is_empty() {
        out.extend(percent(place, before));
    }
    out
}

/// `98%`
fn percent(place: &Place<'_>, sign: usize) -> Option<Slip> {
    let number = sign.checked_sub(1)?;
    let value: f64 = place.word(number).replace('_', "").parse().ok()?;
    let ours = format!("{}", value / 100.0);
    let message = format!("`%` is the rest of a division: `{}%` is {ours}", place.word(number));
    let help = format!("write `{ours}`");
    Some(Slip::habit(place.start(number)..place.end(sign), ours, message, &help))
}

/// `2.0f`
fn foreign_number(place: &Place<'_>) -> Option<Slip> {
    let word = place.word(place.at);
    if place.kind(place.at) != Some(TokenKind::Word) || !word.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let number = word.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let range = place.start(place.at)..place.end(place.at);
    let message = format!("`{word}` is no number: numbers have no suffix");
    Some(Slip::habit(range, number, message, &format!("write `{number}`")))
}

/// `f32(batch, 2)`, `f32<batch, 2>`, `for (i in 0..3)`, `/* … */`
fn foreign_brackets(place: &Place<'_>) -> Option<Slip> {
    let at = place.at;
    let text = place.text;
    if place.word(at) == "/" && place.word(at + 1) == "*" {
        let start = place.start(at);
        let close = text[start..].find("*/").map(|n| start + n)?;
        let inside = text[start + 2..close].trim();
        if inside.contains('\n') {
            return None;
        }
        let ours = format!("// {inside}");
        return Some(Slip::habit(
            start..close + 2,
            ours,
            "a comment begins with `//` and ends with its line",
            "write `// …`",
        ));
    }
    let before = at.checked_sub(1)?;
    let is_dtype =
        |word: &str| matches!(word, "f32" | "f64" | "bf16" | "f16" | "i32" | "i64" | "u8" | "bool");
    let axes = |open: usize, close: usize| {
        let inside = &text[place.end(open)..place.start(close)];
        let help = format!("write `{}[{inside}]`", place.word(open - 1));
        let whole = place.start(open)..place.end(close);
        Slip::habit(whole, format!("[{inside}]"), "axes stand in square brackets", &help)
    };
    match place.word(at) {
        "(" if is_dtype(place.word(before)) => Some(axes(at, place.closing(at)?)),
        "<" if is_dtype(place.word(before)) => {
            let close = (at..place.tokens.len()).rev().find(|close| place.word(*close) == ">")?;
            Some(axes(at, close))
        }
        "(" if place.word(before) == "for" => {
            let close = place.closing(at)?;
            let inside = text[place.end(at)..place.start(close)].trim();
            let whole = place.start(at)..place.end(close);
            Some(Slip::habit(whole, inside, "the head of a loop has no brackets", "take the brackets out"))
        }
        "(" => {
            // `gpu(2)` for `gpu[2]`
            let close = place.closing(at)?;
            let inside = &text[place.end(at)..place.start(close)];
            let whole = place.start(at)..place.end(close);
            Some(Slip::new(whole, format!("[{inside}]"), format!("write `{}[{inside}]`", place.word(before))))
        }
        _ => None,
    }
}

/// Lines that begin as in other languages.
fn foreign_head(place: &Place<'_>) -> Vec<Slip> {
    let (first, second, third) = (place.word(0), place.word(1), place.word(2));
    let start = place.start(0);
    let mut out = Vec::new();
    match place.door {
        Rule::only_statement => {
            const BINDS: [&str; 9] = ["let", "var", "val", "auto", "local", "set", "mut", "final", "tensor"];
            if BINDS.contains(&first) && third == "=" {
                let message = format!("`{first}` is not needed: a name is bound by `=` alone");
                let range = start..place.start(1);
                out.push(Slip::habit(range, "", message, &format!("take `{first}` out")));
            }
            let declares =
                place.word(2) == ":" && (BINDS.contains(&first) || called_here(first) == ["param"]);
            if declares {
                let message = format!("`{first}` is no keyword: what is trained is a `param`");
                out.push(Slip::habit(start..place.end(0), "param", message, "write `param`"));
            }
            if place.kind(0) == Some(TokenKind::Word) && second == ":" && third != "{" && place.at == 1 {
                let kind = if place.text.contains('=') { "param" } else { "input" };
                let mut slip =
                    Slip::new(start..start, format!("{kind} "), format!("write `{kind} {first}: …`"));
                slip.message = Some(format!("what has a type is declared: `{kind} {first}: …`"));
                out.push(slip);
            }
            let help = match first {
                "if" | "elif" | "else" | "switch" | "match" => {
                    "there are no branches: `choose(condition, a, b)` takes one of two values"
                }
                "while" | "loop" | "repeat" => "loops have a known number of turns: `for i in 0..n { … }`",
                _ => return out,
            };
            let mut slip = Slip::habit(start..start, "", format!("the language has no `{first}`"), help);
            slip.text = String::new();
            out.push(slip);
        }
        Rule::only_place if place.kind(place.at) == Some(TokenKind::Text) => {
            let text = place.word(place.at).trim_matches('"').to_ascii_lowercase();
            let (name, index) = text.split_once(':').unwrap_or((&text, ""));
            let name = if name == "cuda" { "gpu" } else { name };
            let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphabetic());
            if plain && index.bytes().all(|b| b.is_ascii_digit()) {
                let ours = if index.is_empty() { name.to_string() } else { format!("{name}[{index}]") };
                let range = place.start(place.at)..place.end(place.at);
                let message = "a device is a name that `devices` declares, not a text";
                out.push(Slip::habit(range, ours.clone(), message, &format!("write `{ours}`")));
            }
        }
        Rule::only_replicas if matches!(first, "sync" | "async") && place.tokens.len() == 3 => {
            let ours = format!("{second} {third} {first}");
            let help = format!("write `{ours}`");
            out.push(Slip::new(start..place.end(2), ours, help));
        }
        Rule::only_item if matches!(second, "=" | ",") && place.at == 0 => {
            out.push(Slip::new(start..start, "data ", format!("write `data {first} = …`")));
        }
        Rule::only_item if (first == "use" || called_here(first) == ["use"]) && place.tokens.len() > 1 => {
            let path = place.text[place.start(1)..].trim();
            if !path.contains(['"', '\'']) && !path.contains(char::is_whitespace) {
                let range = start..place.text.trim_end().len();
                let help = format!("write `use \"{path}\"`");
                let message = "the path of a file is a text in double quotes";
                out.push(Slip::habit(range, format!("use \"{path}\""), message, &help));
            }
        }
        _ => {}
    }
    out
}

/// What could stand where the grammar expected something else: put in, put for what stands there, or what stands
/// there taken out.
fn punctuation(place: &Place<'_>, rules: &[Rule]) -> Vec<Slip> {
    let mut out = Vec::new();
    let (at, before) = (place.at, place.before());
    let (word, kind) = (place.word(at), place.kind(at));
    let glued = at < place.tokens.len() && place.start(at) == before;
    // A statement that begins with a word nobody knows is hardly a list of names.
    let unknown_head = at == 1
        && place.kind(0) == Some(TokenKind::Word)
        && matches!(kind, Some(TokenKind::Word | TokenKind::Number | TokenKind::Text))
        && rules.contains(&Rule::equals)
        && place.door == Rule::only_statement;
    if unknown_head {
        return out;
    }
    let mut wanted: Vec<&str> = Vec::new();
    for (rule, sign) in [(Rule::colon, ":"), (Rule::comma, ","), (Rule::equals, "=")] {
        if rules.contains(&rule) {
            wanted.push(sign);
        }
    }
    if rules.iter().any(|rule| matches!(rule, Rule::k_within)) {
        wanted.push("within machine");
    }
    wanted.extend(rules.iter().filter_map(|rule| match keyword(*rule)? {
        "at" if at > 0 && place.word(at - 1) == "stop" => Some("at"),
        "at" => Some("at most"),
        "by" if at == place.tokens.len() => Some("by batch"),
        "as" | "and" | "or" | "not" | "false" | "true" | "frozen" => None,
        // Where an operand is due, these only begin one.
        "every" | "for" if rules.contains(&Rule::prefix) => None,
        word => Some(word),
    }));
    if word == "->" || (word == ">" && at > 0 && place.word(at - 1) == "-") {
        wanted.retain(|word| word.starts_with(|c: char| c.is_ascii_alphabetic()));
    }
    let stands_for = kind == Some(TokenKind::Symbol);
    if stands_for {
        out.extend(wanted.iter().map(|sign| instead(place, sign)));
    }
    for sign in &wanted {
        let help = match at.checked_sub(1) {
            Some(last) => format!("write `{sign}` after `{}`", place.word(last)),
            None => format!("write `{sign}`"),
        };
        let trail = if matches!(word, ":" | ",") { "" } else { " " };
        let slip = match *sign {
            ":" | "," => Slip::new(before..before, format!("{sign}{}", if glued { " " } else { "" }), help),
            _ if at == place.tokens.len() => Slip::new(before..before, format!(" {sign}"), help),
            _ if glued => Slip::new(before..before, format!(" {sign}{trail}"), help),
            _ => Slip::new(place.start(at)..place.start(at), format!("{sign} "), help),
        };
        out.push(slip);
    }
    if kind == Some(TokenKind::Word) && at > 0 {
        let words = wanted.iter().filter(|sign| sign.starts_with(|c: char| c.is_ascii_alphabetic()));
        out.extend(words.map(|sign| {
            let help = format!("write `{sign}` instead of `{word}`");
            Slip::new(place.start(at)..place.end(at), *sign, help)
        }));
    }
    if kind == Some(TokenKind::Text) {
        let bare = word.trim_matches('"');
        let slip = Slip::new(place.start(at)..place.end(at), bare, format!("write `{bare}` without quotes"));
        out.push(slip);
    }
    if rules.iter().any(|rule| matches!(rule, Rule::device_block | Rule::open_brace))
        && place.word(0) == "machine"
        && at == place.tokens.len()
    {
        out.push(Slip::new(before..before, " { cpu }", "say what is in it: `{ cpu }`"));
    }
    if kind == Some(TokenKind::Symbol) {
        let next = place.start(at + 1);
        let blanks = place.start(at) > before;
        let end = if blanks { next } else { place.end(at) };
        out.push(Slip::new(place.start(at)..end, "", format!("take `{word}` out")));
    }
    if let Some(last) = at.checked_sub(1)
        && place.kind(last) == Some(TokenKind::Symbol)
        && at < place.tokens.len()
        && !(rules.contains(&Rule::prefix) && is_operator(place.word(last)))
    {
        let range = place.start(last)..place.start(at);
        out.push(Slip::new(range, "", format!("take `{}` out", place.word(last))));
    }
    out
}

/// `sign` for the symbol that stands at the place.
fn instead(place: &Place<'_>, sign: &str) -> Slip {
    let (at, before) = (place.at, place.before());
    // `->` is two tokens.
    let two = place.touches(at + 1) && place.kind(at + 1) == Some(TokenKind::Symbol);
    let end = place.end(if two { at + 1 } else { at });
    let blank = place.text[end..].starts_with([' ', '\t']) || end == place.text.len();
    let lead = if matches!(sign, ":" | ",") || at == 0 { "" } else { " " };
    let trail = if blank { "" } else { " " };
    let help = format!("write `{sign}` instead of `{}`", &place.text[place.start(at)..end]);
    Slip::new(before..end, format!("{lead}{sign}{trail}"), help)
}

/// Two statements without a line between them.
fn two_statements(place: &Place<'_>, rules: &[Rule], budget: &mut usize) -> Option<Slip> {
    if !rules.contains(&Rule::EOI) || place.at == 0 || place.kind(place.at) != Some(TokenKind::Word) {
        return None;
    }
    const BEGIN: [&str; 8] = ["loss", "metric", "input", "param", "const", "state", "update", "return"];
    if place.word(place.at + 1) != "=" && !BEGIN.contains(&place.word(place.at)) {
        return None; // two words on a line are more likely something else
    }
    let (one, two) = (&place.text[..place.before()], &place.text[place.start(place.at)..]);
    if !(takes(one, place.door, budget) && takes(two, place.door, budget)) {
        return None;
    }
    let word = place.word(place.at);
    let message = format!("a statement ends with its line: `{word}` begins another one");
    let range = place.before()..place.start(place.at);
    Some(Slip::habit(range, TWO, message, "begin a new line, or put `;` between the two"))
}

fn is_operator(word: &str) -> bool {
    matches!(word, "+" | "-" | "*" | "/" | "%" | "@" | "|>" | "==" | "!=" | "<" | "<=" | ">" | ">=" | "..")
}

#[cfg(test)]
mod tests {
    use super::difference;

    #[test]
    fn the_difference_of_two_texts_is_as_short_as_can_be() {
        assert_eq!(difference("f(a b)", "f(a, b)"), (3..3, ",".to_string()));
        assert_eq!(difference("x == y", "x = y"), (3..4, String::new()));
        assert_eq!(difference("é", "e"), (0..2, "e".to_string()));
    }
}
