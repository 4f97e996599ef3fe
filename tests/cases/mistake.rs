//! `// mistake`: a spec with one mistake (or a few that have nothing to do with each other), and how it should read.
//!
//! Under the line that a message must point to stands how that line should read once the edits of the help are made
//! (`//=`, one for each line that takes its place; `//-` where it goes), or what the help must say where the edit is
//! the user's to choose (`//~`). `//+` says the same as `//=` of a line that an edit changes elsewhere. Messages
//! (`^`) and their help (`//?`) stand there to be read; `BLESS=1` writes those, never the expectations.
//!
//! A case passes if every expectation has its one message and every message its expectation, and if the edits, made,
//! give exactly the text that is expected, about which nothing is left to say but notes.

use std::path::Path;

use strata_grammar::{Code, Diagnostic, Edit, Severity};
use strata_tests::{Annotation, Case, annotations, model_files, spec};

/// Fewer cases than this are no evidence.
const CASES: usize = 200;
/// So many of them must come with the right edit.
const MENDED: usize = 180;

/// What a case says of one line of the spec.
#[derive(Debug, Default)]
struct Wanted {
    /// The line, from 0.
    line: usize,
    /// Whether a message must point here.
    message: bool,
    /// The lines that take its place, where an edit changes it.
    lines: Option<Vec<String>>,
    /// What the help says.
    help: Option<String>,
    /// As it stands in the case.
    text: Vec<String>,
}

/// A case taken apart: the spec alone, and what is expected of it.
struct Parts {
    spec: Vec<String>,
    wanted: Vec<Wanted>,
}

pub fn run(case: &Case) -> Result<String, String> {
    let parts = parts(&case.text)?;
    let text = join(&parts.spec);
    let (loaded, found) = spec::diagnostics(&case.path, &text, &case.arguments);
    let (here, elsewhere) = annotations(&loaded.sources, loaded.root(), &found);
    let written = written(&parts, &here, &found, &elsewhere);
    if std::env::var_os("BLESS").is_some() && written != case.text {
        // The messages are written even where they are not those that were wanted, to be looked at.
        std::fs::write(&case.path, &written).map_err(|error| error.to_string())?;
    }
    judge(case, &parts, &here, &found)
        .and_then(
            |()| if elsewhere.is_empty() { Ok(()) } else { Err("a message in another file".to_string()) },
        )
        .map_err(|why| format!("{why}\n{written}"))?;
    Ok(written)
}

/// Whether what was found is what was wanted.
fn judge(case: &Case, parts: &Parts, here: &[Annotation], found: &[Diagnostic]) -> Result<(), String> {
    let wanted: Vec<&Wanted> = parts.wanted.iter().collect();
    let expected: Vec<usize> = wanted
        .iter()
        .filter(|wanted| wanted.message)
        .flat_map(|wanted| {
            let times = wanted.text.iter().filter(|line| line.starts_with("//2")).count();
            vec![wanted.line; 1 + times]
        })
        .collect();
    let actual: Vec<usize> = here.iter().map(|annotation| annotation.line).collect();
    if expected != actual {
        let lines = |lines: &[usize]| lines.iter().map(|line| line + 1).collect::<Vec<_>>();
        return Err(format!(
            "messages wanted in lines {:?}, found in {:?}",
            lines(&expected),
            lines(&actual)
        ));
    }
    for wanted in wanted.iter().filter(|wanted| wanted.help.is_some()) {
        let words = wanted.help.as_deref().unwrap_or_default();
        let said = here.iter().filter(|annotation| annotation.line == wanted.line);
        let helps: Vec<&str> = said.filter_map(|annotation| found[annotation.at].help.as_deref()).collect();
        if !helps.iter().any(|help| help.contains(words)) {
            return Err(format!("the help should say {words:?}"));
        }
    }
    if parts.wanted.iter().all(|wanted| wanted.lines.is_none()) {
        return Ok(());
    }
    let text = join(&parts.spec);
    let all: Vec<&Edit> = found.iter().flat_map(|diagnostic| &diagnostic.edits).collect();
    let mended = apply(&text, &all)?;
    let due = due(parts);
    if mended != due {
        return Err(format!("the edits give\n{mended}---- instead of\n{due}----"));
    }
    let left = |text: &str| {
        let (_, left) = spec::diagnostics(&case.path, text, &case.arguments);
        left.into_iter()
            .filter(|found| found.code != Code::NotYet && found.severity != Severity::Note)
            .collect::<Vec<_>>()
    };
    if let Some(left) = left(&mended).first() {
        return Err(format!("after its edits there still is: {}", left.message));
    }
    for one in found.iter().filter(|_| found.len() > 1) {
        let edits: Vec<&Edit> = one.edits.iter().collect();
        let left = left(&apply(&text, &edits)?).len();
        if left != found.len() - 1 {
            return Err(format!("after the edit of {:?} there are {left} mistakes", one.message));
        }
    }
    Ok(())
}

