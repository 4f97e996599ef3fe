//! What was expected where a stretch of text could not be read: each bad stretch is read again as what it should
//! have been, and what the grammar would have taken there becomes the message. A misspelt keyword is mended, so that
//! the statement costs nothing but the message.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "`Rule` lists every rule; a match names those that matter"
)]

use std::ops::Range;

use pest::Parser;
use pest::error::{ErrorVariant, InputLocation};
use pest::iterators::Pair;

use super::item::TRAIN_WORDS;
use super::repair::repair;
use super::{Builder, Grammar, Mend, Parts, Rule, Stretch, is_block};
use crate::diagnostic::{Code, Diagnostic};
use crate::lex::{Token, TokenKind, lex};
use crate::source::Span;
use crate::spelling::did_you_mean;

/// Beyond so many possibilities a list helps nobody.
const MOST_LISTED: usize = 5;

/// A stretch whose misspelt word was replaced, and the door of the grammar that then takes it.
pub(super) struct Mended {
    text: String,
    at: Stretch<'static>,
    door: Rule,
}

impl Mended {
    /// What `build` makes of the mended stretch.
    pub(super) fn with<T>(&self, build: impl FnOnce(Stretch<'_>, &Pair<'_, Rule>) -> T) -> Option<T> {
        read(Stretch { text: &self.text, ..self.at }, self.door, build)
    }
}

/// What `build` makes of the first part that `door` finds in a stretch, or `None` if the stretch is not so.
pub(super) fn read<T>(
    at: Stretch<'_>,
    door: Rule,
    build: impl FnOnce(Stretch<'_>, &Pair<'_, Rule>) -> T,
) -> Option<T> {
    let outer = Grammar::parse(door, at.text).ok()?.next()?;
    let inner = Parts::of(&outer).next()?;
    Some(build(at, &inner))
}

