//! What values cost: arithmetic operations and bytes moved.

use std::ops::Add;

use crate::graph::{Graph, ValueId};
use crate::ops::rules;
use crate::types::Type;

/// What computing a value once takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Additions, multiplications, comparisons; a transcendental function counts as ten (by feel).
    pub operations: u64,
    /// Bytes of all operands.
    pub read: u64,
    /// Bytes of the result.
    pub written: u64,
}

impl Cost {
    /// So many operations, every operand read once and the result written once.
    pub fn streaming(operations: u64, args: &[&Type], result: &Type) -> Cost {
        Cost { operations, read: args.iter().map(|ty| bytes(ty)).sum(), written: bytes(result) }
    }

    /// Nothing is computed and nothing moves.
    pub const FREE: Cost = Cost { operations: 0, read: 0, written: 0 };
}

impl Add for Cost {
    type Output = Cost;

    fn add(self, other: Cost) -> Cost {
        Cost {
            operations: self.operations + other.operations,
            read: self.read + other.read,
            written: self.written + other.written,
        }
    }
}

/// Bytes of a value of this type.
pub fn bytes(ty: &Type) -> u64 {
    elements(ty) * ty.dtype.bytes() as u64
}

/// Number of elements of a type with known sizes.
pub fn elements(ty: &Type) -> u64 {
    ty.elements() as u64
}

/// What one value costs, computed by itself.
pub fn of_value(graph: &Graph, value: ValueId) -> Cost {
    let args = graph.args(value);
    let types: Vec<&Type> = args.iter().map(|a| graph.ty(*a)).collect();
    (rules(graph.op(value)).cost)(graph.op(value), &types, graph.ty(value))
}

/// What all values of a graph cost, each computed by itself: an upper bound that fusion lowers.
pub fn of_graph(graph: &Graph) -> Cost {
    graph.values().map(|value| of_value(graph, value)).fold(Cost::default(), Cost::add)
}
