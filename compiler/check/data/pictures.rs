//! Pictures as data: `images("flowers", labels: folder) |> resize(64) |> random_crop(56, 56) |> flip |> whiten`.

use strata_grammar::ast::{Argument, ArgumentName, Expr, Ident};
use strata_grammar::{Code, Diagnostic, Span, did_you_mean};
use strata_runtime::queue::{CAN_READ_PICTURES, PictureFacts, PictureStep, Resize, StageKind};

use super::{Draft, DraftField, DraftKind, Format, From, first_text};
use crate::check::signature::lone_name;
use crate::check::{Checker, Content};
use crate::model::Input;
use crate::types::{Axis, Size};

/// Whether a call makes classes of folders, as far as can be told without looking for mistakes.
pub(super) fn has_classes(args: &[Argument]) -> bool {
    args.iter().any(|arg| is_word(&arg.value, "folder"))
}

fn is_word(expr: &Expr, word: &str) -> bool {
    lone_name(expr).is_some_and(|name| name.text == word)
}

/// What may be done to pictures, and how.
const FORMS: [(&str, &str); 5] = [
    ("resize", "`resize(64)` for the shorter side, or `resize(64, 64)`"),
    ("crop", "`crop(64, 64)`"),
    ("random_crop", "`random_crop(64, 64)`"),
    ("flip", "`flip`"),
    ("whiten", "`whiten`"),
];