impl Builder<'_> {
    /// Reports a bad stretch, which `door` should have taken. Returns its place without blanks and comments around
    /// it, and the stretch as it was probably meant.
    pub(super) fn bad(
        &mut self,
        at: Stretch<'_>,
        pair: &Pair<'_, Rule>,
        door: Rule,
    ) -> (Span, Option<Mended>) {
        let start = pair.as_span().start();
        let end = lex(pair.as_str()).filter(|token| token.kind != TokenKind::Comment).last();
        let end = end.map_or(pair.as_span().end(), |last| start + last.end);
        let stretch = at.part(start, end);
        let span = at.span(start, end);
        if let Some((word, near)) = misspelt_head(stretch.text, door)
            && self.afford(2 * stretch.text.len())
            && let Some(mended) = mend(stretch, word, near, door)
        {
            let place = stretch.span(word.start, word.end);
            let message = match door {
                Rule::only_item => format!("no block begins with `{}`", &stretch.text[word.start..word.end]),
                _ => format!("no line of this block begins with `{}`", &stretch.text[word.start..word.end]),
            };
            self.report(suggest(Diagnostic::error(Code::SyntaxError, place, message), place, near));
            return (span, Some(mended));
        }
        // What the bracket scan said of the block that a bad head keeps is no reason to say nothing of the head.
        let head = trailing_block(stretch.text).map_or(end, |block| start + block.start);
        if self.was_reported(at.offset(start), at.offset(head)) {
            return (span, None);
        }
        let mended = self.explain(stretch, door);
        // A comment of another language binds nothing.
        let is_comment = stretch.text.starts_with(['#', '/']);
        (if is_comment { at.span(start, start) } else { span }, mended)
    }

    /// Reports the head of a block, which lies between the start of `pair` and its block. Returns it as it was
    /// probably meant.
    pub(super) fn broken_head(&mut self, at: Stretch<'_>, pair: &Pair<'_, Rule>) -> Option<Mended> {
        let start = pair.as_span().start();
        let block = Parts::of(pair).find(is_block);
        let end = block.map_or(pair.as_span().end(), |block| block.as_span().start());
        let head = at.part(start, end);
        if self.was_reported(at.offset(start), at.offset(end)) {
            return None;
        }
        self.explain(head, Rule::only_head)
    }

    /// Reports what `door` expected in a stretch that it does not take.
    fn explain(&mut self, at: Stretch<'_>, door: Rule) -> Option<Mended> {
        let (offset, rules) = expected(at.text, door);
        let mut tokens = lex(at.text).filter(|token| token.kind != TokenKind::Comment);
        // An error at a blank speaks of the token after it.
        let (mut next, mut before) = (0, None);
        let found = tokens.find(|token| {
            let is_later = token.end > offset;
            if !is_later {
                next += 1;
                before = Some(*token);
            }
            is_later
        });
        let place = match (found, before) {
            (Some(token), _) => at.span(token.start, token.end),
            (None, Some(last)) => at.span(last.end, last.end),
            (None, None) => at.span(0, at.text.len()),
        };
        let error = |message: String| Diagnostic::error(Code::SyntaxError, place, message);
        let text_of = |token: Token| shorten(&at.text[token.start..token.end]);
        let words: Vec<&'static str> = rules.iter().filter_map(|rule| keyword(*rule)).collect();
        if !begins_operand(&rules)
            && let Some(token @ Token { kind: TokenKind::Word, .. }) = found
            && let Some(near) = did_you_mean(&at.text[token.start..token.end], words.iter().copied())
        {
            let message = match before {
                Some(last) => {
                    format!("expected `{near}` after `{}`, found `{}`", text_of(last), text_of(token))
                }
                None => format!("expected `{near}`, found `{}`", text_of(token)),
            };
            self.report(suggest(error(message), place, near));
            return if self.afford(2 * at.text.len()) { mend(at, token, near, door) } else { None };
        }
        if let (Some(Token { kind: TokenKind::Word, .. }), Some(number)) = (found, before)
            && number.kind == TokenKind::Number
            && rules.contains(&Rule::unit)
            && !rules.iter().any(|rule| is_due(*rule))
            && door != Rule::only_head
        {
            let (word, found_token) = (found.map_or(String::new(), text_of), found);
            let found = error(format!("`{word}` is no unit that `{}` could have", text_of(number)));
            let near = did_you_mean(&word, units(door));
            self.report(match near {
                Some(near) => suggest(found, place, near),
                None => found.help(format!(
                    "units are {} and more",
                    list(units(door).take(8).map(|unit| format!("`{unit}`")).collect::<Vec<_>>().into_iter())
                )),
            });
            let (Some(token), Some(near)) = (found_token, near) else { return None };
            return if self.afford(2 * at.text.len()) { mend(at, token, near, door) } else { None };
        }
        if found.is_none()
            && let Some(last) = before
            && begins_operand(&rules)
            && let Some(moved) = self.trailing_operator(at, last)
        {
            self.report(moved);
            return None;
        }
        if let Some(repair) = repair(at.text, door, &mut self.repairs) {
            let message = repair.message.unwrap_or_else(|| match found {
                Some(token) if token.kind == TokenKind::Unknown => unexpected(self.character(place)),
                _ => unexpected_token(&rules, door, before.map(text_of), found.map(text_of)),
            });
            let mut report = error(message).help(repair.help);
            if !(repair.range.is_empty() && repair.text.is_empty()) {
                let range = at.span(repair.range.start, repair.range.end);
                report = report.edit(range, repair.text.clone());
            }
            self.report(report);
            let mended = || mend_range(at, repair.range, &repair.text, door);
            return if repair.reads && self.afford(2 * at.text.len()) { mended() } else { None };
        }
        if let Some(Token { kind: TokenKind::Unknown, .. }) = found {
            self.report(error(unexpected(self.character(place))));
            return None;
        }
        if let (1, Some(head), Some(token)) = (next, before, found)
            && head.kind == TokenKind::Word
            && matches!(token.kind, TokenKind::Word | TokenKind::Number | TokenKind::Text)
            && door == Rule::only_statement
            && !heads(door).contains(&&at.text[head.start..head.end])
        {
            let place = at.span(head.start, head.end);
            let message = format!("no statement of a model begins with `{}`", text_of(head));
            self.report(Diagnostic::error(Code::SyntaxError, place, message));
            return None;
        }
        if door == Rule::only_item && next == 0 {
            let message = match found {
                Some(token) => format!("no block begins with `{}`", text_of(token)),
                None => "no block begins like this".to_string(),
            };
            let help = format!("a file holds {}", list(heads(door).iter().map(|word| format!("`{word}`"))));
            self.report(error(message).help(help));
            return None;
        }
        let mut report = error(unexpected_token(&rules, door, before.map(text_of), found.map(text_of)));
        if let Some(help) = self.lacks(at, door, &rules) {
            report = report.help(help.0);
            if let Some(text) = help.1 {
                report = report.edit(place, text);
            }
        }
        self.report(report);
        None
    }

    /// The character where a place begins.
    fn character(&self, place: Span) -> Option<char> {
        self.source.text.get(place.range()).unwrap_or("").chars().next()
    }

    /// What a line lacks that ends too soon: what to do, and the text to put there.
    fn lacks(&mut self, at: Stretch<'_>, door: Rule, rules: &[Rule]) -> Option<(String, Option<String>)> {
        let words: Vec<&str> = lex(at.text).map(|token| &at.text[token.start..token.end]).collect();
        match (door, words.as_slice()) {
            (Rule::only_statement, ["input", name]) => {
                Some((format!("say what it is: `input {name}: f32[batch, 10]`"), None))
            }
            (Rule::only_statement, [word @ ("param" | "const" | "state"), name]) => {
                Some((format!("say what it is: `{word} {name}: f32[10] = zeros`"), None))
            }
            (Rule::only_head, ["layer", name]) => {
                Some((format!("write `layer {name}(x: f32[..]) {{`, with what it takes"), None))
            }
            (Rule::only_head, [word @ ("train" | "place" | "replicas" | "names")]) => match self.only_model()
            {
                Some(model) => Some((format!("write `{word} {model}`"), Some(format!(" {model}")))),
                None => Some((format!("say of which model: `{word} NAME {{`"), None)),
            },
            (Rule::only_head, ["cluster"]) => Some(("give it a name: `cluster NAME {`".to_string(), None)),
            (Rule::only_head, ["model"]) => Some(("give it a name: `model Net {`".to_string(), None)),
            _ if rules.contains(&Rule::unit) => {
                let memory = matches!(door, Rule::only_device);
                let (help, unit) = match memory {
                    true => ("say in what: `GiB`, `GB/s`, `TFLOP/s`, `us`", " GiB"),
                    false => ("say in what: `epochs`, `steps`, `hours`", " epochs"),
                };
                Some((help.to_string(), Some(unit.to_string())))
            }
            _ => None,
        }
    }

    /// The name of the file's model, where it has one alone.
    fn only_model(&mut self) -> Option<&str> {
        if !self.afford(self.source.text.len()) {
            return None;
        }
        let tokens: Vec<&str> = lex(&self.source.text)
            .filter(|token| token.kind == TokenKind::Word)
            .map(|token| &self.source.text[token.start..token.end])
            .collect();
        let mut names = tokens.windows(2).filter(|pair| pair[0] == "model").map(|pair| pair[1]);
        match (names.next(), names.next()) {
            (Some(name), None) => Some(name),
            _ => None,
        }
    }

    /// A line that ends with an operator does not go on: the operator belongs to the next one.
    fn trailing_operator(&self, at: Stretch<'_>, last: Token) -> Option<Diagnostic> {
        let operator = &at.text[last.start..last.end];
        if last.kind != TokenKind::Symbol || matches!(operator, "=" | ":" | "," | ";") || at.mended.is_some()
        {
            return None;
        }
        let (start, end) = (at.offset(last.start), at.offset(last.end));
        let text = &self.source.text;
        let (rest, _) = text[end..].split_once('\n').map(|(rest, _)| (rest.len(), ()))?;
        let next = end + rest;
        let indent = text[next..].find(|c: char| !c.is_whitespace())?;
        let next = next + indent;
        if text[next..].starts_with(['}', '/', '|', '+', '-', '*']) {
            return None;
        }
        let before = text[..start].trim_end().len();
        let place = Span::new(at.file, start, end);
        let message = format!("a line that ends with `{operator}` does not go on in the next");
        Some(
            Diagnostic::error(Code::SyntaxError, place, message)
                .help(format!("begin the next line with `{operator}`"))
                .edit(Span::new(at.file, before, end), "")
                .edit(Span::new(at.file, next, next), format!("{operator} ")),
        )
    }
}

