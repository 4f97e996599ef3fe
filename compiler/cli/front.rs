//! From the path of a spec to what is checked of it: reads texts and facts about data, shows messages.

use std::path::{Path, PathBuf};

use strata::Analysis;
use strata::check::Settings;
use strata::load::Loaded;
use strata::model::Model;
use strata::run::Run;
use strata_grammar::ast::{Definition, Item};
use strata_grammar::did_you_mean;

use crate::facts::Facts;
use crate::messages::{self, Failure, Format};

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
}

impl SpecArgs {
    /// Reads and checks; nothing is shown.
    pub fn analyse(&self, data: &DataArgs) -> Analysis {
        let settings = settings(&self.set, &data.folders);
        let root = self.spec.to_string_lossy();
        strata::analyse(&root, &mut read, &mut |loaded| Facts::default().of(loaded, &settings), &settings)
    }

    /// Reads, checks and shows what is to be said.
    ///
    /// # Errors
    /// [`Failure::Shown`] if the spec has mistakes.
    pub fn read(&self, data: &DataArgs, format: Format) -> Result<Spec, Failure> {
        self.shown(self.analyse(data), format)
    }

    /// The same with a look at such data alone as the model's sizes come from.
    ///
    /// # Errors
    /// As [`SpecArgs::read`].
    pub fn read_without_data(&self, format: Format) -> Result<Spec, Failure> {
        let root = self.spec.to_string_lossy();
        let settings = settings(&self.set, &[]);
        let mut facts = |loaded: &Loaded| Facts::default().of_vocabularies(loaded, &settings);
        self.shown(strata::analyse(&root, &mut read, &mut facts, &settings), format)
    }

    /// Makes sure that there is the model and are the parameters that the command line names.
    ///
    /// # Errors
    /// [`Failure::Usage`] if there are not. A file that is missing may have them.
    pub fn asks_for_what_is_there(&self, loaded: &Loaded) -> Result<(), Failure> {
        if loaded.incomplete {
            return Ok(());
        }
        let items = loaded.files.iter().flat_map(|file| &file.items);
        let models: Vec<&Definition> = items
            .filter_map(|item| match item {
                Item::Model(model) => Some(model),
                Item::Layer(_)
                | Item::Use(_)
                | Item::Devices(_)
                | Item::Place(_)
                | Item::Replicas(_)
                | Item::Data(_)
                | Item::Train(_)
                | Item::Bad(_) => None,
            })
            .collect();
        let mut names = models.iter().filter_map(|model| model.name.as_ref()).map(|name| name.text.as_str());
        if let Some(wanted) = &self.model
            && !names.any(|name| name == wanted)
        {
            return Err(Failure::Usage(format!("--model {wanted}: the spec has no model `{wanted}`")));
        }
        let params: Vec<&str> =
            models.iter().flat_map(|model| &model.params).map(|param| param.name.text.as_str()).collect();
        let Some((name, _)) = self.set.iter().find(|(name, _)| !params.contains(&name.as_str())) else {
            return Ok(());
        };
        let there = match (did_you_mean(name, params.iter().copied()), &params[..]) {
            (Some(near), _) => format!("did you mean `{near}`?"),
            (None, []) => "no model here has parameters: `model Name(units: axis = 64) { … }`".to_string(),
            (None, all) => format!("there is {}", all.join(", ")),
        };
        Err(Failure::Usage(format!("--set {name}: no model here has a parameter `{name}`; {there}")))
    }

    fn shown(&self, analysis: Analysis, format: Format) -> Result<Spec, Failure> {
        messages::show(&analysis.diagnostics, &analysis.loaded.sources, format)?;
        self.asks_for_what_is_there(&analysis.loaded)?;
        Ok(Spec { analysis, model: self.model.clone() })
    }
}

/// What the command line and the environment bind.
pub fn settings(set: &[(String, String)], data: &[PathBuf]) -> Settings {
    let env = std::env::var_os("STRATA_DATA").map(PathBuf::from);
    Settings { set: set.to_vec(), data: data.iter().cloned().chain(env).collect() }
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
        one(&self.analysis.checked.runs, |run| &run.model.name, self.model.as_deref(), "`train` block")
    }

    /// The model asked for: as it is trained, where it is.
    ///
    /// # Errors
    /// None, or several to choose from.
    pub fn model(&self) -> Result<&Model, Failure> {
        match self.run() {
            Ok(run) => Ok(&run.model),
            Err(_) => one(&self.analysis.checked.models, |model| &model.name, self.model.as_deref(), "model"),
        }
    }
}

/// The one of `all` that is called `wanted`, or the only one.
fn one<'a, T>(
    all: &'a [T],
    name: impl Fn(&T) -> &str,
    wanted: Option<&str>,
    noun: &str,
) -> Result<&'a T, Failure> {
    let fitting: Vec<&T> =
        all.iter().filter(|item| wanted.is_none_or(|wanted| name(item) == wanted)).collect();
    match (&fitting[..], wanted) {
        ([only], _) => Ok(only),
        ([], Some(wanted)) => Err(Failure::Usage(format!("the spec has no {noun} for a model `{wanted}`"))),
        ([], None) => Err(Failure::Usage(format!("the spec has no {noun}"))),
        (several, _) => {
            let names: Vec<&str> = several.iter().map(|item| name(item)).collect();
            let text =
                format!("the spec has more than one {noun}: choose with --model {}", names.join(" | "));
            Err(Failure::Usage(text))
        }
    }
}
