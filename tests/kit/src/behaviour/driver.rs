//! Drives a sink the way a task does: a log of records per partition, committed offsets, and a position in each.

use super::{
    report::{Fail, Outcome, bounded, hold},
    sink::{SinkRig, TOPIC},
};
use longshore_sdk::{
    ErrorKind, Level, Record, SinkContext, SinkRecord, TopicOffset, TopicOffsets, TopicPartition,
    erased::DynSink,
};
use std::{collections::BTreeMap, time::Duration};
use tokio::time::Instant;

/// Partitions of the topic.
pub(super) const PARTITIONS: i32 = 3;
/// How long a task that was killed may keep its claim.
const CLAIM_MAX: Duration = Duration::from_secs(30);
/// How long a call that fails for now is made again.
const PASSING_MAX: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);

/// A sink task with what a consumer group knows.
pub(super) struct Driver<'a, R: SinkRig> {
    pub(super) rig: &'a mut R,
    pub(super) task: Option<Box<dyn DynSink>>,
    /// Records of the topic; their ids count from 0, round robin over the partitions.
    pub(super) total: u64,
    pub(super) committed: TopicOffsets,
    pub(super) position: TopicOffsets,
}

impl<'a, R: SinkRig> Driver<'a, R> {
    /// A topic of `total` records, and no task yet.
    pub(super) fn new(rig: &'a mut R, total: u64) -> Self {
        Self {
            rig,
            task: None,
            total,
            committed: TopicOffsets::new(),
            position: TopicOffsets::new(),
        }
    }

