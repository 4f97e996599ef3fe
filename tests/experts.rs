//! Layers with parameters of their own for each slice, and mixtures of experts, against the same written once more in
//! plain Rust: values, gradients, and what of it runs on this machine.

use strata::graph::Graph;
use strata::ops::Op;
use strata::passes::optimise;
use strata::reference::Array;
use strata::unfold::{Phase, unfold};
use strata_tests::trial::{Trial, model, near, numbers};

/// `x @ w` of matrices, row-major.
fn product(x: &[f64], w: &[f64], inner: usize) -> Vec<f64> {
    let columns = w.len() / inner;
    let row = |row: &[f64]| {
        (0..columns).map(|c| (0..inner).map(|k| row[k] * w[k * columns + c]).sum::<f64>()).collect::<Vec<_>>()
    };
    x.chunks(inner).flat_map(row).collect()
}

fn softmax(row: &[f64]) -> Vec<f64> {
    let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = row.iter().map(|x| (x - largest).exp()).sum();
    row.iter().map(|x| (x - largest).exp() / total).collect()
}

/// A mixture: rows, experts, features, hidden units, results.
struct Mixture {
    rows: usize,
    experts: usize,
    top: usize,
    capacity: f64,
}

const IN: usize = 3;
const HIDDEN: usize = 4;
const OUT: usize = 2;

impl Mixture {
    fn trial(&self) -> Trial {
        let Mixture { experts, top, capacity, .. } = self;
        let body = format!(
            "input x: f32[batch, {IN}]
             gate = x |> dense(kind = {experts}) |> softmax
             routed = route(x, gate, top: {top}, capacity: {capacity})
             y = routed |> experts(expert = {experts}, each: dense({HIDDEN}) |> tanh |> dense({OUT})) as expert
             lost = dropped(routed, top: {top})
             even = balance(gate)
             loss mean(y * y) + 0.1 * even"
        );
        Trial::new(model("", &body), &[("x", numbers("x", &[self.rows, IN]))])
    }

    fn places(&self) -> usize {
        let fair = self.capacity * (self.rows * self.top) as f64 / self.experts as f64;
        self.rows.min((fair - 1e-9).ceil() as usize)
    }

    /// What comes of each row, how many wishes found no place, and the loss, with the weights by name.
    fn plain(&self, x: &[f64], weight: &dyn Fn(&str) -> Vec<f64>) -> (Vec<f64>, usize, f64) {
        let (w, b) = (weight("gate/dense/w"), weight("gate/dense/b"));
        let gates: Vec<Vec<f64>> = product(x, &w, IN)
            .chunks(self.experts)
            .map(|row| softmax(&row.iter().zip(&b).map(|(a, b)| a + b).collect::<Vec<_>>()))
            .collect();
        let order = |row: &[f64]| {
            let mut order: Vec<usize> = (0..self.experts).collect();
            order.sort_by(|a, b| row[*b].total_cmp(&row[*a]));
            order
        };
        let mut taken = vec![0; self.experts];
        let mut y = vec![0.0; self.rows * OUT];
        let mut lost = 0;
        for choice in 0..self.top {
            for (row, gate) in gates.iter().enumerate() {
                let chosen = order(gate);
                let expert = chosen[choice];
                if taken[expert] == self.places() {
                    lost += 1;
                    continue;
                }
                taken[expert] += 1;
                let total: f64 = chosen[..self.top].iter().map(|e| gate[*e]).sum();
                let counts = if self.top > 1 { gate[expert] / total } else { gate[expert] };
                let part = |name: &str| {
                    let all = weight(name);
                    let each = all.len() / self.experts;
                    all[expert * each..][..each].to_vec()
                };
                let layer = |x: &[f64], name: &str, inner: usize| -> Vec<f64> {
                    let sums = product(x, &part(&format!("expert/{name}/w")), inner);
                    sums.iter().zip(part(&format!("expert/{name}/b"))).map(|(a, b)| a + b).collect()
                };
                let hidden: Vec<f64> =
                    layer(&x[row * IN..][..IN], "dense", IN).iter().map(|x| x.tanh()).collect();
                let made = layer(&hidden, "dense[1]", HIDDEN);
                (0..OUT).for_each(|k| y[row * OUT + k] += counts * made[k]);
            }
        }
        let rows = self.rows as f64;
        let even: f64 = (0..self.experts)
            .map(|e| {
                let preferred = gates.iter().filter(|gate| order(gate)[0] == e).count() as f64 / rows;
                preferred * gates.iter().map(|gate| gate[e]).sum::<f64>() / rows
            })
            .sum();
        let loss = y.iter().map(|y| y * y).sum::<f64>() / y.len() as f64;
        (y, lost, loss + 0.1 * self.experts as f64 * even)
    }
}

