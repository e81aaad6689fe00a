//! What a worker is told.

use crate::{
    budget::MemoryLimit,
    guarantee::SourceSupport,
    providers::Placeholders,
    validate::{Overrides, UnknownKeys},
};
use longshore_sdk::{Error, Result, config::Flat};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What a worker is told. The defaults are Kafka Connect's where it has them.
#[derive(Clone)]
pub struct WorkerSettings {
    /// Its advertised host and port, as statuses show it.
    pub worker_id: String,
    /// Longshore's own version.
    pub version: String,
    /// The commit that it was built of.
    pub commit: String,
    /// `group.id`.
    pub group_id: String,
    /// The other internal topics, the same for all workers of the group.
    pub topics: InternalTopics,
    /// `scheduled.rebalance.max.delay.ms`: so long the group must have stayed the same before tasks move for balance alone. Tasks of a worker
    /// that is gone do not wait for it.
    pub rebalance_delay: Duration,
    /// The worker's `key.converter`, `value.converter`, `header.converter` and the keys below them.
    pub converters: Flat,
    /// `exactly.once.source.support`; the same on every worker of a group.
    pub exactly_once_sources: SourceSupport,
    /// `offset.flush.interval.ms`.
    pub commit_interval: Duration,
    /// `task.shutdown.graceful.timeout.ms`.
    pub grace: Duration,
    /// `longshore.retry.timeout.ms`.
    pub retry_timeout: Duration,
    /// `longshore.restart.policy`.
    pub restart_policy: RestartPolicy,
    /// `longshore.stall.timeout.ms`.
    pub stall_timeout: Duration,
    /// `longshore.memory.max.bytes`.
    pub memory: MemoryLimit,
    /// `longshore.unknown.keys`, for what comes through the control door.
    pub unknown_keys: UnknownKeys,
    /// `connector.client.config.override.policy`.
    pub overrides: Overrides,
    /// `topic.tracking.enable`.
    pub topic_tracking: bool,
    /// `topic.tracking.allow.reset`.
    pub topic_tracking_reset: bool,
    /// `topic.creation.enable`.
    pub topic_creation: bool,
    /// How long a request may wait for the broker.
    pub request_timeout: Duration,
    /// How long a request waits for a leader that takes it, before it is answered that there is none.
    pub leader_wait: Duration,
    /// `inter.worker.key.ttl.ms`: how long workers sign their calls to each other with the same key.
    pub session_key_ttl: Duration,
    /// How many bytes a connector's config may have in the config topic (I6).
    pub config_bytes_max: usize,
    /// What `${provider:path:key}` means.
    pub placeholders: Placeholders,
    /// Seeds every jitter of this worker: none in production, a fixed one in simulation.
    pub seed: Option<u64>,
    /// What this worker's wall clock is off by, in milliseconds: nothing in production, hours in simulation.
    pub clock_off_ms: i64,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self {
            worker_id: "127.0.0.1:8083".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit: "unknown".to_owned(),
            group_id: "longshore".to_owned(),
            topics: InternalTopics::of("longshore"),
            rebalance_delay: Duration::from_secs(60),
            converters: Flat::new(),
            exactly_once_sources: SourceSupport::Disabled,
            commit_interval: Duration::from_secs(60),
            grace: Duration::from_secs(5),
            retry_timeout: Duration::from_secs(300),
            restart_policy: RestartPolicy::OnTransient,
            stall_timeout: Duration::from_secs(60),
            memory: MemoryLimit {
                bytes: 512 << 20,
                chosen: false,
            },
            unknown_keys: UnknownKeys::Warn,
            overrides: Overrides::default(),
            topic_tracking: true,
            topic_tracking_reset: true,
            topic_creation: true,
            request_timeout: Duration::from_secs(90),
            leader_wait: Duration::from_secs(30),
            session_key_ttl: Duration::from_secs(3600),
            config_bytes_max: 900_000,
            placeholders: Placeholders::none(),
            seed: None,
            clock_off_ms: 0,
        }
    }
}

impl WorkerSettings {
    /// How long one call of a connector or a client may take before its task is dropped and opened again (I6): as long as calls are retried, and
    /// never before the task was shown as stalled.
    pub(crate) fn call_max(&self) -> Duration {
        self.retry_timeout.max(self.stall_timeout * 2)
    }
}

/// The internal topics beside the coordination topic, which has its name of the group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InternalTopics {
    /// `config.storage.topic`.
    #[serde(rename = "config.storage.topic")]
    pub config: String,
    /// `offset.storage.topic`.
    #[serde(rename = "offset.storage.topic")]
    pub offset: String,
    /// `status.storage.topic`.
    #[serde(rename = "status.storage.topic")]
    pub status: String,
}

impl InternalTopics {
    /// The names that a group's topics have unless others are given.
    pub fn of(group_id: &str) -> Self {
        Self {
            config: format!("{group_id}-configs"),
            offset: format!("{group_id}-offsets"),
            status: format!("{group_id}-status"),
        }
    }
    /// Err (Config): some differ from those of the group; the text names the keys and both values.
    pub fn same_as(&self, group: &Self) -> Result<()> {
        let topics = [
            ("config.storage.topic", &self.config, &group.config),
            ("offset.storage.topic", &self.offset, &group.offset),
            ("status.storage.topic", &self.status, &group.status),
        ];
        let differ: Vec<String> = topics
            .iter()
            .filter(|(_, own, group)| own != group)
            .map(|(key, own, group)| format!("{key} is {own} here and {group} there"))
            .collect();
        if differ.is_empty() {
            return Ok(());
        }
        let text = format!(
            "the other workers of this group.id use other internal topics: {}. Give all workers the same names, or this one another group.id; \
             to rename the topics of a group, stop all its workers and delete its coordination topic first",
            differ.join("; ")
        );
        Err(Error::config("join", text))
    }
}

/// Which failed tasks are started again without being asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RestartPolicy {
    /// Those that time may mend.
    #[default]
    OnTransient,
    /// All.
    Always,
    /// None.
    Never,
}

impl RestartPolicy {
    /// Reads `on-transient`, `always`, `never`.
    pub fn parse(text: &str) -> Option<Self> {
        match text.trim() {
            "on-transient" => Some(Self::OnTransient),
            "always" => Some(Self::Always),
            "never" => Some(Self::Never),
            _ => None,
        }
    }
}
