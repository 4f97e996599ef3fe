//! The optimizer of a `train` block: its layer applied to every parameter and its gradient, clipped where that is
//! asked for.

use std::rc::Rc;

use strata_grammar::ast::{Argument, ArgumentName, Expr, ExprKind, Train, TrainKind, UnaryOp};
use strata_grammar::{Code, Diagnostic, Span, did_you_mean};

use super::Checker;
use super::call::Site;
use super::signature::lone_name;
use super::value::{Bound, Layer, Value};
use crate::graph::ValueId;
use crate::model::{RegionKind, StateUpdate, VariableKind, When};
use crate::ops::{Op, VariableId};

impl<'a> Checker<'a> {
    /// Applies the optimizer to every parameter of the model under construction.
    pub(super) fn optimize(&mut self, train: &'a Train, complete: bool) {
        let optimizers = train.body.iter().filter_map(|statement| match &statement.kind {
            TrainKind::Optimize(expr) => Some(expr),
            _ => None,
        });
        let Some(expr) = optimizers.into_iter().next() else { return };
        let (callee, args) = match &expr.kind {
            ExprKind::Call { callee, args, .. } => (&**callee, args.as_slice()),
            _ => (expr, &[][..]),
        };
        let Some(layer) = self.optimizer(callee) else { return };
        for arg in args {
            if let ArgumentName::Colon(name) = &arg.name
                && matches!(name.text.as_str(), "rate" | "decay" | "momentum" | "epsilon")
                && let ExprKind::Unary { op: UnaryOp::Neg, arg: inner } = &arg.value.kind
                && matches!(inner.kind, ExprKind::Number(_))
            {
                let message = format!("`{}` is 0 or more", name.text);
                let right = self.written(inner.span);
                let found = Diagnostic::error(Code::BadValue, arg.value.span, message)
                    .help(format!("write `{right}`"))
                    .edit(arg.value.span, right);
                self.report(found);
                return;
            }
        }
        let params: Vec<VariableId> = (0..self.build.model.variables.len() as u32)
            .map(VariableId)
            .filter(|id| self.build.model.variables[id.0 as usize].kind == VariableKind::Param)
            .collect();
        if params.is_empty() {
            // Its arguments are looked at all the same, for what may be wrong with them.
            let definition = self.frame().definition;
            if complete && self.errors() == 0 && !self.is_broken(definition) && !self.loaded.incomplete {
                let name = train.model.as_ref().map_or(train.span, |name| name.span);
                let found =
                    Diagnostic::error(Code::IncompleteModel, name, "this model has no parameters to train")
                        .help("add layers such as `dense(10)`, or `param`s of its own");
                self.report(found);
            }
            return;
        }
        self.optimizing = Some(train);
        _ = self.updates(&layer, args, &params, train, expr.span);
        self.optimizing = None;
    }

    /// The new weights of all parameters, and their averages where the block asks for them.
    fn updates(
        &mut self,
        layer: &Rc<Layer<'a>>,
        args: &'a [Argument],
        params: &[VariableId],
        train: &'a Train,
        span: Span,
    ) -> Option<()> {
        let layer = self.with_arguments(layer, args, params[0], span)?;
        let keep = match setting(train, "average") {
            Some(expr) => Some(self.part_of_average(expr)?),
            None => None,
        };
        let gradients = self.gradients(params, train, span)?;
        for (id, gradient) in params.iter().zip(gradients) {
            let value = self.optimize_one(&layer, *id, gradient, span)?;
            if let Some(keep) = keep {
                self.average(*id, value, keep, span)?;
            }
        }
        Some(())
    }

