//! What a spec's devices do in a step, before anything runs: memory, work, and every tensor that travels.
//!
//! ```text
//! Model + Placement + shapes ──Made::new──▶ graph, cut, plans ──Report::of──▶ facts (`Display`: tables; serde: JSON)
//! ```
//! Memory and bytes are counted from the plans, so they are what is allocated and sent. `fit` says what exceeds a device's
//! memory, `ended` what went wrong between devices, each at its line.

mod ended;
mod fit;
mod made;
mod names;
mod table;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use strata_grammar::Sources;

use crate::cost;
use crate::graph::OriginId;
use crate::model::{Model, VariableKind};
use crate::partition::{Homes, Piece, Places, Reason, as_cut};
use crate::placement::{DeviceId, Placement, several};
use crate::types::Type;

pub use ended::ended;
pub use fit::{Usage, misfits};
pub use made::Made;
pub use names::{line, line_of, origin_name, size, workers};

/// What the devices of a model do in one step of a program.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The model's name.
    pub model: String,
    /// The axes that the data bind, and their sizes.
    pub axes: Vec<Bound>,
    /// In the order of their declaration.
    pub devices: Vec<DeviceReport>,
    /// Pairs of devices between which something travels, by their order.
    pub links: Vec<LinkReport>,
    /// What travels, most bytes first.
    pub transfers: Vec<TransferReport>,
    /// Bytes of all transfers of a step.
    pub bytes: u64,
    /// Where variables live, in the model's order.
    pub variables: Vec<VariableReport>,
    /// What `place` does not speak of, and where it went.
    pub unplaced: Vec<Unplaced>,
}

/// A free axis, bound.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bound {
    /// `batch`
    pub name: String,
    /// How long it is.
    pub size: u64,
}

/// Bytes of one device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DeviceMemory {
    /// Its variables, or its parts of them.
    pub variables: u64,
    /// What a step keeps until something reads it.
    pub scratch: u64,
    /// What its threads have to themselves.
    pub local: u64,
    /// What waits in the channels by which it sends.
    pub channels: u64,
    /// All of it.
    pub peak: u64,
}

/// What one device does.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DeviceReport {
    /// `gpu[1]`
    pub name: String,
    /// Threads that carry it out on this machine.
    pub threads: usize,
    /// What is allocated for it.
    pub memory: DeviceMemory,
    /// Bytes that it has, where the spec says so.
    pub limit: Option<u64>,
    /// Numbers of parameters that it holds.
    pub parameters: u64,
    /// Arithmetic operations of a step.
    pub operations: u64,
    /// Its part of all devices' operations.
    pub share: f64,
    /// Bytes that it sends in a step.
    pub sent: u64,
    /// Bytes that it receives in a step.
    pub received: u64,
}

/// What goes from one device to another in a step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LinkReport {
    /// Who sends.
    pub from: String,
    /// Who receives.
    pub to: String,
    /// How many transfers.
    pub transfers: u64,
    /// How many bytes.
    pub bytes: u64,
}

/// A line of a spec.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Line {
    /// The file as it was named.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// In bytes, from 1; 0 where all of the line is meant.
    pub column: usize,
}

/// Tensors that one text brings about and that travel between the same devices.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TransferReport {
    /// The part of the model or the binding that they are computed in; else the text.
    pub name: String,
    /// The operator that computes them.
    pub operator: String,
    /// The type of the whole tensor.
    pub tensor: String,
    /// The text.
    pub at: Line,
    /// Who sends.
    pub from: String,
    /// Who receives.
    pub to: String,
    /// The piece that travels, as ranges of indices; none for the whole tensor.
    pub piece: Option<Vec<[u64; 2]>>,
    /// How many such tensors in a step.
    pub times: u64,
    /// Bytes of all of them.
    pub bytes: u64,
}

/// Where a variable lives.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VariableReport {
    /// Its full name.
    pub name: String,
    /// Its type.
    pub tensor: String,
    /// Whether it is a parameter, and not a state or an optimizer's memory.
    pub parameter: bool,
    /// Bytes of the whole.
    pub bytes: u64,
    /// Who has which part of it.
    pub parts: Vec<PartReport>,
}

/// A part of a variable.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PartReport {
    /// Who has it.
    pub device: String,
    /// Ranges of indices; none for all of the variable.
    pub piece: Option<Vec<[u64; 2]>>,
}

