//! A second opinion on who touches what. Axis rules say which part of an operand belongs to a thread; index maps
//! say which elements its loops reach. Where the rules grant a share, the maps must stay within it.

use strata_runtime::plan::{Deal, Extent};

use super::build::Built;
use super::deal::{Sharing, loads};
use super::nest::Map;
use super::product::{Operand, Product};
use super::values::Source;

/// Elements that one unit of a dealt loop touches.
struct Reach {
    /// From the first element of one unit to that of the next.
    step: i64,
    /// The first element of unit 0.
    start: i64,
    /// How far a unit reaches down from and up beyond its start.
    down: i64,
    up: i64,
}

impl Reach {
    fn new(start: i64, step: i64, others: impl Iterator<Item = (i64, usize)>) -> Reach {
        let mut reach = Reach { step, start, down: 0, up: 0 };
        for (step, size) in others {
            let far = step * (size as i64 - 1).max(0);
            if far < 0 { reach.down += far } else { reach.up += far }
        }
        reach
    }

    /// Whether units stay within equal stretches of `elements`, one behind the other.
    fn is_share(&self, elements: usize, count: usize) -> bool {
        let stretch = elements.checked_div(count).unwrap_or(0) as i64;
        (self.step == stretch || count < 2)
            && stretch * count as i64 == elements as i64
            && self.start + self.down >= 0
            && self.start + self.up < stretch.max(1)
    }
}

fn granted(accesses: &[(Source, bool, Extent)], source: Source, write: bool) -> bool {
    accesses.contains(&(source, write, Extent::Share))
}

/// Checks the shares of a nest.
///
/// # Panics
/// If a loop leaves a share that an axis rule grants: then one of the two is wrong, and so would the numbers be.
pub fn check_nest(
    built: &Built,
    deal: Deal,
    turns: usize,
    accesses: &[(Source, bool, Extent)],
    elements: impl Fn(Source) -> usize,
) {
    let (Deal::Shares { count, .. }, Some(at)) = (deal, built.nest.dealt) else { return };
    let nest = &built.nest;
    if nest.loops.iter().any(|l| l.size == 0) {
        return;
    }
    let check = |operand: usize, write: bool, map: &Map| {
        let source = built.sources[operand];
        if !granted(accesses, source, write) {
            return;
        }
        let others =
            (0..nest.loops.len()).map(|i| (map.terms[i], if i == at { turns } else { nest.loops[i].size }));
        let reach = Reach::new(map.start, map.terms[at] * turns as i64, others);
        assert!(
            reach.is_share(elements(source), count),
            "{source:?} is not shared by {count} as its rules say:\n{nest}"
        );
    };
    loads(nest).for_each(|(operand, map)| check(operand, false, map));
    nest.stores.iter().for_each(|s| check(s.operand, true, &s.map));
    nest.folds.iter().for_each(|f| check(f.operand, true, &f.map));
}

/// Checks the shares of a product.
///
/// # Panics
/// Like [`check_nest`].
pub fn check_product(
    product: &Product,
    deal: Deal,
    sharing: Sharing,
    accesses: &[(Source, bool, Extent)],
    elements: impl Fn(Source) -> usize,
) {
    let Deal::Shares { count, .. } = deal else { return };
    let desc = &product.desc;
    let (m, n, k) = (desc.m as usize, desc.n as usize, desc.k as usize);
    if m * n * k == 0 || product.around.iter().any(|a| a.count == 0) {
        return;
    }
    let (rows, columns) = (sharing == Sharing::Rows, sharing == Sharing::Columns);
    // By operand: its two axes, whether each is dealt.
    let axes = [
        [(desc.a_row, m, rows), (desc.a_column, k, false)],
        [(desc.b_row, k, false), (desc.b_column, n, columns)],
        [(desc.c_row, m, rows), (desc.c_column, n, columns)],
    ];
    for (i, (axes, (source, write, extent))) in axes.into_iter().zip(accesses).enumerate() {
        if *extent == Extent::Whole {
            continue;
        }
        let start = match product.operands.get(i) {
            Some(Operand::View(view)) => view.start,
            Some(Operand::Copy(..)) | None => 0,
        };
        let first = product.around.first().filter(|_| sharing == Sharing::Around);
        let dealt = axes.iter().find(|axis| axis.2).map(|axis| axis.0).or(first.map(|a| a.steps[i]));
        let around = product.around[usize::from(first.is_some())..].iter().map(|a| (a.steps[i], a.count));
        let others = axes.iter().filter(|axis| !axis.2).map(|axis| (axis.0, axis.1)).chain(around);
        let reach = Reach::new(start, dealt.unwrap_or(0), others);
        assert!(
            reach.is_share(elements(*source), count),
            "{source:?} (written: {write}) is not shared by {count} as its rules say: {product:?}"
        );
    }
}
