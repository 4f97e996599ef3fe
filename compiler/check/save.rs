//! `save NAME to "file" every …`: a variable that is written to a file of its own on the way.

use std::path::{Component, Path};

use strata_grammar::ast::{Expr, ExprKind, Ident};
use strata_grammar::{Code, Diagnostic, Span, did_you_mean};
use strata_runtime::saved::TensorFile;

use super::Checker;
use super::picture::is_picture;
use crate::model::Model;
use crate::run::{Every, Save};

impl<'a> Checker<'a> {
    /// The file that a line asks for, or nothing where something is wrong with it, which is said.
    pub(super) fn save(
        &mut self,
        span: Span,
        name: Option<&'a Ident>,
        path: Option<&'a Expr>,
        every: Option<Every>,
        model: Option<&Model>,
    ) -> Option<Save> {
        let (Some(name), Some(path)) = (name, path) else {
            let message = match name {
                Some(name) => format!("`save {}` does not say to which file", name.text),
                None => "`save to` does not say what".to_string(),
            };
            let found = Diagnostic::error(Code::MissingSetting, span, message)
                .help("write `save canvas to \"canvas.png\" every 50 steps`");
            self.report(found);
            return None;
        };
        let ExprKind::String(file) = &path.kind else { return None };
        let Some(kind) = TensorFile::of(Path::new(file)) else {
            let message = "the end of a file's name says how it is written, and this is none that is known";
            let found = Diagnostic::error(Code::BadValue, path.span, message)
                .help("it ends with `.png`, `.npy` or `.safetensors`");
            self.report(found);
            return None;
        };
        let inside = Path::new(file).components().all(|part| matches!(part, Component::Normal(_)));
        if !inside {
            let message = "files are saved in the run's folder, and this path leads out of it";
            let found = Diagnostic::error(Code::BadValue, path.span, message);
            self.report(found.help("write a name, as in `\"canvas.png\"`"));
            return None;
        }
        if matches!(file.as_str(), "final.safetensors" | "last.safetensors") {
            let message = format!("the run keeps its parameters in `{file}`");
            self.report(
                Diagnostic::error(Code::DuplicateName, path.span, message).help("give it another name"),
            );
            return None;
        }
        let model = model?;
        let Some(variable) = model.variables.iter().find(|variable| variable.name == name.text) else {
            let own = model.variables.iter().map(|variable| variable.name.as_str());
            let plain: Vec<&str> = own.filter(|name| !name.contains('/')).collect();
            let message = format!("`{}` has no param, const or state `{}`", model.name, name.text);
            let found = Diagnostic::error(Code::UnknownName, name.span, message);
            self.report(match did_you_mean(&name.text, plain.iter().copied()) {
                Some(near) => found.help(format!("did you mean `{near}`?")).edit(name.span, near),
                None if plain.is_empty() => found.help("declare it in the model: `param canvas: f32[…] = …`"),
                None => found.help(format!("there is {}", plain.join(", "))),
            });
            return None;
        };
        if kind == TensorFile::Png && !is_picture(&variable.ty) {
            let message = format!(
                "a picture is [height, width, 1 or 3] of floats from 0 to 1, or of u8, and `{}` is {}",
                name.text, variable.ty
            );
            let found = Diagnostic::error(Code::ShapeMismatch, name.span, message)
                .label(variable.call, "declared here")
                .help("save it as `.npy`, which takes any tensor");
            self.report(found);
            return None;
        }
        Some(Save { variable: variable.name.clone(), file: file.clone(), every, span })
    }
}
