//! `strata train SPEC`: from a spec to trained parameters, stopped and resumed at will.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::json;
use strata::machine::Machine;
use strata::model::Model;
use strata::placement::several;
use strata::report::{ended, workers};
use strata::run::Run;
use strata_runtime::checkpoint::{self, Meta};
use strata_runtime::log::{self, Look, Total};
use strata_runtime::queue::{DataError, Input};
use strata_runtime::train::{
    self, End, EvaluateJob, Every, Hooks, Job, MachineError, Place, Progress, Stop, TrainError, Variables,
    total_steps,
};

use crate::front::{DataArgs, Spec, SpecArgs};
use crate::messages::{self, Failure, Format, say};
use crate::record::{self, Record};
use crate::{plan, signal, vocabularies, wording};

/// Train a model as its `train` block says
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  strata train specs/digits.model
  strata train specs/digits.model --epochs 5 --seed 3 --threads 2
  strata train specs/digits.model --resume runs/digits/2026-01-31T10-20-30
  strata train specs/mnist_mlp.model --data ~/data --set hidden=256

Ctrl-C keeps the run's state and says how to go on; the resumed run ends with the same bits as one that was
never stopped.")]
pub struct Args {
    #[command(flatten)]
    spec: SpecArgs,
    #[command(flatten)]
    data: DataArgs,
    /// End after so many epochs instead of what the spec says.
    #[arg(long, value_name = "N", conflicts_with = "steps", value_parser = positive)]
    epochs: Option<f64>,
    /// End after so many steps instead of what the spec says.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    steps: Option<u64>,
    /// Decides initial values, shuffles and dropout.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// How many threads share a step; as many as there are cores if not given. Changes no result.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Where folders of runs are made.
    #[arg(long, value_name = "DIR", default_value = "runs")]
    out: PathBuf,
    /// Go on with a run: its folder, or a checkpoint in it.
    #[arg(long, value_name = "RUN")]
    resume: Option<PathBuf>,
    /// Show no progress.
    #[arg(long)]
    quiet: bool,
    /// One JSON object for each point and evaluation, on standard output.
    #[arg(long)]
    json: bool,
}

/// A number of epochs; parts of one count too.
fn positive(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "expected a number".to_string())?;
    if number > 0.0 && number.is_finite() { Ok(number) } else { Err("expected a number above 0".into()) }
}

/// A run to go on with.
struct Resumed {
    file: PathBuf,
    folder: PathBuf,
    variables: Variables,
    progress: Progress,
    meta: Meta,
}

/// Trains.
pub fn run(args: &Args, format: Format) -> Result<(), Failure> {
    signal::catch()?;
    let spec = match args.resume {
        Some(_) => args.spec.read_on(&args.data, format)?,
        None => args.spec.read(&args.data, format)?,
    };
    let run = spec.run()?;
    let resumed = args.resume.as_deref().map(resume).transpose()?;
    let seed = seed(args, run, resumed.as_ref())?;
    let job = job(args, run, seed).map_err(|error| wrong_data(&error, run, &spec, format))?;
    if let Some(resumed) = &resumed {
        // Before shapes are compared: what a vocabulary of another size makes of them says less.
        if let Some(found) = vocabularies::changed(&resumed.folder, run, &job.input)? {
            messages::show(&[found], &spec.analysis.loaded.sources, format)?;
        }
        fits(resumed, &run.model)?;
    }
    if !args.quiet {
        let evaluated = job.evaluate.iter().map(|evaluate| &evaluate.input);
        messages::left_out(&[&job.input].into_iter().chain(evaluated).collect::<Vec<_>>());
    }
    let threads = threads(args.threads);
    let evaluated = job.evaluate.iter().map(|evaluate| &evaluate.input);
    plan::fits(&spec, run, &plan::phases(run, &job.input, evaluated), threads, format)?;
    let mut machine =
        Machine::placed(&run.model, run.placement.as_ref(), seed, threads).map_err(messages::machine)?;
    if let Some(placement) = several(run.placement.as_ref()).filter(|_| !args.quiet) {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        say(&workers(&placement.devices, cores));
    }
    match &resumed {
        Some(resumed) => machine.set(&resumed.variables),
        None => machine.begin(),
    }
    .map_err(messages::machine)?;
    let mut record = open_record(args, &spec, &job, resumed.as_ref())?;
    let progress = resumed.as_ref().map_or(Progress::default(), |resumed| resumed.progress);
    let meta = |progress: &Progress| Meta {
        step: progress.at.step,
        cursor: progress.at.cursor,
        seed,
        fingerprint: run.model.fingerprint(),
        extra: BTreeMap::from([("progress".to_string(), json!(progress).to_string())]),
    };
    let ended = crank(&mut machine, run, &job, progress, &mut record, &meta);
    record.end_progress();
    if record.failed() {
        return Err(record.into_failure().unwrap_or(Failure::Shown));
    }
    let (place, end) = ended.map_err(|error| failed(error, args, run, &spec, format, &record))?;
    finish(args, &machine, &mut record, (&place, &end), &meta)
}

