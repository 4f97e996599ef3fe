//! Which axes of each kernel's result are dealt out over threads, and which part of each operand a thread then
//! touches: both follow from the operators' axis rules (`crate::partition`).
//!
//! Reduced axes are never dealt, so no bit depends on the number of threads. Activations are dealt by examples,
//! gradients of weights and their updates by rows: a nest is dealt along the outermost loop, cut the way its
//! largest operand was cut when it was written, and then no barrier is needed.

use std::collections::BTreeMap;

use strata_runtime::kernels::Entry;
use strata_runtime::plan::{Deal, Extent};

use super::build::Built;
use super::fuse::{Fused, Unit, Work, dtype_of};
use super::nest::{Expr, Map, Nest, Pattern, Role};
use super::product::{Operand, Product};
use super::reach;
use super::values::{Source, row_major};
use crate::graph::{Graph, ValueId};
use crate::partition::{Split, demands, needs};

/// Elements at whose multiples a fine cut is made: a cache line.
const LINE: usize = 16;
/// A loop this long is shared well enough by any number of threads to look no further.
const LONG: usize = 16;

/// One call: a kernel, or one nest of a unit.
#[derive(Clone, Debug)]
pub struct Dealt {
    /// Which of the unit's nests.
    pub part: usize,
    /// How it is dealt out.
    pub deal: Deal,
    /// Turns of a nest's dealt loop for one unit of the split.
    pub turns: usize,
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

/// How what was written was split; only where each thread wrote a stretch of its own.
pub type Written = BTreeMap<Source, (Split, Deal)>;

/// Deals out every unit; sets `dealt` in the nests. `written`: how what is there before was written. Returns the
/// calls of each unit, and how everything was written then. The loop of a recurrence follows the calls of its
/// unit, which write the first values.
pub fn deal(
    graph: &Graph,
    fused: &Fused,
    units: &mut [Unit],
    written: Written,
) -> (Vec<Vec<Dealt>>, Written) {
    let mut dealer = Dealer { graph, fused, written };
    let dealt = units.iter_mut().map(|unit| dealer.unit(unit)).collect();
    (dealt, dealer.written)
}

struct Dealer<'a> {
    graph: &'a Graph,
    fused: &'a Fused,
    written: Written,
}

