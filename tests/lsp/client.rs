//! A scripted client: it speaks the protocol with a running server and keeps what it hears.

use std::io::BufReader;
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::{support, wire};

/// A client that speaks to a running server.
pub struct Client {
    server: Child,
    to: Option<ChildStdin>,
    from: BufReader<std::process::ChildStdout>,
    asked: u64,
    /// Notifications that came while something else was awaited.
    heard: Vec<Value>,
    /// What the server said of itself.
    pub greeting: Value,
}

impl Client {
    pub fn start(folder: &Path) -> Client {
        Client::start_with(folder, json!({}))
    }

    /// A client with abilities of its own. The server's cache lies in the folder too.
    pub fn start_with(folder: &Path, capabilities: Value) -> Client {
        let mut server = support::command(folder, &["lsp"])
            .env("XDG_CACHE_HOME", folder.join("cache"))
            .stdin(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let (to, from) = (server.stdin.take(), BufReader::new(server.stdout.take().unwrap()));
        let mut client = Client { server, to, from, asked: 0, heard: Vec::new(), greeting: Value::Null };
        let root = uri(folder);
        let params = json!({ "capabilities": capabilities, "rootUri": root, "processId": null });
        let answer = client.ask("initialize", params);
        assert_eq!(answer["capabilities"]["hoverProvider"], json!(true));
        client.greeting = answer;
        client.tell("initialized", json!({}));
        client
    }

    pub fn send(&mut self, message: &Value) {
        wire::send(self.to.as_mut().unwrap(), message);
    }

    pub fn tell(&mut self, method: &str, params: Value) {
        self.send(&json!({ "jsonrpc": "2.0", "method": method, "params": params }));
    }

    /// Sends a request and does not wait; its id.
    pub fn request(&mut self, method: &str, params: Value) -> u64 {
        self.asked += 1;
        let id = self.asked;
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        id
    }

    /// The answer to a request, a result or an error.
    pub fn answer(&mut self, id: u64) -> Value {
        if let Some(at) = self.heard.iter().position(|message| message["id"] == json!(id)) {
            return self.heard.remove(at);
        }
        loop {
            let message = self.receive();
            if message["id"] == json!(id) {
                return message;
            }
            self.heard.push(message);
        }
    }

    /// The result of a request.
    pub fn ask(&mut self, method: &str, params: Value) -> Value {
        let id = self.request(method, params);
        let message = self.answer(id);
        assert!(message.get("error").is_none(), "{method}: {message}");
        message["result"].clone()
    }

    /// What a request is refused with.
    pub fn refused(&mut self, method: &str, params: Value) -> String {
        let id = self.request(method, params);
        let message = self.answer(id);
        message["error"]["message"].as_str().unwrap_or_else(|| panic!("{method}: {message}")).to_string()
    }

    /// Asks about a position.
    pub fn ask_at(&mut self, what: &str, uri: &str, at: (u32, u32)) -> Value {
        self.ask(&format!("textDocument/{what}"), place(uri, at))
    }

    /// Replaces the whole text.
    pub fn change(&mut self, uri: &str, version: i32, text: &str) {
        let document = json!({ "uri": uri, "version": version });
        let change = json!({ "textDocument": document, "contentChanges": [{ "text": text }] });
        self.tell("textDocument/didChange", change);
    }

    pub fn receive(&mut self) -> Value {
        wire::receive(&mut self.from)
    }

    /// The next diagnostics for a file.
    pub fn diagnostics(&mut self, uri: &str) -> Vec<Value> {
        loop {
            let said = self.heard.iter().position(|message| message["method"].is_string());
            let message = match said {
                Some(at) => self.heard.remove(at),
                None => self.receive(),
            };
            if message["method"] == "textDocument/publishDiagnostics" && message["params"]["uri"] == uri {
                return message["params"]["diagnostics"].as_array().unwrap().clone();
            }
        }
    }

    pub fn open(&mut self, uri: &str, text: &str) {
        let document = json!({ "uri": uri, "languageId": "strata", "version": 1, "text": text });
        self.tell("textDocument/didOpen", json!({ "textDocument": document }));
    }

    pub fn hover(&mut self, uri: &str, line: u32, character: u32) -> Value {
        let at = json!({ "line": line, "character": character });
        self.ask("textDocument/hover", json!({ "textDocument": { "uri": uri }, "position": at }))
    }

    /// What came while something else was awaited.
    pub fn heard(&self) -> &[Value] {
        &self.heard
    }

    /// The next notification of a kind that was heard already.
    pub fn heard_note(&mut self, method: &str) -> Option<Value> {
        let at = self.heard.iter().position(|message| message["method"] == method)?;
        Some(self.heard.remove(at))
    }

    /// The next notification of a kind.
    pub fn note(&mut self, method: &str) -> Value {
        loop {
            if let Some(message) = self.heard_note(method) {
                return message;
            }
            let message = self.receive();
            self.heard.push(message);
        }
    }

    /// Leaves without a word.
    pub fn hang_up(&mut self) {
        self.to = None;
    }

    /// How long processors have worked for the server, where the system tells.
    pub fn worked(&self) -> Option<Duration> {
        wire::worked(self.server.id())
    }

    /// How the server ended.
    pub fn code(&mut self) -> Option<i32> {
        self.server.wait().unwrap().code()
    }

    /// Says goodbye as it should be said.
    pub fn end(mut self) {
        self.ask("shutdown", Value::Null);
        self.tell("exit", Value::Null);
        self.to = None;
        assert_eq!(self.server.wait().unwrap().code(), Some(0));
    }
}

/// A position in a file, as parameters.
pub fn place(uri: &str, (line, character): (u32, u32)) -> Value {
    let at = json!({ "line": line, "character": character });
    json!({ "textDocument": { "uri": uri }, "position": at })
}

/// The address of a file in a folder whose name needs no escapes.
pub fn uri(path: &Path) -> String {
    format!("file://{}", path.display())
}

/// Where `text` first stands: line and UTF-16 column.
pub fn find(whole: &str, text: &str) -> (u32, u32) {
    let before = &whole[..whole.find(text).unwrap_or_else(|| panic!("no `{text}`"))];
    let line = &before[before.rfind('\n').map_or(0, |at| at + 1)..];
    (before.matches('\n').count() as u32, line.encode_utf16().count() as u32)
}

/// A text with `$0` in it: the text without, and the position.
pub fn cursor(marked: &str) -> (String, (u32, u32)) {
    let at = find(marked, "$0");
    (marked.replacen("$0", "", 1), at)
}

/// Makes edits with ranges in UTF-16, last first.
pub fn edited(text: &str, edits: &Value) -> String {
    let offset = |at: &Value| {
        let (line, mut column) = (at["line"].as_u64().unwrap() as usize, at["character"].as_u64().unwrap());
        let start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
        let mut offset = start;
        for c in text[start..].chars() {
            if column == 0 {
                break;
            }
            column -= c.len_utf16() as u64;
            offset += c.len_utf8();
        }
        offset
    };
    let mut all: Vec<(usize, usize, &str)> = edits
        .as_array()
        .unwrap()
        .iter()
        .map(|e| (offset(&e["range"]["start"]), offset(&e["range"]["end"]), e["newText"].as_str().unwrap()))
        .collect();
    all.sort_unstable();
    let mut new = text.to_string();
    for (start, end, with) in all.into_iter().rev() {
        new.replace_range(start..end, with);
    }
    new
}
