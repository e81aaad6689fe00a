//! Topics, groups and transactions in memory.

use super::{
    consumer::MemoryConsumer,
    group::{Group, MemberId},
    producer::MemoryProducer,
};
use crate::faults::Faults;
use longshore_engine::ports::{
    Bus, Consumer, ConsumerSpec, Producer, ProducerSpec, Subscription, TopicSpec,
};
use longshore_sdk::{
    Datum, Error, Record, Result, TopicOffsets, TopicPartition, TopicStates, erased::Boxed,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::Notify;

/// A record in a topic; its place in its partition is its offset.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// The record, its parts as bytes.
    pub record: Record,
    /// Which producer wrote it; each has another number.
    pub producer: u64,
}

/// Called with every commit that a group accepts: the group, and the offsets.
type CommitWatch = Box<dyn Fn(&str, &TopicOffsets) + Send>;

/// A broker in memory. Clones are handles of the same one.
#[derive(Clone)]
pub struct MemoryBus {
    shared: Arc<Shared>,
    pub(super) faults: Arc<Faults>,
}

struct Shared {
    state: Mutex<State>,
    changed: Notify,
    watch: Mutex<Option<CommitWatch>>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) topics: BTreeMap<String, Vec<Vec<Stored>>>,
    pub(super) groups: BTreeMap<String, Group>,
    pub(super) epochs: BTreeMap<String, u64>,
    handles: u64,
}

impl Default for MemoryBus {
    fn default() -> Self {
        Self::new(Faults::none())
    }
}

impl MemoryBus {
    /// An empty broker that suffers `faults`.
    pub fn new(faults: Arc<Faults>) -> Self {
        let shared = Shared {
            state: Mutex::default(),
            changed: Notify::new(),
            watch: Mutex::new(None),
        };
        Self {
            shared: Arc::new(shared),
            faults,
        }
    }
    /// The same broker, seen by clients that suffer other faults.
    #[must_use]
    pub fn with_faults(&self, faults: Arc<Faults>) -> Self {
        Self {
            shared: self.shared.clone(),
            faults,
        }
    }
    /// Makes sure that a topic exists.
    pub fn create(&self, topic: &str, partitions: usize) {
        self.state()
            .topics
            .entry(topic.to_owned())
            .or_insert_with(|| vec![Vec::new(); partitions.max(1)]);
        self.changed();
    }
    /// Writes a record, as a client of old did; answers its offset.
    pub fn append(&self, topic: &str, partition: usize, record: Record) -> i64 {
        let mut state = self.state();
        let logs = state.topics.entry(topic.to_owned()).or_default();
        if logs.len() <= partition {
            logs.resize(partition + 1, Vec::new());
        }
        let log = &mut logs[partition];
        log.push(Stored {
            record,
            producer: 0,
        });
        let offset = i64::try_from(log.len() - 1).unwrap_or(i64::MAX);
        drop(state);
        self.changed();
        offset
    }
    /// What a topic holds, by partition; empty if there is no such topic.
    pub fn topic(&self, topic: &str) -> Vec<Vec<Stored>> {
        self.state().topics.get(topic).cloned().unwrap_or_default()
    }
    /// Looks into a topic without copying it.
    pub fn look<T>(&self, topic: &str, look: impl FnOnce(&[Vec<Stored>]) -> T) -> T {
        look(self.state().topics.get(topic).map_or(&[], Vec::as_slice))
    }
    /// The members of a group, oldest first.
    pub fn members(&self, group: &str) -> Vec<MemberId> {
        self.state()
            .groups
            .get(group)
            .map(Group::members)
            .unwrap_or_default()
    }
    /// Who owns what.
    pub fn owners(&self, group: &str) -> BTreeMap<TopicPartition, MemberId> {
        self.state()
            .groups
            .get(group)
            .map(|group| group.owner.clone())
            .unwrap_or_default()
    }
    /// Who is meant to own what, once its present owner has released it.
    pub fn wanted(&self, group: &str) -> BTreeMap<TopicPartition, MemberId> {
        self.state()
            .groups
            .get(group)
            .map(|group| group.wanted.clone())
            .unwrap_or_default()
    }
    /// Gives a partition to a member, if there is one of that number: its owner is asked to release it first.
    pub fn give(&self, group: &str, at: &TopicPartition, member: MemberId) {
        if let Some(group) = self.state().groups.get_mut(group) {
            group.give(at, member);
        }
        self.changed();
    }
    /// The broker drops a member that it thinks dead: others get its partitions at once, and it learns it at its next poll.
    pub fn evict(&self, group: &str, member: MemberId) {
        if let Some(group) = self.state().groups.get_mut(group) {
            group.evict(member);
        }
        self.changed();
    }
    /// Calls `watch` inside every commit that is accepted.
    pub fn watch_commits(&self, watch: impl Fn(&str, &TopicOffsets) + Send + 'static) {
        *self
            .shared
            .watch
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(Box::new(watch));
    }
    pub(super) fn commit(
        &self,
        group: &str,
        member: MemberId,
        offsets: &TopicOffsets,
        metadata: &TopicStates,
    ) {
        let accepted = match self.state().groups.get_mut(group) {
            Some(group) => group.commit(member, offsets, metadata),
            None => TopicOffsets::new(),
        };
        let watch = self
            .shared
            .watch
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(watch) = &*watch
            && !accepted.is_empty()
        {
            watch(group, &accepted);
        }
    }
    /// Appends to a topic, which is created if need be.
    pub(super) fn write(&self, record: Record, producer: u64) -> Result<()> {
        let parts = [&record.key, &record.value]
            .into_iter()
            .chain(record.headers.iter().map(|header| &header.value));
        if !parts
            .into_iter()
            .all(|datum| matches!(datum, Datum::Null | Datum::Bytes(_)))
        {
            return Err(Error::bug(
                "send",
                "a record reached the broker without being converted",
            ));
        }
        let mut state = self.state();
        let topic = state
            .topics
            .entry(record.topic.to_string())
            .or_insert_with(|| vec![Vec::new()]);
        let partition = partition(&record, topic.len())?;
        topic[partition].push(Stored { record, producer });
        Ok(())
    }
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
    pub(super) fn changed(&self) {
        self.shared.changed.notify_waiters();
    }
    pub(super) fn notified(&self) -> tokio::sync::futures::Notified<'_> {
        self.shared.changed.notified()
    }
    pub(super) fn handle(&self) -> u64 {
        let mut state = self.state();
        state.handles += 1;
        state.handles
    }
}

