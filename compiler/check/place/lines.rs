//! The lines of `place`: each names parts and the devices that they run on.

use std::collections::HashMap;

use strata_grammar::ast::{ExprKind, FamilyRef, Ident, IndexItem, PlaceKind, PlaceStatement, Wire};
use strata_grammar::{Code, Diagnostic, Span, did_you_mean};

use super::axes::grid;
use super::devices::Fleet;
use super::index::{Picked, Turn};
use super::parts::{Families, Member};
use crate::check::Checker;
use crate::check::scope::Index;
use crate::model::{Model, SectionId};
use crate::placement::{self, DeviceId, Part, PartId};
use crate::types::DType;

/// What travels in place of an `f32`.
const WIRES: [DType; 3] = [DType::F32, DType::Bf16, DType::F16];

/// The placement of a model, line by line.
pub(super) struct Layout<'m, 'a> {
    /// What can be named; `None` where the model is not known, which was said.
    pub(super) families: Option<Families<'m>>,
    pub(super) fleet: &'m Fleet,
    pub(super) parts: Vec<Part>,
    /// Whose a section is.
    owner: HashMap<SectionId, PartId>,
    /// Parts that are split, and how that is written.
    pub(super) splits: Vec<(PartId, Split<'a>)>,
    pub(super) wire: Option<placement::Wire>,
    any_order: Option<Span>,
}

/// `split over gpu[0..4] by height, width`
#[derive(Clone, Copy)]
pub(super) struct Split<'a> {
    pub(super) devices: &'a FamilyRef,
    pub(super) axes: &'a [Ident],
}

impl<'m> Layout<'m, '_> {
    pub(super) fn new(families: Option<Families<'m>>, fleet: &'m Fleet) -> Self {
        let (parts, owner, splits) = (Vec::new(), HashMap::new(), Vec::new());
        Layout { families, fleet, parts, owner, splits, wire: None, any_order: None }
    }

    pub(super) fn any_order(&self) -> bool {
        self.any_order.is_some()
    }

    /// By origin: which part it belongs to, the innermost where one stands in another.
    pub(super) fn of(&self, model: &Model) -> Vec<Option<PartId>> {
        let section = |id: SectionId| &model.sections[id.0 as usize];
        let part = |first: Option<SectionId>| {
            let mut outwards = std::iter::successors(first, |inner| section(*inner).parent);
            outwards.find_map(|section| self.owner.get(&section).copied())
        };
        model.origins.iter().map(|origin| part(origin.section)).collect()
    }
}

