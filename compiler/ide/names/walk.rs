//! The walk over all trees: first what files define, then what stands in it.

use std::collections::HashMap;

use strata_grammar::Span;
use strata_grammar::ast::{Definition, DeviceKind, DeviceStatement, Ident, Item, Parameter};

use super::links::Links;
use super::{Names, Occurrence, Scope, ScopeId, Symbol, SymbolId, SymbolKind};
use crate::check::catalog;
use crate::load::Loaded;

/// What is known on the way.
pub(super) struct Walker<'a> {
    pub(super) loaded: &'a Loaded,
    pub(super) names: Names,
    /// The library's layers by name.
    library: HashMap<&'a str, SymbolId>,
    /// Functions of the checker by name.
    functions: HashMap<&'static str, SymbolId>,
    /// Models and layers by the place of their definition.
    defined: HashMap<Span, SymbolId>,
    /// Parameters that name axes.
    pub(super) axes_params: Vec<SymbolId>,
    /// The body that is walked.
    pub(super) scope: Option<ScopeId>,
    /// Whether it is the library's text.
    in_library: bool,
    /// What `train` and `data` connect.
    pub(super) links: Links,
}

pub(super) fn walk(loaded: &Loaded) -> Names {
    let mut walker = Walker {
        loaded,
        names: Names::default(),
        library: HashMap::new(),
        functions: HashMap::new(),
        defined: HashMap::new(),
        axes_params: Vec::new(),
        scope: None,
        in_library: false,
        links: Links::default(),
    };
    walker.functions();
    walker.define_library();
    walker.define_files();
    walker.library_bodies();
    walker.bodies();
    walker.blocks();
    walker.link();
    let mut names = walker.names;
    names.occurrences.sort_by_key(|word| (word.span.file, word.span.start, word.span.end));
    names.occurrences.dedup_by_key(|word| word.span);
    names
}

impl<'a> Walker<'a> {
    fn functions(&mut self) {
        for function in catalog::functions() {
            let id = self.symbol(function.name, SymbolKind::Function);
            for parameter in &function.params {
                let param = self.symbol(parameter.name, SymbolKind::Parameter);
                if parameter.is_axes {
                    self.axes_params.push(param);
                }
                self.names.symbols[id.0 as usize].params.push(param);
            }
            self.functions.insert(function.name, id);
            self.names.callable.insert(function.name.to_string(), id);
        }
    }

    fn define_library(&mut self) {
        let loaded = self.loaded;
        for item in loaded.library.iter().flat_map(|file| &file.items) {
            if let Item::Layer(definition) = item
                && let Some(name) = &definition.name
            {
                let id = self.symbol(&name.text, SymbolKind::Layer);
                self.definition_symbol(id, definition);
                self.define(name, id);
                self.library.insert(&name.text, id);
                self.names.callable.insert(name.text.clone(), id);
            }
        }
    }

