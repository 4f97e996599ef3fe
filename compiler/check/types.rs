//! Type expressions: as declarations of inputs and variables, and as patterns in a layer's signature.

use strata_grammar::ast::{AxisExpr, AxisKind, Expr, Ident, StatementKind, TypeExpr};
use strata_grammar::{Code, Diagnostic, Span, did_you_mean};

use super::Checker;
use super::layer::Rest;
use super::shapes::{axes_text, axis_text};
use super::signature::lone_name;
use super::value::{Initial, Value};
use crate::graph::ValueId;
use crate::model::FreeAxis;
use crate::ops::Op;
use crate::types::{Axis, DType, FreeId, Size, Type};

/// Classes of dtypes that a signature may name: `float[..]`.
const CLASSES: [&str; 3] = ["float", "int", "tensor"];

impl<'a> Checker<'a> {
    /// The type of an input or variable. In inputs a new name is a free axis.
    pub(super) fn declared_type(&mut self, ty: &'a TypeExpr, is_input: bool) -> Option<Type> {
        let TypeExpr::Tensor { head, axes, span } = ty else {
            let message = "a variable or input is one tensor, not several";
            self.report(
                Diagnostic::error(Code::WrongKind, ty.span(), message).help("declare them one by one"),
            );
            return None;
        };
        let dtype = self.declared_dtype(head)?;
        let Some(axes) = axes else {
            let message = format!(
                "`{}` needs its axes: `{}[…]`, or `{}[]` for a single number",
                head.text, head.text, head.text
            );
            self.report(Diagnostic::error(Code::WrongRank, *span, message));
            return None;
        };
        let mut out = Vec::new();
        let mut wrong = false;
        for axis in axes {
            match self.declared_axis(axis, is_input) {
                Some(found) => out.extend(found),
                None => wrong = true,
            }
        }
        if wrong {
            return None;
        }
        let ty = Type::new(dtype, out);
        let elements = ty.axes.iter().try_fold(1u64, |n, axis| n.checked_mul(axis.size.known().unwrap_or(1)));
        if elements.is_none_or(|n| n > 1 << 48) {
            let message = format!("{ty} is beyond what any machine holds");
            self.report(Diagnostic::error(Code::BadSize, *span, message));
            return None;
        }
        Some(ty)
    }

    fn declared_dtype(&mut self, head: &'a Ident) -> Option<DType> {
        if let Some(dtype) = DType::from_name(&head.text) {
            return Some(dtype);
        }
        let in_layer = self.frames.last().is_some_and(|frame| !frame.is_model);
        if in_layer && CLASSES.contains(&head.text.as_str()) {
            // What the signature bound; with everything unknown, `f32` is as good as any.
            return Some(self.frame().dtypes.get(head.text.as_str()).copied().unwrap_or(DType::F32));
        }
        self.unknown_dtype(head);
        None
    }

    fn unknown_dtype(&mut self, head: &Ident) {
        let names: Vec<&str> = DType::ALL.iter().map(|dtype| dtype.name()).collect();
        let near = did_you_mean(&head.text, names.iter().copied());
        let mut found = Diagnostic::error(
            Code::UnknownName,
            head.span,
            format!("there is no dtype `{}`; there are {}", head.text, names.join(", ")),
        );
        if let Some(near) = near {
            found = found.help(format!("did you mean `{near}`?")).edit(head.span, near);
        }
        self.report(found);
    }

