//! Recurrence: the same computation turn after turn, from the states that the turn before has left.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use super::{Array, Cut, Op, Problem, Rules, lift, no_gradient};
use crate::cost::{self, Cost};
use crate::graph::Graph;
use crate::reference::{Environment, evaluate};
use crate::types::{Axis, Size, Type};

/// What is true of `scan`. Its gradient is that of all its results together (`passes::recurrence`).
pub const RULES: Rules = Rules {
    name: "scan",
    page: include_str!("../../specs/ops/scan.md"),
    infer,
    grad: no_gradient,
    cuts,
    cost,
    lift: lift::turn_by_turn,
    eval,
};

/// A recurrence. Operands of `Op::Scan`: the states' first values, the sequences, the invariants. Each sequence and
/// each result runs along its first axis.
#[derive(Clone, Debug)]
pub struct Scan {
    /// One turn. Inputs: the states, a slice of each sequence (without its first axis), the invariants. Outputs:
    /// the new states, then what is emitted. It has no variables and updates none.
    pub body: Graph,
    /// Number of states.
    pub states: usize,
    /// Number of sequences.
    pub sequences: usize,
    /// The axis of turns: first of each sequence and of what is emitted.
    pub axis: Axis,
    /// Whether the last slice comes first.
    pub reverse: bool,
    /// The recurrence that this one computes too, as its first results: differentiation asks for more of it.
    pub extends: Option<Shared>,
}

/// A recurrence that many values share; equal only to itself.
#[derive(Clone)]
pub struct Shared(Arc<Scan>);

impl Shared {
    /// To be shared by the values of all results.
    pub fn new(scan: Scan) -> Shared {
        Shared(Arc::new(scan))
    }

    /// Tells one recurrence from another while both exist.
    pub fn key(&self) -> usize {
        Arc::as_ptr(&self.0) as usize
    }
}

impl Deref for Shared {
    type Target = Scan;

    fn deref(&self) -> &Scan {
        &self.0
    }
}

impl PartialEq for Shared {
    fn eq(&self, other: &Shared) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Shared {}

impl Hash for Shared {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

/// What it computes, not where it lies.
impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Scan { body, states, sequences, axis, reverse, extends: _ } = &*self.0;
        write!(f, "Scan {{ {states} states, {sequences} sequences, {axis:?}, reverse: {reverse}, {body} }}")
    }
}

impl Scan {
    /// The type of a result: first the history of each state, one longer than the axis of turns, which begins
    /// (in reverse: ends) with its first value; then what is emitted.
    pub fn result(&self, result: usize) -> Type {
        let ty = self.body.ty(self.body.outputs[result].value);
        let first = if result < self.states {
            Axis { size: self.axis.size.add(&Size::Known(1)), ..self.axis.clone() }
        } else {
            self.axis.clone()
        };
        Type::new(ty.dtype, [vec![first], ty.axes.clone()].concat())
    }

    /// Number of results.
    pub fn results(&self) -> usize {
        self.body.outputs.len()
    }

    /// The turns in the order in which they run, by the index of the slice.
    pub fn turns(&self) -> Box<dyn Iterator<Item = usize>> {
        let count = self.axis.size.known().expect("sizes in a graph are known") as usize;
        if self.reverse { Box::new((0..count).rev()) } else { Box::new(0..count) }
    }
}

fn infer(op: &Op, args: &[&Type]) -> Result<Type, Problem> {
    let Op::Scan { scan, result } = op else { unreachable!("the table of rules pairs them") };
    let expected = &scan.body.inputs;
    if args.len() != expected.len() || *result >= scan.results() {
        return Err(Problem::Other(format!("takes {} operands, not {}", expected.len(), args.len())));
    }
    let sizes = |ty: &Type| ty.axes.iter().map(|axis| axis.size.clone()).collect::<Vec<_>>();
    for (arg, (ty, input)) in args.iter().zip(expected.iter()).enumerate() {
        let mut wanted = sizes(&input.ty);
        if (scan.states..scan.states + scan.sequences).contains(&arg) {
            wanted.insert(0, scan.axis.size.clone());
        }
        if sizes(ty) != wanted || ty.dtype != input.ty.dtype {
            return Err(Problem::Other(format!("operand {arg} is {ty}, `{}` is {}", input.name, input.ty)));
        }
    }
    for state in 0..scan.states {
        let (old, new) = (&expected[state].ty, scan.body.ty(scan.body.outputs[state].value));
        if sizes(old) != sizes(new) || old.dtype != new.dtype {
            return Err(Problem::Other(format!("state {state} is {old} before a turn and {new} after it")));
        }
    }
    Ok(scan.result(*result))
}

/// None yet: a recurrence stays whole where its values are split.
fn cuts(_op: &Op, _args: &[&Type], _result: &Type) -> Vec<Cut> {
    Vec::new()
}

/// All turns; counted with the first result alone, as the others come with it.
fn cost(op: &Op, _args: &[&Type], _result: &Type) -> Cost {
    let Op::Scan { scan, result } = op else { unreachable!("the table of rules pairs them") };
    if *result > 0 {
        return Cost::FREE;
    }
    let turns = scan.axis.size.known().expect("sizes in a graph are known");
    let turn = cost::of_graph(&scan.body);
    Cost { operations: turn.operations * turns, read: turn.read * turns, written: turn.written * turns }
}

fn eval(op: &Op, args: &[&Array], result: &Type) -> Array {
    let Op::Scan { scan, result: which } = op else { unreachable!("the table of rules pairs them") };
    let mut rows = vec![Array::filled(&result.dims()[1..], 0.0); result.dims()[0]];
    let mut states: Vec<Array> = args[..scan.states].iter().map(|state| (*state).clone()).collect();
    let is_state = *which < scan.states;
    if is_state {
        let first = if scan.reverse { rows.len() - 1 } else { 0 };
        rows[first] = states[*which].clone();
    }
    let (sequences, invariants) = args[scan.states..].split_at(scan.sequences);
    for turn in scan.turns() {
        let slice = |sequence: &&Array| {
            let slice = sequence.slice(0, turn..turn + 1);
            Array::new(&sequence.shape[1..], slice.data)
        };
        let slices = sequences.iter().map(slice);
        let inputs = states.into_iter().chain(slices).chain(invariants.iter().map(|i| (*i).clone()));
        let environment = Environment { inputs: inputs.collect(), ..Environment::default() };
        let values = evaluate(&scan.body, &environment);
        let output = |k: usize| values[scan.body.outputs[k].value.0 as usize].clone();
        let row = if is_state && !scan.reverse { turn + 1 } else { turn };
        rows[row] = output(*which);
        states = (0..scan.states).map(output).collect();
    }
    Array::new(&result.dims(), rows.into_iter().flat_map(|row| row.data).collect())
}
