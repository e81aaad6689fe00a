//! A keyed log folded into a value, in order, and followed.

use crate::mutant::mutant;
use crate::ports::{Entry, KeyedLog, LogReader, Tail, Version};
use bytes::Bytes;
use longshore_sdk::{Error, ErrorKind, Result};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::sync::watch;

/// What a log means: built up from nothing by its entries in order.
pub trait Fold: Default + Send + Sync + 'static {
    /// Takes one entry in. Never fails: what it cannot read it logs and leaves out.
    fn apply(&mut self, entry: &Entry);
}

/// The next offset of each partition.
type Positions = BTreeMap<i32, i64>;

/// How long after a failed reader the next one is opened.
const REOPEN_AFTER: Duration = Duration::from_secs(1);
/// So many readings in a row that end before what was read already are no mistake of a broker that has just taken over.
const CUT_SURE: u32 = 3;

/// What becomes of a fold whose topic is deleted, or cut, and made anew under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The value follows the topic: whoever has something to say in it says it again.
    Follow,
    /// What was known stays, nothing more is read or written, and [`Folded::trouble`] says so until the process ends: taken at its word an empty
    /// topic would end all that runs, or let it begin anew.
    Keep,
}

/// A log and what it means so far. Reads never wait for the broker.
pub struct Folded<S> {
    log: Arc<dyn KeyedLog>,
    name: String,
    state: RwLock<S>,
    positions: watch::Sender<Positions>,
    changes: watch::Sender<u64>,
    ready: AtomicBool,
    loss: Loss,
    /// It is lost: see [`Loss::Keep`].
    lost: AtomicBool,
    /// How often in a row the topic's end was before what was read of it.
    cut: AtomicU32,
    trouble: watch::Sender<Option<Arc<str>>>,
}

