//! Numbers where no model is: in `data`, `train` and `devices` nothing but numbers and operators between them.

use strata_grammar::ast::{BinaryOp, Expr, ExprKind, UnaryOp};
use strata_grammar::{Code, Diagnostic};

use crate::check::Checker;

impl<'a> Checker<'a> {
    /// A number that stands in `data` or `train`: nothing but numbers and operators.
    pub(in crate::check) fn plain_number(&mut self, expr: &'a Expr) -> Option<f64> {
        let found = plain(expr);
        if found.is_none() && !matches!(expr.kind, ExprKind::Bad) {
            let what = self.quote(expr.span).unwrap_or_else(|| "this".into());
            let message = format!("a number belongs here, and {what} is none");
            let found = Diagnostic::error(Code::WrongKind, expr.span, message);
            self.report(match &expr.kind {
                ExprKind::String(text) if text.parse::<f64>().is_ok() => {
                    found.help(format!("write `{text}` without quotes")).edit(expr.span, text.as_str())
                }
                _ => found.help("write a number, as in `64`"),
            });
        }
        found
    }

    /// A whole number of at least `least`.
    pub(in crate::check) fn plain_count(&mut self, expr: &'a Expr, least: u64, what: &str) -> Option<u64> {
        let n = self.plain_number(expr)?;
        if n.fract() == 0.0 && n >= least as f64 && n < 1e15 {
            return Some(n as u64);
        }
        let message = format!("{what} is a whole number from {least} on, not {n}");
        let right = n.abs().round().max(least as f64);
        let mut found = Diagnostic::error(Code::BadValue, expr.span, message);
        if right < 1e15 {
            found = found.help(format!("write `{right}`")).edit(expr.span, format!("{right}"));
        }
        self.report(found);
        None
    }
}

/// Numbers and operators between them; nesting is bounded by the parser.
fn plain(expr: &Expr) -> Option<f64> {
    match &expr.kind {
        ExprKind::Number(number) => Some(number.value),
        ExprKind::Paren(inner) => plain(inner),
        ExprKind::Unary { op: UnaryOp::Neg, arg } => plain(arg).map(|x| -x),
        ExprKind::Binary { op, left, right, .. } => {
            let (a, b) = (plain(left)?, plain(right)?);
            let value = match op {
                BinaryOp::Add => a + b,
                BinaryOp::Sub => a - b,
                BinaryOp::Mul => a * b,
                BinaryOp::Div => a / b,
                _ => return None,
            };
            value.is_finite().then_some(value)
        }
        _ => None,
    }
}
