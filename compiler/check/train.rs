//! `train` blocks: the optimizer applied to every parameter, data held against the model, when it ends.

use std::collections::HashMap;
use std::sync::Arc;

use strata_grammar::ast::{
    BinaryOp, Expr, ExprKind, Item, StatementKind, Target, Train, TrainKind, TrainStatement,
};
use strata_grammar::{Code, Diagnostic, Span, did_you_mean};

use super::data::label_classes;
use super::place::Parts;
use super::signature::lone_name;
use super::{Checked, Checker, NamedRecipe, items};
use crate::model::{Model, RegionKind};
use crate::ops::Op;
use crate::run::{Evaluate, Every, Run, Save, Stop};
use crate::types::DType;
use strata_runtime::queue::{Recipe, Source, Stage, StageKind};

impl<'a> Checker<'a> {
    /// The `train` blocks that count: the root's, or else those of used files.
    fn trains(&mut self) -> Vec<&'a Train> {
        let root = self.loaded.root();
        let all: Vec<(bool, &'a Train)> = items(self.loaded)
            .filter_map(|(file, item)| match item {
                Item::Train(train) => Some((file == root, train)),
                _ => None,
            })
            .collect();
        let in_root = all.iter().any(|(own, _)| *own);
        all.into_iter().filter(|(own, _)| *own || !in_root).map(|(_, train)| train).collect()
    }

    pub(super) fn check_train(&mut self, checked: &mut Checked, parts: &mut Vec<Arc<Parts>>) {
        let mut runs: HashMap<&'a str, Span> = HashMap::new();
        let mut wrong: Vec<&'a str> = Vec::new();
        for train in self.trains() {
            let Some(name) = &train.model else { continue };
            let own = train.name.as_ref().unwrap_or(name);
            if let Some(first) = runs.insert(&own.text, own.span) {
                let message = format!("two `train` blocks are called `{}`", own.text);
                let found =
                    Diagnostic::error(Code::DuplicateName, own.span, message).label(first, "the first");
                let head = train.args.last().map_or(name.span, |arg| arg.span);
                self.report(match &train.name {
                    Some(_) => found.help("give one of the two another name"),
                    None if train.args.is_empty() => found
                        .help(format!("name it: `train {} as tune`", name.text))
                        .edit(Self::behind(head), " as tune"),
                    None => found.help(format!("name it: `train {}(…) as tune`", name.text)),
                });
                continue;
            }
            if wrong.contains(&name.text.as_str()) {
                // What is wrong with the model was said.
                self.settings_of(train, None, false);
                continue;
            }
            let Some(definition) = self.globals.models.get(name.text.as_str()).copied() else {
                self.unknown_model(name);
                // The rest of the block is looked at without a model.
                self.settings_of(train, None, false);
                continue;
            };
            let elaborated = self.elaborate_model(definition, Some(train));
            let sound = elaborated.sound;
            let again = parts.iter().any(|part| part.model == elaborated.model.name);
            if !again {
                parts.push(Arc::new(Parts::of(&elaborated)));
            }
            if !sound {
                wrong.push(&name.text);
            }
            // A missing file may have brought what the loss is made of.
            if elaborated.model.loss.is_none() && sound && !self.loaded.incomplete {
                let message = format!("`{}` has no loss, so there is nothing to train it by", name.text);
                let found = match bound_loss(definition) {
                    Some((target, value)) => Diagnostic::error(
                        Code::IncompleteModel,
                        target,
                        format!("{message}: `loss = …` binds a name like any other"),
                    )
                    .label(name.span, "trained here")
                    .help("write `loss …` without `=`")
                    .edit(Span { start: target.end, end: value.start, ..target }, " "),
                    None => Diagnostic::error(Code::IncompleteModel, name.span, message)
                        .label(definition.name.as_ref().map_or(definition.span, |n| n.span), "the model")
                        .help("add `loss …` to the model, as in `loss cross_entropy(logits, label)`"),
                };
                self.report(found);
            }
            if again {
                // It is there as the first block trains it.
            } else if sound {
                checked.models.push(untrained(&elaborated.model));
            } else {
                checked.unfinished.push(elaborated.model.clone());
            }
            let settings = self.settings_of(train, Some(&elaborated.model), sound);
            self.check_feeds(train, elaborated, settings, sound, checked);
        }
    }

