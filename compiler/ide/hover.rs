//! What is shown while the pointer rests on a place.

use strata_grammar::ast::Item;
use strata_grammar::{FileId, Span};

use super::names::{Occurrence, SymbolId, SymbolKind};
use super::{Study, docs, types};
use crate::cost::{self, Cost};
use crate::model::{Hint, Model, RegionId, VariableKind};
use crate::ops::rules;
use crate::types::Type;

/// What is shown while the pointer rests on a place.
#[derive(Clone, Debug, PartialEq)]
pub struct Hover {
    /// The text it is about.
    pub span: Span,
    /// What to show.
    pub markdown: String,
}

/// What stands at an offset: its type; for a layer also how it is called, its parameters, its cost and its comment.
pub fn hover(study: &Study, file: FileId, offset: usize) -> Option<Hover> {
    let at = Span::new(file, offset, offset);
    let hints = study.hints(Span { end: at.end + 1, ..at });
    let touched = hints.into_iter().filter(|(_, hint)| hint.span.touches(offset));
    let hint = touched.min_by_key(|(_, hint)| hint.span.end - hint.span.start);
    let word = study.names.at(file, offset);
    if let Some(path) = used_file(study, file, offset) {
        return Some(path);
    }
    // A call's hint covers its arguments too; a word in them speaks for itself.
    let about_word = |word: &Occurrence, hint: &Hint| {
        hint.span == word.span
            || (hint.span.start == word.span.start
                && matches!(word.kind, SymbolKind::Layer | SymbolKind::Function))
    };
    match (word, hint) {
        (Some(word), Some((model, hint))) if about_word(&word, hint) => {
            let callee = word.symbol.filter(|_| hint.span != word.span);
            Some(Hover { span: hint.span, markdown: shape(study, model, hint, callee) })
        }
        (Some(word), _) => {
            let markdown = named(study, &word)?;
            Some(Hover { span: word.span, markdown })
        }
        (None, Some((model, hint))) => {
            Some(Hover { span: hint.span, markdown: shape(study, model, hint, None) })
        }
        (None, None) => None,
    }
}

/// Where a `use` line leads.
fn used_file(study: &Study, file: FileId, offset: usize) -> Option<Hover> {
    let files = &study.analysis.loaded.files;
    let items = files.iter().filter(|tree| tree.span.file == file).flat_map(|tree| &tree.items);
    let found = items.filter_map(|item| if let Item::Use(used) = item { Some(used) } else { None });
    let used = found.into_iter().find(|used| used.path_span.touches(offset))?;
    let target = super::rename::used_file(study, file, &used.path)?;
    Some(Hover { span: used.path_span, markdown: format!("`{}`", study.source(target).name) })
}

fn code(text: &str) -> String {
    format!("```strata\n{text}\n```")
}

/// A name or call with its shape.
fn shape(study: &Study, model: &Model, hint: &Hint, callee: Option<SymbolId>) -> String {
    let first = if hint.varies { "  // the first time; later it differs" } else { "" };
    let mut text = code(&format!("{}: {}{first}", hint.name, types(model, hint)));
    if let Some(region) = hint.region {
        text += &contents(model, region);
    }
    let layer = hint.region.and_then(|region| model.regions.get(region.0 as usize)?.layer.clone());
    let callee = callee.or_else(|| study.names.callable.get(&layer?).copied());
    if let Some(signature) = callee.and_then(|callee| docs::signature(study, callee)) {
        text += &format!("\n\n{}", code(&signature.label));
        if let Some(doc) = signature.doc {
            text += &format!("\n\n---\n{doc}");
        }
    }
    text
}

/// What a region holds and takes: parameters with their shapes, operations and bytes of one example.
fn contents(model: &Model, region: RegionId) -> String {
    let parent = |at: &RegionId| model.regions.get(at.0 as usize).and_then(|region| region.parent);
    let inside = |at: RegionId| std::iter::successors(Some(at), parent).any(|at| at == region);
    let trained: Vec<_> =
        model.variables.iter().filter(|v| v.kind == VariableKind::Param && inside(v.region)).collect();
    let mut text = String::new();
    if !trained.is_empty() {
        let lines: String =
            trained.iter().map(|v| format!("\n- `{}: {}`", v.name, model.type_text(&v.ty))).collect();
        let numbers: u64 = trained.iter().map(|v| cost::elements(&v.ty)).sum();
        let bytes: u64 = trained.iter().map(|v| cost::bytes(&v.ty)).sum();
        text += &format!("\n\n{} parameters, {} B{lines}", grouped(numbers), grouped(bytes));
    }
    // Free axes are counted as 1: the figures are those of one example (of one step of a sequence).
    let one = vec![1; model.free.len()];
    let bound = |ty: &Type| ty.bind(&one);
    let mut total = Cost::default();
    for value in model.values.iter() {
        if !inside(model.origins[value.origin.0 as usize].region) {
            continue;
        }
        let args: Vec<Type> = value.args.iter().map(|arg| bound(&model.values[arg.0 as usize].ty)).collect();
        let args: Vec<&Type> = args.iter().collect();
        total = total + (rules(&value.op).cost)(&value.op, &args, &bound(&value.ty));
    }
    let of = if model.free.is_empty() { "a step" } else { "one example" };
    text += &format!(
        "\n\n{of}, forward: {} operations, {} B read, {} B written",
        grouped(total.operations),
        grouped(total.read),
        grouped(total.written)
    );
    text
}

