//! Random homes for the values of a graph: any grid of devices, any cuts, anywhere.

use strata::graph::Graph;
use strata::ops::Op;
use strata::partition::{AxisCut, Home, Homes};
use strata::placement::DeviceId;
use strata::types::Type;

use crate::random::Choices;

/// Homes over up to `devices` devices. Neighbours in a graph are often together, as they are in a model.
pub fn random_homes(graph: &Graph, devices: usize, choices: &mut Choices) -> Homes {
    let grids: Vec<(Vec<DeviceId>, Vec<u32>)> = (0..3).map(|_| random_grid(devices, choices)).collect();
    let mut home = |ty: &Type| {
        let (devices, grid) = choices.pick(&grids);
        let mut home = Home { devices, cuts: vec![None; grid.len()], grid };
        for at in 0..home.grid.len() {
            if ty.rank() > 0 && !choices.once_in(3) {
                let axis = choices.below(ty.rank());
                if home.cuts.iter().flatten().all(|cut| cut.axis != axis) {
                    home.cuts[at] = Some(random_cut(axis, ty.dims()[axis] as u64, home.grid[at], choices));
                }
            }
        }
        home
    };
    let variables: Vec<Home> = graph.variables.iter().map(|v| home(&v.ty)).collect();
    let mut values = Vec::new();
    for value in graph.values() {
        let op = graph.op(value);
        let found = home(graph.ty(value));
        values.push(if let Op::Variable(variable) = op {
            Some(variables[variable.0 as usize].clone())
        } else if graph.args(value).is_empty() || (!op.is_heavy() && found.grid.len() == 1) {
            None
        } else {
            Some(found)
        });
    }
    Homes { devices, values, variables }
}

/// Some of the devices, in any order, as a grid of up to two axes.
fn random_grid(devices: usize, choices: &mut Choices) -> (Vec<DeviceId>, Vec<u32>) {
    let order = choices.order(devices).into_iter().map(|at| DeviceId(at as u32));
    let order: Vec<DeviceId> = order.collect();
    let count = 1 + choices.below(devices);
    let grid = match count {
        1 => Vec::new(),
        _ if count.is_multiple_of(2) && choices.once_in(2) => vec![2, count as u32 / 2],
        _ => vec![count as u32],
    };
    (order[..count].to_vec(), grid)
}

/// Even pieces, or any, empty ones among them.
fn random_cut(axis: usize, size: u64, count: u32, choices: &mut Choices) -> AxisCut {
    let mut bounds: Vec<u64> = (0..=u64::from(count)).map(|i| size * i / u64::from(count)).collect();
    if choices.once_in(2) {
        let inner = count as usize;
        bounds[1..inner].iter_mut().for_each(|bound| *bound = choices.below(size as usize + 1) as u64);
        bounds.sort_unstable();
    }
    AxisCut { axis, bounds }
}
