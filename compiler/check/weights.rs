//! Files of weights: which of a file's tensors the variables of a model begin with.
//!
//! `init from "file"` is about the whole model, `weights: "file"` about a model that is called as a layer. A variable
//! takes the tensor of its own name, or what a line of `names Model { … }` makes of the file's tensors: an expression
//! in which texts stand for them. What comes out is a small model of its own, from the file's tensors to variables.

use std::collections::HashMap;
use std::path::PathBuf;

use strata_grammar::ast::{Definition, Expr, Item, Names, NamesKind, Text, Train, TrainKind};
use strata_grammar::{Code, Diagnostic, Span, did_you_mean};
use strata_runtime::checkpoint::WeightFacts;

use super::build::Builder;
use super::data::Format;
use super::layer::Frame;
use super::value::Value;
use super::{Checker, Content, SourceKey, items};
use crate::graph::ValueId;
use crate::model::{Input, Load, LoadContent, Region, RegionKind, VariableKind};
use crate::ops::{InputId, Op, VariableId};
use crate::types::{Axis, Type};

/// Variables of our own runs that belong to an optimizer; another run begins without them.
const MEMORY: &str = "optimizer/";

/// `weights: "file"` of a call.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// The path of the call: what the names of its variables begin with.
    pub(super) path: String,
    /// The model that is called.
    pub(super) model: String,
    pub(super) file: String,
    pub(super) span: Span,
}

/// A file's tensors, while expressions over them are elaborated.
#[derive(Debug)]
pub(super) struct Foreign<'a> {
    facts: &'a WeightFacts,
    /// Where each tensor stands in the file.
    places: HashMap<&'a str, usize>,
    taken: Vec<bool>,
    /// What the stars of the pattern stood for.
    stars: Vec<String>,
    /// Names that the file does not have, of the expression at hand.
    lacks: Vec<String>,
    /// The tensors that it has, of the expression at hand.
    uses: Vec<usize>,
    /// The input that each tensor is.
    inputs: HashMap<usize, ValueId>,
}

/// How a file and a model differ.
#[derive(Default)]
struct Differences {
    missing: Vec<(String, String)>,
    misshapen: Vec<String>,
}

/// What the variables of a model are called in files.
#[derive(Clone, Copy)]
enum Found<'a> {
    /// What a line makes of the file's tensors.
    Called(&'a Expr),
    /// Nothing.
    New,
}

impl<'a> Checker<'a> {
    /// Notes the file of a call. Of a shared layer the first use counts; all say the same.
    pub(super) fn note_weights(&mut self, path: &str, definition: &Definition, file: &str, span: Span) {
        if self.build.weights.iter().any(|known| known.path == path) {
            return;
        }
        if !self.loaded.sources.text(span).starts_with('"') {
            let message = "a file of weights is named by a text in quotes";
            let found = Diagnostic::error(Code::WrongKind, span, message);
            self.report(found.help("write `weights: \"net.safetensors\"`"));
            return;
        }
        let model = super::name_of(definition).to_string();
        self.build.weights.push(Wanted { path: path.to_string(), model, file: file.to_string(), span });
    }

    /// Holds the files that the model begins with against its variables.
    pub(super) fn files_of_weights(&mut self, definition: &'a Definition, train: Option<&'a Train>) {
        let unknown = |item: &Item| match item {
            Item::Names(Names { model: Some(name), .. }) => {
                !self.globals.models.contains_key(name.text.as_str())
            }
            _ => false,
        };
        if items(self.loaded).any(|(_, item)| unknown(item)) {
            // It may be about this model, and what would be missing follows from that. So nothing was looked at yet.
            self.notes.doubts += self.build.weights.len();
            return;
        }
        for wanted in self.build.weights.clone() {
            self.file_of_weights(definition, &wanted, false);
        }
        let lines = train.into_iter().flat_map(|train| &train.body);
        let whole = lines.filter_map(|line| match &line.kind {
            TrainKind::InitFrom(file) => Some(file),
            _ => None,
        });
        for Text { text, span } in whole {
            let model = self.build.model.name.clone();
            let wanted = Wanted { path: String::new(), model, file: text.clone(), span: *span };
            self.file_of_weights(definition, &wanted, true);
        }
    }

