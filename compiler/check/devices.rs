//! `devices`, `place` and `replicas`: the names in them exist, nothing is placed twice, numbers make sense. What is
//! right is answered with "not yet".

use std::collections::HashMap;
use std::sync::Arc;

use strata_grammar::ast::{
    DeviceKind, DeviceStatement, Expr, FamilyRef, Ident, IndexItem, Item, PlaceKind, PlaceStatement,
    ReplicasKind, Wire,
};
use strata_grammar::{Code, Diagnostic, Span, did_you_mean};

use super::layer::Elaborated;
use super::{Checker, items};
use crate::model::RegionKind;
use crate::types::DType;

/// The parts of a model that `place` can name: bare names, with the members of families.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pub(super) model: String,
    names: Vec<String>,
    axes: Vec<String>,
    /// Whether all of the model could be made sense of; else it may have more axes.
    sound: bool,
}

impl Parts {
    /// Layers, groups and bindings of a model.
    pub(super) fn of(elaborated: &Elaborated) -> Parts {
        let model = &elaborated.model;
        let regions = model.regions.iter().filter(|region| region.kind != RegionKind::Optimizer);
        let mut names: Vec<String> = elaborated.named.clone();
        for region in regions.filter(|region| !region.name.is_empty()) {
            names.push(region.name.clone());
            if let Some(last) = region.name.rsplit('/').next() {
                names.push(last.to_string());
            }
        }
        names.extend(model.bindings.iter().map(|(name, _)| name.clone()));
        names.extend(model.inputs.iter().map(|input| input.name.clone()));
        names.sort_unstable();
        names.dedup();
        let mut axes: Vec<String> = model
            .values
            .iter()
            .flat_map(|value| {
                value.ty.axes.iter().filter_map(|axis| axis.name.as_deref().map(str::to_string))
            })
            .collect();
        axes.sort_unstable();
        axes.dedup();
        Parts { model: model.name.clone(), names, axes, sound: elaborated.sound }
    }

    fn has(&self, name: &str) -> bool {
        self.names.iter().any(|part| part == name || part.split('[').next() == Some(name))
    }
}

/// Names that devices usually have.
fn is_hardware(word: &str) -> bool {
    matches!(word.to_ascii_lowercase().as_str(), "cpu" | "gpu" | "cuda" | "tpu" | "mps" | "device")
}

/// A declared device and how many there are of it.
#[derive(Clone, Debug)]
struct Device {
    count: Option<i64>,
    span: Span,
}

