//! Random recurrences: cells of several kinds, with everything that a body may hold.

use strata::graph::{Graph, OriginId, Output, ValueId};
use strata::model::{Init, Input, RegionId, Variable, VariableKind};
use strata::ops::scan::{Scan, Shared};
use strata::ops::{Binary, InputId, Op, Reduction, Unary, VariableId};
use strata::passes::recurrence::results;
use strata::reference::{Array, Environment};
use strata::types::{Axis, DType, Type};
use strata_grammar::Span;

use crate::random::Choices;

const NOWHERE: OriginId = OriginId(0);

/// A recurrence over variables, which gradients can be taken by, and the values to look at.
#[derive(Debug)]
pub struct Recurrence {
    /// Every result is an output.
    pub graph: Graph,
    /// Numbers for the variables.
    pub environment: Environment,
    /// The results.
    pub results: Vec<ValueId>,
}

/// A body in the making.
struct Body {
    graph: Graph,
    batch: u64,
}

impl Body {
    fn input(&mut self, at: usize) -> ValueId {
        self.graph.add(Op::Input(InputId(at as u32)), &[], NOWHERE)
    }

    fn unary(&mut self, function: Unary, x: ValueId) -> ValueId {
        self.graph.add(Op::Unary(function), &[x], NOWHERE)
    }

    fn binary(&mut self, function: Binary, a: ValueId, b: ValueId) -> ValueId {
        self.graph.add(Op::Binary(function), &[a, b], NOWHERE)
    }

    fn product(&mut self, x: ValueId, w: ValueId) -> ValueId {
        self.graph.add(Op::Contract { batch: Vec::new(), sum: vec![(1, 0)] }, &[x, w], NOWHERE)
    }

    fn rows(&mut self, bias: ValueId) -> ValueId {
        let axes = [vec![Axis::sized(self.batch)], self.graph.ty(bias).axes.clone()].concat();
        self.graph.add(Op::Broadcast { axes, from: vec![1] }, &[bias], NOWHERE)
    }

    fn columns(&mut self, x: ValueId, start: u64, end: u64) -> ValueId {
        self.graph.add(Op::Slice { axis: 1, start: start.into(), end: end.into() }, &[x], NOWHERE)
    }
}

/// Sizes of a recurrence and what its operands are.
struct Sizes {
    batch: u64,
    units: u64,
    width: u64,
    turns: u64,
}

/// A recurrence of a random kind; of floats, except for a counter.
pub fn recurrence(seed: u64) -> Recurrence {
    let mut c = Choices::new(seed);
    let sizes = Sizes {
        batch: c.pick(&[1, 2, 3]),
        units: c.pick(&[1, 2, 3]),
        width: c.pick(&[1, 2, 4]),
        turns: c.pick(&[0, 1, 2, 3, 5]),
    };
    let is_lstm = c.below(3) == 0;
    let reverse = c.below(2) == 0;
    build(&sizes, is_lstm, reverse, &mut c, |body, c| cell(body, c, is_lstm, sizes.units))
}

/// An LSTM that emits nothing but its states.
pub fn lstm(batch: u64, units: u64, width: u64, turns: u64) -> Recurrence {
    let sizes = Sizes { batch, units, width, turns };
    build(&sizes, true, false, &mut Choices::new(1), |body, _| states(body, true, units, None))
}

