//! Expressions: to values of the model, or to what is known while it is compiled.

use std::rc::Rc;

use strata_grammar::ast::{
    BinaryOp, Block, Expr, ExprKind, FamilyRef, Ident, IndexItem, StatementKind, UnaryOp,
};
use strata_grammar::{Code, Diagnostic, Span, did_you_mean};

use super::Checker;
use super::intrinsics;
use super::scope::Index;
use super::value::{Layer, Value};
use crate::graph::ValueId;
use crate::ops::{Binary, Op, Unary};
use crate::types::{Axis, DType, Size};

impl<'a> Checker<'a> {
    /// What an expression stands for.
    pub(super) fn eval(&mut self, expr: &'a Expr) -> Value<'a> {
        if self.stopped || !self.enter(expr.span) {
            return Value::Unknown;
        }
        let value = self.eval_inner(expr);
        self.leave();
        value
    }

    fn eval_inner(&mut self, expr: &'a Expr) -> Value<'a> {
        match &expr.kind {
            ExprKind::Number(number) => match number.int {
                Some(n) => Value::Int(n),
                None => Value::Float(number.value),
            },
            ExprKind::Quantity { unit, .. } => {
                let message = format!("a number of {} belongs in `train` or `devices`, not here", unit.text);
                self.report(Diagnostic::error(Code::WrongKind, expr.span, message));
                Value::Unknown
            }
            ExprKind::String(text) if self.foreign.is_some() => self.named_tensor(text, expr.span),
            ExprKind::String(text) => Value::Text(text.as_str().into()),
            ExprKind::Bool(value) => Value::Bool(*value),
            ExprKind::Name(name) => self.name(name),
            ExprKind::Paren(inner) => self.eval(inner),
            ExprKind::Tuple(members) => Value::Tuple(members.iter().map(|m| self.eval(m)).collect()),
            ExprKind::List(members) => Value::List(members.iter().map(|m| self.eval(m)).collect()),
            ExprKind::Unary { op, arg } => self.unary(*op, arg, expr.span),
            ExprKind::Binary { .. } => self.chain(expr),
            ExprKind::Call { callee, args, .. } => self.call(callee, args, Vec::new(), expr.span, None),
            ExprKind::Index { base, items } => self.index(base, items, expr.span),
            ExprKind::As { call, name } => {
                let name = self.as_name(name);
                match &call.kind {
                    ExprKind::Call { callee, args, .. } => {
                        self.call(callee, args, Vec::new(), call.span, name)
                    }
                    _ => self.call(call, &[], Vec::new(), call.span, name),
                }
            }
            ExprKind::For { var, over, body } => self.for_list(var, over, body),
            ExprKind::Every(_) => {
                let message = "`every` belongs in `train`, not here";
                self.report(Diagnostic::error(Code::MisplacedStatement, expr.span, message));
                Value::Unknown
            }
            ExprKind::Bad => Value::Unknown,
        }
    }

    /// What a name stands for, if anything does; says nothing.
    pub(super) fn find(&mut self, name: &str) -> Option<Value<'a>> {
        if let Some(binding) = self.frame().scope.get(name) {
            return Some(binding.value.clone());
        }
        if let Some(layer) = self.global_layer(name) {
            return Some(Value::Layer(layer));
        }
        if let Some(dtype) = DType::from_name(name) {
            return Some(Value::DType(dtype));
        }
        match name {
            "training" | "step" => Some(Value::Unknown),
            "PAD" => Some(Value::Int(0)),
            "START" => Some(Value::Int(1)),
            "END" => Some(Value::Int(2)),
            "UNKNOWN" => Some(Value::Int(3)),
            _ => None,
        }
    }

    /// The layer, function or model of this name outside all bodies.
    pub(super) fn global_layer(&mut self, name: &str) -> Option<Rc<Layer<'a>>> {
        let in_library = self.in_library();
        if !in_library && !self.notes.named.contains(name) {
            self.notes.named.insert(name.to_string());
        }
        if let Some(definition) = self.globals.layer(name, in_library) {
            return Some(Rc::new(Layer::Defined(definition, None)));
        }
        if let Some(intrinsic) = intrinsics::find(name) {
            return Some(Rc::new(Layer::Intrinsic(intrinsic)));
        }
        self.globals.models.get(name).map(|model| Rc::new(Layer::Model(model)))
    }

