//! Drafts held against a model's inputs and the facts about files: recipes.

use std::path::PathBuf;

use strata_grammar::{Code, Diagnostic, Span, did_you_mean};
use strata_runtime::queue::{CsvField, IdxField, Origin, Recipe, Source, Stage, StageKind};

use super::{Draft, DraftField, DraftKind, From, candidates};
use crate::check::build::LossCall;
use crate::check::statement::is_label;
use crate::check::{Checker, Content, SourceFacts, SourceKey};
use crate::model::{Input, Model};
use crate::ops::Op;
use crate::types::Size;

impl<'a> Checker<'a> {
    /// A place that data errors can name.
    pub(in crate::check) fn data_origin(&mut self, span: Span) -> Origin {
        let at = self.data_origins.iter().position(|known| *known == span).unwrap_or_else(|| {
            self.data_origins.push(span);
            self.data_origins.len() - 1
        });
        at as Origin
    }

    /// The batch size of a draft.
    pub(in crate::check) fn batch_size(draft: &Draft) -> Option<usize> {
        draft.stages.iter().find_map(|(kind, _)| match kind {
            StageKind::Batch { size } => Some(*size),
            StageKind::Shuffle { .. } | StageKind::Split { .. } | StageKind::Prefetch { .. } => None,
        })
    }

    /// The recipe that feeds `model` from `draft`, batched by `batch` if it is not batched itself. `classes` has
    /// the number of classes of each input that is a label, and the loss that says so.
    pub(in crate::check) fn recipe(
        &mut self,
        draft: &Draft,
        model: &Model,
        classes: &[Option<(u64, Span)>],
        batch: Option<usize>,
        span: Span,
    ) -> Option<Recipe> {
        let mut csv = Vec::new();
        let mut idx = Vec::new();
        let mut wrong = false;
        for (input, classes) in model.inputs.iter().zip(classes) {
            let Some(field) = draft.fields.iter().find(|field| field.name == input.name) else {
                self.missing_field(draft, input, model, span);
                wrong = true;
                continue;
            };
            let Some(shape) = self.field_shape(field, input) else {
                wrong = true;
                continue;
            };
            if self.check_values(draft, field, input, *classes).is_none() {
                wrong = true;
                continue;
            }
            let origin = self.data_origin(field.span);
            let (name, dtype) = (input.name.clone(), input.ty.dtype);
            let (arithmetic, classes) = (field.arithmetic.clone(), classes.map(|(n, _)| n));
            match &field.from {
                From::Columns(columns) => {
                    csv.push(CsvField {
                        name,
                        columns: columns.clone(),
                        shape,
                        dtype,
                        arithmetic,
                        classes,
                        origin,
                    });
                }
                From::Array(key) => {
                    let path = self.path(key);
                    idx.push(IdxField { name, path, shape, dtype, arithmetic, classes, origin });
                }
            }
        }
        if wrong {
            return None;
        }
        let source = match &draft.kind {
            DraftKind::Csv { key, header } => {
                let origin = self.data_origin(draft.span);
                Source::Csv { path: self.path(key), header: *header, fields: csv, origin }
            }
            DraftKind::Idx => Source::Idx { fields: idx },
        };
        let mut stages = Vec::new();
        for (kind, span) in &draft.stages {
            stages.push(Stage { kind: kind.clone(), origin: self.data_origin(*span) });
        }
        if Self::batch_size(draft).is_none()
            && let Some(size) = batch
        {
            stages.push(Stage { kind: StageKind::Batch { size }, origin: self.data_origin(span) });
        }
        Some(Recipe { source, stages })
    }

    fn path(&mut self, key: &SourceKey) -> PathBuf {
        match self.facts.sources.get(key) {
            Some(Ok(found)) => found.path.clone(),
            Some(Err(_)) | None => candidates(self.loaded, self.settings, key)
                .into_iter()
                .next()
                .unwrap_or_else(|| key.path.clone().into()),
        }
    }

    fn missing_field(&mut self, draft: &Draft, input: &Input, model: &Model, span: Span) {
        let unused: Vec<&str> = draft
            .fields
            .iter()
            .map(|field| field.name.as_str())
            .filter(|name| !model.inputs.iter().any(|input| input.name == *name))
            .collect();
        let message = format!("the data have no field `{}`, which the model takes as input", input.name);
        let mut found = Diagnostic::error(Code::DataMismatch, span, message)
            .label(input.span, format!("`{}` is {}", input.name, input.ty))
            .label(draft.span, "the fields come from here");
        found =
            match (did_you_mean(&input.name, unused.iter().copied()), unused.as_slice()) {
                (Some(near), _) => found
                    .help(format!("call the field `{near}` of the data `{}`, as the model does", input.name)),
                (None, [only]) => found
                    .help(format!("call the field `{only}` of the data `{}`, as the model does", input.name)),
                (None, _) => found.help(format!("add a field `{}: …` to the data", input.name)),
            };
        self.report(found);
    }

