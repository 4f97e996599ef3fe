//! `data` blocks: from expressions to recipes, held against the model's inputs and the facts about files.

mod numbers;
mod recipes;
mod sources;
mod stages;

use std::path::{Path, PathBuf};

use strata_grammar::ast::{Argument, ArgumentName, BinaryOp, Expr, ExprKind, Ident, Item, TrainKind};
use strata_grammar::{Code, Diagnostic, Span, did_you_mean};
use strata_runtime::queue::{Arithmetic, StageKind};

pub(super) use recipes::label_classes;

use super::signature::lone_name;
use super::{Checker, Settings, SourceKey, items};
use crate::load::Loaded;

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
pub(in crate::check) struct Draft {
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
    pub(in crate::check) fn check_data(&mut self) {
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
    pub(in crate::check) fn draft(&mut self, expr: &'a Expr) -> Option<Draft> {
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
    pub(in crate::check) fn named_draft(&mut self, name: &str) -> Option<Draft> {
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
}
