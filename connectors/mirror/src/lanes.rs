//! The partitions of a task: where they were left, and where their records go.

use crate::{Config, selection::Parts};
use longshore_kafka::Start;
use longshore_sdk::{
    Offset, Partition, Result, SinkRecord, SourceContext, SourceRecord, Topic, TopicPartition,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A lane as MirrorMaker 2 stores it.
#[derive(Serialize)]
struct Key<'a> {
    cluster: &'a str,
    partition: i32,
    topic: &'a str,
}

/// A stored offset: that of the last record that was copied.
#[derive(Deserialize)]
struct Copied {
    offset: i64,
}

struct Lane {
    at: TopicPartition,
    key: Partition,
    target: Topic,
}

pub(crate) struct Lanes {
    lanes: Vec<Lane>,
    /// Records come in runs: the former one's lane is looked at first.
    last: usize,
}

impl Lanes {
    /// The lanes of a share, and where to go on in each.
    pub(crate) fn new(
        config: &Config,
        parts: &Parts,
        cx: &SourceContext,
    ) -> Result<(Self, BTreeMap<TopicPartition, Start>)> {
        // As for any consumer: where to start what was never read.
        let first = match config.client.get("auto.offset.reset").map(String::as_str) {
            Some("latest") => Start::End,
            _ => Start::Beginning,
        };
        let mut lanes = Vec::new();
        let mut starts = BTreeMap::new();
        for (topic, partitions) in parts {
            let target: Topic = config.target(topic).into();
            for partition in partitions {
                let at = TopicPartition::new(topic.as_str(), *partition);
                let key = Partition::new(&Key {
                    cluster: &config.alias,
                    partition: *partition,
                    topic,
                })?;
                let start = match cx.offset(&key) {
                    Some(offset) => Start::At(offset.parse::<Copied>()?.offset + 1),
                    None => first,
                };
                starts.insert(at.clone(), start);
                lanes.push(Lane {
                    at,
                    key,
                    target: Topic::clone(&target),
                });
            }
        }
        Ok((Self { lanes, last: 0 }, starts))
    }

    /// The same record on its way to the target; `None` for a partition that is not ours.
    pub(crate) fn forward(&mut self, read: SinkRecord) -> Option<SourceRecord> {
        let is =
            |lane: &Lane| lane.at.partition == read.at.partition && lane.at.topic == read.at.topic;
        if !self.lanes.get(self.last).is_some_and(is) {
            self.last = self.lanes.iter().position(is)?;
        }
        let lane = &self.lanes[self.last];
        let mut record = read.record;
        record.topic = Topic::clone(&lane.target);
        Some(SourceRecord {
            record,
            lane: lane.key.clone(),
            offset: Offset::counter("offset", read.at.offset.unsigned_abs()),
        })
    }
}