/// "expected … after …, found …"
fn unexpected_token(rules: &[Rule], door: Rule, before: Option<String>, found: Option<String>) -> String {
    let mut message = format!("expected {}", list_expected(rules, door));
    if let Some(last) = before {
        message += &format!(" after `{last}`");
    }
    if let Some(token) = found {
        message += &format!(", found `{token}`");
    }
    message
}

fn unexpected(character: Option<char>) -> String {
    format!("unexpected character {}", character.map_or(String::new(), show_character))
}

fn suggest(found: Diagnostic, place: Span, near: &str) -> Diagnostic {
    found.help(format!("did you mean `{near}`?")).edit(place, near)
}

/// Where `door` gives up in `text`, and what it would have taken there.
pub(super) fn expected(text: &str, door: Rule) -> (usize, Vec<Rule>) {
    let Err(error) = Grammar::parse(door, text) else { return (text.len(), Vec::new()) };
    let offset = match error.location {
        InputLocation::Pos(at) => at,
        InputLocation::Span((at, _)) => at,
    };
    match error.variant {
        ErrorVariant::ParsingError { positives, .. } => (offset, positives),
        ErrorVariant::CustomError { .. } => (offset, Vec::new()),
    }
}

/// The first word of a stretch and the keyword that it nearly is.
fn misspelt_head(text: &str, door: Rule) -> Option<(Token, &'static str)> {
    let first = lex(text).next().filter(|token| token.kind == TokenKind::Word)?;
    let word = &text[first.start..first.end];
    let heads = heads(door);
    if heads.contains(&word) {
        return None;
    }
    Some((first, did_you_mean(word, heads.iter().copied())?))
}

