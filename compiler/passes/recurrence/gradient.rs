//! The gradient of a recurrence: a recurrence the other way round, whose states are the gradients by the states.
//!
//! What a turn's gradient needs of the turn itself is kept where it is dear to compute, as products and
//! `exp` are, and else computed again. To keep it, the recurrence is extended: it emits more.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use strata_grammar::Span;

use super::{Wanted, fission, results};
use crate::graph::{Graph, OriginId, Output, ValueId};
use crate::model::Input;
use crate::ops::scan::{Scan, Shared};
use crate::ops::{Binary, InputId, Op};
use crate::passes::differentiate::propagate;
use crate::passes::optimise;
use crate::types::{Axis, Size, Type};

/// The gradient by each operand of `scan(args)`, from those by its results, for the operands that `carries` asks
/// for.
pub fn gradient(
    graph: &mut Graph,
    scan: &Shared,
    args: &[ValueId],
    dys: &[Option<ValueId>],
    carries: &[bool],
    origin: OriginId,
) -> Vec<Option<ValueId>> {
    let backward = Turn::new(scan, dys, carries).backward();
    // Forward again, with more emitted; what is there already is not emitted twice.
    let forward = Forward::new(graph, scan, args, &backward.kept, origin);
    let operand = |operand: &Operand| forward.operand(graph, *operand, dys);
    let operands: Vec<ValueId> = backward.operands.iter().map(operand).collect();
    let wanted: Vec<Wanted> = backward.wanted.iter().map(|(_, wanted)| *wanted).collect();
    let found = fission(graph, &backward.scan, &operands, &wanted, origin);
    let mut gradients: Vec<Option<ValueId>> = vec![None; args.len()];
    for ((arg, wanted), value) in backward.wanted.into_iter().zip(found) {
        let value = match wanted {
            Wanted::History(_) => forward.first(graph, value, dys[arg]),
            Wanted::Stack(_) | Wanted::Sum(_) => value,
        };
        gradients[arg] = Some(match gradients[arg] {
            Some(total) => graph.add(Op::Binary(Binary::Add), &[total, value], origin),
            None => value,
        });
    }
    gradients
}

/// What an operand of the backward recurrence is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Operand {
    /// The gradient by a state after the last turn: zeros.
    Zero(usize),
    /// A state before each turn.
    Before(usize),
    /// An operand of the forward recurrence.
    Same(usize),
    /// A value that was kept of each turn.
    Kept(ValueId),
    /// The gradient by a state's history after each turn.
    ByHistory(usize),
    /// The gradient by what is emitted.
    ByEmitted(usize),
}

/// The backward recurrence.
struct Backward {
    /// What must be kept of each forward turn.
    kept: Vec<ValueId>,
    scan: Scan,
    /// What is wanted of it, for which operand of the forward recurrence.
    wanted: Vec<(usize, Wanted)>,
    operands: Vec<Operand>,
}

/// One turn, differentiated.
struct Turn<'a> {
    scan: &'a Shared,
    carries: &'a [bool],
    /// By operand: whether its gradient is needed to get those that are asked for.
    asked: Vec<bool>,
    /// The body, and behind it its gradient.
    graph: Graph,
    /// What the inputs behind the body's own are.
    new_inputs: Vec<Operand>,
    /// The gradient by each value of the body, in parts.
    parts: Vec<Vec<ValueId>>,
}

