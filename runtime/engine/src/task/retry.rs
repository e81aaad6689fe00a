//! When a call is made again. Only the loops retry: connectors and clients turn their own retries off, so that attempts never multiply.

use super::reaction::{Next, REOPEN};
use rand::{Rng, rngs::StdRng};
use std::time::Duration;
use tokio::time::Instant;

const FIRST: Duration = Duration::from_millis(100);

/// The longest wait between two attempts of poll, put and commit: so long after the other side is back, at the most, records move again.
pub(super) const DELAY_MAX: Duration = Duration::from_secs(5);

/// The attempts of one call, from its first error to its next success.
#[derive(Debug, Default)]
pub(super) struct Retry {
    since: Option<Instant>,
    attempts: u32,
    at: Option<Instant>,
}

/// How long a call is retried, and how long a wait may become (I6).
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) timeout: Duration,
    pub(super) delay_max: Duration,
}

impl Retry {
    /// Whether the call may be made now.
    pub(super) fn due(&self) -> bool {
        self.at.is_none_or(|at| Instant::now() >= at)
    }
    /// When it may be made; `None` = at once.
    pub(super) fn at(&self) -> Option<Instant> {
        self.at
    }
    /// Whether the last call failed.
    pub(super) fn pending(&self) -> bool {
        self.at.is_some()
    }
    /// Whether the last failure is worth a line in the log: fewer of them the longer it lasts.
    pub(super) fn tells(&self) -> bool {
        self.attempts == 0 || self.attempts.is_power_of_two()
    }
    /// How many attempts have failed.
    pub(super) fn attempts(&self) -> u32 {
        self.attempts
    }
    /// The call succeeded.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
    /// Takes the table's word after an error. `None` = it is scheduled; `Some` = it is not, and this follows.
    pub(super) fn schedule(
        &mut self,
        next: Next,
        limits: Limits,
        rng: &mut StdRng,
    ) -> Option<Next> {
        let now = Instant::now();
        match next {
            Next::Again => {
                let since = *self.since.get_or_insert(now);
                let left = limits.timeout.saturating_sub(now - since);
                if left.is_zero() {
                    return Some(Next::Reopen(REOPEN));
                }
                let step = FIRST
                    .saturating_mul(1 << self.attempts.min(20))
                    .min(limits.delay_max);
                // The last attempt falls on the timeout, not after it.
                let delay = step.mul_f64(rng.random_range(0.5..=1.0)).min(left);
                self.attempts += 1;
                self.at = Some(now + delay);
                None
            }
            Next::Wait(time) => {
                // Time that the other side asked for is not held against the call.
                self.since = self.since.map(|since| since + time);
                self.at = Some(now + time);
                None
            }
            other => Some(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[tokio::test(start_paused = true)]
    async fn it_backs_off_and_gives_up_at_the_timeout() {
        let mut rng = StdRng::seed_from_u64(1);
        let limits = Limits {
            timeout: Duration::from_secs(60),
            delay_max: Duration::from_secs(10),
        };
        let (start, mut retry, mut waits) = (Instant::now(), Retry::default(), Vec::new());
        while retry.schedule(Next::Again, limits, &mut rng).is_none() {
            let at = retry.at().expect("scheduled");
            assert!(!retry.due());
            waits.push(at - Instant::now());
            tokio::time::sleep_until(at).await;
            assert!(retry.due());
        }
        assert_eq!(start.elapsed(), limits.timeout);
        assert!(waits.iter().all(|wait| *wait <= limits.delay_max));
        assert!(
            waits
                .iter()
                .zip(&waits[1..5])
                .all(|(a, b)| *b > a.mul_f64(0.99)),
            "{waits:?}"
        );
        assert_eq!(retry.attempts() as usize, waits.len());
        assert!(waits.len() < 20, "{waits:?}");
        retry.clear();
        assert!(retry.due() && !retry.pending());
    }

    #[tokio::test(start_paused = true)]
    async fn a_throttled_call_costs_no_attempt_and_no_time() {
        let mut rng = StdRng::seed_from_u64(1);
        let limits = Limits {
            timeout: Duration::from_secs(1),
            delay_max: Duration::from_secs(10),
        };
        let mut retry = Retry::default();
        assert_eq!(retry.schedule(Next::Again, limits, &mut rng), None);
        for _ in 0..10 {
            assert_eq!(
                retry.schedule(Next::Wait(Duration::from_secs(9)), limits, &mut rng),
                None
            );
            tokio::time::sleep_until(retry.at().expect("scheduled")).await;
        }
        assert_eq!(retry.attempts(), 1);
        assert_eq!(retry.schedule(Next::Again, limits, &mut rng), None);
    }

    #[test]
    fn zero_means_no_retry_and_other_words_pass() {
        let mut rng = StdRng::seed_from_u64(1);
        let limits = Limits {
            timeout: Duration::ZERO,
            delay_max: Duration::from_secs(10),
        };
        let mut retry = Retry::default();
        assert_eq!(
            retry.schedule(Next::Again, limits, &mut rng),
            Some(Next::Reopen(REOPEN))
        );
        assert_eq!(
            retry.schedule(Next::Fail, limits, &mut rng),
            Some(Next::Fail)
        );
        assert!(!retry.pending());
    }
}
