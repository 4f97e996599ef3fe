//! What a layer or function takes: kinds of parameters, and values made to fit them.

use std::rc::Rc;

use strata_grammar::ast::{Expr, ExprKind, Ident, Parameter, TypeExpr};
use strata_grammar::{Code, Diagnostic, Span};

use super::Checker;
use super::habits::is_nothing;
use super::intrinsics::Intrinsic;
use super::value::{AxisRef, Initial, Layer, Value};
use crate::types::{Axis, DType, Size};

/// What kind of value a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Any,
    /// A tensor, or a tuple of tensors.
    Tensor,
    /// A tensor or a number.
    Operand,
    Axis,
    Int,
    Float,
    /// A number, or a tensor without axes that holds one.
    Number,
    /// A number of steps.
    Duration,
    /// A list of them.
    Durations,
    Bool,
    Text,
    Layer,
    Init,
    /// `same`, `valid`, or numbers.
    Padding,
    /// A whole number, or a list with one for each spatial axis.
    Ints,
    /// Axes of a tensor by name or position.
    Axes,
    DType,
}

/// One parameter of something that can be called.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken<'a> {
    pub(super) name: &'a str,
    pub(super) kind: Kind,
    pub(super) required: bool,
}

impl Kind {
    /// The kind that a parameter's type asks for; `None` for a word that is no kind.
    pub(super) fn of(ty: Option<&TypeExpr>) -> Option<Kind> {
        let Some(ty) = ty else { return Some(Kind::Any) };
        let TypeExpr::Tensor { head, axes: None, .. } = ty else { return Some(Kind::Tensor) };
        Some(match head.text.as_str() {
            "axis" => Kind::Axis,
            "int" => Kind::Int,
            "float" => Kind::Float,
            "number" => Kind::Number,
            "duration" => Kind::Duration,
            "durations" => Kind::Durations,
            "bool" => Kind::Bool,
            "string" => Kind::Text,
            "layer" => Kind::Layer,
            "init" => Kind::Init,
            "padding" => Kind::Padding,
            "ints" => Kind::Ints,
            "axes" => Kind::Axes,
            "dtype" => Kind::DType,
            "any" => Kind::Any,
            "tensor" => Kind::Tensor,
            word if DType::from_name(word).is_some() => Kind::Tensor,
            _ => return None,
        })
    }

    /// A value that can be, for what is missing; `None` where there is none that is likely.
    pub(super) fn example(self) -> Option<&'static str> {
        match self {
            Kind::Axis => Some("64"),
            Kind::Int | Kind::Ints => Some("3"),
            Kind::Float => Some("0.5"),
            Kind::Bool => Some("true"),
            Kind::Padding => Some("same"),
            Kind::Init => Some("zeros"),
            Kind::DType => Some("f32"),
            Kind::Any
            | Kind::Tensor
            | Kind::Operand
            | Kind::Text
            | Kind::Layer
            | Kind::Axes
            | Kind::Number
            | Kind::Duration
            | Kind::Durations => None,
        }
    }

    /// In a message: "takes …".
    pub(super) fn wants(self) -> &'static str {
        match self {
            Kind::Any => "anything",
            Kind::Tensor => "a tensor",
            Kind::Operand => "a tensor or a number",
            Kind::Axis => "an axis: a size, a name, or `name = size`",
            Kind::Int => "a whole number",
            Kind::Float => "a number",
            Kind::Number => "a number, or a schedule as in `0.1 |> cosine(20 epochs)`",
            Kind::Duration => "a number of steps or epochs",
            Kind::Durations => "numbers of steps or epochs, as in `[30 epochs, 60 epochs]`",
            Kind::Bool => "true or false",
            Kind::Text => "a text",
            Kind::Layer => "a layer",
            Kind::Init => {
                "an initialiser: zeros, ones, glorot, he, orthogonal, uniform(…), normal(…) or a number"
            }
            Kind::Padding => "`same`, `valid` or a whole number",
            Kind::Ints => "a whole number, or a list of one for each axis",
            Kind::Axes => "an axis's name or position, or a list of them",
            Kind::DType => "a dtype such as f32",
        }
    }
}

/// What a definition's parameters take.
pub(super) fn taken(params: &[Parameter]) -> Vec<Taken<'_>> {
    let one = |p: &'_ Parameter| Kind::of(p.ty.as_ref()).unwrap_or(Kind::Any);
    params.iter().map(|p| Taken { name: &p.name.text, kind: one(p), required: p.default.is_none() }).collect()
}

