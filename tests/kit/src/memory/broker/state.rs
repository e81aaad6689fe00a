//! Topics as the broker keeps them.

use super::{Partition, Slot, State, Topic, version};
use bytes::Bytes;
use longshore_engine::ports::{Subscription, Version};
use longshore_sdk::TopicPartition;
use std::{hash::Hash, sync::Arc};
use tokio::time::Instant;

impl State {
    pub(super) fn topic(&mut self, topic: &str, partitions: usize) -> &mut Topic {
        if !self.topics.contains_key(topic) {
            let partitions = (0..partitions.max(1)).map(|_| Partition::default());
            let created = Topic {
                partitions: partitions.collect(),
                moved: Arc::default(),
            };
            self.topics.insert(topic.to_owned(), created);
        }
        self.topics
            .entry(topic.to_owned())
            .or_insert_with(|| Topic {
                partitions: Vec::new(),
                moved: Arc::default(),
            })
    }
    pub(super) fn append(&mut self, topic: &str, partition: usize, slot: Slot) -> Version {
        // Not the value: keys of sessions and ids of requests are random.
        self.note(topic.as_bytes());
        (
            slot.key.as_ref(),
            slot.value.as_ref().map(Bytes::len),
            slot.worker,
        )
            .hash(&mut self.trace);
        let found = &mut self.topic(topic, partition + 1).partitions;
        let partition = partition.min(found.len() - 1);
        let slots = &mut found[partition].slots;
        slots.push(slot);
        version(partition, slots.len() - 1)
    }
    pub(super) fn note(&mut self, bytes: &[u8]) {
        self.calls += 1;
        let now = Instant::now() - self.start;
        now.hash(&mut self.trace);
        bytes.hash(&mut self.trace);
    }
    pub(super) fn subscribed(&self, subscription: &Subscription) -> Vec<TopicPartition> {
        let Subscription::Topics(topics) = subscription else {
            return Vec::new();
        };
        let topics = self
            .topics
            .iter()
            .filter(|(name, _)| topics.iter().any(|topic| topic == *name));
        topics
            .flat_map(|(name, topic)| {
                (0i32..)
                    .take(topic.partitions.len())
                    .map(|n| TopicPartition::new(name.as_str(), n))
            })
            .collect()
    }
    pub(super) fn handle(&mut self) -> u64 {
        self.handles += 1;
        self.handles
    }
}