    fn define_files(&mut self) {
        let loaded = self.loaded;
        let mut own: HashMap<&'a str, SymbolId> = HashMap::new();
        for item in loaded.files.iter().flat_map(|file| &file.items) {
            match item {
                Item::Model(definition) => {
                    let Some(name) = &definition.name else { continue };
                    let known = self.names.models.get(&name.text).copied();
                    let id = known.unwrap_or_else(|| self.symbol(&name.text, SymbolKind::Model));
                    if known.is_none() {
                        self.names.models.insert(name.text.clone(), id);
                        self.definition_symbol(id, definition);
                    }
                    self.defined.insert(definition.span, id);
                    self.define(name, id);
                }
                Item::Layer(definition) => {
                    let Some(name) = &definition.name else { continue };
                    let known = own.get(name.text.as_str()).copied();
                    let id = known.unwrap_or_else(|| self.symbol(&name.text, SymbolKind::Layer));
                    if known.is_none() {
                        own.insert(&name.text, id);
                        self.definition_symbol(id, definition);
                    }
                    self.defined.insert(definition.span, id);
                    self.define(name, id);
                }
                Item::Data(data) => {
                    for name in data.names.iter().filter(|name| name.text != "_") {
                        let known = self.names.data.get(&name.text).copied();
                        let id = known.unwrap_or_else(|| self.symbol(&name.text, SymbolKind::Data));
                        self.names.data.insert(name.text.clone(), id);
                        self.define(name, id);
                    }
                }
                Item::Devices(devices) => {
                    if let Some(name) = &devices.cluster {
                        let id = self.symbol(&name.text, SymbolKind::Cluster);
                        self.define(name, id);
                    }
                    self.define_devices(&devices.body);
                }
                Item::Use(_)
                | Item::Place(_)
                | Item::Replicas(_)
                | Item::Names(_)
                | Item::Train(_)
                | Item::Bad(_) => {}
            }
        }
        // A layer goes before a function, and a model after both, as the checker looks them up.
        for (name, id) in own {
            self.names.callable.insert(name.to_string(), id);
        }
        for (name, id) in &self.names.models {
            self.names.callable.entry(name.clone()).or_insert(*id);
        }
    }

    fn define_devices(&mut self, body: &[DeviceStatement]) {
        for statement in body {
            let (name, inner) = match &statement.kind {
                DeviceKind::Machine { name, body, .. } => (&name.name, body.as_slice()),
                DeviceKind::Device { name, .. } => (&name.name, &[][..]),
                DeviceKind::Link { .. } | DeviceKind::Bad => continue,
            };
            let known = self.names.devices.get(&name.text).copied();
            let id = known.unwrap_or_else(|| self.symbol(&name.text, SymbolKind::Device));
            self.names.devices.insert(name.text.clone(), id);
            self.define(name, id);
            self.define_devices(inner);
        }
    }

    fn library_bodies(&mut self) {
        self.in_library = true;
        let loaded = self.loaded;
        for item in loaded.library.iter().flat_map(|file| &file.items) {
            if let Item::Layer(definition) = item {
                self.body(definition, false, None);
            }
        }
        self.in_library = false;
    }

