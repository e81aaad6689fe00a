//! The partitions of one consumer, and the queues that they are read from.

use crate::{
    handle::{self, Handle},
    native::{Batch, Readers, Seen, SharedQueue},
};
use longshore_engine::ports::Lag;
use longshore_sdk::{Error, Result, SinkRecord, Topic, TopicPartition};
use rdkafka::{consumer::Consumer, topic_partition_list::Offset};
use std::{collections::BTreeMap, sync::Arc};

/// A batch ends at this many bytes unless told otherwise, give or take a record.
const BYTES_MAX: usize = 4 << 20;
/// How large records are taken to be before one has been seen: a first call that asks for too few costs nothing.
const FIRST_BYTES: usize = 64 << 10;
/// Records of one call into the library.
const CALL_MAX: usize = 1000;

/// What a round over the queue found besides records.
#[derive(Default)]
pub(crate) struct Round {
    /// Partitions that stand at their end, with the next offset.
    pub(crate) ends: Vec<(TopicPartition, i64)>,
    /// Whether any end was seen.
    ended: bool,
    /// The first error that time does not heal.
    pub(crate) trouble: Option<Error>,
}

struct Lane {
    at: TopicPartition,
    /// The number of its queue.
    queue: usize,
    position: Option<i64>,
    /// Its end, if that is the last that this round has seen of it.
    end: Option<i64>,
    /// Revoked, not yet released: nothing more of it is delivered. Whoever has it next reads it again.
    held: bool,
}

/// All assigned partitions.
pub(crate) struct Lanes {
    /// Opened as partitions come.
    queues: Vec<SharedQueue>,
    queues_max: usize,
    /// Whose turn it is.
    turn: usize,
    lanes: Vec<Lane>,
    batch: Batch,
    bytes_max: usize,
    /// A running average, so that a call for large records asks for few.
    record_bytes: usize,
}

impl Lanes {
    /// `bytes_max` bounds a batch, if it is less than what is usual. `queues_max`: each partition has a queue of its own while there are enough, and all are
    /// drained in turn; partitions that share one are served by the library in an order of its own, in which some may wait for long while the queue is full.
    /// Its limits on what is fetched ahead are per queue, so there is not one for each of a thousand partitions.
    pub(crate) fn new(bytes_max: Option<usize>, queues_max: usize) -> Self {
        Self {
            queues: Vec::new(),
            queues_max: queues_max.max(1),
            turn: 0,
            lanes: Vec::new(),
            batch: Batch::default(),
            bytes_max: bytes_max.unwrap_or(BYTES_MAX).clamp(1, BYTES_MAX),
            record_bytes: FIRST_BYTES,
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
        let queue = self.emptiest(client)?;
        self.queues[queue].lead(&at)?;
        self.lanes.push(Lane {
            at,
            queue,
            position,
            end: None,
            held: false,
        });
        Ok(())
    }
    pub(crate) fn remove(&mut self, at: &[TopicPartition]) {
        self.lanes.retain(|lane| !at.contains(&lane.at));
        self.queues.iter_mut().for_each(SharedQueue::forget);
    }
    /// The number of the queue with the fewest partitions; a new one while there may be more.
    fn emptiest(&mut self, client: &Arc<Handle>) -> Result<usize> {
        let mut counts = vec![0; self.queues.len()];
        self.lanes.iter().for_each(|lane| counts[lane.queue] += 1);
        let emptiest = (0..counts.len()).min_by_key(|queue| counts[*queue]);
        match emptiest {
            Some(queue) if counts[queue] == 0 || counts.len() >= self.queues_max => Ok(queue),
            _ => {
                let wake = Arc::clone(client.events().wake());
                self.queues
                    .push(SharedQueue::open(Arc::clone(client), wake)?);
                Ok(counts.len())
            }
        }
    }
    pub(crate) fn hold(&mut self, at: &[TopicPartition]) {
        for lane in &mut self.lanes {
            lane.held |= at.contains(&lane.at);
        }
    }
    pub(crate) fn clear(&mut self) {
        self.lanes.clear();
        self.queues.clear();
    }
    pub(crate) fn sought(&mut self, at: &TopicPartition, offset: i64) {
        if let Some(lane) = self.lanes.iter_mut().find(|lane| lane.at == *at) {
            lane.position = Some(offset);
        }
    }

    /// Appends at most about `room` records, of one queue after the other; the next round begins where this one ended.
    pub(crate) fn fill(&mut self, room: usize, out: &mut Vec<SinkRecord>) -> Round {
        let mut round = Round::default();
        self.drain(room, &mut round, out);
        if round.ended {
            let ends = self.lanes.iter_mut();
            round.ends = ends
                .filter_map(|lane| Some((lane.at.clone(), lane.end.take()?)))
                .collect();
        }
        round
    }

    fn drain(&mut self, room: usize, round: &mut Round, out: &mut Vec<SinkRecord>) {
        let count = self.queues.len();
        // How many queues in a row had no more to give.
        let (mut bytes, mut empty) = (0, 0);
        while empty < count {
            let left = room.saturating_sub(out.len());
            if left == 0 || bytes >= self.bytes_max {
                return;
            }
            // One call each, then the next one's turn: a queue that is filled as fast as it is drained must not keep the others waiting.
            self.turn = (self.turn + 1) % count;
            let fit = (self.bytes_max - bytes) / self.record_bytes.max(1);
            let call = left.min(CALL_MAX).min(fit.max(1));
            let mut readers = Reading {
                lanes: &mut self.lanes,
                round,
            };
            let queue = &mut self.queues[self.turn];
            let drained = queue.drain(call, &mut self.batch, &mut readers, out);
            bytes += drained.bytes;
            if let Some(average) = drained.bytes.checked_div(drained.records) {
                self.record_bytes = usize::midpoint(self.record_bytes, average);
            }
            empty = if drained.messages < call {
                empty + 1
            } else {
                0
            };
        }
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
            let at = &lane.at;
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

struct Reading<'a> {
    lanes: &'a mut [Lane],
    round: &'a mut Round,
}

impl Readers for Reading<'_> {
    fn find(&self, topic: &str, partition: i32) -> Option<(usize, Topic)> {
        let mut lanes = self.lanes.iter().map(|lane| &lane.at);
        let number = lanes.position(|at| at.partition == partition && *at.topic == *topic)?;
        Some((number, Topic::clone(&self.lanes[number].at.topic)))
    }
    fn wants(&self, number: usize) -> bool {
        !self.lanes[number].held
    }
    fn seen(&mut self, number: Option<usize>, seen: Seen) {
        let lane = number.map(|number| &mut self.lanes[number]);
        match (seen, lane) {
            // Records behind an end: it is the end no more.
            (Seen::Record(next), Some(lane)) => (lane.position, lane.end) = (Some(next), None),
            (Seen::End(next), Some(lane)) => {
                lane.position = Some(next);
                lane.end = (!lane.held).then_some(next);
                self.round.ended = true;
            }
            (Seen::Trouble(code), lane) => {
                let partition = lane.map(|lane| lane.at.to_string());
                match handle::fatal(code, false) {
                    Some(error) => {
                        let error = match partition {
                            Some(partition) => error.with("partition", partition),
                            None => error,
                        };
                        self.round.trouble.get_or_insert(error);
                    }
                    None => {
                        tracing::warn!(partition, code = ?code, "a partition cannot be read for now")
                    }
                }
            }
            (Seen::Record(_) | Seen::End(_), None) => {}
        }
    }
}
