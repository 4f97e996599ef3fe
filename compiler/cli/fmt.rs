//! `strata fmt`: files in the one way they should be written.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use strata_grammar::{Source, Sources, decode, parse, print};

use crate::messages::{self, Failure, Format};

/// Write files in the one way they should look; comments stay
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  strata fmt specs/*.model           rewrite what is not yet so
  strata fmt --check specs/*.model   only say which are not; exit code 1 if there are any")]
pub struct Args {
    /// The files.
    #[arg(required = true, value_name = "FILES")]
    files: Vec<PathBuf>,
    /// Change nothing; name the files that would change.
    #[arg(long)]
    check: bool,
}

/// Formats every file, or names those that are not formatted. A file with mistakes in its text is left alone.
pub fn run(args: &Args, format: Format) -> Result<(), Failure> {
    let mut sources = Sources::default();
    let mut diagnostics = Vec::new();
    let mut out = io::stdout().lock();
    let mut others = 0;
    for path in &args.files {
        let name = path.display().to_string();
        let bytes = fs::read(path).map_err(|e| Failure::Message(format!("{name}: {e}")))?;
        let text = match decode(bytes) {
            Ok(text) => text,
            Err(found) => {
                let id = sources.add(Source::new(name.as_str(), found.shown.as_str()));
                diagnostics.push(found.diagnostic(id));
                continue;
            }
        };
        let id = sources.add(Source::new(name.as_str(), text));
        let source = sources.get(id).clone();
        let parsed = parse(id, &source);
        let Some(new) = print(&parsed, &source) else {
            diagnostics.extend(parsed.diagnostics);
            continue;
        };
        if new == source.text {
            continue;
        }
        if !args.check {
            let written = strata_runtime::files::replace(path, |to| to.write_all(new.as_bytes()));
            written.map_err(|e| Failure::Message(format!("{name}: {e}")))?;
        }
        others += 1;
        writeln!(out, "{name}")?;
    }
    messages::show(&diagnostics, &sources, format)?;
    if args.check && others > 0 {
        let text = format!("{} not formatted: `strata fmt` does it", messages::count(others, "file"));
        return Err(Failure::Message(text));
    }
    Ok(())
}
