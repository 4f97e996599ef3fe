//! Calls: arguments to parameters, layers that wait for their tensor, layers joined and shared.

use std::rc::Rc;

use strata_grammar::ast::{Argument, ArgumentName, Expr, ExprKind, FamilyRef, Ident};
use strata_grammar::{Code, Diagnostic, Span, did_you_mean};

use super::intrinsics::Call;
use super::layer::join;
use super::model_call::taken_by_model;
use super::signature::{Kind, Taken, lone_name, taken};
use super::value::{Bound, Layer, Partial, Value};
use super::{Checker, name_of};
use crate::model::RegionKind;
use crate::types::Axis;

/// What a layer call's variables and region are called.
#[derive(Clone, Debug)]
pub(super) struct Naming {
    pub(super) path: String,
    /// The name that the user gave it, and where.
    pub(super) own: Option<(String, Span)>,
    pub(super) shared: bool,
    pub(super) frozen: bool,
}

/// How a call was written.
#[derive(Clone, Debug)]
pub(super) struct Site {
    /// The call without what is piped into it.
    pub(super) span: Span,
    /// Its `as` name.
    pub(super) name: Option<(String, Span)>,
    /// The path that a shared layer gives.
    pub(super) path: Option<String>,
    pub(super) frozen: bool,
}

/// Arguments in the order of the parameters.
struct Arranged<'a> {
    slots: Vec<Option<Bound<'a>>>,
    extra: Vec<Bound<'a>>,
    /// Whether something was wrong with them.
    wrong: bool,
}

