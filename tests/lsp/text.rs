//! The text itself: formatting, folding, outline, colours.

use serde_json::{Value, json};

use crate::client::{Client, edited, find, uri};
use crate::support;

fn document(uri: &str) -> Value {
    json!({ "textDocument": { "uri": uri }, "options": { "tabSize": 2, "insertSpaces": true } })
}

#[test]
fn formatting_touches_only_what_changes() {
    let folder = support::tiny();
    let uri = uri(&folder.path().join("tiny.model"));
    let mut client = Client::start(folder.path());
    let text = support::TINY.replace("  input y", "     input   y").replace("\n\n  loss", "\n\n\n\n  loss");
    client.open(&uri, &text);
    let edits = client.ask("textDocument/formatting", document(&uri));
    assert_eq!(edited(&text, &edits), support::TINY);
    let lines: Vec<&Value> =
        edits.as_array().unwrap().iter().map(|edit| &edit["range"]["start"]["line"]).collect();
    assert!(
        lines.len() >= 2 && lines.iter().all(|line| (2..12).contains(&line.as_u64().unwrap())),
        "{edits}"
    );
    // Only the lines of a range.
    let (line, _) = find(&text, "input   y");
    let mut params = document(&uri);
    params["range"] =
        json!({ "start": { "line": line, "character": 3 }, "end": { "line": line, "character": 9 } });
    let edits = client.ask("textDocument/rangeFormatting", params);
    assert_eq!(edited(&text, &edits), text.replace("     input   y", "  input y"));
    // Nothing where all is well, and where something is wrong.
    client.change(&uri, 2, support::TINY);
    assert_eq!(client.ask("textDocument/formatting", document(&uri)), json!([]));
    client.change(&uri, 3, &text.replace("loss", "loss = ="));
    assert_eq!(client.ask("textDocument/formatting", document(&uri)), Value::Null);
    client.end();
}

#[test]
fn a_text_without_a_last_newline_and_an_empty_one_are_formatted() {
    let folder = support::tiny();
    let uri = uri(&folder.path().join("tiny.model"));
    let mut client = Client::start(folder.path());
    client.open(&uri, "data a=csv(\"tiny.csv\",x:column(0))");
    let edits = client.ask("textDocument/formatting", document(&uri));
    assert_eq!(
        edited("data a=csv(\"tiny.csv\",x:column(0))", &edits),
        "data a = csv(\"tiny.csv\", x: column(0))\n"
    );
    client.change(&uri, 2, "");
    assert_eq!(client.ask("textDocument/formatting", document(&uri)), json!([]));
    client.end();
}

#[test]
fn blocks_and_comments_fold() {
    let folder = support::tiny();
    let uri = uri(&folder.path().join("tiny.model"));
    let mut client = Client::start(folder.path());
    let text =
        "// one\n// two\n\nmodel M {\n  input x: f32[batch, 3]\n  y = f(x,\n        x,\n        x)\n}\n";
    client.open(&uri, text);
    let found = client.ask("textDocument/foldingRange", json!({ "textDocument": { "uri": uri } }));
    let folds: Vec<(u64, u64, bool)> = found
        .as_array()
        .unwrap()
        .iter()
        .map(|f| (f["startLine"].as_u64().unwrap(), f["endLine"].as_u64().unwrap(), f["kind"] == "comment"))
        .collect();
    assert_eq!(folds, [(0, 1, true), (3, 7, false), (5, 6, false)]);
    client.end();
}

#[test]
fn the_outline_shows_blocks_and_what_they_bind() {
    let folder = support::tiny();
    let uri = uri(&folder.path().join("tiny.model"));
    let mut client = Client::start(folder.path());
    client.open(&uri, support::TINY);
    let found = client.ask("textDocument/documentSymbol", json!({ "textDocument": { "uri": uri } }));
    let names = |list: &Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap().to_string()).collect()
    };
    assert_eq!(names(&found), ["Tiny", "all", "train", "test", "train Tiny"]);
    assert_eq!(names(&found[0]["children"]), ["units", "x", "y", "hidden", "logits"]);
    assert_eq!(found[0]["children"][1]["detail"], "f32[batch, 4]");
    assert_eq!(found[0]["children"][3]["detail"], "f32[batch, units = 16]");
    // Each name lies within its own range, as editors demand.
    let inside = |s: &Value| {
        let at = |v: &Value| (v["line"].as_u64().unwrap(), v["character"].as_u64().unwrap());
        let (outer, inner) = (&s["range"], &s["selectionRange"]);
        at(&outer["start"]) <= at(&inner["start"]) && at(&inner["end"]) <= at(&outer["end"])
    };
    assert!(found.as_array().unwrap().iter().all(inside), "{found}");
    let found = client.ask("workspace/symbol", json!({ "query": "tin" }));
    assert_eq!(names(&found), ["Tiny"]);
    client.end();
}