impl<'a> Turn<'a> {
    fn new(scan: &'a Shared, dys: &[Option<ValueId>], carries: &'a [bool]) -> Turn<'a> {
        let body = &scan.body;
        let output = |k: usize| body.outputs[k].value;
        let is_float = |k: usize| body.inputs[k].ty.dtype.is_float();
        let mut asked: Vec<bool> = (0..body.inputs.len()).map(|k| carries[k] && is_float(k)).collect();
        let mut carried = carried(body, &asked);
        // A state passes on what its new value depends on.
        loop {
            let more = |k: &usize| !asked[*k] && is_float(*k) && carried[output(*k).0 as usize];
            let Some(state) = (0..scan.states).find(more) else { break };
            asked[state] = true;
            carried = self::carried(body, &asked);
        }
        let mut inputs: Vec<Input> = body.inputs.to_vec();
        let mut new_inputs = Vec::new();
        let mut seeds = Vec::new();
        for k in 0..scan.results() {
            let value = output(k);
            let state = k < scan.states;
            let later = (state && asked[k]).then_some(Operand::Zero(k));
            let by_result = if state { Operand::ByHistory(k) } else { Operand::ByEmitted(k) };
            let outside = dys[k].map(|_| by_result);
            if !carried[value.0 as usize] {
                continue;
            }
            for source in later.into_iter().chain(outside) {
                seeds.push((value, inputs.len()));
                let ty = body.ty(value).clone();
                inputs.push(Input { name: format!("d {}", body.outputs[k].name), ty, span: Span::default() });
                new_inputs.push(source);
            }
        }
        let mut graph = Graph::new(inputs.into(), [].into());
        for value in body.values() {
            let copied = graph.add(body.op(value).clone(), &body.args(value), body.node(value).origin);
            debug_assert_eq!(copied, value, "a copy keeps the ids");
        }
        let mut parts: Vec<Vec<ValueId>> = vec![Vec::new(); body.len()];
        for (value, input) in seeds {
            let seed = graph.add(Op::Input(InputId(input as u32)), &[], body.node(value).origin);
            parts[value.0 as usize].push(seed);
        }
        propagate(&mut graph, &carried, &mut parts);
        Turn { scan, carries, asked, graph, new_inputs, parts }
    }

    /// The value of an input of the body, if anything uses it.
    fn leaf(&self, input: usize) -> Option<ValueId> {
        let is = |value: &ValueId| *self.graph.op(*value) == Op::Input(InputId(input as u32));
        self.scan.body.values().find(is)
    }

    /// The whole gradient by an input of the body: its parts added up.
    fn total(&mut self, input: usize) -> Option<ValueId> {
        let leaf = self.leaf(input)?;
        let origin = self.graph.node(leaf).origin;
        let parts = self.parts[leaf.0 as usize].clone();
        let add = |a, b| self.graph.add(Op::Binary(Binary::Add), &[a, b], origin);
        parts.into_iter().reduce(add)
    }

    fn backward(mut self) -> Backward {
        let scan = self.scan;
        let states: Vec<usize> = (0..scan.states).filter(|state| self.asked[*state]).collect();
        let mut roots: Vec<ValueId> = Vec::new();
        for state in &states {
            let ty = &scan.body.inputs[*state].ty;
            let total = self.total(*state);
            roots.push(total.unwrap_or_else(|| self.graph.filled(0.0, ty, OriginId(0))));
        }
        // Which operand of the forward recurrence each further root is for, and whether turns add up.
        let mut others: Vec<(usize, bool)> = Vec::new();
        for input in (scan.states..scan.body.inputs.len()).filter(|input| self.carries[*input]) {
            let sequence = input < scan.states + scan.sequences;
            let parts = match self.leaf(input) {
                _ if sequence => self.total(input).into_iter().collect(),
                Some(leaf) => self.parts[leaf.0 as usize].clone(),
                None => Vec::new(),
            };
            others.extend(parts.iter().map(|_| (input, !sequence)));
            roots.extend(parts);
        }
        let leaves = self.leaves(&roots);
        // All states are operands, whether or not anything looks at them; then sequences, then invariants.
        let mut operands: Vec<Operand> = states.iter().map(|state| Operand::Zero(*state)).collect();
        let first_invariant = scan.states + scan.sequences;
        let is_invariant = |o: &Operand| matches!(o, Operand::Same(arg) if *arg >= first_invariant);
        let mut found: Vec<Operand> = leaves.values().copied().collect();
        found.retain(|operand| !matches!(operand, Operand::Zero(_)));
        let (invariants, sequences): (Vec<Operand>, Vec<Operand>) = found.into_iter().partition(is_invariant);
        let count = sequences.len();
        operands.extend(sequences.into_iter().chain(invariants));
        let body = self.body(&roots, &leaves, &operands);
        let history = |(i, state): (usize, &usize)| (*state, Wanted::History(i));
        let carrying = states.iter().enumerate().filter(|(_, state)| self.carries[**state]);
        let mut wanted: Vec<(usize, Wanted)> = carrying.map(history).collect();
        for ((input, sum), output) in others.into_iter().zip(&body.outputs[states.len()..]) {
            let how = if sum { Wanted::Sum } else { Wanted::Stack };
            wanted.push((input, how(output.value)));
        }
        let kept = leaves.iter().filter(|(_, operand)| matches!(operand, Operand::Kept(_)));
        Backward {
            kept: kept.map(|(value, _)| *value).collect(),
            scan: Scan {
                body,
                states: states.len(),
                sequences: count,
                axis: scan.axis.clone(),
                reverse: !scan.reverse,
                extends: None,
            },
            wanted,
            operands,
        }
    }

    fn operand_type(&self, operand: Operand) -> &Type {
        let body = &self.scan.body;
        match operand {
            Operand::Zero(k) | Operand::ByHistory(k) | Operand::ByEmitted(k) => {
                body.ty(body.outputs[k].value)
            }
            Operand::Before(arg) | Operand::Same(arg) => &body.inputs[arg].ty,
            Operand::Kept(value) => body.ty(value),
        }
    }

    /// The turn from its leaves to its roots, which become its outputs, in a graph of its own.
    fn body(&self, roots: &[ValueId], leaves: &BTreeMap<ValueId, Operand>, operands: &[Operand]) -> Graph {
        let input = |operand: &Operand| Input {
            name: format!("{operand:?}"),
            ty: self.operand_type(*operand).clone(),
            span: Span::default(),
        };
        let mut body = Graph::new(operands.iter().map(input).collect(), [].into());
        let mut becomes: HashMap<ValueId, ValueId> = HashMap::new();
        for value in self.reached(roots, leaves) {
            let node = self.graph.node(value);
            let new = match leaves.get(&value) {
                Some(operand) => {
                    let at = operands.iter().position(|o| o == operand).expect("leaves are operands");
                    body.add(Op::Input(InputId(at as u32)), &[], node.origin)
                }
                None => {
                    let args: Vec<ValueId> = self.graph.args(value).iter().map(|arg| becomes[arg]).collect();
                    body.add(node.op.clone(), &args, node.origin)
                }
            };
            becomes.insert(value, new);
        }
        for (i, root) in roots.iter().enumerate() {
            body.outputs.push(Output { name: format!("d{i}"), value: becomes[root] });
        }
        optimise(body)
    }

    /// Where the backward turn begins: values that are handed to it.
    fn leaves(&self, roots: &[ValueId]) -> BTreeMap<ValueId, Operand> {
        let scan = self.scan;
        let (count, forward) = (scan.body.inputs.len(), scan.body.len());
        let mut varies = vec![false; forward];
        for value in scan.body.values() {
            varies[value.0 as usize] = if let Op::Input(i) = scan.body.op(value) {
                (i.0 as usize) < scan.states + scan.sequences
            } else {
                scan.body.args(value).iter().any(|arg| varies[arg.0 as usize])
            };
        }
        let mut leaves: BTreeMap<ValueId, Operand> = BTreeMap::new();
        let mut seen: HashSet<ValueId> = HashSet::new();
        let mut open: Vec<ValueId> = roots.to_vec();
        while let Some(value) = open.pop() {
            if !seen.insert(value) {
                continue;
            }
            let at = value.0 as usize;
            let operand = if let Op::Input(i) = self.graph.op(value) {
                let i = i.0 as usize;
                let own = if i < scan.states { Operand::Before(i) } else { Operand::Same(i) };
                Some(if i < count { own } else { self.new_inputs[i - count] })
            } else {
                // What costs less to keep than to compute again.
                let op = self.graph.op(value);
                let keep = at < forward && varies[at] && (op.is_heavy() || op.is_dear());
                keep.then_some(Operand::Kept(value))
            };
            match operand {
                Some(operand) => _ = leaves.insert(value, operand),
                None => open.extend(self.graph.args(value)),
            }
        }
        leaves
    }

    /// Everything between leaves and roots, operands before users.
    fn reached(&self, roots: &[ValueId], leaves: &BTreeMap<ValueId, Operand>) -> BTreeSet<ValueId> {
        let mut reached = BTreeSet::new();
        let mut open = roots.to_vec();
        while let Some(value) = open.pop() {
            if reached.insert(value) && !leaves.contains_key(&value) {
                open.extend(self.graph.args(value));
            }
        }
        reached
    }
}