    /// The axes that one axis expression stands for: one, or those of `..` or of a list.
    fn declared_axis(&mut self, axis: &'a AxisExpr, is_input: bool) -> Option<Vec<Axis>> {
        match &axis.kind {
            AxisKind::Rest => match &self.frame().rest {
                Some(rest) => Some(rest.axes.clone()),
                None => {
                    let unknown = self.frame().definition.params.iter().any(|p| p.ty.is_some());
                    if !unknown || self.frame().is_model {
                        let message =
                            "`..` stands for the leading axes of a layer's parameter; there are none here";
                        self.report(Diagnostic::error(Code::UnknownAxis, axis.span, message));
                    }
                    None
                }
            },
            AxisKind::Ragged { name, size } => {
                if !is_input && !self.frame().is_model && size.is_none() {
                    return self.axis_by_name(name, false);
                }
                if !is_input {
                    let message = format!("only inputs are ragged, and `{}` is none", name.text);
                    let found = Diagnostic::error(Code::MisplacedStatement, axis.span, message)
                        .help(format!("write `{}` without `ragged`", name.text));
                    self.report(found);
                    return None;
                }
                let mut found = match size {
                    Some(size) => vec![Axis {
                        size: self.axis_size(size)?,
                        name: Some(name.text.as_str().into()),
                        ragged: true,
                    }],
                    None => self.axis_by_name(name, is_input)?,
                };
                found.iter_mut().for_each(|axis| axis.ragged = true);
                if let [axis] = &found[..] {
                    self.frame().scope.set_axis(&name.text, Value::Axis(axis.clone()), name.span);
                }
                Some(found)
            }
            AxisKind::Sized { name, size } => {
                let size = self.axis_size(size)?;
                let axis = Axis { size, name: Some(name.text.as_str().into()), ragged: false };
                self.frame().scope.set_axis(&name.text, Value::Axis(axis.clone()), name.span);
                Some(vec![axis])
            }
            AxisKind::Expr(expr) => match lone_name(expr) {
                Some(name) => self.axis_by_name(name, is_input),
                None => match self.eval(expr) {
                    Value::List(items) => self.list_axes(&items, expr.span),
                    Value::Int(-1) if is_input => {
                        self.nameless_axis(expr.span);
                        None
                    }
                    value => Some(vec![Axis::sized(self.size_of(value, expr.span)?)]),
                },
            },
        }
    }