const MIXTURES: [Mixture; 5] = [
    Mixture { rows: 9, experts: 3, top: 1, capacity: 1.0 },
    Mixture { rows: 10, experts: 4, top: 1, capacity: 1.25 },
    Mixture { rows: 7, experts: 4, top: 2, capacity: 0.75 },
    Mixture { rows: 5, experts: 2, top: 2, capacity: 2.0 },
    Mixture { rows: 1, experts: 3, top: 1, capacity: 0.1 },
];

#[test]
fn a_mixture_is_what_its_parts_are() {
    let mut dropped = 0;
    for mixture in MIXTURES {
        let trial = mixture.trial();
        let x = trial.environment.inputs[0].data.clone();
        let (y, lost, loss) = mixture.plain(&x, &|name| trial.variable(name).to_vec());
        near(&trial.binding("y").data, &y, 1e-9);
        let wishes = (mixture.rows * mixture.top) as f64;
        near(&trial.binding("lost").data, &[lost as f64 / wishes], 1e-9);
        dropped += lost;
        let (found, gradients) = trial.loss_and_gradients();
        // 0.1 is rounded to f32.
        near(&[found], &[loss], 1e-6);
        // The gradient by finite differences; which examples go where stays as it is.
        for (name, gradient) in gradients {
            for at in 0..gradient.data.len() {
                let moved = |by: f64| {
                    let weight = |other: &str| {
                        let mut numbers = trial.variable(other).to_vec();
                        if other == name {
                            numbers[at] += by;
                        }
                        numbers
                    };
                    mixture.plain(&x, &weight).2
                };
                let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                let found = gradient.data[at];
                assert!(
                    (found - slope).abs() < 1e-6 + 1e-5 * slope.abs(),
                    "{name} at {at}: {found}, {slope}"
                );
            }
        }
    }
    assert!(dropped > 0, "some mixture should be too narrow");
}

/// The values of a graph, and of bodies of recurrences in it.
fn ops(graph: &Graph) -> Vec<Op> {
    graph.values().map(|value| graph.op(value).clone()).collect()
}

#[test]
fn no_loop_is_left_and_the_work_is_that_of_the_places() {
    let mixture = Mixture { rows: 64, experts: 8, top: 1, capacity: 1.25 };
    let trial = mixture.trial();
    for phase in [Phase::Predict, Phase::Train] {
        let graph = optimise(unfold(&trial.model, &trial.binding, phase, &["y".to_string()]));
        assert!(!ops(&graph).iter().any(|op| matches!(op, Op::Scan { .. })), "{phase:?} has a loop");
        let hidden = graph.values().filter(|value| {
            let dims = graph.ty(*value).dims();
            matches!(graph.op(*value), Op::Contract { .. }) && dims.last() == Some(&HIDDEN) && dims.len() == 3
        });
        let dims: Vec<Vec<usize>> = hidden.map(|value| graph.ty(value).dims()).collect();
        assert!(dims.contains(&vec![8, 10, HIDDEN]), "{phase:?}: {dims:?}");
    }
}

