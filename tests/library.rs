//! The library's layers, losses, metrics and optimizers against their formulas, written once more here in plain
//! Rust; evaluated by the reference evaluator in f64.

use strata::check::{DataFacts, Settings, check};
use strata::model::Model;
use strata::reference::{Array, Environment, step};
use strata::unfold::{Phase, unfold};
use strata_grammar::Report;
use strata_tests::spec::load_case;
use strata_tests::trial;

/// The model in `body`, which must be without a mistake; with a `train` block where `optimizer` is one.
fn model(body: &str, optimizer: Option<&str>) -> Model {
    let mut text = format!("model Net {{\n{body}\n}}\n");
    if let Some(optimizer) = optimizer {
        text += "data d = csv(\"d.csv\", x: columns(0..4))\n";
        text += &format!("train Net {{ feed d |> batch(2)\n {optimizer}\n stop after 1 epoch }}\n");
    }
    let loaded = load_case(std::path::Path::new("library.model"), &text);
    let (mut checked, found) = check(&loaded, &DataFacts::default(), &Settings::default());
    if let Some(found) = loaded.diagnostics.iter().chain(&found).next() {
        panic!("{}\n{text}", Report::new(found, &loaded.sources).short());
    }
    match optimizer {
        Some(_) => checked.runs.remove(0).model,
        None => checked.models.remove(0),
    }
}

fn array(shape: &[usize], data: &[f64]) -> Array {
    Array { shape: shape.to_vec(), data: data.to_vec() }
}

/// The value of `y` in a model of one input `x` of type `ty`.
fn value(ty: &str, expression: &str, shape: &[usize], x: &[f64]) -> Vec<f64> {
    values(&format!("input x: {ty}\n y = {expression}"), &[array(shape, x)])
}

/// The value of `y` in a model with these inputs, when not training; its variables begin at their constants.
fn values(body: &str, inputs: &[Array]) -> Vec<f64> {
    let model = model(body, None);
    let environment = Environment { inputs: inputs.to_vec(), variables: starts(&model), seed: 1, step: 0 };
    let binding: Vec<u64> = model.free.iter().map(|_| inputs[0].shape[0] as u64).collect();
    let graph = unfold(&model, &binding, Phase::Predict, &["y".to_string()]);
    step(&graph, &environment).0.remove(0).1.data
}

fn starts(model: &Model) -> Vec<Array> {
    let start = |v: &strata::model::Variable| {
        let shape = v.ty.dims();
        let strata::model::Init::Constant(value) = v.init else {
            panic!("{}: the tests begin with constants", v.name);
        };
        array(&shape, &vec![value; shape.iter().product()])
    };
    model.variables.iter().map(start).collect()
}

#[track_caller]
fn near(found: &[f64], expected: &[f64]) {
    // Constants of a spec are rounded to the dtype that they meet, f32.
    trial::near(found, expected, 3e-7);
}

const POINTS: [f64; 6] = [-3.0, -0.5, 0.0, 0.25, 1.0, 7.5];

fn each(expression: &str, formula: impl Fn(f64) -> f64) {
    let found = value("f32[batch]", expression, &[6], &POINTS);
    near(&found, &POINTS.map(formula));
}

#[test]
fn activations() {
    each("x |> relu", |x| x.max(0.0));
    each("x |> leaky_relu(0.1)", |x| if x > 0.0 { x } else { 0.1 * x });
    each("x |> relu6", |x| x.clamp(0.0, 6.0));
    each("x |> elu", |x| if x > 0.0 { x } else { x.exp() - 1.0 });
    each("x |> silu", |x| x / (1.0 + (-x).exp()));
    each("x |> softplus", |x| (1.0 + x.exp()).ln());
    each("x |> softsign", |x| x / (1.0 + x.abs()));
    each("x |> dropout(0.5)", |x| x);
    // Abramowitz and Stegun, table 7.1: erf(0.5) and erf(1).
    let found = value("f32[batch]", "x |> gelu", &[2], &[0.5 * 2f64.sqrt(), 2f64.sqrt()]);
    let half = |x: f64, erf: f64| 0.5 * x * (1.0 + erf);
    near(&found, &[half(0.5 * 2f64.sqrt(), 0.520_499_877_8), half(2f64.sqrt(), 0.842_700_792_9)]);
}

