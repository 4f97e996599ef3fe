//! When something is due: a function of how far the run has come, so that a run that was stopped and went on
//! does it at the same steps.

use serde::{Deserialize, Serialize};

use super::{Outputs, Place};

/// A distance between events.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Every {
    /// Applied updates.
    Steps(u64),
    /// Passes over the feed, perhaps parts of one.
    Epochs(f64),
    /// Wall-clock time.
    Seconds(f64),
}

/// A reason to end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Stop {
    /// `stop after 20 epochs`
    After(Every),
    /// `stop when accuracy >= 0.98`, looked at after each evaluation.
    When {
        /// The metric's name, or `loss`.
        metric: String,
        /// Whether it must be at least the bound, else at most.
        at_least: bool,
        /// The bound.
        bound: f64,
    },
}

/// Rounding errors of parts of an epoch must not move an event by a step.
const SLACK: f64 = 1e-9;

impl Every {
    /// How many such distances the run has come, where an epoch has `of` examples.
    pub fn count(self, place: &Place, of: usize) -> f64 {
        let epochs = place.cursor.epoch as f64 + place.cursor.position as f64 / of as f64;
        match self {
            Every::Steps(steps) => place.step as f64 / steps as f64,
            Every::Epochs(length) => epochs / length,
            Every::Seconds(seconds) => place.seconds / seconds,
        }
    }

    /// Whether such an event lies between two places, the later one included.
    pub(super) fn passed(self, before: &Place, after: &Place, of: usize) -> bool {
        let whole = |place| (self.count(place, of) + SLACK).floor();
        whole(after) > whole(before)
    }
}

impl Stop {
    /// The limit, if it is one and the run has come to it.
    pub(super) fn reached(&self, place: &Place, of: usize) -> Option<Every> {
        match self {
            Stop::After(every) => (every.count(place, of) + SLACK >= 1.0).then_some(*every),
            Stop::When { .. } => None,
        }
    }

    /// The metric and its value, if it is good enough.
    pub(super) fn met(&self, outputs: &Outputs) -> Option<(String, f64)> {
        match self {
            Stop::After(_) => None,
            Stop::When { metric, at_least, bound } => {
                let (name, value) = outputs.iter().find(|(name, _)| **name == **metric)?;
                let good = if *at_least { value >= bound } else { value <= bound };
                good.then(|| (name.to_string(), *value))
            }
        }
    }
}

/// How many steps the whole run will have, by the limit that comes first; `None` if time or a metric alone ends
/// it. An epoch has `of` examples in batches of `batch`.
pub fn total_steps(stop: &[Stop], of: usize, batch: usize) -> Option<u64> {
    let steps = stop.iter().filter_map(|stop| match stop {
        Stop::After(Every::Steps(steps)) => Some(*steps),
        Stop::After(Every::Epochs(epochs)) => {
            let part = (epochs.fract() * of as f64 / batch as f64 - SLACK).ceil().max(0.0);
            Some(epochs.trunc() as u64 * of.div_ceil(batch) as u64 + part as u64)
        }
        Stop::After(Every::Seconds(_)) | Stop::When { .. } => None,
    });
    steps.min()
}
