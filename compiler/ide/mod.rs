//! What an editor asks, answered in plain offsets and strings.

use strata_grammar::ast::{Definition, File, Item};
use strata_grammar::{FileId, Source, Span, parse, print};

use crate::Analysis;
use crate::model::{Hint, Model, RegionId, VariableKind};

/// What is shown while the pointer rests on a place.
#[derive(Clone, Debug, PartialEq)]
pub struct Hover {
    /// The text it is about.
    pub span: Span,
    /// What to show.
    pub markdown: String,
}

/// What stands at an offset of the root file: its type; for a layer also its parameters and its comment.
pub fn hover(analysis: &Analysis, offset: usize) -> Option<Hover> {
    let root = analysis.loaded.root();
    let at = |hint: &&Hint| hint.span.file == root && hint.span.touches(offset);
    let models = analysis.checked.runs.iter().map(|run| &run.model).chain(&analysis.checked.models);
    let hints = models.flat_map(|model| model.hints.iter().filter(at).map(move |hint| (model, hint)));
    let (model, hint) = hints.min_by_key(|(_, hint)| hint.span.end - hint.span.start)?;
    Some(Hover { span: hint.span, markdown: describe(analysis, model, hint) })
}

fn describe(analysis: &Analysis, model: &Model, hint: &Hint) -> String {
    let types: Vec<String> =
        hint.values.iter().map(|v| model.type_text(&model.values[v.0 as usize].ty)).collect();
    let mut text = format!("```strata\n{}: {}\n```", hint.name, types.join(", "));
    let Some(region) = hint.region else { return text };
    text += &parameters(model, region);
    let layer = model.regions.get(region.0 as usize).and_then(|region| region.layer.as_deref());
    if let Some(doc) = layer.and_then(|layer| doc_comment(analysis, layer)) {
        text += &format!("\n\n---\n{doc}");
    }
    text
}

/// What is trained inside a region, one line each.
fn parameters(model: &Model, region: RegionId) -> String {
    let parent = |at: &RegionId| model.regions.get(at.0 as usize).and_then(|region| region.parent);
    let inside = |at: RegionId| std::iter::successors(Some(at), parent).any(|at| at == region);
    let trained = model.variables.iter().filter(|v| v.kind == VariableKind::Param && inside(v.region));
    let lines: String = trained.map(|v| format!("\n- `{}: {}`", v.name, model.type_text(&v.ty))).collect();
    if lines.is_empty() { lines } else { format!("\n\nparameters{lines}") }
}

/// The comment of the layer `name`: the user's own, or the library's.
fn doc_comment<'a>(analysis: &'a Analysis, name: &str) -> Option<&'a str> {
    let files = analysis.loaded.files.iter().chain(analysis.loaded.library);
    let is_it = |layer: &&Definition| layer.name.as_ref().is_some_and(|n| n.text == name);
    files.flat_map(layers).find(is_it)?.doc.as_deref()
}

fn layers(file: &File) -> impl Iterator<Item = &Definition> {
    file.items.iter().filter_map(|item| match item {
        Item::Layer(definition) => Some(definition),
        Item::Use(_)
        | Item::Model(_)
        | Item::Devices(_)
        | Item::Place(_)
        | Item::Replicas(_)
        | Item::Data(_)
        | Item::Train(_)
        | Item::Bad(_) => None,
    })
}

/// The text as it should be written; nothing where it has mistakes.
pub fn formatted(text: &str) -> Option<String> {
    let source = Source::new("", text);
    print(&parse(FileId(0), &source), &source)
}