fn crank(
    machine: &mut Machine,
    run: &Run,
    job: &Job,
    progress: Progress,
    record: &mut Record,
    meta: &dyn Fn(&Progress) -> Meta,
) -> Result<(Place, End), TrainError> {
    let shared = RefCell::new(record);
    let mut hooks = Hooks {
        event: &mut |event| shared.borrow_mut().event(event),
        save: &mut |progress, variables| shared.borrow().keep(variables, &meta(progress)),
        write: &mut |at, place, variables| shared.borrow().write(&run.saves[at], place, variables),
        asked: &|| signal::asked() || shared.borrow().failed(),
    };
    train::train(machine, job, progress, &mut hooks)
}

fn seed(args: &Args, run: &Run, resumed: Option<&Resumed>) -> Result<u64, Failure> {
    match (args.seed, resumed) {
        (Some(asked), Some(resumed)) if asked != resumed.meta.seed => {
            let text =
                format!("the run was begun with --seed {}; it cannot go on with another", resumed.meta.seed);
            Err(Failure::Usage(text))
        }
        (_, Some(resumed)) => Ok(resumed.meta.seed),
        (asked, None) => Ok(asked.unwrap_or(run.seed)),
    }
}

/// How many threads to use.
pub fn threads(asked: Option<u16>) -> usize {
    asked.map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), usize::from)
}

fn job(args: &Args, run: &Run, seed: u64) -> Result<Job, DataError> {
    let evaluate = run.evaluate.iter().map(|evaluate| {
        let input = Input::open(&evaluate.data, seed)?;
        Ok(EvaluateJob { name: evaluate.name.clone(), input, every: evaluate.every })
    });
    let limit = match (args.epochs, args.steps) {
        (Some(epochs), _) => Some(Every::Epochs(epochs)),
        (None, Some(steps)) => Some(Every::Steps(steps)),
        (None, None) => None,
    };
    let stop = match limit {
        Some(limit) => {
            let others = run.stop.iter().filter(|stop| matches!(stop, Stop::When { .. })).cloned();
            others.chain([Stop::After(limit)]).collect()
        }
        None => run.stop.clone(),
    };
    Ok(Job {
        input: Input::open(&run.feed, seed)?,
        evaluate: evaluate.collect::<Result<_, DataError>>()?,
        stop,
        save_every: run.save_every,
        writes: run.saves.iter().map(|save| save.every).collect(),
        accumulate: run.accumulate,
    })
}

/// Loads what a run kept.
fn resume(path: &Path) -> Result<Resumed, Failure> {
    let file = if path.is_dir() { path.join("last.safetensors") } else { path.to_path_buf() };
    if path.is_dir() && !file.exists() {
        let text = format!("{}: has no last.safetensors, so no state was kept to go on from", path.display());
        return Err(Failure::Message(text));
    }
    let (variables, meta) = checkpoint::load(&file).map_err(|error| Failure::Message(error.to_string()))?;
    let Some(progress) = meta.extra.get("progress").and_then(|text| serde_json::from_str(text).ok()) else {
        let text = format!("{}: holds parameters, but not where the run stood", file.display());
        return Err(Failure::Message(text));
    };
    let folder = file.parent().map_or_else(PathBuf::new, Path::to_path_buf);
    Ok(Resumed { file, folder, variables, progress, meta })
}

/// Makes sure that what a run kept is this model's.
fn fits(resumed: &Resumed, model: &Model) -> Result<(), Failure> {
    let all = model.variables.iter().map(|v| (v.name.clone(), v.ty.dtype, v.ty.dims())).collect::<Vec<_>>();
    let mismatch = checkpoint::compare(&all, &resumed.variables);
    if !mismatch.is_empty() {
        let file = resumed.file.display();
        return Err(Failure::Message(format!("{file}: not a checkpoint of `{}`:\n{mismatch}", model.name)));
    }
    if resumed.meta.fingerprint != model.fingerprint() {
        say(
            "note: the model computes something else than when this run was begun; the run goes on from its state",
        );
    }
    Ok(())
}

