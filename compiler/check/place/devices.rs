//! `devices` and `cluster`: what there is to compute with, counted and measured.

use std::collections::HashMap;

use strata_grammar::ast::{
    DeviceKind, DeviceStatement, Devices, Expr, ExprKind, FamilyRef, IndexItem, Number,
};
use strata_grammar::{Code, Diagnostic, Span};

use crate::check::Checker;
use crate::placement::{Device, DeviceId, Link};

/// More devices than any spec of today speaks of, by feel.
const MAX_DEVICES: u64 = 1 << 16;

/// What blocks of `devices` declare, machine by machine.
#[derive(Debug, Default)]
pub(super) struct Declared {
    machines: Vec<Machine>,
    pub(super) within: Option<Link>,
    pub(super) between: Option<Link>,
    /// The first block's head.
    pub(super) span: Option<Span>,
}

/// Machines that hold the same.
#[derive(Debug)]
struct Machine {
    /// `None` for what stands outside of `machine`.
    name: Option<Name>,
    devices: Vec<(Name, Measures)>,
}

/// A declared name.
#[derive(Debug)]
struct Name {
    text: String,
    /// How many; `None` where that could not be made sense of.
    count: Option<u64>,
    /// Whether a count was written.
    indexed: bool,
    span: Span,
}

/// What is said of a device.
#[derive(Clone, Copy, Debug, Default)]
struct Measures {
    memory: Option<u64>,
    rate: Option<f64>,
    bandwidth: Option<f64>,
}

/// Devices that can be spoken of, and by which names.
#[derive(Debug, Default)]
pub(super) struct Fleet {
    pub(super) devices: Vec<Device>,
    /// Kinds of devices and of machines.
    pub(super) names: Vec<Group>,
}

/// What a name of a device or machine stands for, index by index.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) members: Vec<Vec<DeviceId>>,
    /// Whether all counts are known; else nothing can be said of indices.
    pub(super) known: bool,
    pub(super) span: Span,
}

impl Declared {
    /// All devices, or those of one machine of each name: what a copy of a model has.
    pub(super) fn fleet(&self, unit: bool) -> Fleet {
        let machines = |machine: &Machine| match &machine.name {
            Some(name) if !unit => name.count.unwrap_or(1),
            _ => 1,
        };
        let several = self.machines.iter().map(machines).sum::<u64>() > 1;
        let mut fleet = Fleet::default();
        let mut number = 0;
        for machine in &self.machines {
            for turn in 0..machines(machine) {
                let mut own = Vec::new();
                let prefix = match &machine.name {
                    Some(name) if several => format!("{}/", member(name, turn)),
                    _ => String::new(),
                };
                for (name, measures) in &machine.devices {
                    for index in 0..name.count.unwrap_or(1) {
                        let id = DeviceId(fleet.devices.len() as u32);
                        fleet.devices.push(Device {
                            name: prefix.clone() + &member(name, index),
                            kind: name.text.clone(),
                            machine: number,
                            memory: measures.memory,
                            rate: measures.rate,
                            bandwidth: measures.bandwidth,
                            span: name.span,
                        });
                        fleet.add(name, vec![id]);
                        own.push(id);
                    }
                }
                if let Some(name) = &machine.name {
                    fleet.add(name, own);
                }
                number += 1;
            }
            let known = machine.name.as_ref().is_none_or(|name| name.count.is_some());
            for (name, _) in machine.devices.iter().filter(|_| !known) {
                fleet.names.iter_mut().filter(|group| group.name == name.text).for_each(|g| g.known = false);
            }
        }
        fleet
    }
}

/// `gpu[2]`, or `gpu` where there is no count.
fn member(name: &Name, index: u64) -> String {
    if name.indexed { format!("{}[{index}]", name.text) } else { name.text.clone() }
}

impl Fleet {
    fn add(&mut self, name: &Name, member: Vec<DeviceId>) {
        let known = name.count.is_some();
        match self.names.iter_mut().find(|group| group.name == name.text) {
            Some(group) => {
                group.members.push(member);
                group.known &= known;
            }
            None => {
                let members = vec![member];
                self.names.push(Group { name: name.text.clone(), members, known, span: name.span });
            }
        }
    }

    /// What a name stands for.
    pub(super) fn group(&self, name: &str) -> Option<&Group> {
        self.names.iter().find(|group| group.name == name)
    }
}

