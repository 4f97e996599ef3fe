//! The meaning of programs that several devices carry out together, by the reference evaluator.

use std::collections::HashMap;

use strata::graph::ValueId;
use strata::ops::{Channel, Op};
use strata::partition::{Partitioned, Piece};
use strata::reference::{Array, Environment, apply};

/// A piece of an array.
pub fn cut(array: &Array, piece: &Piece) -> Array {
    let ranges = piece.0.iter().map(|range| range.start as usize..range.end as usize);
    ranges.enumerate().fold(array.clone(), |array, (axis, range)| array.slice(axis, range))
}

/// Writes a piece into an array.
pub fn put(whole: &mut Array, piece: &Piece, part: &Array) {
    strata::reference::each_index(&part.shape, |index| {
        let at: Vec<usize> = index.iter().zip(&piece.0).map(|(i, range)| i + range.start as usize).collect();
        let offset = whole.offset(&at);
        whole.data[offset] = part.at(index);
    });
}

/// The outputs of the whole graph by name, and the new values of its updated variables, piece by piece: which variable,
/// which piece, what it becomes.
///
/// # Panics
/// If devices wait for each other in a circle.
#[expect(clippy::type_complexity, reason = "two lists, told above")]
pub fn step_together(
    partitioned: &Partitioned,
    environment: &Environment,
) -> (Vec<Vec<(Piece, Array)>>, Vec<(u32, Piece, Array)>) {
    let mut sent: HashMap<Channel, Array> = HashMap::new();
    let mut values: Vec<Vec<Array>> = vec![Vec::new(); partitioned.programs.len()];
    loop {
        let mut moved = false;
        for (program, values) in partitioned.programs.iter().zip(&mut values) {
            let graph = &program.graph;
            for value in graph.values().skip(values.len()) {
                #[expect(clippy::wildcard_enum_match_arm, reason = "all but leaves have operands")]
                let found = match graph.op(value) {
                    Op::Receive { channel, .. } => match sent.get(channel) {
                        Some(array) => array.clone(),
                        None => break,
                    },
                    Op::Input(i) => {
                        let (input, piece) = &program.inputs[i.0 as usize];
                        cut(&environment.inputs[input.0 as usize], piece)
                    }
                    Op::Variable(v) => {
                        let (variable, piece) = &program.variables[v.0 as usize];
                        cut(&environment.variables[variable.0 as usize], piece)
                    }
                    Op::Seed => Array::number(environment.seed as f64),
                    Op::Step => Array::number(environment.step as f64),
                    op => {
                        let args = graph.args(value);
                        let operands: Vec<&Array> = args.iter().map(|a| &values[a.0 as usize]).collect();
                        apply(op, &operands, graph.ty(value))
                    }
                };
                assert_eq!(found.shape, graph.ty(value).dims(), "{:?}", graph.op(value));
                for send in graph.sends.iter().filter(|send| send.value == value) {
                    sent.insert(send.channel, found.clone());
                }
                values.push(found);
                moved = true;
            }
        }
        if partitioned.programs.iter().zip(&values).all(|(p, v)| p.graph.len() == v.len()) {
            break;
        }
        assert!(moved, "devices wait for each other in a circle");
    }
    let get = |device: usize, value: ValueId| values[device][value.0 as usize].clone();
    let outputs = partitioned.outputs.iter().map(|shards| {
        let part = |shard: &strata::partition::Shard| {
            let device = shard.device.0 as usize;
            let output = &partitioned.programs[device].graph.outputs[shard.output];
            (shard.piece.clone(), get(device, output.value))
        };
        shards.iter().map(part).collect()
    });
    let outputs = outputs.collect();
    let mut updates = Vec::new();
    for (device, program) in partitioned.programs.iter().enumerate() {
        for update in &program.graph.updates {
            let (variable, piece) = &program.variables[update.variable.0 as usize];
            updates.push((variable.0, piece.clone(), get(device, update.value)));
        }
    }
    (outputs, updates)
}
