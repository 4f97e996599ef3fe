//! Expressions: the grammar's flat lists of operands and operators become trees, by precedence.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "`Rule` lists every rule; a match names those that can stand there"
)]

use pest::iterators::Pair;

use super::{Builder, Parts, Rule, Stretch, end_of};
use crate::ast::{Argument, ArgumentName, BinaryOp, Expr, ExprKind, FamilyRef, IndexItem, Number, UnaryOp};
use crate::diagnostic::{Code, Diagnostic};

/// How many operators may lie around and in one expression: what walks the tree recurses as deep.
const MAX_OPERATORS: usize = 1000;

/// How tightly an operator binds: `|>` 1, `or` 2, `and` 3, (`not` 4), comparisons 5, `..` 6, `+ -` 7, `* / % @` 8.
fn binding(op: BinaryOp) -> u8 {
    match op {
        BinaryOp::Pipe => 1,
        BinaryOp::Or => 2,
        BinaryOp::And => 3,
        BinaryOp::Equal
        | BinaryOp::NotEqual
        | BinaryOp::Less
        | BinaryOp::LessEqual
        | BinaryOp::Greater
        | BinaryOp::GreaterEqual => 5,
        BinaryOp::Range => 6,
        BinaryOp::Add | BinaryOp::Sub => 7,
        BinaryOp::Mul | BinaryOp::Div | BinaryOp::Rem | BinaryOp::MatMul => 8,
    }
}

/// What `not` leaves to the operators around it: comparisons and what is tighter are its own.
const NOT_BINDING: u8 = 5;

fn operator(text: &str) -> BinaryOp {
    match text.trim_end() {
        "|>" => BinaryOp::Pipe,
        "or" => BinaryOp::Or,
        "and" => BinaryOp::And,
        "==" => BinaryOp::Equal,
        "!=" => BinaryOp::NotEqual,
        "<" => BinaryOp::Less,
        "<=" => BinaryOp::LessEqual,
        ">" => BinaryOp::Greater,
        ">=" => BinaryOp::GreaterEqual,
        ".." => BinaryOp::Range,
        "+" => BinaryOp::Add,
        "-" => BinaryOp::Sub,
        "*" => BinaryOp::Mul,
        "/" => BinaryOp::Div,
        "%" => BinaryOp::Rem,
        _ => BinaryOp::MatMul,
    }
}

