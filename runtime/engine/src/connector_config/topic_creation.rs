//! `topic.creation.*`: how a source's topics are created.

use super::{get, list, need};
use crate::ports::TopicSpec;
use fancy_regex::Regex;
use longshore_sdk::{Error, Result, config::Flat};
use std::collections::BTreeMap;

/// How the topics of a group are created.
#[derive(Clone, Debug)]
pub struct TopicRule {
    include: Vec<Regex>,
    exclude: Vec<Regex>,
    partitions: Option<i32>,
    replication: Option<i16>,
    config: BTreeMap<String, String>,
}

/// The rules of a connector: the first group that matches, else the default.
#[derive(Clone, Debug)]
pub struct TopicCreation {
    groups: Vec<TopicRule>,
    default: TopicRule,
}

impl TopicCreation {
    /// Reads the rules; `None` = the connector says nothing, topics are the broker's affair.
    pub fn read(config: &Flat) -> Result<Option<Self>> {
        let groups = list(config, "topic.creation.groups");
        let names = groups.into_iter().filter(|group| *group != "default");
        let groups: Vec<&str> = names.collect();
        let told = config
            .keys()
            .any(|key| key.starts_with("topic.creation.default."));
        if groups.is_empty() && !told {
            return Ok(None);
        }
        for key in ["replication.factor", "partitions"] {
            need(config, &format!("topic.creation.default.{key}"))?;
        }
        let default = TopicRule::read(config, "default", None)?;
        let rules = groups.into_iter();
        let groups = rules
            .map(|group| TopicRule::read(config, group, Some(&default)))
            .collect::<Result<_>>()?;
        Ok(Some(Self { groups, default }))
    }
    /// How to create a topic.
    pub fn spec(&self, topic: &str) -> TopicSpec {
        let matching = self.groups.iter().find(|rule| rule.matches(topic));
        let rule = matching.unwrap_or(&self.default);
        TopicSpec {
            name: topic.to_owned(),
            partitions: rule.partitions,
            replication: rule.replication,
            config: rule.config.clone(),
        }
    }
}

impl TopicRule {
    fn read(config: &Flat, group: &str, default: Option<&Self>) -> Result<Self> {
        let prefix = format!("topic.creation.{group}.");
        let mut own = super::below(config, &prefix);
        let include = patterns(config, &format!("{prefix}include"))?;
        let exclude = patterns(config, &format!("{prefix}exclude"))?;
        if default.is_some() && include.is_empty() {
            need(config, &format!("{prefix}include"))?;
        }
        let partitions = count(config, &format!("{prefix}partitions"))?;
        let replication = count(config, &format!("{prefix}replication.factor"))?;
        for key in ["include", "exclude", "partitions", "replication.factor"] {
            own.remove(key);
        }
        Ok(Self {
            include,
            exclude,
            partitions: partitions.unwrap_or_else(|| default.and_then(|rule| rule.partitions)),
            replication: match replication {
                Some(own) => own.and_then(|own| i16::try_from(own).ok()),
                None => default.and_then(|rule| rule.replication),
            },
            config: own,
        })
    }
    fn matches(&self, topic: &str) -> bool {
        let any = |patterns: &[Regex]| {
            let mut patterns = patterns.iter();
            patterns.any(|pattern| pattern.is_match(topic).unwrap_or(false))
        };
        any(&self.include) && !any(&self.exclude)
    }
}

/// A number of partitions or replicas; -1 = the broker's default.
fn count(config: &Flat, key: &str) -> Result<Option<Option<i32>>> {
    let Some(text) = get(config, key) else {
        return Ok(None);
    };
    match text.parse::<i32>() {
        Ok(-1) => Ok(Some(None)),
        Ok(number) if number > 0 => Ok(Some(Some(number))),
        _ => Err(Error::config(
            "config",
            format!("{key}: expected a positive number, or -1 for the broker's default"),
        )),
    }
}

fn patterns(config: &Flat, key: &str) -> Result<Vec<Regex>> {
    let patterns = list(config, key).into_iter();
    patterns
        .map(|pattern| {
            whole(pattern).map_err(|error| {
                Error::config("config", format!("{key}: not a regular expression")).because(error)
            })
        })
        .collect()
}

/// A pattern that must match the whole text.
pub(crate) fn whole(pattern: &str) -> std::result::Result<Regex, Box<fancy_regex::Error>> {
    Regex::new(&format!("^(?:{pattern})$")).map_err(Box::new)
}
