//! What is wanted of each value on each device, and where it comes from: found from the end of the graph backwards.

use std::collections::BTreeMap;

use super::home::{Home, Homes};
use super::piece::{Piece, way};
use crate::graph::{Graph, ValueId};
use crate::placement::DeviceId;

/// What is to be done with each value.
pub(super) struct Wanted {
    /// By value: the piece of it that each device computes.
    pub work: Vec<BTreeMap<DeviceId, Piece>>,
    /// By value: what is put together where.
    pub fetched: Vec<Vec<Fetch>>,
    /// By output: pieces that together are all of it, and whose they are.
    pub outputs: Vec<Vec<(DeviceId, Piece)>>,
}

/// A piece that a device wants and does not compute, or not all of it.
pub(super) struct Fetch {
    /// Who wants it.
    pub device: DeviceId,
    /// The piece.
    pub piece: Piece,
    /// Who has which part of it; the parts do not overlap.
    pub from: Vec<(DeviceId, Piece)>,
}

/// What each device must compute and fetch so that outputs and updates can be had.
pub(super) fn demand(graph: &Graph, homes: &Homes) -> Wanted {
    let mut wants: Vec<BTreeMap<DeviceId, Vec<Piece>>> = vec![BTreeMap::new(); graph.len()];
    // Of nothing nothing is wanted: who needs an empty piece makes it.
    let mut want = |value: ValueId, device: DeviceId, piece: Piece| {
        if !piece.is_empty() {
            wants[value.0 as usize].entry(device).or_default().push(piece);
        }
    };
    let mut outputs = Vec::new();
    for output in &graph.outputs {
        let shards = shards(graph, output.value, homes.value(output.value));
        for (device, piece) in &shards {
            want(output.value, *device, piece.clone());
        }
        outputs.push(shards);
    }
    for update in &graph.updates {
        for (device, piece) in homes.variable(graph, update.variable) {
            want(update.value, device, piece);
        }
    }
    let mut work = vec![BTreeMap::new(); graph.len()];
    let mut fetched: Vec<Vec<Fetch>> = (0..graph.len()).map(|_| Vec::new()).collect();
    for value in graph.values().rev() {
        let at = value.0 as usize;
        let wants_here = std::mem::take(&mut wants[at]);
        let (made, got) = match homes.value(value) {
            Some(home) => at_home(home, &home.pieces(graph.ty(value)), wants_here),
            None => (anywhere(wants_here), Vec::new()),
        };
        let args = graph.args(value);
        for (device, piece) in &made {
            for (arg, piece) in args.iter().zip(way(graph, value, piece).args) {
                if !piece.is_empty() {
                    wants[arg.0 as usize].entry(*device).or_default().push(piece);
                }
            }
        }
        work[at] = made;
        fetched[at] = got;
    }
    Wanted { work, fetched, outputs }
}

/// Pieces that together are all of an output: of devices that have the same, the first one's.
fn shards(graph: &Graph, value: ValueId, home: Option<&Home>) -> Vec<(DeviceId, Piece)> {
    let ty = graph.ty(value);
    let Some(home) = home else { return vec![(DeviceId(0), Piece::whole(ty))] };
    let mut found: Vec<(DeviceId, Piece)> = Vec::new();
    for (device, piece) in home.pieces(ty) {
        if found.iter().all(|(_, other)| *other != piece) {
            found.push((device, piece));
        }
    }
    let empty = |piece: &Piece| piece.is_empty() && ty.elements() > 0;
    found.retain(|(_, piece)| !empty(piece));
    found
}

/// What is computed where it is wanted.
fn anywhere(wants: BTreeMap<DeviceId, Vec<Piece>>) -> BTreeMap<DeviceId, Piece> {
    let hull = |pieces: Vec<Piece>| pieces.into_iter().reduce(|a, b| a.hull(&b));
    wants.into_iter().filter_map(|(device, pieces)| Some((device, hull(pieces)?))).collect()
}

/// What devices compute of a value that has a home, and what others fetch from them.
fn at_home(
    home: &Home,
    pieces: &[(DeviceId, Piece)],
    wants: BTreeMap<DeviceId, Vec<Piece>>,
) -> (BTreeMap<DeviceId, Piece>, Vec<Fetch>) {
    let own = |device: DeviceId| pieces.iter().find(|(d, _)| *d == device).map(|(_, piece)| piece);
    let mut made: BTreeMap<DeviceId, Piece> = BTreeMap::new();
    let mut open: Vec<(DeviceId, Piece)> = Vec::new();
    for (device, mut wanted) in wants {
        if let Some(own) = own(device)
            && wanted.iter().any(|piece| own.contains(piece))
        {
            made.insert(device, own.clone());
            wanted.retain(|piece| !own.contains(piece));
        }
        open.extend(merged(wanted).into_iter().map(|piece| (device, piece)));
    }
    let mut fetched = Vec::new();
    for (device, piece) in open {
        let mut from: Vec<(DeviceId, Piece)> = Vec::new();
        let mut seen: Vec<&Piece> = Vec::new();
        for (_, cell) in pieces {
            let part = cell.intersection(&piece);
            if part.is_empty() || seen.contains(&cell) {
                continue;
            }
            seen.push(cell);
            let mut holders = home.devices.iter().filter(|d| own(**d) == Some(cell));
            let first = holders.clone().next();
            // Itself, or one that computes it anyway, or the first.
            let source = holders
                .clone()
                .find(|d| **d == device)
                .or_else(|| holders.find(|d| made.contains_key(d)))
                .or(first)
                .expect("each piece has a holder");
            made.insert(*source, cell.clone());
            from.push((*source, part));
        }
        fetched.push(Fetch { device, piece, from });
    }
    (made, fetched)
}

/// Pieces that have the same elements in them: two become one where that is not more than both.
fn merged(mut pieces: Vec<Piece>) -> Vec<Piece> {
    let mut found: Vec<Piece> = Vec::new();
    while let Some(piece) = pieces.pop() {
        let joins = |other: &Piece| piece.hull(other).elements() <= piece.elements() + other.elements();
        match found.iter().position(joins) {
            // What grows may join what it did not join before.
            Some(at) => pieces.push(piece.hull(&found.swap_remove(at))),
            None => found.push(piece),
        }
    }
    found
}
