//! A planned step as a graph, every size known: one position along what is made, places for all along what is kept.

use std::collections::HashMap;
use std::sync::Arc;

use strata_grammar::Span;

use super::Steps;
use super::axes::Extent;
use super::plan::{Make, Node};
use crate::graph::{Graph, OriginId, Output, ValueId};
use crate::model::{Input, Variable};
use crate::ops::scan::Shared;
use crate::ops::{Binary, InputId, Op};
use crate::passes::optimise;
use crate::passes::recurrence::results;
use crate::types::{Axis, DType, Size, Type};
use crate::unfold::{Binding, unfold_values};

/// The program before the first step.
pub fn begin(steps: &Steps, binding: &[u64]) -> Graph {
    let named = |what: &str, values: &[ValueId]| -> Vec<(String, ValueId)> {
        values.iter().enumerate().map(|(i, value)| (format!("{what}{i}"), *value)).collect()
    };
    let firsts: Vec<ValueId> = steps.plan.scans.iter().flat_map(|turns| turns.begin.clone()).collect();
    let wanted =
        [named("token", &steps.shifted), named("memory", &steps.plan.memories), named("state", &firsts)];
    let mut graph = unfold_values(steps.model, binding, &wanted.concat());
    for at in 0..steps.shifted.len() {
        // The first position of what may be all of them.
        let value = graph.outputs[at].value;
        let first = Op::Slice { axis: 1, start: Size::Known(0), end: Size::Known(1) };
        graph.outputs[at].value = graph.add(first, &[value], graph.node(value).origin);
    }
    optimise(graph)
}

/// The program of a step.
pub fn step(steps: &Steps, binding: &[u64], positions: u64) -> Graph {
    let mut whole = binding.to_vec();
    whole[steps.time.0 as usize] = positions;
    let mut one = binding.to_vec();
    one[steps.time.0 as usize] = 1;
    let builder =
        Builder { steps, whole, one, graph: Graph::new([].into(), [].into()), scans: HashMap::new() };
    builder.build()
}

struct Builder<'s, 'm> {
    steps: &'s Steps<'m>,
    /// Sizes with all positions, and with the one that is made.
    whole: Vec<u64>,
    one: Vec<u64>,
    graph: Graph,
    /// What each recurrence has become; a recurrence is equal only to itself.
    scans: HashMap<(usize, bool), Shared>,
}

impl Builder<'_, '_> {
    fn build(mut self) -> Graph {
        let (steps, plan) = (self.steps, &self.steps.plan);
        let model = steps.model;
        let mut inputs: Vec<Input> = Vec::new();
        let mut input = |name: String, ty: Type| {
            inputs.push(Input { name, ty, span: Span::default() });
            inputs.len() - 1
        };
        let of = |value: ValueId| &model.values[value.0 as usize];
        let position = input("position".into(), Type::scalar(DType::I32));
        let mut each = |what: &str, values: &[ValueId], sizes: &[u64]| -> Vec<usize> {
            let named =
                |(i, value): (usize, &ValueId)| input(format!("{what}{i}"), of(*value).ty.bind(sizes));
            values.iter().enumerate().map(named).collect()
        };
        let tokens = each("token", &steps.shifted, &self.one);
        let memories = each("memory", &plan.memories, &self.whole);
        let firsts: Vec<ValueId> = plan.scans.iter().flat_map(|turns| turns.begin.clone()).collect();
        let states = each("state", &firsts, &self.one);
        let kept: Vec<ValueId> = plan.stores.iter().map(|store| store.value).collect();
        let stores = each("store", &kept, &self.whole);
        let variable = |v: &Variable| Variable { ty: v.ty.bind(&self.one), ..v.clone() };
        self.graph = Graph::new(inputs.into(), model.variables.iter().map(variable).collect::<Arc<[_]>>());

        let leaf = |graph: &mut Graph, at: usize, origin: OriginId| {
            graph.add(Op::Input(InputId(at as u32)), &[], origin)
        };
        let mut made: Vec<ValueId> = Vec::with_capacity(plan.nodes.len());
        for node in &plan.nodes {
            let from = of(node.value);
            let origin = from.origin;
            let position = leaf(&mut self.graph, position, origin);
            let value = match &node.make {
                Make::Token(at) => leaf(&mut self.graph, tokens[*at], origin),
                Make::Memory(at) => leaf(&mut self.graph, memories[*at], origin),
                Make::Length => self.graph.filled(f64::from(i32::MAX), &self.ty(node), origin),
                Make::Store(at, now) => {
                    let before = leaf(&mut self.graph, stores[*at], origin);
                    let axis = plan.stores[*at].axis;
                    self.written(before, made[*now], axis, position, origin)
                }
                Make::Pick(whole, axis) => self.pick(made[*whole], *axis, position, origin),
                Make::Row(history, row) => {
                    let (start, end) = (Size::Known(*row), Size::Known(row + 1));
                    self.graph.add(Op::Slice { axis: 0, start, end }, &[made[*history]], origin)
                }
                Make::Op(args) => {
                    let args: Vec<ValueId> = args.iter().map(|arg| made[*arg]).collect();
                    self.op(node, &args, position, origin)
                }
                Make::Turn(first, others) => {
                    let Op::Scan { scan, result } = &from.op else { unreachable!("only recurrences turn") };
                    let states = (0..scan.states).map(|state| states[first + state]);
                    let mut args: Vec<ValueId> =
                        states.map(|state| leaf(&mut self.graph, state, origin)).collect();
                    args.extend(others.iter().map(|arg| made[*arg]));
                    let scan = self.scan(scan, true);
                    results(&mut self.graph, &scan, &args, origin)[*result]
                }
            };
            made.push(self.named(value, node, origin));
        }

        let mut output = |name: String, value: ValueId| self.graph.outputs.push(Output { name, value });
        output("logits".into(), made[plan.logits]);
        let histories: Vec<usize> = plan.scans.iter().flat_map(|turns| turns.histories.clone()).collect();
        for (i, history) in histories.iter().enumerate() {
            // Of a history of one turn, the second row is the new state.
            let history = made[*history];
            let origin = self.graph.node(history).origin;
            let second = Op::Slice { axis: 0, start: Size::Known(1), end: Size::Known(2) };
            let row = self.graph.add(second, &[history], origin);
            let axes = self.graph.ty(row).axes[1..].to_vec();
            let value = self.graph.add(Op::Reshape { axes }, &[row], origin);
            self.graph.outputs.push(Output { name: format!("state{i}"), value });
        }
        for (i, store) in plan.stores.iter().enumerate() {
            self.graph.outputs.push(Output { name: format!("store{i}"), value: made[store.place] });
        }
        optimise(self.graph)
    }

