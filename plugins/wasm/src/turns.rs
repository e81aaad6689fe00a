//! Turns of guests that compute for long: together they leave the worker's other tasks a core.

use crate::engine::TICK;
use std::{
    num::NonZeroUsize,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Ticks that a call computes before it has to take turns: less is what any task may do.
pub(crate) const FREE_TICKS: u32 = 4;
/// A shorter wait is none: timers count in milliseconds.
const WAIT_MIN: Duration = Duration::from_millis(1);

/// Lanes of time. A turn is taken ahead and never given back, so nobody can keep one: whoever waits in the host meanwhile has wasted it.
pub(crate) struct Turns {
    /// When each is free.
    lanes: Mutex<Box<[Instant]>>,
    length: Duration,
}

impl Turns {
    /// For the cores that the worker's runtime has, as many threads as cores.
    pub(crate) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self::on(cores)
    }
    fn on(cores: usize) -> Self {
        Self {
            lanes: Mutex::new(vec![Instant::now(); cores.saturating_sub(1).max(1)].into()),
            // A single core is shared half and half.
            length: if cores == 1 { TICK * 2 } else { TICK },
        }
    }
    /// Takes the next turn of one tick; how long to wait for it.
    pub(crate) fn take(&self) -> Option<Duration> {
        let now = Instant::now();
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let free = lanes.iter_mut().min()?;
        let start = now.max(*free);
        *free = start + self.length;
        let wait = start - now;
        (wait >= WAIT_MIN).then_some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_core_is_left_to_others() {
        let turns = Turns::on(3);
        let waits: Vec<u128> = (0..6)
            .map(|_| turns.take().map_or(0, |wait| wait.as_millis()))
            .collect();
        assert_eq!(waits, [0, 0, 10, 10, 20, 20]);
        tokio::time::advance(Duration::from_millis(35)).await;
        assert_eq!(turns.take(), None, "turns that nobody used are gone");
    }

    #[tokio::test(start_paused = true)]
    async fn a_single_core_is_halved() {
        let turns = Turns::on(1);
        assert_eq!(turns.take(), None);
        assert_eq!(turns.take(), Some(TICK * 2));
    }
}
