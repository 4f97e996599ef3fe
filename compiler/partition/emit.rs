//! Writes the program of each device.

use std::collections::HashMap;

use super::demand::{Fetch, Wanted};
use super::home::Homes;
use super::piece::{Piece, way};
use super::{Partitioned, Program, Shard, Transfer};
use crate::graph::{Graph, Output, Send, Update, ValueId};
use crate::model::{Input, Variable};
use crate::ops::{Channel, InputId, Op, VariableId};
use crate::placement::DeviceId;
use crate::types::{Size, Type};

/// The programs that compute what is wanted.
pub(super) fn emit(graph: &Graph, homes: &Homes, wanted: &Wanted) -> Partitioned {
    let devices = (0..homes.devices).map(|at| Device::new(graph, homes, wanted, DeviceId(at as u32)));
    let mut emitter = Emitter { graph, devices: devices.collect(), transfers: Vec::new() };
    for value in graph.values() {
        for (device, piece) in &wanted.work[value.0 as usize] {
            emitter.compute(*device, value, piece);
        }
        for fetch in &wanted.fetched[value.0 as usize] {
            emitter.fetch(value, fetch);
        }
    }
    for update in &graph.updates {
        for (device, piece) in homes.variable(graph, update.variable) {
            let value = emitter.local(device, update.value, &piece);
            let program = &mut emitter.device(device).program;
            let own = program.variables.iter().position(|(variable, _)| *variable == update.variable);
            let variable = VariableId(own.expect("a variable is where it lives") as u32);
            program.graph.updates.push(Update { variable, value });
        }
    }
    let mut outputs = Vec::new();
    for (output, shards) in graph.outputs.iter().zip(&wanted.outputs) {
        let mut places = Vec::new();
        for (device, piece) in shards {
            let value = emitter.local(*device, output.value, piece);
            let found = &mut emitter.device(*device).program.graph.outputs;
            places.push(Shard { device: *device, output: found.len(), piece: piece.clone() });
            found.push(Output { name: output.name.clone(), value });
        }
        outputs.push(places);
    }
    let Emitter { devices, transfers, .. } = emitter;
    Partitioned { programs: devices.into_iter().map(|device| device.program).collect(), transfers, outputs }
}

/// A program in the making.
struct Device {
    program: Program,
    /// By value of the whole graph: the pieces that are there.
    there: HashMap<ValueId, Vec<(Piece, ValueId)>>,
}

impl Device {
    fn new(graph: &Graph, homes: &Homes, wanted: &Wanted, device: DeviceId) -> Device {
        let mut inputs: Vec<(InputId, Piece)> = Vec::new();
        for value in graph.values() {
            if let Op::Input(input) = graph.op(value)
                && let Some(piece) = wanted.work[value.0 as usize].get(&device)
            {
                inputs.push((*input, piece.clone()));
            }
        }
        let lives = |at: usize| {
            let variable = VariableId(at as u32);
            let mut pieces = homes.variable(graph, variable).into_iter();
            pieces.find(|(own, _)| *own == device).map(|(_, piece)| (variable, piece))
        };
        let variables: Vec<(VariableId, Piece)> = (0..graph.variables.len()).filter_map(lives).collect();
        let input = |(input, piece): &(InputId, Piece)| {
            let whole = &graph.inputs[input.0 as usize];
            Input { ty: piece.of(&whole.ty), ..whole.clone() }
        };
        let variable = |(variable, piece): &(VariableId, Piece)| {
            let whole = &graph.variables[variable.0 as usize];
            Variable { ty: piece.of(&whole.ty), ..whole.clone() }
        };
        let own = Graph::new(inputs.iter().map(input).collect(), variables.iter().map(variable).collect());
        Device { program: Program { graph: own, inputs, variables }, there: HashMap::new() }
    }
}

struct Emitter<'a> {
    graph: &'a Graph,
    devices: Vec<Device>,
    transfers: Vec<Transfer>,
}

