//! `image("file")`: a variable that begins with a picture.

use std::path::PathBuf;

use strata_grammar::ast::{Argument, ArgumentName, Expr, ExprKind, Ident, Text};
use strata_grammar::{Code, Diagnostic, Span};

use super::data::Format;
use super::signature::lone_name;
use super::{Checker, SourceKey};
use crate::model::{Load, LoadContent};
use crate::types::{DType, Type};

/// What reads a picture.
pub(super) const IMAGE: &str = "image";

/// The arguments of `image(…)`, where that is what `init` is.
pub(super) fn picture_call(init: &Expr) -> Option<(&Ident, &[Argument])> {
    match &init.kind {
        ExprKind::Call { callee, args, .. } => {
            lone_name(callee).filter(|name| name.text == IMAGE).map(|name| (name, args.as_slice()))
        }
        _ => None,
    }
}

/// Whether a tensor can be shown: height, width and one or three channels, behind axes of size 1.
pub(super) fn is_picture(ty: &Type) -> bool {
    let sizes: Vec<u64> = ty.axes.iter().filter_map(|axis| axis.size.known()).collect();
    let Some(ones) = sizes.len().checked_sub(3) else { return false };
    sizes.len() == ty.axes.len()
        && sizes[..ones].iter().all(|size| *size == 1)
        && sizes[ones..].iter().all(|size| *size > 0)
        && matches!(sizes[ones + 2], 1 | 3)
        && (ty.dtype.is_float() || ty.dtype == DType::U8)
}

impl Checker<'_> {
    /// The file that `image(…)` names.
    pub(super) fn picture_file(&mut self, args: &[Argument], span: Span) -> Option<Text> {
        let file = |arg: &Argument| match (&arg.name, &arg.value.kind) {
            (ArgumentName::None, ExprKind::String(text)) => {
                Some(Text { text: text.clone(), span: arg.value.span })
            }
            _ => None,
        };
        match args {
            [only] if let Some(file) = file(only) => return Some(file),
            [first, other, ..] if file(first).is_some() => {
                let message = "`image` has one argument, the file";
                let found = Diagnostic::error(Code::UnknownArgument, other.span, message);
                self.report(found.help("a picture is stretched to the height and width of the variable"));
            }
            _ => {
                let message = "`image` needs the path of a file";
                let found = Diagnostic::error(Code::MissingArgument, span, message);
                self.report(found.help("write `image(\"photo.jpg\")`"));
            }
        }
        None
    }

    /// The variable `path` of type `ty`, which begins with a picture.
    pub(super) fn picture(&mut self, file: &Text, path: &str, ty: &Type, declared: Span) -> Option<Load> {
        if !self.build.apart.is_empty() {
            self.not_yet(file.span, "a picture inside of `apart`");
            return None;
        }
        if !is_picture(ty) {
            let message =
                format!("a picture is [height, width, 1 or 3] of floats or u8, and `{path}` is {ty}");
            let found = Diagnostic::error(Code::ShapeMismatch, declared, message)
                .label(file.span, "the picture")
                .help("write its type as in `const photo: f32[height = 256, width = 256, channel = 3]`");
            self.report(found);
            return None;
        }
        let key = SourceKey { file: file.span.file, path: file.text.clone(), format: Format::Picture };
        let known = self.facts.sources.contains_key(&key);
        match self.facts(&key, file.span) {
            Some(found) => {
                let content = LoadContent::Picture(path.to_string(), ty.clone());
                Some(Load { file: found.path.clone(), span: file.span, content })
            }
            // Nobody looked at it; whoever wants to train has to.
            None if !known => Some(Load::unread(PathBuf::from(&file.text), file.span)),
            None => None,
        }
    }

    /// Says that a picture can stand in no other place.
    pub(super) fn misplaced_picture(&mut self, name: &Ident) {
        let found = Diagnostic::error(
            Code::MisplacedStatement,
            name.span,
            "a picture can only be what a variable begins with",
        );
        self.report(found.help(
            "declare it: `const photo: f32[height = 256, width = 256, channel = 3] = image(\"photo.jpg\")`",
        ));
    }
}