impl Builder<'_> {
    /// An `expression`, `head_expression` or `reference_expression`.
    pub(super) fn expression(&mut self, at: Stretch<'_>, pair: &Pair<'_, Rule>) -> Expr {
        let is_operator = |part: &Pair<'_, Rule>| {
            matches!(
                part.as_rule(),
                Rule::operator | Rule::prefix | Rule::arguments | Rule::index | Rule::naming
            )
        };
        let operators = Parts::of(pair).filter(is_operator).count();
        if self.operators + operators > MAX_OPERATORS {
            let span = at.span_of(pair);
            let found = Diagnostic::error(
                Code::NestedTooDeep,
                span,
                format!("this expression has more than {MAX_OPERATORS} operators"),
            );
            self.report(found.help("bind parts of it to names, or use a `for`"));
            return Expr { kind: ExprKind::Bad, span };
        }
        self.operators += operators;
        let expr = self.climb(at, &mut Parts::of(pair), 0);
        self.operators -= operators;
        expr
    }

    /// Operands and operators as long as these bind more tightly than `above`.
    fn climb(&mut self, at: Stretch<'_>, parts: &mut Parts<'_>, above: u8) -> Expr {
        let mut left = self.operand(at, parts);
        while let Some(next) = parts
            .left
            .next_if(|part| part.as_rule() == Rule::operator && binding(operator(part.as_str())) > above)
        {
            let op = operator(next.as_str());
            let start = next.as_span().start();
            let op_span = at.span(start, start + op.text().len());
            let right = self.climb(at, parts, binding(op));
            if op == BinaryOp::Pipe {
                self.check_piped(&right);
            }
            let span = left.span.to(right.span);
            left =
                Expr { kind: ExprKind::Binary { op, op_span, left: left.into(), right: right.into() }, span };
        }
        left
    }

    fn check_piped(&mut self, right: &Expr) {
        let message = match &right.kind {
            ExprKind::Unary { op: UnaryOp::Frozen, .. } => return,
            ExprKind::Call { .. }
            | ExprKind::Name(_)
            | ExprKind::As { .. }
            | ExprKind::Index { .. }
            | ExprKind::Paren(_)
            | ExprKind::Bad => return,
            ExprKind::Binary { op, op_span, .. } => {
                let message =
                    format!("`{}` binds more tightly than `|>`, on whose right stands a layer", op.text());
                let found = Diagnostic::error(Code::SyntaxError, *op_span, message);
                return self
                    .report(found.help("put the part with `|>` in parentheses, or bind it to a name"));
            }
            ExprKind::Number(_)
            | ExprKind::Quantity { .. }
            | ExprKind::String(_)
            | ExprKind::Bool(_)
            | ExprKind::Tuple(_)
            | ExprKind::List(_)
            | ExprKind::Unary { .. }
            | ExprKind::For { .. }
            | ExprKind::Every(_) => "on the right of `|>` stands a layer: a call or a name",
        };
        self.report(Diagnostic::error(Code::SyntaxError, right.span, message));
    }

    fn operand(&mut self, at: Stretch<'_>, parts: &mut Parts<'_>) -> Expr {
        let Some(prefix) = parts.maybe(Rule::prefix) else { return self.primary(at, parts) };
        let op = match prefix.as_str() {
            text if text.starts_with('-') => UnaryOp::Neg,
            text if text.starts_with("not") => UnaryOp::Not,
            _ => UnaryOp::Frozen,
        };
        let arg =
            if op == UnaryOp::Not { self.climb(at, parts, NOT_BINDING - 1) } else { self.operand(at, parts) };
        let span = at.span_of(&prefix).to(arg.span);
        Expr { kind: ExprKind::Unary { op, arg: arg.into() }, span }
    }

    /// An operand without its prefixes, with the calls, indices and the name after it.
    fn primary(&mut self, at: Stretch<'_>, parts: &mut Parts<'_>) -> Expr {
        let mut expr = self.atom(at, &parts.must());
        while let Some(next) =
            parts.left.next_if(|part| matches!(part.as_rule(), Rule::arguments | Rule::index | Rule::naming))
        {
            let span = expr.span.to(at.span_of(&next));
            let kind = match next.as_rule() {
                Rule::arguments => {
                    let args = self.arguments(at, &next);
                    ExprKind::Call { callee: expr.into(), args, args_span: at.span_of(&next) }
                }
                Rule::index => {
                    let items = Parts::of(&next).map(|item| self.index_item(at, &item)).collect();
                    ExprKind::Index { base: expr.into(), items }
                }
                _ => {
                    let name = Parts::of(&next).nth(1).expect("a name follows `as`");
                    let name = self.reference(at, &name);
                    if !matches!(
                        expr.kind,
                        ExprKind::Call { .. } | ExprKind::Name(_) | ExprKind::Index { .. }
                    ) {
                        let found =
                            Diagnostic::error(Code::SyntaxError, name.span, "`as` names the call before it");
                        self.report(found.label(expr.span, "this is no call"));
                        continue;
                    }
                    ExprKind::As { call: expr.into(), name }
                }
            };
            expr = Expr { kind, span };
        }
        expr
    }

    fn atom(&mut self, at: Stretch<'_>, pair: &Pair<'_, Rule>) -> Expr {
        let span = at.span_of(pair);
        let mut parts = Parts::of(pair);
        let kind = match pair.as_rule() {
            Rule::number => ExprKind::Number(self.number(at, pair)),
            Rule::quantity => return self.quantity(at, pair),
            Rule::string => return self.string(at, pair),
            Rule::k_true => ExprKind::Bool(true),
            Rule::k_false => ExprKind::Bool(false),
            Rule::every => {
                parts.must(); // every
                ExprKind::Every(self.quantity(at, &parts.must()).into())
            }
            Rule::list => ExprKind::List(parts.map(|member| self.expression(at, &member)).collect()),
            Rule::parens => {
                let has_comma = pair.clone().into_inner().any(|part| part.as_rule() == Rule::comma);
                let mut members: Vec<Expr> = parts.map(|member| self.expression(at, &member)).collect();
                match members.pop() {
                    Some(only) if members.is_empty() && !has_comma => ExprKind::Paren(only.into()),
                    last => {
                        members.extend(last);
                        ExprKind::Tuple(members)
                    }
                }
            }
            Rule::for_value => {
                parts.must(); // for
                let var = at.ident(&parts.must());
                parts.must(); // in
                let over = self.expression(at, &parts.must()).into();
                ExprKind::For { var, over, body: self.block(at, &parts.must()) }
            }
            _ => ExprKind::Name(at.ident(pair)),
        };
        Expr { kind, span }
    }

    fn index_item(&mut self, at: Stretch<'_>, pair: &Pair<'_, Rule>) -> IndexItem {
        let inner = Parts::of(pair).must();
        match inner.as_rule() {
            Rule::all => IndexItem::All(at.span(inner.as_span().start(), inner.as_span().start() + 2)),
            _ => IndexItem::Expr(self.expression(at, &inner)),
        }
    }

    pub(super) fn arguments(&mut self, at: Stretch<'_>, pair: &Pair<'_, Rule>) -> Vec<Argument> {
        Parts::of(pair).map(|argument| self.argument(at, &Parts::of(&argument).must())).collect()
    }

    /// A `named` or `sized` argument, or an expression.
    pub(super) fn argument(&mut self, at: Stretch<'_>, pair: &Pair<'_, Rule>) -> Argument {
        let span = at.span_of(pair);
        let mut parts = Parts::of(pair);
        let (name, value) = match pair.as_rule() {
            Rule::named => (ArgumentName::Colon(at.ident(&parts.must())), parts.must()),
            Rule::sized => (ArgumentName::Equals(at.ident(&parts.must())), parts.must()),
            _ => (ArgumentName::None, pair.clone()),
        };
        Argument { name, value: self.expression(at, &value), span }
    }

    pub(super) fn reference(&mut self, at: Stretch<'_>, pair: &Pair<'_, Rule>) -> FamilyRef {
        let mut parts = Parts::of(pair);
        let name = at.ident(&parts.must());
        let indices =
            parts.flat_map(|index| Parts::of(&index)).map(|item| self.index_item(at, &item)).collect();
        FamilyRef { name, indices, span: at.span_of(pair) }
    }

    pub(super) fn references(&mut self, at: Stretch<'_>, pair: &Pair<'_, Rule>) -> Vec<FamilyRef> {
        Parts::of(pair).map(|one| self.reference(at, &one)).collect()
    }

    pub(super) fn quantity(&mut self, at: Stretch<'_>, pair: &Pair<'_, Rule>) -> Expr {
        let mut parts = Parts::of(pair);
        let value = self.number(at, &parts.must());
        let unit = at.ident(&parts.must());
        Expr { kind: ExprKind::Quantity { value, unit }, span: at.span_of(pair) }
    }

    pub(super) fn string(&mut self, at: Stretch<'_>, pair: &Pair<'_, Rule>) -> Expr {
        Expr { kind: ExprKind::String(unescape(pair.as_str())), span: at.span_of(pair) }
    }

    fn number(&mut self, at: Stretch<'_>, pair: &Pair<'_, Rule>) -> Number {
        let text = pair.as_str();
        let digits: String = text.chars().filter(|&c| c != '_').collect();
        let value: f64 = digits.parse().expect("the grammar's numbers are numbers");
        if value.is_infinite() {
            let span = at.span(pair.as_span().start(), end_of(pair));
            self.report(Diagnostic::error(
                Code::SyntaxError,
                span,
                "this number is too large: at most 1.7e308",
            ));
        }
        Number { text: text.to_string(), value, int: digits.parse().ok() }
    }
}

/// The text between two quotes: `\n`, `\t`, `\r` are what they are elsewhere, any other `\c` is `c`.
pub(super) fn unescape(quoted: &str) -> String {
    let inner = &quoted[1..quoted.len() - 1];
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            other => out.extend(other),
        }
    }
    out
}
