//! From the path of a spec to what is checked of it: reads texts and facts about data, shows messages.

use std::path::{Path, PathBuf};

use strata::Analysis;
use strata::check::{DataFacts, Format as DataFormat, Settings, SourceKey};
use strata::load::Loaded;
use strata::model::Model;
use strata::run::Run;
use strata_grammar::ast::{Definition, Item};
use strata_grammar::did_you_mean;

use crate::facts::Facts;
use crate::messages::{self, Failure, Format};
use crate::vocabularies;

/// Which spec, and what the command line binds in it.
#[derive(clap::Args, Clone)]
pub struct SpecArgs {
    /// The `.model` file.
    #[arg(value_name = "SPEC")]
    pub spec: PathBuf,
    /// Set a parameter of the model: `--set units=256`.
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = binding)]
    pub set: Vec<(String, String)>,
    /// Which model, where the spec has several.
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,
    /// Which `train` block, where the spec has several: its `as` name, or its model's.
    #[arg(long, value_name = "NAME")]
    pub run: Option<String>,
}

/// Where data may lie.
#[derive(clap::Args)]
pub struct DataArgs {
    /// A folder to look for data in, after the spec's own; `STRATA_DATA` names another.
    #[arg(long = "data", value_name = "DIR")]
    pub folders: Vec<PathBuf>,
}

fn binding(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().into(), value.trim().into())),
        _ => Err("expected NAME=VALUE".into()),
    }
}

/// A spec that was read and checked.
pub struct Spec {
    /// What came of it.
    pub analysis: Analysis,
    /// The model asked for.
    model: Option<String>,
    /// The run asked for.
    run: Option<String>,
}

impl SpecArgs {
    /// Reads and checks; nothing is shown.
    pub fn analyse(&self, data: &DataArgs) -> Analysis {
        let settings = settings(&self.set, &data.folders);
        self.analyse_with(&settings, |loaded| Facts::default().of(loaded, &settings))
    }

    /// Reads, checks and shows what is to be said.
    ///
    /// # Errors
    /// [`Failure::Shown`] if the spec has mistakes.
    pub fn read(&self, data: &DataArgs, format: Format) -> Result<Spec, Failure> {
        self.shown(self.analyse(data), format)
    }

    /// Reads and checks for a run that goes on: its variables are its own, and the files that it began with are not
    /// looked at.
    ///
    /// # Errors
    /// As [`SpecArgs::read`].
    pub fn read_on(&self, data: &DataArgs, format: Format) -> Result<Spec, Failure> {
        let settings = settings(&self.set, &data.folders);
        let facts = |loaded: &Loaded| {
            let mut facts = Facts::default().of(loaded, &settings);
            facts.sources.retain(|key, _| !is_start(key));
            facts
        };
        self.shown(self.analyse_with(&settings, facts), format)
    }

    /// Reads and checks for whoever takes the parameters of a run on: texts are read with the run's vocabularies, and
    /// files that are not there are told by whoever opens them.
    ///
    /// # Errors
    /// As [`SpecArgs::read`].
    pub fn read_with(&self, folders: &[PathBuf], params: &Path, format: Format) -> Result<Spec, Failure> {
        let vocabularies = vocabularies::beside(params)?;
        let kept = !vocabularies.is_empty();
        let settings = Settings { vocabularies, ..settings(&self.set, folders) };
        let facts = |loaded: &Loaded| {
            let mut facts = Facts::default().of(loaded, &settings);
            facts.sources.retain(|key, found| !is_start(key) && (found.is_ok() || !kept));
            facts
        };
        self.shown(self.analyse_with(&settings, facts), format)
    }

    /// The same with a look at such data alone as the model's sizes and the names of columns come from.
    ///
    /// # Errors
    /// As [`SpecArgs::read`].
    pub fn read_without_data(
        &self,
        folders: &[PathBuf],
        params: Option<&Path>,
        format: Format,
    ) -> Result<Spec, Failure> {
        let vocabularies = params.map(vocabularies::beside).transpose()?.unwrap_or_default();
        let kept = !vocabularies.is_empty();
        let settings = Settings { vocabularies, ..settings(&self.set, folders) };
        let facts = |loaded: &Loaded| {
            if kept { DataFacts::default() } else { Facts::default().of_sizes_and_names(loaded, &settings) }
        };
        self.shown(self.analyse_with(&settings, facts), format)
    }

    /// Makes sure that the model, the run and the parameters are there that the command line names.
    ///
    /// # Errors
    /// [`Failure::Usage`] if they are not. A file that is missing may have them.
    pub fn asks_for_what_is_there(&self, loaded: &Loaded) -> Result<(), Failure> {
        if loaded.incomplete {
            return Ok(());
        }
        let items = || loaded.files.iter().flat_map(|file| &file.items);
        let models: Vec<&Definition> = items().filter_map(model).collect();
        let names = models.iter().filter_map(|model| model.name.as_ref()).map(|name| name.text.as_str());
        if let Some(wanted) = &self.model {
            is_there(wanted, &names.collect::<Vec<_>>(), ("model", "--model"))?;
        }
        if let Some(wanted) = &self.run {
            is_there(wanted, &items().filter_map(run_name).collect::<Vec<_>>(), RUN)?;
        }
        let params: Vec<&str> =
            models.iter().flat_map(|model| &model.params).map(|param| param.name.text.as_str()).collect();
        let Some((name, _)) = self.set.iter().find(|(name, _)| !params.contains(&name.as_str())) else {
            return Ok(());
        };
        let there = what_there_is(name, &params).unwrap_or_else(|| {
            "no model here has parameters: `model Name(units: axis = 64) { … }`".to_string()
        });
        Err(Failure::Usage(format!("--set {name}: no model here has a parameter `{name}`; {there}")))
    }