    fn file_of_weights(&mut self, definition: &'a Definition, wanted: &Wanted, whole: bool) {
        let key = SourceKey { file: wanted.span.file, path: wanted.file.clone(), format: Format::Weights };
        let known = self.facts.sources.contains_key(&key);
        let Some(found) = self.facts(&key, wanted.span) else {
            if !known {
                // Nobody looked at it; whoever wants to train has to.
                self.build.model.loads.push(Load::unread(PathBuf::from(&wanted.file), wanted.span));
            }
            return;
        };
        let Content::Weights(facts) = &found.content else { return };
        let variables = self.variables_of(wanted, whole);
        let lines = self.lines_of(&wanted.model);
        let mut differences = Differences::default();
        let before = self.errors();
        let outer = std::mem::replace(&mut self.build, Builder::new(&wanted.model));
        let region = self.build.region(Region {
            name: String::new(),
            kind: RegionKind::Model,
            layer: None,
            parent: None,
            span: wanted.span,
            results: Vec::new(),
        });
        self.frames.push(Frame::new(definition, String::new(), region));
        let places = facts.tensors.iter().enumerate().map(|(at, (name, ..))| (name.as_str(), at)).collect();
        self.foreign = Some(Foreign {
            facts,
            places,
            taken: vec![false; facts.tensors.len()],
            stars: Vec::new(),
            lacks: Vec::new(),
            uses: Vec::new(),
            inputs: HashMap::new(),
        });
        for variable in &variables {
            self.variable_from_file(variable, &lines, wanted.span, &mut differences);
        }
        self.frames.pop();
        let foreign = self.foreign.take();
        let built = std::mem::replace(&mut self.build, outer);
        let Some(foreign) = foreign else { return };
        if self.errors() > before {
            return;
        }
        let left_over = left_over(&foreign, &lines);
        if !differences.missing.is_empty() || !differences.misshapen.is_empty() || !left_over.is_empty() {
            self.report(mismatch(wanted, &foreign, &differences, &left_over));
            return;
        }
        let content = LoadContent::Weights(Box::new(built.model));
        let load = Load { file: found.path.clone(), span: wanted.span, content };
        self.build.model.loads.push(load);
    }

    /// The variables that a file is to fill.
    fn variables_of(&self, wanted: &Wanted, whole: bool) -> Vec<Filled> {
        let model = &self.build.model;
        let mut found = Vec::new();
        for (at, variable) in model.variables.iter().enumerate() {
            let id = VariableId(at as u32);
            let inside =
                |path: &str| variable.name.strip_prefix(path).and_then(|rest| rest.strip_prefix('/'));
            let own = if whole { Some(variable.name.as_str()) } else { inside(&wanted.path) };
            let Some(own) = own.filter(|_| !model.is_memory(variable) && !variable.name.starts_with(MEMORY))
            else {
                continue;
            };
            // What never changes is what the model says it is, and what has a file of its own has its weights there.
            let constant = variable.kind == VariableKind::Const && !self.build.frozen.contains(&id);
            let elsewhere = whole && self.build.weights.iter().any(|other| inside(&other.path).is_some());
            found.push(Filled {
                name: variable.name.clone(),
                own: own.to_string(),
                ty: variable.ty.clone(),
                optional: constant || elsewhere,
            });
        }
        found
    }

    /// Whether a `names` block is about a model.
    pub(super) fn has_names(&self, model: &str) -> bool {
        !self.lines_of(model).is_empty()
    }

    /// The lines of all `names` blocks of a model.
    fn lines_of(&self, model: &str) -> Vec<&'a NamesKind> {
        let blocks = items(self.loaded).filter_map(|(_, item)| match item {
            Item::Names(names) if names.model.as_ref().is_some_and(|name| name.text == model) => Some(names),
            _ => None,
        });
        blocks.flat_map(|names: &'a Names| &names.body).map(|line| &line.kind).collect()
    }

