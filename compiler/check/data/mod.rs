//! `data` blocks: from expressions to recipes, held against the model's inputs and the facts about files.

mod arrays;
mod lengths;
mod numbers;
mod pictures;
mod recipes;
mod sources;
mod stages;
mod text;
mod tokens;

use std::path::{Path, PathBuf};

use strata_grammar::ast::{
    Argument, ArgumentName, BinaryOp, Block, Expr, ExprKind, Ident, Item, ScanOver, StatementKind, Text,
    TrainKind,
};
use strata_grammar::{Code, Diagnostic, Span, did_you_mean};
use strata_runtime::queue::{Arithmetic, Part, StageKind, Unit, VocabularySource, Windows};

pub(super) use recipes::label_classes;

use super::picture::IMAGE;
use super::signature::lone_name;
use super::{Checker, Settings, SourceKey, items};
use crate::load::Loaded;

/// How a data file is written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Comma-separated numbers, one example a row.
    Csv {
        /// Whether the first row holds names, where the spec says so.
        header: Option<bool>,
    },
    /// Columns of numbers, one example a row.
    Parquet,
    /// One tensor: the format of the MNIST collection, or of numpy.
    Array,
    /// Tensors by name, as numpy packs them.
    Npz,
    /// A folder of pictures.
    Pictures {
        /// Whether each folder in it is a class.
        classes: bool,
    },
    /// A text in UTF-8.
    Text {
        /// What of it is read.
        part: Part,
        /// What the spec makes vocabularies of.
        units: Vec<Unit>,
    },
    /// A `tokenizer.json`.
    Tokenizer,
    /// Named tensors, as safetensors.
    Weights,
    /// One picture.
    Picture,
}

/// A data file that a spec names.
#[derive(Clone, Debug)]
pub struct DataSource {
    /// Which file: what the checker looks facts up by.
    pub key: SourceKey,
    /// The path in the text.
    pub span: Span,
    /// Where it may lie; the first that exists is meant.
    pub candidates: Vec<PathBuf>,
    /// Whether columns of it are called by name: which they are only the file knows.
    pub by_name: bool,
}

/// Every data file that a spec names, for whoever inspects them.
pub fn data_sources(loaded: &Loaded, settings: &Settings) -> Vec<DataSource> {
    let units = units_of(loaded);
    let (mut found, mut by_name) = (Vec::new(), Vec::new());
    for expr in data_expressions(loaded) {
        walk(expr, &mut |callee, args| {
            sources_of(callee, args, &units, &mut found);
            by_name.extend(first_text(args).filter(|_| names_columns(args)));
            // In there, `array` names no file.
            callee != "npz"
        });
    }
    let weights = weights_of(loaded).into_iter().map(|text| (text, Format::Weights));
    let pictures = pictures_of(loaded).into_iter().map(|text| (text, Format::Picture));
    for (Text { text, span }, format) in weights.chain(pictures) {
        let key = SourceKey { file: span.file, path: text, format };
        if !found.iter().any(|(known, _)| *known == key) {
            found.push((key, span));
        }
    }
    let source = |(key, span): (SourceKey, Span)| {
        let candidates = candidates(loaded, settings, &key);
        let by_name = by_name.iter().any(|(path, span)| *path == key.path && span.file == key.file);
        DataSource { key, span, candidates, by_name }
    };
    found.into_iter().map(source).collect()
}

/// Everything that is written in the place of data.
fn data_expressions(loaded: &Loaded) -> Vec<&Expr> {
    let mut found = Vec::new();
    for (_, item) in items(loaded) {
        match item {
            Item::Data(data) => found.push(&data.value),
            Item::Train(train) => {
                for statement in &train.body {
                    if let TrainKind::Feed(expr) | TrainKind::Evaluate { data: expr, .. } = &statement.kind {
                        found.push(expr);
                    }
                }
            }
            Item::Use(_)
            | Item::Model(_)
            | Item::Layer(_)
            | Item::Devices(_)
            | Item::Place(_)
            | Item::Replicas(_)
            | Item::Names(_)
            | Item::Bad(_) => {}
        }
    }
    found
}

/// Every file of weights that a spec names: `init from "file"` and `weights: "file"`.
fn weights_of(loaded: &Loaded) -> Vec<Text> {
    let mut found = Vec::new();
    for (_, item) in items(loaded) {
        match item {
            Item::Train(train) => found.extend(train.body.iter().filter_map(|line| match &line.kind {
                TrainKind::InitFrom(file) => Some(file.clone()),
                _ => None,
            })),
            Item::Model(definition) | Item::Layer(definition) => {
                walk_block(&definition.body, &mut |_, args| {
                    found.extend(args.iter().filter_map(file_of_weights));
                    true
                })
            }
            Item::Use(_)
            | Item::Data(_)
            | Item::Devices(_)
            | Item::Place(_)
            | Item::Replicas(_)
            | Item::Names(_)
            | Item::Bad(_) => {}
        }
    }
    found
}

