//! What statuses show of tasks beyond their records: progress, the end of a source, the next restart. Known to this worker only.

use crate::task::{Progress, TaskId};
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
    Opening,
    Running(Arc<Progress>),
    Finished,
    Restarts {
        attempt: u32,
        at: Instant,
        why: String,
    },
}

impl Live {
    /// A task is being opened.
    pub(crate) fn opening(&self, id: &TaskId) {
        self.tasks().insert(id.clone(), Known::Opening);
    }
    /// A task runs.
    pub(crate) fn running(&self, id: &TaskId, progress: Arc<Progress>) {
        self.tasks().insert(id.clone(), Known::Running(progress));
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
    /// Nothing is known of a task any more.
    pub(crate) fn forget(&self, id: &TaskId) {
        self.tasks().remove(id);
    }
    /// Whether a source task has finished.
    pub(crate) fn is_finished(&self, id: &TaskId) -> bool {
        matches!(self.tasks().get(id), Some(Known::Finished))
    }
    /// Whether a connector has tasks that are not gone yet.
    pub(crate) fn any_of(&self, connector: &str) -> bool {
        self.tasks().keys().any(|id| &*id.connector == connector)
    }
    /// What stands under `x` in a task's status.
    pub(crate) fn extra(&self, id: &TaskId, stall_timeout: Duration) -> Option<Value> {
        let known = self.tasks().get(id).cloned()?;
        Some(match known {
            Known::Opening => return None,
            Known::Running(progress) => json!({ "progress": shown(&progress, stall_timeout) }),
            Known::Finished => json!({ "finished": true }),
            Known::Restarts { attempt, at, why } => {
                let wait = at.saturating_duration_since(Instant::now());
                json!({ "restart": { "attempt": attempt, "in_ms": millis(wait), "reason": why } })
            }
        })
    }

    fn tasks(&self) -> MutexGuard<'_, BTreeMap<TaskId, Known>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn shown(progress: &Progress, stall_timeout: Duration) -> Value {
    let idle = progress.last_ok().elapsed();
    let blocked_on = progress.blocked_on();
    // Without lag and without an open call there is nothing to make progress on.
    let waiting = blocked_on.is_some() || progress.lag().is_some_and(|lag| lag > 0);
    let stalled = waiting && !progress.paused() && idle >= stall_timeout;
    json!({
        "records": progress.records(),
        "bytes": progress.bytes(),
        "lag": progress.lag(),
        "idle_ms": millis(idle),
        "blocked_on": blocked_on,
        "stalled": stalled,
    })
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
