//! The vocabularies of a run lie in its folder: whoever takes parameters on from there reads texts as the run did.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use strata::check::KeptVocabulary;
use strata::run::Run;
use strata_grammar::{Code, Diagnostic};
use strata_runtime::log;
use strata_runtime::queue::{Input, Vocabulary};

use crate::messages::Failure;
use crate::record;

/// The file's name.
const FILE: &str = "vocabulary.json";
/// Names our files.
const FORMAT: &str = "strata vocabulary";
/// The version that is written; none above it is read.
const VERSION: u64 = 1;

/// How the file is written.
#[derive(Serialize, Deserialize)]
struct Stored {
    format: String,
    version: u64,
    /// By the names of the fields of the data that was trained on.
    fields: BTreeMap<String, KeptVocabulary>,
}

/// The vocabularies that lie beside a file of parameters; none where the run read no texts.
///
/// # Errors
/// A file that cannot be read, or is not ours.
pub fn beside(params: &Path) -> Result<BTreeMap<String, KeptVocabulary>, Failure> {
    read(&params.with_file_name(FILE))
}

fn read(path: &Path) -> Result<BTreeMap<String, KeptVocabulary>, Failure> {
    let fail = |what: String| Failure::Message(format!("{}: {what}", path.display()));
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(fail(error.to_string())),
    };
    let damaged = |error: serde_json::Error| fail(format!("it is no vocabulary of a run: {error}"));
    let head: serde_json::Value = serde_json::from_slice(&text).map_err(damaged)?;
    if head["format"] != FORMAT {
        return Err(fail("it is no vocabulary of a run".into()));
    }
    if head["version"].as_u64().is_none_or(|version| version > VERSION) {
        let version = &head["version"];
        return Err(fail(format!(
            "written in version {version} of the format by a newer program; this one knows versions up to {VERSION}"
        )));
    }
    let stored: Stored = serde_json::from_value(head).map_err(damaged)?;
    Ok(stored.fields)
}

/// Keeps the vocabularies of a new run's data in its folder; there is no file where texts have none.
///
/// # Errors
/// A folder that cannot be written to.
pub fn keep(log: &log::Run, data: &Input) -> Result<(), Failure> {
    if data.vocabularies().is_empty() {
        return Ok(());
    }
    let kept = |vocabulary: &Vocabulary| KeptVocabulary {
        unit: vocabulary.unit(),
        tokens: vocabulary.entries().to_vec(),
    };
    let fields = data.vocabularies().iter().map(|(name, vocabulary)| (name.to_string(), kept(vocabulary)));
    let stored = Stored { format: FORMAT.into(), version: VERSION, fields: fields.collect() };
    let text = serde_json::to_vec(&stored).map_err(|error| Failure::Message(error.to_string()))?;
    log.put(FILE, &text).map(drop).map_err(record::unwritable)
}

/// What is to be said where a run that goes on would read texts otherwise than it did before.
///
/// # Errors
/// The run's file that cannot be read.
pub fn changed(folder: &Path, run: &Run, data: &Input) -> Result<Option<Diagnostic>, Failure> {
    let kept = read(&folder.join(FILE))?;
    let how = data.vocabularies().iter().find_map(|(name, now)| {
        let how = kept.get(&**name)?.differs(now.entries())?;
        Some(format!("the vocabulary of `{name}` is another than when the run was begun: {how}"))
    });
    Ok(how.map(|message| {
        Diagnostic::error(Code::DataMismatch, run.span, message)
            .help("bring the text back that the run was begun with, or begin a new run")
    }))
}