/// Every picture that variables begin with: `= image("file")`.
fn pictures_of(loaded: &Loaded) -> Vec<Text> {
    let mut found = Vec::new();
    for (_, item) in items(loaded) {
        if let Item::Model(definition) | Item::Layer(definition) = item {
            walk_block(&definition.body, &mut |callee, args| {
                if callee == IMAGE
                    && let Some((text, span)) = first_text(args)
                {
                    found.push(Text { text: text.to_string(), span });
                }
                true
            });
        }
    }
    found
}

/// The file of an argument `weights: "file"`.
fn file_of_weights(arg: &Argument) -> Option<Text> {
    match (&arg.name, &arg.value.kind) {
        (ArgumentName::Colon(name), ExprKind::String(text)) if name.text == "weights" => {
            Some(Text { text: text.clone(), span: arg.value.span })
        }
        _ => None,
    }
}

/// What the spec makes vocabularies of: texts are counted for that alone.
pub(super) fn units_of(loaded: &Loaded) -> Vec<Unit> {
    let mut units = Vec::new();
    for expr in data_expressions(loaded) {
        walk(expr, &mut |callee, args| {
            if callee == "tokens" {
                let named = args.iter().filter_map(|arg| lone_name(&arg.value));
                units.extend(named.filter_map(|name| tokens::unit(&name.text)));
            }
            true
        });
    }
    units.sort_unstable_by_key(|unit| *unit == Unit::Words);
    units.dedup();
    units
}

fn candidates(loaded: &Loaded, settings: &Settings, key: &SourceKey) -> Vec<PathBuf> {
    let name = &loaded.sources.get(key.file).name;
    let beside = Path::new(name).parent().unwrap_or(Path::new("")).join(&key.path);
    std::iter::once(beside).chain(settings.data.iter().map(|folder| folder.join(&key.path))).collect()
}

/// Every call by a name in an expression, and what stands within it where `each` says so; operators that lean to the
/// left are walked without recursion.
fn walk<'a>(expr: &'a Expr, each: &mut impl FnMut(&'a str, &'a [Argument]) -> bool) {
    let mut at = expr;
    while let ExprKind::Binary { left, right, .. } = &at.kind {
        walk(right, each);
        at = left;
    }
    match &at.kind {
        ExprKind::Paren(inner) => walk(inner, each),
        ExprKind::Call { callee, args, .. }
            if lone_name(callee).is_none_or(|name| each(&name.text, args)) =>
        {
            walk(callee, each);
            args.iter().for_each(|arg| walk(&arg.value, each));
        }
        ExprKind::Index { base, .. } => walk(base, each),
        ExprKind::As { call, .. } => walk(call, each),
        ExprKind::Unary { arg, .. } => walk(arg, each),
        ExprKind::List(members) | ExprKind::Tuple(members) => {
            members.iter().for_each(|member| walk(member, each));
        }
        ExprKind::For { over, body, .. } => {
            walk(over, each);
            walk_block(body, each);
        }
        _ => {}
    }
}

/// The same in all statements of a block.
fn walk_block<'a>(block: &'a Block, each: &mut impl FnMut(&'a str, &'a [Argument]) -> bool) {
    for statement in &block.statements {
        match &statement.kind {
            StatementKind::Loss(value)
            | StatementKind::Metric(value)
            | StatementKind::Value(value)
            | StatementKind::Update { value, .. }
            | StatementKind::LayerBind { value, .. } => walk(value, each),
            StatementKind::Declare { init, .. } => init.iter().for_each(|value| walk(value, each)),
            StatementKind::Bind { values, .. } | StatementKind::Return(values) => {
                values.iter().for_each(|value| walk(value, each));
            }
            StatementKind::For { over, body, .. } => {
                walk(over, each);
                walk_block(body, each);
            }
            StatementKind::Group { body, .. } => walk_block(body, each),
            StatementKind::Scan(scan) => {
                if let ScanOver::Axis { inputs, .. } = &scan.over {
                    inputs.iter().for_each(|value| walk(value, each));
                }
                scan.state.iter().for_each(|(_, start)| walk(start, each));
                walk_block(&scan.body, each);
            }
            StatementKind::Layer(definition) => walk_block(&definition.body, each),
            StatementKind::Input { .. } | StatementKind::Generate { .. } | StatementKind::Bad => {}
        }
    }
}

