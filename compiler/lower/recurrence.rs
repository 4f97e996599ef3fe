//! Recurrences: all results of one are made by one unit, whose body is a region of its own.
//!
//! A state lives in its history: a turn reads one row of it and writes the next (in reverse: the one before), so
//! nothing is copied from turn to turn. The row that the first turn reads is written by nests ahead of the loop.
//! What is emitted is written where it stays, and a slice is read where the sequence lies.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::build::{Built, Sink, Task, What};
use super::nest::Role;
use super::region::Region;
use super::values::{Source, Stored, View, row_major, same_order, view};
use crate::graph::{Graph, ValueId};
use crate::ops::Op;
use crate::ops::scan::Shared;

/// A recurrence as a unit.
#[derive(Clone, Debug)]
pub struct Recurrence {
    /// Number of turns.
    pub turns: usize,
    /// Whether the turn with the last index comes first.
    pub reverse: bool,
    /// The nests that write the states' first values.
    pub first: Vec<Built>,
    /// One turn.
    pub body: Arc<Region<'static>>,
    /// What each input of the body is.
    pub inputs: Vec<Part>,
    /// Where each output of the body goes.
    pub outputs: Vec<Part>,
}

/// A part of a tensor outside of a loop, which changes from turn to turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The tensor.
    pub source: Source,
    /// Elements before the part in the turn of index 0.
    pub start: usize,
    /// Elements from a turn's part to that of the next index.
    pub step: i64,
}

/// The results of one recurrence that are in a graph.
#[derive(Clone, Debug)]
pub struct Results {
    /// The recurrence.
    pub scan: Shared,
    /// Its operands.
    pub args: Vec<ValueId>,
    /// By result, if it is there.
    pub values: Vec<Option<ValueId>>,
}

impl Results {
    /// The value that stands for all of them where one is enough: the first.
    pub fn first(&self) -> ValueId {
        self.values.iter().flatten().copied().min().expect("a recurrence was found by one of its results")
    }

    /// The operand that is the first value of a state.
    pub fn is_state(&self, arg: usize) -> bool {
        arg < self.scan.states
    }

    /// Whether an operand is a sequence.
    pub fn is_sequence(&self, arg: usize) -> bool {
        (self.scan.states..self.scan.states + self.scan.sequences).contains(&arg)
    }

    /// The value in whose memory an operand that is no state lies, and how.
    pub fn operand(&self, graph: &Graph, arg: usize) -> View {
        let value = self.args[arg];
        let dims = graph.ty(value).dims();
        if self.is_sequence(arg) {
            let seen = view(graph, value);
            if is_row_major(&seen.dims[1..], &seen.strides[1..]) {
                return seen;
            }
        }
        let base = if self.is_sequence(arg) { value } else { same_order(graph, value) };
        View { base, start: 0, strides: row_major(&dims), dims }
    }
}

/// Whether strides are those of contiguous elements, where they matter.
fn is_row_major(dims: &[usize], strides: &[i64]) -> bool {
    let plain = row_major(dims);
    dims.contains(&0) || (0..dims.len()).all(|axis| dims[axis] == 1 || strides[axis] == plain[axis])
}

/// The recurrences of a graph by the results for which `wanted` says so, in order of their first results.
pub fn recurrences(graph: &Graph, wanted: impl Fn(ValueId) -> bool) -> Vec<Results> {
    let mut found: Vec<Results> = Vec::new();
    let mut known: HashMap<(usize, Vec<ValueId>), usize> = HashMap::new();
    for value in graph.values().filter(|value| wanted(*value)) {
        let Op::Scan { scan, result } = graph.op(value) else { continue };
        let args = graph.args(value);
        let at = *known.entry((scan.key(), args.clone())).or_insert_with(|| {
            found.push(Results { scan: scan.clone(), args, values: vec![None; scan.results()] });
            found.len() - 1
        });
        found[at].values[*result] = Some(value);
    }
    found
}

