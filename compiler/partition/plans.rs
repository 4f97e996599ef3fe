//! Programs of graphs as programs of plans: what a group of devices is given.

use strata_runtime::group::Device;
use strata_runtime::program::{self, Channel, Whole};

use super::home::Homes;
use super::piece::Piece;
use super::places::Places;
use super::{Partitioned, partition};
use crate::graph::Graph;
use crate::lower::{LowerOptions, layout, lower};
use crate::model::{Model, Variable};
use crate::ops::VariableId;
use crate::placement::{DeviceId, Placement};
use crate::types::Type;

/// A model's devices, with the variables that each holds, and where the parts of every variable are.
pub fn devices(model: &Model, placement: &Placement, places: &Places) -> (Vec<Device>, Vec<Whole>) {
    let mut held: Vec<Vec<Variable>> = vec![Vec::new(); placement.devices.len()];
    let mut wholes = Vec::new();
    for (at, variable) in model.variables.iter().enumerate() {
        let mut whole = whole(&variable.name, &variable.ty, 0);
        for (device, piece) in places.pieces(VariableId(at as u32), &variable.ty) {
            let own = &mut held[device.0 as usize];
            whole.pieces.push(part(device, own.len(), &piece));
            own.push(Variable { ty: piece.of(&variable.ty), ..variable.clone() });
        }
        wholes.push(whole);
    }
    let device = |(device, own): (&crate::placement::Device, &Vec<Variable>)| Device {
        name: device.name.clone(),
        layout: layout(own),
    };
    (placement.devices.iter().zip(&held).map(device).collect(), wholes)
}

/// The program that computes a graph on the devices of `places`.
pub fn program(graph: &Graph, places: &Places, options: &LowerOptions) -> program::Program {
    lowered(graph, &partition(graph, &Homes::of(graph, places)), options)
}

/// The plans of a graph that was cut over devices.
pub fn lowered(graph: &Graph, cut: &Partitioned, options: &LowerOptions) -> program::Program {
    let plan = |own: &super::Program| lower(&own.graph, &layout(&own.graph.variables), options);
    let channel = |transfer: &super::Transfer| Channel {
        from: transfer.from.0 as usize,
        to: transfer.to.0 as usize,
        bytes: transfer.bytes as usize,
        origin: transfer.origin.0,
    };
    let mut inputs: Vec<Whole> = graph.inputs.iter().map(|input| whole(&input.name, &input.ty, 0)).collect();
    let mut variables: Vec<Whole> = graph.variables.iter().map(|v| whole(&v.name, &v.ty, 0)).collect();
    for (device, own) in cut.programs.iter().enumerate() {
        let device = DeviceId(device as u32);
        for (index, (input, piece)) in own.inputs.iter().enumerate() {
            inputs[input.0 as usize].pieces.push(part(device, index, piece));
        }
        for (index, (variable, piece)) in own.variables.iter().enumerate() {
            variables[variable.0 as usize].pieces.push(part(device, index, piece));
        }
    }
    let output = |(output, shards): (&crate::graph::Output, &Vec<super::Shard>)| {
        let node = graph.node(output.value);
        let mut whole = whole(&output.name, &node.ty, node.origin.0);
        let shard = |shard: &super::Shard| part(shard.device, shard.output, &shard.piece);
        whole.pieces = shards.iter().map(shard).collect();
        whole
    };
    program::Program {
        plans: cut.programs.iter().map(plan).collect(),
        channels: cut.transfers.iter().map(channel).collect(),
        inputs,
        outputs: graph.outputs.iter().zip(&cut.outputs).map(output).collect(),
        variables,
    }
}

fn whole(name: &str, ty: &Type, origin: u32) -> Whole {
    Whole { name: name.to_owned(), dtype: ty.dtype, shape: ty.dims(), origin, pieces: Vec::new() }
}

fn part(device: DeviceId, index: usize, piece: &Piece) -> program::Piece {
    let part = piece.0.iter().map(|range| range.start as usize..range.end as usize).collect();
    program::Piece { device: device.0 as usize, index, part }
}