/// The stretch with `word` replaced by `near`, if `door` then takes it.
fn mend(at: Stretch<'_>, word: Token, near: &str, door: Rule) -> Option<Mended> {
    mend_range(at, word.start..word.end, near, door)
}

/// The same for any replacement.
fn mend_range(at: Stretch<'_>, range: Range<usize>, near: &str, door: Rule) -> Option<Mended> {
    if at.mended.is_some() {
        return None;
    }
    let text = format!("{}{near}{}", &at.text[..range.start], &at.text[range.end..]);
    let stretch = Stretch { text: &text, ..at };
    // A block takes any head; where that is wrong too, the word was hardly this one.
    let is_sound = |pair: &Pair<'_, Rule>| {
        door == Rule::only_item
            || !Parts::of(pair).any(|part| is_block(&part))
            || Parts::of(pair).next().is_none_or(|first| keyword(first.as_rule()).is_none())
    };
    read(stretch, door, |_, pair| is_sound(pair)).filter(|sound| *sound)?;
    let mend = Mend { at: range.start, here: near.len(), there: range.len() };
    let at = Stretch { file: at.file, text: "", origin: at.origin, mended: Some(mend) };
    Some(Mended { text, at, door })
}

/// The words that what a door takes can begin with.
fn heads(door: Rule) -> &'static [&'static str] {
    match door {
        Rule::only_item => {
            &["use", "data", "model", "layer", "devices", "cluster", "place", "replicas", "names", "train"]
        }
        Rule::only_statement => &[
            "input", "param", "const", "state", "update", "loss", "metric", "for", "scan", "return",
            "generate", "layer", "frozen",
        ],
        Rule::only_rule => &["greedy", "beam", "sample", "prefix", "stop", "at", "no"],
        Rule::only_device => &["machine", "link"],
        Rule::only_place => &["pipeline", "remat", "wire", "sum"],
        Rule::only_replicas => {
            &["copies", "groups", "backups", "staleness", "params", "wire", "restart", "sum"]
        }
        Rule::only_names => &["new", "unused"],
        Rule::only_train => TRAIN_WORDS,
        _ => &[],
    }
}

