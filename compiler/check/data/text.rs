//! Texts as data: `text("pairs.tsv", source: column(0), target: column(1))`, and the windows of a long one.

use strata_grammar::ast::{Argument, ArgumentName, Expr, ExprKind, Ident};
use strata_grammar::{Code, Diagnostic, Span};
use strata_runtime::queue::{Part, TextFacts, Windows};

use super::sources::first_value;
use super::{Draft, DraftField, DraftKind, Format, From, first_text, units_of};
use crate::check::signature::lone_name;
use crate::check::{Checker, Content};

/// What of a text a call reads, as far as can be told without looking for mistakes.
pub(super) fn part_of(args: &[Argument]) -> Part {
    let part = |arg: &Argument| match lone_name(&arg.value).map(|name| name.text.as_str()) {
        Some("whole") => Some(Part::Whole),
        Some("line") => Some(Part::Line),
        _ => None,
    };
    // Which cell does not matter: all are looked at.
    args.iter().find_map(part).unwrap_or(Part::Cell(0))
}

impl<'a> Checker<'a> {
    pub(super) fn text(&mut self, args: &'a [Argument], span: Span) -> Option<Draft> {
        let Some((path, path_span)) = first_text(args) else {
            let found = Diagnostic::error(Code::MissingArgument, span, "`text` needs the path of a file")
                .help("write `text(\"book.txt\", letters: whole)`");
            self.report(found);
            return None;
        };
        let part = part_of(args);
        let format = Format::Text { part, units: units_of(self.loaded) };
        let content = |content: &'a Content| match content {
            Content::Text(text) => Some(text),
            _ => None,
        };
        let (key, facts) = self.open((path, path_span), format, content);
        let fields = self.fields(args, path_span, "text", |checker, name, expr| {
            checker.text_field(name, expr, part, facts)
        })?;
        if fields.is_empty() {
            let found = Diagnostic::error(Code::MissingArgument, span, "`text` makes no fields of the file")
                .help("name some: `letters: whole`, `sentence: line`, or `source: column(0), target: column(1)`");
            self.report(found);
            return None;
        }
        let examples = facts.map(|facts| facts.rows);
        Some(Draft::new(DraftKind::Text { key }, fields, examples, span))
    }

    fn text_field(
        &mut self,
        name: &'a Ident,
        expr: &'a Expr,
        whole: Part,
        facts: Option<&TextFacts>,
    ) -> Option<DraftField> {
        let (inner, arithmetic) = self.arithmetic(expr)?;
        let word = lone_name(inner).map(|name| name.text.as_str());
        let call = match &inner.kind {
            ExprKind::Call { callee, args, .. } => lone_name(callee).map(|name| (name.text.as_str(), args)),
            _ => None,
        };
        let from = match (word, call) {
            (Some("whole"), _) => From::Text { part: Part::Whole, tokens: None },
            (Some("line"), _) => From::Text { part: Part::Line, tokens: None },
            (_, Some(("column", args))) => {
                let cell = self.cell(args, inner.span, facts)?;
                From::Text { part: Part::Cell(cell), tokens: None }
            }
            (_, Some(("numbers", args))) => {
                let cell = self.cell(args, inner.span, facts)?;
                let step = self.step_shape(args)?;
                From::Numbers { part: Part::Cell(cell), step }
            }
            _ => return self.no_field(inner, "`column(0)`, `numbers(0)`, `line` or `whole`"),
        };
        let part = match &from {
            From::Text { part, .. } | From::Numbers { part, .. } => *part,
            From::Columns(_) | From::Array(..) | From::Picture | From::Folder { .. } => return None,
        };
        if std::mem::discriminant(&part) != std::mem::discriminant(&whole) {
            let found = Diagnostic::error(
                Code::WrongKind,
                inner.span,
                "the fields of one text are all columns, or the lines, or the whole",
            )
            .help("read the file twice, in two `data` lines");
            self.report(found);
            return None;
        }
        if let (From::Text { .. }, Some(_)) = (&from, arithmetic.first()) {
            let found =
                Diagnostic::error(Code::WrongKind, expr.span, "a text is no number to calculate with")
                    .help("where it holds numbers, write `numbers(…)`");
            self.report(found);
            return None;
        }
        Some(DraftField {
            name: name.text.clone(),
            name_span: name.span,
            from,
            shape: None,
            shape_span: inner.span,
            arithmetic,
            span: name.span.to(expr.span),
        })
    }

    /// The cell of each line that `column(0)` or `numbers(0)` names.
    fn cell(&mut self, args: &'a [Argument], span: Span, facts: Option<&TextFacts>) -> Option<usize> {
        let Some(expr) = first_value(args) else {
            let found = Diagnostic::error(Code::MissingArgument, span, "which column?")
                .help("columns are separated by tabs and counted from 0: `column(0)`");
            self.report(found);
            return None;
        };
        let at = self.plain_count(expr, 0, "a column")? as usize;
        match facts {
            Some(facts) if at >= facts.parts.len() => {
                let cells = facts.parts.len();
                let message = format!("there is no column {at}: the lines have {cells}, counted from 0");
                let found = Diagnostic::error(Code::UnknownColumn, expr.span, message)
                    .help("columns are separated by tabs");
                self.report(found);
                None
            }
            _ => Some(at),
        }
    }

    /// `each: [2]`
    fn step_shape(&mut self, args: &'a [Argument]) -> Option<Vec<usize>> {
        let mut shape = Vec::new();
        for arg in args {
            match &arg.name {
                ArgumentName::None => {}
                ArgumentName::Colon(name) if name.text == "each" => {
                    let sizes: Vec<&'a Expr> = match &arg.value.kind {
                        ExprKind::List(sizes) => sizes.iter().collect(),
                        _ => vec![&arg.value],
                    };
                    for size in sizes {
                        shape.push(self.plain_count(size, 1, "a size")? as usize);
                    }
                    let total = shape.iter().try_fold(1usize, |n, size| n.checked_mul(*size));
                    if total.is_none_or(|n| n > 1 << 40) {
                        let message = "this shape is beyond what any machine holds";
                        self.report(Diagnostic::error(Code::BadSize, arg.value.span, message));
                        return None;
                    }
                }
                ArgumentName::Colon(name) | ArgumentName::Equals(name) => {
                    let message = format!("`numbers` has no argument `{}`", name.text);
                    let found = Diagnostic::error(Code::UnknownArgument, name.span, message)
                        .help("the shape of one step is given by `each: [2]`");
                    self.report(found);
                    return None;
                }
            }
        }
        Some(shape)
    }

    /// `windows(64, stride: 32)`
    pub(super) fn windows(&mut self, mut draft: Draft, args: &'a [Argument], span: Span) -> Option<Draft> {
        let whole =
            draft.fields.iter().all(|field| matches!(field.from, From::Text { part: Part::Whole, .. }));
        if !whole || draft.windows.is_some() || !draft.stages.is_empty() {
            let found = Diagnostic::error(
                Code::MisplacedStatement,
                span,
                "`windows` cuts one long text, right after its `tokens`",
            )
            .label(draft.span, "the source")
            .help("write `text(\"book.txt\", letters: whole) |> tokens(characters) |> windows(64)`");
            self.report(found);
            return None;
        }
        let mut length = None;
        let mut stride = None;
        for arg in args {
            match &arg.name {
                ArgumentName::None if length.is_none() => {
                    length = Some(self.plain_count(&arg.value, 1, "the length of a window")? as usize);
                }
                ArgumentName::Colon(name) if name.text == "stride" => {
                    stride = Some(self.plain_count(&arg.value, 1, "a stride")? as usize);
                }
                ArgumentName::Colon(name) | ArgumentName::Equals(name) => {
                    let message = format!("`windows` has no argument `{}`", name.text);
                    let found = Diagnostic::error(Code::UnknownArgument, name.span, message)
                        .help("it has (length, stride)");
                    self.report(found);
                    return None;
                }
                ArgumentName::None => {
                    let message = "`windows` takes one number, and `stride:`";
                    self.report(Diagnostic::error(Code::ExtraArgument, arg.span, message));
                    return None;
                }
            }
        }
        let Some(length) = length else {
            let found =
                Diagnostic::error(Code::MissingArgument, span, "`windows` needs the length of a window")
                    .help("write `windows(64)`");
            self.report(found);
            return None;
        };
        let stride = stride.unwrap_or(length);
        let steps = draft.fields.iter().find_map(|field| match &field.from {
            From::Text { tokens: Some(tokens), .. } => tokens.longest,
            From::Text { tokens: None, .. }
            | From::Numbers { .. }
            | From::Columns(_)
            | From::Array(..)
            | From::Picture
            | From::Folder { .. } => None,
        });
        if let Some(steps) = steps
            && steps < length
        {
            let message = format!("a window has {length} steps, and the whole text has {steps}");
            let found = Diagnostic::error(Code::BadValue, span, message).label(draft.span, "the text");
            self.report(found);
            return None;
        }
        draft.examples = steps.map(|steps| (steps - length) / stride + 1);
        draft.windows = Some(Windows { length, stride, origin: self.data_origin(span) });
        Some(draft)
    }
}
