//! Long specs for measurements.

use std::fmt::Write as _;

/// A spec of so many lines: models of many layers, layers of its own, data, comments. The same for the same seed.
pub fn long_file(lines: usize, seed: u64) -> String {
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
