//! How the work on a value is split into parts, and what a part needs of other values: the axis rules of the
//! operators (`ops::cut`), put together along a graph. Threads are the first parts; devices will be the next.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

use crate::graph::{Graph, ValueId};
use crate::ops::{Cut, Join, Need, rules};
use crate::types::Type;

/// A way to split a value: along neighbouring axes, counted row-major as one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Split {
    /// The axes.
    pub axes: Range<usize>,
    /// How many of their indices make a unit; a part is a stretch of units. 1 where there are several axes.
    pub unit: usize,
}

impl Split {
    /// Along one axis, index by index.
    pub fn along(axis: usize) -> Split {
        Split { axes: axis..axis + 1, unit: 1 }
    }

    /// Whether the units of a tensor with these axes are `count` equal stretches of its row-major elements.
    pub fn is_contiguous(&self, dims: &[usize], count: usize) -> bool {
        let split: usize = dims[self.axes.clone()].iter().product();
        dims[..self.axes.start].iter().all(|dim| *dim == 1) && split == self.unit * count
    }

    /// The same split of the value whose axis `i` is axis `order[i]` here, if the axes stay neighbours.
    pub fn transposed(&self, order: &[usize]) -> Option<Split> {
        let place = |axis: usize| order.iter().position(|of| *of == axis);
        let start = place(self.axes.start)?;
        let together = self.axes.clone().enumerate().all(|(i, axis)| place(axis) == Some(start + i));
        together.then(|| Split { axes: start..start + self.axes.len(), unit: self.unit })
    }
}

/// What a part of `value`, split so, needs of each operand: a part, or (`None`) all of it. `None` if no axis rule
/// splits the operator so.
pub fn needs(graph: &Graph, value: ValueId, split: &Split) -> Option<Vec<Option<Split>>> {
    let args = graph.args(value);
    let types: Vec<&Type> = args.iter().map(|arg| graph.ty(*arg)).collect();
    let op = graph.op(value);
    let cuts = (rules(op).cuts)(op, &types, graph.ty(value));
    if split.axes.len() == 1 {
        return along(&cuts, split.axes.start, split.unit);
    }
    // A run of axes is carried along as one where each of them is, and they stay neighbours.
    let each: Option<Vec<_>> = split.axes.clone().map(|axis| along(&cuts, axis, 1)).collect();
    let each = each?;
    let run = |operand: usize| {
        let start = each.first()?[operand].as_ref()?.axes.start;
        let length = each.len();
        let neighbours = each.iter().enumerate().all(|(i, needs)| {
            let unsplit = Split::along(start + i);
            needs[operand] == Some(unsplit)
        });
        let sizes = |ty: &Type, axes: Range<usize>| ty.dims()[axes].to_vec();
        let whole = neighbours
            && sizes(types[operand], start..start + length) == sizes(graph.ty(value), split.axes.clone());
        whole.then_some(Split { axes: start..start + length, unit: 1 })
    };
    Some((0..args.len()).map(run).collect())
}

/// What units of `unit` indices of an axis of the result need of each operand.
fn along(cuts: &[Cut], axis: usize, unit: usize) -> Option<Vec<Option<Split>>> {
    let scale = |cut: &Cut| match cut.join {
        Join::Along { axis: along, unit: least } if along == axis && unit.is_multiple_of(least as usize) => {
            Some(unit / least as usize)
        }
        Join::Along { .. } | Join::Partial(_) => None,
    };
    let (cut, scale) = cuts.iter().find_map(|cut| Some((cut, scale(cut)?)))?;
    let part = |need: &Need| match *need {
        Need::Piece { axis, unit } => Some(Split { axes: axis..axis + 1, unit: unit as usize * scale }),
        // A border belongs to other parts too, so that all may be touched.
        Need::Whole | Need::Shifted { .. } | Need::Window { .. } | Need::Seeing { .. } => None,
    };
    Some(cut.needs.iter().map(part).collect())
}

/// What parts of `values`, each split as told or needed whole, need of the values for which `is_at_hand`: looks
/// through everything that is not. `None`: all of it, or different parts for different users.
pub fn demands(
    graph: &Graph,
    values: impl IntoIterator<Item = (ValueId, Option<Split>)>,
    is_at_hand: impl Fn(ValueId) -> bool,
) -> BTreeMap<ValueId, Option<Split>> {
    let mut found: BTreeMap<ValueId, Option<Split>> = BTreeMap::new();
    let mut open: Vec<(ValueId, Option<Split>)> = values.into_iter().collect();
    let mut seen: HashSet<(ValueId, Option<Split>)> = open.iter().cloned().collect();
    while let Some((value, split)) = open.pop() {
        if is_at_hand(value) {
            let demand = found.entry(value).or_insert_with(|| split.clone());
            if *demand != split {
                *demand = None;
            }
            continue;
        }
        let args = graph.args(value);
        let needs = split.and_then(|split| needs(graph, value, &split)).unwrap_or(vec![None; args.len()]);
        for next in args.into_iter().zip(needs) {
            if seen.insert(next.clone()) {
                open.push(next);
            }
        }
    }
    found
}
