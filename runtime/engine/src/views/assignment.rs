//! Who runs what, as the leader has written it: `task-<connector>-<n>` -> `{"worker":..,"incarnation":..,"generation":..}` in the coordination topic.
//! Beside them stands `cluster`: which other internal topics the workers of this group use.

use super::{
    config::records::Pair,
    fold::{self, Fold, Folded},
};
use crate::{
    ports::{Entry, KeyedLog, Member},
    task::TaskId,
    worker::InternalTopics,
};
use bytes::Bytes;
use longshore_sdk::Result;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where a task runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// The worker's advertised host and port.
    #[serde(rename = "worker")]
    pub worker_id: String,
    /// Which start of that worker: another one must not run the task before the leader says so (I4).
    pub incarnation: String,
    /// The assignment generation: a later placement of any task has a greater one. Not to be mixed up with a task set's generation.
    pub generation: u64,
    /// Who ran it before and was still there when it was moved: it lets go before a source starts here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former: Option<Former>,
}

/// Who ran a task before it was moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Former {
    /// The worker's advertised host and port.
    #[serde(rename = "worker")]
    pub worker_id: String,
    /// Which start of that worker.
    pub incarnation: String,
    /// The assignment generation that it ran the task under.
    pub generation: u64,
}

impl Placement {
    /// Whether the task is placed on `member`.
    pub fn is_on(&self, member: &Member) -> bool {
        self.worker_id == member.worker_id && self.incarnation == member.incarnation
    }
    /// The assignment generation as statuses carry it.
    pub fn status_generation(&self) -> i32 {
        status_generation(self.generation)
    }
}

impl Former {
    /// Whether it is `member`.
    pub fn is(&self, member: &Member) -> bool {
        self.worker_id == member.worker_id && self.incarnation == member.incarnation
    }
    /// The assignment generation as statuses carry it.
    pub fn status_generation(&self) -> i32 {
        status_generation(self.generation)
    }
}

fn status_generation(generation: u64) -> i32 {
    i32::try_from(generation).unwrap_or(i32::MAX)
}

/// The coordination topic, folded.
#[derive(Default)]
pub struct Assignments {
    tasks: BTreeMap<TaskId, Placement>,
    generation: u64,
    topics: Option<InternalTopics>,
}

/// The coordination topic and its fold.
pub type AssignmentView = Folded<Assignments>;

impl Assignments {
    /// Where a task runs.
    pub fn of(&self, id: &TaskId) -> Option<&Placement> {
        self.tasks.get(id)
    }
    /// All placements.
    pub fn all(&self) -> &BTreeMap<TaskId, Placement> {
        &self.tasks
    }
    /// The greatest generation that was ever seen.
    pub fn generation(&self) -> u64 {
        self.generation
    }
    /// The other internal topics that this group of workers has agreed on; none before its first leader has.
    pub fn topics(&self) -> Option<&InternalTopics> {
        self.topics.as_ref()
    }
}

impl Fold for Assignments {
    fn apply(&mut self, entry: &Entry) {
        if &*entry.key == TOPICS_KEY {
            let parsed = entry.value.as_deref().map(serde_json::from_slice);
            match parsed.transpose() {
                Ok(topics) => self.topics = topics,
                Err(error) => {
                    tracing::warn!(%error, "the record `cluster` of the coordination topic cannot be read and is left out");
                }
            }
            return;
        }
        let Some(id) = parse_key(&entry.key) else {
            return;
        };
        match &entry.value {
            None => drop(self.tasks.remove(&id)),
            Some(value) => match serde_json::from_slice::<Placement>(value) {
                Ok(placement) => {
                    self.generation = self.generation.max(placement.generation);
                    self.tasks.insert(id, placement);
                }
                Err(error) => {
                    tracing::warn!(task = %id, %error, "a record of the coordination topic cannot be read and is left out");
                }
            },
        }
    }
}

const TOPICS_KEY: &[u8] = b"cluster";

/// The record that says which topics the group uses.
pub fn topics_record(topics: &InternalTopics) -> Pair {
    let value = serde_json::to_vec(topics).ok();
    (Bytes::from_static(TOPICS_KEY), value.map(Bytes::from))
}

/// Refuses a worker whose internal topics are not those of its group. Call it before the worker is started: two workers with different names would
/// each run what is in their own topics. True = the group has agreed on them before, so they exist, or somebody has deleted them.
/// Err (Config): it names each key with both values. Err (else): the topic could not be read.
pub async fn agree(own: &InternalTopics, coordination: &dyn KeyedLog) -> Result<bool> {
    let read = fold::read_to_end::<Assignments>(coordination).await?;
    match read.topics() {
        Some(group) => own.same_as(group).map(|()| true),
        None => Ok(false),
    }
}

/// The record that places a task, or takes it off.
pub fn record(id: &TaskId, placement: Option<&Placement>) -> Pair {
    let value = placement.and_then(|placement| serde_json::to_vec(placement).ok());
    (
        Bytes::from(format!("task-{}-{}", id.connector, id.task)),
        value.map(Bytes::from),
    )
}

fn parse_key(key: &[u8]) -> Option<TaskId> {
    let key = std::str::from_utf8(key).ok()?;
    // Connectors' names may hold dashes: the number stands at the end.
    let (name, task) = key.strip_prefix("task-")?.rsplit_once('-')?;
    Some(TaskId::new(name, task.parse().ok()?))
}

#[cfg(test)]
mod tests;