    /// The optimizer with its arguments. They are evaluated once, so that all parameters move at one rate, which is
    /// watched where it changes.
    fn with_arguments(
        &mut self,
        layer: &Rc<Layer<'a>>,
        args: &'a [Argument],
        first: VariableId,
        span: Span,
    ) -> Option<Rc<Layer<'a>>> {
        let mut partial = None;
        self.within("optimizer/arguments", RegionKind::Optimizer, span, |checker| {
            // Any parameter will do to tell which arguments are still to come.
            let weight = checker.emit(Op::Variable(first), &[], span)?;
            let stands = || Bound { value: Value::Tensor(weight), span };
            let site = Site { span, name: None, path: None, frozen: false };
            partial = checker.partly(layer, args, vec![stands(), stands()], &site);
            Some(())
        })?;
        let partial = partial?;
        if let Layer::Defined(definition, _) = &**layer
            && let Some(at) = definition.params.iter().position(|param| param.name.text == "rate")
            && let Some(Bound { value: Value::Tensor(rate), .. }) = &partial.args[at]
        {
            self.build.model.watched.push(("rate".to_string(), *rate));
        }
        Some(Rc::new(Layer::Partial(partial)))
    }

    fn optimizer(&mut self, callee: &'a Expr) -> Option<Rc<Layer<'a>>> {
        const OPTIMIZERS: [&str; 13] = [
            "sgd", "momentum", "adam", "adamw", "rmsprop", "adagrad", "lamb", "lars", "adadelta", "adamax",
            "nadam", "radam", "lion",
        ];
        let name = lone_name(callee);
        let layer = name.and_then(|name| self.global_layer(&name.text));
        let fits = layer.as_ref().is_some_and(|layer| match &**layer {
            Layer::Defined(definition, _) => {
                let first: Vec<&str> =
                    definition.params.iter().take(2).map(|p| p.name.text.as_str()).collect();
                first == ["weight", "gradient"]
            }
            Layer::Intrinsic(_)
            | Layer::Model(_)
            | Layer::Partial(_)
            | Layer::Joined(..)
            | Layer::Shared { .. } => false,
        });
        if fits {
            return layer;
        }
        if matches!(callee.kind, ExprKind::Bad) {
            return None;
        }
        let text = self.quote(callee.span).unwrap_or_else(|| "this".into());
        let found = if let Some(Layer::Defined(definition, _)) = layer.as_deref() {
            Diagnostic::error(Code::WrongKind, callee.span, format!("{text} is no optimizer")).label(
                definition.name.as_ref().map_or(definition.span, |n| n.span),
                "its parameters do not begin with `weight, gradient`",
            )
        } else {
            if self.excused(text.trim_matches('`')) {
                return None;
            }
            Diagnostic::error(Code::UnknownName, callee.span, format!("there is no optimizer {text}"))
        };
        let quoted = match &callee.kind {
            ExprKind::String(text) => OPTIMIZERS.into_iter().find(|known| text.eq_ignore_ascii_case(known)),
            _ => None,
        };
        let near = quoted.or_else(|| name.and_then(|name| did_you_mean(&name.text, OPTIMIZERS)));
        let found = match near {
            Some(near) => found.help(format!("did you mean `{near}`?")).edit(callee.span, near),
            None => found.help(format!("there are {}", OPTIMIZERS.join(", "))),
        };
        self.report(found);
        None
    }

    /// The gradients, clipped where the block says so.
    fn gradients(&mut self, params: &[VariableId], train: &'a Train, span: Span) -> Option<Vec<ValueId>> {
        let mut gradients = Vec::new();
        for id in params {
            gradients.push(self.emit(Op::Gradient(*id), &[], span)?);
        }
        if let Some(expr) = setting(train, "accumulate")
            && self.plain_count(expr, 1, "`accumulate`")? > 1
        {
            gradients = self.accumulate(params, &gradients, expr.span)?;
        }
        for statement in &train.body {
            let TrainKind::Clip { norm, limit } = &statement.kind else { continue };
            let bound = self.bound(limit, "the bound of `clip`")?;
            let span = statement.span;
            let clipped = if *norm {
                self.clip_norm(&gradients, bound, span)
            } else {
                self.clip_value(&gradients, bound, span)
            };
            gradients = clipped?;
        }
        Some(gradients)
    }

    fn optimize_one(
        &mut self,
        layer: &Rc<Layer<'a>>,
        id: VariableId,
        gradient: ValueId,
        span: Span,
    ) -> Option<ValueId> {
        let name = self.build.model.variables[id.0 as usize].name.clone();
        let ty = self.build.model.variables[id.0 as usize].ty.clone();
        let weight = self.emit(Op::Variable(id), &[], span)?;
        let region = self.build.model.regions.len();
        let piped = vec![
            Bound { value: Value::Tensor(weight), span },
            Bound { value: Value::Tensor(gradient), span },
        ];
        let site = Site { span, name: None, path: Some(format!("optimizer/{name}")), frozen: false };
        let value = self.apply(layer, &[], piped, &site);
        if let Some(region) = self.build.model.regions.get_mut(region) {
            region.kind = RegionKind::Optimizer;
        }
        let value = match value {
            Value::Tensor(value) => value,
            Value::Unknown => return None,
            other => {
                self.wrong_kind(&other, "the new weight", span, "an optimizer");
                return None;
            }
        };
        let declared = self.build.model.variables[id.0 as usize].call;
        let value = self.same_type(value, &ty, span, &name, declared)?;
        self.build.model.updates.push(StateUpdate { variable: id, value, when: When::EndOfStep, span });
        Some(value)
    }
}

/// The value of a setting such as `average 0.999`.
fn setting<'a>(train: &'a Train, wanted: &str) -> Option<&'a Expr> {
    train.body.iter().find_map(|statement| match &statement.kind {
        TrainKind::Setting { word, value } if word.text == wanted => Some(value),
        _ => None,
    })
}
