//! `strata compile SPEC --emit STAGE`: the text of a stage of the road.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::ValueEnum;
use strata::lower::{LowerOptions, layout, lower_with_text};
use strata::model::Model;
use strata_runtime::train::Phase;

use crate::front::{DataArgs, Spec, SpecArgs};
use crate::messages::{self, Failure, Format};

/// Show what becomes of a spec on its way to machine code; its data need not be there
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  strata compile specs/digits.model --emit model
  strata compile specs/digits.model --emit graph --phase evaluate --svg digits.svg
  strata compile specs/digits.model --emit plan --batch 1 --phase predict")]
pub struct Args {
    #[command(flatten)]
    spec: SpecArgs,
    #[command(flatten)]
    data: DataArgs,
    /// Which stage to show.
    #[arg(long, value_enum, default_value = "plan")]
    emit: Stage,
    /// What the program is for, from the graph on.
    #[arg(long, value_enum, default_value = "train")]
    phase: PhaseArg,
    /// Examples of a batch, from the graph on; those of the `train` block's feed if not given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    batch: Option<u64>,
    /// Also draw the graph.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Stage {
    /// The syntax tree.
    Ast,
    /// The checked model: primitives, every shape known up to the free axes.
    Model,
    /// The optimised graph of one program.
    Graph,
    /// Kernels, their memory and order.
    Plan,
    /// The generated functions in Cranelift's language.
    Clif,
    /// Their instructions.
    Asm,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PhaseArg {
    Train,
    Evaluate,
    Predict,
}

impl PhaseArg {
    fn phase(self) -> Phase {
        match self {
            PhaseArg::Train => Phase::Train,
            PhaseArg::Evaluate => Phase::Evaluate,
            PhaseArg::Predict => Phase::Predict,
        }
    }
}

/// Prints the stage.
pub fn run(args: &Args, format: Format) -> Result<(), Failure> {
    let spec = args.spec.read_without_data(&args.data.folders, None, format)?;
    let text = match args.emit {
        Stage::Ast => spec.analysis.loaded.files.iter().map(|file| format!("{file:#?}\n")).collect(),
        Stage::Model => spec.model()?.to_string(),
        Stage::Graph => graph(args, &spec)?.to_text(Some(spec.model()?)),
        Stage::Plan => lowered(args, &spec)?.plan.to_string(),
        Stage::Clif => lowered(args, &spec)?.clif,
        Stage::Asm => lowered(args, &spec)?.assembly,
    };
    if let Some(path) = &args.svg {
        let svg = strata::graph_svg::svg(&graph(args, &spec)?, spec.model()?);
        let written = strata_runtime::files::replace(path, |to| to.write_all(svg.as_bytes()));
        written.map_err(|error| Failure::Message(format!("{}: {error}", path.display())))?;
    }
    Ok(io::stdout().write_all(text.as_bytes())?)
}

fn graph(args: &Args, spec: &Spec) -> Result<strata::graph::Graph, Failure> {
    let model = spec.model()?;
    let wanted: Vec<String> = model.bindings.iter().map(|(name, _)| name.clone()).collect();
    let binding = binding(args, spec, model)?;
    Ok(strata::graph_of(model, &binding, args.phase.phase(), &wanted))
}

fn lowered(args: &Args, spec: &Spec) -> Result<strata::lower::Lowered, Failure> {
    let model: &Model = spec.model()?;
    let options = LowerOptions { text: true, ..LowerOptions::default() };
    Ok(lower_with_text(&graph(args, spec)?, &layout(&model.variables), &options))
}

/// Sizes of the free axes: the batch that was asked for, or what the spec feeds, or 1.
fn binding(args: &Args, spec: &Spec, model: &Model) -> Result<Vec<u64>, Failure> {
    let feed = spec.run().ok().filter(|run| run.model.name == model.name).map(|run| &run.feed);
    let Some(feed) = feed else { return Ok(vec![args.batch.unwrap_or(1); model.free.len()]) };
    let examples = args.batch.map(|batch| batch as usize).or_else(|| feed.batch()).unwrap_or(1);
    strata::machine::binding(model, &feed.shapes(examples)).map_err(messages::machine)
}