impl<'a> Checker<'a> {
    /// `images("folder", photo: picture / 255, kind: folder)`. Without a field that is `picture` it is called `image`,
    /// and `labels: folder` makes the field `label`.
    pub(super) fn images(&mut self, args: &'a [Argument], span: Span) -> Option<Draft> {
        let Some((path, path_span)) = first_text(args) else {
            let found = Diagnostic::error(Code::MissingArgument, span, "`images` needs the path of a folder")
                .help("write `images(\"folder\", labels: folder)`");
            self.report(found);
            return None;
        };
        if !CAN_READ_PICTURES {
            let message = "this program was built without what reads pictures";
            let found = Diagnostic::error(Code::NotYet, span, message)
                .help("build it with `cargo build --release --features pictures`");
            self.report(found);
        }
        let format = Format::Pictures { classes: has_classes(args) };
        let content = |content: &'a Content| match content {
            Content::Pictures(pictures) => Some(pictures),
            _ => None,
        };
        let (key, facts) = self.open((path, path_span), format, content);
        let mut fields = self.fields(args, path_span, "images", |checker, name, expr| {
            checker.image_field(name, expr, facts)
        })?;
        if !fields.iter().any(|field| matches!(field.from, From::Picture)) {
            for field in fields.iter_mut().filter(|field| field.name == "labels") {
                field.name = "label".to_string();
            }
            // It stands nowhere; this is where it would.
            let name_span = Self::behind(path_span);
            let field = DraftField {
                name: "image".to_string(),
                name_span,
                from: From::Picture,
                shape: None,
                shape_span: path_span,
                arithmetic: Vec::new(),
                span: path_span,
            };
            fields.insert(0, field);
        }
        let examples = facts.map(|facts| facts.pictures);
        Some(Draft::new(DraftKind::Pictures { key }, fields, examples, span))
    }

    fn image_field(
        &mut self,
        name: &'a Ident,
        expr: &'a Expr,
        facts: Option<&'a PictureFacts>,
    ) -> Option<DraftField> {
        let (inner, arithmetic) = self.arithmetic(expr)?;
        let (from, shape) = match lone_name(inner).map(|name| name.text.as_str()) {
            Some("picture") => (From::Picture, None),
            Some("folder") if arithmetic.is_empty() => {
                (From::Folder { classes: facts.map(|facts| facts.classes.clone()) }, Some(Vec::new()))
            }
            Some("folder") => {
                let message = "the number of a folder is not calculated with";
                self.report(Diagnostic::error(Code::WrongKind, expr.span, message));
                return None;
            }
            Some(other) => {
                let message = "a field of `images` is `picture`, or `folder`: the number of its folder";
                let found = Diagnostic::error(Code::WrongKind, inner.span, message);
                self.report(match did_you_mean(other, ["picture", "folder"]) {
                    Some(near) => found.help(format!("did you mean `{near}`?")).edit(inner.span, near),
                    None => found,
                });
                return None;
            }
            None => return self.no_field(inner, "`picture` or `folder`"),
        };
        Some(DraftField {
            name: name.text.clone(),
            name_span: name.span,
            from,
            shape,
            shape_span: inner.span,
            arithmetic,
            span: name.span.to(expr.span),
        })
    }

    /// `resize`, `crop`, `random_crop`, `flip`, `whiten`
    pub(super) fn picture_stage(
        &mut self,
        mut draft: Draft,
        name: &Ident,
        args: &'a [Argument],
        span: Span,
    ) -> Option<Draft> {
        self.has_pictures(&draft, name, span)?;
        let step = match name.text.as_str() {
            "resize" => {
                let (sizes, _) = self.picture_arguments(name, args, span, false)?;
                match sizes.as_slice() {
                    [size] => PictureStep::Resize(Resize::Shorter(*size)),
                    [height, width] => PictureStep::Resize(Resize::To { height: *height, width: *width }),
                    _ => return self.wrong_sizes(name, span),
                }
            }
            "crop" | "random_crop" => {
                let random = name.text == "random_crop";
                let (sizes, seed) = self.picture_arguments(name, args, span, random)?;
                let [height, width] = sizes[..] else { return self.wrong_sizes(name, span) };
                if random {
                    PictureStep::RandomCrop { height, width, seed }
                } else {
                    PictureStep::Crop { height, width }
                }
            }
            other => {
                let (sizes, seed) = self.picture_arguments(name, args, span, other == "flip")?;
                if !sizes.is_empty() {
                    return self.wrong_sizes(name, span);
                }
                if other == "flip" { PictureStep::Flip { seed } } else { PictureStep::Whiten }
            }
        };
        let white = |kind: &StageKind| matches!(kind, StageKind::Picture(PictureStep::Whiten));
        let kind = StageKind::Picture(step);
        if let Some((_, first)) = draft.stages.iter().find(|(stage, _)| white(stage) && white(&kind)) {
            let found = Diagnostic::error(Code::MisplacedStatement, span, "pictures are whitened once")
                .label(*first, "the first")
                .help("take one of the two out");
            self.report(found);
            return None;
        }
        self.order(&draft, &kind, span)?;
        draft.stages.push((kind, span));
        Some(draft)
    }

    /// `skip(bad)`
    pub(super) fn skip(
        &mut self,
        mut draft: Draft,
        name: &Ident,
        args: &'a [Argument],
        span: Span,
    ) -> Option<Draft> {
        self.has_pictures(&draft, name, span)?;
        if !matches!(args, [Argument { name: ArgumentName::None, value, .. }] if is_word(value, "bad")) {
            let found = Diagnostic::error(
                Code::WrongKind,
                span,
                "what is skipped is what cannot be read: `skip(bad)`",
            )
            .help("write `skip(bad)`; `split(at: …)` leaves out the first so many")
            .edit(span, "skip(bad)");
            self.report(found);
            return None;
        }
        if let Some((_, before)) =
            draft.stages.iter().find(|(kind, _)| !matches!(kind, StageKind::Picture(_)))
        {
            let message = "pictures are skipped before anything is counted";
            let found = Diagnostic::error(Code::MisplacedStatement, span, message)
                .label(*before, "this counts them")
                .help("move `skip(bad)` right behind the source");
            self.report(found);
            return None;
        }
        draft.skip = true;
        // How many are left is known once all were read.
        draft.examples = None;
        Some(draft)
    }

    fn has_pictures(&mut self, draft: &Draft, name: &Ident, span: Span) -> Option<()> {
        if matches!(draft.kind, DraftKind::Pictures { .. }) {
            return Some(());
        }
        let message = format!("`{}` works on pictures, and these are none", name.text);
        let found = Diagnostic::error(Code::MisplacedStatement, span, message)
            .label(draft.span, "the source")
            .help("begin with `images(…)`");
        self.report(found);
        None
    }

    /// Numbers by position, and `seed:` where there is chance.
    fn picture_arguments(
        &mut self,
        stage: &Ident,
        args: &'a [Argument],
        span: Span,
        chance: bool,
    ) -> Option<(Vec<usize>, Option<u64>)> {
        /// No picture is larger; more only takes memory.
        const LARGEST: u64 = 1 << 14;
        let (mut sizes, mut seed) = (Vec::new(), None);
        for arg in args {
            match &arg.name {
                ArgumentName::None => {
                    let size = self.plain_count(&arg.value, 1, "a number of pixels")?;
                    if size > LARGEST {
                        let message = format!("pictures have at most {LARGEST} pixels a side");
                        self.report(Diagnostic::error(Code::BadSize, arg.value.span, message));
                        return None;
                    }
                    sizes.push(size as usize);
                }
                ArgumentName::Colon(name) if name.text == "seed" && chance => {
                    seed = Some(self.plain_count(&arg.value, 0, "a seed")?);
                }
                ArgumentName::Colon(name) | ArgumentName::Equals(name) => {
                    let message = format!("`{}` has no argument `{}`", stage.text, name.text);
                    let found = Diagnostic::error(Code::UnknownArgument, name.span, message);
                    self.report(found.help(format!("write {}", form(&stage.text))));
                    return None;
                }
            }
        }
        if sizes.len() > 2 {
            return self.wrong_sizes(stage, span);
        }
        Some((sizes, seed))
    }

    fn wrong_sizes<T>(&mut self, stage: &Ident, span: Span) -> Option<T> {
        let message = match stage.text.as_str() {
            "flip" | "whiten" => format!("`{}` takes no size", stage.text),
            _ => format!("`{}` takes a height and a width", stage.text),
        };
        let found = Diagnostic::error(Code::MissingArgument, span, message);
        self.report(found.help(format!("write {}", form(&stage.text))));
        None
    }

    /// The shape of pictures once all stages are done, if an input takes it.
    pub(super) fn picture_fits(
        &mut self,
        draft: &Draft,
        field: &DraftField,
        input: &Input,
        bound: &mut [Option<(usize, Span)>],
    ) -> Option<Vec<usize>> {
        let axes = input.ty.axes.get(1..).unwrap_or_default();
        let [height, width, channels] = axes else {
            return self.no_picture(field, input, "a picture is [height, width, channel]");
        };
        let channels = match channels.size {
            Size::Known(n @ (1 | 3)) => n as usize,
            Size::Known(_) | Size::Free(_) | Size::Expr(_) => {
                return self.no_picture(
                    field,
                    input,
                    "a picture has one channel (grey) or three (red, green, blue)",
                );
            }
        };
        for (kind, span) in &draft.stages {
            if matches!(kind, StageKind::Picture(PictureStep::Whiten)) && !input.ty.dtype.is_float() {
                let message =
                    format!("`whiten` makes numbers around 0, and `{}` is {}", input.name, input.ty.dtype);
                let found = Diagnostic::error(Code::DataMismatch, *span, message)
                    .label(input.span, format!("`{}` is {}", input.name, input.ty))
                    .help("make the input f32");
                self.report(found);
                return None;
            }
        }
        let known = |axis: &Axis| axis.size.known().map(|n| n as usize);
        match (size_of(draft), known(height), known(width)) {
            (Some(([height, width], at)), _, _) => {
                let field = DraftField { shape_span: at, ..field.clone() };
                self.shape_fits(&field, &[height, width, channels], input, 1, bound)
            }
            // Each picture is looked at when it is read.
            (None, Some(height), Some(width)) => Some(vec![height, width, channels]),
            (None, _, _) => {
                let message = "each picture may have a size of its own";
                let found = Diagnostic::error(Code::UnboundAxis, field.span, message)
                    .label(input.span, format!("`{}` is {}", input.name, input.ty))
                    .help("give all the same: `|> resize(64, 64)`, or `|> resize(64) |> crop(64, 64)`");
                self.report(found);
                None
            }
        }
    }

    fn no_picture<T>(&mut self, field: &DraftField, input: &Input, why: &str) -> Option<T> {
        let message = format!("{why}, and the model's input is {}", input.ty);
        let found = Diagnostic::error(Code::DataMismatch, field.span, message)
            .label(input.span, format!("`{}`", input.name))
            .help(format!("write `{}: f32[batch, height = 64, width = 64, channel = 3]`", input.name));
        self.report(found);
        None
    }

    /// That a folder's number is the same class in the feed and here.
    pub(super) fn same_classes(&mut self, field: &DraftField, feed: Option<&Draft>) -> bool {
        let other = feed.and_then(|feed| feed.fields.iter().find(|other| other.name == field.name));
        let Some(other) = other else { return true };
        let (From::Folder { classes: Some(own) }, From::Folder { classes: Some(theirs) }) =
            (&field.from, &other.from)
        else {
            return true;
        };
        if own == theirs {
            return true;
        }
        let differs = |a: &[String], b: &[String]| a.iter().find(|name| !b.contains(name)).cloned();
        let message = match (differs(theirs, own), differs(own, theirs)) {
            (Some(name), _) => {
                format!("there is no folder `{name}` here, so that classes have other numbers")
            }
            (None, name) => format!(
                "there is a folder `{}` that is not trained with, so that classes have other numbers",
                name.unwrap_or_default()
            ),
        };
        let found = Diagnostic::error(Code::DataMismatch, field.span, message)
            .label(
                other.span,
                format!("{} classes here: {}", theirs.len(), super::sources::listed(&names(theirs))),
            )
            .help("classes are numbered by the names of folders: give both the same folders");
        self.report(found);
        false
    }
}

fn names(all: &[String]) -> Vec<&str> {
    all.iter().map(String::as_str).collect()
}

fn form(stage: &str) -> &'static str {
    FORMS.iter().find(|(name, _)| *name == stage).map_or("", |(_, form)| form)
}

/// Height and width after all stages, where they are the same for all pictures, and the stage that says so.
fn size_of(draft: &Draft) -> Option<([usize; 2], Span)> {
    let mut size = None;
    for (kind, span) in &draft.stages {
        let StageKind::Picture(step) = kind else { continue };
        match step {
            PictureStep::Resize(Resize::Shorter(_)) => size = None,
            PictureStep::Resize(Resize::To { height, width })
            | PictureStep::Crop { height, width }
            | PictureStep::RandomCrop { height, width, .. } => size = Some(([*height, *width], *span)),
            PictureStep::Flip { .. } | PictureStep::Whiten => {}
        }
    }
    size
}