impl<'a> Checker<'a> {
    /// Items of a kind count where the root has one, or else those of used files.
    fn counting<T>(&self, pick: impl Fn(&'a Item) -> Option<T>) -> Vec<T> {
        let root = self.loaded.root();
        let all: Vec<(bool, T)> = items(self.loaded)
            .filter_map(|(file, item)| pick(item).map(|found| (file == root, found)))
            .collect();
        let in_root = all.iter().any(|(own, _)| *own);
        all.into_iter().filter(|(own, _)| *own || !in_root).map(|(_, found)| found).collect()
    }

    pub(super) fn check_devices(&mut self, parts: &[Arc<Parts>]) {
        let before = self.errors();
        let mut later = Vec::new();
        self.device_items(parts, &mut later);
        // What is wrong comes first; what is merely early would drown it.
        let is_text = |found: &Diagnostic| matches!(found.code, Code::SyntaxError | Code::UnmatchedBracket);
        let broken = self.loaded.diagnostics.iter().any(is_text);
        if self.errors() == before && !broken {
            for (span, what) in later {
                self.not_yet(span, &what);
            }
        }
    }

    /// Looks at all three kinds of item; `later` gets what is right but cannot be run yet.
    fn device_items(&mut self, parts: &[Arc<Parts>], later: &mut Vec<(Span, String)>) {
        let mut devices: HashMap<String, Device> = HashMap::new();
        let declared = self.counting(|item| match item {
            Item::Devices(devices) => Some(devices),
            _ => None,
        });
        for item in declared {
            self.device_lines(&item.body, &mut devices);
            let head = Span { end: (item.span.start + 7).min(item.span.end), ..item.span };
            later.push((head, "`devices`".to_string()));
        }
        let places = self.counting(|item| match item {
            Item::Place(place) => Some(place),
            _ => None,
        });
        for place in places {
            let own = self.parts_of(place.model.as_ref(), parts);
            let mut placed: HashMap<String, Span> = HashMap::new();
            for statement in &place.body {
                if let Some(what) = self.place_line(statement, own, &devices, &mut placed) {
                    later.push((statement.span, what.to_string()));
                }
            }
        }
        let replicas = self.counting(|item| match item {
            Item::Replicas(replicas) => Some(replicas),
            _ => None,
        });
        for item in replicas {
            self.parts_of(item.model.as_ref(), parts);
            let mut first: HashMap<&'static str, Span> = HashMap::new();
            for statement in &item.body {
                if let Some(word) = self.replicas_line(&statement.kind, statement.span, &devices, &mut first)
                {
                    later.push((statement.span, format!("`{word}`")));
                }
            }
        }
    }

    fn parts_of<'p>(&mut self, name: Option<&'a Ident>, parts: &'p [Arc<Parts>]) -> Option<&'p Parts> {
        let name = name?;
        let found = parts.iter().find(|own| own.model == name.text);
        if found.is_none() {
            self.unknown_model(name);
        }
        found.map(Arc::as_ref)
    }

    fn device_lines(&mut self, body: &'a [DeviceStatement], devices: &mut HashMap<String, Device>) {
        for statement in body {
            match &statement.kind {
                DeviceKind::Machine { name, body, .. } => {
                    self.declare_device(name, devices);
                    // Machines of different names may hold devices of one name.
                    let mut inner = HashMap::new();
                    self.device_lines(body, &mut inner);
                    for (name, device) in inner {
                        devices.entry(name).or_insert(device);
                    }
                }
                DeviceKind::Device { name, .. } => self.declare_device(name, devices),
                DeviceKind::Link { .. } => {}
                DeviceKind::Bad => self.note_broken(statement.span),
            }
        }
    }

    fn declare_device(&mut self, name: &'a FamilyRef, devices: &mut HashMap<String, Device>) {
        let count = match name.indices.as_slice() {
            [] => Some(1),
            [IndexItem::Expr(count)] => match self.plain_count(count, 1, "the number of devices") {
                Some(n) => i64::try_from(n).ok(),
                None => None,
            },
            _ => {
                let message = "a device has one number: how many there are";
                self.report(
                    Diagnostic::error(Code::WrongKind, name.span, message)
                        .help(format!("write `{}[4]`", name.name.text)),
                );
                None
            }
        };
        let device = Device { count, span: name.span };
        let first = devices.get(&name.name.text).map(|first| first.span);
        devices.entry(name.name.text.clone()).or_insert(device);
        if let Some(first) = first {
            let message = format!("`{}` is declared twice", name.name.text);
            let found = Diagnostic::error(Code::DuplicateName, name.span, message)
                .label(first, "the first")
                .help(format!("say how many there are in one line, as in `{}[4]`", name.name.text));
            self.report(found);
        }
    }

    /// That a device was declared and its indices exist.
    fn device(&mut self, device: &'a FamilyRef, devices: &HashMap<String, Device>) {
        let name = &device.name;
        let Some(known) = devices.get(&name.text) else {
            if self.excused(&name.text) {
                return;
            }
            let mut names: Vec<&str> = devices.keys().map(String::as_str).collect();
            names.sort_unstable();
            let message = format!("there is no device `{}`", name.text);
            let found = Diagnostic::error(Code::UnknownDevice, name.span, message);
            let found = match did_you_mean(&name.text, names.iter().copied()) {
                Some(near) => found.help(format!("did you mean `{near}`?")).edit(name.span, near),
                None if names.len() == 1 && is_hardware(&name.text) => {
                    found.help(format!("there is `{}`", names[0])).edit(name.span, names[0])
                }
                None if names.is_empty() => {
                    found.help(format!("declare it: `devices {{ {}[2] }}`", name.text))
                }
                None => found.help(format!("there are {}", names.join(", "))),
            };
            self.report(found);
            return;
        };
        let Some(count) = known.count else { return };
        for index in &device.indices {
            let IndexItem::Expr(expr) = index else { continue };
            let highest = match &expr.kind {
                strata_grammar::ast::ExprKind::Number(number) => number.int,
                strata_grammar::ast::ExprKind::Binary {
                    op: strata_grammar::ast::BinaryOp::Range,
                    right,
                    ..
                } => match &right.kind {
                    strata_grammar::ast::ExprKind::Number(number) => number.int.map(|n| n - 1),
                    _ => None,
                },
                _ => None,
            };
            if let Some(highest) = highest
                && highest >= count
            {
                let message =
                    format!("there is no `{}[{highest}]`: {count} are declared, counted from 0", name.text);
                let mut found = Diagnostic::error(Code::UnknownDevice, expr.span, message)
                    .label(known.span, format!("{count} declared here"))
                    .help(format!("the last is `{}[{}]`", name.text, count - 1));
                found = match &expr.kind {
                    strata_grammar::ast::ExprKind::Number(_) => {
                        found.edit(expr.span, (count - 1).to_string())
                    }
                    strata_grammar::ast::ExprKind::Binary { right, .. } => {
                        found.edit(right.span, count.to_string())
                    }
                    _ => found,
                };
                self.report(found);
            }
        }
    }

    fn parts(
        &mut self,
        names: &'a [FamilyRef],
        own: Option<&Parts>,
        placed: &mut HashMap<String, Span>,
        line: Span,
    ) {
        for part in names {
            let text = self.loaded.sources.text(part.span).to_string();
            if let Some(own) = own
                && !own.has(&part.name.text)
            {
                if self.excused(&part.name.text) {
                    continue;
                }
                let bare: Vec<&str> =
                    own.names.iter().map(|name| name.split('[').next().unwrap_or(name)).collect();
                let message = format!("`{}` has no part called `{}`", own.model, part.name.text);
                let found = Diagnostic::error(Code::UnknownName, part.name.span, message);
                let found = match did_you_mean(&part.name.text, bare.iter().copied()) {
                    Some(near) => found.help(format!("did you mean `{near}`?")).edit(part.name.span, near),
                    None => {
                        found.help("name a layer with `as NAME`, or put statements in a group `NAME { … }`")
                    }
                };
                self.report(found);
                continue;
            }
            if let Some(first) = placed.insert(text.clone(), part.span) {
                let message = format!("`{text}` is placed twice");
                let mut found = Diagnostic::error(Code::PlacedTwice, part.span, message)
                    .label(first, "the first place")
                    .help("take one of the two out");
                if let [_] = names {
                    found = found.edit(self.whole_line(line), "");
                }
                self.report(found);
            }
        }
    }

    fn place_line(
        &mut self,
        statement: &'a PlaceStatement,
        own: Option<&Parts>,
        devices: &HashMap<String, Device>,
        placed: &mut HashMap<String, Span>,
    ) -> Option<&'static str> {
        let line = statement.span;
        Some(match &statement.kind {
            PlaceKind::On { parts, device } => {
                self.parts(parts, own, placed, line);
                self.device(device, devices);
                "placing parts on devices"
            }
            PlaceKind::Split { parts, devices: over, axes } => {
                self.parts(parts, own, placed, line);
                self.device(over, devices);
                for axis in axes {
                    self.split_axis(axis, own);
                }
                "splitting parts over devices"
            }
            PlaceKind::Pipeline { parts, devices: over, microbatches, .. } => {
                self.parts(parts, own, placed, line);
                self.device(over, devices);
                if let Some(count) = microbatches {
                    self.plain_count(count, 1, "the number of microbatches");
                }
                "`pipeline`"
            }
            PlaceKind::Remat(parts) => {
                self.parts(parts, own, &mut HashMap::new(), line);
                "`remat`"
            }
            PlaceKind::Wire(wire) => {
                self.wire(wire);
                "`wire`"
            }
            PlaceKind::SumAnyOrder => "`sum any order`",
            PlaceKind::Bad => return None,
        })
    }

