//! In which order units run, and which new values of variables are written straight over the old.
//!
//! A variable's new value goes straight into its place where every reader of the old value can run first and
//! the writer itself reads it only element by element. Otherwise it is made in scratch and copied at the end.
//! Among the units that may run next the one goes first that leaves the least in memory; of equals the first.

use std::collections::{BTreeMap, BTreeSet};

use super::build::{Sink, Task, What, build};
use super::fuse::{Fused, Unit, Work, dtype_of};
use super::nest::Role;
use super::values::{Source, row_major};
use crate::graph::{Graph, ValueId};
use crate::ops::VariableId;

/// Units in order.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// What runs, from first to last.
    pub units: Vec<Unit>,
    /// What lies in a variable's place instead of in scratch.
    pub homes: BTreeMap<Source, VariableId>,
}

/// Orders the units of `fused`.
pub fn schedule(graph: &Graph, fused: &Fused) -> Schedule {
    let mut plan = Order::new(fused.units.clone());
    let mut homes: BTreeMap<Source, VariableId> = BTreeMap::new();
    for (update, source) in graph.updates.iter().zip(&fused.updates) {
        let variable = update.variable;
        let readers = plan.readers(Source::Variable(variable));
        let writer = plan.writer(*source);
        let in_place = !homes.contains_key(source)
            && element_wise(&plan.units[writer], *source, variable)
            && readers.iter().all(|r| *r == writer || !plan.reaches(writer, *r));
        if in_place {
            homes.insert(*source, variable);
            for reader in readers.into_iter().filter(|r| *r != writer) {
                plan.before[writer].insert(reader);
            }
        } else {
            let copy = copy(graph, fused, update.value, *source, variable);
            plan.units.push(copy);
            plan.before.push(BTreeSet::from_iter(readers.into_iter().chain([writer])));
        }
    }
    let size = |source: &Source| {
        let scratch = matches!(source, Source::Value(_) | Source::Copy(_)) && !homes.contains_key(source);
        let (dtype, dims) = dtype_of(graph, *source, fused);
        if scratch { dims.iter().product::<usize>() * dtype.bytes() } else { 0 }
    };
    let kept: BTreeSet<Source> = fused.outputs.iter().copied().collect();
    let order = plan.sort(size, &kept);
    Schedule { units: order.into_iter().map(|i| plan.units[i].clone()).collect(), homes }
}

/// Whether `unit` touches the old value of `variable` only where it writes the new one.
fn element_wise(unit: &Unit, target: Source, variable: VariableId) -> bool {
    let old = Source::Variable(variable);
    if !unit.reads.contains(&old) {
        return true;
    }
    match &unit.work {
        Work::Nests(nests) => match nests.as_slice() {
            [built] => {
                let operand = |source| built.sources.iter().position(|s| *s == source);
                let store = built.nest.stores.iter().find(|s| Some(s.operand) == operand(target));
                store.zip(operand(old)).is_some_and(|(store, old)| built.nest.only_at(old, &store.map))
            }
            _ => false,
        },
        Work::Product(_) | Work::Convolve(..) | Work::Pool(..) => false,
    }
}

/// A unit that copies `source` into the place of `variable`.
fn copy(graph: &Graph, fused: &Fused, value: ValueId, source: Source, variable: VariableId) -> Unit {
    let (dtype, space) = dtype_of(graph, source, fused);
    let target = Source::Updated(variable);
    let sink = Sink {
        what: What::Stored(source, dtype),
        combine: None,
        target,
        strides: row_major(&space),
        start: 0,
    };
    let task = Task { roles: vec![Role::Kept; space.len()], space, sinks: vec![sink] };
    let built = build(graph, &fused.stored, &task).expect("a copy of what is stored is always possible");
    Unit {
        work: Work::Nests(vec![built]),
        reads: vec![source],
        writes: vec![target],
        origin: graph.node(value).origin,
    }
}

/// Units and which of them must run before which.
struct Order {
    units: Vec<Unit>,
    before: Vec<BTreeSet<usize>>,
}

impl Order {
    fn new(units: Vec<Unit>) -> Order {
        let mut makers: BTreeMap<Source, usize> = BTreeMap::new();
        for (i, unit) in units.iter().enumerate() {
            makers.extend(unit.writes.iter().map(|w| (*w, i)));
        }
        let before = units.iter().map(|u| u.reads.iter().filter_map(|r| makers.get(r).copied()).collect());
        let before = before.collect();
        Order { units, before }
    }

    fn readers(&self, source: Source) -> Vec<usize> {
        (0..self.units.len()).filter(|i| self.units[*i].reads.contains(&source)).collect()
    }

    fn writer(&self, source: Source) -> usize {
        let at = self.units.iter().position(|u| u.writes.contains(&source));
        at.expect("every stored value has a unit that makes it")
    }

    /// Whether `to` must run after `from`.
    fn reaches(&self, from: usize, to: usize) -> bool {
        let mut seen = BTreeSet::new();
        let mut open = vec![to];
        while let Some(at) = open.pop() {
            if at == from {
                return true;
            }
            if seen.insert(at) {
                open.extend(&self.before[at]);
            }
        }
        false
    }

    fn sort(&self, size: impl Fn(&Source) -> usize, kept: &BTreeSet<Source>) -> Vec<usize> {
        let mut readers: BTreeMap<Source, usize> = BTreeMap::new();
        for unit in &self.units {
            unit.reads.iter().for_each(|r| *readers.entry(*r).or_default() += 1);
        }
        let mut waits: Vec<usize> = self.before.iter().map(BTreeSet::len).collect();
        let mut after: Vec<Vec<usize>> = vec![Vec::new(); self.units.len()];
        for (i, before) in self.before.iter().enumerate() {
            before.iter().for_each(|b| after[*b].push(i));
        }
        let mut ready: BTreeSet<usize> = (0..self.units.len()).filter(|i| waits[*i] == 0).collect();
        let mut order = Vec::with_capacity(self.units.len());
        while !ready.is_empty() {
            let growth = |i: &usize| -> (i64, usize) {
                let unit = &self.units[*i];
                let made: usize = unit.writes.iter().map(&size).sum();
                let dead = unit.reads.iter().filter(|r| readers[r] == 1 && !kept.contains(r));
                (made as i64 - dead.map(&size).sum::<usize>() as i64, *i)
            };
            let next = ready.iter().copied().min_by_key(growth).expect("the set is not empty");
            ready.remove(&next);
            order.push(next);
            for read in &self.units[next].reads {
                *readers.get_mut(read).expect("every read was counted") -= 1;
            }
            for user in &after[next] {
                waits[*user] -= 1;
                if waits[*user] == 0 {
                    ready.insert(*user);
                }
            }
        }
        assert_eq!(order.len(), self.units.len(), "units wait for each other in a circle");
        order
    }
}
