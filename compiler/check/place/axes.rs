//! Splits: how devices make a grid, and whether the tensors of a part have the axes that it is split by.

use std::collections::BTreeMap;

use strata_grammar::ast::{BinaryOp, ExprKind, FamilyRef, Ident, IndexItem};
use strata_grammar::{Code, Diagnostic, Span, did_you_mean};

use super::lines::{Layout, Split};
use crate::check::Checker;
use crate::model::Model;
use crate::placement::{Part, PartId};
use crate::types::{Name, Type};

/// How many devices each of `axes` axes is split over: as nearly equal counts as there are, the first the largest.
pub(super) fn grid(devices: u32, axes: usize) -> Vec<u32> {
    let mut best = Vec::new();
    factors(devices, devices, axes, &mut Vec::new(), &mut best);
    best
}

/// The factors of `left` into `axes` counts, none above the one before it; `best` is those whose sum is least.
fn factors(left: u32, most: u32, axes: usize, made: &mut Vec<u32>, best: &mut Vec<u32>) {
    if axes == 0 {
        if left == 1 && (best.is_empty() || made.iter().sum::<u32>() < best.iter().sum()) {
            best.clone_from(made);
        }
        return;
    }
    for count in (1..=most.min(left)).filter(|count| left.is_multiple_of(*count)) {
        made.push(count);
        factors(left / count, count, axes - 1, made, best);
        made.pop();
    }
}

/// What is known of an axis in the tensors of a part.
#[derive(Debug, Default)]
struct Facts {
    /// The most that it is long; `None` where the data say that.
    longest: Option<u64>,
    free: bool,
    /// A tensor that has it twice, and where that comes from.
    doubled: Option<(Type, Span)>,
}

type Axes = BTreeMap<Name, Facts>;

fn add(ty: &Type, span: Span, axes: &mut Axes) {
    for (at, axis) in ty.axes.iter().enumerate() {
        let Some(name) = &axis.name else { continue };
        let facts = axes.entry(name.clone()).or_default();
        match axis.size.known() {
            Some(size) => facts.longest = facts.longest.max(Some(size)),
            None => facts.free = true,
        }
        if facts.doubled.is_none() && ty.axes[..at].iter().any(|other| other.name.as_ref() == Some(name)) {
            facts.doubled = Some((ty.clone(), span));
        }
    }
}

impl<'a> Checker<'a> {
    /// That every part computes something, and has the axes that it is split by.
    pub(super) fn check_parts(
        &mut self,
        model: &Model,
        of: &[Option<PartId>],
        sound: bool,
        layout: &Layout<'_, 'a>,
    ) {
        let mut axes: Vec<Axes> = layout.parts.iter().map(|_| Axes::new()).collect();
        let mut used = vec![false; layout.parts.len()];
        let mut all = Axes::new();
        for value in model.values.iter() {
            let origin = &model.origins[value.origin.0 as usize];
            add(&value.ty, origin.call, &mut all);
            let Some(part) = of[value.origin.0 as usize] else { continue };
            let part = part.0 as usize;
            used[part] = true;
            // What a part reads is cut too.
            let args = value.args.iter().map(|arg| &model.values[arg.0 as usize]);
            for read in args.chain([value]) {
                let call = model.origins[read.origin.0 as usize].call;
                add(&read.ty, call, &mut axes[part]);
            }
        }
        if !sound {
            return;
        }
        for (id, split) in &layout.splits {
            let part = &layout.parts[id.0 as usize];
            // Where the devices are not known, one will do.
            let counts = part.axes.iter().map(|(_, count)| *count).chain(std::iter::repeat(1));
            for (axis, count) in split.axes.iter().zip(counts) {
                if !all.contains_key(axis.text.as_str()) {
                    self.no_such_axis(
                        &format!("no tensor of `{}` has an axis called", model.name),
                        axis,
                        &all,
                    );
                    continue;
                }
                match axes[id.0 as usize].get(axis.text.as_str()) {
                    Some(facts) => self.check_split(axis, count, facts, split),
                    None if axes[id.0 as usize].is_empty() => {}
                    None => {
                        let message = format!("no tensor of `{}` has an axis called", part.name);
                        self.no_such_axis(&message, axis, &axes[id.0 as usize]);
                    }
                }
            }
        }
        for (part, used) in layout.parts.iter().zip(used) {
            // A part that is misplaced may have left another with nothing.
            if !used && self.errors() == 0 {
                self.places_nothing(part);
            }
        }
    }

    fn places_nothing(&mut self, part: &Part) {
        let message = format!("nothing is left of `{}` to be placed", part.name);
        let help =
            "it computes nothing of its own, or all of it is placed by other lines: take it out of this one";
        self.report(Diagnostic::warning(Code::UnusedName, part.span, message).help(help));
    }

    fn no_such_axis(&mut self, message: &str, axis: &'a Ident, known: &Axes) {
        let found = Diagnostic::error(Code::UnknownAxis, axis.span, format!("{message} `{}`", axis.text));
        let names: Vec<&str> = known.keys().map(|name| &**name).collect();
        self.report(match did_you_mean(&axis.text, names.iter().copied()) {
            Some(near) => found.help(format!("did you mean `{near}`?")).edit(axis.span, near),
            None => found.help(format!("its axes are called {}", names.join(", "))),
        });
    }

    fn check_split(&mut self, axis: &'a Ident, count: u32, facts: &Facts, split: &Split<'a>) {
        if let Some((ty, at)) = &facts.doubled {
            let message =
                format!("{ty} has two axes called `{0}`, and a split by `{0}` means one", axis.text);
            let found = Diagnostic::error(Code::BadSplit, axis.span, message)
                .label(*at, "here")
                .help(format!("rename one of them before: `x |> rename({}: other)`", axis.text));
            self.report(found);
        } else if let Some(longest) =
            facts.longest.filter(|longest| *longest < u64::from(count) && !facts.free)
        {
            let message = format!("`{}` is {longest} and is split over {count} devices", axis.text);
            let found = Diagnostic::error(Code::BadSplit, axis.span, message);
            let found = found.help(match longest {
                1 => "an axis of 1 cannot be split: take another".to_string(),
                _ => format!("split it over {longest} at most, or split another axis"),
            });
            let end =
                if split.axes.len() == 1 && longest > 1 { end_of(split.devices, longest) } else { None };
            self.report(match end {
                Some((span, end)) => found.edit(span, end),
                None => found,
            });
        }
    }
}

/// The end of the range that `gpu[2..8]` is, and what it would be for `count` devices.
fn end_of(devices: &FamilyRef, count: u64) -> Option<(Span, String)> {
    let [IndexItem::Expr(expr)] = devices.indices.as_slice() else { return None };
    let ExprKind::Binary { op: BinaryOp::Range, left, right, .. } = &expr.kind else { return None };
    let ExprKind::Number(start) = &left.kind else { return None };
    Some((right.span, (start.int? + i64::try_from(count).ok()?).to_string()))
}

#[cfg(test)]
mod tests {
    use super::grid;

    #[test]
    fn grids_are_as_square_as_can_be() {
        assert_eq!(grid(4, 1), [4]);
        assert_eq!(grid(8, 2), [4, 2]);
        assert_eq!(grid(9, 2), [3, 3]);
        assert_eq!(grid(7, 2), [7, 1]);
        assert_eq!(grid(12, 2), [4, 3]);
        assert_eq!(grid(12, 3), [3, 2, 2]);
        assert_eq!(grid(64, 3), [4, 4, 4]);
        assert_eq!(grid(1, 2), [1, 1]);
    }
}