    fn split_axis(&mut self, axis: &Ident, own: Option<&Parts>) {
        let Some(own) = own else { return };
        if own.axes.contains(&axis.text) || !own.sound {
            return;
        }
        let message = format!("no tensor of `{}` has an axis called `{}`", own.model, axis.text);
        let found = Diagnostic::error(Code::UnknownAxis, axis.span, message);
        let found = match did_you_mean(&axis.text, own.axes.iter().map(String::as_str)) {
            Some(near) => found.help(format!("did you mean `{near}`?")).edit(axis.span, near),
            None => found.help(format!("its axes are called {}", own.axes.join(", "))),
        };
        self.report(found);
    }

    fn wire(&mut self, wire: &Wire) {
        for dtype in std::iter::once(&wire.dtype).chain(&wire.sum) {
            if DType::from_name(&dtype.text).is_none_or(|dtype| !dtype.is_float()) {
                let message = format!("`{}` is no float that can travel", dtype.text);
                let found = Diagnostic::error(Code::UnknownName, dtype.span, message);
                self.report(match did_you_mean(&dtype.text, ["f32", "bf16", "f16"]) {
                    Some(near) => found.help(format!("did you mean `{near}`?")).edit(dtype.span, near),
                    None => found.help("there are f32, bf16 and f16"),
                });
            }
        }
    }

    fn replicas_line(
        &mut self,
        kind: &'a ReplicasKind,
        span: Span,
        devices: &HashMap<String, Device>,
        first: &mut HashMap<&'static str, Span>,
    ) -> Option<&'static str> {
        let (word, count): (&'static str, Option<(&'a Expr, u64)>) = match kind {
            ReplicasKind::Copies { count, .. } => ("copies", Some((count, 1))),
            ReplicasKind::Groups { count, .. } => ("groups", Some((count, 1))),
            ReplicasKind::Backups(count) => ("backups", Some((count, 0))),
            ReplicasKind::Staleness(count) => ("staleness", Some((count, 0))),
            ReplicasKind::Params(over) => {
                self.device(over, devices);
                ("params", None)
            }
            ReplicasKind::Wire(wire) => {
                self.wire(wire);
                ("wire", None)
            }
            ReplicasKind::Restart(count) => ("restart", Some((count, 0))),
            ReplicasKind::SumAnyOrder => ("sum any order", None),
            ReplicasKind::Bad => return None,
        };
        if let Some((expr, least)) = count {
            // `16 steps` counts as 16.
            let is_quantity = matches!(expr.kind, strata_grammar::ast::ExprKind::Quantity { .. });
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