fn open_record(args: &Args, spec: &Spec, job: &Job, resumed: Option<&Resumed>) -> Result<Record, Failure> {
    let log = match resumed {
        Some(resumed) => log::Run::reopen(&resumed.folder, resumed.progress.at.step),
        None => {
            let (stem, runs) = (stem(&args.spec.spec), &spec.analysis.checked.runs);
            let name = if runs.len() > 1 { format!("{stem}-{}", spec.run()?.name) } else { stem };
            log::Run::create(&args.out, &name)
        }
    };
    let log = log.map_err(record::unwritable)?;
    if resumed.is_none() {
        keep_spec(&log, spec)?;
        vocabularies::keep(&log, &job.input)?;
    }
    let look = if args.quiet || args.json { Look::Quiet } else { Look::for_stderr() };
    let epoch = (job.input.examples(), job.steps_per_epoch() as usize);
    let batch = job.input.batch_sizes().first().copied().unwrap_or(1) * job.accumulate as usize;
    let epochs = job.stop.iter().find_map(|stop| match stop {
        Stop::After(Every::Epochs(epochs)) => Some(epochs.ceil() as u64),
        Stop::After(Every::Steps(_) | Every::Seconds(_)) | Stop::When { .. } => None,
    });
    let total = Total { steps: total_steps(&job.stop, epoch.0, batch), epochs };
    let done = resumed.map_or(0, |resumed| resumed.progress.at.step);
    Ok(Record::new(log, log::Progress::start(look, total, done), args.json, epoch))
}

/// `specs/digits.model` makes runs called `digits`.
fn stem(path: &Path) -> String {
    path.file_stem().map_or_else(|| "run".into(), |stem| stem.to_string_lossy().into_owned())
}

/// Copies of all files that the run came from.
fn keep_spec(log: &log::Run, spec: &Spec) -> Result<(), Failure> {
    let loaded = &spec.analysis.loaded;
    let mut taken: Vec<String> = Vec::new();
    for (_, source) in loaded.sources.iter().skip(loaded.root().0 as usize) {
        let name = Path::new(&source.name).file_name().map_or("spec.model".into(), |n| n.to_string_lossy());
        let twins = taken.iter().filter(|other| **other == name).count();
        let copy = if twins == 0 { name.to_string() } else { format!("{}-{name}", twins + 1) };
        taken.push(name.into_owned());
        log.put(&copy, source.text.as_bytes()).map_err(record::unwritable)?;
    }
    Ok(())
}

/// Says what is wrong with data, at the line of the spec that asks for them.
pub fn wrong_data(error: &DataError, run: &Run, spec: &Spec, format: Format) -> Failure {
    let diagnostic = wording::data(error, run);
    messages::show(&[diagnostic], &spec.analysis.loaded.sources, format).err().unwrap_or(Failure::Shown)
}

/// Says why a program could not be made or run, at the line that is to blame where there is one.
pub fn wrong_machine(error: MachineError, run: &Run, spec: &Spec, format: Format) -> Failure {
    match error {
        MachineError::Words(text) => Failure::Message(text),
        MachineError::Index(bad) => {
            let diagnostic = wording::bad_index(&bad, run);
            messages::show(&[diagnostic], &spec.analysis.loaded.sources, format)
                .err()
                .unwrap_or(Failure::Shown)
        }
        MachineError::Ended(found) => {
            let sources = &spec.analysis.loaded.sources;
            let diagnostic = ended(&found, &run.model, run.placement.as_ref(), sources, run.span);
            messages::show(&[diagnostic], sources, format).err().unwrap_or(Failure::Shown)
        }
    }
}

/// Says why a run failed, and what of it is left.
fn failed(
    error: TrainError,
    args: &Args,
    run: &Run,
    spec: &Spec,
    format: Format,
    record: &Record,
) -> Failure {
    // What a device did once it need not do again; a mistake of the spec or its data stays one.
    let again = matches!(error, TrainError::Machine(MachineError::Ended(_)));
    let failure = match error {
        TrainError::Data(error) => wrong_data(&error, run, spec, format),
        TrainError::Diverged(found) => {
            let diagnostic = wording::divergence(&found, run);
            messages::show(&[diagnostic], &spec.analysis.loaded.sources, format)
                .err()
                .unwrap_or(Failure::Shown)
        }
        TrainError::Machine(error) => wrong_machine(error, run, spec, format),
        TrainError::Save(reason) => Failure::Message(reason),
    };
    let left = match kept(record) {
        Some(_) if again => {
            format!("{}; to go on:\n  {}", left(record), go_on(args, record.folder(), &limit(args)))
        }
        Some(_) | None => left(record),
    };
    messages::last_words(failure, &left)
}

/// The step behind which the state was kept, if one was.
fn kept(record: &Record) -> Option<u64> {
    checkpoint::load(&record.folder().join("last.safetensors")).ok().map(|(_, meta)| meta.step)
}

