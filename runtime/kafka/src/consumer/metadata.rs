//! What stands beside committed offsets.

use super::{COMMIT_MAX, GroupConsumer, listed};
use crate::{
    blocking::{Bounded, run},
    errors, native,
};
use longshore_sdk::{Result, TopicPartition, TopicStates};
use rdkafka::{
    consumer::Consumer,
    topic_partition_list::{Offset, TopicPartitionList},
};
use std::sync::Arc;

impl GroupConsumer {
    /// See the port's `metadata`.
    pub(super) async fn metadata(&mut self, at: &[TopicPartition]) -> Result<TopicStates> {
        if at.is_empty() {
            return Ok(TopicStates::new());
        }
        let list = listed(at.iter().map(|at| (at, Offset::Invalid)))?;
        let client = Arc::clone(&self.client);
        run("metadata", Bounded(COMMIT_MAX), move || {
            let list = client
                .consumer()
                .committed_offsets(list, COMMIT_MAX / 2)
                .map_err(|error| errors::from_client("metadata", error))?;
            let mut found = TopicStates::new();
            for (entry, text) in list.elements().iter().zip(native::metadata(&list)) {
                entry
                    .error()
                    .map_err(|error| errors::from_client("metadata", error))?;
                if !text.is_empty() {
                    found.insert(TopicPartition::new(entry.topic(), entry.partition()), text);
                }
            }
            Ok(found)
        })
        .await
    }
}

/// Puts metadata beside the offsets that are to be committed.
pub(super) fn annotate(list: &mut TopicPartitionList, metadata: &TopicStates) {
    for (at, text) in metadata {
        // The library frees an empty one under a pointer that it does not know.
        if let Some(mut entry) = list.find_partition(&at.topic, at.partition)
            && !text.is_empty()
        {
            entry.set_metadata(text);
        }
    }
}
