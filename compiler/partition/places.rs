//! Which part every text of a model belongs to, and where its variables live: the same for all programs of a model.

use std::collections::{BTreeSet, HashMap};

use super::home::{Home, Homes, used};
use super::piece::Piece;
use crate::graph::{OriginId, ValueId};
use crate::model::{Model, Variable};
use crate::ops::{Op, VariableId};
use crate::placement::{DeviceId, Part, PartId, Placement};
use crate::types::Type;
use crate::unfold::Phase;

/// A length for axes whose length is no matter.
const SOME: u64 = 8;

/// A grid of devices, and the names of the tensors' axes that its axes cut.
#[derive(Clone, Debug)]
pub struct Grid {
    devices: Vec<DeviceId>,
    counts: Vec<u32>,
    /// A name for each axis of the grid.
    pub names: Vec<String>,
}

impl Grid {
    fn of(part: &Part) -> Grid {
        let (names, counts) = part.axes.iter().cloned().unzip();
        Grid { devices: part.devices.clone(), counts, names }
    }

    /// Every device with all of a value.
    pub fn uncut(&self) -> Home {
        Home { devices: self.devices.clone(), grid: self.counts.clone(), cuts: vec![None; self.counts.len()] }
    }
}

/// Where a text is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// On this grid.
    Grid(usize),
    /// Wherever its users are, who are in several parts.
    Between,
    /// Nothing says so: with what it is made of.
    Open,
}

/// What decides where a text is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// It is of this part, or goes with it.
    Part(PartId),
    /// Nothing placed is near it, so it is on the first device.
    First,
    /// Several parts use it: what of it costs little is carried out wherever it is wanted.
    Users,
    /// It goes with the largest of what it is made of.
    Operands,
}

/// Where everything in a model is.
#[derive(Clone, Debug)]
pub struct Places {
    /// Number of devices.
    pub devices: usize,
    grids: Vec<Grid>,
    /// By origin.
    of: Vec<Place>,
    /// By variable.
    pub variables: Vec<Home>,
}

impl Places {
    /// What `placement` says, and what follows from it: what is not placed goes with its consumer, what has none
    /// with what it is made of, and what is left to the first device.
    pub fn of(model: &Model, placement: &Placement) -> Places {
        let mut grids: Vec<Grid> = placement.parts.iter().map(Grid::of).collect();
        let place = |origin: usize| match placement.of.get(origin).copied().flatten() {
            Some(part) => Place::Grid(part.0 as usize),
            None => Place::Open,
        };
        let mut of: Vec<Place> = (0..model.origins.len()).map(place).collect();
        let made: Vec<bool> = model.origins.iter().map(|origin| !model.in_optimizer(origin.region)).collect();
        with_consumers(model, &made, &mut of);
        with_operands(model, &made, &mut of);
        let first = grids.len();
        grids.push(Grid { devices: vec![DeviceId(0)], counts: Vec::new(), names: Vec::new() });
        for (place, made) in of.iter_mut().zip(&made) {
            if *made && *place == Place::Open {
                *place = Place::Grid(first);
            }
        }
        let mut places = Places { devices: placement.devices.len(), grids, of, variables: Vec::new() };
        places.variables = places.home_variables(model);
        places.cut_by_use(model);
        places.with_parameters(model);
        places
    }

    /// Cuts variables that no name cuts as their users are cut, where all of these find their piece at home then.
    fn cut_by_use(&mut self, model: &Model) {
        let several = self
            .variables
            .iter()
            .any(|home| home.grid.iter().zip(&home.cuts).any(|(n, cut)| *n > 1 && cut.is_none()));
        if !several {
            return;
        }
        // How long free axes are is no matter to variables, which have none.
        let graph = crate::graph_of(model, &vec![SOME; model.free.len()], Phase::Evaluate, &[]);
        let homes = Homes::of(&graph, self);
        for value in graph.values() {
            let Op::Variable(variable) = graph.op(value) else { continue };
            let mut home = self.variables[variable.0 as usize].clone();
            for at in 0..home.grid.len() {
                if home.cuts[at].is_none() && home.grid[at] > 1 {
                    home.cuts[at] = used(&graph, &homes, value, &home, at);
                }
            }
            self.variables[variable.0 as usize] = home;
        }
    }

    /// Puts an optimizer's memory where its parameter is.
    fn with_parameters(&mut self, model: &Model) {
        for (at, memory) in model.variables.iter().enumerate().filter(|(_, v)| model.is_memory(v)) {
            let Some(param) = param_of(model, memory) else { continue };
            let same = model.variables[param].ty.dims() == memory.ty.dims();
            let home = &self.variables[param];
            self.variables[at] = if same { home.clone() } else { home.uncut() };
        }
    }

    /// The grid that a text is carried out on, if it has one of its own.
    pub fn grid(&self, origin: OriginId) -> Option<&Grid> {
        match self.of.get(origin.0 as usize)? {
            Place::Grid(grid) => Some(&self.grids[*grid]),
            Place::Between | Place::Open => None,
        }
    }

