//! Specs as tests load them: files read from the case's folder, facts about the data that they name.

use std::path::Path;

use strata::check::{Content, DataFacts, DataSource, Format, Settings, SourceFacts, check, data_sources};
use strata::load::{Loaded, load};
use strata_grammar::Diagnostic;
use strata_runtime::queue::{
    DataError, Fault, inspect_array, inspect_csv, inspect_npz, inspect_parquet, inspect_picture,
    inspect_pictures, inspect_text, inspect_tokenizer, inspect_weights,
};

/// Everything that is said of a spec that lies at `path`, with `--set` arguments as the command line takes them.
pub fn diagnostics(path: &Path, text: &str, arguments: &str) -> (Loaded, Vec<Diagnostic>) {
    let loaded = load_case(path, text);
    let settings = settings(arguments);
    let (_, checked) = check(&loaded, &facts_of(path, &loaded, &settings), &settings);
    let mut all = loaded.diagnostics.clone();
    all.extend(checked);
    (loaded, all)
}

/// The spec `text`, as if it lay at `path`, with what it uses. Files are named relative to its folder.
pub fn load_case(path: &Path, text: &str) -> Loaded {
    let folder = path.parent().unwrap_or(Path::new(""));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    load(&name, &mut |wanted: &str| {
        if wanted == name {
            Ok(text.as_bytes().to_vec())
        } else {
            std::fs::read(folder.join(wanted)).map_err(|e| reason(&e))
        }
    })
}

/// `units=3 depth=2`
pub fn settings(arguments: &str) -> Settings {
    let set = arguments.split_whitespace().filter_map(|word| word.split_once('='));
    Settings { set: set.map(|(a, b)| (a.into(), b.into())).collect(), ..Settings::default() }
}

/// What the data files of a spec that lies at `path` hold.
pub fn facts_of(path: &Path, loaded: &Loaded, settings: &Settings) -> DataFacts {
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut facts = DataFacts::default();
    for source in data_sources(loaded, settings) {
        facts.sources.insert(source.key.clone(), inspect(folder, &source));
    }
    facts
}

fn inspect(folder: &Path, source: &DataSource) -> Result<SourceFacts, DataError> {
    let there = source.candidates.iter().map(|path| folder.join(path)).find(|path| path.exists());
    let Some(path) = there else {
        return Err(DataError::new(0, Fault::Missing { tried: source.candidates.clone() }));
    };
    let content = match &source.key.format {
        Format::Csv { header } => Content::Csv(inspect_csv(&path, *header, 0)?),
        Format::Parquet => Content::Csv(inspect_parquet(&path, 0)?),
        Format::Array => Content::Array(inspect_array(&path, 0)?),
        Format::Npz => Content::Npz(inspect_npz(&path, 0)?),
        Format::Pictures { classes } => Content::Pictures(inspect_pictures(&path, *classes, 0)?),
        Format::Text { part, units } => Content::Text(inspect_text(&path, *part, units, 0)?),
        Format::Tokenizer => Content::Tokenizer(inspect_tokenizer(&path, 0)?),
        Format::Weights => Content::Weights(inspect_weights(&path, 0)?),
        Format::Picture => {
            inspect_picture(&path, 0)?;
            Content::Picture
        }
    };
    Ok(SourceFacts { path, content })
}

/// Without the part of the message that differs between systems.
fn reason(error: &std::io::Error) -> String {
    if error.kind() == std::io::ErrorKind::NotFound { "no such file".to_string() } else { error.to_string() }
}
