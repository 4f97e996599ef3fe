//! Sums of products over an axis that is cut: each device adds up what it has, and the parts are added.
//!
//! Such a sum is made of the sums of its halves (`kernels::sums`), these of theirs, and so on. Where all of a half lies on
//! one device, that device computes its sum; where a half lies on several, its own halves are looked at; a chain that
//! lies on several is computed by the one that has most of it. So no element comes out other than on one device. What
//! must not be cut, such as a sum over another axis than the first, is left as it is: then its operands are fetched.

use strata_runtime::kernels::sums;

use super::home::{AxisCut, Home, Homes};
use crate::graph::{Graph, Output, Update, ValueId};
use crate::ops::{Binary, Op};
use crate::types::{DType, Size, Type};

/// Results of so many elements are added up a part on each device; of fewer, all on each.
const SPREAD: usize = 1024;

/// The graph with sums in parts where operands are cut along what is summed over, and the homes of its values.
pub(super) fn in_parts(graph: &Graph, homes: &Homes) -> (Graph, Homes) {
    let mut new = Rewriting {
        graph: Graph::new(graph.inputs.clone(), graph.variables.clone()),
        homes: Homes { values: Vec::new(), ..homes.clone() },
    };
    let mut becomes: Vec<ValueId> = Vec::with_capacity(graph.len());
    for value in graph.values() {
        let args: Vec<ValueId> = graph.args(value).iter().map(|arg| becomes[arg.0 as usize]).collect();
        let home = homes.value(value);
        let found = home.and_then(|home| new.sum(graph, value, &args, home));
        becomes.push(found.unwrap_or_else(|| {
            let shared = home.map(|home| new.shared(graph, value, &args, home));
            new.add(graph, value, graph.op(value).clone(), &args, shared.as_ref())
        }));
    }
    let get = |value: ValueId| becomes[value.0 as usize];
    let output = |o: &Output| Output { name: o.name.clone(), value: get(o.value) };
    let update = |u: &Update| Update { variable: u.variable, value: get(u.value) };
    new.graph.outputs = graph.outputs.iter().map(output).collect();
    new.graph.updates = graph.updates.iter().map(update).collect();
    (new.graph, new.homes)
}

struct Rewriting {
    graph: Graph,
    homes: Homes,
}

/// A sum that is taken apart.
struct Sum<'a> {
    /// What computes it, of the graph as it was.
    graph: &'a Graph,
    value: ValueId,
    /// Its operands, and which axis of each is cut.
    args: &'a [ValueId],
    axes: [usize; 2],
    /// Where the cut operand's pieces begin, and the end of the last.
    bounds: &'a [u64],
    /// Its home, and the axis of the grid that cuts the operands.
    home: &'a Home,
    at: usize,
    /// Where parts are added.
    joined: Home,
}

impl Rewriting {
    fn add(&mut self, of: &Graph, value: ValueId, op: Op, args: &[ValueId], home: Option<&Home>) -> ValueId {
        let added = self.graph.add(op, args, of.node(value).origin);
        // An equal value may be there already, with a home of its own.
        if added.0 as usize == self.homes.values.len() {
            self.homes.values.push(home.cloned());
        }
        added
    }

    /// The home of a value whose operands are cut where it cannot be: each device computes a stretch of it, for which it
    /// fetches what it needs.
    fn shared(&self, graph: &Graph, value: ValueId, args: &[ValueId], home: &Home) -> Home {
        let mut home = home.clone();
        if !graph.op(value).is_heavy() || matches!(graph.op(value), Op::Scan { .. }) {
            return home;
        }
        for at in 0..home.grid.len() {
            let cut = |arg: &ValueId| {
                let of = self.homes.value(*arg).filter(|of| of.same_grid(&home));
                of.is_some_and(|of| of.cuts[at].is_some())
            };
            if home.cuts[at].is_none() && args.iter().any(cut) {
                home = spread(graph.ty(value), &home, at);
            }
        }
        home
    }

    /// A sum in parts, if `value` is one whose operands are cut along what it sums over.
    fn sum(&mut self, graph: &Graph, value: ValueId, args: &[ValueId], home: &Home) -> Option<ValueId> {
        let (axes, sizes) = summed(graph, value)?;
        let at = (0..home.grid.len()).find(|at| {
            let cut = |arg: usize| {
                let of = self.homes.value(args[arg]).filter(|of| of.same_grid(home));
                of.and_then(|of| of.cuts[*at].as_ref()).is_some_and(|cut| cut.axis == axes[arg])
            };
            home.cuts[*at].is_none() && (cut(0) || cut(1))
        })?;
        let cuts = args.iter().zip(axes).filter_map(|(arg, axis)| {
            let of = self.homes.value(*arg).filter(|of| of.same_grid(home))?;
            of.cuts[at].as_ref().filter(|cut| cut.axis == axis)
        });
        let bounds = cuts.map(|cut| cut.bounds.clone()).next()?;
        if bounds.windows(2).filter(|pair| pair[0] < pair[1]).count() < 2 || sums::halves(&sizes).is_none() {
            return None;
        }
        let joined = spread(graph.ty(value), home, at);
        let sum = Sum { graph, value, args, axes, bounds: &bounds, home, at, joined };
        let rest: Vec<u64> = sizes[1..].to_vec();
        Some(self.part(&sum, 0..sizes[0], &rest))
    }