    fn list_axes(&mut self, items: &[Value<'a>], span: Span) -> Option<Vec<Axis>> {
        items.iter().map(|item| self.size_of(item.clone(), span).map(Axis::sized)).collect()
    }

    /// `batch`, `units`: what is bound, or a new free axis in an input.
    fn axis_by_name(&mut self, name: &'a Ident, is_input: bool) -> Option<Vec<Axis>> {
        if is_input && super::habits::is_nothing(&name.text) {
            self.nameless_axis(name.span);
            return None;
        }
        let bound = self.frame().scope.get(&name.text).map(|binding| binding.value.clone());
        match bound {
            Some(Value::Unknown) => None,
            Some(Value::Axis(axis)) => Some(vec![axis]),
            Some(Value::List(items)) => self.list_axes(&items, name.span),
            Some(value) => {
                let size = self.size_of(value, name.span)?;
                Some(vec![Axis { size, name: Some(name.text.as_str().into()), ragged: false }])
            }
            None if is_input => {
                if let Some(meant) = self.misspelt_axis(name) {
                    return Some(vec![meant]);
                }
                let id = FreeId(self.build.model.free.len() as u32);
                self.build.model.free.push(FreeAxis { name: name.text.clone(), span: name.span });
                let axis =
                    Axis { size: Size::Free(id), name: Some(name.text.as_str().into()), ragged: false };
                self.frame().scope.set_axis(&name.text, Value::Axis(axis.clone()), name.span);
                Some(vec![axis])
            }
            None => {
                let scope = &self.frame().scope;
                let near = did_you_mean(&name.text, scope.all()).map(str::to_string);
                let message = format!("nothing says how long the axis `{}` is", name.text);
                let found = Diagnostic::error(Code::UnknownAxis, name.span, message);
                let found = match near {
                    Some(near) => found.help(format!("did you mean `{near}`?")).edit(name.span, near),
                    None => found.help(format!("write its size, as in `{} = 64`", name.text)),
                };
                self.report(found);
                None
            }
        }
    }

    /// `None` or `-1` for a size that the data bring.
    fn nameless_axis(&mut self, span: Span) {
        let text = self.written(span);
        let message = format!("a size that the data bring is a name, not `{text}`");
        let found = Diagnostic::error(Code::BadSize, span, message).help("write `batch`").edit(span, "batch");
        self.report(found);
    }

    fn axis_size(&mut self, expr: &'a Expr) -> Option<Size> {
        let value = self.eval(expr);
        self.size_of(value, expr.span)
    }

    /// A value as a size.
    fn size_of(&mut self, value: Value<'a>, span: Span) -> Option<Size> {
        match value {
            Value::Unknown => None,
            Value::Axis(axis) => Some(axis.size),
            Value::Size(size) => Some(size),
            other => match (other.int(), other.number()) {
                (Some(n), _) => self.size(n, span),
                (None, Some(x)) => {
                    let message = if x.fract() == 0.0 {
                        format!("an axis of {x:e} is beyond what any machine holds")
                    } else {
                        format!("a size is a whole number, and this is {x}")
                    };
                    self.report(Diagnostic::error(Code::BadSize, span, message));
                    None
                }
                (None, None) => {
                    self.wrong_kind(&other, "whole numbers", span, "a size");
                    None
                }
            },
        }
    }

    /// Matches an argument with a parameter's type, binding the names of axes. Returns the argument as the body
    /// sees it, or `None` where it does not fit, which is said at the argument.
    pub(super) fn match_type(
        &mut self,
        ty: &'a TypeExpr,
        value: Value<'a>,
        span: Span,
        whose: &str,
    ) -> Option<Value<'a>> {
        match (ty, value) {
            (_, Value::Unknown) => None,
            (TypeExpr::Tuple { members, .. }, Value::Tuple(values)) => {
                if members.len() != values.len() {
                    let message =
                        format!("{whose} takes {} tensors, and this is {}", members.len(), values.len());
                    self.report(Diagnostic::error(Code::WrongKind, span, message));
                    return None;
                }
                let mut out = Vec::new();
                for (member, value) in members.iter().zip(values.iter()) {
                    out.push(self.match_type(member, value.clone(), span, whose)?);
                }
                Some(Value::Tuple(out.into()))
            }
            (TypeExpr::Tuple { members, .. }, other) => {
                let wants = format!("{} tensors", members.len());
                self.wrong_kind(&other, &wants, span, whose);
                None
            }
            (TypeExpr::Tensor { .. }, Value::Tensor(id)) => {
                self.match_tensor(ty, id, span, whose).map(|()| Value::Tensor(id))
            }
            (TypeExpr::Tensor { head, axes, .. }, value) => {
                self.number_as(head, axes.as_deref(), value, span, whose)
            }
        }
    }

