//! Where every stored value lies in the scratch arena, and for how long.
//!
//! A nest may write its result over an operand that nobody needs afterwards and that it reads only where it
//! writes. What then remains is packed from the largest to the smallest, each into the tightest gap between
//! what is alive at the same time. The scratch of a recurrence's body is one block, alive while it runs.

use std::collections::BTreeMap;

use strata_runtime::plan::ALIGN;

use super::fuse::{Fused, Unit, Work, dtype_of};
use super::schedule::Schedule;
use super::values::Source;
use crate::graph::Graph;

/// The scratch arena.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// Bytes from the arena's start.
    pub offsets: BTreeMap<Source, usize>,
    /// Where the scratch of a recurrence's body begins, by unit of the schedule.
    pub bodies: BTreeMap<usize, usize>,
    /// Size of the arena.
    pub bytes: usize,
    /// The most bytes that are alive at once.
    pub live: usize,
}

/// A stretch of the arena for a stretch of the schedule, both ends included.
#[derive(Clone, Debug)]
struct Block {
    bytes: usize,
    first: usize,
    last: usize,
    offset: usize,
}

/// Places the scratch values of a schedule.
pub fn arrange(graph: &Graph, fused: &Fused, schedule: &Schedule) -> Memory {
    let in_scratch = |source: &Source| match source {
        Source::Value(_) | Source::Copy(_) => !schedule.homes.contains_key(source),
        Source::Input(_) | Source::Variable(_) | Source::Updated(_) | Source::Seed | Source::Step => false,
    };
    let mut last: BTreeMap<Source, usize> = BTreeMap::new();
    for (i, unit) in schedule.units.iter().enumerate() {
        for source in unit.writes.iter().chain(&unit.reads).filter(|s| in_scratch(s)) {
            last.insert(*source, i);
        }
    }
    for output in fused.outputs.iter().filter(|s| in_scratch(s)) {
        last.insert(*output, schedule.units.len());
    }
    let mut blocks: Vec<Block> = Vec::new();
    let mut block_of: BTreeMap<Source, usize> = BTreeMap::new();
    let mut bodies: BTreeMap<usize, usize> = BTreeMap::new();
    for (i, unit) in schedule.units.iter().enumerate() {
        let mut taken = Vec::new();
        if let Work::Scan(recurrence) = &unit.work {
            bodies.insert(i, blocks.len());
            let bytes = recurrence.body.memory.bytes.next_multiple_of(ALIGN);
            blocks.push(Block { bytes, first: i, last: i, offset: 0 });
        }
        for write in unit.writes.iter().filter(|s| in_scratch(s)) {
            let (dtype, dims) = dtype_of(graph, *write, fused);
            let bytes = (dims.iter().product::<usize>() * dtype.bytes()).next_multiple_of(ALIGN);
            let dying = unit.reads.iter().filter(|r| in_scratch(r) && last[r] == i);
            let reused = dying.copied().find(|read| {
                !taken.contains(read)
                    && dtype_of(graph, *read, fused) == (dtype, dims.clone())
                    && may_replace(unit, *read, *write)
            });
            let block = match reused {
                Some(read) => {
                    taken.push(read);
                    block_of[&read]
                }
                None => {
                    blocks.push(Block { bytes, first: i, last: i, offset: 0 });
                    blocks.len() - 1
                }
            };
            blocks[block].last = blocks[block].last.max(last[write]);
            block_of.insert(*write, block);
        }
    }
    let bytes = pack(&mut blocks);
    let at = |i: usize| blocks.iter().filter(|b| b.first <= i && i <= b.last).map(|b| b.bytes).sum();
    Memory {
        offsets: block_of.iter().map(|(source, block)| (*source, blocks[*block].offset)).collect(),
        bodies: bodies.into_iter().map(|(unit, block)| (unit, blocks[block].offset)).collect(),
        bytes,
        live: (0..schedule.units.len()).map(at).max().unwrap_or(0),
    }
}

/// Whether `unit` may write `write` where `read` lies: it touches no element of it after writing there.
fn may_replace(unit: &Unit, read: Source, write: Source) -> bool {
    match &unit.work {
        Work::Nests(nests) => match nests.as_slice() {
            [built] => {
                let operand = |source| built.sources.iter().position(|s| *s == source);
                let store = built.nest.stores.iter().find(|s| Some(s.operand) == operand(write));
                store.zip(operand(read)).is_some_and(|(store, read)| built.nest.only_at(read, &store.map))
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

/// Gives every block an offset; returns the size of the arena.
fn pack(blocks: &mut [Block]) -> usize {
    let mut order: Vec<usize> = (0..blocks.len()).collect();
    order.sort_by_key(|i| (std::cmp::Reverse(blocks[*i].bytes), blocks[*i].first));
    let mut placed: Vec<usize> = Vec::new();
    let mut size = 0;
    for i in order {
        let block = &blocks[i];
        let beside = |j: &&usize| blocks[**j].first <= block.last && block.first <= blocks[**j].last;
        let mut neighbours: Vec<(usize, usize)> = placed
            .iter()
            .filter(beside)
            .map(|j| (blocks[*j].offset, blocks[*j].offset + blocks[*j].bytes))
            .collect();
        neighbours.sort_unstable();
        let (mut end, mut best) = (0, None);
        for (from, to) in neighbours {
            let gap = from.saturating_sub(end);
            if gap >= block.bytes && best.is_none_or(|(_, room)| gap < room) {
                best = Some((end, gap));
            }
            end = end.max(to);
        }
        let offset = best.map_or(end, |(offset, _)| offset);
        size = size.max(offset + block.bytes);
        blocks[i].offset = offset;
        placed.push(i);
    }
    size
}