impl Emitter<'_> {
    fn device(&mut self, device: DeviceId) -> &mut Device {
        &mut self.devices[device.0 as usize]
    }

    fn add(&mut self, device: DeviceId, op: Op, args: &[ValueId], of: ValueId) -> ValueId {
        let origin = self.graph.node(of).origin;
        self.device(device).program.graph.add(op, args, origin)
    }

    fn keep(&mut self, device: DeviceId, of: ValueId, piece: Piece, value: ValueId) {
        self.device(device).there.entry(of).or_default().push((piece, value));
    }

    /// Computes a piece of a value.
    fn compute(&mut self, device: DeviceId, value: ValueId, piece: &Piece) {
        let ty = self.graph.ty(value);
        let op = self.graph.op(value);
        let (made, from) = if let Op::Input(input) = op {
            let own = self.device(device).program.inputs.iter().position(|(i, _)| i == input);
            let input = InputId(own.expect("what is wanted was entered") as u32);
            (piece.clone(), self.add(device, Op::Input(input), &[], value))
        } else if let Op::Variable(variable) = op {
            let own = self.device(device).program.variables.iter().position(|(v, _)| v == variable);
            let variable = VariableId(own.expect("a variable is where it lives") as u32);
            (piece.clone(), self.add(device, Op::Variable(variable), &[], value))
        } else if self.graph.args(value).is_empty() {
            // Numbers and indices cost nothing: all of them, of which what is not wanted is not computed.
            (Piece::whole(ty), self.add(device, op.clone(), &[], value))
        } else {
            self.piece(device, value, piece)
        };
        let axes = &made.of(ty).axes;
        let named = if self.devices[device.0 as usize].program.graph.ty(from).axes == *axes {
            from
        } else {
            self.add(device, Op::Reshape { axes: axes.clone() }, &[from], value)
        };
        let own = self.slice(device, named, value, &made, piece);
        self.keep(device, value, piece.clone(), own);
    }

    /// At least a piece of what an operator gives.
    fn piece(&mut self, device: DeviceId, value: ValueId, piece: &Piece) -> (Piece, ValueId) {
        let args = self.graph.args(value);
        if let Op::Random { .. } = self.graph.op(value) {
            // A number follows from its place in the whole.
            let whole = Piece::whole(self.graph.ty(value));
            let args: Vec<ValueId> =
                args.iter().map(|arg| self.local(device, *arg, &Piece(Vec::new()))).collect();
            return (whole, self.add(device, self.graph.op(value).clone(), &args, value));
        }
        let way = way(self.graph, value, piece);
        let joins = matches!(way.op, Op::Concat { .. });
        let mut own = Vec::new();
        for (arg, piece) in args.iter().zip(&way.args) {
            if joins && piece.is_empty() {
                continue;
            }
            own.push(self.local(device, *arg, piece));
        }
        if joins && own.len() == 1 {
            return (way.piece, own[0]);
        }
        (way.piece, self.add(device, way.op, &own, value))
    }

    /// A piece that is there, or lies in one that is.
    fn local(&mut self, device: DeviceId, value: ValueId, piece: &Piece) -> ValueId {
        let ty = self.graph.ty(value);
        if piece.is_empty() {
            let origin = self.graph.node(value).origin;
            return self.device(device).program.graph.filled(0.0, &piece.of(ty), origin);
        }
        let there = self.device(device).there.get(&value);
        let found = there.into_iter().flatten().find(|(have, _)| have.contains(piece)).cloned();
        let (have, own) = found.unwrap_or_else(|| {
            panic!("device {} wants {piece:?} of %{} and was not given it", device.0, value.0)
        });
        self.slice(device, own, value, &have, piece)
    }

    /// `piece` of `own`, which is `have` of `value`.
    fn slice(
        &mut self,
        device: DeviceId,
        own: ValueId,
        value: ValueId,
        have: &Piece,
        piece: &Piece,
    ) -> ValueId {
        let mut own = own;
        for (axis, range) in piece.within(have).0.into_iter().enumerate() {
            if range != (0..have.0[axis].end - have.0[axis].start) {
                let (start, end) = (Size::Known(range.start), Size::Known(range.end));
                own = self.add(device, Op::Slice { axis, start, end }, &[own], value);
            }
        }
        own
    }

    /// Gets the parts of a piece from where they are, and puts them together.
    fn fetch(&mut self, value: ValueId, fetch: &Fetch) {
        let mut parts = Vec::new();
        for (source, part) in &fetch.from {
            let own = self.local(*source, value, part);
            let own = if *source == fetch.device {
                own
            } else {
                self.transfer(value, *source, fetch.device, part, own)
            };
            parts.push((part.clone(), own));
        }
        let whole = self.join(fetch.device, value, parts);
        self.keep(fetch.device, value, fetch.piece.clone(), whole);
    }

    /// Sends a piece from one device to another, and gives what arrives.
    fn transfer(
        &mut self,
        value: ValueId,
        from: DeviceId,
        to: DeviceId,
        piece: &Piece,
        own: ValueId,
    ) -> ValueId {
        let channel = Channel(self.transfers.len() as u32);
        let Type { dtype, axes } = piece.of(self.graph.ty(value));
        self.transfers.push(Transfer {
            from,
            to,
            value,
            piece: piece.clone(),
            bytes: piece.elements() * dtype.bytes() as u64,
            origin: self.graph.node(value).origin,
        });
        self.device(from).program.graph.sends.push(Send { channel, value: own });
        self.add(to, Op::Receive { channel, axes, dtype }, &[], value)
    }

    /// Parts of a grid, put together.
    fn join(&mut self, device: DeviceId, value: ValueId, mut parts: Vec<(Piece, ValueId)>) -> ValueId {
        let rank = self.graph.ty(value).rank();
        for axis in (0..rank).rev() {
            // Parts that differ along this axis alone are neighbours.
            let mut rows: Vec<(Piece, Vec<(u64, ValueId)>)> = Vec::new();
            for (piece, own) in parts {
                let start = piece.0[axis].start;
                let same =
                    |row: &Piece| (0..rank).all(|other| other == axis || row.0[other] == piece.0[other]);
                match rows.iter_mut().find(|(row, _)| same(row)) {
                    Some((row, members)) => {
                        *row = row.hull(&piece);
                        members.push((start, own));
                    }
                    None => rows.push((piece, vec![(start, own)])),
                }
            }
            parts = Vec::new();
            for (row, mut members) in rows {
                members.sort_unstable_by_key(|(start, _)| *start);
                let own: Vec<ValueId> = members.into_iter().map(|(_, own)| own).collect();
                let joined =
                    if own.len() == 1 { own[0] } else { self.add(device, Op::Concat { axis }, &own, value) };
                parts.push((row, joined));
            }
        }
        assert_eq!(parts.len(), 1, "the parts of %{} are no grid", value.0);
        parts[0].1
    }
}
