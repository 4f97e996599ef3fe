//! Puts the values of a graph on devices, wherever one says, and has them sent to where they are used.

use std::collections::HashMap;

use strata::graph::{Graph, Output, Send, Update, ValueId};
use strata::lower::{LowerOptions, layout, lower, races, waits};
use strata::model::Variable;
use strata::ops::{self, Op, VariableId};
use strata_runtime::Tensor;
use strata_runtime::group::{Device, Group, GroupError, Loaded};
use strata_runtime::program::{Channel, Program, Whole};

/// A graph over several devices.
pub struct Scattered {
    pub graphs: Vec<Graph>,
    pub channels: Vec<Channel>,
    inputs: Vec<Whole>,
    outputs: Vec<Whole>,
    pub variables: Vec<Whole>,
}

/// What is at hand everywhere.
fn is_everywhere(op: &Op) -> bool {
    matches!(op, Op::Input(_) | Op::Seed | Op::Step | Op::Constant(..) | Op::Index { .. })
}

/// `home`: the device of a value.
pub fn scatter(graph: &Graph, devices: usize, mut home: impl FnMut(ValueId) -> usize) -> Scattered {
    let needed = graph.needed();
    let homes: Vec<usize> = graph.values().map(&mut home).collect();
    let mut owner: HashMap<VariableId, usize> = HashMap::new();
    for value in graph.values() {
        if let Op::Variable(variable) = graph.op(value) {
            owner.insert(*variable, homes[value.0 as usize]);
        }
    }
    // What the graph does not read is somewhere too.
    let owner = |variable: VariableId| owner.get(&variable).copied().unwrap_or(variable.0 as usize % devices);
    let mut slots: Vec<Vec<Variable>> = vec![Vec::new(); devices];
    let mut variables: Vec<(Whole, VariableId)> = Vec::new();
    for (i, variable) in graph.variables.iter().enumerate() {
        let device = owner(VariableId(i as u32));
        let index = slots[device].len();
        slots[device].push(variable.clone());
        let (dtype, dims) = (variable.ty.dtype, variable.ty.dims());
        let whole = Whole::on(device, index, &variable.name, dtype, &dims, 0);
        variables.push((whole, VariableId(index as u32)));
    }
    let graphs = slots.into_iter().map(|slots| Graph::new(graph.inputs.clone(), slots.into()));
    let mut scattering = Scattering {
        whole: graph,
        homes,
        known: vec![HashMap::new(); devices],
        made: Scattered {
            graphs: graphs.collect(),
            channels: Vec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            variables: Vec::new(),
        },
    };
    for value in graph.values().filter(|value| needed[value.0 as usize] && !is_everywhere(graph.op(*value))) {
        let mut op = graph.op(value).clone();
        let mut device = scattering.homes[value.0 as usize];
        if let Op::Variable(variable) = &mut op {
            device = owner(*variable);
            *variable = variables[variable.0 as usize].1;
        }
        scattering.homes[value.0 as usize] = device;
        let args: Vec<ValueId> =
            graph.args(value).into_iter().map(|arg| scattering.bring(arg, device)).collect();
        let made = scattering.made.graphs[device].add(op, &args, graph.node(value).origin);
        scattering.known[device].insert(value, made);
    }
    for update in &graph.updates {
        let device = owner(update.variable);
        let (variable, value) =
            (variables[update.variable.0 as usize].1, scattering.bring(update.value, device));
        scattering.made.graphs[device].updates.push(Update { variable, value });
    }
    for output in &graph.outputs {
        let device = scattering.homes[output.value.0 as usize];
        let value = scattering.bring(output.value, device);
        let outputs = &mut scattering.made.graphs[device].outputs;
        let ty = graph.ty(output.value);
        let whole = Whole::on(device, outputs.len(), &output.name, ty.dtype, &ty.dims(), 0);
        outputs.push(Output { name: output.name.clone(), value });
        scattering.made.outputs.push(whole);
    }
    let mut made = scattering.made;
    made.variables = variables.into_iter().map(|(whole, _)| whole).collect();
    for (i, input) in graph.inputs.iter().enumerate() {
        let mut whole = Whole::on(0, i, &input.name, input.ty.dtype, &input.ty.dims(), 0);
        let piece = whole.pieces.pop().expect("it is on one device");
        let reads = |device: &usize| {
            let graph = &made.graphs[*device];
            graph.values().any(|value| *graph.op(value) == Op::Input(ops::InputId(i as u32)))
        };
        let pieces = (0..devices).filter(reads);
        whole.pieces =
            pieces.map(|device| strata_runtime::program::Piece { device, ..piece.clone() }).collect();
        made.inputs.push(whole);
    }
    made
}

