//! In which order examples come: a function of (seed, epoch, position).

use super::error::{DataError, Fault};
use super::recipe::{Stage, StageKind};
use crate::kernels::random::{Draw, stream_of};

/// The order of examples in every epoch.
#[derive(Clone, Debug)]
pub struct Order {
    /// What is left after the last split, in the order in which it leaves it; the same in every epoch.
    fixed: Vec<usize>,
    /// What is drawn anew in each epoch.
    shuffles: Vec<Shuffle>,
}

#[derive(Clone, Copy, Debug)]
struct Shuffle {
    window: usize,
    /// Its own seed, or the one of the run.
    seed: u64,
    /// Which of the recipe's shuffles it is, as a stream of random numbers.
    stream: u64,
}

impl Order {
    /// Evaluates what stands before the last split of `stages`, over `examples` examples. `seed` is for
    /// shuffles without their own.
    ///
    /// # Errors
    /// A window of 0, a split that the data cannot have, nothing left, an order after the batch.
    pub fn new(examples: usize, stages: &[Stage], seed: u64) -> Result<Order, DataError> {
        let last_split = stages.iter().rposition(|stage| matches!(stage.kind, StageKind::Split { .. }));
        let mut order = Order { fixed: (0..examples).collect(), shuffles: Vec::new() };
        let (mut batched, mut shuffles) = (false, 0);
        for (at, stage) in stages.iter().enumerate() {
            let fail = |fault| DataError::new(stage.origin, fault);
            match &stage.kind {
                StageKind::Shuffle { .. } | StageKind::Split { .. } | StageKind::Bucket { .. } if batched => {
                    let reason = "shuffles, splits and buckets come before the batch";
                    return Err(fail(Fault::Stages { reason }));
                }
                StageKind::Shuffle { window: 0, .. } => {
                    return Err(fail(Fault::Zero { what: "a window" }));
                }
                StageKind::Shuffle { window, seed: own } => {
                    let stream = stream_of(&format!("shuffle {shuffles}"));
                    let shuffle = Shuffle { window: *window, seed: own.unwrap_or(seed), stream };
                    shuffles += 1;
                    if last_split.is_some_and(|split| at < split) {
                        shuffle.apply(0, &mut order.fixed);
                    } else {
                        order.shuffles.push(shuffle);
                    }
                }
                StageKind::Split { bounds, part } => {
                    order.fixed = cut(order.fixed, bounds, *part).map_err(fail)?;
                }
                StageKind::Batch { .. } => batched = true,
                StageKind::Bucket { .. } | StageKind::Prefetch { .. } => {}
            }
        }
        Ok(order)
    }

    /// Examples of an epoch.
    pub fn examples(&self) -> usize {
        self.fixed.len()
    }

    /// What is left after the last split, in the order in which it leaves it.
    pub fn fixed(&self) -> &[usize] {
        &self.fixed
    }

    /// Leaves out what `keep` does not want.
    pub fn retain(&mut self, keep: impl Fn(usize) -> bool) {
        self.fixed.retain(|example| keep(*example));
    }

    /// The examples of an epoch, in their order.
    pub fn epoch(&self, epoch: u64) -> Vec<usize> {
        let mut indices = self.fixed.clone();
        self.shuffles.iter().for_each(|shuffle| shuffle.apply(epoch, &mut indices));
        indices
    }
}

impl Shuffle {
    /// Draws each place's example from the window that begins there, and puts the one that stood there
    /// where the drawn one came from. So an example never comes earlier than `window` places before its
    /// own, and no memory beside the list is needed.
    fn apply(self, epoch: u64, indices: &mut [usize]) {
        let examples = indices.len();
        let draw = Draw::new(self.seed, self.stream, epoch);
        for position in 0..examples {
            let choices = self.window.min(examples - position) as u64;
            indices.swap(position, position + draw.below(position as u64, choices) as usize);
        }
    }
}

