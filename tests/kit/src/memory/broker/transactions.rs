//! Transactions as a coordinator keeps them.

use super::{Fate, Slot, State, TRANSACTION_MAX};
use longshore_engine::ports::Version;
use longshore_sdk::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};
use tokio::time::Instant;

#[derive(Default)]
pub(super) struct Transactions(BTreeMap<String, Transaction>);

#[derive(Default)]
struct Transaction {
    epoch: u64,
    open: Option<Open>,
}

struct Open {
    since: Instant,
    slots: Vec<(String, usize, usize)>,
}

/// What the end of a transaction changed.
#[derive(Default)]
pub(super) struct Closed {
    /// Partitions in which something may have become readable.
    pub(super) touched: BTreeSet<(String, usize)>,
    /// Entries that were committed, by topic.
    pub(super) durable: Vec<(String, Slot)>,
}

impl State {
    /// The last init wins: an open transaction is aborted, who had the id before is fenced.
    pub(super) fn init(&mut self, id: &str) -> (u64, Closed) {
        let closed = self.close(id, false);
        self.note(id.as_bytes());
        let found = self.transactions.0.entry(id.to_owned()).or_default();
        found.epoch += 1;
        (found.epoch, closed)
    }
    /// Writes entries within a transaction, which begins with them.
    pub(super) fn append_open(
        &mut self,
        id: &str,
        epoch: u64,
        entries: Vec<(String, usize, Slot)>,
    ) -> Result<Vec<Version>> {
        self.check(id, epoch)?;
        let mut versions = Vec::with_capacity(entries.len());
        let mut places = Vec::with_capacity(entries.len());
        for (topic, partition, mut slot) in entries {
            slot.fate = Fate::Open;
            let version = self.append(&topic, partition, slot);
            let offset = usize::try_from(version.offset).unwrap_or(usize::MAX);
            let open = &mut self.topic(&topic, 1).partitions[partition].open;
            open.entry(id.to_owned()).or_insert(offset);
            places.push((topic, partition, offset));
            versions.push(version);
        }
        let found = self.transactions.0.entry(id.to_owned()).or_default();
        let fresh = || Open {
            since: Instant::now(),
            slots: Vec::new(),
        };
        found.open.get_or_insert_with(fresh).slots.extend(places);
        Ok(versions)
    }
    /// Commits or aborts.
    pub(super) fn end_transaction(&mut self, id: &str, epoch: u64, commit: bool) -> Result<Closed> {
        self.check(id, epoch)?;
        Ok(self.close(id, commit))
    }
    /// Aborts what has been open for too long; its writer is fenced.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<Closed> {
        let late = |transaction: &Transaction| {
            let open = transaction.open.as_ref();
            open.is_some_and(|open| now - open.since >= TRANSACTION_MAX)
        };
        let all = self.transactions.0.iter();
        let ids: Vec<String> = all
            .filter(|(_, transaction)| late(transaction))
            .map(|(id, _)| id.clone())
            .collect();
        ids.iter().map(|id| self.init(id).1).collect()
    }
    fn check(&self, id: &str, epoch: u64) -> Result<()> {
        let found = self.transactions.0.get(id);
        if found.is_some_and(|found| found.epoch == epoch) {
            return Ok(());
        }
        Err(Error::fenced(
            "transaction",
            "another producer has the transactional id",
        ))
    }
    fn close(&mut self, id: &str, commit: bool) -> Closed {
        let found = self.transactions.0.get_mut(id);
        let Some(open) = found.and_then(|found| found.open.take()) else {
            return Closed::default();
        };
        let fate = if commit {
            Fate::Committed
        } else {
            Fate::Aborted
        };
        let mut closed = Closed::default();
        for (topic, partition, offset) in open.slots {
            let found = &mut self.topic(&topic, 1).partitions[partition];
            found.slots[offset].fate = fate;
            found.open.remove(id);
            if commit {
                closed
                    .durable
                    .push((topic.clone(), found.slots[offset].clone()));
            }
            closed.touched.insert((topic, partition));
        }
        for (topic, partition) in &closed.touched {
            let marker = Slot {
                key: None,
                value: None,
                request: None,
                worker: 0,
                fate: Fate::Marker,
            };
            self.append(topic, *partition, marker);
        }
        closed
    }
}
