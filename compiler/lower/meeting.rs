//! Whether two buffers share bytes, over all the turns in which they may be touched.

use strata_runtime::plan::{Buffer, Place};

/// A loop that is running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Running {
    /// Number of turns.
    pub turns: usize,
    /// Whether the turn with the last index comes first.
    pub reverse: bool,
}

/// In which turns one buffer was touched, as seen from a later touch of another. Loops are counted from the
/// outermost; of those that are not named here, each buffer may be in any turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Since {
    /// In so many loops the turn is still the same.
    pub same: usize,
    /// Whether the next loop is the same too, in an earlier turn.
    pub earlier: bool,
}

/// What two buffers share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meeting {
    /// Nothing, in any turns.
    Never,
    /// All of their bytes where anything.
    Whole,
    /// Perhaps some of their bytes.
    Some,
}

/// What `a`, touched earlier, and `b` share; `loops`: those that run around `b`.
pub fn meeting(a: &Buffer, b: &Buffer, since: Since, loops: &[Running]) -> Meeting {
    let (sizes, places) = ([a.bytes() as i64, b.bytes() as i64], [place(a), place(b)]);
    if places[0].0 != places[1].0 || sizes.contains(&0) {
        return Meeting::Never;
    }
    let step = |buffer: &Buffer, level: usize| buffer.moves.get(level).map_or(0, |m| m.bytes);
    let turns = |buffer: &Buffer, level: usize| buffer.moves.get(level).map_or(1, |m| m.turns);
    let mut distance = Lattice::at(places[0].1 - places[1].1);
    for (level, running) in loops.iter().enumerate().take(since.same) {
        distance.spread(step(a, level) - step(b, level), running.turns);
    }
    let mut free = since.same;
    if since.earlier {
        let (Running { turns, reverse }, level) = (loops[since.same], since.same);
        if turns < 2 {
            return Meeting::Never;
        }
        if step(a, level) == step(b, level) {
            let back = if reverse { step(a, level) } else { -step(a, level) };
            distance.shift(back);
            distance.spread(back, turns.saturating_sub(1));
        } else {
            distance.spread(step(a, level), turns);
            distance.spread(-step(b, level), turns);
        }
        free += 1;
    }
    for level in free..a.moves.len().max(b.moves.len()) {
        distance.spread(step(a, level), turns(a, level));
        distance.spread(-step(b, level), turns(b, level));
    }
    distance.meeting(sizes)
}

/// The arena of a buffer, and where it lies there in the turns of index 0.
fn place(buffer: &Buffer) -> ((u8, usize), i64) {
    match buffer.place {
        Place::Variable(at) => ((0, 0), at as i64),
        Place::Scratch(at) => ((1, 0), at as i64),
        Place::Input(input, at) => ((2, input), at as i64),
        Place::Clock(at) => ((3, 0), at as i64),
    }
}

/// Numbers between `low` and `high` that differ from `low` by multiples of `step`; a step of 0: only `low`.
#[derive(Clone, Copy, Debug)]
struct Lattice {
    low: i64,
    high: i64,
    step: i64,
}

impl Lattice {
    fn at(number: i64) -> Lattice {
        Lattice { low: number, high: number, step: 0 }
    }

    fn shift(&mut self, by: i64) {
        self.low += by;
        self.high += by;
    }

    /// Adds `factor` times 0, 1, … up to below `count`.
    fn spread(&mut self, factor: i64, count: usize) {
        if factor == 0 || count < 2 {
            return;
        }
        let far = factor * (count as i64 - 1);
        if far < 0 {
            self.low += far
        } else {
            self.high += far
        }
        self.step = common_divisor(self.step, factor.abs());
    }

    /// What a tensor of the first size shares with one of the second size so far below it.
    fn meeting(&self, [above, below]: [i64; 2]) -> Meeting {
        let (least, most) = (self.low.max(1 - above), self.high.min(below - 1));
        let first = match self.step {
            0 => self.low,
            step => self.low + (least - self.low + step - 1) / step * step,
        };
        if first < least || first > most {
            Meeting::Never
        } else if first == 0 && above == below && (self.step == 0 || self.step > most) {
            Meeting::Whole
        } else {
            Meeting::Some
        }
    }
}

fn common_divisor(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use strata_runtime::plan::Move;
    use strata_runtime::tensor::DType;

    use super::*;

    fn row(at: usize, step: i64, turns: usize) -> Buffer {
        let moves = vec![Move { turns, bytes: step }];
        Buffer { dtype: DType::F32, shape: vec![4], place: Place::Scratch(at), moves }
    }

    /// What is found by trying all turns.
    fn tried(a: &Buffer, b: &Buffer, since: Since, running: Running) -> Meeting {
        let turns = 0..running.turns;
        let at = |buffer: &Buffer, turn: usize| place(buffer).1 + buffer.moves[0].bytes * turn as i64;
        let index = |turn: usize| if running.reverse { running.turns - 1 - turn } else { turn };
        let mut found = Meeting::Never;
        for (i, j) in turns.clone().flat_map(|i| turns.clone().map(move |j| (i, j))) {
            let meant = if since.same > 0 { i == j } else { !since.earlier || i < j };
            let distance = at(a, index(i)) - at(b, index(j));
            if !meant || distance <= -(a.bytes() as i64) || distance >= b.bytes() as i64 {
                continue;
            }
            let whole = distance == 0 && found != Meeting::Some;
            found = if whole { Meeting::Whole } else { Meeting::Some };
        }
        found
    }

    #[test]
    fn it_is_what_trying_all_turns_finds() {
        for turns in 1..5 {
            for reverse in [false, true] {
                let running = Running { turns, reverse };
                for (same, earlier) in [(1, false), (0, true), (0, false)] {
                    let since = Since { same, earlier };
                    for at in [0, 8, 16, 32, 48, 56, 64] {
                        for step in [0, 16, 32] {
                            let (a, b) = (row(at, step, turns), row(32, step, turns));
                            let found = meeting(&a, &b, since, &[running]);
                            assert_eq!(
                                found,
                                tried(&a, &b, since, running),
                                "{a:?} {b:?} {since:?} {running:?}"
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn other_steps_are_never_thought_further_apart_than_they_are() {
        let running = Running { turns: 4, reverse: false };
        for (same, earlier) in [(1, false), (0, true), (0, false)] {
            let since = Since { same, earlier };
            for (at, step) in [(0, 16), (16, 16), (40, 8), (96, 0), (100, 32)] {
                let (a, b) = (row(at, step, 4), row(32, 24, 4));
                let (found, tried) = (meeting(&a, &b, since, &[running]), tried(&a, &b, since, running));
                assert!(
                    found == tried || found == Meeting::Some,
                    "{a:?} {b:?} {since:?}: {found:?}, not {tried:?}"
                );
            }
        }
    }
}
