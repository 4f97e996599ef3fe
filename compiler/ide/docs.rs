//! What is known of a name beyond its place: how a call of it reads, and what is written about it.

use std::fmt::Write as _;
use std::sync::OnceLock;

use strata_grammar::ast::{Block, Definition, Expr, File, Ident, Item, Parameter, StatementKind, TypeExpr};
use strata_grammar::{Sources, Span};

use super::Study;
use super::names::{SymbolId, SymbolKind};
use crate::check::catalog;

/// How a call reads: `dense(x: float[.., in], units: axis)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The whole.
    pub label: String,
    /// The name of each parameter, and its bytes in the label.
    pub params: Vec<(String, std::ops::Range<usize>)>,
    /// What each parameter takes, in words.
    pub wants: Vec<Option<String>>,
    /// What is written about it.
    pub doc: Option<String>,
}

/// A row of a table that explains names: how one is written, and what it does.
struct Row {
    name: String,
    written: String,
    text: String,
}

/// The rows of the tables of a page, from one heading on up to the next of its kind.
fn rows(page: &str, heading: &str) -> Vec<Row> {
    let section = page.split(heading).nth(1).unwrap_or("");
    let section = section.split("\n## ").next().unwrap_or("");
    let mut rows = Vec::new();
    for line in section.lines().filter(|line| line.starts_with("| `")) {
        let Some((head, text)) = line.trim_matches(|c| c == '|' || c == ' ').split_once(" | ") else {
            continue;
        };
        // Between backticks: one way to write it, or several names with one list of arguments.
        for written in head.split('`').skip(1).step_by(2) {
            let (names, args) = written.split_once('(').unwrap_or((written, ""));
            for name in names.split_whitespace() {
                let written = if args.is_empty() { name.to_string() } else { format!("{name}({args}") };
                rows.push(Row { name: name.to_string(), written, text: text.replace("\\|", "|") });
            }
        }
    }
    rows
}

/// What a function of the checker does, in the words of the library's page.
pub fn of_function(name: &str) -> Option<String> {
    static TABLE: OnceLock<Vec<Row>> = OnceLock::new();
    let table = TABLE.get_or_init(|| rows(include_str!("../std/README.md"), "\n## Functions"));
    let row = table.iter().find(|row| row.name == name)?;
    Some(format!("`{}`: {}", row.written, row.text))
}

/// A source or stage of data lines: how it is written, and what it does, in the words of the language's page.
pub fn of_data_word(word: &str) -> Option<(String, String)> {
    static TABLE: OnceLock<Vec<Row>> = OnceLock::new();
    let table = TABLE.get_or_init(|| rows(include_str!("../../grammar/README.md"), "\n## Data"));
    let mut ways: Vec<(&str, &str)> = table
        .iter()
        .filter(|row| row.name == word)
        .map(|row| (row.written.as_str(), row.text.as_str()))
        .collect();
    ways.extend(FIELDS.iter().filter(|(name, ..)| *name == word).map(|(_, written, text)| (*written, *text)));
    let (first, _) = ways.first()?;
    let lines: Vec<String> = ways.iter().map(|(written, text)| format!("- `{written}`: {text}")).collect();
    Some((first.to_string(), lines.join("\n")))
}

/// What fields of a source are made of.
const FIELDS: &[(&str, &str, &str)] = &[
    ("columns", "columns(0..64, as: [8, 8, 1])", "a run of columns as one tensor, perhaps of another shape"),
    ("column", "column(4)", "one column, by number or by name"),
    ("array", "array(\"file\")", "the entries of one file; in `npz` those of one of its arrays, by name"),
    ("picture", "picture / 255", "the pixels of a picture, from 0 to 255"),
    ("folder", "folder", "the number of the folder that a picture lies in, folders counted by name from 0"),
    ("numbers", "numbers(0, each: [2])", "the numbers in a column, here steps of two"),
];

/// Every model and layer of a file, those in bodies too.
pub(super) fn definitions(file: &File) -> Vec<&Definition> {
    let mut found = Vec::new();
    for item in &file.items {
        match item {
            Item::Model(definition) | Item::Layer(definition) => add_definition(definition, &mut found),
            Item::Use(_)
            | Item::Devices(_)
            | Item::Place(_)
            | Item::Replicas(_)
            | Item::Names(_)
            | Item::Data(_)
            | Item::Train(_)
            | Item::Bad(_) => {}
        }
    }
    found
}

fn add_definition<'f>(definition: &'f Definition, found: &mut Vec<&'f Definition>) {
    found.push(definition);
    inside(&definition.body, found);
}

