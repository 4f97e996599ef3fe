//! Files of new examples: what a run is fed with, from files of any kind that `--data` names.

use std::path::{Path, PathBuf};

use strata::run::Run;
use strata_runtime::queue::{
    Arithmetic, ArrayField, CsvField, JsonField, Longer, PictureContent, PictureStep, Recipe, Source, Stage,
    StageKind, inspect_csv, inspect_npz, inspect_parquet,
};

use crate::messages::Failure;

/// Batches of this size; results do not depend on it.
const BATCH: usize = 256;

/// How a file is written, as its name ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Csv,
    Array,
    Npz,
    Json,
    Parquet,
    /// It does not say.
    Other,
}

fn kind(file: &str) -> Kind {
    let plain = file.strip_suffix(".gz").unwrap_or(file);
    let ending = Path::new(plain).extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    match ending.as_deref() {
        Some("csv") => Kind::Csv,
        Some("npy" | "idx") => Kind::Array,
        Some("npz") => Kind::Npz,
        Some("parquet") => Kind::Parquet,
        Some("json" | "jsonl" | "ndjson") => Kind::Json,
        Some(_) | None => Kind::Other,
    }
}

/// What the run is fed with, from other files and without what a prediction does not need. `option` is what the files
/// were given by.
pub fn recipe(files: &[String], run: &Run, needed: &[&str], option: &str) -> Result<Recipe, Failure> {
    let feed = &run.feed.source;
    if matches!(feed, Source::Nothing) {
        return Err(Failure::Usage("the model takes no input, so there is nothing to predict from".into()));
    }
    let source = if matches!(feed, Source::Text { .. }) {
        text(files, feed, needed, option)?
    } else {
        numbers(files, feed, needed, option)?
    };
    let mut stages = Vec::new();
    if let Source::Pictures { .. } = &source {
        stages = pictures(&run.feed.stages);
    } else if run.feed.stages.iter().any(is_white) && needed_pictures(run, needed) {
        let text = "the feed whitens its pictures, which numbers in a file do not go through";
        return Err(Failure::Usage(format!("{text}: give pictures, by {option} FOLDER")));
    }
    if source.fields().iter().any(|field| field.shape.contains(&None)) {
        stages.push(last_bucket(run, needed));
    }
    stages.push(Stage { kind: StageKind::Batch { size: BATCH }, origin: 0 });
    Ok(Recipe { source, stages })
}

fn is_white(stage: &Stage) -> bool {
    matches!(stage.kind, StageKind::Picture(PictureStep::Whiten))
}

fn needed_pictures(run: &Run, needed: &[&str]) -> bool {
    let Source::Pictures { fields, .. } = &run.feed.source else { return false };
    fields.iter().any(|field| {
        needed.contains(&field.name.as_str()) && matches!(field.content, PictureContent::Pixels { .. })
    })
}

/// What happens to the feed's pictures, without chance: pieces from the middle, none mirrored.
fn pictures(stages: &[Stage]) -> Vec<Stage> {
    let step = |stage: &Stage| {
        let StageKind::Picture(step) = &stage.kind else { return None };
        let step = match step {
            PictureStep::RandomCrop { height, width, .. } => {
                PictureStep::Crop { height: *height, width: *width }
            }
            PictureStep::Flip { .. } => return None,
            PictureStep::Resize(_) | PictureStep::Crop { .. } | PictureStep::Whiten => step.clone(),
        };
        Some(Stage { kind: StageKind::Picture(step), origin: stage.origin })
    };
    stages.iter().filter_map(step).collect()
}

/// The file that holds all fields, if there is one. `NAME=` may stand before it where there is no other field.
fn of_all<'a>(files: &'a [String], fields: &[&str]) -> Option<&'a str> {
    let [file] = files else { return None };
    let named = fields.iter().find_map(|name| file.strip_prefix(name)?.strip_prefix('='));
    match (named, fields) {
        (None, _) => Some(file),
        (Some(file), [_]) => Some(file),
        (Some(_), _) => None,
    }
}