/// The files that a call names.
fn sources_of(callee: &str, args: &[Argument], units: &[Unit], found: &mut Vec<(SourceKey, Span)>) {
    let mut add = |path: &str, span: Span, format: Format| {
        let key = SourceKey { file: span.file, path: path.to_string(), format };
        if !found.iter().any(|(known, _)| *known == key) {
            found.push((key, span));
        }
    };
    let first = first_text(args);
    match (callee, first) {
        ("csv", Some((path, span))) => add(path, span, Format::Csv { header: header_of(args) }),
        ("parquet", Some((path, span))) => add(path, span, Format::Parquet),
        ("array", Some((path, span))) => add(path, span, Format::Array),
        ("npz", Some((path, span))) => add(path, span, Format::Npz),
        ("images", Some((path, span))) => {
            add(path, span, Format::Pictures { classes: pictures::has_classes(args) });
        }
        ("text", Some((path, span))) => {
            add(path, span, Format::Text { part: text::part_of(args), units: units.to_vec() });
        }
        ("tokens", _) => {
            for arg in args {
                if let ExprKind::String(path) = &arg.value.kind {
                    add(path, arg.value.span, Format::Tokenizer);
                }
            }
        }
        _ => {}
    }
}

fn names_columns(args: &[Argument]) -> bool {
    let mut found = false;
    for arg in args {
        walk(&arg.value, &mut |callee, args| {
            let named = args.first().is_some_and(|arg| matches!(arg.value.kind, ExprKind::String(_)));
            found |= callee == "column" && named;
            true
        });
    }
    found
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
    /// How the sequence of a whole text is cut.
    windows: Option<Windows>,
    /// Whether `pad` made all sequences equally long.
    padded: bool,
    /// Whether pictures that cannot be read are left out.
    skip: bool,
    /// The source.
    span: Span,
}

impl Draft {
    fn new(kind: DraftKind, fields: Vec<DraftField>, examples: Option<usize>, span: Span) -> Draft {
        Draft { kind, fields, stages: Vec::new(), examples, windows: None, padded: false, skip: false, span }
    }
}

#[derive(Clone, Debug)]
enum DraftKind {
    Csv { key: SourceKey, header: Option<bool> },
    Parquet { key: SourceKey },
    Arrays,
    Pictures { key: SourceKey },
    Text { key: SourceKey },
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
    /// An array: the file, or one by name in an npz file.
    Array(SourceKey, Option<String>),
    /// A picture.
    Picture,
    /// The number of the folder that it lies in; the folders, where they are known.
    Folder {
        classes: Option<Vec<String>>,
    },
    /// A text; what it is made of, once that is said.
    Text {
        part: Part,
        tokens: Option<Tokenized>,
    },
    /// A sequence of tensors of this shape.
    Numbers {
        part: Part,
        step: Vec<usize>,
    },
}

/// A text as a sequence of whole numbers.
#[derive(Clone, Debug)]
struct Tokenized {
    vocabulary: VocabularySource,
    end: bool,
    /// Numbers it has, where that is known.
    size: Option<usize>,
    /// Steps of the longest example, where that is known.
    longest: Option<usize>,
    span: Span,
}

/// What a data expression stands for.
#[derive(Clone, Debug)]
enum Flow {
    One(Draft),
    /// What `split` makes.
    Parts(Vec<Draft>),
}

/// Stages and sources that later versions have.
const PLANNED: [&str; 2] = ["workers", "captions"];

/// What can stand at the beginning of a data expression.
const SOURCES: [&str; 7] = ["csv", "parquet", "idx", "npy", "npz", "images", "text"];

/// What can stand after `|>`.
const STAGES: [&str; 16] = [
    "tokens",
    "windows",
    "skip",
    "resize",
    "crop",
    "random_crop",
    "flip",
    "whiten",
    "shuffle",
    "split",
    "take",
    "repeat",
    "bucket",
    "pad",
    "batch",
    "prefetch",
];

/// Sources, and stages, for whoever lists them.
pub(in crate::check) fn words() -> (&'static [&'static str], &'static [&'static str]) {
    (&SOURCES, &STAGES)
}

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
                    let mut found = Diagnostic::error(Code::WrongKind, at, message)
                        .help("`split(at: [a, b])` makes one part more than it has numbers");
                    if parts == data.names.len() + 1 {
                        found = found
                            .help("name the rest, too: `, rest`; what is not needed is called `_`")
                            .edit(Self::behind(at), ", rest");
                    }
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
                    Some(source @ ("csv" | "parquet")) => self.csv(args, expr.span, source).map(Flow::One),
                    Some(source @ ("idx" | "npy")) => self.arrays(args, expr.span, source).map(Flow::One),
                    Some("npz") => self.npz(args, expr.span).map(Flow::One),
                    Some("images") => self.images(args, expr.span).map(Flow::One),
                    Some("text") => self.text(args, expr.span).map(Flow::One),
                    Some(stage) if STAGES.contains(&stage) => {
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
                    .help("begin with a source, as in `csv(…)` or `text(…)`, or with the name of data");
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
        let names: Vec<&str> = self.globals.data.keys().copied().chain(SOURCES).chain(STAGES).collect();
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
