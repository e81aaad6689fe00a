//! Predicates.

use crate::{NoConfig, java_regex::Pattern, settings, tag, unfit};
use longshore_sdk::{
    Predicate, Record, Result, Topic,
    config::{Definition, Flat},
    erased::PredicatePlugin,
};
use schemars::JsonSchema;
use serde::Deserialize;
use std::cell::RefCell;
use std::sync::Arc;

/// Every built-in predicate.
pub fn predicates() -> Vec<PredicatePlugin> {
    vec![
        PredicatePlugin {
            plugin: tag(
                "HasHeaderKey",
                &["org.apache.kafka.connect.transforms.predicates.HasHeaderKey"],
                "Matches records that have a header of a name.",
                &[],
            ),
            definition: Arc::new(Definition::of::<HasHeaderKey>),
            build: Arc::new(has_header_key),
        },
        PredicatePlugin {
            plugin: tag(
                "RecordIsTombstone",
                &["org.apache.kafka.connect.transforms.predicates.RecordIsTombstone"],
                "Matches records whose value is null.",
                &[],
            ),
            definition: Arc::new(Definition::of::<NoConfig>),
            build: Arc::new(record_is_tombstone),
        },
        PredicatePlugin {
            plugin: tag(
                "TopicNameMatches",
                &["org.apache.kafka.connect.transforms.predicates.TopicNameMatches"],
                "Matches records whose whole topic name matches a Java regular expression.",
                &[],
            ),
            definition: Arc::new(Definition::of::<TopicConfig>),
            build: Arc::new(topic_name_matches),
        },
    ]
}

/// Settings of HasHeaderKey.
#[derive(Debug, Deserialize, JsonSchema)]
struct HasHeaderKey {
    /// The header's name.
    name: String,
}

fn has_header_key(flat: &Flat) -> Result<Box<dyn Predicate>> {
    let config: HasHeaderKey = settings(flat)?;
    if config.name.is_empty() {
        return Err(unfit("name", "it is empty"));
    }
    Ok(Box::new(config))
}

impl Predicate for HasHeaderKey {
    fn test(&self, record: &Record) -> bool {
        record
            .headers
            .iter()
            .any(|header| *header.key == *self.name)
    }
}

struct RecordIsTombstone;

fn record_is_tombstone(flat: &Flat) -> Result<Box<dyn Predicate>> {
    let NoConfig {} = settings(flat)?;
    Ok(Box::new(RecordIsTombstone))
}

impl Predicate for RecordIsTombstone {
    fn test(&self, record: &Record) -> bool {
        record.value.is_null()
    }
}

/// Settings of TopicNameMatches.
#[derive(Debug, Deserialize, JsonSchema)]
struct TopicConfig {
    /// The regular expression, as Java writes it.
    pattern: String,
}

struct TopicNameMatches {
    pattern: Pattern,
    /// The last topic and what came out: records of a batch mostly share theirs.
    last: RefCell<Option<(Topic, bool)>>,
}

fn topic_name_matches(flat: &Flat) -> Result<Box<dyn Predicate>> {
    let config: TopicConfig = settings(flat)?;
    if config.pattern.is_empty() {
        return Err(unfit("pattern", "it is empty"));
    }
    Ok(Box::new(TopicNameMatches {
        pattern: Pattern::new("pattern", &config.pattern)?,
        last: RefCell::new(None),
    }))
}

impl Predicate for TopicNameMatches {
    /// A pattern that gives up on a topic (see [`Pattern`]) does not match it.
    fn test(&self, record: &Record) -> bool {
        let mut last = self.last.borrow_mut();
        if let Some((topic, matched)) = &*last
            && *topic == record.topic
        {
            return *matched;
        }
        let matched = self.pattern.matches(&record.topic).unwrap_or(false);
        *last = Some((record.topic.clone(), matched));
        matched
    }
}
