//! Where each value is computed.

use super::piece::Piece;
use super::places::Places;
use crate::graph::{Graph, ValueId};
use crate::ops::{Join, Need, Op, VariableId, rules};
use crate::placement::DeviceId;
use crate::types::Type;

/// Where a value is computed: a grid of devices, and by which of the value's axes each axis of the grid cuts it. Devices
/// that no cut tells apart have the same piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    /// The devices, the last axis of the grid fastest.
    pub devices: Vec<DeviceId>,
    /// Sizes of the grid's axes.
    pub grid: Vec<u32>,
    /// How each axis of the grid cuts the value.
    pub cuts: Vec<Option<AxisCut>>,
}

/// An axis of a value, cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AxisCut {
    /// The axis.
    pub axis: usize,
    /// Where the pieces begin, and the end of the last.
    pub bounds: Vec<u64>,
}

impl AxisCut {
    /// `count` pieces of as equal size as can be.
    pub(super) fn even(axis: usize, size: u64, count: u32) -> AxisCut {
        let bounds = (0..=u64::from(count)).map(|i| size * i / u64::from(count)).collect();
        AxisCut { axis, bounds }
    }
}

impl Home {
    /// The same devices, each with all of a value.
    pub fn uncut(&self) -> Home {
        Home { cuts: vec![None; self.grid.len()], ..self.clone() }
    }

    /// What each device has of a value of this type.
    pub fn pieces(&self, ty: &Type) -> Vec<(DeviceId, Piece)> {
        let piece = |at: usize| {
            let mut piece = Piece::whole(ty);
            let mut rest = at;
            for (size, cut) in self.grid.iter().zip(&self.cuts).rev() {
                let place = rest % *size as usize;
                rest /= *size as usize;
                if let Some(cut) = cut {
                    piece.0[cut.axis] = cut.bounds[place]..cut.bounds[place + 1];
                }
            }
            piece
        };
        self.devices.iter().enumerate().map(|(at, device)| (*device, piece(at))).collect()
    }

    /// The same, without those that have nothing of it.
    pub fn held(&self, ty: &Type) -> Vec<(DeviceId, Piece)> {
        let mut pieces = self.pieces(ty);
        pieces.retain(|(_, piece)| !piece.is_empty() || ty.elements() == 0);
        pieces
    }

    /// The devices that stand at `place` along axis `at` of the grid.
    pub(super) fn fixed(&self, at: usize, place: usize) -> Home {
        let inner: usize = self.grid[at + 1..].iter().map(|size| *size as usize).product();
        let count = self.grid[at] as usize;
        let there = |index: &usize| index / inner % count == place;
        let devices = (0..self.devices.len()).filter(there).map(|index| self.devices[index]).collect();
        let mut home = Home { devices, grid: self.grid.clone(), cuts: self.cuts.clone() };
        (home.grid[at], home.cuts[at]) = (1, None);
        home
    }

    pub(super) fn same_grid(&self, other: &Home) -> bool {
        self.devices == other.devices && self.grid == other.grid
    }

    fn is_cut_along(&self, axis: usize) -> bool {
        self.cuts.iter().flatten().any(|cut| cut.axis == axis)
    }
}

/// Where everything in a graph is.
#[derive(Clone, Debug)]
pub struct Homes {
    /// Number of devices.
    pub devices: usize,
    /// By value; `None` for what is computed wherever it is wanted: inputs, numbers, and what stands between parts and
    /// costs little. That of `Op::Variable` is the variable's.
    pub values: Vec<Option<Home>>,
    /// By variable.
    pub variables: Vec<Home>,
}

impl Homes {
    /// What follows for a graph from where the texts are that it comes from.
    pub fn of(graph: &Graph, places: &Places) -> Homes {
        let mut values: Vec<Option<Home>> = Vec::with_capacity(graph.len());
        // What costs little and is made of inputs and numbers alone.
        let mut everywhere: Vec<bool> = Vec::with_capacity(graph.len());
        for value in graph.values() {
            let own = !graph.op(value).is_heavy() && !matches!(graph.op(value), Op::Variable(_));
            let own = own && graph.args(value).iter().all(|arg| everywhere[arg.0 as usize]);
            let home = if own { None } else { home(graph, value, places, &values) };
            everywhere.push(own);
            values.push(home);
        }
        Homes { devices: places.devices, values, variables: places.variables.clone() }
    }

    /// The home of a value.
    pub fn value(&self, value: ValueId) -> Option<&Home> {
        self.values[value.0 as usize].as_ref()
    }

    /// What devices hold of a variable, where that is not nothing.
    pub fn variable(&self, graph: &Graph, variable: VariableId) -> Vec<(DeviceId, Piece)> {
        self.variables[variable.0 as usize].held(&graph.variables[variable.0 as usize].ty)
    }
}

