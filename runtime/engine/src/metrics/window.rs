//! Average and maximum of the last minute.

use std::time::Duration;
use tokio::time::Instant;

/// Two half-windows: the present one and the one before it.
#[derive(Clone, Copy, Default)]
pub(super) struct Window {
    since: Option<Instant>,
    halves: [Half; 2],
}

#[derive(Clone, Copy, Default)]
struct Half {
    sum: f64,
    samples: f64,
    max: f64,
}

const HALF: Duration = Duration::from_secs(30);

impl Window {
    pub(super) fn add(&mut self, value: f64, now: Instant) {
        let age = now - *self.since.get_or_insert(now);
        if age >= HALF {
            self.halves[1] = if age < HALF * 2 {
                self.halves[0]
            } else {
                Half::default()
            };
            self.halves[0] = Half::default();
            self.since = Some(now);
        }
        let half = &mut self.halves[0];
        half.sum += value;
        half.samples += 1.0;
        half.max = half.max.max(value);
    }
    pub(super) fn read(&self, now: Instant) -> (f64, f64) {
        let fresh = self.since.is_some_and(|since| now - since < HALF * 2);
        let [one, two] = if fresh {
            self.halves
        } else {
            Default::default()
        };
        let samples = one.samples + two.samples;
        let average = if samples > 0.0 {
            (one.sum + two.sum) / samples
        } else {
            0.0
        };
        (average, one.max.max(two.max))
    }
}
