//! CreateTopics, DeleteTopics, CreatePartitions, DeleteRecords.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse,
    DeleteRecordsRequest, DeleteRecordsResponse, DeleteTopicsRequest, DeleteTopicsResponse,
};

use super::code;
use crate::node::{NODE, Node};
use crate::settings::Overrides;
use crate::store::model::Entry;
use crate::topics::Refused;

pub(crate) fn create(node: &Node, request: CreateTopicsRequest) -> CreateTopicsResponse {
    let mut answer = CreateTopicsResponse::default();
    for topic in request.topics {
        let mut row = CreatableTopicResult::default();
        if let Err(Refused(error, text)) = create_one(node, &topic, request.validate_only) {
            row.error_code = error.code();
            row.error_message = Some(text.into());
        }
        answer.topics.push(row.with_name(topic.name));
    }
    answer
}

fn create_one(node: &Node, topic: &CreatableTopic, only_check: bool) -> Result<(), Refused> {
    let mut partitions = topic.num_partitions;
    if !topic.assignments.is_empty() {
        if partitions != -1 || topic.replication_factor != -1 {
            return Err(Refused(
                ResponseError::InvalidRequest,
                "Partition count and replication factor must be -1 with an assignment.".into(),
            ));
        }
        if topic.assignments.iter().any(|a| a.broker_ids != [NODE]) {
            return Err(Refused(
                ResponseError::InvalidReplicaAssignment,
                format!("This broker is alone: replicas can only be [{}].", NODE.0),
            ));
        }
        partitions = topic.assignments.len() as i32;
    } else if !matches!(topic.replication_factor, -1 | 1) {
        let text = format!(
            "Replication factor: {} larger than available brokers: 1.",
            topic.replication_factor
        );
        return Err(Refused(ResponseError::InvalidReplicationFactor, text));
    }
    if partitions == -1 {
        partitions = node.config.num_partitions;
    }
    let configs: Overrides = topic
        .configs
        .iter()
        .filter_map(|c| Some((c.name.to_string(), c.value.as_ref()?.to_string())))
        .collect();
    node.topics
        .create(&node.store, &topic.name, partitions, configs, only_check)
        .map(drop)
}

pub(crate) fn delete(node: &Node, request: DeleteTopicsRequest) -> DeleteTopicsResponse {
    let mut answer = DeleteTopicsResponse::default();
    for name in request.topic_names {
        let error = node
            .topics
            .delete(&node.store, &name)
            .err()
            .map_or(0, |Refused(error, _)| error.code());
        answer.responses.push(
            DeletableTopicResult::default()
                .with_name(Some(name))
                .with_error_code(error),
        );
    }
    answer
}

pub(crate) fn grow(node: &Node, request: CreatePartitionsRequest) -> CreatePartitionsResponse {
    let mut answer = CreatePartitionsResponse::default();
    for topic in request.topics {
        let mut row = CreatePartitionsTopicResult::default();
        if let Err(Refused(error, text)) =
            node.topics
                .grow(&node.store, &topic.name, topic.count, request.validate_only)
        {
            row.error_code = error.code();
            row.error_message = Some(text.into());
        }
        answer.results.push(row.with_name(topic.name));
    }
    answer
}

pub(crate) fn delete_records(node: &Node, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    let mut answer = DeleteRecordsResponse::default();
    for topic in request.topics {
        let mut result = DeleteRecordsTopicResult::default();
        for p in topic.partitions {
            let outcome = delete_before(node, &topic.name, p.partition_index, p.offset);
            let mut row = DeleteRecordsPartitionResult::default()
                .with_partition_index(p.partition_index)
                .with_error_code(code(&outcome));
            row.low_watermark = outcome.unwrap_or(-1);
            result.partitions.push(row);
        }
        answer.topics.push(result.with_name(topic.name));
    }
    answer
}

fn delete_before(node: &Node, name: &str, index: i32, offset: i64) -> Result<i64, ResponseError> {
    let topic = node
        .topics
        .get(name)
        .ok_or(ResponseError::UnknownTopicOrPartition)?;
    let partition = topic
        .partition(index)
        .ok_or(ResponseError::UnknownTopicOrPartition)?;
    if !topic.settings().delete {
        return Err(ResponseError::PolicyViolation);
    }
    let stored = |error: std::io::Error| {
        tracing::error!(%error, "deleting records failed");
        ResponseError::KafkaStorageError
    };
    let mut log = partition.log();
    let start = log.delete_records(offset)?;
    // Stored before segments go: a restart must not find the old start with nothing behind it.
    node.store()
        .commit(Entry::LogStart {
            topic: name.to_owned(),
            partition: index,
            offset: start,
        })
        .map_err(stored)?;
    log.drop_below_start().map_err(stored)?;
    Ok(start)
}