#[test]
fn slices_have_layers_of_their_own() {
    let body = "input x: f32[batch, part = 3, 4]
        y = apart(x, dense(2), axis: part)
        loss mean(y * y)";
    let trial = Trial::new(model("", body), &[("x", numbers("x", &[5, 3, 4]))]);
    let (x, y) = (trial.environment.inputs[0].clone(), trial.binding("y"));
    assert_eq!(y.shape, [5, 3, 2]);
    let (w, b) = (trial.variable("y/dense/w"), trial.variable("y/dense/b"));
    assert_eq!((w.len(), b.len()), (3 * 4 * 2, 3 * 2));
    for row in 0..5 {
        for part in 0..3 {
            let own = product(&x.data[(row * 3 + part) * 4..][..4], &w[part * 8..][..8], 4);
            let own: Vec<f64> = own.iter().zip(&b[part * 2..]).map(|(a, b)| a + b).collect();
            near(&y.data[(row * 3 + part) * 2..][..2], &own, 1e-9);
        }
    }
}

/// The states' new values, by their names.
fn updates(trial: &Trial) -> Vec<(String, Array)> {
    let graph = unfold(&trial.model, &trial.binding, Phase::Train, &[]);
    let names = graph.updates.iter().map(|u| trial.model.variables[u.variable.0 as usize].name.clone());
    names.zip(strata::reference::step(&graph, &trial.environment).1).collect()
}

/// The same numbers as one layer a slice, written out; also where recurrences, states and draws are inside.
#[test]
fn whatever_the_layer_holds() {
    let layer = "layer counted(x: float[batch, in]) {
          state seen: f32[in] = zeros
          param w: f32[in] = 1.0
          update seen = seen + sum(x, axis: 0)
          return x * w + seen
        }
        layer looped(x: float[batch, in]) {
          param w: f32[in, in] = glorot
          scan 3 times with h = x { h = tanh(h @ w) }
          return last(h)
        }
        layer twice(x: float[batch, in]) {
          layer d = dense(in)
          return x |> d |> d
        }";
    for (layers, parameter) in [("counted", "w"), ("looped", "w"), ("twice", "d/w"), ("batch_norm", "scale")]
    {
        let body = format!(
            "input z: f32[batch, 2, 3]
             x = transpose(z, axes: [1, 0, 2])
             y = apart(x, {layers}, axis: 0)
             loss mean(y * y * y)"
        );
        let mut together = Trial::new(model(layer, &body), &[("z", numbers("x", &[4, 2, 3]))]);
        for (variable, value) in together.model.variables.iter().zip(&mut together.environment.variables) {
            if variable.name.ends_with("running_variance") {
                value.data.iter_mut().for_each(|x| *x = x.abs());
            }
        }
        let together = together;
        let updated = updates(&together);
        let y = together.binding("y");
        let gradients = together.loss_and_gradients().1;
        for part in 0..2 {
            let alone = format!("input x: f32[batch, 3]\n y = {layers}(x)\n loss mean(y * y * y)");
            let all = &together.environment.inputs[0].data;
            let own: Vec<f64> = (0..4).flat_map(|row| all[(row * 2 + part) * 3..][..3].to_vec()).collect();
            let mut alone = Trial::new(model(layer, &alone), &[("x", Array::new(&[4, 3], own))]);
            for (at, variable) in alone.model.variables.iter().enumerate() {
                let whole = together.variable(&variable.name);
                let each = whole.len() / 2;
                alone.environment.variables[at].data = whole[part * each..][..each].to_vec();
            }
            near(&y.data[part * 12..][..12], &alone.binding("y").data, 1e-9);
            let own = updates(&alone);
            assert_eq!(own.len(), updated.len());
            for ((name, whole), (same, own)) in updated.iter().zip(&own) {
                assert_eq!(name, same);
                near(&whole.data[part * own.data.len()..][..own.data.len()], &own.data, 1e-9);
            }
            let name = format!("y/{layers}/{parameter}");
            let find = |gradients: &[(String, Array)]| {
                let found = gradients.iter().find(|(n, _)| *n == name);
                found.unwrap_or_else(|| panic!("no {name}")).1.data.clone()
            };
            let (whole, own) = (find(&gradients), find(&alone.loss_and_gradients().1));
            let each = whole.len() / 2;
            // The mean is over twice as many.
            let half: Vec<f64> = own.iter().map(|x| x / 2.0).collect();
            near(&whole[part * each..][..each], &half, 1e-9);
        }
    }
}
