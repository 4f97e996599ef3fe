//! `strata predict SPEC --params FILE --data FILE`: what a trained model says of new examples.

use std::path::PathBuf;

use strata::machine::{Machine, Program, inputs_of};
use strata::model::Model;
use strata::types::Size;
use strata_runtime::queue::{Input, Shapes};

use crate::eval::parameters;
use crate::examples::recipe;
use crate::front::SpecArgs;
use crate::messages::{self, Failure, Format};
use crate::results::{self, Form, Results};
use crate::{signal, train};

/// Write down what a trained model says of new examples
#[derive(clap::Args)]
#[command(after_help = "\
Numbers mean what they mean in the `data` that the `train` block feeds; labels may be missing. The file may be of another
kind than the feed's: csv (then its columns are those of the inputs side by side), npy and idx (an array a file), npz
(arrays by the names of inputs), JSON (an object an example). For a feed of pictures it may be a folder, or a picture.

Examples:
  strata predict specs/digits.model --params final.safetensors --data new.csv
  strata predict specs/digits.model --params final.safetensors --data new.csv --output features --json
  strata predict specs/mnist_lenet.model --params final.safetensors --data image=t10k-images-idx3-ubyte
  strata predict specs/digits.model --params final.safetensors --data new.npy --out answers.npy")]
pub struct Args {
    #[command(flatten)]
    spec: SpecArgs,
    /// Parameters that a run has kept.
    #[arg(long, value_name = "FILE")]
    params: PathBuf,
    /// The examples: csv, npy, idx, JSON (plain or gzip), npz, or pictures. `NAME=FILE` for one input of several.
    #[arg(long = "data", required = true, value_name = "FILE")]
    files: Vec<String>,
    /// Which binding of the model to write; the last tensor with a row an example if not given.
    #[arg(long, value_name = "NAME")]
    output: Option<String>,
    /// Where to write instead of the standard output; .npy and .json (or .jsonl) say how.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// How many threads share a step.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// One JSON object for each example instead of csv.
    #[arg(long)]
    json: bool,
}

/// Writes one row for each example.
pub fn run(args: &Args, format: Format) -> Result<(), Failure> {
    signal::catch()?;
    let spec = args.spec.read_without_data(&[], Some(&args.params), format)?;
    let run = spec.run()?;
    let wanted = [output(args, &run.model)?];
    let mut machine =
        Machine::placed(&run.model, run.placement.as_ref(), run.seed, train::threads(args.threads))
            .map_err(messages::machine)?;
    machine.set(&parameters(&args.params, &run.model)?).map_err(messages::machine)?;
    let needed = inputs_of(&run.model, &wanted);
    let mut program: Option<(Shapes, Program)> = None;
    let recipe = recipe(&args.files, run, &needed, "--data")?;
    let show = |error| train::wrong_data(&error, run, &spec, format);
    let input = Input::open(&recipe, run.seed).map_err(show)?;
    let form = Form::of(args.out.as_deref(), args.json)?;
    results::write(args.out.as_deref(), |to| {
        let mut results = Results::new(to, form, &wanted[0], input.examples());
        let mut done = 0;
        for batch in input.pass().map_err(show)? {
            let batch = batch.map_err(show)?;
            let shapes = batch.shapes();
            let made = match program.take().filter(|(made, _)| *made == shapes) {
                Some((_, made)) => made,
                None => machine.predictor(&shapes, &wanted).map_err(messages::machine)?,
            };
            let (_, made) = program.insert((shapes, made));
            let outputs = machine
                .carry_out(made, &batch, 0)
                .map_err(|error| train::wrong_machine(error, run, &spec, format))?;
            let files = input.files().and_then(|files| files.get(done..done + batch.examples));
            results.batch(&outputs[0], files)?;
            done += batch.examples;
            if signal::asked() {
                return Err(Failure::Interrupted.into());
            }
        }
        Ok(())
    })
}

/// The binding to write.
fn output(args: &Args, model: &Model) -> Result<String, Failure> {
    let has_rows = |value: &strata::graph::ValueId| {
        let axes = &model.values[value.0 as usize].ty.axes;
        axes.first().is_some_and(|axis| matches!(axis.size, Size::Free(_)))
    };
    let names = || model.bindings.iter().filter(|(_, value)| has_rows(value)).map(|(name, _)| name);
    match &args.output {
        None => names()
            .next_back()
            .cloned()
            .ok_or_else(|| Failure::Usage("the model binds nothing that has a row for each example".into())),
        Some(wanted) if names().any(|name| name == wanted) => Ok(wanted.clone()),
        Some(wanted) => {
            let all: Vec<&str> = names().map(String::as_str).collect();
            let text = format!(
                "the model binds no `{wanted}` with a row for each example: there is {}",
                all.join(", ")
            );
            Err(Failure::Usage(text))
        }
    }
}
