//! What is offered at the cursor.

use serde_json::Value;

use crate::client::{Client, cursor, edited, uri};
use crate::support;

/// A spec that holds every kind of block; `$0` comes into it by replacement.
fn spec() -> String {
    let more = "\ndevices { machine worker[2] { gpu[4] } }\n\nplace Tiny {\n  logits on gpu[0]\n}\n\nreplicas Tiny {\n  copies 2 sync\n}\n";
    format!("{}{more}", support::TINY)
}

struct Desk {
    client: Client,
    uri: String,
    version: i32,
    _folder: tempfile::TempDir,
}

fn desk() -> Desk {
    let folder = support::tiny();
    std::fs::write(folder.path().join("named.csv"), "length,width,kind\n1,2,0\n3,4,1\n").unwrap();
    std::fs::write(folder.path().join("other.model"), "layer mine(x: f32[..]) {\n  return x\n}\n").unwrap();
    let npz = support::root().join("tests/check/data/flowers.npz");
    std::fs::copy(npz, folder.path().join("flowers.npz")).unwrap();
    let uri = uri(&folder.path().join("tiny.model"));
    Desk { client: Client::start(folder.path()), uri, version: 0, _folder: folder }
}

impl Desk {
    /// What is offered after replacing `from` by `to`, which holds the cursor.
    fn offered(&mut self, from: &str, to: &str) -> (String, Vec<Value>) {
        let whole = spec();
        assert!(whole.contains(from), "{from}");
        let (text, at) = cursor(&whole.replacen(from, to, 1));
        self.version += 1;
        if self.version == 1 {
            self.client.open(&self.uri, &text);
        } else {
            self.client.change(&self.uri, self.version, &text);
        }
        let found = self.client.ask_at("completion", &self.uri, at);
        (text, found["items"].as_array().cloned().unwrap_or_default())
    }

    fn labels(&mut self, from: &str, to: &str) -> Vec<String> {
        let (_, items) = self.offered(from, to);
        items.iter().map(|item| item["label"].as_str().unwrap().to_string()).collect()
    }

    #[track_caller]
    fn offers(&mut self, from: &str, to: &str, wanted: &[&str], unwanted: &[&str]) {
        let labels = self.labels(from, to);
        for word in wanted {
            assert!(labels.iter().any(|label| label == word), "`{to}` does not offer `{word}`: {labels:?}");
        }
        for word in unwanted {
            assert!(labels.iter().all(|label| label != word), "`{to}` offers `{word}`");
        }
    }
}

#[test]
fn each_block_has_its_words() {
    let mut desk = desk();
    desk.offers("model Tiny", "$0\nmodel Tiny", &["model", "train", "use", "data"], &["loss", "feed"]);
    desk.offers(
        "  loss cross_entropy",
        "  $0\n  loss cross_entropy",
        &["loss", "param", "scan", "hidden"],
        &["feed"],
    );
    desk.offers(
        "  feed     train",
        "  $0\n  feed     train",
        &["optimize", "stop", "evaluate"],
        &["loss", "hidden"],
    );
    desk.offers("  copies 2", "  $0\n  copies 2", &["backups", "params split over"], &["loss"]);
    desk.offers("worker[2] { gpu", "worker[2] { $0; gpu", &["machine"], &["loss"]);
    desk.offers("after 6 epochs", "after 6 $0", &["epochs", "steps", "hours"], &["GiB"]);
    desk.offers("stop     after", "stop $0", &["after", "when"], &[]);
    desk.client.end();
}