#[test]
fn an_outline_tells_what_differs_from_turn_to_turn() {
    let folder = support::tiny();
    let uri = uri(&folder.path().join("tiny.model"));
    let mut client = Client::start(folder.path());
    let text =
        "model M {\n  input x: f32[batch, 3]\n  for i in 0..2 { x = dense(x, 4 + i) }\n  loss mean(x)\n}\n";
    client.open(&uri, text);
    let found = client.ask("textDocument/documentSymbol", json!({ "textDocument": { "uri": uri } }));
    assert_eq!(found[0]["children"][1]["detail"], "f32[batch, 4] …");
    client.end();
}

#[test]
fn an_outline_of_a_model_whose_training_is_wrong() {
    let folder = support::tiny();
    let uri = uri(&folder.path().join("tiny.model"));
    let mut client = Client::start(folder.path());
    // A rate that changes has shapes too, which go with the training.
    let text = support::TINY.replace("rate: 0.1", "rate: 0.1 |> warm_up(over: 5 steps)");
    client.open(&uri, &text.replace("feed     train", "feed     nothing"));
    let found = client.ask("textDocument/documentSymbol", json!({ "textDocument": { "uri": uri } }));
    assert_eq!(found[0]["name"], "Tiny");
    client.end();
}

#[test]
fn colours_tell_keywords_from_names() {
    let folder = support::tiny();
    let uri = uri(&folder.path().join("tiny.model"));
    let mut client = Client::start(folder.path());
    // A comment in other letters, and `train` as a keyword, as data, and as a name.
    let text = format!("// größe 𝔸\n{}", support::TINY);
    client.open(&uri, &text);
    let legend = client.greeting["capabilities"]["semanticTokensProvider"]["legend"].clone();
    let found = client.ask("textDocument/semanticTokens/full", json!({ "textDocument": { "uri": uri } }));
    let data: Vec<u64> = found["data"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect();
    let (mut line, mut column) = (0, 0);
    let mut tokens = Vec::new();
    for token in data.chunks(5) {
        column = if token[0] == 0 { column + token[1] } else { token[1] };
        line += token[0];
        let units: Vec<u16> = text.lines().nth(line as usize).unwrap().encode_utf16().collect();
        let word = String::from_utf16(&units[column as usize..(column + token[2]) as usize]).unwrap();
        let kind = legend["tokenTypes"][token[3] as usize].as_str().unwrap().to_string();
        tokens.push((word, kind, token[4]));
    }
    let kind = |word: &str, nth: usize| {
        let (_, kind, besides) = tokens.iter().filter(|(w, ..)| w == word).nth(nth).unwrap();
        (kind.as_str(), *besides)
    };
    assert_eq!(tokens[0], ("// größe 𝔸".to_string(), "comment".to_string(), 0));
    assert_eq!(kind("model", 0), ("keyword", 0));
    assert_eq!(kind("Tiny", 0), ("class", 1));
    assert_eq!(kind("hidden", 0), ("variable", 1));
    assert_eq!(kind("hidden", 1), ("variable", 0));
    assert_eq!(kind("dense", 0), ("function", 2));
    assert_eq!(kind("f32", 0), ("type", 2));
    assert_eq!(kind("train", 0), ("namespace", 1));
    assert_eq!(kind("train", 1), ("keyword", 0));
    assert_eq!(kind("train", 2), ("namespace", 0));
    assert_eq!(kind("epochs", 0), ("number", 0));
    assert_eq!(kind("\"tiny.csv\"", 0), ("string", 0));
    // A range holds the tokens of its lines.
    let range = json!({ "start": { "line": 1, "character": 0 }, "end": { "line": 2, "character": 0 } });
    let some = client
        .ask("textDocument/semanticTokens/range", json!({ "textDocument": { "uri": uri }, "range": range }));
    assert_eq!(some["data"].as_array().unwrap().len() % 5, 0);
    assert_eq!(some["data"].as_array().unwrap().len() / 5, text.lines().nth(1).map(|_| 6).unwrap());
    client.end();
}