fn softmax(row: &[f64]) -> Vec<f64> {
    let total: f64 = row.iter().map(|x| x.exp()).sum();
    row.iter().map(|x| x.exp() / total).collect()
}

#[test]
fn gram_is_the_mean_of_products() {
    // Two examples of 1 × 2 positions with 2 channels.
    let x = [1.0, 2.0, 3.0, -1.0, 0.5, 0.0, 2.0, 4.0];
    let expected = x.chunks(4).flat_map(|places| {
        let pair = |a: usize, b: usize| (places[a] * places[b] + places[2 + a] * places[2 + b]) / 2.0;
        [pair(0, 0), pair(0, 1), pair(1, 0), pair(1, 1)]
    });
    let expected: Vec<f64> = expected.collect();
    near(&value("f32[batch, 1, 2, 2]", "x |> gram", &[2, 1, 2, 2], &x), &expected);
    near(&value("f32[batch, 2, 1, 2]", "x |> gram", &[2, 2, 1, 2], &x), &expected);
    near(&value("f32[batch, 2, 2]", "x |> gram", &[2, 2, 2], &x), &expected);
}

#[test]
fn an_axis_becomes_two_and_two_become_one() {
    let count: Vec<f64> = (1..=12).map(f64::from).collect();
    let of = |ty: &str, expression: &str, shape: &[usize]| value(ty, expression, shape, &count);
    // The places of a part lie side by side: (1 2 3) (4 5 6).
    let parts = "x |> grouped(2) |> transpose(axes: [0, 2, 1]) |> merged";
    let turned = [1.0, 4.0, 2.0, 5.0, 3.0, 6.0, 7.0, 10.0, 8.0, 11.0, 9.0, 12.0];
    assert_eq!(of("f32[batch, 6]", parts, &[2, 6]), turned);
    // Along another axis: parts of two rows, and sums over the rows of each.
    let sums = of("f32[batch, side = 4, 3]", "grouped(x, 2, axis: side) |> sum(axis: 2)", &[1, 4, 3]);
    assert_eq!(sums, [5.0, 7.0, 9.0, 17.0, 19.0, 21.0]);
    // The axis and the one behind it: sums over both, for each of the last.
    let sums = of("f32[batch, 2, 3, 2]", "merged(x, axis: 1) |> sum(axis: 1)", &[1, 2, 3, 2]);
    assert_eq!(sums, [36.0, 42.0]);
    assert_eq!(of("f32[batch, 3, 4]", "merged(grouped(x, 2), axis: 2)", &[1, 3, 4]), count[..]);
}

#[test]
fn softmax_and_its_logarithm() {
    let rows = [1.0, 2.0, 3.0, -1.0, 0.0, 0.5];
    let expected: Vec<f64> = rows.chunks(3).flat_map(softmax).collect();
    near(&value("f32[batch, 3]", "x |> softmax", &[2, 3], &rows), &expected);
    let logs: Vec<f64> = expected.iter().map(|p| p.ln()).collect();
    near(&value("f32[batch, 3]", "x |> log_softmax", &[2, 3], &rows), &logs);
    // Nothing overflows.
    near(&value("f32[batch, 2]", "x |> log_softmax", &[1, 2], &[1000.0, 0.0]), &[0.0, -1000.0]);
    let columns =
        value("f32[batch, 2, height = 2]", "softmax(x, axis: 1)", &[1, 2, 2], &[1.0, 2.0, 3.0, 4.0]);
    let low = softmax(&[1.0, 3.0]);
    near(&columns, &[low[0], low[0], low[1], low[1]]);
}

const LOGITS: [f64; 6] = [1.0, 2.0, 0.5, -1.0, 0.0, 3.0];

