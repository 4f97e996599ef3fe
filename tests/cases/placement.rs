//! `// placement`: what `place` makes of a spec, in comments at its end: devices and parts, then which of the model's
//! text is whose, with how many operators. Nothing may be wrong with the spec but that data files are missing; notes
//! are left out.

use std::collections::BTreeMap;

use strata::check::check;
use strata::model::Model;
use strata::placement::{PartId, Placement};
use strata_grammar::{Report, Severity, Sources};
use strata_tests::Case;
use strata_tests::spec::{facts_of, load_case, settings};

pub fn run(case: &Case) -> Result<String, String> {
    let spec: String = case.text.split_inclusive('\n').filter(|line| !line.starts_with("//= ")).collect();
    let loaded = load_case(&case.path, &spec);
    let settings = settings(&case.arguments);
    let mut facts = facts_of(&case.path, &loaded, &settings);
    facts.sources.retain(|_, found| found.is_ok());
    let (checked, diagnostics) = check(&loaded, &facts, &settings);
    let mut said = loaded.diagnostics.iter().chain(&diagnostics);
    if let Some(found) = said.find(|found| found.severity != Severity::Note) {
        return Err(Report::new(found, &loaded.sources).short());
    }
    let mut out = spec;
    let model = |name: &str| checked.models.iter().find(|model| model.name == name);
    for placement in &checked.placements {
        let Some(model) = model(&placement.model) else { return Err("a placement of no model".to_string()) };
        // What a run makes of the same model must fit it too.
        for run in checked.runs.iter().filter(|run| run.model.name == model.name) {
            if !run.model.origins.starts_with(&model.origins) {
                return Err("a run's origins do not begin with those of its model".to_string());
            }
            let own = run.placement.as_ref().ok_or("a run without its model's placement")?;
            let same = own.parts == placement.parts && own.of.starts_with(&placement.of);
            if !same || own.of[placement.of.len()..].iter().any(Option::is_some) {
                return Err("a run is placed in another way than its model".to_string());
            }
        }
        let text = placement.to_text() + &whose(model, placement, &loaded.sources);
        text.lines().for_each(|line| out += &format!("//= {line}\n"));
    }
    for cluster in &checked.clusters {
        out += &format!("//= cluster {}\n", cluster.name);
        cluster.devices.iter().for_each(|device| out += &format!("//=   {device}\n"));
    }
    Ok(out)
}

/// For each part, the texts that bring about its operators; last what belongs to none.
fn whose(model: &Model, placement: &Placement, sources: &Sources) -> String {
    let mut texts: BTreeMap<Option<PartId>, Vec<(String, usize)>> = BTreeMap::new();
    for value in model.values.iter() {
        let call = model.origins[value.origin.0 as usize].call;
        let text = sources.text(call).lines().next().unwrap_or_default().trim().to_string();
        let own = texts.entry(placement.of[value.origin.0 as usize]).or_default();
        match own.iter_mut().find(|(known, _)| *known == text) {
            Some((_, count)) => *count += 1,
            None => own.push((text, 1)),
        }
    }
    let mut out = String::new();
    for (part, texts) in texts {
        let name = part.map_or("no part", |part| &placement.parts[part.0 as usize].name);
        let texts: Vec<String> = texts.iter().map(|(text, count)| format!("{count} `{text}`")).collect();
        out += &format!("  of {name}: {}\n", texts.join(", "));
    }
    out
}
