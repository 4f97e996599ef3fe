//! What can be written at the cursor: names that are visible there, layers, arguments, axes, devices, columns, words.

pub mod context;
mod words;

use std::collections::BTreeSet;

use strata_grammar::{FileId, Span};

use super::names::{ScopeId, SymbolId, SymbolKind};
use super::{Study, docs, types_of_all};
use crate::check::{Content, SourceKey, catalog};
use crate::model::{Input, Model};
use crate::types::DType;
use context::{Call, Context, Spot, context};

/// What can be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// What is written.
    pub text: String,
    /// What it is; nothing for a word of the language.
    pub kind: Option<SymbolKind>,
    /// How it reads, or its type.
    pub detail: Option<String>,
    /// What is written about it.
    pub doc: Option<String>,
    /// What it replaces: the word before the cursor.
    pub replaces: Span,
    /// Smaller ones are more likely meant.
    pub rank: u8,
}

/// What can be written at an offset.
pub fn complete(study: &Study, file: FileId, offset: usize) -> Vec<Completion> {
    let Some(context) = context(&study.source(file).text, offset) else { return Vec::new() };
    let replaces = Span::new(file, context.start, offset);
    let scope = study.names.scope_at(file, offset);
    let mut writer =
        Writer { study, file, offset, statement: context.statement, scope, replaces, found: Vec::new() };
    writer.at(&context);
    let mut found = writer.found;
    found.sort_by(|a, b| (a.rank, &a.text).cmp(&(b.rank, &b.text)));
    let mut seen = BTreeSet::new();
    found.retain(|item| seen.insert(item.text.clone()));
    found
}

/// What was written of the path in quotes at an offset, and whether it is that of a `use`.
pub fn path_at(text: &str, offset: usize) -> Option<(String, bool)> {
    let Spot::Text { written, call, used } = context(text, offset)?.spot else { return None };
    let is_path = used || call.is_some_and(|call| call.callee != "column");
    is_path.then_some((written, used))
}

/// What a callee's name stands for at an offset.
pub(super) fn callee(study: &Study, file: FileId, offset: usize, name: &str) -> Option<SymbolId> {
    let mut scope = study.names.scope_at(file, offset);
    while let Some(id) = scope {
        let at = study.names.scope(id);
        if let Some(found) = at.names.get(name) {
            let found = study.names.resolved(*found);
            if !study.names.symbol(found).params.is_empty() {
                return Some(found);
            }
        }
        scope = at.parent;
    }
    study.names.callable.get(name).copied()
}

struct Writer<'s> {
    study: &'s Study,
    file: FileId,
    offset: usize,
    statement: usize,
    scope: Option<ScopeId>,
    replaces: Span,
    found: Vec<Completion>,
}

