//! Sinks: tasks that write a system.

use crate::{Refused, Result, SinkRecord, Stop, TopicOffsets, TopicPartition};
use std::{future::Future, sync::Arc};

/// One task of a sink connector.
///
/// Calls never overlap. The engine never drops a call that it means to resume (I7); in return every call is bounded.
/// A sink that loses what it took must fail its next flush.
pub trait Sink: Send {
    /// Partitions came to this task. `Some` = the target keeps the offsets: it has claimed the partitions and says where to start;
    /// partitions that are missing in the map start at their committed offset.
    fn assigned(
        &mut self,
        at: &[TopicPartition],
    ) -> impl Future<Output = Result<Option<TopicOffsets>>> + Send {
        let _ = at;
        async { Ok(None) }
    }
    /// Takes a batch. `Ok`: all records are taken but those refused. `Err`: [`crate::Error::taken`] leading records are taken, the rest comes again.
    /// Nothing has to be durable before `flush`.
    fn put(&mut self, batch: &[SinkRecord]) -> impl Future<Output = Result<Vec<Refused>>> + Send;
    /// Makes everything taken so far durable, up to `upto` (next offset per partition), and returns the offsets that may be committed:
    /// normally `upto`. It is called after every refused record's dead letter is acknowledged, and never again on this task once it failed.
    fn flush(&mut self, upto: &TopicOffsets) -> impl Future<Output = Result<TopicOffsets>> + Send;
    /// Partitions went away, after a flush; or were lost, without one.
    fn revoked(&mut self, at: &[TopicPartition]) -> impl Future<Output = Result<()>> + Send {
        let _ = at;
        async { Ok(()) }
    }
    /// Releases everything. May be called more than once. What was not flushed may be thrown away.
    fn close(&mut self) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }
}

/// What a sink task is given when it is opened.
#[derive(Clone, Debug)]
pub struct SinkContext {
    /// The connector's name.
    pub connector: Arc<str>,
    /// The task's number.
    pub task: u32,
    /// The consumer group that the task reads in.
    pub group: Arc<str>,
    /// Whether a target that can keep the offsets is to keep them (`longshore.exactly.once`); without it `assigned` answers `None`.
    pub exactly_once: bool,
    /// The task's order to stop.
    pub stop: Stop,
}
