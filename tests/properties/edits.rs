//! Analysing a spec again after edits gives what analysing it anew gives, to the last place and message.

use std::collections::BTreeMap;

use strata::check::{Content, DataFacts, Format, Settings, SourceFacts, data_sources};
use strata::graph::ValueId;
use strata::load::Loaded;
use strata::{Analysis, Memory, analyse, analyse_again};
use strata_runtime::DType;
use strata_runtime::checkpoint::WeightFacts;
use strata_tests::random::Choices;

const ROOT: &str = "use \"part.model\"

/// Two layers.
layer block(x: f32[.., in], units: axis = 4) {
  a = x |> dense(units) |> relu      // inside
  b = twice(x, units)
  return a + b
}

layer twice(x: f32[.., in], units: axis) {
  return x |> dense(units) |> dense(units)
}

layer alone(x: f32[.., in]) {
  return twice(x, 3)
}

model First(units: axis = 8) {
  input x: f32[batch, 6]
  input y: i32[batch]
  h = x |> block(units) |> layer_norm
  param w: f32[units] = zeros
  h = h * w |> dropout(0.5)
  logits = h |> dense(class = 10)
  loss cross_entropy(logits, y)
  metric accuracy(logits, y)
}

model Second {
  input words: i32[batch, ragged time]
  x = words |> embedding(20, 8)
  x, (h, c) = x |> lstm(8)
  scan x over time with s = zeros(batch, 8) { s = tanh(s + x |> dense(8)) }
  state seen: f32[8] = zeros
  update seen = mean(last(s), batch)
  tower[1] { z = last(s) |> part(3) }
  loss mean(z)
}

