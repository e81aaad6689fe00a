//! Every worker key that is read into a field.

use super::{
    plugin_keys::PluginKeys,
    rest_keys::{HttpsKeys, RestKeys},
};
use crate::settings::{file::Syntax, listener::Listener};
use longshore_engine::providers::Placeholders;
use longshore_sdk::config::{Flat, UnknownKeys};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::PathBuf};

/// A worker's settings as people write them; the methods say what they come to.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct WorkerSettings {
    /// Brokers as host:port, or `embedded` for a development broker inside the worker; embedded unless given.
    #[serde(rename = "bootstrap.servers", default)]
    pub(super) bootstrap_servers: Vec<String>,
    /// The name of the group of workers that share the work.
    #[serde(rename = "group.id", default = "group_id")]
    #[schemars(length(min = 1, max = 249))]
    pub(crate) group_id: String,
    /// The REST API's addresses, http://host:port or https://host:port.
    #[serde(default = "listeners")]
    pub(super) listeners: Vec<String>,
    /// The host that other workers and clients reach this one at; the first listener's unless given.
    #[serde(rename = "rest.advertised.host.name")]
    pub(super) advertised_host: Option<String>,
    /// The port that other workers and clients reach this one at; the first listener's unless given.
    #[serde(rename = "rest.advertised.port")]
    pub(super) advertised_port: Option<u16>,
    /// The protocol of the listener that is advertised.
    #[serde(rename = "rest.advertised.listener")]
    #[schemars(extend("x-recommended" = ["http", "https"]))]
    pub(crate) advertised_listener: Option<String>,
    /// Origins that browsers may call the REST API from; none unless given.
    #[serde(rename = "access.control.allow.origin", default)]
    pub(crate) allow_origin: String,
    /// Methods that browsers may use from other origins.
    #[serde(rename = "access.control.allow.methods", default)]
    pub(crate) allow_methods: String,

    /// The topic that holds configs; `<group.id>-configs` unless given.
    #[serde(rename = "config.storage.topic")]
    pub(super) config_topic: Option<String>,
    /// The topic that holds source offsets; `<group.id>-offsets` unless given.
    #[serde(rename = "offset.storage.topic")]
    pub(super) offset_topic: Option<String>,
    /// The topic that holds statuses; `<group.id>-status` unless given.
    #[serde(rename = "status.storage.topic")]
    pub(super) status_topic: Option<String>,
    /// Replicas of the config topic when it is created; the smaller of 3 and the number of brokers unless given.
    #[serde(rename = "config.storage.replication.factor")]
    #[schemars(range(min = -1))]
    pub(crate) config_replication: Option<i16>,
    /// Replicas of the offset topic when it is created; the smaller of 3 and the number of brokers unless given.
    #[serde(rename = "offset.storage.replication.factor")]
    #[schemars(range(min = -1))]
    pub(crate) offset_replication: Option<i16>,
    /// Replicas of the status topic when it is created; the smaller of 3 and the number of brokers unless given.
    #[serde(rename = "status.storage.replication.factor")]
    #[schemars(range(min = -1))]
    pub(crate) status_replication: Option<i16>,
    /// Partitions of the offset topic when it is created.
    #[serde(rename = "offset.storage.partitions", default = "offset_partitions")]
    #[schemars(range(min = -1, max = 10_000))]
    pub(crate) offset_partitions: i32,
    /// Partitions of the status topic when it is created.
    #[serde(rename = "status.storage.partitions", default = "status_partitions")]
    #[schemars(range(min = -1, max = 10_000))]
    pub(crate) status_partitions: i32,
    /// Topic configs of the config topic when it is created.
    #[serde(rename = "config.storage.", default)]
    pub(crate) config_topic_configs: BTreeMap<String, String>,
    /// Topic configs of the offset topic when it is created.
    #[serde(rename = "offset.storage.", default)]
    pub(crate) offset_topic_configs: BTreeMap<String, String>,
    /// Topic configs of the status topic when it is created.
    #[serde(rename = "status.storage.", default)]
    pub(crate) status_topic_configs: BTreeMap<String, String>,

    /// The converter of keys; JsonConverter without schemas unless given.
    #[serde(rename = "key.converter")]
    #[schemars(extend("x-type" = "CLASS"))]
    pub(super) key_converter: Option<String>,
    /// Settings of the converter of keys.
    #[serde(rename = "key.converter.", default)]
    pub(super) key_converter_settings: BTreeMap<String, String>,
    /// The converter of values; JsonConverter without schemas unless given.
    #[serde(rename = "value.converter")]
    #[schemars(extend("x-type" = "CLASS"))]
    pub(super) value_converter: Option<String>,
    /// Settings of the converter of values.
    #[serde(rename = "value.converter.", default)]
    pub(super) value_converter_settings: BTreeMap<String, String>,
    /// The converter of headers.
    #[serde(rename = "header.converter")]
    #[schemars(extend("x-type" = "CLASS"))]
    pub(super) header_converter: Option<String>,
    /// Settings of the converter of headers.
    #[serde(rename = "header.converter.", default)]
    pub(super) header_converter_settings: BTreeMap<String, String>,

    /// How often source offsets and consumer offsets are committed; 1000 in YAML, 60000 in .properties files, as in Kafka Connect.
    #[serde(rename = "offset.flush.interval.ms")]
    #[schemars(range(min = 1, max = 86_400_000))]
    pub(super) offset_flush_interval_ms: Option<u64>,
    /// After which silence a worker counts as gone; 6000 unless given, 500 with the embedded broker.
    #[serde(rename = "session.timeout.ms")]
    #[schemars(range(min = 100, max = 1_800_000))]
    pub(super) session_timeout_ms: Option<u64>,
    /// How long the workers of a group sign their calls to each other with the same key; a minute at least.
    #[serde(rename = "inter.worker.key.ttl.ms", default = "session_key_ms")]
    #[schemars(range(min = 0, max = 2_147_483_647))]
    pub(super) session_key_ms: u64,
    /// How long a task may take to stop.
    #[serde(rename = "task.shutdown.graceful.timeout.ms", default = "shutdown_ms")]
    #[schemars(range(min = 0, max = 3_600_000))]
    pub(super) shutdown_ms: u64,
    /// So long the group must have stayed the same before tasks move for balance alone; those of a worker that is gone move at once.
    #[serde(
        rename = "scheduled.rebalance.max.delay.ms",
        default = "rebalance_delay_ms"
    )]
    #[schemars(range(min = 0, max = 86_400_000))]
    pub(super) rebalance_delay_ms: u64,
    /// Whether source connectors write exactly once, those that can: `enabled` = they do, or fail without the rights; `disabled` and `preparing` = they do not. Unless given they do in YAML wherever the brokers let them, and do not in .properties files. The same on every worker of a group.
    #[serde(rename = "exactly.once.source.support")]
    pub(crate) exactly_once: Option<ExactlyOnceSupport>,
    /// Whether topics of source connectors are created with the connector's `topic.creation.` settings.
    #[serde(rename = "topic.creation.enable", default = "yes")]
    pub(crate) topic_creation: bool,
    /// Whether the topics that a connector uses are noted.
    #[serde(rename = "topic.tracking.enable", default = "yes")]
    pub(crate) topic_tracking: bool,
    /// Whether noted topics may be forgotten by REST.
    #[serde(rename = "topic.tracking.allow.reset", default = "yes")]
    pub(crate) topic_tracking_reset: bool,

    /// Settings of every producer that writes data.
    #[serde(rename = "producer.", default)]
    pub(crate) producer: BTreeMap<String, String>,
    /// Settings of every consumer that reads data.
    #[serde(rename = "consumer.", default)]
    pub(crate) consumer: BTreeMap<String, String>,
    /// Settings of every admin client.
    #[serde(rename = "admin.", default)]
    pub(crate) admin: BTreeMap<String, String>,
    /// Which `producer.override.`, `consumer.override.` and `admin.override.` keys connectors may set.
    #[serde(rename = "connector.client.config.override.policy", default)]
    pub(crate) override_policy: OverridePolicy,
    /// The client keys that the policy Allowlist allows.
    #[serde(rename = "connector.client.config.override.allowlist", default)]
    pub(crate) override_allowlist: Vec<String>,
    /// Names of config providers; none unless given. `env`, `file` and `directory` need no class.
    #[serde(rename = "config.providers", default)]
    #[expect(
        dead_code,
        reason = "providers() reads it before the section is resolved; here it is a known key"
    )]
    pub(super) config_providers: Vec<String>,
    /// Classes and settings of config providers: `<name>.class`, `<name>.param.allowed.paths` (file, directory),
    /// `<name>.param.allowlist.pattern` (env).
    #[serde(rename = "config.providers.", default)]
    #[expect(dead_code, reason = "as above")]
    pub(super) config_provider_settings: BTreeMap<String, String>,

    /// The folder of everything that the worker keeps on disk.
    #[serde(rename = "longshore.data.dir", default = "data_dir")]
    pub(crate) data_dir: PathBuf,
    /// Where the embedded broker listens; 127.0.0.1:9092, or a free port if that is taken, unless given.
    #[serde(rename = "longshore.broker.listen")]
    pub(crate) broker_listen: Option<String>,
    /// What becomes of keys that nobody knows: refused unless given in YAML, else warned about.
    #[serde(rename = "longshore.unknown.keys")]
    pub(super) unknown_keys: Option<UnknownKeys>,
    /// How long an operation is retried that fails for a passing reason.
    #[serde(rename = "longshore.retry.timeout.ms", default = "retry_ms")]
    #[schemars(range(min = 0, max = 86_400_000))]
    pub(super) retry_ms: u64,
    /// Which failed tasks are restarted by themselves.
    #[serde(rename = "longshore.restart.policy", default)]
    pub(crate) restart_policy: RestartPolicy,
    /// Without progress for this long a task that has work is shown as stalled; a call that lasts twice as long, and longer than
    /// longshore.retry.timeout.ms, ends it, and it is opened again.
    #[serde(rename = "longshore.stall.timeout.ms", default = "stall_ms")]
    #[schemars(range(min = 1, max = 86_400_000))]
    pub(super) stall_ms: u64,
    /// How many bytes of records the worker's tasks may hold, all together; half of the memory that the process may use, at least 64 MiB, unless given.
    #[serde(rename = "longshore.memory.max.bytes")]
    #[schemars(range(min = 16_777_216))]
    pub(super) memory_bytes_max: Option<u64>,

    /// Keys without a prefix that go to every client: `security.protocol`, `sasl.*`, `ssl.*` and the like.
    #[serde(skip)]
    #[schemars(skip)]
    pub(crate) client: Flat,
    #[serde(skip)]
    #[schemars(skip)]
    pub(super) parsed_listeners: Vec<Listener>,
    /// Who may use the REST API.
    #[serde(skip)]
    #[schemars(skip)]
    pub(super) rest: Option<RestKeys>,
    /// Plugins that come in files.
    #[serde(skip)]
    #[schemars(skip)]
    pub(super) plugins: PluginKeys,
    /// The TLS of https listeners, where there are any.
    #[serde(skip)]
    #[schemars(skip)]
    pub(crate) https: Option<HttpsKeys>,
    /// What `${provider:path:key}` means.
    #[serde(skip)]
    #[schemars(skip)]
    pub(crate) placeholders: Placeholders,
    #[serde(skip)]
    #[schemars(skip)]
    pub(crate) syntax: Option<Syntax>,
}

/// `exactly.once.source.support`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ExactlyOnceSupport {
    Disabled,
    Preparing,
    Enabled,
}

/// `connector.client.config.override.policy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) enum OverridePolicy {
    #[default]
    All,
    None,
    Principal,
    Allowlist,
}

/// `longshore.restart.policy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RestartPolicy {
    #[default]
    OnTransient,
    Always,
    Never,
}

fn group_id() -> String {
    "longshore".to_owned()
}
fn listeners() -> Vec<String> {
    vec!["http://127.0.0.1:8083".to_owned()]
}
fn offset_partitions() -> i32 {
    25
}
fn status_partitions() -> i32 {
    5
}
fn session_key_ms() -> u64 {
    3_600_000
}
fn shutdown_ms() -> u64 {
    5000
}
fn rebalance_delay_ms() -> u64 {
    60_000
}
fn retry_ms() -> u64 {
    300_000
}
fn stall_ms() -> u64 {
    60_000
}
fn yes() -> bool {
    true
}
fn data_dir() -> PathBuf {
    PathBuf::from("./longshore-data")
}
