//! The outline of a file: its blocks, and what they bind.

use std::collections::HashMap;

use strata_grammar::ast::{
    Block, DeviceKind, DeviceStatement, FamilyRef, File, Ident, Item, StatementKind, Target,
};
use strata_grammar::{FileId, Span};

use super::names::SymbolKind;
use super::{Study, types_of_all};

/// One line of an outline.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What it is called.
    pub name: String,
    /// What else is said of it.
    pub detail: Option<String>,
    /// What it is; nothing for a block that only speaks of something (`train`, `place`).
    pub kind: Option<SymbolKind>,
    /// All of its text.
    pub span: Span,
    /// Its name.
    pub name_span: Span,
    /// What stands in it.
    pub children: Vec<Entry>,
}

/// The outline of a file.
pub fn outline(study: &Study, file: FileId) -> Vec<Entry> {
    let loaded = &study.analysis.loaded;
    let tree = loaded.files.iter().chain(loaded.library).find(|tree| tree.span.file == file);
    tree.map(|tree| of_file(study, tree)).unwrap_or_default()
}

/// What entries are told from.
struct Known<'s> {
    study: &'s Study,
    /// The types of what is bound, by where its name begins.
    types: HashMap<u32, String>,
}

impl Known<'_> {
    fn text(&self, span: Span) -> &str {
        self.study.analysis.loaded.sources.text(span)
    }
}

fn of_file(study: &Study, file: &File) -> Vec<Entry> {
    let hints = study.hints(file.span).into_iter();
    let types = hints.map(|(model, hint)| (hint.span.start, types_of_all(model, hint))).collect();
    let known = Known { study, types };
    file.items.iter().flat_map(|item| of_item(&known, item)).collect()
}

fn entry(name: &Ident, kind: SymbolKind, span: Span, children: Vec<Entry>) -> Entry {
    Entry { name: name.text.clone(), detail: None, kind: Some(kind), span, name_span: name.span, children }
}

fn of_item(known: &Known<'_>, item: &Item) -> Vec<Entry> {
    let about = |word: &str, name: Option<&Ident>, span: Span, children: Vec<Entry>| {
        let head = Span { end: (span.start + word.len() as u32).min(span.end), ..span };
        let text = name.map_or(word.to_string(), |name| format!("{word} {}", name.text));
        let name_span = name.map_or(head, |name| name.span);
        Entry { name: text, detail: None, kind: None, span, name_span, children }
    };
    match item {
        Item::Model(definition) | Item::Layer(definition) => {
            let Some(name) = &definition.name else { return Vec::new() };
            let kind = if matches!(item, Item::Model(_)) { SymbolKind::Model } else { SymbolKind::Layer };
            let params = definition.params.iter();
            let mut children: Vec<Entry> =
                params.map(|p| entry(&p.name, SymbolKind::Parameter, p.span, Vec::new())).collect();
            children.extend(of_block(known, &definition.body));
            vec![entry(name, kind, definition.span, children)]
        }
        Item::Data(data) => {
            let names = data.names.iter().filter(|name| name.text != "_");
            // The first stands for the line, so that no two entries cover the same text.
            let whole = |at: usize, name: &Ident| if at == 0 { data.span } else { name.span };
            names
                .enumerate()
                .map(|(at, name)| entry(name, SymbolKind::Data, whole(at, name), Vec::new()))
                .collect()
        }
        Item::Devices(devices) => {
            let children = of_devices(&devices.body);
            let word = if devices.cluster.is_some() { "cluster" } else { "devices" };
            vec![about(word, devices.cluster.as_ref(), devices.span, children)]
        }
        Item::Place(place) => vec![about("place", place.model.as_ref(), place.span, Vec::new())],
        Item::Replicas(replicas) => {
            vec![about("replicas", replicas.model.as_ref(), replicas.span, Vec::new())]
        }
        Item::Names(names) => vec![about("names", names.model.as_ref(), names.span, Vec::new())],
        Item::Train(train) => vec![about("train", train.model.as_ref(), train.span, Vec::new())],
        Item::Use(_) | Item::Bad(_) => Vec::new(),
    }
}

fn of_devices(body: &[DeviceStatement]) -> Vec<Entry> {
    let mut found = Vec::new();
    for statement in body {
        match &statement.kind {
            DeviceKind::Machine { name, body, .. } => {
                found.push(entry(&name.name, SymbolKind::Device, statement.span, of_devices(body)));
            }
            DeviceKind::Device { name, .. } => {
                found.push(entry(&name.name, SymbolKind::Device, statement.span, Vec::new()));
            }
            DeviceKind::Link { .. } | DeviceKind::Bad => {}
        }
    }
    found
}

fn of_block(known: &Known<'_>, block: &Block) -> Vec<Entry> {
    let mut found = Vec::new();
    let family = |name: &FamilyRef| known.text(name.span).to_string();
    for statement in &block.statements {
        let span = statement.span;
        match &statement.kind {
            StatementKind::Input { name, ty } => {
                let detail = Some(known.text(ty.span()).to_string());
                found.push(Entry { detail, ..entry(name, SymbolKind::Input, span, Vec::new()) });
            }
            StatementKind::Declare { name, ty, .. } => {
                let detail = Some(known.text(ty.span()).to_string());
                found.push(Entry { detail, ..entry(name, SymbolKind::Variable, span, Vec::new()) });
            }
            StatementKind::For { body, .. } => found.extend(of_block(known, body)),
            StatementKind::Scan(scan) => found.extend(of_block(known, &scan.body)),
            StatementKind::Layer(definition) => {
                if let Some(name) = &definition.name {
                    let children = of_block(known, &definition.body);
                    found.push(entry(name, SymbolKind::Layer, span, children));
                }
            }
            StatementKind::LayerBind { name, .. } => {
                found.push(entry(name, SymbolKind::Layer, span, Vec::new()));
            }
            StatementKind::Group { name, body } => {
                let group = entry(&name.name, SymbolKind::Part, span, of_block(known, body));
                found.push(Entry { name: family(name), ..group });
            }
            StatementKind::Bind { targets, .. } => {
                let members = targets.iter().flat_map(|target| match target {
                    Target::Name(name) => std::slice::from_ref(name),
                    Target::Tuple { members, .. } => members.as_slice(),
                });
                for (at, name) in members.filter(|name| name.name.text != "_").enumerate() {
                    let whole = if at == 0 { span } else { name.span };
                    let bound = entry(&name.name, SymbolKind::Value, whole, Vec::new());
                    let detail = known.types.get(&name.span.start).cloned();
                    found.push(Entry { name: family(name), detail, ..bound });
                }
            }
            StatementKind::Update { .. }
            | StatementKind::Loss(_)
            | StatementKind::Metric(_)
            | StatementKind::Return(_)
            | StatementKind::Generate { .. }
            | StatementKind::Value(_)
            | StatementKind::Bad => {}
        }
    }
    found
}
