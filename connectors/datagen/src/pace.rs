//! How many records are due: a clock that hands out tokens.

use std::time::Duration;
use tokio::time::Instant;

/// How far behind the clock may fall: after a longer stall the rest is let go, so that a pause does not end in a flood.
const CATCH_UP_MAX: Duration = Duration::from_secs(1);

/// Hands out `rate` tokens a second.
#[derive(Debug)]
pub(crate) struct Pace {
    rate: u64,
    /// Tokens count from here.
    since: Instant,
    /// Tokens handed out since then.
    spent: u64,
}

impl Pace {
    /// A clock that starts now; `rate` 0 means that any number is due at any time.
    pub(crate) fn new(rate: u64) -> Self {
        Self {
            rate,
            since: Instant::now(),
            spent: 0,
        }
    }

    /// How many records may go out now.
    pub(crate) fn due(&mut self) -> u64 {
        if self.rate == 0 {
            return u64::MAX;
        }
        let now = Instant::now();
        let due = self
            .earned(now.duration_since(self.since))
            .saturating_sub(self.spent);
        if due <= self.earned(CATCH_UP_MAX) {
            return due;
        }
        self.since = now.checked_sub(CATCH_UP_MAX).unwrap_or(now);
        self.spent = 0;
        self.earned(now.duration_since(self.since))
    }

    /// Takes `count` of the due tokens.
    pub(crate) fn spend(&mut self, count: u64) {
        self.spent = self.spent.saturating_add(count);
    }

    /// How long until the next token.
    pub(crate) fn wait(&self) -> Duration {
        if self.rate == 0 {
            return Duration::ZERO;
        }
        let next = u128::from(self.spent) + 1;
        // Rounded up: a wait that is a nanosecond short would come back with nothing due.
        let nanos = (next * 1_000_000_000).div_ceil(u128::from(self.rate));
        let at = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        at.saturating_sub(self.since.elapsed())
    }

    fn earned(&self, elapsed: Duration) -> u64 {
        let tokens = elapsed.as_nanos() * u128::from(self.rate) / 1_000_000_000;
        u64::try_from(tokens).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn tokens_follow_the_clock_and_a_stall_is_caught_up_for_one_second_only() {
        let mut pace = Pace::new(1000);
        assert_eq!(pace.due(), 0);
        assert_eq!(pace.wait(), Duration::from_millis(1));
        tokio::time::advance(Duration::from_millis(250)).await;
        assert_eq!(pace.due(), 250);
        pace.spend(100);
        assert_eq!(pace.due(), 150, "what was not taken stays due");
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(pace.due(), 1000);
        pace.spend(1000);
        assert_eq!(pace.due(), 0);
        tokio::time::advance(pace.wait()).await;
        assert_eq!(pace.due(), 1, "waiting as told earns a token");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_rate_waits_its_whole_period() {
        let mut pace = Pace::new(1);
        tokio::time::advance(Duration::from_millis(400)).await;
        assert_eq!(pace.due(), 0);
        assert_eq!(pace.wait(), Duration::from_millis(600));
    }
}
