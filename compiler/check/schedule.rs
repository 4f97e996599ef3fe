//! What schedules are written with: numbers of steps and epochs, and what evaluation found.
//!
//! How many steps an epoch has, and what the last evaluation gave, are known only while a run goes on. Each lies in a
//! variable that the run writes (see `strata_runtime::train::told`), so a program holds no such number.

use strata_grammar::ast::{Expr, ExprKind, TrainKind};
use strata_grammar::{Code, Diagnostic, Span, did_you_mean};
use strata_runtime::train::told;

use super::Checker;
use super::intrinsics::Call;
use super::signature::Kind;
use super::value::Value;
use crate::model::{Init, Variable, VariableKind};
use crate::ops::{Binary, Op};
use crate::run::Every;
use crate::types::{DType, Type};

impl<'a> Checker<'a> {
    /// An argument that counts steps: `500 steps`, `5 epochs`, a number of steps; or a list of these.
    pub(super) fn durations(&mut self, expr: &'a Expr, kind: Kind, whose: &str) -> Value<'a> {
        match (&expr.kind, kind) {
            (ExprKind::Paren(inner), _) => self.durations(inner, kind, whose),
            (ExprKind::List(members), Kind::Durations) => {
                let all: Vec<Value<'a>> =
                    members.iter().map(|member| self.durations(member, Kind::Duration, whose)).collect();
                if all.iter().any(Value::is_unknown) { Value::Unknown } else { Value::List(all.into()) }
            }
            (ExprKind::Quantity { .. }, Kind::Durations) => {
                match self.durations(expr, Kind::Duration, whose) {
                    Value::Unknown => Value::Unknown,
                    one => Value::List([one].into()),
                }
            }
            (ExprKind::Quantity { .. }, _) => self.quantity(expr, whose),
            _ => {
                let value = self.eval(expr);
                let value = self.fit(value, Some(expr), kind, expr.span, whose);
                match value.number() {
                    Some(x) if x < 0.0 || !x.is_finite() => {
                        let message = format!("{whose} takes {}, not {x}", Kind::Duration.wants());
                        self.report(Diagnostic::error(Code::BadValue, expr.span, message));
                        Value::Unknown
                    }
                    _ => value,
                }
            }
        }
    }

    fn quantity(&mut self, expr: &'a Expr, whose: &str) -> Value<'a> {
        match self.every(expr) {
            None => Value::Unknown,
            Some(Every::Steps(steps)) => Value::Float(steps as f64),
            Some(Every::Epochs(epochs)) => {
                let Some(steps) = self.told(told::STEPS_PER_EPOCH, 1.0, expr.span) else {
                    return Value::Unknown;
                };
                let Some(count) = self.constant(epochs, DType::F64, expr.span) else {
                    return Value::Unknown;
                };
                self.tensor(Op::Binary(Binary::Mul), &[count, steps], expr.span)
            }
            Some(Every::Seconds(_)) => {
                let message = format!("{whose} takes {}, not a time by the clock", Kind::Duration.wants());
                let found = Diagnostic::error(Code::BadValue, expr.span, message)
                    .help("write `5 epochs` or `1000 steps`: what is trained must not depend on the clock");
                self.report(found);
                Value::Unknown
            }
        }
    }

    /// The number that the run keeps under `name`, as an `f64[]`.
    fn told(&mut self, name: &str, begins: f64, span: Span) -> Option<crate::graph::ValueId> {
        if self.optimizing.is_none() {
            let message = "epochs and evaluations are counted while a `train` block is run, and only `optimize` can ask for them";
            let found = Diagnostic::error(Code::MisplacedStatement, span, message)
                .help("count in steps here: `1000 steps`");
            self.report(found);
            return None;
        }
        let known = self.build.find_variable(name);
        let id = known.unwrap_or_else(|| {
            let (region, call) = (self.frame().region, self.users_text(span));
            self.build.variable(Variable {
                name: name.to_string(),
                kind: VariableKind::Const,
                ty: Type::scalar(DType::F64),
                init: Init::Constant(begins),
                span,
                call,
                region,
            })
        });
        self.emit(Op::Variable(id), &[], span)
    }
}

/// `evaluated("loss")`: what the last evaluation gave.
pub(super) fn evaluated<'a>(checker: &mut Checker<'a>, call: &Call<'a>) -> Value<'a> {
    let Some(Value::Text(metric)) = super::intrinsics::given(call, 0).map(|bound| bound.value.clone()) else {
        return Value::Unknown;
    };
    let span = checker.users_text(call.span);
    let mut names: Vec<String> =
        checker.build.model.metrics.iter().map(|metric| metric.name.clone()).collect();
    names.push("loss".to_string());
    if !names.iter().any(|name| **name == *metric) {
        let message = format!("`{}` has no metric `{metric}`", checker.build.model.name);
        let found = Diagnostic::error(Code::UnknownName, span, message);
        checker.report(match did_you_mean(&metric, names.iter().map(String::as_str)) {
            Some(near) => found.help(format!("did you mean `{near}`?")),
            None => found.help(format!("there are {}", names.join(", "))),
        });
        return Value::Unknown;
    }
    if !evaluates(checker, span) {
        return Value::Unknown;
    }
    let value = checker.told(&told::evaluated(&metric), 0.0, call.span);
    value.map_or(Value::Unknown, Value::Tensor)
}

/// `evaluations()`: how many evaluations there were.
pub(super) fn evaluations<'a>(checker: &mut Checker<'a>, call: &Call<'a>) -> Value<'a> {
    let span = checker.users_text(call.span);
    if !evaluates(checker, span) {
        return Value::Unknown;
    }
    checker.told(told::EVALUATIONS, 0.0, call.span).map_or(Value::Unknown, Value::Tensor)
}

/// Whether the block evaluates anything; says so where it does not.
fn evaluates(checker: &mut Checker<'_>, span: Span) -> bool {
    let Some(train) = checker.optimizing else { return true };
    let has = |statement: &strata_grammar::ast::TrainStatement| {
        matches!(statement.kind, TrainKind::Evaluate { every: Some(_), .. } | TrainKind::Bad)
    };
    if train.body.iter().any(has) {
        return true;
    }
    let message = "this follows evaluations, and the `train` block makes none on the way";
    let found =
        Diagnostic::error(Code::MissingSetting, span, message).help("add `evaluate test every 1 epoch`");
    checker.report(found);
    false
}
