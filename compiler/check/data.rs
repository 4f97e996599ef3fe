//! `data` blocks: from expressions to recipes, held against the model's inputs and the facts about files.

use std::path::{Path, PathBuf};

use strata_grammar::ast::{
    Argument, ArgumentName, BinaryOp, Expr, ExprKind, Ident, Item, TrainKind, UnaryOp,
};
use strata_grammar::{Code, Diagnostic, Span, did_you_mean};
use strata_runtime::queue::{
    Arithmetic, ColumnFacts, CsvField, IdxField, Origin, Recipe, Source, Stage, StageKind,
};

use super::signature::lone_name;
use super::{Checker, Content, Settings, SourceFacts, SourceKey, items};
use crate::load::Loaded;
use crate::model::{Input, Model};
use crate::types::Size;

/// How a data file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Comma-separated numbers, one example a row.
    Csv {
        /// Whether the first row holds names, where the spec says so.
        header: Option<bool>,
    },
    /// The format of the MNIST collection.
    Idx,
}

/// A data file that a spec names.
#[derive(Clone, Debug)]
pub struct DataSource {
    /// Which file: what the checker looks facts up by.
    pub key: SourceKey,
    /// The path in the text.
    pub span: Span,
    /// How it is written.
    pub format: Format,
    /// Where it may lie; the first that exists is meant.
    pub candidates: Vec<PathBuf>,
}

/// Every data file that a spec names, for whoever inspects them.
pub fn data_sources(loaded: &Loaded, settings: &Settings) -> Vec<DataSource> {
    let mut found = Vec::new();
    for (_, item) in items(loaded) {
        match item {
            Item::Data(data) => sources_of(&data.value, &mut found),
            Item::Train(train) => {
                for statement in &train.body {
                    if let TrainKind::Feed(expr) | TrainKind::Evaluate { data: expr, .. } = &statement.kind {
                        sources_of(expr, &mut found);
                    }
                }
            }
            Item::Use(_)
            | Item::Model(_)
            | Item::Layer(_)
            | Item::Devices(_)
            | Item::Place(_)
            | Item::Replicas(_)
            | Item::Bad(_) => {}
        }
    }
    let source = |(key, span, format): (SourceKey, Span, Format)| {
        let candidates = candidates(loaded, settings, &key);
        DataSource { key, span, format, candidates }
    };
    found.into_iter().map(source).collect()
}

fn candidates(loaded: &Loaded, settings: &Settings, key: &SourceKey) -> Vec<PathBuf> {
    let name = &loaded.sources.get(key.file).name;
    let beside = Path::new(name).parent().unwrap_or(Path::new("")).join(&key.path);
    std::iter::once(beside).chain(settings.data.iter().map(|folder| folder.join(&key.path))).collect()
}

/// The files named in an expression; operators that lean to the left are walked without recursion.
fn sources_of(expr: &Expr, found: &mut Vec<(SourceKey, Span, Format)>) {
    let mut at = expr;
    while let ExprKind::Binary { left, right, .. } = &at.kind {
        sources_of(right, found);
        at = left;
    }
    match &at.kind {
        ExprKind::Paren(inner) => sources_of(inner, found),
        ExprKind::Call { callee, args, .. } => {
            let format = match lone_name(callee).map(|name| name.text.as_str()) {
                Some("csv") => Some(Format::Csv { header: header_of(args) }),
                Some("array") => Some(Format::Idx),
                _ => None,
            };
            if let (Some(format), Some((path, span))) = (format, first_text(args)) {
                let key = SourceKey { file: span.file, path: path.to_string() };
                if !found.iter().any(|(known, ..)| *known == key) {
                    found.push((key, span, format));
                }
            }
            args.iter().for_each(|arg| sources_of(&arg.value, found));
        }
        _ => {}
    }
}

fn header_of(args: &[Argument]) -> Option<bool> {
    args.iter().find_map(|arg| match (&arg.name, &arg.value.kind) {
        (ArgumentName::Colon(name), ExprKind::Bool(value)) if name.text == "header" => Some(*value),
        _ => None,
    })
}

fn first_text(args: &[Argument]) -> Option<(&str, Span)> {
    args.iter().find_map(|arg| match (&arg.name, &arg.value.kind) {
        (ArgumentName::None, ExprKind::String(text)) => Some((text.as_str(), arg.value.span)),
        _ => None,
    })
}

/// A recipe before it is held against a model.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    kind: DraftKind,
    fields: Vec<DraftField>,
    stages: Vec<(StageKind, Span)>,
    /// Number of examples, where it is known.
    examples: Option<usize>,
    /// The source.
    span: Span,
}

#[derive(Clone, Debug)]
enum DraftKind {
    Csv { key: SourceKey, header: Option<bool> },
    Idx,
}

/// One field before it is held against a model.
#[derive(Clone, Debug)]
struct DraftField {
    name: String,
    name_span: Span,
    from: From,
    /// Shape of one example; `None`: unknown for want of facts.
    shape: Option<Vec<usize>>,
    shape_span: Span,
    arithmetic: Vec<(Arithmetic, f64)>,
    span: Span,
}