    fn analyse_with(&self, settings: &Settings, mut facts: impl FnMut(&Loaded) -> DataFacts) -> Analysis {
        strata::analyse(&self.spec.to_string_lossy(), &mut read, &mut facts, settings)
    }

    fn shown(&self, analysis: Analysis, format: Format) -> Result<Spec, Failure> {
        messages::show(&analysis.diagnostics, &analysis.loaded.sources, format)?;
        self.asks_for_what_is_there(&analysis.loaded)?;
        Ok(Spec { analysis, model: self.model.clone(), run: self.run.clone() })
    }
}

/// Whether variables begin with what is in it.
fn is_start(key: &SourceKey) -> bool {
    matches!(key.format, DataFormat::Weights | DataFormat::Picture)
}

/// What a run is called in messages, and the option that chooses one.
const RUN: (&str, &str) = ("`train` block", "--run");

fn model(item: &Item) -> Option<&Definition> {
    match item {
        Item::Model(model) => Some(model),
        Item::Layer(_)
        | Item::Use(_)
        | Item::Devices(_)
        | Item::Place(_)
        | Item::Replicas(_)
        | Item::Names(_)
        | Item::Data(_)
        | Item::Train(_)
        | Item::Bad(_) => None,
    }
}

/// What a `train` block is called: its `as` name, or else its model's.
fn run_name(item: &Item) -> Option<&str> {
    match item {
        Item::Train(train) => train.name.as_ref().or(train.model.as_ref()).map(|name| name.text.as_str()),
        Item::Model(_)
        | Item::Layer(_)
        | Item::Use(_)
        | Item::Devices(_)
        | Item::Place(_)
        | Item::Replicas(_)
        | Item::Names(_)
        | Item::Data(_)
        | Item::Bad(_) => None,
    }
}

/// Makes sure that one of `all` is called `wanted`; in words what they are, and the option that chooses.
fn is_there(wanted: &str, all: &[&str], (noun, option): (&str, &str)) -> Result<(), Failure> {
    if all.contains(&wanted) {
        return Ok(());
    }
    let there = what_there_is(wanted, all).unwrap_or_else(|| "it has none at all".to_string());
    Err(Failure::Usage(format!("{option} {wanted}: the spec has no {noun} `{wanted}`; {there}")))
}

/// The name that may have been meant, or else all names; `None` where there is none.
fn what_there_is(wanted: &str, all: &[&str]) -> Option<String> {
    match (did_you_mean(wanted, all.iter().copied()), all) {
        (Some(near), _) => Some(format!("did you mean `{near}`?")),
        (None, []) => None,
        (None, all) => Some(format!("there is {}", all.join(", "))),
    }
}

/// What the command line and the environment bind.
pub fn settings(set: &[(String, String)], data: &[PathBuf]) -> Settings {
    let env = std::env::var_os("STRATA_DATA").map(PathBuf::from);
    let data = data.iter().cloned().chain(env).collect();
    Settings { set: set.to_vec(), data, ..Settings::default() }
}

/// The bytes of a file, or why there are none.
pub fn read(path: &str) -> Result<Vec<u8>, String> {
    std::fs::read(Path::new(path)).map_err(|error| error.to_string())
}

impl Spec {
    /// The `train` block asked for.
    ///
    /// # Errors
    /// None, or several to choose from.
    pub fn run(&self) -> Result<&Run, Failure> {
        let mut items = self.analysis.loaded.files.iter().flat_map(|file| &file.items);
        if self.analysis.checked.runs.is_empty() && items.any(|item| run_name(item).is_some()) {
            let text =
                "what the `train` block is fed with cannot be made out, as data that it names are not there";
            return Err(Failure::Message(text.to_string()));
        }
        let wanted = |run: &&Run| self.model.as_ref().is_none_or(|model| run.model.name == *model);
        let runs: Vec<&Run> = self.analysis.checked.runs.iter().filter(wanted).collect();
        if let (Some(model), true) = (&self.model, runs.is_empty()) {
            return Err(Failure::Usage(format!("the spec has no `train` block for a model `{model}`")));
        }
        one(&runs, |run| &run.name, self.run.as_deref(), RUN).copied()
    }

    /// The model asked for: as it is trained, where it is.
    ///
    /// # Errors
    /// None, or several to choose from; no such run.
    pub fn model(&self) -> Result<&Model, Failure> {
        match self.run() {
            Ok(run) => Ok(&run.model),
            Err(failure) if self.run.is_some() => Err(failure),
            Err(_) => {
                let all = &self.analysis.checked.models;
                one(all, |model| &model.name, self.model.as_deref(), ("model", "--model"))
            }
        }
    }
}

/// The one of `all` that is called `wanted`, or the only one; in words what they are, and the option that chooses.
fn one<'a, T>(
    all: &'a [T],
    name: impl Fn(&T) -> &str,
    wanted: Option<&str>,
    (noun, option): (&str, &str),
) -> Result<&'a T, Failure> {
    let names: Vec<&str> = all.iter().map(&name).collect();
    if let Some(wanted) = wanted {
        is_there(wanted, &names, (noun, option))?;
    }
    let fitting: Vec<&T> =
        all.iter().filter(|item| wanted.is_none_or(|wanted| name(item) == wanted)).collect();
    match &fitting[..] {
        [only] => Ok(only),
        [] => Err(Failure::Usage(format!("the spec has no {noun}"))),
        _ => {
            let text =
                format!("the spec has more than one {noun}: choose with {option} {}", names.join(" | "));
            Err(Failure::Usage(text))
        }
    }
}
