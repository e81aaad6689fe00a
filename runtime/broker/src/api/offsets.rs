//! OffsetCommit, OffsetFetch, OffsetDelete.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponsePartition, OffsetFetchResponseTopic,
};
use kafka_protocol::messages::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest, OffsetDeleteResponse,
    OffsetFetchRequest, OffsetFetchResponse, TopicName,
};
use tokio::time::Instant;

use crate::clock::now_ms;
use crate::groups::state::Who;
use crate::node::Node;
use crate::store::model::{Committed, Entry, Place};

/// Whether an offset can be stored: its partition exists and its metadata is not too long.
pub(crate) fn acceptable(node: &Node, place: &Place, metadata: &str) -> Result<(), ResponseError> {
    node.topics.partition(&place.topic, place.partition)?;
    if metadata.len() > node.config.limits.offset_metadata_bytes {
        return Err(ResponseError::OffsetMetadataTooLarge);
    }
    Ok(())
}

/// Runs `write` if the committer is a member of the present generation, or the group has no members and none is claimed.
/// The group's lock is held meanwhile, so that no commit of an older generation slips in behind a newer one.
pub(crate) fn as_member<T>(
    node: &Node,
    group_id: &str,
    who: &Who<'_>,
    transactional: bool,
    write: impl FnOnce() -> Result<T, ResponseError>,
) -> Result<T, ResponseError> {
    if group_id.is_empty() {
        return Err(ResponseError::InvalidGroupId);
    }
    let Some(group) = node.groups.get(group_id) else {
        let unclaimed = who.generation < 0 && who.member_id.is_empty();
        return if unclaimed {
            write()
        } else {
            Err(if transactional {
                ResponseError::UnknownMemberId
            } else {
                ResponseError::IllegalGeneration
            })
        };
    };
    let mut state = group.state();
    state.may_commit(who, transactional, Instant::now())?;
    write()
}

pub(crate) fn commit(node: &Node, request: OffsetCommitRequest) -> OffsetCommitResponse {
    let who = Who {
        member_id: &request.member_id,
        instance: request.group_instance_id.as_deref(),
        generation: request.generation_id_or_member_epoch,
    };
    let at_ms = now_ms();
    let mut offsets = Vec::new();
    let mut answer = OffsetCommitResponse::default();
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
                OffsetCommitResponsePartition::default()
                    .with_partition_index(p.partition_index)
                    .with_error_code(super::code(&outcome)),
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
            OffsetCommitResponseTopic::default()
                .with_name(topic.name.clone())
                .with_partitions(rows),
        );
    }
    let group = request.group_id.to_string();
    let outcome = as_member(node, &group, &who, false, || {
        store(node, group.clone(), offsets)
    });
    if let Err(error) = outcome {
        for row in answer.topics.iter_mut().flat_map(|t| &mut t.partitions) {
            row.error_code = error.code();
        }
    }
    answer
}

fn store(
    node: &Node,
    group: String,
    offsets: Vec<(Place, Committed)>,
) -> Result<(), ResponseError> {
    if offsets.is_empty() {
        return Ok(());
    }
    let mut store = node.store();
    if store.model().offsets(&group).is_none()
        && store.model().group_count() >= node.config.limits.groups
    {
        return Err(ResponseError::CoordinatorNotAvailable);
    }
    store
        .commit(Entry::Offsets { group, offsets })
        .map_err(|error| {
            tracing::error!(%error, "storing offsets failed");
            ResponseError::KafkaStorageError
        })
}

pub(crate) fn fetch(node: &Node, version: i16, request: OffsetFetchRequest) -> OffsetFetchResponse {
    let store = node.store();
    let model = store.model();
    let stored = model.offsets(&request.group_id);
    let stable_only = version >= 7 && request.require_stable;
    let row = |place: &Place| {
        let mut row = OffsetFetchResponsePartition::default().with_partition_index(place.partition);
        (
            row.committed_offset,
            row.committed_leader_epoch,
            row.metadata,
        ) = (-1, -1, Some("".into()));
        if stable_only && model.is_pending(&request.group_id, place) {
            row.error_code = ResponseError::UnstableOffsetCommit.code();
        } else if let Some(committed) = stored.and_then(|s| s.get(place)) {
            row.committed_offset = committed.offset;
            row.metadata = Some(committed.metadata.clone().into());
            if version >= 5 {
                row.committed_leader_epoch = committed.leader_epoch;
            }
        }
        row
    };
    let mut answer = OffsetFetchResponse::default();
    match &request.topics {
        Some(topics) => {
            for topic in topics {
                let place = |partition: &i32| Place {
                    topic: topic.name.to_string(),
                    partition: *partition,
                };
                let rows = topic
                    .partition_indexes
                    .iter()
                    .map(|p| row(&place(p)))
                    .collect();
                answer.topics.push(
                    OffsetFetchResponseTopic::default()
                        .with_name(topic.name.clone())
                        .with_partitions(rows),
                );
            }
        }
        None => {
            // Sorted by topic, so that each topic is one run.
            for place in stored.into_iter().flat_map(|s| s.keys()) {
                match answer
                    .topics
                    .last_mut()
                    .filter(|t| t.name.as_str() == place.topic)
                {
                    Some(topic) => topic.partitions.push(row(place)),
                    None => {
                        let name = TopicName(place.topic.clone().into());
                        answer.topics.push(
                            OffsetFetchResponseTopic::default()
                                .with_name(name)
                                .with_partitions(vec![row(place)]),
                        );
                    }
                }
            }
        }
    }
    answer
}

/// Forgets offsets of a group, but not of topics that its members read.
pub(crate) fn delete(node: &Node, request: OffsetDeleteRequest) -> OffsetDeleteResponse {
    let group_id = request.group_id.to_string();
    let group = node.groups.get(&group_id);
    let state = group.as_ref().map(|group| group.state());
    let mut answer = OffsetDeleteResponse::default();
    if node.store().model().offsets(&group_id).is_none() && state.is_none() {
        return answer.with_error_code(ResponseError::GroupIdNotFound.code());
    }
    if state
        .as_ref()
        .is_some_and(|s| !s.is_empty() && s.protocol_type.as_deref() != Some("consumer"))
    {
        return answer.with_error_code(ResponseError::NonEmptyGroup.code());
    }
    let mut places = Vec::new();
    for topic in request.topics {
        let read = state.as_ref().is_some_and(|s| s.subscribes(&topic.name));
        let error = if read {
            ResponseError::GroupSubscribedToTopic.code()
        } else {
            0
        };
        let mut rows = Vec::with_capacity(topic.partitions.len());
        for p in &topic.partitions {
            rows.push(
                OffsetDeleteResponsePartition::default()
                    .with_partition_index(p.partition_index)
                    .with_error_code(error),
            );
            if !read {
                places.push(Place {
                    topic: topic.name.to_string(),
                    partition: p.partition_index,
                });
            }
        }
        answer.topics.push(
            OffsetDeleteResponseTopic::default()
                .with_name(topic.name)
                .with_partitions(rows),
        );
    }
    if let Err(error) = node.store().commit(Entry::OffsetsDeleted {
        group: group_id,
        places,
    }) {
        tracing::error!(%error, "deleting offsets failed");
        answer.error_code = ResponseError::KafkaStorageError.code();
    }
    answer
}