/// A text, read as the feed reads its own.
fn text(files: &[String], feed: &Source, needed: &[&str], option: &str) -> Result<Source, Failure> {
    let mut source = feed.clone();
    if let Source::Text { path, fields, .. } = &mut source {
        fields.retain(|field| needed.contains(&field.name.as_str()));
        let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
        let file = of_all(files, &names);
        let file = file.ok_or_else(|| Failure::Usage(format!("expected one text: {option} FILE")))?;
        *path = PathBuf::from(file);
    }
    Ok(source)
}

/// Numbers, from whatever the file holds them in.
fn numbers(files: &[String], feed: &Source, needed: &[&str], option: &str) -> Result<Source, Failure> {
    let wanted = wanted(feed, needed);
    let names: Vec<&str> = wanted.iter().map(|field| field.name.as_str()).collect();
    let Some(only) = of_all(files, &names) else { return arrays(files, wanted, option) };
    match kind(only) {
        Kind::Csv => columns(only, feed, needed, wanted, false),
        Kind::Parquet => columns(only, feed, needed, wanted, true),
        Kind::Npz => npz(only, wanted),
        Kind::Json => Ok(Source::Json { path: only.into(), fields: wanted, origin: 0 }),
        Kind::Array => arrays(files, wanted, option),
        Kind::Other => match feed {
            Source::Csv { .. } => columns(only, feed, needed, wanted, false),
            Source::Parquet { .. } => columns(only, feed, needed, wanted, true),
            Source::Pictures { fields, .. } => {
                let mut fields = fields.clone();
                fields.retain(|field| needed.contains(&field.name.as_str()));
                Ok(Source::Pictures { path: only.into(), fields, skip: false, origin: 0 })
            }
            Source::Arrays { .. } | Source::Json { .. } | Source::Text { .. } | Source::Nothing => {
                arrays(files, wanted, option)
            }
        },
    }
}

/// The inputs that are needed, as the feed makes them and in its order.
fn wanted(feed: &Source, needed: &[&str]) -> Vec<JsonField> {
    let of = |name: &str, shape: &[usize], dtype, arithmetic: &[(Arithmetic, f64)], classes, origin| {
        let (shape, arithmetic) = (shape.to_vec(), arithmetic.to_vec());
        JsonField { name: name.to_string(), shape, dtype, arithmetic, classes, origin }
    };
    let all: Vec<JsonField> = match feed {
        Source::Csv { fields, .. } | Source::Parquet { fields, .. } => fields
            .iter()
            .map(|f| of(&f.name, &f.shape, f.dtype, &f.arithmetic, f.classes, f.origin))
            .collect(),
        Source::Arrays { fields } => fields
            .iter()
            .map(|f| of(&f.name, &f.shape, f.dtype, &f.arithmetic, f.classes, f.origin))
            .collect(),
        Source::Json { fields, .. } => fields.clone(),
        Source::Pictures { fields, .. } => fields
            .iter()
            .map(|f| match &f.content {
                PictureContent::Pixels { shape, arithmetic } => {
                    of(&f.name, shape, f.dtype, arithmetic, None, f.origin)
                }
                PictureContent::Folder { classes } => of(&f.name, &[], f.dtype, &[], *classes, f.origin),
            })
            .collect(),
        Source::Text { .. } | Source::Nothing => Vec::new(),
    };
    all.into_iter().filter(|field| needed.contains(&field.name.as_str())).collect()
}

