//! A topic of one partition, followed while it grows: only what is committed counts.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};
use serde_json::Value;

use crate::ids::Ids;

/// A look takes at most this long where nothing is new.
const LOOK: Duration = Duration::from_millis(50);
/// A look at a long backlog gives back what it has by then.
const LOOK_MAX: Duration = Duration::from_secs(2);

/// A reader of its own, from the beginning on.
pub(super) struct Follower {
    consumer: BaseConsumer,
    ids: Ids,
    /// The id of the last record, and how many records did not follow the one before them by one.
    last: u64,
    out_of_order: u64,
}

impl Follower {
    pub(super) fn new(bootstrap: &str, topic: &str) -> Result<Self> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", bootstrap)
            .set("group.id", "crash-follower")
            .set("enable.auto.commit", "false")
            .set("isolation.level", "read_committed")
            .set("fetch.wait.max.ms", "20")
            .set("topic.metadata.refresh.interval.ms", "500")
            .create()?;
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, 0, Offset::Beginning)?;
        consumer.assign(&list)?;
        Ok(Self {
            consumer,
            ids: Ids::default(),
            last: 0,
            out_of_order: 0,
        })
    }

    /// Reads what is there. A broker that is away, or a topic that is not made yet, is nothing new.
    pub(super) fn look(&mut self) -> Result<&Ids> {
        let start = Instant::now();
        let mut patience = LOOK;
        while start.elapsed() < LOOK_MAX {
            match self.consumer.poll(patience) {
                Some(Ok(message)) => {
                    let bytes = message.payload().unwrap_or_default();
                    let id = serde_json::from_slice::<Value>(bytes)
                        .ok()
                        .and_then(|value| value["id"].as_u64());
                    let id =
                        id.with_context(|| format!("no id: {}", String::from_utf8_lossy(bytes)))?;
                    self.ids.add(id)?;
                    self.out_of_order += u64::from(id != self.last + 1);
                    self.last = id;
                    // What is at hand, and not what comes meanwhile.
                    patience = Duration::ZERO;
                }
                Some(Err(_)) => {}
                None => break,
            }
        }
        Ok(&self.ids)
    }

    /// What it has seen so far.
    pub(super) fn ids(&self) -> &Ids {
        &self.ids
    }

    /// Records whose id is not the former one's successor.
    pub(super) fn out_of_order(&self) -> u64 {
        self.out_of_order
    }
}