model Third {
  input x: f32[batch, 6]
  net = First(x, units: 3)
  loss mean(net[\"logits\"])
}

model Fourth(units: axis) {
  input x: f32[batch, units]
  layer own(x: f32[.., in]) { return alone(x) + 1 }
  y = x |> own
  loss mean(y)
}

data d = csv(\"d.csv\", x: columns(0..6), y: column(6))

train First {
  feed d |> batch(4)
  optimize momentum(rate: 0.1)
  stop after 2 epochs
}
";

const PART: &str = "// A file of its own.
layer part(x: f32[.., in], n: int) {
  for i in 0..n { x = x |> dense(5) |> gelu }
  return x
}

model Used {
  input x: f32[batch, 3]
  y = x |> part(2)
  loss sum(y)
}
";

/// A spec whose models begin with weights of files.
const FILES: &str = "use \"part.model\"

layer pair(x: f32[.., in]) {
  return x |> dense(4) as one |> dense(4) as two
}

model Net {
  input x: f32[batch, 3]
  input y: i32[batch]
  h = x |> dense(4) as one |> relu
  logits = h |> dense(5) as head
  loss cross_entropy(logits, y)
}

names Net {
  new \"head/*\"
  \"*/w\" = \"*.weight\" |> transpose    // as PyTorch has it
  \"*/b\" = \"*.bias\"
  unused \"more.*\"
}

model Dream {
  param canvas: f32[1, 3] = 0
  frozen layer net = Net(weights: \"net.safetensors\")
  loss mean(net(canvas)[\"h\"])
}

model Twice {
  input x: f32[batch, 3]
  a = Net(x, weights: \"net.safetensors\")[\"h\"]
  b = Net(x + 1, weights: \"net.safetensors\")[\"h\"]
  loss mean(a + b)
}

model Plain {
  input x: f32[batch, 4]
  loss mean(pair(x))
}

data d = csv(\"d.csv\", x: columns(0..3), y: column(3))

train Net as tune {
  init from \"net.safetensors\"
  feed d |> batch(4)
  optimize sgd(rate: 0.1)
  stop after 2 epochs
}
";

/// What is known of files: there is one of weights.
fn facts(loaded: &Loaded) -> DataFacts {
    let sources = data_sources(loaded, &Settings::default()).into_iter();
    let ours = sources.filter(|s| s.key.format == Format::Weights && s.key.path == "net.safetensors");
    let tensors: [(&str, &[usize]); 3] = [("one.weight", &[4, 3]), ("one.bias", &[4]), ("more.seen", &[1])];
    let tensors = tensors.map(|(name, shape)| (name.to_string(), DType::F32, shape.to_vec()));
    let weights = WeightFacts { tensors: tensors.to_vec(), ours: false };
    let found = |path: &str| SourceFacts { path: path.into(), content: Content::Weights(weights.clone()) };
    DataFacts { sources: ours.map(|s| (s.key.clone(), Ok(found(&s.key.path)))).collect() }
}

fn files(root: &str, part: &str) -> BTreeMap<&'static str, String> {
    BTreeMap::from([("root.model", root.to_string()), ("part.model", part.to_string())])
}

fn anew(files: &BTreeMap<&'static str, String>) -> Analysis {
    analyse("root.model", &mut reader(files), &mut facts, &Settings::default())
}

fn again(files: &BTreeMap<&'static str, String>, memory: &mut Memory) -> Analysis {
    analyse_again("root.model", &mut reader(files), &mut facts, &Settings::default(), memory)
}

fn reader(files: &BTreeMap<&'static str, String>) -> impl FnMut(&str) -> Result<Vec<u8>, String> {
    |name: &str| match files.get(name) {
        Some(text) => Ok(text.clone().into_bytes()),
        None => Err("no such file".to_string()),
    }
}

/// Everything that came of a spec.
fn told(analysis: &Analysis) -> String {
    let Analysis { loaded, checked, facts: _, diagnostics } = analysis;
    format!("{diagnostics:#?}\n{checked:#?}\n{:#?}", loaded.files)
}

/// What editors show of a model is there.
fn hints_are_of_values(analysis: &Analysis) {
    let checked = &analysis.checked;
    let models = checked.runs.iter().map(|run| &run.model).chain(&checked.models).chain(&checked.unfinished);
    for model in models {
        let known = |value: &ValueId| (value.0 as usize) < model.values.len();
        assert!(model.hints.iter().all(|hint| hint.values.iter().all(known)), "{}", model.name);
    }
}

fn edit(text: &mut String, choices: &mut Choices) {
    let snippets = [
        "",
        "",
        "",
        " ",
        "\n",
        "x",
        "3",
        "(",
        ")",
        "{",
        "}",
        "\n  z = x",
        "|> relu",
        "// ",
        "\"",
        "_",
        "é",
        "\nlayer dense(x: f32[.., in], units: axis) { return x }\n",
        "\nlayer gelu(x: f32[..]) { return x }\n",
        "\nmodel part {\n  input x: f32[batch, 2]\n  loss mean(x)\n}\n",
        "\nparam q: f32[2] = zeros\n",
        "loss",
        "\nuse \"other.model\"\n",
        "\"*/w\"",
        "net.safetensors",
        "\nnames Twice { \"*/w\" = \"*.weight\" }\n",
        "\ntrain Third { feed d |> batch(2); optimize sgd(rate: 1) }\n",
    ];
    if choices.once_in(4) {
        // A line goes elsewhere, or a whole block.
        let parts = if choices.once_in(2) { "\n" } else { "\n\n" };
        let mut all: Vec<&str> = text.split(parts).collect();
        let part = all.remove(choices.below(all.len()));
        all.insert(choices.below(all.len() + 1), part);
        *text = all.join(parts);
        return;
    }
    let mut start = choices.below(text.len() + 1);
    let mut end = if choices.once_in(2) { start } else { (start + choices.below(15)).min(text.len()) };
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    while !text.is_char_boundary(end) {
        end += 1;
    }
    text.replace_range(start..end, choices.pick(&snippets));
}

#[test]
fn after_any_edits_it_is_what_analysing_anew_gives() {
    for seed in 0..20 {
        let mut choices = Choices::new(seed);
        let mut files = files(if seed < 12 { ROOT } else { FILES }, PART);
        let mut memory = Memory::default();
        let mut undo = files.clone();
        for _ in 0..16 {
            let found = again(&files, &mut memory);
            hints_are_of_values(&found);
            let (found, wanted) = (told(&found), told(&anew(&files)));
            if found != wanted {
                let line = found.lines().zip(wanted.lines()).position(|(a, b)| a != b).unwrap_or(0);
                let around = |text: &str| {
                    let lines: Vec<&str> = text.lines().skip(line.saturating_sub(12)).take(20).collect();
                    lines.join("\n")
                };
                panic!(
                    "seed {seed}:\n{}\n----\n{}\n---- anew:\n{}\n---- again:\n{}",
                    files["root.model"],
                    files["part.model"],
                    around(&wanted),
                    around(&found)
                );
            }
            // Most edits are taken back, or everything would soon be broken.
            if choices.once_in(2) {
                files = undo.clone();
            } else {
                undo = files.clone();
                let which = if choices.once_in(5) { "part.model" } else { "root.model" };
                edit(files.get_mut(which).expect("it is one of the two"), &mut choices);
            }
        }
    }
}

#[test]
fn what_an_edit_does_not_touch_is_not_checked_again() {
    let mut memory = Memory::default();
    let mut taken = |root: &str, part: &str| {
        let found = again(&files(root, part), &mut memory);
        assert!(found.diagnostics.is_empty(), "{:#?}", found.diagnostics);
        memory.models.taken()
    };
    assert_eq!(taken(ROOT, PART), 0);
    // All but the one that is trained.
    assert_eq!(taken(ROOT, PART), 4);
    assert_eq!(
        taken(&ROOT.replace("gelu", "relu").replace("zeros(batch, 8)", "zeros"), PART),
        3,
        "one of them"
    );
    let longer = format!("// More.\n\n{ROOT}");
    assert_eq!(taken(&longer, PART), 3, "it was changed back");
    assert_eq!(taken(&longer, &PART.replace("gelu", "relu")), 2, "a layer that two of them call");
    assert_eq!(
        taken(&longer.replace("dense(units) |> relu", "dense(units) |> tanh"), &PART.replace("gelu", "relu")),
        3,
        "a layer of a model that one calls"
    );
}

#[test]
fn models_that_begin_with_files_are_checked_anew() {
    let mut memory = Memory::default();
    for taken in [0, 2, 2] {
        let found = again(&files(FILES, PART), &mut memory);
        assert!(found.diagnostics.is_empty(), "{:#?}", found.diagnostics);
        assert_eq!(memory.models.taken(), taken, "`Plain` and `Used` name no file");
    }
}
