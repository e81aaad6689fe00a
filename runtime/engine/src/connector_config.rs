//! The keys that the framework reads of a connector's config, typed. What belongs to the connector, a transform or a converter is handed to it.

mod definition;
mod topic_creation;
mod transactions;

pub use definition::{sink, source};
pub(crate) use topic_creation::whole as topic_creation_whole;
pub use topic_creation::{TopicCreation, TopicRule};
pub use transactions::Transactions;

use crate::{
    ports::Subscription,
    task::{DeadLetterSpec, ErrorPolicy},
};
use longshore_sdk::{
    Direction, Error, Result,
    config::{Flat, trimmed},
};
use std::{collections::BTreeMap, time::Duration};

/// A plugin by its class and its own keys, prefix taken off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginConfig {
    /// Its class, in any of its names.
    pub class: String,
    /// `plugin.version`: the version that is asked for.
    pub version: Option<String>,
    /// Its keys.
    pub config: Flat,
}

/// An entry of `transforms`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransformConfig {
    /// Its alias.
    pub alias: String,
    /// The transform.
    pub plugin: PluginConfig,
    /// The alias of the predicate that chooses its records, and whether that is turned around.
    pub predicate: Option<(String, bool)>,
}

/// The framework's part of a config.
#[derive(Clone, Debug)]
pub struct ConnectorConfig {
    /// `name`.
    pub name: String,
    /// `connector.class`.
    pub class: String,
    /// `tasks.max`.
    pub tasks_max: u32,
    /// `tasks.max.enforce`.
    pub tasks_max_enforce: bool,
    /// `longshore.exactly.once`: a sink whose target can keep the offsets lets it.
    pub exactly_once: bool,
    /// `key.converter`, or the worker's.
    pub key: PluginConfig,
    /// `value.converter`, or the worker's.
    pub value: PluginConfig,
    /// `header.converter`, or the worker's.
    pub header: PluginConfig,
    /// `transforms`, in order.
    pub transforms: Vec<TransformConfig>,
    /// `predicates` by alias.
    pub predicates: BTreeMap<String, PluginConfig>,
    /// `errors.*`.
    pub errors: ErrorPolicy,
    /// `errors.deadletterqueue.topic.replication.factor`.
    pub dead_letter_replication: i16,
    /// `topics` or `topics.regex`; sinks only.
    pub subscription: Option<Subscription>,
    /// `topic.creation.*`; sources only.
    pub topic_creation: Option<TopicCreation>,
    /// `transaction.boundary` and its interval; sources only.
    pub transactions: Transactions,
    /// `producer.override.*`.
    pub producer_overrides: BTreeMap<String, String>,
    /// `consumer.override.*`.
    pub consumer_overrides: BTreeMap<String, String>,
}

/// The converters of a worker that is told nothing.
const DEFAULT_CONVERTER: &str = "org.apache.kafka.connect.json.JsonConverter";
const DEFAULT_HEADER_CONVERTER: &str = "org.apache.kafka.connect.storage.SimpleHeaderConverter";

impl ConnectorConfig {
    /// Reads a config whose placeholders are resolved. `worker` holds the worker's `key.converter` and so on.
    pub fn read(config: &Flat, worker: &Flat, direction: Direction) -> Result<Self> {
        let sinks = direction == Direction::Sink;
        let creation = if sinks {
            None
        } else {
            TopicCreation::read(config)?
        };
        Ok(Self {
            name: get(config, "name").unwrap_or_default().to_owned(),
            class: need(config, "connector.class")?.to_owned(),
            tasks_max: number(config, "tasks.max", 1)?,
            tasks_max_enforce: flag(config, "tasks.max.enforce", true)?,
            exactly_once: flag(config, "longshore.exactly.once", true)?,
            key: converter(config, worker, "key.converter", DEFAULT_CONVERTER),
            value: converter(config, worker, "value.converter", DEFAULT_CONVERTER),
            header: converter(config, worker, "header.converter", DEFAULT_HEADER_CONVERTER),
            transforms: transforms(config)?,
            predicates: predicates(config)?,
            errors: errors(config, sinks)?,
            dead_letter_replication: number(
                config,
                "errors.deadletterqueue.topic.replication.factor",
                3,
            )?,
            subscription: if sinks {
                Some(subscription(config)?)
            } else {
                None
            },
            topic_creation: creation,
            transactions: if sinks {
                Transactions::default()
            } else {
                Transactions::read(config)?
            },
            producer_overrides: below(config, "producer.override."),
            consumer_overrides: below(config, "consumer.override."),
        })
    }
    /// The consumer group of a sink.
    pub fn group(&self, connector: &str) -> String {
        let own = self.consumer_overrides.get("group.id");
        own.cloned().unwrap_or_else(|| group_of(connector))
    }
}

/// The consumer group of a sink that names none of its own.
pub fn group_of(connector: &str) -> String {
    format!("connect-{connector}")
}

/// The items of a comma list, trimmed, empty ones left out.
pub fn list<'a>(config: &'a Flat, key: &str) -> Vec<&'a str> {
    let items = config
        .get(key)
        .map(String::as_str)
        .unwrap_or_default()
        .split(',');
    items.map(trimmed).filter(|item| !item.is_empty()).collect()
}

