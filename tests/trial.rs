//! Models in a few lines, with numbers for everything that they read; evaluated by the reference evaluator.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops where it stands")]

use std::collections::HashMap;

use strata::check::{DataFacts, Settings, check};
use strata::graph::ValueId;
use strata::model::{Model, VariableKind};
use strata::ops::VariableId;
use strata::passes::differentiate::gradients;
use strata::reference::{Array, Environment, evaluate, step};
use strata::types::Size;
use strata::unfold::{Phase, unfold};
use strata_grammar::Report;

use crate::spec::load_case;

/// The model in `body`, which must be without a mistake, after other definitions.
pub fn model(before: &str, body: &str) -> Model {
    let text = format!("{before}\nmodel Net {{\n{body}\n}}\n");
    let loaded = load_case(std::path::Path::new("scans.model"), &text);
    let (mut checked, found) = check(&loaded, &DataFacts::default(), &Settings::default());
    if let Some(found) = loaded.diagnostics.iter().chain(&found).next() {
        panic!("{}\n{text}", Report::new(found, &loaded.sources).short());
    }
    checked.models.remove(0)
}

/// Numbers between -1 and 1, as many as `shape` has, other ones for each name.
pub fn numbers(name: &str, shape: &[usize]) -> Array {
    let mut state =
        name.bytes().fold(17u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / f64::from(1 << 23) - 1.0
    };
    Array::new(shape, (0..shape.iter().product()).map(|_| next()).collect())
}

/// Asserts that numbers are those expected, each but for `within` of its size.
#[track_caller]
pub fn near(found: &[f64], expected: &[f64], within: f64) {
    assert_eq!(found.len(), expected.len(), "{found:?} is not {expected:?}");
    for (at, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= within * (1.0 + b.abs()), "at {at}: {found:?} is not {expected:?}");
    }
}

/// A model with numbers for its inputs (by name) and its variables (made of their names).
#[derive(Debug)]
pub struct Trial {
    /// The model.
    pub model: Model,
    /// The size of each free axis.
    pub binding: Vec<u64>,
    /// Numbers for inputs and variables.
    pub environment: Environment,
}

impl Trial {
    /// With these inputs, all that the model has.
    pub fn new(model: Model, inputs: &[(&str, Array)]) -> Trial {
        let mut binding = vec![1; model.free.len()];
        let mut arrays = Vec::new();
        for input in &model.inputs {
            let (_, array) = inputs.iter().find(|(name, _)| *name == input.name).unwrap();
            for (axis, size) in input.ty.axes.iter().zip(&array.shape) {
                if let Size::Free(free) = axis.size {
                    binding[free.0 as usize] = *size as u64;
                }
            }
            arrays.push(array.clone());
        }
        let variables = model.variables.iter().map(|v| numbers(&v.name, &v.ty.dims())).collect();
        let environment = Environment { inputs: arrays, variables, seed: 1, step: 0 };
        Trial { model, binding, environment }
    }

    /// The values of bindings.
    pub fn bindings(&self, phase: Phase, names: &[&str]) -> HashMap<String, Array> {
        let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
        let graph = unfold(&self.model, &self.binding, phase, &names);
        step(&graph, &self.environment).0.into_iter().collect()
    }

    /// The value of one binding.
    pub fn binding(&self, name: &str) -> Array {
        self.bindings(Phase::Predict, &[name]).remove(name).unwrap()
    }

    /// The numbers of a variable.
    pub fn variable(&self, name: &str) -> &[f64] {
        let at = self.model.variables.iter().position(|v| v.name == name);
        let names: Vec<&str> = self.model.variables.iter().map(|v| v.name.as_str()).collect();
        &self.environment.variables[at.unwrap_or_else(|| panic!("no {name} in {names:?}"))].data
    }

    /// The loss of a training step, and its gradient by every parameter.
    pub fn loss_and_gradients(&self) -> (f64, Vec<(String, Array)>) {
        let mut graph = unfold(&self.model, &self.binding, Phase::Train, &[]);
        let loss = graph.outputs.iter().find(|output| output.name == "loss").unwrap().value;
        let trained = |at: &usize| self.model.variables[*at].kind == VariableKind::Param;
        let by: Vec<usize> = (0..self.model.variables.len()).filter(trained).collect();
        let ids: Vec<VariableId> = by.iter().map(|at| VariableId(*at as u32)).collect();
        let gradients = gradients(&mut graph, loss, &ids);
        let values = evaluate(&graph, &self.environment);
        let value = |id: ValueId| values[id.0 as usize].clone();
        let names = by.iter().map(|at| self.model.variables[*at].name.clone());
        (value(loss).data[0], names.zip(gradients.into_iter().map(value)).collect())
    }
}
