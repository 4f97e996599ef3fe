//! `generate` statements: which scores a decoder follows, and its rules.

use strata_grammar::ast::{Argument, ArgumentName, Expr, ExprKind, GenerateKind, GenerateRule, Ident};
use strata_grammar::{Code, Diagnostic, Span, did_you_mean};
use strata_runtime::generate::{Sampling, Strategy};
use strata_runtime::queue::{END, PAD, START, UNKNOWN};

use super::Checker;
use super::signature::lone_name;
use super::value::Value;
use crate::decode::Steps;
use crate::model::Decoder;
use crate::ops::{InputId, Op};
use crate::types::Size;

/// A `generate` statement whose model is still being elaborated.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    input: InputId,
    /// Its name in the text.
    name: Span,
    strategy: Strategy,
    stop: Option<u32>,
    most: Option<Size>,
    no_repeats: bool,
    prefix: Option<InputId>,
    span: Span,
}

impl<'a> Checker<'a> {
    pub(super) fn generate(&mut self, name: &'a Ident, rules: &'a [GenerateRule], span: Span) {
        if self.frame().given.is_some() {
            // A model that is called as a layer makes nothing.
            return;
        }
        let head = Span { end: span.start.saturating_add(8).min(span.end), ..span };
        if !self.frame().is_model {
            self.misplaced(
                head,
                "`generate` belongs in a model",
                "move it to the model that calls this layer",
            );
            return;
        }
        let Some(input) = self.sequence(name) else { return };
        let mut draft = Draft {
            input,
            name: name.span,
            strategy: Strategy::Greedy,
            stop: None,
            most: None,
            no_repeats: false,
            prefix: None,
            span,
        };
        let before = self.errors();
        let mut chosen: Option<Span> = None;
        for rule in rules {
            let strategy = match &rule.kind {
                GenerateKind::Greedy => Some(Strategy::Greedy),
                GenerateKind::Beam { width, length } => self.beam(width, length.as_ref()),
                GenerateKind::Sample(args) => self.sample(args),
                GenerateKind::Prefix(expr) => {
                    draft.prefix = self.prefix(expr, name);
                    None
                }
                GenerateKind::StopAt(expr) => {
                    draft.stop = self.token(expr);
                    None
                }
                GenerateKind::AtMost(expr) => {
                    draft.most = self.most(expr);
                    None
                }
                GenerateKind::NoRepeats => {
                    draft.no_repeats = true;
                    None
                }
                GenerateKind::Bad => return,
            };
            let Some(strategy) = strategy else { continue };
            if let Some(first) = chosen {
                let message = "a decoder chooses tokens in one way: this is a second";
                let found = Diagnostic::error(Code::DuplicateSetting, rule.span, message)
                    .label(first, "the first")
                    .help("keep one of `greedy`, `beam` and `sample`");
                self.report(found);
            }
            chosen = Some(rule.span);
            draft.strategy = strategy;
        }
        if self.errors() > before {
            return;
        }
        if draft.most.is_none() && draft.stop.is_none() {
            let message = "nothing ends this sequence";
            let found =
                Diagnostic::error(Code::Decoder, head, message).help("add `at most 50` or `stop at END`");
            self.report(found);
            return;
        }
        self.build.drafts.push(draft);
    }

