//! Random recurrences, and the same with every turn written out.

use std::collections::HashMap;

use strata::graph::{Graph, OriginId, Output, ValueId, rebuild};
use strata::model::Input;
use strata::ops::scan::{Scan, Shared};
use strata::ops::{Binary, InputId, Op, Reduction, Unary};
use strata::reference::Array;
use strata::types::{Axis, DType, Size, Type};
use strata_grammar::Span;

use crate::primitives::{Domain, Spread, numbers};
use crate::random::Choices;
use crate::random_graph::{RandomGraph, random_graph};

const HERE: OriginId = OriginId(0);

/// A graph whose outputs are results of a recurrence, and what follows from them. The recurrence may have another
/// one within.
pub fn random_scan(seed: u64, growth: usize, dtype: DType) -> RandomGraph {
    let mut choices = Choices::new(seed);
    let mut outer = random_graph(seed, 2, dtype);
    let results = add_scan(&mut outer, &mut choices, growth, dtype, true);
    for (i, result) in results.into_iter().enumerate() {
        // Now and then a result is of no use to anybody.
        if i > 0 && choices.once_in(4) {
            continue;
        }
        let value = match choices.below(3) {
            0 => result,
            1 => further(&mut outer.graph, result, &mut choices),
            _ => {
                outer.graph.outputs.push(Output { name: format!("raw{i}"), value: result });
                further(&mut outer.graph, result, &mut choices)
            }
        };
        outer.graph.outputs.push(Output { name: format!("scan{i}"), value });
    }
    outer
}

/// A part of a result, its sum over turns, or another function of it.
fn further(graph: &mut Graph, result: ValueId, choices: &mut Choices) -> ValueId {
    let ty = graph.ty(result).clone();
    let turns = ty.dims()[0];
    match choices.below(3) {
        0 if turns > 0 => {
            let start = choices.below(turns) as u64;
            let op = Op::Slice { axis: 0, start: Size::Known(start), end: Size::Known(turns as u64) };
            graph.add(op, &[result], HERE)
        }
        1 if ty.dtype.is_float() => {
            graph.add(Op::Reduce { op: Reduction::Sum, axes: vec![0] }, &[result], HERE)
        }
        _ => graph.add(Op::Binary(Binary::Max), &[result, result], HERE),
    }
}

/// Adds a recurrence to a graph; returns its results.
fn add_scan(
    outer: &mut RandomGraph,
    choices: &mut Choices,
    growth: usize,
    dtype: DType,
    nests: bool,
) -> Vec<ValueId> {
    let mut turn = random_graph(choices.below(1 << 20) as u64, growth, dtype);
    if nests && choices.once_in(3) {
        let results = add_scan(&mut turn, choices, growth.div_ceil(2), dtype, false);
        let outputs = results.into_iter().enumerate();
        turn.graph.outputs.extend(outputs.map(|(i, value)| Output { name: format!("inner{i}"), value }));
    }
    let turns = choices.pick(&[0u64, 1, 2, 3, 3, 5]);
    let axis = Axis::named("time", turns);
    let (scan, tables) = body(turn, axis, choices);
    let mut args = Vec::new();
    for (arg, input) in scan.body.inputs.iter().enumerate() {
        let sequence = (scan.states..scan.states + scan.sequences).contains(&arg);
        let mut ty = input.ty.clone();
        if sequence {
            ty.axes.insert(0, scan.axis.clone());
        }
        args.push(operand(outer, &ty, tables[arg], sequence, choices));
    }
    let scan = Shared::new(scan);
    let results = 0..scan.results();
    let add = |result| outer.graph.add(Op::Scan { scan: scan.clone(), result }, &args, HERE);
    results.map(add).collect()
}

/// What an input of the body was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Table {
    /// A number that may be anything, which a state may be made of.
    Free,
    /// What comparisons look at: a given number, a label, the seed or the step.
    Given,
}