impl<'a> Checker<'a> {
    /// `left |> right`.
    pub(super) fn pipe(&mut self, left: Value<'a>, left_span: Span, right: &'a Expr) -> Value<'a> {
        let (call, name) = match &right.kind {
            ExprKind::As { call, name } => (&**call, self.as_name(name)),
            _ => (right, None),
        };
        if let Value::Layer(first) = &left {
            let Value::Layer(second) = self.eval(right) else {
                return Value::Unknown;
            };
            return Value::Layer(Rc::new(Layer::Joined(first.clone(), second)));
        }
        let piped = Bound { value: left, span: left_span };
        match &call.kind {
            ExprKind::Call { callee, args, .. } => self.call(callee, args, vec![piped], call.span, name),
            _ => self.call(call, &[], vec![piped], call.span, name),
        }
    }

    /// The text of an `as` name.
    pub(super) fn as_name(&mut self, name: &'a FamilyRef) -> Option<(String, Span)> {
        self.build.named.push(name.name.text.clone());
        self.family_text(name).map(|text| (text, name.span))
    }

    /// A call with what is piped into it.
    pub(super) fn call(
        &mut self,
        callee: &'a Expr,
        args: &'a [Argument],
        piped: Vec<Bound<'a>>,
        span: Span,
        name: Option<(String, Span)>,
    ) -> Value<'a> {
        if let Some(name) = lone_name(callee)
            && self.find(&name.text).is_none()
            && self.foreign_call(&name.text, args, piped.first().map(|bound| bound.span), span)
        {
            return Value::Unknown;
        }
        let piped_from = piped.first().map(|bound| bound.span).filter(|_| args.is_empty());
        let Some(layer) = self.callee(callee, piped_from) else {
            // Names in the arguments are still looked up.
            for arg in args {
                self.argument_alone(arg);
            }
            return Value::Unknown;
        };
        if let Layer::Intrinsic(intrinsic) = &*layer {
            match intrinsic.name {
                "choose" if piped.is_empty() && args.len() == 3 => return self.choose(args, span),
                "rename" => return self.rename(args, piped, span),
                _ => {}
            }
        }
        let frozen = self.frame().frozen;
        let site = Site { span, name, path: None, frozen };
        self.apply(&layer, args, piped, &site)
    }

    /// Looks up the names in an argument whose callee is unknown.
    fn argument_alone(&mut self, arg: &'a Argument) {
        let word = lone_name(&arg.value).is_some_and(|name| self.find(&name.text).is_none());
        if !word && !matches!(arg.name, ArgumentName::Equals(_)) {
            self.eval(&arg.value);
        }
    }

    /// What is called.
    fn callee(&mut self, callee: &'a Expr, piped: Option<Span>) -> Option<Rc<Layer<'a>>> {
        if let Some(name) = lone_name(callee) {
            let bound = self.frame().scope.get(&name.text).map(|b| (b.value.clone(), b.span));
            if let Some((Value::Layer(layer), _)) = bound {
                return Some(layer);
            }
            if let Some(layer) = self.global_layer(&name.text) {
                return Some(layer);
            }
            return match bound {
                Some((Value::Unknown, _)) => None,
                Some((value, at)) => {
                    self.not_callable(&value, callee.span, Some(at), piped);
                    None
                }
                None => {
                    self.unknown_name(name, true);
                    None
                }
            };
        }
        match self.eval(callee) {
            Value::Layer(layer) => Some(layer),
            Value::Unknown => None,
            other => {
                self.not_callable(&other, callee.span, None, None);
                None
            }
        }
    }

    fn not_callable(&mut self, value: &Value<'a>, span: Span, bound: Option<Span>, piped: Option<Span>) {
        let what = self.quote(span).unwrap_or_else(|| "this".into());
        let message = format!("{what} is {}, and only a layer can be called", value.kind());
        let mut found = Diagnostic::error(Code::NotCallable, span, message);
        if let Some(bound) = bound {
            found = found.label(bound, "bound here");
        }
        found = match (value, piped) {
            (Value::Tensor(_) | Value::Pending(_), Some(from)) if from.end <= span.start => found
                .help(format!("it is a value already: begin with {what}"))
                .edit(Span { end: span.start, ..from }, ""),
            _ => found
                .help("write `layer NAME(…) { … }`, or bind a call that lacks its tensor, as in `dense(8)`"),
        };
        self.report(found);
    }

    /// Applies a layer to arguments; what is piped in comes first.
    pub(super) fn apply(
        &mut self,
        layer: &Rc<Layer<'a>>,
        args: &'a [Argument],
        piped: Vec<Bound<'a>>,
        site: &Site,
    ) -> Value<'a> {
        match &**layer {
            Layer::Defined(definition, _) => {
                let params = taken(&definition.params);
                let arranged = self.arrange(name_of(definition), &params, false, args, piped, site.span);
                self.supply(layer, &params, arranged, site)
            }
            Layer::Intrinsic(intrinsic) => {
                let arranged = self.arrange(
                    intrinsic.name,
                    intrinsic.params,
                    intrinsic.variadic,
                    args,
                    piped,
                    site.span,
                );
                self.supply(layer, intrinsic.params, arranged, site)
            }
            Layer::Model(definition) => {
                let params = taken_by_model(definition);
                let arranged = self.arrange(name_of(definition), &params, false, args, piped, site.span);
                self.supply(layer, &params, arranged, site)
            }
            Layer::Partial(partial) => self.complete(partial, args, piped, site),
            Layer::Joined(first, second) => {
                if piped.is_empty() && args.is_empty() {
                    return Value::Layer(layer.clone());
                }
                let inner = Site { name: None, path: None, ..site.clone() };
                self.inside(site, |checker| {
                    let middle = checker.apply(first, args, piped, &inner);
                    let piped = vec![Bound { value: middle, span: inner.span }];
                    checker.apply(second, &[], piped, &inner)
                })
            }
            Layer::Shared { path, layer, frozen } => {
                let frozen = *frozen || site.frozen;
                if let Some(name) = &site.name {
                    let plain = Site { name: None, ..site.clone() };
                    let shared = Rc::new(Layer::Shared { path: path.clone(), layer: layer.clone(), frozen });
                    let named = Site { name: Some(name.clone()), path: None, ..site.clone() };
                    return self.inside(&named, |checker| checker.apply(&shared, args, piped, &plain));
                }
                let site = Site { path: Some(path.clone()), frozen, ..site.clone() };
                self.apply(layer, args, piped, &site)
            }
        }
    }

    /// Runs `work` inside the region that a call's name opens, if it has one.
    fn inside(&mut self, site: &Site, work: impl FnOnce(&mut Self) -> Value<'a>) -> Value<'a> {
        let path = match (&site.path, &site.name) {
            (Some(path), _) => path.clone(),
            (None, Some((name, span))) => {
                if !self.claim(name, *span) {
                    return Value::Unknown;
                }
                join(&self.frame().path.clone(), name)
            }
            (None, None) => return work(self),
        };
        let own = site.name.clone().unwrap_or_else(|| (own_name(&path), site.span));
        let outer = self.begin_section(vec![own.0], own.1);
        let region = self.begin_region(path.clone(), RegionKind::Layer, None, site.span);
        let shared = site.path.is_some();
        let frame = self.frame();
        let before = (
            std::mem::replace(&mut frame.path, path),
            std::mem::replace(&mut frame.region, region),
            std::mem::take(&mut frame.counters),
            frame.binding.take(),
            frame.shared,
            frame.frozen,
        );
        frame.shared |= shared;
        frame.frozen |= site.frozen;
        let result = work(self);
        self.build.model.regions[region.0 as usize].results = super::build::tensors(&result);
        let frame = self.frame();
        (frame.path, frame.region, frame.counters, frame.binding, frame.shared, frame.frozen) = before;
        self.end_section(outer);
        result
    }

    /// A layer with its arguments, evaluated once; what `first` stands for is to come at each use. `None` where
    /// something is wrong, which is said.
    pub(super) fn partly(
        &mut self,
        layer: &Rc<Layer<'a>>,
        args: &'a [Argument],
        first: Vec<Bound<'a>>,
        site: &Site,
    ) -> Option<Partial<'a>> {
        let Layer::Defined(definition, _) = &**layer else { return None };
        let params = taken(&definition.params);
        let coming = first.len();
        let arranged = self.arrange(name_of(definition), &params, false, args, first, site.span);
        let Arranged { mut slots, extra, wrong } = arranged;
        if wrong || slots.iter().flatten().any(|bound| bound.value.is_unknown()) {
            return None;
        }
        if let Some(lacks) = (0..params.len()).find(|at| params[*at].required && slots[*at].is_none()) {
            self.missing(layer, &params[lacks], site.span);
            return None;
        }
        slots.iter_mut().take(coming).for_each(|slot| *slot = None);
        let (callee, span, frozen) = (layer.clone(), site.span, site.frozen);
        Some(Partial { callee, args: slots, extra, name: None, frozen, span })
    }

    /// Runs `work` inside a region of its own kind and path.
    pub(super) fn within(
        &mut self,
        path: &str,
        kind: RegionKind,
        span: Span,
        work: impl FnOnce(&mut Self) -> Option<()>,
    ) -> Option<()> {
        let site = Site { span, name: None, path: Some(path.to_string()), frozen: false };
        let region = self.build.model.regions.len();
        let mut done = None;
        self.inside(&site, |checker| {
            checker.build.model.regions[region].kind = kind;
            done = work(checker);
            Value::Unknown
        });
        done
    }

    /// A layer that had some of its arguments gets the rest.
    fn complete(
        &mut self,
        partial: &Partial<'a>,
        args: &'a [Argument],
        piped: Vec<Bound<'a>>,
        site: &Site,
    ) -> Value<'a> {
        let mut given = piped;
        for arg in args {
            if !matches!(arg.name, ArgumentName::None) {
                let message = "this layer has its arguments already; it takes only its tensor here";
                let found = Diagnostic::error(Code::ExtraArgument, arg.span, message)
                    .label(partial.span, "its arguments");
                self.report(found);
                return Value::Unknown;
            }
            given.push(Bound { value: self.eval(&arg.value), span: arg.value.span });
        }
        if given.is_empty() {
            return Value::Layer(Rc::new(Layer::Partial(partial.clone())));
        }
        let mut slots = partial.args.clone();
        let mut given = given.into_iter();
        for slot in slots.iter_mut().filter(|slot| slot.is_none()) {
            match given.next() {
                Some(next) => *slot = Some(next),
                None => break,
            }
        }
        if let Some(extra) = given.next() {
            let found = Diagnostic::error(Code::ExtraArgument, extra.span, "this layer takes fewer tensors")
                .label(partial.span, "the layer");
            self.report(found);
            return Value::Unknown;
        }
        let site = Site {
            name: site.name.clone().or_else(|| partial.name.clone()),
            frozen: site.frozen || partial.frozen,
            ..site.clone()
        };
        self.finish(&partial.callee, slots, partial.extra.clone(), &site)
    }

    /// Puts arguments into the order of the parameters, each made to fit its kind.
    fn arrange(
        &mut self,
        callee: &str,
        params: &[Taken<'_>],
        variadic: bool,
        args: &'a [Argument],
        piped: Vec<Bound<'a>>,
        span: Span,
    ) -> Arranged<'a> {
        let mut out = Arranged { slots: vec![None; params.len()], extra: Vec::new(), wrong: false };
        let mut next = 0;
        // What takes any number of tensors keeps them all in `extra`.
        let positional = if variadic { 0 } else { params.len() };
        let bare = piped.is_empty();
        for bound in piped {
            if next < positional {
                let whose = format!("`{callee}`");
                let value = self.fit(bound.value, None, params[next].kind, bound.span, &whose);
                out.slots[next] = Some(Bound { value, span: bound.span });
                next += 1;
            } else if variadic {
                out.extra.push(bound);
            } else {
                let message = format!("`{callee}` takes no tensor");
                self.report(Diagnostic::error(Code::ExtraArgument, span, message));
                out.wrong = true;
            }
        }
        for (at, arg) in args.iter().enumerate() {
            match &arg.name {
                ArgumentName::Colon(name) => self.named(callee, params, name, arg, &mut out),
                ArgumentName::Equals(name) => {
                    let first_waits =
                        bare && next == 0 && params.first().is_some_and(|p| p.kind == Kind::Tensor);
                    next += usize::from(first_waits);
                    while next < positional && out.slots[next].is_some() {
                        next += 1;
                    }
                    self.sized(callee, params.get(next), name, arg, &mut out, next);
                    next += 1;
                }
                ArgumentName::None if next >= positional && variadic => {
                    let value = self.eval(&arg.value);
                    out.extra.push(Bound { value, span: arg.value.span });
                }
                ArgumentName::None => {
                    if at == 0 && bare && self.turned(callee, params, args) {
                        out.wrong = true;
                        return out;
                    }
                    let mut value = None;
                    if bare && next == 0 && at == 0 && params.first().is_some_and(|p| p.kind == Kind::Tensor)
                    {
                        let (evaluated, waits) = self.first_argument(&arg.value, params);
                        value = evaluated;
                        next += usize::from(waits);
                    }
                    let Some(param) = params.get(next) else {
                        self.too_many(
                            callee,
                            params,
                            arg,
                            at.checked_sub(1).and_then(|before| args.get(before)),
                        );
                        out.wrong = true;
                        continue;
                    };
                    let whose = format!("`{}` of `{callee}`", param.name);
                    if self.incoming_size(callee, params, next, args, at) {
                        out.wrong = true;
                        next += 1;
                        continue;
                    }
                    let value = match value {
                        Some(value) => self.fit(value, Some(&arg.value), param.kind, arg.value.span, &whose),
                        None => self.argument(&arg.value, param.kind, &whose),
                    };
                    if out.slots[next].is_some() {
                        self.given_twice(callee, param.name, arg.span);
                        out.wrong = true;
                    }
                    out.slots[next] = Some(Bound { value, span: arg.value.span });
                    next += 1;
                }
            }
        }
        out
    }

    /// The first positional argument of a call without a pipe: is it the tensor, or does the call lack it?
    /// The value where it was evaluated to find out.
    fn first_argument(&mut self, expr: &'a Expr, params: &[Taken<'_>]) -> (Option<Value<'a>>, bool) {
        if let Some(name) = lone_name(expr)
            && self.find(&name.text).is_none()
        {
            let word = |kind| matches!(kind, Kind::Text | Kind::Padding | Kind::Axes | Kind::DType);
            return (None, params.get(1).is_some_and(|param| word(param.kind)));
        }
        if params.get(1).is_some_and(|param| param.kind == Kind::Axes)
            && matches!(expr.kind, ExprKind::List(_))
        {
            return (None, true);
        }
        let value = self.eval(expr);
        // A layer stands there where its tensor was forgotten, unless one is taken next.
        let forgot = matches!(&value, Value::Layer(layer) if matches!(**layer, Layer::Partial(_) | Layer::Joined(..)))
            && params.get(1).is_some_and(|param| param.kind == Kind::Tensor);
        let is_tensor = forgot || matches!(value, Value::Tensor(_) | Value::Tuple(_) | Value::Unknown);
        (Some(value), !is_tensor && params.len() > 1)
    }

    fn too_many(&mut self, callee: &str, params: &[Taken<'_>], arg: &Argument, before: Option<&Argument>) {
        let names: Vec<&str> = params.iter().map(|param| param.name).collect();
        let message = format!("`{callee}` takes no more arguments; it has ({})", names.join(", "));
        let found = Diagnostic::error(Code::ExtraArgument, arg.span, message);
        let digits = |arg: &Argument| {
            let text = self.written(arg.span);
            text.chars().all(|c| c.is_ascii_digit()).then_some(text)
        };
        // `0,5` as some languages write numbers.
        let point = before.filter(|before| before.span.end + 1 == arg.span.start);
        if let (Some(before), Some(b)) = (point, digits(arg))
            && let Some(a) = digits(before)
        {
            let found = found.help(format!("a number has a point: write `{a}.{b}`"));
            self.report(found.edit(before.span.to(arg.span), format!("{a}.{b}")));
            return;
        }
        let place = self.argument_with_comma(arg.span);
        self.report(found.help("take this argument out").edit(place, ""));
    }

    /// Says that a layer finds out by itself how many come in: `dense(784, 10)`.
    fn incoming_size(
        &mut self,
        callee: &str,
        params: &[Taken<'_>],
        next: usize,
        args: &'a [Argument],
        at: usize,
    ) -> bool {
        let is_number = |arg: &Argument| {
            matches!(arg.name, ArgumentName::None) && matches!(arg.value.kind, ExprKind::Number(_))
        };
        let (Some(before), Some(arg)) = (at.checked_sub(1).and_then(|before| args.get(before)), args.get(at))
        else {
            return false;
        };
        let sizes = next > 0 && params[next - 1].kind == Kind::Axis && params[next].kind == Kind::Bool;
        if !sizes || !is_number(before) || !is_number(arg) {
            return false;
        }
        let (came, gives) = (self.written(before.span), self.written(arg.span));
        let message = format!("`{callee}` takes what it gives, not what comes in: `{came}` is known already");
        let found = Diagnostic::error(Code::ExtraArgument, before.span, message)
            .help(format!("write `{callee}({gives})`"))
            .edit(self.argument_with_comma(before.span), "");
        self.report(found);
        true
    }

    fn given_twice(&mut self, callee: &str, name: &str, span: Span) {
        let message = format!("`{name}` of `{callee}` is given twice");
        let place = self.argument_with_comma(span);
        let found = Diagnostic::error(Code::ExtraArgument, span, message).help("take one of the two out");
        self.report(found.edit(place, ""));
    }

    /// `kernel: 3`
    fn named(
        &mut self,
        callee: &str,
        params: &[Taken<'_>],
        name: &Ident,
        arg: &'a Argument,
        out: &mut Arranged<'a>,
    ) {
        let Some(at) = params.iter().position(|param| param.name == name.text) else {
            let free = params.iter().enumerate().find(|(at, param)| {
                param.kind == Kind::Axis && out.slots.get(*at).is_some_and(Option::is_none)
            });
            self.unknown_argument(callee, params, name, arg, free.is_some());
            // What nothing takes is no further mistake, whatever it is; under a misspelt name it is one.
            if did_you_mean(&name.text, params.iter().map(|param| param.name)).is_some() {
                self.argument_alone(arg);
            }
            out.wrong = true;
            return;
        };
        let whose = format!("`{}` of `{callee}`", name.text);
        let value = self.argument(&arg.value, params[at].kind, &whose);
        if out.slots[at].is_some() {
            self.given_twice(callee, &name.text, arg.span);
            out.wrong = true;
        }
        out.slots[at] = Some(Bound { value, span: arg.value.span });
    }

    fn unknown_argument(
        &mut self,
        callee: &str,
        params: &[Taken<'_>],
        name: &Ident,
        arg: &'a Argument,
        lacks_axis: bool,
    ) {
        let names: Vec<&str> = params.iter().map(|param| param.name).collect();
        let message = format!("`{callee}` has no argument `{}`", name.text);
        let found = Diagnostic::error(Code::UnknownArgument, name.span, message);
        let found = match did_you_mean(&name.text, names.iter().copied()) {
            Some(near) => found.help(format!("did you mean `{near}:`?")).edit(name.span, near),
            None if matches!(name.text.as_str(), "activation" | "act" | "nonlinearity") => {
                let function = self.written(arg.value.span).trim_matches('"').to_string();
                let taken_out = self.argument_with_comma(arg.span);
                let text = self.loaded.sources.get(arg.span.file).text.as_str();
                let end = text[arg.span.end as usize..].find(')').map(|n| arg.span.end as usize + n + 1);
                let found = found.help(format!("an activation is a layer of its own: `… |> {function}`"));
                match end {
                    Some(end) => found
                        .edit(taken_out, "")
                        .edit(Span::new(arg.span.file, end, end), format!(" |> {function}")),
                    None => found,
                }
            }
            None if lacks_axis && matches!(arg.value.kind, ExprKind::Number(_)) => found
                .help(format!(
                    "an axis is named with `=`: `{} = {}`",
                    name.text,
                    self.written(arg.value.span)
                ))
                .edit(Span { start: name.span.end, end: arg.value.span.start, ..name.span }, " = "),
            None => found.help(format!("it has ({})", names.join(", "))),
        };
        self.report(found);
    }

    /// `class = 1000`
    fn sized(
        &mut self,
        callee: &str,
        param: Option<&Taken<'_>>,
        name: &Ident,
        arg: &'a Argument,
        out: &mut Arranged<'a>,
        at: usize,
    ) {
        let takes_axis = param.is_some_and(|param| matches!(param.kind, Kind::Axis | Kind::Any));
        if !takes_axis || at >= out.slots.len() {
            let value = self.quote(arg.value.span).unwrap_or_else(|| "`…`".into());
            let value = value.trim_matches('`').to_string();
            let message = format!("`{} = {value}` makes an axis, and `{callee}` takes none here", name.text);
            let found = Diagnostic::error(Code::WrongKind, arg.span, message)
                .help(format!("arguments are named with a colon: `{}: {value}`", name.text))
                .edit(arg.span, format!("{}: {value}", name.text));
            self.report(found);
            out.wrong = true;
            return;
        }
        let whose = format!("the axis `{}`", name.text);
        let value = match self.argument(&arg.value, Kind::Axis, &whose) {
            Value::Axis(axis) => Value::Axis(Axis { name: Some(name.text.as_str().into()), ..axis }),
            _ => Value::Unknown,
        };
        out.slots[at] = Some(Bound { value, span: arg.value.span });
    }

    /// Calls with arranged arguments, or keeps them where the tensor is still to come.
    fn supply(
        &mut self,
        layer: &Rc<Layer<'a>>,
        params: &[Taken<'_>],
        arranged: Arranged<'a>,
        site: &Site,
    ) -> Value<'a> {
        let Arranged { slots, extra, wrong } = arranged;
        if wrong {
            return Value::Unknown;
        }
        // What is still missing in front are the tensors; anything else missing is a mistake.
        let waits =
            |at: usize| params[at].kind == Kind::Tensor || (at == 0 && params[at].kind == Kind::Operand);
        let leading =
            (0..params.len()).take_while(|at| slots[*at].is_none() && waits(*at) && params[*at].required);
        let lacks = if site.name.is_some() && !extra.is_empty() { 0 } else { leading.count() };
        for (at, param) in params.iter().enumerate().skip(lacks) {
            if param.required && slots[at].is_none() {
                // What is unknown may stand where it belongs.
                if slots.iter().flatten().any(|bound| bound.value.is_unknown()) {
                    return Value::Unknown;
                }
                self.missing(layer, param, site.span);
                return Value::Unknown;
            }
        }
        if lacks == 0 {
            return self.finish(layer, slots, extra, site);
        }
        Value::Layer(Rc::new(Layer::Partial(Partial {
            callee: layer.clone(),
            args: slots,
            extra,
            name: site.name.clone(),
            frozen: site.frozen,
            span: site.span,
        })))
    }

    fn missing(&mut self, layer: &Rc<Layer<'a>>, param: &Taken<'_>, span: Span) {
        let (callee, at) = match &**layer {
            Layer::Defined(definition, _) => {
                let declared = definition.params.iter().find(|p| p.name.text == param.name);
                (name_of(definition), declared.map(|p| p.span))
            }
            Layer::Intrinsic(intrinsic) => (intrinsic.name, None),
            Layer::Model(definition) => (name_of(definition), None),
            Layer::Partial(_) | Layer::Joined(..) | Layer::Shared { .. } => ("this layer", None),
        };
        let message = format!("`{callee}` needs `{}`: {}", param.name, param.kind.wants());
        let mut found = Diagnostic::error(Code::MissingArgument, span, message);
        let text = self.written(span);
        found = match param.kind.example() {
            // What to write is the user's to choose; this is one that can be.
            Some(example) if !self.in_library() && !text.contains('\n') => {
                let named = if matches!(param.kind, Kind::Axis) {
                    example.to_string()
                } else {
                    format!("{}: {example}", param.name)
                };
                let ours = match text.strip_suffix(')') {
                    Some(open) if open.ends_with('(') => format!("{open}{named})"),
                    Some(open) => format!("{open}, {named})"),
                    None => format!("{text}({named})"),
                };
                found.help(format!("write `{ours}`, for example")).edit(span, ours)
            }
            _ => found.help(format!("add `{}: …` to the call", param.name)),
        };
        if let Some(at) = at
            && !self.loaded.in_library(at)
        {
            found = found.label(at, "declared here, without a default");
        }
        self.report(found);
    }

    /// Calls with every argument in its slot.
    fn finish(
        &mut self,
        layer: &Rc<Layer<'a>>,
        slots: Vec<Option<Bound<'a>>>,
        extra: Vec<Bound<'a>>,
        site: &Site,
    ) -> Value<'a> {
        match &**layer {
            Layer::Defined(definition, captured) => {
                let Some(naming) = self.naming(name_of(definition), site) else { return Value::Unknown };
                self.instantiate(definition, captured.clone(), slots, naming, site.span)
            }
            Layer::Intrinsic(intrinsic) => {
                let unknown = |bound: &Bound<'a>| bound.value.is_unknown();
                if slots.iter().flatten().any(unknown) || extra.iter().any(unknown) {
                    return Value::Unknown;
                }
                let call = Call { intrinsic, slots, extra, span: site.span };
                let result = self.inside(site, |checker| (intrinsic.run)(checker, &call));
                if !self.in_library() {
                    self.hint(site.span, intrinsic.name.to_string(), &result, None);
                }
                result
            }
            Layer::Model(definition) => {
                let Some(naming) = self.naming(name_of(definition), site) else { return Value::Unknown };
                self.call_model(definition, slots, naming, site.span)
            }
            Layer::Partial(_) | Layer::Joined(..) | Layer::Shared { .. } => {
                unreachable!("only what has parameters of its own is called with slots")
            }
        }
    }

    /// What a call's region and variables are called.
    fn naming(&mut self, layer: &str, site: &Site) -> Option<Naming> {
        let (shared, frozen) = (self.frame().shared, self.frame().frozen || site.frozen);
        if let Some(path) = &site.path {
            let own = Some((own_name(path), site.span));
            return Some(Naming { path: path.clone(), own, shared: true, frozen });
        }
        if let Some((name, span)) = &site.name {
            let path = join(&self.frame().path.clone(), name);
            let own = Some((name.clone(), *span));
            return self.claim(name, *span).then_some(Naming { path, own, shared, frozen });
        }
        let frame = self.frame();
        let base = join(frame.binding.as_deref().unwrap_or(""), layer);
        let taken = frame.counters.entry(base.clone()).or_insert(0);
        let name = if *taken == 0 { base } else { format!("{base}[{taken}]") };
        *taken += 1;
        Some(Naming { path: join(&frame.path, &name), own: None, shared, frozen })
    }

    /// Takes an `as` name, once.
    fn claim(&mut self, name: &str, span: Span) -> bool {
        match self.frame().as_names.insert(name.to_string(), span) {
            None => true,
            Some(first) => {
                let message = format!("two calls are named `{name}`");
                let found = Diagnostic::error(Code::DuplicateName, span, message)
                    .label(first, "the first")
                    .help(if first == span {
                        format!("in a loop, name the turn: `as {name}[i]`")
                    } else {
                        format!("give one of the two another name, as in `{name}2`")
                    });
                let turn = self.frame().turn.clone();
                let found = match turn {
                    Some(turn) if first == span => found.edit(Self::behind(span), format!("[{turn}]")),
                    None if first == span => found,
                    _ => found.edit(span, format!("{name}2")),
                };
                self.report(found);
                false
            }
        }
    }
}

/// What the user called a shared layer: the last name of its path.
fn own_name(path: &str) -> String {
    path.rsplit('/').next().unwrap_or(path).to_string()
}