/// The forward recurrence, and where in its results things lie.
struct Forward<'a> {
    scan: &'a Shared,
    args: &'a [ValueId],
    results: Vec<ValueId>,
    /// Which result stacks a value that was kept.
    kept: HashMap<ValueId, usize>,
    origin: OriginId,
}

impl<'a> Forward<'a> {
    fn new(
        graph: &mut Graph,
        scan: &'a Shared,
        args: &'a [ValueId],
        kept: &[ValueId],
        origin: OriginId,
    ) -> Forward<'a> {
        let mut extended: Scan = Scan::clone(scan);
        let mut at = HashMap::new();
        for value in kept {
            let there = extended.body.outputs.iter().position(|output| output.value == *value);
            at.insert(*value, there.unwrap_or(extended.body.outputs.len()));
            if there.is_none() {
                extended.body.outputs.push(Output { name: format!("kept %{}", value.0), value: *value });
            }
        }
        let larger = extended.body.outputs.len() > scan.body.outputs.len();
        let all =
            if larger { Shared::new(Scan { extends: Some(scan.clone()), ..extended }) } else { scan.clone() };
        let results = results(graph, &all, args, origin);
        Forward { scan, args, results, kept: at, origin }
    }

    fn operand(&self, graph: &mut Graph, operand: Operand, dys: &[Option<ValueId>]) -> ValueId {
        let dy = |k: usize| dys[k].expect("only gradients that are there are operands");
        match operand {
            Operand::Zero(state) => {
                let ty: Type = self.scan.body.ty(self.scan.body.outputs[state].value).clone();
                graph.filled(0.0, &ty, self.origin)
            }
            Operand::Before(state) => self.rows(graph, self.results[state], false),
            Operand::Same(arg) => self.args[arg],
            Operand::Kept(value) => match self.kept[&value] {
                state if state < self.scan.states => self.rows(graph, self.results[state], true),
                result => self.results[result],
            },
            Operand::ByHistory(state) => self.rows(graph, dy(state), true),
            Operand::ByEmitted(result) => dy(result),
        }
    }

    /// The rows of a history before or after each turn.
    fn rows(&self, graph: &mut Graph, history: ValueId, after: bool) -> ValueId {
        let start = u64::from(after != self.scan.reverse);
        let end = Size::Known(start).add(&self.scan.axis.size);
        graph.add(Op::Slice { axis: 0, start: Size::Known(start), end }, &[history], self.origin)
    }

    /// The row of a history that belongs to the first value.
    fn row(&self, graph: &mut Graph, history: ValueId) -> ValueId {
        let start = if self.scan.reverse { self.scan.axis.size.clone() } else { Size::Known(0) };
        let end = start.add(&Size::Known(1));
        let row = graph.add(Op::Slice { axis: 0, start, end }, &[history], self.origin);
        let axes: Vec<Axis> = graph.ty(row).axes[1..].to_vec();
        graph.add(Op::Reshape { axes }, &[row], self.origin)
    }

    /// The gradient by a state's first value: what the last backward turn leaves, and its own part of the history.
    fn first(&self, graph: &mut Graph, history: ValueId, dy: Option<ValueId>) -> ValueId {
        let left = self.row(graph, history);
        match dy {
            Some(dy) => {
                let own = self.row(graph, dy);
                let axes = graph.ty(left).axes.clone();
                let own = graph.add(Op::Reshape { axes }, &[own], self.origin);
                graph.add(Op::Binary(Binary::Add), &[left, own], self.origin)
            }
            None => left,
        }
    }
}

/// Which values of a body carry a gradient back to an input that is asked for.
fn carried(body: &Graph, asked: &[bool]) -> Vec<bool> {
    let mut carried = vec![false; body.len()];
    for value in body.values() {
        let node = body.node(value);
        let from = || body.args(value).iter().any(|arg| carried[arg.0 as usize]);
        let own = matches!(&node.op, Op::Input(i) if asked[i.0 as usize]);
        carried[value.0 as usize] = node.op != Op::Stop && node.ty.dtype.is_float() && (own || from());
    }
    carried
}
