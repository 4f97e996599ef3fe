//! How primitives run for all turns of a recurrence at once: over one more leading axis.

use super::scan::{Scan, Shared};
use super::{Op, rules};
use crate::graph::{Graph, OriginId, Output, ValueId};
use crate::model::Input;
use crate::ops::InputId;
use crate::types::{Axis, Type};

/// A primitive of one turn, and its operands for all turns.
pub struct Lift<'a> {
    /// Grows.
    pub graph: &'a mut Graph,
    /// What a turn computes.
    pub op: &'a Op,
    /// The type of its result in one turn.
    pub result: Type,
    /// Its operands, and whether each has the axis of turns in front; else it is the same in every turn.
    pub args: Vec<(ValueId, bool)>,
    /// The axis of turns.
    pub turns: Axis,
    /// Where the value comes from.
    pub origin: OriginId,
}

impl Lift<'_> {
    /// Operand `arg` with the axis of turns in front.
    pub fn stacked(&mut self, arg: usize) -> ValueId {
        let (value, varies) = self.args[arg];
        if varies {
            return value;
        }
        let rank = self.graph.ty(value).rank();
        let axes = self.stack(&self.graph.ty(value).axes.clone());
        self.add(Op::Broadcast { axes, from: (1..=rank).collect() }, &[value])
    }

    /// `op` of all operands, each with the axis of turns in front.
    pub fn of_stacked(&mut self, op: Op) -> ValueId {
        let args: Vec<ValueId> = (0..self.args.len()).map(|arg| self.stacked(arg)).collect();
        self.add(op, &args)
    }

    /// `op(args)`
    pub fn add(&mut self, op: Op, args: &[ValueId]) -> ValueId {
        self.graph.add(op, args, self.origin)
    }

    /// Axes behind that of turns.
    pub fn stack(&self, axes: &[Axis]) -> Vec<Axis> {
        [std::slice::from_ref(&self.turns), axes].concat()
    }

    /// Operand `arg` with turns and examples as one axis.
    pub fn merged(&mut self, arg: usize) -> ValueId {
        let value = self.stacked(arg);
        let axes = &self.graph.ty(value).axes;
        let first = Axis::sized(axes[0].size.mul(&axes[1].size));
        let axes = [vec![first], axes[2..].to_vec()].concat();
        self.add(Op::Reshape { axes }, &[value])
    }

    /// Number of turns times the size of the first axis of `axes`, and the other axes.
    pub fn merged_axes(&self, axes: &[Axis]) -> Vec<Axis> {
        let first = Axis::sized(self.turns.size.mul(&axes[0].size));
        [vec![first], axes[1..].to_vec()].concat()
    }

    /// The result whose turns and examples are one axis, as it should be.
    pub fn parted(&mut self, value: ValueId) -> ValueId {
        let axes = self.stack(&self.result.axes.clone());
        self.add(Op::Reshape { axes }, &[value])
    }
}

/// All turns of a primitive at once, from operands of which some have the axis of turns in front.
pub fn lift(lift: &mut Lift) -> ValueId {
    (rules(lift.op).lift)(lift)
}

/// What works element by element works on more elements.
pub(super) fn elementwise(lift: &mut Lift) -> ValueId {
    lift.of_stacked(lift.op.clone())
}

/// What does not run over one more axis runs turn by turn, in any order.
pub(super) fn turn_by_turn(lift: &mut Lift) -> ValueId {
    // Operands that vary are sequences and come first.
    let mut order: Vec<usize> = (0..lift.args.len()).collect();
    order.sort_by_key(|arg| !lift.args[*arg].1);
    let input = |arg: &usize| {
        let (value, varies) = lift.args[*arg];
        let ty = lift.graph.ty(value).clone();
        let axes = if varies { ty.axes[1..].to_vec() } else { ty.axes };
        let span = strata_grammar::Span::default();
        Input { name: format!("operand {arg}"), ty: Type::new(ty.dtype, axes), span }
    };
    let mut body = Graph::new(order.iter().map(input).collect(), [].into());
    let mut operands = vec![ValueId(0); order.len()];
    for (i, arg) in order.iter().enumerate() {
        operands[*arg] = body.add(Op::Input(InputId(i as u32)), &[], lift.origin);
    }
    let value = body.add(lift.op.clone(), &operands, lift.origin);
    body.outputs.push(Output { name: "result".into(), value });
    let sequences = lift.args.iter().filter(|arg| arg.1).count();
    let axis = lift.turns.clone();
    let scan = Shared::new(Scan { body, states: 0, sequences, axis, reverse: false, extends: None });
    let args: Vec<ValueId> = order.iter().map(|arg| lift.args[*arg].0).collect();
    lift.add(Op::Scan { scan, result: 0 }, &args)
}

/// Leaves are the same in every turn.
pub(super) fn fixed(lift: &mut Lift) -> ValueId {
    let rank = lift.result.rank();
    let value = lift.add(lift.op.clone(), &[]);
    let axes = lift.stack(&lift.result.axes.clone());
    lift.add(Op::Broadcast { axes, from: (1..=rank).collect() }, &[value])
}

/// Rearranges and reductions: the same, one axis further.
pub(super) fn one_axis_on(lift: &mut Lift) -> ValueId {
    let next = |axes: &[usize]| axes.iter().map(|axis| axis + 1).collect::<Vec<_>>();
    let first = |axes: &[usize]| [vec![0], next(axes)].concat();
    #[expect(clippy::wildcard_enum_match_arm, reason = "only what has this rule comes here")]
    let op = match lift.op {
        Op::Broadcast { axes, from } => Op::Broadcast { axes: lift.stack(axes), from: first(from) },
        Op::Transpose { order } => Op::Transpose { order: first(order) },
        Op::Reshape { axes } => Op::Reshape { axes: lift.stack(axes) },
        Op::Slice { axis, start, end } => {
            Op::Slice { axis: axis + 1, start: start.clone(), end: end.clone() }
        }
        Op::Pad { axis, low, high } => Op::Pad { axis: axis + 1, low: low.clone(), high: high.clone() },
        Op::Concat { axis } => Op::Concat { axis: axis + 1 },
        Op::Reduce { op, axes } => Op::Reduce { op: *op, axes: next(axes) },
        Op::ArgMax { axis } => Op::ArgMax { axis: axis + 1 },
        Op::Order { axis, descending, count } => {
            Op::Order { axis: axis + 1, descending: *descending, count: count.clone() }
        }
        Op::Cumulate { axis, exclusive, reverse } => {
            Op::Cumulate { axis: axis + 1, exclusive: *exclusive, reverse: *reverse }
        }
        _ => unreachable!("the tables of rules pair them"),
    };
    lift.of_stacked(op)
}
