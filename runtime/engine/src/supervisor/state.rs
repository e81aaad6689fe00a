//! What a worker knows of a task, and what it does next: pure.

use super::handover::Handover;
use crate::task::Pace;
use longshore_sdk::config::Flat;
use std::{
    collections::VecDeque,
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};
use tokio::time::Instant;

/// Names a config by its content: the same hash means that nothing is to be done.
pub(crate) fn hash(config: &Flat) -> u64 {
    let mut hasher = DefaultHasher::new();
    config.hash(&mut hasher);
    hasher.finish()
}

/// Where a task is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Not opened: it has just come, or is paused.
    Idle,
    /// It runs, or opens.
    Running,
    /// It was told to stop.
    Stopping,
    /// It failed and is started again at this time.
    Waiting(Instant),
    /// It failed for good.
    Failed,
    /// Its source has finished.
    Finished,
}

/// A task of this worker.
#[derive(Debug)]
pub(crate) struct TaskRun {
    /// Of the config that it was started with.
    pub(crate) hash: u64,
    pub(crate) phase: Phase,
    /// It was asked to start anew.
    pub(crate) restart: bool,
    /// It was asked to while it opened: it starts anew at once, should that fail.
    pub(crate) once_more: bool,
    /// Of the placement that it is here by, or was.
    pub(crate) generation: u64,
    pub(crate) handover: Handover,
    pub(crate) started: Instant,
    /// Failures in a row, as people are shown them.
    pub(crate) attempt: u32,
    /// Those of them that moved records before they failed.
    failures: u32,
    /// Those since the last that did.
    probes: u32,
    recent: VecDeque<Instant>,
}

/// What is wanted of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) hash: u64,
    pub(crate) pace: Pace,
}

/// What to do with a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing but to tell it its pace.
    Keep,
    /// Start it.
    Launch,
    /// Leave it closed and show it paused.
    Rest,
    /// Stop it; what comes next is decided when it has ended.
    Stop,
    /// It is gone and not wanted.
    Forget,
}

/// The shortest and the longest wait before a managed restart.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));
/// The longest waits before a task is opened again that moved nothing in its last life, most likely because the other side is away: such an opening
/// repeats no record, costs little, is not charged to the budget, and finds the other side soon after it is back. The second holds after so
/// many of them, when somebody has to come anyway.
const PROBE_MAX: (Duration, u32, Duration) = (Duration::from_secs(10), 30, Duration::from_secs(30));
/// A task that ran so long before it failed starts with the shortest wait again.
const SETTLED: Duration = Duration::from_secs(60);
/// So many managed restarts an hour; beyond them each waits the longest time.
const BUDGET: usize = 20;
const HOUR: Duration = Duration::from_secs(3600);

impl TaskRun {
    /// A task that has not run yet.
    pub(crate) fn new(hash: u64, now: Instant) -> Self {
        Self {
            hash,
            phase: Phase::Idle,
            restart: false,
            once_more: false,
            generation: 0,
            handover: Handover::default(),
            started: now,
            attempt: 0,
            failures: 0,
            probes: 0,
            recent: VecDeque::new(),
        }
    }
    /// It is started with the config of this hash.
    pub(crate) fn launched(&mut self, hash: u64, now: Instant) {
        if hash != self.hash || self.restart {
            self.start_over();
        }
        self.hash = hash;
        self.restart = false;
        self.once_more = false;
        self.phase = Phase::Running;
        self.started = now;
    }
    /// It failed, and is started again at the time that this answers. `jitter` is 0..1, `least` what the other side asked for; `probe` = it moved
    /// nothing, and time may mend what it failed of.
    pub(crate) fn back_off(
        &mut self,
        now: Instant,
        least: Duration,
        jitter: f64,
        probe: bool,
    ) -> Instant {
        if now.duration_since(self.started) >= SETTLED {
            self.start_over();
        }
        self.attempt += 1;
        let full = if probe {
            let (early, few, late) = PROBE_MAX;
            let longest = if self.probes < few { early } else { late };
            let full = doubled(self.probes).min(longest);
            self.probes += 1;
            full
        } else {
            self.recent.retain(|at| now.duration_since(*at) < HOUR);
            self.recent.push_back(now);
            let spent = self.recent.len() > BUDGET;
            let full = doubled(if spent { u32::MAX } else { self.failures });
            self.failures += 1;
            self.probes = 0;
            full
        };
        // Half of it is fixed, half is random: many tasks that failed together do not come back together.
        let wait = full.mul_f64(0.5 + jitter / 2.0).max(least).max(BACKOFF.0);
        let at = now + wait.min(BACKOFF.1);
        self.phase = Phase::Waiting(at);
        at
    }
    fn start_over(&mut self) {
        (self.attempt, self.failures, self.probes) = (0, 0, 0);
    }
    /// What to do next. `None` = the task is not wanted here.
    pub(crate) fn next(&self, wanted: Option<Wanted>, now: Instant) -> Step {
        let Some(wanted) = wanted else {
            return match self.phase {
                Phase::Running => Step::Stop,
                Phase::Stopping => Step::Keep,
                _ => Step::Forget,
            };
        };
        let start = match wanted.pace {
            Pace::Run => Step::Launch,
            Pace::Pause | Pace::Hold => Step::Rest,
        };
        let anew = self.restart || self.hash != wanted.hash;
        match self.phase {
            Phase::Running if anew => Step::Stop,
            Phase::Running | Phase::Stopping => Step::Keep,
            Phase::Idle => start,
            Phase::Waiting(_) | Phase::Failed | Phase::Finished if anew => start,
            Phase::Waiting(at) if at <= now && wanted.pace == Pace::Run => Step::Launch,
            // A failed task stays failed through pause and resume.
            Phase::Waiting(_) | Phase::Failed | Phase::Finished => Step::Keep,
        }
    }
}

