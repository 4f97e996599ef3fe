//! How operands come together: alignment from the right, matrix products, and what to say where they do not fit.

use strata_grammar::ast::TypeExpr;
use strata_grammar::{Code, Diagnostic, Span};

use super::Checker;
use super::value::{AxisRef, Value};
use crate::graph::ValueId;
use crate::ops::{Op, Problem, Reduction};
use crate::types::{Axis, DType, Name, Size, Type};

impl<'a> Checker<'a> {
    /// Tensors and numbers as tensors of one shape and dtype; `None` where they do not fit, which is said.
    pub(super) fn together<const N: usize>(
        &mut self,
        sides: [(Value<'a>, Span); N],
        whose: &str,
        op_span: Span,
        span: Span,
    ) -> Option<[ValueId; N]> {
        let dtype = self.common_dtype(&sides, whose)?;
        let mut ids = [ValueId(0); N];
        for (id, (value, span)) in ids.iter_mut().zip(&sides) {
            *id = self.as_tensor(value, dtype, *span)?;
        }
        let spans: Vec<Span> = sides.iter().map(|side| side.1).collect();
        let axes = self.aligned(&ids, &spans, whose, op_span)?;
        for (id, side) in ids.iter_mut().zip(&spans) {
            *id = self.spread(*id, &axes, if *side == span { span } else { *side })?;
        }
        Some(ids)
    }

    /// Tensors of any dtypes as tensors of one shape.
    pub(super) fn shape_together<const N: usize>(
        &mut self,
        sides: [(ValueId, Span); N],
        span: Span,
    ) -> Option<[ValueId; N]> {
        let mut ids = sides.map(|side| side.0);
        let spans: Vec<Span> = sides.iter().map(|side| side.1).collect();
        let axes = self.aligned(&ids, &spans, "`choose`", span)?;
        for (id, side) in ids.iter_mut().zip(&spans) {
            *id = self.spread(*id, &axes, *side)?;
        }
        Some(ids)
    }

    /// The dtype that numbers beside tensors take.
    fn common_dtype(&mut self, sides: &[(Value<'a>, Span)], whose: &str) -> Option<DType> {
        let mut found: Option<(DType, Span)> = None;
        for (value, span) in sides {
            let Value::Tensor(id) = value else { continue };
            let dtype = self.ty(*id).dtype;
            match found {
                None => found = Some((dtype, *span)),
                Some((first, _)) if first == dtype => {}
                Some((first, at)) => {
                    let right = self.quote(*span).unwrap_or_else(|| "this".into());
                    let message =
                        format!("{whose} takes one dtype: {right} is {dtype}, the other side is {first}");
                    let cast = format!("cast({}, {first})", right.trim_matches('`'));
                    let found = Diagnostic::error(Code::DtypeMismatch, *span, message)
                        .label(at, format!("{first}"))
                        .help(format!("write `{cast}`"));
                    let found = if right == "this" { found } else { found.edit(*span, cast) };
                    self.report(found);
                    return None;
                }
            }
        }
        let bool_only = || sides.iter().all(|(value, _)| matches!(value, Value::Bool(_)));
        let dtype = found.map_or(if bool_only() { DType::Bool } else { DType::F32 }, |found| found.0);
        for (value, span) in sides {
            let whole = !matches!(value, Value::Float(_));
            let number = value.number().is_some() || matches!(value, Value::Size(_));
            let fits = match value {
                Value::Bool(_) => dtype == DType::Bool,
                _ if !number => true,
                _ => dtype.is_float() || (whole && dtype != DType::Bool),
            };
            if !fits {
                let what = self.quote(*span).unwrap_or_else(|| "this number".into());
                let message = format!("{what} cannot be {dtype}, which the other side of {whose} is");
                let mut report = Diagnostic::error(Code::DtypeMismatch, *span, message);
                if let Some((_, at)) = found {
                    let other = self.quote(at).unwrap_or_else(|| "…".into());
                    report = report
                        .label(at, format!("{dtype}"))
                        .help(format!("write `cast({}, f32)`", other.trim_matches('`')));
                    if other != "…" {
                        report = report.edit(at, format!("cast({}, f32)", other.trim_matches('`')));
                    }
                }
                self.report(report);
                return None;
            }
        }
        Some(dtype)
    }

    /// A tensor or a number as a tensor.
    pub(super) fn as_tensor(&mut self, value: &Value<'a>, dtype: DType, span: Span) -> Option<ValueId> {
        match value {
            Value::Tensor(id) => Some(*id),
            Value::Bool(b) => self.constant(f64::from(u8::from(*b)), dtype, span),
            Value::Size(size) => self.count(size.clone(), dtype, span),
            other => match (other.number(), other) {
                (Some(x), _) => self.constant(x, dtype, span),
                (None, Value::Axis(axis)) => self.count(axis.size.clone(), dtype, span),
                (None, _) => None,
            },
        }
    }

    /// A size that depends on a free axis, as a tensor: as many ones, summed.
    pub(super) fn count(&mut self, size: Size, dtype: DType, span: Span) -> Option<ValueId> {
        if let Some(n) = size.known() {
            return self.constant(n as f64, dtype, span);
        }
        let one = self.constant(1.0, dtype, span)?;
        let axes = vec![Axis::sized(size)];
        let ones = self.emit(Op::Broadcast { axes, from: Vec::new() }, &[one], span)?;
        self.emit(Op::Reduce { op: Reduction::Sum, axes: vec![0] }, &[ones], span)
    }

    /// The axes that operands have together, aligned from the right.
    fn aligned(&mut self, ids: &[ValueId], spans: &[Span], whose: &str, op_span: Span) -> Option<Vec<Axis>> {
        let mut axes: Vec<Axis> = Vec::new();
        for (at, id) in ids.iter().enumerate() {
            let next = self.ty(*id).axes.clone();
            // Both run from the last axis to the first.
            for (i, axis) in next.iter().rev().enumerate() {
                let Some(have) = axes.get_mut(i) else {
                    axes.push(axis.clone());
                    continue;
                };
                let one = Size::Known(1);
                if have.size != axis.size && have.size != one && axis.size != one {
                    self.misaligned(
                        Code::ShapeMismatch,
                        ids,
                        spans,
                        at,
                        (have.clone(), axis.clone()),
                        whose,
                        op_span,
                    );
                    return None;
                }
                if let (Some(a), Some(b)) = (&have.name, &axis.name)
                    && a != b
                {
                    self.misaligned(
                        Code::AxisMismatch,
                        ids,
                        spans,
                        at,
                        (have.clone(), axis.clone()),
                        whose,
                        op_span,
                    );
                    return None;
                }
                let name = have.name.clone().or_else(|| axis.name.clone());
                let ragged = have.ragged || axis.ragged;
                let size = if have.size == one { axis.size.clone() } else { have.size.clone() };
                *have = Axis { size, name, ragged };
            }
        }
        axes.reverse();
        Some(axes)
    }

    #[expect(clippy::too_many_arguments, reason = "a message names everything that met")]
    fn misaligned(
        &mut self,
        code: Code,
        ids: &[ValueId],
        spans: &[Span],
        at: usize,
        (left, right): (Axis, Axis),
        whose: &str,
        op_span: Span,
    ) {
        // The operand before this one that set the axis; with two operands, the other one.
        let other = at.saturating_sub(1);
        let first = self.described(ids[other], spans[other]);
        let second = self.described(ids[at], spans[at]);
        let (message, help) = if code == Code::ShapeMismatch {
            let message = format!(
                "{whose} aligns axes from the right, and {} meets {}: {first}, {second}",
                axis_text(&left),
                axis_text(&right)
            );
            let help = if left.name.is_some() && left.name == right.name {
                format!("make both `{}` the same size", left.name.as_deref().unwrap_or_default())
            } else {
                let size = left.size.known().or(right.size.known()).unwrap_or(1);
                format!(
                    "make the two sizes equal, as `dense({size})` does, or one of them 1; `transpose` and `new_axis` \
                     move axes"
                )
            };
            (message, help)
        } else {
            let (a, b) =
                (left.name.as_deref().unwrap_or_default(), right.name.as_deref().unwrap_or_default());
            let message =
                format!("{whose} aligns axes from the right, and `{a}` meets `{b}`: {first}, {second}");
            let text = self.quote(spans[at]).unwrap_or_else(|| "…".into());
            (
                message,
                format!("if they are the same axis, write `rename({}, {b}: {a})`", text.trim_matches('`')),
            )
        };
        let found = Diagnostic::error(code, spans[at], message);
        let text = self.quote(spans[at]).map(|text| text.trim_matches('`').to_string());
        let found = match self.forgotten_axis(ids, spans, at) {
            Some(edit) => {
                found.help("keep the axis that was combined: add `keep: true`").edit(edit, ", keep: true")
            }
            None if code == Code::ShapeMismatch && whose == "`*`" && self.multiplies(ids, other, at) => {
                found.help("`*` works element by element; a product of matrices is `@`").edit(op_span, "@")
            }
            None if code == Code::AxisMismatch => {
                let (a, b) =
                    (left.name.as_deref().unwrap_or_default(), right.name.as_deref().unwrap_or_default());
                if let Some((name, kind)) = self.named_after_a_number([a, b]) {
                    let help = format!(
                        "declare `{name}: axis` in the layer: an axis keeps the name that the caller gives it, a number \
                         is called as the parameter is"
                    );
                    let found = found.help(help).edit(kind, "axis");
                    return self.report_pair(found, (ids, spans), (other, at), first, op_span);
                }
                let found = found.help(help);
                match text {
                    Some(text) => found.edit(spans[at], format!("rename({text}, {b}: {a})")),
                    None => found,
                }
            }
            None => found.help(help),
        };
        self.report_pair(found, (ids, spans), (other, at), first, op_span);
    }

    /// Reports what is wrong between two operands, with a look at where each comes from.
    fn report_pair(
        &mut self,
        mut found: Diagnostic,
        (ids, spans): (&[ValueId], &[Span]),
        (other, at): (usize, usize),
        first: String,
        op_span: Span,
    ) {
        if spans[other] != spans[at] {
            found = found.label(spans[other], first);
        } else {
            found = found.label(op_span, "this operator");
        }
        for id in [ids[other], ids[at]] {
            found = self.with_statement(found, id);
        }
        self.report(found);
    }

    /// Which of these names of axes an `int` of the user's layer gave, and where its kind is written.
    fn named_after_a_number(&self, names: [&str; 2]) -> Option<(String, Span)> {
        let frame = self.frames.last()?;
        let definition = frame.definition;
        let inside = frame.call.is_some() && !self.loaded.in_library(definition.span);
        let mut params = definition.params.iter().filter(|_| inside);
        params.find_map(|param| match &param.ty {
            Some(TypeExpr::Tensor { head, axes: None, .. })
                if head.text == "int" && names.contains(&param.name.text.as_str()) =>
            {
                Some((param.name.text.clone(), head.span))
            }
            Some(TypeExpr::Tensor { .. } | TypeExpr::Tuple { .. }) | None => None,
        })
    }

    /// Where to write `keep: true` into a reduction whose result met what it was made of.
    fn forgotten_axis(&self, ids: &[ValueId], spans: &[Span], at: usize) -> Option<Span> {
        let other = at.saturating_sub(1);
        let (side, whole) =
            if self.ty(ids[at]).rank() < self.ty(ids[other]).rank() { (at, other) } else { (other, at) };
        let text = self.written(spans[side]);
        let reduces = ["mean(", "sum(", "max(", "min("].iter().any(|word| text.starts_with(word));
        let one_less = self.ty(ids[side]).rank() + 1 == self.ty(ids[whole]).rank();
        let plain =
            reduces && one_less && text.ends_with(')') && !text.contains("keep") && !text.contains("|>");
        let end = spans[side].end.saturating_sub(1);
        plain.then_some(Span { start: end, end, ..spans[side] })
    }

    /// Whether two operands that do not align could be multiplied as matrices.
    fn multiplies(&self, ids: &[ValueId], left: usize, right: usize) -> bool {
        let (a, b) = (self.ty(ids[left]), self.ty(ids[right]));
        b.rank() >= 2 && a.rank() >= 1 && a.axes[a.rank() - 1].size == b.axes[b.rank() - 2].size
    }

    /// "`x` is f32[batch, 3]"
    pub(super) fn described(&self, id: ValueId, span: Span) -> String {
        match self.quote(span) {
            Some(text) => format!("{text} is {}", self.ty(id)),
            None => format!("this is {}", self.ty(id)),
        }
    }

    /// Adds where the type of a variable or input was stated.
    pub(super) fn with_statement(&self, found: Diagnostic, id: ValueId) -> Diagnostic {
        let (span, name) = if let Op::Input(input) = self.build.op(id) {
            let input = &self.build.model.inputs[input.0 as usize];
            (input.span, &input.name)
        } else if let Op::Variable(variable) = self.build.op(id) {
            let variable = &self.build.model.variables[variable.0 as usize];
            (variable.call, &variable.name)
        } else {
            return found;
        };
        let known = found.primary.span == span || found.labels.iter().any(|label| label.span == span);
        if known { found } else { found.label(span, format!("`{name}` is declared as {}", self.ty(id))) }
    }

    /// `id` repeated into `axes`, aligned from the right.
    pub(super) fn spread(&mut self, id: ValueId, axes: &[Axis], span: Span) -> Option<ValueId> {
        let ty = self.ty(id);
        let alike = |(a, b): (&Axis, &Axis)| a.size == b.size && (a.ragged || !b.ragged);
        let same = ty.rank() == axes.len() && ty.axes.iter().zip(axes).all(alike);
        if same {
            return Some(id);
        }
        let from: Vec<usize> = (axes.len() - ty.rank()..axes.len()).collect();
        self.emit(Op::Broadcast { axes: axes.to_vec(), from }, &[id], span)
    }

    /// `a @ b`: the last axis of the left with the second last of the right; the rest is broadcast.
    pub(super) fn product(
        &mut self,
        (a, a_span): (ValueId, Span),
        (b, b_span): (ValueId, Span),
        op_span: Span,
        span: Span,
    ) -> Value<'a> {
        let (left, right) = (self.ty(a).clone(), self.ty(b).clone());
        for (ty, span) in [(&left, a_span), (&right, b_span)] {
            if ty.rank() == 0 {
                let what = self.quote(span).unwrap_or_else(|| "this".into());
                let message = format!("`@` multiplies matrices, and {what} is {ty}, a single number");
                self.report(Diagnostic::error(Code::WrongRank, span, message).help("scale with `*`"));
                return Value::Unknown;
            }
            if !ty.dtype.is_float() {
                let what = self.quote(span).unwrap_or_else(|| "this".into());
                let message = format!("`@` multiplies floats, and {what} is {ty}");
                let help = format!("write `cast({}, f32)`", what.trim_matches('`'));
                self.report(Diagnostic::error(Code::DtypeMismatch, span, message).help(help));
                return Value::Unknown;
            }
        }
        if self.common_dtype(&[(Value::Tensor(a), a_span), (Value::Tensor(b), b_span)], "`@`").is_none() {
            return Value::Unknown;
        }
        let (l, r) = (left.rank() - 1, right.rank().saturating_sub(2));
        if left.axes[l].size != right.axes[r].size {
            let which = if right.rank() == 1 { "only" } else { "second last" };
            let message = format!(
                "`@` sums over the last axis of the left, {}, and the {which} of the right, {}: {}, {}",
                axis_text(&left.axes[l]),
                axis_text(&right.axes[r]),
                self.described(a, a_span),
                self.described(b, b_span)
            );
            let turned = right.rank() == 2 && right.axes[1].size == left.axes[l].size;
            let text = self.quote(b_span).unwrap_or_else(|| "the right side".into());
            let bare = text.trim_matches('`').to_string();
            let around = right.rank() == 2 && left.rank() >= 1 && right.axes[1].size == left.axes[0].size;
            let help = if around && !turned {
                format!("turn the two around: `{bare} @ {}`", self.written(a_span))
            } else if turned {
                format!("turn it: `transpose({})`", text.trim_matches('`'))
            } else {
                format!("make the two sizes equal: {} rows in {text}", size_text(&left.axes[l].size))
            };
            let mut found = Diagnostic::error(Code::ShapeMismatch, b_span, message)
                .label(a_span, self.described(a, a_span))
                .help(help);
            if turned && bare != "the right side" {
                found = found.edit(b_span, format!("transpose({bare})"));
            } else if around {
                found = found.edit(a_span, bare).edit(b_span, self.written(a_span));
            }
            let found = self.with_statement(found, a);
            let found = self.with_statement(found, b);
            self.report(found);
            return Value::Unknown;
        }
        if let (Some(x), Some(y)) = (&left.axes[l].name, &right.axes[r].name)
            && x != y
        {
            let message = format!(
                "`@` sums over `{x}` and `{y}`: {}, {}",
                self.described(a, a_span),
                self.described(b, b_span)
            );
            let text = self.quote(b_span).unwrap_or_else(|| "…".into());
            let help =
                format!("if they are the same axis, write `rename({}, {y}: {x})`", text.trim_matches('`'));
            let ours = format!("rename({}, {y}: {x})", text.trim_matches('`'));
            let found = Diagnostic::error(Code::AxisMismatch, b_span, message)
                .label(a_span, self.described(a, a_span))
                .help(help)
                .edit(b_span, ours);
            self.report(found);
            return Value::Unknown;
        }
        let leading = right.rank().saturating_sub(2);
        if leading == 0 {
            let Some([a, b]) = self.product_ends([a, b], &[(l, r)], span) else { return Value::Unknown };
            return self.tensor(Op::Contract { batch: Vec::new(), sum: vec![(l, r)] }, &[a, b], span);
        }
        self.batched_product((a, a_span), (b, b_span), op_span, span)
    }

    /// Both sides get all leading axes of either, then one product for each index of them.
    fn batched_product(
        &mut self,
        (a, a_span): (ValueId, Span),
        (b, b_span): (ValueId, Span),
        op_span: Span,
        span: Span,
    ) -> Value<'a> {
        let (left, right) = (self.ty(a).clone(), self.ty(b).clone());
        // A vector on the left is one row, which goes again at the end.
        let rows = left.rank().saturating_sub(1).min(1);
        let lead = |ty: &Type, own: usize| ty.axes[..ty.rank() - own].to_vec();
        let (left_lead, right_lead) = (lead(&left, 1 + rows), lead(&right, 2));
        let probe = |axes: &[Axis]| Type::new(left.dtype, axes.to_vec());
        let (lt, rt) = (probe(&left_lead), probe(&right_lead));
        let Some(common) = self.common_lead(&lt, &rt, (a, a_span), (b, b_span), op_span) else {
            return Value::Unknown;
        };
        let wide = |own: &[Axis]| [common.as_slice(), own].concat();
        let left_axes = wide(&left.axes[left.rank() - 1 - rows..]);
        let right_axes = wide(&right.axes[right.rank() - 2..]);
        let (Some(a), Some(b)) = (self.spread(a, &left_axes, a_span), self.spread(b, &right_axes, b_span))
        else {
            return Value::Unknown;
        };
        let n = common.len();
        let Some([a, b]) = self.product_ends([a, b], &[(n + rows, n)], span) else { return Value::Unknown };
        let batch = (0..n).map(|i| (i, i)).collect();
        self.tensor(Op::Contract { batch, sum: vec![(n + rows, n)] }, &[a, b], span)
    }

    fn common_lead(
        &mut self,
        left: &Type,
        right: &Type,
        (a, a_span): (ValueId, Span),
        (b, b_span): (ValueId, Span),
        op_span: Span,
    ) -> Option<Vec<Axis>> {
        let mut axes = Vec::new();
        let longest = left.rank().max(right.rank());
        for i in 0..longest {
            let at = |ty: &Type| (i + ty.rank()).checked_sub(longest).map(|i| ty.axes[i].clone());
            let axis = match (at(left), at(right)) {
                (Some(x), Some(y)) => {
                    let one = Size::Known(1);
                    if x.size != y.size && x.size != one && y.size != one {
                        let sides = ([a, b], [a_span, b_span]);
                        self.misaligned(Code::ShapeMismatch, &sides.0, &sides.1, 1, (x, y), "`@`", op_span);
                        return None;
                    }
                    if x.name.is_some() && y.name.is_some() && x.name != y.name {
                        let sides = ([a, b], [a_span, b_span]);
                        self.misaligned(Code::AxisMismatch, &sides.0, &sides.1, 1, (x, y), "`@`", op_span);
                        return None;
                    }
                    let size = if x.size == one { y.size } else { x.size };
                    Axis { size, name: x.name.or(y.name), ragged: x.ragged || y.ragged }
                }
                (Some(axis), None) | (None, Some(axis)) => axis,
                (None, None) => continue,
            };
            axes.push(axis);
        }
        Some(axes)
    }

    /// `start..end` of an axis; negative positions count from its end.
    pub(super) fn slice(
        &mut self,
        x: ValueId,
        axis: usize,
        start: i64,
        end: i64,
        span: Span,
    ) -> Option<ValueId> {
        let size = self.ty(x).axes[axis].size.clone();
        let ty = self.ty(x).clone();
        let Some(n) = size.known() else {
            let message =
                format!("{} is free, so it is not known which positions it has", axis_text(&ty.axes[axis]));
            let found = Diagnostic::error(Code::UnboundAxis, span, message)
                .help("cut along an axis of known size, or take all of this one with `..`");
            self.report(found);
            return None;
        };
        let n = i64::try_from(n).unwrap_or(i64::MAX);
        let single = end.checked_sub(start) == Some(1);
        let from_end = |at: i64| if at < 0 { at + n } else { at };
        let (start, end) =
            if single { (from_end(start), from_end(start) + 1) } else { (from_end(start), from_end(end)) };
        if start < 0 || end < start || end > n {
            let wanted = if single { format!("index {start}") } else { format!("{start}..{end}") };
            let message = format!("{wanted} is not within axis {axis} of {ty}");
            let found = Diagnostic::error(Code::BadValue, span, message)
                .help(format!("indices run from 0 to {}", n - 1));
            self.report(found);
            return None;
        }
        let (start, end) = (Size::Known(start as u64), Size::Known(end as u64));
        self.emit(Op::Slice { axis, start, end }, &[x], span)
    }

    /// The position of an axis in a tensor; `None` where it has none, which is said.
    pub(super) fn axis_position(&mut self, x: ValueId, axis: &AxisRef) -> Option<usize> {
        let ty = self.ty(x).clone();
        match axis {
            AxisRef::Position(n, span) => {
                let at = if *n < 0 { n + ty.rank() as i64 } else { *n };
                let found = usize::try_from(at).ok().filter(|at| *at < ty.rank());
                if found.is_none() {
                    let message = format!("there is no axis {n}: {ty} has {}", axes_text(ty.rank()));
                    let mut found = Diagnostic::error(Code::UnknownAxis, *span, message);
                    if let Some(last) = ty.rank().checked_sub(1) {
                        found = found.help(format!("axes are counted from 0: the last is {last}"));
                        if self.written(*span) == n.to_string() {
                            found = found.edit(*span, last.to_string());
                        }
                    }
                    self.report(found);
                }
                found
            }
            AxisRef::Named(name, span) => self.axis_named(x, name, *span),
            AxisRef::Word(n, name, span) => {
                if ty.axes.iter().any(|axis| axis.name.as_ref() == Some(name)) {
                    return self.axis_named(x, name, *span);
                }
                self.axis_position(x, &AxisRef::Position(*n, *span))
            }
            AxisRef::Bound(axis, word, span) => {
                if let Some(name) = &axis.name {
                    return self.axis_named(x, &name.clone(), *span);
                }
                let mut alike =
                    ty.axes.iter().enumerate().filter(|(_, a)| a.name.is_none() && a.size == axis.size);
                match (alike.next(), alike.next()) {
                    (Some((at, _)), None) => Some(at),
                    (Some(_), Some(_)) | (None, _) => {
                        let message =
                            format!("`{word}` has no name in this call, so it cannot be told apart in {ty}");
                        let found = Diagnostic::error(Code::UnknownAxis, *span, message)
                            .help("give the axis by its position, as in `axis: -1`");
                        self.report(found);
                        None
                    }
                }
            }
        }
    }

    fn axis_named(&mut self, x: ValueId, name: &Name, span: Span) -> Option<usize> {
        let ty = self.ty(x).clone();
        let mut found = ty.axes.iter().enumerate().filter(|(_, axis)| axis.name.as_ref() == Some(name));
        match (found.next(), found.next()) {
            (Some((at, _)), None) => Some(at),
            (Some(_), Some(_)) => {
                let message = format!("{ty} has `{name}` twice");
                let found = Diagnostic::error(Code::UnknownAxis, span, message)
                    .help("give the axis by its position, as in `axis: -1`");
                self.report(found);
                None
            }
            (None, _) => {
                let names: Vec<&str> = ty.axes.iter().filter_map(|axis| axis.name.as_deref()).collect();
                let near = strata_grammar::did_you_mean(name, names.iter().copied()).map(str::to_string);
                let message = format!("there is no axis `{name}` in {ty}");
                let mut found = Diagnostic::error(Code::UnknownAxis, span, message);
                found = match near {
                    Some(near) => found.help(format!("did you mean `{near}`?")).edit(span, near),
                    None if names.is_empty() => {
                        found.help("its axes have no names: give a position, as in `axis: -1`")
                    }
                    None => found.help(format!("its axes are called {}", names.join(", "))),
                };
                let found = self.with_statement(found, x);
                self.report(found);
                None
            }
        }
    }

    /// Words what an operator's own shape rule refuses.
    pub(super) fn problem(&mut self, op: &Op, problem: &Problem, args: &[ValueId], span: Span) {
        let types: Vec<String> = args.iter().map(|arg| self.ty(*arg).to_string()).collect();
        let what = self.quote(span).unwrap_or_else(|| format!("`{}`", op.name()));
        let ty = |arg: usize| types.get(arg).map_or("this", String::as_str);
        let axis = |(arg, axis): (usize, usize)| {
            args.get(arg).and_then(|id| self.ty(*id).axes.get(axis)).map_or("an axis".into(), axis_text)
        };
        let (code, message) = match problem {
            Problem::Sizes { left, right } => (
                Code::ShapeMismatch,
                format!(
                    "{what} needs {} and {} to be equal: {}",
                    axis(*left),
                    axis(*right),
                    types.join(", ")
                ),
            ),
            Problem::Names { left, right } => (
                Code::AxisMismatch,
                format!("{what} brings {} and {} together: {}", axis(*left), axis(*right), types.join(", ")),
            ),
            Problem::Rank { arg, expected } => {
                (Code::WrongRank, format!("{what} takes {}, and this is {}", axes_text(*expected), ty(*arg)))
            }
            Problem::Dtype { arg, expected } => {
                let expected = expected.split(" like operand").next().unwrap_or(expected);
                (Code::DtypeMismatch, format!("{what} takes {expected}, and this is {}", ty(*arg)))
            }
            Problem::Other(text) if text.contains("2^48") => {
                (Code::BadSize, format!("{text}, beyond what any machine holds"))
            }
            Problem::Other(text) => (Code::ShapeMismatch, format!("{what}: {text}")),
        };
        let mut found = Diagnostic::error(code, span, message);
        for arg in args {
            found = self.with_statement(found, *arg);
        }
        if let (Op::Transpose { .. }, Problem::Rank { arg, .. }) = (op, problem)
            && let Some(id) = args.get(*arg)
        {
            let all: Vec<String> = (0..self.ty(*id).rank()).map(|at| at.to_string()).collect();
            found =
                found.help(format!("give every axis its place: `axes: [{}]` in a new order", all.join(", ")));
        }
        if code == Code::DtypeMismatch {
            found = found.help("`cast(x, f32)` makes floats of whole numbers and of true and false");
        }
        self.report(found);
    }
}

/// `height = 28`, `batch`, `5`
pub(super) fn axis_text(axis: &Axis) -> String {
    match (&axis.name, axis.size.known()) {
        (Some(name), Some(size)) => format!("`{name} = {size}`"),
        (Some(name), None) => format!("`{name}`"),
        (None, Some(size)) => size.to_string(),
        (None, None) => "an axis of free size".to_string(),
    }
}

fn size_text(size: &Size) -> String {
    size.known().map_or("as many".to_string(), |n| n.to_string())
}

pub(super) fn axes_text(n: usize) -> String {
    format!("{n} {}", if n == 1 { "axis" } else { "axes" })
}
