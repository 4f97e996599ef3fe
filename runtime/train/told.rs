//! Variables that the run writes and programs only read: facts that are known while it goes on.
//!
//! A program that needs such a fact has a scalar variable of this name, and nobody else writes it. So nothing that
//! changes during a run is in code, and a checkpoint holds what programs were told.

/// How many updates an epoch has.
pub const STEPS_PER_EPOCH: &str = "optimizer/steps_per_epoch";
/// How many evaluations there were.
pub const EVALUATIONS: &str = "optimizer/evaluations";

/// What the last evaluation gave for a metric, or for the `loss`.
pub fn evaluated(metric: &str) -> String {
    format!("optimizer/evaluated/{metric}")
}