/// What state a run that failed has left.
fn left(record: &Record) -> String {
    let folder = record.folder();
    match kept(record) {
        Some(step) => {
            format!("{} holds the state after step {step}", folder.join("last.safetensors").display())
        }
        None => format!("no state was kept in {}", folder.display()),
    }
}

/// Keeps the parameters, and says what was reached and where everything lies.
fn finish(
    args: &Args,
    machine: &Machine,
    record: &mut Record,
    (place, end): (&Place, &End),
    meta: &dyn Fn(&Progress) -> Meta,
) -> Result<(), Failure> {
    record.settle()?;
    let folder = record.folder().to_path_buf();
    if *end == End::Asked {
        let go_on = go_on(args, &folder, &limit(args));
        if args.json {
            record::json_line(
                &json!({ "event": "stopped", "step": place.step, "folder": folder, "resume": go_on }),
            )?;
        }
        say(&format!("stopped after step {}; to go on:\n  {go_on}", messages::grouped(place.step)));
        return Err(Failure::Interrupted);
    }
    let kept = machine.parameters();
    let meta = meta(&Progress { at: *place, ..Progress::default() });
    let tensors = kept.iter().map(|(name, tensor)| (name.clone(), tensor)).collect();
    let parameters = record
        .put_tensors("final.safetensors", tensors, &meta)
        .map_err(|reason| messages::last_words(Failure::Message(reason), &left(record)))?;
    if args.json {
        let reached: serde_json::Map<_, _> = record
            .reached
            .iter()
            .map(|(name, outputs)| {
                let mut values = json!({});
                record::merge(&mut values, &record::borrowed(outputs));
                (name.clone(), values)
            })
            .collect();
        let line = json!({
            "event": "end",
            "step": place.step,
            "seconds": place.seconds,
            "reached": reached,
            "folder": folder,
            "params": parameters,
        });
        record::json_line(&line)?;
    }
    if !args.quiet && !args.json {
        summary(args, record, (place, end));
    }
    Ok(())
}

fn summary(args: &Args, record: &Record, (place, end): (&Place, &End)) {
    let why = match end {
        End::Limit(_) | End::Asked => String::new(),
        End::Metric { metric, value } => format!(": {metric} is {}", log::number(*value)),
    };
    let steps = messages::grouped(place.step);
    say(&format!("done after {steps} steps, {} s{why}", log::number(place.seconds)));
    for (name, outputs) in &record.reached {
        say(&format!("  {name}: {}", record::in_words(outputs)));
    }
    let folder = record.folder().display();
    let params = ["--params".to_string(), format!("{folder}/final.safetensors")].into_iter();
    let eval = params.chain(option("on", record.reached.first().map(|(name, _)| name.clone())));
    say(&format!("everything lies in {folder}/"));
    say("  final.safetensors  the parameters:");
    say(&format!("    {}", in_words("eval", args, eval)));
    say("  last.safetensors   the run's state, to go on from:");
    say(&format!("    {}", go_on(args, record.folder(), &["--epochs".into(), "N".into()])));
    say("  curves.svg, metrics.jsonl, and events for TensorBoard:");
    say(&format!("    tensorboard --logdir {}", args.out.display()));
}

/// The command as it was called.
fn program() -> String {
    std::env::args().next().unwrap_or_else(|| "strata".into())
}

/// The command that goes on with this run until `limit`, words of the command line.
fn go_on(args: &Args, folder: &Path, limit: &[String]) -> String {
    let resume = ["--resume".to_string(), folder.display().to_string()];
    let threads = option("threads", args.threads.map(|n| n.to_string()));
    in_words("train", args, resume.into_iter().chain(limit.iter().cloned()).chain(threads))
}

/// Where the command line asked the run to end.
fn limit(args: &Args) -> Vec<String> {
    let epochs = option("epochs", args.epochs.map(|n| n.to_string()));
    epochs.chain(option("steps", args.steps.map(|n| n.to_string()))).collect()
}

fn option(name: &str, value: Option<String>) -> impl Iterator<Item = String> {
    value.into_iter().flat_map(move |value| [format!("--{name}"), value])
}

/// A command on the same spec, bound as it is here.
fn in_words(command: &str, args: &Args, own: impl Iterator<Item = String>) -> String {
    let mut words = vec![program(), command.to_string(), args.spec.spec.display().to_string()];
    words.extend(own);
    words.extend(option("model", args.spec.model.clone()));
    words.extend(option("run", args.spec.run.clone()));
    words.extend(
        args.spec.set.iter().flat_map(|(name, value)| option("set", Some(format!("{name}={value}")))),
    );
    let folders = args.data.folders.iter();
    words.extend(folders.flat_map(|folder| option("data", Some(folder.display().to_string()))));
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

/// As a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=:,+@%~".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
