//! How the server behaves: encodings, cancelled and nonsensical requests, bursts, ends.

use serde_json::{Value, json};

use crate::client::{Client, find, place, uri};
use crate::support;

#[test]
fn columns_are_bytes_where_the_client_offers_them() {
    let folder = support::tiny();
    let uri = uri(&folder.path().join("tiny.model"));
    let mut client = Client::start_with(
        folder.path(),
        json!({ "general": { "positionEncodings": ["utf-32", "utf-8", "utf-16"] } }),
    );
    assert_eq!(client.greeting["capabilities"]["positionEncoding"], "utf-8");
    let text = support::TINY.replace("csv(\"tiny.csv\",", "csv(\"ü𝔸.csv\", z: nothing,");
    client.open(&uri, &text);
    let found = client.diagnostics(&uri);
    let line = text.lines().nth(found[0]["range"]["start"]["line"].as_u64().unwrap() as usize).unwrap();
    let at = |word: &str| json!(line.find(word).unwrap());
    assert!(found.iter().any(|d| d["range"]["start"]["character"] == at("nothing")), "{found:?}");
    // A change behind those letters, in bytes; within a letter counts as its beginning.
    let (number, _) = find(&text, "z: nothing");
    let start = line.find("ü𝔸").unwrap();
    let range = json!({ "start": { "line": number, "character": start }, "end": { "line": number, "character": line.find(".csv").unwrap() } });
    let change = |range: &Value, text: &str| json!({ "range": range, "text": text });
    let after = start + "tiny.csv\",".len();
    let rest = json!({ "start": { "line": number, "character": after }, "end": { "line": number, "character": after + " z: nothing,".len() } });
    let changes = json!({ "textDocument": { "uri": uri, "version": 2 }, "contentChanges": [change(&range, "tiny"), change(&rest, "")] });
    client.tell("textDocument/didChange", changes);
    assert_eq!(client.diagnostics(&uri), Vec::<Value>::new());
    client.end();
    // Without an offer it is UTF-16.
    let client = Client::start(folder.path());
    assert_eq!(client.greeting["capabilities"]["positionEncoding"], "utf-16");
    client.end();
}

#[test]
fn a_cancelled_request_is_answered_once() {
    let folder = support::tiny();
    let uri = uri(&folder.path().join("tiny.model"));
    let mut client = Client::start(folder.path());
    client.open(&uri, support::TINY);
    client.diagnostics(&uri);
    // The change makes the request wait, so that the cancelling finds it.
    client.change(&uri, 2, &format!("{}\n", support::TINY));
    let id = client.request("textDocument/hover", place(&uri, (4, 3)));
    client.tell("$/cancelRequest", json!({ "id": id }));
    let answer = client.answer(id);
    let cancelled = answer["error"]["code"] == json!(-32800);
    assert!(cancelled || answer["result"].is_object(), "{answer}");
    // Nobody answers it a second time, and the next request is served.
    let next = client.request("textDocument/hover", place(&uri, (4, 3)));
    assert!(client.answer(next)["result"].is_object());
    assert!(!client.heard().iter().any(|message| message["id"] == json!(id)));
    // One that is not known is passed over.
    client.tell("$/cancelRequest", json!({ "id": "nothing" }));
    assert!(client.hover(&uri, 4, 3).is_object());
    client.end();
}

