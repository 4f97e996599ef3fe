//! How variables begin that no initialiser describes: with tensors of files, and with values of the model itself.

use std::collections::{BTreeMap, HashMap};

use strata_runtime::Tensor;
use strata_runtime::checkpoint;
use strata_runtime::queue::read_picture;
use strata_runtime::train::{MachineError, Phase, Variables};

use super::Machine;
use crate::graph::ValueId;
use crate::model::{Load, LoadContent, Model};
use crate::ops::{Op, VariableId};
use crate::passes::optimise;
use crate::unfold::unfold_values;

impl Machine<'_> {
    /// Gives variables what the model's files hold, and then those that begin with a value of the model that value.
    ///
    /// # Errors
    /// A file that cannot be read, or that is another than the one that was checked.
    pub fn begin(&mut self) -> Result<(), MachineError> {
        if self.model.loads.is_empty() {
            // What begins with a value of the model has it from the start.
            return Ok(());
        }
        for load in &self.model.loads {
            let found = loaded(load)?;
            self.set(&found)?;
        }
        self.compute()
    }

    /// Computes what begins with a value of the model.
    pub(super) fn compute(&mut self) -> Result<(), MachineError> {
        if self.model.starts.is_empty() {
            return Ok(());
        }
        let binding = vec![1; self.model.free.len()];
        // Averages have no values yet.
        let model = Model { averages: Vec::new(), ..self.model.clone() };
        for starts in rounds(self.model).into_values() {
            let name = |id: VariableId| self.model.variables[id.0 as usize].name.clone();
            let wanted: Vec<(String, ValueId)> =
                starts.iter().map(|(variable, value)| (name(*variable), *value)).collect();
            let graph = optimise(unfold_values(&model, &binding, &wanted));
            let program = self.program(&graph)?;
            let values = self.run_program(&program, |_| None)?;
            let values: Variables = wanted.into_iter().map(|(name, _)| name).zip(values).collect();
            self.set(&values)?;
        }
        Ok(())
    }
}

/// What a file gives variables.
fn loaded(load: &Load) -> Result<Variables, MachineError> {
    let file = load.file.display();
    let model = match &load.content {
        LoadContent::Unread => {
            return Err(MachineError::Words(format!(
                "{file}: nobody looked into it when the spec was checked"
            )));
        }
        LoadContent::Picture(name, ty) => {
            let read = read_picture(&load.file, ty.dtype, &ty.dims());
            let picture = read.map_err(|error| MachineError::Words(error.to_string()))?;
            return Ok(vec![(name.clone(), picture)]);
        }
        LoadContent::Weights(model) => model,
    };
    let tensors =
        checkpoint::load_tensors(&load.file).map_err(|error| MachineError::Words(error.to_string()))?;
    let tensors: HashMap<&str, &Tensor> =
        tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    for input in &model.inputs {
        let fits = |tensor: &&Tensor| tensor.dtype() == input.ty.dtype && tensor.shape() == input.ty.dims();
        if !tensors.get(input.name.as_str()).is_some_and(fits) {
            let text = format!("{file}: `{}` is not what it was when the file was checked", input.name);
            return Err(MachineError::Words(text));
        }
    }
    // What is taken as it lies needs no program.
    let (mut found, mut wanted) = (Variables::new(), Vec::new());
    for (name, value) in &model.bindings {
        let op = &model.values[value.0 as usize].op;
        if let Op::Input(input) = op {
            let tensor = tensors[model.inputs[input.0 as usize].name.as_str()];
            found.push((name.clone(), tensor.clone()));
        } else {
            wanted.push(name.clone());
        }
    }
    if !wanted.is_empty() {
        let graph = crate::graph_of(model, &[], Phase::Predict, &wanted);
        let mut machine = Machine::new(model, 0, 1)?;
        let program = machine.program(&graph)?;
        let values = machine.run_program(&program, |name| tensors.get(name).copied())?;
        found.extend(wanted.into_iter().zip(values));
    }
    Ok(found)
}

/// The model's computed starts in rounds: each reads only variables of earlier ones.
fn rounds(model: &Model) -> BTreeMap<usize, Vec<(VariableId, ValueId)>> {
    let mut round_of: HashMap<VariableId, usize> = HashMap::new();
    let mut rounds: BTreeMap<usize, Vec<(VariableId, ValueId)>> = BTreeMap::new();
    for (variable, value) in &model.starts {
        let after = |value: ValueId| {
            let Op::Variable(read) = &model.values[value.0 as usize].op else { return None };
            round_of.get(read).map(|round| round + 1)
        };
        let round = model.behind([*value], |_| false).into_iter().filter_map(after).max().unwrap_or(0);
        round_of.insert(*variable, round);
        rounds.entry(round).or_default().push((*variable, *value));
    }
    rounds
}