impl<'a> Checker<'a> {
    /// What some blocks declare, together.
    pub(super) fn declared_devices(&mut self, blocks: &[&'a Devices]) -> Declared {
        let mut declared = Declared::default();
        for block in blocks {
            let word = if block.cluster.is_some() { "cluster" } else { "devices" };
            let end = (block.span.start + word.len() as u32).min(block.span.end);
            let head = Span { end, ..block.span };
            declared.span.get_or_insert(head);
            for statement in &block.body {
                self.device_statement(statement, &mut declared);
            }
            if block.body.is_empty() {
                let found =
                    Diagnostic::error(Code::MissingSetting, head, format!("`{word}` declares no device"));
                self.report(found.help(format!("write `{word} {{ gpu[2] }}`, for example")));
            }
        }
        self.check_total(&mut declared);
        declared
    }

    fn device_statement(&mut self, statement: &'a DeviceStatement, declared: &mut Declared) {
        match &statement.kind {
            DeviceKind::Machine { name, body, .. } => {
                let name = self.declared_name(name, "machines");
                let new = self.is_new(&name, declared);
                let mut machine = Machine { name: Some(name), devices: Vec::new() };
                self.machine_lines(body, &mut machine);
                declared.machines.extend(new.then_some(machine));
            }
            DeviceKind::Device { name, quantities } => {
                let name = self.declared_name(name, "devices");
                let measures = self.measures(quantities);
                if !self.is_new(&name, declared) {
                    return;
                }
                match declared.machines.iter_mut().find(|machine| machine.name.is_none()) {
                    Some(loose) => loose.devices.push((name, measures)),
                    None => declared.machines.push(Machine { name: None, devices: vec![(name, measures)] }),
                }
            }
            DeviceKind::Link { within, quantities } => {
                let link = self.link(quantities, statement.span);
                let place = if *within { &mut declared.within } else { &mut declared.between };
                match place {
                    Some(first) => {
                        let text = if *within { "within machine" } else { "between machines" };
                        let message = format!("`link {text}` is given twice");
                        let found = Diagnostic::error(Code::DuplicateSetting, statement.span, message)
                            .label(first.span, "the first")
                            .help("take one of the two out");
                        self.report(found.edit(self.whole_line(statement.span), ""));
                    }
                    None => *place = Some(link),
                }
            }
            DeviceKind::Bad => self.note_broken(statement.span),
        }
    }

    /// What a machine holds.
    fn machine_lines(&mut self, body: &'a [DeviceStatement], machine: &mut Machine) {
        for statement in body {
            match &statement.kind {
                DeviceKind::Device { name, quantities } => {
                    let name = self.declared_name(name, "devices");
                    let measures = self.measures(quantities);
                    let others = machine.devices.iter().map(|(other, _)| other).chain(&machine.name);
                    let first =
                        others.into_iter().find(|other| other.text == name.text).map(|other| other.span);
                    match first {
                        Some(first) => self.declared_twice(&name, first),
                        None => machine.devices.push((name, measures)),
                    }
                }
                DeviceKind::Machine { .. } | DeviceKind::Link { .. } => {
                    let what = match &statement.kind {
                        DeviceKind::Machine { .. } => "a machine holds devices, no other machine",
                        _ => "a link stands beside machines, not in one of them",
                    };
                    self.misplaced(statement.span, what, "move it out of the `machine`");
                }
                DeviceKind::Bad => self.note_broken(statement.span),
            }
        }
        if body.is_empty()
            && let Some(name) = &machine.name
        {
            let message = format!("`{}` holds no device", name.text);
            let found = Diagnostic::error(Code::MissingSetting, name.span, message);
            let text = self.written(name.span);
            self.report(found.help(format!("write `machine {text} {{ gpu }}`, for example")));
        }
    }

    fn declared_name(&mut self, name: &'a FamilyRef, what: &str) -> Name {
        let count = match name.indices.as_slice() {
            [] => Some(1),
            [IndexItem::Expr(count)] => self.plain_count(count, 1, &format!("the number of {what}")),
            _ => {
                let message = "a device has one number: how many there are";
                self.report(
                    Diagnostic::error(Code::WrongKind, name.span, message)
                        .help(format!("write `{}[4]`", name.name.text)),
                );
                None
            }
        };
        let indexed = !name.indices.is_empty();
        Name { text: name.name.text.clone(), count, indexed, span: name.span }
    }

    /// Whether no machine and no device outside of machines has this name already; else that is said.
    fn is_new(&mut self, name: &Name, declared: &Declared) -> bool {
        let mut known: HashMap<&str, Span> = HashMap::new();
        for machine in &declared.machines {
            match &machine.name {
                Some(own) => _ = known.entry(&own.text).or_insert(own.span),
                None => {
                    for (device, _) in &machine.devices {
                        known.entry(&device.text).or_insert(device.span);
                    }
                }
            }
        }
        let first = known.get(name.text.as_str()).copied();
        if let Some(first) = first {
            self.declared_twice(name, first);
        }
        first.is_none()
    }

    fn declared_twice(&mut self, name: &Name, first: Span) {
        let message = format!("`{}` is declared twice", name.text);
        let found = Diagnostic::error(Code::DuplicateName, name.span, message)
            .label(first, "the first")
            .help(format!("say how many there are in one line, as in `{}[4]`", name.text));
        self.report(found);
    }

    /// That there are not too many to be told apart.
    fn check_total(&mut self, declared: &mut Declared) {
        let mut total = 0_u64;
        for machine in &mut declared.machines {
            let machines = machine.name.as_ref().and_then(|name| name.count).unwrap_or(1);
            let own = machine
                .devices
                .iter()
                .fold(0_u64, |sum, (name, _)| sum.saturating_add(name.count.unwrap_or(1)));
            total = total.saturating_add(machines.saturating_mul(own));
            if total <= MAX_DEVICES {
                continue;
            }
            let span = match (&machine.name, machine.devices.last()) {
                (Some(name), _) | (None, Some((name, _))) => name.span,
                (None, None) => continue,
            };
            let message = format!("there are more than {MAX_DEVICES} devices");
            self.report(Diagnostic::error(Code::BadValue, span, message).help("declare fewer"));
            for name in machine.name.iter_mut().chain(machine.devices.iter_mut().map(|(name, _)| name)) {
                name.count = None;
            }
            total = 0;
        }
    }

    /// `80 GiB, 60 TFLOP/s, 2 TB/s`
    fn measures(&mut self, quantities: &'a [Expr]) -> Measures {
        let mut out = Measures::default();
        for expr in quantities {
            let ExprKind::Quantity { value, unit } = &expr.kind else { continue };
            let twice = match (measure(value, &unit.text), self.positive_quantity(expr, value)) {
                (_, false) => false,
                (Measure::Bytes(bytes), true) => out.memory.replace(bytes as u64).is_some(),
                (Measure::Operations(rate), true) => out.rate.replace(rate).is_some(),
                (Measure::ByteRate(rate), true) => out.bandwidth.replace(rate).is_some(),
                (Measure::Seconds(_) | Measure::Other, true) => {
                    let message = format!("`{}` is nothing that a device has", self.written(expr.span));
                    let help = "a device has memory (`80 GiB`), operations a second (`60 TFLOP/s`) and bytes a \
                                second between it and its memory (`2 TB/s`)";
                    self.report(Diagnostic::error(Code::WrongKind, expr.span, message).help(help));
                    false
                }
            };
            if twice {
                self.measured_twice(expr);
            }
        }
        out
    }

    /// `300 GB/s, 2 us`
    fn link(&mut self, quantities: &'a [Expr], span: Span) -> Link {
        let mut link = Link { bandwidth: None, latency: None, span };
        for expr in quantities {
            let ExprKind::Quantity { value, unit } = &expr.kind else { continue };
            let twice = match measure(value, &unit.text) {
                // What takes no time is no mistake; what carries nothing is.
                Measure::Seconds(seconds) => link.latency.replace(seconds).is_some(),
                Measure::ByteRate(rate) => {
                    self.positive_quantity(expr, value) && link.bandwidth.replace(rate).is_some()
                }
                Measure::Bytes(_) => {
                    let right = format!("{}/s", self.written(expr.span));
                    let message = "a link carries so much a second";
                    let found = Diagnostic::error(Code::WrongKind, expr.span, message)
                        .help(format!("write `{right}`"))
                        .edit(Self::behind(expr.span), "/s");
                    self.report(found);
                    false
                }
                Measure::Operations(_) | Measure::Other => {
                    let message = format!("`{}` is nothing that a link has", self.written(expr.span));
                    let help = "a link has bytes or bits a second (`25 Gbit/s`) and a time until the first \
                                arrives (`20 us`)";
                    self.report(Diagnostic::error(Code::WrongKind, expr.span, message).help(help));
                    false
                }
            };
            if twice {
                self.measured_twice(expr);
            }
        }
        link
    }

    fn positive_quantity(&mut self, expr: &'a Expr, value: &Number) -> bool {
        if value.value > 0.0 && value.value < 1e30 {
            return true;
        }
        let message = format!("this is a number above 0, not {}", value.text);
        self.report(Diagnostic::error(Code::BadValue, expr.span, message).help("say how much it is"));
        false
    }

    fn measured_twice(&mut self, expr: &'a Expr) {
        let message = format!("`{}` says anew what was said", self.written(expr.span));
        let found = Diagnostic::error(Code::DuplicateSetting, expr.span, message);
        self.report(found.help("take one of the two out"));
    }
}

/// What a quantity measures, in units without a prefix.
#[derive(Clone, Copy, Debug)]
enum Measure {
    Bytes(f64),
    ByteRate(f64),
    Operations(f64),
    Seconds(f64),
    Other,
}

/// `80 GiB` as 80 · 2³⁰ bytes, `25 Gbit/s` as 25 · 10⁹ / 8 bytes a second.
fn measure(value: &Number, unit: &str) -> Measure {
    let parts = match unit {
        "ns" => Some(1e9),
        "us" => Some(1e6),
        "ms" => Some(1e3),
        "s" | "second" | "seconds" => Some(1.0),
        _ => None,
    };
    if let Some(parts) = parts {
        return Measure::Seconds(value.value / parts);
    }
    let power = match unit.chars().next() {
        Some('K') => 1,
        Some('M') => 2,
        Some('G') => 3,
        Some('T') => 4,
        _ => 0,
    };
    let rest = if power > 0 { &unit[1..] } else { unit };
    let (step, rest) = match rest.strip_prefix('i') {
        Some(rest) => (1024_f64, rest),
        None => (1000_f64, rest),
    };
    let scaled = value.value * step.powi(power);
    match rest {
        "B" => Measure::Bytes(scaled),
        "B/s" => Measure::ByteRate(scaled),
        "bit/s" => Measure::ByteRate(scaled / 8.0),
        "FLOP/s" => Measure::Operations(scaled),
        _ => Measure::Other,
    }
}