    /// A number or `zeros` where a tensor is taken: of the type that the signature says.
    fn number_as(
        &mut self,
        head: &'a Ident,
        axes: Option<&'a [AxisExpr]>,
        value: Value<'a>,
        span: Span,
        whose: &str,
    ) -> Option<Value<'a>> {
        let number = match &value {
            Value::Init(Initial::Constant(x)) => Some(*x),
            Value::Layer(layer) => match self.layer_as_init(layer) {
                Some(Initial::Constant(x)) => Some(x),
                _ => None,
            },
            other => other.number(),
        };
        let Some(number) = number else {
            self.wrong_kind(&value, "a tensor", span, whose);
            return None;
        };
        let dtype = self.declared_dtype(head)?;
        let mut wide = Vec::new();
        for axis in axes.unwrap_or_default() {
            if matches!(axis.kind, AxisKind::Rest) && self.frame().rest.is_none() {
                continue;
            }
            wide.extend(self.declared_axis(axis, false)?);
        }
        let one = self.constant(number, dtype, span)?;
        self.spread(one, &wide, span).map(Value::Tensor)
    }

    fn match_tensor(&mut self, ty: &'a TypeExpr, id: ValueId, span: Span, whose: &str) -> Option<()> {
        let TypeExpr::Tensor { head, axes, .. } = ty else { return None };
        let actual = self.ty(id).clone();
        self.match_dtype(head, &actual, id, span, whose)?;
        let Some(pattern) = axes else {
            // `tensor` alone takes any; a bare dtype takes a single number.
            if head.text != "tensor" && actual.rank() != 0 {
                self.wrong_axes(ty, id, span, whose, 0, false);
                return None;
            }
            return Some(());
        };
        let rest = pattern.iter().position(|axis| matches!(axis.kind, AxisKind::Rest));
        let fixed = pattern.len() - usize::from(rest.is_some());
        let fits = if rest.is_some() { actual.rank() >= fixed } else { actual.rank() == fixed };
        if !fits {
            self.wrong_axes(ty, id, span, whose, fixed, rest.is_some());
            return None;
        }
        let before = rest.unwrap_or(pattern.len());
        let after = pattern.len() - before - usize::from(rest.is_some());
        for (axis, found) in pattern[..before].iter().zip(&actual.axes) {
            self.match_axis(axis, found, id, span, whose)?;
        }
        let tail = actual.rank() - after;
        for (axis, found) in pattern[pattern.len() - after..].iter().zip(&actual.axes[tail..]) {
            self.match_axis(axis, found, id, span, whose)?;
        }
        if rest.is_some() {
            self.match_rest(&actual.axes[before..tail], id, span, whose)?;
        }
        Some(())
    }

    /// Where the dtype of an input was written.
    fn declared_head(&self, id: ValueId) -> Option<Span> {
        let Op::Input(input) = self.build.op(id) else { return None };
        let span = self.build.model.inputs[input.0 as usize].span;
        let text = self.loaded.sources.text(span);
        let colon = text.find(':')? + 1;
        let start = colon + text[colon..].len() - text[colon..].trim_start().len();
        let end = start + text[start..].find('[')?;
        Some(Span::new(span.file, span.start as usize + start, span.start as usize + end))
    }

    fn match_dtype(
        &mut self,
        head: &'a Ident,
        actual: &Type,
        id: ValueId,
        span: Span,
        whose: &str,
    ) -> Option<()> {
        let class = CLASSES.into_iter().find(|class| *class == head.text);
        let (fits, wants) = match class {
            Some("float") => (actual.dtype.is_float(), "floats".to_string()),
            Some("int") => (
                !actual.dtype.is_float() && actual.dtype != DType::Bool,
                "whole numbers, as in i32[…]".to_string(),
            ),
            Some(_) => (true, String::new()),
            None => match DType::from_name(&head.text) {
                Some(dtype) => (actual.dtype == dtype, dtype.to_string()),
                None => {
                    self.unknown_dtype(head);
                    return None;
                }
            },
        };
        if !fits {
            let what = self.quote(span).unwrap_or_else(|| "this".into());
            let message = format!("{whose} takes {wants}, and {what} is {actual}");
            let cast = if wants.starts_with("whole") { "i32" } else { "f32" };
            let cast = DType::from_name(&wants).map_or(cast, DType::name);
            let found = Diagnostic::error(Code::DtypeMismatch, span, message);
            let found = match self.declared_head(id) {
                // Labels that were declared as floats: what is wrong is the declaration.
                Some(head) if cast == "i32" => {
                    found.help(format!("declare {what} as `{cast}[…]`")).edit(head, cast)
                }
                _ => {
                    let ours = format!("cast({}, {cast})", what.trim_matches('`'));
                    let found = found.help(format!("write `{ours}`"));
                    if what == "this" { found } else { found.edit(span, ours) }
                }
            };
            let found = self.with_statement(found, id);
            self.report(found);
            return None;
        }
        if let Some(class) = class {
            self.frame().dtypes.entry(class).or_insert(actual.dtype);
        }
        Some(())
    }

    fn wrong_axes(&mut self, ty: &TypeExpr, id: ValueId, span: Span, whose: &str, fixed: usize, more: bool) {
        let wants = self.loaded.sources.text(ty.span()).to_string();
        let least = if more { "at least " } else { "" };
        let actual = self.ty(id).clone();
        let what = self.quote(span).unwrap_or_else(|| "this".into());
        let message = format!("{whose} takes {wants}, {least}{}, and {what} is {actual}", axes_text(fixed));
        let mut found = Diagnostic::error(Code::WrongRank, span, message);
        if !more && actual.rank() > fixed && fixed == 2 {
            found = found.help("`flatten` makes one axis of all but the first");
        }
        let found = self.with_statement(found, id);
        self.report(found);
    }

    fn match_axis(
        &mut self,
        axis: &'a AxisExpr,
        found: &Axis,
        id: ValueId,
        span: Span,
        whose: &str,
    ) -> Option<()> {
        let (expected, stated) = match &axis.kind {
            AxisKind::Rest => return Some(()),
            AxisKind::Ragged { name, .. } => {
                self.frame().scope.set_axis(&name.text, Value::Axis(found.clone()), span);
                return Some(());
            }
            AxisKind::Sized { name, size } => {
                let size = self.axis_size(size)?;
                (Axis { size, name: Some(name.text.as_str().into()), ragged: false }, axis.span)
            }
            AxisKind::Expr(expr) => match lone_name(expr) {
                Some(name) => {
                    let scope = &self.frame().scope;
                    let own = scope.names.get(&name.text).or_else(|| scope.axes.get(&name.text));
                    match own.map(|binding| (binding.value.clone(), binding.span)) {
                        None => {
                            self.frame().scope.set_axis(&name.text, Value::Axis(found.clone()), span);
                            return Some(());
                        }
                        Some((Value::Unknown, _)) => return Some(()),
                        Some((Value::Axis(bound), at)) => {
                            if bound.name.is_none() && bound.size == found.size {
                                // A later argument knows what the axis is called.
                                self.frame().scope.set_axis(&name.text, Value::Axis(found.clone()), span);
                            }
                            (bound, at)
                        }
                        Some((value, at)) => (Axis::sized(self.size_of(value, name.span)?), at),
                    }
                }
                None => (Axis::sized(self.axis_size(expr)?), axis.span),
            },
        };
        self.compare(&expected, found, axis, stated, id, span, whose)
    }

    #[expect(clippy::too_many_arguments, reason = "a message names everything that met")]
    fn compare(
        &mut self,
        expected: &Axis,
        found: &Axis,
        pattern: &AxisExpr,
        stated: Span,
        id: ValueId,
        span: Span,
        whose: &str,
    ) -> Option<()> {
        let code = if expected.size != found.size {
            Code::ShapeMismatch
        } else if expected.name.is_some() && found.name.is_some() && expected.name != found.name {
            Code::AxisMismatch
        } else {
            return Some(());
        };
        let word = self.loaded.sources.text(pattern.span).to_string();
        let what = self.described(id, span);
        let message = format!(
            "{whose} needs {} where `{word}` stands, and it has {}: {what}",
            axis_text(expected),
            axis_text(found)
        );
        let mut report = Diagnostic::error(code, span, message);
        if stated != span && !self.loaded.in_library(stated) {
            report = report.label(stated, format!("{} was stated here", axis_text(expected)));
        }
        let report = self.with_statement(report, id);
        self.report(report);
        None
    }

    fn match_rest(&mut self, axes: &[Axis], id: ValueId, span: Span, whose: &str) -> Option<()> {
        let Some(first) = self.frame().rest.clone() else {
            self.frame().rest = Some(Rest { axes: axes.to_vec(), span, whose: whose.to_string() });
            return Some(());
        };
        let sizes = |axes: &[Axis]| axes.iter().map(|axis| axis.size.clone()).collect::<Vec<_>>();
        let code = if sizes(&first.axes) != sizes(axes) {
            Code::ShapeMismatch
        } else if first
            .axes
            .iter()
            .zip(axes)
            .any(|(a, b)| a.name.is_some() && b.name.is_some() && a.name != b.name)
        {
            Code::AxisMismatch
        } else {
            return Some(());
        };
        let list = |axes: &[Axis]| {
            let texts: Vec<String> =
                axes.iter().map(|a| axis_text(a).trim_matches('`').to_string()).collect();
            format!("[{}]", texts.join(", "))
        };
        let message = format!(
            "{whose} must have the leading axes {} of {}, and it has {}: {}",
            list(&first.axes),
            first.whose,
            list(axes),
            self.described(id, span)
        );
        let mut found = Diagnostic::error(code, span, message);
        if first.span != span {
            found = found.label(first.span, format!("leading axes {}", list(&first.axes)));
        }
        let ty = self.ty(id).clone();
        let text = self.written(span);
        if axes.len() == first.axes.len() + 1 && sizes(&axes[..first.axes.len()]) == sizes(&first.axes) {
            let last = axes.last().and_then(|axis| axis.size.known());
            let column = Type::new(ty.dtype, first.axes.clone());
            found = match (last, self.declared_head(id)) {
                (Some(1), Some(head)) => {
                    let input =
                        self.build.model.inputs.iter().find(|input| input.span.touches(head.start as usize));
                    let end = input.map_or(head.end, |input| input.span.end);
                    found
                        .help(format!("declare `{text}` as `{column}`, one number an example"))
                        .edit(Span { end, ..head }, column.to_string())
                }
                (Some(1), None) => found.help(format!("take its last axis out: `mean({text}, axis: -1)`")),
                _ => found.help(format!(
                    "labels are numbers of classes: write `argmax({text})` if these are one-hot"
                )),
            };
        } else if axes.len() < first.axes.len() && sizes(&first.axes[..axes.len()]) == sizes(axes) {
            let first_text = self.written(first.span);
            found = found.help(format!(
                "`{first_text}` has more axes than one for the examples: put `flatten` before its last layer"
            ));
        }
        let found = self.with_statement(found, id);
        self.report(found);
        None
    }

    /// The axis that a new free axis was probably meant to be, which is said: it stands once, and is spelled nearly
    /// like one that stands before it.
    fn misspelt_axis(&mut self, name: &Ident) -> Option<Axis> {
        let standing =
            self.frame().definition.body.statements.iter().filter_map(|statement| match &statement.kind {
                StatementKind::Input { ty, .. } => Some(ty),
                _ => None,
            });
        if standing.map(|ty| uses(ty, &name.text)).sum::<usize>() > 1 {
            return None;
        }
        let known: Vec<(String, Span)> =
            self.build.model.free.iter().map(|free| (free.name.clone(), free.span)).collect();
        let names =
            known.iter().map(|(name, _)| name.as_str()).filter(|other| !is_numbered(&name.text, other));
        let near = did_you_mean(&name.text, names)?.to_string();
        let message =
            format!("the free axis `{}` stands here only, and is spelled nearly like `{near}`", name.text);
        let mut found = Diagnostic::error(Code::UnboundAxis, name.span, message)
            .help(format!("did you mean `{near}`?"))
            .edit(name.span, near.clone());
        if let Some((_, first)) = known.iter().find(|(other, _)| *other == near) {
            found = found.label(*first, "the other axis");
        }
        self.report(found);
        match self.frame().scope.axes.get(&near).map(|binding| binding.value.clone()) {
            Some(Value::Axis(axis)) => Some(axis),
            _ => None,
        }
    }
}

/// How often a name stands in a type as an axis of its own.
fn uses(ty: &TypeExpr, name: &str) -> usize {
    match ty {
        TypeExpr::Tensor { axes: Some(axes), .. } => axes
            .iter()
            .filter(|axis| matches!(&axis.kind, AxisKind::Expr(expr) if lone_name(expr).is_some_and(|n| n.text == name)))
            .count(),
        TypeExpr::Tensor { axes: None, .. } => 0,
        TypeExpr::Tuple { members, .. } => members.iter().map(|member| uses(member, name)).sum(),
    }
}

/// Whether two names differ in their last character only, as `time_a` and `time_b` do: surely on purpose.
fn is_numbered(a: &str, b: &str) -> bool {
    let cut =
        |text: &str| text.char_indices().next_back().map_or(String::new(), |(at, _)| text[..at].to_string());
    a.len() == b.len() && cut(a) == cut(b) && a.contains(|c: char| c == '_' || c.is_ascii_digit())
}
