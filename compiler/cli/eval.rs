//! `strata eval SPEC --params FILE`: loss and metrics of trained parameters.

use std::path::{Path, PathBuf};

use serde_json::json;
use strata::machine::Machine;
use strata::model::Model;
use strata::ops::VariableId;
use strata::run::Run;
use strata_runtime::checkpoint;
use strata_runtime::queue::{DataError, Input, Recipe};
use strata_runtime::train::{Phase, Programs, TrainError, Variables, evaluate};

use crate::front::{DataArgs, Spec, SpecArgs};
use crate::messages::{self, Failure, Format};
use crate::{plan, record, signal, train};

/// Evaluate trained parameters on data of the spec
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  strata eval specs/digits.model --params runs/digits/2026-01-31T10-20-30/final.safetensors
  strata eval specs/digits.model --params final.safetensors --on train --json")]
pub struct Args {
    #[command(flatten)]
    spec: SpecArgs,
    #[command(flatten)]
    data: DataArgs,
    /// Parameters that a run has kept.
    #[arg(long, value_name = "FILE")]
    params: PathBuf,
    /// Which `data` of the spec; what the `train` block evaluates if not given.
    #[arg(long, value_name = "DATA")]
    on: Option<String>,
    /// How many threads share a step.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// One JSON object for each set, on standard output.
    #[arg(long)]
    json: bool,
}

/// Evaluates, and prints the means.
pub fn run(args: &Args, format: Format) -> Result<(), Failure> {
    signal::catch()?;
    let spec = args.spec.read_with(&args.data.folders, &args.params, format)?;
    let run = spec.run()?;
    let sets = sets(args, &spec)?;
    let parameters = parameters(&args.params, &run.model)?;
    let open = |(name, recipe)| Ok((name, Input::open(recipe, run.seed)?));
    let inputs = sets.into_iter().map(open).collect::<Result<Vec<_>, DataError>>();
    let inputs = inputs.map_err(|error| train::wrong_data(&error, run, &spec, format))?;
    messages::left_out(&inputs.iter().map(|(_, input)| input).collect::<Vec<_>>());
    let threads = train::threads(args.threads);
    let phases: Vec<_> = inputs.iter().map(|(_, input)| (Phase::Evaluate, input)).collect();
    plan::fits(&spec, run, &phases, threads, format)?;
    let mut machine =
        Machine::placed(&run.model, run.placement.as_ref(), run.seed, threads).map_err(messages::machine)?;
    machine.set(&parameters).map_err(messages::machine)?;
    let mut programs = Programs::default();
    for (name, input) in &inputs {
        let found = evaluate(&mut machine, &mut programs, input, 0, &signal::asked);
        let found = found.map_err(|error| failed(error, run, &spec, format))?.ok_or(Failure::Interrupted)?;
        if args.json {
            let mut line = json!({ "event": "evaluate", "on": name, "examples": found.examples });
            record::merge(&mut line, &record::borrowed(&found.outputs));
            record::json_line(&line)?;
        } else {
            let examples = messages::count(found.examples, "example");
            record::line(&format!("{name}: {} ({examples})", record::in_words(&found.outputs)))?;
        }
    }
    Ok(())
}

/// What to evaluate on.
fn sets<'a>(args: &'a Args, spec: &'a Spec) -> Result<Vec<(&'a str, &'a Recipe)>, Failure> {
    if let Some(wanted) = &args.on {
        return Ok(vec![(wanted, named(wanted, spec)?)]);
    }
    let run = spec.run()?;
    let sets: Vec<_> = run.evaluate.iter().map(|e| (e.name.as_str(), &e.data)).collect();
    if sets.is_empty() {
        return Err(Failure::Usage("the `train` block evaluates nothing: say on what with --on DATA".into()));
    }
    Ok(sets)
}

/// The `data` of the spec that feed the model and are called so.
pub fn named<'a>(wanted: &str, spec: &'a Spec) -> Result<&'a Recipe, Failure> {
    let model = &spec.run()?.model.name;
    let data = || spec.analysis.checked.data.iter().filter(|data| data.model == *model);
    data().find(|data| data.name == wanted).map(|data| &data.recipe).ok_or_else(|| {
        let names: Vec<&str> = data().map(|data| data.name.as_str()).collect();
        Failure::Usage(format!("no data `{wanted}` for this model: there is {}", names.join(", ")))
    })
}

/// Loads the variables that evaluation needs, and makes sure that they are this model's.
pub fn parameters(file: &Path, model: &Model) -> Result<Variables, Failure> {
    let found = checkpoint::load_tensors(file).map_err(|error| Failure::Message(error.to_string()))?;
    let (needed, memory): (Vec<_>, Vec<_>) = model.variables.iter().partition(|v| !model.is_memory(v));
    let expected: Vec<_> = needed.iter().map(|v| (v.name.clone(), v.ty.dtype, v.ty.dims())).collect();
    let mut mismatch = checkpoint::compare(&expected, &found);
    // A whole checkpoint holds the optimizer's memory too.
    mismatch.left_over.retain(|name| !memory.iter().any(|v| v.name == *name));
    if !mismatch.is_empty() {
        let text = format!("{}: not parameters of `{}`:\n{mismatch}", file.display(), model.name);
        return Err(Failure::Message(text));
    }
    let mut wanted: Variables =
        found.iter().filter(|(name, _)| needed.iter().any(|v| v.name == *name)).cloned().collect();
    // Evaluation reads averages. A whole checkpoint has them; what a run leaves has them as its parameters.
    let name = |id: VariableId| model.variables[id.0 as usize].name.as_str();
    for (param, average) in &model.averages {
        let has = |wanted: &str| found.iter().find(|(known, _)| known == wanted).map(|(_, value)| value);
        if let Some(value) = has(name(*average)).or_else(|| has(name(*param))) {
            wanted.push((name(*average).to_string(), value.clone()));
        }
    }
    Ok(wanted)
}

fn failed(error: TrainError, run: &Run, spec: &Spec, format: Format) -> Failure {
    match error {
        TrainError::Data(error) => train::wrong_data(&error, run, spec, format),
        TrainError::Machine(error) => train::wrong_machine(error, run, spec, format),
        TrainError::Save(reason) => Failure::Message(reason),
        TrainError::Diverged(found) => Failure::Message(format!("step {} diverged", found.step)),
    }
}
