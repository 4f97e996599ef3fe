//! Whether programs fit the memory that devices are said to have.

use std::collections::HashSet;

use strata_grammar::{Code, Diagnostic, Sources, Span};
use strata_runtime::plan::{Place, Plan, Step};

use super::{DeviceMemory, Made, origin_name, size};
use crate::model::Model;
use crate::placement::{Device, Placement};

/// How many tensors a message names.
const NAMED: usize = 3;

/// Programs that are in memory together.
pub struct Usage<'a> {
    /// The model.
    pub model: &'a Model,
    /// Where it runs.
    pub placement: &'a Placement,
    /// The programs, the first one's batches being those of training where there are several.
    pub programs: &'a [Made],
    /// Examples of a batch of the first program.
    pub batch: Option<u64>,
}

/// A tensor that takes much of a device's memory.
struct Large {
    name: String,
    bytes: u64,
    span: Span,
}

/// For each declaration of devices that do not have what programs need, the device that lacks most.
pub fn misfits(usage: &Usage, sources: &Sources) -> Vec<Diagnostic> {
    let needs = usage.needs();
    let lacks = |at: usize, device: &Device| -> Option<u64> {
        needs.get(at)?.peak.checked_sub(device.memory?).filter(|lack| *lack > 0)
    };
    let devices = usage.placement.devices.iter().enumerate();
    let lacking: Vec<(usize, &Device, u64)> =
        devices.filter_map(|(at, device)| Some((at, device, lacks(at, device)?))).collect();
    let mut spans: Vec<Span> = Vec::new();
    for (_, device, _) in &lacking {
        if !spans.contains(&device.span) {
            spans.push(device.span);
        }
    }
    let mut found = Vec::new();
    for span in spans {
        let own: Vec<_> = lacking.iter().filter(|(_, device, _)| device.span == span).collect();
        let worst = own.iter().max_by_key(|(at, _, lack)| (*lack, std::cmp::Reverse(*at)));
        if let Some((at, device, lack)) = worst {
            found.push(usage.misfit(sources, &needs, (*at, device, *lack), own.len() - 1));
        }
    }
    found
}

impl Usage<'_> {
    /// What each device needs.
    fn needs(&self) -> Vec<DeviceMemory> {
        let mut needs: Vec<DeviceMemory> = Vec::new();
        for made in self.programs {
            for (at, memory) in made.memory().into_iter().enumerate() {
                match needs.get_mut(at) {
                    Some(need) => *need = need.with(memory),
                    None => needs.push(memory),
                }
            }
        }
        needs
    }

    fn misfit(
        &self,
        sources: &Sources,
        needs: &[DeviceMemory],
        (at, device, lack): (usize, &Device, u64),
        others: usize,
    ) -> Diagnostic {
        let (need, has) = (needs[at], device.memory.unwrap_or(0));
        let largest = self.largest(sources, at);
        let names: Vec<String> = largest.iter().map(|large| format!("`{}`", large.name)).collect();
        let mut message = format!(
            "`{}` needs {} on `{}`, which has {}",
            self.model.name,
            size(need.peak),
            device.name,
            size(has)
        );
        if !names.is_empty() {
            message += &format!("; the largest are {}", names.join(", "));
        }
        let short = match others {
            0 => format!("{} too little", size(lack)),
            1 => format!("{} too little, and one more has too little too", size(lack)),
            _ => format!("{} too little, and {others} more have too little too", size(lack)),
        };
        let mut found = Diagnostic::error(Code::DeviceMemory, device.span, message).here(short);
        let mut known: Vec<(Span, Vec<String>)> = Vec::new();
        for large in largest {
            let text = format!("`{}`: {}", large.name, size(large.bytes));
            match known.iter_mut().find(|(span, _)| *span == large.span) {
                Some((_, texts)) => texts.push(text),
                None => known.push((large.span, vec![text])),
            }
        }
        for (span, texts) in known {
            found = found.label(span, texts.join(", "));
        }
        found.help(self.help(needs, (at, device, lack)))
    }

    /// The largest tensors on a device with the lines that they come from, each once.
    fn largest(&self, sources: &Sources, device: usize) -> Vec<Large> {
        let mut found = Vec::new();
        for made in self.programs {
            let Some(plan) = made.program.plans.get(device) else { continue };
            for slot in &plan.layout.slots {
                let variable = self.model.variables.iter().find(|variable| variable.name == slot.name);
                let span = variable.map_or(self.placement.span, |variable| variable.call);
                found.push(Large { name: slot.name.clone(), bytes: slot.bytes() as u64, span });
            }
            for (origin, bytes) in scratch(plan) {
                let span = self.model.origins.get(origin as usize);
                let span = span.map_or(self.placement.span, |origin| origin.call);
                found.push(Large { name: origin_name(self.model, sources, origin), bytes, span });
            }
        }
        found.sort_by_key(|large| std::cmp::Reverse(large.bytes));
        let mut seen: HashSet<(String, Span)> = HashSet::new();
        found.retain(|large| large.bytes > 0 && seen.insert((large.name.clone(), large.span)));
        found.truncate(NAMED);
        found
    }

    /// What would make it fit.
    fn help(&self, needs: &[DeviceMemory], (at, device, lack): (usize, &Device, u64)) -> String {
        let need = needs[at];
        let mut ways = Vec::new();
        // What a step keeps grows with its examples; variables and what threads have to themselves do not.
        let (fixed, grows) = (need.variables + need.local, need.scratch + need.channels);
        let room = device.memory.unwrap_or(0).saturating_sub(fixed);
        if let Some(batch) = self.batch.filter(|_| grows > 0) {
            let fits = (u128::from(batch) * u128::from(room) / u128::from(grows)) as u64;
            if fits > 0 && fits < batch {
                ways.push(format!("take batches of about {fits} instead of {batch}"));
            }
        }
        let spare = |other: usize| {
            let has = self.placement.devices.get(other)?.memory?;
            has.checked_sub(needs.get(other)?.peak).filter(|spare| *spare >= lack)
        };
        let others = (0..needs.len()).filter(|other| *other != at);
        if let Some((spare, other)) = others.filter_map(|other| Some((spare(other)?, other))).max() {
            let name = &self.placement.devices[other].name;
            ways.push(format!("place a part of it on `{name}`, which has {} to spare", size(spare)));
        }
        let own = |part: &&crate::placement::Part| part.devices.iter().any(|id| id.0 as usize == at);
        let part = self.placement.parts.iter().find(own).map(|part| format!("`{}`", part.name));
        let part = part.unwrap_or_else(|| "its largest part".to_string());
        let kind = &device.kind;
        ways.push(format!(
            "split {part} over more devices: `split over {kind}[..] by batch`, or by an axis of its weights"
        ));
        ways.join("; or ")
    }
}

/// The tensors that a plan keeps in scratch, with the origin of what writes each first.
fn scratch(plan: &Plan) -> Vec<(u32, u64)> {
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    for step in plan.all_steps() {
        let Step::Call(call) = step else { continue };
        for access in call.accesses.iter().filter(|access| access.write) {
            let buffer = plan.buffer(access.buffer);
            if matches!(buffer.place, Place::Scratch(_)) && seen.insert(access.buffer) {
                found.push((call.origin, buffer.bytes() as u64));
            }
        }
    }
    found
}
