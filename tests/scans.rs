//! Recurrences as specs say them, against loops written by hand; evaluated by the reference evaluator in f64.

use strata::check::{DataFacts, Settings, check};
use strata::reference::{Array, step};
use strata::unfold::{Phase, unfold};
use strata_grammar::Report;
use strata_tests::spec::load_case;
use strata_tests::trial::{self, Trial, model, numbers};

/// The value of `y` in a model with these inputs.
#[track_caller]
fn y(body: &str, inputs: &[(&str, Array)]) -> Array {
    Trial::new(model("", body), inputs).binding("y")
}

#[track_caller]
fn near(found: &Array, shape: &[usize], expected: &[f64]) {
    assert_eq!(found.shape, shape);
    trial::near(&found.data, expected, 1e-9);
}

fn column(data: &[f64]) -> Array {
    Array::new(&[data.len()], data.to_vec())
}

#[test]
fn a_running_sum() {
    let run = |body: &str| y(&format!("input x: f32[time]\n{body}"), &[("x", column(&[1.0, 2.0, 3.0]))]);
    near(&run("scan x over time with s = 0 { s = s + x }\n y = s"), &[3], &[1.0, 3.0, 6.0]);
    near(&run("scan x over time reverse with s = 0 { s = s + x }\n y = s"), &[3], &[6.0, 5.0, 3.0]);
    near(&run("scan x over time with s = 0 { s = s + x }\n y = last(s)"), &[], &[6.0]);
    near(&run("scan x over time reverse with s = 0 { s = s + x }\n y = last(s)"), &[], &[6.0]);
    near(
        &run("scan x over time with s = 10 { before = s\n s = s + x }\n y = before"),
        &[3],
        &[10.0, 11.0, 13.0],
    );
    // The sequence is whole again afterwards.
    near(&run("scan x over time with s = 0 { s = s + x }\n y = x * s"), &[3], &[1.0, 6.0, 18.0]);
    // One that is computed beforehand, and one that is the same in every turn.
    near(
        &run("t = sum(x)\n scan x over time with s = t { k = t * t\n s = s - k }\n y = s + k"),
        &[3],
        &[6.0, -30.0, -66.0],
    );
}

#[test]
fn no_turn_leaves_the_start() {
    let empty = |body: &str| y(&format!("input x: f32[time]\n{body}"), &[("x", column(&[]))]);
    near(&empty("scan x over time with s = 5 { s = s + x }\n y = last(s)"), &[], &[5.0]);
    near(&empty("scan x over time with s = 5 { s = s + x }\n y = s"), &[0], &[]);
    let times = |body: &str| y(&format!("input x: f32[batch]\n{body}"), &[("x", column(&[1.0, 2.0]))]);
    near(&times("scan 0 times with s = x { s = 2 * s }\n y = last(s)"), &[2], &[1.0, 2.0]);
    near(&times("scan 3 times with s = x { s = 2 * s }\n y = last(s)"), &[2], &[8.0, 16.0]);
    near(&times("scan 3 times with s = x { s = 2 * s }\n y = s"), &[2, 3], &[2.0, 4.0, 8.0, 4.0, 8.0, 16.0]);
    near(&times("scan 1 times with s = x { s = 2 * s }\n y = s"), &[2, 1], &[2.0, 4.0]);
}

#[test]
fn several_sequences_and_where_axes_stand() {
    let a = numbers("a", &[2, 3, 2]);
    let b = numbers("b", &[3, 2]);
    let body = "input a: f32[batch, time, 2]\n input b: f32[time, batch]\n \
                scan a, b over time with s = zeros(batch) { s = s * b + sum(a, axis: -1) }\n y = s";
    let mut expected = Vec::new();
    for i in 0..2 {
        let mut s = 0.0;
        for t in 0..3 {
            s = s * b.data[t * 2 + i] + a.data[i * 6 + t * 2] + a.data[i * 6 + t * 2 + 1];
            expected.push(s);
        }
    }
    near(&y(body, &[("a", a), ("b", b)]), &[2, 3], &expected);
}

