//! What an editor asks, answered in offsets and strings: nothing here knows a protocol, and nothing opens a file.
//!
//! Every question is put to a [`Study`]: what came of a spec, and which word in it means what.

pub mod colours;
pub mod complete;
pub mod docs;
pub mod fix;
pub mod fold;
pub mod format;
pub mod hover;
pub mod inlay;
pub mod names;
pub mod outline;
pub mod rename;
pub mod signature;

use strata_grammar::{FileId, Source, Span};

use crate::Analysis;
use crate::model::{Hint, Model};
use names::Names;

pub use format::formatted;
pub use hover::{Hover, hover};

/// A spec as editors ask about it.
#[derive(Debug)]
pub struct Study {
    /// What came of it.
    pub analysis: Analysis,
    /// Which word in it means what.
    pub names: Names,
}

impl Study {
    /// Reads the names of what was analysed.
    pub fn new(analysis: Analysis) -> Study {
        let names = Names::of(&analysis.loaded);
        Study { analysis, names }
    }

    /// The text of a file.
    pub fn source(&self, file: FileId) -> &Source {
        self.analysis.loaded.sources.get(file)
    }

    /// The file of a name, as it was read.
    pub fn file(&self, name: &str) -> Option<FileId> {
        let mut all = self.analysis.loaded.sources.iter();
        all.find(|(_, source)| source.name == name).map(|(file, _)| file)
    }

    /// Every model, sound or not: as it is trained, where it is.
    fn models(&self) -> impl Iterator<Item = &Model> {
        let checked = &self.analysis.checked;
        checked.runs.iter().map(|run| &run.model).chain(&checked.models).chain(&checked.unfinished)
    }

    /// What is known of shapes in a stretch of text, each place once.
    fn hints(&self, within: Span) -> Vec<(&Model, &Hint)> {
        let inside = |hint: &Hint| {
            hint.span.file == within.file && hint.span.start < within.end && within.start <= hint.span.end
        };
        let mut found: Vec<(&Model, &Hint)> = Vec::new();
        for model in self.models() {
            found.extend(model.hints.iter().filter(|hint| inside(hint)).map(|hint| (model, hint)));
        }
        found.sort_by_key(|(_, hint)| (hint.span.start, hint.span.end));
        found.dedup_by_key(|(_, hint)| hint.span);
        found
    }
}

/// The types of what a hint stands for: `f32[batch, 10]`.
fn types(model: &Model, hint: &Hint) -> String {
    let types: Vec<String> =
        hint.values.iter().map(|v| model.type_text(&model.values[v.0 as usize].ty)).collect();
    types.join(", ")
}

/// The same, with a mark where the text is read several times and another time gave another type.
fn types_of_all(model: &Model, hint: &Hint) -> String {
    let more = if hint.varies { " …" } else { "" };
    format!("{}{more}", types(model, hint))
}