/// The keyword that a rule stands for.
pub(super) fn keyword(rule: Rule) -> Option<&'static str> {
    const WORDS: &[(Rule, &str)] = &[
        (Rule::k_after, "after"),
        (Rule::k_and, "and"),
        (Rule::k_any, "any"),
        (Rule::k_as, "as"),
        (Rule::k_async, "async"),
        (Rule::k_at, "at"),
        (Rule::k_backups, "backups"),
        (Rule::k_beam, "beam"),
        (Rule::k_between, "between"),
        (Rule::k_by, "by"),
        (Rule::k_clip, "clip"),
        (Rule::k_cluster, "cluster"),
        (Rule::k_const, "const"),
        (Rule::k_copies, "copies"),
        (Rule::k_data, "data"),
        (Rule::k_devices, "devices"),
        (Rule::k_evaluate, "evaluate"),
        (Rule::k_every, "every"),
        (Rule::k_false, "false"),
        (Rule::k_feed, "feed"),
        (Rule::k_for, "for"),
        (Rule::k_from, "from"),
        (Rule::k_frozen, "frozen"),
        (Rule::k_generate, "generate"),
        (Rule::k_greedy, "greedy"),
        (Rule::k_groups, "groups"),
        (Rule::k_in, "in"),
        (Rule::k_init, "init"),
        (Rule::k_input, "input"),
        (Rule::k_layer, "layer"),
        (Rule::k_length, "length"),
        (Rule::k_link, "link"),
        (Rule::k_loss, "loss"),
        (Rule::k_machine, "machine"),
        (Rule::k_machines, "machines"),
        (Rule::k_metric, "metric"),
        (Rule::k_microbatches, "microbatches"),
        (Rule::k_model, "model"),
        (Rule::k_most, "most"),
        (Rule::k_names, "names"),
        (Rule::k_new, "new"),
        (Rule::k_no, "no"),
        (Rule::k_norm, "norm"),
        (Rule::k_not, "not"),
        (Rule::k_on, "on"),
        (Rule::k_optimize, "optimize"),
        (Rule::k_or, "or"),
        (Rule::k_order, "order"),
        (Rule::k_over, "over"),
        (Rule::k_param, "param"),
        (Rule::k_params, "params"),
        (Rule::k_pipeline, "pipeline"),
        (Rule::k_place, "place"),
        (Rule::k_precision, "precision"),
        (Rule::k_prefix, "prefix"),
        (Rule::k_ragged, "ragged"),
        (Rule::k_remat, "remat"),
        (Rule::k_repeats, "repeats"),
        (Rule::k_replicas, "replicas"),
        (Rule::k_restart, "restart"),
        (Rule::k_return, "return"),
        (Rule::k_reverse, "reverse"),
        (Rule::k_sample, "sample"),
        (Rule::k_save, "save"),
        (Rule::k_scan, "scan"),
        (Rule::k_schedule, "schedule"),
        (Rule::k_seed, "seed"),
        (Rule::k_split, "split"),
        (Rule::k_staleness, "staleness"),
        (Rule::k_state, "state"),
        (Rule::k_stochastic, "stochastic"),
        (Rule::k_stop, "stop"),
        (Rule::k_sum, "sum"),
        (Rule::k_sync, "sync"),
        (Rule::k_times, "times"),
        (Rule::k_to, "to"),
        (Rule::k_train, "train"),
        (Rule::k_true, "true"),
        (Rule::k_unused, "unused"),
        (Rule::k_update, "update"),
        (Rule::k_use, "use"),
        (Rule::k_value, "value"),
        (Rule::k_when, "when"),
        (Rule::k_wire, "wire"),
        (Rule::k_with, "with"),
        (Rule::k_within, "within"),
    ];
    WORDS.iter().find(|(known, _)| *known == rule).map(|(_, word)| *word)
}

/// Units that could have been meant, those of the block first.
fn units(door: Rule) -> impl Iterator<Item = &'static str> {
    const TIMES: &[&str] = &["epochs", "steps", "examples", "seconds", "minutes", "hours", "ms", "s"];
    const RATES: &[&str] = &[
        "GiB", "GB", "MiB", "MB", "TiB", "TB", "GB/s", "MB/s", "Gbit/s", "Mbit/s", "TFLOP/s", "GFLOP/s",
        "us", "ns", "ms", "s",
    ];
    let (first, then) = if door == Rule::only_device { (RATES, TIMES) } else { (TIMES, RATES) };
    first.iter().chain(then).copied()
}

