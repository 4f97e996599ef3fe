//! What is shown beside the text: hover, signatures, shapes between the words.

use serde_json::{Value, json};

use crate::client::{Client, cursor, find, place, uri};
use crate::support;

#[test]
fn hover_shows_shapes_and_parameters() {
    let folder = support::tiny();
    let uri = uri(&folder.path().join("tiny.model"));
    let mut client = Client::start(folder.path());
    client.open(&uri, support::TINY);
    let (line, column) = find(support::TINY, "logits = hidden");
    let hover = client.hover(&uri, line, column + 1);
    let text = hover["contents"]["value"].as_str().unwrap();
    assert!(text.contains("logits: f32[batch, 3]"), "{text}");
    assert_eq!(hover["range"]["start"], json!({ "line": line, "character": column }));
    let (line, column) = find(support::TINY, "dense(units)");
    let hover = client.hover(&uri, line, column + 1);
    let text = hover["contents"]["value"].as_str().unwrap();
    assert!(text.contains("f32[batch, units = 16]"), "{text}");
    assert!(text.contains("w: f32[4, units = 16]"), "{text}");
    assert!(text.contains("---"), "the layer's comment is missing:\n{text}");
    assert_eq!(client.hover(&uri, 0, 0), Value::Null);
    client.end();
}

#[test]
fn hover_of_a_layer_counts_parameters_operations_and_bytes() {
    let folder = support::tiny();
    let uri = uri(&folder.path().join("tiny.model"));
    let mut client = Client::start(folder.path());
    client.open(&uri, support::TINY);
    let (line, column) = find(support::TINY, "dense(3)");
    let hover = client.hover(&uri, line, column + 1);
    let text = hover["contents"]["value"].as_str().unwrap();
    // 16 · 3 weights and 3 biases; per output 16 multiplications, 16 additions, and the bias.
    assert!(text.contains("51 parameters, 204 B"), "{text}");
    assert!(text.contains("one example, forward: 99 operations"), "{text}");
    assert!(text.contains("dense(x: float[.., in], units: axis"), "{text}");
    // A word among the arguments speaks for itself.
    let (line, column) = find(support::TINY, "units) |> relu");
    let hover = client.hover(&uri, line, column + 1);
    assert!(hover["contents"]["value"].as_str().unwrap().contains("units: axis = 16"), "{hover}");
    client.end();
}

#[test]
fn shapes_stand_behind_what_is_bound() {
    let folder = support::tiny();
    let uri = uri(&folder.path().join("tiny.model"));
    let mut client = Client::start(folder.path());
    let text = support::TINY.replace("|> relu |> dropout(0.2)", "|> relu\n             |> dropout(0.2)");
    client.open(&uri, &text);
    let range = json!({ "start": { "line": 0, "character": 0 }, "end": { "line": 99, "character": 0 } });
    let found =
        client.ask("textDocument/inlayHint", json!({ "textDocument": { "uri": uri }, "range": range }));
    let hints: Vec<(u64, u64, &str)> = found
        .as_array()
        .unwrap()
        .iter()
        .map(|hint| {
            let at = &hint["position"];
            (at["line"].as_u64().unwrap(), at["character"].as_u64().unwrap(), hint["label"].as_str().unwrap())
        })
        .collect();
    assert_eq!(
        hints,
        [(4, 8, ": f32[batch, units = 16]"), (4, 36, "  f32[batch, units = 16]"), (6, 8, ": f32[batch, 3]"),],
        "{text}"
    );
    client.end();
}

#[test]
fn signatures_know_which_parameter_is_written() {
    let folder = support::tiny();
    let uri = uri(&folder.path().join("tiny.model"));
    let mut client = Client::start(folder.path());
    let mut version = 1;
    let mut active = |client: &mut Client, call: &str| -> (String, Option<u64>) {
        let (text, at) = cursor(&support::TINY.replace("dense(3)", call));
        version += 1;
        if version == 2 {
            client.open(&uri, &text);
        } else {
            client.change(&uri, version, &text);
        }
        let help = client.ask("textDocument/signatureHelp", place(&uri, at));
        let label = help["signatures"][0]["label"].as_str().unwrap_or("").to_string();
        (label, help["activeParameter"].as_u64())
    };
    let (label, at) = active(&mut client, "dense($0");
    assert!(label.starts_with("dense(x: float[.., in], units: axis, bias: bool = true"), "{label}");
    // What is piped in is the first.
    assert_eq!(at, Some(1));
    assert_eq!(active(&mut client, "dense(3, $0)").1, Some(2));
    assert_eq!(active(&mut client, "dense(3, weights: $0)").1, Some(3));
    assert_eq!(active(&mut client, "dense(pow(2, $0))").0, "pow(a, b)");
    // Beyond the last no parameter is meant, and outside of calls there is no help.
    let (_, at) = active(&mut client, "dense(3, true, glorot, $0)");
    assert_eq!(at, Some(4));
    assert_eq!(active(&mut client, "dense(3)$0").0, "");
    // A model takes its inputs, then its parameters; `train` gives its parameters alone.
    let other = "dense(3)\n}\nmodel Other {\n  input x: f32[batch, 4]\n  z = Tiny(x, x, $0)";
    let (label, at) = active(&mut client, other);
    assert_eq!((label.as_str(), at), ("Tiny(x: f32[batch, 4], y: i32[batch], units: axis = 16)", Some(2)));
    let training = "dense(3)\n}\ntrain Tiny($0) {";
    assert_eq!(active(&mut client, training).0, "Tiny(units: axis = 16)");
    client.end();
}