fn home(graph: &Graph, value: ValueId, places: &Places, homes: &[Option<Home>]) -> Option<Home> {
    let node = graph.node(value);
    if let Op::Variable(variable) = node.op {
        return Some(places.variables[variable.0 as usize].clone());
    }
    let args = graph.args(value);
    if let Some(grid) = places.grid(node.origin) {
        return Some(cut(graph, value, grid.uncut(), &grid.names, homes));
    }
    if places.is_between(node.origin) && !node.op.is_heavy() {
        return None;
    }
    // What is computed from a variable element by element goes with it: its new value is wanted there.
    let dims = node.ty.dims();
    let own = |arg: &&ValueId| {
        matches!(graph.op(**arg), Op::Variable(_))
            && is_element_wise(&node.op)
            && graph.ty(**arg).dims() == dims
    };
    if let Some(variable) = args.iter().find(own) {
        return homes[variable.0 as usize].clone();
    }
    // Else with the largest of what it is made of.
    let rank = |arg: &&ValueId| (graph.ty(**arg).elements(), std::cmp::Reverse(**arg));
    let largest = args.iter().filter(|arg| homes[arg.0 as usize].is_some()).max_by_key(rank)?;
    let grid = homes[largest.0 as usize].as_ref()?.uncut();
    Some(cut(graph, value, grid, &[], homes))
}

/// Cuts a value over a grid: as its operands are cut where the axis rules allow that without a transfer; else by the
/// axis with the grid's name.
fn cut(graph: &Graph, value: ValueId, mut home: Home, names: &[String], homes: &[Option<Home>]) -> Home {
    let ty = graph.ty(value);
    for at in 0..home.grid.len() {
        let named = |axis: &usize| {
            let name = names.get(at).map(String::as_str);
            name.is_some() && ty.axes[*axis].name.as_deref() == name && !home.is_cut_along(*axis)
        };
        let even = |axis: usize| AxisCut::even(axis, ty.dims()[axis] as u64, home.grid[at]);
        let cut = followed(graph, value, &home, at, homes).or_else(|| (0..ty.rank()).find(named).map(even));
        home.cuts[at] = cut;
    }
    home
}

/// The cut of a value along axis `at` of the grid under which each device has of an operand what its piece needs.
fn followed(
    graph: &Graph,
    value: ValueId,
    home: &Home,
    at: usize,
    homes: &[Option<Home>],
) -> Option<AxisCut> {
    let args = graph.args(value);
    let types: Vec<&Type> = args.iter().map(|arg| graph.ty(*arg)).collect();
    let op = graph.op(value);
    let cuts = (rules(op).cuts)(op, &types, graph.ty(value));
    for (arg, operand) in args.iter().enumerate() {
        let Some(of) = homes[operand.0 as usize].as_ref().filter(|of| of.same_grid(home)) else { continue };
        let Some(given) = &of.cuts[at] else { continue };
        let follow = |cut: &crate::ops::Cut| {
            let Join::Along { axis, unit } = cut.join else { return None };
            let Need::Piece { axis: from, unit: step } = cut.needs[arg] else { return None };
            let fits = from == given.axis && !home.is_cut_along(axis);
            let inner = &given.bounds[1..given.bounds.len() - 1];
            if !fits || inner.iter().any(|bound| !bound.is_multiple_of(step)) {
                return None;
            }
            let size = graph.ty(value).dims()[axis] as u64;
            let mut bounds: Vec<u64> = given.bounds.iter().map(|b| (b / step * unit).min(size)).collect();
            *bounds.last_mut()? = size;
            Some(AxisCut { axis, bounds })
        };
        if let Some(found) = cuts.iter().find_map(follow) {
            return Some(found);
        }
    }
    None
}

fn is_element_wise(op: &Op) -> bool {
    matches!(op, Op::Unary(_) | Op::Binary(_) | Op::Select | Op::Cast(_))
}

/// How a variable must be cut along axis `at` of a grid so that all that use it find the piece they need where they are;
/// `None` if they need all of it, or different pieces.
pub(super) fn used(
    graph: &Graph,
    homes: &Homes,
    variable: ValueId,
    home: &Home,
    at: usize,
) -> Option<AxisCut> {
    let mut found: Option<AxisCut> = None;
    for user in graph.users(variable) {
        let args = graph.args(user);
        let types: Vec<&Type> = args.iter().map(|arg| graph.ty(*arg)).collect();
        let op = graph.op(user);
        let given = |cut: &crate::ops::Cut| {
            let own = args.iter().position(|arg| *arg == variable)?;
            let Need::Piece { axis, unit } = cut.needs[own] else { return None };
            let free = !home.is_cut_along(axis);
            args.iter().enumerate().filter(|(other, _)| *other != own && free).find_map(|(other, arg)| {
                let of = homes.value(*arg).filter(|of| of.same_grid(home))?;
                let given = of.cuts[at].as_ref()?;
                let Need::Piece { axis: from, unit: step } = cut.needs[other] else { return None };
                let fits = from == given.axis && given.bounds.iter().all(|bound| bound.is_multiple_of(step));
                let bounds = given.bounds.iter().map(|bound| bound / step * unit).collect();
                fits.then_some(AxisCut { axis, bounds })
            })
        };
        let cut = (rules(op).cuts)(op, &types, graph.ty(user)).iter().find_map(given)?;
        if found.as_ref().is_some_and(|found| *found != cut) {
            return None;
        }
        found = Some(cut);
    }
    found
}