#[test]
fn recurrences_in_recurrences() {
    let x = numbers("x", &[3, 4]);
    // The inner one begins with the outer state, and its sequence is the outer slice.
    let body = "input x: f32[time, n]\n k = max(x)\n \
                scan x over time with s = 1.0 {\n scan x over n with r = s { r = r * 0.5 + x * k + s }\n s = last(r) }\n\
                y = s";
    let k = x.data.iter().copied().fold(f64::MIN, f64::max);
    let mut s = 1.0;
    let mut expected = Vec::new();
    for row in x.data.chunks(4) {
        let mut r = s;
        for x in row {
            r = r * 0.5 + x * k + s;
        }
        s = r;
        expected.push(s);
    }
    near(&y(body, &[("x", x)]), &[3], &expected);
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// `row @ w`
fn product(row: &[f64], w: &[f64]) -> Vec<f64> {
    let columns = w.len() / row.len();
    (0..columns).map(|j| row.iter().enumerate().map(|(i, x)| x * w[i * columns + j]).sum()).collect()
}

#[test]
fn the_librarys_lstm() {
    let x = numbers("x", &[2, 3, 4]);
    let from = numbers("from", &[2, 5]);
    let body = "input x: f32[batch, time, 4]\n input from: f32[batch, 5]\n \
                y, (h, c) = lstm(x, 5, from: (from, zeros)) as cell";
    let trial = Trial::new(model("", body), &[("x", x.clone()), ("from", from.clone())]);
    let found = trial.bindings(Phase::Predict, &["y", "h", "c"]);
    let [w, u, b] = ["cell/w", "cell/u", "cell/b"].map(|name| trial.variable(name));
    let (mut all, mut hs, mut cs) = (Vec::new(), Vec::new(), Vec::new());
    for i in 0..2 {
        let (mut h, mut c) = (from.data[i * 5..][..5].to_vec(), vec![0.0; 5]);
        for t in 0..3 {
            let (p, q) = (product(&x.data[(i * 3 + t) * 4..][..4], w), product(&h, u));
            let gate = |k: usize, j: usize| p[k * 5 + j] + q[k * 5 + j] + b[k * 5 + j];
            c = (0..5)
                .map(|j| sigmoid(gate(1, j)) * c[j] + sigmoid(gate(0, j)) * gate(2, j).tanh())
                .collect();
            h = (0..5).map(|j| sigmoid(gate(3, j)) * c[j].tanh()).collect();
            all.extend(&h);
        }
        hs.extend(h);
        cs.extend(c);
    }
    near(&found["y"], &[2, 3, 5], &all);
    near(&found["h"], &[2, 5], &hs);
    near(&found["c"], &[2, 5], &cs);
}

#[test]
fn the_librarys_rnn_and_gru() {
    let x = numbers("x", &[2, 3, 4]);
    let body = "input x: f32[batch, time, 4]\n y, a = rnn(x, 5) as plain\n z, b = gru(x, 5) as gated";
    let trial = Trial::new(model("", body), &[("x", x.clone())]);
    let found = trial.bindings(Phase::Predict, &["y", "a", "z", "b"]);
    let (mut plain, mut gated, mut last) = (Vec::new(), Vec::new(), Vec::new());
    for i in 0..2 {
        let (mut h, mut g) = (vec![0.0; 5], vec![0.0; 5]);
        for t in 0..3 {
            let x = &x.data[(i * 3 + t) * 4..][..4];
            let (p, q) = (product(x, trial.variable("plain/w")), product(&h, trial.variable("plain/u")));
            h = (0..5).map(|j| (p[j] + q[j] + trial.variable("plain/b")[j]).tanh()).collect();
            plain.extend(&h);
            let (p, q) = (product(x, trial.variable("gated/w")), product(&g, trial.variable("gated/u")));
            let p: Vec<f64> = p.iter().zip(trial.variable("gated/b")).map(|(p, b)| p + b).collect();
            g = (0..5)
                .map(|j| {
                    let (r, z) = (sigmoid(p[j] + q[j]), sigmoid(p[5 + j] + q[5 + j]));
                    let n = (p[10 + j] + r * (q[10 + j] + trial.variable("gated/c")[j])).tanh();
                    (1.0 - z) * n + z * g[j]
                })
                .collect();
            gated.extend(&g);
        }
        last.extend(g);
    }
    near(&found["y"], &[2, 3, 5], &plain);
    near(&found["z"], &[2, 3, 5], &gated);
    near(&found["b"], &[2, 5], &last);
}

#[test]
fn each_turn_draws_its_own_numbers() {
    let body = "input x: f32[time]\n scan x over time with s = 0 { s = random(x) }\n y = s";
    let found = y(body, &[("x", column(&[0.0; 4]))]);
    let mut seen = found.data.clone();
    seen.sort_by(f64::total_cmp);
    seen.dedup();
    assert_eq!(seen.len(), 4, "{:?}", found.data);
    // In nested ones too.
    let body = "input x: f32[time, n]\n \
                scan x over time with s = zeros(n) { scan x over n with r = 0 { r = random(x) }\n s = r }\n y = s";
    let found = y(body, &[("x", numbers("x", &[3, 4]))]);
    let mut seen = found.data.clone();
    seen.sort_by(f64::total_cmp);
    seen.dedup();
    assert_eq!(seen.len(), 12, "{:?}", found.data);
}

#[test]
fn layers_in_a_turn_have_one_set_of_weights() {
    let body = "input x: f32[batch, time, 3]\n layer d = dense(3)\n \
                scan x over time with h = zeros { h = tanh(d(x) + d(h) |> dense(3)) }\n y = h";
    // The start's shape is told by `d(h)`, which takes rows.
    let body = body.replace("= zeros {", "= zeros(batch, 3) {");
    let model = model("", &body);
    let names: Vec<&str> = model.variables.iter().map(|v| v.name.as_str()).collect();
    assert_eq!(names, ["d/w", "d/b", "h/dense/w", "h/dense/b"]);
}

#[test]
fn a_state_of_the_model_is_what_the_last_turn_made_it() {
    let body = "input x: f32[time]\n param w: f32[] = 1.0\n state seen: f32[] = 0\n \
                scan x over time with s = 0 { s = s + w * x\n update seen = seen + s }\n loss sum(s)";
    let trial = Trial::new(model("", body), &[("x", column(&[1.0, 2.0, 3.0]))]);
    let graph = unfold(&trial.model, &trial.binding, Phase::Train, &[]);
    let (_, updates) = step(&graph, &trial.environment);
    let w = trial.variable("w")[0];
    near(&updates[0], &[], &[trial.variable("seen")[0] + 6.0 * w]);
}

#[test]
fn gradients_flow_through_all_turns() {
    let text = "layer fixed(weight: float[..], gradient: float[..]) { return weight - gradient }\n";
    let body = "input x: f32[batch, time, 3]\n h, _ = lstm(x, 2)\n loss mean(h * h)";
    let train = "data d = csv(\"d.csv\", x: columns(0..12, as: [4, 3]))\n\
                 train Net { feed d |> batch(2)\n optimize fixed()\n stop after 1 epoch }\n";
    let whole = format!("{text}model Net {{\n{}\n}}\n{train}", body.replace("time", "time = 4"));
    let loaded = load_case(std::path::Path::new("scans.model"), &whole);
    let (mut checked, found) = check(&loaded, &DataFacts::default(), &Settings::default());
    if let Some(found) = loaded.diagnostics.iter().chain(&found).next() {
        panic!("{}\n{whole}", Report::new(found, &loaded.sources).short());
    }
    let x = numbers("x", &[2, 4, 3]);
    let mut trial = Trial::new(checked.runs.remove(0).model, &[("x", x)]);
    let graph = unfold(&trial.model, &trial.binding, Phase::Train, &[]);
    let (outputs, updates) = step(&graph, &trial.environment);
    assert_eq!(outputs[0].0, "loss");
    for (update, new) in graph.updates.iter().zip(updates) {
        let at = update.variable.0 as usize;
        for element in 0..new.data.len() {
            let start = trial.environment.variables[at].data[element];
            let mut loss = |x: f64| {
                trial.environment.variables[at].data[element] = x;
                let found = step(&graph, &trial.environment).0[0].1.data[0];
                trial.environment.variables[at].data[element] = start;
                found
            };
            let slope = (loss(start + 1e-5) - loss(start - 1e-5)) / 2e-5;
            let gradient = start - new.data[element];
            assert!(
                (slope - gradient).abs() < 1e-8 * (1.0 + slope.abs()),
                "{at} {element}: {slope} {gradient}"
            );
        }
    }
}

#[test]
fn a_gradient_stops_within_a_turn_too() {
    let body = "input x: f32[time, 3]\n param w: f32[3] = zeros\n \
                scan x over time with s = zeros(3) { s = w * x + stop(w * s) }\n loss sum(s)";
    let x = numbers("x", &[4, 3]);
    let found = Trial::new(model("", body), &[("x", x.clone())]).loss_and_gradients().1;
    let (name, by_w) = &found[0];
    assert_eq!(name, "w");
    // What is stopped is a number like any other: of a turn only its own slice is left.
    for unit in 0..3 {
        let expected: f64 = (0..4).map(|turn| x.data[3 * turn + unit]).sum();
        assert!((by_w.data[unit] - expected).abs() < 1e-12, "{by_w:?}");
    }
}
