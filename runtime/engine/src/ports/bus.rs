//! Records into and out of topics.

use super::Receipt;
use bytes::Bytes;
use longshore_sdk::{
    Error, Record, Result, SinkRecord, TopicOffsets, TopicPartition, TopicStates, erased::Boxed,
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::Instant;

/// Opens clients. Cheap to share.
pub trait Bus: Send + Sync {
    /// A producer of its own.
    fn producer(&self, spec: ProducerSpec) -> Boxed<'_, Result<Box<dyn Producer>>>;
    /// A member of a consumer group.
    fn consumer(&self, spec: ConsumerSpec) -> Boxed<'_, Result<Box<dyn Consumer>>>;
    /// Makes sure that a topic exists; `Ok(true)` if this call created it. An existing topic is left as it is.
    fn ensure_topic(&self, topic: TopicSpec) -> Boxed<'_, Result<bool>>;
    /// The offsets that a group has committed.
    fn committed<'a>(&'a self, group: &'a str) -> Boxed<'a, Result<TopicOffsets>>;
    /// The cluster's id, for `GET /`.
    fn cluster_id(&self) -> Boxed<'_, Result<String>>;
    /// An error of a client, or, where the brokers know better why its topic, or the one `beside` it in a transaction, takes no records, theirs. Asked once
    /// for each failure, not for each record.
    fn explain<'a>(&'a self, error: Error, _beside: &'a str) -> Boxed<'a, Error> {
        Box::pin(std::future::ready(error))
    }
}

/// How to open a producer.
#[derive(Clone, Debug, Default)]
pub struct ProducerSpec {
    /// `client.id`.
    pub client_id: String,
    /// `transactional.id`: set = the caller uses begin / commit / abort. Opening it fences the former owner.
    pub transactional_id: Option<String>,
    /// Client properties of the connector (`producer.override.`, prefix taken off); they win over the worker's.
    pub overrides: BTreeMap<String, String>,
    /// The topic that takes the offsets of a transaction.
    pub offsets_topic: Option<String>,
}

/// How to open a consumer.
#[derive(Clone, Debug)]
pub struct ConsumerSpec {
    /// `client.id`.
    pub client_id: String,
    /// `group.id`.
    pub group: String,
    /// What to read.
    pub subscription: Subscription,
    /// Client properties of the connector (`consumer.override.`, prefix taken off); they win over the worker's.
    pub overrides: BTreeMap<String, String>,
    /// About how many bytes it may fetch ahead, over all its partitions; `None` = as it sees fit. A batch of poll is at most half of it, or one record.
    pub buffer_bytes: Option<usize>,
}

/// What a sink reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subscription {
    /// `topics`.
    Topics(Vec<String>),
    /// `topics.regex`, anchored at both ends.
    Regex(String),
}

/// A topic to create if it is missing.
#[derive(Clone, Debug)]
pub struct TopicSpec {
    /// Its name.
    pub name: String,
    /// Its partitions; `None` = the broker's default.
    pub partitions: Option<i32>,
    /// Its replication factor, lowered to the number of brokers; `None` = the broker's default.
    pub replication: Option<i16>,
    /// Topic configs.
    pub config: BTreeMap<String, String>,
}

/// Writes records.
pub trait Producer: Send {
    /// Hands a batch to the client, keys, values and headers as `Datum::Bytes` or `Datum::Null`. It returns when every record has a place in line, which may
    /// mean waiting; each receipt is answered once, later. `Err` = the producer is dead (fenced, fatal): open another one.
    fn send(&mut self, batch: Vec<(Record, Receipt)>) -> Boxed<'_, Result<()>>;
    /// Returns when every receipt so far is answered.
    fn flush(&mut self) -> Boxed<'_, Result<()>>;
    /// Begins a transaction. Only with a transactional id.
    fn begin(&mut self) -> Boxed<'_, Result<()>>;
    /// Adds entries to the offsets topic and commits the transaction. Any error but Config: the outcome is unknown and the producer is dead.
    fn commit(&mut self, offsets: Vec<(Bytes, Option<Bytes>)>) -> Boxed<'_, Result<()>>;
    /// Aborts the transaction.
    fn abort(&mut self) -> Boxed<'_, Result<()>>;
    /// Said while nothing is to be sent, nothing is in flight and no transaction is open: a producer that can do without its client may give it up, and
    /// opens it again at the next call. Returns when it wants to be told again at the latest; `None` = it does not matter. Cheap, waits for nothing.
    fn rest(&mut self) -> Option<Instant> {
        None
    }
}