    pub(super) fn unknown_model(&mut self, name: &strata_grammar::ast::Ident) {
        if self.excused(&name.text) {
            return;
        }
        let near = did_you_mean(&name.text, self.globals.models.keys().copied()).map(str::to_string);
        let message = format!("there is no model called `{}`", name.text);
        let found = Diagnostic::error(Code::UnknownName, name.span, message);
        let found = match near {
            Some(near) => found.help(format!("did you mean `{near}`?")).edit(name.span, near),
            None => found.help(format!("write `model {} {{ … }}`, or `use` the file that has it", name.text)),
        };
        self.report(found);
    }

    fn check_feeds(
        &mut self,
        train: &'a Train,
        elaborated: super::layer::Elaborated,
        settings: TrainSettings<'a>,
        sound: bool,
        checked: &mut Checked,
    ) {
        let model = elaborated.model;
        let classes = label_classes(&model, &elaborated.losses);
        let before = self.errors();
        let feed = settings.feed.and_then(|expr| self.draft(expr).map(|draft| (draft, expr)));
        let size = feed.as_ref().and_then(|(draft, _)| Self::batch_size(draft));
        let mut recipe = None;
        if model.inputs.is_empty() {
            if let Some(expr) = settings.feed {
                let message = format!("`{}` takes no input, so nothing can be fed to it", model.name);
                let found = Diagnostic::error(Code::DataMismatch, expr.span, message);
                self.report(found.help("take this line out").edit(self.whole_line(expr.span), ""));
            }
            let batch = Stage { kind: StageKind::Batch { size: 1 }, origin: 0 };
            recipe = Some(Recipe { source: Source::Nothing, stages: vec![batch] });
        } else if let Some((draft, expr)) = &feed {
            if size.is_none() {
                let found = Diagnostic::error(
                    Code::MissingSetting,
                    expr.span,
                    "the feed does not say how many examples make a batch",
                )
                .help("add `|> batch(64)`")
                .edit(Self::behind(expr.span), " |> batch(64)");
                self.report(found);
            }
            if sound {
                recipe = self.recipe(draft, &model, &classes, None, expr.span);
            }
        }
        let mut evaluate = Vec::new();
        for (expr, every) in &settings.evaluate {
            let Some(draft) = self.draft(expr) else { continue };
            if !sound {
                continue;
            }
            let name = match lone_name(expr) {
                Some(name) => name.text.clone(),
                None => format!("evaluate{}", evaluate.len() + 1),
            };
            let feed = feed.as_ref().map(|(draft, _)| draft);
            if let Some(data) = self.recipe(&draft, &model, &classes, feed, expr.span) {
                evaluate.push(Evaluate { name, data, every: *every });
            }
        }
        if !sound || !settings.sound || self.errors() > before {
            return;
        }
        let draft_of_feed = feed;
        let Some(feed) = recipe else { return };
        let draft_of_feed = draft_of_feed.as_ref().map(|(draft, _)| draft);
        // Names that do not fit the model feed something else; that is no mistake.
        for name in self.globals.data.keys().copied().collect::<Vec<_>>() {
            let said = self.diagnostics.len();
            if let Some(draft) = self.named_draft(name)
                && !checked.data.iter().any(|known| known.name == name && known.model == model.name)
                && let Some(recipe) = self.recipe(&draft, &model, &classes, draft_of_feed, train.span)
            {
                checked.data.push(NamedRecipe { name: name.to_string(), model: model.name.clone(), recipe });
            }
            self.diagnostics.truncate(said);
        }
        let name =
            train.name.as_ref().or(train.model.as_ref()).map_or(String::new(), |name| name.text.clone());
        checked.runs.push(Run {
            name,
            model,
            saves: settings.saves,
            feed,
            evaluate,
            stop: settings.stop,
            save_every: settings.save_every,
            accumulate: settings.accumulate.unwrap_or(1),
            seed: settings.seed,
            data_origins: self.data_origins.clone(),
            placement: None,
            span: train.span,
        });
    }

