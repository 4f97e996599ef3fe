//! Which axis of each kernel is dealt out over threads, and which part of each operand a thread then touches.
//!
//! Reduced axes are never dealt, so no bit depends on the number of threads. A nest is dealt along its
//! outermost loop, cut the way its largest operand was cut when it was written: then no barrier is needed.

use std::collections::BTreeMap;

use strata_runtime::kernels::Entry;
use strata_runtime::plan::{Deal, Extent};

use super::build::Built;
use super::fuse::{Fused, Unit, Work, dtype_of};
use super::nest::{Map, Nest, Pattern, Role};
use super::product::{Operand, Product};
use super::values::Source;
use crate::graph::Graph;

/// Elements at whose multiples a fine cut is made: a cache line.
const LINE: usize = 16;
/// A loop this long is shared well enough by any number of threads to look no further.
const LONG: usize = 16;

/// One call: a kernel, or one nest of a unit.
#[derive(Clone, Debug)]
pub struct Dealt {
    /// The unit: an index into the schedule.
    pub unit: usize,
    /// Which of its nests.
    pub part: usize,
    /// How it is dealt out.
    pub deal: Deal,
    /// Turns of a nest's dealt loop for one index of the dealt axis.
    pub unit_turns: usize,
    /// How a product is shared.
    pub sharing: Sharing,
    /// What a thread touches: source, whether written, which part.
    pub accesses: Vec<(Source, bool, Extent)>,
}

/// Which axis of a product is dealt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Rows, or whatever a kernel other than a product shares.
    Rows,
    /// Columns.
    Columns,
    /// Turns of the outermost loop around it.
    Around,
}

/// Deals out every unit; sets `dealt` in the nests.
pub fn deal(graph: &Graph, fused: &Fused, units: &mut [Unit]) -> Vec<Dealt> {
    let mut cuts: BTreeMap<Source, Deal> = BTreeMap::new();
    let mut calls = Vec::new();
    for (index, unit) in units.iter_mut().enumerate() {
        let size = |source: Source| dtype_of(graph, source, fused).1.iter().product::<usize>();
        let first = calls.len();
        match &mut unit.work {
            Work::Nests(nests) => {
                for (part, built) in nests.iter_mut().enumerate() {
                    let (deal, unit_turns) = deal_nest(built, &cuts, |s| dtype_of(graph, s, fused).1);
                    let accesses = nest_accesses(built, deal, unit_turns, size);
                    let sharing = Sharing::Rows;
                    calls.push(Dealt { unit: index, part, deal, unit_turns, sharing, accesses });
                }
            }
            Work::Product(product) => {
                let (deal, sharing) = deal_product(product);
                let accesses = product_accesses(product, deal, sharing, &unit.reads, unit.writes[0], size);
                calls.push(Dealt { unit: index, part: 0, deal, unit_turns: 1, sharing, accesses });
            }
            Work::Convolve(entry, desc) => {
                let rows = *entry == Entry::ConvolveWeightGradient;
                let count = if rows { desc.weight_rows() } else { desc.images } as usize;
                let deal = Deal::Shares { count, align: 1 };
                let read = |i: usize, extent| (unit.reads[i], false, extent);
                let left = if rows { Extent::Whole } else { Extent::Share };
                let accesses =
                    vec![read(0, left), read(1, Extent::Whole), (unit.writes[0], true, Extent::Share)];
                calls.push(Dealt {
                    unit: index,
                    part: 0,
                    deal,
                    unit_turns: 1,
                    sharing: Sharing::Rows,
                    accesses,
                });
            }
            Work::Pool(_, desc) => {
                let deal = Deal::Shares { count: desc.images as usize, align: 1 };
                let reads = unit.reads.iter().map(|s| (*s, false, Extent::Share));
                let accesses = reads.chain([(unit.writes[0], true, Extent::Share)]).collect();
                calls.push(Dealt {
                    unit: index,
                    part: 0,
                    deal,
                    unit_turns: 1,
                    sharing: Sharing::Rows,
                    accesses,
                });
            }
        }
        for call in &calls[first..] {
            for (source, write, extent) in &call.accesses {
                match (*write, extent) {
                    (true, Extent::Share) => {
                        cuts.insert(*source, call.deal);
                    }
                    (true, Extent::Whole) => {
                        cuts.remove(source);
                    }
                    (false, Extent::Share | Extent::Whole) => {}
                }
            }
        }
    }
    calls
}

/// The loop that threads share, and how it is cut.
fn deal_nest(
    built: &mut Built,
    cuts: &BTreeMap<Source, Deal>,
    dims: impl Fn(Source) -> Vec<usize>,
) -> (Deal, usize) {
    let nest = &mut built.nest;
    let kept: Vec<usize> = (0..nest.loops.len()).filter(|i| nest.loops[*i].role == Role::Kept).collect();
    let searched = nest.pattern() == Pattern::Search;
    let outermost = kept.first().copied();
    let longest = kept.iter().copied().max_by_key(|i| (nest.loops[*i].size, std::cmp::Reverse(*i)));
    let chosen = outermost.filter(|i| nest.loops[*i].size >= LONG || searched).or(longest);
    nest.dealt = chosen;
    let Some(at) = chosen else { return (Deal::First, 1) };
    let size = nest.loops[at].size;
    if size == 0 {
        return (Deal::Shares { count: 0, align: 1 }, 1);
    }
    let mut known: Vec<(usize, Deal)> = built
        .sources
        .iter()
        .filter_map(|source| Some((dims(*source).iter().product::<usize>(), *cuts.get(source)?)))
        .collect();
    known.sort_by_key(|(elements, _)| std::cmp::Reverse(*elements));
    for (_, deal) in known {
        if let Deal::Shares { count, .. } = deal
            && count > 0
            && size.is_multiple_of(count)
            && (count == size || at == 0)
        {
            return (deal, size / count);
        }
    }
    let target = nest.stores.first().map(|s| s.operand).or(nest.folds.first().map(|f| f.operand));
    let axes = target.map(|operand| dims(built.sources[operand])).unwrap_or_default();
    let products = axes.iter().scan(1, |product, dim| {
        *product *= dim;
        Some(*product)
    });
    let mut leading = products.filter(|p| *p >= LONG && size.is_multiple_of(*p));
    let count = if at == 0 { leading.next().unwrap_or(size) } else { size };
    let turns = size / count;
    (Deal::Shares { count, align: LINE.div_ceil(turns) }, turns)
}

