//! How long an editor waits: `strata lsp` is given a spec of so many lines, letters are typed and taken back in it,
//! and for each kind of place it is told when the diagnostics came and how long processors worked for them.
//!
//! ```text
//! cargo build --release && cargo run --release -p strata-tests --example editor [LINES] [CHANGES]
//! ```

#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on stops where it stands")]

#[path = "../lsp/long.rs"]
mod long;
#[path = "../lsp/wire.rs"]
mod wire;

use std::io::BufReader;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

const URI: &str = "file:///measured/long.model";

struct Server {
    process: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Server {
    fn start() -> Server {
        let command = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("strata");
        let mut process = Command::new(&command)
            .arg("lsp")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; build it first", command.display()));
        let (to, from) = (process.stdin.take().unwrap(), BufReader::new(process.stdout.take().unwrap()));
        let mut server = Server { process, to, from };
        let params = json!({ "capabilities": {}, "processId": null });
        server.send(&json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params }));
        server.receive();
        server.tell("initialized", json!({}));
        server
    }

    fn send(&mut self, message: &Value) {
        wire::send(&mut self.to, message);
    }

    fn tell(&mut self, method: &str, params: Value) {
        self.send(&json!({ "jsonrpc": "2.0", "method": method, "params": params }));
    }

    fn receive(&mut self) -> Value {
        wire::receive(&mut self.from)
    }

    /// The number of diagnostics for the next version.
    fn diagnostics(&mut self) -> usize {
        loop {
            let message = self.receive();
            if message["method"] == "textDocument/publishDiagnostics" {
                return message["params"]["diagnostics"].as_array().unwrap().len();
            }
        }
    }

    fn worked(&self) -> Option<Duration> {
        wire::worked(self.process.id())
    }
}

fn main() {
    let number = |at: usize, otherwise: usize| {
        std::env::args()
            .nth(at)
            .map_or(otherwise, |text| text.parse().expect("LINES and CHANGES are numbers"))
    };
    let (lines, changes) = (number(1, 2000), number(2, 100));
    let text = long::long_file(lines, 7);
    println!("{} lines, {} bytes", text.lines().count(), text.len());
    let mut server = Server::start();
    let start = Instant::now();
    let document = json!({ "uri": URI, "languageId": "strata", "version": 1, "text": text });
    server.tell("textDocument/didOpen", json!({ "textDocument": document }));
    server.diagnostics();
    println!("{:44} {:6.1} ms", "opened", millis(start.elapsed()));
    println!("{:44} {:>9} {:>9} {:>9}", "a letter typed and taken back", "median", "longest", "processor");
    let middle = text.match_indices("layer_norm").nth(20).unwrap().0;
    let layer =
        text.find("layer block3(").unwrap() + "layer block3(x: f32[.., in], units: axis) {\n  a".len();
    let places = [
        ("in a model: a name that is unknown", middle, "q"),
        ("in a model: a comment", text[..middle].rfind("// a word").unwrap() + 5, "q"),
        ("in a model: a bracket that stays open", middle, "("),
        ("in a layer that many models call", layer, "q"),
        ("before everything: all moves", 0, "\n"),
    ];
    let mut version = 1;
    for (what, at, letter) in places {
        let line = text[..at].matches('\n').count();
        let column = at - text[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let from = json!({ "line": line, "character": column });
        let to = if letter == "\n" {
            json!({ "line": line + 1, "character": 0 })
        } else {
            json!({ "line": line, "character": column + 1 })
        };
        let mut times = Vec::new();
        let before = server.worked();
        for round in 0..changes {
            version += 1;
            let (end, letter) = if round % 2 == 0 { (&from, letter) } else { (&to, "") };
            let change = json!({ "range": { "start": from, "end": end }, "text": letter });
            let document = json!({ "uri": URI, "version": version });
            let params = json!({ "textDocument": document, "contentChanges": [change] });
            let start = Instant::now();
            server.tell("textDocument/didChange", params);
            server.diagnostics();
            times.push(start.elapsed());
        }
        times.sort_unstable();
        let worked = server.worked().zip(before).map(|(after, before)| (after - before) / changes as u32);
        let worked = worked.map_or("unknown".to_string(), |worked| format!("{:.1} ms", millis(worked)));
        let (median, longest) = (millis(times[times.len() / 2]), millis(times[times.len() - 1]));
        println!("{what:44} {median:6.1} ms {longest:6.1} ms {worked:>9}");
    }
    server.send(&json!({ "jsonrpc": "2.0", "id": 2, "method": "shutdown" }));
    while server.receive()["id"] != json!(2) {}
    server.tell("exit", Value::Null);
    server.process.wait().unwrap();
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