    /// Everything in a `train` block but the optimizer; `whole`: whether all of the model could be made sense of.
    fn settings_of(&mut self, train: &'a Train, model: Option<&Model>, whole: bool) -> TrainSettings<'a> {
        let before = self.errors();
        let mut out = TrainSettings { whole, ..TrainSettings::default() };
        let mut first: Vec<(&'static str, Span)> = Vec::new();
        for statement in &train.body {
            if let Some(word) = single_word(&statement.kind) {
                if let Some((_, at)) = first.iter().find(|(known, _)| *known == word) {
                    let message = format!("`{word}` is given twice");
                    let found = Diagnostic::error(Code::DuplicateSetting, statement.span, message)
                        .label(*at, "the first")
                        .help("take one of the two out")
                        .edit(self.whole_line(statement.span), "");
                    self.report(found);
                    continue;
                }
                first.push((word, statement.span));
            }
            self.setting(statement, model, &mut out);
        }
        let head = train.model.as_ref().map_or(train.span, |name| name.span);
        let has = |kind: fn(&TrainKind) -> bool| train.body.iter().any(|s| kind(&s.kind));
        // A line that could not be read may be the one that is missed.
        let broken = has(|kind| matches!(kind, TrainKind::Bad));
        let stops = train
            .body
            .iter()
            .any(|s| matches!(&s.kind, TrainKind::Setting { word, .. } if length_unit(&word.text).is_some()));
        let needed = [
            (
                "feed",
                has(|k| matches!(k, TrainKind::Feed(_))),
                "`feed data |> batch(64)`: what it learns from",
            ),
            (
                "optimize",
                has(|k| matches!(k, TrainKind::Optimize(_))),
                "`optimize momentum(rate: 0.05)`: how weights move",
            ),
            (
                "stop",
                stops || has(|k| matches!(k, TrainKind::StopAfter(_) | TrainKind::StopWhen(_))),
                "`stop after 20 epochs`: when it is done",
            ),
        ];
        let no_inputs = model.is_some_and(|model| model.inputs.is_empty());
        for (word, there, help) in needed {
            if word == "feed" && no_inputs {
                continue;
            }
            if !there && !broken {
                let message = format!("this `train` block has no `{word}`");
                // One place, three lines that may be missing: each has to be said.
                self.said.remove(&(Code::MissingSetting, head));
                let found =
                    Diagnostic::error(Code::MissingSetting, head, message).help(format!("add {help}"));
                self.report(found);
            }
        }
        out.sound = self.errors() == before;
        out
    }

    fn setting(&mut self, statement: &'a TrainStatement, model: Option<&Model>, out: &mut TrainSettings<'a>) {
        let span = statement.span;
        match &statement.kind {
            TrainKind::Feed(expr) => out.feed = Some(expr),
            TrainKind::Optimize(_) | TrainKind::InitFrom(_) | TrainKind::Bad => {}
            TrainKind::Clip { limit, .. } => _ = self.bound(limit, "the bound of `clip`"),
            TrainKind::Evaluate { data, every } => {
                let every = every.as_ref().and_then(|every| self.every(every));
                out.evaluate.push((data, every));
            }
            TrainKind::StopAfter(expr) => {
                if let Some(every) = self.every(expr) {
                    out.stop.push(Stop::After(every));
                }
            }
            TrainKind::StopWhen(expr) => {
                if let Some(stop) = self.stop_when(expr, model) {
                    out.stop.push(stop);
                }
            }
            TrainKind::Save { name: None, path: None, every: Some(every) } => {
                out.save_every = self.every(every)
            }
            TrainKind::Save { name: None, path: None, every: None } => {
                let found = Diagnostic::error(Code::MissingSetting, span, "`save` does not say how often")
                    .help("write `save every 500 steps`; the end is saved in any case");
                self.report(found);
            }
            TrainKind::Save { name, path, every } => {
                let every = every.as_ref().and_then(|every| self.every(every));
                let model = model.filter(|_| out.whole);
                let Some(save) = self.save(span, name.as_ref(), path.as_ref(), every, model) else { return };
                match out.saves.iter().find(|other| other.file == save.file) {
                    Some(first) => {
                        let message = format!("two lines save to `{}`", save.file);
                        let found = Diagnostic::error(Code::DuplicateName, span, message)
                            .label(first.span, "the first")
                            .help("give each a file of its own");
                        self.report(found);
                    }
                    None => out.saves.push(save),
                }
            }
            TrainKind::Precision(dtype) => match DType::from_name(&dtype.text) {
                Some(DType::F32) => {}
                Some(_) => self.not_yet(span, &format!("`precision {}`", dtype.text)),
                None if dtype.text == "tf32" => self.not_yet(span, "`precision tf32`"),
                None => {
                    let message = format!("there is no precision `{}`", dtype.text);
                    let found = Diagnostic::error(Code::UnknownName, dtype.span, message);
                    let near = did_you_mean(&dtype.text, ["f32", "bf16", "f16", "tf32"]);
                    self.report(match near {
                        Some(near) => found.help(format!("did you mean `{near}`?")).edit(dtype.span, near),
                        None => found.help("there are f32, tf32, bf16 and f16"),
                    });
                }
            },
            TrainKind::Seed(expr) => {
                if let Some(seed) = self.plain_count(expr, 0, "a seed") {
                    out.seed = seed;
                }
            }
            TrainKind::Setting { word, value } => {
                match word.text.as_str() {
                    "accumulate" => {
                        out.accumulate = self.plain_count(value, 1, "`accumulate`");
                        return;
                    }
                    "average" => {
                        self.part_of_average(value);
                        return;
                    }
                    "workers" => {
                        self.not_yet(span, "`workers`");
                        return;
                    }
                    _ => {}
                }
                const WORDS: [&str; 13] = [
                    "feed",
                    "init",
                    "optimize",
                    "evaluate",
                    "stop",
                    "clip",
                    "save",
                    "precision",
                    "seed",
                    "average",
                    "accumulate",
                    "remat",
                    "restart",
                ];
                let message = format!("`train` has no setting `{}`", word.text);
                let found = Diagnostic::error(Code::UnknownName, word.span, message);
                if let Some(unit) = length_unit(&word.text) {
                    let number = self.written(value.span);
                    let ours = format!("stop after {number} {unit}");
                    self.report(found.help(format!("write `{ours}`")).edit(span, ours));
                    return;
                }
                let found = match did_you_mean(&word.text, WORDS) {
                    Some(near) => found.help(format!("did you mean `{near}`?")).edit(word.span, near),
                    None => found.help(format!("it has {}", WORDS.join(", "))),
                };
                self.report(found);
            }
            TrainKind::Remat(_) => self.not_yet(span, "`remat`"),
            TrainKind::Restart(_) => self.not_yet(span, "`restart`"),
            TrainKind::SumAnyOrder => self.not_yet(span, "`sum any order`"),
        }
    }

    /// A number above 0.
    pub(super) fn bound(&mut self, expr: &'a Expr, what: &str) -> Option<f64> {
        let x = self.plain_number(expr)?;
        if x > 0.0 {
            return Some(x);
        }
        let mut found = Diagnostic::error(Code::BadValue, expr.span, format!("{what} is above 0, not {x}"));
        if x < 0.0 {
            found = found.help(format!("write `{}`", -x)).edit(expr.span, format!("{}", -x));
        }
        self.report(found);
        None
    }

    /// `20 epochs`, `500 steps`, `2 hours`
    pub(super) fn every(&mut self, expr: &'a Expr) -> Option<Every> {
        let (value, unit) = match &expr.kind {
            ExprKind::Quantity { value, unit } => (value, unit),
            ExprKind::Paren(inner) | ExprKind::Every(inner) => return self.every(inner),
            ExprKind::Bad => return None,
            _ => {
                let text = self.quote(expr.span).unwrap_or_else(|| "this".into());
                let message = format!("{text} is no number of epochs, steps or hours");
                let found = Diagnostic::error(Code::WrongKind, expr.span, message);
                let found = match &expr.kind {
                    ExprKind::Number(number) => {
                        let unit = if number.int == Some(1) { "epoch" } else { "epochs" };
                        found
                            .help(format!("say of what: `{} {unit}`, or steps, or hours", number.text))
                            .edit(Self::behind(expr.span), format!(" {unit}"))
                    }
                    ExprKind::Name(name)
                        if ["epoch", "step", "second", "minute", "hour"].contains(&name.text.as_str()) =>
                    {
                        found
                            .help(format!("say how many: `1 {}`", name.text))
                            .edit(Self::before(expr.span), "1 ")
                    }
                    _ => found.help("write `20 epochs` or `1000 steps`"),
                };
                self.report(found);
                return None;
            }
        };
        let x = value.value;
        if x <= 0.0 || !x.is_finite() || x > 1e15 {
            let message = format!("this is a number above 0, not {}", value.text);
            let found = Diagnostic::error(Code::BadValue, expr.span, message);
            self.report(found.help(format!("write how many {}, as in `20 epochs`", unit.text)));
            return None;
        }
        Some(match unit.text.as_str() {
            "epoch" | "epochs" => Every::Epochs(x),
            "step" | "steps" => {
                if x.fract() != 0.0 {
                    let found = Diagnostic::error(Code::BadValue, expr.span, "steps are whole");
                    let whole = format!("{}", x.round().max(1.0));
                    self.report(
                        found
                            .help(format!("write `{whole} steps`"))
                            .edit(Span { end: unit.span.start, ..expr.span }, format!("{whole} ")),
                    );
                    return None;
                }
                Every::Steps(x as u64)
            }
            "s" | "second" | "seconds" => Every::Seconds(x),
            "ms" => Every::Seconds(x / 1e3),
            "minute" | "minutes" => Every::Seconds(x * 60.0),
            "hour" | "hours" => Every::Seconds(x * 3600.0),
            _ => {
                let message = format!("`{}` is no unit of time here", unit.text);
                let found = Diagnostic::error(Code::BadValue, unit.span, message)
                    .help("there are epochs, steps, seconds, minutes and hours");
                self.report(found);
                return None;
            }
        })
    }

    /// `accuracy >= 0.98`
    fn stop_when(&mut self, expr: &'a Expr, model: Option<&Model>) -> Option<Stop> {
        let wrong = |checker: &mut Self| {
            let found = Diagnostic::error(
                Code::WrongKind,
                expr.span,
                "`stop when` compares a metric or the loss with a number",
            )
            .help("write `stop when accuracy >= 0.98`");
            checker.report(found);
        };
        let ExprKind::Binary { op, left, right, .. } = &expr.kind else {
            if !matches!(expr.kind, ExprKind::Bad) {
                wrong(self);
            }
            return None;
        };
        let at_least = match op {
            BinaryOp::GreaterEqual | BinaryOp::Greater => true,
            BinaryOp::LessEqual | BinaryOp::Less => false,
            _ => {
                wrong(self);
                return None;
            }
        };
        let Some(name) = lone_name(left) else {
            wrong(self);
            return None;
        };
        let bound = self.plain_number(right)?;
        if let Some(model) = model {
            let mut names: Vec<&str> = model.metrics.iter().map(|metric| metric.name.as_str()).collect();
            names.push("loss");
            if !names.contains(&name.text.as_str()) {
                let message = format!("`{}` has no metric `{}`", model.name, name.text);
                let found = Diagnostic::error(Code::UnknownName, name.span, message);
                let found = match did_you_mean(&name.text, names.iter().copied()) {
                    Some(near) => found.help(format!("did you mean `{near}`?")).edit(name.span, near),
                    None => found.help(format!("there are {}", names.join(", "))),
                };
                self.report(found);
                return None;
            }
        }
        Some(Stop::When { metric: name.text.clone(), at_least, bound })
    }
}

/// What a `train` block says besides its optimizer.
#[derive(Debug, Default)]
struct TrainSettings<'a> {
    feed: Option<&'a Expr>,
    evaluate: Vec<(&'a Expr, Option<Every>)>,
    stop: Vec<Stop>,
    save_every: Option<Every>,
    saves: Vec<Save>,
    /// Whether all of the model could be made sense of.
    whole: bool,
    accumulate: Option<u64>,
    seed: u64,
    /// Whether nothing was wrong.
    sound: bool,
}

/// `loss = …` at the top of a model: its name and its value.
fn bound_loss(definition: &strata_grammar::ast::Definition) -> Option<(Span, Span)> {
    definition.body.statements.iter().find_map(|statement| match &statement.kind {
        StatementKind::Bind { targets, values } => match (targets.as_slice(), values.as_slice()) {
            ([Target::Name(name)], [value]) if name.name.text == "loss" => Some((name.span, value.span)),
            _ => None,
        },
        _ => None,
    })
}

/// Words by which other trainers are told when to stop, and the unit they count.
fn length_unit(word: &str) -> Option<&'static str> {
    match word {
        "epochs" | "epoch" | "max_epochs" | "num_epochs" | "n_epochs" => Some("epochs"),
        "steps" | "max_steps" | "num_steps" | "iterations" | "max_iters" | "train_steps" => Some("steps"),
        "hours" | "max_hours" => Some("hours"),
        _ => None,
    }
}

/// Settings that stand once.
fn single_word(kind: &TrainKind) -> Option<&'static str> {
    match kind {
        TrainKind::Feed(_) => Some("feed"),
        TrainKind::Optimize(_) => Some("optimize"),
        TrainKind::Clip { .. } => Some("clip"),
        TrainKind::Precision(_) => Some("precision"),
        TrainKind::Seed(_) => Some("seed"),
        TrainKind::Setting { word, .. } => {
            ["average", "accumulate"].into_iter().find(|known| *known == word.text)
        }
        TrainKind::InitFrom(_) => Some("init"),
        TrainKind::Evaluate { .. }
        | TrainKind::StopAfter(_)
        | TrainKind::StopWhen(_)
        | TrainKind::Save { .. }
        | TrainKind::Remat(_)
        | TrainKind::Restart(_)
        | TrainKind::SumAnyOrder
        | TrainKind::Bad => None,
    }
}

/// The model as it is without its optimizer.
fn untrained(model: &Model) -> Model {
    let mut model = model.clone();
    let first = model.regions.iter().position(|region| region.kind == RegionKind::Optimizer);
    let Some(first) = first else { return model };
    let in_optimizer =
        |origin: crate::graph::OriginId| model.origins[origin.0 as usize].region.0 as usize >= first;
    let values = model
        .values
        .iter()
        .position(|value| in_optimizer(value.origin) || matches!(value.op, Op::Gradient(_)));
    let values = values.unwrap_or(model.values.len());
    Arc::make_mut(&mut model.values).truncate(values);
    model.updates.retain(|update| (update.value.0 as usize) < values);
    let variables = &model.variables;
    model.starts.retain(|(variable, value)| {
        (value.0 as usize) < values && (variables[variable.0 as usize].region.0 as usize) < first
    });
    model.variables.retain(|variable| (variable.region.0 as usize) < first);
    model.regions.truncate(first);
    model.hints.retain(|hint| hint.values.iter().all(|value| (value.0 as usize) < values));
    model.watched.clear();
    model.averages.clear();
    model
}
