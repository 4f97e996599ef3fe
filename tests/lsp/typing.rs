//! What is wrong, said while a text is typed.

use serde_json::{Value, json};

use crate::client::{Client, find, uri};
use crate::support;

#[test]
fn mistakes_appear_and_vanish_while_typing() {
    let folder = support::tiny();
    let uri = uri(&folder.path().join("tiny.model"));
    let mut client = Client::start(folder.path());
    let text = support::TINY;
    client.open(&uri, text);
    assert_eq!(client.diagnostics(&uri), Vec::<Value>::new());
    // Typing one letter wrong, as an incremental change.
    let (line, column) = find(text, "hidden |> dense(3)");
    let range = json!({
        "start": { "line": line, "character": column },
        "end": { "line": line, "character": column + 6 },
    });
    let change = |text: &str, range: &Value| json!({ "textDocument": { "uri": uri, "version": 2 }, "contentChanges": [{ "range": range, "text": text }] });
    client.tell("textDocument/didChange", change("hiddem", &range));
    let found = client.diagnostics(&uri);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0]["code"], "unknown-name");
    assert_eq!(found[0]["range"], range);
    assert_eq!(found[0]["severity"], 1);
    client.tell("textDocument/didChange", change("hidden", &range));
    assert_eq!(client.diagnostics(&uri), Vec::<Value>::new());
    client.end();
}

#[test]
fn columns_are_counted_in_utf16() {
    let folder = support::tiny();
    let uri = uri(&folder.path().join("tiny.model"));
    let mut client = Client::start(folder.path());
    // In the message's line stands a letter of four bytes in UTF-8 and two units in UTF-16.
    let text = support::TINY.replace("csv(\"tiny.csv\",", "csv(\"𝔸.csv\",");
    client.open(&uri, &text);
    let found = client.diagnostics(&uri);
    assert!(!found.is_empty());
    let (line, column) = find(&text, "\"𝔸.csv\"");
    let expected = json!({
        "start": { "line": line, "character": column },
        "end": { "line": line, "character": column + 8 },
    });
    assert!(found.iter().any(|d| d["range"] == expected), "{found:?}");
    // A change behind that letter, in the editor's units.
    let (line, column) = find(&text, "\"𝔸.csv\"");
    let range = json!({
        "start": { "line": line, "character": column + 1 },
        "end": { "line": line, "character": column + 3 },
    });
    let change = json!({ "textDocument": { "uri": uri, "version": 2 }, "contentChanges": [{ "range": range, "text": "tiny" }] });
    client.tell("textDocument/didChange", change);
    assert_eq!(client.diagnostics(&uri), Vec::<Value>::new());
    client.end();
}

#[test]
fn other_labels_lead_to_where_they_stand() {
    let folder = support::tiny();
    let uri = uri(&folder.path().join("tiny.model"));
    let mut client = Client::start(folder.path());
    client.open(&uri, &support::TINY.replace("input y: i32[batch]", "input x: i32[batch]"));
    let found = client.diagnostics(&uri);
    let duplicate = found.iter().find(|d| d["code"] == "duplicate-name").unwrap();
    assert_eq!(duplicate["relatedInformation"][0]["location"]["uri"], uri);
    assert_eq!(duplicate["relatedInformation"][0]["location"]["range"]["start"]["line"], 1);
    client.end();
}

