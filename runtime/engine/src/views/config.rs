//! What is wanted: connectors, their task sets and target states.

pub mod records;
mod session;

pub use super::requests::Written;
pub use session::SessionKey;

use super::{
    fold::{Fold, Folded},
    requests::Requests,
};
use crate::ports::{Entry, Version};
use longshore_sdk::config::Flat;
use records::{Commit, Fencing, Key, Properties, Restart, Target};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use session::SessionKeys;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// What a connector should be doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum TargetState {
    /// Its tasks move data. `initial_state` calls it RUNNING.
    #[default]
    #[serde(alias = "RUNNING")]
    Started,
    /// Its tasks keep their place and move nothing.
    Paused,
    /// It has no tasks.
    Stopped,
}

impl TargetState {
    /// Reads `STARTED` (or `RUNNING`), `PAUSED`, `STOPPED` in any case.
    pub fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_uppercase().as_str() {
            "STARTED" | "RUNNING" => Some(Self::Started),
            "PAUSED" => Some(Self::Paused),
            "STOPPED" => Some(Self::Stopped),
            _ => None,
        }
    }
}

/// A connector as the config topic has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Connector {
    /// Its config, placeholders unresolved.
    pub config: Arc<Flat>,
    /// Where the config stands: a later one is newer.
    pub version: Version,
    /// What it should be doing.
    pub target: TargetState,
    /// The configs of its tasks by number.
    pub tasks: Vec<Arc<Flat>>,
    /// The task-set generation: counts the commits that were seen. Not to be mixed up with a worker's generation.
    pub generation: u64,
    /// The last commit did not find all of its task records: the set is to be generated again.
    pub torn: bool,
    /// How many producers the former task sets may have left behind, as the last fencing round counted them; `None` = there was none.
    pub producers: Option<u32>,
    /// Whether a fencing round stands behind the task set's commit: only then may the tasks of an exactly-once source run.
    pub fenced: bool,
}

/// A request to restart, as any worker may have written it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestartRequest {
    /// Tasks, too.
    pub include_tasks: bool,
    /// Only what has failed.
    pub only_failed: bool,
    /// Where the request stands; requests that were there when a worker started are not its business.
    pub version: Version,
}

/// The config topic, folded.
#[derive(Default)]
pub struct Configs {
    connectors: BTreeMap<String, (Arc<Flat>, Version)>,
    targets: BTreeMap<String, TargetState>,
    sets: BTreeMap<String, TaskSet>,
    restarts: BTreeMap<String, RestartRequest>,
    /// Counts, and where they stand. A deleted connector's stays: its producers may come back to life.
    fencing: BTreeMap<String, (u32, Version)>,
    session: SessionKeys,
    requests: Requests,
}

/// The task records of a name. After compaction they may stand before their connector's record, so they are kept apart from it.
#[derive(Default)]
struct TaskSet {
    uncommitted: BTreeMap<u32, Arc<Flat>>,
    tasks: Vec<Arc<Flat>>,
    generation: u64,
    torn: bool,
    /// Where the last commit stands.
    committed: Option<Version>,
}

/// The config topic and its fold.
pub type ConfigView = Folded<Configs>;

