//! What is: states of connectors and tasks, and the topics that they used.

mod own;
pub mod records;

use super::fold::{Fold, Folded, Loss};
use crate::{
    ports::{Entry, KeyedLog},
    task::TaskId,
};
use own::Own;
use records::{Key, TopicUse};
pub use records::{State, Status};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::{Notify, watch};

/// The status topic, folded.
#[derive(Default)]
pub struct Statuses {
    connectors: BTreeMap<String, Status>,
    tasks: BTreeMap<String, BTreeMap<u32, Told>>,
    topics: BTreeMap<String, BTreeSet<String>>,
}

/// What is told of a task.
#[derive(Clone)]
struct Told {
    status: Status,
    /// A later record of a former owner stands in the topic: who owns the task says it again, so that the topic's last word is true.
    overruled: bool,
}

impl Statuses {
    /// The greatest generation that any task's status has: placements get greater ones, so that their owners are believed.
    pub fn generation(&self) -> i32 {
        let tasks = self.tasks.values().flat_map(BTreeMap::values);
        tasks.map(|told| told.status.generation).max().unwrap_or(0)
    }

    fn task(&mut self, name: String, task: u32, status: Status) {
        let tasks = self.tasks.entry(name).or_default();
        match tasks.get_mut(&task) {
            // I4: a worker that has lost the task speaks late.
            Some(told) if told.status.is_newer_than(&status) => told.overruled = true,
            _ => {
                let overruled = false;
                tasks.insert(task, Told { status, overruled });
            }
        }
    }
}

impl Fold for Statuses {
    fn apply(&mut self, entry: &Entry) {
        let Some(key) = Key::parse(&entry.key) else {
            return;
        };
        let value = entry.value.as_deref();
        match (key, value) {
            (Key::Connector(name), None) => {
                self.connectors.remove(&name);
            }
            (Key::Connector(name), Some(value)) => {
                if let Some(status) = Status::parse(value) {
                    self.connectors.insert(name, status);
                }
            }
            (Key::Task(name, task), None) => {
                if let Some(tasks) = self.tasks.get_mut(&name) {
                    tasks.remove(&task);
                    if tasks.is_empty() {
                        self.tasks.remove(&name);
                    }
                }
            }
            (Key::Task(name, task), Some(value)) => {
                if let Some(status) = Status::parse(value) {
                    self.task(name, task, status);
                }
            }
            (Key::Topic { topic, connector }, None) => {
                if let Some(topics) = self.topics.get_mut(&connector) {
                    topics.remove(&topic);
                    if topics.is_empty() {
                        self.topics.remove(&connector);
                    }
                }
            }
            (Key::Topic { topic, connector }, Some(_)) => {
                self.topics.entry(connector).or_default().insert(topic);
            }
        }
    }
}

/// What is to be written under a key; the newest only.
enum Pending {
    Status(Status),
    Topic(TopicUse),
    Tombstone,
}

/// How many records one write takes.
const BATCH_MAX: usize = 500;
/// How long after a failed write the next one is tried, at first and at most: a status is to be true again soon after an outage, and a moved task may wait for it.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(2));

/// The status topic, its fold, and what this worker has to say. Saying it never waits: it is written behind, newest state only, and shown at once.
/// What waits is bounded by the number of connectors, tasks and topics.
pub struct StatusView {
    log: Folded<Statuses>,
    pending: Mutex<BTreeMap<Key, (u64, Pending)>>,
    own: Mutex<BTreeMap<TaskId, Own>>,
    wake: Notify,
    written: Notify,
    resets: watch::Sender<u64>,
}

impl StatusView {
    /// A view of the status topic; [`StatusView::follow`] reads it, [`StatusView::write`] writes it.
    pub fn new(log: Arc<dyn KeyedLog>) -> Self {
        Self {
            log: Folded::new("status", Loss::Follow, log),
            pending: Mutex::default(),
            own: Mutex::default(),
            wake: Notify::new(),
            written: Notify::new(),
            resets: watch::Sender::new(0),
        }
    }
    /// The fold.
    pub fn log(&self) -> &Folded<Statuses> {
        &self.log
    }
    /// Reads the topic for ever.
    pub async fn follow(&self) {
        self.log.follow().await;
    }

    /// A connector's status.
    pub fn connector(&self, name: &str) -> Option<Status> {
        match self.pending().get(&Key::Connector(name.to_owned())) {
            Some((_, Pending::Status(status))) => Some(status.clone()),
            Some(_) => None,
            None => self
                .log
                .read(|statuses| statuses.connectors.get(name).cloned()),
        }
    }
    /// The statuses of a connector's tasks by number.
    pub fn tasks(&self, name: &str) -> BTreeMap<u32, Status> {
        let mut tasks: BTreeMap<u32, Status> = self
            .log
            .read(|statuses| {
                let told = statuses.tasks.get(name)?.iter();
                Some(
                    told.map(|(task, told)| (*task, told.status.clone()))
                        .collect(),
                )
            })
            .unwrap_or_default();
        // Only those of this connector are looked at: whoever leads many asks for each of them.
        let own = Key::Task(name.to_owned(), 0)..=Key::Task(name.to_owned(), u32::MAX);
        for (key, (_, pending)) in self.pending().range(own) {
            match (key, pending) {
                (Key::Task(_, task), Pending::Status(status)) => {
                    tasks.insert(*task, status.clone());
                }
                (Key::Task(_, task), _) => {
                    tasks.remove(task);
                }
                _ => {}
            }
        }
        tasks
    }
    /// The topics that a connector used, sorted.
    pub fn topics(&self, name: &str) -> BTreeSet<String> {
        let mut topics = self
            .log
            .read(|statuses| statuses.topics.get(name).cloned())
            .unwrap_or_default();
        for (key, (_, pending)) in self.pending().iter() {
            match (key, pending) {
                (Key::Topic { topic, connector }, Pending::Topic(_)) if connector == name => {
                    topics.insert(topic.clone());
                }
                (Key::Topic { topic, connector }, _) if connector == name => {
                    topics.remove(topic);
                }
                _ => {}
            }
        }
        topics
    }
    /// The names that have a status of any kind: those without a connector are orphans.
    pub fn names(&self) -> BTreeSet<String> {
        self.log.read(|statuses| {
            let connectors = statuses.connectors.keys();
            let names = connectors
                .chain(statuses.tasks.keys())
                .chain(statuses.topics.keys());
            names.cloned().collect()
        })
    }

