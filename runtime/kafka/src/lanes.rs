//! The partition queues of one consumer, drained in turn.

use crate::{
    handle::Handle,
    native::{Batch, PartitionQueue},
};
use longshore_engine::ports::Lag;
use longshore_sdk::{Error, Result, SinkRecord, TopicPartition};
use rdkafka::{consumer::Consumer, topic_partition_list::Offset};
use std::{collections::BTreeMap, sync::Arc};

/// A batch ends at this many bytes, give or take the last call's records.
const BYTES_MAX: usize = 4 << 20;
/// Records of one call into the library.
const CALL_MAX: usize = 1000;

/// What a round over the queues found besides records.
#[derive(Default)]
pub(crate) struct Round {
    /// Partitions whose end was reached, with the next offset.
    pub(crate) ends: Vec<(TopicPartition, i64)>,
    /// The first error that time does not heal.
    pub(crate) trouble: Option<Error>,
}

struct Lane {
    queue: PartitionQueue,
    position: Option<i64>,
    /// Revoked, not yet released: nothing more of it is delivered.
    held: bool,
}

/// All assigned partitions.
pub(crate) struct Lanes {
    lanes: Vec<Lane>,
    /// Whose turn it is.
    turn: usize,
    batch: Batch,
    /// A running average, so that a call for large records asks for few.
    record_bytes: usize,
}

impl Lanes {
    pub(crate) fn new() -> Self {
        Self {
            lanes: Vec::new(),
            turn: 0,
            batch: Batch::default(),
            record_bytes: 1024,
        }
    }
    /// Must be called before the partition is assigned to the client.
    pub(crate) fn add(
        &mut self,
        client: &Arc<Handle>,
        at: TopicPartition,
        position: Option<i64>,
    ) -> Result<()> {
        self.remove(std::slice::from_ref(&at));
        let wake = Arc::clone(client.events().wake());
        self.lanes.push(Lane {
            queue: PartitionQueue::open(Arc::clone(client), at, wake)?,
            position,
            held: false,
        });
        Ok(())
    }
    pub(crate) fn remove(&mut self, at: &[TopicPartition]) {
        self.lanes.retain(|lane| !at.contains(&lane.queue.at));
        self.turn = 0;
    }
    pub(crate) fn hold(&mut self, at: &[TopicPartition]) {
        for lane in &mut self.lanes {
            lane.held |= at.contains(&lane.queue.at);
        }
    }
    pub(crate) fn clear(&mut self) {
        self.lanes.clear();
    }
    pub(crate) fn sought(&mut self, at: &TopicPartition, offset: i64) {
        if let Some(lane) = self.lanes.iter_mut().find(|lane| lane.queue.at == *at) {
            lane.position = Some(offset);
        }
    }

    /// Appends at most about `room` records, a fair part of each partition's.
    pub(crate) fn fill(&mut self, room: usize, out: &mut Vec<SinkRecord>) -> Round {
        let mut round = Round::default();
        let mut bytes = 0;
        let count = self.lanes.len();
        for step in 0..count {
            let index = (self.turn + step) % count;
            if self.lanes[index].held {
                continue;
            }
            loop {
                let left = room.saturating_sub(out.len());
                if left == 0 || bytes >= BYTES_MAX {
                    self.turn = index;
                    return round;
                }
                let fit = (BYTES_MAX - bytes) / self.record_bytes.max(1);
                let call = left.min(CALL_MAX).min(fit.max(1));
                let (records, size) = self.drain(index, call, out, &mut round);
                bytes += size;
                if records < call {
                    break;
                }
            }
        }
        self.turn = (self.turn + 1) % count.max(1);
        round
    }

    fn drain(
        &mut self,
        index: usize,
        call: usize,
        out: &mut Vec<SinkRecord>,
        round: &mut Round,
    ) -> (usize, usize) {
        let lane = &mut self.lanes[index];
        let drained = lane.queue.drain(call, &mut self.batch, out);
        if let Some(average) = drained.bytes.checked_div(drained.records) {
            lane.position = out.last().map(|record| record.at.offset + 1);
            self.record_bytes = usize::midpoint(self.record_bytes, average);
        }
        if let Some(end) = drained.end {
            lane.position = Some(end);
            round.ends.push((lane.queue.at.clone(), end));
        }
        if let Some(code) = drained.trouble {
            let at = &lane.queue.at;
            match crate::handle::fatal(code, false) {
                Some(error) => {
                    round.trouble.get_or_insert(error.with("partition", at));
                }
                None => {
                    tracing::warn!(partition = %at, code = ?code, "a partition cannot be read for now")
                }
            }
        }
        (drained.records, drained.bytes)
    }

    /// Position and end of each partition, as far as they are known here.
    pub(crate) fn lag(&self, client: &Handle) -> Vec<Lag> {
        // Transaction markers at a partition's end count as read: the library knows that, our last record does not.
        let passed: BTreeMap<(String, i32), i64> = client
            .consumer()
            .position()
            .map(|list| {
                let elements = list.elements();
                let known = elements.iter().filter_map(|e| match e.offset() {
                    Offset::Offset(offset) => Some(((e.topic().to_owned(), e.partition()), offset)),
                    _ => None,
                });
                known.collect()
            })
            .unwrap_or_default();
        let mut lags = Vec::with_capacity(self.lanes.len());
        for lane in &self.lanes {
            let at = &lane.queue.at;
            let passed = passed.get(&(at.topic.to_string(), at.partition)).copied();
            let end = crate::native::cached_end(client, at);
            if let (Some(position), Some(end)) = (lane.position.max(passed), end) {
                lags.push(Lag {
                    at: at.clone(),
                    position,
                    end: end.max(position),
                });
            }
        }
        lags
    }
}