/// The same graph in which the histories of all states are values, as they are where the states live.
pub fn with_histories(mut graph: Cow<Graph>) -> Cow<Graph> {
    for results in recurrences(&graph, |_| true) {
        let origin = graph.node(results.first()).origin;
        for state in (0..results.scan.states).filter(|state| results.values[*state].is_none()) {
            graph.to_mut().add(Op::Scan { scan: results.scan.clone(), result: state }, &results.args, origin);
        }
    }
    graph
}

/// Says that the histories are needed wherever something of a recurrence is.
pub fn need_histories(graph: &Graph, needed: &mut [bool]) {
    for results in recurrences(graph, |_| true) {
        if results.values.iter().flatten().any(|value| needed[value.0 as usize]) {
            for history in results.values[..results.scan.states].iter().flatten() {
                needed[history.0 as usize] = true;
            }
        }
    }
}

/// The bodies that have been made ready, by recurrence and the results that are wanted.
pub type Bodies = HashMap<(usize, Vec<usize>), Arc<Region<'static>>>;

/// The recurrence that makes `results`, without the nests that write the first values, and the tasks of these.
pub fn recurrence(
    graph: &Graph,
    stored: &Stored,
    results: &Results,
    bodies: &mut Bodies,
    all: bool,
) -> (Recurrence, Vec<Task>) {
    let Results { scan, args, values } = results;
    let there: Vec<usize> = (0..values.len()).filter(|result| values[*result].is_some()).collect();
    let body = bodies.entry((scan.key(), there.clone())).or_insert_with(|| {
        let mut body = scan.body.clone();
        body.outputs = there.iter().map(|result| scan.body.outputs[*result].clone()).collect();
        Arc::new(Region::turn(body, scan.states, all))
    });
    let row = |result: usize| -> usize {
        graph.ty(values[result].expect("it is there")).dims()[1..].iter().product()
    };
    let source = |result: usize| Source::Value(values[result].expect("it is there"));
    let (old, new) = if scan.reverse { (1, 0) } else { (0, 1) };
    let state = |state: usize, rows: usize| Part {
        source: source(state),
        start: rows * row(state),
        step: row(state) as i64,
    };
    let input = |arg: usize| {
        if results.is_state(arg) {
            return state(arg, old);
        }
        let seen = results.operand(graph, arg);
        let source = stored.source(graph, seen.base).expect("operands of recurrences are stored");
        let step = if results.is_sequence(arg) { seen.strides[0] } else { 0 };
        Part { source, start: usize::try_from(seen.start).expect("a view begins in its base"), step }
    };
    let output = |result: &usize| {
        if results.is_state(*result) {
            return state(*result, new);
        }
        Part { source: source(*result), start: 0, step: row(*result) as i64 }
    };
    let turns = scan.axis.size.known().expect("sizes in a graph are known") as usize;
    let tasks = (0..scan.states).map(|state| {
        let space = graph.ty(args[state]).dims();
        let sink = Sink {
            what: What::Value(args[state], (0..space.len()).collect()),
            combine: None,
            target: source(state),
            strides: row_major(&space),
            start: if scan.reverse { (turns * row(state)) as i64 } else { 0 },
        };
        Task { roles: vec![Role::Kept; space.len()], space, sinks: vec![sink] }
    });
    let tasks = tasks.collect();
    let made = Recurrence {
        turns,
        reverse: scan.reverse,
        first: Vec::new(),
        body: body.clone(),
        inputs: (0..args.len()).map(input).collect(),
        outputs: there.iter().map(output).collect(),
    };
    (made, tasks)
}

impl Recurrence {
    /// What it reads outside, besides what the first values are made of.
    pub fn reads(&self) -> BTreeSet<Source> {
        let written = self.writes();
        self.inputs.iter().map(|part| part.source).filter(|source| !written.contains(source)).collect()
    }

    /// The results.
    pub fn writes(&self) -> BTreeSet<Source> {
        self.outputs.iter().map(|part| part.source).collect()
    }
}