/// The entries below a prefix, prefix taken off.
pub fn below(config: &Flat, prefix: &str) -> Flat {
    config
        .range(prefix.to_owned()..)
        .take_while(|(key, _)| key.starts_with(prefix))
        .map(|(key, value)| (key[prefix.len()..].to_owned(), value.clone()))
        .filter(|(key, _)| !key.is_empty())
        .collect()
}

/// A value, trimmed; an empty one is none.
pub fn get<'a>(config: &'a Flat, key: &str) -> Option<&'a str> {
    config
        .get(key)
        .map(|value| trimmed(value))
        .filter(|value| !value.is_empty())
}

fn need<'a>(config: &'a Flat, key: &str) -> Result<&'a str> {
    get(config, key).ok_or_else(|| Error::config("config", format!("{key}: required, but missing")))
}

pub(crate) fn number<T: std::str::FromStr>(config: &Flat, key: &str, default: T) -> Result<T> {
    match get(config, key) {
        None => Ok(default),
        Some(text) => text
            .parse()
            .map_err(|_| Error::config("config", format!("{key}: expected a whole number"))),
    }
}

pub(crate) fn flag(config: &Flat, key: &str, default: bool) -> Result<bool> {
    match get(config, key) {
        None => Ok(default),
        Some(text) if text.eq_ignore_ascii_case("true") => Ok(true),
        Some(text) if text.eq_ignore_ascii_case("false") => Ok(false),
        Some(_) => Err(Error::config(
            "config",
            format!("{key}: expected true or false"),
        )),
    }
}

/// -1 = for ever.
fn millis(config: &Flat, key: &str, default: i64) -> Result<Duration> {
    let millis: i64 = number(config, key, default)?;
    Ok(u64::try_from(millis).map_or(Duration::MAX, Duration::from_millis))
}

/// The connector's own converter with its keys, else the worker's with the worker's keys: the two are never mixed.
fn converter(config: &Flat, worker: &Flat, key: &str, default: &str) -> PluginConfig {
    let from = if get(config, key).is_some() {
        config
    } else {
        worker
    };
    plugin(
        get(from, key).unwrap_or(default),
        below(from, &format!("{key}.")),
    )
}

fn plugin(class: &str, mut config: Flat) -> PluginConfig {
    let version = config.remove("plugin.version");
    PluginConfig {
        class: class.to_owned(),
        version: version.filter(|version| !trimmed(version).is_empty()),
        config,
    }
}

fn transforms(config: &Flat) -> Result<Vec<TransformConfig>> {
    let aliases = list(config, "transforms").into_iter();
    aliases
        .map(|alias| {
            let prefix = format!("transforms.{alias}.");
            let class = need(config, &format!("{prefix}type"))?;
            let predicate = get(config, &format!("{prefix}predicate")).map(str::to_owned);
            let negate = flag(config, &format!("{prefix}negate"), false)?;
            let mut own = below(config, &prefix);
            own.retain(|key, _| !["type", "predicate", "negate"].contains(&key.as_str()));
            Ok(TransformConfig {
                alias: alias.to_owned(),
                plugin: plugin(class, own),
                predicate: predicate.map(|predicate| (predicate, negate)),
            })
        })
        .collect()
}

fn predicates(config: &Flat) -> Result<BTreeMap<String, PluginConfig>> {
    let aliases = list(config, "predicates").into_iter();
    aliases
        .map(|alias| {
            let prefix = format!("predicates.{alias}.");
            let class = need(config, &format!("{prefix}type"))?;
            let mut own = below(config, &prefix);
            own.remove("type");
            Ok((alias.to_owned(), plugin(class, own)))
        })
        .collect()
}

fn errors(config: &Flat, sinks: bool) -> Result<ErrorPolicy> {
    let topic = get(config, "errors.deadletterqueue.topic.name").filter(|_| sinks);
    let context_headers = flag(
        config,
        "errors.deadletterqueue.context.headers.enable",
        false,
    )?;
    Ok(ErrorPolicy {
        tolerance_all: get(config, "errors.tolerance")
            .is_some_and(|tolerance| tolerance.eq_ignore_ascii_case("all")),
        retry_timeout: millis(config, "errors.retry.timeout", 0)?,
        retry_delay_max: millis(config, "errors.retry.delay.max.ms", 60_000)?,
        log_enable: flag(config, "errors.log.enable", false)?,
        log_include_messages: flag(config, "errors.log.include.messages", false)?,
        dead_letter: topic.map(|topic| DeadLetterSpec {
            topic: topic.into(),
            context_headers,
        }),
    })
}

fn subscription(config: &Flat) -> Result<Subscription> {
    let topics = list(config, "topics");
    match (topics.is_empty(), get(config, "topics.regex")) {
        (false, None) => Ok(Subscription::Topics(
            topics.into_iter().map(str::to_owned).collect(),
        )),
        (true, Some(regex)) => Ok(Subscription::Regex(regex.to_owned())),
        (true, None) => Err(Error::config(
            "config",
            "Must configure one of topics or topics.regex",
        )),
        (false, Some(_)) => Err(Error::config(
            "config",
            "topics and topics.regex are mutually exclusive options, but both are set.",
        )),
    }
}

#[cfg(test)]
mod tests;