    fn bodies(&mut self) {
        let loaded = self.loaded;
        for item in loaded.files.iter().flat_map(|file| &file.items) {
            match item {
                Item::Model(definition) => self.body(definition, true, None),
                Item::Layer(definition) => self.body(definition, false, None),
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
    }

    /// Makes the symbols of a definition's parameters.
    pub(super) fn definition_symbol(&mut self, id: SymbolId, definition: &Definition) {
        self.defined.insert(definition.span, id);
        for parameter in &definition.params {
            let param = self.symbol(&parameter.name.text, SymbolKind::Parameter);
            if catalog::is_axes(parameter.ty.as_ref()) {
                self.axes_params.push(param);
            }
            self.names.symbols[id.0 as usize].params.push(param);
        }
    }

    /// Walks the body of a model or layer.
    pub(super) fn body(&mut self, definition: &'a Definition, is_model: bool, parent: Option<ScopeId>) {
        let scope = ScopeId(self.names.scopes.len() as u32);
        self.names.scopes.push(Scope {
            span: definition.span,
            parent,
            is_model,
            names: HashMap::new(),
            axes: HashMap::new(),
            parts: HashMap::new(),
        });
        let id = self.defined.get(&definition.span).copied();
        if let Some(id) = id {
            self.names.bodies.entry(id).or_insert(scope);
        }
        let before = self.scope.replace(scope);
        for parameter in &definition.params {
            self.parameter(id, parameter);
        }
        self.block(&definition.body);
        self.scope = before;
    }

    fn parameter(&mut self, owner: Option<SymbolId>, parameter: &'a Parameter) {
        if let Some(ty) = &parameter.ty {
            self.type_expr(ty, true);
        }
        if let Some(default) = &parameter.default {
            self.expr(default);
        }
        let params = owner.map(|owner| self.names.symbol(owner).params.clone()).unwrap_or_default();
        let named = |id: &SymbolId| self.names.symbol(*id).name == parameter.name.text;
        let found = params.into_iter().find(named);
        let id = found.unwrap_or_else(|| self.symbol(&parameter.name.text, SymbolKind::Parameter));
        self.define(&parameter.name, id);
        if let Some(scope) = self.scope() {
            scope.names.insert(parameter.name.text.clone(), id);
        }
    }

    // ---- symbols and words ----

    pub(super) fn symbol(&mut self, name: &str, kind: SymbolKind) -> SymbolId {
        let symbol =
            Symbol { name: name.to_string(), kind, definitions: Vec::new(), params: Vec::new(), alias: None };
        self.names.symbols.push(symbol);
        SymbolId(self.names.symbols.len() as u32 - 1)
    }

    pub(super) fn scope(&mut self) -> Option<&mut Scope> {
        self.scope.map(|at| &mut self.names.scopes[at.0 as usize])
    }

    /// The word binds a symbol.
    pub(super) fn define(&mut self, name: &Ident, id: SymbolId) {
        let kind = self.names.symbol(id).kind;
        self.names.symbols[id.0 as usize].definitions.push(name.span);
        self.names.occurrences.push(Occurrence { span: name.span, symbol: Some(id), kind, defines: true });
    }

    /// The word stands for a symbol, or for nothing known.
    pub(super) fn mention(&mut self, span: Span, symbol: Option<SymbolId>, otherwise: SymbolKind) {
        let kind = symbol.map_or(otherwise, |id| self.names.symbol(id).kind);
        self.names.occurrences.push(Occurrence { span, symbol, kind, defines: false });
    }

    /// Binds a name of the body; one that is bound already stays the same symbol.
    pub(super) fn bind(&mut self, name: &Ident, kind: SymbolKind) -> Option<SymbolId> {
        if name.text == "_" {
            return None;
        }
        let known = self.scope().and_then(|scope| scope.names.get(&name.text).copied());
        let id = known.unwrap_or_else(|| self.symbol(&name.text, kind));
        self.define(name, id);
        if let Some(scope) = self.scope() {
            scope.names.insert(name.text.clone(), id);
        }
        Some(id)
    }

    /// Binds an axis of the body, or mentions the one that is there.
    pub(super) fn axis(&mut self, name: &Ident) {
        let known = self.scope().and_then(|scope| scope.axes.get(&name.text).copied());
        match known {
            Some(id) => self.mention(name.span, Some(id), SymbolKind::Axis),
            None => {
                let id = self.symbol(&name.text, SymbolKind::Axis);
                self.define(name, id);
                if let Some(scope) = self.scope() {
                    scope.axes.insert(name.text.clone(), id);
                }
            }
        }
    }

    /// What `pick` finds in the innermost body that has it.
    fn in_scopes(&self, pick: impl Fn(&Scope) -> Option<SymbolId>) -> Option<SymbolId> {
        let mut at = self.scope;
        while let Some(id) = at {
            let scope = self.names.scope(id);
            if let Some(found) = pick(scope) {
                return Some(found);
            }
            at = scope.parent;
        }
        None
    }

    /// What a name in an expression stands for.
    pub(super) fn find(&self, name: &str) -> Option<SymbolId> {
        let own = |scope: &Scope| scope.names.get(name).or_else(|| scope.axes.get(name)).copied();
        self.in_scopes(own).or_else(|| self.global(name))
    }

    /// What a name of an axis stands for.
    pub(super) fn find_axis(&self, name: &str) -> Option<SymbolId> {
        let own = |scope: &Scope| scope.axes.get(name).or_else(|| scope.names.get(name)).copied();
        self.in_scopes(own)
    }

    /// The layer, function or model of this name outside all bodies.
    pub(super) fn global(&self, name: &str) -> Option<SymbolId> {
        if self.in_library {
            return self.library.get(name).or_else(|| self.functions.get(name)).copied();
        }
        self.names.callable.get(name).copied()
    }
}
