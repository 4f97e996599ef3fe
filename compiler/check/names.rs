//! Names of whole files: models, layers, data.

use std::collections::{BTreeMap, HashMap, HashSet};

use strata_grammar::ast::{Data, Definition, Ident, Item, StatementKind, Target};
use strata_grammar::{Code, Diagnostic, Span, did_you_mean};

use super::picture::IMAGE;
use super::{Checker, intrinsics, items, name_of};

/// What files define.
#[derive(Debug, Default)]
pub(super) struct Globals<'a> {
    pub(super) models: BTreeMap<&'a str, &'a Definition>,
    layers: BTreeMap<&'a str, &'a Definition>,
    library: HashMap<&'a str, &'a Definition>,
    pub(super) data: BTreeMap<&'a str, &'a Data>,
    /// Words in text that could not be read: it may have defined them.
    broken: HashSet<String>,
}

impl<'a> Globals<'a> {
    /// The layer called `name` as a library file or a user's file sees it.
    pub(super) fn layer(&self, name: &str, in_library: bool) -> Option<&'a Definition> {
        let own = if in_library { None } else { self.layers.get(name) };
        own.or_else(|| self.library.get(name)).copied()
    }

    /// The user's layers in order of their names.
    pub(super) fn user_layers(&self) -> Vec<&'a Definition> {
        self.layers.values().copied().collect()
    }

    /// Every layer's name.
    pub(super) fn layer_names(&self) -> Vec<&'a str> {
        let mut names: Vec<&str> = self.layers.keys().chain(self.library.keys()).copied().collect();
        names.sort_unstable();
        names
    }
}

impl<'a> Checker<'a> {
    pub(super) fn collect_names(&mut self) {
        for item in self.loaded.library.iter().flat_map(|file| &file.items) {
            if let Item::Layer(definition) = item {
                self.globals.library.insert(name_of(definition), definition);
            }
        }
        for (_, item) in items(self.loaded) {
            match item {
                Item::Model(definition) => {
                    let Some(name) = &definition.name else { continue };
                    match self.globals.models.get(name.text.as_str()) {
                        Some(first) => self.duplicate("model", name, first.name.as_ref().map(|n| n.span)),
                        None => _ = self.globals.models.insert(&name.text, definition),
                    }
                }
                Item::Layer(definition) => {
                    let Some(name) = &definition.name else { continue };
                    match self.globals.layers.get(name.text.as_str()) {
                        Some(first) => self.duplicate("layer", name, first.name.as_ref().map(|n| n.span)),
                        None => _ = self.globals.layers.insert(&name.text, definition),
                    }
                }
                Item::Data(data) => {
                    for name in data.names.iter().filter(|name| name.text != "_") {
                        let first = self.globals.data.get(name.text.as_str()).and_then(|first| {
                            first.names.iter().find(|other| other.text == name.text).map(|n| n.span)
                        });
                        match first {
                            Some(first) => self.duplicate("data name", name, Some(first)),
                            None => _ = self.globals.data.insert(&name.text, data),
                        }
                    }
                }
                Item::Bad(span) => self.note_broken(*span),
                Item::Use(_)
                | Item::Devices(_)
                | Item::Place(_)
                | Item::Replicas(_)
                | Item::Names(_)
                | Item::Train(_) => {}
            }
        }
    }

    /// Remembers what text that could not be read may have defined.
    pub(super) fn note_broken(&mut self, span: Span) {
        let words = words(self.loaded.sources.text(span)).map(str::to_string);
        self.globals.broken.extend(words);
    }

    /// Whether a name that nothing defines may be the fault of a missing file or of text that could not be read:
    /// then enough was said.
    pub(super) fn excused(&self, name: &str) -> bool {
        self.loaded.incomplete || self.globals.broken.contains(name)
    }

    fn duplicate(&mut self, what: &str, name: &Ident, first: Option<Span>) {
        let message = format!("there already is a {what} called `{}`", name.text);
        let mut found = Diagnostic::error(Code::DuplicateName, name.span, message)
            .help(format!("give one of the two another name, as in `{}2`", name.text))
            .edit(name.span, format!("{}2", name.text));
        if let Some(first) = first {
            found = found.label(first, "the first");
        }
        self.report(found);
    }

