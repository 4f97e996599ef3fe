//! Removes what neither an output nor an update needs.

use crate::graph::{Graph, rebuild};

/// The graph without values that nothing needs.
pub fn dead_code(old: &Graph) -> Graph {
    rebuild(old, |_, _, _| None)
}