    fn variable_from_file(
        &mut self,
        variable: &Filled,
        lines: &[&'a NamesKind],
        span: Span,
        differences: &mut Differences,
    ) {
        let found = lines.iter().find_map(|line| match line {
            NamesKind::Called { ours, theirs } => {
                stars(&ours.text, &variable.own).map(|stars| (Found::Called(theirs), stars))
            }
            NamesKind::New(all) => {
                let fits = all.iter().any(|pattern| stars(&pattern.text, &variable.own).is_some());
                fits.then(|| (Found::New, Vec::new()))
            }
            NamesKind::Unused(_) | NamesKind::Bad => None,
        });
        let (mut value, mut wants) = (None, variable.own.clone());
        match found {
            Some((Found::New, _)) => return,
            Some((Found::Called(theirs), stars)) => {
                if let Some(foreign) = &mut self.foreign {
                    (foreign.stars, foreign.lacks, foreign.uses) = (stars, Vec::new(), Vec::new());
                }
                let made = self.eval(theirs);
                let Some(foreign) = &self.foreign else { return };
                if foreign.lacks.is_empty() {
                    match made {
                        Value::Tensor(made) => value = Some((made, theirs.span)),
                        // Said already.
                        Value::Unknown => return,
                        other => return self.wrong_kind(&other, "a tensor", theirs.span, "a parameter"),
                    }
                } else {
                    wants = foreign.lacks.join("`, `");
                }
            }
            None => {}
        }
        if value.is_none() {
            value = self.tensor_of_file(&variable.own, span).map(|own| (own, span));
        }
        let Some((value, span)) = value else {
            if !variable.optional {
                differences.missing.push((variable.own.clone(), wants));
            }
            return;
        };
        if let Some(value) = self.as_variable(value, variable, span, differences) {
            self.build.model.bindings.push((variable.name.clone(), value));
        }
    }

    /// A tensor as a variable takes it: of its shape, and floats of its dtype.
    fn as_variable(
        &mut self,
        value: ValueId,
        variable: &Filled,
        span: Span,
        differences: &mut Differences,
    ) -> Option<ValueId> {
        let found = self.ty(value).clone();
        let sizes = |ty: &Type| ty.axes.iter().map(|axis| axis.size.known()).collect::<Vec<_>>();
        let floats = found.dtype.is_float() && variable.ty.dtype.is_float();
        if sizes(&found) == sizes(&variable.ty) && (floats || found.dtype == variable.ty.dtype) {
            let same = found.dtype == variable.ty.dtype;
            return if same { Some(value) } else { self.emit(Op::Cast(variable.ty.dtype), &[value], span) };
        }
        let what = match self.build.op(value) {
            Op::Input(input) => format!("`{}`", self.build.model.inputs[input.0 as usize].name),
            _ => {
                let used = |foreign: &'_ Foreign| {
                    let names = foreign.uses.iter().map(|at| format!("`{}`", foreign.facts.tensors[*at].0));
                    names.collect::<Vec<_>>().join(", ")
                };
                format!("what is made of {}", self.foreign.as_ref().map(used).unwrap_or_default())
            }
        };
        let turned = turned(&sizes(&found), &sizes(&variable.ty)).filter(|_| floats);
        let help = turned.map_or(String::new(), |turned| format!("; `{turned}` would fit"));
        let plain = plain_type(&variable.ty);
        differences.misshapen.push(format!(
            "`{}` is {plain}, and {what} is {}{help}",
            variable.own,
            plain_type(&found)
        ));
        None
    }

