//! Sources: tasks that read a system.

use crate::{Offset, Offsets, Partition, Result, SourceRecord, Stop};
use std::{fmt, future::Future, sync::Arc, time::Duration};

/// One task of a source connector.
///
/// Calls never overlap. The engine never drops a call that it means to resume (I7), so an implementation need not be cancel safe;
/// in return every call is bounded: `poll` returns within about `max_wait`, the others within seconds.
pub trait Source: Send {
    /// The next records, in order within each lane; empty when `max_wait` has passed without any. The batch should stay below
    /// about 5,000 records or 4 MiB. An error of kind End means that the source is finished for good; one of kind Transient is
    /// retried: the next call must return the same records again.
    fn poll(
        &mut self,
        max_wait: Duration,
    ) -> impl Future<Output = Result<Vec<SourceRecord>>> + Send;
    /// Progress without a record: lanes in which reading goes on elsewhere than after their last record (what lay between was filtered out, a
    /// page was empty and has an ETag now, a cursor moved on, a heartbeat). Asked once after each poll that answered records, none, or its
    /// end; a source forgets what it has answered. An offset counts once everything returned so far in its lane is delivered (I1), in place
    /// of the last record's, and is stored with the next commit: in a transaction of its own, where there are transactions and no record
    /// comes along. Answer lanes that have changed, not all of them each time: each change costs a commit. Waits for nothing.
    fn advanced(&mut self) -> Offsets {
        Offsets::new()
    }
    /// The offsets are durable (I2): the system that is read may forget what lies before them.
    fn commit(&mut self, offsets: &Offsets) -> impl Future<Output = Result<()>> + Send {
        let _ = offsets;
        async { Ok(()) }
    }
    /// Releases everything. May be called more than once.
    fn close(&mut self) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }
}

/// What a source task is given when it is opened.
#[derive(Clone)]
pub struct SourceContext {
    /// The connector's name.
    pub connector: Arc<str>,
    /// The task's number.
    pub task: u32,
    /// The connector's stored offsets, of all its lanes.
    pub offsets: Offsets,
    /// See [`SourceContext::request_replan`].
    pub replan: Arc<dyn Fn() + Send + Sync>,
    /// The task's order to stop.
    pub stop: Stop,
}

impl SourceContext {
    /// A context for tests and tools.
    pub fn detached(connector: &str, task: u32, offsets: Offsets) -> Self {
        Self {
            connector: connector.into(),
            task,
            offsets,
            replan: Arc::new(|| {}),
            stop: Stop::never(),
        }
    }
    /// The stored offset of a lane. Lanes are compared as JSON objects: another field order, as another worker may have written it, still matches.
    pub fn offset(&self, lane: &Partition) -> Option<&Offset> {
        self.offsets.get(lane).or_else(|| {
            let wanted: serde_json::Value = lane.parse().ok()?;
            let same = |stored: &Partition| {
                stored
                    .parse::<serde_json::Value>()
                    .is_ok_and(|stored| stored == wanted)
            };
            self.offsets
                .iter()
                .find(|(stored, _)| same(stored))
                .map(|(_, offset)| offset)
        })
    }
    /// Asks for a new plan: the work has changed (a table appeared). Cheap and idempotent.
    pub fn request_replan(&self) {
        (self.replan)();
    }
}

impl fmt::Debug for SourceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "SourceContext({}-{}, {} lanes)",
            self.connector,
            self.task,
            self.offsets.len()
        )
    }
}
