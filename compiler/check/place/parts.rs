//! Parts as lines of `place` name them: which sections of the model's text they are.

use std::collections::BTreeMap;

use strata_grammar::ast::{Expr, ExprKind, FamilyRef, IndexItem};
use strata_grammar::{Code, Diagnostic, Span, did_you_mean};

use super::Parts;
use super::index::{Pattern, Picked, Turn, takes};
use crate::check::Checker;
use crate::check::expr::{member_of, member_text};
use crate::check::scope::Index;
use crate::model::{Model, SectionId};

/// One part that a name in a line stands for.
#[derive(Debug)]
pub(super) struct Member {
    /// `encoder[2]`
    pub(super) name: String,
    pub(super) sections: Vec<SectionId>,
    /// What the line's index variables are for it.
    pub(super) turn: Turn,
}

/// The parts of a model by name, then by indices; what is no family has one member without indices.
#[derive(Debug)]
pub(super) struct Families<'m> {
    model: &'m Model,
    parts: &'m Parts,
    members: BTreeMap<String, BTreeMap<Vec<Index>, Vec<SectionId>>>,
}

impl<'m> Families<'m> {
    pub(super) fn of(model: &'m Model, parts: &'m Parts) -> Families<'m> {
        let mut members: BTreeMap<String, BTreeMap<Vec<Index>, Vec<SectionId>>> = BTreeMap::new();
        for (at, section) in model.sections.iter().enumerate() {
            for name in &section.names {
                let (name, index) = member_of(name);
                let family = members.entry(name.to_string()).or_default();
                family.entry(index).or_default().push(SectionId(at as u32));
            }
        }
        Families { model, parts, members }
    }

    /// Where the last member of a family is named.
    fn place_of(&self, family: &BTreeMap<Vec<Index>, Vec<SectionId>>) -> Option<Span> {
        let last = family.values().next_back()?.last()?;
        Some(self.model.sections[last.0 as usize].span)
    }
}

impl<'a> Checker<'a> {
    /// What a name in a line stands for; empty where that cannot be told, which was said.
    pub(super) fn members_of(&mut self, part: &'a FamilyRef, families: &Families<'_>) -> Vec<Member> {
        let name = &part.name.text;
        let Some(family) = families.members.get(name) else {
            self.unknown_part(part, families);
            return Vec::new();
        };
        let member = |(index, sections): (&Vec<Index>, &Vec<SectionId>), turn: Turn| Member {
            name: member_text(name, index),
            sections: sections.clone(),
            turn,
        };
        if part.indices.is_empty() {
            // A name alone is all of its family, unless something is called just so.
            let alone = family.get_key_value(&Vec::new());
            return match alone {
                Some(alone) => vec![member(alone, Turn::new())],
                None => family.iter().map(|each| member(each, Turn::new())).collect(),
            };
        }
        let Some(patterns) = self.patterns(&part.indices) else { return Vec::new() };
        let taken = |index: &Vec<Index>| {
            let mut turn = Turn::new();
            let fits = index.len() == patterns.len()
                && patterns.iter().zip(index).all(|(pattern, index)| takes(pattern, index, &mut turn));
            fits.then_some(turn)
        };
        let found: Vec<Member> =
            family.iter().filter_map(|each| Some(member(each, taken(each.0)?))).collect();
        if self.lacks_members(part, family, &patterns, found.is_empty(), families) {
            return Vec::new();
        }
        found
    }