    fn name(&mut self, name: &'a Ident) -> Value<'a> {
        if let Some(binding) = self.frame().scope.get(&name.text) {
            let value = binding.value.clone();
            let value = match value {
                Value::Pending(at) => self.read_pending(at, name.span),
                value => value,
            };
            self.hint(name.span, name.text.clone(), &value, None);
            return value;
        }
        match (name.text.as_str(), self.find(&name.text)) {
            ("training", Some(Value::Unknown)) => self.tensor(Op::Training, &[], name.span),
            ("step", Some(Value::Unknown)) => self.tensor(Op::Step, &[], name.span),
            (_, Some(value)) => value,
            (_, None) => {
                if let Some(members) = self.frame().scope.family(&name.text) {
                    let last = members.keys().next_back().map(|index| member_text(&name.text, index));
                    let last = last.unwrap_or_default();
                    let message = format!("`{}` is a family; say which member", name.text);
                    let found = Diagnostic::error(Code::MissingMember, name.span, message)
                        .help(format!("write `{last}` for the last"))
                        .edit(name.span, last);
                    self.report(found);
                    return Value::Unknown;
                }
                self.unknown_name(name, false);
                Value::Unknown
            }
        }
    }

    fn unary(&mut self, op: UnaryOp, arg: &'a Expr, span: Span) -> Value<'a> {
        if op == UnaryOp::Frozen {
            let before = std::mem::replace(&mut self.frame().frozen, true);
            let value = self.eval(arg);
            self.frame().frozen = before;
            return value;
        }
        let value = self.eval(arg);
        match (op, value) {
            (_, Value::Unknown) => Value::Unknown,
            (UnaryOp::Neg, Value::Int(n)) => n.checked_neg().map_or(Value::Unknown, Value::Int),
            (UnaryOp::Neg, Value::Float(x)) => Value::Float(-x),
            (UnaryOp::Not, Value::Bool(b)) => Value::Bool(!b),
            (UnaryOp::Neg, Value::Tensor(x)) => self.tensor(Op::Unary(Unary::Neg), &[x], span),
            (UnaryOp::Not, Value::Tensor(x)) => self.tensor(Op::Unary(Unary::Not), &[x], span),
            (UnaryOp::Not, other) => {
                self.wrong_kind(&other, "true or false", arg.span, "`not`");
                Value::Unknown
            }
            (_, other) => {
                self.wrong_kind(&other, "a tensor or a number", arg.span, "`-`");
                Value::Unknown
            }
        }
    }

    /// Operators that lean to the left nest deep in the tree; they are taken one by one, not one in the other.
    fn chain(&mut self, expr: &'a Expr) -> Value<'a> {
        let mut links = Vec::new();
        let mut at = expr;
        while let ExprKind::Binary { op, op_span, left, right } = &at.kind {
            links.push((at, *op, *op_span, left, right));
            at = left;
        }
        let mut value = self.eval(at);
        for (whole, op, op_span, left, right) in links.into_iter().rev() {
            value = match op {
                BinaryOp::Pipe => self.pipe(value, left.span, right),
                BinaryOp::Range => self.range(value, right, left.span),
                BinaryOp::Or
                | BinaryOp::And
                | BinaryOp::Equal
                | BinaryOp::NotEqual
                | BinaryOp::Less
                | BinaryOp::LessEqual
                | BinaryOp::Greater
                | BinaryOp::GreaterEqual
                | BinaryOp::Add
                | BinaryOp::Sub
                | BinaryOp::Mul
                | BinaryOp::Div
                | BinaryOp::Rem
                | BinaryOp::MatMul => {
                    let other = self.eval(right);
                    self.binary(op, (value, left.span), (other, right.span), op_span, whole.span)
                }
            };
        }
        value
    }

    fn range(&mut self, start: Value<'a>, end: &'a Expr, start_span: Span) -> Value<'a> {
        let end_value = self.eval(end);
        let mut bound = |value: Value<'a>, span: Span| match value.int() {
            Some(n) => Some(n),
            None => {
                if let Value::Axis(axis) = &value {
                    let name = axis.name.as_deref().unwrap_or("this axis");
                    let message = format!(
                        "a range takes whole numbers, and `{name}` is free: the data say how long it is"
                    );
                    let found = Diagnostic::error(Code::WrongKind, span, message).help(format!(
                        "`{name}` is free, so no loop can run over it; operators work on all of it at once"
                    ));
                    self.report(found);
                } else if !value.is_unknown() {
                    self.wrong_kind(&value, "whole numbers", span, "a range");
                }
                None
            }
        };
        match (bound(start, start_span), bound(end_value, end.span)) {
            (Some(start), Some(end)) => Value::Range(start, end),
            _ => Value::Unknown,
        }
    }

    fn binary(
        &mut self,
        op: BinaryOp,
        (left, left_span): (Value<'a>, Span),
        (right, right_span): (Value<'a>, Span),
        op_span: Span,
        span: Span,
    ) -> Value<'a> {
        if left.is_unknown() || right.is_unknown() {
            return Value::Unknown;
        }
        if let Some(value) = self.known_binary(op, &left, &right, span) {
            return value;
        }
        let whose = format!("`{}`", op.text());
        for (value, span) in [(&left, left_span), (&right, right_span)] {
            let fits = value.number().is_some()
                || matches!(value, Value::Tensor(_) | Value::Size(_) | Value::Bool(_));
            if !fits {
                self.wrong_kind(value, "tensors and numbers", span, &whose);
                return Value::Unknown;
            }
        }
        if op == BinaryOp::MatMul {
            return match (&left, &right) {
                (Value::Tensor(a), Value::Tensor(b)) => {
                    self.product((*a, left_span), (*b, right_span), op_span, span)
                }
                (Value::Tensor(_), other) => {
                    self.wrong_kind(other, "a tensor on either side", right_span, &whose);
                    Value::Unknown
                }
                (other, _) => {
                    self.wrong_kind(other, "a tensor on either side", left_span, &whose);
                    Value::Unknown
                }
            };
        }
        let (function, swap, negate) = match op {
            BinaryOp::Add => (Binary::Add, false, false),
            BinaryOp::Sub => (Binary::Sub, false, false),
            BinaryOp::Mul => (Binary::Mul, false, false),
            BinaryOp::Div => (Binary::Div, false, false),
            BinaryOp::Rem => (Binary::Rem, false, false),
            BinaryOp::Equal => (Binary::Equal, false, false),
            BinaryOp::NotEqual => (Binary::Equal, false, true),
            BinaryOp::Less => (Binary::Less, false, false),
            BinaryOp::LessEqual => (Binary::LessEqual, false, false),
            BinaryOp::Greater => (Binary::Less, true, false),
            BinaryOp::GreaterEqual => (Binary::LessEqual, true, false),
            BinaryOp::And => (Binary::And, false, false),
            BinaryOp::Or => (Binary::Or, false, false),
            BinaryOp::Pipe | BinaryOp::Range | BinaryOp::MatMul => {
                unreachable!("`chain` and the lines above take these")
            }
        };
        let sides = [(left, left_span), (right, right_span)];
        let Some([a, b]) = self.together(sides, &whose, op_span, span) else { return Value::Unknown };
        let args = if swap { [b, a] } else { [a, b] };
        match self.emit(Op::Binary(function), &args, span) {
            Some(result) if negate => self.tensor(Op::Unary(Unary::Not), &[result], span),
            Some(result) => Value::Tensor(result),
            None => Value::Unknown,
        }
    }

    /// Operators between what is known while compiling; `None` where a side is not.
    fn known_binary(
        &mut self,
        op: BinaryOp,
        left: &Value<'a>,
        right: &Value<'a>,
        span: Span,
    ) -> Option<Value<'a>> {
        match (left, right) {
            (Value::Bool(a), Value::Bool(b)) => match op {
                BinaryOp::And => return Some(Value::Bool(*a && *b)),
                BinaryOp::Or => return Some(Value::Bool(*a || *b)),
                BinaryOp::Equal => return Some(Value::Bool(a == b)),
                BinaryOp::NotEqual => return Some(Value::Bool(a != b)),
                _ => {}
            },
            (Value::Text(a), Value::Text(b)) => match op {
                BinaryOp::Equal => return Some(Value::Bool(a == b)),
                BinaryOp::NotEqual => return Some(Value::Bool(a != b)),
                _ => {}
            },
            (Value::Text(_), Value::Int(_) | Value::List(_))
            | (Value::Int(_) | Value::List(_), Value::Text(_)) => match op {
                BinaryOp::Equal => return Some(Value::Bool(false)),
                BinaryOp::NotEqual => return Some(Value::Bool(true)),
                _ => {}
            },
            _ => {}
        }
        if let (Some(a), Some(b)) = (whole(left), whole(right)) {
            return self.known_whole(op, &a, &b, span);
        }
        let (a, b) = (left.number()?, right.number()?);
        let number = |x: f64| Some(Value::Float(x));
        match op {
            BinaryOp::Add => number(a + b),
            BinaryOp::Sub => number(a - b),
            BinaryOp::Mul => number(a * b),
            BinaryOp::Div if b == 0.0 => Some(self.by_zero(span)),
            BinaryOp::Div => number(a / b),
            BinaryOp::Rem if b == 0.0 => Some(self.by_zero(span)),
            BinaryOp::Rem => number(a % b),
            BinaryOp::Equal => Some(Value::Bool(a == b)),
            BinaryOp::NotEqual => Some(Value::Bool(a != b)),
            BinaryOp::Less => Some(Value::Bool(a < b)),
            BinaryOp::LessEqual => Some(Value::Bool(a <= b)),
            BinaryOp::Greater => Some(Value::Bool(a > b)),
            BinaryOp::GreaterEqual => Some(Value::Bool(a >= b)),
            BinaryOp::And | BinaryOp::Or | BinaryOp::Pipe | BinaryOp::Range | BinaryOp::MatMul => None,
        }
    }

    fn by_zero(&mut self, span: Span) -> Value<'a> {
        self.report(Diagnostic::error(Code::BadValue, span, "this divides by zero"));
        Value::Unknown
    }

