//! Indices in lines of `place`: `tower[t]` lets `t` run over what is declared, and `gpu[2 * t]` counts with it.

use strata_grammar::ast::{BinaryOp, Expr, ExprKind, IndexItem, UnaryOp};
use strata_grammar::{Code, Diagnostic};

use crate::check::Checker;
use crate::check::scope::Index;

/// What the index variables of a line are for one member of a family.
pub(super) type Turn = Vec<(String, Index)>;

/// What an index picks.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Picked {
    One(Index),
    /// From the first up to the second, which is not meant.
    Range(i64, i64),
    All,
}

/// What an index of a part takes.
#[derive(Clone, Debug)]
pub(super) enum Pattern {
    Is(Picked),
    /// Any; the variable is so much less.
    Turn(String, i64),
}

/// Adds what a variable must be for `pattern` to take `index`; `false` where it does not.
pub(super) fn takes(pattern: &Pattern, index: &Index, turn: &mut Turn) -> bool {
    match (pattern, index) {
        (Pattern::Is(Picked::All), _) => true,
        (Pattern::Is(Picked::One(wanted)), index) => wanted == index,
        (Pattern::Is(Picked::Range(start, end)), Index::Number(n)) => (*start..*end).contains(n),
        (Pattern::Is(Picked::Range(..)), Index::Text(_)) => false,
        (Pattern::Turn(name, offset), index) => {
            let value = match index {
                Index::Number(n) => Index::Number(n.saturating_sub(*offset)),
                Index::Text(text) if *offset == 0 => Index::Text(text.clone()),
                Index::Text(_) => return false,
            };
            match turn.iter().find(|(known, _)| known == name) {
                Some((_, known)) => *known == value,
                None => {
                    turn.push((name.clone(), value));
                    true
                }
            }
        }
    }
}

impl<'a> Checker<'a> {
    /// The indices of a part.
    pub(super) fn patterns(&mut self, items: &'a [IndexItem]) -> Option<Vec<Pattern>> {
        items.iter().map(|item| self.pattern(item)).collect()
    }

    fn pattern(&mut self, item: &'a IndexItem) -> Option<Pattern> {
        let expr = match item {
            IndexItem::All(_) => return Some(Pattern::Is(Picked::All)),
            IndexItem::Expr(expr) => expr,
        };
        if let Some((name, offset)) = shifted(expr) {
            return Some(Pattern::Turn(name, offset));
        }
        if names(expr) {
            let text = self.written(expr.span);
            let message = format!("`{text}` is too much of a sum for the index of a part");
            let help = "here stands a name, a number or a range; count where the device is named: \
                        `encoder[i] on gpu[2 * i]`";
            self.report(Diagnostic::error(Code::WrongKind, expr.span, message).help(help));
            return None;
        }
        self.picked(item, Some(&Vec::new())).map(Pattern::Is)
    }

    /// What an index picks, with what the line's variables are; without these, nothing is said of names.
    pub(super) fn picked(&mut self, item: &'a IndexItem, turn: Option<&Turn>) -> Option<Picked> {
        match item {
            IndexItem::All(_) => Some(Picked::All),
            IndexItem::Expr(expr) => self.picked_by(expr, turn),
        }
    }

    fn picked_by(&mut self, expr: &'a Expr, turn: Option<&Turn>) -> Option<Picked> {
        let number = |n: Option<i64>| n.map(|n| Picked::One(Index::Number(n)));
        match &expr.kind {
            ExprKind::Number(value) if value.int.is_some() => number(value.int),
            ExprKind::String(text) => Some(Picked::One(Index::Text(text.clone()))),
            ExprKind::Paren(inner) => self.picked_by(inner, turn),
            ExprKind::Unary { op: UnaryOp::Neg, arg } => number(self.whole(arg, turn)?.checked_neg()),
            ExprKind::Name(name) => {
                let turn = turn?;
                if let Some((_, value)) = turn.iter().find(|(known, _)| *known == name.text) {
                    return Some(Picked::One(value.clone()));
                }
                let message = format!("no part of this line has an index `{}`", name.text);
                let found = Diagnostic::error(Code::UnknownName, name.span, message);
                let found = match turn.as_slice() {
                    [(known, _)] => found.help(format!("write `{known}`")).edit(name.span, known.clone()),
                    _ => found
                        .help(format!("let it run over a family, as in `tower[{0}] on gpu[{0}]`", name.text)),
                };
                self.report(found);
                None
            }
            ExprKind::Binary { op: BinaryOp::Range, left, right, .. } => {
                Some(Picked::Range(self.whole(left, turn)?, self.whole(right, turn)?))
            }
            ExprKind::Binary { op, left, right, .. } => {
                let (a, b) = (self.whole(left, turn)?, self.whole(right, turn)?);
                let value = match op {
                    BinaryOp::Add => a.checked_add(b),
                    BinaryOp::Sub => a.checked_sub(b),
                    BinaryOp::Mul => a.checked_mul(b),
                    // Rounded down, so that `encoder[i] on gpu[i / 2]` puts two on a device.
                    BinaryOp::Div => a.checked_div_euclid(b),
                    BinaryOp::Rem => a.checked_rem_euclid(b),
                    _ => None,
                };
                if value.is_none() {
                    self.no_index(expr);
                }
                number(value)
            }
            ExprKind::Bad => None,
            _ => {
                self.no_index(expr);
                None
            }
        }
    }

    fn whole(&mut self, expr: &'a Expr, turn: Option<&Turn>) -> Option<i64> {
        match self.picked_by(expr, turn)? {
            Picked::One(Index::Number(n)) => Some(n),
            Picked::One(Index::Text(_)) | Picked::Range(..) | Picked::All => {
                self.no_index(expr);
                None
            }
        }
    }

    fn no_index(&mut self, expr: &'a Expr) {
        let message = format!("`{}` is no whole number", self.written(expr.span));
        let found = Diagnostic::error(Code::WrongKind, expr.span, message);
        self.report(found.help("an index is a whole number, a range such as `0..4`, or the index of a part"));
    }
}

/// `i`, `i + 1`, `1 + i`, `i - 1`: the name and what is added to it.
fn shifted(expr: &Expr) -> Option<(String, i64)> {
    let number = |expr: &Expr| match &expr.kind {
        ExprKind::Number(number) => number.int,
        _ => None,
    };
    match &expr.kind {
        ExprKind::Name(name) => Some((name.text.clone(), 0)),
        ExprKind::Paren(inner) => shifted(inner),
        ExprKind::Binary { op, left, right, .. } => match (op, &left.kind, &right.kind) {
            (BinaryOp::Add, ExprKind::Name(name), _) => Some((name.text.clone(), number(right)?)),
            (BinaryOp::Add, _, ExprKind::Name(name)) => Some((name.text.clone(), number(left)?)),
            (BinaryOp::Sub, ExprKind::Name(name), _) => Some((name.text.clone(), -number(right)?)),
            _ => None,
        },
        _ => None,
    }
}

/// Whether names stand in it.
pub(super) fn names(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Name(_) => true,
        ExprKind::Paren(inner) | ExprKind::Unary { arg: inner, .. } => names(inner),
        ExprKind::Binary { left, right, .. } => names(left) || names(right),
        _ => false,
    }
}
