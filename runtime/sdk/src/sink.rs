//! Sinks: tasks that write a system.

use crate::{Refused, Result, SinkRecord, Stop, TopicOffsets, TopicPartition, TopicStates};
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
    /// Whether this sink keeps a state with each partition's committed offset: what it needs in order to go on from there (how far an upload
    /// got, the name of a file, a digest). Only then the engine calls [`Sink::restored`] and [`Sink::states`]. Asked when it is opened.
    fn keeps_states(&self) -> bool {
        false
    }
    /// The states that were committed with the offsets of partitions that come, told just before `assigned` names these. A partition may be
    /// missing at any time, since whoever sets a group's offsets otherwise (another tool, another runtime) leaves the state out: a sink must
    /// be able to do without it. Where the target keeps the offsets there are none: there it keeps the state, too. Another version of this
    /// sink, or another sink under the same name, may have written them.
    fn restored(&mut self, states: &TopicStates) {
        let _ = states;
    }
    /// The states that have changed since the last call; asked after each flush that succeeded. They are committed with the offsets that this
    /// flush returned for their partitions, and with every later one until they change again, so they must be true there. One of a partition
    /// whose offset was held back waits for its next offset: a state alone makes no commit. Longer than [`crate::STATE_MAX`] = the task fails.
    fn states(&mut self) -> TopicStates {
        TopicStates::new()
    }
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