    /// The tensor that a text names in an expression over a file's tensors.
    pub(super) fn named_tensor(&mut self, text: &str, span: Span) -> Value<'a> {
        let Some(foreign) = &self.foreign else { return Value::Unknown };
        let parts: Vec<&str> = text.split('*').collect();
        if parts.len() > foreign.stars.len() + 1 {
            let message = format!(
                "this name has {} stars, and the pattern before the `=` has {}",
                parts.len() - 1,
                foreign.stars.len()
            );
            let found = Diagnostic::error(Code::BadValue, span, message)
                .help("each star stands for what the star in the same place on the left stood for");
            self.report(found);
            return Value::Unknown;
        }
        let mut name = String::new();
        for (at, part) in parts.iter().enumerate() {
            name.push_str(part);
            if at + 1 < parts.len() {
                name.push_str(&foreign.stars[at]);
            }
        }
        match self.tensor_of_file(&name, span) {
            Some(value) => Value::Tensor(value),
            None => {
                if let Some(foreign) = &mut self.foreign {
                    foreign.lacks.push(name);
                }
                Value::Unknown
            }
        }
    }

    /// The input that a tensor of the file is.
    fn tensor_of_file(&mut self, name: &str, span: Span) -> Option<ValueId> {
        let foreign = self.foreign.as_mut()?;
        let at = *foreign.places.get(name)?;
        foreign.taken[at] = true;
        foreign.uses.push(at);
        if let Some(known) = foreign.inputs.get(&at) {
            return Some(*known);
        }
        let (_, dtype, shape) = &foreign.facts.tensors[at];
        let axes = shape.iter().map(|size| Axis::sized(*size as u64)).collect();
        let id = InputId(self.build.model.inputs.len() as u32);
        let ty = Type::new(*dtype, axes);
        self.build.model.inputs.push(Input { name: name.to_string(), ty, span });
        let value = self.emit(Op::Input(id), &[], span)?;
        self.foreign.as_mut()?.inputs.insert(at, value);
        Some(value)
    }

    /// Looks at `names` blocks for models that are not there and patterns that fit nothing.
    pub(super) fn check_names(&mut self) {
        for (_, item) in items(self.loaded) {
            if let Item::Names(Names { model: Some(name), .. }) = item
                && !self.globals.models.contains_key(name.text.as_str())
            {
                self.unknown_model(name);
            }
        }
    }

    /// Says which lines of the model's `names` speak of parameters that it does not have.
    pub(super) fn check_patterns(&mut self) {
        let names: Vec<String> =
            self.build.model.variables.iter().map(|variable| variable.name.clone()).collect();
        for line in self.lines_of(&self.build.model.name.clone()) {
            let patterns = match line {
                NamesKind::Called { ours, .. } => std::slice::from_ref(ours),
                NamesKind::New(all) => all.as_slice(),
                NamesKind::Unused(_) | NamesKind::Bad => &[],
            };
            for Text { text, span } in patterns {
                if names.iter().any(|name| stars(text, name).is_some()) {
                    continue;
                }
                let message = format!("`{}` has no parameter `{text}`", self.build.model.name);
                let found = Diagnostic::error(Code::UnknownName, *span, message);
                let own = names.iter().map(String::as_str).filter(|name| !name.starts_with(MEMORY));
                let found = match did_you_mean(text, own.clone()) {
                    Some(near) => {
                        found.help(format!("did you mean `{near}`?")).edit(*span, format!("\"{near}\""))
                    }
                    None => {
                        let some: Vec<String> = own.take(6).map(|name| format!("`{name}`")).collect();
                        found.help(format!("it has {} and the like", some.join(", ")))
                    }
                };
                self.report(found);
            }
        }
    }
}

/// A variable that a file may fill.
struct Filled {
    name: String,
    /// What it is called within the model that the file is about.
    own: String,
    ty: Type,
    /// Whether it keeps its own start where the file lacks it.
    optional: bool,
}

/// Tensors that nothing takes, but those that the lines say are unused.
fn left_over(foreign: &Foreign<'_>, lines: &[&NamesKind]) -> Vec<String> {
    let excused = |name: &str| {
        lines.iter().any(|line| match line {
            NamesKind::Unused(all) => all.iter().any(|pattern| stars(&pattern.text, name).is_some()),
            NamesKind::Called { .. } | NamesKind::New(_) | NamesKind::Bad => false,
        })
    };
    let memory = |name: &str| foreign.facts.ours && name.starts_with(MEMORY);
    let tensors = foreign.facts.tensors.iter().zip(&foreign.taken).filter(|(_, taken)| !**taken);
    let left = tensors.filter(|((name, ..), _)| !excused(name) && !memory(name));
    left.map(|((name, ..), _)| name.clone()).collect()
}

/// Everything in which a file and a model differ.
fn mismatch(wanted: &Wanted, foreign: &Foreign<'_>, found: &Differences, left_over: &[String]) -> Diagnostic {
    let Differences { missing, misshapen } = found;
    let count = |n: usize, one: &str, many: &str| match n {
        0 => None,
        1 => Some(format!("1 tensor {one}")),
        n => Some(format!("{n} tensors {many}")),
    };
    let counts = [
        count(missing.len(), "is missing", "are missing"),
        count(misshapen.len(), "has another shape", "have another shape"),
        count(left_over.len(), "is left over", "are left over"),
    ];
    let counts: Vec<String> = counts.into_iter().flatten().collect();
    let message = format!("`{}` does not fit `{}`: {}", wanted.file, wanted.model, counts.join(", "));
    let mut lines = Vec::new();
    for (own, wants) in missing {
        let called = if own == wants { String::new() } else { format!(", in the file `{wants}`") };
        let near = did_you_mean(wants, left_over.iter().map(String::as_str));
        let near = near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
        lines.push(format!("missing: `{own}`{called}{near}"));
    }
    lines.extend(misshapen.iter().map(|what| format!("another shape: {what}")));
    let shapes: HashMap<&str, String> = foreign
        .facts
        .tensors
        .iter()
        .map(|(name, dtype, shape)| (name.as_str(), format!("{dtype}{shape:?}")))
        .collect();
    for name in left_over {
        lines.push(format!("left over: `{name}` {}", shapes.get(name.as_str()).map_or("", String::as_str)));
    }
    lines.push(format!(
        "`names {} {{ … }}` says what files call parameters: `\"*/w\" = \"*.weight\" |> transpose`; `new \"head/*\"` \
         which they lack, and `unused \"head.*\"` what they have beyond",
        wanted.model
    ));
    Diagnostic::error(Code::WeightsMismatch, wanted.span, message).help(lines.join("\n"))
}

