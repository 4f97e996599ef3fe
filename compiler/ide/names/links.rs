//! What is connected by name across blocks: the fields of data with the inputs of the models they feed, and parts of
//! models that are named in quotes.

use std::collections::{HashMap, HashSet};

use strata_grammar::Span;

use super::walk::Walker;
use super::{Occurrence, ScopeId, SymbolId, SymbolKind};

/// What is to be connected once everything was walked.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// Every `data` item.
    pub(super) recipes: Vec<Recipe>,
    /// For each `train`, the model's body and what is fed to it.
    pub(super) trained: Vec<(ScopeId, Recipe)>,
    /// A model, a part of it in quotes, and where.
    pub(super) members: Vec<(SymbolId, String, Span)>,
}

/// What a data expression speaks of.
#[derive(Debug, Default)]
pub(super) struct Recipe {
    /// What it binds.
    pub(super) names: Vec<SymbolId>,
    /// Fields, and arguments that may be fields.
    pub(super) fields: Vec<(String, Span)>,
    /// Data it is made of.
    pub(super) uses: Vec<SymbolId>,
}

impl Walker<'_> {
    pub(super) fn link(&mut self) {
        let links = std::mem::take(&mut self.links);
        for (model, part, span) in &links.members {
            let body = self.names.bodies.get(model).copied();
            let found = self.part_of(body, part);
            if found.is_some() {
                self.mention(*span, found, SymbolKind::Part);
            }
        }
        // Every field is a symbol of its own, until a `train` says which input it is.
        let mut fields: HashMap<Span, SymbolId> = HashMap::new();
        let all = links.recipes.iter().chain(links.trained.iter().map(|(_, recipe)| recipe));
        for recipe in all {
            let mut own: HashMap<&str, SymbolId> = HashMap::new();
            for (name, span) in &recipe.fields {
                let id = *own.entry(name).or_insert_with(|| self.symbol(name, SymbolKind::Field));
                fields.insert(*span, id);
            }
        }
        let mut same: HashMap<SymbolId, SymbolId> = HashMap::new();
        for (body, recipe) in &links.trained {
            for (name, span) in reachable(&links.recipes, recipe) {
                let input = self.names.scope(*body).names.get(name).copied();
                if let (Some(input), Some(field)) = (input, fields.get(&span).copied()) {
                    let (a, b) = (root(&same, input), root(&same, field));
                    if a != b {
                        // The input stays, so that a field leads to it.
                        let a_is_input = self.names.symbol(a).kind != SymbolKind::Field;
                        let (keep, gone) = if a_is_input { (a, b) } else { (b, a) };
                        same.insert(gone, keep);
                    }
                }
            }
        }
        let mut places: Vec<(Span, SymbolId)> = fields.into_iter().collect();
        places.sort_unstable_by_key(|(span, _)| (span.file, span.start));
        for (span, field) in places {
            let id = root(&same, field);
            let symbol = &mut self.names.symbols[id.0 as usize];
            let (kind, defines) = (symbol.kind, symbol.kind == SymbolKind::Field);
            if defines {
                symbol.definitions.push(span);
            }
            self.names.occurrences.push(Occurrence { span, symbol: Some(id), kind, defines });
        }
        let gone: Vec<SymbolId> = same.keys().copied().collect();
        for id in gone {
            let keep = root(&same, id);
            let moved = std::mem::take(&mut self.names.symbols[id.0 as usize].definitions);
            self.names.symbols[keep.0 as usize].definitions.extend(moved);
            for word in &mut self.names.occurrences {
                if word.symbol == Some(id) {
                    word.symbol = Some(keep);
                }
            }
        }
    }
}

fn root(same: &HashMap<SymbolId, SymbolId>, id: SymbolId) -> SymbolId {
    let mut at = id;
    while let Some(next) = same.get(&at) {
        at = *next;
    }
    at
}

/// The fields of a recipe and of all data it is made of.
fn reachable<'r>(recipes: &'r [Recipe], from: &'r Recipe) -> Vec<(&'r str, Span)> {
    let mut found = Vec::new();
    let mut seen: HashSet<usize> = HashSet::new();
    let mut open = vec![from];
    while let Some(recipe) = open.pop() {
        found.extend(recipe.fields.iter().map(|(name, span)| (name.as_str(), *span)));
        for (at, other) in recipes.iter().enumerate() {
            if recipe.uses.iter().any(|id| other.names.contains(id)) && seen.insert(at) {
                open.push(other);
            }
        }
    }
    found
}
