//! `strata verify SPEC`: whether a placed model computes what it computes on one device.

use strata::compare::{Comparison, Difference, Verdict};
use strata::machine::Machine;
use strata::placement::several;
use strata_runtime::queue::Input;

use crate::front::{DataArgs, SpecArgs};
use crate::messages::{self, Failure, Format};
use crate::{record, signal, train};

/// Compare a placed model with the same model on one device: every value of some training steps, bit by bit
#[derive(clap::Args)]
#[command(after_help = "\
Both take the same batches from the same variables. The first value that differs is named, with its line; then the exit code is 1.

Examples:
  strata verify my.model
  strata verify my.model --steps 20 --json")]
pub struct Args {
    #[command(flatten)]
    spec: SpecArgs,
    #[command(flatten)]
    data: DataArgs,
    /// How many training steps.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    steps: u32,
    /// Decides initial values, shuffles and dropout.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// How many threads share a step; as many as there are cores if not given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// One JSON object, on standard output.
    #[arg(long)]
    json: bool,
}

/// Compares.
pub fn run(args: &Args, format: Format) -> Result<(), Failure> {
    signal::catch()?;
    let spec = args.spec.read(&args.data, format)?;
    let run = spec.run()?;
    let seed = args.seed.unwrap_or(run.seed);
    let data = |error| train::wrong_data(&error, run, &spec, format);
    let input = Input::open(&run.feed, seed).map_err(data)?;
    messages::left_out(&[&input]);
    let Some(placement) = several(run.placement.as_ref()) else {
        let text = format!("all of `{}` runs on one device: there is nothing to compare", run.model.name);
        return Err(Failure::Usage(text));
    };
    let threads = train::threads(args.threads);
    let failed = |error| train::wrong_machine(error, run, &spec, format);
    let mut one = Machine::new(&run.model, seed, threads).map_err(failed)?;
    let mut placed = Machine::placed(&run.model, Some(placement), seed, threads).map_err(failed)?;
    one.begin().map_err(failed)?;
    placed.begin().map_err(failed)?;
    let mut comparison = Comparison::new(&run.model, &spec.analysis.loaded.sources, one, placed);
    let mut feed = input.feed(Default::default()).map_err(data)?;
    let mut found = comparison.variable();
    for _ in 0..args.steps {
        if found.is_some() {
            break;
        }
        let batch = feed.next().map_err(data)?;
        found = comparison.step(&batch).map_err(failed)?;
        if signal::asked() {
            return Err(Failure::Interrupted);
        }
    }
    let found = found.or_else(|| comparison.variable());
    report(args, &comparison.verdict(found))
}

fn report(args: &Args, verdict: &Verdict) -> Result<(), Failure> {
    if args.json {
        let object = serde_json::to_value(verdict).map_err(|error| Failure::Message(error.to_string()))?;
        record::json_line(&object)?;
    } else {
        match &verdict.difference {
            None => record::line(&format!(
                "{} in {} are the same, bit for bit, and so are {} behind them",
                messages::count(verdict.values, "value"),
                messages::count(verdict.steps as usize, "step"),
                messages::count(verdict.variables, "variable")
            ))?,
            Some(found) => record::line(&different(found))?,
        }
    }
    if verdict.same { Ok(()) } else { Err(Failure::Shown) }
}

/// The first difference in words.
fn different(found: &Difference) -> String {
    let place =
        found.at.as_ref().map_or(String::new(), |at| format!("{}:{}:{}: ", at.file, at.line, at.column));
    let when = match (found.value, found.step) {
        (None, 0) => "before the first step".to_string(),
        (None, step) => format!("after {}", messages::count(step as usize, "step")),
        (Some(_), step) => format!("in step {}", step + 1),
    };
    let number = found.value.map_or(String::new(), |value| format!("%{value}, "));
    let what = match found.value {
        Some(_) => format!("{number}the {} of `{}`", found.operator, found.name),
        None => format!("the variable `{}`", found.name),
    };
    let (one, several) = if found.one == found.several {
        (
            format!("{} (0x{})", found.one, found.one_bytes),
            format!("{} (0x{})", found.several, found.several_bytes),
        )
    } else {
        (found.one.clone(), found.several.clone())
    };
    format!(
        "{place}{when} {what}, {}, differs first: at {:?} it is {one} on one device, and {several} on {}",
        found.tensor, found.index, found.device
    )
}
