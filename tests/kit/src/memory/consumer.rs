//! A member of a group.

use super::{
    MemoryBus,
    group::{MemberId, News},
};
use crate::faults::At;
use longshore_engine::ports::{Consumer, ConsumerSpec, Lag, Polled};
use longshore_sdk::{
    Result, SinkRecord, TopicOffset, TopicOffsets, TopicPartition, TopicStates, erased::Boxed,
};
use std::{collections::BTreeMap, time::Duration};
use tokio::time::Instant;

/// How many records of one partition a poll brings.
const RUN_MAX: usize = 7;

pub(super) struct MemoryConsumer {
    bus: MemoryBus,
    group: String,
    me: MemberId,
    positions: BTreeMap<TopicPartition, i64>,
    unstarted: Vec<TopicPartition>,
    releasing: Vec<TopicPartition>,
    paused: bool,
    left: bool,
}

impl MemoryConsumer {
    pub(super) fn join(bus: MemoryBus, spec: ConsumerSpec) -> Self {
        let me = bus.handle();
        {
            let mut state = bus.state();
            let partitions = state.subscribed(&spec.subscription);
            let group = state.groups.entry(spec.group.clone()).or_default();
            group.join(me, spec.subscription);
            group.balance(&partitions);
            group.even_out();
        }
        bus.changed();
        Self {
            bus,
            group: spec.group,
            me,
            positions: BTreeMap::new(),
            unstarted: Vec::new(),
            releasing: Vec::new(),
            paused: false,
            left: false,
        }
    }
    fn event(&mut self) -> Option<Polled> {
        let mut state = self.bus.state();
        let subscription = state.groups.get(&self.group)?.subscription(self.me)?;
        let partitions = state.subscribed(&subscription);
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
                self.positions
                    .retain(|partition, _| !at.contains(partition));
                self.unstarted.retain(|partition| !at.contains(partition));
                Polled::Lost(at)
            }
        })
    }
    fn batch(&mut self) -> Vec<SinkRecord> {
        let mut batch = Vec::new();
        if self.paused {
            return batch;
        }
        let state = self.bus.state();
        for (at, position) in &mut self.positions {
            let log = state
                .topics
                .get(&*at.topic)
                .and_then(|logs| logs.get(usize::try_from(at.partition).ok()?));
            let Some(log) = log else { continue };
            let from = usize::try_from(*position).unwrap_or(0).min(log.len());
            for stored in log[from..].iter().take(RUN_MAX) {
                let place = TopicOffset {
                    topic: at.topic.clone(),
                    partition: at.partition,
                    offset: *position,
                };
                *position += 1;
                let mut record = stored.record.clone();
                record.partition = Some(at.partition);
                batch.push(SinkRecord { record, at: place });
            }
        }
        batch
    }
    async fn next(&mut self, max_wait: Duration) -> Polled {
        let deadline = Instant::now() + max_wait;
        loop {
            if let Some(event) = self.event() {
                return event;
            }
            let batch = self.batch();
            if !batch.is_empty() {
                return Polled::Batch(batch);
            }
            // A broker answers no faster than this; a notification that comes meanwhile is seen at the next look.
            let look = deadline.min(Instant::now() + Duration::from_millis(20));
            let notified = self.bus.notified();
            drop(tokio::time::timeout_at(look, notified).await);
            if Instant::now() >= deadline {
                return self.event().unwrap_or(Polled::Batch(Vec::new()));
            }
        }
    }
}

impl Consumer for MemoryConsumer {
    fn poll(&mut self, max_wait: Duration) -> Boxed<'_, Result<Polled>> {
        Box::pin(async move {
            drop(self.bus.faults.before(At::ConsumerPoll, "poll").await?);
            Ok(self.next(max_wait).await)
        })
    }
    fn start(&mut self, at: &TopicOffsets) -> Boxed<'_, Result<()>> {
        let state = self.bus.state();
        let group = state.groups.get(&self.group);
        for partition in self.unstarted.drain(..) {
            let committed = group.and_then(|group| group.committed.get(&partition).copied());
            let start = at.get(&partition).copied().or(committed).unwrap_or(0);
            self.positions.insert(partition, start);
        }
        Box::pin(std::future::ready(Ok(())))
    }
    fn release(&mut self) -> Boxed<'_, Result<()>> {
        let going = std::mem::take(&mut self.releasing);
        self.positions
            .retain(|partition, _| !going.contains(partition));
        self.unstarted
            .retain(|partition| !going.contains(partition));
        if let Some(group) = self.bus.state().groups.get_mut(&self.group) {
            group.release(self.me, &going);
        }
        self.bus.changed();
        Box::pin(std::future::ready(Ok(())))
    }
    fn commit_with<'a>(
        &'a mut self,
        offsets: &'a TopicOffsets,
        metadata: &'a TopicStates,
    ) -> Boxed<'a, Result<()>> {
        Box::pin(async move {
            let after = self.bus.faults.before(At::ConsumerCommit, "commit").await?;
            self.bus.commit(&self.group, self.me, offsets, metadata);
            after.finish("commit").await
        })
    }
    fn metadata<'a>(&'a mut self, at: &'a [TopicPartition]) -> Boxed<'a, Result<TopicStates>> {
        let state = self.bus.state();
        let group = state.groups.get(&self.group);
        let found = group.map_or_else(TopicStates::new, |group| group.metadata(at));
        Box::pin(std::future::ready(Ok(found)))
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
        let state = self.bus.state();
        let positions = self.positions.iter().filter_map(|(at, position)| {
            let log = state
                .topics
                .get(&*at.topic)?
                .get(usize::try_from(at.partition).ok()?)?;
            Some(Lag {
                at: at.clone(),
                position: *position,
                end: i64::try_from(log.len()).ok()?,
            })
        });
        positions.collect()
    }
    fn close(mut self: Box<Self>) -> Boxed<'static, Result<()>> {
        self.leave();
        Box::pin(std::future::ready(Ok(())))
    }
}

impl MemoryConsumer {
    fn leave(&mut self) {
        if !std::mem::replace(&mut self.left, true) {
            if let Some(group) = self.bus.state().groups.get_mut(&self.group) {
                group.leave(self.me);
            }
            self.bus.changed();
        }
    }
}

impl Drop for MemoryConsumer {
    fn drop(&mut self) {
        self.leave();
    }
}