    /// Whether the family has not all members that are asked for, which is said.
    fn lacks_members(
        &mut self,
        part: &'a FamilyRef,
        family: &BTreeMap<Vec<Index>, Vec<SectionId>>,
        patterns: &[Pattern],
        none: bool,
        families: &Families<'_>,
    ) -> bool {
        if !families.parts.sound {
            // The rest of them may stand in what could not be made sense of.
            return none;
        }
        let name = &part.name.text;
        let indices = family.keys().map(Vec::len).max().unwrap_or(0);
        if indices == 0 {
            let message = format!("`{name}` is no family, so it has no index");
            let beyond = Span { start: part.name.span.end, ..part.span };
            let found = Diagnostic::error(Code::UnknownName, part.span, message);
            self.report(found.help(format!("write `{name}`")).edit(beyond, ""));
            return true;
        }
        if family.keys().all(|index| index.len() != patterns.len()) {
            let count = |n: usize| if n == 1 { "one index".to_string() } else { format!("{n} indices") };
            let message = format!("`{name}` has {}, not {}", count(indices), patterns.len());
            let found = Diagnostic::error(Code::UnknownName, part.span, message);
            self.report(found.help(format!("there is {}", listed(name, family))));
            return true;
        }
        for (at, (pattern, item)) in patterns.iter().zip(&part.indices).enumerate() {
            let IndexItem::Expr(expr) = item else { continue };
            let has = |wanted: &Index| family.keys().any(|index| index.get(at) == Some(wanted));
            let lacking = match pattern {
                Pattern::Is(Picked::One(index)) => (!has(index)).then(|| index.clone()),
                Pattern::Is(Picked::Range(start, end)) if end <= start => {
                    let message = format!("`{}` is no member of `{name}`", self.written(part.span));
                    let found = Diagnostic::error(Code::UnknownName, expr.span, message);
                    self.report(found.help(format!("there is {}", listed(name, family))));
                    return true;
                }
                Pattern::Is(Picked::Range(start, end)) => {
                    // No family has more members than that.
                    let range = (*start..*end).take(1 + family.len()).map(Index::Number);
                    range.into_iter().find(|index| !has(index))
                }
                Pattern::Is(Picked::All) | Pattern::Turn(..) => None,
            };
            if let Some(index) = lacking {
                self.lacks_member(part, expr, &index, at, (family, families.place_of(family)));
                return true;
            }
        }
        if none {
            let message = format!("there is no `{}`", self.written(part.span));
            let found = Diagnostic::error(Code::UnknownName, part.span, message);
            self.report(found.help(format!("there is {}", listed(name, family))));
        }
        none
    }

    fn lacks_member(
        &mut self,
        part: &'a FamilyRef,
        expr: &'a Expr,
        index: &Index,
        at: usize,
        (family, bound): (&BTreeMap<Vec<Index>, Vec<SectionId>>, Option<Span>),
    ) {
        let name = &part.name.text;
        let shown = match part.indices.len() {
            1 => format!("`{}`", member_text(name, std::slice::from_ref(index))),
            _ => format!("`{}`", self.written(part.span)),
        };
        let message = format!("there is no {shown}");
        let mut found = Diagnostic::error(Code::UnknownName, expr.span, message)
            .help(format!("there is {}", listed(name, family)));
        if let Some(bound) = bound {
            found = found.label(bound, "the family");
        }
        let numbers = family.keys().filter_map(|index| match index.get(at) {
            Some(Index::Number(n)) => Some(*n),
            _ => None,
        });
        if let (ExprKind::Binary { right, .. }, Some(last)) = (&expr.kind, numbers.max()) {
            found = found.edit(right.span, (last + 1).to_string());
        }
        self.report(found);
    }

    fn unknown_part(&mut self, part: &'a FamilyRef, families: &Families<'_>) {
        let (name, own) = (&part.name.text, families.parts);
        if self.excused(name) || own.named.iter().any(|named| named == name) && !own.sound {
            return;
        }
        let message = format!("`{}` has no part called `{name}`", own.model);
        let found = Diagnostic::error(Code::UnknownName, part.name.span, message);
        let known = families.members.keys().map(String::as_str);
        let variable = families.model.variables.iter().find(|variable| variable.name == *name);
        // Layers in layers are named in regions alone.
        let inner = |region: &&crate::model::Region| {
            region.name.rsplit_once('/').is_some_and(|(_, last)| last.split('[').next() == Some(name))
        };
        let region = families.model.regions.iter().find(inner);
        self.report(if let Some(variable) = variable {
            found
                .label(variable.span, "a variable")
                .help("a variable is where the part is that reads it first: place that one")
        } else if let Some(near) = did_you_mean(name, known) {
            found.help(format!("did you mean `{near}`?")).edit(part.name.span, near)
        } else if let Some(region) = region {
            let outer = region.name.split('/').next().unwrap_or_default();
            found
                .label(region.span, "here")
                .help(format!("it is inside of `{outer}`, which can be placed as a whole"))
        } else {
            found.help("name a layer with `as NAME`, or put statements in a group `NAME { … }`")
        });
    }
}

/// `tower[0]`, `tower[0] and tower[1]`, `tower[0] to tower[7]`
fn listed(name: &str, family: &BTreeMap<Vec<Index>, Vec<SectionId>>) -> String {
    let members: Vec<String> = family.keys().map(|index| format!("`{}`", member_text(name, index))).collect();
    match members.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [one, two] => format!("{one} and {two}"),
        [first, .., last] => format!("{first} to {last}"),
    }
}