/// A lone name, parentheses aside.
pub(super) fn lone_name(expr: &Expr) -> Option<&Ident> {
    match &expr.kind {
        ExprKind::Name(name) => Some(name),
        ExprKind::Paren(inner) => lone_name(inner),
        _ => None,
    }
}

impl<'a> Checker<'a> {
    /// The value of an argument or default for a parameter of `kind`. `whose` names the parameter in messages.
    pub(super) fn argument(&mut self, expr: &'a Expr, kind: Kind, whose: &str) -> Value<'a> {
        if kind == Kind::Axes {
            return self.axes_argument(expr);
        }
        if matches!(kind, Kind::Duration | Kind::Durations) {
            return self.durations(expr, kind, whose);
        }
        if let Some(name) = lone_name(expr)
            && self.find(&name.text).is_none()
        {
            match kind {
                Kind::Text => return Value::Text(name.text.as_str().into()),
                Kind::Padding if matches!(name.text.as_str(), "same" | "valid") => {
                    return Value::Text(name.text.as_str().into());
                }
                Kind::Padding => {
                    let message = format!("{whose} takes {}, not `{}`", kind.wants(), name.text);
                    let near = strata_grammar::did_you_mean(&name.text, ["same", "valid"]).unwrap_or("same");
                    let found = Diagnostic::error(Code::BadValue, expr.span, message)
                        .help(format!("write `{near}`"))
                        .edit(expr.span, near);
                    self.report(found);
                    return Value::Unknown;
                }
                Kind::Bool if is_nothing(&name.text) => {
                    let message = format!("{whose} takes {}, not `{}`", kind.wants(), name.text);
                    let found = Diagnostic::error(Code::WrongKind, expr.span, message)
                        .help("write `false`")
                        .edit(expr.span, "false");
                    self.report(found);
                    return Value::Unknown;
                }
                Kind::Any
                | Kind::Tensor
                | Kind::Operand
                | Kind::Axis
                | Kind::Int
                | Kind::Float
                | Kind::Number
                | Kind::Duration
                | Kind::Durations
                | Kind::Bool
                | Kind::Layer
                | Kind::Init
                | Kind::Ints
                | Kind::Axes
                | Kind::DType => {}
            }
        }
        let value = self.eval(expr);
        self.fit(value, Some(expr), kind, expr.span, whose)
    }

    /// `value` as a parameter of `kind` takes it, or `Unknown` where it does not fit, which is said at `span`.
    pub(super) fn fit(
        &mut self,
        value: Value<'a>,
        expr: Option<&'a Expr>,
        kind: Kind,
        span: Span,
        whose: &str,
    ) -> Value<'a> {
        if value.is_unknown() {
            return value;
        }
        let fitted = match kind {
            Kind::Any => Some(value.clone()),
            Kind::Tensor => match &value {
                Value::Tensor(_) | Value::Tuple(_) | Value::Int(_) | Value::Float(_) | Value::Init(_) => {
                    Some(value.clone())
                }
                Value::Layer(layer) => self.layer_as_init(layer).map(Value::Init),
                _ => None,
            },
            Kind::Operand => {
                let number = value.number().is_some() || matches!(value, Value::Size(_) | Value::Bool(_));
                (number || matches!(value, Value::Tensor(_) | Value::List(_))).then(|| value.clone())
            }
            Kind::Axis => return self.fit_axis(value, expr, span, whose),
            Kind::Int => match &value {
                Value::Size(_) => Some(value.clone()),
                _ => value.int().map(Value::Int),
            },
            Kind::Float => value.number().map(Value::Float),
            Kind::Number | Kind::Duration => match &value {
                Value::Tensor(id) if self.ty(*id).rank() == 0 && self.ty(*id).dtype.is_float() => {
                    Some(value.clone())
                }
                _ => value.number().map(Value::Float),
            },
            Kind::Durations => matches!(value, Value::List(_)).then(|| value.clone()),
            Kind::Bool => matches!(value, Value::Bool(_)).then(|| value.clone()),
            Kind::Text => matches!(value, Value::Text(_)).then(|| value.clone()),
            Kind::Layer => matches!(value, Value::Layer(_)).then(|| value.clone()),
            Kind::Init => match &value {
                Value::Init(_) => Some(value.clone()),
                Value::Layer(layer) => self.layer_as_init(layer).map(Value::Init),
                _ => value.number().map(|x| Value::Init(Initial::Constant(x))),
            },
            Kind::Padding => {
                let word = matches!(&value, Value::Text(word) if matches!(&**word, "same" | "valid"));
                (word || value.int().is_some() || matches!(value, Value::List(_))).then(|| value.clone())
            }
            Kind::Ints => match &value {
                Value::List(items) if items.iter().all(|item| item.int().is_some() || item.is_unknown()) => {
                    Some(value.clone())
                }
                _ => value.int().map(Value::Int),
            },
            Kind::Axes => matches!(value, Value::Axes(_)).then(|| value.clone()),
            Kind::DType => matches!(value, Value::DType(_) | Value::Tensor(_)).then(|| value.clone()),
        };
        if let Some(fitted) = fitted {
            return if kind == Kind::Ints && !self.positive_ints(&fitted, span, whose) {
                Value::Unknown
            } else {
                fitted
            };
        }
        let meant = self.meant(&value, kind, &self.written(span));
        self.wrong_kind_meant(&value, kind.wants(), span, whose, meant);
        Value::Unknown
    }

