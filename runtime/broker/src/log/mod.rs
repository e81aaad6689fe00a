//! The log of one partition: segments, producer state, transactions, and those who wait for more.

pub(crate) mod batch;
pub(crate) mod clean;
mod copy;
mod index;
pub(crate) mod producer;
mod read;
pub(crate) mod record;
mod recover;
mod retention;
mod segment;
mod swap;

#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use tokio::sync::Notify;

use crate::settings::Settings;
use batch::Header;
use producer::{Aborted, Producers, Verdict};
use segment::Segment;

pub(crate) use read::Slice;

/// In memory a segment is one allocation: it rolls at this size at the latest.
const MEMORY_SEGMENT: u64 = 16 * 1024 * 1024;
/// Waiters beyond this are swept for dead ones before another joins.
const WAITERS_SWEPT_AT: usize = 64;

/// One partition, shared by all connections.
#[derive(Debug)]
pub(crate) struct Partition {
    pub(crate) index: i32,
    log: Mutex<Log>,
}

impl Partition {
    pub(crate) fn new(index: i32, log: Log) -> Partition {
        Partition {
            index,
            log: Mutex::new(log),
        }
    }

    /// The log; every call under the lock is short and synchronous.
    pub(crate) fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where an append landed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Appended {
    pub(crate) base_offset: i64,
    pub(crate) log_start: i64,
}

/// Segments in order; the last is the active one and always there.
#[derive(Debug)]
pub(crate) struct Log {
    dir: Option<PathBuf>,
    segments: Vec<Segment>,
    start: i64,
    producers: Producers,
    aborted: Vec<Aborted>,
    /// Offsets below are compacted; restarts begin at the start again.
    cleaned_to: i64,
    /// When the next tombstone or marker of the compacted part may go.
    next_horizon: Option<i64>,
    waiters: Vec<Weak<Notify>>,
    /// The topic is gone: nothing is written any more.
    deleted: bool,
}

impl Log {
    /// The first offset that can be read.
    pub(crate) fn start(&self) -> i64 {
        self.start
    }

    /// The offset the next record gets; on one node it is the high watermark as well.
    pub(crate) fn end(&self) -> i64 {
        self.active().next_offset
    }

    /// The last stable offset: nothing below belongs to an open transaction.
    pub(crate) fn stable(&self) -> i64 {
        self.producers
            .first_open()
            .map_or(self.end(), |first| first.max(self.start))
    }

    fn active(&self) -> &Segment {
        &self.segments[self.segments.len() - 1]
    }

    /// Appends one inspected client batch. Duplicates of an idempotent producer are answered, not written again.
    pub(crate) fn append(
        &mut self,
        batch: &Bytes,
        header: &Header,
        settings: &Settings,
        now_ms: i64,
    ) -> Result<Appended, ResponseError> {
        if self.deleted {
            return Err(ResponseError::UnknownTopicOrPartition);
        }
        match self.producers.check(header) {
            Verdict::Append => {}
            Verdict::Duplicate(base_offset) => {
                return Ok(Appended {
                    base_offset,
                    log_start: self.start,
                });
            }
            Verdict::Refuse(error) => return Err(error),
        }
        let placed = self
            .place(batch, header, settings, now_ms)
            .map_err(storage_error)?;
        self.producers.appended(&placed, now_ms);
        self.wake();
        Ok(Appended {
            base_offset: placed.base_offset,
            log_start: self.start,
        })
    }

    /// Writes the marker that ends a producer's transaction on this partition.
    pub(crate) fn append_marker(
        &mut self,
        producer_id: i64,
        epoch: i16,
        commit: bool,
        settings: &Settings,
        now_ms: i64,
    ) -> io::Result<()> {
        if self.deleted {
            return Ok(());
        }
        let marker = batch::marker(producer_id, epoch, commit, now_ms);
        let header = Header::parse(&marker).ok_or(io::ErrorKind::InvalidData)?;
        let placed = self.place(&marker, &header, settings, now_ms)?;
        self.aborted
            .extend(self.producers.ended(&placed, commit, now_ms));
        self.wake();
        Ok(())
    }

    /// Whether this producer has records here that no marker ended yet.
    pub(crate) fn has_open(&self, producer_id: i64) -> bool {
        self.producers.is_open(producer_id)
    }

    /// Producers with records here that no marker ended yet, and their epochs.
    pub(crate) fn open_producers(&self) -> Vec<(i64, i16)> {
        self.producers.open()
    }

    fn place(
        &mut self,
        batch: &[u8],
        header: &Header,
        settings: &Settings,
        now_ms: i64,
    ) -> io::Result<Header> {
        let placed = Header {
            base_offset: self.end(),
            ..*header
        };
        if self.must_roll(&placed, settings, now_ms) {
            self.roll()?;
        }
        let active = self.segments.len() - 1;
        self.segments[active].append(batch, &placed, now_ms)?;
        Ok(placed)
    }

    fn must_roll(&self, next: &Header, settings: &Settings, now_ms: i64) -> bool {
        let active = self.active();
        let Some(first) = active.first_append_ms else {
            return false;
        };
        let limit = if self.dir.is_none() {
            settings.segment_bytes.min(MEMORY_SEGMENT)
        } else {
            settings.segment_bytes
        };
        let full = active.size + next.size() as u64 > limit;
        let wide = next.last_offset() - active.base_offset > i64::from(i32::MAX);
        full || wide || now_ms - first >= settings.roll_after_ms()
    }

    /// Starts a new active segment at the end.
    fn roll(&mut self) -> io::Result<()> {
        let next = Segment::create(self.dir.as_deref(), self.end())?;
        if let Some(active) = self.segments.last_mut() {
            active.seal();
        }
        self.segments.push(next);
        Ok(())
    }

    /// Has `waiter` told once, at the next change: an append, a marker, the end of the topic.
    pub(crate) fn wait(&mut self, waiter: &Arc<Notify>) {
        if self.waiters.len() >= WAITERS_SWEPT_AT {
            self.waiters.retain(|w| w.strong_count() > 0);
        }
        self.waiters.push(Arc::downgrade(waiter));
    }

    fn wake(&mut self) {
        for waiter in self.waiters.drain(..) {
            if let Some(waiter) = waiter.upgrade() {
                waiter.notify_one();
            }
        }
    }

    /// Ends the log of a deleted topic: no more writes, waiters are told, the files go.
    pub(crate) fn delete(&mut self) {
        self.deleted = true;
        self.wake();
        if let Some(dir) = &self.dir
            && let Err(error) = std::fs::remove_dir_all(dir)
        {
            tracing::warn!(dir = %dir.display(), %error, "files of a deleted partition stay behind");
        }
    }

    /// The topic is gone.
    pub(crate) fn is_deleted(&self) -> bool {
        self.deleted
    }

    /// Hands the active segment to the disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        if self.deleted {
            Ok(())
        } else {
            self.active().sync()
        }
    }
}

impl Settings {
    /// The age at which an active segment rolls. A compacted log rolls early enough for its greatest compaction lag.
    fn roll_after_ms(&self) -> i64 {
        if self.compact {
            self.segment_ms.min(self.max_compaction_lag_ms)
        } else {
            self.segment_ms
        }
    }
}

fn storage_error(error: io::Error) -> ResponseError {
    tracing::error!(%error, "append failed");
    ResponseError::KafkaStorageError
}
