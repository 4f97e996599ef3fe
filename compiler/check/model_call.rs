//! A model called as a layer: its inputs are given, its loss and metrics are left out, and what comes back are all its
//! groups and bindings by name.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use strata_grammar::ast::{Definition, Ident, IndexItem, StatementKind, TypeExpr};
use strata_grammar::{Code, Diagnostic, Span, did_you_mean};

use super::call::Naming;
use super::layer::Frame;
use super::signature::{Kind, Taken, taken};
use super::value::{Bound, Value};
use super::{Checker, name_of};
use crate::model::RegionKind;
use crate::types::Axis;

/// The argument that names a file of weights, unless the model has a parameter of that name.
const WEIGHTS: &str = "weights";

/// The inputs of a model.
fn inputs(definition: &Definition) -> impl Iterator<Item = &Ident> {
    definition.body.statements.iter().filter_map(|statement| match &statement.kind {
        StatementKind::Input { name, .. } => Some(name),
        _ => None,
    })
}

/// What a model takes where it is called: its inputs, of which the first must be given, then its parameters, then a
/// file of its weights.
pub(super) fn taken_by_model(definition: &Definition) -> Vec<Taken<'_>> {
    let mut params: Vec<Taken<'_>> = inputs(definition)
        .enumerate()
        .map(|(at, name)| Taken { name: &name.text, kind: Kind::Tensor, required: at == 0 })
        .collect();
    params.extend(taken(&definition.params));
    if params.iter().all(|own| own.name != WEIGHTS) {
        params.push(Taken { name: WEIGHTS, kind: Kind::Text, required: false });
    }
    params
}

impl<'a> Checker<'a> {
    /// Elaborates a model's body for one call. `args` has one entry for each of [`taken_by_model`].
    pub(super) fn call_model(
        &mut self,
        definition: &'a Definition,
        args: Vec<Option<Bound<'a>>>,
        naming: Naming,
        span: Span,
    ) -> Value<'a> {
        let name = name_of(definition);
        if self.frames.iter().any(|frame| std::ptr::eq(frame.definition, definition)) {
            let found = Diagnostic::error(Code::RecursiveLayer, span, format!("`{name}` calls itself"))
                .label(definition.name.as_ref().map_or(definition.span, |n| n.span), "the model")
                .help("call another model, or make a layer of what is repeated");
            self.report(found);
            return Value::Unknown;
        }
        if args.iter().flatten().any(|bound| bound.value.is_unknown())
            || !self.step(span)
            || !self.enter(span)
        {
            return Value::Unknown;
        }
        let mut args = args;
        let own = definition.params.iter().any(|param| param.name.text == WEIGHTS)
            || inputs(definition).any(|input| input.text == WEIGHTS);
        if let Some(Some(Bound { value: Value::Text(file), span: at })) = if own { None } else { args.pop() }
        {
            self.note_weights(&naming.path, definition, &file, at);
        }
        let (own, at) = naming.own.map_or((Vec::new(), span), |(own, at)| (vec![own], at));
        let outer = self.begin_section(own, at);
        let region = self.begin_region(naming.path.clone(), RegionKind::Layer, Some(name.to_string()), span);
        let mut frame = Frame::new(definition, naming.path, region);
        frame.shared = naming.shared;
        frame.frozen = naming.frozen;
        frame.call = Some(span);
        let names: Vec<&str> = inputs(definition).map(|input| input.text.as_str()).collect();
        let mut args = args.into_iter();
        let given = names.iter().zip(args.by_ref().take(names.len()));
        let given = given.filter_map(|(name, bound)| Some((name.to_string(), bound?.value)));
        frame.given = Some(given.collect::<HashMap<_, _>>());
        self.frames.push(frame);
        let params = taken(&definition.params);
        for ((parameter, taken), bound) in definition.params.iter().zip(&params).zip(args) {
            let whose = format!("`{}` of `{name}`", parameter.name.text);
            let value = match (bound, &parameter.default) {
                (Some(bound), _) => bound.value,
                (None, Some(default)) => self.argument(default, taken.kind, &whose),
                (None, None) => Value::Unknown,
            };
            let value = match value {
                Value::Axis(axis) => {
                    Value::Axis(Axis { name: Some(parameter.name.text.as_str().into()), ..axis })
                }
                value => value,
            };
            self.frame().scope.set(&parameter.name.text, value, parameter.name.span);
        }
        self.block(&definition.body);
        let frame = self.frames.pop().expect("pushed above");
        self.end_section(outer);
        self.leave();
        if frame.returned.is_some() {
            return Value::Unknown;
        }
        let mut parts: BTreeMap<String, Value<'a>> = BTreeMap::new();
        for (name, binding) in &frame.scope.names {
            if matches!(binding.value, Value::Tensor(_) | Value::Tuple(_) | Value::List(_)) {
                parts.insert(name.clone(), binding.value.clone());
            }
        }
        parts.extend(frame.parts);
        Value::Parts(Rc::new(parts))
    }

    /// An input of a called model: what the call gave for it; unknown where it gave nothing.
    pub(super) fn given_input(&mut self, name: &'a Ident, ty: &'a TypeExpr) {
        let given = self.frame().given.as_ref().and_then(|given| given.get(&name.text).cloned());
        let value = match given {
            Some(value) => {
                let span = self.frame().call.unwrap_or(name.span);
                let whose = format!("the input `{}`", name.text);
                let fits = self.match_type(ty, value, span, &whose);
                if fits.is_none() {
                    // Nothing more is said of this call.
                    self.frame().returned = Some(Value::Unknown);
                }
                fits.unwrap_or(Value::Unknown)
            }
            None => Value::Unknown,
        };
        self.frame().scope.set(&name.text, value, name.span);
    }

    /// `net(x)["fire4"]`
    pub(super) fn part_of(
        &mut self,
        parts: &Rc<BTreeMap<String, Value<'a>>>,
        items: &'a [IndexItem],
        span: Span,
    ) -> Value<'a> {
        let values = self.index_values(items);
        let word = match values.as_slice() {
            [Value::Unknown] => return Value::Unknown,
            [Value::Text(word)] => word.clone(),
            _ => {
                let message = "a part of a model is named by a text";
                let help = "write the name of a group or binding: `net(x)[\"logits\"]`";
                self.report(Diagnostic::error(Code::WrongKind, span, message).help(help));
                return Value::Unknown;
            }
        };
        if let Some(part) = parts.get(&*word) {
            return part.clone();
        }
        let names: Vec<&str> = parts.keys().map(String::as_str).collect();
        let message = format!("the model computes no `{word}` from what it is given");
        let found = Diagnostic::error(Code::MissingMember, span, message);
        let found = match did_you_mean(&word, names.iter().copied()) {
            Some(near) => found.help(format!("did you mean `\"{near}\"`?")),
            None => found.help(format!("it computes {}", names.join(", "))),
        };
        self.report(found);
        Value::Unknown
    }
}
