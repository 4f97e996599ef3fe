//! The checker: from trees to models and runs, or to messages. Pure: no file is opened here; what is known of
//! data files comes in as facts.
//!
//! A model is elaborated by walking its statements with a scope. A layer call walks the layer's body with the
//! caller's axes bound, so a `Model` holds primitives only, in regions that remember layers and groups.
//! Whatever was reported evaluates to `Value::Unknown`, which silences everything that follows from it.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a match names the kinds of values and expressions that fit; every other is answered with a message"
)]

mod apart;
mod body;
mod build;
mod call;
pub mod catalog;
mod clip;
mod data;
mod decoder;
mod expr;
mod habits;
mod init;
mod intrinsics;
mod layer;
mod memory;
mod microbatch;
mod model_call;
mod names;
mod optimizer;
mod parameters;
mod picture;
mod place;
mod ragged;
mod save;
mod scan;
mod schedule;
mod scope;
mod shapes;
mod signature;
mod start;
mod statement;
mod train;
mod types;
mod value;
mod weights;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use strata_grammar::ast::{Definition, Item};
use strata_grammar::{Code, Diagnostic, FileId, Severity, Span};
use strata_runtime::checkpoint::WeightFacts;
use strata_runtime::queue::{
    ArrayFacts, CsvFacts, DataError, NpzFacts, PictureFacts, RESERVED, Recipe, TextFacts, Unit,
};

use crate::load::Loaded;
use crate::model::Model;
use crate::placement::{Cluster, Placement};
use crate::run::Run;

pub use data::{DataSource, Format, data_sources};
pub use memory::Memory;

/// What the command line adds to a spec.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// `--set name=value`: values of the models' parameters.
    pub set: Vec<(String, String)>,
    /// Folders to look for data in, after the folder of the file that names them: `--data`, `STRATA_DATA`.
    pub data: Vec<PathBuf>,
    /// Vocabularies that a run has kept, by the names of fields: they are used instead of counting.
    pub vocabularies: BTreeMap<String, KeptVocabulary>,
}

/// A vocabulary as it was when a run was begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptVocabulary {
    /// What its entries are.
    pub unit: Unit,
    /// What the numbers from 4 on stand for.
    pub tokens: Vec<String>,
}

impl KeptVocabulary {
    /// In which way another one differs, if it does.
    pub fn differs(&self, other: &[String]) -> Option<String> {
        if self.tokens == other {
            return None;
        }
        let at = self.tokens.iter().zip(other).take_while(|(a, b)| a == b).count();
        let known: HashSet<&String> = self.tokens.iter().collect();
        let new: Vec<&String> = other.iter().filter(|token| !known.contains(token)).collect();
        let (then, now) = (self.tokens.len(), other.len());
        let counts = format!("{then} tokens then, {now} now");
        Some(match new.first() {
            Some(first) => format!("{counts}, {} of them new, such as {first:?}", new.len()),
            None if then == now => format!("{counts}, in another order from the number {} on", at + RESERVED),
            None => format!("{counts}, and none is new"),
        })
    }
}

/// Which data file: its path as written, and the file that names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SourceKey {
    /// The file that names it.
    pub file: FileId,
    /// The path as written.
    pub path: String,
    /// How it is read; one file may be read in two ways.
    pub format: Format,
}

/// What is known of data files. A file without facts is unknown, and nothing is said about it.
#[derive(Clone, Debug, Default)]
pub struct DataFacts {
    /// Facts, or why there are none.
    pub sources: HashMap<SourceKey, Result<SourceFacts, DataError>>,
}

/// What is known of one data file.
#[derive(Clone, Debug)]
pub struct SourceFacts {
    /// Where it was found.
    pub path: PathBuf,
    /// What is in it.
    pub content: Content,
}

/// What is in a data file.
#[derive(Clone, Debug)]
pub enum Content {
    /// Columns of numbers and words.
    Csv(CsvFacts),
    /// One tensor.
    Array(ArrayFacts),
    /// Tensors by name.
    Npz(NpzFacts),
    /// Pictures in folders.
    Pictures(PictureFacts),
    /// Words and characters.
    Text(TextFacts),
    /// So many numbers, the reserved ones included.
    Tokenizer(usize),
    /// Named tensors.
    Weights(WeightFacts),
    /// One picture.
    Picture,
}

