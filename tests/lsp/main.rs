//! The language server against a scripted client, over its standard input and output.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops where it stands")]

#[path = "../support/mod.rs"]
mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};

use serde_json::{Value, json};

/// A client that speaks to a running server.
struct Client {
    server: Child,
    to: Option<ChildStdin>,
    from: BufReader<std::process::ChildStdout>,
    asked: u64,
    /// Notifications that came while something else was awaited.
    heard: Vec<Value>,
}

impl Client {
    fn start(folder: &Path) -> Client {
        let mut server = support::command(folder, &["lsp"])
            .stdin(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let (to, from) = (server.stdin.take(), BufReader::new(server.stdout.take().unwrap()));
        let mut client = Client { server, to, from, asked: 0, heard: Vec::new() };
        let answer = client.ask("initialize", json!({ "capabilities": {} }));
        assert_eq!(answer["capabilities"]["hoverProvider"], json!(true));
        client.tell("initialized", json!({}));
        client
    }

    fn send(&mut self, message: &Value) {
        let text = message.to_string();
        let to = self.to.as_mut().unwrap();
        write!(to, "Content-Length: {}\r\n\r\n{text}", text.len()).unwrap();
        to.flush().unwrap();
    }

    fn tell(&mut self, method: &str, params: Value) {
        self.send(&json!({ "jsonrpc": "2.0", "method": method, "params": params }));
    }

    fn ask(&mut self, method: &str, params: Value) -> Value {
        self.asked += 1;
        let id = self.asked;
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        loop {
            let message = self.receive();
            if message["id"] == json!(id) {
                assert!(message.get("error").is_none(), "{message}");
                return message["result"].clone();
            }
            self.heard.push(message);
        }
    }

    fn receive(&mut self) -> Value {
        let mut length = 0;
        loop {
            let mut line = String::new();
            assert!(self.from.read_line(&mut line).unwrap() > 0, "the server has gone");
            match line.trim().split_once(": ") {
                Some(("Content-Length", n)) => length = n.parse().unwrap(),
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length];
        self.from.read_exact(&mut body).unwrap();
        serde_json::from_slice(&body).unwrap()
    }

    /// The next diagnostics for a file.
    fn diagnostics(&mut self, uri: &str) -> Vec<Value> {
        loop {
            let message = if self.heard.is_empty() { self.receive() } else { self.heard.remove(0) };
            if message["method"] == "textDocument/publishDiagnostics" && message["params"]["uri"] == uri {
                return message["params"]["diagnostics"].as_array().unwrap().clone();
            }
        }
    }

    fn open(&mut self, uri: &str, text: &str) {
        let document = json!({ "uri": uri, "languageId": "strata", "version": 1, "text": text });
        self.tell("textDocument/didOpen", json!({ "textDocument": document }));
    }

    fn hover(&mut self, uri: &str, line: u32, character: u32) -> Value {
        let at = json!({ "line": line, "character": character });
        self.ask("textDocument/hover", json!({ "textDocument": { "uri": uri }, "position": at }))
    }

    fn end(mut self) {
        self.ask("shutdown", Value::Null);
        self.tell("exit", Value::Null);
        self.to = None;
        assert_eq!(self.server.wait().unwrap().code(), Some(0));
    }
}

/// The address of a file in a folder whose name needs no escapes.
fn uri(path: &Path) -> String {
    format!("file://{}", path.display())
}

/// Where the `n`-th line that holds `text` stands: line and UTF-16 column.
fn find(whole: &str, text: &str) -> (u32, u32) {
    let (number, line) = whole.lines().enumerate().find(|(_, line)| line.contains(text)).unwrap();
    let before = &line[..line.find(text).unwrap()];
    (number as u32, before.encode_utf16().count() as u32)
}

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
fn formatting_is_one_edit_and_none_where_nothing_changes() {
    let folder = support::tiny();
    let uri = uri(&folder.path().join("tiny.model"));
    let mut client = Client::start(folder.path());
    client.open(&uri, &support::TINY.replace("  input y", "     input   y"));
    let params = json!({ "textDocument": { "uri": uri }, "options": { "tabSize": 2, "insertSpaces": true } });
    let edits = client.ask("textDocument/formatting", params.clone());
    assert_eq!(edits[0]["newText"].as_str().unwrap(), support::TINY);
    let whole = json!({ "textDocument": { "uri": uri, "version": 2 }, "contentChanges": [{ "text": support::TINY }] });
    client.tell("textDocument/didChange", whole);
    assert_eq!(client.ask("textDocument/formatting", params), Value::Null);
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
