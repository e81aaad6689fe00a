//! Produce.

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse};

use super::code;
use crate::clock::now_ms;
use crate::dispatch::{Bad, Call, Reply};
use crate::log::batch::{self, Header};
use crate::log::{Appended, record};
use crate::node::Node;
use crate::settings::Settings;
use crate::store::model::Place;

/// Appends every partition's batch. With `acks=0` there is no answer, and an error closes the connection, as in Kafka.
pub(crate) fn produce(node: &Node, call: &Call) -> Result<Reply, Bad> {
    let request: ProduceRequest = call.request()?;
    let acks = request.acks;
    let mut failed = None;
    let mut answer = ProduceResponse::default();
    for topic in request.topic_data {
        let mut rows = Vec::with_capacity(topic.partition_data.len());
        for data in topic.partition_data {
            let place = Place {
                topic: topic.name.to_string(),
                partition: data.index,
            };
            let outcome = match acks {
                -1..=1 => append(
                    node,
                    request.transactional_id.as_ref().map(|id| id.as_str()),
                    &place,
                    data.records.unwrap_or_default(),
                ),
                _ => Err(ResponseError::InvalidRequiredAcks),
            };
            failed = failed.or(outcome.as_ref().err().copied());
            let mut row = PartitionProduceResponse::default()
                .with_index(data.index)
                .with_error_code(code(&outcome));
            row.base_offset = outcome.as_ref().map_or(-1, |(a, _)| a.base_offset);
            row.log_start_offset = outcome.as_ref().map_or(-1, |(a, _)| a.log_start);
            row.log_append_time_ms = outcome.map_or(-1, |(_, stamp)| stamp);
            rows.push(row);
        }
        answer.responses.push(
            TopicProduceResponse::default()
                .with_name(topic.name)
                .with_partition_responses(rows),
        );
    }
    match (acks, failed) {
        (0, None) => Ok(Reply::Silent),
        (0, Some(error)) => Err(Bad(format!("produce with acks=0 failed: {error}"))),
        _ => call.answer(&answer),
    }
}

/// Appends one batch; tells where, and the broker's timestamp if it stamped the records.
fn append(
    node: &Node,
    transactional_id: Option<&str>,
    place: &Place,
    mut records: Bytes,
) -> Result<(Appended, i64), ResponseError> {
    let topic = node
        .topics
        .get(&place.topic)
        .ok_or(ResponseError::UnknownTopicOrPartition)?;
    let partition = topic
        .partition(place.partition)
        .ok_or(ResponseError::UnknownTopicOrPartition)?;
    let settings = topic.settings();
    let now = now_ms();
    let mut header = inspect(&records, &settings, now)?;
    let mut stamp = -1;
    if settings.log_append_time {
        records = batch::stamped(&records, now);
        header = batch::inspect(&records)?;
        stamp = now;
    }
    let append = || partition.log().append(&records, &header, &settings, now);
    let appended = if header.is_transactional() {
        let id = transactional_id.ok_or(ResponseError::InvalidTxnState)?;
        node.transactions
            .produce(&node.store, id, &header, place, append)?
    } else {
        append()?
    };
    Ok((appended, stamp))
}

fn inspect(records: &[u8], settings: &Settings, now_ms: i64) -> Result<Header, ResponseError> {
    if records.len() > settings.max_message_bytes {
        return Err(ResponseError::MessageTooLarge);
    }
    if records.len() as u64 > settings.segment_bytes {
        return Err(ResponseError::RecordListTooLarge);
    }
    let header = batch::inspect(records)?;
    let ahead = header.max_timestamp.saturating_sub(now_ms) > settings.max_ahead_ms;
    let behind = now_ms.saturating_sub(header.base_timestamp) > settings.max_behind_ms;
    if !settings.log_append_time && (ahead || behind) {
        return Err(ResponseError::InvalidTimestamp);
    }
    if settings.compact
        && !record::all_keyed(records, &header).map_err(|_| ResponseError::InvalidRecord)?
    {
        return Err(ResponseError::InvalidRecord);
    }
    Ok(header)
}