impl<'s> Writer<'s> {
    fn at(&mut self, context: &Context) {
        let block = context.blocks.last().map_or("", |head| head.word.as_str());
        match &context.spot {
            Spot::Head => {
                self.words(words::heads(&context.blocks), 1);
                match block {
                    "" | "devices" | "machine" | "cluster" | "train" | "replicas" | "names" | "generate" => {}
                    "place" => self.parts(context),
                    _ => self.values(2),
                }
            }
            Spot::Value if context.data_line => self.data(),
            Spot::Value => {
                self.values(1);
                self.callables(2);
                self.words(&["true", "false", "frozen", "not"], 4);
            }
            Spot::Turns => {
                self.values(1);
                self.callables(2);
            }
            Spot::Pipe if context.data_line => self.data_words(catalog::data_stages(), 1),
            Spot::Pipe => {
                self.layers_in_scope();
                self.callables(1);
            }
            Spot::Argument(call) => self.argument(call, context.data_line),
            Spot::Type => self.dtypes(block),
            Spot::Axes => {
                self.axes(0);
                self.values(2);
                self.words(&["ragged", ".."], 3);
            }
            Spot::Axis => self.axes(0),
            Spot::Input => {
                self.values(0);
                self.found.retain(|item| item.kind == Some(SymbolKind::Input));
            }
            Spot::Initial => {
                self.words(words::INITIALISERS, 0);
                self.values(1);
                self.callables(2);
            }
            Spot::Model => self.symbols(self.study.names.models.values().copied().collect(), 0),
            Spot::Words(words) => self.words(words, 1),
            Spot::Part => self.parts(context),
            Spot::Device => self.symbols(self.study.names.devices.values().copied().collect(), 0),
            Spot::SplitAxis => self.split_axes(context),
            Spot::Optimizer => self.layers_beginning_with(&["weight", "gradient"], 0),
            Spot::Schedule => self.layers_beginning_with(&["rate"], 0),
            Spot::Measured => self.measured(context),
            Spot::PartOf(model) => {
                let model = callee(self.study, self.file, self.offset, model);
                let body = model.and_then(|model| self.study.names.bodies.get(&model).copied());
                body.into_iter().for_each(|body| self.parts_of(body));
            }
            Spot::Unit => self.words(words::units(block), 0),
            Spot::Text { call, .. } => self.in_text(call.as_ref()),
        }
    }

    fn add(
        &mut self,
        text: &str,
        kind: Option<SymbolKind>,
        detail: Option<String>,
        doc: Option<String>,
        rank: u8,
    ) {
        let replaces = self.replaces;
        self.found.push(Completion { text: text.to_string(), kind, detail, doc, replaces, rank });
    }

    fn words(&mut self, words: &[&str], rank: u8) {
        words.iter().for_each(|word| self.add(word, None, None, None, rank));
    }

    fn symbols(&mut self, ids: Vec<SymbolId>, rank: u8) {
        for id in ids {
            let symbol = self.study.names.symbol(id);
            let signature = docs::signature(self.study, id);
            let detail = match &signature {
                Some(signature) => Some(signature.label.clone()),
                None => self.type_of(id),
            };
            let doc = signature.and_then(|signature| signature.doc);
            self.add(&symbol.name, Some(symbol.kind), detail, doc, rank);
        }
    }

    /// The type of the last binding of a name before the cursor.
    fn type_of(&self, id: SymbolId) -> Option<String> {
        let definitions = &self.study.names.symbol(id).definitions;
        let before = |at: &&Span| at.file == self.file && (at.end as usize) < self.offset;
        let at = definitions.iter().filter(before).max_by_key(|at| at.start)?;
        let hints = self.study.hints(*at);
        let (model, hint) = hints.into_iter().find(|(_, hint)| hint.span.start == at.start)?;
        Some(types_of_all(model, hint))
    }

    fn visible(&self) -> Vec<SymbolId> {
        let visible = |scope| self.study.names.visible(scope, self.file, self.statement);
        self.scope.map(visible).unwrap_or_default()
    }

    /// What the bodies around the cursor have bound.
    fn values(&mut self, rank: u8) {
        self.symbols(self.visible(), rank);
    }

    fn layers_in_scope(&mut self) {
        let mut visible = self.visible();
        visible.retain(|id| self.study.names.symbol(*id).kind == SymbolKind::Layer);
        self.symbols(visible, 0);
    }

    /// Layers, models and functions.
    fn callables(&mut self, rank: u8) {
        let all: Vec<SymbolId> = self.study.names.callable.values().copied().collect();
        let optimizer = |id: &SymbolId| {
            let params = &self.study.names.symbol(*id).params;
            params.first().is_some_and(|first| self.study.names.symbol(*first).name == "weight")
        };
        let (layers, others): (Vec<SymbolId>, Vec<SymbolId>) = all
            .into_iter()
            .filter(|id| !optimizer(id))
            .partition(|id| self.study.names.symbol(*id).kind != SymbolKind::Function);
        self.symbols(layers, rank);
        self.symbols(others, rank + 1);
    }

