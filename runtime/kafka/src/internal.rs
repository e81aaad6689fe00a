//! A worker's internal topics: created where they are missing, checked where they exist.

use crate::{Admin, client::Properties};
use longshore_engine::ports::TopicSpec;
use longshore_sdk::{Error, Result};
use rdkafka::admin::ResourceSpecifier;
use std::collections::BTreeMap;

/// An internal topic of a worker: compacted, with settings of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InternalTopic {
    /// The topic's name.
    pub name: String,
    /// The worker key that names it, for messages.
    pub key: &'static str,
    /// Partitions when it is created.
    pub partitions: i32,
    /// Refuse an existing topic with another number of partitions.
    pub exact: bool,
    /// Replication when it is created; `None` = 3, or the number of brokers if that is less.
    pub replication: Option<i16>,
    /// Further topic configs when it is created.
    pub config: Properties,
    /// The group has used it: one that is missing was deleted, and an empty one in its place would be a loss that nobody sees.
    pub used: bool,
}

impl InternalTopic {
    /// The config topic: exactly one partition.
    pub fn configs(name: impl Into<String>) -> Self {
        Self::new(name, "config.storage.topic", 1, true)
    }
    /// The offsets topic.
    pub fn offsets(name: impl Into<String>) -> Self {
        Self::new(name, "offset.storage.topic", 25, false)
    }
    /// The status topic.
    pub fn statuses(name: impl Into<String>) -> Self {
        Self::new(name, "status.storage.topic", 5, false)
    }
    /// The coordination topic: exactly one partition.
    pub fn coordination(group: &str) -> Self {
        Self::new(format!("{group}-coordination"), "group.id", 1, true)
    }
    fn new(name: impl Into<String>, key: &'static str, partitions: i32, exact: bool) -> Self {
        Self {
            name: name.into(),
            key,
            partitions,
            exact,
            replication: None,
            config: Properties::new(),
            used: false,
        }
    }
    fn deleted(&self) -> Error {
        let name = &self.name;
        Error::config(
            "start",
            format!(
                "the topic {name} ({}) is missing, and this group.id has used it: it was deleted. Restore it, or create it empty (kafka-topics.sh --create --topic {name} --partitions {} --config cleanup.policy=compact) if what it held is to be forgotten",
                self.key, self.partitions
            ),
        )
        .with("topic", name)
    }
    fn check_partitions(&self, partitions: i32) -> Result<()> {
        if !self.exact || partitions == self.partitions {
            return Ok(());
        }
        let name = &self.name;
        Err(Error::config(
            "start",
            format!(
                "the topic {name} ({}) must have exactly {} partition, not {partitions}: order would be lost; create it anew or name another one",
                self.key, self.partitions
            ),
        )
        .with("topic", name))
    }
}

impl Admin {
    /// Creates a worker's internal topics where they are missing, and checks those that exist.
    /// Err (Config): one that is not compacted would lose what it holds; one with the wrong number of partitions cannot keep its order; one that the
    /// group has used is not created again.
    pub async fn ensure_internal(&self, topics: &[InternalTopic]) -> Result<()> {
        let brokers = self.brokers().await?;
        let existing = self.topics().await?;
        let (known, missing): (Vec<_>, Vec<_>) = topics
            .iter()
            .partition(|topic| existing.contains_key(&topic.name));
        self.check_internal(&known, &existing).await?;
        if let Some(deleted) = missing.iter().find(|topic| topic.used) {
            return Err(deleted.deleted());
        }
        for topic in missing {
            let mut config = topic.config.clone();
            config.insert("cleanup.policy".to_owned(), "compact".to_owned());
            let replication = topic
                .replication
                .unwrap_or_else(|| i16::try_from(brokers.min(3)).unwrap_or(3));
            let spec = TopicSpec {
                name: topic.name.clone(),
                partitions: Some(topic.partitions),
                replication: Some(replication),
                config,
            };
            if !self.ensure_topic(&spec).await? {
                // Somebody else was faster: theirs is checked like any other.
                self.check_internal(&[topic], &self.topics().await?).await?;
            }
        }
        Ok(())
    }

    async fn check_internal(
        &self,
        topics: &[&InternalTopic],
        existing: &BTreeMap<String, i32>,
    ) -> Result<()> {
        if topics.is_empty() {
            return Ok(());
        }
        for topic in topics {
            let partitions = existing.get(&topic.name).copied();
            topic.check_partitions(partitions.unwrap_or(topic.partitions))?;
        }
        let resources = topics.iter().map(|t| ResourceSpecifier::Topic(&t.name));
        let resources: Vec<_> = resources.collect();
        let policies = self.config_values(&resources, "cleanup.policy").await?;
        for (topic, policy) in topics.iter().zip(policies) {
            match policy {
                Some(policy) if policy != "compact" => {
                    return Err(self.not_compacted(topic, &policy));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn not_compacted(&self, topic: &InternalTopic, policy: &str) -> Error {
        let name = &topic.name;
        Error::config(
            "start",
            format!(
                "the topic {name} ({}) has cleanup.policy={policy}, which would delete what it holds: run kafka-configs.sh --bootstrap-server {} --alter --entity-type topics --entity-name {name} --add-config cleanup.policy=compact",
                topic.key,
                self.settings.bootstrap()
            ),
        )
        .with("topic", name)
    }
}