    /// The type of a node.
    fn ty(&self, node: &Node) -> Type {
        let ty = &self.steps.model.values[node.value.0 as usize].ty;
        Type::new(ty.dtype, self.axes(&ty.axes, &node.wanted))
    }

    fn axes(&self, axes: &[Axis], wanted: &[Extent]) -> Vec<Axis> {
        let of = |(axis, extent): (&Axis, &Extent)| {
            let size = match extent {
                // A history, which has one row more, is that of one turn.
                Extent::Now => axis.size.bind(&self.one),
                Extent::All | Extent::Plain => axis.size.bind(&self.whole),
            };
            Axis { size: Size::Known(size), ..axis.clone() }
        };
        axes.iter().zip(wanted).map(of).collect()
    }

    /// A value under the names of the axes that the model gives it.
    fn named(&mut self, value: ValueId, node: &Node, origin: OriginId) -> ValueId {
        let axes = self.ty(node).axes;
        if self.graph.ty(value).axes == axes {
            return value;
        }
        self.graph.add(Op::Reshape { axes }, &[value], origin)
    }

    /// Store `before` with `now` at the position that is made.
    fn written(
        &mut self,
        before: ValueId,
        now: ValueId,
        axis: usize,
        position: ValueId,
        origin: OriginId,
    ) -> ValueId {
        let axes = self.graph.ty(before).axes.clone();
        let along = vec![axes[axis].clone()];
        let place = self.graph.add(Op::Index { axes: along.clone(), axis: 0 }, &[], origin);
        let here = self.graph.add(Op::Broadcast { axes: along, from: Vec::new() }, &[position], origin);
        let here = self.graph.add(Op::Binary(Binary::Equal), &[place, here], origin);
        let here = self.graph.add(Op::Broadcast { axes: axes.clone(), from: vec![axis] }, &[here], origin);
        let from = (0..axes.len()).collect();
        let now = self.graph.add(Op::Broadcast { axes, from }, &[now], origin);
        self.graph.add(Op::Select, &[here, now, before], origin)
    }

    /// The position that is made, along an axis of what is there for all.
    fn pick(&mut self, whole: ValueId, axis: usize, position: ValueId, origin: OriginId) -> ValueId {
        let one = self.graph.add(Op::Reshape { axes: vec![Axis::sized(1)] }, &[position], origin);
        self.graph.add(Op::Gather { axis, batch: 0 }, &[whole, one], origin)
    }

    /// The node's own operator.
    fn op(&mut self, node: &Node, args: &[ValueId], position: ValueId, origin: OriginId) -> ValueId {
        let from = &self.steps.model.values[node.value.0 as usize].op;
        if let Op::Scan { scan, result } = from {
            let scan = self.scan(scan, node.wanted.contains(&Extent::Now));
            return results(&mut self.graph, &scan, args, origin)[*result];
        }
        let axes = self.ty(node).axes;
        if matches!(from, Op::Index { axis, .. } if node.wanted[*axis] == Extent::Now) {
            return self.graph.add(Op::Broadcast { axes, from: Vec::new() }, &[position], origin);
        }
        let mut op = Binding::new(self.steps.model, &self.whole).op(from);
        if let Some(own) = op.axes_mut() {
            *own = axes;
        }
        self.graph.add(op, args, origin)
    }

    /// A recurrence with its sizes bound, those of the sequence to one position or to all.
    fn scan(&mut self, scan: &Shared, now: bool) -> Shared {
        if let Some(bound) = self.scans.get(&(scan.key(), now)) {
            return bound.clone();
        }
        let sizes = if now { &self.one } else { &self.whole };
        let bound = Binding::new(self.steps.model, sizes).scan(scan);
        debug_assert!(!now || !bound.axis.size.mentions(self.steps.time), "it is bound");
        self.scans.insert((scan.key(), now), bound.clone());
        bound
    }
}
