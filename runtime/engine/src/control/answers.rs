//! What the control door answers: the JSON shapes of the Kafka Connect REST API, field for field. What is ours stands under `x`.

use longshore_sdk::config::{Finding, Flat, info::ConfigInfos};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// `GET /`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerInfo {
    /// The version whose API this is; tools gate features by it.
    pub version: String,
    /// A commit id.
    pub commit: String,
    /// The cluster's id; empty while the broker does not answer.
    pub kafka_cluster_id: String,
    /// Ours.
    pub x: ServerExtra,
}

/// What is ours of [`ServerInfo`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerExtra {
    /// Longshore's own version.
    pub longshore: String,
    /// Plugins' files that this worker skipped, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub broken_plugins: Vec<BrokenFile>,
}

/// `GET /health`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// How it is.
    pub status: HealthStatus,
    /// In words.
    pub message: String,
}

/// How a worker is: 200, 503, 500.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthStatus {
    /// It takes requests.
    Healthy,
    /// Its views are not read to the end yet.
    Starting,
    /// It cannot carry out requests.
    Unhealthy,
}

/// A connector's direction as answers spell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConnectorType {
    /// A source.
    Source,
    /// A sink.
    Sink,
    /// Its class is not known to this worker.
    Unknown,
}

/// A task's name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskName {
    /// The connector.
    pub connector: String,
    /// The task's number.
    pub task: u32,
}

/// A connector and its config, placeholders unresolved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectorInfo {
    /// Its name.
    pub name: String,
    /// Its config as it was given.
    pub config: Flat,
    /// Its tasks; none while it is STOPPED.
    pub tasks: Vec<TaskName>,
    /// Its direction.
    #[serde(rename = "type")]
    pub kind: ConnectorType,
    /// Ours; only where something is odd.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x: Option<Extra>,
}

/// What is ours of answers about a config.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extra {
    /// What is odd about the config.
    pub warnings: Vec<Warning>,
}

/// Something odd about a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// The key.
    pub key: String,
    /// What is odd.
    pub problem: String,
    /// What to do; empty if that is plain.
    pub suggestion: String,
}

impl Extra {
    /// The warnings of an answer; `None` where nothing is odd.
    pub(super) fn of(findings: &[Finding]) -> Option<Self> {
        let warnings = findings.iter().map(|finding| Warning {
            key: finding.key.clone(),
            problem: finding.problem.clone(),
            suggestion: finding.suggestion.clone(),
        });
        (!findings.is_empty()).then(|| Self {
            warnings: warnings.collect(),
        })
    }
}

/// `PUT /connector-plugins/x/config/validate`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validated {
    /// Kafka Connect's part.
    #[serde(flatten)]
    pub infos: ConfigInfos,
    /// Ours; only where something is odd.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x: Option<Extra>,
}

/// The outcome of `PUT .../config`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// 201 rather than 200.
    pub created: bool,
    /// The connector.
    pub info: ConnectorInfo,
}

/// A connector's state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectorStateInfo {
    /// Its name.
    pub name: String,
    /// The connector's own state.
    pub connector: ConnectorState,
    /// Its tasks' states by number.
    pub tasks: Vec<TaskStateInfo>,
    /// Its direction.
    #[serde(rename = "type")]
    pub kind: ConnectorType,
}

/// The state of a connector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectorState {
    /// RUNNING, PAUSED, STOPPED, FAILED, UNASSIGNED or RESTARTING.
    pub state: String,
    /// Where.
    pub worker_id: String,
    /// The plugin's version; null where it is not known.
    pub version: Option<String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// Ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x: Option<Value>,
}

/// The state of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskStateInfo {
    /// The task's number.
    pub id: u32,
    /// RUNNING, PAUSED, FAILED, UNASSIGNED or RESTARTING.
    pub state: String,
    /// Where.
    pub worker_id: String,
    /// The plugin's version; null where it is not known.
    pub version: Option<String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// Ours: `progress`, `finished`, `restart`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x: Option<Value>,
}

/// A task and its config.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskInfo {
    /// Its name.
    pub id: TaskName,
    /// Its config, placeholders unresolved.
    pub config: Flat,
}

/// `GET .../topics`: the connector's name, then its topics.
pub type ActiveTopics = BTreeMap<String, TopicList>;

/// The topics that a connector used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicList {
    /// Their names, sorted.
    pub topics: Vec<String>,
}

/// A connector's offsets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectorOffsets {
    /// One entry per source partition, or per topic partition of a sink.
    pub offsets: Vec<ConnectorOffset>,
}

/// One offset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectorOffset {
    /// The partition: a JSON object.
    pub partition: Value,
    /// The offset: a JSON object.
    pub offset: Value,
}

/// A plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginInfo {
    /// The class by which other workers know it, where there is one; else its short name.
    pub class: String,
    /// source, sink, converter, header_converter, transformation or predicate.
    #[serde(rename = "type")]
    pub kind: PluginKind,
    /// Its version.
    pub version: String,
    /// Ours.
    pub x: PluginExtra,
}

/// What is ours of [`PluginInfo`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginExtra {
    /// The short name.
    pub name: String,
    /// One sentence.
    pub about: String,
    /// Whether it is part of the binary, or from which file, and what that is granted.
    #[serde(default)]
    pub origin: Origin,
}

pub use crate::registry::PluginKind;
use crate::registry::{BrokenFile, Origin};