    /// Says that nothing is called `name`. Silent where it may come from a file that is missing, and where the same
    /// missing line was asked for before.
    pub(super) fn unknown_name(&mut self, name: &Ident, callee: bool) {
        self.notes.doubts += 1;
        if (callee && self.excused(&name.text)) || self.globals.broken.contains(&name.text) {
            return;
        }
        if name.text == "last" && self.diagnostics.iter().any(|found| found.code == Code::NotYet) {
            // The recurrence that it is the end of was answered.
            return;
        }
        if self.frames.last().is_some_and(|frame| frame.unbound.contains(&name.text)) {
            return;
        }
        if callee && name.text == IMAGE {
            self.misplaced_picture(name);
            return;
        }
        let mut candidates: Vec<String> = Vec::new();
        if let Some(frame) = self.frames.last() {
            candidates.extend(frame.scope.all().into_iter().map(str::to_string));
        }
        candidates.extend(self.globals.layer_names().into_iter().map(str::to_string));
        candidates.extend(self.globals.models.keys().map(ToString::to_string));
        candidates.extend(intrinsics::names().map(str::to_string));
        if !callee {
            candidates.extend(["true", "false"].map(str::to_string));
        }
        let near = did_you_mean(&name.text, candidates.iter().map(String::as_str)).map(str::to_string);
        let mut found = Diagnostic::error(
            Code::UnknownName,
            name.span,
            format!("nothing is called `{}` here", name.text),
        );
        if let Some(near) = near {
            // These two initialisers take a number.
            let near = match near.as_str() {
                "normal" if !callee => "normal(0.02)".to_string(),
                "uniform" if !callee => "uniform(0.05)".to_string(),
                _ => near,
            };
            self.report(found.help(format!("did you mean `{near}`?")).edit(name.span, near));
            return;
        }
        if let Some(frame) = self.frames.last_mut() {
            frame.unbound.insert(name.text.clone());
        }
        if let Some(data) = self.globals.data.get(name.text.as_str()) {
            found = found
                .label(data.span, format!("`{}` is data", name.text))
                .help("a model gets its data through `input`; `feed` in `train` connects the two");
        } else if let Some(below) = self.bound_below(name) {
            found = found
                .label(below, format!("`{}` is bound below", name.text))
                .help("what is below is not known yet: move that line up");
        } else if callee {
            found =
                found.help(format!("write `layer {}(…) {{ … }}`, or `use` the file that has it", name.text));
        } else {
            let inputs: Vec<String> =
                self.build.model.inputs.iter().map(|input| format!("`{}`", input.name)).collect();
            let inputs = match inputs.as_slice() {
                [] => String::new(),
                some => format!(", or use an input: {}", some.join(", ")),
            };
            found = found.help(format!("bind it first: `{} = …`{inputs}", name.text));
        }
        self.report(found);
    }

    /// Where the body at hand binds a name further down, outside of blocks.
    fn bound_below(&self, name: &Ident) -> Option<Span> {
        let body = &self.frames.last()?.definition.body;
        let later = body.statements.iter().filter(|statement| statement.span.start > name.span.start);
        later.into_iter().find_map(|statement| match &statement.kind {
            StatementKind::Bind { targets, .. } => targets.iter().find_map(|target| match target {
                Target::Name(bound) => (bound.name.text == name.text).then_some(bound.span),
                Target::Tuple { members, .. } => {
                    members.iter().find(|bound| bound.name.text == name.text).map(|bound| bound.span)
                }
            }),
            _ => None,
        })
    }

    /// Answers what is right, but more than this version can do.
    pub(super) fn not_yet(&mut self, span: Span, what: &str) {
        self.report(Diagnostic::error(
            Code::NotYet,
            span,
            format!("{what} is part of the language, but this version cannot run it yet"),
        ));
    }
}

/// The words of a text.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}