#[test]
fn the_rest_of_a_file_broken_in_the_middle_stays_alive() {
    let folder = support::tiny();
    let uri = uri(&folder.path().join("tiny.model"));
    let mut client = Client::start(folder.path());
    // A statement without an end, and an unrelated mistake after it.
    let text = support::TINY
        .replace("  logits = hidden |> dense(3)", "  logits = hidden |> dense(\n")
        .replace("optimize momentum", "optimise momentum");
    client.open(&uri, &text);
    let found = client.diagnostics(&uri);
    let lines: Vec<u64> = found.iter().map(|d| d["range"]["start"]["line"].as_u64().unwrap()).collect();
    let (broken, _) = find(&text, "dense(\n");
    let (misspelt, _) = find(&text, "optimise");
    assert!(lines.contains(&u64::from(misspelt)), "{found:?}");
    assert!(lines.contains(&u64::from(broken)), "{found:?}");
    assert_eq!(found.len(), 2, "{found:?}");
    // What stands before the mistake still has its shape, and what follows still leads to what it means.
    let (line, column) = find(&text, "hidden = x");
    let hover = client.hover(&uri, line, column + 1);
    assert!(
        hover["contents"]["value"].as_str().unwrap().contains("hidden: f32[batch, units = 16]"),
        "{hover}"
    );
    let (line, column) = find(&text, "train |> shuffle(110)");
    let there = client.ask_at("definition", &uri, (line, column + 1));
    assert_eq!(there["range"]["start"]["line"], find(&text, "data train").0);
    client.end();
}

#[test]
fn a_quick_fix_does_what_the_help_says() {
    let folder = support::tiny();
    let uri = uri(&folder.path().join("tiny.model"));
    let mut client = Client::start(folder.path());
    let text = support::TINY.replace("|> relu", "|> rleu").replace("evaluate test", "evaluate tset");
    client.open(&uri, &text);
    let found = client.diagnostics(&uri);
    assert_eq!(found.len(), 2, "{found:?}");
    let mut mended = text.clone();
    for diagnostic in &found {
        let params = json!({
            "textDocument": { "uri": uri }, "range": diagnostic["range"], "context": { "diagnostics": [diagnostic] },
        });
        let actions = client.ask("textDocument/codeAction", params);
        assert_eq!(actions.as_array().unwrap().len(), 1, "{actions}");
        assert_eq!(actions[0]["kind"], "quickfix");
        assert_eq!(actions[0]["diagnostics"][0]["message"], diagnostic["message"]);
        // Both are of one length, so one edit does not move the other.
        mended = crate::client::edited(&mended, &actions[0]["edit"]["changes"][&uri]);
    }
    assert_eq!(mended, support::TINY);
    // Where nothing is wrong nothing is offered, nor to who wants something else.
    let nothing = json!({ "start": { "line": 0, "character": 0 }, "end": { "line": 0, "character": 1 } });
    let params = |range: &Value, only: &str| json!({ "textDocument": { "uri": uri }, "range": range, "context": { "diagnostics": [], "only": [only] } });
    assert_eq!(client.ask("textDocument/codeAction", params(&nothing, "quickfix")), json!([]));
    let wrong = &found[0]["range"];
    assert_eq!(client.ask("textDocument/codeAction", params(wrong, "refactor")), json!([]));
    client.end();
}

#[test]
fn a_used_file_is_read_as_it_stands_in_the_editor() {
    let folder = support::tiny();
    let (part, whole) = (folder.path().join("part.model"), folder.path().join("whole.model"));
    let lib = "layer twice(x: f32[.., in]) {\n  return 2 * x\n}\n";
    let text =
        "use \"part.model\"\n\nmodel M {\n  input x: f32[batch, 3]\n  y = x |> thrice\n  loss mean(y)\n}\n";
    std::fs::write(&part, lib).unwrap();
    std::fs::write(&whole, text).unwrap();
    let mut client = Client::start(folder.path());
    let (part, whole) = (uri(&part), uri(&whole));
    client.open(&whole, text);
    assert_eq!(client.diagnostics(&whole)[0]["code"], "unknown-name");
    client.open(&part, lib);
    client.diagnostics(&part);
    client.change(&part, 2, &lib.replace("twice", "thrice"));
    assert_eq!(client.diagnostics(&whole), Vec::<Value>::new());
    // Once it is closed, what lies on the disk counts.
    client.tell("textDocument/didClose", json!({ "textDocument": { "uri": part } }));
    assert_eq!(client.diagnostics(&whole)[0]["code"], "unknown-name");
    client.end();
}
