//! The leader's pen: what only one worker of a group may write, and how a former leader is kept from writing.

use super::Version;
use bytes::Bytes;
use longshore_sdk::{Result, erased::Boxed};
use std::sync::Arc;

/// The right to write connectors, task sets, assignments, and the offsets that people change. At most one worker of a group has it: whoever takes it fences the one before.
pub trait Leadership: Send + Sync {
    /// Takes it: the former leader's open transaction is ended, his later writes are refused. When this returns, nothing of his can come any more,
    /// so that a read to the end sees all that he wrote.
    fn take(&self) -> Boxed<'_, Result<Arc<dyn Term>>>;
}

/// One taking of the leadership.
pub trait Term: Send + Sync {
    /// Writes entries of all its logs as one transaction, and returns where each stands, in the order given.
    /// Err (Fenced): another has taken the leadership, for good. Err (Config): nothing was written. Any other: unknown whether they were written,
    /// and this term is over; take another one and read to the end.
    fn put(&self, entries: Vec<TermEntry>) -> Boxed<'_, Result<Vec<Version>>>;
}

/// Which of the leader's logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TermLog {
    /// `config.storage.topic`.
    Config,
    /// `<group.id>-coordination`.
    Coordination,
    /// `offset.storage.topic`: what somebody asked for. Tasks write their own, fenced by their own ids.
    Offset,
}

/// What a leader writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TermEntry {
    /// Where to.
    pub log: TermLog,
    /// The key.
    pub key: Bytes,
    /// The value; none = the key is deleted.
    pub value: Option<Bytes>,
    /// Which request it is written for; see [`super::Entry::request`].
    pub request: Option<Bytes>,
}