    /// Layers whose first parameters are called so: optimizers, schedules.
    fn layers_beginning_with(&mut self, first: &[&str], rank: u8) {
        let names = &self.study.names;
        let is_one = |id: &SymbolId| {
            let params = &names.symbol(*id).params;
            let called = |(at, name): (usize, &&str)| {
                params.get(at).is_some_and(|param| names.symbol(*param).name == **name)
            };
            first.iter().enumerate().all(called)
        };
        let all = names.callable.values().copied().filter(is_one).collect();
        self.symbols(all, rank);
    }

    fn argument(&mut self, call: &Call, data_line: bool) {
        let callee = callee(self.study, self.file, self.offset, &call.callee);
        if data_line {
            return self.data_argument(call);
        }
        let params = callee.map(|id| self.study.names.symbol(id).params.clone()).unwrap_or_default();
        let signature = callee.and_then(|id| match call.line {
            Some("train") => docs::trained(self.study, id),
            _ => docs::signature(self.study, id),
        });
        let at = signature.as_ref().and_then(|signature| match &call.named {
            Some(name) => signature.params.iter().position(|(param, _)| param == name),
            None => Some(call.position + usize::from(call.piped)),
        });
        let wants = signature.as_ref().and_then(|signature| signature.wants.get(at?)?.clone());
        match wants.as_deref() {
            Some(text) if text.contains("axis's name") => self.axes(0),
            Some(text) if text.contains("axis:") => self.axes(2),
            Some("true or false") => self.words(&["true", "false"], 0),
            Some(text) if text.contains("`same`") => self.words(&["same", "valid"], 0),
            Some(text) if text.starts_with("an initialiser") => self.words(words::INITIALISERS, 0),
            Some(text) if text.starts_with("a dtype") => self.dtypes(""),
            _ => {}
        }
        let is_model = callee.is_some_and(|id| self.study.names.symbol(id).kind == SymbolKind::Model);
        // The tensor comes by position, and what an optimizer is given too, so their names are not offered.
        let given = match call.line {
            _ if is_model => 0,
            Some("optimize") if self.is_called(&params, 0, "weight") => 2,
            _ => 1,
        };
        if call.fresh && call.named.is_none() {
            for (at, param) in params.iter().enumerate() {
                let symbol = self.study.names.symbol(*param);
                if at < given || call.given.contains(&symbol.name) {
                    continue;
                }
                let detail = signature.as_ref().and_then(|signature| {
                    let (_, range) = signature.params.iter().find(|(name, _)| *name == symbol.name)?;
                    Some(signature.label[range.clone()].to_string())
                });
                let text = format!("{}: ", symbol.name);
                self.add(&text, Some(SymbolKind::Parameter), detail, None, 1);
            }
        }
        match call.line {
            Some("optimize") => self.layers_beginning_with(&["rate"], 2),
            Some(_) => self.words(&["size"], 2),
            None => {
                self.values(2);
                self.callables(3);
            }
        }
    }

    fn is_called(&self, params: &[SymbolId], at: usize, name: &str) -> bool {
        params.get(at).is_some_and(|param| self.study.names.symbol(*param).name == name)
    }

    fn axes(&mut self, rank: u8) {
        let mut at = self.scope;
        while let Some(id) = at {
            let scope = self.study.names.scope(id);
            let axes: Vec<SymbolId> = scope.axes.values().copied().collect();
            at = scope.parent;
            self.symbols(axes, rank);
        }
    }

    /// The model that a `place` block is about.
    fn placed(&self, context: &Context) -> Option<ScopeId> {
        let head = context.blocks.last()?;
        let model = self.study.names.models.get(&head.name)?;
        self.study.names.bodies.get(model).copied()
    }

    fn parts(&mut self, context: &Context) {
        self.placed(context).into_iter().for_each(|body| self.parts_of(body));
    }

