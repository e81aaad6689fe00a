//! When the records of one task arrived, and the gaps between them.

use std::time::{SystemTime, UNIX_EPOCH};

/// A window of time, in milliseconds since the epoch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) from: f64,
    pub(crate) to: f64,
}

/// Now, in milliseconds since the epoch: the broker stamps records by the same clock.
pub(crate) fn now() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64() * 1e3)
}

/// Arrivals in the order of time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Series {
    /// Each arrived after the first and not after the second time.
    at: Vec<(f64, f64)>,
}

impl Series {
    /// A record that came at this time for certain.
    pub(crate) fn add(&mut self, at: f64) {
        self.add_between(at, at);
    }

    /// A record that was not there at `from` and was at `to`.
    pub(crate) fn add_between(&mut self, from: f64, to: f64) {
        self.at.push((from, to));
    }

    /// When the first record after `time` had arrived.
    pub(crate) fn first_after(&self, time: f64) -> Option<f64> {
        let index = self.at.partition_point(|(from, _)| *from <= time);
        self.at.get(index).map(|(_, to)| *to)
    }

    /// When the last record came.
    pub(crate) fn last(&self) -> Option<f64> {
        self.at.last().map(|(_, to)| *to)
    }

    /// The longest time for which certainly no record came, of those that touch the window. Where no record has come since, it
    /// lasts until the window's end: let the readers catch up before asking.
    pub(crate) fn largest_gap(&self, window: Window) -> f64 {
        let first = self
            .at
            .partition_point(|(_, to)| *to < window.from)
            .saturating_sub(1);
        let touching = self.at[first..]
            .windows(2)
            .take_while(|pair| pair[0].1 <= window.to);
        let between = touching
            .map(|pair| pair[1].0 - pair[0].1)
            .fold(0.0, f64::max);
        let last = self.last().unwrap_or(window.from);
        between.max(window.to - last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_reach_over_the_edges_of_a_window_and_are_as_long_as_is_certain() {
        let mut series = Series::default();
        for at in [0.0, 100.0, 1100.0, 1150.0] {
            series.add(at);
        }
        let gap = |from, to| series.largest_gap(Window { from, to });
        assert_eq!(gap(50.0, 90.0), 100.0, "from 0.0 to 100.0");
        assert_eq!(gap(500.0, 1120.0), 1000.0);
        assert_eq!(gap(1120.0, 2150.0), 1000.0, "nothing came after it");
        assert_eq!(
            Series::default().largest_gap(Window { from: 0.0, to: 7.0 }),
            7.0
        );
        assert_eq!(series.first_after(100.0), Some(1100.0));
        // Seen at 10 and 40 by looks at 5, 10, 20, 40: for certain nothing came between 10 and 20.
        let mut looked = Series::default();
        looked.add_between(5.0, 10.0);
        looked.add_between(20.0, 40.0);
        assert_eq!(
            looked.largest_gap(Window {
                from: 8.0,
                to: 41.0
            }),
            10.0
        );
    }
}