struct Scattering<'a> {
    whole: &'a Graph,
    homes: Vec<usize>,
    /// By device: what each value is there.
    known: Vec<HashMap<ValueId, ValueId>>,
    made: Scattered,
}

impl Scattering<'_> {
    /// What a value is on a device. Users are asked about in the order of their ids, so a channel's number is larger than
    /// those of what its tensor is made of.
    fn bring(&mut self, value: ValueId, device: usize) -> ValueId {
        if let Some(known) = self.known[device].get(&value) {
            return *known;
        }
        let node = self.whole.node(value);
        let graphs = &mut self.made.graphs;
        let here = if is_everywhere(&node.op) {
            graphs[device].add(node.op.clone(), &[], node.origin)
        } else {
            let from = self.homes[value.0 as usize];
            let channel = ops::Channel(self.made.channels.len() as u32);
            let bytes = node.ty.elements() * node.ty.dtype.bytes();
            self.made.channels.push(Channel { from, to: device, bytes, origin: node.origin.0 });
            graphs[from].sends.push(Send { channel, value: self.known[from][&value] });
            let receive = Op::Receive { channel, axes: node.ty.axes.clone(), dtype: node.ty.dtype };
            graphs[device].add(receive, &[], node.origin)
        };
        self.known[device].insert(value, here);
        here
    }
}

impl Scattered {
    /// The program, proven free of races and of waits without end.
    pub fn program(&self, options: &LowerOptions) -> Program {
        let plan = |graph: &Graph| lower(graph, &layout(&graph.variables), options);
        let plans: Vec<_> = self.graphs.iter().map(plan).collect();
        plans.iter().for_each(races::verify);
        waits::verify(&plans, &self.channels).expect("numbers of channels grow with the ids of their values");
        Program {
            plans,
            channels: self.channels.clone(),
            inputs: self.inputs.clone(),
            outputs: self.outputs.clone(),
            variables: self.variables.clone(),
        }
    }

    pub fn devices(&self) -> Vec<Device> {
        let device =
            |(i, graph): (usize, &Graph)| Device { name: format!("d{i}"), layout: layout(&graph.variables) };
        self.graphs.iter().enumerate().map(device).collect()
    }

    pub fn group(&self, threads: usize) -> Group {
        Group::new(self.devices(), self.variables.clone(), threads).expect("threads can be had")
    }
}

/// A group with a program of its own.
pub struct Running {
    pub group: Group,
    pub loaded: Loaded,
}

impl Running {
    pub fn new(graph: &Graph, devices: usize, threads: usize, home: impl FnMut(ValueId) -> usize) -> Running {
        let scattered = scatter(graph, devices, home);
        let mut group = scattered.group(threads);
        let program = scattered.program(&LowerOptions::default());
        let loaded = group.load(program).expect("the program was made for these devices");
        Running { group, loaded }
    }

    pub fn step(&mut self, step: i64, inputs: &[(&str, &Tensor)]) -> Result<Vec<Tensor>, GroupError> {
        self.group.run(&self.loaded, 5, step, inputs)
    }
}

/// A tensor of `f32`.
pub fn floats(shape: &[usize], from: f32) -> Tensor {
    let numbers: Vec<f32> = (0..shape.iter().product()).map(|i| from + i as f32).collect();
    Tensor::from_f32(shape, &numbers).expect("there is a number for each element")
}
