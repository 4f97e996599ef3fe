//! In which order units run, and which new values of variables are written straight over the old.
//!
//! A variable's new value goes straight into its place where every reader of the old value can run first and
//! the writer itself reads it only element by element. Otherwise it is made in scratch and copied at the end.
//! Among the units that may run next the one goes first that leaves the least in memory; of equals the first.
//!
//! What a device sends and receives is one chain in the order of the channels' numbers: as all devices keep to it, no two
//! can wait for each other (`waits`). Sends go first and receives last among what may run next, so that others wait as
//! little as can be for this device, and this one for others.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use strata_runtime::plan::Way;

use super::build::{Sink, Task, What, build};
use super::fuse::{Fused, Transfer, Unit, Work, dtype_of};
use super::nest::Role;
use super::values::{Source, row_major};
use crate::graph::{Graph, ValueId};
use crate::ops::VariableId;

/// Units in order.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// What runs, from first to last.
    pub units: Vec<Unit>,
    /// What lies elsewhere than in the region's scratch.
    pub homes: BTreeMap<Source, Home>,
}

/// A place that is there before the region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// A variable's.
    Variable(VariableId),
    /// Where the loop around puts this output of its body.
    Row(usize),
}

/// Orders the units of `fused`; `homes` have been given already.
pub fn schedule(graph: &Graph, fused: &Fused, mut homes: BTreeMap<Source, Home>) -> Schedule {
    let mut plan = Order::new(fused.units.clone());
    plan.chain_transfers();
    let (makers, readers) = plan.index();
    for (update, source) in graph.updates.iter().zip(&fused.updates) {
        let variable = update.variable;
        let readers = readers.get(&Source::Variable(variable)).cloned().unwrap_or_default();
        let writer = makers[source];
        let in_place = !homes.contains_key(source)
            && element_wise(&plan.units[writer], *source, variable)
            && readers.iter().all(|r| *r == writer || !plan.reaches(writer, *r));
        if in_place {
            homes.insert(*source, Home::Variable(variable));
            readers.into_iter().filter(|r| *r != writer).for_each(|reader| plan.put_before(reader, writer));
        } else {
            let copy = copy(graph, fused, update.value, *source, variable);
            let at = plan.push(copy);
            readers.into_iter().chain([writer]).for_each(|before| plan.put_before(before, at));
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
        Work::Product(_)
        | Work::Convolve(..)
        | Work::Pool(..)
        | Work::Table(_)
        | Work::Transfer(_)
        | Work::Scan(_) => false,
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

/// When a unit's turn comes among those that may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    /// Others may be waiting for it.
    Send,
    /// Where nothing waits for anything but this device.
    Work,
    /// There may be nothing yet to receive.
    Receive,
}

impl Turn {
    fn of(unit: &Unit) -> Turn {
        match unit.work {
            Work::Transfer(Transfer { way: Way::Send, .. }) => Turn::Send,
            Work::Transfer(Transfer { way: Way::Receive, .. }) => Turn::Receive,
            Work::Nests(_)
            | Work::Product(_)
            | Work::Convolve(..)
            | Work::Pool(..)
            | Work::Table(_)
            | Work::Scan(_) => Turn::Work,
        }
    }
}

/// Units and which of them must run before which.
struct Order {
    units: Vec<Unit>,
    before: Vec<BTreeSet<usize>>,
    after: Vec<BTreeSet<usize>>,
    /// By unit: larger than those of the units before it.
    levels: Vec<usize>,
}

impl Order {
    fn new(units: Vec<Unit>) -> Order {
        let empty = vec![BTreeSet::new(); units.len()];
        let levels = vec![0; units.len()];
        let mut order = Order { units, before: empty.clone(), after: empty, levels };
        let makers = order.index().0;
        for at in 0..order.units.len() {
            let reads = order.units[at].reads.clone();
            reads.iter().filter_map(|read| makers.get(read)).for_each(|maker| order.put_before(*maker, at));
        }
        order
    }

    fn push(&mut self, unit: Unit) -> usize {
        self.units.push(unit);
        self.before.push(BTreeSet::new());
        self.after.push(BTreeSet::new());
        self.levels.push(0);
        self.units.len() - 1
    }

    /// Puts transfers into the order of their channels.
    ///
    /// # Panics
    /// If what is to be sent needs what only a channel of a larger number brings.
    fn chain_transfers(&mut self) {
        let numbered = self.units.iter().enumerate();
        let number = |(at, unit): (usize, &Unit)| {
            let Work::Transfer(Transfer { channel, .. }) = unit.work else { return None };
            Some((channel.0, at))
        };
        let mut chain: Vec<(u32, usize)> = numbered.filter_map(number).collect();
        chain.sort_unstable();
        for pair in chain.windows(2) {
            let [(before, first), (after, second)] = [pair[0], pair[1]];
            assert!(before < after, "channel {before} is used twice by one device");
            assert!(
                !self.reaches(second, first),
                "what goes by channel {before} waits for channel {after}, which has a larger number"
            );
            self.put_before(first, second);
        }
    }

    /// `first` must run before `second`, which it does not depend on.
    fn put_before(&mut self, first: usize, second: usize) {
        self.before[second].insert(first);
        self.after[first].insert(second);
        let mut open = vec![(second, self.levels[first] + 1)];
        while let Some((at, level)) = open.pop() {
            if level > self.levels[at] {
                self.levels[at] = level;
                open.extend(self.after[at].iter().map(|after| (*after, level + 1)));
            }
        }
    }

    /// Which unit makes each tensor, and which read it.
    fn index(&self) -> (HashMap<Source, usize>, HashMap<Source, Vec<usize>>) {
        let (mut makers, mut readers) = (HashMap::new(), HashMap::<Source, Vec<usize>>::new());
        for (i, unit) in self.units.iter().enumerate() {
            makers.extend(unit.writes.iter().map(|w| (*w, i)));
            for read in BTreeSet::from_iter(unit.reads.iter().copied()) {
                readers.entry(read).or_default().push(i);
            }
        }
        (makers, readers)
    }

    /// Whether `to` must run after `from`.
    fn reaches(&self, from: usize, to: usize) -> bool {
        let mut seen = BTreeSet::new();
        let mut open = vec![to];
        while let Some(at) = open.pop() {
            if at == from {
                return true;
            }
            if self.levels[at] > self.levels[from] && seen.insert(at) {
                open.extend(&self.before[at]);
            }
        }
        false
    }

    fn sort(&self, size: impl Fn(&Source) -> usize, kept: &BTreeSet<Source>) -> Vec<usize> {
        // By tensor: its size, and how many units have yet to read it.
        let mut tensors: HashMap<Source, (usize, usize)> = HashMap::new();
        for unit in &self.units {
            for source in unit.reads.iter().chain(&unit.writes) {
                let readers = usize::from(kept.contains(source));
                tensors.entry(*source).or_insert_with(|| (size(source), readers));
            }
            for read in &unit.reads {
                tensors.get_mut(read).expect("every tensor was entered").1 += 1;
            }
        }
        let mut waits: Vec<usize> = self.before.iter().map(BTreeSet::len).collect();
        let mut ready: BTreeSet<usize> = (0..self.units.len()).filter(|i| waits[*i] == 0).collect();
        let mut order = Vec::with_capacity(self.units.len());
        while !ready.is_empty() {
            let growth = |i: &usize| -> (Turn, i64, usize) {
                let unit = &self.units[*i];
                let made: usize = unit.writes.iter().map(|w| tensors[w].0).sum();
                let dead = unit.reads.iter().map(|r| tensors[r]).filter(|(_, readers)| *readers == 1);
                (Turn::of(unit), made as i64 - dead.map(|(size, _)| size).sum::<usize>() as i64, *i)
            };
            let next = ready.iter().copied().min_by_key(growth).expect("the set is not empty");
            ready.remove(&next);
            order.push(next);
            for read in &self.units[next].reads {
                tensors.get_mut(read).expect("every tensor was entered").1 -= 1;
            }
            for user in &self.after[next] {
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