#[derive(Clone, Debug)]
enum From {
    Columns(std::ops::Range<usize>),
    Array(SourceKey),
}

/// What a data expression stands for.
#[derive(Clone, Debug)]
enum Flow {
    One(Draft),
    /// What `split` makes.
    Parts(Vec<Draft>),
}

/// Stages and sources that later versions have.
const PLANNED: [&str; 17] = [
    "images",
    "text",
    "tokens",
    "bucket",
    "random_crop",
    "flip",
    "whiten",
    "skip",
    "workers",
    "npy",
    "npz",
    "parquet",
    "captions",
    "resize",
    "crop",
    "repeat",
    "take",
];

/// What can stand in a data expression.
const KNOWN: [&str; 6] = ["csv", "idx", "shuffle", "split", "batch", "prefetch"];

impl<'a> Checker<'a> {
    /// Looks at every `data` item once, used or not.
    pub(super) fn check_data(&mut self) {
        for (_, item) in items(self.loaded) {
            if let Item::Data(data) = item {
                let flow = self.flow(&data.value, &mut vec![data.span]);
                let parts = match flow {
                    Some(Flow::Parts(parts)) => parts.len(),
                    Some(Flow::One(_)) => 1,
                    None => continue,
                };
                if parts != data.names.len() {
                    let at = data.names.last().map_or(data.span, |name| name.span);
                    let message = format!("{} names for {parts} parts", data.names.len());
                    let found = Diagnostic::error(Code::WrongKind, at, message)
                        .help("`split(at: [a, b])` makes one part more than it has numbers");
                    self.report(found);
                }
            }
        }
    }

    /// The recipe that an expression in `train` stands for.
    pub(super) fn draft(&mut self, expr: &'a Expr) -> Option<Draft> {
        match self.flow(expr, &mut Vec::new())? {
            Flow::One(draft) => Some(draft),
            Flow::Parts(_) => {
                let found = Diagnostic::error(
                    Code::WrongKind,
                    expr.span,
                    "these are several parts, and one is needed",
                )
                .help("name the parts in a `data` line, and use one of them");
                self.report(found);
                None
            }
        }
    }

    /// The draft behind a data name.
    pub(super) fn named_draft(&mut self, name: &str) -> Option<Draft> {
        let data = *self.globals.data.get(name)?;
        self.part(data, name, &mut Vec::new())
    }

    fn part(
        &mut self,
        data: &'a strata_grammar::ast::Data,
        name: &str,
        active: &mut Vec<Span>,
    ) -> Option<Draft> {
        if active.contains(&data.span) {
            let at = data.names.first().map_or(data.span, |n| n.span);
            let message = format!("`{name}` is made of itself");
            self.report(
                Diagnostic::error(Code::BadValue, at, message).help("begin with a source, as in `csv(…)`"),
            );
            return None;
        }
        active.push(data.span);
        let flow = self.flow(&data.value, active);
        active.pop();
        let at = data.names.iter().position(|other| other.text == name)?;
        match flow? {
            Flow::One(draft) => (data.names.len() == 1).then_some(draft),
            Flow::Parts(mut parts) => {
                (at < parts.len() && parts.len() == data.names.len()).then(|| parts.swap_remove(at))
            }
        }
    }

    fn flow(&mut self, expr: &'a Expr, active: &mut Vec<Span>) -> Option<Flow> {
        if !self.enter(expr.span) {
            return None;
        }
        let mut links = Vec::new();
        let mut at = expr;
        while let ExprKind::Binary { op: BinaryOp::Pipe, left, right, .. } = &at.kind {
            links.push(right);
            at = left;
        }
        let mut flow = self.flow_start(at, active);
        for stage in links.into_iter().rev() {
            flow = self.stage(flow, stage);
        }
        self.leave();
        flow
    }

    fn flow_start(&mut self, expr: &'a Expr, active: &mut Vec<Span>) -> Option<Flow> {
        match &expr.kind {
            ExprKind::Paren(inner) => self.flow(inner, active),
            ExprKind::Name(name) => match self.globals.data.get(name.text.as_str()).copied() {
                Some(data) => self.part(data, &name.text, active).map(Flow::One),
                None => {
                    self.unknown_data(name);
                    None
                }
            },
            ExprKind::Call { callee, args, .. } => {
                let name = lone_name(callee);
                match name.map(|name| name.text.as_str()) {
                    Some("csv") => self.csv(args, expr.span).map(Flow::One),
                    Some("idx") => self.idx(args, expr.span).map(Flow::One),
                    Some("shuffle" | "split" | "batch" | "prefetch") => {
                        let found = Diagnostic::error(
                            Code::MisplacedStatement,
                            expr.span,
                            "a stage needs data to work on",
                        )
                        .help("write `data |> …`");
                        self.report(found);
                        None
                    }
                    _ => {
                        if let Some(name) = name {
                            self.unknown_data(name);
                        }
                        None
                    }
                }
            }
            ExprKind::Bad => None,
            _ => {
                let found = Diagnostic::error(Code::WrongKind, expr.span, "this is no data")
                    .help("begin with a source, as in `csv(…)` or `idx(…)`, or with the name of data");
                self.report(found);
                None
            }
        }
    }