    /// What `stop when` can look at: the loss and the metrics of the model that is trained.
    fn measured(&mut self, context: &Context) {
        let name = context.blocks.last().map_or("", |head| head.name.as_str());
        let models = self.study.models().filter(|model| model.name == name);
        let metrics: BTreeSet<String> =
            models.flat_map(|model| model.metrics.iter().map(|metric| metric.name.clone())).collect();
        for metric in metrics {
            self.add(&metric, None, Some("metric".into()), None, 0);
        }
        self.add("loss", None, None, None, 1);
    }

    /// The groups, `as` names and bindings of a body.
    fn parts_of(&mut self, body: ScopeId) {
        let scope = self.study.names.scope(body);
        let parts: Vec<SymbolId> = scope.parts.values().copied().collect();
        let values: Vec<SymbolId> = scope
            .names
            .values()
            .copied()
            .filter(|id| matches!(self.study.names.symbol(*id).kind, SymbolKind::Value | SymbolKind::Layer))
            .collect();
        self.symbols(parts, 0);
        self.symbols(values, 1);
    }

    /// Every axis that a tensor of the placed model has.
    fn split_axes(&mut self, context: &Context) {
        let name = context.blocks.last().map_or("", |head| head.name.as_str()).to_string();
        let mut axes = BTreeSet::new();
        for model in self.study.models().filter(|model| model.name == name) {
            let all = model.values.iter().flat_map(|value| &value.ty.axes);
            axes.extend(all.filter_map(|axis| axis.name.as_deref().map(str::to_string)));
        }
        for axis in axes {
            self.add(&axis, Some(SymbolKind::Axis), None, None, 0);
        }
    }

    fn dtypes(&mut self, block: &str) {
        for name in DType::ALL.map(DType::name) {
            self.add(name, Some(SymbolKind::Type), None, None, 0);
        }
        if !matches!(block, "model" | "train" | "place" | "replicas" | "names") {
            for kind in words::KINDS {
                self.add(kind, Some(SymbolKind::Type), None, None, 1);
            }
        }
    }

    fn data(&mut self) {
        self.symbols(self.study.names.data.values().copied().collect(), 0);
        self.data_words(catalog::data_sources(), 1);
    }

    fn data_words(&mut self, words: &[&str], rank: u8) {
        for word in words {
            let (detail, doc) = docs::of_data_word(word).unzip();
            self.add(word, Some(SymbolKind::Stage), detail, doc, rank);
        }
    }

    /// In a source: the fields that the models ask for, and how fields are made.
    fn data_argument(&mut self, call: &Call) {
        match call.callee.as_str() {
            "column" | "numbers" => self.columns(call, true),
            "columns" => {
                self.columns(call, false);
                self.words(&["as: "], 1);
            }
            "array" => {
                self.arrays(call);
                self.words(&["as: "], 1);
            }
            "shuffle" | "random_crop" | "flip" => self.words(&["seed: "], 0),
            "skip" => self.words(&["bad"], 0),
            "split" => self.words(&["at: "], 0),
            "batch" => self.words(&["total: "], 1),
            "windows" => self.words(&["stride: "], 0),
            "prefetch" => {}
            "tokens" if call.named.as_deref() == Some("as") => {
                self.symbols(self.study.names.data.values().copied().collect(), 0);
            }
            "tokens" if matches!(call.named.as_deref(), Some("size" | "least")) => {}
            "tokens" if call.named.as_deref() == Some("end") => self.words(&["true", "false"], 0),
            "tokens" => {
                self.words(&["words", "characters"], 0);
                if call.named.is_none() {
                    self.words(&["as: ", "size: ", "least: ", "end: "], 1);
                    self.fields(call);
                }
            }
            "pad" | "bucket" if call.named.as_deref() == Some("longer") => self.words(&["skip", "cut"], 0),
            "pad" | "bucket" if call.named.is_some() => {}
            "pad" | "bucket" => {
                self.fields(call);
                self.words(&["longer: "], 1);
            }
            _ if call.named.is_some() => {
                let words: &[&str] = match call.source.as_deref() {
                    Some("csv" | "parquet") => &["columns", "column"],
                    Some("idx" | "npy" | "npz") => &["array"],
                    Some("images") => &["picture", "folder"],
                    Some("text") => &["column", "numbers", "line", "whole"],
                    _ => &["columns", "column", "array", "numbers"],
                };
                self.data_words(words, 0);
            }
            _ => self.fields(call),
        }
    }

