//! Analysing a spec again after edits gives what analysing it anew gives, to the last place and message.

use std::collections::BTreeMap;

use strata::check::{DataFacts, Settings};
use strata::graph::ValueId;
use strata::{Analysis, Memory, analyse_again};
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

fn files(root: &str, part: &str) -> BTreeMap<&'static str, String> {
    BTreeMap::from([("root.model", root.to_string()), ("part.model", part.to_string())])
}

fn anew(files: &BTreeMap<&'static str, String>) -> Analysis {
    again(files, &mut Memory::default())
}

fn again(files: &BTreeMap<&'static str, String>, memory: &mut Memory) -> Analysis {
    let mut read = |name: &str| match files.get(name) {
        Some(text) => Ok(text.clone().into_bytes()),
        None => Err("no such file".to_string()),
    };
    analyse_again("root.model", &mut read, &mut |_| DataFacts::default(), &Settings::default(), memory)
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
    for seed in 0..12 {
        let mut choices = Choices::new(seed);
        let mut files = files(ROOT, PART);
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