fn partition(record: &Record, partitions: usize) -> Result<usize> {
    let chosen = match (record.partition, &record.key) {
        (Some(partition), _) => usize::try_from(partition).unwrap_or(usize::MAX),
        (None, Datum::Bytes(key)) => {
            key.iter().fold(7usize, |hash, byte| {
                hash.wrapping_mul(31).wrapping_add(usize::from(*byte))
            }) % partitions
        }
        (None, _) => 0,
    };
    if chosen < partitions {
        return Ok(chosen);
    }
    Err(Error::data(
        "send",
        format!("the topic has {partitions} partitions, not partition {chosen}"),
    ))
}

impl State {
    /// The partitions of the topics that a subscription names.
    pub(super) fn subscribed(&self, subscription: &Subscription) -> Vec<TopicPartition> {
        let wanted = |name: &str| match subscription {
            Subscription::Topics(topics) => topics.iter().any(|topic| topic == name),
            // Enough for tests: a name, or a beginning followed by `.*`.
            Subscription::Regex(regex) => regex
                .strip_suffix(".*")
                .map_or(regex == name, |start| name.starts_with(start)),
        };
        let topics = self.topics.iter().filter(|(name, _)| wanted(name));
        topics
            .flat_map(|(name, logs)| {
                (0i32..)
                    .take(logs.len())
                    .map(|n| TopicPartition::new(name.as_str(), n))
            })
            .collect()
    }
}

impl Bus for MemoryBus {
    fn producer(&self, spec: ProducerSpec) -> Boxed<'_, Result<Box<dyn Producer>>> {
        Box::pin(async move {
            Ok(Box::new(MemoryProducer::open(self.clone(), spec)) as Box<dyn Producer>)
        })
    }
    fn consumer(&self, spec: ConsumerSpec) -> Boxed<'_, Result<Box<dyn Consumer>>> {
        Box::pin(async move {
            Ok(Box::new(MemoryConsumer::join(self.clone(), spec)) as Box<dyn Consumer>)
        })
    }
    fn ensure_topic(&self, topic: TopicSpec) -> Boxed<'_, Result<bool>> {
        Box::pin(async move {
            let there = self.state().topics.contains_key(&topic.name);
            self.create(
                &topic.name,
                topic
                    .partitions
                    .and_then(|n| usize::try_from(n).ok())
                    .unwrap_or(1),
            );
            Ok(!there)
        })
    }
    fn committed<'a>(&'a self, group: &'a str) -> Boxed<'a, Result<TopicOffsets>> {
        Box::pin(async move {
            Ok(self
                .state()
                .groups
                .get(group)
                .map(|group| group.committed.clone())
                .unwrap_or_default())
        })
    }
    fn cluster_id(&self) -> Boxed<'_, Result<String>> {
        Box::pin(async { Ok("memory".to_owned()) })
    }
}
