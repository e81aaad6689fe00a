//! A member of a consumer group: reads committed records, and does not filter what it commits.

use super::{BrokerBus, Fate, LOOK, Member};
use crate::memory::group::{MemberId, News};
use bytes::Bytes;
use longshore_engine::ports::{Consumer, ConsumerSpec, Lag, Polled};
use longshore_sdk::{
    Datum, Record, Result, SinkRecord, TopicOffset, TopicOffsets, TopicPartition, TopicStates,
    erased::Boxed,
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::Instant;

/// How many records of one partition a poll brings.
const RUN_MAX: usize = 5;

pub(super) struct BrokerConsumer {
    bus: BrokerBus,
    group: String,
    me: MemberId,
    positions: BTreeMap<TopicPartition, i64>,
    unstarted: Vec<TopicPartition>,
    releasing: Vec<TopicPartition>,
    paused: bool,
    /// Heartbeats are sent as long as it is there.
    _alive: Arc<()>,
}

impl BrokerConsumer {
    pub(super) async fn join(bus: BrokerBus, spec: ConsumerSpec) -> Result<Self> {
        let alive = Arc::new(());
        let join = || {
            let mut state = bus.broker.state();
            let partitions = state.subscribed(&spec.subscription);
            let me = state.handle();
            let group = state.groups.entry(spec.group.clone()).or_default();
            group.join(me, spec.subscription.clone());
            group.balance(&partitions);
            group.even_out();
            let member = Member {
                group: spec.group.clone(),
                link: bus.link.clone(),
                client: Arc::downgrade(&alive),
                heard: Instant::now(),
            };
            state.members.insert(me, member);
            state.note(spec.group.as_bytes());
            Ok(me)
        };
        let me = bus.link.call("join", join).await?;
        Ok(Self {
            bus,
            group: spec.group,
            me,
            positions: BTreeMap::new(),
            unstarted: Vec::new(),
            releasing: Vec::new(),
            paused: false,
            _alive: alive,
        })
    }
    fn event(&mut self) -> Option<Polled> {
        let mut state = self.bus.broker.state();
        let subscription = state.groups.get(&self.group)?.subscription(self.me)?;
        let partitions = state.subscribed(&subscription);
        if let Some(member) = state.members.get_mut(&self.me) {
            member.heard = Instant::now();
        }
        let group = state.groups.get_mut(&self.group)?;
        group.balance(&partitions);
        let news = group.news(self.me)?;
        drop(state);
        Some(match news {
            News::Assigned(at) => {
                self.unstarted.clone_from(&at);
                Polled::Assigned(at)
            }
            News::Revoked(at) => {
                self.releasing.clone_from(&at);
                Polled::Revoked(at)
            }
            News::Lost(at) => {
                self.drop_partitions(&at);
                Polled::Lost(at)
            }
        })
    }
    fn drop_partitions(&mut self, at: &[TopicPartition]) {
        self.positions
            .retain(|partition, _| !at.contains(partition));
        self.unstarted.retain(|partition| !at.contains(partition));
    }
    fn batch(&mut self) -> Vec<SinkRecord> {
        let mut batch = Vec::new();
        if self.paused {
            return batch;
        }
        let state = self.bus.broker.state();
        for (at, position) in &mut self.positions {
            let topic = state.topics.get(&*at.topic);
            let partition = usize::try_from(at.partition)
                .ok()
                .and_then(|number| topic?.partitions.get(number));
            let Some(partition) = partition else { continue };
            let from = usize::try_from(*position).unwrap_or(0);
            let slots = partition.slots.get(from..partition.stable());
            let mut taken = 0;
            for slot in slots.unwrap_or_default() {
                if taken == RUN_MAX {
                    break;
                }
                if slot.fate == Fate::Committed {
                    taken += 1;
                    let mut record = Record::new(at.topic.clone());
                    record.partition = Some(at.partition);
                    record.key = datum(slot.key.as_ref());
                    record.value = datum(slot.value.as_ref());
                    let at = TopicOffset {
                        topic: at.topic.clone(),
                        partition: at.partition,
                        offset: *position,
                    };
                    batch.push(SinkRecord { record, at });
                }
                *position += 1;
            }
        }
        batch
    }
    async fn next(&mut self, max_wait: Duration) -> Polled {
        let deadline = Instant::now() + max_wait;
        loop {
            self.bus.link.thawed().await;
            if self.bus.link.is_up() {
                if let Some(event) = self.event() {
                    return event;
                }
                let batch = self.batch();
                if !batch.is_empty() {
                    return Polled::Batch(batch);
                }
            }
            if Instant::now() >= deadline {
                return Polled::Batch(Vec::new());
            }
            tokio::time::sleep_until(deadline.min(Instant::now() + LOOK)).await;
        }
    }
}

fn datum(bytes: Option<&Bytes>) -> Datum {
    bytes.map_or(Datum::Null, |bytes| Datum::Bytes(bytes.clone()))
}

impl Consumer for BrokerConsumer {
    fn poll(&mut self, max_wait: Duration) -> Boxed<'_, Result<Polled>> {
        Box::pin(async move { Ok(self.next(max_wait).await) })
    }
    fn start(&mut self, at: &TopicOffsets) -> Boxed<'_, Result<()>> {
        let at = at.clone();
        Box::pin(async move {
            let (broker, group) = (self.bus.broker.clone(), self.group.clone());
            let committed = || Ok(broker.committed_offsets(&group));
            let committed = self.bus.link.call("committed", committed).await?;
            for partition in self.unstarted.drain(..) {
                let start = at.get(&partition).or_else(|| committed.get(&partition));
                self.positions
                    .insert(partition, start.copied().unwrap_or(0));
            }
            Ok(())
        })
    }
    fn release(&mut self) -> Boxed<'_, Result<()>> {
        Box::pin(async move {
            let going = std::mem::take(&mut self.releasing);
            self.drop_partitions(&going);
            let (broker, me) = (self.bus.broker.clone(), self.me);
            let release = || {
                let mut state = broker.state();
                if let Some(group) = state.groups.get_mut(&self.group) {
                    group.release(me, &going);
                }
                Ok(())
            };
            self.bus.link.call("release", release).await
        })
    }
    fn commit_with<'a>(
        &'a mut self,
        offsets: &'a TopicOffsets,
        metadata: &'a TopicStates,
    ) -> Boxed<'a, Result<()>> {
        let commit = || {
            self.bus
                .broker
                .commit_offsets(&self.group, self.me, offsets, metadata)
        };
        Box::pin(self.bus.link.call("commit", commit))
    }
    fn metadata<'a>(&'a mut self, at: &'a [TopicPartition]) -> Boxed<'a, Result<TopicStates>> {
        let ask = || {
            let state = self.bus.broker.state();
            let group = state.groups.get(&self.group);
            Ok(group.map_or_else(TopicStates::new, |group| group.metadata(at)))
        };
        Box::pin(self.bus.link.call("metadata", ask))
    }
    fn pause(&mut self) -> Result<()> {
        self.paused = true;
        Ok(())
    }
    fn resume(&mut self) -> Result<()> {
        self.paused = false;
        Ok(())
    }
    fn seek<'a>(&'a mut self, at: &'a TopicOffsets) -> Boxed<'a, Result<()>> {
        for (partition, offset) in at {
            if let Some(position) = self.positions.get_mut(partition) {
                *position = *offset;
            }
        }
        Box::pin(std::future::ready(Ok(())))
    }
    fn lag(&self) -> Vec<Lag> {
        let state = self.bus.broker.state();
        let lag = |(at, position): (&TopicPartition, &i64)| {
            let partitions = &state.topics.get(&*at.topic)?.partitions;
            let partition = partitions.get(usize::try_from(at.partition).ok()?)?;
            Some(Lag {
                at: at.clone(),
                position: *position,
                end: i64::try_from(partition.stable()).ok()?,
            })
        };
        self.positions.iter().filter_map(lag).collect()
    }
    fn close(mut self: Box<Self>) -> Boxed<'static, Result<()>> {
        self.leave();
        Box::pin(std::future::ready(Ok(())))
    }
}

impl BrokerConsumer {
    /// A client that does not reach the broker cannot say that it leaves: its session has to end.
    fn leave(&mut self) {
        if !self.bus.link.is_up() {
            return;
        }
        let mut state = self.bus.broker.state();
        state.members.remove(&self.me);
        if let Some(group) = state.groups.get_mut(&self.group) {
            group.leave(self.me);
        }
    }
}

impl Drop for BrokerConsumer {
    fn drop(&mut self) {
        self.leave();
    }
}
