//! Partitions and offsets, to the guest and back.

use crate::{
    bindings::sink::exports::longshore::connector::sink_task::{
        TopicOffset as GuestOffset, TopicPartition as GuestPartition,
    },
    columns::Rejected,
};
use longshore_sdk::{TopicOffsets, TopicPartition};

/// Partitions as the guest gets them.
pub(super) fn partitions(at: &[TopicPartition]) -> Vec<GuestPartition> {
    let partition = |at: &TopicPartition| GuestPartition {
        topic: at.topic.to_string(),
        partition: at.partition,
    };
    at.iter().map(partition).collect()
}

/// Offsets that a guest answers with, of partitions that it was asked about.
pub(super) fn take_offsets(
    offsets: Vec<GuestOffset>,
    asked: impl Fn(&TopicPartition) -> bool,
) -> std::result::Result<TopicOffsets, Rejected> {
    let mut taken = TopicOffsets::new();
    for GuestOffset {
        topic,
        partition,
        offset,
    } in offsets
    {
        let at = TopicPartition::new(topic, partition);
        if !asked(&at) {
            return Err(Rejected::new(
                "topic",
                "a partition that it was not asked about",
            ));
        }
        if offset < 0 {
            return Err(Rejected::new(
                "offset",
                format!("{at} at {offset}, below 0"),
            ));
        }
        if taken.insert(at, offset).is_some() {
            return Err(Rejected::new("topic", "the same partition twice"));
        }
    }
    Ok(taken)
}
