//! Where names lead: definitions, references, renamings.

use serde_json::{Value, json};

use crate::client::{Client, edited, find, place, uri};
use crate::support;

/// A model in two files, with data, devices and everything that can have a name.
const PART: &str =
    "/// Doubles.\nlayer twice(x: f32[.., in], by: float = 2) {\n  y = by * x\n  return y\n}\n";
const WHOLE: &str = r#"use "part.model"

model Net(units: axis = 8) {
  input x: f32[batch, 4]
  input y: i32[batch]
  h = x |> twice(by: 3) |> dense(units) as first
  for i in 0..2 {
    tower[i] {
      h = h |> dense(units) |> relu
    }
  }
  relu = h |> relu
  logits = relu |> dense(class = 3)
  loss cross_entropy(logits, y)
}

data all = csv("tiny.csv", x: columns(0..4), y: column(4))

train Net {
  feed     all |> batch(16)
  optimize sgd(rate: 0.1)
  stop     after 1 epoch
}

devices { gpu[2] }

place Net {
  tower[t] on gpu[t]
  first split over gpu[0..2] by units
  logits split over gpu[0..2] by class
}
"#;

struct Desk {
    client: Client,
    part: String,
    whole: String,
    folder: tempfile::TempDir,
}

fn desk() -> Desk {
    let folder = support::tiny();
    std::fs::write(folder.path().join("part.model"), PART).unwrap();
    std::fs::write(folder.path().join("whole.model"), WHOLE).unwrap();
    let mut client = Client::start(folder.path());
    let (part, whole) = (uri(&folder.path().join("part.model")), uri(&folder.path().join("whole.model")));
    client.open(&whole, WHOLE);
    Desk { client, part, whole, folder }
}

impl Desk {
    /// Line and file of the definition of what begins with `text`.
    fn goes_to(&mut self, text: &str) -> (String, u64) {
        let there = self.client.ask_at("definition", &self.whole, find(WHOLE, text));
        let file = there["uri"].as_str().unwrap_or_default().rsplit('/').next().unwrap().to_string();
        (file, there["range"]["start"]["line"].as_u64().unwrap_or(9999))
    }

    /// The two texts after a renaming.
    fn renamed(&mut self, text: &str, new_name: &str) -> (String, String) {
        let mut params = place(&self.whole, find(WHOLE, text));
        params["newName"] = json!(new_name);
        let edit = self.client.ask("textDocument/rename", params);
        let none = json!([]);
        let of = |uri: &str| edit["changes"].get(uri).unwrap_or(&none).clone();
        (edited(WHOLE, &of(&self.whole)), edited(PART, &of(&self.part)))
    }

    fn refused(&mut self, text: &str, new_name: &str) -> String {
        let mut params = place(&self.whole, find(WHOLE, text));
        params["newName"] = json!(new_name);
        self.client.refused("textDocument/rename", params)
    }
}

#[test]
fn definitions_are_found_across_blocks_and_files() {
    let mut desk = desk();
    let at = |text: &str| ("whole.model".to_string(), u64::from(find(WHOLE, text).0));
    assert_eq!(desk.goes_to("\"part.model\""), ("part.model".into(), 0));
    assert_eq!(desk.goes_to("twice(by"), ("part.model".into(), 1));
    assert_eq!(desk.goes_to("by: 3"), ("part.model".into(), 1));
    assert_eq!(desk.goes_to("units) as"), at("model Net"));
    // The layer and the binding of one name are told apart.
    assert_eq!(desk.goes_to("relu |> dense(class"), at("  relu = h"));
    // Of two bindings the one before.
    assert_eq!(desk.goes_to("h |> relu\n"), at("      h = h"));
    assert_eq!(desk.goes_to("all |> batch"), at("data all"));
    assert_eq!(desk.goes_to("Net {\n  feed"), at("model Net"));
    assert_eq!(desk.goes_to("x: columns"), at("input x"));
    assert_eq!(desk.goes_to("tower[t]"), at("tower[i]"));
    assert_eq!(desk.goes_to("first split"), at("as first"));
    assert_eq!(desk.goes_to("gpu[t]"), at("devices"));
    assert_eq!(desk.goes_to("class\n"), at("dense(class"));
    desk.client.end();
}

#[test]
fn the_library_opens_as_files_that_answer_too() {
    let mut desk = desk();
    let there = desk.client.ask_at("definition", &desk.whole, find(WHOLE, "dense(units) as"));
    let library = there["uri"].as_str().unwrap().to_string();
    let path = library.strip_prefix("file://").unwrap();
    assert!(path.starts_with(desk.folder.path().join("cache").to_str().unwrap()), "{path}");
    let text = std::fs::read_to_string(path).unwrap();
    let line = text.lines().nth(there["range"]["start"]["line"].as_u64().unwrap() as usize).unwrap();
    assert!(line.starts_with("layer dense("), "{line}");
    assert!(std::fs::metadata(path).unwrap().permissions().readonly());
    // The editor opens it; nothing is wrong in it, and its names lead on.
    desk.client.open(&library, &text);
    let at = find(&text, "x @ w + b, x");
    let there = desk.client.ask_at("definition", &library, at);
    assert_eq!(there["uri"], json!(library));
    let found = desk.client.ask("textDocument/references", {
        let mut params = place(&library, find(&text, "dense(x: float"));
        params["context"] = json!({ "includeDeclaration": true });
        params
    });
    let files: Vec<&str> = found.as_array().unwrap().iter().map(|l| l["uri"].as_str().unwrap()).collect();
    assert!(files.contains(&library.as_str()) && files.contains(&desk.whole.as_str()), "{files:?}");
    // A second look does not write it anew.
    let written = std::fs::metadata(path).unwrap().modified().unwrap();
    desk.client.ask_at("definition", &desk.whole, find(WHOLE, "sgd("));
    assert_eq!(std::fs::metadata(path).unwrap().modified().unwrap(), written);
    desk.client.end();
}

