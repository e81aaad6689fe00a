//! What statuses show of tasks beyond their records: progress, the end of a source, the next restart. Known to this worker only.

use crate::{
    metrics::{Level, Metrics},
    task::{Progress, TaskId},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// What is known of the tasks of this worker. Bounded by their number.
#[derive(Default)]
pub(crate) struct Live {
    tasks: Mutex<BTreeMap<TaskId, Known>>,
}

#[derive(Clone)]
enum Known {
    /// Since then.
    Opening(Instant),
    Running(Watched),
    Finished,
    Restarts {
        attempt: u32,
        at: Instant,
        why: String,
    },
}

/// A running task, and what was last said of it.
#[derive(Clone)]
struct Watched {
    progress: Arc<Progress>,
    /// Whether it was stalled at the last look, and since when it is as it is; `None` = nobody has looked yet.
    stalled: Option<(bool, Instant)>,
}

/// How often tasks are looked at: late by this much at the most, of the time after which they count as stalled.
const LOOKS: u32 = 12;
/// The shortest time between two looks.
const LOOK_MIN: Duration = Duration::from_millis(50);

impl Live {
    /// A task is being opened.
    pub(crate) fn opening(&self, id: &TaskId) {
        self.tasks()
            .insert(id.clone(), Known::Opening(Instant::now()));
    }
    /// A task runs.
    pub(crate) fn running(&self, id: &TaskId, progress: Arc<Progress>) {
        let stalled = None;
        let watched = Watched { progress, stalled };
        self.tasks().insert(id.clone(), Known::Running(watched));
    }
    /// A source has finished.
    pub(crate) fn finished(&self, id: &TaskId) {
        self.tasks().insert(id.clone(), Known::Finished);
    }
    /// A failed task is started again at a time.
    pub(crate) fn restarts(&self, id: &TaskId, attempt: u32, at: Instant, why: String) {
        self.tasks()
            .insert(id.clone(), Known::Restarts { attempt, at, why });
    }
    /// Nothing is known of a task any more. True = it was running, and had moved records.
    pub(crate) fn forget(&self, id: &TaskId) -> bool {
        match self.tasks().remove(id) {
            Some(Known::Running(watched)) => watched.progress.records() > 0,
            _ => false,
        }
    }
    /// Looks at all running tasks, again and again: one timer for all of them. A stall is told when it begins and when it ends, and a call that
    /// has been open for longer than `call_max` ends its task.
    pub(crate) async fn watch(
        &self,
        stall_timeout: Duration,
        call_max: Duration,
        metrics: &Metrics,
    ) {
        let mut looks = tokio::time::interval((stall_timeout / LOOKS).max(LOOK_MIN));
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            self.look(stall_timeout, call_max, metrics);
        }
    }
    fn look(&self, stall_timeout: Duration, call_max: Duration, metrics: &Metrics) {
        let now = Instant::now();
        for (id, known) in self.tasks().iter_mut() {
            let Known::Running(Watched { progress, stalled }) = known else {
                continue;
            };
            progress.give_up_after(call_max);
            let (is, was) = (progress.stalled(stall_timeout), *stalled);
            if was.is_some_and(|(was, _)| was == is) {
                continue;
            }
            *stalled = Some((is, now));
            metrics.set(id, Level::Stalled, i64::from(is));
            let (records, lag) = (progress.records(), progress.lag());
            match was {
                _ if is => {
                    let idle_ms = millis(progress.last_ok().elapsed());
                    let blocked_on = progress.blocked_on(stall_timeout);
                    tracing::warn!(task = %id, blocked_on, idle_ms, lag, records, "stalled: it has work and makes no progress");
                }
                Some((_, since)) => {
                    let stalled_ms = millis(now - since);
                    tracing::info!(task = %id, stalled_ms, lag, records, "it makes progress again");
                }
                None => {}
            }
        }
    }
    /// Whether a source task has finished.
    pub(crate) fn is_finished(&self, id: &TaskId) -> bool {
        matches!(self.tasks().get(id), Some(Known::Finished))
    }
    /// Whether a connector has tasks that are not gone yet.
    pub(crate) fn any_of(&self, connector: &str) -> bool {
        self.tasks().keys().any(|id| &*id.connector == connector)
    }
    /// How long a task has been opening; `None` = it is not.
    pub(crate) fn opening_for(&self, id: &TaskId) -> Option<Duration> {
        match self.tasks().get(id) {
            Some(Known::Opening(since)) => Some(since.elapsed()),
            _ => None,
        }
    }
    /// What stands under `x` in a task's status; `None` = nothing is known of the task: it is not here.
    pub(crate) fn extra(&self, id: &TaskId, stall_timeout: Duration) -> Option<Option<Value>> {
        let known = self.tasks().get(id).cloned()?;
        Some(Some(match known {
            Known::Opening(_) => return Some(None),
            Known::Running(watched) => {
                json!({ "progress": shown(&watched.progress, stall_timeout) })
            }
            Known::Finished => json!({ "finished": true }),
            Known::Restarts { attempt, at, why } => {
                let wait = at.saturating_duration_since(Instant::now());
                json!({ "restart": { "attempt": attempt, "in_ms": millis(wait), "reason": why } })
            }
        }))
    }

    fn tasks(&self) -> MutexGuard<'_, BTreeMap<TaskId, Known>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn shown(progress: &Progress, stall_timeout: Duration) -> Value {
    let moves = progress
        .since_moved()
        .is_some_and(|since| since < stall_timeout);
    let mut shown = json!({
        "records": progress.records(),
        "bytes": progress.bytes(),
        "lag": progress.lag(),
        "idle_ms": millis(progress.last_ok().elapsed()),
        "blocked_on": progress.blocked_on(stall_timeout),
        "waiting_for": progress.waiting_for(stall_timeout),
        "progressing": moves && !progress.paused(),
        "stalled": progress.stalled(stall_timeout),
    });
    if let Some(partitions) = progress.partitions() {
        shown["partitions"] = partitions.into();
    }
    shown
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Call;
    use longshore_sdk::Direction;

    const STALL: Duration = Duration::from_secs(60);
    const CALL: Duration = Duration::from_secs(300);

    #[tokio::test(start_paused = true)]
    async fn a_stall_is_shown_when_it_begins_and_when_it_ends() {
        let (live, metrics) = (Live::default(), Metrics::new());
        let (id, progress) = (TaskId::new("c", 0), Progress::new());
        let _meters = metrics.task(&id, Direction::Sink);
        live.running(&id, Arc::clone(&progress));
        let look = || {
            live.look(STALL, CALL, &metrics);
            let text = metrics.encode();
            let series = "longshore_task_stalled{connector=\"c\",task=\"0\"} ";
            let at = text.find(series).expect("a series") + series.len();
            let known = live.tasks().get(&id).cloned();
            let Some(Known::Running(Watched { stalled, .. })) = known else {
                panic!("it runs");
            };
            let (is, since) = stalled.expect("somebody has looked");
            (text[at..].starts_with('1'), is, since.elapsed().as_secs())
        };
        progress.set_lag(5);
        assert_eq!(look(), (false, false, 0));
        tokio::time::advance(STALL).await;
        assert_eq!(look(), (true, true, 0));
        tokio::time::advance(STALL).await;
        assert_eq!(look(), (true, true, 60), "told once, not at each look");
        progress.leave(true);
        assert_eq!(look(), (false, false, 0));
        tokio::time::advance(STALL).await;
        assert_eq!(look(), (true, true, 0), "it lags still");
        progress.set_lag(0);
        assert_eq!(look(), (false, false, 0));
        // The wait for memory has no bound of its own; a call of the connector has.
        let given_up = || tokio::time::timeout(Duration::from_secs(1), progress.given_up());
        for (call, bounded) in [(Call::Memory, false), (Call::Flush, true)] {
            progress.enter(call);
            tokio::time::advance(CALL + Duration::from_secs(1)).await;
            assert_eq!(look(), (true, true, 0), "{call:?}");
            assert_eq!(given_up().await.is_ok(), bounded, "{call:?}");
            progress.leave(true);
            look();
        }
        assert!(!live.forget(&id), "it moved nothing");
    }

    #[tokio::test(start_paused = true)]
    async fn a_sink_without_partitions_is_not_called_progressing() {
        let progress = Progress::new();
        assert_eq!(shown(&progress, STALL)["partitions"], Value::Null);
        progress.set_partitions(0);
        progress.leave(true);
        let idle = shown(&progress, STALL);
        assert_eq!(idle["partitions"], 0);
        assert_eq!(
            (&idle["progressing"], &idle["stalled"]),
            (&false.into(), &false.into())
        );
        progress.set_partitions(2);
        progress.moved(7, 70);
        assert_eq!(shown(&progress, STALL)["progressing"], true);
        progress.set_paused(true);
        assert_eq!(shown(&progress, STALL)["progressing"], false);
        progress.set_paused(false);
        tokio::time::advance(STALL).await;
        assert_eq!(shown(&progress, STALL)["progressing"], false);
    }
}