/// `a, b or c` for the rules that pest expected.
fn list_expected(rules: &[Rule], door: Rule) -> String {
    let after_operand = rules.contains(&Rule::operator);
    let before_operand = begins_operand(rules);
    let mut names: Vec<String> = Vec::new();
    for rule in rules {
        let name = match (keyword(*rule), *rule) {
            (_, Rule::EOI) if door == Rule::only_parameter => {
                names.extend(["`,`".to_string(), "`)`".to_string()]);
                continue;
            }
            _ if before_operand => "an expression".to_string(),
            // What can follow any operand says little where something else was due.
            (_, Rule::naming | Rule::unit | Rule::k_as) => continue,
            (_, Rule::arguments | Rule::index | Rule::open_paren | Rule::open_bracket) if after_operand => {
                continue;
            }
            (_, Rule::operator) if rules.iter().any(|rule| is_due(*rule)) => continue,
            (Some(word), _) => format!("`{word}`"),
            (None, rule) => describe(rule, door).to_string(),
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    match names.len() {
        0 if rules.contains(&Rule::unit) => "a unit".to_string(),
        1..=MOST_LISTED => list(names.into_iter()),
        _ => "something else".to_string(),
    }
}

/// Whether an operand was due: pest then lists all that one can begin with.
fn begins_operand(rules: &[Rule]) -> bool {
    rules.contains(&Rule::prefix)
}

/// Whether a rule is what an unfinished construct waits for.
fn is_due(rule: Rule) -> bool {
    matches!(rule, Rule::comma | Rule::close_paren | Rule::close_bracket | Rule::colon | Rule::equals)
        || keyword(rule).is_some_and(|word| word != "as")
}

/// A rule in words people use.
fn describe(rule: Rule, door: Rule) -> &'static str {
    match rule {
        Rule::EOI if door == Rule::only_head => "`{`",
        Rule::EOI => "the end of the line",
        Rule::colon => "`:`",
        Rule::comma => "`,`",
        Rule::equals => "`=`",
        Rule::open_paren | Rule::parameters | Rule::arguments => "`(`",
        Rule::close_paren => "`)`",
        Rule::open_bracket | Rule::axes | Rule::reference_index => "`[`",
        Rule::close_bracket => "`]`",
        Rule::open_brace
        | Rule::block
        | Rule::device_block
        | Rule::place_block
        | Rule::replicas_block
        | Rule::names_block
        | Rule::train_block
        | Rule::generate_block => "`{`",
        Rule::name | Rule::reference | Rule::references | Rule::target | Rule::targets => "a name",
        Rule::r#type | Rule::tensor_type | Rule::tuple_type => "a type",
        Rule::axis => "an axis",
        Rule::string => "a text in quotes",
        Rule::number => "a number",
        Rule::quantity | Rule::quantities => "a number with a unit",
        Rule::parameter => "a parameter",
        Rule::operator => "an operator",
        Rule::all | Rule::index_item | Rule::reference_item => "an index",
        Rule::named => "a named value (`name: value`)",
        Rule::stages => "stages in brackets",
        _ => "an expression",
    }
}

fn list(names: impl ExactSizeIterator<Item = String>) -> String {
    let last = names.len().saturating_sub(1);
    let mut out = String::new();
    for (at, name) in names.enumerate() {
        out += match at {
            0 => "",
            _ if at == last => " or ",
            _ => ", ",
        };
        out += &name;
    }
    out
}

fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(40).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

fn show_character(c: char) -> String {
    if c.is_control() || c == '\u{feff}' || c.is_whitespace() {
        format!("U+{:04X}", u32::from(c))
    } else {
        format!("`{c}`")
    }
}

/// The name that a text begins with.
pub(super) fn leading_name(text: &str) -> Option<&str> {
    let first = lex(text).next()?;
    let word = &text[first.start..first.end];
    (first.kind == TokenKind::Word && first.start == 0 && !word.starts_with(|c: char| c.is_ascii_digit()))
        .then_some(word)
}

/// Where the text after the first `word` begins.
pub(super) fn after_word(text: &str, word: &str) -> Option<usize> {
    lex(text).find(|token| &text[token.start..token.end] == word).map(|token| token.end)
}

/// The block that a broken statement ends with, if it is no part of an expression.
pub(super) fn trailing_block(text: &str) -> Option<Range<usize>> {
    let mut depth = 0_usize;
    let mut start = None;
    let mut last = None;
    for token in lex(text).filter(|token| token.kind != TokenKind::Comment) {
        let word = &text[token.start..token.end];
        match token.kind {
            TokenKind::Open => {
                if depth == 0 && word == "{" {
                    start = Some(token.start);
                }
                depth += 1;
            }
            TokenKind::Close => depth = depth.saturating_sub(1),
            TokenKind::Symbol if depth == 0 && start.is_none() && word == "=" => return None,
            TokenKind::Word
            | TokenKind::Number
            | TokenKind::Unit
            | TokenKind::Text
            | TokenKind::OpenText
            | TokenKind::Symbol
            | TokenKind::Comment
            | TokenKind::Unknown => {}
        }
        last = Some((token.end, word));
    }
    match (start, last) {
        (Some(start), Some((end, "}"))) if depth == 0 => Some(start..end),
        _ => None,
    }
}