/// Whether indices of the dealt axis touch equal pieces of a tensor, one after the other.
struct Cut {
    /// Elements of the tensor.
    elements: usize,
    /// Length of the dealt axis.
    count: usize,
}

impl Cut {
    /// `step`: elements from one index to the next; `reach`: the furthest that one index goes beyond its start.
    fn extent(&self, step: i64, reach: i64) -> Extent {
        let fits = step > 0 && step as usize * self.count == self.elements && (0..step).contains(&reach);
        if fits { Extent::Share } else { Extent::Whole }
    }
}

fn nest_accesses(
    built: &Built,
    deal: Deal,
    turns: usize,
    size: impl Fn(Source) -> usize,
) -> Vec<(Source, bool, Extent)> {
    let nest = &built.nest;
    let mut touched: BTreeMap<(Source, bool), Extent> = BTreeMap::new();
    let mut touch = |operand: usize, write: bool, map: &Map| {
        let source = built.sources[operand];
        let extent = map_extent(nest, deal, turns, size(source), map);
        let entry = touched.entry((source, write)).or_insert(extent);
        if extent == Extent::Whole {
            *entry = Extent::Whole;
        }
    };
    for expr in &nest.exprs {
        if let super::nest::Expr::Load(operand, map) = expr {
            touch(*operand, false, map);
        }
    }
    nest.stores.iter().for_each(|s| touch(s.operand, true, &s.map));
    nest.folds.iter().for_each(|f| touch(f.operand, true, &f.map));
    touched.into_iter().map(|((source, write), extent)| (source, write, extent)).collect()
}

fn map_extent(nest: &Nest, deal: Deal, turns: usize, elements: usize, map: &Map) -> Extent {
    let (Deal::Shares { count, .. }, Some(at)) = (deal, nest.dealt) else { return Extent::Whole };
    let others = (0..nest.loops.len()).filter(|i| *i != at);
    let reach = others.map(|i| map.terms[i] * (nest.loops[i].size as i64 - 1).max(0)).sum::<i64>();
    let negative = map.terms.iter().any(|t| *t < 0);
    let own = map.terms[at] * (turns as i64 - 1);
    let extent = Cut { elements, count }.extent(map.terms[at] * turns as i64, map.start + reach + own);
    if negative { Extent::Whole } else { extent }
}

/// Turns of the outermost loop around where there are enough, else rows, else columns.
fn deal_product(product: &Product) -> (Deal, Sharing) {
    let (rows, columns) = (product.desc.m as usize, product.desc.n as usize);
    if let Some(around) = product.around.first()
        && (around.count >= LONG || around.count >= rows.max(columns))
    {
        return (Deal::Shares { count: around.count, align: 1 }, Sharing::Around);
    }
    if rows >= LONG || rows >= columns {
        (Deal::Shares { count: rows, align: 1 }, Sharing::Rows)
    } else {
        (Deal::Shares { count: columns, align: LINE }, Sharing::Columns)
    }
}

fn product_accesses(
    product: &Product,
    deal: Deal,
    sharing: Sharing,
    reads: &[Source],
    write: Source,
    size: impl Fn(Source) -> usize,
) -> Vec<(Source, bool, Extent)> {
    let Deal::Shares { count, .. } = deal else { unreachable!("products are dealt") };
    let desc = &product.desc;
    let steps = [[desc.a_row, desc.a_column], [desc.b_row, desc.b_column], [desc.c_row, desc.c_column]];
    // Axes of A, B and C as (length, which).
    let axes = [[desc.m, desc.k], [desc.k, desc.n], [desc.m, desc.n]];
    let dealt: [Option<usize>; 3] = match sharing {
        Sharing::Rows => [Some(0), None, Some(0)],
        Sharing::Columns => [None, Some(1), Some(1)],
        Sharing::Around => [None; 3],
    };
    let extent = |operand: usize, source: Source, start: i64| {
        let skip = usize::from(sharing == Sharing::Around);
        let (mut step, mut reach) = (0, start);
        if skip == 1 {
            step = product.around[0].steps[operand];
        }
        for around in &product.around[skip..] {
            reach += around.steps[operand] * (around.count as i64 - 1).max(0);
        }
        for (axis, (length, stride)) in axes[operand].iter().zip(steps[operand]).enumerate() {
            if dealt[operand] == Some(axis) {
                step = stride;
            } else {
                reach += stride * (*length as i64 - 1).max(0);
            }
        }
        Cut { elements: size(source), count }.extent(step, reach)
    };
    let start = |operand: &Operand| match operand {
        Operand::View(view) => view.start,
        Operand::Copy(..) => 0,
    };
    vec![
        (reads[0], false, extent(0, reads[0], start(&product.operands[0]))),
        (reads[1], false, extent(1, reads[1], start(&product.operands[1]))),
        (write, true, extent(2, write, 0)),
    ]
}