fn with_labels(expression: &str, labels: [f64; 2]) -> f64 {
    let body = format!("input x: f32[batch, class = 3]\n input label: i32[batch]\n y = {expression}");
    values(&body, &[array(&[2, 3], &LOGITS), array(&[2], &labels)])[0]
}

#[test]
fn losses() {
    let logs: Vec<f64> = LOGITS.chunks(3).flat_map(softmax).map(f64::ln).collect();
    let exact = -(logs[1] + logs[3]) / 2.0;
    near(&[with_labels("cross_entropy(x, label)", [1.0, 0.0])], &[exact]);
    let even = -logs.iter().sum::<f64>() / 6.0;
    let smoothed = with_labels("cross_entropy(x, label, smoothing: 0.1)", [1.0, 0.0]);
    near(&[smoothed], &[0.9 * exact + 0.1 * even]);

    let two = |expression: &str| {
        let body = format!("input x: f32[batch]\n input t: f32[batch]\n y = {expression}");
        values(&body, &[array(&[3], &[2.0, -1.0, 0.25]), array(&[3], &[1.0, 0.0, 0.5])])[0]
    };
    let pairs = [(2.0f64, 1.0), (-1.0, 0.0), (0.25, 0.5)];
    let mean = |f: fn(f64, f64) -> f64| pairs.iter().map(|(x, t)| f(*x, *t)).sum::<f64>() / 3.0;
    near(&[two("mse(x, t)")], &[mean(|x, t| (x - t).powi(2))]);
    near(&[two("mae(x, t)")], &[mean(|x, t| (x - t).abs())]);
    near(&[two("mean_absolute_error(x, t)")], &[mean(|x, t| (x - t).abs())]);
    near(
        &[two("huber(x, t, delta: 0.5)")],
        &[mean(|x, t| {
            let e = (x - t).abs();
            if e <= 0.5 { 0.5 * e * e } else { 0.5 * (e - 0.25) }
        })],
    );
    near(&[two("hinge(x, t)")], &[mean(|x, t| (1.0 - x * t).max(0.0))]);
    near(
        &[two("binary_cross_entropy(x, t)")],
        &[mean(|x, t| {
            let p = 1.0 / (1.0 + (-x).exp());
            -(t * p.ln() + (1.0 - t) * (1.0 - p).ln())
        })],
    );
}

#[test]
fn metrics() {
    near(&[with_labels("accuracy(x, label)", [1.0, 0.0])], &[0.5]);
    near(&[with_labels("top(2, x, label)", [0.0, 0.0])], &[0.5]);
    near(&[with_labels("top(3, x, label)", [0.0, 0.0])], &[1.0]);
}

#[test]
fn normalisations() {
    let rows = [1.0, 2.0, 4.0, -1.0, 0.0, 3.0];
    let expected: Vec<f64> = rows
        .chunks(3)
        .flat_map(|row| {
            let mean = row.iter().sum::<f64>() / 3.0;
            let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 3.0;
            row.iter().map(move |x| (x - mean) / (variance + 1e-5).sqrt()).collect::<Vec<_>>()
        })
        .collect();
    near(&value("f32[batch, 3]", "x |> layer_norm", &[2, 3], &rows), &expected);
    let root = |row: &[f64]| (row.iter().map(|x| x * x).sum::<f64>() / 3.0 + 1e-6).sqrt();
    let expected: Vec<f64> =
        rows.chunks(3).flat_map(|row| row.iter().map(|x| x / root(row)).collect::<Vec<_>>()).collect();
    near(&value("f32[batch, 3]", "x |> rms_norm", &[2, 3], &rows), &expected);
    // Not training: by the running means, which begin at 0 and 1.
    let expected: Vec<f64> = rows.iter().map(|x| x / (1.0f64 + 1e-5).sqrt()).collect();
    near(&value("f32[batch, 3]", "x |> batch_norm", &[2, 3], &rows), &expected);
}