    /// The shape of one example, if the input takes it.
    fn field_shape(&mut self, field: &DraftField, input: &Input) -> Option<Vec<usize>> {
        let mut wanted = Vec::new();
        for axis in input.ty.axes.iter().skip(1) {
            match axis.size.known() {
                Some(n) => wanted.push(n as usize),
                None => {
                    let name = axis.name.as_deref().unwrap_or("?");
                    let message = format!("the data do not say how long `{name}` is");
                    let found = Diagnostic::error(Code::UnboundAxis, input.span, message)
                        .label(field.span, "these data have a fixed shape")
                        .help(format!("write its size: `{name} = …`"));
                    self.report(found);
                    return None;
                }
            }
        }
        if !matches!(input.ty.axes.first().map(|axis| &axis.size), Some(Size::Free(_))) {
            let message = format!(
                "`{}` is {}, which has no free first axis for the examples of a batch",
                input.name, input.ty
            );
            let found = Diagnostic::error(Code::DataMismatch, input.span, message)
                .label(field.span, "fed from here")
                .help("begin its type with a name alone, as in `f32[batch, …]`");
            self.report(found);
            return None;
        }
        let Some(shape) = &field.shape else { return Some(wanted) };
        if *shape == wanted {
            return Some(wanted);
        }
        let same_count = shape.iter().product::<usize>() == wanted.iter().product::<usize>();
        let message = format!(
            "the field `{}` has examples of {shape:?}, and the model's input takes {wanted:?}",
            field.name
        );
        let mut found = Diagnostic::error(Code::DataMismatch, field.shape_span, message)
            .label(input.span, format!("`{}` is {}", input.name, input.ty));
        if same_count {
            found = found.help(format!("write `as: {wanted:?}`"));
        } else {
            found = found.help("make the two shapes equal: nothing is reshaped silently");
        }
        self.report(found);
        None
    }

    /// That the numbers in the file are what the input takes.
    fn check_values(
        &mut self,
        draft: &Draft,
        field: &DraftField,
        input: &Input,
        classes: Option<(u64, Span)>,
    ) -> Option<()> {
        let range = match (&field.from, &draft.kind) {
            (From::Columns(columns), DraftKind::Csv { key, .. }) => {
                let Some(Ok(SourceFacts { content: Content::Csv(csv), .. })) = self.facts.sources.get(key)
                else {
                    return Some(());
                };
                for at in columns.clone() {
                    let Some(column) = csv.columns.get(at) else { continue };
                    if let Some(word) = &column.word {
                        let what = if word.text.is_empty() {
                            "an empty cell".to_string()
                        } else {
                            format!("`{}`", word.text)
                        };
                        let message = format!(
                            "column {at} holds {what} in line {}, and `{}` takes numbers",
                            word.line, input.name
                        );
                        let found = Diagnostic::error(Code::DataMismatch, field.span, message)
                            .label(input.span, format!("`{}` is {}", input.name, input.ty));
                        self.report(found);
                        return None;
                    }
                }
                let columns = csv.columns.get(columns.clone()).unwrap_or_default();
                let whole = columns.iter().filter_map(|column| column.range).all(|range| range.whole);
                if !whole && !input.ty.dtype.is_float() && field.arithmetic.is_empty() {
                    let message =
                        format!("`{}` is {}, and the data are not whole numbers", input.name, input.ty.dtype);
                    let found = Diagnostic::error(Code::DataMismatch, field.span, message)
                        .label(input.span, format!("`{}` is {}", input.name, input.ty))
                        .help("make the input f32, or take another column");
                    self.report(found);
                    return None;
                }
                columns
                    .iter()
                    .filter_map(|column| column.range)
                    .map(|range| (range.min, range.max))
                    .reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
            }
            (From::Array(key), _) => match self.facts.sources.get(key) {
                Some(Ok(SourceFacts { content: Content::Idx(idx), .. })) => {
                    idx.range.map(|range| (range.min, range.max))
                }
                Some(Ok(SourceFacts { content: Content::Csv(_), .. }) | Err(_)) | None => None,
            },
            (From::Columns(_), DraftKind::Idx) => None,
        };
        let (Some((min, max)), Some((classes, loss))) = (range, classes) else { return Some(()) };
        let calculate = |x: f64| field.arithmetic.iter().fold(x, |x, (how, n)| how.apply(x, *n));
        let (min, max) = (calculate(min), calculate(max));
        if min >= 0.0 && max < classes as f64 {
            return Some(());
        }
        let message = format!(
            "labels run from {min} to {max}, and the model tells {classes} classes apart, 0 to {}",
            classes.saturating_sub(1)
        );
        let found = Diagnostic::error(Code::LabelRange, loss, message)
            .label(field.span, "the labels come from here")
            .help(if min >= 0.0 {
                format!("give the last layer {} classes", max as u64 + 1)
            } else {
                "labels count from 0: add a number to them".to_string()
            });
        self.report(found);
        None
    }
}

/// The number of classes of each input that is a label, and the loss that says so.
pub(in crate::check) fn label_classes(model: &Model, losses: &[LossCall]) -> Vec<Option<(u64, Span)>> {
    let mut classes = vec![None; model.inputs.len()];
    for loss in losses {
        let Op::Input(input) = model.values[loss.label.0 as usize].op else { continue };
        let size = model.values[loss.logits.0 as usize].ty.axes.last().and_then(|axis| axis.size.known());
        let at = input.0 as usize;
        let is_label = is_label(model.inputs[at].ty.dtype);
        if let (Some(size), None, true) = (size, classes[at], is_label) {
            classes[at] = Some((size, loss.span));
        }
    }
    classes
}