#[test]
fn names_and_layers_are_offered_where_they_can_stand() {
    let mut desk = desk();
    desk.offers("hidden |> dense(3)", "$0", &["hidden", "x", "dense", "units"], &["logits", "adam", "Tiny2"]);
    desk.offers("hidden |> dense(3)", "hidden |> de$0", &["dense", "relu", "conv"], &["adam", "hidden"]);
    desk.offers("momentum(rate", "$0momentum(rate", &["adam", "sgd", "momentum"], &["dense"]);
    desk.offers("f32[batch, 4]", "f32[$0, 4]", &["units"], &[]);
    desk.offers("input y: i32[batch]", "input y: $0", &["i32", "f32"], &["axis"]);
    desk.offers("train Tiny", "train $0", &["Tiny"], &["dense"]);
    // A library's comment comes along.
    let (_, items) = desk.offered("hidden |> dense(3)", "hidden |> $0");
    let dense = items.iter().find(|item| item["label"] == "dense").unwrap();
    assert!(dense["documentation"]["value"].as_str().unwrap().contains("fully connected"), "{dense}");
    assert!(dense["detail"].as_str().unwrap().starts_with("dense(x: float[.., in]"), "{dense}");
    desk.client.end();
}

#[test]
fn arguments_are_offered_by_name_and_kind() {
    let mut desk = desk();
    desk.offers("dense(3)", "dense(3, $0)", &["bias:", "weights:", "hidden"], &["x:", "rate:"]);
    desk.offers("dense(3)", "dense(3, bias: $0)", &["true", "false"], &["bias:"]);
    desk.offers("dense(3)", "dense(3, weights: $0)", &["glorot", "zeros"], &[]);
    desk.offers("dense(3)", "mean(axis: $0)", &["batch"], &[]);
    desk.offers("rate: 0.1, ", "$0", &["rate:", "nesterov:"], &[]);
    // What is chosen replaces the word that was begun.
    let (text, items) = desk.offered("dense(3)", "dense(3, wei$0)");
    let weights = items.iter().find(|item| item["label"] == "weights:").unwrap();
    let done = edited(&text, &Value::Array(vec![weights["textEdit"].clone()]));
    assert_eq!(done, spec().replacen("dense(3)", "dense(3, weights: )", 1));
    desk.client.end();
}

#[test]
fn devices_parts_and_axes_are_offered_in_place() {
    let mut desk = desk();
    desk.offers("logits on gpu[0]", "logits on $0", &["gpu", "worker"], &["logits"]);
    desk.offers("logits on gpu[0]", "$0", &["logits", "hidden", "pipeline"], &["gpu"]);
    desk.offers("logits on gpu[0]", "logits $0", &["on", "split over"], &[]);
    desk.offers("logits on gpu[0]", "logits split over gpu[0..2] by $0", &["batch", "units"], &["gpu"]);
    desk.offers("copies 2 sync", "params split over $0", &["gpu", "worker"], &[]);
    desk.client.end();
}

#[test]
fn data_lines_offer_sources_stages_fields_columns_and_paths() {
    let mut desk = desk();
    desk.offers("= all |>", "= $0 |>", &["all", "csv"], &["hidden"]);
    desk.offers("all |> shuffle", "all |> $0", &["shuffle", "split", "batch"], &["dense"]);
    desk.offers("x: columns(0..4), y: column(4)", "$0", &["x:", "y:"], &[]);
    desk.offers("x: columns(0..4), y: column(4)", "x: $0", &["columns", "column"], &[]);
    desk.offers(
        "\"tiny.csv\", x: columns(0..4), y: column(4)",
        "\"named.csv\", y: column($0)",
        &["\"kind\"", "\"width\""],
        &[],
    );
    desk.offers(
        "\"tiny.csv\", x: columns(0..4), y: column(4)",
        "\"named.csv\", y: column(\"$0\")",
        &["kind", "length"],
        &["\"kind\""],
    );
    for (typed, names) in [("array($0)", ["\"size\"", "\"kind\""]), ("array(\"$0\")", ["size", "kind"])] {
        let source = format!("npz(\"flowers.npz\", x: {typed}) |> batch(2) //");
        desk.offers("csv(\"tiny.csv\"", &source, &names, &["tiny"]);
    }
    desk.offers("all |> shuffle", "images(\"p\", x: $0) |> shuffle", &["picture", "folder"], &["dense"]);
    desk.offers("\"tiny.csv\"", "\"$0\"", &["tiny.csv", "named.csv"], &["tiny"]);
    desk.offers("model Tiny", "use \"$0\"\nmodel Tiny", &["other.model"], &["tiny.csv"]);
    desk.client.end();
}

