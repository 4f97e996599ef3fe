//! The road from text to machine: load, check, unfold, passes, lower.
//!
//! ```text
//! spec.model ──load──▶ trees ──check──▶ Model ──unfold──▶ Graph ──passes──▶ Graph ──lower──▶ Plan
//! ```
//! The runtime loads the plan and runs it; `machine` puts a model's variables and programs on this machine.

pub mod check;
pub mod compare;
pub mod cost;
pub mod decode;
pub mod graph;
pub mod graph_svg;
pub mod graph_text;
pub mod ide;
pub mod load;
pub mod lower;
pub mod machine;
pub mod model;
pub mod model_listing;
pub mod model_text;
pub mod ops;
pub mod partition;
pub mod passes;
pub mod placement;
pub mod reference;
pub mod report;
pub mod run;
pub mod sequences;
pub mod totals;
pub mod types;
pub mod unfold;
pub mod verify;

use check::{Checked, DataFacts, Settings};
use graph::Graph;
use load::Loaded;
use model::Model;
use strata_grammar::Diagnostic;
use strata_runtime::train::Phase;

/// A spec that was read and checked.
#[derive(Debug)]
pub struct Analysis {
    /// Its texts and trees.
    pub loaded: Loaded,
    /// What they mean.
    pub checked: Checked,
    /// What was known of its data files.
    pub facts: DataFacts,
    /// Everything that is to be said of them.
    pub diagnostics: Vec<Diagnostic>,
}

/// What came of the texts of a spec the last time.
#[derive(Debug, Default)]
pub struct Memory {
    /// Trees.
    pub texts: strata_grammar::Memory,
    /// Models.
    pub models: check::Memory,
}

/// Reads the spec `root` through `read`, asks `facts` about its data files, and checks it.
pub fn analyse(
    root: &str,
    read: &mut dyn FnMut(&str) -> Result<Vec<u8>, String>,
    facts: &mut dyn FnMut(&Loaded) -> DataFacts,
    settings: &Settings,
) -> Analysis {
    let loaded = load::load(root, read);
    let facts = facts(&loaded);
    let checked = check::check(&loaded, &facts, settings);
    analysis(loaded, facts, checked)
}

/// The same, for a spec that was analysed before with the same settings: what did not change is taken from `memory`.
pub fn analyse_again(
    root: &str,
    read: &mut dyn FnMut(&str) -> Result<Vec<u8>, String>,
    facts: &mut dyn FnMut(&Loaded) -> DataFacts,
    settings: &Settings,
    memory: &mut Memory,
) -> Analysis {
    let loaded = load::load_again(root, read, &mut memory.texts);
    let facts = facts(&loaded);
    let checked = check::check_again(&loaded, &facts, settings, &mut memory.models);
    analysis(loaded, facts, checked)
}

fn analysis(mut loaded: Loaded, facts: DataFacts, (checked, found): (Checked, Vec<Diagnostic>)) -> Analysis {
    let mut diagnostics = std::mem::take(&mut loaded.diagnostics);
    diagnostics.extend(found);
    Analysis { loaded, checked, facts, diagnostics }
}

/// The optimised graph of one program of a model, with `binding[f]` as the size of its free axis `f`; `wanted`
/// names the bindings that `Phase::Predict` hands out.
pub fn graph_of(model: &Model, binding: &[u64], phase: Phase, wanted: &[String]) -> Graph {
    passes::optimise(unfold::unfold(model, binding, phase, wanted))
}
