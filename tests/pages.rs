//! The pages of the checker's messages: the example of each raises its code and no other, and what the page says
//! about the repair is true. And the specs that are shipped: each is sound, and a page speaks of it.

use std::fs;
use std::path::{Path, PathBuf};

use strata::check::{KeptVocabulary, Settings, check};
use strata::graph_of;
use strata_grammar::{Code, Diagnostic, Report};
use strata_runtime::queue::Unit;
use strata_runtime::train::Phase;
use strata_tests::{fenced, model_files, root, spec};

fn said(text: &str) -> Vec<Diagnostic> {
    // Examples speak of the data that is shipped beside the specs.
    spec::diagnostics(&root().join("specs/spec.model"), text, "").1
}

#[test]
fn examples_raise_their_code_and_no_other() {
    for code in Code::ALL {
        let name = code.name();
        let Some(example) = fenced(code.page(), "```model\n") else {
            assert!(NO_TEXT.contains(&name), "{name}: the page has no example");
            continue;
        };
        let found = said(example);
        assert!(!found.is_empty(), "{name}: nothing is said of the example");
        for found in found {
            assert_eq!(found.code, *code, "{name}: {}", found.message);
        }
    }
}

#[test]
fn repairs_are_right() {
    for code in Code::ALL {
        let Some(fixed) = fenced(code.page(), "```model fixed\n") else { continue };
        let found = said(fixed);
        assert!(found.is_empty(), "{}: {:?}", code.name(), found[0].message);
    }
}

/// The specs that are shipped.
fn specs() -> Vec<PathBuf> {
    model_files(&root().join("specs"))
}

/// What is checked of a spec; of data that are not shipped, nobody asks what is in them.
fn compiles(path: &Path) {
    let text = fs::read_to_string(path).expect("a spec is text");
    let loaded = spec::load_case(path, &text);
    let mut settings = Settings::default();
    let mut facts = spec::facts_of(path, &loaded, &settings);
    let shipped = |path: &str| root().join("specs").join(path).exists();
    let all = facts.sources.len();
    facts.sources.retain(|key, found| found.is_ok() || shipped(&key.path));
    if facts.sources.len() < all {
        // As where a run has kept what it made of texts.
        let words = KeptVocabulary { unit: Unit::Words, tokens: vec!["a".to_string()] };
        let kept = ["source", "target"].map(|field| (field.to_string(), words.clone()));
        settings.vocabularies = kept.into();
    }
    let (checked, found) = check(&loaded, &facts, &settings);
    if let Some(found) = loaded.diagnostics.iter().chain(&found).next() {
        panic!("{}", Report::new(found, &loaded.sources).short());
    }
    let models = checked.runs.iter().map(|run| &run.model).chain(&checked.models);
    let mut count = 0;
    for model in models {
        let binding = vec![4; model.free.len()];
        for phase in [Phase::Train, Phase::Evaluate] {
            assert!(!graph_of(model, &binding, phase, &[]).outputs.is_empty(), "{}", path.display());
        }
        count += 1;
    }
    assert!(count > 0, "{}: no model", path.display());
}

#[test]
fn specs_compile() {
    let specs = specs();
    assert!(specs.len() > 10, "{specs:?}");
    specs.iter().for_each(|path| compiles(path));
}

#[test]
fn specs_and_pages_speak_of_each_other() {
    let mut pages = vec![fs::read_to_string(root().join("README.md")).expect("there is one")];
    for page in fs::read_dir(root().join("specs")).expect("there are specs").flatten() {
        let path = page.path();
        if path.extension().is_some_and(|extension| extension == "md") {
            assert!(path.with_extension("model").exists(), "{}: its spec is gone", path.display());
            pages.push(fs::read_to_string(path).expect("a page is text"));
        }
    }
    for spec in specs() {
        let name = spec.file_name().expect("a file has a name").to_string_lossy();
        assert!(pages.iter().any(|page| page.contains(&*name)), "no page speaks of {name}");
    }
}

/// Codes that no text of a spec raises: only running does, or only what is no text.
const NO_TEXT: &[&str] = &["not-finite", "index-range", "not-utf8", "device-memory", "device-failed"];
