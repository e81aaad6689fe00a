//! What a worker is told.

use crate::{
    providers::Placeholders,
    validate::{Overrides, UnknownKeys},
};
use longshore_sdk::config::Flat;
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
    /// The worker's `key.converter`, `value.converter`, `header.converter` and the keys below them.
    pub converters: Flat,
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
    /// How many bytes a connector's config may have in the config topic (I6).
    pub config_bytes_max: usize,
    /// What `${provider:path:key}` means.
    pub placeholders: Placeholders,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self {
            worker_id: "127.0.0.1:8083".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit: "unknown".to_owned(),
            group_id: "longshore".to_owned(),
            converters: Flat::new(),
            commit_interval: Duration::from_secs(60),
            grace: Duration::from_secs(5),
            retry_timeout: Duration::from_secs(300),
            restart_policy: RestartPolicy::OnTransient,
            stall_timeout: Duration::from_secs(60),
            unknown_keys: UnknownKeys::Warn,
            overrides: Overrides::default(),
            topic_tracking: true,
            topic_tracking_reset: true,
            topic_creation: true,
            request_timeout: Duration::from_secs(90),
            config_bytes_max: 900_000,
            placeholders: Placeholders::none(),
        }
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
