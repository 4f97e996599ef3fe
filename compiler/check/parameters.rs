//! Parameters of models and layers, bound for one elaboration.

use strata_grammar::ast::{Argument, ArgumentName, Definition, Expr, Parameter, Train, TypeExpr};
use strata_grammar::{Code, Diagnostic, Span, did_you_mean};

use super::signature::{Kind, lone_name, taken};
use super::value::{Bound, Value};
use super::{Checker, name_of};
use crate::types::Axis;

impl<'a> Checker<'a> {
    /// Binds a model's parameters: from `train`, from `--set`, by default. Says whether all are known.
    pub(super) fn bind_model_parameters(
        &mut self,
        definition: &'a Definition,
        args: &'a [Argument],
        call: Option<Span>,
        train: Option<&'a Train>,
    ) -> bool {
        let params = taken(&definition.params);
        let mut complete = true;
        let mut given: Vec<Option<Value<'a>>> = vec![None; params.len()];
        for arg in args {
            let name = match &arg.name {
                ArgumentName::Colon(name) | ArgumentName::Equals(name) => name,
                ArgumentName::None => {
                    let found =
                        Diagnostic::error(Code::WrongKind, arg.span, "name the parameter that this is for")
                            .help("write `train Model(parameter: value)`");
                    self.report(found);
                    continue;
                }
            };
            match params.iter().position(|param| param.name == name.text) {
                Some(at) => {
                    let whose = format!("`{}`", name.text);
                    let size = train.and_then(|train| self.vocabulary_size_call(&arg.value, train));
                    let value = match size {
                        None => self.argument(&arg.value, params[at].kind, &whose),
                        Some(None) => Value::Unknown,
                        Some(Some(size)) => {
                            let size = Value::Int(i64::try_from(size).unwrap_or(i64::MAX));
                            self.fit(size, Some(&arg.value), params[at].kind, arg.value.span, &whose)
                        }
                    };
                    if given[at].is_some() {
                        let message = format!("`{}` is given twice", name.text);
                        self.report(Diagnostic::error(Code::ExtraArgument, arg.span, message));
                    }
                    given[at] = Some(value);
                }
                None => {
                    let names: Vec<&str> = params.iter().map(|param| param.name).collect();
                    let message = format!("`{}` has no parameter `{}`", name_of(definition), name.text);
                    let mut found = Diagnostic::error(Code::UnknownArgument, name.span, message);
                    if let Some(near) = did_you_mean(&name.text, names.iter().copied()) {
                        found = found.help(format!("did you mean `{near}:`?")).edit(name.span, near);
                    }
                    self.report(found);
                }
            }
        }
        for (at, parameter) in definition.params.iter().enumerate() {
            self.check_kind(parameter);
            let whose = format!("`{}`", parameter.name.text);
            let set = self.settings.set.iter().rev().find(|(name, _)| *name == parameter.name.text);
            let value = match (set, given[at].take(), &parameter.default) {
                (Some((_, text)), _, _) => {
                    let text = text.clone();
                    self.set_from_outside(parameter, params[at].kind, &text)
                }
                (None, Some(value), _) => value,
                (None, None, Some(default)) => self.argument(default, params[at].kind, &whose),
                (None, None, None) => {
                    complete = false;
                    if let Some(call) = call {
                        let message = format!("`{}` needs `{}`", name_of(definition), parameter.name.text);
                        let found = Diagnostic::error(Code::MissingArgument, call, message)
                            .label(parameter.span, "declared here, without a default")
                            .help(format!(
                                "write `train {}({}: …)`",
                                name_of(definition),
                                parameter.name.text
                            ));
                        self.report(found);
                    }
                    Value::Unknown
                }
            };
            complete &= !value.is_unknown();
            // A model's axis is called after its parameter.
            let value = match value {
                Value::Axis(axis) => {
                    Value::Axis(Axis { name: Some(parameter.name.text.as_str().into()), ..axis })
                }
                value => value,
            };
            self.frame().scope.set(&parameter.name.text, value, parameter.name.span);
        }
        complete
    }