impl Dealer<'_> {
    fn unit(&mut self, unit: &mut Unit) -> Vec<Dealt> {
        match &mut unit.work {
            Work::Nests(nests) => self.nests(nests),
            Work::Scan(recurrence) => self.nests(&mut recurrence.first),
            Work::Product(product) => {
                let (deal, sharing, split) = self.product(product, unit.writes[0]);
                let accesses = self.kernel_accesses(deal, split, &unit.reads, unit.writes[0], Some(product));
                reach::check_product(product, deal, sharing, &accesses, |s| self.elements(s));
                vec![Dealt { part: 0, deal, turns: 1, sharing, accesses }]
            }
            Work::Convolve(entry, desc) => {
                let count =
                    if *entry == Entry::ConvolveWeightGradient { desc.weight_rows() } else { desc.images };
                vec![self.by_first_axes(count, unit)]
            }
            Work::Pool(_, desc) => {
                let images = desc.images;
                vec![self.by_first_axes(images, unit)]
            }
            Work::Table(table) => {
                let count = table.count as u64;
                vec![self.by_first_axes(count, unit)]
            }
            Work::Transfer(_) => vec![self.transfer(unit)],
        }
    }

    fn nests(&mut self, nests: &mut [Built]) -> Vec<Dealt> {
        let mut calls = Vec::new();
        for (part, built) in nests.iter_mut().enumerate() {
            let (deal, turns) = self.nest(built);
            let accesses = self.nest_accesses(built, deal, turns);
            reach::check_nest(built, deal, turns, &accesses, |s| self.elements(s));
            calls.push(Dealt { part, deal, turns, sharing: Sharing::Rows, accesses });
        }
        calls
    }

    fn dims(&self, source: Source) -> Vec<usize> {
        dtype_of(self.graph, source, self.fused).1
    }

    fn elements(&self, source: Source) -> usize {
        self.dims(source).iter().product()
    }

    /// How a nest is dealt, and how many turns of the dealt loop make a unit.
    fn nest(&self, built: &mut Built) -> (Deal, usize) {
        let Some(at) = dealt_loop(&built.nest) else { return (Deal::First, 1) };
        built.nest.dealt = Some(at);
        let size = built.nest.loops[at].size;
        if size == 0 {
            return (Deal::Shares { count: 0, align: 1 }, 1);
        }
        let (target, map) = results(built).next().expect("a nest has a result");
        let dims = self.dims(target);
        let splits = splits(&dims, map.terms[at], size);
        let elements = |source: &Source| std::cmp::Reverse(self.elements(*source));
        let mut found: Vec<(Source, Deal, usize)> = Vec::new();
        for (split, turns) in &splits {
            let as_written = |(source, need): (Source, Option<Split>)| {
                let (written, deal) = self.written.get(&source)?;
                let Deal::Shares { count, .. } = deal else { return None };
                (need.as_ref() == Some(written) && count * turns == size).then_some((source, *deal, *turns))
            };
            let reads = self.reads(target, split).into_iter().filter(|(s, _)| built.sources.contains(s));
            found.extend(reads.filter_map(as_written));
        }
        if let Some((_, deal, turns)) = found.into_iter().min_by_key(|(source, ..)| elements(source)) {
            return (deal, turns);
        }
        let long = splits.iter().find(|(_, turns)| size / turns >= LONG).or(splits.last());
        let turns = long.map_or(1, |(_, turns)| *turns);
        let (count, align) = (size / turns, LINE.div_ceil(turns));
        if count <= align {
            // One thread would do it all: the first, which then need not wait for itself.
            built.nest.dealt = None;
            return (Deal::First, 1);
        }
        (Deal::Shares { count, align }, turns)
    }

    /// Turns of the outermost loop around where there are enough, else rows, else columns.
    fn product(&self, product: &Product, write: Source) -> (Deal, Sharing, Option<Split>) {
        let (rows, columns) = (product.desc.m as usize, product.desc.n as usize);
        let (count, step, sharing) = match product.around.first() {
            Some(around) if around.count >= LONG || around.count >= rows.max(columns) => {
                (around.count, around.steps[2], Sharing::Around)
            }
            Some(_) | None if rows >= LONG || rows >= columns => (rows, product.desc.c_row, Sharing::Rows),
            Some(_) | None => (columns, product.desc.c_column, Sharing::Columns),
        };
        let align = if sharing == Sharing::Columns { LINE } else { 1 };
        (Deal::Shares { count, align }, sharing, exact(&self.dims(write), step, count))
    }

    /// A kernel that shares its result's first axes, `count` in all: images, or the rows of a convolution's weights.
    fn by_first_axes(&mut self, count: u64, unit: &Unit) -> Dealt {
        let (count, write) = (count as usize, unit.writes[0]);
        let step = self.elements(write).checked_div(count).unwrap_or(0) as i64;
        let split = exact(&self.dims(write), step, count);
        let deal = Deal::Shares { count, align: 1 };
        let accesses = self.kernel_accesses(deal, split, &unit.reads, write, None);
        Dealt { part: 0, deal, turns: 1, sharing: Sharing::Rows, accesses }
    }

    /// One thread makes a whole transfer: it waits, and what it touches is only copied.
    fn transfer(&mut self, unit: &Unit) -> Dealt {
        let deal = Deal::First;
        unit.writes.iter().for_each(|write| self.note(*write, None, deal, Extent::Whole));
        let reads = unit.reads.iter().map(|read| (*read, false, Extent::Whole));
        let accesses = reads.chain(unit.writes.iter().map(|write| (*write, true, Extent::Whole))).collect();
        Dealt { part: 0, deal, turns: 1, sharing: Sharing::Rows, accesses }
    }

    /// What a part of a tensor, split so, is made of.
    fn reads(&self, target: Source, split: &Split) -> BTreeMap<Source, Option<Split>> {
        let graph = self.graph;
        let of = |needs: Vec<(ValueId, Option<Split>)>| {
            let stored = |value| self.fused.stored.source(graph, value);
            let found = demands(graph, needs, |value| stored(value).is_some());
            found.into_iter().map(|(value, need)| (stored(value).expect("it is at hand"), need)).collect()
        };
        match target {
            Source::Value(value) => {
                let args = graph.args(value);
                let needs = needs(graph, value, split).unwrap_or(vec![None; args.len()]);
                of(args.into_iter().zip(needs).collect())
            }
            Source::Copy(at) => {
                let (value, order) = &self.fused.copies[at];
                let backward: Vec<usize> = (0..order.len())
                    .map(|axis| order.iter().position(|of| *of == axis).expect("orders are permutations"))
                    .collect();
                of(vec![(*value, split.transposed(&backward))])
            }
            Source::Input(_) | Source::Variable(_) | Source::Updated(_) | Source::Seed | Source::Step => {
                BTreeMap::new()
            }
        }
    }

    fn extent(&self, source: Source, split: Option<&Split>, deal: Deal) -> Extent {
        let Deal::Shares { count, .. } = deal else { return Extent::Whole };
        match split {
            Some(split) if split.is_contiguous(&self.dims(source), count) => Extent::Share,
            Some(_) | None => Extent::Whole,
        }
    }

    fn nest_accesses(&mut self, built: &Built, deal: Deal, turns: usize) -> Vec<(Source, bool, Extent)> {
        let loads: Vec<Source> = loads(&built.nest).map(|(operand, _)| built.sources[operand]).collect();
        let mut touched: BTreeMap<(Source, bool), Extent> = BTreeMap::new();
        let mut touch = |source, write, extent| {
            let entry = touched.entry((source, write)).or_insert(extent);
            if extent == Extent::Whole {
                *entry = extent;
            }
        };
        for (target, map) in results(built) {
            let split = built.nest.dealt.and_then(|at| {
                let splits = splits(&self.dims(target), map.terms[at], built.nest.loops[at].size);
                Some(splits.into_iter().find(|(_, t)| *t == turns)?.0)
            });
            let written = self.extent(target, split.as_ref(), deal);
            touch(target, true, written);
            let mut reads = split.as_ref().map(|split| self.reads(target, split)).unwrap_or_default();
            if matches!(target, Source::Updated(_)) {
                reads.extend(loads.iter().map(|load| (*load, split.clone())));
            }
            // What this result is not made of, another is.
            for load in loads.iter().filter(|load| split.is_none() || reads.contains_key(load)) {
                let need = reads.get(load).and_then(Option::as_ref);
                let extent = if self.reads_where_it_writes(built, *load, target, map) {
                    written
                } else {
                    self.extent(*load, need, deal)
                };
                touch(*load, false, extent);
            }
            self.note(target, split, deal, written);
        }
        touched.into_iter().map(|((source, write), extent)| (source, write, extent)).collect()
    }

    /// Whether a nest touches of `load` just what it writes of `target`: only then may one lie over the other.
    fn reads_where_it_writes(&self, built: &Built, load: Source, target: Source, map: &Map) -> bool {
        let operand = built.sources.iter().position(|s| *s == load);
        self.elements(load) == self.elements(target)
            && operand.is_some_and(|operand| built.nest.only_at(operand, map))
    }

    fn kernel_accesses(
        &mut self,
        deal: Deal,
        split: Option<Split>,
        reads: &[Source],
        write: Source,
        product: Option<&Product>,
    ) -> Vec<(Source, bool, Extent)> {
        let Source::Value(value) = write else { unreachable!("kernels of the runtime make values") };
        let args = self.graph.args(value);
        let needs = split.as_ref().and_then(|split| needs(self.graph, value, split));
        let needs = needs.unwrap_or(vec![None; args.len()]);
        // Kernels may look through what is stored too, to what it is a view of.
        let read = |value| self.fused.stored.source(self.graph, value).filter(|s| reads.contains(s));
        let mut parts: BTreeMap<Source, Option<Split>> = BTreeMap::new();
        for (i, (arg, need)) in args.into_iter().zip(needs).enumerate() {
            let copied = product.map(|product| &product.operands[i]);
            let found = if let Some(Operand::Copy(_, order)) = copied {
                vec![(reads[i], need.and_then(|need| need.transposed(order)))]
            } else {
                let found = demands(self.graph, [(arg, need)], |value| read(value).is_some());
                found.into_iter().filter_map(|(value, need)| Some((read(value)?, need))).collect()
            };
            for (source, need) in found {
                let part = parts.entry(source).or_insert_with(|| need.clone());
                if *part != need {
                    *part = None;
                }
            }
        }
        let access = |source: &Source| {
            let need = parts.get(source).and_then(Option::as_ref);
            (*source, false, self.extent(*source, need, deal))
        };
        let mut accesses: Vec<_> = reads.iter().map(access).collect();
        let written = self.extent(write, split.as_ref(), deal);
        accesses.push((write, true, written));
        self.note(write, split, deal, written);
        accesses
    }

    /// Remembers how a tensor was written.
    fn note(&mut self, target: Source, split: Option<Split>, deal: Deal, written: Extent) {
        match (split, written) {
            (Some(split), Extent::Share) => self.written.insert(target, (split, deal)),
            _ => self.written.remove(&target),
        };
    }
}

