//! The head of a `scan`: what it runs over, and how its states begin.

use strata_grammar::ast::{FamilyRef, Scan, ScanOver, Target};
use strata_grammar::{Code, Diagnostic, Span};

use super::{Head, Sequence, Start, State};
use crate::check::Checker;
use crate::check::shapes::axis_text;
use crate::check::signature::{Kind, lone_name};
use crate::check::value::{Initial, Value};
use crate::types::Axis;

impl<'a> Checker<'a> {
    /// `over …`
    pub(super) fn scan_head(&mut self, scan: &'a Scan) -> Option<Head<'a>> {
        let (inputs, word) = match &scan.over {
            ScanOver::Times(count) => {
                let value = self.eval(count);
                if value.int() == Some(0) {
                    return Some(Head { sequences: Vec::new(), turns: Axis::sized(0), place: 1 });
                }
                let Value::Axis(turns) =
                    self.fit(value, Some(count), Kind::Axis, count.span, "`scan … times`")
                else {
                    return None;
                };
                return Some(Head { sequences: Vec::new(), turns, place: 1 });
            }
            ScanOver::Axis { inputs, axis } => (inputs, axis),
        };
        let values: Vec<Value<'a>> = inputs.iter().map(|input| self.eval(input)).collect();
        let mut sequences: Vec<Sequence<'a>> = Vec::new();
        let mut found: Option<(Axis, usize, Span)> = None;
        for (input, value) in inputs.iter().zip(values) {
            let Some(name) = lone_name(input) else {
                let message = "the slice of this sequence has no name in the body";
                let help = "bind it first, `xs = …`, and write `scan xs over …`";
                self.report(Diagnostic::error(Code::WrongKind, input.span, message).help(help));
                return None;
            };
            let Value::Tensor(whole) = value else {
                if !value.is_unknown() {
                    self.wrong_kind(&value, "a tensor", input.span, "`scan`");
                }
                return None;
            };
            let axis = self.axis_word(word)?;
            let [axis] = &axis[..] else {
                let message = "`scan` runs over one axis";
                self.report(Diagnostic::error(Code::BadValue, word.span, message));
                return None;
            };
            let position = self.axis_position(whole, axis)?;
            let axis = self.ty(whole).axes[position].clone();
            if let Some(first) = sequences.iter().find(|other| other.name.text == name.text) {
                let message = format!("`{}` stands here twice", name.text);
                let twice = Diagnostic::error(Code::DuplicateName, name.span, message)
                    .label(first.name.span, "the first")
                    .help("take one of the two out");
                self.report(twice);
                return None;
            }
            match &found {
                None => found = Some((axis, position, input.span)),
                Some((first, _, at)) if first.size != axis.size => {
                    let message = format!(
                        "`scan` takes one slice of each sequence a turn, and {} meets {}: {}",
                        axis_text(first),
                        axis_text(&axis),
                        self.described(whole, input.span)
                    );
                    let unequal = Diagnostic::error(Code::ShapeMismatch, input.span, message)
                        .label(*at, format!("{} turns", axis_text(first)))
                        .help("make the sequences equally long");
                    let unequal = self.with_statement(unequal, whole);
                    self.report(unequal);
                    return None;
                }
                Some(_) => {}
            }
            let turned = self.axis_first(whole, position, input.span)?;
            sequences.push(Sequence { name, turned });
        }
        let (turns, place, _) = found?;
        Some(Head { sequences, turns, place })
    }

    /// `with (h, c) = start`
    pub(super) fn scan_states(&mut self, scan: &'a Scan) -> Option<Vec<State<'a>>> {
        let Some((target, start)) = &scan.state else { return Some(Vec::new()) };
        let value = self.eval(start);
        if value.is_unknown() {
            return None;
        }
        let names: Vec<&'a FamilyRef> = match target {
            Target::Name(name) => vec![name],
            Target::Tuple { members, .. } => members.iter().collect(),
        };
        let values = match target {
            Target::Name(_) => vec![value],
            Target::Tuple { members, span } => self.members(&value, members.len(), *span, &[]),
        };
        let mut states: Vec<State<'a>> = Vec::new();
        for (name, value) in names.into_iter().zip(values) {
            if !name.indices.is_empty() {
                let message = "a state has a plain name";
                let help = format!("write `{}` without an index", name.name.text);
                self.report(Diagnostic::error(Code::WrongKind, name.span, message).help(help));
                return None;
            }
            if let Some(first) = states.iter().find(|state| state.name.name.text == name.name.text) {
                let message = format!("two states are called `{}`", name.name.text);
                let twice = Diagnostic::error(Code::DuplicateName, name.span, message)
                    .label(first.name.span, "the first")
                    .help(format!("give one of the two another name, as in `{}2`", name.name.text));
                self.report(twice);
                return None;
            }
            let whose = format!("the start of `{}`", name.name.text);
            let start = match self.fit(value, Some(start), Kind::Tensor, start.span, &whose) {
                Value::Tensor(id) => Start::Tensor(id),
                Value::Init(Initial::Constant(number)) => Start::Number(number),
                Value::Unknown => return None,
                other => match other.number() {
                    Some(number) => Start::Number(number),
                    None => {
                        let help = match &other {
                            Value::Tuple(_) => Some("name each state: `with (h, c) = …`"),
                            _ => None,
                        };
                        self.wrong_start(&other, start.span, &whose, help);
                        return None;
                    }
                },
            };
            states.push(State { name, start, span: scan.state.as_ref().map_or(name.span, |(_, e)| e.span) });
        }
        Some(states)
    }

    fn wrong_start(&mut self, value: &Value<'a>, span: Span, whose: &str, help: Option<&str>) {
        let message = format!("{whose} is one tensor, and this is {}", value.kind());
        let found = Diagnostic::error(Code::WrongKind, span, message);
        self.report(match help {
            Some(help) => found.help(help),
            None => found.help("start with a tensor, a number, or `zeros(batch, units)`"),
        });
    }
}
