//! Choices that follow from a seed: the same case on every machine.

use strata_runtime::kernels::random::Draw;

/// A sequence of choices.
pub struct Choices {
    draw: Draw,
    made: u64,
}

impl Choices {
    /// The sequence of a seed.
    pub fn new(seed: u64) -> Choices {
        Choices { draw: Draw::new(seed, 0, 0), made: 0 }
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        self.made += 1;
        self.draw.below(self.made, bound as u64) as usize
    }

    /// One of several.
    pub fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }

    /// True once in `n` times.
    pub fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// `0..count` in another order.
    pub fn order(&mut self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        for i in (1..count).rev() {
            order.swap(i, self.below(i + 1));
        }
        order
    }
}

/// How many cases a property is tried on: `STRATA_CASES`, else a sample.
pub fn cases(sample: u64) -> u64 {
    std::env::var("STRATA_CASES").ok().and_then(|count| count.parse().ok()).unwrap_or(sample)
}