impl<S: Fold> Folded<S> {
    /// An empty fold of a log; [`Folded::follow`] fills it. `name` is the topic's as messages have it: with the key that names it.
    pub fn new(name: impl Into<String>, loss: Loss, log: Arc<dyn KeyedLog>) -> Self {
        Self {
            log,
            name: name.into(),
            state: RwLock::new(S::default()),
            positions: watch::Sender::new(Positions::new()),
            changes: watch::Sender::new(0),
            ready: AtomicBool::new(false),
            loss,
            lost: AtomicBool::new(false),
            cut: AtomicU32::new(0),
            trouble: watch::Sender::new(None),
        }
    }
    /// What is wrong with the topic, for people: it is gone, or another one has its name. Transient errors are none of it.
    pub fn trouble(&self) -> Option<Arc<str>> {
        self.trouble.borrow().clone()
    }
    /// Whether the trouble stays until the process ends.
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }
    /// Moves when a trouble begins or ends.
    pub fn troubles(&self) -> watch::Receiver<Option<Arc<str>>> {
        self.trouble.subscribe()
    }
    /// Nothing that this worker knows may be mixed with what stands in a topic that is another one.
    fn whole(&self, op: &'static str) -> Result<()> {
        if !self.is_lost() {
            return Ok(());
        }
        let trouble = self.trouble();
        Err(Error::config(op, trouble.as_deref().unwrap_or_default()))
    }
    /// Looks at the value. `look` must be short: it holds the fold up.
    pub fn read<R>(&self, look: impl FnOnce(&S) -> R) -> R {
        look(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }
    /// Whether the log was read to its true end once.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }
    /// Returns once the log was read to its true end.
    pub async fn ready(&self) {
        let mut changes = self.changes.subscribe();
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = changes.wait_for(|_| self.is_ready()).await;
    }
    /// A counter that moves with each change.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
    /// Writes entries and returns once this fold has read them back: who reads after `put` sees what it wrote.
    /// Dropped while it waits, the entries may still be written.
    pub async fn put(&self, entries: Vec<(Bytes, Option<Bytes>)>) -> Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        self.whole("put")?;
        let written = self.log.put(entries).await?;
        self.reached(&written, 1).await;
        Ok(())
    }
    /// Writes entries and returns once the log has them, without waiting for this fold.
    pub async fn write(&self, entries: Vec<(Bytes, Option<Bytes>)>) -> Result<()> {
        self.whole("put")?;
        self.log.put(entries).await.map(drop)
    }
    /// Returns once everything that stands in the log now is folded: to its true end, which a reader's own position may be far behind.
    pub async fn refresh(&self) -> Result<()> {
        self.whole("read")?;
        let end = if mutant!("stale-end") {
            let positions = self.positions.borrow().clone();
            places(&positions)
        } else {
            self.log.end().await?
        };
        self.reached(&end, 0).await;
        Ok(())
    }

    /// Returns once everything up to and with these places is folded.
    pub async fn reach(&self, written: &[Version]) {
        self.reached(written, 1).await;
    }

    async fn reached(&self, wanted: &[Version], beyond: i64) {
        let mut positions = self.positions.subscribe();
        let there = |positions: &Positions| {
            let at = |version: &Version| positions.get(&version.partition).copied().unwrap_or(0);
            wanted
                .iter()
                .all(|version| at(version) >= version.offset + beyond)
        };
        let _ = positions.wait_for(there).await;
    }

    /// Reads the log for ever. A reader that fails is replaced; the old value is read from until the new one has caught up. A log that is lost is
    /// read no more.
    pub async fn follow(&self) {
        loop {
            let error = self.follow_once().await;
            if self.is_lost() {
                tracing::error!(log = self.name, %error, "this worker goes on with what it knew of the topic, and changes nothing");
                return std::future::pending().await;
            }
            // It is tried each second, and logged once.
            let trouble = error.kind() == ErrorKind::Config;
            if !trouble || self.say(Some(&error)) {
                tracing::warn!(log = self.name, %error, "reading the log failed, it is opened again");
            }
            tokio::time::sleep(REOPEN_AFTER).await;
        }
    }

    /// Whether it is news.
    fn say(&self, trouble: Option<&Error>) -> bool {
        let text: Option<Arc<str>> = trouble.map(|error| error.message().into());
        self.trouble.send_if_modified(|now| {
            let news = *now != text;
            *now = text;
            news
        })
    }

    /// The topic ends before what was read of it: it is not the one that was read.
    fn lose(&self) -> Error {
        let error = Error::config(
            "read",
            format!(
                "the topic {} was deleted or cut while this worker ran: nothing of what stands there now is taken over. Put its content back, or accept what it has, and then restart all workers of the group",
                self.name
            ),
        );
        let sure = self.cut.fetch_add(1, Ordering::AcqRel) + 1 >= CUT_SURE;
        self.lost.store(sure, Ordering::Release);
        if !self.say(Some(&error)) && sure {
            // The words are no news, but only now the leader gives up.
            self.trouble.send_modify(|_| ());
        }
        error
    }

    /// Follows until something fails.
    async fn follow_once(&self) -> Error {
        let mut reader = match self.log.reader().await {
            Ok(reader) => reader,
            Err(error) => return error,
        };
        if let Err(error) = self.catch_up(reader.as_mut()).await {
            return error;
        }
        loop {
            let tail = match reader.next().await {
                Ok(tail) => tail,
                Err(error) => return error,
            };
            let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
            tail.entries.iter().for_each(|entry| state.apply(entry));
            drop(state);
            self.moved(&tail);
        }
    }

    /// Folds from the beginning to the true end, aside, and puts the result in place of the old value.
    async fn catch_up(&self, reader: &mut dyn LogReader) -> Result<()> {
        let (state, positions) = caught_up(self.log.as_ref(), reader).await?;
        let back = |(partition, next): (&i32, &i64)| positions.get(partition) < Some(next);
        if self.loss == Loss::Keep && self.positions.borrow().iter().any(back) {
            return Err(self.lose());
        }
        self.cut.store(0, Ordering::Release);
        self.say(None);
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = state;
        self.ready.store(true, Ordering::Release);
        self.positions.send_replace(positions);
        self.changes.send_modify(|changes| *changes += 1);
        Ok(())
    }

    fn moved(&self, tail: &Tail) {
        self.positions
            .send_modify(|positions| advance(positions, tail));
        if !tail.entries.is_empty() {
            self.changes.send_modify(|changes| *changes += 1);
        }
    }
}

/// What a log means now, from its beginning to its true end.
pub async fn read_to_end<S: Fold>(log: &dyn KeyedLog) -> Result<S> {
    let mut reader = log.reader().await?;
    let (state, _) = caught_up(log, reader.as_mut()).await?;
    Ok(state)
}

async fn caught_up<S: Fold>(
    log: &dyn KeyedLog,
    reader: &mut dyn LogReader,
) -> Result<(S, Positions)> {
    let (mut state, mut positions) = (S::default(), Positions::new());
    let mut end = log.end().await?;
    let behind = |positions: &Positions, end: &[Version]| {
        end.iter()
            .any(|end| positions.get(&end.partition).copied().unwrap_or(0) < end.offset)
    };
    while behind(&positions, &end) {
        let tail = reader.next().await?;
        tail.entries.iter().for_each(|entry| state.apply(entry));
        advance(&mut positions, &tail);
        if mutant!("stale-end") {
            end = places(&positions);
        }
    }
    Ok((state, positions))
}

fn places(positions: &Positions) -> Vec<Version> {
    let place = |(partition, offset): (&i32, &i64)| Version {
        partition: *partition,
        offset: *offset,
    };
    positions.iter().map(place).collect()
}

fn advance(positions: &mut Positions, tail: &Tail) {
    let after = |entry: &Entry| Version {
        partition: entry.version.partition,
        offset: entry.version.offset + 1,
    };
    for next in tail
        .entries
        .iter()
        .map(after)
        .chain(tail.positions.iter().copied())
    {
        let position = positions.entry(next.partition).or_default();
        *position = next.offset.max(*position);
    }
}

#[cfg(test)]
mod tests;
