//! `// check`: what the checker says of a spec, under the lines where it is. Data files lie beside the case.

use std::path::Path;

use strata::check::{Content, DataFacts, DataSource, Format, Settings, SourceFacts, check, data_sources};
use strata::load::{Loaded, load};
use strata_grammar::Diagnostic;
use strata_runtime::queue::{DataError, Fault, inspect_csv, inspect_idx};
use strata_tests::{Case, with_annotations, without_annotations};

pub fn run(case: &Case) -> Result<String, String> {
    let (loaded, diagnostics) = diagnostics(&case.path, &without_annotations(&case.text), &case.arguments);
    let own =
        diagnostics.iter().filter(|d| d.primary.span.file == loaded.root()).cloned().collect::<Vec<_>>();
    if own.len() < diagnostics.len() {
        let lost = diagnostics.iter().find(|d| d.primary.span.file != loaded.root());
        return Err(format!("a message outside the case: {lost:?}"));
    }
    Ok(with_annotations(&loaded.sources, loaded.root(), &own))
}

/// Everything that is said of a spec that lies at `path`, with `--set` arguments as the command line takes them.
pub fn diagnostics(path: &Path, text: &str, arguments: &str) -> (Loaded, Vec<Diagnostic>) {
    let name = path.display().to_string();
    let mut read = |wanted: &str| {
        if wanted == name {
            Ok(text.to_string())
        } else {
            std::fs::read_to_string(wanted).map_err(|e| reason(&e))
        }
    };
    let loaded = load(&name, &mut read);
    let set = arguments.split_whitespace().filter_map(|word| word.split_once('='));
    let settings = Settings { set: set.map(|(a, b)| (a.into(), b.into())).collect(), data: Vec::new() };
    let facts = facts(&data_sources(&loaded, &settings));
    let (_, checked) = check(&loaded, &facts, &settings);
    let mut all = loaded.diagnostics.clone();
    all.extend(checked);
    (loaded, all)
}

/// Without the part of the message that differs between systems.
fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "no such file".to_string(),
        _ => error.to_string(),
    }
}

fn facts(sources: &[DataSource]) -> DataFacts {
    let mut facts = DataFacts::default();
    for source in sources {
        facts.sources.insert(source.key.clone(), inspect(source));
    }
    facts
}

fn inspect(source: &DataSource) -> Result<SourceFacts, DataError> {
    let Some(path) = source.candidates.iter().find(|path| path.exists()) else {
        let tried = vec![source.key.path.clone().into()];
        return Err(DataError::new(0, Fault::Missing { tried }));
    };
    let content = match source.format {
        Format::Csv { header } => Content::Csv(inspect_csv(path, header, 0)?),
        Format::Idx => Content::Idx(inspect_idx(path, 0)?),
    };
    Ok(SourceFacts { path: path.clone(), content })
}
