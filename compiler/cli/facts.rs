//! What is known of the data files that a spec names: asked of the runtime, and remembered while they stay as
//! they are.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use strata::check::{Content, DataFacts, DataSource, Format, Settings, SourceFacts, data_sources};
use strata::load::Loaded;
use strata_runtime::queue::{
    DataError, Fault, inspect_array, inspect_csv, inspect_npz, inspect_parquet, inspect_picture,
    inspect_pictures, inspect_text, inspect_tokenizer, inspect_weights, locate, picture_stamps,
};

/// Facts about files, with what tells whether a file is still the same.
#[derive(Default)]
pub struct Facts {
    known: HashMap<(PathBuf, Format), (Stamp, Found)>,
}

/// What is in a file, or why that cannot be known.
type Found = Result<Content, DataError>;

/// Length and time of the last change; of a folder of pictures those of the folders in it too, which do not tell when a
/// picture was altered in place. Empty where the system does not say.
type Stamp = Vec<(u64, Option<SystemTime>)>;

impl Facts {
    /// Facts about every data file that is named.
    pub fn of(&mut self, loaded: &Loaded, settings: &Settings) -> DataFacts {
        let sources = data_sources(loaded, settings);
        let facts = sources.into_iter().map(|source| (source.key.clone(), self.source(&source)));
        DataFacts { sources: facts.collect() }
    }

    /// Facts without which there is no model or nothing that it is fed with: of the files that vocabularies are made of,
    /// which give a model its sizes, and of those whose columns are called by name, if they are there.
    pub fn of_sizes_and_names(&mut self, loaded: &Loaded, settings: &Settings) -> DataFacts {
        let mut facts = DataFacts::default();
        for source in data_sources(loaded, settings) {
            let found = match &source.key.format {
                Format::Text { units, .. } if !units.is_empty() => self.source(&source),
                Format::Tokenizer => self.source(&source),
                Format::Csv { .. } | Format::Parquet if source.by_name => match self.source(&source) {
                    Ok(found) => Ok(found),
                    Err(_) => continue,
                },
                Format::Text { .. }
                | Format::Csv { .. }
                | Format::Parquet
                | Format::Array
                | Format::Npz
                | Format::Pictures { .. }
                | Format::Weights
                | Format::Picture => continue,
            };
            facts.sources.insert(source.key, found);
        }
        facts
    }

    fn source(&mut self, source: &DataSource) -> Result<SourceFacts, DataError> {
        let tried = || DataError::new(0, Fault::Missing { tried: source.candidates.clone() });
        let path = source.candidates.iter().find_map(|path| locate(path)).ok_or_else(tried)?;
        let content = self.content(&path, &source.key.format)?;
        Ok(SourceFacts { path, content })
    }

    fn content(&mut self, path: &Path, format: &Format) -> Found {
        // Of what is no file or cannot be asked, `inspect` says so.
        let stamp = stamp(path, format);
        let key = (path.to_path_buf(), format.clone());
        if let Some((then, content)) = self.known.get(&key)
            && *then == stamp
        {
            return content.clone();
        }
        let content = match format {
            Format::Parquet => inspect_parquet(path, 0).map(Content::Csv),
            Format::Csv { header } => inspect_csv(path, *header, 0).map(Content::Csv),
            Format::Array => inspect_array(path, 0).map(Content::Array),
            Format::Npz => inspect_npz(path, 0).map(Content::Npz),
            Format::Pictures { classes } => inspect_pictures(path, *classes, 0).map(Content::Pictures),
            Format::Text { part, units } => inspect_text(path, *part, units, 0).map(Content::Text),
            Format::Tokenizer => inspect_tokenizer(path, 0).map(Content::Tokenizer),
            Format::Weights => inspect_weights(path, 0).map(Content::Weights),
            Format::Picture => inspect_picture(path, 0).map(|()| Content::Picture),
        };
        self.known.insert(key, (stamp, content.clone()));
        content
    }
}

/// What tells whether the file is still the same.
fn stamp(path: &Path, format: &Format) -> Stamp {
    match format {
        Format::Pictures { .. } => {
            let stamps = picture_stamps(path, 0).unwrap_or_default();
            stamps.into_iter().map(|(_, length, time)| (length, time)).collect()
        }
        Format::Csv { .. }
        | Format::Parquet
        | Format::Array
        | Format::Npz
        | Format::Text { .. }
        | Format::Tokenizer
        | Format::Weights
        | Format::Picture => {
            fs::metadata(path).map(|data| (data.len(), data.modified().ok())).into_iter().collect()
        }
    }
}
