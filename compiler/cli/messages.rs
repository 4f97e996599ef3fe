//! What people are told: diagnostics through miette, everything else as one line; and the exit code of each end.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::ValueEnum;
use miette::{GraphicalReportHandler, GraphicalTheme};
use strata_grammar::{Diagnostic, Report, Severity, Sources};
pub use strata_runtime::log::grouped;
use strata_runtime::queue::Input;
use strata_runtime::train::MachineError;

/// How diagnostics are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Fancy where messages go to a terminal that knows colours, else plain.
    Auto,
    /// With the lines they speak of, in colours.
    Fancy,
    /// With the lines they speak of.
    Plain,
    /// One line each.
    Short,
}

/// Columns where messages go to no terminal.
const WIDTH: usize = 110;

/// Why a command ends early.
#[derive(Debug)]
pub enum Failure {
    /// Everything was said by diagnostics.
    Shown,
    /// One line is still to be said.
    Message(String),
    /// The command line asks for something that cannot be; one line is still to be said.
    Usage(String),
    /// Ctrl-C; what there is to say was said.
    Interrupted,
    /// Whoever read our output has gone.
    NobodyListens,
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Failure::NobodyListens
        } else {
            Failure::Message(error.to_string())
        }
    }
}

/// Says what the failure has to say, then one more line.
pub fn last_words(failure: Failure, line: &str) -> Failure {
    let failure = match failure {
        Failure::Message(text) => {
            say(&format!("error: {text}"));
            Failure::Shown
        }
        Failure::Shown | Failure::Usage(_) | Failure::Interrupted | Failure::NobodyListens => failure,
    };
    say(line);
    failure
}

/// Says what is left to say and gives the exit code.
pub fn end(failure: &Failure) -> ExitCode {
    match failure {
        Failure::Shown => ExitCode::from(1),
        Failure::Message(text) => {
            say(&format!("error: {text}"));
            ExitCode::from(1)
        }
        Failure::Usage(text) => {
            say(&format!("error: {text}"));
            ExitCode::from(2)
        }
        Failure::Interrupted => ExitCode::from(130),
        Failure::NobodyListens => ExitCode::SUCCESS,
    }
}

/// What this machine cannot do.
pub fn machine(error: MachineError) -> Failure {
    Failure::Message(error.to_string())
}

/// One line for people, on standard error. Where nobody listens there is nobody to tell.
pub fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Says which examples are left out because they cannot be read, once for each source.
pub fn left_out(inputs: &[&Input]) {
    /// Files that are named.
    const NAMED: usize = 5;
    for (at, input) in inputs.iter().enumerate() {
        let left_out = input.left_out();
        if left_out.is_empty() || inputs[..at].iter().any(|before| before.shares_data_with(input)) {
            continue;
        }
        say(&format!("left out {} that cannot be read:", count(left_out.len(), "picture")));
        left_out.iter().take(NAMED).for_each(|error| say(&format!("  {error}")));
        if left_out.len() > NAMED {
            say(&format!("  and {} more", left_out.len() - NAMED));
        }
    }
}

/// Shows diagnostics in the order of the text and counts them.
///
/// # Errors
/// [`Failure::Shown`] if one of them is an error.
pub fn show(diagnostics: &[Diagnostic], sources: &Sources, format: Format) -> Result<(), Failure> {
    let mut sorted: Vec<&Diagnostic> = diagnostics.iter().collect();
    sorted.sort_by_key(|d| (d.primary.span.file, d.primary.span.start, d.severity));
    let mut text = String::new();
    for (at, diagnostic) in sorted.iter().enumerate() {
        if at > 0 && format != Format::Short {
            text.push('\n');
        }
        text += &render(&Report::new(diagnostic, sources), format);
    }
    let errors = sorted.iter().filter(|d| d.severity == Severity::Error).count();
    let warnings = sorted.iter().filter(|d| d.severity == Severity::Warning).count();
    if errors + warnings > 1 {
        let _ = writeln!(text, "{}", tally(errors, warnings));
    }
    // As in `say`.
    let _ = io::stderr().write_all(text.as_bytes());
    if errors > 0 { Err(Failure::Shown) } else { Ok(()) }
}

fn tally(errors: usize, warnings: usize) -> String {
    match (errors, warnings) {
        (0, n) => count(n, "warning"),
        (n, 0) => count(n, "error"),
        (e, w) => format!("{}, {}", count(e, "error"), count(w, "warning")),
    }
}

/// `1 error`, `2 errors`
pub fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

fn render(report: &Report, format: Format) -> String {
    let mut theme = match format {
        Format::Short => return format!("{}\n", report.short()),
        Format::Plain => GraphicalTheme::unicode_nocolor(),
        Format::Fancy => GraphicalTheme::unicode(),
        Format::Auto if terminal_with_colours() => GraphicalTheme::unicode(),
        Format::Auto => GraphicalTheme::unicode_nocolor(),
    };
    // The sign that miette begins a message with becomes the head, so that the first line is all of it.
    let signs = &mut theme.characters;
    let sign = match report.diagnostic.severity {
        Severity::Error => &mut signs.error,
        Severity::Warning => &mut signs.warning,
        Severity::Note => &mut signs.advice,
    };
    *sign = report.head();
    let width = console::Term::stderr().size_checked().map_or(WIDTH, |(_, columns)| usize::from(columns));
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_width(width)
        .with_context_lines(1)
        .with_wrap_lines(false);
    let mut text = String::new();
    // Writing to a string cannot fail, and spans were moved into their texts; should it fail all the same,
    // the one line still says everything.
    match handler.render_report(&mut text, report) {
        Ok(()) => text.trim_start().to_string(),
        Err(_) => format!("{}\n", report.short()),
    }
}

fn terminal_with_colours() -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    io::stderr().is_terminal() && !set("NO_COLOR") && !dumb
}