fn inside<'f>(block: &'f Block, found: &mut Vec<&'f Definition>) {
    for statement in &block.statements {
        match &statement.kind {
            StatementKind::Layer(definition) => add_definition(definition, found),
            StatementKind::For { body, .. } | StatementKind::Group { body, .. } => inside(body, found),
            StatementKind::Scan(scan) => inside(&scan.body, found),
            StatementKind::Input { .. }
            | StatementKind::Declare { .. }
            | StatementKind::Update { .. }
            | StatementKind::Loss(_)
            | StatementKind::Metric(_)
            | StatementKind::Return(_)
            | StatementKind::Generate { .. }
            | StatementKind::LayerBind { .. }
            | StatementKind::Bind { .. }
            | StatementKind::Value(_)
            | StatementKind::Bad => {}
        }
    }
}

/// The model or layer that a symbol names.
pub(super) fn definition(study: &Study, id: SymbolId) -> Option<&Definition> {
    let at = *study.names.symbol(id).definitions.first()?;
    let loaded = &study.analysis.loaded;
    let files = loaded.files.iter().chain(loaded.library);
    let mut all = files.filter(|file| file.span.file == at.file).flat_map(definitions);
    all.find(|definition| definition.name.as_ref().is_some_and(|name| name.span == at))
}

/// What `train` binds of a model: its parameters alone.
pub fn trained(study: &Study, id: SymbolId) -> Option<Signature> {
    let definition = definition(study, study.names.resolved(id))?;
    let params = parameters(&study.analysis.loaded.sources, definition);
    Some(written(&definition.name.as_ref()?.text, params, definition.doc.clone()))
}

/// The name of each parameter, how it reads, and what it takes.
fn parameters<'d>(
    sources: &'d Sources,
    definition: &'d Definition,
) -> impl Iterator<Item = (String, String, Option<String>)> + 'd {
    definition.params.iter().map(|parameter| {
        let wants = catalog::wants(parameter.ty.as_ref()).map(str::to_string);
        (parameter.name.text.clone(), parameter_text(sources, parameter), wants)
    })
}

/// How a call of a symbol reads; nothing for what cannot be called. A model takes its inputs first.
pub fn signature(study: &Study, id: SymbolId) -> Option<Signature> {
    let id = study.names.resolved(id);
    let symbol = study.names.symbol(id);
    match symbol.kind {
        SymbolKind::Layer | SymbolKind::Model => {
            let definition = definition(study, id)?;
            let sources = &study.analysis.loaded.sources;
            let params = parameters(sources, definition);
            let inputs = inputs(definition).filter(|_| symbol.kind == SymbolKind::Model);
            let inputs = inputs.map(|(name, ty)| {
                let text = format!("{}: {}", name.text, one_line(sources, ty.span()));
                (name.text.clone(), text, None)
            });
            Some(written(&symbol.name, inputs.chain(params), definition.doc.clone()))
        }
        SymbolKind::Function => {
            let function = catalog::functions().find(|function| function.name == symbol.name)?;
            let tensors = function.variadic.then(|| ("tensors".into(), "tensors, …".into(), None));
            let params = function.params.iter().map(|param| {
                let text = if param.required { param.name.to_string() } else { format!("{}:", param.name) };
                (param.name.to_string(), text, Some(param.wants.to_string()))
            });
            Some(written(&symbol.name, tensors.into_iter().chain(params), of_function(&symbol.name)))
        }
        SymbolKind::Parameter
        | SymbolKind::Input
        | SymbolKind::Variable
        | SymbolKind::Value
        | SymbolKind::Turn
        | SymbolKind::Part
        | SymbolKind::Axis
        | SymbolKind::Data
        | SymbolKind::Field
        | SymbolKind::Stage
        | SymbolKind::Device
        | SymbolKind::Cluster
        | SymbolKind::Type
        | SymbolKind::Word => None,
    }
}

/// The inputs that a model declares.
fn inputs(definition: &Definition) -> impl Iterator<Item = (&Ident, &TypeExpr)> {
    definition.body.statements.iter().filter_map(|statement| {
        if let StatementKind::Input { name, ty } = &statement.kind { Some((name, ty)) } else { None }
    })
}

fn one_line(sources: &Sources, span: Span) -> String {
    sources.text(span).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `name: type = default`
pub(super) fn parameter_text(sources: &Sources, parameter: &Parameter) -> String {
    let mut text = parameter.name.text.clone();
    if let Some(ty) = &parameter.ty {
        let _ = write!(text, ": {}", one_line(sources, ty.span()));
    }
    if let Some(Expr { span, .. }) = &parameter.default {
        let _ = write!(text, " = {}", one_line(sources, *span));
    }
    text
}

fn written(
    name: &str,
    params: impl Iterator<Item = (String, String, Option<String>)>,
    doc: Option<String>,
) -> Signature {
    let mut signature = Signature { label: format!("{name}("), params: Vec::new(), wants: Vec::new(), doc };
    for (name, text, wants) in params {
        if !signature.params.is_empty() {
            signature.label += ", ";
        }
        let start = signature.label.len();
        signature.label += &text;
        signature.params.push((name, start..signature.label.len()));
        signature.wants.push(wants);
    }
    signature.label.push(')');
    signature
}
