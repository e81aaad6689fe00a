//! What a topic holds, read with a client of its own.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};

use crate::ids::Ids;

const PATIENCE: Duration = Duration::from_secs(60);

/// The ids of all records from the beginning to where the topic ends now; none when there is no such topic.
/// A record is JSON with an `id`, perhaps after a `!` that keeps it from being JSON.
pub(crate) fn ids_of_topic(bootstrap: &str, topic: &str) -> Result<Ids> {
    let mut ids = Ids::default();
    each_value(bootstrap, topic, |value| {
        ids.add_json(value.strip_prefix(b"!").unwrap_or(value))
    })?;
    Ok(ids)
}

/// Hands out the value of every committed record from the beginning to where the topic ends now.
pub(crate) fn each_value(
    bootstrap: &str,
    topic: &str,
    mut take: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    each_record(bootstrap, topic, |_, value| take(value))
}

/// The same with the partition before the value; a partition's records come in their order.
pub(crate) fn each_record(
    bootstrap: &str,
    topic: &str,
    mut take: impl FnMut(i32, &[u8]) -> Result<()>,
) -> Result<()> {
    each_message(bootstrap, topic, |message| {
        take(message.partition(), message.payload().unwrap_or_default())
    })
}

/// The same as the client gives it.
pub(crate) fn each_message(
    bootstrap: &str,
    topic: &str,
    mut take: impl FnMut(&BorrowedMessage<'_>) -> Result<()>,
) -> Result<()> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "crash-reader")
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true")
        .create()?;
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE)?;
    let partitions: Vec<i32> = metadata
        .topics()
        .iter()
        .flat_map(|topic| topic.partitions())
        .map(|partition| partition.id())
        .collect();
    let mut list = TopicPartitionList::new();
    for partition in &partitions {
        list.add_partition_offset(topic, *partition, Offset::Beginning)?;
    }
    consumer.assign(&list)?;
    let mut ended = 0;
    let mut heard = Instant::now();
    while ended < partitions.len() {
        match consumer.poll(Duration::from_millis(200)) {
            Some(Ok(message)) => {
                take(&message)?;
                heard = Instant::now();
            }
            Some(Err(rdkafka::error::KafkaError::PartitionEOF(_))) => ended += 1,
            Some(Err(error)) => return Err(error.into()),
            None if heard.elapsed() > PATIENCE => {
                bail!("{topic} on {bootstrap} yields nothing for {PATIENCE:?}")
            }
            None => {}
        }
    }
    Ok(())
}
