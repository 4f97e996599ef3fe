//! The passes, in the order in which they run. Each reads a graph and builds a new one.

pub mod differentiate;

mod arithmetic;
mod dead_code;
mod fold;
mod layout;
pub mod recurrence;

use crate::graph::Graph;

/// A pass: its name and what it does.
type Pass = (&'static str, fn(&Graph) -> Graph);

/// Differentiation has run before: it is part of `unfold`, as optimizers are written over its results.
pub const PASSES: [Pass; 7] = [
    // First, as it rebuilds what leaves the loops of recurrences where the others see it.
    ("shrink", recurrence::shrink),
    // Decides what depends on the phase, so that the others need not look at the side not taken.
    ("fold", fold::fold),
    ("layout", layout::layout),
    ("arithmetic", arithmetic::arithmetic),
    // What became constant or the same through the others.
    ("fold", fold::fold),
    ("layout", layout::layout),
    ("dead_code", dead_code::dead_code),
];

/// The graph of which everything is decided that follows from sizes and phase alone, for differentiation to look at: no
/// side of a selection is left that is never taken, and `stop` is.
pub fn decided(graph: &Graph) -> Graph {
    dead_code::dead_code(&fold::fold(graph))
}

/// The graph after all passes. Nothing is differentiated after this: `stop` is gone.
pub fn optimise(mut graph: Graph) -> Graph {
    for (name, pass) in PASSES {
        graph = pass(&graph);
        if cfg!(debug_assertions)
            && let Err(broken) = crate::verify::verify(&graph)
        {
            panic!("pass {name} broke a promise: {broken}");
        }
    }
    graph
}