    /// That windows and strides are at least 1.
    fn positive_ints(&mut self, value: &Value<'a>, span: Span, whose: &str) -> bool {
        let least = match value {
            Value::List(items) => items.iter().filter_map(Value::int).min(),
            other => other.int(),
        };
        let Some(wrong) = least.filter(|n| *n < 1) else { return true };
        let right = wrong.unsigned_abs().max(1);
        let mut found =
            Diagnostic::error(Code::BadValue, span, format!("{whose} is at least 1, not {wrong}"));
        if !matches!(value, Value::List(_)) {
            found = found.help(format!("write `{right}`")).edit(span, right.to_string());
        }
        self.report(found);
        false
    }

    /// Says that a value is of the wrong kind.
    pub(super) fn wrong_kind(&mut self, value: &Value<'a>, wants: &str, span: Span, whose: &str) {
        self.wrong_kind_meant(value, wants, span, whose, None);
    }

    /// The same, with what was probably meant.
    fn wrong_kind_meant(
        &mut self,
        value: &Value<'a>,
        wants: &str,
        span: Span,
        whose: &str,
        meant: Option<String>,
    ) {
        let what = self.quote(span).unwrap_or_else(|| "this".into());
        let is = match value {
            Value::Tensor(id) => format!("a tensor: {}", self.ty(*id)),
            other => other.kind().to_string(),
        };
        let found =
            Diagnostic::error(Code::WrongKind, span, format!("{whose} takes {wants}, and {what} is {is}"));
        let found = match value {
            _ if meant.is_some() => {
                let meant = meant.unwrap_or_default();
                found.help(format!("write `{meant}`")).edit(span, meant)
            }
            Value::Tuple(members) if members.len() > 1 => {
                let name = what.trim_matches('`').to_string();
                let bound = self.frame().scope.get(&name).map(|binding| binding.span);
                let rest = ", _".repeat(members.len() - 1);
                match bound.filter(|bound| !self.loaded.in_library(*bound)) {
                    Some(bound) => found
                        .label(bound, format!("{} values are bound to one name", members.len()))
                        .help(format!("give each a name where it is bound: `{name}{rest} = …`"))
                        .edit(Self::behind(bound), rest),
                    None => found.help(format!("bind each to a name first: `a{rest} = …`")),
                }
            }
            Value::Layer(layer) => match &**layer {
                Layer::Partial(partial) if partial.span != span => {
                    let call = self.written(partial.span);
                    let floats: Vec<&str> = self
                        .build
                        .model
                        .inputs
                        .iter()
                        .filter(|input| input.ty.dtype.is_float())
                        .map(|input| input.name.as_str())
                        .collect();
                    let found = found.label(partial.span, "it lacks its tensor here");
                    match floats.as_slice() {
                        [x] => found
                            .help(format!("say what it works on: `{x} |> {call}`"))
                            .edit(Self::before(partial.span), format!("{x} |> ")),
                        _ => found.help(format!("say what it works on: `x |> {call}`")),
                    }
                }
                Layer::Partial(_) | Layer::Joined(..) => found.help(format!(
                    "a call that lacks its tensor is a layer: write `x |> {}`",
                    what.trim_matches('`')
                )),
                _ => found,
            },
            _ => found,
        };
        self.report(found);
    }

