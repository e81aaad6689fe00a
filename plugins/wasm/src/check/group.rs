//! What a consumer group knows, for the cases of sinks.

use super::{in_time, passes, sample};
use longshore_sdk::{
    ErrorKind, Record, Result as Answer, SinkContext, SinkRecord, TopicOffset, TopicOffsets,
    TopicPartition,
    config::Flat,
    erased::{DynSink, DynSinkConnector},
};
use std::{collections::BTreeMap, time::Duration};
use tokio::time::Instant;

/// The topic that records are read from.
pub(super) const TOPIC: &str = "check";
const PARTITIONS: i32 = 3;
/// How long a task that was dropped may keep its claim, and how long what passes by itself may take.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(50);

/// A task whose partitions are assigned.
pub(super) type Task = Box<dyn DynSink>;

/// What a consumer group knows, through all cases: nothing is written twice at the same place but on purpose.
pub(super) struct Group<'a> {
    pub(super) sink: &'a dyn DynSinkConnector,
    pub(super) config: &'a Flat,
    /// The next offset of each partition.
    pub(super) next: BTreeMap<TopicPartition, i64>,
    /// The last answer of `assigned`.
    pub(super) claimed: Option<TopicOffsets>,
    /// How often records were made.
    made: i64,
}

impl<'a> Group<'a> {
    pub(super) fn new(sink: &'a dyn DynSinkConnector, config: &'a Flat) -> Self {
        let at = partitions().into_iter();
        Self {
            sink,
            config,
            next: at.map(|at| (at, 0)).collect(),
            claimed: None,
            made: 0,
        }
    }
    /// Opens a task, again while the claim of the one before is in the way, and assigns all partitions.
    pub(super) async fn open(&mut self) -> Answer<Task> {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.try_open().await {
                Err(error)
                    if Instant::now() < until
                        && (passes(&error) || error.kind() == ErrorKind::Fenced) =>
                {
                    tokio::time::sleep(PAUSE).await;
                }
                other => return other,
            }
        }
    }
    pub(super) async fn try_open(&mut self) -> Answer<Task> {
        let mut task = opened(self.sink, self.config).await?;
        self.claimed = in_time(task.assigned(&partitions())).await?;
        self.next.extend(self.claimed.clone().unwrap_or_default());
        Ok(task)
    }
    /// Records at the next places, spread over the partitions.
    pub(super) fn read(&mut self, records: Vec<Record>) -> Vec<SinkRecord> {
        let mut read = Vec::new();
        for (mut record, partition) in records.into_iter().zip((0..PARTITIONS).cycle()) {
            let at = TopicPartition::new(TOPIC, partition);
            let next = self.next.entry(at).or_default();
            record.partition = Some(partition);
            record.offset = Some(*next);
            let at = TopicOffset {
                topic: TOPIC.into(),
                partition,
                offset: *next,
            };
            *next += 1;
            read.push(SinkRecord { record, at });
        }
        read.sort_by_key(|record| (record.at.partition, record.at.offset));
        read
    }
    pub(super) fn samples(&mut self) -> Vec<SinkRecord> {
        self.made += 1;
        self.read(sample::records(TOPIC, self.made))
    }
    /// Flushes everything that was read; what may be committed.
    pub(super) async fn flush(&self, task: &mut Task) -> Answer<Result<TopicOffsets, String>> {
        let upto: TopicOffsets = self.next.clone().into_iter().collect();
        let committed = in_time(task.flush(&upto)).await?;
        let beyond = committed
            .iter()
            .find(|(at, offset)| upto.get(*at).is_none_or(|upto| *offset > upto));
        Ok(match beyond {
            Some((at, offset)) => Err(format!(
                "flush lets {at} be committed at {offset}, which it was not given"
            )),
            None => Ok(committed),
        })
    }
    /// Puts a batch, the rest of it again after errors that pass.
    pub(super) async fn put_all(&self, task: &mut Task, mut batch: Vec<SinkRecord>) -> Answer<()> {
        let until = Instant::now() + PATIENCE;
        loop {
            let error = match in_time(task.put(&batch)).await {
                Ok(_) => return Ok(()),
                Err(error) => error,
            };
            let taken = error.taken().min(batch.len());
            if !passes(&error) || (taken == 0 && Instant::now() > until) {
                return Err(error);
            }
            batch.drain(..taken);
            tokio::time::sleep(PAUSE).await;
        }
    }
}

pub(super) async fn opened(sink: &dyn DynSinkConnector, config: &Flat) -> Answer<Box<dyn DynSink>> {
    let share = in_time(sink.plan(config, 1)).await?;
    let share = share.into_iter().next().unwrap_or_default();
    let context = SinkContext {
        connector: "check".into(),
        task: 0,
        group: "connect-check".into(),
        exactly_once: true,
        stop: longshore_sdk::Stop::never(),
    };
    in_time(sink.open(config, share, context)).await
}

pub(super) fn partitions() -> Vec<TopicPartition> {
    (0..PARTITIONS)
        .map(|partition| TopicPartition::new(TOPIC, partition))
        .collect()
}