/// The shortest wait, doubled so often, up to the longest.
fn doubled(times: u32) -> Duration {
    BACKOFF.0.saturating_mul(1 << times.min(10)).min(BACKOFF.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: Option<Wanted> = Some(Wanted {
        hash: 1,
        pace: Pace::Run,
    });
    const PAUSE: Option<Wanted> = Some(Wanted {
        hash: 1,
        pace: Pace::Pause,
    });
    const OTHER: Option<Wanted> = Some(Wanted {
        hash: 2,
        pace: Pace::Run,
    });
    const OTHER_PAUSED: Option<Wanted> = Some(Wanted {
        hash: 2,
        pace: Pace::Pause,
    });

    fn task(phase: Phase) -> TaskRun {
        TaskRun {
            phase,
            ..TaskRun::new(1, Instant::now())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_table_of_steps() {
        let now = Instant::now();
        let later = Phase::Waiting(now + Duration::from_secs(1));
        use Step::{Forget, Keep, Launch, Rest, Stop};
        for (phase, steps) in [
            // not wanted, run, pause, other config, other config paused, restart
            (Phase::Idle, [Forget, Launch, Rest, Launch, Rest, Launch]),
            (Phase::Running, [Stop, Keep, Keep, Stop, Stop, Stop]),
            (Phase::Stopping, [Keep, Keep, Keep, Keep, Keep, Keep]),
            (later, [Forget, Keep, Keep, Launch, Rest, Launch]),
            (
                Phase::Waiting(now),
                [Forget, Launch, Keep, Launch, Rest, Launch],
            ),
            (Phase::Failed, [Forget, Keep, Keep, Launch, Rest, Launch]),
            (Phase::Finished, [Forget, Keep, Keep, Launch, Rest, Launch]),
        ] {
            let state = task(phase);
            let mut found: Vec<Step> = [None, RUN, PAUSE, OTHER, OTHER_PAUSED]
                .map(|wanted| state.next(wanted, now))
                .into();
            found.push(
                TaskRun {
                    restart: true,
                    ..task(phase)
                }
                .next(RUN, now),
            );
            assert_eq!(found, steps, "{phase:?}");
        }
    }

    fn wait(state: &mut TaskRun, jitter: f64, probe: bool) -> u64 {
        let now = Instant::now();
        let at = state.back_off(now, Duration::ZERO, jitter, probe);
        (at - now).as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn waits_grow_and_have_an_end() {
        let mut state = task(Phase::Running);
        let waits: Vec<u64> = (0..11).map(|_| wait(&mut state, 1.0, false)).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!((wait(&mut state, 0.0, false), state.attempt), (150, 12));
        // Having run for a while, it starts with the shortest wait.
        tokio::time::advance(SETTLED).await;
        state.launched(1, Instant::now() - SETTLED);
        assert_eq!((wait(&mut state, 1.0, false), state.attempt), (1, 1));
        // The other side's wish counts, up to the limit (I6).
        let now = Instant::now();
        for (asked, granted) in [(70, 70), (9999, 300)] {
            for probe in [false, true] {
                let at = state.back_off(now, Duration::from_secs(asked), 0.0, probe);
                assert_eq!((at - now).as_secs(), granted);
            }
        }
        // Beyond the budget each waits the longest time, however short the wait would be.
        for _ in 0..BUDGET {
            wait(&mut state, 1.0, false);
        }
        state.launched(2, now);
        assert_eq!(wait(&mut state, 1.0, false), 300);
        tokio::time::advance(HOUR).await;
        state.launched(3, Instant::now());
        assert_eq!(wait(&mut state, 1.0, false), 1);
    }

    /// What follows failures: the letters tell whether a life moved records (m) or not (n), the numbers the waits after them.
    #[tokio::test(start_paused = true)]
    async fn the_table_of_waits() {
        for (lives, waits) in [
            // The other side goes away for a minute under a task that ran: it is there again within ten seconds.
            ("mnnnnnnn", vec![1, 1, 2, 4, 8, 10, 10, 10]),
            // It fails again and again after some records: these come twice each time, so it gets slow.
            ("mmmmmm", vec![1, 2, 4, 8, 16, 32]),
            // An outage in between does not make it slower, nor forgets what was before.
            ("mmmnnnnnm", vec![1, 2, 4, 1, 2, 4, 8, 10, 8]),
            ("mnmn", vec![1, 1, 2, 1]),
        ] {
            let mut state = task(Phase::Running);
            let mut found = Vec::new();
            for life in lives.chars() {
                state.launched(1, Instant::now());
                found.push(wait(&mut state, 1.0, life == 'n'));
            }
            assert_eq!(
                (found, state.attempt as usize),
                (waits, lives.len()),
                "{lives}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_outage_costs_no_budget() {
        let mut state = task(Phase::Running);
        let waits: Vec<u64> = (0..500)
            .map(|_| {
                state.launched(1, Instant::now());
                wait(&mut state, 1.0, true)
            })
            .collect();
        assert_eq!((waits[10], waits[499]), (10, 30));
        assert_eq!(wait(&mut state, 1.0, false), 1);
    }

    #[test]
    fn a_hash_is_the_content() {
        let config = Flat::from([("a".to_owned(), "1".to_owned())]);
        assert_eq!(hash(&config), hash(&config.clone()));
        assert_ne!(
            hash(&config),
            hash(&Flat::from([("a".to_owned(), "2".to_owned())]))
        );
    }
}
