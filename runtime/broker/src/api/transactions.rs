//! InitProducerId, AddPartitionsToTxn, AddOffsetsToTxn, TxnOffsetCommit, EndTxn.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnTopicResult,
};
use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, AddPartitionsToTxnRequest,
    AddPartitionsToTxnResponse, EndTxnRequest, EndTxnResponse, InitProducerIdRequest,
    InitProducerIdResponse, ProducerId, TxnOffsetCommitRequest, TxnOffsetCommitResponse,
};

use super::code;
use super::offsets::{acceptable, as_member};
use crate::clock::now_ms;
use crate::groups::state::Who;
use crate::node::Node;
use crate::store::model::{Committed, Entry, Place};
use crate::txn::Producer;

/// Clients that do not know `PRODUCER_FENCED` yet are told `INVALID_PRODUCER_EPOCH`.
fn told<T>(outcome: Result<T, ResponseError>, knows_fenced: bool) -> Result<T, ResponseError> {
    outcome.map_err(|error| match error {
        ResponseError::ProducerFenced if !knows_fenced => ResponseError::InvalidProducerEpoch,
        other => other,
    })
}

pub(crate) fn init_producer_id(
    node: &Node,
    version: i16,
    request: &InitProducerIdRequest,
) -> InitProducerIdResponse {
    let claimed = (version >= 3 && request.producer_id.0 >= 0).then_some(Producer {
        id: request.producer_id.0,
        epoch: request.producer_epoch,
    });
    let id = request.transactional_id.as_ref().map(|id| id.as_str());
    let outcome = told(
        node.transactions
            .init(node, id, request.transaction_timeout_ms, claimed),
        version >= 4,
    );
    let mut answer = InitProducerIdResponse::default().with_error_code(code(&outcome));
    let given = outcome.unwrap_or(Producer { id: -1, epoch: -1 });
    (answer.producer_id, answer.producer_epoch) = (ProducerId(given.id), given.epoch);
    answer
}

pub(crate) fn add_partitions(
    node: &Node,
    version: i16,
    request: AddPartitionsToTxnRequest,
) -> AddPartitionsToTxnResponse {
    let producer = Producer {
        id: request.v3_and_below_producer_id.0,
        epoch: request.v3_and_below_producer_epoch,
    };
    let topics = &request.v3_and_below_topics;
    let places: Vec<Place> = topics
        .iter()
        .flat_map(|t| {
            t.partitions.iter().map(|p| Place {
                topic: t.name.to_string(),
                partition: *p,
            })
        })
        .collect();
    let unknown = |place: &Place| node.topics.partition(&place.topic, place.partition).err();
    let some_unknown = places.iter().any(|p| unknown(p).is_some());
    let outcome = if some_unknown {
        Err(ResponseError::OperationNotAttempted)
    } else {
        told(
            node.transactions.add(
                node,
                &request.v3_and_below_transactional_id,
                producer,
                places,
                Vec::new(),
            ),
            version >= 2,
        )
    };
    let mut answer = AddPartitionsToTxnResponse::default();
    for topic in topics {
        let rows = topic.partitions.iter().map(|p| {
            let error = unknown(&Place {
                topic: topic.name.to_string(),
                partition: *p,
            })
            .map_or(code(&outcome), |e| e.code());
            AddPartitionsToTxnPartitionResult::default()
                .with_partition_index(*p)
                .with_partition_error_code(error)
        });
        let rows = rows.collect();
        answer.results_by_topic_v3_and_below.push(
            AddPartitionsToTxnTopicResult::default()
                .with_name(topic.name.clone())
                .with_results_by_partition(rows),
        );
    }
    answer
}

pub(crate) fn add_offsets(
    node: &Node,
    version: i16,
    request: &AddOffsetsToTxnRequest,
) -> AddOffsetsToTxnResponse {
    let producer = Producer {
        id: request.producer_id.0,
        epoch: request.producer_epoch,
    };
    let outcome = if request.group_id.is_empty() {
        Err(ResponseError::InvalidGroupId)
    } else {
        told(
            node.transactions.add(
                node,
                &request.transactional_id,
                producer,
                Vec::new(),
                vec![request.group_id.to_string()],
            ),
            version >= 2,
        )
    };
    AddOffsetsToTxnResponse::default().with_error_code(code(&outcome))
}

/// Stores offsets that take effect when the transaction commits.
pub(crate) fn commit_offsets(
    node: &Node,
    request: TxnOffsetCommitRequest,
) -> TxnOffsetCommitResponse {
    let producer = Producer {
        id: request.producer_id.0,
        epoch: request.producer_epoch,
    };
    let who = Who {
        member_id: &request.member_id,
        instance: request.group_instance_id.as_deref(),
        generation: request.generation_id,
    };
    let at_ms = now_ms();
    let mut offsets = Vec::new();
    let mut answer = TxnOffsetCommitResponse::default();
    for topic in &request.topics {
        let mut rows = Vec::with_capacity(topic.partitions.len());
        for p in &topic.partitions {
            let place = Place {
                topic: topic.name.to_string(),
                partition: p.partition_index,
            };
            let metadata = p
                .committed_metadata
                .as_ref()
                .map(|m| m.to_string())
                .unwrap_or_default();
            let outcome = acceptable(node, &place, &metadata);
            rows.push(
                TxnOffsetCommitResponsePartition::default()
                    .with_partition_index(p.partition_index)
                    .with_error_code(code(&outcome)),
            );
            if outcome.is_ok() {
                offsets.push((
                    place,
                    Committed {
                        offset: p.committed_offset,
                        leader_epoch: p.committed_leader_epoch,
                        metadata,
                        at_ms,
                    },
                ));
            }
        }
        answer.topics.push(
            TxnOffsetCommitResponseTopic::default()
                .with_name(topic.name.clone())
                .with_partitions(rows),
        );
    }
    let (id, group) = (
        request.transactional_id.to_string(),
        request.group_id.to_string(),
    );
    let outcome = node
        .transactions
        .with_group(node, &id, producer, &group, || {
            as_member(node, &group, &who, true, || {
                let pending = Entry::Pending {
                    id: id.clone(),
                    group: group.clone(),
                    offsets,
                };
                node.store().commit(pending).map_err(|error| {
                    tracing::error!(%error, "storing offsets of a transaction failed");
                    ResponseError::KafkaStorageError
                })
            })
        });
    if let Err(error) = told(outcome, false) {
        for row in answer.topics.iter_mut().flat_map(|t| &mut t.partitions) {
            row.error_code = error.code();
        }
    }
    answer
}

pub(crate) fn end(node: &Node, version: i16, request: &EndTxnRequest) -> EndTxnResponse {
    let producer = Producer {
        id: request.producer_id.0,
        epoch: request.producer_epoch,
    };
    let outcome = told(
        node.transactions
            .end(node, &request.transactional_id, producer, request.committed),
        version >= 2,
    );
    EndTxnResponse::default().with_error_code(code(&outcome))
}