    /// The value of `--set name=value`.
    fn set_from_outside(&mut self, parameter: &'a Parameter, kind: Kind, text: &str) -> Value<'a> {
        let before = self.diagnostics.len();
        let value = self.fit(set_value(text), None, kind, parameter.span, "");
        if let Some(said) = self.diagnostics.get_mut(before) {
            let name = &parameter.name.text;
            said.message = format!("`--set {name}={text}` does not fit: `{name}` takes {}", kind.wants());
            said.help = None;
        }
        value
    }

    /// Says where a parameter's kind is no kind.
    fn check_kind(&mut self, parameter: &'a Parameter) {
        if Kind::of(parameter.ty.as_ref()).is_none()
            && let Some(TypeExpr::Tensor { head, .. }) = &parameter.ty
        {
            const KINDS: [&str; 10] =
                ["axis", "int", "float", "bool", "string", "layer", "init", "number", "duration", "tensor"];
            let near = did_you_mean(&head.text, KINDS);
            let message = format!(
                "there is no kind `{}`; a parameter is {} or a tensor type",
                head.text,
                KINDS[..9].join(", ")
            );
            let mut found = Diagnostic::error(Code::UnknownName, head.span, message);
            if let Some(near) = near {
                found = found.help(format!("did you mean `{near}`?")).edit(head.span, near);
            }
            self.report(found);
        }
    }

    /// Binds a layer's parameters for one call. `false` where an argument does not fit or is unknown.
    pub(super) fn bind_parameters(
        &mut self,
        definition: &'a Definition,
        mut args: Vec<Option<Bound<'a>>>,
        _span: Span,
    ) -> bool {
        let params = taken(&definition.params);
        definition.params.iter().for_each(|parameter| self.check_kind(parameter));
        let is_tensor = |at: usize| {
            params[at].kind == Kind::Tensor
                && definition.params[at].ty.as_ref().is_some_and(|ty| !is_bare_tensor(ty))
        };
        let layer = name_of(definition);
        let mut fits = true;
        // Sizes first: the types of tensors speak of them.
        let mut late = Vec::new();
        for (at, parameter) in definition.params.iter().enumerate() {
            if is_tensor(at) {
                continue;
            }
            let (value, place) = match (args[at].take(), &parameter.default) {
                (Some(bound), _) => (bound.value, bound.span),
                (None, Some(default)) if self.needs_signature(default) => {
                    late.push(at);
                    continue;
                }
                (None, Some(default)) => {
                    let whose = format!("`{}` of `{layer}`", parameter.name.text);
                    (self.argument(default, params[at].kind, &whose), default.span)
                }
                (None, None) => (Value::Unknown, parameter.span),
            };
            fits &= !value.is_unknown() && self.is_share(definition, parameter, &value, place);
            self.frame().scope.set(&parameter.name.text, value, place);
        }
        if self.swapped(definition, &args) {
            return false;
        }
        for given in [true, false] {
            for (at, parameter) in definition.params.iter().enumerate() {
                if !is_tensor(at) || args[at].is_some() != given {
                    continue;
                }
                if !given && !fits {
                    // Axes that the default is of may be unknown too.
                    self.frame().scope.set(&parameter.name.text, Value::Unknown, parameter.span);
                    continue;
                }
                let whose = format!("`{}` of `{layer}`", parameter.name.text);
                let (value, place) = match (args[at].take(), &parameter.default) {
                    (Some(bound), _) => (bound.value, bound.span),
                    (None, Some(default)) => (self.argument(default, Kind::Tensor, &whose), default.span),
                    (None, None) => (Value::Unknown, parameter.span),
                };
                if !given && self.frame().scope.names.contains_key(&parameter.name.text) {
                    continue;
                }
                let ty = parameter.ty.as_ref().expect("a tensor parameter has a type");
                let matched = self.match_type(ty, value, place, &whose);
                fits &= matched.is_some();
                let value = matched.unwrap_or(Value::Unknown);
                self.frame().scope.set(&parameter.name.text, value, place);
            }
        }
        for at in late {
            let parameter = &definition.params[at];
            let default = parameter.default.as_ref().expect("only defaults come late");
            let whose = format!("`{}` of `{layer}`", parameter.name.text);
            let value = self.argument(default, params[at].kind, &whose);
            fits &= !value.is_unknown();
            self.frame().scope.set(&parameter.name.text, value, default.span);
        }
        fits
    }

    /// That the rate of the library's `dropout` is a share.
    fn is_share(
        &mut self,
        definition: &'a Definition,
        parameter: &'a Parameter,
        value: &Value<'a>,
        span: Span,
    ) -> bool {
        let is_rate = name_of(definition) == "dropout" && parameter.name.text == "rate";
        if !is_rate || !self.loaded.in_library(definition.span) {
            return true;
        }
        let Some(rate) = value.number().filter(|rate| !(0.0..1.0).contains(rate)) else { return true };
        let message = format!("`rate` of `dropout` is a share from 0 up to and without 1, not {rate}");
        let mut found = Diagnostic::error(Code::BadValue, span, message);
        if (1.0..100.0).contains(&rate) && rate > 1.0 {
            let share = format!("{}", rate / 100.0);
            found = found.help(format!("write `{share}` for {rate} %")).edit(span, share);
        } else {
            found = found.help("write `0.5`, for example");
        }
        self.report(found);
        false
    }

    /// Whether a default speaks of an axis that the signature binds.
    fn needs_signature(&mut self, default: &'a Expr) -> bool {
        lone_name(default).is_some_and(|name| {
            self.find(&name.text).is_none() && !matches!(name.text.as_str(), "same" | "valid")
        })
    }

    /// Binds everything that a layer's signature names to the unknown.
    pub(super) fn bind_unknown(&mut self, definition: &'a Definition) {
        for parameter in &definition.params {
            self.check_kind(parameter);
            if let Some(ty) = &parameter.ty {
                self.unknown_axes(ty);
            }
            self.frame().scope.set(&parameter.name.text, Value::Unknown, parameter.name.span);
        }
        for parameter in &definition.params {
            let kind = Kind::of(parameter.ty.as_ref()).unwrap_or(Kind::Any);
            if let Some(default) = &parameter.default {
                self.argument(default, kind, &format!("`{}`", parameter.name.text));
            }
        }
    }

    fn unknown_axes(&mut self, ty: &'a TypeExpr) {
        match ty {
            TypeExpr::Tuple { members, .. } => members.iter().for_each(|member| self.unknown_axes(member)),
            TypeExpr::Tensor { .. } => self.free_names(ty),
        }
    }
}

/// Whether a type is the kind `tensor`, of any axes.
fn is_bare_tensor(ty: &TypeExpr) -> bool {
    matches!(ty, TypeExpr::Tensor { head, axes: None, .. } if head.text == "tensor")
}

/// The value of `--set name=value`.
fn set_value<'a>(text: &str) -> Value<'a> {
    let plain = text.replace('_', "");
    if let Ok(n) = plain.parse::<i64>() {
        return Value::Int(n);
    }
    if let Ok(x) = plain.parse::<f64>()
        && x.is_finite()
    {
        return Value::Float(x);
    }
    match text {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => Value::Text(text.into()),
    }
}
