//! `strata predict SPEC --params FILE --data FILE`: what a trained model says of new examples.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use serde_json::json;
use strata::machine::{Machine, Program, inputs_of};
use strata::model::Model;
use strata::run::Run;
use strata::types::Size;
use strata_runtime::Tensor;
use strata_runtime::queue::{Input, Longer, Recipe, Shapes, Source, Stage, StageKind};

use crate::eval::parameters;
use crate::front::SpecArgs;
use crate::messages::{self, Failure, Format};
use crate::{signal, train};

/// Write down what a trained model says of new examples
#[derive(clap::Args)]
#[command(after_help = "\
The columns (of a csv file) or the elements (of an idx file) mean what they mean in the `data` that the `train`
block feeds; labels may be missing.

Examples:
  strata predict specs/digits.model --params final.safetensors --data new.csv
  strata predict specs/digits.model --params final.safetensors --data new.csv --output features --json
  strata predict specs/mnist_lenet.model --params final.safetensors --data image=t10k-images-idx3-ubyte")]
pub struct Args {
    #[command(flatten)]
    spec: SpecArgs,
    /// Parameters that a run has kept.
    #[arg(long, value_name = "FILE")]
    params: PathBuf,
    /// The examples: csv or idx, plain or gzip. `NAME=FILE` for one input of several.
    #[arg(long = "data", required = true, value_name = "FILE")]
    files: Vec<String>,
    /// Which binding of the model to write; the last tensor with a row an example if not given.
    #[arg(long, value_name = "NAME")]
    output: Option<String>,
    /// Where to write instead of the standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// How many threads share a step.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// One JSON object for each example instead of csv.
    #[arg(long)]
    json: bool,
}

/// Batches of this size; results do not depend on it.
const BATCH: usize = 256;

/// Writes one row for each example.
pub fn run(args: &Args, format: Format) -> Result<(), Failure> {
    signal::catch()?;
    let spec = args.spec.read_without_data(format)?;
    let run = spec.run()?;
    let wanted = [output(args, &run.model)?];
    let mut machine =
        Machine::new(&run.model, run.seed, train::threads(args.threads)).map_err(messages::machine)?;
    machine.set(&parameters(&args.params, &run.model)?).map_err(messages::machine)?;
    let needed = inputs_of(&run.model, &wanted);
    let mut program: Option<(Shapes, Program)> = None;
    let recipe = recipe(&args.files, run, &needed, "--data")?;
    let show = |error| train::wrong_data(&error, run, &spec, format);
    let input = Input::open(&recipe, run.seed).map_err(show)?;
    let mut out = open(args)?;
    let mut first = true;
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
        if first && !args.json {
            writeln!(out, "{}", header(&wanted[0], &outputs[0]))?;
        }
        first = false;
        write_rows(&mut out, args, &wanted[0], &outputs[0], batch.examples)?;
        if signal::asked() {
            return Err(Failure::Interrupted);
        }
    }
    Ok(out.flush()?)
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

/// What the run is fed with, from other files and without what a prediction does not need.
/// `option` is what the files were given by.
pub fn recipe(files: &[String], run: &Run, needed: &[&str], option: &str) -> Result<Recipe, Failure> {
    let mut source = run.feed.source.clone();
    match &mut source {
        Source::Csv { path, fields, .. } => {
            fields.retain(|field| needed.contains(&field.name.as_str()));
            match files {
                [file] => *path = PathBuf::from(file),
                [] | [..] => return Err(Failure::Usage(format!("expected one csv file: {option} FILE"))),
            }
        }
        Source::Idx { fields } => {
            fields.retain(|field| needed.contains(&field.name.as_str()));
            for field in fields.iter_mut() {
                let named = files.iter().find_map(|f| f.strip_prefix(&format!("{}=", field.name)));
                let only = (needed.len() == 1 && files.len() == 1).then(|| files[0].as_str());
                let Some(file) = named.or(only) else {
                    let text = format!("no file for the input `{0}`: {option} {0}=FILE", field.name);
                    return Err(Failure::Usage(text));
                };
                field.path = PathBuf::from(file);
            }
        }
        Source::Text { path, fields, .. } => {
            fields.retain(|field| needed.contains(&field.name.as_str()));
            match files {
                [file] => *path = PathBuf::from(file),
                [] | [..] => return Err(Failure::Usage(format!("expected one text: {option} FILE"))),
            }
        }
    }
    let mut stages = vec![Stage { kind: StageKind::Batch { size: BATCH }, origin: 0 }];
    if source.fields().iter().any(|field| field.shape.contains(&None)) {
        stages.insert(0, last_bucket(run, needed));
    }
    Ok(Recipe { source, stages })
}

/// The feed's last bucket alone: the rows that are written keep the order of those that were read.
fn last_bucket(run: &Run, needed: &[&str]) -> Stage {
    let mut last = Vec::new();
    let mut at = 0;
    for stage in &run.feed.stages {
        if let StageKind::Bucket { lengths, .. } = &stage.kind {
            let own = lengths.iter().filter(|(field, _)| needed.contains(&field.as_str()));
            last =
                own.map(|(field, all)| (field.clone(), all.last().copied().into_iter().collect())).collect();
            at = stage.origin;
        }
    }
    Stage { kind: StageKind::Bucket { lengths: last, longer: Longer::Refuse }, origin: at }
}

fn open(args: &Args) -> Result<Box<dyn Write>, Failure> {
    match &args.out {
        None => Ok(Box::new(BufWriter::new(io::stdout().lock()))),
        Some(path) => {
            let file =
                File::create(path).map_err(|e| Failure::Message(format!("{}: {e}", path.display())))?;
            Ok(Box::new(BufWriter::new(file)))
        }
    }
}

/// Numbers of one example.
fn width(output: &Tensor) -> usize {
    output.shape().iter().skip(1).product()
}

fn header(name: &str, output: &Tensor) -> String {
    if output.shape().len() < 2 {
        return name.to_string();
    }
    let columns = (0..width(output)).map(|column| format!("{name}_{column}"));
    columns.chain(has_largest(output).then(|| format!("{name}_largest"))).collect::<Vec<_>>().join(",")
}

/// One number a class: which of them is the largest is what most want to know.
fn has_largest(output: &Tensor) -> bool {
    output.shape().len() == 2 && width(output) > 1
}

fn write_rows(
    out: &mut dyn Write,
    args: &Args,
    name: &str,
    output: &Tensor,
    examples: usize,
) -> Result<(), Failure> {
    let numbers = strata::machine::numbers(output);
    let width = width(output);
    for row in 0..examples {
        let values = &numbers[row * width..(row + 1) * width];
        let largest = has_largest(output).then(|| largest(values));
        if args.json {
            let mut line = json!({ name: values });
            if let (Some(largest), Some(map)) = (largest, line.as_object_mut()) {
                map.insert(format!("{name}_largest"), json!(largest));
            }
            writeln!(out, "{line}")?;
        } else {
            let cells = values.iter().map(f64::to_string).chain(largest.map(|at| at.to_string()));
            writeln!(out, "{}", cells.collect::<Vec<_>>().join(","))?;
        }
    }
    Ok(())
}

/// Where the first largest number stands.
fn largest(values: &[f64]) -> usize {
    (1..values.len()).fold(0, |best, at| if values[at] > values[best] { at } else { best })
}