    /// Says how a connector is. The same again is not written again.
    pub fn set_connector(&self, name: &str, status: Status) {
        if self.connector(name).is_none_or(|now| status.follows(&now)) {
            self.say(Key::Connector(name.to_owned()), Pending::Status(status));
        }
    }
    /// Says that a task uses a topic; the first time only.
    pub fn topic_used(&self, id: &TaskId, topic: &str, now_ms: i64) {
        if self.topics(&id.connector).contains(topic) {
            return;
        }
        let connector = id.connector.to_string();
        let topic = topic.to_owned();
        let used = TopicUse {
            topic: topic.clone(),
            connector: connector.clone(),
            task: id.task,
            discovered_ms: now_ms,
        };
        self.say(Key::Topic { topic, connector }, Pending::Topic(used));
    }
    /// The statuses of tasks from number `from` on.
    pub fn beyond(&self, name: &str, from: u32) -> Vec<(u32, Status)> {
        let tasks = self.tasks(name).into_iter();
        tasks.filter(|(task, _)| *task >= from).collect()
    }
    /// Removes a task's status.
    pub fn forget_task(&self, name: &str, task: u32) {
        self.say(Key::Task(name.to_owned(), task), Pending::Tombstone);
    }
    /// Forgets which topics a connector used, and lets its tasks say so again if they still use them.
    pub fn reset_topics(&self, name: &str) {
        self.forget_topics(name);
        self.resets.send_modify(|resets| *resets += 1);
    }
    /// Moves with each reset of any connector's topics.
    pub fn topic_resets(&self) -> watch::Receiver<u64> {
        self.resets.subscribe()
    }
    fn forget_topics(&self, name: &str) {
        for topic in self.topics(name) {
            let connector = name.to_owned();
            self.say(Key::Topic { topic, connector }, Pending::Tombstone);
        }
    }
    /// Removes everything about a connector but its tasks: it is deleted, and they are on their way out.
    pub fn forget(&self, name: &str) {
        self.forget_topics(name);
        if self.connector(name).is_some() {
            self.say(Key::Connector(name.to_owned()), Pending::Tombstone);
        }
    }

    /// Writes what there is to say, for ever.
    pub async fn write(&self) {
        let mut wait = RETRY.0;
        loop {
            // The permit of a `say` that came before is kept, so none is missed.
            self.wake.notified().await;
            while let Some((keys, records)) = self.next_batch() {
                match self.log.put(records).await {
                    Ok(()) => {
                        wait = RETRY.0;
                        self.said(&keys);
                    }
                    Err(error) => {
                        tracing::warn!(%error, "statuses could not be written, they are tried again");
                        tokio::time::sleep(wait).await;
                        wait = RETRY.1.min(wait * 2);
                    }
                }
            }
        }
    }
    /// Returns once everything said is written and read back.
    pub async fn settled(&self) {
        loop {
            let written = self.written.notified();
            if self.pending().is_empty() {
                return;
            }
            written.await;
        }
    }

    fn pending(&self) -> MutexGuard<'_, BTreeMap<Key, (u64, Pending)>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn say(&self, key: Key, what: Pending) {
        let mut pending = self.pending();
        let turn = pending.get(&key).map_or(0, |(turn, _)| turn + 1);
        pending.insert(key, (turn, what));
        drop(pending);
        self.wake.notify_one();
    }
    #[allow(clippy::type_complexity)]
    fn next_batch(&self) -> Option<(Vec<(Key, u64)>, Vec<super::config::records::Pair>)> {
        let pending = self.pending();
        let batch = pending.iter().take(BATCH_MAX);
        let (keys, records): (Vec<_>, Vec<_>) = batch
            .map(|(key, (turn, what))| {
                let value = match what {
                    Pending::Status(status) => Some(status.json()),
                    Pending::Topic(used) => Some(used.json()),
                    Pending::Tombstone => None,
                };
                ((key.clone(), *turn), (key.bytes(), value))
            })
            .unzip();
        (!keys.is_empty()).then_some((keys, records))
    }
    /// What was written is now in the fold; what was said again meanwhile stays.
    fn said(&self, keys: &[(Key, u64)]) {
        let mut pending = self.pending();
        for (key, turn) in keys {
            if pending.get(key).is_some_and(|(now, _)| now == turn) {
                pending.remove(key);
            }
        }
        drop(pending);
        self.written.notify_waiters();
    }
}

#[cfg(test)]
mod tests;
