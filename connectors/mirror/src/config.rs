//! The settings.

use longshore_kafka::ClientSettings;
use schemars::JsonSchema;
use serde::Deserialize;
use std::{collections::BTreeMap, fmt};

/// Copies topics of another Kafka cluster, undecoded.
#[derive(Clone, Deserialize, JsonSchema)]
pub struct Config {
    /// Brokers of the cluster that is read, `host:port,..`.
    #[serde(rename = "source.cluster.bootstrap.servers")]
    #[schemars(length(min = 1), extend("x-importance" = "HIGH"))]
    pub bootstrap: String,
    /// The name of the cluster that is read, as the stored offsets hold it.
    #[serde(rename = "source.cluster.alias", default = "alias")]
    #[schemars(length(min = 1))]
    pub alias: String,
    /// Client settings for the cluster that is read, under the Java clients' names (`source.cluster.security.protocol`, ..).
    #[serde(rename = "source.cluster.", default)]
    #[schemars(extend("x-secret" = true))]
    pub client: BTreeMap<String, String>,
    /// The topics to copy: names, or regular expressions for whole names.
    #[schemars(length(min = 1), extend("x-importance" = "HIGH"))]
    pub topics: Vec<String>,
    /// The topic that is written; `${topic}` stands for the name of the one that is read.
    #[serde(rename = "target.topic", default = "target")]
    #[schemars(length(min = 1))]
    pub target: String,
    /// How often to look for new topics and partitions, in seconds.
    #[serde(rename = "refresh.topics.interval.seconds", default = "refresh")]
    #[schemars(range(min = 1, max = 86_400))]
    pub refresh_seconds: u64,
}

fn alias() -> String {
    "source".to_owned()
}
fn target() -> String {
    "${topic}".to_owned()
}
fn refresh() -> u64 {
    30
}

impl Config {
    /// Client settings for the cluster that is read.
    pub(crate) fn settings(&self) -> ClientSettings {
        let mut settings = ClientSettings::new(self.bootstrap.clone());
        for (key, value) in &self.client {
            settings.common.insert(key.clone(), value.clone());
        }
        settings
    }
    /// The topic that the records of `topic` go to.
    pub(crate) fn target(&self, topic: &str) -> String {
        self.target.replace("${topic}", topic)
    }
}

/// Client settings may hold secrets: their names are shown only (I8).
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("source.cluster.bootstrap.servers", &self.bootstrap)
            .field("source.cluster.", &self.client.keys())
            .field("topics", &self.topics)
            .field("target.topic", &self.target)
            .finish_non_exhaustive()
    }
}
