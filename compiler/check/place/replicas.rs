//! The lines of `replicas`: the devices in them exist and their numbers make sense. This version runs none of them.

use std::collections::HashMap;

use strata_grammar::ast::{Expr, ExprKind, ReplicasKind};
use strata_grammar::{Code, Diagnostic, Span};

use super::devices::Fleet;
use crate::check::Checker;

impl<'a> Checker<'a> {
    /// Looks at a line, and says which it is.
    pub(super) fn replicas_line(
        &mut self,
        kind: &'a ReplicasKind,
        span: Span,
        fleet: &Fleet,
        first: &mut HashMap<&'static str, Span>,
    ) -> Option<&'static str> {
        let (word, count): (&'static str, Option<(&'a Expr, u64)>) = match kind {
            ReplicasKind::Copies { count, .. } => ("copies", Some((count, 1))),
            ReplicasKind::Groups { count, .. } => ("groups", Some((count, 1))),
            ReplicasKind::Backups(count) => ("backups", Some((count, 0))),
            ReplicasKind::Staleness(count) => ("staleness", Some((count, 0))),
            ReplicasKind::Params(over) => {
                self.devices_of(over, fleet, None);
                ("params", None)
            }
            ReplicasKind::Wire(wire) => {
                for dtype in std::iter::once(&wire.dtype).chain(&wire.sum) {
                    self.wire_dtype(dtype);
                }
                ("wire", None)
            }
            ReplicasKind::Restart(count) => ("restart", Some((count, 0))),
            ReplicasKind::SumAnyOrder => ("sum any order", None),
            ReplicasKind::Bad => return None,
        };
        if let Some((expr, least)) = count {
            // `16 steps` counts as 16.
            let is_quantity = matches!(expr.kind, ExprKind::Quantity { .. });
            if !is_quantity {
                self.plain_count(expr, least, &format!("`{word}`"));
            }
        }
        if let Some(at) = first.insert(word, span) {
            let message = format!("`{word}` is given twice");
            let found = Diagnostic::error(Code::DuplicateSetting, span, message)
                .label(at, "the first")
                .help("take one of the two out");
            self.report(found);
        }
        Some(word)
    }
}
