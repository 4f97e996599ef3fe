//! `strata check SPECS`: every mistake, nothing run.

use std::io::{self, Write};
use std::path::PathBuf;

use serde_json::json;
use strata_grammar::{Diagnostic, Severity, Sources, Span};

use crate::front::{DataArgs, SpecArgs};
use crate::messages::{Failure, Format};

/// Find every mistake in a spec without running it
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  strata check specs/digits.model
  strata check specs/*.model
  strata check specs/digits.model --format short    one line each, for editors
  strata check specs/digits.model --json            one object a line, for programs")]
pub struct Args {
    #[command(flatten)]
    spec: SpecArgs,
    /// More of them, each checked by itself.
    #[arg(value_name = "SPEC")]
    more: Vec<PathBuf>,
    #[command(flatten)]
    data: DataArgs,
    /// One JSON object for each message, on standard output.
    #[arg(long)]
    json: bool,
}

/// Checks, and says what the models come to where nothing is wrong.
pub fn run(args: &Args, format: Format) -> Result<(), Failure> {
    let first = args.spec.clone();
    let more = args.more.iter().map(|spec| SpecArgs { spec: spec.clone(), ..args.spec.clone() });
    let mut wrong = false;
    for spec in std::iter::once(first).chain(more) {
        let found = if args.json { check_json(&spec, &args.data) } else { check(&spec, &args.data, format) };
        match found {
            Ok(()) => {}
            // What was shown of one spec keeps no other from being checked.
            Err(Failure::Shown) => wrong = true,
            Err(other) => return Err(other),
        }
    }
    if wrong { Err(Failure::Shown) } else { Ok(()) }
}

fn check(spec: &SpecArgs, data: &DataArgs, format: Format) -> Result<(), Failure> {
    let spec = spec.read(data, format)?;
    let mut out = io::stdout().lock();
    for model in &spec.analysis.checked.models {
        write!(out, "{}", model.to_text())?;
    }
    Ok(())
}

fn check_json(spec: &SpecArgs, data: &DataArgs) -> Result<(), Failure> {
    let analysis = spec.analyse(data);
    let mut out = io::stdout().lock();
    for diagnostic in &analysis.diagnostics {
        writeln!(out, "{}", as_json(diagnostic, &analysis.loaded.sources))?;
    }
    if analysis.diagnostics.iter().any(|d| d.severity == Severity::Error) {
        return Err(Failure::Shown);
    }
    spec.asks_for_what_is_there(&analysis.loaded)
}

fn as_json(diagnostic: &Diagnostic, sources: &Sources) -> serde_json::Value {
    let Diagnostic { code, severity, message, primary, labels, help, edits } = diagnostic;
    let labels: Vec<_> =
        labels.iter().map(|l| json!({ "at": place(l.span, sources), "text": l.text })).collect();
    let edits: Vec<_> =
        edits.iter().map(|e| json!({ "at": place(e.span, sources), "text": e.text })).collect();
    json!({
        "code": code.name(),
        "severity": severity.name(),
        "message": message,
        "at": place(primary.span, sources),
        "here": primary.text,
        "labels": labels,
        "help": help,
        "edits": edits,
    })
}

/// Bytes from 0, lines and columns (in bytes) from 1.
fn place(span: Span, sources: &Sources) -> serde_json::Value {
    let source = sources.get(span.file);
    let at = source.line_column(span.start as usize);
    json!({
        "file": source.name,
        "line": at.line + 1,
        "column": at.column + 1,
        "start": span.start,
        "end": span.end,
    })
}
