//! The body of a recurrence, taken out of the flat list of values into which its statements were elaborated.
//!
//! States and slices stand in that list as `Op::Slot`. What depends on one of them is computed turn after turn; all
//! else is the same in every turn, so it stays outside and comes in as an operand. Numbers drawn in a turn are slices
//! of a draw for all turns, so that each turn has its own.

use std::collections::{HashMap, HashSet};

use strata_grammar::Span;

use super::Checker;
use super::build::Builder;
use crate::graph::{Graph, Output, ValueId};
use crate::model::Input;
use crate::ops::scan::{Scan, Shared};
use crate::ops::{InputId, Op};
use crate::types::{Axis, Type};

/// What a recurrence was elaborated into.
pub(super) struct Turns<'t> {
    /// How many values there were before it.
    pub(super) mark: usize,
    /// The axis of turns.
    pub(super) axis: &'t Axis,
    pub(super) reverse: bool,
    /// The slot of each state and its first value.
    pub(super) states: Vec<(ValueId, ValueId)>,
    /// The slot of each slice and its sequence, whose first axis is that of the turns.
    pub(super) sequences: Vec<(ValueId, ValueId)>,
    /// What each state becomes, then what else is wanted of every turn.
    pub(super) outputs: Vec<ValueId>,
}

impl Turns<'_> {
    /// Which of the values since `mark` differ from turn to turn; one flag a value.
    pub(super) fn varying(&self, build: &Builder) -> Vec<bool> {
        let own: HashSet<ValueId> =
            self.states.iter().chain(&self.sequences).map(|(slot, _)| *slot).collect();
        let mut varying = vec![false; build.model.values.len() - self.mark];
        for at in 0..varying.len() {
            let id = ValueId((self.mark + at) as u32);
            let value = &build.model.values[self.mark + at];
            let before =
                |arg: &ValueId| (arg.0 as usize).checked_sub(self.mark).is_some_and(|arg| varying[arg]);
            varying[at] =
                own.contains(&id) || matches!(value.op, Op::Random { .. }) || value.args.iter().any(before);
        }
        varying
    }
}

/// What a value of the flat list is in the body.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// A state, a slice or an invariant: an input of the body.
    Given,
    /// Computed in every turn.
    Computed,
}

impl<'a> Checker<'a> {
    /// Adds the recurrence; its results, in the order of `turns.outputs`. `None` where that is too large, which was
    /// said.
    pub(super) fn add_turns(&mut self, turns: &Turns<'_>, span: Span) -> Option<Vec<ValueId>> {
        let varying = turns.varying(&self.build);
        let mut body = Body::new(self, turns, &varying);
        turns.outputs.iter().for_each(|output| body.visit(*output));
        let Body { order, randoms, invariants, .. } = body;
        let mut sequences = turns.sequences.clone();
        for drawn in &randoms {
            let value = self.build.model.values[drawn.0 as usize].clone();
            let Op::Random { stream, axes } = value.op else { unreachable!("these are draws") };
            let axes = [vec![turns.axis.clone()], axes].concat();
            sequences.push((*drawn, self.emit(Op::Random { stream, axes }, &value.args, span)?));
        }
        let given: Vec<ValueId> = turns
            .states
            .iter()
            .chain(&sequences)
            .map(|(slot, _)| *slot)
            .chain(invariants.iter().copied())
            .collect();
        let operands: Vec<ValueId> =
            turns.states.iter().chain(&sequences).map(|(_, operand)| *operand).chain(invariants).collect();
        let graph = self.body_graph(&given, &order, &turns.outputs);
        let scan = Shared::new(Scan {
            body: graph,
            states: turns.states.len(),
            sequences: sequences.len(),
            axis: turns.axis.clone(),
            reverse: turns.reverse,
            extends: None,
        });
        let result = |result| {
            let op = Op::Scan { scan: scan.clone(), result };
            self.emit(op, &operands, span)
        };
        let results: Option<Vec<ValueId>> = (0..turns.outputs.len()).map(result).collect();
        // The slots end here, and all that was made of them.
        let ended = varying.iter().enumerate().filter(|(_, varies)| **varies);
        self.build.over.extend(ended.map(|(at, _)| ValueId((turns.mark + at) as u32)));
        results
    }

