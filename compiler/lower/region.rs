//! A graph made ready for code: a step's, or one turn's of a recurrence. Both go the same way.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::deal::{self, Dealt, Written};
use super::fuse::{self, Fused, Outputs};
use super::memory::{self, Memory};
use super::recurrence;
use super::schedule::{self, Home, Schedule};
use super::values::Source;
use crate::graph::Graph;
use crate::ops::InputId;

/// What is known of a graph before code is made.
#[derive(Clone, Debug)]
pub struct Region<'a> {
    /// The graph.
    pub graph: Cow<'a, Graph>,
    /// What is stored, and the kernels that make it.
    pub fused: Fused,
    /// Kernels in order.
    pub schedule: Schedule,
    /// Where what is stored lies in the region's own scratch.
    pub memory: Memory,
    /// How each unit of the schedule is dealt out over threads, call by call.
    pub dealt: Vec<Vec<Dealt>>,
}

impl<'a> Region<'a> {
    /// The region of a step. `all`: store everything and fuse nothing.
    pub fn step(graph: &'a Graph, all: bool) -> Region<'a> {
        let graph = recurrence::with_histories(Cow::Borrowed(graph));
        let fused = fuse::fuse(&graph, all, Outputs::Anywhere);
        let mut schedule = schedule::schedule(&graph, &fused, BTreeMap::new());
        let memory = memory::arrange(&graph, &fused, &schedule);
        let (dealt, _) = deal::deal(&graph, &fused, &mut schedule.units, Written::new());
        Region { graph, fused, schedule, memory, dealt }
    }

    /// The region of one turn: every output has a place outside, the first `states` of them what the inputs of
    /// the same numbers are in the next turn.
    pub fn turn(graph: Graph, states: usize, all: bool) -> Region<'static> {
        let graph = recurrence::with_histories(Cow::Owned(graph));
        let fused = fuse::fuse(&graph, all, Outputs::Apart);
        let rows = fused.outputs.iter().enumerate();
        let homes = rows.map(|(output, source)| (*source, Home::Row(output))).collect();
        let mut schedule = schedule::schedule(&graph, &fused, homes);
        let memory = memory::arrange(&graph, &fused, &schedule);
        let (_, written) = deal::deal(&graph, &fused, &mut schedule.units, Written::new());
        // States come as the turn before has written them.
        let states = fused.outputs.iter().take(states).enumerate().filter_map(|(state, output)| {
            Some((Source::Input(InputId(state as u32)), written.get(output)?.clone()))
        });
        let (dealt, _) = deal::deal(&graph, &fused, &mut schedule.units, states.collect());
        Region { graph, fused, schedule, memory, dealt }
    }
}
