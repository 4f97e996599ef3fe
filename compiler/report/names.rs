//! Names, lines and sizes as people read them.

use strata_grammar::{Sources, Span};

use super::Line;
use crate::model::Model;
use crate::placement::Device;

/// What an origin is called: the part of the model or the binding that it belongs to; else its text.
pub fn origin_name(model: &Model, sources: &Sources, origin: u32) -> String {
    let Some(origin) = model.origins.get(origin as usize) else { return model.name.clone() };
    let region = model.regions.get(origin.region.0 as usize).filter(|region| region.parent.is_some());
    if let Some(region) = region {
        return region.name.clone();
    }
    let section = origin.section.and_then(|section| model.sections[section.0 as usize].names.first());
    section.cloned().unwrap_or_else(|| text(sources, origin.call))
}

/// The first line of a text.
pub(super) fn text(sources: &Sources, span: Span) -> String {
    sources.text(span).lines().next().unwrap_or_default().trim().to_string()
}

/// The user's line that an origin comes from.
pub fn line(model: &Model, sources: &Sources, origin: u32) -> Line {
    line_of(sources, model.origins.get(origin as usize).map_or(Span::default(), |origin| origin.call))
}

/// Where a text begins.
pub fn line_of(sources: &Sources, span: Span) -> Line {
    let source = sources.get(span.file);
    let at = source.line_column(span.start as usize);
    Line { file: source.name.clone(), line: at.line + 1, column: at.column + 1 }
}

/// `9.2 GiB`
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut number = bytes as f64 / 1024.0;
    let mut unit = 0;
    // Above what would be rounded to four digits before the point.
    while number >= 999.95 && unit + 1 < UNITS.len() {
        (number, unit) = (number / 1024.0, unit + 1);
    }
    format!("{number:.1} {}", UNITS[unit])
}

/// By what several devices of a spec are carried out here: `4 devices (cpu[0..4]) run as workers on 2 cores`.
pub fn workers(devices: &[Device], cores: usize) -> String {
    let cores = |kind: &str| format!("{cores} {kind}core{}", if cores == 1 { "" } else { "s" });
    let mut kinds: Vec<(&str, usize)> = Vec::new();
    for device in devices {
        match kinds.iter_mut().find(|(kind, _)| *kind == device.kind) {
            Some((_, count)) => *count += 1,
            None => kinds.push((&device.kind, 1)),
        }
    }
    // What is no CPU has no other machine to run on yet.
    let foreign = kinds.iter().any(|(kind, _)| *kind != "cpu");
    if let [(kind, count)] = kinds[..] {
        let all = if devices.len() == 1 { kind.to_string() } else { format!("{kind}[0..{count}]") };
        return match foreign {
            true => format!("{count} {kind}s run as workers on {}", cores("CPU ")),
            false => format!("{count} devices ({all}) run as workers on {}", cores("")),
        };
    }
    let counted: Vec<String> = kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    let cores = if foreign { cores("CPU ") } else { cores("") };
    format!("{} devices ({}) run as workers on {cores}", devices.len(), counted.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn devices(kinds: &[&str]) -> Vec<Device> {
        let device = |kind: &&str| Device {
            name: (*kind).to_string(),
            kind: (*kind).to_string(),
            machine: 0,
            memory: None,
            rate: None,
            bandwidth: None,
            span: Span::default(),
        };
        kinds.iter().map(device).collect()
    }

    #[test]
    fn sizes_have_a_digit_behind_the_point() {
        let all = [0, 1023, 1024, 1536, 1023 * 1024, 8 << 30, 9_878_424_780, u64::MAX].map(size);
        assert_eq!(
            all,
            ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "1.0 MiB", "8.0 GiB", "9.2 GiB", "16384.0 PiB"]
        );
    }

    #[test]
    fn workers_are_said_in_words() {
        let said = |kinds: &[&str], cores| workers(&devices(kinds), cores);
        assert_eq!(said(&["cpu"; 4], 2), "4 devices (cpu[0..4]) run as workers on 2 cores");
        assert_eq!(said(&["gpu"; 8], 2), "8 gpus run as workers on 2 CPU cores");
        assert_eq!(said(&["gpu", "gpu", "cpu"], 1), "3 devices (2 gpu, 1 cpu) run as workers on 1 CPU core");
    }
}