fn cut(mut indices: Vec<usize>, bounds: &[usize], part: usize) -> Result<Vec<usize>, Fault> {
    let examples = indices.len();
    if bounds.first() == Some(&0) || !bounds.is_sorted_by(|a, b| a < b) {
        return Err(Fault::SplitOrder { bounds: bounds.to_vec() });
    }
    if let Some(bound) = bounds.iter().find(|bound| **bound >= examples) {
        return Err(Fault::SplitBound { bound: *bound, examples });
    }
    if part > bounds.len() {
        return Err(Fault::SplitPart { part, parts: bounds.len() + 1 });
    }
    if let Some(end) = bounds.get(part) {
        indices.truncate(*end);
    }
    if part > 0 {
        indices.drain(..bounds[part - 1]);
    }
    Ok(indices)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(kind: StageKind) -> Stage {
        Stage { kind, origin: 7 }
    }
    fn shuffle(window: usize, seed: Option<u64>) -> Stage {
        stage(StageKind::Shuffle { window, seed })
    }
    fn split(bounds: &[usize], part: usize) -> Stage {
        stage(StageKind::Split { bounds: bounds.to_vec(), part })
    }
    fn sorted(mut indices: Vec<usize>) -> Vec<usize> {
        indices.sort_unstable();
        indices
    }

    #[test]
    fn every_epoch_has_every_example_once() {
        for window in [1, 2, 7, 100, 1000] {
            let order = Order::new(100, &[shuffle(window, None)], 3).unwrap();
            assert_eq!(sorted(order.epoch(0)), (0..100).collect::<Vec<_>>());
            assert_eq!(order.epoch(4), order.epoch(4));
            assert_eq!(order.epoch(0) == order.epoch(1), window == 1);
        }
    }

    #[test]
    fn a_window_bounds_how_early_an_example_comes() {
        let order = Order::new(500, &[shuffle(8, None)], 3).unwrap().epoch(0);
        assert!(order.iter().enumerate().all(|(position, example)| *example < position + 8));
        assert!(order.iter().enumerate().any(|(position, example)| *example > position + 5));
    }

    #[test]
    fn a_full_window_gives_every_permutation_as_often() {
        let order = Order::new(4, &[shuffle(4, None)], 3).unwrap();
        let mut counts = std::collections::BTreeMap::new();
        (0..24_000).for_each(|epoch| *counts.entry(order.epoch(epoch)).or_insert(0) += 1);
        assert_eq!(counts.len(), 24);
        // Chi squared with 23 degrees of freedom is above 49.7 once in a thousand.
        let chi: f64 = counts.values().map(|count| (f64::from(*count) - 1000.0).powi(2) / 1000.0).sum();
        assert!(chi < 49.7, "{chi}");
    }

    #[test]
    fn parts_of_a_split_share_nothing_and_lose_nothing() {
        let parts = |seed| {
            let part =
                |n| Order::new(90, &[shuffle(90, Some(1)), split(&[30, 70], n), shuffle(90, None)], seed);
            [0, 1, 2].map(|n| part(n).unwrap())
        };
        for epoch in [0, 9] {
            let [a, b, c] = parts(5).map(|order| order.epoch(epoch));
            assert_eq!((a.len(), b.len(), c.len()), (30, 40, 20));
            assert_eq!(sorted([a, b, c].concat()), (0..90).collect::<Vec<_>>());
        }
        let [before, after] = [5, 6].map(|seed| parts(seed)[0].clone());
        assert_eq!(sorted(before.epoch(0)), sorted(after.epoch(1)), "what a split keeps is fixed");
        assert_ne!(before.epoch(0), before.epoch(1));
    }

    #[test]
    fn splits_nest() {
        let order = Order::new(90, &[shuffle(90, Some(1)), split(&[60], 0), split(&[50], 1)], 0).unwrap();
        let outer = Order::new(90, &[shuffle(90, Some(1)), split(&[60], 0)], 0).unwrap();
        assert_eq!(order.epoch(0), outer.epoch(0)[50..]);
    }

    #[test]
    fn what_the_data_cannot_have_is_an_error_at_its_stage() {
        let fault = |stages: &[Stage]| {
            let error = Order::new(10, stages, 0).unwrap_err();
            assert_eq!(error.origin, 7);
            error.fault
        };
        assert_eq!(fault(&[split(&[10], 0)]), Fault::SplitBound { bound: 10, examples: 10 });
        assert_eq!(fault(&[split(&[5], 0), split(&[7], 0)]), Fault::SplitBound { bound: 7, examples: 5 });
        assert_eq!(fault(&[split(&[3, 3], 0)]), Fault::SplitOrder { bounds: vec![3, 3] });
        assert_eq!(fault(&[split(&[0], 0)]), Fault::SplitOrder { bounds: vec![0] });
        assert_eq!(fault(&[split(&[3], 2)]), Fault::SplitPart { part: 2, parts: 2 });
        assert_eq!(fault(&[shuffle(0, None)]), Fault::Zero { what: "a window" });
        let late = fault(&[stage(StageKind::Batch { size: 2 }), shuffle(3, None)]);
        assert!(matches!(late, Fault::Stages { .. }));
    }
}