    /// The input that is to be made: whole numbers along examples and a free axis.
    fn sequence(&mut self, name: &'a Ident) -> Option<InputId> {
        let names: Vec<String> = self.build.model.inputs.iter().map(|input| input.name.clone()).collect();
        let Some(at) = names.iter().position(|input| *input == name.text) else {
            if self.frame().scope.get(&name.text).is_some() {
                let near = did_you_mean(&name.text, names.iter().map(String::as_str)).map(str::to_string);
                let message = format!("`{}` is no input, and only inputs can be made", name.text);
                let found = Diagnostic::error(Code::Decoder, name.span, message);
                let found = match near {
                    Some(near) => found.help(format!("did you mean `{near}`?")).edit(name.span, near),
                    None => found.help("name the input that the loss compares with: its sequence is made"),
                };
                self.report(found);
            } else {
                self.unknown_name(name, false);
            }
            return None;
        };
        let input = &self.build.model.inputs[at];
        let free = |axis: usize| input.ty.axes.get(axis).is_some_and(|a| matches!(a.size, Size::Free(_)));
        if input.ty.dtype.is_float() || input.ty.rank() != 2 || !free(0) || !free(1) {
            let message = format!("`{}` is {}, which is no sequence of tokens", name.text, input.ty);
            let found =
                Diagnostic::error(Code::Decoder, name.span, message).label(input.span, "declared here").help(
                    "a sequence is `i32[batch, time]` or `i32[batch, ragged time]`, its axes without sizes",
                );
            self.report(found);
            return None;
        }
        Some(InputId(at as u32))
    }

    fn beam(&mut self, width: &'a Expr, length: Option<&'a Expr>) -> Option<Strategy> {
        let width = self.positive(width, "the width of the beam")?;
        let length = match length {
            Some(expr) => self.number_from(expr, 0.0, "the exponent of length normalisation")?,
            None => 0.0,
        };
        Some(Strategy::Beam { width: width as usize, length })
    }

    fn sample(&mut self, args: &'a [Argument]) -> Option<Strategy> {
        let mut sampling = Sampling { temperature: 1.0, top: None, nucleus: None };
        for arg in args {
            let ArgumentName::Colon(name) = &arg.name else {
                let message = "arguments of `sample` have names";
                let found = Diagnostic::error(Code::UnknownArgument, arg.value.span, message)
                    .help("write `sample temperature: 0.7, top: 40, nucleus: 0.9`");
                self.report(found);
                return None;
            };
            match name.text.as_str() {
                "temperature" => {
                    let x = self.number_from(&arg.value, 0.0, "the temperature")?;
                    if x == 0.0 {
                        let message = "at the temperature 0 nothing is drawn";
                        let found = Diagnostic::error(Code::BadValue, arg.value.span, message)
                            .help("write `greedy` for the likeliest token each time");
                        self.report(found);
                        return None;
                    }
                    sampling.temperature = x;
                }
                "top" => sampling.top = Some(self.positive(&arg.value, "`top`")? as usize),
                "nucleus" => {
                    let x = self.number_from(&arg.value, 0.0, "`nucleus`")?;
                    if x == 0.0 || x > 1.0 {
                        let message = format!("`nucleus` is a probability above 0 and at most 1, not {x}");
                        self.report(Diagnostic::error(Code::BadValue, arg.value.span, message));
                        return None;
                    }
                    sampling.nucleus = Some(x);
                }
                _ => {
                    let message = format!("`sample` has no argument `{}`", name.text);
                    let found = Diagnostic::error(Code::UnknownArgument, name.span, message);
                    let found = match did_you_mean(&name.text, ["temperature", "top", "nucleus"]) {
                        Some(near) => found.help(format!("did you mean `{near}`?")).edit(name.span, near),
                        None => found.help("it has temperature, top and nucleus"),
                    };
                    self.report(found);
                    return None;
                }
            }
        }
        Some(Strategy::Sample(sampling))
    }

    fn number_from(&mut self, expr: &'a Expr, least: f64, what: &str) -> Option<f64> {
        let value = self.eval(expr);
        let x = match value {
            Value::Int(n) => n as f64,
            Value::Float(x) => x,
            Value::Unknown => return None,
            other => {
                self.wrong_kind(&other, "a number", expr.span, what);
                return None;
            }
        };
        if x.is_finite() && x >= least {
            return Some(x);
        }
        let message = format!("{what} is a number from {least} on, not {x}");
        self.report(Diagnostic::error(Code::BadValue, expr.span, message));
        None
    }