#[test]
fn nonsense_is_answered_and_survived() {
    let folder = support::tiny();
    let file = folder.path().join("tiny.model");
    let uri = uri(&file);
    let mut client = Client::start(folder.path());
    client.open(&uri, support::TINY);
    let code = |client: &mut Client, method: &str, params: Value| {
        let id = client.request(method, params);
        client.answer(id)["error"]["code"].as_i64()
    };
    assert_eq!(code(&mut client, "textDocument/perform", json!({})), Some(-32601));
    assert_eq!(code(&mut client, "textDocument/hover", json!({ "position": "here" })), Some(-32602));
    assert_eq!(code(&mut client, "textDocument/hover", json!([1, 2])), Some(-32602));
    assert_eq!(code(&mut client, "textDocument/rename", Value::Null), Some(-32602));
    assert_eq!(code(&mut client, "textDocument/hover", place("file:///%ZZ", (0, 0))), Some(-32602));
    // Files that are not open, of other machines, of other kinds.
    for other in ["file:///nowhere.model", "file://host/share.model", "untitled:one", "file:///%41%FF"] {
        assert_eq!(client.ask_at("hover", other, (0, 0)), Value::Null, "{other}");
        client.ask_at("completion", other, (0, 0));
        client.open(other, "model {");
    }
    // Positions beyond the text, for every request that takes one.
    for at in [(0, 4_000_000_000), (4_000_000_000, 0), (u32::MAX, u32::MAX), (4, 999)] {
        for what in ["hover", "definition", "completion", "signatureHelp", "documentHighlight"] {
            client.ask_at(what, &uri, at);
        }
    }
    // Notifications without sense, and changes outside of the text.
    client.tell("textDocument/didOpen", json!({ "textDocument": 3 }));
    client.tell(
        "textDocument/didChange",
        json!({ "textDocument": { "uri": "file:///never.model", "version": 1 }, "contentChanges": [] }),
    );
    client.tell("strange/thing", json!({}));
    let range = json!({ "start": { "line": 900, "character": 7 }, "end": { "line": 2, "character": 1 } });
    client.tell("textDocument/didChange", json!({ "textDocument": { "uri": uri, "version": 2 }, "contentChanges": [{ "range": range, "text": "\n// end" }] }));
    client.change(&uri, 3, support::TINY);
    let (line, column) = find(support::TINY, "logits = hidden");
    assert!(client.hover(&uri, line, column + 1).is_object());
    client.end();
}

#[test]
fn of_a_burst_of_changes_the_newest_text_wins() {
    let folder = support::tiny();
    let uri = uri(&folder.path().join("tiny.model"));
    let mut client = Client::start(folder.path());
    client.open(&uri, support::TINY);
    client.diagnostics(&uri);
    // A hundred texts, most of them wrong; the last one is right.
    for version in 2..101 {
        client.change(&uri, version, &support::TINY.replace("hidden |>", &format!("hidden{version} |>")));
    }
    client.change(&uri, 101, support::TINY);
    let (line, column) = find(support::TINY, "logits = hidden");
    let hover = client.hover(&uri, line, column + 1);
    assert!(hover["contents"]["value"].as_str().unwrap().contains("logits: f32[batch, 3]"), "{hover}");
    // The last that was said is of the last text.
    let mut last = Value::Null;
    while let Some(message) = client.heard_note("textDocument/publishDiagnostics") {
        last = message;
    }
    while last["params"]["version"] != json!(101) {
        last = client.note("textDocument/publishDiagnostics");
    }
    assert_eq!(last["params"]["diagnostics"], json!([]), "{last}");
    client.end();
}

#[test]
fn edits_of_a_text_that_has_changed_are_refused() {
    let folder = support::tiny();
    let uri = uri(&folder.path().join("tiny.model"));
    let mut client = Client::start_with(
        folder.path(),
        json!({ "workspace": { "workspaceEdit": { "documentChanges": true } } }),
    );
    client.open(&uri, support::TINY);
    client.diagnostics(&uri);
    let mut params = place(&uri, find(support::TINY, "hidden ="));
    params["newName"] = json!("kept");
    // Whichever came first, the edit says which version it is for, or is refused.
    client.change(&uri, 2, &support::TINY.replace("dropout(0.2)", "dropout(0.3)"));
    let id = client.request("textDocument/rename", params.clone());
    client.change(&uri, 3, &format!("\n{}", support::TINY));
    let answer = client.answer(id);
    let refused = answer["error"]["code"] == json!(-32801);
    let version = &answer["result"]["documentChanges"][0]["textDocument"]["version"];
    assert!(refused || *version == json!(2), "{answer}");
    client.end();
}

#[test]
fn after_shutdown_nothing_is_served() {
    let folder = support::tiny();
    let mut client = Client::start(folder.path());
    client.ask("shutdown", Value::Null);
    let id = client.request("textDocument/hover", place("file:///x.model", (0, 0)));
    assert_eq!(client.answer(id)["error"]["code"], json!(-32600));
    client.tell("exit", Value::Null);
    assert_eq!(client.code(), Some(0));
    // A client that leaves without a word is a failure, and no process stays behind.
    let mut client = Client::start(folder.path());
    client.hang_up();
    assert_eq!(client.code(), Some(1));
}
