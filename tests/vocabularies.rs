//! A run's vocabulary lies in its folder, and whoever takes its parameters on reads texts by it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops where it stands")]

mod support;

use std::fs;
use std::path::Path;

use support::{Done, run_folder, strata};

/// A character model, which both evaluates and writes.
const LETTERS: &str = r#"
model Letters(vocab: axis) {
  input text: i32[batch, ragged time]
  h, _   = embedding(shift(text, with: START), vocab, 8) |> gru(16)
  logits = h |> dense(vocab)
  loss cross_entropy(logits, text)
  generate text { greedy; stop at END; at most 12 }
}

data train = text("train.txt", text: line) |> tokens(characters)
data test  = text("test.txt", text: line) |> tokens(as: train)

train Letters(vocab: size(text)) {
  feed     train |> pad |> batch(4)
  optimize adam(rate: 0.02)
  evaluate test every 5 epochs
  stop     after 5 epochs
}
"#;

fn letters() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("letters.model"), LETTERS).unwrap();
    fs::write(folder.path().join("train.txt"), "abab\nbaba\naabb\nabba\nbbaa\nabab\n").unwrap();
    fs::write(folder.path().join("test.txt"), "abba\nbaab\n").unwrap();
    folder
}

fn generated(folder: &Path, params: &str) -> Done {
    strata(folder, &["generate", "letters.model", "--params", params])
}

#[test]
fn parameters_keep_the_vocabulary_they_were_trained_with() {
    let folder = letters();
    strata(folder.path(), &["train", "letters.model"]).good();
    let run = run_folder(folder.path());
    let kept: serde_json::Value =
        serde_json::from_slice(&fs::read(run.join("vocabulary.json")).unwrap()).unwrap();
    assert_eq!(kept["fields"]["text"]["tokens"], serde_json::json!(["a", "b"]));
    let params = run.join("final.safetensors");
    let params = params.to_str().unwrap();
    let eval = ["eval", "letters.model", "--params", params, "--json"];
    let before = strata(folder.path(), &eval).good();
    let text = generated(folder.path(), params).good();
    assert!(!before.err.contains("note["), "{}", before.err);
    // The text that it was trained on has changed: the run's vocabulary is used, and that is said.
    fs::write(folder.path().join("train.txt"), "bbbbbbbbbbcccccc\n").unwrap();
    let after = strata(folder.path(), &eval).good();
    assert_eq!(after.out, before.out);
    assert!(
        after.err.contains("the vocabulary of `text` in the data is another than the run's, which is used: 2 tokens then, 2 now, 1 of them new, such as \"c\""),
        "{}",
        after.err
    );
    assert_eq!(generated(folder.path(), params).good().out, text.out);
    // It is gone: nobody needs it.
    fs::remove_file(folder.path().join("train.txt")).unwrap();
    assert_eq!(strata(folder.path(), &eval).good().out, before.out);
    assert_eq!(generated(folder.path(), params).good().out, text.out);
    // What is evaluated is needed.
    fs::remove_file(folder.path().join("test.txt")).unwrap();
    strata(folder.path(), &eval).bad(&["test.txt"]);
}

#[test]
fn a_run_does_not_go_on_with_another_vocabulary() {
    let folder = letters();
    strata(folder.path(), &["train", "letters.model", "--steps", "3"]).good();
    let run = run_folder(folder.path());
    let resume = ["train", "letters.model", "--resume", run.to_str().unwrap(), "--steps", "5"];
    // As many tokens, so that every shape fits: only the vocabulary tells.
    fs::write(folder.path().join("train.txt"), "abab\nbabbb\naabb\nabba\nbbaa\nabab\n").unwrap();
    strata(folder.path(), &resume).bad(&[
        "error[data-mismatch]: the vocabulary of `text` is another than when the run was begun: 2 tokens then, 2 now, in another order from the number 4 on",
        "begin a new run",
    ]);
    fs::write(folder.path().join("train.txt"), "abab\nbaba\naabb\nabba\nbbaa\nabab\n").unwrap();
    strata(folder.path(), &resume).good();
    for (text, word) in [
        ("", "it is no vocabulary of a run"),
        ("{}", "it is no vocabulary of a run"),
        (r#"{"format": "strata vocabulary", "version": 99, "fields": {}}"#, "by a newer program"),
        (r#"{"format": "strata vocabulary", "version": 1, "fields": 3}"#, "it is no vocabulary of a run"),
    ] {
        fs::write(run.join("vocabulary.json"), text).unwrap();
        strata(folder.path(), &resume).bad(&["vocabulary.json", word]);
    }
}

#[test]
fn settings_and_folders_of_data_count_everywhere() {
    let folder = letters();
    let path = folder.path().join("letters.model");
    fs::write(
        &path,
        LETTERS.replace("(vocab: axis)", "(vocab: axis, units: axis = 16)").replace("gru(16)", "gru(units)"),
    )
    .unwrap();
    let data = folder.path().join("elsewhere");
    fs::create_dir(&data).unwrap();
    for name in ["train.txt", "test.txt"] {
        fs::rename(folder.path().join(name), data.join(name)).unwrap();
    }
    let common = ["--set", "units=4", "--data", "elsewhere"];
    strata(folder.path(), &[&["train", "letters.model"][..], &common].concat()).good();
    let params = run_folder(folder.path()).join("final.safetensors");
    let params = params.to_str().unwrap();
    for command in [
        &["check", "letters.model"][..],
        &["eval", "letters.model", "--params", params],
        &["generate", "letters.model", "--params", params],
        &["bench", "letters.model", "--steps", "1"],
        &["compile", "letters.model", "--emit", "model"],
    ] {
        strata(folder.path(), &[command, &common].concat()).good();
    }
    fs::write(folder.path().join("new.txt"), "abba\n").unwrap();
    let predict = ["predict", "letters.model", "--params", params, "--data", "new.txt", "--json"];
    strata(folder.path(), &[&predict[..], &["--set", "units=4"]].concat()).good();
    // Another size does not fit the parameters.
    for command in ["eval", "generate"] {
        let args = [command, "letters.model", "--params", params, "--set", "units=5", "--data", "elsewhere"];
        strata(folder.path(), &args).bad(&["misshapen"]);
    }
}
