//! A source that forgets what was committed, and notices when it is asked for it again. What it filters out itself it goes on behind without a record.

use super::{EACH, LANES, TOPIC, oracle::World};
use crate::rules::{Fate, fate, text};
use longshore_kit::faults::{At, Faults};
use longshore_sdk::{
    Datum, Error, Offset, Offsets, Partition, Record, Result, Source, SourceRecord,
};
use std::{sync::Arc, time::Duration};

/// The most records of one lane in one poll.
const RUN: u64 = 5;

pub(super) struct Upstream {
    world: Arc<World>,
    faults: Arc<Faults>,
    next: Vec<u64>,
    /// What the last poll went on behind without a record.
    advanced: Offsets,
    ends: bool,
}

/// The lane `lane`.
pub(super) fn name(lane: u64) -> Partition {
    Partition::from_json(format!("{{\"lane\":{lane}}}").into())
}

impl Upstream {
    pub(super) fn open(world: Arc<World>, faults: Arc<Faults>, ends: bool) -> Self {
        Self {
            next: world.resume(),
            advanced: Offsets::new(),
            world,
            faults,
            ends,
        }
    }
}

impl Source for Upstream {
    async fn poll(&mut self, max_wait: Duration) -> Result<Vec<SourceRecord>> {
        drop(self.faults.before(At::SourcePoll, "poll").await?);
        if self.next.iter().all(|next| *next >= EACH) {
            if self.ends {
                return Err(Error::end("poll", "all is read"));
            }
            tokio::time::sleep(max_wait).await;
            return Ok(Vec::new());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        let mut batch = Vec::new();
        for lane in 0..LANES {
            let next = &mut self.next[usize::try_from(lane).expect("few")];
            self.world.check_not_forgotten(lane, *next);
            let end = (*next + RUN).min(EACH);
            let given = (*next..end).filter(|number| !filtered(lane, *number));
            batch.extend(given.map(|number| record(lane, number)));
            if *next < end && filtered(lane, end - 1) {
                self.advanced.insert(name(lane), Offset::counter("at", end));
            }
            *next = end;
        }
        Ok(batch)
    }
    fn advanced(&mut self) -> Offsets {
        std::mem::take(&mut self.advanced)
    }
    async fn commit(&mut self, offsets: &Offsets) -> Result<()> {
        let after = self.faults.before(At::SourceCommit, "commit").await?;
        self.world.forget(offsets);
        after.finish("commit").await
    }
}

/// In the last lane, what a transform drops in the others.
fn filtered(lane: u64, number: u64) -> bool {
    lane == LANES - 1 && fate(lane, number) == Fate::Dropped
}

fn record(lane: u64, number: u64) -> SourceRecord {
    let mut record = Record::new(TOPIC.into());
    record.value = Datum::Bytes(text(lane, number));
    record.partition = i32::try_from(lane).ok();
    if fate(lane, number) == Fate::Rejected {
        // The broker has no such partition.
        record.partition = Some(99);
    }
    SourceRecord {
        record,
        lane: name(lane),
        offset: Offset::counter("at", number + 1),
    }
}