/// A text that no line of `place` speaks of.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Unplaced {
    /// The binding, or the text.
    pub name: String,
    /// Where it stands.
    pub at: Line,
    /// The part that it goes with, if there is one.
    pub with: Option<String>,
    /// Where it is carried out; none for what is carried out wherever it is wanted.
    pub devices: Vec<String>,
}

impl Report {
    /// What a program's devices do. `placement`: that of the program's spec, if it has one; `binding`: the sizes of the
    /// model's free axes.
    pub fn of(
        model: &Model,
        placement: Option<&Placement>,
        binding: &[u64],
        made: &Made,
        sources: &Sources,
    ) -> Report {
        let facts = Facts { model, sources, names: made.names(placement) };
        let memory = made.memory();
        let devices = devices(&facts, placement, made, &memory);
        let places = several(placement).map(|placement| Places::of(model, placement));
        let transfers = places.as_ref().map_or(Vec::new(), |places| transfers(&facts, made, places));
        let unplaced = match (several(placement), &places) {
            (Some(placement), Some(places)) => unplaced(&facts, placement, places, made),
            _ => Vec::new(),
        };
        let axes = model.free.iter().zip(binding);
        let axes = axes.map(|(free, size)| Bound { name: free.name.clone(), size: *size });
        Report {
            model: model.name.clone(),
            axes: axes.collect(),
            devices,
            links: links(&facts, made),
            bytes: made.program.channels.iter().map(|channel| channel.bytes as u64).sum(),
            transfers,
            variables: variables(&facts, made),
            unplaced,
        }
    }
}

/// What words are made of.
struct Facts<'a> {
    model: &'a Model,
    sources: &'a Sources,
    /// Of the devices.
    names: Vec<String>,
}

impl Facts<'_> {
    fn device(&self, device: usize) -> String {
        self.names[device].clone()
    }

    fn line(&self, origin: u32) -> Line {
        names::line(self.model, self.sources, origin)
    }
}

fn devices(
    facts: &Facts,
    placement: Option<&Placement>,
    made: &Made,
    memory: &[DeviceMemory],
) -> Vec<DeviceReport> {
    let operations: Vec<u64> = made.graphs().map(|graph| cost::of_graph(graph).operations).collect();
    let all = operations.iter().sum::<u64>().max(1);
    let channels = &made.program.channels;
    let device = |(at, memory): (usize, &DeviceMemory)| {
        let bytes = |end: fn(&strata_runtime::program::Channel) -> usize| -> u64 {
            channels.iter().filter(|c| end(c) == at).map(|c| c.bytes as u64).sum()
        };
        DeviceReport {
            name: facts.device(at),
            threads: made.threads[at],
            memory: *memory,
            limit: placement.and_then(|placement| placement.devices.get(at)?.memory),
            parameters: parameters(facts.model, made, at),
            operations: operations[at],
            share: operations[at] as f64 / all as f64,
            sent: bytes(|channel| channel.from),
            received: bytes(|channel| channel.to),
        }
    };
    memory.iter().enumerate().map(device).collect()
}

/// Numbers of parameters that a device holds.
fn parameters(model: &Model, made: &Made, device: usize) -> u64 {
    let of = |(variable, whole): (&crate::model::Variable, &strata_runtime::program::Whole)| {
        let own = whole.pieces.iter().filter(|piece| piece.device == device);
        let held: usize =
            own.map(|piece| piece.part.iter().map(std::ops::Range::len).product::<usize>()).sum();
        if variable.kind == VariableKind::Param { held as u64 } else { 0 }
    };
    model.variables.iter().zip(&made.program.variables).map(of).sum()
}

fn links(facts: &Facts, made: &Made) -> Vec<LinkReport> {
    let mut links: BTreeMap<(usize, usize), (u64, u64)> = BTreeMap::new();
    for channel in &made.program.channels {
        let (transfers, bytes) = links.entry((channel.from, channel.to)).or_default();
        *transfers += 1;
        *bytes += channel.bytes as u64;
    }
    let link = |((from, to), (transfers, bytes))| LinkReport {
        from: facts.device(from),
        to: facts.device(to),
        transfers,
        bytes,
    };
    links.into_iter().map(link).collect()
}