/// `12_345_678`, as the language writes it.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('_');
        }
        text.push(digit);
    }
    text
}

/// A name whose shape is not known here: what it is, where it comes from, what is written about it.
fn named(study: &Study, word: &Occurrence) -> Option<String> {
    let source = study.source(word.span.file);
    let text = source.text.get(word.span.range())?;
    let Some(id) = word.symbol else {
        return match word.kind {
            SymbolKind::Stage => {
                docs::of_data_word(text).map(|(written, does)| format!("{}\n\n{does}", code(&written)))
            }
            SymbolKind::Word => docs::of_function(text),
            SymbolKind::Model
            | SymbolKind::Layer
            | SymbolKind::Function
            | SymbolKind::Parameter
            | SymbolKind::Input
            | SymbolKind::Variable
            | SymbolKind::Value
            | SymbolKind::Turn
            | SymbolKind::Part
            | SymbolKind::Axis
            | SymbolKind::Data
            | SymbolKind::Field
            | SymbolKind::Device
            | SymbolKind::Cluster
            | SymbolKind::Type => None,
        };
    };
    let symbol = study.names.symbol(id);
    match symbol.kind {
        SymbolKind::Model | SymbolKind::Layer | SymbolKind::Function => {
            let signature = docs::signature(study, id)?;
            let is_function = symbol.kind == SymbolKind::Function;
            let is_model = symbol.kind == SymbolKind::Model;
            let noun = if is_function {
                ""
            } else if is_model {
                "model "
            } else {
                "layer "
            };
            let mut text = code(&format!("{noun}{}", signature.label));
            if let Some(model) = study.models().find(|model| model.name == symbol.name)
                && is_model
            {
                text += &contents(model, RegionId(0));
            }
            if let Some(doc) = signature.doc {
                text += &format!("\n\n---\n{doc}");
            }
            Some(text)
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
        | SymbolKind::Device
        | SymbolKind::Cluster => {
            let at = study.names.definition(word)?;
            let line = defining_line(study, at);
            Some(format!("{}\n\n{}", code(&line), noun(symbol.kind)))
        }
        SymbolKind::Stage | SymbolKind::Type | SymbolKind::Word => None,
    }
}

fn noun(kind: SymbolKind) -> &'static str {
    match kind {
        SymbolKind::Model => "a model",
        SymbolKind::Layer => "a layer",
        SymbolKind::Function => "a function",
        SymbolKind::Parameter => "a parameter",
        SymbolKind::Input => "an input: the data bring it",
        SymbolKind::Variable => "a variable",
        SymbolKind::Value => "a value",
        SymbolKind::Turn => "the index of a loop",
        SymbolKind::Part => "a part, for `place` to name",
        SymbolKind::Axis => "an axis",
        SymbolKind::Data => "data",
        SymbolKind::Field => "a field of the examples",
        SymbolKind::Stage => "a stage of data",
        SymbolKind::Device => "a device",
        SymbolKind::Cluster => "a cluster",
        SymbolKind::Type => "a type",
        SymbolKind::Word => "a word",
    }
}

/// The parameter or the line that binds a name.
fn defining_line(study: &Study, at: Span) -> String {
    let loaded = &study.analysis.loaded;
    let files = loaded.files.iter().chain(loaded.library).filter(|file| file.span.file == at.file);
    let mut params = files.flat_map(docs::definitions).flat_map(|definition| &definition.params);
    if let Some(parameter) = params.find(|parameter| parameter.name.span == at) {
        return docs::parameter_text(&loaded.sources, parameter);
    }
    let source = study.source(at.file);
    let line = source.line(source.line_column(at.start as usize).line).trim();
    line.chars().take(120).collect()
}