    fn body_graph(&self, given: &[ValueId], order: &[ValueId], outputs: &[ValueId]) -> Graph {
        let input = |(at, id): (usize, &ValueId)| Input {
            name: format!("given {at}"),
            ty: self.ty(*id).clone(),
            // Places stand in `Model::origins` alone.
            span: Span::default(),
        };
        let mut graph = Graph::new(given.iter().enumerate().map(input).collect(), [].into());
        let mut becomes: HashMap<ValueId, ValueId> = HashMap::new();
        for (at, id) in given.iter().enumerate() {
            let origin = self.build.model.values[id.0 as usize].origin;
            becomes.insert(*id, graph.add(Op::Input(InputId(at as u32)), &[], origin));
        }
        for id in order {
            let value = &self.build.model.values[id.0 as usize];
            let args: Vec<ValueId> = value.args.iter().map(|arg| becomes[arg]).collect();
            becomes.insert(*id, graph.add(value.op.clone(), &args, value.origin));
        }
        let output = |(at, id): (usize, &ValueId)| Output { name: at.to_string(), value: becomes[id] };
        graph.outputs = outputs.iter().enumerate().map(output).collect();
        graph
    }
}

/// What the outputs of a body need, while it is being found out.
struct Body<'b> {
    build: &'b Builder,
    mark: usize,
    varying: &'b [bool],
    place: HashMap<ValueId, Place>,
    /// Computed values, operands before users.
    order: Vec<ValueId>,
    randoms: Vec<ValueId>,
    invariants: Vec<ValueId>,
}

impl<'b> Body<'b> {
    fn new(checker: &'b Checker<'_>, turns: &Turns<'_>, varying: &'b [bool]) -> Body<'b> {
        let slots = turns.states.iter().chain(&turns.sequences).map(|(slot, _)| (*slot, Place::Given));
        Body {
            build: &checker.build,
            mark: turns.mark,
            varying,
            place: slots.collect(),
            order: Vec::new(),
            randoms: Vec::new(),
            invariants: Vec::new(),
        }
    }

    /// Finds a place for a value and for all that it needs. Chains are long, so this does not call itself.
    fn visit(&mut self, value: ValueId) {
        let mut waiting = vec![(value, false)];
        while let Some((value, operands_done)) = waiting.pop() {
            if operands_done {
                if self.place.insert(value, Place::Computed).is_none() {
                    self.order.push(value);
                }
                continue;
            }
            if self.place.contains_key(&value) {
                continue;
            }
            let of = &self.build.model.values[value.0 as usize];
            let varies = (value.0 as usize).checked_sub(self.mark).is_some_and(|at| self.varying[at]);
            if varies && matches!(of.op, Op::Random { .. }) {
                self.place.insert(value, Place::Given);
                self.randoms.push(value);
            } else if varies || self.is_plain(value) {
                waiting.push((value, true));
                waiting.extend(of.args.iter().map(|arg| (*arg, false)));
            } else {
                self.place.insert(value, Place::Given);
                self.invariants.push(value);
            }
        }
    }

    /// Whether a value is made of constants alone and costs nothing: it is repeated in the body, where later stages see
    /// what it is.
    fn is_plain(&self, value: ValueId) -> bool {
        let mut waiting = vec![value];
        // Few operators: nothing that is worth computing once is made anew in every turn.
        for _ in 0..8 {
            let Some(value) = waiting.pop() else { return true };
            let of = &self.build.model.values[value.0 as usize];
            let is_leaf = matches!(of.op, Op::Constant(..) | Op::Training | Op::Index { .. });
            let is_thin = matches!(
                of.op,
                Op::Broadcast { .. } | Op::Reshape { .. } | Op::Reduce { .. } | Op::Unary(_) | Op::Cast(_)
            );
            if !is_leaf && (!is_thin || self.counts(value)) {
                return false;
            }
            waiting.extend(&of.args);
        }
        waiting.is_empty()
    }

    /// Whether a reduction reads other numbers than one, over and over.
    fn counts(&self, value: ValueId) -> bool {
        let of = &self.build.model.values[value.0 as usize];
        let reads = of.args.first().map(|arg| self.build.op(*arg));
        matches!(of.op, Op::Reduce { .. }) && !matches!(reads, Some(Op::Broadcast { .. }))
    }
}

/// The axes of a slice: those of its sequence but the first.
pub(super) fn slice_type(sequence: &Type) -> Type {
    Type::new(sequence.dtype, sequence.axes[1..].to_vec())
}
