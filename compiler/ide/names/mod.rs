//! Which word means what: every name in the texts, what it stands for, and where that was said.
//!
//! Read off the trees alone, in the order and with the scopes of the checker, so it also holds in a text whose shapes
//! do not fit, and around statements that could not be read. A name that is bound again in one body stays one symbol:
//! in a loop either binding may be meant.

mod blocks;
mod body;
mod links;
mod walk;

use std::collections::HashMap;

use strata_grammar::{FileId, Span};

use crate::load::Loaded;

/// One thing that has a name: an index into [`Names::symbols`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SymbolId(pub u32);

/// The body of a model or layer: an index into [`Names::scopes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ScopeId(pub u32);

/// What a word stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SymbolKind {
    /// A `model`.
    Model,
    /// A `layer`, or a name for one.
    Layer,
    /// A function of the checker; it has no text.
    Function,
    /// A parameter of a model, a layer or a function.
    Parameter,
    /// An `input` of a model.
    Input,
    /// A `param`, `const` or `state`.
    Variable,
    /// What a binding binds.
    Value,
    /// The index of a loop.
    Turn,
    /// A group, or what `as` names.
    Part,
    /// An axis.
    Axis,
    /// What `data` binds.
    Data,
    /// A field of examples.
    Field,
    /// A source or a stage of data.
    Stage,
    /// A device or a machine.
    Device,
    /// A cluster.
    Cluster,
    /// A dtype, or a kind of parameter.
    Type,
    /// A word that nothing above explains: `same`, or a name that is unknown.
    Word,
}

/// One thing that has a name.
#[derive(Clone, Debug)]
pub struct Symbol {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: SymbolKind,
    /// Where it is bound, in order of the walk; empty for what has no text.
    pub definitions: Vec<Span>,
    /// What a call of it takes, in order.
    pub params: Vec<SymbolId>,
    /// The layer or model that it is another name for.
    pub alias: Option<SymbolId>,
}

/// A word in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occurrence {
    /// Its place.
    pub span: Span,
    /// What it stands for; nothing where it is unknown.
    pub symbol: Option<SymbolId>,
    /// What it is, also where what it stands for is unknown.
    pub kind: SymbolKind,
    /// Whether it binds the name.
    pub defines: bool,
}

/// The body of a model or layer with its names.
#[derive(Clone, Debug)]
pub struct Scope {
    /// The whole definition.
    pub span: Span,
    /// The body it stands in.
    pub parent: Option<ScopeId>,
    /// Whether it is a model's.
    pub is_model: bool,
    /// Inputs, parameters, variables, bindings, layers.
    pub names: HashMap<String, SymbolId>,
    /// Axes.
    pub axes: HashMap<String, SymbolId>,
    /// Groups and `as` names.
    pub parts: HashMap<String, SymbolId>,
}

/// Every name of a spec and of the library.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// What has a name.
    pub symbols: Vec<Symbol>,
    /// All words with a meaning, by file and place.
    pub occurrences: Vec<Occurrence>,
    /// Bodies.
    pub scopes: Vec<Scope>,
    /// Layers and models by name as the user's files see them.
    pub callable: HashMap<String, SymbolId>,
    /// Models by name.
    pub models: HashMap<String, SymbolId>,
    /// Data by name.
    pub data: HashMap<String, SymbolId>,
    /// Devices and machines by name.
    pub devices: HashMap<String, SymbolId>,
    /// The body of each model and layer.
    pub bodies: HashMap<SymbolId, ScopeId>,
}

impl Names {
    /// The names of everything that was loaded.
    pub fn of(loaded: &Loaded) -> Names {
        walk::walk(loaded)
    }

    /// A symbol by its id.
    pub fn symbol(&self, id: SymbolId) -> &Symbol {
        &self.symbols[id.0 as usize]
    }

    /// A body by its id.
    pub fn scope(&self, id: ScopeId) -> &Scope {
        &self.scopes[id.0 as usize]
    }

    /// The words of one file, in order.
    pub fn in_file(&self, file: FileId) -> &[Occurrence] {
        let start = self.occurrences.partition_point(|word| word.span.file < file);
        let end = self.occurrences.partition_point(|word| word.span.file <= file);
        &self.occurrences[start..end]
    }

    /// The word at an offset; between two words the one that begins there.
    pub fn at(&self, file: FileId, offset: usize) -> Option<Occurrence> {
        let words = self.in_file(file);
        let next = words.partition_point(|word| word.span.start as usize <= offset);
        words[..next].iter().rev().take(2).find(|word| word.span.touches(offset)).copied()
    }

    /// Every place where a symbol stands, by file and place.
    pub fn places(&self, id: SymbolId) -> impl Iterator<Item = &Occurrence> {
        self.occurrences.iter().filter(move |word| word.symbol == Some(id))
    }

    /// Where the word's meaning was said: of several bindings the last one before it.
    pub fn definition(&self, word: &Occurrence) -> Option<Span> {
        let definitions = &self.symbol(word.symbol?).definitions;
        let before = definitions
            .iter()
            .filter(|at| at.file == word.span.file && at.start <= word.span.start)
            .max_by_key(|at| at.start);
        before.or(definitions.first()).copied()
    }

    /// The model or layer behind a name for it.
    pub fn resolved(&self, id: SymbolId) -> SymbolId {
        let mut at = id;
        // A chain of names is as long as the text at most; a circle of them ends here.
        for _ in 0..64 {
            match self.symbol(at).alias {
                Some(next) => at = next,
                None => break,
            }
        }
        at
    }

    /// The innermost body around an offset.
    pub fn scope_at(&self, file: FileId, offset: usize) -> Option<ScopeId> {
        let around = |scope: &Scope| scope.span.file == file && scope.span.touches(offset);
        let found = self.scopes.iter().enumerate().filter(|(_, scope)| around(scope));
        let innermost = found.min_by_key(|(_, scope)| scope.span.end - scope.span.start);
        innermost.map(|(at, _)| ScopeId(at as u32))
    }

    /// The names that a body sees and that are bound before an offset and outside of the statement that begins at
    /// `statement`, with those of the bodies around it.
    pub fn visible(&self, scope: ScopeId, file: FileId, statement: usize) -> Vec<SymbolId> {
        let mut found = Vec::new();
        let mut at = Some(scope);
        while let Some(id) = at {
            let scope = self.scope(id);
            let bound = |symbol: &SymbolId| {
                let definitions = &self.symbol(*symbol).definitions;
                definitions.iter().any(|span| span.file != file || (span.start as usize) < statement)
            };
            found.extend(scope.names.values().copied().filter(bound));
            at = scope.parent;
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}