    /// What decides where a text is carried out.
    pub fn reason(&self, origin: OriginId) -> Reason {
        match self.of.get(origin.0 as usize) {
            Some(Place::Grid(grid)) if *grid + 1 < self.grids.len() => Reason::Part(PartId(*grid as u32)),
            Some(Place::Grid(_)) => Reason::First,
            Some(Place::Between) => Reason::Users,
            Some(Place::Open) | None => Reason::Operands,
        }
    }

    /// Whether a text's users are in several parts.
    pub fn is_between(&self, origin: OriginId) -> bool {
        self.of.get(origin.0 as usize) == Some(&Place::Between)
    }

    /// What devices hold of a variable.
    pub fn pieces(&self, variable: VariableId, ty: &Type) -> Vec<(DeviceId, Piece)> {
        self.variables[variable.0 as usize].held(ty)
    }

    /// Variables live where they are first used.
    fn home_variables(&self, model: &Model) -> Vec<Home> {
        let mut first: HashMap<VariableId, OriginId> = HashMap::new();
        for value in model.values.iter().filter(|v| self.grid(v.origin).is_some()) {
            for arg in &value.args {
                if let Op::Variable(variable) = model.values[arg.0 as usize].op {
                    first.entry(variable).or_insert(value.origin);
                }
            }
        }
        let own = |at: usize| {
            let grid = first.get(&VariableId(at as u32)).and_then(|origin| self.grid(*origin));
            let grid = grid.unwrap_or(&self.grids[self.grids.len() - 1]);
            cut_by_name(grid, &model.variables[at])
        };
        (0..model.variables.len()).map(own).collect()
    }
}

/// The parameter that an optimizer remembers something of: the one whose name stands in the memory's.
fn param_of(model: &Model, memory: &Variable) -> Option<usize> {
    let named = |name: &str| {
        let inside = memory.name.match_indices(name);
        inside.into_iter().any(|(at, _)| {
            let end = at + name.len();
            let before = at == 0 || memory.name[..at].ends_with('/');
            before && (end == memory.name.len() || memory.name[end..].starts_with('/'))
        })
    };
    let params = model.variables.iter().enumerate().filter(|(_, v)| !model.is_memory(v) && named(&v.name));
    params.max_by_key(|(_, v)| v.name.len()).map(|(at, _)| at)
}

fn cut_by_name(grid: &Grid, variable: &Variable) -> Home {
    let mut home = grid.uncut();
    for (at, name) in grid.names.iter().enumerate() {
        let axis = variable.ty.axes.iter().position(|axis| axis.name.as_deref() == Some(name));
        let taken = |axis: usize| home.cuts.iter().flatten().any(|cut| cut.axis == axis);
        if let Some(axis) = axis.filter(|axis| !taken(*axis)) {
            let size = variable.ty.dims()[axis] as u64;
            home.cuts[at] = Some(super::home::AxisCut::even(axis, size, grid.counts[at]));
        }
    }
    home
}

/// Gives every text that has no place that of its consumers. Goes through values from the last, so that consumers have
/// their places already.
fn with_consumers(model: &Model, made: &[bool], of: &mut [Place]) {
    let mut users: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); of.len()];
    let mut cheap = vec![true; of.len()];
    for value in model.values.iter() {
        cheap[value.origin.0 as usize] &= !value.op.is_heavy();
    }
    for value in model.values.iter().rev() {
        let origin = value.origin.0 as usize;
        if of[origin] == Place::Open && made[origin] {
            let places: BTreeSet<usize> = users[origin].clone();
            of[origin] = match (places.first(), places.len()) {
                (None, _) => Place::Open,
                (Some(_), 2..) if cheap[origin] => Place::Between,
                (Some(grid), _) => Place::Grid(*grid),
            };
        }
        if !made[origin] {
            continue;
        }
        for arg in &value.args {
            let from = model.values[arg.0 as usize].origin.0 as usize;
            match of[origin] {
                Place::Grid(grid) => {
                    users[from].insert(grid);
                }
                Place::Between => {
                    let grids = users[origin].clone();
                    users[from].extend(grids);
                }
                Place::Open => {}
            }
        }
    }
}

/// Gives every text that still has no place that of the largest of what it is made of.
fn with_operands(model: &Model, made: &[bool], of: &mut [Place]) {
    for value in model.values.iter() {
        let origin = value.origin.0 as usize;
        if of[origin] != Place::Open || !made[origin] {
            continue;
        }
        let place = |arg: &ValueId| of[model.values[arg.0 as usize].origin.0 as usize];
        let rank = |arg: &ValueId| model.values[arg.0 as usize].ty.rank();
        let placed = value.args.iter().filter(|arg| matches!(place(arg), Place::Grid(_)));
        if let Some(largest) = placed.max_by_key(|arg| rank(arg)) {
            of[origin] = place(largest);
        }
    }
}