    fn known_whole(&mut self, op: BinaryOp, a: &Whole, b: &Whole, span: Span) -> Option<Value<'a>> {
        let (Whole::Int(x), Whole::Int(y)) = (a, b) else {
            return self.free_whole(op, a, b);
        };
        let (x, y) = (*x, *y);
        let checked = match op {
            BinaryOp::Add => x.checked_add(y),
            BinaryOp::Sub => x.checked_sub(y),
            BinaryOp::Mul => x.checked_mul(y),
            BinaryOp::Div | BinaryOp::Rem if y == 0 => return Some(self.by_zero(span)),
            BinaryOp::Div if x.checked_rem(y) == Some(0) => x.checked_div(y),
            BinaryOp::Div => return Some(Value::Float(x as f64 / y as f64)),
            BinaryOp::Rem => x.checked_rem(y),
            BinaryOp::Equal => return Some(Value::Bool(x == y)),
            BinaryOp::NotEqual => return Some(Value::Bool(x != y)),
            BinaryOp::Less => return Some(Value::Bool(x < y)),
            BinaryOp::LessEqual => return Some(Value::Bool(x <= y)),
            BinaryOp::Greater => return Some(Value::Bool(x > y)),
            BinaryOp::GreaterEqual => return Some(Value::Bool(x >= y)),
            BinaryOp::And | BinaryOp::Or | BinaryOp::Pipe | BinaryOp::Range | BinaryOp::MatMul => {
                return None;
            }
        };
        Some(checked.map_or_else(
            || {
                self.report(Diagnostic::error(Code::BadValue, span, "this number is too large"));
                Value::Unknown
            },
            Value::Int,
        ))
    }

    /// Sizes that depend on a free axis.
    fn free_whole(&mut self, op: BinaryOp, a: &Whole, b: &Whole) -> Option<Value<'a>> {
        let (a, b) = (a.size()?, b.size()?);
        let size = match op {
            BinaryOp::Add => a.add(&b),
            BinaryOp::Sub => a.sub(&b),
            BinaryOp::Mul => a.mul(&b),
            BinaryOp::Div => a.div(&b),
            BinaryOp::Rem
            | BinaryOp::Equal
            | BinaryOp::NotEqual
            | BinaryOp::Less
            | BinaryOp::LessEqual
            | BinaryOp::Greater
            | BinaryOp::GreaterEqual
            | BinaryOp::And
            | BinaryOp::Or
            | BinaryOp::Pipe
            | BinaryOp::Range
            | BinaryOp::MatMul => return None,
        };
        Some(match size.known() {
            Some(n) => Value::Int(i64::try_from(n).unwrap_or(i64::MAX)),
            None => Value::Size(size),
        })
    }

    /// `a[i]`: a member of a family, of a tuple or a list, or a slice of a tensor.
    fn index(&mut self, base: &'a Expr, items: &'a [IndexItem], span: Span) -> Value<'a> {
        if let ExprKind::Name(name) = &base.kind
            && self.frame().scope.family(&name.text).is_some()
        {
            return self.member(name, items, span);
        }
        let value = self.eval(base);
        match &value {
            Value::Unknown => {
                self.index_values(items);
                Value::Unknown
            }
            Value::Tuple(members) | Value::List(members) => self.pick(members, items, span),
            Value::Tensor(x) => self.slices(*x, items, span),
            Value::Parts(parts) => self.part_of(parts, items, span),
            other => {
                let what = self.quote(base.span).unwrap_or_else(|| "this".into());
                let message = format!("{what} is {}, which has no members", other.kind());
                self.report(Diagnostic::error(Code::WrongKind, span, message));
                Value::Unknown
            }
        }
    }

    pub(super) fn index_values(&mut self, items: &'a [IndexItem]) -> Vec<Value<'a>> {
        let one = |item: &'a IndexItem, checker: &mut Self| match item {
            IndexItem::All(_) => Value::Range(0, i64::MAX),
            IndexItem::Expr(expr) => checker.eval(expr),
        };
        items.iter().map(|item| one(item, self)).collect()
    }

    fn member(&mut self, name: &'a Ident, items: &'a [IndexItem], span: Span) -> Value<'a> {
        let Some(index) = self.indices(items) else { return Value::Unknown };
        let members = self.frame().scope.family(&name.text);
        if let Some(binding) = members.and_then(|members| members.get(&index)) {
            binding.used.set(true);
            let value = binding.value.clone();
            let value = match value {
                Value::Pending(at) => self.read_pending(at, span),
                value => value,
            };
            self.hint(span, member_text(&name.text, &index), &value, None);
            return value;
        }
        let there: Vec<String> = members
            .map(|members| members.keys().map(|index| member_text(&name.text, index)).collect())
            .unwrap_or_default();
        let first = members.and_then(|members| members.values().next().map(|b| b.span));
        let wanted = member_text(&name.text, &index);
        let list = match there.as_slice() {
            [first, .., last] if there.len() > 3 => format!("there are {first} to {last}"),
            few => format!("there is {}", few.join(", ")),
        };
        let mut found =
            Diagnostic::error(Code::MissingMember, span, format!("`{wanted}` was not bound; {list}"));
        if let Some(first) = first {
            found = found.label(first, "the family is bound here");
        }
        // The last that is there, where one beyond it was asked for.
        let beyond = match (index.as_slice(), members.and_then(|members| members.keys().next_back())) {
            ([Index::Number(n)], Some(last)) => match last.as_slice() {
                [Index::Number(m)] if n > m => Some(member_text(&name.text, last)),
                _ => None,
            },
            _ => None,
        };
        if let Some(last) = beyond {
            found = found.help(format!("the last is `{last}`: they are counted from 0")).edit(span, last);
        } else if let Some(near) = did_you_mean(&wanted, there.iter().map(String::as_str)) {
            found = found.help(format!("did you mean `{near}`?")).edit(span, near);
        }
        self.report(found);
        Value::Unknown
    }

    /// Static indices of a family; `None` where they are not, which is said.
    pub(super) fn indices(&mut self, items: &'a [IndexItem]) -> Option<Vec<Index>> {
        let mut out = Vec::with_capacity(items.len());
        for item in items {
            let (value, span) = match item {
                IndexItem::All(span) => (Value::Range(0, 0), *span),
                IndexItem::Expr(expr) => (self.eval(expr), expr.span),
            };
            match &value {
                Value::Unknown => return None,
                Value::Text(text) => out.push(Index::Text(text.to_string())),
                other => match other.int() {
                    Some(n) => out.push(Index::Number(n)),
                    None => {
                        self.wrong_kind(other, "a whole number or a text", span, "an index");
                        return None;
                    }
                },
            }
        }
        Some(out)
    }

    /// The text of a name with its indices: `tower[1]`.
    pub(super) fn family_text(&mut self, name: &'a FamilyRef) -> Option<String> {
        let index = self.indices(&name.indices)?;
        Some(member_text(&name.name.text, &index))
    }

    fn pick(&mut self, members: &Rc<[Value<'a>]>, items: &'a [IndexItem], span: Span) -> Value<'a> {
        let values = self.index_values(items);
        let [value] = values.as_slice() else {
            let message = "a tuple or list takes one index";
            self.report(Diagnostic::error(Code::WrongKind, span, message));
            return Value::Unknown;
        };
        if value.is_unknown() {
            return Value::Unknown;
        }
        let Some(n) = value.int() else {
            self.wrong_kind(value, "a whole number", span, "an index");
            return Value::Unknown;
        };
        let at = if n < 0 { n + members.len() as i64 } else { n };
        match usize::try_from(at).ok().and_then(|at| members.get(at)) {
            Some(member) => member.clone(),
            None => {
                let message = format!("there is no member {n}: it has {}, counted from 0", members.len());
                self.report(Diagnostic::error(Code::MissingMember, span, message));
                Value::Unknown
            }
        }
    }

    /// `x[0]`, `x[1..3, ..]`: from the first axis on.
    fn slices(&mut self, x: ValueId, items: &'a [IndexItem], span: Span) -> Value<'a> {
        let values = self.index_values(items);
        let ty = self.ty(x).clone();
        if values.len() > ty.rank() {
            let message = format!("{} indices for {ty}, which has {} axes", values.len(), ty.rank());
            self.report(Diagnostic::error(Code::WrongRank, span, message));
            return Value::Unknown;
        }
        let mut current = x;
        let mut gone = Vec::new();
        for (axis, value) in values.iter().enumerate() {
            let (start, end) = match value {
                Value::Unknown => return Value::Unknown,
                Value::Range(0, i64::MAX) => continue,
                Value::Range(start, end) => (*start, *end),
                other => match other.int() {
                    Some(n) => {
                        gone.push(axis);
                        (n, n.saturating_add(1))
                    }
                    None => {
                        self.wrong_kind(other, "whole numbers and ranges", span, "an index");
                        return Value::Unknown;
                    }
                },
            };
            if !self.not_ragged(current, axis, "picking positions", span) {
                return Value::Unknown;
            }
            match self.slice(current, axis, start, end, span) {
                Some(next) => current = next,
                None => return Value::Unknown,
            }
        }
        if gone.is_empty() {
            return Value::Tensor(current);
        }
        let kept = self.ty(current).axes.iter().enumerate().filter(|(i, _)| !gone.contains(i));
        let axes: Vec<Axis> = kept.map(|(_, axis)| axis.clone()).collect();
        self.tensor(Op::Reshape { axes }, &[current], span)
    }

    /// `for l in names { … }` as an expression: a list of the turns' values.
    fn for_list(&mut self, var: &'a Ident, over: &'a Expr, body: &'a Block) -> Value<'a> {
        let Some(turns) = self.turns(over) else { return Value::Unknown };
        let mut list = Vec::new();
        for turn in turns {
            if !self.step(over.span) {
                return Value::Unknown;
            }
            self.frame().scope.set(&var.text, turn, var.span);
            let (last, before) = match body.statements.split_last() {
                Some((last, before)) => (last, before),
                None => break,
            };
            before.iter().for_each(|statement| self.statement(statement));
            match &last.kind {
                StatementKind::Value(expr) => list.push(self.eval(expr)),
                _ => self.statement(last),
            }
        }
        self.frame().scope.names.remove(&var.text);
        if list.is_empty() {
            let message = "this `for` has no value: its last statement must be an expression";
            self.report(Diagnostic::error(Code::WrongKind, body.span, message));
            return Value::Unknown;
        }
        Value::List(list.into())
    }
}

/// A whole number, known or of a free axis.
enum Whole {
    Int(i64),
    Free(Size),
}

impl Whole {
    fn size(&self) -> Option<Size> {
        match self {
            Whole::Int(n) => u64::try_from(*n).ok().map(Size::Known),
            Whole::Free(size) => Some(size.clone()),
        }
    }
}

fn whole(value: &Value<'_>) -> Option<Whole> {
    match value {
        Value::Int(n) => Some(Whole::Int(*n)),
        Value::Size(size) => Some(Whole::Free(size.clone())),
        Value::Axis(axis) => Some(match axis.size.known() {
            Some(n) => Whole::Int(i64::try_from(n).unwrap_or(i64::MAX)),
            None => Whole::Free(axis.size.clone()),
        }),
        _ => None,
    }
}

/// `a[1]["x"]`
pub(super) fn member_text(name: &str, index: &[Index]) -> String {
    let mut text = name.to_string();
    for i in index {
        match i {
            Index::Number(n) => text.push_str(&format!("[{n}]")),
            Index::Text(word) => text.push_str(&format!("[\"{word}\"]")),
        }
    }
    text
}

/// The name and the indices that `member_text` wrote.
pub(super) fn member_of(text: &str) -> (&str, Vec<Index>) {
    let (name, mut rest) = text.split_at(text.find('[').unwrap_or(text.len()));
    let mut indices = Vec::new();
    while let Some(inner) = rest.strip_prefix('[') {
        let quoted = inner.strip_prefix('"').and_then(|word| word.split_once("\"]"));
        let (index, behind) = match quoted {
            Some((word, behind)) => (Index::Text(word.to_string()), behind),
            None => {
                let Some((number, behind)) = inner.split_once(']') else { break };
                (number.parse().map_or_else(|_| Index::Text(number.to_string()), Index::Number), behind)
            }
        };
        indices.push(index);
        rest = behind;
    }
    (name, indices)
}
