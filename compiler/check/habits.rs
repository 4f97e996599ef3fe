//! What users bring from elsewhere, and what they most likely meant: calls that are written otherwise here, arguments
//! of the wrong kind that have an obvious right one, arguments in another order; and the places that edits replace.

use strata_grammar::ast::{Argument, ArgumentName, Definition, Expr, ExprKind, TypeExpr};
use strata_grammar::{Code, Diagnostic, Span};

use super::Checker;
use super::signature::{Kind, Taken};
use super::value::{Bound, Value};

/// Functions that are operators here.
const OPERATORS: &[(&str, &str)] = &[
    ("matmul", "@"),
    ("mm", "@"),
    ("bmm", "@"),
    ("dot", "@"),
    ("add", "+"),
    ("sub", "-"),
    ("subtract", "-"),
    ("mul", "*"),
    ("multiply", "*"),
    ("div", "/"),
    ("divide", "/"),
];

impl<'a> Checker<'a> {
    /// Answers a call of what is no layer here, but is written otherwise. Says whether it was.
    pub(super) fn foreign_call(
        &mut self,
        name: &str,
        args: &'a [Argument],
        piped: Option<Span>,
        span: Span,
    ) -> bool {
        let plain: Vec<String> = args.iter().map(|arg| self.written(arg.value.span)).collect();
        let operator = OPERATORS.iter().find(|(theirs, _)| *theirs == name).map(|(_, ours)| *ours);
        let (message, ours) = match (name, operator, plain.as_slice(), piped) {
            (_, Some(sign), [a, b], None) => {
                (format!("`{name}` is the operator `{sign}`"), format!("{a} {sign} {b}"))
            }
            ("range" | "arange", _, [end], None) => {
                ("a range is written with `..`, without its end".to_string(), format!("0..{end}"))
            }
            ("range" | "arange", _, [start, end], None) => {
                ("a range is written with `..`, without its end".to_string(), format!("{start}..{end}"))
            }
            ("reshape" | "view", _, _, Some(_)) if flattens(args) => (
                format!("there is no `{name}`: `flatten` makes one axis of all but the first"),
                "flatten".into(),
            ),
            ("reshape" | "view", _, [x, ..], None) if flattens(&args[1..]) => (
                format!("there is no `{name}`: `flatten` makes one axis of all but the first"),
                format!("flatten({x})"),
            ),
            _ => return false,
        };
        let found = Diagnostic::error(Code::UnknownName, span, message).help(format!("write `{ours}`"));
        self.report(found.edit(span, ours));
        true
    }

    /// The text of a place.
    pub(super) fn written(&self, span: Span) -> String {
        self.loaded.sources.text(span).trim().to_string()
    }

