//! Names and what they stand for. Groups and loops do not scope: a scope is the body of a model or layer.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use strata_grammar::Span;

use super::value::Value;

/// What a name stands for, and where it was bound.
#[derive(Clone, Debug)]
pub(super) struct Binding<'a> {
    pub(super) value: Value<'a>,
    pub(super) span: Span,
    /// Whether it was read since that was last asked; shared by copies of the scope.
    pub(super) used: Rc<Cell<bool>>,
}

/// An index of a family: `a[2]`, `a["x"]`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Index {
    Number(i64),
    Text(String),
}

/// The names of one body.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope<'a> {
    pub(super) names: HashMap<String, Binding<'a>>,
    pub(super) families: HashMap<String, BTreeMap<Vec<Index>, Binding<'a>>>,
    /// Names of axes, from inputs or a signature; what a value is called comes first.
    pub(super) axes: HashMap<String, Binding<'a>>,
    /// What a layer sees of the body it was defined in.
    pub(super) parent: Option<Rc<Scope<'a>>>,
}

impl<'a> Scope<'a> {
    /// What `name` stands for here, marked as used.
    pub(super) fn get(&self, name: &str) -> Option<&Binding<'a>> {
        let found = self.names.get(name).or_else(|| self.axes.get(name));
        match found {
            Some(binding) => {
                binding.used.set(true);
                Some(binding)
            }
            None => self.parent.as_ref().and_then(|parent| parent.get(name)),
        }
    }

    /// The family called `name`.
    pub(super) fn family(&self, name: &str) -> Option<&BTreeMap<Vec<Index>, Binding<'a>>> {
        self.families.get(name).or_else(|| self.parent.as_ref().and_then(|parent| parent.family(name)))
    }

    /// Binds `name` from here on; what it stood for is shadowed.
    pub(super) fn set(&mut self, name: &str, value: Value<'a>, span: Span) {
        self.names.insert(name.to_string(), Binding { value, span, used: Rc::default() });
    }

    /// Lets `name` be an axis.
    pub(super) fn set_axis(&mut self, name: &str, value: Value<'a>, span: Span) {
        self.axes.insert(name.to_string(), Binding { value, span, used: Rc::default() });
    }

    /// Binds a member of a family.
    pub(super) fn set_member(&mut self, name: &str, index: Vec<Index>, value: Value<'a>, span: Span) {
        let binding = Binding { value, span, used: Rc::default() };
        self.families.entry(name.to_string()).or_default().insert(index, binding);
    }

    /// Every name that could be meant here, for near misses.
    pub(super) fn all(&self) -> Vec<&str> {
        let own = self.names.keys().chain(self.families.keys()).chain(self.axes.keys());
        let mut all: Vec<&str> = own.map(String::as_str).collect();
        if let Some(parent) = &self.parent {
            all.extend(parent.all());
        }
        all.sort_unstable();
        all
    }
}
