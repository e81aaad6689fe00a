//! Reads partitions that are given by hand: no group, no commits. The batch consumer of the mirror connector and of the keyed logs.

use crate::{
    blocking::{Bounded, run},
    client::{ClientSettings, Properties, Role},
    consumer::{self, listed},
    errors,
    handle::Handle,
    lanes::Lanes,
};
use longshore_engine::ports::Lag;
use longshore_sdk::{Result, SinkRecord, TopicPartition};
use rdkafka::{consumer::Consumer, topic_partition_list::Offset};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// Records of one batch unless max.poll.records says otherwise.
const RECORDS_MAX: usize = 5000;

/// Where a partition's reading starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the first record there is.
    Beginning,
    /// After the last record there is now.
    End,
    /// At this offset; if the broker has it no longer, where `auto.offset.reset` says.
    At(i64),
}

/// What a poll brought.
#[derive(Debug, Default)]
pub struct Taken {
    /// Records in order within each partition: keys, values and headers undecoded.
    pub records: Vec<SinkRecord>,
    /// Partitions whose end was reached, with the next offset. Only if asked for.
    pub ends: Vec<(TopicPartition, i64)>,
}

/// Reads partitions without a group.
pub struct Reader {
    client: Arc<Handle>,
    lanes: Lanes,
    records_max: usize,
}

impl Reader {
    /// Opens a client and starts reading. `overrides` win over the settings' consumer keys; `ends` asks for [`Taken::ends`].
    pub async fn open(
        settings: &ClientSettings,
        client_id: &str,
        overrides: &Properties,
        starts: BTreeMap<TopicPartition, Start>,
        ends: bool,
    ) -> Result<Self> {
        let mut resolved = settings.resolve(Role::Consumer, overrides)?;
        resolved.preset("client.id", client_id);
        consumer::defaults(&mut resolved);
        // Assigned by hand the client joins no group; the library wants a name all the same.
        resolved.force("group.id", client_id);
        resolved.force("enable.partition.eof", ends);
        let client = Handle::open(&resolved.config(), client_id)?;
        let mut reader = Self {
            client,
            lanes: Lanes::new(None, crate::consumer::QUEUES_MAX),
            records_max: resolved.records_max.unwrap_or(RECORDS_MAX),
        };
        let mut list = Vec::with_capacity(starts.len());
        let topics: std::collections::BTreeSet<_> =
            starts.keys().map(|at| at.topic.clone()).collect();
        for (at, start) in starts {
            let (offset, position) = match start {
                Start::Beginning => (Offset::Beginning, None),
                Start::End => (Offset::End, None),
                Start::At(offset) => (Offset::Offset(offset), Some(offset)),
            };
            reader.lanes.add(&reader.client, at.clone(), position)?;
            list.push((at, offset));
        }
        let list = listed(list.iter().map(|(at, offset)| (at, *offset)))?;
        let client = Arc::clone(&reader.client);
        run("assign", Bounded::secs(60), move || {
            // A partition whose leader is unknown when it is assigned is looked at again only after half a second: learn the leaders
            // first. Where that fails the assignment still stands, and the library goes on trying.
            for topic in topics {
                let _ = client
                    .consumer()
                    .fetch_metadata(Some(&topic), Duration::from_secs(10));
            }
            client
                .consumer()
                .assign(&list)
                .map_err(|error| errors::from_client("assign", error))
        })
        .await?;
        Ok(reader)
    }

    /// The next records; nothing after `max_wait`. Cancel safe. Err: what time does not heal (access, a bad setting); the rest is retried inside.
    pub async fn poll(&mut self, max_wait: Duration) -> Result<Taken> {
        let deadline = tokio::time::Instant::now() + max_wait;
        let client = Arc::clone(&self.client);
        let events = client.events();
        loop {
            if let Some(error) = events.trouble() {
                return Err(error);
            }
            let mut records = Vec::new();
            let round = self.lanes.fill(self.records_max, &mut records);
            if !records.is_empty() || !round.ends.is_empty() {
                if let Some(error) = round.trouble {
                    tracing::warn!(error = %error, "a partition cannot be read");
                }
                let ends = round.ends;
                return Ok(Taken { records, ends });
            }
            if let Some(error) = round.trouble {
                return Err(error);
            }
            let wake = events.wake().notified();
            if tokio::time::timeout_at(deadline, wake).await.is_err() {
                return Ok(Taken::default());
            }
        }
    }

    /// Position and end of each partition, as far as they are known without a call to the broker.
    pub fn lag(&self) -> Vec<Lag> {
        self.lanes.lag(&self.client)
    }

    /// Releases the client. Dropping does the same without waiting.
    pub async fn close(mut self) -> Result<()> {
        self.lanes.clear();
        self.client.begin_close(false);
        let client = Arc::clone(&self.client);
        drop(self);
        client.closed().await
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.lanes.clear();
        self.client.begin_close(false);
    }
}