/// A type without the names of axes, which files do not have.
fn plain_type(ty: &Type) -> String {
    let sizes: Vec<String> =
        ty.axes.iter().map(|axis| axis.size.known().map_or("?".to_string(), |n| n.to_string())).collect();
    format!("{}[{}]", ty.dtype, sizes.join(", "))
}

/// What brings a tensor into another order of axes, where one of the usual turns does.
fn turned(found: &[Option<u64>], wanted: &[Option<u64>]) -> Option<&'static str> {
    const TURNS: [(&[usize], &str); 4] = [
        (&[1, 0], "|> transpose"),
        (&[2, 1, 0], "|> transpose(axes: [2, 1, 0])"),
        (&[2, 3, 1, 0], "|> transpose(axes: [2, 3, 1, 0])"),
        (&[2, 3, 4, 1, 0], "|> transpose(axes: [2, 3, 4, 1, 0])"),
    ];
    let fits = |axes: &[usize]| {
        axes.len() == found.len() && axes.iter().map(|at| found[*at]).eq(wanted.iter().copied())
    };
    TURNS.into_iter().find(|(axes, _)| fits(axes)).map(|(_, text)| text)
}

/// What the stars of a pattern stand for in a name, if it fits: each for as little as it can.
fn stars(pattern: &str, name: &str) -> Option<Vec<String>> {
    let Some((before, rest)) = pattern.split_once('*') else {
        return (pattern == name).then(Vec::new);
    };
    let mut left = name.strip_prefix(before)?;
    let (middle, end) = rest.rsplit_once('*').map_or((None, rest), |(middle, end)| (Some(middle), end));
    let mut found = Vec::new();
    // Where the first of several places fits, so does all that could follow a later one: no place is tried twice.
    for piece in middle.into_iter().flat_map(|middle| middle.split('*')) {
        let (seen, after) = left.split_once(piece)?;
        found.push(seen.to_string());
        left = after;
    }
    found.push(left.strip_suffix(end)?.to_string());
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::stars;

    #[test]
    fn stars_stand_for_stretches() {
        let found = |pattern, name| stars(pattern, name).map(|all| all.join("|"));
        assert_eq!(found("a/w", "a/w").as_deref(), Some(""));
        assert_eq!(found("a/w", "a/b"), None);
        assert_eq!(found("*/w", "fire2/squeeze/w").as_deref(), Some("fire2/squeeze"));
        assert_eq!(found("*/*/w", "fire2/squeeze/w").as_deref(), Some("fire2|squeeze"));
        assert_eq!(found("x[*]/*", "x[3]/b").as_deref(), Some("3|b"));
        assert_eq!(found("*", "").as_deref(), Some(""));
        assert_eq!(found("*w", "a/b"), None);
        assert_eq!(found("*ü*", "größe/ü/x").as_deref(), Some("größe/|/x"));
        assert_eq!(found("a*b*b", "abb").as_deref(), Some("|"));
        assert_eq!(found("a*b*b", "ab"), None);
        assert_eq!(found("**w", "a/w").as_deref(), Some("|a/"));
        // Nothing is tried that many times over.
        let (pattern, name) = ("*a".repeat(40), "a".repeat(2000));
        assert_eq!(found(&pattern, &name).map(|all| all.len()), Some(39 + 2000 - 40));
        assert_eq!(found(&format!("{pattern}*b"), &name), None);
    }
}
