//! Several devices for one graph: which computes what, and what they send each other.
//!
//! ```text
//! Graph + Places ──homes──▶ a home a value ──sums──▶ sums in parts ──demand──▶ what is wanted where ──emit──▶ programs
//! ```
//! All of it knows of operators is how their work may be cut (`ops::cut`). Whatever a device wants of a value and does
//! not have is fetched from where it is computed, piece by piece: a border, a tensor as a whole, or all pieces of one
//! that is split. So no result can depend on where anything runs.
//!
//! `split` is the same knowledge put to use for the threads of one device.

mod demand;
mod emit;
mod home;
mod piece;
mod places;
mod plans;
mod split;
mod sums;

pub use home::{AxisCut, Home, Homes};
pub use piece::{Piece, Way, way};
pub use places::{Places, Reason};
pub use plans::{devices, lowered, program};
pub use split::{Split, demands, needs};

use crate::graph::{Graph, OriginId, ValueId};
use crate::ops::{InputId, VariableId};
use crate::placement::DeviceId;

/// A graph, cut over devices.
#[derive(Clone, Debug)]
pub struct Partitioned {
    /// The program of each device.
    pub programs: Vec<Program>,
    /// What goes from device to device; a `Channel` is an index. In a topological order: what a transfer waits for
    /// comes before it.
    pub transfers: Vec<Transfer>,
    /// Where the outputs of the graph are, in its order: pieces that together are the whole.
    pub outputs: Vec<Vec<Shard>>,
}

/// What one device does.
#[derive(Clone, Debug)]
pub struct Program {
    /// Its values. Outputs bear the names of the whole graph's.
    pub graph: Graph,
    /// Which piece of which input of the whole graph each of its inputs is.
    pub inputs: Vec<(InputId, Piece)>,
    /// Which piece of which variable of the whole graph each of its variables is.
    pub variables: Vec<(VariableId, Piece)>,
}

/// A piece of an output of the whole graph.
#[derive(Clone, Debug)]
pub struct Shard {
    /// Whose program gives it.
    pub device: DeviceId,
    /// Which of that program's outputs it is.
    pub output: usize,
    /// Which piece it is.
    pub piece: Piece,
}

/// A piece of a value that one device computes and another wants.
#[derive(Clone, Debug)]
pub struct Transfer {
    /// Who has it.
    pub from: DeviceId,
    /// Who wants it.
    pub to: DeviceId,
    /// The value of the whole graph.
    pub value: ValueId,
    /// The piece.
    pub piece: Piece,
    /// Bytes that travel.
    pub bytes: u64,
    /// The text that the value comes from.
    pub origin: OriginId,
}

/// A graph as it is cut, which the values of [`Partitioned::transfers`] are values of: sums that are cut are sums of parts.
pub fn as_cut(graph: &Graph, homes: &Homes) -> (Graph, Homes) {
    sums::in_parts(graph, homes)
}

/// Cuts a graph over devices.
pub fn partition(graph: &Graph, homes: &Homes) -> Partitioned {
    let (graph, homes) = sums::in_parts(graph, homes);
    let wanted = demand::demand(&graph, &homes);
    emit::emit(&graph, &homes, &wanted)
}