/// The body that a random graph becomes: what were its inputs, variables, seed and step are its states, sequences
/// and invariants.
fn body(turn: RandomGraph, axis: Axis, choices: &mut Choices) -> (Scan, Vec<Table>) {
    let RandomGraph { graph: old, .. } = turn;
    let (inputs, variables) = (old.inputs.to_vec(), old.variables.to_vec());
    let mut tables: Vec<Table> = (0..inputs.len())
        .map(|i| if i == 0 || inputs[i].ty.rank() == 0 { Table::Free } else { Table::Given })
        .collect();
    tables.extend(variables.iter().map(|_| Table::Free));
    let mut all = inputs;
    all.extend(variables.iter().map(|v| input(&v.name, v.ty.clone())));
    let clock = all.len();
    for name in ["seed", "step"] {
        all.push(input(name, Type::scalar(DType::I64)));
        tables.push(Table::Given);
    }
    // 0: state, 1: sequence, 2: invariant.
    let parts: Vec<usize> = (0..all.len()).map(|_| choices.below(3)).collect();
    let mut order: Vec<usize> = (0..all.len()).collect();
    order.sort_by_key(|i| parts[*i]);
    let place = |of: usize| order.iter().position(|i| *i == of).expect("every input has a place") as u32;
    let inputs: Vec<Input> = order.iter().map(|i| all[*i].clone()).collect();
    let mut new = Graph::new(inputs.into(), [].into());
    let mut becomes: Vec<ValueId> = Vec::new();
    for value in old.values() {
        let args: Vec<ValueId> = old.args(value).iter().map(|arg| becomes[arg.0 as usize]).collect();
        #[expect(clippy::wildcard_enum_match_arm, reason = "every other operator is copied as it is")]
        let op = match old.op(value) {
            Op::Input(i) => Op::Input(InputId(place(i.0 as usize))),
            Op::Variable(v) => Op::Input(InputId(place(clock - variables.len() + v.0 as usize))),
            Op::Seed => Op::Input(InputId(place(clock))),
            Op::Step => Op::Input(InputId(place(clock + 1))),
            other => other.clone(),
        };
        becomes.push(new.add(op, &args, HERE));
    }
    let grown: Vec<ValueId> = old.outputs.iter().map(|o| becomes[o.value.0 as usize]).collect();
    let states = parts.iter().filter(|part| **part == 0).count();
    for state in 0..states {
        let old = new.add(Op::Input(InputId(state as u32)), &[], HERE);
        let value = next(&mut new, old, tables[order[state]], &grown, choices);
        new.outputs.push(Output { name: format!("s{state}"), value });
    }
    for (i, value) in grown.iter().enumerate() {
        if choices.once_in(3) {
            new.outputs.push(Output { name: format!("e{i}"), value: *value });
        }
    }
    if choices.once_in(3) {
        // What is emitted is an input, or another output.
        let input = choices.below(new.inputs.len()) as u32;
        let value = new.add(Op::Input(InputId(input)), &[], HERE);
        let value = if states > 0 && choices.once_in(2) { new.outputs[0].value } else { value };
        new.outputs.push(Output { name: "again".into(), value });
    }
    let sequences = parts.iter().filter(|part| **part == 1).count();
    let tables = order.iter().map(|i| tables[*i]).collect();
    (Scan { body: new, states, sequences, axis, reverse: choices.once_in(2), extends: None }, tables)
}

fn input(name: &str, ty: Type) -> Input {
    Input { name: name.into(), ty, span: Span::default() }
}

/// The value of a state after a turn.
fn next(graph: &mut Graph, old: ValueId, table: Table, grown: &[ValueId], choices: &mut Choices) -> ValueId {
    let ty = graph.ty(old).clone();
    if !ty.dtype.is_float() {
        let one = graph.filled(1.0, &ty, HERE);
        let more = graph.add(Op::Binary(Binary::Max), &[old, one], HERE);
        return choices.pick(&[old, more]);
    }
    if table == Table::Given || choices.once_in(6) {
        return old;
    }
    let alike = grown.iter().find(|value| graph.ty(**value).dims() == ty.dims());
    if let Some(alike) = alike
        && graph.ty(*alike).dtype == ty.dtype
        && choices.once_in(2)
    {
        return *alike;
    }
    let floats: Vec<ValueId> =
        grown.iter().copied().filter(|value| graph.ty(*value).dtype == ty.dtype).collect();
    let mut sum = graph.add(Op::Unary(Unary::Cos), &[old], HERE);
    if !floats.is_empty() {
        let value = choices.pick(&floats);
        let of = graph.ty(value).clone();
        let op = Op::Reduce { op: Reduction::Sum, axes: (0..of.rank()).collect() };
        let total = graph.add(op, &[value], HERE);
        let share = graph.filled(0.5 / of.elements().max(1) as f64, &Type::scalar(of.dtype), HERE);
        let mean = graph.add(Op::Binary(Binary::Mul), &[total, share], HERE);
        let wide = graph.add(Op::Broadcast { axes: ty.axes.clone(), from: Vec::new() }, &[mean], HERE);
        sum = graph.add(Op::Binary(Binary::Add), &[sum, wide], HERE);
    }
    graph.add(Op::Unary(Unary::Tanh), &[sum], HERE)
}