/// The feed's columns of a csv or parquet file; for another feed, all of a row: the inputs side by side.
fn columns(
    file: &str,
    feed: &Source,
    needed: &[&str],
    wanted: Vec<JsonField>,
    parquet: bool,
) -> Result<Source, Failure> {
    let path = PathBuf::from(file);
    let source = |header, fields, origin| {
        if parquet {
            Source::Parquet { path: path.clone(), fields, origin }
        } else {
            Source::Csv { path: path.clone(), header, fields, origin }
        }
    };
    let own = match feed {
        Source::Csv { header, fields, origin, .. } => Some((*header, fields, *origin)),
        Source::Parquet { fields, origin, .. } => Some((None, fields, *origin)),
        Source::Arrays { .. }
        | Source::Json { .. }
        | Source::Pictures { .. }
        | Source::Text { .. }
        | Source::Nothing => None,
    };
    if let Some((header, fields, origin)) = own {
        let mut fields = fields.clone();
        fields.retain(|field| needed.contains(&field.name.as_str()));
        return Ok(source(header, fields, origin));
    }
    let facts = if parquet { inspect_parquet(&path, 0) } else { inspect_csv(&path, None, 0) };
    let facts = facts.map_err(|e| Failure::Message(e.to_string()))?;
    let width = |field: &JsonField| field.shape.iter().product::<usize>();
    let total: usize = wanted.iter().map(width).sum();
    if facts.columns.len() != total {
        let parts: Vec<String> = wanted.iter().map(|f| format!("{} of `{}`", width(f), f.name)).collect();
        return Err(Failure::Message(format!(
            "{file}: expected rows of {total} numbers ({}), found {} columns",
            parts.join(", then "),
            facts.columns.len()
        )));
    }
    let mut next = 0;
    let fields = wanted.into_iter().map(|field| {
        let columns = next..next + width(&field);
        next = columns.end;
        let JsonField { name, shape, dtype, arithmetic, classes, origin } = field;
        CsvField { name, columns, shape, dtype, arithmetic, classes, origin }
    });
    Ok(source(None, fields.collect(), 0))
}

fn array(wanted: JsonField, path: PathBuf, member: Option<String>) -> ArrayField {
    let JsonField { name, shape, dtype, arithmetic, classes, origin } = wanted;
    ArrayField { name, path, member, shape, dtype, arithmetic, classes, origin }
}

/// A file for each input: `image=a.npy`, or without a name where there is only one.
fn arrays(files: &[String], wanted: Vec<JsonField>, option: &str) -> Result<Source, Failure> {
    let single = (wanted.len() == 1 && files.len() == 1).then(|| files[0].clone());
    let mut fields = Vec::new();
    for field in wanted {
        let prefix = format!("{}=", field.name);
        let named = files.iter().find_map(|file| file.strip_prefix(&prefix).map(str::to_string));
        let Some(file) = named.or(single.clone()) else {
            let text = format!("no file for the input `{0}`: {option} {0}=FILE", field.name);
            return Err(Failure::Usage(text));
        };
        fields.push(array(field, file.into(), None));
    }
    Ok(Source::Arrays { fields })
}

/// An archive's arrays by the names of the inputs; of a single one the name does not matter.
fn npz(file: &str, wanted: Vec<JsonField>) -> Result<Source, Failure> {
    let facts = inspect_npz(Path::new(file), 0).map_err(|e| Failure::Message(e.to_string()))?;
    let lone = match (wanted.as_slice(), facts.arrays.as_slice()) {
        ([_], [(name, _)]) => Some(name.clone()),
        _ => None,
    };
    let member = |field: &JsonField| lone.clone().unwrap_or_else(|| field.name.clone());
    let fields = wanted.into_iter().map(|field| {
        let member = member(&field);
        array(field, file.into(), Some(member))
    });
    Ok(Source::Arrays { fields: fields.collect() })
}

/// The feed's last bucket alone: the rows that are written keep the order of those that were read.
fn last_bucket(run: &Run, needed: &[&str]) -> Stage {
    let mut last = Vec::new();
    let mut at = 0;
    for stage in &run.feed.stages {
        if let StageKind::Bucket { lengths, .. } = &stage.kind {
            let own = lengths.iter().filter(|(field, _)| needed.contains(&field.as_str()));
            last =
                own.map(|(field, all)| (field.clone(), all.last().copied().into_iter().collect())).collect();
            at = stage.origin;
        }
    }
    Stage { kind: StageKind::Bucket { lengths: last, longer: Longer::Refuse }, origin: at }
}