#[test]
fn batch_norm_while_training() {
    let body = "input x: f32[batch, 2]\n param w: f32[2] = ones\n loss mean((x * w |> batch_norm) * x)";
    let model = model(
        &body.replace("x: f32[batch, 2]", "x: f32[batch, 4]").replace("f32[2]", "f32[4]"),
        Some("optimize sgd(rate: 0.0)"),
    );
    let x = [1.0, 2.0, 4.0, -1.0, 0.0, 3.0, 2.0, 5.0];
    let graph = unfold(&model, &[2], Phase::Train, &[]);
    let environment =
        Environment { inputs: vec![array(&[2, 4], &x)], variables: starts(&model), seed: 1, step: 0 };
    let (_, updates) = step(&graph, &environment);
    let find = |name: &str| {
        let at =
            graph.updates.iter().position(|u| model.variables[u.variable.0 as usize].name.ends_with(name));
        updates[at.expect("the state is updated")].data.clone()
    };
    let column = |c: usize| (x[c], x[4 + c]);
    let means: Vec<f64> = (0..4).map(|c| (column(c).0 + column(c).1) / 2.0).collect();
    near(&find("running_mean"), &means.iter().map(|m| 0.1 * m).collect::<Vec<_>>());
    let variances = (0..4).map(|c| (column(c).0 - means[c]).powi(2) + (column(c).1 - means[c]).powi(2));
    near(&find("running_variance"), &variances.map(|v| 0.9 + 0.1 * v).collect::<Vec<_>>());
}

#[test]
fn windows() {
    let x: Vec<f64> = (0..20).map(|i| f64::from(i * i % 7)).collect();
    let ty = "f32[batch, height = 4, width = 5, channel = 1]";
    let at = |h: i64, w: i64| {
        if (0..4).contains(&h) && (0..5).contains(&w) { Some(x[(h * 5 + w) as usize]) } else { None }
    };
    let windows = |stride: i64, low: i64, taps: i64, out: (i64, i64)| {
        let mut all = Vec::new();
        for h in 0..out.0 {
            for w in 0..out.1 {
                let taps = (0..taps * taps)
                    .filter_map(|t| at(h * stride - low + t / taps, w * stride - low + t % taps));
                all.push(taps.collect::<Vec<f64>>());
            }
        }
        all
    };
    let sums = |w: Vec<Vec<f64>>| w.iter().map(|taps| taps.iter().sum()).collect::<Vec<f64>>();
    let found = value(ty, "x |> conv(1, kernel: 3, weights: ones)", &[1, 4, 5, 1], &x);
    near(&found, &sums(windows(1, 1, 3, (4, 5))));
    let found = value(ty, "x |> conv(1, kernel: 3, padding: valid, weights: ones)", &[1, 4, 5, 1], &x);
    near(&found, &sums(windows(1, 0, 3, (2, 3))));
    // `same` with a stride of 2: 4 gives 2 with one zero at the end, 5 gives 3 with one on either side.
    let found = value(ty, "x |> conv(1, kernel: 3, stride: 2, weights: ones)", &[1, 4, 5, 1], &x);
    let mut expected = Vec::new();
    for h in 0..2 {
        for w in 0..3 {
            expected.push((0..9).filter_map(|t| at(h * 2 + t / 3, w * 2 - 1 + t % 3)).sum::<f64>());
        }
    }
    near(&found, &expected);
    let found = value(ty, "x |> max_pool(2)", &[1, 4, 5, 1], &x);
    let largest = |w: Vec<Vec<f64>>| {
        w.iter().map(|taps| taps.iter().copied().fold(f64::MIN, f64::max)).collect::<Vec<f64>>()
    };
    near(&found, &largest(windows(2, 0, 2, (2, 2))));
    let found = value(ty, "x |> average_pool(3, stride: 1, padding: same)", &[1, 4, 5, 1], &x);
    let means = windows(1, 1, 3, (4, 5))
        .iter()
        .map(|taps| taps.iter().sum::<f64>() / taps.len() as f64)
        .collect::<Vec<_>>();
    near(&found, &means);
    near(&value(ty, "x |> global_average_pool", &[1, 4, 5, 1], &x), &[x.iter().sum::<f64>() / 20.0]);
    near(&value(ty, "x |> global_max_pool", &[1, 4, 5, 1], &x), &[4.0]);
}