fn build(
    sizes: &Sizes,
    is_lstm: bool,
    reverse: bool,
    c: &mut Choices,
    fill: impl Fn(&mut Body, &mut Choices) -> Vec<ValueId>,
) -> Recurrence {
    let Sizes { batch, units, width, turns } = *sizes;
    let gates = if is_lstm { 4 * units } else { units };
    let row = |n: u64| Type::new(DType::F32, vec![Axis::named("batch", batch), Axis::sized(n)]);
    let matrix = |a: u64, b: u64| Type::new(DType::F32, vec![Axis::sized(a), Axis::sized(b)]);
    // States h, c, a counter; sequences x, y; invariants w, u, bias, v.
    let kinds: Vec<(&str, Type)> = vec![
        ("h", row(units)),
        ("c", row(units)),
        ("n", Type::scalar(DType::I32)),
        ("x", row(width)),
        ("y", row(units)),
        ("w", matrix(width, gates)),
        ("u", matrix(units, gates)),
        ("bias", Type::new(DType::F32, vec![Axis::sized(gates)])),
        ("v", matrix(units, 2)),
    ];
    let input =
        |(name, ty): &(&str, Type)| Input { name: (*name).into(), ty: ty.clone(), span: Span::default() };
    let mut body = Body { graph: Graph::new(kinds.iter().map(input).collect(), [].into()), batch };
    let outputs = fill(&mut body, c);
    body.graph.outputs = named(&outputs);
    let axis = Axis::named("time", turns);
    let (states, sequences, body) = (3, 2, body.graph);
    let scan = Shared::new(Scan { body, states, sequences, axis: axis.clone(), reverse, extends: None });
    // All operands but the counter are variables.
    let mut variables = Vec::new();
    let mut environment = Environment { seed: 1, ..Environment::default() };
    for (i, (name, ty)) in kinds.iter().enumerate().filter(|(_, (name, _))| *name != "n") {
        let mut ty = ty.clone();
        if (3..5).contains(&i) {
            ty.axes.insert(0, axis.clone());
        }
        let dims = ty.dims();
        let count: usize = dims.iter().product();
        let data = (0..count).map(|_| (c.below(2000) as f64 - 1000.0) / 800.0).collect();
        environment.variables.push(Array::new(&dims, data));
        variables.push(Variable {
            name: (*name).into(),
            kind: VariableKind::Param,
            ty,
            init: Init::Constant(0.0),
            span: Span::default(),
            call: Span::default(),
            region: RegionId(0),
        });
    }
    let mut graph = Graph::new([].into(), variables.into());
    let mut args = Vec::new();
    for variable in 0..8 {
        if variable == 2 {
            args.push(graph.filled(7.0, &Type::scalar(DType::I32), NOWHERE));
        }
        args.push(graph.add(Op::Variable(VariableId(variable)), &[], NOWHERE));
    }
    let found = results(&mut graph, &scan, &args, NOWHERE);
    graph.outputs = named(&found);
    Recurrence { graph, environment, results: found }
}

fn named(values: &[ValueId]) -> Vec<Output> {
    let output = |(i, value): (usize, &ValueId)| Output { name: format!("r{i}"), value: *value };
    values.iter().enumerate().map(output).collect()
}

/// New h, c and counter. `odd`: what the second state of a cell that is no LSTM does.
fn states(body: &mut Body, is_lstm: bool, units: u64, odd: Option<usize>) -> Vec<ValueId> {
    let [h, cell, n, x, y, w, u, bias] = [0, 1, 2, 3, 4, 5, 6, 7].map(|i| body.input(i));
    let (from_x, from_h, rows) = (body.product(x, w), body.product(h, u), body.rows(bias));
    let z = body.binary(Binary::Add, from_x, from_h);
    let z = body.binary(Binary::Add, z, rows);
    let (new_h, new_c) = if is_lstm {
        let [i, f, g, o] = [0, 1, 2, 3].map(|k| body.columns(z, k * units, (k + 1) * units));
        let [i, f, o] = [i, f, o].map(|gate| body.unary(Unary::Sigmoid, gate));
        let g = body.unary(Unary::Tanh, g);
        let (kept, added) = (body.binary(Binary::Mul, f, cell), body.binary(Binary::Mul, i, g));
        let new_c = body.binary(Binary::Add, kept, added);
        let out = body.unary(Unary::Tanh, new_c);
        (body.binary(Binary::Mul, o, out), new_c)
    } else {
        let z = body.binary(Binary::Add, z, y);
        let new_c = match odd {
            // The old state, another sequence, a state that is swapped in, one that depends on itself alone.
            Some(0) => cell,
            Some(1) => y,
            Some(2) => h,
            Some(_) | None => body.unary(Unary::Sin, cell),
        };
        (body.unary(Unary::Tanh, z), new_c)
    };
    let one = body.graph.filled(1.0, &Type::scalar(DType::I32), NOWHERE);
    let new_n = body.binary(Binary::Add, n, one);
    vec![new_h, new_c, new_n]
}

/// A random cell: its states, and what it emits.
fn cell(body: &mut Body, c: &mut Choices, is_lstm: bool, units: u64) -> Vec<ValueId> {
    let mut outputs = states(body, is_lstm, units, Some(c.below(4)));
    let [h, y, v] = [0, 4, 8].map(|i| body.input(i));
    let new_h = outputs[0];
    for _ in 0..c.below(4) {
        let emitted = match c.below(8) {
            0 => body.product(new_h, v),
            1 => {
                let late = body.product(h, v);
                body.unary(Unary::Sin, late)
            }
            2 => body.binary(Binary::Mul, new_h, y),
            3 => body.product(y, v),
            4 => new_h,
            5 => h,
            6 => y,
            _ => {
                let x = body.product(y, v);
                let sum = body.graph.add(Op::Reduce { op: Reduction::Sum, axes: vec![0] }, &[x], NOWHERE);
                body.unary(Unary::Sin, sum)
            }
        };
        outputs.push(emitted);
    }
    outputs
}
