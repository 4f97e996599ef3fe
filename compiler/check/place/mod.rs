//! `devices`, `cluster`, `place` and `replicas`, resolved: which devices there are, and what of a model's text runs on
//! which. What is right but more than this version can do is answered with "not yet".

mod axes;
mod devices;
mod index;
mod lines;
mod parts;
mod replicas;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use strata_grammar::ast::{DeviceKind, Devices, Ident, Item, Place, Replicas};
use strata_grammar::{Code, Diagnostic, Span};

use self::devices::{Declared, Fleet};
use self::lines::Layout;
use self::parts::Families;
use super::layer::Elaborated;
use super::{Checked, Checker, items};
use crate::model::Model;
use crate::placement::{Cluster, Placement};
use crate::types::DType;

/// What is to be known of a model beside itself to speak of its parts.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pub(super) model: String,
    /// What was named in it, whether or not it could be made sense of.
    named: Vec<String>,
    /// Whether all of the model could be made sense of; else it may have more parts.
    sound: bool,
}

impl Parts {
    pub(super) fn of(elaborated: &Elaborated) -> Parts {
        let (model, named) = (elaborated.model.name.clone(), elaborated.named.clone());
        Parts { model, named, sound: elaborated.sound }
    }
}

/// What was found right that cannot be run yet.
type Later = Vec<(Span, String)>;

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

    pub(super) fn check_devices(&mut self, checked: &mut Checked, parts: &[Arc<Parts>]) {
        let before = self.errors();
        let declared = self.counting(|item| match item {
            Item::Devices(devices) if devices.cluster.is_none() => Some(devices),
            _ => None,
        });
        let declared = self.declared_devices(&declared);
        let clusters = self.clusters();
        let mut later = Later::new();
        let replicas = self.check_replicas(parts, &declared, &mut later);
        let placed = self.place_models(checked, parts, (&declared, &replicas), &mut later);
        // What is wrong comes first; what is merely early would drown it.
        let is_text = |found: &Diagnostic| matches!(found.code, Code::SyntaxError | Code::UnmatchedBracket);
        let broken = self.loaded.diagnostics.iter().any(is_text);
        if self.errors() > before || broken {
            return;
        }
        for (span, what) in &later {
            self.not_yet(*span, what);
        }
        if later.is_empty() {
            self.unused_devices(&placed);
            for wire in placed.models.iter().filter_map(|placement| placement.wire) {
                if wire.dtype != DType::F32 {
                    let message = "this shortens nothing yet: what is computed travels as it is";
                    self.report(Diagnostic::note(Code::NotYet, wire.span, message));
                }
            }
            checked.clusters = clusters;
            for (run, placement) in checked.runs.iter_mut().zip(placed.runs) {
                run.placement = placement;
            }
            checked.placements = placed.models;
        }
    }

    fn clusters(&mut self) -> Vec<Cluster> {
        let items: Vec<(&'a Devices, &'a Ident)> = self.counting(|item| match item {
            Item::Devices(devices) => devices.cluster.as_ref().map(|name| (devices, name)),
            _ => None,
        });
        let mut clusters: Vec<Cluster> = Vec::new();
        let mut names: HashMap<&str, Span> = HashMap::new();
        for (block, name) in items {
            if let Some(first) = names.insert(&name.text, name.span) {
                let message = format!("there already is a cluster called `{}`", name.text);
                let found = Diagnostic::error(Code::DuplicateName, name.span, message)
                    .label(first, "the first")
                    .help(format!("give one of the two another name, as in `{}2`", name.text))
                    .edit(name.span, format!("{}2", name.text));
                self.report(found);
            }
            let declared = self.declared_devices(&[block]);
            let Fleet { devices, .. } = declared.fleet(false);
            let (within, between) = (declared.within, declared.between);
            clusters.push(Cluster { name: name.text.clone(), devices, within, between, span: block.span });
        }
        clusters
    }

    /// Where a cluster declares a device of this name.
    fn cluster_of(&self, device: &str) -> Option<Span> {
        let clusters = self.counting(|item| match item {
            Item::Devices(devices) if devices.cluster.is_some() => Some(devices),
            _ => None,
        });
        let mut lines = clusters.iter().flat_map(|cluster| &cluster.body).flat_map(|line| match &line.kind {
            DeviceKind::Machine { name, body, .. } => {
                let inner = body.iter().filter_map(|line| match &line.kind {
                    DeviceKind::Device { name, .. } => Some(name),
                    _ => None,
                });
                inner.chain([name]).collect()
            }
            DeviceKind::Device { name, .. } => vec![name],
            DeviceKind::Link { .. } | DeviceKind::Bad => Vec::new(),
        });
        lines.find(|name| name.name.text == device).map(|name| name.span)
    }

    /// The models of which there are copies.
    fn check_replicas(
        &mut self,
        parts: &[Arc<Parts>],
        declared: &Declared,
        later: &mut Later,
    ) -> HashSet<&'a str> {
        let items: Vec<&'a Replicas> = self.counting(|item| match item {
            Item::Replicas(replicas) => Some(replicas),
            _ => None,
        });
        let fleet = declared.fleet(false);
        let mut copied = HashSet::new();
        for item in items {
            if let Some(name) = &item.model {
                copied.insert(name.text.as_str());
                self.is_model(name, parts);
            }
            let mut first: HashMap<&'static str, Span> = HashMap::new();
            for statement in &item.body {
                let word = self.replicas_line(&statement.kind, statement.span, &fleet, &mut first);
                later.extend(word.map(|word| (statement.span, format!("`{word}`"))));
            }
        }
        copied
    }

    /// Whether a model is called so; else that is said.
    fn is_model(&mut self, name: &'a Ident, parts: &[Arc<Parts>]) -> bool {
        let known = parts.iter().any(|own| own.model == name.text);
        if !known {
            self.unknown_model(name);
        }
        known
    }

    /// The placements of all models that have one.
    fn place_models(
        &mut self,
        checked: &Checked,
        parts: &[Arc<Parts>],
        (declared, copied): (&Declared, &HashSet<&'a str>),
        later: &mut Later,
    ) -> Placed {
        let mut placed = Placed { runs: vec![None; checked.runs.len()], models: Vec::new() };
        let whole = declared.fleet(false);
        let unit = declared.fleet(true);
        let fleet = |model: &str| if copied.contains(model) { &unit } else { &whole };
        let items: Vec<&'a Place> = self.counting(|item| match item {
            Item::Place(place) => Some(place),
            _ => None,
        });
        // Several blocks of one model are read as one.
        let mut blocks: BTreeMap<&'a str, Vec<&'a Place>> = BTreeMap::new();
        for item in items {
            let Some(name) = &item.model else { continue };
            if self.is_model(name, parts) {
                blocks.entry(&name.text).or_default().push(item);
            } else {
                self.place(None, &[item], (declared, fleet(&name.text)), later);
            }
        }
        let part_of = |model: &Model| parts.iter().find(|own| own.model == model.name).map(Arc::as_ref);
        for model in &checked.unfinished {
            if let (Some(items), Some(own)) = (blocks.get(model.name.as_str()), part_of(model)) {
                self.place(Some((model, own)), items, (declared, fleet(&model.name)), later);
            }
        }
        let trained = |model: &Model| checked.runs.iter().any(|run| run.model.name == model.name);
        let runs = checked.runs.iter().enumerate().map(|(at, run)| (Some(at), &run.model));
        for (run, model) in checked.models.iter().map(|model| (None, model)).chain(runs) {
            let Some(own) = part_of(model) else { continue };
            let items = blocks.get(model.name.as_str()).map_or(&[][..], Vec::as_slice);
            if items.is_empty() && !trained(model) {
                continue;
            }
            let placement = self.place(Some((model, own)), items, (declared, fleet(&model.name)), later);
            match run {
                Some(run) => placed.runs[run] = placement,
                None => placed.models.extend(placement),
            }
        }
        later.sort_by_key(|(span, _)| (span.file, span.start));
        later.dedup();
        placed
    }

    /// Resolves the lines about a model; `None` where there are no devices or it is not known.
    fn place(
        &mut self,
        model: Option<(&Model, &Parts)>,
        items: &[&'a Place],
        (declared, fleet): (&Declared, &Fleet),
        later: &mut Later,
    ) -> Option<Placement> {
        let families = model.map(|(model, parts)| Families::of(model, parts));
        let mut layout = Layout::new(families, fleet);
        for statement in items.iter().flat_map(|item| &item.body) {
            let word = self.place_line(statement, &mut layout);
            later.extend(word.map(|word| (statement.span, word.to_string())));
        }
        let (model, parts) = model?;
        let of = layout.of(model);
        self.check_parts(model, &of, parts.sound, &layout);
        let span = items.first().map(|item| item.span).or(declared.span)?;
        if fleet.devices.is_empty() {
            return None;
        }
        let any_order = layout.any_order();
        Some(Placement {
            model: model.name.clone(),
            devices: fleet.devices.clone(),
            within: declared.within,
            between: declared.between,
            parts: layout.parts,
            of,
            wire: layout.wire,
            any_order,
            span,
        })
    }

    /// Says which devices nothing runs on. What is not placed may be on the first.
    fn unused_devices(&mut self, placed: &Placed) {
        let all = || placed.models.iter().chain(placed.runs.iter().flatten());
        let Some(first) = all().next() else { return };
        if self.errors() > 0 || !self.loaded.diagnostics.is_empty() {
            return;
        }
        let used: HashSet<u32> = all()
            .flat_map(|placement| placement.parts.iter().flat_map(|part| &part.devices))
            .map(|device| device.0)
            .collect();
        let mut idle: Vec<(Span, Vec<&str>)> = Vec::new();
        for (at, device) in first.devices.iter().enumerate().skip(1) {
            if used.contains(&(at as u32)) {
                continue;
            }
            match idle.iter_mut().find(|(span, _)| *span == device.span) {
                Some((_, names)) => names.push(&device.name),
                None => idle.push((device.span, vec![&device.name])),
            }
        }
        for (span, names) in idle {
            let shown: Vec<String> = names.iter().take(3).map(|name| format!("`{name}`")).collect();
            let more = match names.len().saturating_sub(shown.len()) {
                0 => String::new(),
                n => format!(" and {n} more"),
            };
            let message = format!("nothing is placed on {}{more}", shown.join(", "));
            let help = match all().any(|placement| !placement.parts.is_empty()) {
                true => "place a part there, or declare fewer devices".to_string(),
                false => format!(
                    "all of `{}` runs on `{}`: `place {0} {{ PART on {} }}` places a part",
                    first.model, first.devices[0].name, names[0]
                ),
            };
            self.report(Diagnostic::note(Code::UnusedDevice, span, message).help(help));
        }
    }
}

/// Placements as they are found.
struct Placed {
    /// One for each run.
    runs: Vec<Option<Placement>>,
    models: Vec<Placement>,
}