#[test]
fn references_reach_every_spec_of_the_folder() {
    let mut desk = desk();
    // Of the two only the part is open, and what uses it lies on the disk.
    desk.client.tell("textDocument/didClose", json!({ "textDocument": { "uri": desk.whole } }));
    desk.client.open(&desk.part, PART);
    let mut params = place(&desk.part, find(PART, "by: float"));
    params["context"] = json!({ "includeDeclaration": false });
    let found = desk.client.ask("textDocument/references", params);
    let mut lines: Vec<(bool, u64)> = found
        .as_array()
        .unwrap()
        .iter()
        .map(|l| (l["uri"] == json!(desk.whole), l["range"]["start"]["line"].as_u64().unwrap()))
        .collect();
    lines.sort_unstable();
    assert_eq!(lines, [(false, 2), (true, u64::from(find(WHOLE, "by: 3").0))]);
    desk.client.end();
}

#[test]
fn renaming_reaches_every_place_and_nothing_else() {
    let mut desk = desk();
    // A layer in another file.
    let (whole, part) = desk.renamed("twice(by", "double");
    assert_eq!(whole, WHOLE.replace("twice", "double"));
    assert_eq!(part, PART.replace("twice", "double"));
    // A binding that is called like a layer of the library, which keeps its name.
    let (whole, _) = desk.renamed("relu |> dense(class", "kept");
    assert_eq!(
        whole,
        WHOLE
            .replace("  relu = h |> relu\n", "  kept = h |> relu\n")
            .replace("relu |> dense(class", "kept |> dense(class")
    );
    // An input and the field that feeds it; all bindings of one name; a parameter, which is an axis in `place` too.
    let (whole, _) = desk.renamed("x: columns", "image");
    assert_eq!(
        whole,
        WHOLE
            .replace("input x", "input image")
            .replace("= x |>", "= image |>")
            .replace("x: columns", "image: columns")
    );
    let (whole, _) = desk.renamed("h = x", "state");
    assert_eq!(
        whole,
        WHOLE
            .replace(" h = x", " state = x")
            .replace("h = h |> dense", "state = state |> dense")
            .replace("relu = h", "relu = state")
    );
    let (whole, _) = desk.renamed("units: axis", "width");
    assert_eq!(whole, WHOLE.replace("units", "width"));
    let (whole, part) = desk.renamed("by: 3", "factor");
    assert_eq!(whole, WHOLE.replace("by: 3", "factor: 3"));
    assert_eq!(part, PART.replace("by: float", "factor: float").replace("by * x", "factor * x"));
    desk.client.end();
}

#[test]
fn renaming_refuses_what_would_change_a_meaning() {
    let mut desk = desk();
    assert!(desk.refused("dense(units) as", "full").contains("belongs to the library"));
    // Taken: by another binding, by a layer that the text goes on to use, by the library's layer.
    assert!(desk.refused("h = x", "logits").contains("already has a meaning"));
    assert!(desk.refused("h = x", "units").contains("`units`"));
    assert!(desk.refused("twice(by", "relu").contains("already has a meaning"));
    assert!(desk.refused("x: columns", "y").contains("`y`"));
    // No names.
    assert!(desk.refused("h = x", "2h").contains("is no name"));
    assert!(desk.refused("h = x", "größe").contains("is no name"));
    assert!(desk.refused("h = x", "not").contains("meaning of its own"));
    assert!(desk.refused("loss", "lost").contains("no name here"));
    // A text that cannot be read may hold the name.
    desk.client.change(&desk.whole, 2, &WHOLE.replace("  loss cross", "  loss = = cross"));
    assert!(desk.refused("h = x", "k").contains("mend"));
    desk.client.end();
}

#[test]
fn the_places_of_a_name_light_up() {
    let mut desk = desk();
    let found = desk.client.ask_at("documentHighlight", &desk.whole, find(WHOLE, "logits ="));
    let kinds: Vec<(u64, u64)> = found
        .as_array()
        .unwrap()
        .iter()
        .map(|h| (h["range"]["start"]["line"].as_u64().unwrap(), h["kind"].as_u64().unwrap()))
        .collect();
    let line = |text: &str| u64::from(find(WHOLE, text).0);
    assert_eq!(kinds, [(line("logits ="), 3), (line("loss cross"), 2), (line("logits split"), 2)]);
    assert_eq!(desk.client.ask_at("definition", &desk.whole, (0, 0)), Value::Null);
    desk.client.end();
}
