//! Which topics are copied, and how their partitions are spread.

use fancy_regex::Regex;
use longshore_sdk::{Error, Result, Share};
use std::{
    collections::BTreeMap,
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
};

/// The share's partitions: JSON, `{"<topic>":[0,1]}`.
pub(crate) const PARTITIONS: &str = "longshore.mirror.partitions";
/// On the share whose task looks for new partitions: what was planned for, as a number.
pub(crate) const PLANNED: &str = "longshore.mirror.planned";

/// Topics with their numbers of partitions.
pub(crate) type Topics = BTreeMap<String, i32>;
/// Topics with some of their partitions.
pub(crate) type Parts = BTreeMap<String, Vec<i32>>;

/// Names or patterns.
pub(crate) struct Selection(Vec<Regex>);

impl Selection {
    pub(crate) fn new(topics: &[String]) -> Result<Self> {
        let patterns = topics.iter().map(|topic| {
            Regex::new(&format!("^(?:{topic})$")).map_err(|error| {
                Error::config("topics", format!("{topic} is not a regular expression"))
                    .with("key", "topics")
                    .because(error)
            })
        });
        patterns.collect::<Result<_>>().map(Self)
    }
    /// Those of `all` that are selected. Internal topics (`__..`) are never copied.
    pub(crate) fn of(&self, all: Topics) -> Topics {
        let selected = |topic: &str| {
            let mut patterns = self.0.iter();
            patterns.any(|pattern| pattern.is_match(topic).unwrap_or(false))
        };
        all.into_iter()
            .filter(|(topic, _)| !topic.starts_with("__") && selected(topic))
            .collect()
    }
}

/// A number for a plan: another number, another plan.
pub(crate) fn fingerprint(topics: &Topics) -> String {
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    format!("{:016x}", hasher.hash_one(topics))
}

/// Deals the partitions out, one after the other. There is always a first share: its task looks for new partitions.
pub(crate) fn deal(topics: &Topics, tasks_max: u32) -> Result<Vec<Share>> {
    let count = topics
        .values()
        .map(|n| usize::try_from(*n).unwrap_or(0))
        .sum::<usize>();
    let tasks = usize::try_from(tasks_max.max(1))
        .unwrap_or(1)
        .min(count.max(1));
    let mut parts = vec![Parts::new(); tasks];
    let all = topics
        .iter()
        .flat_map(|(topic, count)| (0..*count).map(move |partition| (topic, partition)));
    for (n, (topic, partition)) in all.enumerate() {
        parts[n % tasks]
            .entry(topic.clone())
            .or_default()
            .push(partition);
    }
    let mut shares = Vec::with_capacity(tasks);
    for part in parts {
        let text = serde_json::to_string(&part)
            .map_err(|error| Error::bug("plan", "a share does not print").because(error))?;
        shares.push(Share::from([(PARTITIONS.to_owned(), text)]));
    }
    shares[0].insert(PLANNED.to_owned(), fingerprint(topics));
    Ok(shares)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_patterns_match_whole_names_and_internal_topics_never() {
        let selection = Selection::new(&["orders".into(), "user.*".into()]).expect("valid");
        let all = ["orders", "orders2", "users", "my-users", "__user"];
        let all = all.iter().map(|t| ((*t).to_owned(), 1)).collect();
        let selected: Vec<_> = selection.of(all).into_keys().collect();
        assert_eq!(selected, ["orders", "users"]);
        assert!(Selection::new(&["(".into()]).is_err());
    }

    #[test]
    fn every_partition_is_dealt_once_and_evenly() {
        let topics = Topics::from([("a".into(), 3), ("b".into(), 4)]);
        let shares = deal(&topics, 3).expect("a plan");
        let parts: Vec<Parts> = shares
            .iter()
            .map(|share| serde_json::from_str(&share[PARTITIONS]).expect("json"))
            .collect();
        let sizes: Vec<usize> = parts
            .iter()
            .map(|p| p.values().map(Vec::len).sum())
            .collect();
        assert_eq!(sizes, [3, 2, 2]);
        let mut dealt: Vec<_> = parts
            .iter()
            .flat_map(|p| {
                p.iter()
                    .flat_map(|(t, ps)| ps.iter().map(move |n| (t.clone(), *n)))
            })
            .collect();
        dealt.sort();
        dealt.dedup();
        assert_eq!(dealt.len(), 7);
        assert_eq!(deal(&topics, 100).expect("a plan").len(), 7);
        let idle = deal(&Topics::new(), 4).expect("a plan");
        assert_eq!(idle.len(), 1, "somebody must look for topics");
        assert_eq!(idle[0][PARTITIONS], "{}");
        assert_ne!(fingerprint(&topics), fingerprint(&Topics::new()));
    }
}
