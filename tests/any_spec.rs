//! The checker holds for any text: it ends in diagnostics, without panic, in bounded time; and it is quick on a deep
//! net.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, RngSeed};
use strata::check::{DataFacts, Settings, check};
use strata::unfold::{Phase, unfold};
use strata_tests::spec::load_case;
use strata_tests::{model_files, without_annotations};

/// Generous: what is measured takes a fraction of it, on a machine that does other things besides.
const TIME: Duration = Duration::from_secs(30);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

/// Every case of the parser, the formatter and the checker.
fn seeds() -> Vec<String> {
    let folders = ["check", "parse", "fmt"];
    let files = folders.iter().flat_map(|folder| model_files(&root().join(folder)));
    files.map(|path| without_annotations(&std::fs::read_to_string(path).expect("a case file"))).collect()
}

/// What must hold for any text.
fn holds(text: &str) {
    let began = Instant::now();
    let loaded = load_case(&root().join("check/any.model"), text);
    let (checked, found) = check(&loaded, &DataFacts::default(), &Settings::default());
    assert!(began.elapsed() < TIME, "{:?} for {} bytes:\n{text}", began.elapsed(), text.len());
    for found in &found {
        for span in found.labels.iter().map(|label| label.span).chain([found.primary.span]) {
            let source = loaded.sources.get(span.file);
            assert!(source.text.get(span.range()).is_some(), "{found:?} points outside its text");
        }
        assert!(!found.message.is_empty() && !found.message.contains('\n'), "{:?}", found.message);
    }
    for (at, first) in found.iter().enumerate() {
        let again = found[at + 1..]
            .iter()
            .any(|other| other.primary.span == first.primary.span && other.message == first.message);
        assert!(!again, "said twice: {}", first.message);
    }
    for model in &checked.models {
        for (at, value) in model.values.iter().enumerate() {
            assert!(value.args.iter().all(|arg| (arg.0 as usize) < at), "operands come first");
        }
        // What was checked can be unfolded for any size of its free axes: nothing in it is ill-shaped.
        let all: Vec<String> = model.bindings.iter().map(|(name, _)| name.clone()).collect();
        for size in [1, 3] {
            let binding = vec![size; model.free.len()];
            unfold(model, &binding, Phase::Predict, &all);
            unfold(model, &binding, Phase::Train, &[]);
        }
    }
}

fn config() -> Config {
    Config {
        cases: 400,
        // The same texts every time: a failure here is a failure everywhere.
        rng_algorithm: RngAlgorithm::ChaCha,
        rng_seed: RngSeed::Fixed(20),
        failure_persistence: None,
        max_shrink_iters: 200,
        ..Config::default()
    }
}

/// The words and signs of a text.
fn tokens(text: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for c in text.chars() {
        let word = c.is_alphanumeric() || c == '_';
        match out.last_mut() {
            Some(last) if word && last.ends_with(|c: char| c.is_alphanumeric() || c == '_') => last.push(c),
            _ => out.push(c.to_string()),
        }
    }
    out
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_change_of_a_spec(
        seed in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..4u8), 1..6),
    ) {
        let seeds = seeds();
        let mut text = tokens(&seeds[seed.index(seeds.len())]);
        for (at, other, change) in changes {
            if text.is_empty() {
                break;
            }
            let (at, other) = (at.index(text.len()), other.index(text.len()));
            match change {
                0 => text[at] = text[other].clone(),
                1 => _ = text.remove(at),
                2 => text.swap(at, other),
                _ => text.insert(at, text[other].clone()),
            }
        }
        holds(&text.concat());
    }

    #[test]
    fn any_words(words in prop::collection::vec(prop::sample::select(WORDS), 1..60)) {
        holds(&format!("model Net {{\n input x: f32[batch, 4, height = 6]\n {}\n}}", words.join(" ")));
    }
}

const WORDS: &[&str] = &[
    "x",
    "y",
    "=",
    "\n",
    "|>",
    "dense",
    "(",
    ")",
    "3",
    "0",
    "-1",
    "0.5",
    "1e18",
    "[",
    "]",
    ",",
    "conv",
    "kernel:",
    "+",
    "*",
    "/",
    "@",
    "mean",
    "axis:",
    "-1",
    "batch",
    "loss",
    "param",
    "w",
    ":",
    "f32",
    "i32",
    "zeros",
    "for",
    "i",
    "in",
    "0..3",
    "{",
    "}",
    "\"a\"",
    "concat",
    "split",
    "choose",
    "training",
    ">",
    "relu",
    "max_pool",
    "layer",
    "return",
    "transpose",
    "rename",
    "height:",
    "cast",
    "reshape",
    "state",
    "update",
    "flatten",
    "not",
    "true",
    "%",
    "glorot",
    "uniform",
    "as",
    "frozen",
    "slice",
    "pad",
    "index",
    "random",
    "size",
    "new_axis",
    "fill",
    "pow",
    "9_000_000_000_000_000_000",
    "..",
    "x[0]",
    "x[1..2]",
    "argmax",
    "sum",
    "but:",
    "keep:",
    "stop",
];

#[test]
fn a_deep_net_is_checked_quickly() {
    let mut text =
        String::from("model Deep {\n  input x: f32[batch, height = 32, width = 32, channel = 16]\n");
    for i in 0..200 {
        text += &format!("  x = x |> conv(16, kernel: 3) |> batch_norm |> relu as layer{i}\n");
    }
    text += "  loss mean(x |> flatten |> dense(10))\n}\n";
    text += "data d = csv(\"data/d.csv\", x: columns(0..16384, as: [32, 32, 16]))\n";
    text +=
        "train Deep { feed d |> batch(8)\n optimize adam(rate: 0.001)\n clip norm 5\n stop after 1 epoch }\n";
    let path = root().join("check/deep.model");
    load_case(&path, &text);
    let began = Instant::now();
    let loaded = load_case(&path, &text);
    let (checked, found) = check(&loaded, &DataFacts::default(), &Settings::default());
    let took = began.elapsed();
    assert!(found.is_empty(), "{:?}", found[0].message);
    assert_eq!(checked.runs.len(), 1);
    println!(
        "200 convolutions with their optimizer: {took:?}, {} values",
        checked.runs[0].model.values.len()
    );
    // The figure is for people; what must not be is a check that takes seconds.
    assert!(took < Duration::from_secs(5), "{took:?}");
}
