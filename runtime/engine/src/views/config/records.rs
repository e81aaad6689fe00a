//! The records of the config topic, byte for byte.

use super::TargetState;
use crate::views::text;
use bytes::Bytes;
use longshore_sdk::config::Flat;
use serde::Deserialize;
use std::collections::BTreeMap;

/// A key and its value, as [`crate::ports::KeyedLog::put`] takes them.
pub type Pair = (Bytes, Option<Bytes>);

/// `connector-<name>`. The order of the config carries no meaning; it is kept.
pub fn connector<'a>(name: &str, config: impl Iterator<Item = (&'a str, &'a str)>) -> Pair {
    pair(format!("connector-{name}"), text::properties(config))
}

/// `task-<name>-<n>`: counts only once a commit record follows.
pub fn task<'a>(name: &str, task: usize, config: impl Iterator<Item = (&'a str, &'a str)>) -> Pair {
    pair(format!("task-{name}-{task}"), text::properties(config))
}

/// `commit-<name>`: the task records before it count, `tasks` of them.
pub fn commit(name: &str, tasks: usize) -> Pair {
    pair(format!("commit-{name}"), format!("{{\"tasks\":{tasks}}}"))
}

/// `tasks-fencing-<name>`: how many producers a new task set has to fence (exactly-once sources).
pub fn fencing(name: &str, tasks: usize) -> Pair {
    let value = format!("{{\"task-count\":{tasks}}}");
    pair(format!("tasks-fencing-{name}"), value)
}

/// A whole task set: its task records, then the commit.
pub fn task_set(name: &str, tasks: &[Flat]) -> Vec<Pair> {
    let records = tasks.iter().enumerate();
    let records = records.map(|(number, config)| task(name, number, entries(config)));
    records.chain([commit(name, tasks.len())]).collect()
}

/// `target-state-<name>`: both keys, so that workers without STOPPED take it for PAUSED.
pub fn target_state(name: &str, target: TargetState) -> Pair {
    let (old, new) = match target {
        TargetState::Started => ("STARTED", "STARTED"),
        TargetState::Paused => ("PAUSED", "PAUSED"),
        TargetState::Stopped => ("PAUSED", "STOPPED"),
    };
    let value = format!("{{\"state\":\"{old}\",\"state.v2\":\"{new}\"}}");
    pair(format!("target-state-{name}"), value)
}

/// `restart-connector-<name>`.
pub fn restart(name: &str, include_tasks: bool, only_failed: bool) -> Pair {
    let value = format!("{{\"include-tasks\":{include_tasks},\"only-failed\":{only_failed}}}");
    pair(format!("restart-connector-{name}"), value)
}

/// The two tombstones of a deletion. Tasks, commits and fencing records stay: readers ignore orphans.
pub fn deletion(name: &str) -> Vec<Pair> {
    vec![
        (Bytes::from(format!("connector-{name}")), None),
        (Bytes::from(format!("target-state-{name}")), None),
    ]
}

/// A config as the record writers take it.
pub fn entries(config: &Flat) -> impl Iterator<Item = (&str, &str)> {
    config
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
}

fn pair(key: String, value: String) -> Pair {
    (Bytes::from(key), Some(Bytes::from(value)))
}

/// A key of the config topic, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key<'a> {
    Connector(&'a str),
    Task(&'a str, u32),
    Commit(&'a str),
    TargetState(&'a str),
    Restart(&'a str),
    Fencing(&'a str),
    Session,
    /// Something that this view has no use for: logger levels, records of a later version.
    Other,
}

impl<'a> Key<'a> {
    pub(super) fn parse(key: &'a str) -> Self {
        let named = |prefix: &str| key.strip_prefix(prefix).filter(|name| !name.is_empty());
        if key.as_bytes() == super::session::KEY {
            Self::Session
        } else if let Some(name) = named("connector-") {
            Self::Connector(name)
        } else if let Some(name) = named("target-state-") {
            Self::TargetState(name)
        } else if let Some(name) = named("commit-") {
            Self::Commit(name)
        } else if let Some(name) = named("restart-connector-") {
            Self::Restart(name)
        } else if let Some(name) = named("tasks-fencing-") {
            Self::Fencing(name)
        } else if let Some((name, task)) = named("task-").and_then(|rest| rest.rsplit_once('-')) {
            // Connectors' names may hold dashes: the number stands at the end.
            task.parse()
                .map_or(Self::Other, |task| Self::Task(name, task))
        } else {
            Self::Other
        }
    }
}

/// The value of connector and task records. Values that are not strings are kept as their JSON text.
#[derive(Deserialize)]
pub(super) struct Properties {
    properties: BTreeMap<String, serde_json::Value>,
}

impl Properties {
    pub(super) fn flat(self) -> Flat {
        let entries = self.properties.into_iter();
        entries
            .filter_map(|(name, value)| match value {
                serde_json::Value::Null => None,
                serde_json::Value::String(text) => Some((name, text)),
                other => Some((name, other.to_string())),
            })
            .collect()
    }
}

#[derive(Deserialize)]
pub(super) struct Commit {
    pub(super) tasks: u32,
}

#[derive(Deserialize)]
pub(super) struct Fencing {
    #[serde(rename = "task-count")]
    pub(super) tasks: u32,
}

#[derive(Deserialize)]
pub(super) struct Target {
    state: Option<String>,
    #[serde(rename = "state.v2")]
    state_v2: Option<String>,
}

impl Target {
    /// The newer key wins; a state that nobody knows is no state.
    pub(super) fn state(&self) -> Option<TargetState> {
        TargetState::parse(self.state_v2.as_deref().or(self.state.as_deref())?)
    }
}

#[derive(Deserialize)]
pub(super) struct Restart {
    #[serde(rename = "include-tasks", default)]
    pub(super) include_tasks: bool,
    #[serde(rename = "only-failed", default)]
    pub(super) only_failed: bool,
}