    /// A token by its number, or one of the reserved ones by its name.
    fn token(&mut self, expr: &'a Expr) -> Option<u32> {
        const RESERVED: [(&str, i32); 4] =
            [("PAD", PAD), ("START", START), ("END", END), ("UNKNOWN", UNKNOWN)];
        if let Some(name) = lone_name(expr)
            && let Some((_, number)) = RESERVED.iter().find(|(word, _)| *word == name.text)
        {
            return Some(*number as u32);
        }
        let value = self.eval(expr);
        match value {
            Value::Int(n) if (0..=i64::from(i32::MAX)).contains(&n) => Some(n as u32),
            Value::Unknown => None,
            other => {
                self.wrong_kind(
                    &other,
                    "the number of a token, or PAD, START, END, UNKNOWN",
                    expr.span,
                    "`stop at`",
                );
                None
            }
        }
    }

    fn most(&mut self, expr: &'a Expr) -> Option<Size> {
        let value = self.eval(expr);
        match value {
            Value::Int(n) if n >= 1 => Some(Size::Known(n as u64)),
            Value::Size(size) => Some(size),
            Value::Axis(axis) => Some(axis.size),
            Value::Unknown => None,
            other => {
                self.wrong_kind(&other, "a whole number from 1 on", expr.span, "`at most`");
                None
            }
        }
    }

    fn prefix(&mut self, expr: &'a Expr, made: &'a Ident) -> Option<InputId> {
        if matches!(expr.kind, ExprKind::Bad) {
            return None;
        }
        let name = lone_name(expr);
        let at = name.and_then(|name| self.build.model.inputs.iter().position(|i| i.name == name.text));
        if at.is_none() || name.is_some_and(|name| name.text == made.text) {
            let what = self.quote(expr.span).unwrap_or_else(|| "this".into());
            let message = format!("{what} is no other input whose tokens a sequence could begin with");
            let found = Diagnostic::error(Code::Decoder, expr.span, message).help(
                "name an input of tokens, or take the line out and give `--prefix \"…\"` when generating",
            );
            self.report(found);
            return None;
        }
        at.map(|at| InputId(at as u32))
    }

    /// The decoders of the model, now that its loss is known; says what keeps one from making its sequence.
    pub(super) fn decoders(&mut self) {
        let drafts = std::mem::take(&mut self.build.drafts);
        if self.build.model.loss.is_none() && self.build.loss_span.is_some() {
            // What the loss is made of was reported.
            return;
        }
        for draft in drafts {
            let input = Op::Input(draft.input);
            let mut losses = self.build.losses.iter();
            let name = self.build.model.inputs[draft.input.0 as usize].name.clone();
            let Some(loss) = losses.find(|loss| *self.build.op(loss.label) == input) else {
                let message = format!("no loss says how likely each token of `{name}` is");
                let found = Diagnostic::error(Code::Decoder, draft.name, message)
                    .help(format!("add `loss cross_entropy(scores, {name})`, the scores one row a position"));
                self.report(found);
                continue;
            };
            let (logits, at) = (loss.logits, loss.span);
            // Where scores are of an example's own places, what lies beyond its end is no choice.
            let last = self.ty(logits).rank().saturating_sub(1);
            let Some(logits) = self.ends(logits, &[last], f64::NEG_INFINITY, at) else { continue };
            let decoder = Decoder {
                input: draft.input,
                logits,
                strategy: draft.strategy,
                stop: draft.stop,
                most: draft.most,
                no_repeats: draft.no_repeats,
                prefix: draft.prefix,
                span: draft.span,
            };
            if let Err(refusal) = Steps::new(&self.build.model, &decoder) {
                let origin = self.build.model.origins[refusal.origin.0 as usize];
                let found = Diagnostic::error(Code::Decoder, origin.call, refusal.what)
                    .label(draft.name, format!("so `{name}` cannot be made token by token"))
                    .label(at, "which these scores are for")
                    .help(refusal.help);
                self.report(found);
                continue;
            }
            self.build.model.decoders.push(decoder);
        }
    }
}
