//! Time: diagnostics of a long file appear at once, and typing fast does not pile up work.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::client::{Client, find, uri};
use crate::support;

/// A spec of so many lines: models of many layers, layers of its own, data, comments. The same for the same seed.
fn long_file(lines: usize, seed: u64) -> String {
    let mut state = seed;
    let mut random = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut text = String::new();
    let mut count = 0;
    let mut block = 0;
    while count < lines {
        block += 1;
        let mut part = String::new();
        if block % 3 == 0 {
            let _ = writeln!(
                part,
                "/// Block {block}: two dense layers and a sum.\nlayer block{block}(x: f32[.., in], units: axis) {{"
            );
            let _ = writeln!(part, "  a = x |> dense(units) |> relu      // inside");
            let _ = writeln!(part, "  b = x |> dense(units) |> tanh\n  return a + b\n}}\n");
        } else {
            let _ = writeln!(
                part,
                "model Net{block}(units: axis = {}) {{\n  input x: f32[batch, {}]\n  input y: i32[batch]\n",
                8 + random(56),
                1 + random(63)
            );
            let _ = writeln!(part, "  h = x |> dense(units)");
            for i in 0..8 + random(24) {
                let _ = match random(5) {
                    0 => writeln!(part, "  h = h |> layer_norm"),
                    1 => writeln!(part, "  // a word about line {i}"),
                    2 => writeln!(part, "  k{i} = h |> dense(units, bias: false) |> relu\n  h = h + k{i}"),
                    3 if block > 3 => writeln!(part, "  h = h |> block{}(units)", (block - 1) / 3 * 3),
                    _ => writeln!(part, "  h = relu(h) |> dropout(0.{})", 1 + random(8)),
                };
            }
            let _ = writeln!(
                part,
                "\n  logits = h |> dense(class = 10)\n  loss cross_entropy(logits, y)\n  metric accuracy(logits, y)\n}}\n"
            );
        }
        count += part.lines().count();
        text += &part;
    }
    text
}

/// The median, the time that most changes take.
fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

#[test]
fn diagnostics_of_two_thousand_lines_appear_at_once() {
    let folder = support::tiny();
    let uri = uri(&folder.path().join("long.model"));
    let mut client = Client::start(folder.path());
    let text = long_file(2000, 7);
    assert!(text.lines().count() >= 2000);
    client.open(&uri, &text);
    let found = client.diagnostics(&uri);
    assert!(found.is_empty(), "{found:?}");
    // A letter is typed in the middle, and taken back.
    let at = text.match_indices("layer_norm").nth(20).unwrap().0;
    let line = text[..at].matches('\n').count();
    let column = at - text[..at].rfind('\n').unwrap() - 1;
    let position = |column: usize| json!({ "line": line, "character": column });
    let mut times = Vec::new();
    let before = client.worked();
    for round in 0..20 {
        let (range, letter, mistakes) = if round % 2 == 0 {
            (json!({ "start": position(column), "end": position(column) }), "q", 1)
        } else {
            (json!({ "start": position(column), "end": position(column + 1) }), "", 0)
        };
        let change = json!({ "textDocument": { "uri": uri, "version": round + 2 }, "contentChanges": [{ "range": range, "text": letter }] });
        let start = Instant::now();
        client.tell("textDocument/didChange", change);
        let found = client.diagnostics(&uri);
        times.push(start.elapsed());
        assert_eq!(found.len(), mistakes, "{found:?}");
    }
    let worked = client.worked().zip(before).map(|(after, before)| (after - before) / 20);
    let median = median(times);
    eprintln!(
        "{} lines, {} bytes: diagnostics after {median:?}, of which the processor worked {worked:?}",
        text.lines().count(),
        text.len()
    );
    // The figure is for people; machines differ, and other tests run meanwhile. What must not be is a second.
    assert!(median < Duration::from_secs(2), "{median:?}");
    client.end();
}

#[test]
fn fast_typing_in_a_long_file_does_not_pile_up() {
    let folder = support::tiny();
    let uri = uri(&folder.path().join("long.model"));
    let mut client = Client::start(folder.path());
    let text = long_file(2000, 8);
    client.open(&uri, &text);
    client.diagnostics(&uri);
    // Two hundred changes at once: were each analysed, this would take ten seconds.
    let start = Instant::now();
    for version in 2..202 {
        client.change(&uri, version, &format!("{text}// {version}\n"));
    }
    let (line, column) = find(&text, "logits = h");
    let hover = client.hover(&uri, line, column + 1);
    assert!(hover["contents"]["value"].as_str().unwrap().contains("class = 10"), "{hover}");
    let took = start.elapsed();
    eprintln!("200 changes of {} bytes, then a hover: {took:?}", text.len());
    assert!(took < Duration::from_secs(5), "{took:?}");
    client.end();
}