    /// The sum over `range` of the cut axis.
    fn part(&mut self, sum: &Sum, range: std::ops::Range<u64>, rest: &[u64]) -> ValueId {
        let overlap = |piece: usize| {
            let (start, end) = (sum.bounds[piece].max(range.start), sum.bounds[piece + 1].min(range.end));
            end.saturating_sub(start)
        };
        let most = (0..sum.bounds.len() - 1).max_by_key(|piece| (overlap(*piece), std::cmp::Reverse(*piece)));
        let most = most.expect("a grid has pieces");
        let sizes: Vec<u64> = [&[range.end - range.start], rest].concat();
        match sums::halves(&sizes) {
            Some((0, first)) if overlap(most) < range.end - range.start => {
                let middle = range.start + first;
                let left = self.part(sum, range.start..middle, rest);
                let right = self.part(sum, middle..range.end, rest);
                let op = Op::Binary(Binary::Add);
                self.add(sum.graph, sum.value, op, &[left, right], Some(&sum.joined))
            }
            Some(_) | None => self.on_one(sum, range, most),
        }
    }

    /// The sum over `range`, on the devices of one piece.
    fn on_one(&mut self, sum: &Sum, range: std::ops::Range<u64>, piece: usize) -> ValueId {
        let mut args = Vec::new();
        for (arg, axis) in sum.args.iter().zip(sum.axes) {
            let (start, end) = (Size::Known(range.start), Size::Known(range.end));
            let whole = self.graph.ty(*arg).axes[axis].size == end && range.start == 0;
            let op = Op::Slice { axis, start, end };
            args.push(if whole { *arg } else { self.add(sum.graph, sum.value, op, &[*arg], None) });
        }
        let home = sum.home.fixed(sum.at, piece);
        self.add(sum.graph, sum.value, sum.graph.op(sum.value).clone(), &args, Some(&home))
    }
}

/// The axis of each operand that a sum of products runs over first, and the sizes of all axes that it runs over.
fn summed(graph: &Graph, value: ValueId) -> Option<([usize; 2], Vec<u64>)> {
    let args = graph.args(value);
    let size = |arg: usize, axis: usize| graph.ty(args[arg]).dims()[axis] as u64;
    if matches!(graph.ty(value).dtype, DType::F16 | DType::Bf16) {
        // Their sums are kept in f32 and rounded once: those of parts would be rounded before they are added.
        return None;
    }
    if let Op::Contract { sum, .. } = graph.op(value) {
        let long: Vec<&(usize, usize)> = sum.iter().filter(|(l, _)| size(0, *l) != 1).collect();
        let (l, r) = *long.first()?;
        let sizes: Vec<u64> = long.iter().map(|(l, _)| size(0, *l)).collect();
        return (sizes.len() <= sums::AXES).then_some(([*l, *r], sizes));
    }
    if let Op::ConvolveKernel(..) = graph.op(value) {
        // The kernels that take no part in this are those of other dtypes and of three axes.
        let dims = graph.ty(args[1]).dims();
        let tiled = graph.ty(value).dtype == DType::F32 && dims.len() <= 4 && dims[0] > 1;
        let sizes = dims[..dims.len() - 1].iter().map(|size| *size as u64);
        return tiled.then(|| ([0, 0], sizes.collect()));
    }
    None
}

/// Where the parts of a sum are added: each device of the grid's axis adds up a stretch of the result, or all of it where
/// it is small.
fn spread(ty: &Type, home: &Home, at: usize) -> Home {
    let count = home.grid[at];
    let dims = ty.dims();
    let free = |axis: &usize| home.cuts.iter().flatten().all(|cut| cut.axis != *axis);
    let longest = (0..dims.len()).filter(free).max_by_key(|axis| (dims[*axis], std::cmp::Reverse(*axis)));
    let mut joined = home.clone();
    if let Some(axis) = longest
        && ty.elements() >= SPREAD
        && dims[axis] >= count as usize
    {
        joined.cuts[at] = Some(AxisCut::even(axis, dims[axis] as u64, count));
    }
    joined
}