    fn fit_axis(&mut self, value: Value<'a>, expr: Option<&'a Expr>, span: Span, whose: &str) -> Value<'a> {
        let name = expr.and_then(lone_name).map(|name| name.text.as_str().into());
        let axis = match &value {
            Value::Axis(axis) => axis.clone(),
            Value::Size(size) => Axis { size: size.clone(), name, ragged: false },
            other => match other.int() {
                Some(n) => match self.size(n, span) {
                    Some(size) => Axis { size, name, ragged: false },
                    None => return Value::Unknown,
                },
                None if other.number().is_some() => {
                    let message = format!("{whose} takes a size, and a size is a whole number");
                    let mut found = Diagnostic::error(Code::BadSize, span, message);
                    if let Some(meant) = self.meant(other, Kind::Axis, "") {
                        found = found.help(format!("write `{meant}`")).edit(span, meant);
                    }
                    self.report(found);
                    return Value::Unknown;
                }
                None if matches!(other, Value::List(_)) => {
                    let message = format!("{whose} takes {}, and this is a list", Kind::Axis.wants());
                    let found = Diagnostic::error(Code::WrongKind, span, message)
                        .help("write a call for each: `dense(8) |> relu |> dense(3)`");
                    self.report(found);
                    return Value::Unknown;
                }
                None => {
                    let meant = self.meant(other, Kind::Axis, "");
                    self.wrong_kind_meant(other, Kind::Axis.wants(), span, whose, meant);
                    return Value::Unknown;
                }
            },
        };
        Value::Axis(axis)
    }

    /// A size that a tensor can have, or `None`, which is said.
    pub(super) fn size(&mut self, n: i64, span: Span) -> Option<Size> {
        const MOST: i64 = 1 << 40;
        if (1..=MOST).contains(&n) {
            return Some(Size::Known(n as u64));
        }
        let message = if n < 1 {
            format!("a size is at least 1, and this is {n}")
        } else {
            format!("an axis of {n} is beyond what any machine holds")
        };
        let mut found = Diagnostic::error(Code::BadSize, span, message);
        if n < 1 && self.written(span).parse::<i64>() == Ok(n) {
            let right = n.unsigned_abs().max(1);
            found = found.help(format!("write `{right}`")).edit(span, right.to_string());
        }
        self.report(found);
        None
    }

    /// An initialiser by its bare name.
    pub(super) fn layer_as_init(&mut self, layer: &Rc<Layer<'a>>) -> Option<Initial> {
        let Layer::Intrinsic(Intrinsic { name, .. }) = &**layer else { return None };
        super::init::by_name(name)
    }

    /// `channel`, `-1`, `[height, width]`: axes of a tensor that is yet to come.
    fn axes_argument(&mut self, expr: &'a Expr) -> Value<'a> {
        let items: Vec<&'a Expr> = match &expr.kind {
            ExprKind::List(items) | ExprKind::Tuple(items) => items.iter().collect(),
            _ => vec![expr],
        };
        let mut axes = Vec::new();
        for item in items {
            match self.axis_reference(item) {
                Some(found) => axes.extend(found),
                None => return Value::Unknown,
            }
        }
        Value::Axes(axes.into())
    }

    fn axis_reference(&mut self, expr: &'a Expr) -> Option<Vec<AxisRef>> {
        if let Some(name) = lone_name(expr) {
            return self.axis_word(name);
        }
        let value = self.eval(expr);
        if value.is_unknown() {
            return None;
        }
        self.position(&value, expr.span)
    }

    /// The axes that a bare word means.
    pub(super) fn axis_word(&mut self, name: &Ident) -> Option<Vec<AxisRef>> {
        let bound = self.frame().scope.get(&name.text).map(|binding| binding.value.clone());
        match bound {
            None | Some(Value::Tensor(_) | Value::Layer(_)) => {
                Some(vec![AxisRef::Named(name.text.as_str().into(), name.span)])
            }
            Some(Value::Axis(axis)) => Some(vec![AxisRef::Bound(axis, name.text.as_str().into(), name.span)]),
            Some(Value::Axes(axes)) => Some(axes.to_vec()),
            Some(Value::Unknown) => None,
            Some(other) => match other.int() {
                Some(n) => Some(vec![AxisRef::Word(n, name.text.as_str().into(), name.span)]),
                None => self.position(&other, name.span),
            },
        }
    }

    fn position(&mut self, value: &Value<'a>, span: Span) -> Option<Vec<AxisRef>> {
        if let Value::List(items) = value {
            let positions: Option<Vec<AxisRef>> =
                items.iter().map(|item| item.int().map(|n| AxisRef::Position(n, span))).collect();
            if positions.is_some() {
                return positions;
            }
        }
        if let Some(n) = value.int() {
            return Some(vec![AxisRef::Position(n, span)]);
        }
        let meant = self.meant(value, Kind::Axes, "");
        self.wrong_kind_meant(value, Kind::Axes.wants(), span, "`axis:`", meant);
        None
    }
}
