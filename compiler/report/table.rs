//! A report as text.

use std::fmt;

use strata_runtime::log::grouped;

use super::{DeviceReport, Line, Report, TransferReport, size};

/// The indices of a piece; none for the whole tensor.
type Ranges<'a> = Option<&'a [[u64; 2]]>;

/// Lines that a list is cut to; `--json` has all.
const SHOWN: usize = 40;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let axes: Vec<String> = self.axes.iter().map(|axis| format!("{} {}", axis.name, axis.size)).collect();
        let count = match self.devices.len() {
            1 => "1 device".to_string(),
            several => format!("{several} devices"),
        };
        let axes = if axes.is_empty() { String::new() } else { format!(", {}", axes.join(", ")) };
        writeln!(f, "{}: a training step on {count}{axes}\n", self.model)?;
        self.devices(f)?;
        if !self.links.is_empty() {
            self.links(f)?;
            self.transfers(f)?;
        }
        self.variables(f)?;
        if !self.unplaced.is_empty() {
            writeln!(f)?;
            let lines = self.unplaced.iter().map(|found| {
                let devices = found.devices.join(", ");
                let text = match (&found.with, devices.is_empty()) {
                    (_, true) => format!("`{}` is carried out wherever it is wanted", found.name),
                    (Some(part), false) if *part == found.name => format!("`{part}` is on {devices}"),
                    (Some(part), false) => format!("`{}` goes with `{part}`: {devices}", found.name),
                    (None, false) => format!("`{}` is on {devices}", found.name),
                };
                vec![text, at(&found.at)]
            });
            table(f, &["not placed", "at"], &[false, false], lines.collect())?;
        }
        Ok(())
    }
}

impl Report {
    fn devices(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limited = self.devices.iter().any(|device| device.limit.is_some());
        let mut heads = vec![
            "device",
            "peak",
            "variables",
            "scratch",
            "threads",
            "channels",
            "parameters",
            "operations",
            "share",
            "sent",
            "received",
        ];
        if limited {
            heads.insert(2, "has");
        }
        let row = |device: &DeviceReport| {
            let memory = &device.memory;
            let mut row = vec![
                device.name.clone(),
                size(memory.peak),
                size(memory.variables),
                size(memory.scratch),
                size(memory.local),
                size(memory.channels),
                grouped(device.parameters),
                grouped(device.operations),
                format!("{:.1} %", device.share * 100.0),
                size(device.sent),
                size(device.received),
            ];
            if limited {
                row.insert(2, device.limit.map_or(String::new(), size));
            }
            row
        };
        let right: Vec<bool> = (0..heads.len()).map(|at| at > 0).collect();
        table(f, &heads, &right, self.devices.iter().map(row).collect())
    }

    fn links(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f)?;
        let row = |link: &super::LinkReport| {
            vec![format!("{} → {}", link.from, link.to), grouped(link.transfers), size(link.bytes)]
        };
        let rows = self.links.iter().map(row).collect();
        table(f, &["between", "transfers", "bytes a step"], &[false, true, true], rows)
    }

    fn transfers(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f)?;
        let row = |transfer: &TransferReport| {
            vec![
                size(transfer.bytes),
                transfer.times.to_string(),
                format!("{} → {}", transfer.from, transfer.to),
                format!("`{}`: {} {}", transfer.name, transfer.operator, transfer.tensor),
                piece(transfer.piece.as_deref()),
                at(&transfer.at),
            ]
        };
        let rows = self.transfers.iter().take(SHOWN).map(row).collect();
        let heads = ["bytes", "times", "between", "what travels", "piece", "at"];
        table(f, &heads, &[true, true, false, false, false, false], rows)?;
        if let Some(rest) = self.transfers.get(SHOWN..).filter(|rest| !rest.is_empty()) {
            let bytes = rest.iter().map(|transfer| transfer.bytes).sum();
            writeln!(f, "and {} more of {} together; --json lists all", rest.len(), size(bytes))?;
        }
        writeln!(f, "{} a step in all", size(self.bytes))
    }

    fn variables(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: Vec<_> = self.variables.iter().filter(|variable| variable.parameter).collect();
        if shown.is_empty() || self.devices.len() == 1 {
            return Ok(());
        }
        writeln!(f)?;
        let row = |variable: &&super::VariableReport| {
            let mut parts: Vec<(Ranges, Vec<&str>)> = Vec::new();
            for part in &variable.parts {
                match parts.iter_mut().find(|(known, _)| *known == part.piece.as_deref()) {
                    Some((_, devices)) => devices.push(&part.device),
                    None => parts.push((part.piece.as_deref(), vec![&part.device])),
                }
            }
            let part = |(ranges, devices): (Ranges, Vec<&str>)| match ranges {
                Some(ranges) => format!("{}: {}", devices.join(", "), piece(Some(ranges))),
                None => devices.join(", "),
            };
            let parts: Vec<String> = parts.into_iter().map(part).collect();
            vec![variable.name.clone(), variable.tensor.clone(), size(variable.bytes), parts.join("; ")]
        };
        let rows = shown.iter().take(SHOWN).map(row).collect();
        table(f, &["parameter", "type", "bytes", "lives on"], &[false, false, true, false], rows)?;
        match shown.len().checked_sub(SHOWN).filter(|rest| *rest > 0) {
            Some(rest) => writeln!(f, "and {rest} more; --json lists all"),
            None => Ok(()),
        }
    }
}

/// `[0..16, 8..16]`, or `whole`.
fn piece(ranges: Option<&[[u64; 2]]>) -> String {
    let Some(ranges) = ranges else { return "whole".to_string() };
    let ranges: Vec<String> = ranges.iter().map(|[start, end]| format!("{start}..{end}")).collect();
    format!("[{}]", ranges.join(", "))
}

fn at(line: &Line) -> String {
    format!("{}:{}", line.file, line.line)
}

/// Rows under their heads. `right`: which columns are flush right.
fn table(f: &mut fmt::Formatter<'_>, heads: &[&str], right: &[bool], rows: Vec<Vec<String>>) -> fmt::Result {
    let heads: Vec<String> = heads.iter().map(|head| (*head).to_string()).collect();
    let width = |column: usize| {
        let cells = rows.iter().chain([&heads]).map(|row| row[column].chars().count());
        cells.max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    for row in std::iter::once(&heads).chain(&rows) {
        let cell = |(at, text): (usize, &String)| {
            let width = widths[at];
            if right[at] { format!("{text:>width$}") } else { format!("{text:<width$}") }
        };
        let cells: Vec<String> = row.iter().enumerate().map(cell).collect();
        writeln!(f, "{}", cells.join("  ").trim_end())?;
    }
    Ok(())
}
