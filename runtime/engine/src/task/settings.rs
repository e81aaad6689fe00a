//! What a task is told: plain data.

use bytes::Bytes;
use longshore_sdk::Topic;
use std::{fmt, sync::Arc, time::Duration};

/// Names a task; prints as `<connector>-<task>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId {
    /// The connector's name.
    pub connector: Arc<str>,
    /// The task's number.
    pub task: u32,
}

impl TaskId {
    /// The task `task` of `connector`.
    pub fn new(connector: impl Into<Arc<str>>, task: u32) -> Self {
        Self {
            connector: connector.into(),
            task,
        }
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.connector, self.task)
    }
}

/// The limits and intervals of a task's loop (I6).
#[derive(Clone, Debug)]
pub struct TaskSettings {
    /// Source: how many records may wait for their delivery before polling stops.
    pub in_flight_max: usize,
    /// Source: how many bytes of them.
    pub in_flight_bytes_max: usize,
    /// Source: how many bytes of offsets and their lanes' names may wait for a commit before it is made ahead of its time, and polling waits for it.
    pub offsets_bytes_max: usize,
    /// How often offsets are stored or committed: `offset.flush.interval.ms`.
    pub commit_interval: Duration,
    /// How long one poll may wait for data.
    pub poll_wait: Duration,
    /// How long Transient errors of poll and put are retried: `longshore.retry.timeout.ms`. `Duration::MAX` = for ever.
    pub retry_timeout: Duration,
    /// How long a stopped task may take to end; then it is dropped. It bounds the flush of a revocation, too.
    pub grace: Duration,
    /// What bad records do.
    pub errors: ErrorPolicy,
    /// Source: records and offsets go into transactions; its producer has a transactional id then.
    pub transactions: Option<TransactionSettings>,
}

impl Default for TaskSettings {
    fn default() -> Self {
        Self {
            in_flight_max: 10_000,
            in_flight_bytes_max: 16 << 20,
            offsets_bytes_max: 16 << 20,
            commit_interval: Duration::from_secs(5),
            poll_wait: Duration::from_millis(100),
            retry_timeout: Duration::from_secs(300),
            grace: Duration::from_secs(5),
            errors: ErrorPolicy::default(),
            transactions: None,
        }
    }
}

/// How an exactly-once source puts its records into transactions. A batch of a poll is never split.
#[derive(Clone, Debug)]
pub struct TransactionSettings {
    /// Where transactions end.
    pub boundary: Boundary,
    /// How long one is filled at most. It must leave the broker's transaction timeout room for the receipts and the commit.
    pub interval: Duration,
    /// How many bytes of records end one before its time.
    pub bytes_max: usize,
    /// Entries of the offset topic that the first transaction writes again, as they were read committed: who reads uncommitted must not go on
    /// from those of an aborted transaction.
    pub restated: Vec<(Bytes, Option<Bytes>)>,
}

impl Default for TransactionSettings {
    fn default() -> Self {
        Self {
            boundary: Boundary::Interval,
            interval: Duration::from_millis(500),
            bytes_max: 10_000_000,
            restated: Vec::new(),
        }
    }
}

/// `transaction.boundary`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Boundary {
    /// After each poll that brought records.
    Poll,
    /// After an interval or a size.
    #[default]
    Interval,
}

/// The `errors.*` keys.
#[derive(Clone, Debug)]
pub struct ErrorPolicy {
    /// `errors.tolerance` = all.
    pub tolerance_all: bool,
    /// `errors.retry.timeout`, of transforms and converters. `Duration::MAX` = for ever.
    pub retry_timeout: Duration,
    /// `errors.retry.delay.max.ms`.
    pub retry_delay_max: Duration,
    /// `errors.log.enable`.
    pub log_enable: bool,
    /// `errors.log.include.messages`: names the record's topic, partition and offset; never its content.
    pub log_include_messages: bool,
    /// Where bad records of a sink go; used only with `tolerance_all`.
    pub dead_letter: Option<DeadLetterSpec>,
}

impl Default for ErrorPolicy {
    fn default() -> Self {
        Self {
            tolerance_all: false,
            retry_timeout: Duration::ZERO,
            retry_delay_max: Duration::from_secs(60),
            log_enable: false,
            log_include_messages: false,
            dead_letter: None,
        }
    }
}

/// The dead letter queue of a sink.
#[derive(Clone, Debug)]
pub struct DeadLetterSpec {
    /// `errors.deadletterqueue.topic.name`.
    pub topic: Topic,
    /// `errors.deadletterqueue.context.headers.enable`.
    pub context_headers: bool,
}

/// Whether a task moves data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Pace {
    /// It does.
    #[default]
    Run,
    /// It keeps its place (lanes, partitions) and moves nothing: somebody asked for it.
    Pause,
    /// The same, for as long as its worker is out of the group. Nothing new is said of the task: what it was told before stands.
    Hold,
}