/// A text with edits made.
fn apply(text: &str, edits: &[&Edit]) -> Result<String, String> {
    let mut edits = edits.to_vec();
    edits.sort_by_key(|edit| (edit.span.start, edit.span.end));
    if edits.windows(2).any(|pair| pair[0].span.end > pair[1].span.start) {
        return Err("edits overlap".to_string());
    }
    let mut out = text.to_string();
    for edit in edits.iter().rev() {
        out.replace_range(edit.span.range(), &edit.text);
    }
    Ok(out)
}

/// The spec as it should read.
fn due(parts: &Parts) -> String {
    let mut out = Vec::new();
    for (at, line) in parts.spec.iter().enumerate() {
        match parts.wanted.iter().find(|wanted| wanted.line == at).and_then(|wanted| wanted.lines.as_ref()) {
            Some(lines) => out.extend(lines.iter().cloned()),
            None => out.push(line.clone()),
        }
    }
    join(&out)
}

/// The case with its messages.
fn written(parts: &Parts, here: &[Annotation], found: &[Diagnostic], elsewhere: &[String]) -> String {
    let mut out = Vec::new();
    for (at, line) in parts.spec.iter().enumerate() {
        out.push(line.clone());
        for annotation in here.iter().filter(|annotation| annotation.line == at) {
            out.push(annotation.text.clone());
            let help = found[annotation.at].help.iter().flat_map(|help| help.lines());
            out.extend(help.map(|help| format!("//? {help}")));
        }
        out.extend(parts.wanted.iter().filter(|wanted| wanted.line == at).flat_map(|w| w.text.clone()));
    }
    let beyond = here.iter().filter(|annotation| annotation.line >= parts.spec.len());
    out.extend(beyond.map(|annotation| annotation.text.clone()));
    out.extend(elsewhere.iter().cloned());
    join(&out)
}

fn parts(text: &str) -> Result<Parts, String> {
    let mut parts = Parts { spec: Vec::new(), wanted: Vec::new() };
    let text = strata_tests::without_annotations(text);
    for line in text.lines().filter(|line| !line.starts_with("//?")) {
        let (mark, rest) = line.split_at_checked(3).unwrap_or((line, ""));
        if !matches!(mark, "//=" | "//-" | "//+" | "//~" | "//2") {
            parts.spec.push(line.to_string());
            continue;
        }
        let Some(at) = parts.spec.len().checked_sub(1) else { return Err("nothing stands above".into()) };
        if parts.wanted.last().is_none_or(|wanted| wanted.line != at) {
            parts.wanted.push(Wanted { line: at, ..Wanted::default() });
        }
        let Some(wanted) = parts.wanted.last_mut() else { continue };
        wanted.text.push(line.to_string());
        wanted.message |= mark != "//+";
        match mark {
            "//=" | "//+" => wanted.lines.get_or_insert_default().push(rest.to_string()),
            "//-" => _ = wanted.lines.get_or_insert_default(),
            "//~" => wanted.help = Some(rest.trim().to_string()),
            _ => {}
        }
    }
    Ok(parts)
}

fn join(lines: &[String]) -> String {
    lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect()
}

/// That there are enough cases, and that enough of them come with the edit to make. Whether each is as wanted is its
/// own test.
pub fn count(root: &Path) -> Result<(), String> {
    let (mut cases, mut edits, mut said) = (0_usize, 0_usize, 0_usize);
    for path in model_files(root) {
        let (kind, case) = super::read(&path)?;
        if kind != "mistake" {
            continue;
        }
        cases += 1;
        let parts = parts(&case.text)?;
        if !parts.wanted.iter().any(|wanted| wanted.message) {
            return Err(format!("{} expects nothing", path.display()));
        }
        let sound = run(&case).is_ok();
        let made = parts.wanted.iter().any(|wanted| wanted.lines.is_some());
        let told =
            parts.wanted.iter().all(|w| !w.message || w.lines.is_some() || w.help.as_deref() != Some(""));
        edits += usize::from(sound && made);
        said += usize::from(sound && !made && told);
    }
    let summary = format!("{cases} mistakes, {edits} with an edit that mends them, {said} with one in words");
    println!("{summary}");
    if cases < CASES || edits + said < MENDED { Err(summary) } else { Ok(()) }
}