    fn unknown_data(&mut self, name: &Ident) {
        if PLANNED.contains(&name.text.as_str()) {
            self.not_yet(name.span, &format!("`{}`", name.text));
            return;
        }
        if self.excused(&name.text) {
            return;
        }
        let names: Vec<&str> = self.globals.data.keys().copied().chain(KNOWN).collect();
        let near = did_you_mean(&name.text, names);
        let mut found = Diagnostic::error(
            Code::UnknownName,
            name.span,
            format!("there is no data called `{}`", name.text),
        );
        found = match near {
            Some(near) => found.help(format!("did you mean `{near}`?")).edit(name.span, near),
            None => found.help(format!("write `data {} = …`, or `use` the file that has it", name.text)),
        };
        self.report(found);
    }

    // ---- sources ----

    fn facts(&mut self, key: &SourceKey, span: Span) -> Option<&'a SourceFacts> {
        let facts: &'a super::DataFacts = self.facts;
        match facts.sources.get(key)? {
            Ok(found) => Some(found),
            Err(error) => {
                let message = format!("`{}`: {}", key.path, error.fault);
                let mut found = Diagnostic::error(Code::BadData, span, message);
                let tried = candidates(self.loaded, self.settings, key);
                if tried.len() == 1 && matches!(error.fault, strata_runtime::queue::Fault::Missing { .. }) {
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

    fn csv(&mut self, args: &'a [Argument], span: Span) -> Option<Draft> {
        let Some((path, path_span)) = first_text(args) else {
            let found = Diagnostic::error(Code::MissingArgument, span, "`csv` needs the path of a file")
                .help("write `csv(\"file.csv\", name: column(0))`");
            self.report(found);
            return None;
        };
        let key = SourceKey { file: path_span.file, path: path.to_string() };
        let columns = self.facts(&key, path_span).and_then(|facts| match &facts.content {
            Content::Csv(csv) => Some(csv),
            Content::Idx(_) => None,
        });
        let mut fields: Vec<DraftField> = Vec::new();
        let mut wrong = false;
        for arg in args {
            let ArgumentName::Colon(name) = &arg.name else {
                wrong |= !self.is_path(arg, path_span, "csv");
                continue;
            };
            if name.text == "header" && matches!(arg.value.kind, ExprKind::Bool(_)) {
                continue;
            }
            match self.csv_field(name, &arg.value, columns.map(|csv| csv.columns.as_slice())) {
                Some(field) => self.add_field(field, &mut fields),
                None => wrong = true,
            }
        }
        if fields.is_empty() && !wrong {
            let found =
                Diagnostic::error(Code::MissingArgument, span, "`csv` makes no fields of its columns")
                    .help("name some: `x: columns(0..4), label: column(4)`");
            self.report(found);
            return None;
        }
        let kind = DraftKind::Csv { key, header: header_of(args) };
        let examples = columns.map(|csv| csv.rows);
        (!wrong).then_some(Draft { kind, fields, stages: Vec::new(), examples, span })
    }

    /// Whether an argument without a name is the source's path; said where it is not.
    fn is_path(&mut self, arg: &Argument, path: Span, source: &str) -> bool {
        if arg.value.span == path {
            return true;
        }
        let message = format!("a field of `{source}` needs a name");
        let found = Diagnostic::error(Code::ExtraArgument, arg.span, message)
            .help("write `name: …`, by the model's input");
        self.report(found);
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
    fn csv_field(
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

    fn no_field(&mut self, expr: &Expr, wants: &str) -> Option<DraftField> {
        if !matches!(expr.kind, ExprKind::Bad) {
            let message = format!("a field is made of {wants}");
            self.report(Diagnostic::error(Code::WrongKind, expr.span, message));
        }
        None
    }

    /// What is done to a field's numbers, and the field itself.
    fn arithmetic(&mut self, expr: &'a Expr) -> Option<(&'a Expr, Vec<(Arithmetic, f64)>)> {
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

    /// A number that stands in `data` or `train`: nothing but numbers and operators.
    pub(super) fn plain_number(&mut self, expr: &'a Expr) -> Option<f64> {
        let found = plain(expr);
        if found.is_none() && !matches!(expr.kind, ExprKind::Bad) {
            let what = self.quote(expr.span).unwrap_or_else(|| "this".into());
            let message = format!("a number belongs here, and {what} is none");
            self.report(Diagnostic::error(Code::WrongKind, expr.span, message));
        }
        found
    }

    /// A whole number of at least `least`.
    pub(super) fn plain_count(&mut self, expr: &'a Expr, least: u64, what: &str) -> Option<u64> {
        let n = self.plain_number(expr)?;
        if n.fract() == 0.0 && n >= least as f64 && n < 1e15 {
            return Some(n as u64);
        }
        let message = format!("{what} is a whole number from {least} on, not {n}");
        self.report(Diagnostic::error(Code::BadValue, expr.span, message));
        None
    }

    fn column(
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
        let at = self.plain_count(expr, 0, "a column")? as usize;
        self.column_exists(at, expr.span, columns)?;
        Some(at)
    }

    fn column_exists(&mut self, at: usize, span: Span, columns: Option<&[ColumnFacts]>) -> Option<()> {
        match columns {
            Some(columns) if at >= columns.len() => {
                let message =
                    format!("there is no column {at}: the file has {}, counted from 0", columns.len());
                let found = Diagnostic::error(Code::UnknownColumn, span, message)
                    .help(format!("the last column is {}", columns.len().saturating_sub(1)));
                self.report(found);
                None
            }
            _ => Some(()),
        }
    }

    fn columns(
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
            )
            .help("write `columns(0..64)`: from 0 up to and without 64");
            self.report(found);
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
    fn shape_argument(&mut self, args: &'a [Argument]) -> Option<Option<(Vec<usize>, Span)>> {
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

    fn idx(&mut self, args: &'a [Argument], span: Span) -> Option<Draft> {
        let mut fields: Vec<DraftField> = Vec::new();
        let mut wrong = false;
        let mut examples: Option<(usize, Span)> = None;
        for arg in args {
            let ArgumentName::Colon(name) = &arg.name else {
                wrong |= !self.is_path(arg, span, "idx");
                continue;
            };
            match self.idx_field(name, &arg.value) {
                Some((field, count)) => {
                    if let (Some((first, first_span)), Some(count)) = (examples, count)
                        && first != count
                    {
                        let message =
                            format!("`{}` has {count} examples, and the first field has {first}", name.text);
                        let found = Diagnostic::error(Code::DataMismatch, field.span, message)
                            .label(first_span, format!("{first} examples"));
                        self.report(found);
                        wrong = true;
                    }
                    examples = examples.or(count.map(|count| (count, field.span)));
                    self.add_field(field, &mut fields);
                }
                None => wrong = true,
            }
        }
        if fields.is_empty() && !wrong {
            let found = Diagnostic::error(Code::MissingArgument, span, "`idx` has no fields").help(
                "name some: `image: array(\"images-idx3-ubyte.gz\"), label: array(\"labels-idx1-ubyte.gz\")`",
            );
            self.report(found);
            return None;
        }
        let examples = examples.map(|(count, _)| count);
        (!wrong).then_some(Draft { kind: DraftKind::Idx, fields, stages: Vec::new(), examples, span })
    }

    fn idx_field(&mut self, name: &'a Ident, expr: &'a Expr) -> Option<(DraftField, Option<usize>)> {
        let (call, arithmetic) = self.arithmetic(expr)?;
        let args = match &call.kind {
            ExprKind::Call { callee, args, .. }
                if lone_name(callee).is_some_and(|name| name.text == "array") =>
            {
                args
            }
            _ => {
                self.no_field(call, "`array(\"file\")`");
                return None;
            }
        };
        let Some((path, path_span)) = first_text(args) else {
            let message = "`array` needs the path of a file";
            self.report(Diagnostic::error(Code::MissingArgument, call.span, message));
            return None;
        };
        let key = SourceKey { file: path_span.file, path: path.to_string() };
        let sizes = self.facts(&key, path_span).and_then(|facts| match &facts.content {
            Content::Idx(idx) => Some(idx.sizes.clone()),
            Content::Csv(_) => None,
        });
        let own = sizes.as_ref().map(|sizes| sizes.get(1..).unwrap_or_default().to_vec());
        let (shape, shape_span) = match self.shape_argument(args)? {
            Some((shape, at)) => {
                let elements: usize = shape.iter().product();
                if let Some(own) = &own
                    && own.iter().product::<usize>() != elements
                {
                    let message = format!("the file's examples are {own:?}, which does not make {shape:?}");
                    let found = Diagnostic::error(Code::DataMismatch, at, message)
                        .label(path_span, format!("examples of {own:?}"));
                    self.report(found);
                    return None;
                }
                (Some(shape), at)
            }
            None => (own, call.span),
        };
        let field = DraftField {
            name: name.text.clone(),
            name_span: name.span,
            from: From::Array(key),
            shape,
            shape_span,
            arithmetic,
            span: name.span.to(expr.span),
        };
        Some((field, sizes.and_then(|sizes| sizes.first().copied())))
    }

    // ---- stages ----

    fn stage(&mut self, flow: Option<Flow>, expr: &'a Expr) -> Option<Flow> {
        let (name, args): (Option<&Ident>, &'a [Argument]) = match &expr.kind {
            ExprKind::Call { callee, args, .. } => (lone_name(callee), args),
            ExprKind::Name(name) => (Some(name), &[]),
            _ => (None, &[]),
        };
        let Some(name) = name else {
            if !matches!(expr.kind, ExprKind::Bad) {
                self.report(Diagnostic::error(
                    Code::WrongKind,
                    expr.span,
                    "right of `|>` stands a stage, as in `batch(64)`",
                ));
            }
            return None;
        };
        let kinds: Vec<StageKind> = match name.text.as_str() {
            "shuffle" => vec![self.shuffle(args, expr.span)?],
            "batch" => vec![self.batch(args, expr.span)?],
            "prefetch" => {
                let batches = self.one_count(args, expr.span, "prefetch", "the number of batches")?;
                vec![StageKind::Prefetch { batches }]
            }
            "split" => self.split_stage(args, expr.span)?,
            _ => {
                self.unknown_stage(name);
                return None;
            }
        };
        let draft = match flow? {
            Flow::One(draft) => draft,
            Flow::Parts(_) => {
                let found = Diagnostic::error(
                    Code::MisplacedStatement,
                    expr.span,
                    "a stage after `split` does not say which part it is for",
                )
                .help("name the parts first: `data train, test = … |> split(at: …)`");
                self.report(found);
                return None;
            }
        };
        self.order(&draft, &kinds[0], expr.span)?;
        let with = |kind: StageKind| {
            let mut next = draft.clone();
            next.stages.push((kind, expr.span));
            next
        };
        if name.text == "split" {
            self.split_fits(&kinds[0], &draft, expr.span)?;
            return Some(Flow::Parts(kinds.into_iter().map(with).collect()));
        }
        kinds.into_iter().next().map(|kind| Flow::One(with(kind)))
    }

    fn unknown_stage(&mut self, name: &Ident) {
        if PLANNED.contains(&name.text.as_str()) {
            self.not_yet(name.span, &format!("the stage `{}`", name.text));
            return;
        }
        let near = did_you_mean(&name.text, KNOWN[2..].iter().copied());
        let mut found =
            Diagnostic::error(Code::UnknownName, name.span, format!("there is no stage `{}`", name.text));
        found = match near {
            Some(near) => found.help(format!("did you mean `{near}`?")).edit(name.span, near),
            None => found.help("there are shuffle, split, batch and prefetch"),
        };
        self.report(found);
    }

    /// The one number that a stage takes.
    fn one_count(&mut self, args: &'a [Argument], span: Span, stage: &str, what: &str) -> Option<usize> {
        if let Some(extra) = args.get(1) {
            let message = format!("`{stage}` takes one number");
            self.report(Diagnostic::error(Code::ExtraArgument, extra.span, message));
            return None;
        }
        match args.first() {
            Some(arg) => self.plain_count(&arg.value, 1, what).map(|n| n as usize),
            None => {
                let message = format!("`{stage}` needs {what}");
                self.report(
                    Diagnostic::error(Code::MissingArgument, span, message)
                        .help(format!("write `{stage}(64)`")),
                );
                None
            }
        }
    }

    fn shuffle(&mut self, args: &'a [Argument], span: Span) -> Option<StageKind> {
        let mut window = None;
        let mut seed = None;
        for arg in args {
            match &arg.name {
                ArgumentName::None if window.is_none() => {
                    window = Some(self.plain_count(&arg.value, 1, "the window of `shuffle`")? as usize);
                }
                ArgumentName::Colon(name) if name.text == "seed" => {
                    seed = Some(self.plain_count(&arg.value, 0, "a seed")?);
                }
                ArgumentName::Colon(name) | ArgumentName::Equals(name) => {
                    let message = format!("`shuffle` has no argument `{}`", name.text);
                    let found = Diagnostic::error(Code::UnknownArgument, name.span, message)
                        .help("it has (window, seed)");
                    self.report(found);
                    return None;
                }
                ArgumentName::None => {
                    self.report(Diagnostic::error(
                        Code::ExtraArgument,
                        arg.span,
                        "`shuffle` takes one number, and `seed:`",
                    ));
                    return None;
                }
            }
        }
        let Some(window) = window else {
            let found = Diagnostic::error(
                Code::MissingArgument,
                span,
                "`shuffle` needs the number of examples to draw from",
            )
            .help("write `shuffle(10000)`; as many as there are gives every order alike");
            self.report(found);
            return None;
        };
        Some(StageKind::Shuffle { window, seed })
    }

    fn batch(&mut self, args: &'a [Argument], span: Span) -> Option<StageKind> {
        for arg in args {
            if let ArgumentName::Colon(name) | ArgumentName::Equals(name) = &arg.name
                && name.text != "total"
            {
                let message = format!("`batch` has no argument `{}`", name.text);
                let found = Diagnostic::error(Code::UnknownArgument, name.span, message)
                    .help("write `batch(64)`, or `batch(total: 64)` for all copies together");
                self.report(found);
                return None;
            }
        }
        self.one_count(args, span, "batch", "the number of examples").map(|size| StageKind::Batch { size })
    }

    fn split_stage(&mut self, args: &'a [Argument], span: Span) -> Option<Vec<StageKind>> {
        let [arg] = args else {
            let found = Diagnostic::error(Code::MissingArgument, span, "`split` needs where to cut")
                .help("write `split(at: 1500)`, or `split(at: [1000, 1500])`");
            self.report(found);
            return None;
        };
        if let ArgumentName::Colon(name) | ArgumentName::Equals(name) = &arg.name
            && name.text != "at"
        {
            let message = format!("`split` has no argument `{}`", name.text);
            self.report(
                Diagnostic::error(Code::UnknownArgument, name.span, message).help("write `split(at: 1500)`"),
            );
            return None;
        }
        let exprs: Vec<&'a Expr> = match &arg.value.kind {
            ExprKind::List(items) => items.iter().collect(),
            _ => vec![&arg.value],
        };
        let mut bounds = Vec::new();
        for expr in exprs {
            bounds.push(self.plain_count(expr, 1, "where to cut")? as usize);
        }
        if bounds.windows(2).any(|pair| pair[0] >= pair[1]) || bounds.is_empty() {
            self.report(Diagnostic::error(Code::BadValue, arg.value.span, "the numbers of a split ascend"));
            return None;
        }
        let parts = bounds.len() + 1;
        Some((0..parts).map(|part| StageKind::Split { bounds: bounds.clone(), part }).collect())
    }

    /// That a split leaves something in its last part.
    fn split_fits(&mut self, kind: &StageKind, draft: &Draft, span: Span) -> Option<()> {
        let (StageKind::Split { bounds, .. }, Some(examples)) = (kind, draft.examples) else {
            return Some(());
        };
        let whole = !draft.stages.iter().any(|(kind, _)| matches!(kind, StageKind::Split { .. }));
        match bounds.last() {
            Some(last) if whole && *last >= examples => {
                let message = format!("cannot cut at {last}: there are {examples} examples");
                let found = Diagnostic::error(Code::BadValue, span, message)
                    .label(draft.span, format!("{examples} examples"))
                    .help(format!("cut below {examples}"));
                self.report(found);
                None
            }
            _ => Some(()),
        }
    }

    /// That a stage may follow those before it.
    fn order(&mut self, draft: &Draft, kind: &StageKind, span: Span) -> Option<()> {
        let batch = draft.stages.iter().find(|(kind, _)| matches!(kind, StageKind::Batch { .. }));
        let prefetch = draft.stages.iter().find(|(kind, _)| matches!(kind, StageKind::Prefetch { .. }));
        let (message, first) = match (kind, batch, prefetch) {
            (StageKind::Shuffle { .. } | StageKind::Split { .. }, Some((_, at)), _) => {
                ("this works on examples, and they are in batches already", *at)
            }
            (StageKind::Batch { .. }, Some((_, at)), _) => ("examples are batched once", *at),
            (StageKind::Prefetch { .. }, _, Some((_, at))) => ("batches are prefetched once", *at),
            (StageKind::Prefetch { .. }, None, _) => {
                let found = Diagnostic::error(
                    Code::MisplacedStatement,
                    span,
                    "`prefetch` prepares batches, and there are none yet",
                )
                .help("put `batch(64)` before it");
                self.report(found);
                return None;
            }
            _ => return Some(()),
        };
        let found = Diagnostic::error(Code::MisplacedStatement, span, message)
            .label(first, "batches from here on")
            .help("move it before `batch`");
        self.report(found);
        None
    }

    // ---- against a model ----

    /// A place that data errors can name.
    pub(super) fn data_origin(&mut self, span: Span) -> Origin {
        let at = self.data_origins.iter().position(|known| *known == span).unwrap_or_else(|| {
            self.data_origins.push(span);
            self.data_origins.len() - 1
        });
        at as Origin
    }

    /// The batch size of a draft.
    pub(super) fn batch_size(draft: &Draft) -> Option<usize> {
        draft.stages.iter().find_map(|(kind, _)| match kind {
            StageKind::Batch { size } => Some(*size),
            StageKind::Shuffle { .. } | StageKind::Split { .. } | StageKind::Prefetch { .. } => None,
        })
    }

    /// The recipe that feeds `model` from `draft`, batched by `batch` if it is not batched itself. `classes` has
    /// the number of classes of each input that is a label, and the loss that says so.
    pub(super) fn recipe(
        &mut self,
        draft: &Draft,
        model: &Model,
        classes: &[Option<(u64, Span)>],
        batch: Option<usize>,
        span: Span,
    ) -> Option<Recipe> {
        let mut csv = Vec::new();
        let mut idx = Vec::new();
        let mut wrong = false;
        for (input, classes) in model.inputs.iter().zip(classes) {
            let Some(field) = draft.fields.iter().find(|field| field.name == input.name) else {
                self.missing_field(draft, input, model, span);
                wrong = true;
                continue;
            };
            let Some(shape) = self.field_shape(field, input) else {
                wrong = true;
                continue;
            };
            if self.check_values(draft, field, input, *classes).is_none() {
                wrong = true;
                continue;
            }
            let origin = self.data_origin(field.span);
            let (name, dtype) = (input.name.clone(), input.ty.dtype);
            let (arithmetic, classes) = (field.arithmetic.clone(), classes.map(|(n, _)| n));
            match &field.from {
                From::Columns(columns) => {
                    csv.push(CsvField {
                        name,
                        columns: columns.clone(),
                        shape,
                        dtype,
                        arithmetic,
                        classes,
                        origin,
                    });
                }
                From::Array(key) => {
                    let path = self.path(key);
                    idx.push(IdxField { name, path, shape, dtype, arithmetic, classes, origin });
                }
            }
        }
        if wrong {
            return None;
        }
        let source = match &draft.kind {
            DraftKind::Csv { key, header } => {
                let origin = self.data_origin(draft.span);
                Source::Csv { path: self.path(key), header: *header, fields: csv, origin }
            }
            DraftKind::Idx => Source::Idx { fields: idx },
        };
        let mut stages = Vec::new();
        for (kind, span) in &draft.stages {
            stages.push(Stage { kind: kind.clone(), origin: self.data_origin(*span) });
        }
        if Self::batch_size(draft).is_none()
            && let Some(size) = batch
        {
            stages.push(Stage { kind: StageKind::Batch { size }, origin: self.data_origin(span) });
        }
        Some(Recipe { source, stages })
    }

    fn path(&mut self, key: &SourceKey) -> PathBuf {
        match self.facts.sources.get(key) {
            Some(Ok(found)) => found.path.clone(),
            Some(Err(_)) | None => candidates(self.loaded, self.settings, key)
                .into_iter()
                .next()
                .unwrap_or_else(|| key.path.clone().into()),
        }
    }

    fn missing_field(&mut self, draft: &Draft, input: &Input, model: &Model, span: Span) {
        let unused: Vec<&str> = draft
            .fields
            .iter()
            .map(|field| field.name.as_str())
            .filter(|name| !model.inputs.iter().any(|input| input.name == *name))
            .collect();
        let message = format!("the data have no field `{}`, which the model takes as input", input.name);
        let mut found = Diagnostic::error(Code::DataMismatch, span, message)
            .label(input.span, format!("`{}` is {}", input.name, input.ty))
            .label(draft.span, "the fields come from here");
        found =
            match (did_you_mean(&input.name, unused.iter().copied()), unused.as_slice()) {
                (Some(near), _) => found
                    .help(format!("call the field `{near}` of the data `{}`, as the model does", input.name)),
                (None, [only]) => found
                    .help(format!("call the field `{only}` of the data `{}`, as the model does", input.name)),
                (None, _) => found.help(format!("add a field `{}: …` to the data", input.name)),
            };
        self.report(found);
    }

    /// The shape of one example, if the input takes it.
    fn field_shape(&mut self, field: &DraftField, input: &Input) -> Option<Vec<usize>> {
        let mut wanted = Vec::new();
        for axis in input.ty.axes.iter().skip(1) {
            match axis.size.known() {
                Some(n) => wanted.push(n as usize),
                None => {
                    let name = axis.name.as_deref().unwrap_or("?");
                    let message = format!("the data do not say how long `{name}` is");
                    let found = Diagnostic::error(Code::UnboundAxis, input.span, message)
                        .label(field.span, "these data have a fixed shape")
                        .help(format!("write its size: `{name} = …`"));
                    self.report(found);
                    return None;
                }
            }
        }
        if !matches!(input.ty.axes.first().map(|axis| &axis.size), Some(Size::Free(_))) {
            let message = format!(
                "`{}` is {}, which has no free first axis for the examples of a batch",
                input.name, input.ty
            );
            let found = Diagnostic::error(Code::DataMismatch, input.span, message)
                .label(field.span, "fed from here")
                .help("begin its type with a name alone, as in `f32[batch, …]`");
            self.report(found);
            return None;
        }
        let Some(shape) = &field.shape else { return Some(wanted) };
        if *shape == wanted {
            return Some(wanted);
        }
        let same_count = shape.iter().product::<usize>() == wanted.iter().product::<usize>();
        let message = format!(
            "the field `{}` has examples of {shape:?}, and the model's input takes {wanted:?}",
            field.name
        );
        let mut found = Diagnostic::error(Code::DataMismatch, field.shape_span, message)
            .label(input.span, format!("`{}` is {}", input.name, input.ty));
        if same_count {
            found = found.help(format!("write `as: {wanted:?}`"));
        } else {
            found = found.help("make the two shapes equal: nothing is reshaped silently");
        }
        self.report(found);
        None
    }

    /// That the numbers in the file are what the input takes.
    fn check_values(
        &mut self,
        draft: &Draft,
        field: &DraftField,
        input: &Input,
        classes: Option<(u64, Span)>,
    ) -> Option<()> {
        let range = match (&field.from, &draft.kind) {
            (From::Columns(columns), DraftKind::Csv { key, .. }) => {
                let Some(Ok(SourceFacts { content: Content::Csv(csv), .. })) = self.facts.sources.get(key)
                else {
                    return Some(());
                };
                for at in columns.clone() {
                    let Some(column) = csv.columns.get(at) else { continue };
                    if let Some(word) = &column.word {
                        let what = if word.text.is_empty() {
                            "an empty cell".to_string()
                        } else {
                            format!("`{}`", word.text)
                        };
                        let message = format!(
                            "column {at} holds {what} in line {}, and `{}` takes numbers",
                            word.line, input.name
                        );
                        let found = Diagnostic::error(Code::DataMismatch, field.span, message)
                            .label(input.span, format!("`{}` is {}", input.name, input.ty));
                        self.report(found);
                        return None;
                    }
                }
                let columns = csv.columns.get(columns.clone()).unwrap_or_default();
                let whole = columns.iter().filter_map(|column| column.range).all(|range| range.whole);
                if !whole && !input.ty.dtype.is_float() && field.arithmetic.is_empty() {
                    let message =
                        format!("`{}` is {}, and the data are not whole numbers", input.name, input.ty.dtype);
                    let found = Diagnostic::error(Code::DataMismatch, field.span, message)
                        .label(input.span, format!("`{}` is {}", input.name, input.ty))
                        .help("make the input f32, or take another column");
                    self.report(found);
                    return None;
                }
                columns
                    .iter()
                    .filter_map(|column| column.range)
                    .map(|range| (range.min, range.max))
                    .reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
            }
            (From::Array(key), _) => match self.facts.sources.get(key) {
                Some(Ok(SourceFacts { content: Content::Idx(idx), .. })) => {
                    idx.range.map(|range| (range.min, range.max))
                }
                Some(Ok(SourceFacts { content: Content::Csv(_), .. }) | Err(_)) | None => None,
            },
            (From::Columns(_), DraftKind::Idx) => None,
        };
        let (Some((min, max)), Some((classes, loss))) = (range, classes) else { return Some(()) };
        let calculate = |x: f64| field.arithmetic.iter().fold(x, |x, (how, n)| how.apply(x, *n));
        let (min, max) = (calculate(min), calculate(max));
        if min >= 0.0 && max < classes as f64 {
            return Some(());
        }
        let message = format!(
            "labels run from {min} to {max}, and the model tells {classes} classes apart, 0 to {}",
            classes.saturating_sub(1)
        );
        let found = Diagnostic::error(Code::LabelRange, loss, message)
            .label(field.span, "the labels come from here")
            .help(if min >= 0.0 {
                format!("give the last layer {} classes", max as u64 + 1)
            } else {
                "labels count from 0: add a number to them".to_string()
            });
        self.report(found);
        None
    }
}

/// The number of classes of each input that is a label, and the loss that says so.
pub(super) fn label_classes(model: &Model, losses: &[super::build::LossCall]) -> Vec<Option<(u64, Span)>> {
    let mut classes = vec![None; model.inputs.len()];
    for loss in losses {
        let crate::ops::Op::Input(input) = model.values[loss.label.0 as usize].op else { continue };
        let size = model.values[loss.logits.0 as usize].ty.axes.last().and_then(|axis| axis.size.known());
        let at = input.0 as usize;
        let is_label = super::statement::is_label(model.inputs[at].ty.dtype);
        if let (Some(size), None, true) = (size, classes[at], is_label) {
            classes[at] = Some((size, loss.span));
        }
    }
    classes
}

fn first_value(args: &[Argument]) -> Option<&Expr> {
    args.iter().find(|arg| matches!(arg.name, ArgumentName::None)).map(|arg| &arg.value)
}

fn listed(names: &[&str]) -> String {
    const MOST: usize = 8;
    let shown = names.iter().take(MOST).copied().collect::<Vec<_>>().join(", ");
    if names.len() > MOST { format!("{shown}, …") } else { shown }
}

/// Numbers and operators between them; nesting is bounded by the parser.
fn plain(expr: &Expr) -> Option<f64> {
    match &expr.kind {
        ExprKind::Number(number) => Some(number.value),
        ExprKind::Paren(inner) => plain(inner),
        ExprKind::Unary { op: UnaryOp::Neg, arg } => plain(arg).map(|x| -x),
        ExprKind::Binary { op, left, right, .. } => {
            let (a, b) = (plain(left)?, plain(right)?);
            let value = match op {
                BinaryOp::Add => a + b,
                BinaryOp::Sub => a - b,
                BinaryOp::Mul => a * b,
                BinaryOp::Div => a / b,
                _ => return None,
            };
            value.is_finite().then_some(value)
        }
        _ => None,
    }
}
