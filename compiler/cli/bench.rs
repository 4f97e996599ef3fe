//! `strata bench SPEC`: how long a training step takes on this machine.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::json;
use strata::machine::Machine;
use strata_runtime::plan::{Kernel, Plan, Step};
use strata_runtime::queue::Input;
use strata_runtime::train::{Machine as _, Phase, Turn};

use crate::front::{DataArgs, SpecArgs};
use crate::messages::{self, Failure, Format};
use crate::{plan, record, signal, train};

/// Measure a training step: median time, examples a second, time to the first step
#[derive(clap::Args)]
#[command(after_help = "\
Nothing is kept. Only steps with a whole batch count, and the time to fetch their data does not.

Examples:
  strata bench specs/digits.model
  strata bench specs/lenet.model --steps 500 --threads 1 --json
  strata bench specs/lenet.model --kernels            where the time goes")]
pub struct Args {
    #[command(flatten)]
    spec: SpecArgs,
    #[command(flatten)]
    data: DataArgs,
    /// How many steps to measure.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    steps: u32,
    /// How many threads share a step; as many as there are cores if not given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Also measure each kernel of the step.
    #[arg(long)]
    kernels: bool,
    /// One JSON object, on standard output.
    #[arg(long)]
    json: bool,
}

/// When the process began, as nearly as it can be known.
pub static BEGAN: OnceLock<Instant> = OnceLock::new();

/// Steps before measuring, so that caches and clocks have settled; by feel.
const WARM_UP: u32 = 10;

/// Measures.
pub fn run(args: &Args, format: Format) -> Result<(), Failure> {
    signal::catch()?;
    let began = *BEGAN.get_or_init(Instant::now);
    let spec = args.spec.read(&args.data, format)?;
    let run = spec.run()?;
    let input =
        Input::open(&run.feed, run.seed).map_err(|error| train::wrong_data(&error, run, &spec, format))?;
    messages::left_out(&[&input]);
    let threads = train::threads(args.threads);
    plan::fits(&spec, run, &[(Phase::Train, &input)], threads, format)?;
    let mut machine =
        Machine::placed(&run.model, run.placement.as_ref(), run.seed, threads).map_err(messages::machine)?;
    // What most of the time goes into.
    let shapes = plan::largest(&input);
    let batch = plan::examples(&shapes).unwrap_or(1);
    let compiling = Instant::now();
    let mut program = machine.compile(Phase::Train, &shapes).map_err(messages::machine)?;
    let compiled = compiling.elapsed();
    let data = |error| train::wrong_data(&error, run, &spec, format);
    let failed = |error| train::wrong_machine(error, run, &spec, format);
    let mut feed = input.feed(Default::default()).map_err(data)?;
    let (mut first, mut times, mut kernels) = (None, Vec::new(), Vec::new());
    let mut step = 0;
    while times.len() < args.steps as usize {
        let examples = feed.next().map_err(data)?;
        if examples.shapes() != shapes {
            continue;
        }
        let start = Instant::now();
        if args.kernels {
            let seconds = machine.time(&program, &examples, step).map_err(failed)?.concat();
            kernels.resize(seconds.len(), Vec::new());
            kernels.iter_mut().zip(seconds).for_each(|(all, one): (&mut Vec<f64>, f64)| all.push(one));
        } else {
            machine.run(&mut program, &examples, Turn { step, part: 0 }).map_err(failed)?;
        }
        let took = start.elapsed();
        first.get_or_insert_with(|| began.elapsed());
        step += 1;
        if step > u64::from(WARM_UP) {
            times.push(took);
        }
        if signal::asked() {
            return Err(Failure::Interrupted);
        }
    }
    let steps =
        program.loaded.plans().flat_map(|plan| plan.all_steps().into_iter().map(move |step| (plan, step)));
    let kernels = steps.zip(kernels).map(|((plan, step), times)| (kernel_name(plan, step), median(times)));
    report(
        args,
        &Measured {
            model: &run.model.name,
            batch,
            threads,
            parameters: run.model.parameters(),
            times,
            first: first.unwrap_or_default(),
            compiled,
            kernels: kernels.collect(),
        },
    )
}

struct Measured<'a> {
    model: &'a str,
    batch: usize,
    threads: usize,
    parameters: u64,
    times: Vec<Duration>,
    first: Duration,
    compiled: Duration,
    /// What each step of the plan is, and its median in seconds.
    kernels: Vec<(String, f64)>,
}

fn report(args: &Args, found: &Measured) -> Result<(), Failure> {
    let mut sorted: Vec<f64> = found.times.iter().map(|time| time.as_secs_f64() * 1e3).collect();
    sorted.sort_by(f64::total_cmp);
    let part = |part: f64| sorted[((sorted.len() - 1) as f64 * part).round() as usize];
    let (median, low, high) = (part(0.5), part(0.1), part(0.9));
    let speed = found.batch as f64 / (median * 1e-3);
    if args.json {
        return record::json_line(&json!({
            "model": found.model,
            "batch": found.batch,
            "threads": found.threads,
            "parameters": found.parameters,
            "steps": sorted.len(),
            "median_ms": median,
            "p10_ms": low,
            "p90_ms": high,
            "examples_per_second": speed,
            "first_step_s": found.first.as_secs_f64(),
            "compile_s": found.compiled.as_secs_f64(),
            "kernels": found.kernels.iter().map(|(k, s)| json!({ "kernel": k, "median_us": s * 1e6 })).collect::<Vec<_>>(),
        }));
    }
    let Measured { model, batch, threads, parameters, .. } = found;
    let threads = messages::count(*threads, "thread");
    record::line(&format!(
        "{model}: {} parameters, batches of {batch}, {threads}",
        messages::grouped(*parameters)
    ))?;
    record::line(&format!(
        "a step takes {median:.3} ms (median of {}; 10 % below {low:.3}, 10 % above {high:.3})",
        sorted.len()
    ))?;
    record::line(&format!("{} examples a second", messages::grouped(speed.round() as u64)))?;
    record::line(&format!(
        "the first step was done {:.3} s after the process began, {:.3} s of them compiling",
        found.first.as_secs_f64(),
        found.compiled.as_secs_f64()
    ))?;
    let mut kernels: Vec<_> = found.kernels.iter().collect();
    kernels.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    kernels
        .iter()
        .try_for_each(|(kernel, seconds)| record::line(&format!("{:9.1} us  {kernel}", seconds * 1e6)))
}

/// What a step of the plan runs, and what it writes.
fn kernel_name(plan: &Plan, step: &Step) -> String {
    let call = match step {
        Step::Call(call) => call,
        Step::Barrier => return "barrier".into(),
        Step::Loop(turns) => return format!("{} turns of {} steps", turns.turns, turns.steps.len()),
    };
    let name = match &call.kernel {
        Kernel::Loop { function, .. } => &plan.functions[*function].name,
        Kernel::Table { name, .. } => name,
        Kernel::Transfer { way, .. } => way.name(),
    };
    let written = call.accesses.iter().filter(|access| access.write).map(|access| {
        let buffer = plan.buffer(access.buffer);
        format!("{}{:?}", buffer.dtype, buffer.shape)
    });
    format!("{name}: {}", written.collect::<Vec<_>>().join(", "))
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(0.0)
}