    /// The inputs of the models, which fields are called after.
    fn fields(&mut self, call: &Call) {
        let inputs = |model: &Model| {
            let input = |i: &Input| (i.name.clone(), model.type_text(&i.ty));
            model.inputs.iter().filter(|input| !input.is_length()).map(input).collect::<Vec<_>>()
        };
        let models: Vec<(String, String)> = self.study.models().flat_map(inputs).collect();
        for (name, ty) in models {
            if !call.given.contains(&name) {
                self.add(&format!("{name}: "), Some(SymbolKind::Field), Some(ty), None, 0);
            }
        }
    }

    /// What is known of the file that the call around is about, read in this way and that.
    fn contents(&self, call: &Call) -> Vec<&'s Content> {
        let Some(path) = &call.path else { return Vec::new() };
        let this = |key: &SourceKey| key.file == self.file && key.path == *path;
        let sources = self.study.analysis.facts.sources.iter().filter(|(key, _)| this(key));
        sources.filter_map(|(_, facts)| Some(&facts.as_ref().ok()?.content)).collect()
    }

    /// What is known of the columns of the file that the call around is about.
    fn columns(&mut self, call: &Call, quoted: bool) {
        let mut contents = self.contents(call).into_iter();
        let csv = contents.find_map(|found| if let Content::Csv(csv) = found { Some(csv) } else { None });
        let Some(csv) = csv else { return };
        if !quoted {
            let text = format!("0..{}", csv.columns.len());
            return self.add(&text, Some(SymbolKind::Field), Some("all columns".into()), None, 0);
        }
        for (at, column) in csv.columns.iter().enumerate() {
            let range =
                column.range.map(|range| format!(", {} to {}", range.min, range.max)).unwrap_or_default();
            let (columns, rows) = (csv.columns.len(), csv.rows);
            let detail = Some(format!("column {at} of {columns}: {rows} rows{range}"));
            match &column.name {
                Some(name) => self.add(&format!("\"{name}\""), Some(SymbolKind::Field), detail, None, 0),
                None => self.add(&at.to_string(), Some(SymbolKind::Field), detail, None, 1),
            }
        }
    }

    /// The arrays of the npz file that the call around is about.
    fn arrays(&mut self, call: &Call) {
        let mut contents = self.contents(call).into_iter();
        let npz = contents.find_map(|found| if let Content::Npz(npz) = found { Some(npz) } else { None });
        let Some(npz) = npz else { return };
        for (name, facts) in &npz.arrays {
            let detail = match facts {
                Ok(facts) => format!("{:?} of {:?}", facts.sizes, facts.element),
                Err(fault) => fault.to_string(),
            };
            self.add(&format!("\"{name}\""), Some(SymbolKind::Field), Some(detail), None, 0);
        }
    }

    /// Inside quotes: the name of a column or an array. Paths of files are the caller's business.
    fn in_text(&mut self, call: Option<&Call>) {
        let Some(call) = call.filter(|call| matches!(call.callee.as_str(), "column" | "array")) else {
            return;
        };
        let before = self.found.len();
        if call.callee == "array" {
            self.arrays(call)
        } else {
            self.columns(call, true)
        }
        self.found.retain(|item| item.text.starts_with('"'));
        for item in &mut self.found[before..] {
            item.text = item.text.trim_matches('"').to_string();
        }
    }
}
