//! The program of a phase, and what it was made from.

use strata_runtime::group::shares;
use strata_runtime::program;
use strata_runtime::queue::Shapes;
use strata_runtime::session::room;
use strata_runtime::train::{MachineError, Phase};

use super::DeviceMemory;
use crate::graph::Graph;
use crate::lower::{LowerOptions, layout, lower};
use crate::machine::binding;
use crate::model::Model;
use crate::partition::{Homes, Partitioned, Places, lowered, partition};
use crate::placement::{Placement, several};

/// A program with the graph that it computes.
pub struct Made {
    /// The whole graph.
    pub graph: Graph,
    /// The same, cut over devices, where there are several.
    pub cut: Option<Partitioned>,
    /// Plans and channels.
    pub program: program::Program,
    /// Threads of each device.
    pub threads: Vec<usize>,
}

impl Made {
    /// The program that a machine makes for batches of these shapes. `threads`: of all devices together.
    ///
    /// # Errors
    /// Shapes that contradict each other.
    pub fn new(
        model: &Model,
        placement: Option<&Placement>,
        phase: Phase,
        shapes: &Shapes,
        threads: usize,
    ) -> Result<Made, MachineError> {
        let graph = crate::graph_of(model, &binding(model, shapes)?, phase, &[]);
        let options = LowerOptions::default();
        let Some(placement) = several(placement) else {
            let plan = lower(&graph, &layout(&model.variables), &options);
            let program = program::Program::alone(plan, |_| true);
            return Ok(Made { graph, cut: None, program, threads: shares(threads, 1) });
        };
        let cut = partition(&graph, &Homes::of(&graph, &Places::of(model, placement)));
        let program = lowered(&graph, &cut, &options);
        Ok(Made { graph, cut: Some(cut), program, threads: shares(threads, placement.devices.len()) })
    }

    /// What is allocated for each device.
    pub fn memory(&self) -> Vec<DeviceMemory> {
        let device = |(at, plan): (usize, &strata_runtime::plan::Plan)| {
            let sends = self.program.channels.iter().filter(|channel| channel.from == at);
            let memory = DeviceMemory {
                variables: room(plan.layout.bytes) as u64,
                scratch: room(plan.scratch) as u64,
                local: (self.threads[at] * room(plan.local)) as u64,
                channels: sends.map(|channel| channel.bytes as u64).sum(),
                peak: 0,
            };
            memory.added_up()
        };
        self.program.plans.iter().enumerate().map(device).collect()
    }

    /// What each device computes.
    pub(super) fn graphs(&self) -> impl Iterator<Item = &Graph> {
        let alone = self.cut.is_none().then_some(&self.graph);
        let cut = self.cut.iter().flat_map(|cut| &cut.programs).map(|program| &program.graph);
        alone.into_iter().chain(cut)
    }

    /// What the devices are called.
    pub(super) fn names(&self, placement: Option<&Placement>) -> Vec<String> {
        let named =
            |placement: &Placement| placement.devices.iter().map(|device| device.name.clone()).collect();
        placement.map_or_else(|| vec!["cpu".to_string()], named)
    }
}

impl DeviceMemory {
    pub(super) fn added_up(self) -> DeviceMemory {
        DeviceMemory { peak: self.variables + self.scratch + self.local + self.channels, ..self }
    }

    /// What a device needs that has the programs of both in memory: scratch is that of the largest, channels are each
    /// program's own.
    pub(super) fn with(self, other: DeviceMemory) -> DeviceMemory {
        let both = DeviceMemory {
            variables: self.variables.max(other.variables),
            scratch: self.scratch.max(other.scratch),
            local: self.local.max(other.local),
            channels: self.channels + other.channels,
            peak: 0,
        };
        both.added_up()
    }
}