/// Everything that a spec says, checked.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    /// Models whose parameters are all known, in order of appearance. A model that `train` binds parameters
    /// of is here as it is trained.
    pub models: Vec<Model>,
    /// What could be made of models with mistakes, or whose parameters are not all known: for editors, which show
    /// shapes around a mistake. Nothing else may be done with them.
    pub unfinished: Vec<Model>,
    /// `train` blocks. None of a model or data with errors.
    pub runs: Vec<Run>,
    /// Every `data` name that fits a trained model, with that run's batch size.
    pub data: Vec<NamedRecipe>,
    /// Where models run: one for each that is placed, and where there are devices for each that is trained. None where
    /// something is wrong with devices or places, or where more is asked for than this version can do.
    pub placements: Vec<Placement>,
    /// Machines that a plan can be made for, whether or not they are there.
    pub clusters: Vec<Cluster>,
}

/// A `data` name, ready to feed a model.
#[derive(Clone, Debug)]
pub struct NamedRecipe {
    /// Its name.
    pub name: String,
    /// The model whose inputs its fields are.
    pub model: String,
    /// Where its examples come from.
    pub recipe: Recipe,
}

/// Checks everything that was loaded. Diagnostics of the text itself stand in `loaded`, not in the result.
pub fn check(loaded: &Loaded, facts: &DataFacts, settings: &Settings) -> (Checked, Vec<Diagnostic>) {
    check_with(loaded, facts, settings, None)
}

/// The same, without elaborating again what `memory` holds; it must be asked with the same settings each time.
pub fn check_again(
    loaded: &Loaded,
    facts: &DataFacts,
    settings: &Settings,
    memory: &mut Memory,
) -> (Checked, Vec<Diagnostic>) {
    memory.turn();
    check_with(loaded, facts, settings, Some(memory))
}

fn check_with(
    loaded: &Loaded,
    facts: &DataFacts,
    settings: &Settings,
    memory: Option<&mut Memory>,
) -> (Checked, Vec<Diagnostic>) {
    // Expressions and layers nest; the depth is limited (see `Checker::enter`), and so is what each level needs.
    const STACK: usize = 256 << 20;
    let memory = Mutex::new(memory);
    std::thread::scope(|scope| {
        let work = || {
            let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
            check_here(loaded, facts, settings, memory.as_deref_mut())
        };
        let thread = std::thread::Builder::new().name("check".into()).stack_size(STACK);
        match thread.spawn_scoped(scope, work) {
            Ok(handle) => match handle.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            },
            // No thread to be had: the caller's stack has to do.
            Err(_) => work(),
        }
    })
}

fn check_here(
    loaded: &Loaded,
    facts: &DataFacts,
    settings: &Settings,
    memory: Option<&mut Memory>,
) -> (Checked, Vec<Diagnostic>) {
    let mut checker = Checker::new(loaded, facts, settings);
    checker.collect_names();
    let checked = checker.check_items(memory);
    let mut diagnostics = checker.diagnostics;
    diagnostics.sort_by_key(|d| (d.primary.span.file, d.primary.span.start, d.primary.span.end));
    (checked, diagnostics)
}

/// What is known while a spec is checked. The tables of the model under construction are in `build`.
struct Checker<'a> {
    loaded: &'a Loaded,
    facts: &'a DataFacts,
    settings: &'a Settings,
    globals: names::Globals<'a>,
    diagnostics: Vec<Diagnostic>,
    /// What was said already, so that a layer used twice does not repeat its mistakes.
    said: HashSet<(Code, Span)>,
    build: build::Builder,
    frames: Vec<layer::Frame<'a>>,
    pending: Vec<build::Pending>,
    /// The user's call that leads into the library, while inside it.
    user_call: Option<Span>,
    /// Layers that were elaborated with known shapes, by the place of their definition.
    elaborated: HashSet<Span>,
    /// What is to be known of the model being elaborated for it to be remembered.
    notes: memory::Notes,
    /// What the numbers in data errors stand for.
    data_origins: Vec<Span>,
    /// Layer calls and loop turns of this model so far.
    steps: usize,
    depth: usize,
    /// Too much of something: nothing more is elaborated.
    stopped: bool,
    /// The `train` block whose optimizer is being elaborated.
    optimizing: Option<&'a strata_grammar::ast::Train>,
    /// The file whose tensors texts stand for, while what is made of them is elaborated.
    foreign: Option<weights::Foreign<'a>>,
}

