//! Drafts held against a model's inputs and the facts about files: recipes.

use std::path::PathBuf;

use strata_grammar::{Code, Diagnostic, Span, did_you_mean};
use strata_runtime::queue::{
    ArrayField, CsvField, Longer, Origin, PictureContent, PictureField, Recipe, Source, Stage, StageKind,
    TextContent, TextField, Tokens,
};

use super::lengths::is_sequence;
use super::tokens::tokens_of;
use super::{Draft, DraftField, DraftKind, From, candidates};
use crate::check::build::LossCall;
use crate::check::statement::is_label;
use crate::check::{Checker, Content, SourceFacts, SourceKey};
use crate::model::{Input, Model};
use crate::ops::Op;
use crate::types::{DType, Size};

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
            StageKind::Shuffle { .. }
            | StageKind::Split { .. }
            | StageKind::Take { .. }
            | StageKind::Repeat { .. }
            | StageKind::Picture(_)
            | StageKind::Bucket { .. }
            | StageKind::Prefetch { .. } => None,
        })
    }

    /// The recipe that feeds `model` from `draft`, batched as `feed` is where it is not batched itself. `classes`
    /// has the number of classes of each input that is a label, and the loss that says so.
    pub(in crate::check) fn recipe(
        &mut self,
        draft: &Draft,
        model: &Model,
        classes: &[Option<(u64, Span)>],
        feed: Option<&Draft>,
        span: Span,
    ) -> Option<Recipe> {
        let mut csv = Vec::new();
        let mut arrays = Vec::new();
        let mut pictures = Vec::new();
        let mut text = Vec::new();
        let mut wrong = false;
        let lengths = self.lengths_stage(draft, feed, model);
        let padded =
            if draft.bucket().is_some() { draft.padded } else { feed.is_some_and(|feed| feed.padded) };
        let mut bound = vec![None; model.free.len()];
        // Lengths come with the sequences that they are of.
        for (input, classes) in model.inputs.iter().zip(classes).filter(|(input, _)| !input.is_length()) {
            let Some(field) = draft.fields.iter().find(|field| field.name == input.name) else {
                self.missing_field(draft, input, model, span);
                wrong = true;
                continue;
            };
            let Some(shape) = self.field_shape(draft, field, input, &mut bound, padded, lengths.as_ref())
            else {
                wrong = true;
                continue;
            };
            if self.check_values(draft, field, input, *classes).is_none()
                || self.same_vocabulary(field, feed).is_none()
                || !self.same_classes(field, feed)
            {
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
                From::Array(key, member) => {
                    let (path, member) = (self.path(key), member.clone());
                    arrays.push(ArrayField { name, path, member, shape, dtype, arithmetic, classes, origin });
                }
                From::Picture => {
                    let Ok(shape) = <[usize; 3]>::try_from(shape) else { continue };
                    let content = PictureContent::Pixels { shape, arithmetic };
                    pictures.push(PictureField { name, content, dtype, origin });
                }
                From::Folder { .. } => {
                    let content = PictureContent::Folder { classes };
                    pictures.push(PictureField { name, content, dtype, origin });
                }
                From::Text { part, tokens } => {
                    let Some(tokens) = tokens else { continue };
                    let content = TextContent::Tokens(Tokens {
                        vocabulary: tokens.vocabulary.clone(),
                        end: tokens.end,
                    });
                    text.push(TextField { name, part: *part, content, dtype, origin });
                }
                From::Numbers { part, step } => {
                    let content = TextContent::Numbers { shape: step.clone(), arithmetic };
                    text.push(TextField { name, part: *part, content, dtype, origin });
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
            DraftKind::Parquet { key } => {
                let origin = self.data_origin(draft.span);
                Source::Parquet { path: self.path(key), fields: csv, origin }
            }
            DraftKind::Arrays => Source::Arrays { fields: arrays },
            DraftKind::Pictures { key } => {
                let origin = self.data_origin(draft.span);
                Source::Pictures { path: self.path(key), fields: pictures, skip: draft.skip, origin }
            }
            DraftKind::Text { key } => {
                let origin = self.data_origin(draft.span);
                Source::Text { path: self.path(key), fields: text, windows: draft.windows, origin }
            }
        };
        let mut stages = Vec::new();
        let own = |(kind, _): &&(StageKind, Span)| !matches!(kind, StageKind::Bucket { .. });
        for (kind, span) in draft.stages.iter().filter(own) {
            stages.push(Stage { kind: kind.clone(), origin: self.data_origin(*span) });
        }
        if let Some((kind, at)) = lengths {
            let before = stages
                .iter()
                .position(|stage| matches!(stage.kind, StageKind::Batch { .. } | StageKind::Prefetch { .. }));
            let stage = Stage { kind, origin: self.data_origin(at.unwrap_or(span)) };
            stages.insert(before.unwrap_or(stages.len()), stage);
        }
        if Self::batch_size(draft).is_none()
            && let Some(size) = feed.and_then(Self::batch_size)
        {
            stages.push(Stage { kind: StageKind::Batch { size }, origin: self.data_origin(span) });
        }
        Some(Recipe { source, stages })
    }

    /// The stage that says how long sequences are, for the inputs of a model alone: the draft's own, or else the
    /// feed's, or what the types of the inputs say; and where it stands.
    fn lengths_stage(
        &mut self,
        draft: &Draft,
        feed: Option<&Draft>,
        model: &Model,
    ) -> Option<(StageKind, Option<Span>)> {
        let sequences: Vec<&DraftField> = draft
            .fields
            .iter()
            .filter(|field| is_sequence(draft, field))
            .filter(|field| model.inputs.iter().any(|input| input.name == field.name))
            .collect();
        if sequences.is_empty() {
            return None;
        }
        let is_sequence = |name: &str| sequences.iter().any(|field| field.name == name);
        if let Some((StageKind::Bucket { lengths, longer }, at)) =
            draft.bucket().or_else(|| feed.and_then(Draft::bucket)).map(|stage| (&stage.0, &stage.1))
        {
            let lengths = lengths.iter().filter(|(name, _)| is_sequence(name)).cloned().collect();
            return Some((StageKind::Bucket { lengths, longer: *longer }, Some(*at)));
        }
        let mut lengths = Vec::new();
        for input in model.inputs.iter().filter(|input| is_sequence(&input.name)) {
            let size = input.ty.axes.get(1).and_then(|axis| axis.size.known())?;
            lengths.push((input.name.clone(), vec![size as usize]));
        }
        Some((StageKind::Bucket { lengths, longer: Longer::Refuse }, None))
    }

    /// That numbers stand for the same in the feed and here.
    fn same_vocabulary(&mut self, field: &DraftField, feed: Option<&Draft>) -> Option<()> {
        let other = feed.and_then(|feed| feed.fields.iter().find(|other| other.name == field.name));
        let (Some(own), Some(other)) =
            (tokens_of(&field.from), other.and_then(|other| tokens_of(&other.from)))
        else {
            return Some(());
        };
        if own.vocabulary == other.vocabulary {
            return Some(());
        }
        let message = format!("the vocabulary of `{}` is not the one that is trained with", field.name);
        let found = Diagnostic::error(Code::DataMismatch, own.span, message)
            .label(other.span, "that one is made here")
            .help(
                "take the other data's: `tokens(as: train)`, with the name of the data that are trained on",
            );
        self.report(found);
        None
    }

    pub(super) fn path(&mut self, key: &SourceKey) -> PathBuf {
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
        let meant = did_you_mean(&input.name, unused.iter().copied())
            .or(match unused.as_slice() {
                [only] => Some(*only),
                _ => None,
            })
            .and_then(|name| draft.fields.iter().find(|field| field.name == name));
        if let Some(field) = meant {
            // A picture's field has no name where none is written.
            let unwritten = field.name_span.start == field.name_span.end;
            if unwritten {
                let text = format!(", {}: picture", input.name);
                let found = Diagnostic::error(Code::DataMismatch, field.span, message)
                    .label(input.span, format!("`{}` is {}", input.name, input.ty))
                    .help(format!("name the field: `{}: picture`", input.name))
                    .edit(field.name_span, text);
                self.report(found);
                return;
            }
            let found = Diagnostic::error(Code::DataMismatch, field.name_span, message)
                .label(input.span, format!("`{}` is {}", input.name, input.ty))
                .label(span, "fed from here")
                .help(format!(
                    "call the field `{}` of the data `{}`, as the model does",
                    field.name, input.name
                ))
                .edit(field.name_span, input.name.as_str());
            self.report(found);
            return;
        }
        let mut found = Diagnostic::error(Code::DataMismatch, span, message)
            .label(input.span, format!("`{}` is {}", input.name, input.ty))
            .label(draft.span, "the fields come from here");
        found = found.help(format!("add a field `{}: …` to the data", input.name));
        self.report(found);
    }

    /// The shape of one example, if the input takes it; of a sequence that of all its steps. `bound` has what
    /// other inputs say of free axes.
    fn field_shape(
        &mut self,
        draft: &Draft,
        field: &DraftField,
        input: &Input,
        bound: &mut [Option<(usize, Span)>],
        padded: bool,
        lengths: Option<&(StageKind, Option<Span>)>,
    ) -> Option<Vec<usize>> {
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
        if is_sequence(draft, field) {
            self.sequence_fits(field, input, padded, lengths)?;
            let From::Numbers { step, .. } = &field.from else { return Some(Vec::new()) };
            return self.shape_fits(field, step, input, 2, bound);
        }
        if let Some(axis) = input.ty.axes.iter().find(|axis| axis.ragged) {
            let name = axis.name.as_deref().unwrap_or("time");
            let message = format!("all examples of `{}` are equally long", field.name);
            let found = Diagnostic::error(Code::DataMismatch, input.span, message)
                .label(field.span, "fed from here")
                .help(format!("write `{name}` without `ragged`"));
            self.report(found);
            return None;
        }
        if matches!(field.from, From::Picture) {
            return self.picture_fits(draft, field, input, bound);
        }
        match (&field.shape, draft.windows) {
            (Some(shape), _) => self.shape_fits(field, &shape.clone(), input, 1, bound),
            (None, Some(windows)) => self.shape_fits(field, &[windows.length], input, 1, bound),
            (None, None) => {
                // Without facts, the file has to have what the input takes.
                let known = |axis: &crate::types::Axis| axis.size.known().map(|n| n as usize);
                let wanted: Option<Vec<usize>> = input.ty.axes.iter().skip(1).map(known).collect();
                if wanted.is_none() {
                    self.unbound(field, input, 1);
                }
                wanted
            }
        }
    }

    /// That examples of `shape` are what an input takes from its axis `from` on.
    pub(super) fn shape_fits(
        &mut self,
        field: &DraftField,
        shape: &[usize],
        input: &Input,
        from: usize,
        bound: &mut [Option<(usize, Span)>],
    ) -> Option<Vec<usize>> {
        let axes = input.ty.axes.get(from..).unwrap_or_default();
        let fits = |(axis, size): (&crate::types::Axis, &usize)| match &axis.size {
            Size::Known(n) => *n == *size as u64,
            Size::Free(_) => true,
            Size::Expr(_) => false,
        };
        if axes.len() != shape.len() || !axes.iter().zip(shape).all(fits) {
            let sizes = axes.iter().map(|axis| match (axis.size.known(), &axis.name) {
                (Some(n), _) => n.to_string(),
                (None, Some(name)) => name.to_string(),
                (None, None) => "?".to_string(),
            });
            let wanted = format!("[{}]", sizes.collect::<Vec<_>>().join(", "));
            let product: Option<u64> = axes.iter().map(|axis| axis.size.known()).product();
            let same_count = product == Some(shape.iter().product::<usize>() as u64);
            let steps = if from > 1 { " a step" } else { "" };
            let message = format!(
                "the field `{}` has examples of {shape:?}{steps}, and the model's input takes {wanted}",
                field.name
            );
            let mut found = Diagnostic::error(Code::DataMismatch, field.shape_span, message)
                .label(input.span, format!("`{}` is {}", input.name, input.ty));
            found = match &field.from {
                From::Columns(_) | From::Array(..) if same_count => {
                    found.help(format!("write `as: {wanted}`"))
                }
                From::Numbers { .. } => found.help(format!("write `each: {wanted}`")),
                From::Picture => {
                    found.help("let the last of `resize` and `crop` make the size that the model takes")
                }
                From::Columns(columns) if matches!(axes, [axis] if axis.size.known().is_some()) => {
                    let end = axes[0].size.known().map_or(0, |n| columns.start + n as usize);
                    let n = end - columns.start;
                    let start = columns.start;
                    found.help(format!(
                        "take {n} columns, as in `columns({start}..{end})`, or give the input another size"
                    ))
                }
                From::Columns(_) | From::Array(..) | From::Folder { .. } | From::Text { .. } => {
                    found.help("make the two shapes equal: nothing is reshaped silently")
                }
            };
            self.report(found);
            return None;
        }
        for (axis, size) in axes.iter().zip(shape) {
            let Size::Free(free) = axis.size else { continue };
            match bound[free.0 as usize] {
                Some((other, at)) if other != *size => {
                    let name = axis.name.as_deref().unwrap_or("?");
                    let message = format!("`{name}` is {size} here, and another input has {other}");
                    let found = Diagnostic::error(Code::DataMismatch, field.span, message)
                        .label(at, format!("{other} here"))
                        .label(input.span, format!("`{}` is {}", input.name, input.ty));
                    self.report(found);
                    return None;
                }
                Some(_) => {}
                None => bound[free.0 as usize] = Some((*size, field.span)),
            }
        }
        Some(shape.to_vec())
    }

    /// That an input takes a sequence, and that something says how long it is.
    fn sequence_fits(
        &mut self,
        field: &DraftField,
        input: &Input,
        padded: bool,
        lengths: Option<&(StageKind, Option<Span>)>,
    ) -> Option<()> {
        if let From::Text { tokens: None, .. } = field.from {
            let message = format!("`{}` is a text, and the model takes numbers", field.name);
            let found = Diagnostic::error(Code::DataMismatch, field.span, message)
                .label(input.span, format!("`{}` is {}", input.name, input.ty))
                .help("add `|> tokens(words)` or `|> tokens(characters)`");
            self.report(found);
            return None;
        }
        if let (From::Text { .. }, false) = (&field.from, matches!(input.ty.dtype, DType::I32 | DType::I64)) {
            let message = format!("`{}` is {}, and tokens are whole numbers", input.name, input.ty.dtype);
            let found = Diagnostic::error(Code::DataMismatch, input.span, message)
                .label(field.span, "fed from here")
                .help("make the input i32");
            self.report(found);
            return None;
        }
        let Some(axis) = input.ty.axes.get(1) else {
            let message = format!("`{}` holds sequences, and the model's input is {}", field.name, input.ty);
            let found = Diagnostic::error(Code::DataMismatch, field.span, message)
                .label(input.span, "this has no axis for their steps")
                .help(format!("write `{}: {}[batch, ragged time]`", input.name, input.ty.dtype));
            self.report(found);
            return None;
        };
        let name = axis.name.as_deref().unwrap_or("time");
        if let (From::Text { .. }, Some(_)) = (&field.from, input.ty.axes.get(2)) {
            let message =
                format!("a step of `{}` is one number, and the model's input is {}", field.name, input.ty);
            let found = Diagnostic::error(Code::DataMismatch, field.span, message)
                .label(input.span, "this has more axes")
                .help("give the input two axes: its examples and their steps");
            self.report(found);
            return None;
        }
        let Some((StageKind::Bucket { lengths, .. }, at)) = lengths else {
            let message = format!("nothing says how long `{name}` is in a batch");
            let found = Diagnostic::error(Code::UnboundAxis, field.span, message)
                .label(input.span, format!("`{}` is {}", input.name, input.ty))
                .help(format!("add `|> bucket({}: [8, 16, 32])` or `|> pad` to the data", field.name));
            self.report(found);
            return None;
        };
        if !axis.ragged && !padded && at.is_some() {
            let message = format!("each example of `{}` has its own length", field.name);
            let found = Diagnostic::error(Code::DataMismatch, input.span, message)
                .label(field.span, "fed from here")
                .help(format!(
                    "write `ragged {name}`; or fill all up to one length by `|> pad`, and PAD counts as any token"
                ));
            self.report(found);
            return None;
        }
        let own =
            lengths.iter().find(|(field, _)| *field == input.name).map(|(_, lengths)| lengths.as_slice());
        match (axis.size.known(), own, at) {
            (Some(size), own, Some(at)) if own != Some(&[size as usize]) => {
                let message = format!("`{name}` is {size}, and this gives `{}` another length", input.name);
                let found = Diagnostic::error(Code::DataMismatch, *at, message)
                    .label(input.span, format!("`{}` is {}", input.name, input.ty))
                    .help(format!("write `pad({}: {size})`, or leave the size out of the type", input.name));
                self.report(found);
                None
            }
            _ => Some(()),
        }
    }

    fn unbound(&mut self, field: &DraftField, input: &Input, from: usize) {
        let open = input.ty.axes.iter().skip(from).find(|axis| axis.size.known().is_none());
        let name = open.and_then(|axis| axis.name.as_deref()).unwrap_or("?");
        let message = format!("the data do not say how long `{name}` is");
        let found = Diagnostic::error(Code::UnboundAxis, input.span, message)
            .label(field.span, "these data have a fixed shape")
            .help(format!("write its size: `{name} = …`"));
        self.report(found);
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
            (From::Columns(columns), DraftKind::Csv { key, .. } | DraftKind::Parquet { key }) => {
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
                        // Of whole numbers only those are no numbers to us that would lose digits.
                        let why = if word.text.parse::<i128>().is_ok() {
                            "beyond 2^53, up to which whole numbers are read exactly".to_string()
                        } else {
                            format!("and `{}` takes numbers", input.name)
                        };
                        let message = format!("column {at} holds {what} in line {}, {why}", word.line);
                        let found = Diagnostic::error(Code::DataMismatch, field.span, message)
                            .label(input.span, format!("`{}` is {}", input.name, input.ty));
                        self.report(found);
                        return None;
                    }
                }
                let columns = csv.columns.get(columns.clone()).unwrap_or_default();
                let whole = columns.iter().filter_map(|column| column.range).all(|range| range.whole);
                if !whole && !input.ty.dtype.is_float() && field.arithmetic.is_empty() {
                    self.not_whole(field, input);
                    return None;
                }
                columns
                    .iter()
                    .filter_map(|column| column.range)
                    .map(|range| (range.min, range.max))
                    .reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
            }
            (From::Array(key, member), _) => {
                let range = self.array_facts(key, member.as_deref()).and_then(|facts| facts.range);
                if let Some(range) = range
                    && !range.whole
                    && !input.ty.dtype.is_float()
                    && field.arithmetic.is_empty()
                {
                    self.not_whole(field, input);
                    return None;
                }
                range.map(|range| (range.min, range.max))
            }
            (From::Picture, _) => None,
            (From::Folder { classes }, _) => {
                classes.as_ref().map(|classes| (0.0, classes.len().saturating_sub(1) as f64))
            }
            (From::Text { tokens, .. }, _) => {
                let size = tokens.as_ref().and_then(|tokens| tokens.size);
                return self.vocabulary_fits(field, size, classes);
            }
            (From::Columns(_), DraftKind::Arrays | DraftKind::Pictures { .. } | DraftKind::Text { .. })
            | (From::Numbers { .. }, _) => None,
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

impl<'a> Checker<'a> {
    fn not_whole(&mut self, field: &DraftField, input: &Input) {
        let message = format!("`{}` is {}, and the data are not whole numbers", input.name, input.ty.dtype);
        let found = Diagnostic::error(Code::DataMismatch, field.span, message)
            .label(input.span, format!("`{}` is {}", input.name, input.ty))
            .help("make the input f32, or take another column");
        self.report(found);
    }

    /// That a loss tells as many classes apart as the vocabulary of its label has.
    fn vocabulary_fits(
        &mut self,
        field: &DraftField,
        size: Option<usize>,
        classes: Option<(u64, Span)>,
    ) -> Option<()> {
        match (size, classes) {
            (Some(size), Some((classes, loss))) if size as u64 > classes => {
                let message = format!(
                    "the vocabulary of `{}` has {size} numbers, and the model tells {classes} classes apart",
                    field.name
                );
                let found = Diagnostic::error(Code::LabelRange, loss, message)
                    .label(field.span, "the labels come from here")
                    .help(format!(
                        "give the last layer `size({})` classes, by a parameter of the model",
                        field.name
                    ));
                self.report(found);
                None
            }
            _ => Some(()),
        }
    }
}

impl Draft {
    /// The stage that says how long sequences are, and where it stands.
    fn bucket(&self) -> Option<&(StageKind, Span)> {
        self.stages.iter().find(|(kind, _)| matches!(kind, StageKind::Bucket { .. }))
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
