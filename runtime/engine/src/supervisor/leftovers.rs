//! Statuses of tasks that are not wanted any more. Each stays until whoever had the task has let go of it: as long as it is there, the task may still store
//! offsets, so nobody else changes them.

use super::Supervisor;
use crate::{
    ports::View,
    task::TaskId,
    views::{config::Connector as Wanted, status::Status},
};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// How much longer than its two grace periods a task is waited for: its last status is still to be written and read.
const SAID_IN: Duration = Duration::from_secs(3);

impl Supervisor {
    /// As the leader: removes the statuses of tasks beyond the wanted ones whose owners have let go, are gone, or had their time (I6). Returns when to
    /// look again at the latest.
    pub(super) fn clear_leftovers(
        &mut self,
        name: &Arc<str>,
        wanted: &Wanted,
        now: Instant,
    ) -> Option<Instant> {
        let count = u32::try_from(wanted.tasks.len()).unwrap_or(u32::MAX);
        (!wanted.torn)
            .then(|| self.clear_beyond(name, count, now))
            .flatten()
    }

    /// The same, of a connector that has so many tasks, or of one that was deleted.
    pub(super) fn clear_beyond(
        &mut self,
        name: &Arc<str>,
        count: u32,
        now: Instant,
    ) -> Option<Instant> {
        let mut left = self.cx.status.beyond(name, count);
        if !left.is_empty() {
            let since = self.connectors.get(name).and_then(|run| run.leaving);
            let until = since.unwrap_or(now) + self.cx.settings.grace * 2 + SAID_IN;
            let view = self.cx.view();
            left.retain(|(task, said)| {
                let stays = until > now && self.is_leaving(name, *task, said, &view);
                if !stays {
                    self.cx.status.forget_task(name, *task);
                }
                stays
            });
        }
        if left.is_empty() {
            if let Some(run) = self.connectors.get_mut(name) {
                run.leaving = None;
            }
            return None;
        }
        let run = self.connectors.entry(Arc::clone(name)).or_default();
        Some(*run.leaving.get_or_insert(now) + self.cx.settings.grace * 2 + SAID_IN)
    }

    /// Whether a worker that is there still has the task, as far as its status tells.
    fn is_leaving(&self, name: &Arc<str>, task: u32, said: &Status, view: &View) -> bool {
        if !said.state.is_live() {
            return false;
        }
        if said.worker_id == view.me.worker_id {
            // A former start of this worker may have said it.
            return self
                .tasks
                .contains_key(&TaskId::new(Arc::clone(name), task));
        }
        let mut members = view.members.iter();
        members.any(|member| member.worker_id == said.worker_id)
    }
}