fn transfers(facts: &Facts, made: &Made, places: &Places) -> Vec<TransferReport> {
    let Some(cut) = &made.cut else { return Vec::new() };
    let (graph, _) = as_cut(&made.graph, &Homes::of(&made.graph, places));
    let mut found: Vec<TransferReport> = Vec::new();
    let mut known: BTreeMap<_, usize> = BTreeMap::new();
    for transfer in &cut.transfers {
        let (ty, operator) = (graph.ty(transfer.value), graph.op(transfer.value).name());
        let piece = ranges(&transfer.piece, ty);
        let key = (transfer.origin, operator, ty.to_string(), transfer.from, transfer.to, piece.clone());
        let at = *known.entry(key).or_insert_with(|| {
            found.push(TransferReport {
                name: origin_name(facts.model, facts.sources, transfer.origin.0),
                operator: operator.to_string(),
                tensor: ty.to_string(),
                at: facts.line(transfer.origin.0),
                from: facts.device(transfer.from.0 as usize),
                to: facts.device(transfer.to.0 as usize),
                piece,
                times: 0,
                bytes: 0,
            });
            found.len() - 1
        });
        found[at].times += 1;
        found[at].bytes += transfer.bytes;
    }
    found.sort_by_key(|transfer| std::cmp::Reverse(transfer.bytes));
    found
}

/// The indices of a piece; none for all of a tensor.
fn ranges(piece: &Piece, ty: &Type) -> Option<Vec<[u64; 2]>> {
    let ranges = || piece.0.iter().map(|range| [range.start, range.end]).collect();
    (!piece.is_whole(ty)).then(ranges)
}

fn variables(facts: &Facts, made: &Made) -> Vec<VariableReport> {
    let wholes = facts.model.variables.iter().zip(&made.program.variables);
    let report = |(variable, whole): (&crate::model::Variable, &strata_runtime::program::Whole)| {
        let part = |piece: &strata_runtime::program::Piece| {
            let ranges = || piece.part.iter().map(|range| [range.start as u64, range.end as u64]).collect();
            PartReport { device: facts.device(piece.device), piece: (!whole.is_all(piece)).then(ranges) }
        };
        VariableReport {
            name: variable.name.clone(),
            tensor: variable.ty.to_string(),
            parameter: variable.kind == VariableKind::Param,
            bytes: whole.bytes() as u64,
            parts: whole.pieces.iter().map(part).collect(),
        }
    };
    wholes.map(report).collect()
}

/// Texts that are of no part, by where they stand; an optimizer's are left out, as they go with its variables.
fn unplaced(facts: &Facts, placement: &Placement, places: &Places, made: &Made) -> Vec<Unplaced> {
    let model = facts.model;
    let homes = Homes::of(&made.graph, places);
    let mut at_home: BTreeMap<OriginId, BTreeSet<DeviceId>> = BTreeMap::new();
    for value in made.graph.values() {
        let devices = homes.value(value).map(|home| home.devices.clone()).unwrap_or_default();
        at_home.entry(made.graph.node(value).origin).or_default().extend(devices);
    }
    let mut found: BTreeMap<(Line, String), BTreeMap<Option<String>, BTreeSet<DeviceId>>> = BTreeMap::new();
    for (origin, devices) in at_home {
        let placed = placement.of.get(origin.0 as usize).copied().flatten().is_some();
        let Some(text) = model.origins.get(origin.0 as usize) else { continue };
        if placed || model.in_optimizer(text.region) {
            continue;
        }
        let with = match places.reason(origin) {
            Reason::Part(part) => Some(placement.parts[part.0 as usize].name.clone()),
            Reason::First | Reason::Users | Reason::Operands => None,
        };
        let section = text.section.and_then(|section| model.sections[section.0 as usize].names.first());
        let name = section.cloned().unwrap_or_else(|| names::text(facts.sources, text.call));
        let line = Line { column: 0, ..facts.line(origin.0) };
        found.entry((line, name)).or_default().entry(with).or_default().extend(devices);
    }
    let mut all: Vec<Unplaced> = Vec::new();
    for ((at, name), ways) in found {
        let several = ways.len() > 1;
        for (with, devices) in ways {
            // Between what goes with parts, what goes with none is not worth a line.
            if several && with.is_none() {
                continue;
            }
            let devices = devices.into_iter().map(|device| facts.device(device.0 as usize)).collect();
            all.push(Unplaced { name: name.clone(), at: at.clone(), with, devices });
        }
    }
    all
}
