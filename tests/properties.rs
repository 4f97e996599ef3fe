//! What holds for every primitive and every graph.

#[path = "properties/cuts.rs"]
mod cuts;
#[path = "properties/edits.rs"]
mod edits;
#[path = "properties/lifting.rs"]
mod lifting;
#[path = "properties/meaning.rs"]
mod meaning;
#[path = "properties/partition.rs"]
mod partition;
#[path = "properties/passes.rs"]
mod passes;
#[path = "properties/recurrences.rs"]
mod recurrences;
#[path = "properties/shapes.rs"]
mod shapes;
#[path = "properties/splits.rs"]
mod splits;
#[path = "properties/unfolding.rs"]
mod unfolding;
