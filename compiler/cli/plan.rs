//! `strata plan SPEC`: what each device holds and does in a training step, and what travels; nothing runs.

use std::path::PathBuf;

use strata::graph::ValueId;
use strata::machine::binding;
use strata::partition::{Homes, Places};
use strata::placement::several;
use strata::report::{Made, Report, Usage, misfits};
use strata::run::Run;
use strata_runtime::queue::{Input, Shapes};
use strata_runtime::train::Phase;

use crate::front::{DataArgs, Spec, SpecArgs};
use crate::messages::{self, Failure, Format};
use crate::{record, train};

/// Show what each device holds and does in a training step, and every tensor that travels
#[derive(clap::Args)]
#[command(after_help = "\
Memory is counted from the compiled step: it is what is allocated. Batches are the largest that the data give. Nothing runs.

Examples:
  strata plan specs/digits.model
  strata plan specs/digits.model --json
  strata plan specs/digits.model --svg digits.svg     the graph, coloured by device")]
pub struct Args {
    #[command(flatten)]
    spec: SpecArgs,
    #[command(flatten)]
    data: DataArgs,
    /// How many threads share a step; as many as there are cores if not given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Also draw the graph, coloured by device.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// One JSON object with all of it, on standard output.
    #[arg(long)]
    json: bool,
}

/// Prints the plan, and says what does not fit.
pub fn run(args: &Args, format: Format) -> Result<(), Failure> {
    let spec = args.spec.read(&args.data, format)?;
    let run = spec.run()?;
    let open =
        |recipe| Input::open(recipe, run.seed).map_err(|error| train::wrong_data(&error, run, &spec, format));
    let (input, threads) = (open(&run.feed)?, train::threads(args.threads));
    let evaluated =
        run.evaluate.iter().map(|evaluate| open(&evaluate.data)).collect::<Result<Vec<_>, _>>()?;
    let (model, placement, shapes) = (&run.model, run.placement.as_ref(), largest(&input));
    let made = Made::new(model, placement, Phase::Train, &shapes, threads).map_err(messages::machine)?;
    let bound = binding(model, &shapes).map_err(messages::machine)?;
    let report = Report::of(model, placement, &bound, &made, &spec.analysis.loaded.sources);
    if args.json {
        let object = serde_json::to_value(&report).map_err(|error| Failure::Message(error.to_string()))?;
        record::json_line(&object)?;
    } else {
        record::line(report.to_string().trim_end())?;
    }
    if let Some(path) = &args.svg {
        let svg = drawing(run, &made);
        let written = strata_runtime::files::replace(path, |to| to.write_all(svg.as_bytes()));
        written.map_err(|error| Failure::Message(format!("{}: {error}", path.display())))?;
    }
    fits(&spec, run, &phases(run, &input, &evaluated), threads, format)
}

/// The programs of a training run, each with what feeds it.
pub fn phases<'a>(
    run: &Run,
    input: &'a Input,
    evaluated: impl IntoIterator<Item = &'a Input>,
) -> Vec<(Phase, &'a Input)> {
    let accumulates = (run.accumulate > 1).then_some((Phase::Gather, input));
    let evaluated = evaluated.into_iter().map(|input| (Phase::Evaluate, input));
    [(Phase::Train, input)].into_iter().chain(accumulates).chain(evaluated).collect()
}

/// Makes sure that devices have the memory that programs need, as far as the spec says what they have.
///
/// # Errors
/// [`Failure::Shown`] if one of them does not.
pub fn fits(
    spec: &Spec,
    run: &Run,
    phases: &[(Phase, &Input)],
    threads: usize,
    format: Format,
) -> Result<(), Failure> {
    let Some(placement) = &run.placement else { return Ok(()) };
    if placement.devices.iter().all(|device| device.memory.is_none()) {
        return Ok(());
    }
    let made = |(phase, input): &(Phase, &Input)| {
        Made::new(&run.model, Some(placement), *phase, &largest(input), threads)
    };
    let programs = phases.iter().map(made).collect::<Result<Vec<_>, _>>().map_err(messages::machine)?;
    let batch = phases.first().and_then(|(_, input)| examples(&largest(input)));
    let usage =
        Usage { model: &run.model, placement, programs: &programs, batch: batch.map(|batch| batch as u64) };
    let sources = &spec.analysis.loaded.sources;
    messages::show(&misfits(&usage, sources), sources, format)
}

/// The shapes of the largest batches.
pub fn largest(input: &Input) -> Shapes {
    let elements = |shapes: &Shapes| -> usize {
        shapes.0.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum()
    };
    input.shapes().into_iter().max_by_key(elements).unwrap_or_default()
}

/// How many examples batches of these shapes have.
pub fn examples(shapes: &Shapes) -> Option<usize> {
    shapes.0.first().and_then(|(_, shape)| shape.first().copied())
}

/// The graph, coloured by the devices that compute its values.
fn drawing(run: &Run, made: &Made) -> String {
    let Some(placement) = several(run.placement.as_ref()) else {
        return strata::graph_svg::svg(&made.graph, &run.model);
    };
    let homes = Homes::of(&made.graph, &Places::of(&run.model, placement));
    let name = |value: ValueId| {
        let devices = homes.value(value).map_or(&[][..], |home| &home.devices);
        let names: Vec<&str> = devices.iter().map(|id| placement.device(*id).name.as_str()).collect();
        names.join(", ")
    };
    strata::graph_svg::coloured(&made.graph, &name)
}
