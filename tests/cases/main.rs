//! Runs every case file under `tests/`: a `.model` file whose first line is `// KIND`, where KIND is one of
//! [`KINDS`]. A kind says what the whole file should read like; `BLESS=1 cargo test` writes that into the file, and
//! the diff is reviewed.

mod check;
mod fmt;
mod mistake;
mod model;
mod parse;
mod placement;

use std::path::Path;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use strata_tests::{Case, model_files};

/// What can stand in a case's first line, and the text that such a file should have.
struct Kind {
    name: &'static str,
    run: fn(&Case) -> Result<String, String>,
}

const KINDS: &[Kind] = &[
    Kind { name: "check", run: check::run },
    Kind { name: "fmt", run: fmt::run },
    Kind { name: "mistake", run: mistake::run },
    Kind { name: "model", run: model::run },
    Kind { name: "parse", run: parse::run },
    Kind { name: "placement", run: placement::run },
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let trials = model_files(root).into_iter().map(|path| {
        let name = path.strip_prefix(root).unwrap_or(&path).display().to_string();
        Trial::test(name, move || run(&path).map_err(Failed::from))
    });
    let counted = Trial::test("mistakes-counted", move || mistake::count(root).map_err(Failed::from));
    libtest_mimic::run(&arguments, trials.chain([counted]).collect()).exit_code()
}

/// The kind in a case's first line, and the case.
fn read(path: &Path) -> Result<(String, Case), String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let first = text.lines().next().and_then(|line| line.strip_prefix("// ")).unwrap_or("");
    let (kind, arguments) = first.split_once(' ').unwrap_or((first, ""));
    let (kind, arguments) = (kind.to_string(), arguments.to_string());
    Ok((kind, Case { path: path.to_path_buf(), text, arguments }))
}

fn run(path: &Path) -> Result<(), String> {
    let (name, case) = read(path)?;
    let Some(kind) = KINDS.iter().find(|known| known.name == name) else {
        let known: Vec<&str> = KINDS.iter().map(|known| known.name).collect();
        return Err(format!("the first line must be `// KIND` with one of {known:?}, not {name:?}"));
    };
    let actual = (kind.run)(&case)?;
    if actual == case.text {
        return Ok(());
    }
    if std::env::var_os("BLESS").is_some() {
        return std::fs::write(path, actual).map_err(|error| error.to_string());
    }
    Err(difference(&case.text, &actual))
}

/// Where two texts part, with what follows.
fn difference(expected: &str, actual: &str) -> String {
    let same = expected.lines().zip(actual.lines()).take_while(|(a, b)| a == b).count();
    let show = |text: &str| {
        let lines: Vec<&str> = text.lines().skip(same).take(12).collect();
        lines.join("\n")
    };
    format!(
        "the texts part in line {}\n---- in the file\n{}\n---- found\n{}\n---- (BLESS=1 writes what was found into the file)",
        same + 1,
        show(expected),
        show(actual)
    )
}