#[test]
fn what_can_stand_at_a_place_is_offered_and_nothing_else() {
    let mut desk = desk();
    // Optimizers are given weight and gradient; rates are piped into schedules.
    desk.offers("rate: 0.1, ", "$0, ", &["rate:"], &["weight:", "gradient:", "dense"]);
    desk.offers("rate: 0.1, ", "rate: 0.1 |> $0, ", &["cosine", "warm_up"], &["dense", "relu", "adam"]);
    desk.offers("stop     after 6 epochs", "stop when $0", &["loss", "accuracy"], &["dense"]);
    desk.offers("train Tiny", "train Tiny($0)", &["units:"], &["dense", "hidden"]);
    desk.offers("  loss cross", "  param w: f32[3] = $0\n  loss cross", &["zeros", "glorot"], &[]);
    let scan = "  scan hidden over $0 with s = 0 { s = s }\n  loss cross";
    desk.offers("  loss cross", scan, &["batch"], &["dense", "hidden"]);
    let mut scan = |head: &str, wanted: &[&str], unwanted: &[&str]| {
        desk.offers("  loss cross", &format!("  scan {head}\n  loss cross"), wanted, unwanted);
    };
    scan("$0", &["hidden", "x", "dense"], &["true", "frozen", "over"]);
    scan("hidden, $0", &["hidden", "x"], &["true", "over"]);
    scan("hidden $0", &["over", "times"], &["dense"]);
    scan("dense(hidden, 3) $0", &["over", "times"], &["as", "dense"]);
    scan("3 $0", &["times"], &["epochs", "dense"]);
    scan("3 times $0", &["reverse", "with"], &["over", "times"]);
    scan("hidden over batch reverse $0", &["with"], &["reverse", "dense"]);
    scan("hidden over batch with s = $0", &["hidden", "zeros"], &["over", "with"]);
    for invented in ["with $0", "with s $0", "with (h, $0"] {
        scan(&format!("hidden over batch {invented}"), &[], &["hidden", "dense", "over", "reverse"]);
    }
    desk.offers("  loss cross", "  generate $0\n  loss cross", &["x", "y"], &["dense", "hidden"]);
    let other = "model Other {\n  input x: f32[batch, 4]\n  z = Tiny(x, $0)[\"logits\"]\n}\n\ntrain Tiny";
    desk.offers("train Tiny", other, &["units:"], &[]);
    let part = "model Other {\n  input x: f32[batch, 4]\n  z = Tiny(x)[\"$0\"]\n}\n\ntrain Tiny";
    desk.offers("train Tiny", part, &["logits", "hidden"], &["dense", "tiny.csv"]);
    let text = "\ndata more = text(\"a.txt\", x: $0)\ndata all";
    desk.offers("\ndata all", text, &["line", "whole", "column"], &["columns", "array"]);
    desk.offers("x: columns(0..4), y: column(4)", "x: $0", &["columns"], &["array", "whole"]);
    desk.offers(
        "all |> shuffle",
        "all |> tokens($0) |> shuffle",
        &["words", "characters", "as:", "x:"],
        &["dense"],
    );
    desk.offers("all |> shuffle", "all |> pad(longer: $0) |> shuffle", &["skip", "cut"], &["column"]);
    desk.client.end();
}

#[test]
fn nothing_is_offered_in_comments_and_numbers() {
    let mut desk = desk();
    assert_eq!(desk.labels("  loss cross", "  // the $0\n  loss cross"), Vec::<String>::new());
    assert_eq!(desk.labels("dense(3)", "dense(3$0)"), Vec::<String>::new());
    desk.client.end();
}