impl<'a> Checker<'a> {
    /// Looks at a line; what this version cannot do yet comes back.
    pub(super) fn place_line(
        &mut self,
        statement: &'a PlaceStatement,
        layout: &mut Layout<'_, 'a>,
    ) -> Option<&'static str> {
        let line = statement.span;
        match &statement.kind {
            PlaceKind::On { parts, device } => {
                self.placed(parts, device, line, layout, None);
                None
            }
            PlaceKind::Split { parts, devices, axes } => {
                self.axes_once(axes);
                self.placed(parts, devices, line, layout, Some(axes));
                None
            }
            PlaceKind::Pipeline { parts, devices: over, microbatches, .. } => {
                for part in parts {
                    for member in self.line_members(part, layout) {
                        self.claim_sections(part, &member, Vec::new(), (parts, line), layout);
                    }
                }
                self.devices_of(over, layout.fleet, None);
                if let Some(count) = microbatches {
                    self.plain_count(count, 1, "the number of microbatches");
                }
                Some("`pipeline`")
            }
            PlaceKind::Remat(parts) => {
                for part in parts {
                    self.line_members(part, layout);
                }
                Some("`remat`")
            }
            PlaceKind::Wire(wire) => {
                let first = layout.wire.map(|wire| wire.span);
                if let Some(dtype) = self.place_wire(wire, line) {
                    layout.wire.get_or_insert(placement::Wire {
                        dtype,
                        stochastic: wire.stochastic,
                        span: line,
                    });
                }
                self.line_once("wire", first, line);
                None
            }
            PlaceKind::SumAnyOrder => {
                let first = layout.any_order.replace(line);
                self.line_once("sum any order", first, line);
                None
            }
            PlaceKind::Bad => None,
        }
    }

    fn line_once(&mut self, word: &str, first: Option<Span>, line: Span) {
        let Some(first) = first else { return };
        let message = format!("`{word}` is given twice");
        let found = Diagnostic::error(Code::DuplicateSetting, line, message)
            .label(first, "the first")
            .help("take one of the two out")
            .edit(self.whole_line(line), "");
        self.report(found);
    }

    fn line_members(&mut self, part: &'a FamilyRef, layout: &Layout<'_, 'a>) -> Vec<Member> {
        layout.families.as_ref().map_or(Vec::new(), |families| self.members_of(part, families))
    }

    /// `PARTS on DEVICE`, or with axes `PARTS split over DEVICES by AXES`.
    fn placed(
        &mut self,
        parts: &'a [FamilyRef],
        devices: &'a FamilyRef,
        line: Span,
        layout: &mut Layout<'_, 'a>,
        axes: Option<&'a [Ident]>,
    ) {
        let mut any = false;
        for part in parts {
            for member in self.line_members(part, layout) {
                any = true;
                let found = self.devices_of(devices, layout.fleet, Some(&member));
                let found = found.filter(|found| match axes {
                    None => self.is_one(devices, found),
                    Some(_) => self.are_different(devices, found, layout.fleet),
                });
                let known = found.clone().unwrap_or_default();
                let claimed = self.claim_sections(part, &member, known, (parts, line), layout);
                if let (Some(id), Some(axes)) = (claimed, axes) {
                    layout.splits.push((id, Split { devices, axes }));
                    if let Some(found) = found.filter(|found| found.len() > 1) {
                        let counts = grid(found.len() as u32, axes.len());
                        let axes = axes.iter().map(|axis| axis.text.clone()).zip(counts);
                        layout.parts[id.0 as usize].axes = axes.collect();
                    }
                }
            }
        }
        if !any {
            self.devices_of(devices, layout.fleet, None);
        }
    }

    /// Makes a part of a member, unless it is one already, which is said.
    fn claim_sections(
        &mut self,
        part: &'a FamilyRef,
        member: &Member,
        devices: Vec<DeviceId>,
        (line_parts, line): (&'a [FamilyRef], Span),
        layout: &mut Layout<'_, 'a>,
    ) -> Option<PartId> {
        let first = member.sections.iter().find_map(|section| layout.owner.get(section));
        if let Some(first) = first {
            let first = &layout.parts[first.0 as usize];
            let message = format!("`{}` is placed twice", member.name);
            let mut found = Diagnostic::error(Code::PlacedTwice, part.span, message)
                .label(first.span, "the first place")
                .help("take one of the two out");
            let whole_family = part.indices.is_empty() || self.written(part.span) == member.name;
            if line_parts.len() == 1 && whole_family {
                found = found.edit(self.whole_line(line), "");
            }
            self.report(found);
            return None;
        }
        let id = PartId(layout.parts.len() as u32);
        layout.parts.push(Part { name: member.name.clone(), devices, axes: Vec::new(), span: part.span });
        layout.owner.extend(member.sections.iter().map(|section| (*section, id)));
        Some(id)
    }

    fn is_one(&mut self, named: &'a FamilyRef, found: &[DeviceId]) -> bool {
        if found.len() == 1 {
            return true;
        }
        let text = self.written(named.span);
        let message = format!("`on` takes one device, and `{text}` is {}", found.len());
        let help = if named.indices.is_empty() {
            format!("say which, as in `{text}[0]`, or write `split over {text} by AXIS`")
        } else {
            format!("name one, or write `split over {text} by AXIS`")
        };
        self.report(Diagnostic::error(Code::WrongKind, named.span, message).help(help));
        false
    }

    /// That a split is over some devices, each once.
    fn are_different(&mut self, named: &'a FamilyRef, found: &[DeviceId], fleet: &Fleet) -> bool {
        let text = self.written(named.span);
        if found.is_empty() {
            let message = format!("`{text}` is no device");
            let found = Diagnostic::error(Code::BadSplit, named.span, message);
            self.report(found.help("a range ends before its second number: `gpu[0..2]` is two devices"));
            return false;
        }
        let twice = (1..found.len()).find(|at| found[..*at].contains(&found[*at]));
        if let Some(at) = twice {
            let name = &fleet.devices[found[at].0 as usize].name;
            let message = format!("`{name}` is in this split twice");
            let found = Diagnostic::error(Code::BadSplit, named.span, message);
            self.report(found.help("name each device once"));
        }
        twice.is_none()
    }

    fn axes_once(&mut self, axes: &'a [Ident]) {
        for (at, axis) in axes.iter().enumerate() {
            if let Some(first) = axes[..at].iter().find(|first| first.text == axis.text) {
                let message = format!("`{}` is named twice", axis.text);
                let found =
                    Diagnostic::error(Code::BadSplit, axis.span, message).label(first.span, "the first");
                let beyond = Span { start: axes[at - 1].span.end, ..axis.span };
                self.report(found.help("take one of the two out").edit(beyond, ""));
            }
        }
    }

    fn place_wire(&mut self, wire: &'a Wire, line: Span) -> Option<DType> {
        let dtype = self.wire_dtype(&wire.dtype);
        if let Some(sum) = &wire.sum {
            let message = "`sum` belongs in `replicas`: within a copy, sums are kept as they are computed";
            let text = self.loaded.sources.text(line);
            let comma = text.find(',').map_or(sum.span.start, |at| line.start + at as u32);
            let found = Diagnostic::error(Code::MisplacedStatement, sum.span, message);
            self.report(found.help("take it out").edit(Span { start: comma, ..sum.span }, ""));
        }
        dtype
    }

    /// That something travels as such a float.
    pub(super) fn wire_dtype(&mut self, dtype: &'a Ident) -> Option<DType> {
        let known = DType::from_name(&dtype.text).filter(|known| WIRES.contains(known));
        if known.is_none() {
            let message = format!("`{}` is no float that can travel", dtype.text);
            let found = Diagnostic::error(Code::UnknownName, dtype.span, message);
            self.report(match did_you_mean(&dtype.text, ["f32", "bf16", "f16"]) {
                Some(near) => found.help(format!("did you mean `{near}`?")).edit(dtype.span, near),
                None => found.help("there are f32, bf16 and f16"),
            });
        }
        known
    }

    /// The devices that a name stands for, in the order in which they are written; `None` where that cannot be told.
    /// Without a part, nothing is known of the line's index variables.
    pub(super) fn devices_of(
        &mut self,
        named: &'a FamilyRef,
        fleet: &Fleet,
        part: Option<&Member>,
    ) -> Option<Vec<DeviceId>> {
        let Some(group) = fleet.group(&named.name.text) else {
            self.unknown_device(&named.name, named.indices.is_empty() && part.is_some(), fleet);
            return None;
        };
        let all = || group.members.iter().flatten().copied();
        if named.indices.is_empty() {
            return group.known.then(|| all().collect());
        }
        let bare = Turn::new();
        let mut found = Vec::new();
        let mut sound = group.known;
        for item in &named.indices {
            let turn = part.map(|part| &part.turn);
            let turn = turn.or(if has_names(item) { None } else { Some(&bare) });
            let Some(picked) = self.picked(item, turn) else {
                sound = false;
                continue;
            };
            let range = match picked {
                Picked::All => 0..group.members.len() as i64,
                Picked::One(Index::Number(n)) => n..n.saturating_add(1),
                Picked::Range(start, end) => start..end,
                Picked::One(Index::Text(text)) => {
                    let message = format!("devices are counted, and this is {text:?}");
                    let found = Diagnostic::error(Code::WrongKind, named.span, message);
                    self.report(found.help(format!("write `{}[0]`, for example", named.name.text)));
                    sound = false;
                    continue;
                }
            };
            let count = group.members.len() as i64;
            let outside = if range.is_empty() {
                None
            } else if range.start < 0 {
                Some(range.start)
            } else {
                (range.end > count).then(|| range.end - 1)
            };
            match outside {
                Some(outside) if group.known => {
                    self.no_such_device(named, item, outside, group.members.len(), group.span, part);
                    sound = false;
                }
                Some(_) => sound = false,
                None if range.is_empty() => {}
                None => {
                    let picked = &group.members[range.start as usize..range.end as usize];
                    found.extend(picked.iter().flatten().copied());
                }
            }
        }
        sound.then_some(found)
    }

    fn unknown_device(&mut self, name: &'a Ident, alone: bool, fleet: &Fleet) {
        if self.excused(&name.text) {
            return;
        }
        let mut names: Vec<&str> = fleet.names.iter().map(|group| group.name.as_str()).collect();
        names.sort_unstable();
        // One of several needs its number.
        let member = |name: &str| match fleet.group(name) {
            Some(group) if alone && group.members.len() > 1 => format!("{name}[0]"),
            _ => name.to_string(),
        };
        let message = format!("there is no device `{}`", name.text);
        let found = Diagnostic::error(Code::UnknownDevice, name.span, message);
        let found = match did_you_mean(&name.text, names.iter().copied()).map(member) {
            Some(near) => found.help(format!("did you mean `{near}`?")).edit(name.span, near),
            None if names.len() == 1 && is_hardware(&name.text) => {
                let only = member(names[0]);
                found.help(format!("there is `{only}`")).edit(name.span, only)
            }
            None if names.is_empty() => match self.cluster_of(&name.text) {
                Some(cluster) => found
                    .label(cluster, "a cluster is what may be there")
                    .help(format!("declare what this runs on: `devices {{ {}[2] }}`", name.text)),
                None => found.help(format!("declare it: `devices {{ {}[2] }}`", name.text)),
            },
            None => found.help(format!("there are {}", names.join(", "))),
        };
        self.report(found);
    }

    fn no_such_device(
        &mut self,
        named: &'a FamilyRef,
        item: &'a IndexItem,
        outside: i64,
        count: usize,
        declared: Span,
        part: Option<&Member>,
    ) {
        let IndexItem::Expr(expr) = item else { return };
        let name = &named.name.text;
        let counted = if count == 1 {
            "one is declared, and it is 0".to_string()
        } else {
            format!("{count} are declared, counted from 0")
        };
        let whose = match part {
            Some(part) if has_names(item) => format!(" for `{}`", part.name),
            _ => String::new(),
        };
        let message = format!("there is no `{name}[{outside}]`{whose}: {counted}");
        let mut found = Diagnostic::error(Code::UnknownDevice, expr.span, message)
            .label(declared, format!("{count} declared here"));
        if whose.is_empty() || outside < 0 {
            found = found.help(format!("the last is `{name}[{}]`", count - 1));
        } else {
            found = found.help(format!("declare `{name}[{}]`, or count in another way", outside + 1));
        }
        match &expr.kind {
            ExprKind::Number(_) => found = found.edit(expr.span, (count - 1).to_string()),
            ExprKind::Binary { op: strata_grammar::ast::BinaryOp::Range, right, .. }
                if !has_names(item) && outside >= 0 =>
            {
                found = found.edit(right.span, count.to_string());
            }
            _ => {}
        }
        self.report(found);
    }
}

/// Whether an index counts with a variable.
fn has_names(item: &IndexItem) -> bool {
    match item {
        IndexItem::All(_) => false,
        IndexItem::Expr(expr) => super::index::names(expr),
    }
}

/// Names that devices usually have.
fn is_hardware(word: &str) -> bool {
    matches!(word.to_ascii_lowercase().as_str(), "cpu" | "gpu" | "cuda" | "tpu" | "mps" | "device")
}
