//! Consumer groups, classic protocol: who is in, which generation, who was assigned what. Offsets live in the store.

mod join;
pub(crate) mod state;
mod subscription;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kafka_protocol::error::ResponseError;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Config;
use state::State;

pub(crate) use state::{JoinReply, Joining, SyncReply};

/// One group: its state, and the bell for the task that watches its deadlines.
#[derive(Debug)]
pub(crate) struct Group {
    state: Mutex<State>,
    deadlines: Notify,
}

impl Group {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the watcher look again: a deadline may be earlier now.
    pub(crate) fn deadlines_changed(&self) {
        self.deadlines.notify_one();
    }

    /// Sleeps until the next deadline, lets it happen, and so on; ends when the group has none left.
    async fn watch(self: Arc<Group>, stop: CancellationToken) {
        loop {
            let next = {
                let mut state = self.state();
                state.expire(Instant::now());
                let next = state.next_deadline();
                state.watched = next.is_some();
                next
            };
            let Some(next) = next else { return };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep_until(next) => {}
                () = self.deadlines.notified() => {}
            }
        }
    }
}

/// All groups that have or had members since the start.
#[derive(Debug)]
pub(crate) struct Groups {
    max: usize,
    rules: state::Rules,
    by_id: Mutex<HashMap<String, Arc<Group>>>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Groups {
    pub(crate) fn new(config: &Config, stop: CancellationToken, tasks: TaskTracker) -> Groups {
        Groups {
            max: config.limits.groups,
            rules: state::Rules::new(config),
            by_id: Mutex::default(),
            stop,
            tasks,
        }
    }

    fn by_id(&self) -> MutexGuard<'_, HashMap<String, Arc<Group>>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, id: &str) -> Option<Arc<Group>> {
        self.by_id().get(id).cloned()
    }

    /// All groups with their ids.
    pub(crate) fn all(&self) -> Vec<(String, Arc<Group>)> {
        self.by_id()
            .iter()
            .map(|(id, group)| (id.clone(), group.clone()))
            .collect()
    }

    /// The group a member joins; made when it is new. At the limit, groups without members make room.
    fn get_or_create(&self, id: &str) -> Result<Arc<Group>, ResponseError> {
        let mut by_id = self.by_id();
        if let Some(group) = by_id.get(id) {
            return Ok(group.clone());
        }
        if by_id.len() >= self.max {
            by_id.retain(|_, group| !group.state().is_empty());
        }
        if by_id.len() >= self.max {
            return Err(ResponseError::CoordinatorNotAvailable);
        }
        let state = Mutex::new(State::new(self.rules.clone()));
        let group = Arc::new(Group {
            state,
            deadlines: Notify::new(),
        });
        by_id.insert(id.to_owned(), group.clone());
        Ok(group)
    }

    /// Lets a member join; the answer comes when the generation is complete.
    pub(crate) async fn join(&self, id: &str, joining: Joining) -> JoinReply {
        let refused = |error, member_id: &str| JoinReply {
            outcome: Err(error),
            member_id: member_id.to_owned(),
        };
        if id.is_empty() {
            return refused(ResponseError::InvalidGroupId, &joining.member_id);
        }
        let member_id = joining.member_id.clone();
        let answer = match self.get_or_create(id) {
            Err(error) => return refused(error, &member_id),
            Ok(group) => {
                let (answer, start_watch) = {
                    let mut state = group.state();
                    let answer = state.join(joining, Instant::now());
                    (answer, !std::mem::replace(&mut state.watched, true))
                };
                if start_watch {
                    self.tasks.spawn(group.clone().watch(self.stop.clone()));
                }
                group.deadlines_changed();
                answer
            }
        };
        // The sender goes when the member joined again elsewhere or is gone: it has to ask anew.
        answer
            .await
            .unwrap_or_else(|_| refused(ResponseError::RebalanceInProgress, &member_id))
    }

    /// Hands a member its assignment, when the leader has sent it.
    pub(crate) async fn sync(
        &self,
        id: &str,
        who: &state::Who<'_>,
        assignments: Vec<(String, bytes::Bytes)>,
    ) -> SyncReply {
        let answer = {
            let Some(group) = self.get(id) else {
                return Err(ResponseError::UnknownMemberId);
            };
            let answer = group.state().sync(who, assignments, Instant::now())?;
            group.deadlines_changed();
            answer
        };
        answer
            .await
            .unwrap_or(Err(ResponseError::RebalanceInProgress))
    }

    /// Removes a group without members. Tells `GroupIdNotFound` when there is none: it may still have offsets.
    pub(crate) fn delete(&self, id: &str) -> Result<(), ResponseError> {
        let mut by_id = self.by_id();
        let group = by_id
            .get(id)
            .cloned()
            .ok_or(ResponseError::GroupIdNotFound)?;
        group.state().bury()?;
        by_id.remove(id);
        Ok(())
    }
}