#[test]
fn transposed_convolution() {
    // Each number spread over the two places of its own window; then over three places, two apart.
    let ty = "f32[batch, time = 3, channel = 1]";
    let x = [1.0, 2.0, 5.0];
    let found = value(ty, "x |> conv_transposed(1, kernel: 2, stride: 2, weights: ones)", &[1, 3, 1], &x);
    near(&found, &[1.0, 1.0, 2.0, 2.0, 5.0, 5.0]);
    let valid = "x |> conv_transposed(1, kernel: 3, stride: 2, padding: valid, weights: ones)";
    near(&value(ty, valid, &[1, 3, 1], &x), &[1.0, 1.0, 3.0, 2.0, 7.0, 5.0, 5.0]);
    let found = value(ty, "x |> conv_transposed(1, kernel: 3, weights: ones)", &[1, 3, 1], &x);
    near(&found, &[3.0, 8.0, 7.0]);
}

#[test]
fn local_response_norm() {
    let x: Vec<f64> = (1..=7).map(f64::from).collect();
    let found = value("f32[batch, channel = 7]", "x |> local_response_norm(5, scale: 0.5)", &[1, 7], &x);
    let expected: Vec<f64> = (0..7i32)
        .map(|c| {
            let near = (c - 2..=c + 2).filter(|n| (0..7).contains(n));
            let squares: f64 = near.map(|n| x[n as usize].powi(2)).sum();
            x[c as usize] / (2.0 + 0.1 * squares).powf(0.75)
        })
        .collect();
    near(&found, &expected);
}