impl<'a> Checker<'a> {
    fn new(loaded: &'a Loaded, facts: &'a DataFacts, settings: &'a Settings) -> Checker<'a> {
        Checker {
            loaded,
            facts,
            settings,
            globals: names::Globals::default(),
            diagnostics: Vec::new(),
            said: HashSet::new(),
            build: build::Builder::new(""),
            frames: Vec::new(),
            pending: Vec::new(),
            user_call: None,
            elaborated: HashSet::new(),
            notes: memory::Notes::default(),
            data_origins: Vec::new(),
            steps: 0,
            depth: 0,
            stopped: false,
            optimizing: None,
            foreign: None,
        }
    }

    fn check_items(&mut self, mut memory: Option<&mut Memory>) -> Checked {
        let mut checked = Checked::default();
        self.check_data();
        self.check_names();
        let mut parts = Vec::new();
        self.check_train(&mut checked, &mut parts);
        for definition in self.globals.models.clone().into_values() {
            if !parts.iter().any(|part| part.model == name_of(definition)) {
                let outcome = self.outcome(definition, memory.as_deref_mut());
                parts.push(outcome.parts);
                if outcome.sound {
                    checked.models.push(outcome.model);
                } else {
                    checked.unfinished.push(outcome.model);
                }
            }
        }
        checked.models.sort_by_key(|model| model.regions.first().map(|r| (r.span.file, r.span.start)));
        for definition in self.globals.user_layers() {
            if !self.elaborated.contains(&definition.span) {
                self.check_unused_layer(definition);
            }
        }
        self.check_devices(&mut checked, &parts);
        checked
    }

    /// Number of errors so far.
    fn errors(&self) -> usize {
        self.diagnostics.iter().filter(|d| d.severity == Severity::Error).count()
    }

    /// Says it, unless the same was said of the same place. What lies in the library is said of the user's call.
    fn report(&mut self, mut diagnostic: Diagnostic) {
        self.notes.doubts += 1;
        if self.stopped && diagnostic.code != Code::TooManySteps {
            return;
        }
        let at = diagnostic.primary.span;
        if self.loaded.in_library(at) {
            if let Some(call) = self.user_call {
                let layer = self.frames.iter().find(|frame| frame.call == Some(call));
                if let Some(layer) = layer.map(|frame| format!("`{}`", name_of(frame.definition)))
                    && !diagnostic.message.contains(&layer)
                {
                    diagnostic.message = format!("{layer}: {}", diagnostic.message);
                }
                let text = std::mem::take(&mut diagnostic.primary.text);
                let text = if text.is_empty() { "in the library, here".to_string() } else { text };
                diagnostic = diagnostic.label(at, text);
                diagnostic.primary.span = call;
            }
        } else if let Some(call) = self.layer_call(at)
            && diagnostic.labels.iter().all(|label| label.span != call)
        {
            diagnostic = diagnostic.label(call, "in this call");
        }
        if self.said.insert((diagnostic.code, diagnostic.primary.span)) {
            self.diagnostics.push(diagnostic);
        }
    }

    /// The call of the user's layer that is being elaborated, for messages about its body.
    fn layer_call(&self, at: Span) -> Option<Span> {
        let frame = self.frames.last()?;
        let inside =
            frame.definition.span.file == at.file && frame.definition.span.touches(at.start as usize);
        frame.call.filter(|call| inside && !self.loaded.in_library(*call))
    }

    /// The text at a place if it is short and on one line, in backticks.
    fn quote(&self, span: Span) -> Option<String> {
        let text = self.loaded.sources.text(span).trim();
        (!text.is_empty() && text.chars().count() <= 40 && !text.contains('\n')).then(|| format!("`{text}`"))
    }

    /// One level deeper in expressions, layers or blocks; `false` (and said) where that is too deep.
    fn enter(&mut self, span: Span) -> bool {
        const MAX_DEPTH: usize = 4000;
        if self.depth >= MAX_DEPTH {
            self.report(Diagnostic::error(
                Code::NestedTooDeep,
                span,
                format!("layers and expressions are nested more than {MAX_DEPTH} deep"),
            ));
            self.stopped = true;
            return false;
        }
        self.depth += 1;
        true
    }

    fn leave(&mut self) {
        self.depth -= 1;
    }

    /// Counts a layer call or loop turn; `false` (and said) where there are too many of them.
    fn step(&mut self, span: Span) -> bool {
        if self.stopped {
            return false;
        }
        self.steps += 1;
        if self.steps > MAX_STEPS {
            let message = format!("this model has more than {MAX_STEPS} layer calls and loop turns");
            self.stop(span, message);
        }
        !self.stopped
    }

    /// Ends elaboration with a message about its size.
    fn stop(&mut self, span: Span, message: String) {
        self.stopped = true;
        self.report(
            Diagnostic::error(Code::TooManySteps, span, message)
                .help("loops are unrolled: make the model smaller, or use fewer turns"),
        );
    }
}

/// Layer calls and loop turns of one model. By feel: ten times what the largest nets of today have.
const MAX_STEPS: usize = 100_000;

/// The items of all of the user's files, those of the root first.
fn items(loaded: &Loaded) -> impl Iterator<Item = (FileId, &Item)> {
    loaded.files.iter().flat_map(|file| file.items.iter().map(|item| (file.span.file, item)))
}

/// A definition's name, or nothing where its head is broken.
fn name_of(definition: &Definition) -> &str {
    definition.name.as_ref().map_or("", |name| name.text.as_str())
}
