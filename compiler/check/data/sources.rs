//! Sources: files as fields of examples.

use strata_grammar::ast::{Argument, ArgumentName, BinaryOp, Expr, ExprKind, Ident};
use strata_grammar::{Code, Diagnostic, Span, did_you_mean};
use strata_runtime::queue::{Arithmetic, ColumnFacts, Fault};

use super::{Draft, DraftField, DraftKind, Format, From, candidates, first_text, header_of};
use crate::check::signature::lone_name;
use crate::check::{Checker, Content, DataFacts, SourceFacts, SourceKey};

impl<'a> Checker<'a> {
    /// What is known of a file; what keeps it from being read is said at `span`.
    pub(in crate::check) fn facts(&mut self, key: &SourceKey, span: Span) -> Option<&'a SourceFacts> {
        let facts: &'a DataFacts = self.facts;
        match facts.sources.get(key)? {
            Ok(found) => Some(found),
            Err(error) => {
                let message = format!("`{}`: {}", key.path, error.fault);
                let mut found = Diagnostic::error(Code::BadData, span, message);
                let tried = candidates(self.loaded, self.settings, key);
                if tried.len() == 1 && matches!(error.fault, Fault::Missing { .. }) {
                    found = found.help("say where data lie with `--data FOLDER` or STRATA_DATA");
                }
                if let Some(line) = error.place.line {
                    found.message = format!("{}, line {line}", found.message);
                }
                self.report(found);
                None
            }
        }
    }

    /// `csv(…)` and `parquet(…)`: columns of numbers.
    pub(super) fn csv(&mut self, args: &'a [Argument], span: Span, source: &str) -> Option<Draft> {
        let Some((path, path_span)) = first_text(args) else {
            let message = format!("`{source}` needs the path of a file");
            let found = Diagnostic::error(Code::MissingArgument, span, message)
                .help(format!("write `{source}(\"file.{source}\", name: column(0))`"));
            self.report(found);
            return None;
        };
        let is_csv = source == "csv";
        let format = if is_csv { Format::Csv { header: header_of(args) } } else { Format::Parquet };
        let content = |content: &'a Content| match content {
            Content::Csv(csv) => Some(csv),
            _ => None,
        };
        let (key, columns) = self.open((path, path_span), format, content);
        let header = |arg: &Argument| {
            is_csv
                && matches!(&arg.name, ArgumentName::Colon(name) if name.text == "header")
                && matches!(arg.value.kind, ExprKind::Bool(_))
        };
        let args_of_fields = args.iter().filter(|arg| !header(arg));
        let fields = self.fields(args_of_fields, path_span, source, |checker, name, expr| {
            checker.csv_field(name, expr, columns.map(|csv| csv.columns.as_slice()))
        })?;
        if fields.is_empty() {
            let message = format!("`{source}` makes no fields of its columns");
            let found = Diagnostic::error(Code::MissingArgument, span, message)
                .help("name some: `x: columns(0..4), label: column(4)`");
            self.report(found);
            return None;
        }
        let kind =
            if is_csv { DraftKind::Csv { key, header: header_of(args) } } else { DraftKind::Parquet { key } };
        let examples = columns.map(|csv| csv.rows);
        Some(Draft::new(kind, fields, examples, span))
    }

    /// The file that is named at `span`, and what is known of it; what keeps it from being read is said.
    pub(super) fn open<T>(
        &mut self,
        (path, span): (&str, Span),
        format: Format,
        content: impl FnOnce(&'a Content) -> Option<&'a T>,
    ) -> (SourceKey, Option<&'a T>) {
        let key = SourceKey { file: span.file, path: path.to_string(), format };
        let facts = self.facts(&key, span).and_then(|facts| content(&facts.content));
        (key, facts)
    }

    /// The named arguments as fields; `path` is the argument that is none. Nothing where one is wrong, which is said.
    pub(super) fn fields(
        &mut self,
        args: impl IntoIterator<Item = &'a Argument>,
        path: Span,
        source: &str,
        mut field: impl FnMut(&mut Self, &'a Ident, &'a Expr) -> Option<DraftField>,
    ) -> Option<Vec<DraftField>> {
        let mut fields: Vec<DraftField> = Vec::new();
        let mut wrong = false;
        for arg in args {
            let ArgumentName::Colon(name) = &arg.name else {
                wrong |= !self.is_path(arg, path, source);
                continue;
            };
            match field(self, name, &arg.value) {
                Some(field) => self.add_field(field, &mut fields),
                None => wrong = true,
            }
        }
        (!wrong).then_some(fields)
    }

    /// Whether an argument without a name is the source's path; said where it is not.
    fn is_path(&mut self, arg: &Argument, path: Span, source: &str) -> bool {
        if arg.value.span == path {
            return true;
        }
        let message = format!("a field of `{source}` needs a name");
        let found = Diagnostic::error(Code::ExtraArgument, arg.span, message);
        self.report(match &arg.name {
            ArgumentName::Equals(name) => {
                let sign = Span { start: name.span.end, end: arg.value.span.start, ..name.span };
                found.help(format!("a colon names a field: `{}: …`", name.text)).edit(sign, ": ")
            }
            ArgumentName::None | ArgumentName::Colon(_) => {
                found.help("write `name: …`, by the model's input")
            }
        });
        false
    }

    fn add_field(&mut self, field: DraftField, fields: &mut Vec<DraftField>) {
        if let Some(first) = fields.iter().find(|other| other.name == field.name) {
            let message = format!("there already is a field `{}`", field.name);
            let found = Diagnostic::error(Code::DuplicateName, field.name_span, message)
                .label(first.span, "the first");
            self.report(found);
            return;
        }
        fields.push(field);
    }

    /// `columns(0..64, as: [8, 8, 1]) / 16`
    pub(super) fn csv_field(
        &mut self,
        name: &'a Ident,
        expr: &'a Expr,
        columns: Option<&[ColumnFacts]>,
    ) -> Option<DraftField> {
        let (call, arithmetic) = self.arithmetic(expr)?;
        let ExprKind::Call { callee, args, .. } = &call.kind else {
            return self.no_field(call, "`column(…)` or `columns(…)`");
        };
        let (range, natural) = match lone_name(callee).map(|name| name.text.as_str()) {
            Some("column") => {
                let at = self.column(first_value(args), call.span, columns)?;
                (at..at + 1, Vec::new())
            }
            Some("columns") => {
                if let [first, .., last] = args.as_slice()
                    && let (ExprKind::Number(a), ExprKind::Number(b)) = (&first.value.kind, &last.value.kind)
                    && args.iter().all(|arg| matches!(arg.name, ArgumentName::None))
                    && let (Some(a), Some(b)) = (a.int, b.int)
                    && b - a + 1 == args.len() as i64
                {
                    let range = format!("{a}..{}", b + 1);
                    let found = Diagnostic::error(
                        Code::WrongKind,
                        first.span.to(last.span),
                        "`columns` takes a range",
                    )
                    .help(format!("write `columns({range})`: from {a} up to and without {}", b + 1))
                    .edit(first.span.to(last.span), range);
                    self.report(found);
                    return None;
                }
                let range = self.columns(first_value(args), call.span, columns)?;
                let natural = vec![range.len()];
                (range, natural)
            }
            _ => return self.no_field(call, "`column(…)` or `columns(…)`"),
        };
        let (shape, shape_span) = match self.shape_argument(args)? {
            Some((shape, at)) => {
                let elements: usize = shape.iter().product();
                if elements != range.len() {
                    let message = format!(
                        "{} columns do not make a tensor of {shape:?}, which has {elements} elements",
                        range.len()
                    );
                    self.report(Diagnostic::error(Code::DataMismatch, at, message));
                    return None;
                }
                (shape, at)
            }
            None => (natural, call.span),
        };
        let from = From::Columns(range);
        Some(DraftField {
            name: name.text.clone(),
            name_span: name.span,
            from,
            shape: Some(shape),
            shape_span,
            arithmetic,
            span: name.span.to(expr.span),
        })
    }

    pub(super) fn no_field(&mut self, expr: &Expr, wants: &str) -> Option<DraftField> {
        if !matches!(expr.kind, ExprKind::Bad) {
            let message = format!("a field is made of {wants}");
            self.report(Diagnostic::error(Code::WrongKind, expr.span, message));
        }
        None
    }

    /// What is done to a field's numbers, and the field itself.
    pub(super) fn arithmetic(&mut self, expr: &'a Expr) -> Option<(&'a Expr, Vec<(Arithmetic, f64)>)> {
        let mut steps = Vec::new();
        let mut at = expr;
        loop {
            match &at.kind {
                ExprKind::Paren(inner) => at = inner,
                ExprKind::Binary { op, left, right, op_span } => {
                    let how = match op {
                        BinaryOp::Add => Arithmetic::Add,
                        BinaryOp::Sub => Arithmetic::Subtract,
                        BinaryOp::Mul => Arithmetic::Multiply,
                        BinaryOp::Div => Arithmetic::Divide,
                        _ => {
                            let message = format!("`{}` cannot be done to data", op.text());
                            let found = Diagnostic::error(Code::WrongKind, *op_span, message)
                                .help("use + - * / with a number on the right");
                            self.report(found);
                            return None;
                        }
                    };
                    let number = self.plain_number(right)?;
                    if how == Arithmetic::Divide && number == 0.0 {
                        self.report(Diagnostic::error(Code::BadValue, right.span, "this divides by zero"));
                        return None;
                    }
                    steps.push((how, number));
                    at = left;
                }
                _ => break,
            }
        }
        steps.reverse();
        Some((at, steps))
    }

    pub(super) fn column(
        &mut self,
        expr: Option<&'a Expr>,
        span: Span,
        columns: Option<&[ColumnFacts]>,
    ) -> Option<usize> {
        let Some(expr) = expr else {
            let found = Diagnostic::error(Code::MissingArgument, span, "which column?")
                .help("write `column(0)`, or `column(\"name\")`");
            self.report(found);
            return None;
        };
        if let ExprKind::String(name) = &expr.kind {
            let columns = columns?;
            let names: Vec<&str> = columns.iter().filter_map(|column| column.name.as_deref()).collect();
            if let Some(at) = columns.iter().position(|column| column.name.as_deref() == Some(name)) {
                return Some(at);
            }
            let message = format!("there is no column `{name}`");
            let mut found = Diagnostic::error(Code::UnknownColumn, expr.span, message);
            found = match did_you_mean(name, names.iter().copied()) {
                Some(near) => {
                    found.help(format!("did you mean `{near}`?")).edit(expr.span, format!("\"{near}\""))
                }
                None if names.is_empty() => found.help(format!(
                    "its columns have no names; they are numbered from 0 to {}",
                    columns.len() - 1
                )),
                None => found.help(format!("the columns are called {}", listed(&names))),
            };
            self.report(found);
            return None;
        }
        if matches!(expr.kind, ExprKind::Binary { op: BinaryOp::Range, .. }) {
            let text = self.written(expr.span);
            let word = Span { end: span.start + "column".len() as u32, ..span };
            let found =
                Diagnostic::error(Code::WrongKind, expr.span, "`column` takes one, and this is a range")
                    .help(format!("write `columns({text})`"))
                    .edit(word, "columns");
            self.report(found);
            return None;
        }
        let at = self.plain_count(expr, 0, "a column")? as usize;
        self.column_exists(at, expr.span, columns)?;
        Some(at)
    }

    pub(super) fn column_exists(
        &mut self,
        at: usize,
        span: Span,
        columns: Option<&[ColumnFacts]>,
    ) -> Option<()> {
        match columns {
            Some(columns) if at >= columns.len() => {
                let message =
                    format!("there is no column {at}: the file has {}, counted from 0", columns.len());
                let last = columns.len().saturating_sub(1);
                // The end of a range stands behind its last column.
                let right = if self.written(span) == at.to_string() { last } else { last + 1 };
                let found = Diagnostic::error(Code::UnknownColumn, span, message)
                    .help(format!("the last column is {last}"))
                    .edit(span, right.to_string());
                self.report(found);
                None
            }
            _ => Some(()),
        }
    }

    pub(super) fn columns(
        &mut self,
        expr: Option<&'a Expr>,
        span: Span,
        columns: Option<&[ColumnFacts]>,
    ) -> Option<std::ops::Range<usize>> {
        let bounds = match expr.map(|expr| &expr.kind) {
            Some(ExprKind::Binary { op: BinaryOp::Range, left, right, .. }) => Some((left, right)),
            _ => None,
        };
        let Some((left, right)) = bounds else {
            let found = Diagnostic::error(
                Code::WrongKind,
                expr.map_or(span, |expr| expr.span),
                "`columns` takes a range",
            );
            self.report(match expr.map(|expr| (&expr.kind, expr.span)) {
                Some((ExprKind::Number(number), _)) => found
                    .help(format!("one column is `column({})`", number.text))
                    .edit(Span { end: span.start + "columns".len() as u32, ..span }, "column"),
                _ => found.help("write `columns(0..64)`: from 0 up to and without 64"),
            });
            return None;
        };
        let start = self.plain_count(left, 0, "a column")? as usize;
        let end = self.plain_count(right, 0, "a column")? as usize;
        if end <= start {
            let message = format!("there is no column in {start}..{end}");
            self.report(Diagnostic::error(Code::BadValue, left.span.to(right.span), message));
            return None;
        }
        self.column_exists(end - 1, right.span, columns)?;
        Some(start..end)
    }

    /// `as: [8, 8, 1]`
    pub(super) fn shape_argument(&mut self, args: &'a [Argument]) -> Option<Option<(Vec<usize>, Span)>> {
        for arg in args {
            match &arg.name {
                ArgumentName::Colon(name) if name.text == "as" => {
                    let ExprKind::List(sizes) = &arg.value.kind else {
                        let found =
                            Diagnostic::error(Code::WrongKind, arg.value.span, "a shape is a list of sizes")
                                .help("write `as: [8, 8, 1]`");
                        self.report(found);
                        return None;
                    };
                    let mut shape = Vec::new();
                    for size in sizes {
                        shape.push(self.plain_count(size, 1, "a size")? as usize);
                    }
                    let total = shape.iter().try_fold(1usize, |n, size| n.checked_mul(*size));
                    if total.is_none_or(|n| n > 1 << 40) {
                        let message = "this shape is beyond what any machine holds";
                        self.report(Diagnostic::error(Code::BadSize, arg.value.span, message));
                        return None;
                    }
                    return Some(Some((shape, arg.value.span)));
                }
                ArgumentName::Colon(name) | ArgumentName::Equals(name) => {
                    let message = format!("there is no argument `{}` here", name.text);
                    let found = Diagnostic::error(Code::UnknownArgument, name.span, message)
                        .help("a shape is given by `as: […]`");
                    self.report(found);
                    return None;
                }
                ArgumentName::None => {}
            }
        }
        Some(None)
    }
}

pub(super) fn first_value(args: &[Argument]) -> Option<&Expr> {
    args.iter().find(|arg| matches!(arg.name, ArgumentName::None)).map(|arg| &arg.value)
}

pub(super) fn listed(names: &[&str]) -> String {
    const MOST: usize = 8;
    let shown = names.iter().take(MOST).copied().collect::<Vec<_>>().join(", ");
    if names.len() > MOST { format!("{shown}, …") } else { shown }
}