    /// Opens a task, as often as the former one's claim or an outage asks for it, and assigns all partitions.
    pub(super) async fn open(&mut self) -> Outcome {
        self.task = None;
        let until = Instant::now() + CLAIM_MAX;
        loop {
            match self.opened().await? {
                Ok(()) => return Ok(()),
                Err(error) => {
                    let passing = matches!(
                        error.kind(),
                        ErrorKind::Fenced | ErrorKind::Transient | ErrorKind::Throttled(_)
                    );
                    if !passing || Instant::now() > until {
                        return Err(error.into());
                    }
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn opened(&mut self) -> Outcome<longshore_sdk::Result<()>> {
        let task = match another(&*self.rig).await? {
            Ok(task) => self.task.insert(task),
            Err(error) => return Ok(Err(error)),
        };
        let at = partitions();
        let claimed = match bounded("assigned", task.assigned(&at)).await? {
            Ok(claimed) => claimed,
            Err(error) => return Ok(Err(error)),
        };
        let keeps = self.rig.connector().plugin().capabilities.keeps_offsets;
        hold!(
            claimed.is_some() == keeps,
            "keeps_offsets is {keeps}, but assigned answers {claimed:?}"
        );
        self.start(&at, &claimed.unwrap_or_default());
        Ok(Ok(()))
    }

    /// Sets positions: where the target says, else at the committed offset.
    pub(super) fn start(&mut self, at: &[TopicPartition], claimed: &TopicOffsets) {
        for at in at {
            let start = claimed.get(at).or_else(|| self.committed.get(at)).copied();
            self.position.insert(at.clone(), start.unwrap_or(0));
        }
    }

    /// The task; open it first.
    pub(super) fn task(&mut self) -> &mut Box<dyn DynSink> {
        self.task.as_mut().expect("the driver's task is open")
    }

    /// The next `count` records from the positions on, round robin, and where each was read.
    pub(super) fn next(&self, count: usize) -> Vec<SinkRecord> {
        let mut position = self.position.clone();
        let mut batch = Vec::new();
        while batch.len() < count {
            let before = batch.len();
            for (at, offset) in &mut position {
                let id = *offset as u64 * PARTITIONS as u64 + at.partition as u64;
                if id < self.total && batch.len() < count {
                    batch.push(read(self.rig.record(id), at.partition, *offset));
                    *offset += 1;
                }
            }
            if batch.len() == before {
                break;
            }
        }
        // As a consumer hands them out: by partition, in order within each.
        batch.sort_by_key(|record| (record.at.partition, record.at.offset));
        batch
    }

    /// Puts the next `count` records, again after errors that pass; false when all records were taken before.
    pub(super) async fn put(&mut self, count: usize) -> Outcome<bool> {
        let mut batch = self.next(count);
        let any = !batch.is_empty();
        let until = Instant::now() + PASSING_MAX;
        while !batch.is_empty() {
            match bounded("put", self.task().put(&batch)).await? {
                Ok(refused) => {
                    hold!(refused.is_empty(), "good records are refused: {refused:?}");
                    self.advance(&batch);
                    break;
                }
                Err(error) => {
                    let passing =
                        matches!(error.kind(), ErrorKind::Transient | ErrorKind::Throttled(_));
                    if !passing || Instant::now() > until {
                        return Err(error.into());
                    }
                    let rest = batch.split_off(error.taken().min(batch.len()));
                    self.advance(&batch);
                    batch = rest;
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        Ok(any)
    }

    /// Moves the positions behind records that were taken.
    pub(super) fn advance(&mut self, batch: &[SinkRecord]) {
        for record in batch {
            self.position
                .insert(record.at.topic_partition(), record.at.offset + 1);
        }
    }

    /// Flushes up to the positions; what comes back may be committed, and nothing beyond what was asked.
    pub(super) async fn flush(&mut self) -> Outcome<TopicOffsets> {
        let upto = self.position.clone();
        let flushed = bounded("flush", self.task().flush(&upto)).await??;
        for (at, offset) in &flushed {
            let asked = upto.get(at);
            hold!(
                asked.is_some_and(|asked| offset <= asked),
                "{at} flushed up to {offset}, asked for {asked:?}"
            );
        }
        Ok(flushed)
    }

    /// Flushes and commits (I3).
    pub(super) async fn commit(&mut self) -> Outcome {
        let flushed = self.flush().await?;
        self.committed.extend(flushed);
        Ok(())
    }

    /// The task dies: nothing of it is called any more.
    pub(super) fn kill(&mut self) {
        self.task = None;
    }

    /// Takes the rest, flushes, closes, and compares the target with the topic.
    pub(super) async fn finish(&mut self, story: &str) -> Outcome {
        if self.task.is_none() {
            self.open().await?;
        }
        while self.put(7).await? {}
        self.commit().await?;
        bounded("close", self.task().close()).await??;
        self.kill();
        self.compare(story).await
    }

    /// Every record is there; once, where that is promised; in order within its partition.
    async fn compare(&mut self, story: &str) -> Outcome {
        let ids = self.rig.read_back().await;
        let mut counts: BTreeMap<u64, u32> = BTreeMap::new();
        for id in &ids {
            *counts.entry(*id).or_default() += 1;
        }
        let lost: Vec<_> = (0..self.total)
            .filter(|id| !counts.contains_key(id))
            .collect();
        hold!(lost.is_empty(), "{story}: lost {lost:?}");
        let strange: Vec<_> = counts.keys().filter(|id| **id >= self.total).collect();
        hold!(strange.is_empty(), "{story}: never sent {strange:?}");
        let connector = self.rig.connector();
        let keeps = connector.plugin().capabilities.keeps_offsets;
        // One plugin may promise more with one config than with another.
        let promised = connector.guarantee(&self.rig.config())?.level;
        if keeps || promised > Level::AtLeastOnce {
            let twice: Vec<_> = counts.iter().filter(|(_, count)| **count > 1).collect();
            hold!(
                twice.is_empty(),
                "{story}: more than once (id, times) {twice:?}"
            );
        }
        if R::ORDERED {
            let mut newest: BTreeMap<u64, u64> = BTreeMap::new();
            for id in ids {
                let partition = id % PARTITIONS as u64;
                // A record that comes again may stand behind later ones; a record that comes first may not.
                if counts.remove(&id).is_some() {
                    let before = newest.insert(partition, id);
                    hold!(
                        before.is_none_or(|before| before < id),
                        "{story}: {id} stands behind {before:?}"
                    );
                }
            }
        }
        Ok(())
    }
}

/// Opens one more task of the rig's connector.
pub(super) async fn another(
    rig: &impl SinkRig,
) -> Outcome<longshore_sdk::Result<Box<dyn DynSink>>> {
    let (connector, config) = (rig.connector(), rig.config());
    let shares = bounded("plan", connector.plan(&config, 1)).await??;
    hold!(
        shares.len() == 1,
        "one task asked for, {} shares planned",
        shares.len()
    );
    let Some(share) = shares.into_iter().next() else {
        return Err(Fail::Broken("no share".to_owned()));
    };
    let cx = SinkContext {
        connector: "behaviour".into(),
        task: 0,
        group: "connect-behaviour".into(),
        exactly_once: true,
        stop: longshore_sdk::Stop::never(),
    };
    bounded("open", connector.open(&config, share, cx)).await
}

/// The topic's partitions.
pub(super) fn partitions() -> Vec<TopicPartition> {
    (0..PARTITIONS)
        .map(|partition| TopicPartition::new(TOPIC, partition))
        .collect()
}

/// A record with the place that it was read at.
pub(super) fn read(record: Record, partition: i32, offset: i64) -> SinkRecord {
    SinkRecord {
        record,
        at: TopicOffset {
            topic: TOPIC.into(),
            partition,
            offset,
        },
    }
}