/// The outermost kept loop if it is long enough, else the longest.
fn dealt_loop(nest: &Nest) -> Option<usize> {
    let kept: Vec<usize> = (0..nest.loops.len()).filter(|i| nest.loops[*i].role == Role::Kept).collect();
    let searched = nest.pattern() == Pattern::Search;
    let outermost = kept.first().copied();
    let longest = kept.iter().copied().max_by_key(|i| (nest.loops[*i].size, std::cmp::Reverse(*i)));
    outermost.filter(|i| nest.loops[*i].size >= LONG || searched).or(longest)
}

/// What a nest writes, and where.
fn results(built: &Built) -> impl Iterator<Item = (Source, &Map)> {
    let stores = built.nest.stores.iter().map(|s| (s.operand, &s.map));
    let folds = built.nest.folds.iter().map(|f| (f.operand, &f.map));
    stores.chain(folds).map(|(operand, map)| (built.sources[operand], map))
}

/// What a nest reads, and where.
pub fn loads(nest: &Nest) -> impl Iterator<Item = (usize, &Map)> {
    nest.exprs.iter().filter_map(|expr| match expr {
        Expr::Load(operand, map) => Some((*operand, map)),
        Expr::Number(_)
        | Expr::Coordinate(_)
        | Expr::Random(..)
        | Expr::Unary(..)
        | Expr::Binary(..)
        | Expr::Select(..)
        | Expr::Cast(_) => None,
    })
}

/// The split of a row-major tensor into `count` units that lie `step` elements apart.
fn exact(dims: &[usize], step: i64, count: usize) -> Option<Split> {
    splits(dims, step, count).into_iter().find(|(_, turns)| *turns == 1).map(|(split, _)| split)
}

/// The splits of a row-major tensor that a loop of `size` turns, which moves by `step` elements, can make: along
/// its outermost axes, the fewest first; with the turns that make a unit.
fn splits(dims: &[usize], step: i64, size: usize) -> Vec<(Split, usize)> {
    let strides = row_major(dims);
    let mut found: Vec<(Split, usize)> = Vec::new();
    if step <= 0 {
        return found;
    }
    for start in 0..dims.len() {
        for end in start + 1..=dims.len() {
            let (count, stride) = (dims[start..end].iter().product::<usize>(), strides[end - 1]);
            let turns = (stride / step) as usize;
            let fits = stride % step == 0 && turns * count == size;
            if fits && found.iter().all(|(_, other)| *other != turns) {
                found.push((Split { axes: start..end, unit: 1 }, turns));
            }
        }
    }
    found
}