    /// The whole text that `span` lies in, where it is the user's.
    fn around(&self, span: Span) -> &'a str {
        let loaded = self.loaded;
        loaded.sources.get(span.file).text.as_str()
    }

    /// An argument with the comma that parts it from the one before, or else from the one after.
    pub(super) fn argument_with_comma(&self, arg: Span) -> Span {
        let text = self.around(arg);
        let (start, end) = (arg.start as usize, arg.end as usize);
        let before = text[..start].trim_end();
        if let Some(before) = before.strip_suffix(',') {
            return Span::new(arg.file, before.len(), end);
        }
        let after = text[end..].trim_start();
        match after.strip_prefix(',') {
            Some(rest) => Span::new(arg.file, start, text.len() - rest.trim_start().len()),
            None => arg,
        }
    }

    /// A statement with its line, where it stands alone on it.
    pub(super) fn whole_line(&self, span: Span) -> Span {
        let text = self.around(span);
        let (start, end) = (span.start as usize, span.end as usize);
        let begins = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let ends = text[end..].find('\n').map_or(text.len(), |newline| end + newline + 1);
        let alone = text[begins..start].trim().is_empty() && text[end..ends].trim().is_empty();
        if alone { Span::new(span.file, begins, ends) } else { span }
    }

    /// Just behind a place.
    pub(super) fn behind(span: Span) -> Span {
        Span { start: span.end, ..span }
    }

    /// Just before a place.
    pub(super) fn before(span: Span) -> Span {
        Span { end: span.start, ..span }
    }

    /// What a value of the wrong kind, written `text`, was probably meant to be.
    pub(super) fn meant(&self, value: &Value<'a>, kind: Kind, text: &str) -> Option<String> {
        let inner = |open: char, close: char| text.strip_prefix(open).and_then(|t| t.strip_suffix(close));
        match (kind, value) {
            (Kind::Int | Kind::Ints | Kind::Axis, Value::Float(x)) if *x >= 0.5 && *x < 1e9 => {
                Some(format!("{}", x.round()))
            }
            (Kind::Int | Kind::Ints | Kind::Float | Kind::Axis | Kind::Axes, Value::Text(word)) => {
                let number = word.parse::<f64>().is_ok();
                let name = kind == Kind::Axes && is_name(word);
                (number || name).then(|| word.to_string())
            }
            (Kind::Ints | Kind::Padding, Value::Tuple(_)) => {
                inner('(', ')').map(|inner| format!("[{inner}]"))
            }
            (Kind::Padding, Value::Text(word)) => {
                let word = word.to_ascii_lowercase();
                Some(if word == "valid" { "valid" } else { "same" }.to_string())
            }
            (Kind::Padding, Value::Bool(on)) => Some(if *on { "same" } else { "valid" }.to_string()),
            (Kind::Bool, Value::Int(0)) => Some("false".to_string()),
            (Kind::Bool, Value::Int(1)) => Some("true".to_string()),
            (Kind::Bool, Value::Text(word)) => match word.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" => Some("true".to_string()),
                "false" | "no" | "off" => Some("false".to_string()),
                _ => None,
            },
            (Kind::Init | Kind::Layer | Kind::DType, Value::Text(word)) => {
                is_name(word).then(|| word.to_string())
            }
            _ => None,
        }
    }

    /// Says that two tensors of a call stand in each other's place, if their dtypes say so.
    pub(super) fn swapped(&mut self, definition: &'a Definition, args: &[Option<Bound<'a>>]) -> bool {
        let class = |at: usize| match &definition.params[at].ty {
            Some(TypeExpr::Tensor { head, axes: Some(_), .. }) => match head.text.as_str() {
                "float" => Some(true),
                "int" => Some(false),
                _ => None,
            },
            _ => None,
        };
        let is_float = |checker: &Self, at: usize| match args[at].as_ref().map(|bound| &bound.value) {
            Some(Value::Tensor(id)) => Some(checker.ty(*id).dtype.is_float()),
            _ => None,
        };
        for a in 0..args.len() {
            for b in a + 1..args.len() {
                let (Some(x), Some(y)) = (class(a), class(b)) else { continue };
                let (Some(got_x), Some(got_y)) = (is_float(self, a), is_float(self, b)) else { continue };
                if x == y || got_x == x || got_y == y {
                    continue;
                }
                let (Some(first), Some(second)) = (&args[a], &args[b]) else { continue };
                let (p, q) = (&definition.params[a].name.text, &definition.params[b].name.text);
                let layer = super::name_of(definition);
                let (s, t) = (self.written(first.span), self.written(second.span));
                let message = format!(
                    "`{layer}` takes ({p}, {q}), floats and whole numbers, and `{s}` and `{t}` stand in each \
                     other's place"
                );
                let (message, whole) = if x {
                    (message, true)
                } else {
                    (message.replace("floats and whole numbers", "whole numbers and floats"), true)
                };
                let mut found = Diagnostic::error(Code::DtypeMismatch, first.span, message)
                    .label(second.span, format!("`{q}` of `{layer}`"))
                    .help(format!("write `{layer}({t}, {s})`"));
                let in_user = !self.loaded.in_library(first.span) && !self.loaded.in_library(second.span);
                if whole
                    && in_user
                    && (first.span.end <= second.span.start || second.span.end <= first.span.start)
                {
                    found = found.edit(first.span, t).edit(second.span, s);
                }
                self.report(found);
                return true;
            }
        }
        false
    }

    /// Says that the last argument of a call belongs first: `top(logits, label, 5)`.
    pub(super) fn turned(&mut self, callee: &str, params: &[Taken<'_>], args: &'a [Argument]) -> bool {
        let plain = args.iter().all(|arg| matches!(arg.name, ArgumentName::None));
        let wants_number = params.first().is_some_and(|p| matches!(p.kind, Kind::Int | Kind::Float));
        let (Some(first), Some(last)) = (args.first(), args.last()) else { return false };
        let number = |expr: &Expr| matches!(expr.kind, ExprKind::Number(_));
        if !plain
            || !wants_number
            || args.len() != params.len()
            || number(&first.value)
            || !number(&last.value)
        {
            return false;
        }
        let texts: Vec<String> = args.iter().map(|arg| self.written(arg.span)).collect();
        let (end, rest) =
            texts.split_last().map_or((String::new(), &[][..]), |(end, rest)| (end.clone(), rest));
        let names: Vec<&str> = params.iter().map(|param| param.name).collect();
        let ours = format!("{end}, {}", rest.join(", "));
        let message = format!("`{callee}` takes ({}) in this order", names.join(", "));
        let found = Diagnostic::error(Code::WrongKind, first.span, message)
            .help(format!("write `{callee}({ours})`"))
            .edit(first.span.to(last.span), ours);
        self.report(found);
        true
    }
}

/// Whether the sizes of a `reshape` make one axis of all but the first: `-1, 64` or `batch, -1`.
fn flattens(sizes: &[Argument]) -> bool {
    sizes.len() == 2
}

fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// How other languages say that there is nothing.
pub(super) fn is_nothing(word: &str) -> bool {
    matches!(word, "None" | "none" | "null" | "nil" | "NULL" | "undefined" | "nullptr")
}