#[test]
fn dense() {
    // Weights of ones, a bias of zeros: the sum of each row, for every unit.
    let found =
        value("f32[batch, 3]", "x |> dense(2, weights: ones)", &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    near(&found, &[6.0, 6.0, 15.0, 15.0]);
}

/// Weights after each of three steps with the gradient of `mean(x * w)`, which is `mean` of the rows of `x`, by 4.
fn train(optimizer: &str) -> Vec<Vec<f64>> {
    let body = "input x: f32[batch, 4]\n param w: f32[4] = ones\n loss mean(x * w)";
    let model = model(body, Some(&format!("optimize {optimizer}")));
    let graph = unfold(&model, &[2], Phase::Train, &[]);
    let mut variables = starts(&model);
    let mut out = Vec::new();
    for count in 0..3 {
        let inputs = vec![array(&[2, 4], &inputs(count))];
        let environment = Environment { inputs, variables: variables.clone(), seed: 1, step: count };
        let (_, updates) = step(&graph, &environment);
        for (update, new) in graph.updates.iter().zip(updates) {
            variables[update.variable.0 as usize] = new;
        }
        let w = model.variables.iter().position(|v| v.name == "w").expect("the weight");
        out.push(variables[w].data.clone());
    }
    out
}

fn inputs(step: i64) -> Vec<f64> {
    (0..8).map(|i| ((i * 5 + step * 3) % 7) as f64 - 3.0).collect()
}

fn gradient(step: i64) -> Vec<f64> {
    let x = inputs(step);
    (0..4).map(|i| (x[i] + x[4 + i]) / 8.0).collect()
}

/// The formula of an optimizer, as its documentation in PyTorch has it: (weight, gradient, memory, step) to weight.
fn by_hand(formula: impl Fn(f64, f64, &mut [f64; 2], i32) -> f64) -> Vec<Vec<f64>> {
    let mut w = vec![1.0; 4];
    let mut memory = [[0.0; 2]; 4];
    let mut out = Vec::new();
    for step in 0..3 {
        let g = gradient(step);
        for i in 0..4 {
            w[i] = formula(w[i], g[i], &mut memory[i], step as i32 + 1);
        }
        out.push(w.clone());
    }
    out
}

#[track_caller]
fn same_path(optimizer: &str, formula: impl Fn(f64, f64, &mut [f64; 2], i32) -> f64) {
    for (found, expected) in train(optimizer).iter().zip(by_hand(formula)) {
        near(found, &expected);
    }
}

#[test]
fn optimizers() {
    same_path("sgd(rate: 0.1)", |w, g, _, _| w - 0.1 * g);
    same_path("sgd(rate: 0.1, decay: 0.5)", |w, g, _, _| w - 0.1 * (g + 0.5 * w));
    same_path("momentum(rate: 0.1, momentum: 0.9)", |w, g, m, _| {
        m[0] = 0.9 * m[0] + g;
        w - 0.1 * m[0]
    });
    same_path("momentum(rate: 0.1, decay: 0.5, nesterov: true)", |w, g, m, _| {
        let g = g + 0.5 * w;
        m[0] = 0.9 * m[0] + g;
        w - 0.1 * (g + 0.9 * m[0])
    });
    let adam = |w: f64, g: f64, m: &mut [f64; 2], t: i32| {
        m[0] = 0.9 * m[0] + 0.1 * g;
        m[1] = 0.999 * m[1] + 0.001 * g * g;
        let (first, second) = (m[0] / (1.0 - 0.9f64.powi(t)), m[1] / (1.0 - 0.999f64.powi(t)));
        w - 0.01 * first / (second.sqrt() + 1e-8)
    };
    same_path("adam(rate: 0.01)", adam);
    same_path("adam(rate: 0.01, decay: 0.5)", |w, g, m, t| adam(w, g + 0.5 * w, m, t));
    same_path("adamw(rate: 0.01, decay: 0.5)", |w, g, m, t| adam(w * (1.0 - 0.01 * 0.5), g, m, t));
    same_path("rmsprop(rate: 0.01)", |w, g, m, _| {
        m[0] = 0.99 * m[0] + 0.01 * g * g;
        w - 0.01 * g / (m[0].sqrt() + 1e-8)
    });
    same_path("adagrad(rate: 0.01)", |w, g, m, _| {
        m[0] += g * g;
        w - 0.01 * g / (m[0].sqrt() + 1e-10)
    });
}

#[test]
fn clipping() {
    let clipped = |settings: &str| train(&format!("sgd(rate: 1.0)\n {settings}"));
    let value = by_hand(|w, g, _, _| w - g.clamp(-0.1, 0.1));
    for (found, expected) in clipped("clip value 0.1").iter().zip(value) {
        near(found, &expected);
    }
    let found = clipped("clip norm 0.1");
    let mut w = [1.0; 4];
    for (step, found) in found.iter().enumerate() {
        let g = gradient(step as i64);
        let norm = g.iter().map(|g| g * g).sum::<f64>().sqrt();
        let scale = (0.1 / (norm + 1e-6)).min(1.0);
        w.iter_mut().zip(&g).for_each(|(w, g)| *w -= scale * g);
        near(found, &w);
    }
}

/// What the compiler's functions over positions and orders give, beside their primitives' own tests.
#[test]
fn positions_and_orders() {
    let x = [3.0, 9.0, 1.0, 9.0, -2.0, 0.5];
    let of = |expression: &str| value("f32[batch, 3]", expression, &[2, 3], &x);
    assert_eq!(of("sort(x)"), [1.0, 3.0, 9.0, -2.0, 0.5, 9.0]);
    assert_eq!(of("sort(x, axis: batch, descending: true)"), [9.0, 9.0, 1.0, 3.0, -2.0, 0.5]);
    assert_eq!(of("order(x, descending: true)"), [1.0, 0.0, 2.0, 0.0, 2.0, 1.0]);
    assert_eq!(of("cumulate(x)"), [3.0, 12.0, 13.0, 9.0, 7.0, 7.5]);
    assert_eq!(
        of("cumulate(x, axis: batch, reverse: true, exclusive: true)"),
        [9.0, -2.0, 0.5, 0.0, 0.0, 0.0]
    );
    let pair = |body: &str| values(&format!("input x: f32[batch, 3]\n {body}"), &[array(&[2, 3], &x)]);
    assert_eq!(pair("y, _ = top_k(x, 2)"), [9.0, 3.0, 9.0, 0.5]);
    assert_eq!(pair("_, y = top_k(x, 2)"), [1.0, 0.0, 0.0, 2.0]);
    let points = array(&[2, 3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0]);
    let tour = array(&[2, 2], &[2.0, 0.0, 1.0, 1.0]);
    let inputs = "input points: f32[batch, 3, 2]\n input tour: i32[batch, 2]\n";
    let picked = values(&format!("{inputs} y = gather(points, tour)"), &[points.clone(), tour.clone()]);
    assert_eq!(picked, [5.0, 6.0, 1.0, 2.0, 9.0, 10.0, 9.0, 10.0]);
    let summed = format!("{inputs} y = scatter_add(gather(points, tour), tour, 3, shared: 1)");
    let summed = values(&summed, &[points, tour]);
    assert_eq!(summed, [1.0, 2.0, 0.0, 0.0, 5.0, 6.0, 0.0, 0.0, 18.0, 20.0, 0.0, 0.0]);
    let label = array(&[3], &[2.0, 0.0, 5.0]);
    let hot = values("input label: i32[batch]\n y = one_hot(label, class = 3)", &[label]);
    assert_eq!(hot, [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
}

/// The probability of `label` by every way to write it down: all paths of classes, blanks and repetitions taken out.
fn all_paths(logits: &[f64], classes: usize, label: &[usize], blank: usize) -> f64 {
    let steps: Vec<Vec<f64>> = logits.chunks(classes).map(softmax).collect();
    let mut total = 0.0;
    for path in 0..classes.pow(steps.len() as u32) {
        let at = |step: usize| path / classes.pow(step as u32) % classes;
        let classes_of_path: Vec<usize> = (0..steps.len()).map(at).collect();
        let mut written = classes_of_path.clone();
        written.dedup();
        written.retain(|class| *class != blank);
        if written == label {
            total += classes_of_path.iter().zip(&steps).map(|(class, step)| step[*class]).product::<f64>();
        }
    }
    total
}

#[test]
fn ctc_sums_over_all_paths() {
    let (steps, classes) = (5, 3);
    let x: Vec<f64> =
        (0..4 * steps * classes).map(|i| ((i * 37 + i * i * 11) % 41) as f64 / 10.0 - 2.0).collect();
    for blank in [0, 2] {
        let body = format!(
            "input x: f32[batch, ragged time, {classes}]\n input label: i32[batch, ragged place]\n \
             y = ctc(x, label, blank: {blank})"
        );
        let model = model(&body, None);
        let other = if blank == 0 { 2 } else { 0 };
        // Twice the same, of which one must be a blank; a short one; and none at all.
        let labels = [vec![1, other], vec![1, 1], vec![other], vec![]];
        let lengths = [5, 4, 2, 3];
        let mut rows = Vec::new();
        for label in &labels {
            let mut row: Vec<f64> = label.iter().map(|class: &usize| *class as f64).collect();
            // What stands beyond the end does not count.
            row.resize(2, 1.0);
            rows.extend(row);
        }
        let input = |name: &str| match name {
            "x" => array(&[4, steps, classes], &x),
            "x.length" => array(&[4], &lengths.map(|n| n as f64)),
            "label" => array(&[4, 2], &rows),
            _ => array(&[4], &labels.each_ref().map(|label| label.len() as f64)),
        };
        let inputs = model.inputs.iter().map(|i| input(&i.name)).collect();
        let size = |name: &str| match name {
            "batch" => 4,
            "time" => steps as u64,
            _ => 2,
        };
        let binding: Vec<u64> = model.free.iter().map(|axis| size(&axis.name)).collect();
        let environment = Environment { inputs, variables: starts(&model), seed: 1, step: 0 };
        let graph = unfold(&model, &binding, Phase::Predict, &["y".to_string()]);
        let found = step(&graph, &environment).0.remove(0).1.data;
        let each = labels.iter().enumerate().map(|(example, label)| {
            let own = &x[example * steps * classes..][..lengths[example] * classes];
            -all_paths(own, classes, label, blank).ln()
        });
        near(&found, &[each.sum::<f64>() / 4.0]);
    }
}

#[test]
fn quotients_of_counts() {
    let two = |expression: &str| {
        let body = format!("input x: f32[batch]\n input t: f32[batch]\n y = {expression}");
        let x = array(&[6], &[2.0, -1.0, 0.25, 3.0, -0.5, 0.1]);
        values(&body, &[x, array(&[6], &[1.0, 1.0, 0.0, 1.0, 0.0, 0.0])])[0]
    };
    near(&[two("precision(x, t)")], &[2.0 / 4.0]);
    near(&[two("recall(x, t)")], &[2.0 / 3.0]);
    near(&[two("f1(x, t)")], &[4.0 / 7.0]);
    near(&[two("precision(x, t, threshold: 0.99)")], &[0.0]);
    near(&[two("recall(x, t, threshold: 0.2)")], &[1.0]);
    // Found: 1, 2; named: 1, 0.
    near(&[with_labels("macro_precision(x, label)", [1.0, 0.0])], &[1.0 / 3.0]);
    near(&[with_labels("macro_recall(x, label)", [1.0, 0.0])], &[1.0 / 3.0]);
    near(&[with_labels("macro_f1(x, label)", [2.0, 2.0])], &[2.0 / 3.0 / 3.0]);
}

#[test]
fn a_sampled_softmax_moves_drawn_classes_alone() {
    let body = "input x: f32[batch, 2]\n input label: i32[batch]
        param v: f32[2] = ones
        y = mean(sampled_softmax(x * v, label, 1000, samples: 8, weights: 0.1))\n loss y";
    let model = model(body, None);
    let inputs = vec![array(&[2, 2], &[1.0, -2.0, 0.5, 3.0]), array(&[2], &[700.0, 3.0])];
    let run = |seed: i64, step_number: i64| {
        let mut graph = unfold(&model, &[2], Phase::Train, &[]);
        let ids: Vec<strata::ops::VariableId> =
            (0..model.variables.len() as u32).map(strata::ops::VariableId).collect();
        let loss = graph.outputs[0].value;
        for (at, value) in
            strata::passes::differentiate::gradients(&mut graph, loss, &ids).into_iter().enumerate()
        {
            graph.outputs.push(strata::graph::Output { name: model.variables[at].name.clone(), value });
        }
        let environment =
            Environment { inputs: inputs.clone(), variables: starts(&model), seed, step: step_number };
        step(&graph, &environment).0
    };
    let touched = |found: &[(String, Array)]| -> Vec<usize> {
        let (_, w) = found.iter().find(|(name, _)| name.ends_with("sampled_softmax/w")).expect("it is there");
        assert_eq!(w.shape, [1000, 2]);
        (0..1000).filter(|class| w.data[class * 2..class * 2 + 2] != [0.0, 0.0]).collect()
    };
    let first = run(1, 0);
    assert!(first[0].1.data[0].is_finite());
    let rows = touched(&first);
    assert!(rows.contains(&700) && rows.contains(&3) && rows.len() <= 10, "{rows:?}");
    assert_ne!(rows, touched(&run(1, 1)), "every step draws anew");
    // Frequent classes are drawn more often: half of all are below the root of 1001.
    let all: Vec<usize> = (0..40).flat_map(|number| touched(&run(2, number))).collect();
    let low = all.iter().filter(|class| **class < 31 && **class != 3).count();
    let high = all.iter().filter(|class| **class >= 31 && **class != 700).count();
    assert!(low * 2 > high && high * 4 > low, "{low} and {high}");
    // When it is not training, all classes count: all scores are alike for each example.
    let exact = values(body, &inputs);
    near(&exact, &[1000f64.ln()]);
}
