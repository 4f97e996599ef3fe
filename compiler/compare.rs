//! A program over several devices beside the same on one device, value by value and bit by bit.

use std::collections::HashMap;

use serde::Serialize;
use strata_grammar::Sources;
use strata_runtime::Tensor;
use strata_runtime::queue::{Batch, Shapes};
use strata_runtime::train::{Machine as _, MachineError, Phase, Variables};

use crate::graph::Graph;
use crate::lower::with_every_output;
use crate::machine::{Machine, Program, binding, index_of, numbers};
use crate::model::Model;
use crate::report::{Line, line, origin_name};

/// Both programs, step by step.
pub struct Comparison<'m> {
    model: &'m Model,
    sources: &'m Sources,
    one: Machine<'m>,
    several: Machine<'m>,
    /// What the devices are called.
    names: Vec<String>,
    made: HashMap<Shapes, Sides>,
    steps: u64,
    values: usize,
}

/// The programs for batches of some shapes, which give every value that is computed.
struct Sides {
    graph: Graph,
    one: Program,
    several: Program,
}

/// What came of a comparison.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// Whether everything is the same.
    pub same: bool,
    /// Steps that both have done.
    pub steps: u64,
    /// Values that were compared in each step: of programs of several shapes, the most.
    pub values: usize,
    /// Variables that were compared.
    pub variables: usize,
    /// The first difference.
    pub difference: Option<Difference>,
}

/// Where the two sides differ first.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// The step, from 0; before any of them it is that as well.
    pub step: u64,
    /// The value's number in the graph; none for a variable behind the steps.
    pub value: Option<u32>,
    /// What it belongs to: a part of the model, a binding, a variable.
    pub name: String,
    /// What computes it; `variable` for a variable.
    pub operator: String,
    /// Its type.
    pub tensor: String,
    /// The line that it comes from.
    pub at: Option<Line>,
    /// The first element that differs.
    pub index: Vec<usize>,
    /// What one device has there, as it is written.
    pub one: String,
    /// What several have there.
    pub several: String,
    /// Its bytes on one device, in hexadecimal.
    pub one_bytes: String,
    /// Its bytes on several.
    pub several_bytes: String,
    /// Which device computed it.
    pub device: String,
}

impl<'m> Comparison<'m> {
    /// Two machines of one model with the same variables: one with a device, and one with several.
    pub fn new(
        model: &'m Model,
        sources: &'m Sources,
        one: Machine<'m>,
        mut several: Machine<'m>,
    ) -> Comparison<'m> {
        let names = several.group().devices().map(str::to_string).collect();
        Comparison { model, sources, one, several, names, made: HashMap::new(), steps: 0, values: 0 }
    }

    /// Has both do a training step with the same batch; gives the first value that differs, if one does.
    ///
    /// # Errors
    /// What one of the machines cannot do.
    pub fn step(&mut self, batch: &Batch) -> Result<Option<Difference>, MachineError> {
        let shapes = batch.shapes();
        let sides = match self.made.remove(&shapes) {
            Some(sides) => sides,
            None => self.make(&shapes)?,
        };
        let one = self.one.carry_out(&sides.one, batch, self.steps)?;
        let several = self.several.carry_out(&sides.several, batch, self.steps)?;
        let found = self.different_value(&sides, &one, &several);
        self.values = self.values.max(one.len());
        self.made.insert(shapes, sides);
        self.steps += 1;
        Ok(found)
    }

    fn make(&mut self, shapes: &Shapes) -> Result<Sides, MachineError> {
        let mut graph = crate::graph_of(self.model, &binding(self.model, shapes)?, Phase::Train, &[]);
        // Named outputs are values too, and would be compared twice.
        graph.outputs.clear();
        let graph = with_every_output(&graph);
        let (one, several) = (self.one.program(&graph)?, self.several.program(&graph)?);
        Ok(Sides { graph, one, several })
    }

    /// The difference in the value with the smallest id: ids grow along edges, so it is where differences begin.
    fn different_value(&self, sides: &Sides, one: &[Tensor], several: &[Tensor]) -> Option<Difference> {
        let at = one.iter().zip(several).position(|(one, several)| one != several)?;
        let value = sides.graph.outputs[at].value;
        let node = sides.graph.node(value);
        let found = Difference {
            step: self.steps,
            value: Some(value.0),
            name: origin_name(self.model, self.sources, node.origin.0),
            operator: node.op.name().to_string(),
            tensor: node.ty.to_string(),
            at: Some(line(self.model, self.sources, node.origin.0)),
            ..different_element(&one[at], &several[at])?
        };
        let pieces = &sides.several.loaded.outputs()[at].pieces;
        Some(Difference { device: self.holder(pieces, &found.index), ..found })
    }

    /// The first variable that differs now, if one does.
    pub fn variable(&self) -> Option<Difference> {
        let (one, several): (Variables, Variables) = (self.one.read(), self.several.read());
        let at = one.iter().zip(&several).position(|(one, several)| one != several)?;
        let variable = &self.model.variables[at];
        let found = Difference {
            step: self.steps,
            name: variable.name.clone(),
            operator: "variable".to_string(),
            tensor: variable.ty.to_string(),
            at: Some(crate::report::line_of(self.sources, variable.call)),
            ..different_element(&one[at].1, &several[at].1)?
        };
        let pieces = &self.several.variables()[at].pieces;
        Some(Difference { device: self.holder(pieces, &found.index), ..found })
    }

    /// Who has an element.
    fn holder(&self, pieces: &[strata_runtime::program::Piece], index: &[usize]) -> String {
        let has = |piece: &&strata_runtime::program::Piece| {
            piece.part.iter().zip(index).all(|(part, at)| part.contains(at))
        };
        pieces.iter().find(has).map_or(String::new(), |piece| self.names[piece.device].clone())
    }

    /// What came of it: `found` is the first difference.
    pub fn verdict(&self, found: Option<Difference>) -> Verdict {
        Verdict {
            same: found.is_none(),
            steps: self.steps,
            values: self.values,
            variables: self.model.variables.len(),
            difference: found,
        }
    }
}

/// The first element that two tensors of one type do not have alike; of what is not about elements, nothing is said.
fn different_element(one: &Tensor, several: &Tensor) -> Option<Difference> {
    let size = one.dtype().bytes();
    let at = one.bytes().chunks(size).zip(several.bytes().chunks(size)).position(|(a, b)| a != b)?;
    let hex = |tensor: &Tensor| {
        let bytes = tensor.bytes()[at * size..(at + 1) * size].iter().rev();
        bytes.map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let number = |tensor: &Tensor| numbers(tensor)[at].to_string();
    Some(Difference {
        step: 0,
        value: None,
        name: String::new(),
        operator: String::new(),
        tensor: String::new(),
        at: None,
        index: index_of(one.shape(), at),
        one: number(one),
        several: number(several),
        one_bytes: hex(one),
        several_bytes: hex(several),
        device: String::new(),
    })
}
