//! A keyed, compacted log: the one port behind config, offset and status (D6).

use bytes::Bytes;
use longshore_sdk::{Result, erased::Boxed};
use serde::{Deserialize, Serialize};

/// A place in the log. Positions are comparable within one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Version {
    /// The partition.
    pub partition: i32,
    /// The offset of an entry, or the next offset where a position is meant.
    pub offset: i64,
}

/// One entry; no value = the key is deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key; entries without one are not delivered.
    pub key: Bytes,
    /// The value.
    pub value: Option<Bytes>,
    /// Where it stands.
    pub version: Version,
    /// Which request wrote it (record header `longshore.request`): one that is sent again finds its own work. Most entries have none.
    pub request: Option<Bytes>,
}

/// What a reader saw.
#[derive(Clone, Debug, Default)]
pub struct Tail {
    /// Entries in order within each partition.
    pub entries: Vec<Entry>,
    /// The next offset of each partition that moved. It moves past transaction markers too, so it can be ahead of the last entry.
    pub positions: Vec<Version>,
}

/// Writes and reads one compacted topic.
pub trait KeyedLog: Send + Sync {
    /// Writes entries, in order, and returns where each stands once all are acknowledged. Any worker may, at any time: what only the leader may
    /// write goes through [`super::Term::put`]. Err: unknown whether they were written, unless the kind is Config.
    fn put(&self, entries: Vec<(Bytes, Option<Bytes>)>) -> Boxed<'_, Result<Vec<Version>>>;
    /// The true end, for "read to the end": init the own producer first, then ask the high watermark read_uncommitted. One next offset per partition.
    fn end(&self) -> Boxed<'_, Result<Vec<Version>>>;
    /// Reads from the beginning, read_committed, and then follows.
    fn reader(&self) -> Boxed<'_, Result<Box<dyn LogReader>>>;
}

/// Follows a log.
pub trait LogReader: Send {
    /// Waits until something moved. Cancel safe: nothing is lost when the future is dropped. Transient errors are retried inside and logged.
    fn next(&mut self) -> Boxed<'_, Result<Tail>>;
}
