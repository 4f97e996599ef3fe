//! Models that were checked before: what came of one that has the same text, and calls layers that have the same
//! texts, is taken over, moved to where the text lies now.
//!
//! Only what nothing was said of is remembered, not even quietly: then all that its elaboration looked at are its own
//! text and the user's layers and models that it names. What `train` binds parameters of is always checked anew.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use strata_grammar::Span;
use strata_grammar::ast::Definition;

use super::layer::Elaborated;
use super::place::Parts;
use super::{Checker, intrinsics, name_of};
use crate::model::{Model, Origin};

/// What came of models without a `train` block, by their names.
#[derive(Debug, Default)]
pub struct Memory {
    now: HashMap<String, Known>,
    before: HashMap<String, Known>,
    taken: usize,
}

impl Memory {
    /// How many models were taken over the last time.
    pub fn taken(&self) -> usize {
        self.taken
    }

    /// Forgets what was not met since the last time.
    pub(super) fn turn(&mut self) {
        self.before = std::mem::take(&mut self.now);
        self.taken = 0;
    }
}

#[derive(Debug)]
struct Known {
    model: Model,
    sound: bool,
    parts: Arc<Parts>,
    own: Passage,
    /// What its text and the layers it calls name outside of their bodies, and what of the user's that was.
    named: Vec<(String, Option<Passage>)>,
}

/// The definition of a model or layer as it was read.
#[derive(Debug)]
struct Passage {
    text: String,
    span: Span,
    /// Whether it was elaborated as a layer.
    elaborated: bool,
}

/// What is noted while a model is elaborated.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Names that were looked for outside of bodies.
    pub(super) named: BTreeSet<String>,
    /// How often something was wrong, or would have been said but for other mistakes.
    pub(super) doubts: usize,
}

/// What a model came to.
pub(super) struct Outcome {
    pub(super) model: Model,
    pub(super) sound: bool,
    pub(super) parts: Arc<Parts>,
}

impl Outcome {
    pub(super) fn of(elaborated: Elaborated) -> Outcome {
        let parts = Arc::new(Parts::of(&elaborated));
        Outcome { model: elaborated.model, sound: elaborated.sound, parts }
    }
}

impl<'a> Checker<'a> {
    /// A model without a `train` block, elaborated or remembered.
    pub(super) fn outcome(&mut self, definition: &'a Definition, mut memory: Option<&mut Memory>) -> Outcome {
        if let Some(memory) = &mut memory
            && let Some(known) = self.recall(definition, memory)
        {
            return known;
        }
        let before = std::mem::take(&mut self.elaborated);
        self.notes = Notes::default();
        let outcome = Outcome::of(self.elaborate_model(definition, None));
        // Files, and what they call parameters, are no part of a model's text.
        let alone = outcome.model.loads.is_empty() && !self.has_names(name_of(definition));
        if let Some(memory) = memory
            && alone
            && self.notes.doubts == 0
            && self.is_sound_text(definition)
        {
            self.keep(definition, &outcome, memory);
        }
        self.elaborated.extend(before);
        outcome
    }

    fn recall(&mut self, definition: &'a Definition, memory: &mut Memory) -> Option<Outcome> {
        let name = name_of(definition);
        let known = memory.before.remove(name)?;
        let mut moves = vec![(known.own.span, definition.span)];
        if self.has_names(name) || !self.is_still(&known.own, definition) {
            return None;
        }
        let mut elaborated = Vec::new();
        for (name, was) in &known.named {
            match (was, self.users(name)) {
                (None, None) => {}
                (Some(passage), Some(now)) if self.is_still(passage, now) => {
                    moves.push((passage.span, now.span));
                    elaborated.extend(passage.elaborated.then_some(now.span));
                }
                (None, Some(_)) | (Some(_), _) => return None,
            }
        }
        moves.retain(|(from, to)| from != to);
        let mut model = known.model.clone();
        if !moves.is_empty() {
            move_model(&mut model, &moves);
        }
        self.elaborated.extend(elaborated);
        let outcome = Outcome { model, sound: known.sound, parts: known.parts.clone() };
        memory.now.insert(name.to_string(), known);
        memory.taken += 1;
        Some(outcome)
    }

    fn keep(&self, definition: &'a Definition, outcome: &Outcome, memory: &mut Memory) {
        let passage = |definition: &Definition| Passage {
            text: self.loaded.sources.text(definition.span).to_string(),
            span: definition.span,
            elaborated: self.elaborated.contains(&definition.span),
        };
        let named = self.notes.named.iter().map(|name| (name.clone(), self.users(name)));
        let named: Vec<(String, Option<&Definition>)> = named.collect();
        if named.iter().any(|(_, user)| user.is_some_and(|user| !self.is_sound_text(user))) {
            return;
        }
        let known = Known {
            model: outcome.model.clone(),
            sound: outcome.sound,
            parts: outcome.parts.clone(),
            own: passage(definition),
            named: named.into_iter().map(|(name, user)| (name, user.map(passage))).collect(),
        };
        memory.now.insert(name_of(definition).to_string(), known);
    }

    /// The user's layer or model that a name stands for outside of bodies; see `global_layer`.
    fn users(&self, name: &str) -> Option<&'a Definition> {
        match self.globals.layer(name, false) {
            Some(layer) => (!self.loaded.in_library(layer.span)).then_some(layer),
            None if intrinsics::find(name).is_some() => None,
            None => self.globals.models.get(name).copied(),
        }
    }

    fn is_still(&self, passage: &Passage, definition: &Definition) -> bool {
        self.loaded.sources.text(definition.span) == passage.text && self.is_sound_text(definition)
    }

    fn is_sound_text(&self, definition: &Definition) -> bool {
        !self.is_broken(definition)
    }
}

/// Moves every place in a model that lies in one of the passages, each told by where it was and where it is.
fn move_model(model: &mut Model, moves: &[(Span, Span)]) {
    let to = |span: &mut Span| {
        let holds = |from: &Span| from.file == span.file && from.start <= span.start && span.end <= from.end;
        if let Some((from, to)) = moves.iter().find(|(from, _)| holds(from)) {
            let moved = |offset: u32| offset - from.start + to.start;
            *span = Span { file: to.file, start: moved(span.start), end: moved(span.end) };
        }
    };
    // Taken apart to the last field, so that whoever adds a place is told of it here.
    let Model {
        name: _,
        free,
        inputs,
        variables,
        values: _,
        origins,
        regions,
        sections,
        loss: _,
        weight: _,
        metrics,
        watched: _,
        averages: _,
        updates,
        bindings: _,
        hints,
        shifts: _,
        decoders,
        loads,
        starts: _,
    } = model;
    loads.iter_mut().for_each(|load| to(&mut load.span));
    free.iter_mut().for_each(|axis| to(&mut axis.span));
    inputs.iter_mut().for_each(|input| to(&mut input.span));
    for variable in variables {
        to(&mut variable.span);
        to(&mut variable.call);
    }
    for Origin { span, call, region: _, section: _ } in origins {
        to(span);
        to(call);
    }
    regions.iter_mut().for_each(|region| to(&mut region.span));
    sections.iter_mut().for_each(|section| to(&mut section.span));
    metrics.iter_mut().for_each(|metric| to(&mut metric.span));
    updates.iter_mut().for_each(|update| to(&mut update.span));
    hints.iter_mut().for_each(|hint| to(&mut hint.span));
    decoders.iter_mut().for_each(|decoder| to(&mut decoder.span));
}
