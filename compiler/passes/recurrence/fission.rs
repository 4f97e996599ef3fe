//! Fission: only what must run turn after turn stays in the loop. What no state has a part in is computed before it
//! for all turns at once, as the input side of an LSTM; what no new state depends on after it, as the gradient
//! by its weights, which then is one contraction over turns and examples. Elements that are cheap to compute
//! stay in the loop, so that they need not be stored.

use std::collections::{HashMap, HashSet};

use strata_grammar::Span;

use super::results;
use crate::graph::{Graph, OriginId, Output, ValueId};
use crate::model::Input;
use crate::ops::lift::{Lift, lift};
use crate::ops::scan::{Scan, Shared};
use crate::ops::{Binary, InputId, Op, Reduction, Unary};
use crate::passes::optimise;
use crate::types::{Axis, Size};

/// What is wanted of a recurrence; values are those of its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The history of a state.
    History(usize),
    /// A value of every turn, stacked.
    Stack(ValueId),
    /// The sum of a value over all turns.
    Sum(ValueId),
}

/// Adds to `outer` what is wanted of `scan(args)`, with as little in the loop as may be.
pub fn fission(
    outer: &mut Graph,
    scan: &Scan,
    args: &[ValueId],
    wanted: &[Wanted],
    origin: OriginId,
) -> Vec<ValueId> {
    let mut fission = Fission::new(outer, scan, args, origin);
    for wanted in wanted {
        match wanted {
            Wanted::History(state) => fission.keep_state(*state),
            Wanted::Stack(value) => fission.plan_stack(*value),
            Wanted::Sum(value) => fission.plan_sum(*value),
        }
    }
    fission.build_loop();
    let mut found = Vec::with_capacity(wanted.len());
    for wanted in wanted {
        found.push(match wanted {
            Wanted::History(state) => fission.histories[*state].expect("the loop keeps it"),
            Wanted::Stack(value) => fission.stacked(*value),
            Wanted::Sum(value) => fission.sum(*value),
        });
    }
    found
}

/// What a value is inside the loop.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    State(usize),
    Slice,
    Invariant,
    Computed,
}

struct Fission<'a> {
    outer: &'a mut Graph,
    scan: &'a Scan,
    body: &'a Graph,
    args: &'a [ValueId],
    origin: OriginId,
    /// By value of the body: whether it differs from turn to turn.
    varies: Vec<bool>,
    /// Whether a state has a part in it (or a recurrence inside, which does not leave the loop).
    turning: Vec<bool>,
    /// Whether it can wait until the loop is over and is worth it.
    late: Vec<bool>,
    /// Which states the loop keeps.
    live: Vec<bool>,
    /// What the loop emits.
    emitted: Vec<ValueId>,
    /// What is known to be computed in the loop.
    reached: HashSet<ValueId>,
    /// Once the loop is built: the history of each live state, and the stack of each emitted value.
    histories: Vec<Option<ValueId>>,
    stacks: HashMap<ValueId, ValueId>,
    /// Values outside: with the axis of turns, or the same in every turn.
    memo: HashMap<ValueId, (ValueId, bool)>,
}

