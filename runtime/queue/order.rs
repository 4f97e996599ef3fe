//! In which order examples come: a function of (seed, epoch, position).

use super::error::{DataError, Fault};
use super::recipe::{Stage, StageKind};
use crate::kernels::random::{Draw, stream_of};

/// The order of examples in every epoch.
#[derive(Clone, Debug)]
pub struct Order {
    /// What is left after the last split, in the order in which it leaves it; the same in every epoch.
    fixed: Vec<usize>,
    /// What is done anew in each epoch.
    turns: Vec<Turn>,
}

#[derive(Clone, Copy, Debug)]
enum Turn {
    Shuffle(Shuffle),
    /// So many epochs, one behind the other. Examples of each are numbered from `stride` further on, so that no two
    /// have the same number.
    Repeat {
        times: usize,
        stride: usize,
    },
}

#[derive(Clone, Copy, Debug)]
struct Shuffle {
    window: usize,
    /// Its own seed, or the one of the run.
    seed: u64,
    /// Which of the recipe's shuffles it is, as a stream of random numbers.
    stream: u64,
}

/// Numbers of examples that an epoch may have: they are written down.
const MOST: usize = 1 << 28;

impl Order {
    /// Evaluates what stands before the last split of `stages`, over `examples` examples. `seed` is for
    /// shuffles without their own. Numbers from `examples` on are repetitions: `number % examples` is repeated.
    ///
    /// # Errors
    /// A window of 0, a split that the data cannot have, nothing left, an order after the batch.
    pub fn new(examples: usize, stages: &[Stage], seed: u64) -> Result<Order, DataError> {
        let mut order = Order { fixed: (0..examples).collect(), turns: Vec::new() };
        let (mut batched, mut shuffles, mut stride) = (false, 0, examples);
        for stage in stages {
            let fail = |fault| DataError::new(stage.origin, fault);
            match &stage.kind {
                StageKind::Shuffle { .. }
                | StageKind::Split { .. }
                | StageKind::Bucket { .. }
                | StageKind::Take { .. }
                | StageKind::Repeat { .. }
                | StageKind::Picture(_)
                    if batched =>
                {
                    let reason = "what happens to examples comes before the batch";
                    return Err(fail(Fault::Stages { reason }));
                }
                StageKind::Shuffle { window: 0, .. } => {
                    return Err(fail(Fault::Zero { what: "a window" }));
                }
                StageKind::Shuffle { window, seed: own } => {
                    let stream = stream_of(&format!("shuffle {shuffles}"));
                    shuffles += 1;
                    let shuffle = Shuffle { window: *window, seed: own.unwrap_or(seed), stream };
                    order.turns.push(Turn::Shuffle(shuffle));
                }
                StageKind::Split { bounds, part } => {
                    let fixed = cut(order.epoch(0), bounds, *part).map_err(fail)?;
                    order = Order { fixed, turns: Vec::new() };
                }
                StageKind::Take { count: 0 } => {
                    return Err(fail(Fault::Zero { what: "a number of examples" }));
                }
                StageKind::Take { count } => {
                    let mut fixed = order.epoch(0);
                    fixed.truncate(*count);
                    order = Order { fixed, turns: Vec::new() };
                }
                StageKind::Repeat { times: 0 } => {
                    return Err(fail(Fault::Zero { what: "a number of repetitions" }));
                }
                StageKind::Repeat { times } => {
                    if order.examples().checked_mul(*times).is_none_or(|examples| examples > MOST) {
                        return Err(fail(Fault::TooManyRepetitions { times: *times, most: MOST }));
                    }
                    order.turns.push(Turn::Repeat { times: *times, stride });
                    stride = stride.saturating_mul(*times);
                }
                StageKind::Batch { .. } => batched = true,
                StageKind::Picture(_) | StageKind::Bucket { .. } | StageKind::Prefetch { .. } => {}
            }
        }
        Ok(order)
    }

    /// Examples of an epoch.
    pub fn examples(&self) -> usize {
        self.fixed.len() * self.times()
    }

    /// The examples of any epoch, in an order of no meaning; those that are repeated are there but once.
    pub fn once(&self) -> &[usize] {
        &self.fixed
    }

    /// How often an epoch has each of them.
    pub fn times(&self) -> usize {
        let times = self.turns.iter().map(|turn| match turn {
            Turn::Shuffle(_) => 1,
            Turn::Repeat { times, .. } => *times,
        });
        times.product()
    }

    /// Leaves out what `keep` does not want.
    pub fn retain(&mut self, keep: impl Fn(usize) -> bool) {
        self.fixed.retain(|example| keep(*example));
    }

    /// The examples of an epoch, in their order.
    pub fn epoch(&self, epoch: u64) -> Vec<usize> {
        arranged(&self.fixed, &self.turns, epoch)
    }
}

fn arranged(fixed: &[usize], turns: &[Turn], epoch: u64) -> Vec<usize> {
    match turns.split_last() {
        None => fixed.to_vec(),
        Some((Turn::Shuffle(shuffle), before)) => {
            let mut indices = arranged(fixed, before, epoch);
            shuffle.apply(epoch, &mut indices);
            indices
        }
        Some((Turn::Repeat { times, stride }, before)) => {
            let first = epoch.wrapping_mul(*times as u64);
            let one = |turn: usize| {
                let inner = arranged(fixed, before, first.wrapping_add(turn as u64));
                inner.into_iter().map(move |example| example + turn * stride)
            };
            (0..*times).flat_map(one).collect()
        }
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
    fn repetitions_are_epochs_with_numbers_of_their_own() {
        let twice = |stages: &[Stage]| {
            Order::new(10, &[stages, &[stage(StageKind::Repeat { times: 2 })]].concat(), 3)
        };
        let order = twice(&[shuffle(10, None)]).unwrap();
        let plain = Order::new(10, &[shuffle(10, None)], 3).unwrap();
        assert_eq!((order.examples(), sorted(order.epoch(0))), (20, (0..20).collect()));
        assert_eq!((sorted(order.once().to_vec()), order.times()), ((0..10).collect(), 2));
        let expected: Vec<usize> =
            plain.epoch(6).into_iter().chain(plain.epoch(7).iter().map(|example| example + 10)).collect();
        assert_eq!(order.epoch(3), expected);
        let four = twice(&[stage(StageKind::Repeat { times: 2 }), shuffle(40, None)]).unwrap();
        assert_eq!(sorted(four.epoch(1)), (0..40).collect::<Vec<_>>());
        let parts = [0, 1].map(|part| {
            let stages = [stage(StageKind::Repeat { times: 2 }), split(&[13], part), shuffle(20, None)];
            sorted(Order::new(10, &stages, 3).unwrap().epoch(5))
        });
        assert_eq!(parts.concat(), (0..20).collect::<Vec<_>>());
        let beyond = Order::new(10, &[stage(StageKind::Repeat { times: usize::MAX / 2 })], 3).unwrap_err();
        assert!(matches!(beyond.fault, Fault::TooManyRepetitions { .. }));
    }

    #[test]
    fn what_is_taken_is_the_same_in_every_epoch() {
        let take = |count| [shuffle(100, None), stage(StageKind::Take { count }), shuffle(30, None)];
        let order = Order::new(100, &take(30), 3).unwrap();
        assert_eq!(order.examples(), 30);
        assert_eq!(sorted(order.epoch(0)), sorted(order.epoch(7)));
        assert_ne!(order.epoch(0), order.epoch(7));
        assert_eq!(Order::new(100, &take(1000), 3).unwrap().examples(), 100);
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
