//! The `strata` command: one file for each subcommand, messages in `messages`, exit codes here.

mod bench;
mod check;
mod compile;
mod eval;
mod examples;
mod explain;
mod facts;
mod fmt;
mod front;
mod generate;
mod lsp;
mod messages;
mod plan;
mod predict;
mod record;
mod results;
mod signal;
mod train;
mod verify;
mod vocabularies;
mod wording;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use messages::Format;

/// Trains and runs networks that are written down in `.model` files.
#[derive(Parser)]
#[command(name = "strata", version, max_term_width = 110, after_help = EXAMPLES)]
struct Cli {
    /// How messages are shown: `fancy` with the lines they speak of, `plain` the same without colours,
    /// `short` one line each; `auto` is fancy on a terminal.
    #[arg(long, global = true, value_enum, default_value = "auto")]
    format: Format,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Check(check::Args),
    Compile(compile::Args),
    Train(train::Args),
    Eval(eval::Args),
    Predict(predict::Args),
    Generate(generate::Args),
    Bench(bench::Args),
    Plan(plan::Args),
    Verify(verify::Args),
    Fmt(fmt::Args),
    Explain(explain::Args),
    Lsp(lsp::Args),
}

const EXAMPLES: &str = "\
Examples:
  strata check specs/digits.model          find every mistake, run nothing
  strata train specs/digits.model          train; says where everything lies
  strata compile specs/digits.model --emit plan
  strata plan specs/digits.model           what each device needs and does in a step
  strata explain shape-mismatch            what a message means

Exit codes: 0 fine · 1 a mistake in the spec or its data, or the run failed · 2 wrong usage · 130 after Ctrl-C";

fn main() -> ExitCode {
    bench::BEGAN.get_or_init(std::time::Instant::now);
    let cli = Cli::parse();
    let format = cli.format;
    let done = match cli.command {
        Command::Check(args) => check::run(&args, format),
        Command::Compile(args) => compile::run(&args, format),
        Command::Train(args) => train::run(&args, format),
        Command::Eval(args) => eval::run(&args, format),
        Command::Predict(args) => predict::run(&args, format),
        Command::Generate(args) => generate::run(&args, format),
        Command::Bench(args) => bench::run(&args, format),
        Command::Plan(args) => plan::run(&args, format),
        Command::Verify(args) => verify::run(&args, format),
        Command::Fmt(args) => fmt::run(&args, format),
        Command::Explain(args) => explain::run(&args),
        Command::Lsp(_) => lsp::run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => messages::end(&failure),
    }
}