impl<'a> Fission<'a> {
    fn new(outer: &'a mut Graph, scan: &'a Scan, args: &'a [ValueId], origin: OriginId) -> Fission<'a> {
        let body = &scan.body;
        let (mut varies, mut turning) = (vec![false; body.len()], vec![false; body.len()]);
        for value in body.values() {
            let at = value.0 as usize;
            let of = |flags: &[bool]| body.args(value).iter().any(|arg| flags[arg.0 as usize]);
            (varies[at], turning[at]) = if let Op::Input(i) = body.op(value) {
                let i = i.0 as usize;
                (i < scan.states + scan.sequences, i < scan.states)
            } else {
                let inner = matches!(body.op(value), Op::Scan { .. });
                (of(&varies), of(&turning) || (inner && of(&varies)))
            };
        }
        // What new states depend on.
        let mut kept = vec![false; body.len()];
        body.outputs[..scan.states].iter().for_each(|o| kept[o.value.0 as usize] = true);
        for value in body.values().rev().filter(|v| varies[v.0 as usize]) {
            if kept[value.0 as usize] {
                body.args(value).iter().for_each(|arg| kept[arg.0 as usize] = true);
            }
        }
        let mut late = vec![false; body.len()];
        for value in body.values() {
            let at = value.0 as usize;
            let waits = || body.args(value).iter().any(|arg| late[arg.0 as usize]);
            let inner = matches!(body.op(value), Op::Scan { .. });
            late[at] = turning[at] && !kept[at] && !inner && (body.op(value).is_heavy() || waits());
        }
        Fission {
            outer,
            scan,
            body,
            args,
            origin,
            varies,
            turning,
            late,
            live: vec![false; scan.states],
            emitted: Vec::new(),
            reached: HashSet::new(),
            histories: vec![None; scan.states],
            stacks: HashMap::new(),
            memo: HashMap::new(),
        }
    }

    fn varies(&self, value: ValueId) -> bool {
        self.varies[value.0 as usize]
    }

    fn turning(&self, value: ValueId) -> bool {
        self.turning[value.0 as usize]
    }

    fn input(&self, value: ValueId) -> Option<usize> {
        if let Op::Input(i) = self.body.op(value) { Some(i.0 as usize) } else { None }
    }

    /// The state whose new value this is; a live one if there is one.
    fn new_state(&self, value: ValueId) -> Option<usize> {
        let is = |state: &usize| self.body.outputs[*state].value == value;
        let live = (0..self.scan.states).filter(is).find(|state| self.live[*state]);
        live.or_else(|| (0..self.scan.states).find(is))
    }

    // ---- what the loop must do ----

    fn keep_state(&mut self, state: usize) {
        if !std::mem::replace(&mut self.live[state], true) {
            self.reach(self.body.outputs[state].value);
        }
    }

    /// Everything that the loop computes for the sake of a value.
    fn reach(&mut self, value: ValueId) {
        let mut open = vec![value];
        while let Some(value) = open.pop() {
            if !self.reached.insert(value) {
                continue;
            }
            match self.inside(value) {
                Inside::State(state) => {
                    if !std::mem::replace(&mut self.live[state], true) {
                        open.push(self.body.outputs[state].value);
                    }
                }
                Inside::Slice | Inside::Invariant => {}
                Inside::Computed => open.extend(self.body.args(value)),
            }
        }
    }

    fn inside(&self, value: ValueId) -> Inside {
        let heavy = self.body.op(value).is_heavy();
        match self.input(value) {
            Some(i) if i < self.scan.states => Inside::State(i),
            Some(i) if i < self.scan.states + self.scan.sequences => Inside::Slice,
            Some(_) => Inside::Invariant,
            None if heavy && !self.varies(value) => Inside::Invariant,
            None if heavy && !self.turning(value) => Inside::Slice,
            None => Inside::Computed,
        }
    }

    fn plan_stack(&mut self, value: ValueId) {
        if !self.turning(value) || self.emitted.contains(&value) {
            return;
        }
        match (self.input(value), self.new_state(value)) {
            (Some(state), _) | (None, Some(state)) => self.keep_state(state),
            (None, None) if self.late[value.0 as usize] => {
                self.body.args(value).into_iter().for_each(|arg| self.plan_stack(arg));
            }
            (None, None) => {
                self.emitted.push(value);
                self.reach(value);
            }
        }
    }

    fn plan_sum(&mut self, value: ValueId) {
        let args = self.body.args(value);
        match self.summing(value) {
            Summing::Stack => self.plan_stack(value),
            Summing::Jointly => args.into_iter().for_each(|arg| self.plan_stack(arg)),
            Summing::OfOperands => {
                let varying: Vec<ValueId> = args.into_iter().filter(|arg| self.varies(*arg)).collect();
                varying.into_iter().for_each(|arg| self.plan_sum(arg));
            }
        }
    }

    /// How the sum of a value over all turns is computed.
    fn summing(&self, value: ValueId) -> Summing {
        let args = self.body.args(value);
        let all_vary = args.iter().all(|arg| self.varies(*arg));
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "what is not known to be linear is summed up itself"
        )]
        match self.body.op(value) {
            _ if !self.varies(value) || self.new_state(value).is_some() => Summing::Stack,
            Op::Contract { .. } if !all_vary => Summing::OfOperands,
            Op::Contract { .. } | Op::ConvolveKernel(..) | Op::Reduce { op: Reduction::Sum, .. } => {
                Summing::Jointly
            }
            Op::Binary(Binary::Add | Binary::Sub) if all_vary => Summing::OfOperands,
            Op::Unary(Unary::Neg)
            | Op::Transpose { .. }
            | Op::Reshape { .. }
            | Op::Broadcast { .. }
            | Op::Slice { .. }
            | Op::Pad { .. } => Summing::OfOperands,
            _ => Summing::Stack,
        }
    }

    // ---- the loop ----

    fn build_loop(&mut self) {
        let states: Vec<usize> = (0..self.scan.states).filter(|state| self.live[*state]).collect();
        if states.is_empty() && self.emitted.is_empty() {
            return;
        }
        let of = |kind: Inside| -> Vec<ValueId> {
            let all = self.body.values();
            all.filter(|v| self.reached.contains(v) && self.inside(*v) == kind).collect()
        };
        let (slices, invariants) = (of(Inside::Slice), of(Inside::Invariant));
        let mut inputs: Vec<Input> = states.iter().map(|i| self.body.inputs[*i].clone()).collect();
        for value in slices.iter().chain(&invariants) {
            let name = match self.input(*value) {
                Some(i) => self.body.inputs[i].name.clone(),
                None => format!("%{}", value.0),
            };
            inputs.push(Input { name, ty: self.body.ty(*value).clone(), span: Span::default() });
        }
        let mut body = Graph::new(inputs.into(), [].into());
        let mut becomes: HashMap<ValueId, ValueId> = HashMap::new();
        for value in self.body.values().filter(|v| self.reached.contains(v)) {
            let leaf = match self.inside(value) {
                Inside::State(state) => states.iter().position(|s| *s == state),
                Inside::Slice => position(&slices, value).map(|at| states.len() + at),
                Inside::Invariant => position(&invariants, value).map(|at| states.len() + slices.len() + at),
                Inside::Computed => None,
            };
            let origin = self.body.node(value).origin;
            let new = match leaf {
                Some(at) => body.add(Op::Input(InputId(at as u32)), &[], origin),
                None => {
                    let args: Vec<ValueId> = self.body.args(value).iter().map(|arg| becomes[arg]).collect();
                    body.add(self.body.op(value).clone(), &args, origin)
                }
            };
            becomes.insert(value, new);
        }
        let news = states.iter().map(|state| &self.body.outputs[*state]);
        let news = news.map(|o| Output { name: o.name.clone(), value: becomes[&o.value] });
        let emits = self.emitted.iter().map(|v| Output { name: format!("%{}", v.0), value: becomes[v] });
        body.outputs = news.chain(emits).collect();
        let (axis, reverse) = (self.scan.axis.clone(), self.scan.reverse);
        let body = optimise(body);
        let (count, sequences) = (states.len(), slices.len());
        let scan = Shared::new(Scan { body, states: count, sequences, axis, reverse, extends: None });
        let mut args: Vec<ValueId> = states.iter().map(|state| self.args[*state]).collect();
        for slice in slices {
            args.push(self.stacked(slice));
        }
        for invariant in invariants {
            args.push(self.outside(invariant).0);
        }
        let found = results(self.outer, &scan, &args, self.origin);
        for (state, history) in states.iter().zip(&found) {
            self.histories[*state] = Some(*history);
        }
        self.stacks = self.emitted.iter().copied().zip(found[count..].iter().copied()).collect();
    }

    // ---- what stands outside ----

    fn add(&mut self, op: Op, args: &[ValueId]) -> ValueId {
        self.outer.add(op, args, self.origin)
    }

    /// A value of the body for all turns: with the axis of turns in front, or the same in every turn.
    fn outside(&mut self, value: ValueId) -> (ValueId, bool) {
        if let Some(found) = self.memo.get(&value) {
            return *found;
        }
        let found = self.compute(value);
        self.memo.insert(value, found);
        found
    }

    fn compute(&mut self, value: ValueId) -> (ValueId, bool) {
        if let Some(stack) = self.stacks.get(&value) {
            return (*stack, true);
        }
        match self.input(value) {
            Some(state) if state < self.scan.states => return (self.rows(state, false), true),
            Some(i) => return (self.args[i], i < self.scan.states + self.scan.sequences),
            None => {}
        }
        if self.turning(value)
            && let Some(state) = self.new_state(value).filter(|state| self.live[*state])
        {
            return (self.rows(state, true), true);
        }
        let body = self.body;
        let node = body.node(value);
        let args: Vec<(ValueId, bool)> = body.args(value).iter().map(|arg| self.outside(*arg)).collect();
        if !self.varies(value) {
            let args: Vec<ValueId> = args.iter().map(|arg| arg.0).collect();
            return (self.outer.add(node.op.clone(), &args, node.origin), false);
        }
        let (graph, turns) = (&mut *self.outer, self.scan.axis.clone());
        let result = node.ty.clone();
        let mut all = Lift { graph, op: &node.op, result, args, turns, origin: node.origin };
        (lift(&mut all), true)
    }

    /// A state before or after each turn: the rows of its history but one.
    fn rows(&mut self, state: usize, after: bool) -> ValueId {
        let history = self.histories[state].expect("the loop keeps what is looked at");
        let start = u64::from(after != self.scan.reverse);
        let end = Size::Known(start).add(&self.scan.axis.size);
        self.add(Op::Slice { axis: 0, start: Size::Known(start), end }, &[history])
    }

    fn stacked(&mut self, value: ValueId) -> ValueId {
        let (found, varies) = self.outside(value);
        if varies {
            return found;
        }
        let ty = self.outer.ty(found).clone();
        let axes: Vec<Axis> = [vec![self.scan.axis.clone()], ty.axes.clone()].concat();
        self.add(Op::Broadcast { axes, from: (1..=ty.rank()).collect() }, &[found])
    }

    fn sum(&mut self, value: ValueId) -> ValueId {
        let body = self.body;
        let (op, args) = (body.op(value).clone(), body.args(value));
        match self.summing(value) {
            Summing::Stack => {
                let stack = self.stacked(value);
                self.add(Op::Reduce { op: Reduction::Sum, axes: vec![0] }, &[stack])
            }
            Summing::Jointly => {
                let stacks: Vec<ValueId> = args.into_iter().map(|arg| self.stacked(arg)).collect();
                self.sum_jointly(op, &stacks)
            }
            Summing::OfOperands => {
                let mut sums = Vec::new();
                for arg in args {
                    sums.push(if self.varies(arg) { self.sum(arg) } else { self.outside(arg).0 });
                }
                self.add(op, &sums)
            }
        }
    }

    /// Turns are one more axis to sum over.
    fn sum_jointly(&mut self, op: Op, stacks: &[ValueId]) -> ValueId {
        let next = |axes: &[usize]| [0].into_iter().chain(axes.iter().map(|axis| axis + 1)).collect();
        let pairs = |pairs: &[(usize, usize)]| pairs.iter().map(|p| (p.0 + 1, p.1 + 1)).collect::<Vec<_>>();
        if let Op::Contract { batch, sum } = &op {
            let sum = [vec![(0, 0)], pairs(sum)].concat();
            return self.add(Op::Contract { batch: pairs(batch), sum }, stacks);
        }
        if let Op::Reduce { op, axes } = &op {
            return self.add(Op::Reduce { op: *op, axes: next(axes) }, stacks);
        }
        // Of a convolution's kernel: turns and examples are one axis.
        let mut merged = Vec::new();
        for stack in stacks {
            let axes = self.outer.ty(*stack).axes.clone();
            let first = Axis::sized(axes[0].size.mul(&axes[1].size));
            let axes = [vec![first], axes[2..].to_vec()].concat();
            merged.push(self.add(Op::Reshape { axes }, &[*stack]));
        }
        self.add(op, &merged)
    }
}

/// See [`Fission::summing`].
#[derive(Clone, Copy, PartialEq, Eq)]
enum Summing {
    /// Over the stack of it.
    Stack,
    /// Turns join the axes that it sums over itself.
    Jointly,
    /// It is linear: of the sums of its operands.
    OfOperands,
}

fn position(values: &[ValueId], value: ValueId) -> Option<usize> {
    values.iter().position(|v| *v == value)
}