/// A value of a type, made in one of several ways from a new input.
fn operand(
    outer: &mut RandomGraph,
    ty: &Type,
    table: Table,
    sequence: bool,
    choices: &mut Choices,
) -> ValueId {
    let way = choices.below(6);
    if way == 0 {
        return outer.graph.filled(1.0, ty, HERE);
    }
    if way == 1 && sequence {
        // The axis of turns comes last in memory.
        let mut turned = ty.clone();
        turned.axes.rotate_left(1);
        let given = given(outer, &turned, choices);
        let order = std::iter::once(ty.rank() - 1).chain(0..ty.rank() - 1).collect();
        return outer.graph.add(Op::Transpose { order }, &[given], HERE);
    }
    if way == 2 && ty.rank() > 0 {
        // A part of something longer.
        let mut longer = ty.clone();
        let size = ty.dims()[0] as u64;
        longer.axes[0].size = Size::Known(size + 2);
        let given = given(outer, &longer, choices);
        let op = Op::Slice { axis: 0, start: Size::Known(1), end: Size::Known(size + 1) };
        return outer.graph.add(op, &[given], HERE);
    }
    let given = given(outer, ty, choices);
    if way == 3 && ty.dtype.is_float() && table == Table::Free {
        return outer.graph.add(Op::Unary(Unary::Sin), &[given], HERE);
    }
    if way == 4 && ty.rank() > 0 {
        let axes = vec![Axis::sized(ty.elements() as u64)];
        let flat = outer.graph.add(Op::Reshape { axes }, &[given], HERE);
        return outer.graph.add(Op::Reshape { axes: ty.axes.clone() }, &[flat], HERE);
    }
    given
}

/// A new input of a type.
fn given(outer: &mut RandomGraph, ty: &Type, choices: &mut Choices) -> ValueId {
    let id = outer.graph.inputs.len();
    let mut inputs = outer.graph.inputs.to_vec();
    inputs.push(input(&format!("x{id}"), ty.clone()));
    outer.graph.inputs = inputs.into();
    let domain = if ty.dtype.is_float() { Domain::Any } else { Domain::Whole };
    let mut spread = Spread::over(ty.elements(), choices);
    let array: Array = numbers(ty, domain, &mut spread, choices);
    outer.environment.inputs.push(array);
    outer.graph.add(Op::Input(InputId(id as u32)), &[], HERE)
}

/// The same graph without recurrences: every turn stands there for itself.
pub fn unrolled(graph: &Graph) -> Graph {
    let mut known = HashMap::new();
    rebuild(graph, |new, node, args| {
        let Op::Scan { scan, result } = &node.op else { return None };
        let results = known.entry((scan.key(), args.to_vec())).or_insert_with(|| turns(new, scan, args));
        Some(results[*result])
    })
}

/// All results of a recurrence, turn by turn.
fn turns(graph: &mut Graph, scan: &Scan, args: &[ValueId]) -> Vec<ValueId> {
    let mut states: Vec<ValueId> = args[..scan.states].to_vec();
    let mut rows: Vec<Vec<ValueId>> = vec![Vec::new(); scan.results()];
    for (rows, state) in rows.iter_mut().zip(&states) {
        rows.push(*state);
    }
    let (sequences, invariants) = args[scan.states..].split_at(scan.sequences);
    for turn in scan.turns() {
        let mut inputs = states.clone();
        for (sequence, input) in sequences.iter().zip(&scan.body.inputs[scan.states..]) {
            let (start, end) = (Size::Known(turn as u64), Size::Known(turn as u64 + 1));
            let slice = graph.add(Op::Slice { axis: 0, start, end }, &[*sequence], HERE);
            inputs.push(graph.add(Op::Reshape { axes: input.ty.axes.clone() }, &[slice], HERE));
        }
        inputs.extend(invariants);
        let made = inline(graph, &scan.body, &inputs);
        rows.iter_mut().zip(&made).for_each(|(rows, value)| rows.push(*value));
        states = made[..scan.states].to_vec();
    }
    let mut results = Vec::new();
    for (result, mut rows) in rows.into_iter().enumerate() {
        let ty = scan.result(result);
        if scan.reverse {
            rows.reverse();
        }
        if rows.is_empty() {
            results.push(graph.filled(0.0, &ty, HERE));
            continue;
        }
        let axes = [vec![Axis::sized(1)], ty.axes[1..].to_vec()].concat();
        let row = |row| graph.add(Op::Reshape { axes: axes.clone() }, &[row], HERE);
        let rows: Vec<ValueId> = rows.into_iter().map(row).collect();
        results.push(graph.add(Op::Concat { axis: 0 }, &rows, HERE));
    }
    results
}

/// The outputs of `body` for given inputs.
fn inline(graph: &mut Graph, body: &Graph, inputs: &[ValueId]) -> Vec<ValueId> {
    let mut becomes: Vec<ValueId> = Vec::new();
    for value in body.values() {
        let args: Vec<ValueId> = body.args(value).iter().map(|arg| becomes[arg.0 as usize]).collect();
        let made = if let Op::Input(i) = body.op(value) {
            // A state may bear other names after a turn.
            let (given, axes) = (inputs[i.0 as usize], body.ty(value).axes.clone());
            if graph.ty(given).axes == axes { given } else { graph.add(Op::Reshape { axes }, &[given], HERE) }
        } else if let Op::Scan { scan, result } = body.op(value) {
            turns(graph, scan, &args)[*result]
        } else {
            graph.add(body.op(value).clone(), &args, HERE)
        };
        becomes.push(made);
    }
    body.outputs.iter().map(|output| becomes[output.value.0 as usize]).collect()
}
