//! ListOffsets: earliest, latest, by time.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};

use super::code;
use crate::node::Node;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;

pub(crate) fn list(node: &Node, version: i16, request: ListOffsetsRequest) -> ListOffsetsResponse {
    let committed = request.isolation_level == 1;
    let mut answer = ListOffsetsResponse::default();
    for topic in request.topics {
        let rows = topic.partitions.iter().map(|p| {
            let found = look_up(node, &topic.name, p.partition_index, p.timestamp, committed);
            let (timestamp, offset) = found.unwrap_or((-1, -1));
            let mut row =
                ListOffsetsPartitionResponse::default().with_partition_index(p.partition_index);
            row.error_code = code(&found);
            (row.timestamp, row.offset) = (timestamp, offset);
            if version >= 4 {
                row.leader_epoch = if offset >= 0 { 0 } else { -1 };
            }
            row
        });
        answer.topics.push(
            ListOffsetsTopicResponse::default()
                .with_partitions(rows.collect())
                .with_name(topic.name),
        );
    }
    answer
}

/// The timestamp and offset found; (-1, -1) when no record is that late.
fn look_up(
    node: &Node,
    topic: &str,
    partition: i32,
    time: i64,
    committed: bool,
) -> Result<(i64, i64), ResponseError> {
    let partition = node.topics.partition(topic, partition)?;
    let log = partition.log();
    let upper = if committed { log.stable() } else { log.end() };
    match time {
        LATEST => Ok((-1, upper)),
        EARLIEST => Ok((-1, log.start())),
        0.. => {
            let found = log
                .find_time(time)
                .map_err(|_| ResponseError::KafkaStorageError)?;
            Ok(found
                .filter(|(_, offset)| *offset < upper)
                .unwrap_or((-1, -1)))
        }
        _ => Err(ResponseError::UnsupportedVersion),
    }
}
