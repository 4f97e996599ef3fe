//! `strata explain CODE`: the page of a message's code.

use std::io::{self, Write};

use strata_grammar::{Code, did_you_mean};

use crate::messages::Failure;

/// Explain a message's code, with an example and its repair
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  strata explain shape-mismatch\n  strata explain          list every code"
)]
pub struct Args {
    /// The code in brackets: `shape-mismatch`. Without one, all are listed.
    code: Option<String>,
}

/// Prints the page, or the list of all.
pub fn run(args: &Args) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let Some(wanted) = &args.code else {
        for code in Code::ALL {
            writeln!(out, "{:<20} {}", code.name(), summary(code.page()))?;
        }
        return Ok(());
    };
    // A head may be copied as it stands: `error[shape-mismatch]:`
    let wanted = wanted.trim_end_matches([':', ']']);
    let wanted = wanted.rsplit_once('[').map_or(wanted, |(_, code)| code);
    if let Some(code) = Code::ALL.iter().find(|code| code.name() == wanted) {
        return Ok(writeln!(out, "{}", code.page().trim_end())?);
    }
    let near = did_you_mean(wanted, Code::ALL.iter().map(|code| code.name()));
    let hint = near.map_or("`strata explain` lists all".into(), |near| format!("did you mean `{near}`?"));
    Err(Failure::Usage(format!("there is no code `{wanted}`: {hint}")))
}

/// The first sentence of a page after its title.
fn summary(page: &str) -> String {
    let text = page.lines().map(str::trim).skip_while(|line| line.is_empty() || line.starts_with('#'));
    let paragraph: Vec<&str> = text.take_while(|line| !line.is_empty()).collect();
    let paragraph = paragraph.join(" ");
    paragraph.split_once(". ").map_or(paragraph.trim_end_matches('.'), |(first, _)| first).to_string()
}
