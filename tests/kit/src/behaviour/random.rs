//! Seeded choices: a failure prints its seed.

use rand::{Rng, SeedableRng, rngs::StdRng};

/// The seeds that random cases run with.
pub(super) const SEEDS: std::ops::Range<u64> = 0..6;

/// A source of choices.
pub(super) struct Random(StdRng);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }
    /// A number below `limit`.
    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0.random_range(0..limit)
    }
    /// True once in `times`.
    pub(super) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}
