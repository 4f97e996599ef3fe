//! Arrays as fields: `idx(x: array("x.idx"))`, `npy(x: array("x.npy"))`, `npz("set.npz", x: array("x"))`.

use strata_grammar::ast::{Argument, Expr, ExprKind, Ident};
use strata_grammar::{Code, Diagnostic, Span, did_you_mean};
use strata_runtime::queue::{ArrayFacts, Fault, NpzFacts};

use super::sources::listed;
use super::{Draft, DraftField, DraftKind, Format, From, first_text};
use crate::check::signature::lone_name;
use crate::check::{Checker, Content, SourceFacts, SourceKey};

/// An npz file, and what is known of it.
struct Archive<'a> {
    key: SourceKey,
    facts: Option<&'a NpzFacts>,
}

impl<'a> Checker<'a> {
    /// What is known of an array that was found without fault.
    pub(super) fn array_facts(&self, key: &SourceKey, member: Option<&str>) -> Option<&'a ArrayFacts> {
        let facts = self.facts.sources.get(key)?;
        match (facts, member) {
            (Ok(SourceFacts { content: Content::Array(array), .. }), None) => Some(array),
            (Ok(SourceFacts { content: Content::Npz(npz), .. }), Some(member)) => {
                let (_, array) = npz.arrays.iter().find(|(name, _)| name == member)?;
                array.as_ref().ok()
            }
            (Ok(_) | Err(_), _) => None,
        }
    }

    /// `idx(…)` and `npy(…)`: each file tells by its first bytes which of the two it is.
    pub(super) fn arrays(&mut self, args: &'a [Argument], span: Span, source: &str) -> Option<Draft> {
        let fields =
            self.fields(args, span, source, |checker, name, expr| checker.array_field(name, expr, None))?;
        if fields.is_empty() {
            let message = format!("`{source}` has no fields");
            let ending = if source == "npy" { ".npy" } else { "-ubyte.gz" };
            let found = Diagnostic::error(Code::MissingArgument, span, message).help(format!(
                "name some: `image: array(\"images{ending}\"), label: array(\"labels{ending}\")`"
            ));
            self.report(found);
            return None;
        }
        self.as_draft(fields, span)
    }

    /// `npz("set.npz", x: array("x_train") / 255, y: array("y_train"))`
    pub(super) fn npz(&mut self, args: &'a [Argument], span: Span) -> Option<Draft> {
        let Some((path, path_span)) = first_text(args) else {
            let found = Diagnostic::error(Code::MissingArgument, span, "`npz` needs the path of a file")
                .help("write `npz(\"set.npz\", x: array(\"x\"))`");
            self.report(found);
            return None;
        };
        let content = |content: &'a Content| match content {
            Content::Npz(npz) => Some(npz),
            _ => None,
        };
        let (key, facts) = self.open((path, path_span), Format::Npz, content);
        let archive = Archive { key, facts };
        let fields = self.fields(args, path_span, "npz", |checker, name, expr| {
            checker.array_field(name, expr, Some(&archive))
        })?;
        if fields.is_empty() {
            let found = Diagnostic::error(Code::MissingArgument, span, "`npz` makes no fields of its arrays");
            let names: Vec<&str> =
                facts.iter().flat_map(|facts| &facts.arrays).map(|(name, _)| name.as_str()).collect();
            self.report(match names.first() {
                Some(first) => found.help(format!(
                    "name some, as in `x: array(\"{first}\")`; the file has {}",
                    listed(&names)
                )),
                None => found.help("name some: `x: array(\"x\"), label: array(\"y\")`"),
            });
            return None;
        }
        self.as_draft(fields, span)
    }

    /// Arrays with as many examples each.
    fn as_draft(&mut self, fields: Vec<DraftField>, span: Span) -> Option<Draft> {
        let mut examples: Option<(usize, Span)> = None;
        let mut wrong = false;
        for field in &fields {
            let From::Array(key, member) = &field.from else { continue };
            let sizes = self.array_facts(key, member.as_deref()).map(|facts| facts.sizes.as_slice());
            let Some(count) = sizes.and_then(|sizes| sizes.first().copied()) else { continue };
            match examples {
                Some((first, first_span)) if first != count => {
                    let message =
                        format!("`{}` has {count} examples, and the first field has {first}", field.name);
                    let found = Diagnostic::error(Code::DataMismatch, field.span, message)
                        .label(first_span, format!("{first} examples"));
                    self.report(found);
                    wrong = true;
                }
                Some(_) => {}
                None => examples = Some((count, field.span)),
            }
        }
        let examples = examples.map(|(count, _)| count);
        (!wrong).then(|| Draft::new(DraftKind::Arrays, fields, examples, span))
    }

    /// `array("images.npy", as: [28, 28, 1]) / 255`
    fn array_field(
        &mut self,
        name: &'a Ident,
        expr: &'a Expr,
        archive: Option<&Archive<'a>>,
    ) -> Option<DraftField> {
        let wants = if archive.is_some() { "`array(\"name\")`" } else { "`array(\"file\")`" };
        let (call, arithmetic) = self.arithmetic(expr)?;
        let args = match &call.kind {
            ExprKind::Call { callee, args, .. }
                if lone_name(callee).is_some_and(|name| name.text == "array") =>
            {
                args
            }
            _ => {
                self.no_field(call, wants);
                return None;
            }
        };
        let Some((text, text_span)) = first_text(args) else {
            let what = if archive.is_some() { "the name of an array" } else { "the path of a file" };
            let found = Diagnostic::error(Code::MissingArgument, call.span, format!("`array` needs {what}"));
            self.report(found.help(format!("write {wants}")));
            return None;
        };
        let (key, member) = match archive {
            None => {
                let key = SourceKey { file: text_span.file, path: text.to_string(), format: Format::Array };
                self.facts(&key, text_span);
                (key, None)
            }
            Some(archive) => {
                if let Some(facts) = archive.facts {
                    self.array_in(facts, text, text_span)?;
                }
                (archive.key.clone(), Some(text.to_string()))
            }
        };
        let sizes = self.array_facts(&key, member.as_deref()).map(|facts| facts.sizes.as_slice());
        if sizes == Some(&[]) {
            let found = Diagnostic::error(Code::DataMismatch, text_span, "this array is a single number")
                .help("an array of examples has them along its first axis");
            self.report(found);
            return None;
        }
        let own = sizes.and_then(|sizes| sizes.get(1..)).map(<[usize]>::to_vec);
        let (shape, shape_span) = match self.shape_argument(args)? {
            Some((shape, at)) => {
                let elements: usize = shape.iter().product();
                if let Some(own) = &own
                    && own.iter().product::<usize>() != elements
                {
                    let message = format!("the file's examples are {own:?}, which does not make {shape:?}");
                    let found = Diagnostic::error(Code::DataMismatch, at, message)
                        .label(text_span, format!("examples of {own:?}"));
                    self.report(found);
                    return None;
                }
                (Some(shape), at)
            }
            None => (own, call.span),
        };
        Some(DraftField {
            name: name.text.clone(),
            name_span: name.span,
            from: From::Array(key, member),
            shape,
            shape_span,
            arithmetic,
            span: name.span.to(expr.span),
        })
    }

    /// That an archive has an array, and that it can be read.
    fn array_in(&mut self, facts: &NpzFacts, name: &str, span: Span) -> Option<()> {
        let Some((_, array)) = facts.arrays.iter().find(|(known, _)| known == name) else {
            let names: Vec<&str> = facts.arrays.iter().map(|(name, _)| name.as_str()).collect();
            let message = format!("there is no array `{name}` in this file");
            let found = Diagnostic::error(Code::UnknownColumn, span, message);
            self.report(match did_you_mean(name, names.iter().copied()) {
                Some(near) => found.help(format!("did you mean `{near}`?")).edit(span, format!("\"{near}\"")),
                None if names.is_empty() => found.help("it has none at all"),
                None => found.help(format!("its arrays are called {}", listed(&names))),
            });
            return None;
        };
        if let Err(fault) = array {
            let fault: &Fault = fault;
            self.report(Diagnostic::error(Code::BadData, span, format!("array `{name}`: {fault}")));
            return None;
        }
        Some(())
    }
}