/// What a consumer's poll brought. A rebalance arrives in band, in order with the batches.
#[derive(Debug)]
pub enum Polled {
    /// Records, in order within each partition; may be empty. Only of partitions that are assigned and started.
    Batch(Vec<SinkRecord>),
    /// Partitions came. Nothing of them is delivered until [`Consumer::start`] is called.
    Assigned(Vec<TopicPartition>),
    /// Partitions are to go. They are this member's until [`Consumer::release`] is called.
    Revoked(Vec<TopicPartition>),
    /// Partitions are gone already: another member may have them. Commits of them would be refused or, worse, accepted: they are filtered.
    Lost(Vec<TopicPartition>),
}

/// How far a partition's reader is behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lag {
    /// The partition.
    pub at: TopicPartition,
    /// The next offset that poll will return.
    pub position: i64,
    /// The partition's end, as far as the client knows.
    pub end: i64,
}

static NO_METADATA: TopicStates = TopicStates::new();

/// Reads records as a member of a group.
pub trait Consumer: Send {
    /// The next event, or an empty batch after `max_wait`. Must be called often enough to stay in the group, also while paused.
    fn poll(&mut self, max_wait: Duration) -> Boxed<'_, Result<Polled>>;
    /// Answers `Assigned`: partitions in `at` start there, the others of the last assignment at their committed offset or `auto.offset.reset`.
    fn start(&mut self, at: &TopicOffsets) -> Boxed<'_, Result<()>>;
    /// Answers `Revoked`: only now may another member take the partitions.
    fn release(&mut self) -> Boxed<'_, Result<()>>;
    /// Commits offsets of partitions that are owned right now; others are left out, silently. Waits for the broker's answer.
    fn commit<'a>(&'a mut self, offsets: &'a TopicOffsets) -> Boxed<'a, Result<()>> {
        self.commit_with(offsets, &NO_METADATA)
    }
    /// The same, each offset with its entry in `metadata`; those that have none there lose what they had.
    fn commit_with<'a>(
        &'a mut self,
        offsets: &'a TopicOffsets,
        metadata: &'a TopicStates,
    ) -> Boxed<'a, Result<()>>;
    /// The metadata that was committed with the offsets of partitions, whoever did it; nothing where there is none. Asks the broker.
    fn metadata<'a>(&'a mut self, at: &'a [TopicPartition]) -> Boxed<'a, Result<TopicStates>>;
    /// Poll brings events only, no records, until [`Consumer::resume`].
    fn pause(&mut self) -> Result<()>;
    /// The opposite of [`Consumer::pause`].
    fn resume(&mut self) -> Result<()>;
    /// Goes on at other offsets, of assigned partitions.
    fn seek<'a>(&'a mut self, at: &'a TopicOffsets) -> Boxed<'a, Result<()>>;
    /// Position and end of each assigned partition; no call to the broker.
    fn lag(&self) -> Vec<Lag>;
    /// The topics that it is to read by name and that do not exist, as far as is known; no call to the broker.
    fn missing(&self) -> Vec<String> {
        Vec::new()
    }
    /// Leaves the group, without a commit.
    fn close(self: Box<Self>) -> Boxed<'static, Result<()>>;
}

/// Shared handle.
pub type SharedBus = Arc<dyn Bus>;