impl Configs {
    /// The names of all connectors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.connectors.keys().map(String::as_str)
    }
    /// Whether a connector exists.
    pub fn contains(&self, name: &str) -> bool {
        self.connectors.contains_key(name)
    }
    /// A connector.
    pub fn get(&self, name: &str) -> Option<Connector> {
        let (config, version) = self.connectors.get(name)?;
        let target = self.targets.get(name).copied().unwrap_or_default();
        let set = self.sets.get(name);
        let fencing = self.fencing.get(name).copied();
        let committed = set.and_then(|set| set.committed);
        let tasks = set
            .filter(|set| !set.torn && target != TargetState::Stopped)
            .map(|set| set.tasks.clone());
        Some(Connector {
            config: Arc::clone(config),
            version: *version,
            target,
            tasks: tasks.unwrap_or_default(),
            generation: set.map_or(0, |set| set.generation),
            torn: set.is_some_and(|set| set.torn),
            producers: fencing.map(|(count, _)| count),
            fenced: fencing.is_some_and(|(_, at)| committed.is_some_and(|set| set < at)),
        })
    }
    /// All connectors by name.
    pub fn all(&self) -> BTreeMap<String, Connector> {
        let names = self.connectors.keys();
        names
            .filter_map(|name| Some((name.clone(), self.get(name)?)))
            .collect()
    }
    /// The last request to restart a connector.
    pub fn restart(&self, name: &str) -> Option<RestartRequest> {
        self.restarts.get(name).copied()
    }
    /// The target state that stands under a name, be there a connector or not: one that was paused while it was deleted leaves its own behind.
    pub fn target_of(&self, name: &str) -> Option<TargetState> {
        self.targets.get(name).copied()
    }
    /// What a request has written, if it has.
    pub fn written_for(&self, request: &[u8]) -> Option<Written> {
        self.requests.find(request)
    }
    /// The key that this worker signs with.
    pub fn session_key(&self) -> Option<&SessionKey> {
        self.session.current()
    }
    /// The keys that a signature may be of: the one that holds, and for a minute the one before.
    pub fn session_keys(&self) -> Vec<SessionKey> {
        self.session.accepted()
    }
    /// How long the session key may still be used, by the wall clock and by the time since it was read; `None` = another is due.
    pub fn session_key_lasts(&self, now_ms: i64, ttl: Duration) -> Option<Duration> {
        self.session.lasts(now_ms, ttl)
    }

    fn connector(&mut self, name: &str, entry: &Entry) {
        if entry.value.is_none() {
            self.connectors.remove(name);
            self.sets.remove(name);
            self.restarts.remove(name);
        } else if let Some(properties) = parse::<Properties>(entry) {
            let config = Arc::new(properties.flat());
            self.connectors
                .insert(name.to_owned(), (config, entry.version));
        }
    }

    fn task(&mut self, name: &str, task: u32, entry: &Entry) {
        if entry.value.is_none() {
            if let Some(set) = self.sets.get_mut(name) {
                set.uncommitted.remove(&task);
            }
        } else if let Some(properties) = parse::<Properties>(entry) {
            let set = self.sets.entry(name.to_owned()).or_default();
            set.uncommitted.insert(task, Arc::new(properties.flat()));
        }
    }

    fn commit(&mut self, name: &str, entry: &Entry) {
        let Some(Commit { tasks }) = parse(entry) else {
            return;
        };
        let set = self.sets.entry(name.to_owned()).or_default();
        let uncommitted = std::mem::take(&mut set.uncommitted);
        // Compaction may have left records of an older, larger set among them: what counts is that 0..tasks are all there.
        let found: Vec<Arc<Flat>> = uncommitted
            .into_iter()
            .filter(|(task, _)| *task < tasks)
            .map(|(_, config)| config)
            .collect();
        set.torn = found.len() != tasks as usize;
        set.tasks = if set.torn { Vec::new() } else { found };
        set.generation += 1;
        set.committed = Some(entry.version);
    }

    fn fencing(&mut self, name: &str, entry: &Entry) {
        if entry.value.is_none() {
            self.fencing.remove(name);
        } else if let Some(Fencing { tasks }) = parse(entry) {
            self.fencing.insert(name.to_owned(), (tasks, entry.version));
        }
    }

    fn target(&mut self, name: &str, entry: &Entry) {
        if entry.value.is_none() {
            // A connector without a target state is STARTED.
            self.targets.remove(name);
        } else if let Some(target) = parse::<Target>(entry).and_then(|target| target.state()) {
            self.targets.insert(name.to_owned(), target);
        }
    }

    fn restarting(&mut self, name: &str, entry: &Entry) {
        if let Some(restart) = parse::<Restart>(entry) {
            let request = RestartRequest {
                include_tasks: restart.include_tasks,
                only_failed: restart.only_failed,
                version: entry.version,
            };
            self.restarts.insert(name.to_owned(), request);
        }
    }
}

impl Fold for Configs {
    fn apply(&mut self, entry: &Entry) {
        let Ok(key) = std::str::from_utf8(&entry.key) else {
            return;
        };
        let mut created = false;
        match Key::parse(key) {
            Key::Connector(name) => {
                let known = self.contains(name);
                self.connector(name, entry);
                created = !known && self.contains(name);
            }
            Key::Task(name, task) => self.task(name, task, entry),
            Key::Commit(name) => self.commit(name, entry),
            Key::TargetState(name) => self.target(name, entry),
            Key::Restart(name) => self.restarting(name, entry),
            Key::Fencing(name) => self.fencing(name, entry),
            Key::Session => self.session.apply(entry),
            Key::Other => {}
        }
        self.requests.note(entry, created);
    }
}

/// Reads a value; one that cannot be read is logged by its key and left out: the value may hold secrets (I8).
fn parse<T: DeserializeOwned>(entry: &Entry) -> Option<T> {
    let value = entry.value.as_ref()?;
    let parsed = serde_json::from_slice(value);
    if parsed.is_err() {
        let key = String::from_utf8_lossy(&entry.key);
        tracing::warn!(%key, offset = entry.version.offset, "a record of the config topic cannot be read and is left out");
    }
    parsed.ok()
}

#[cfg(test)]
mod tests;
