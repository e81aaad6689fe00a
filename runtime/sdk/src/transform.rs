//! Transforms and predicates: Kafka Connect's single message transforms.

use crate::{Error, Record, config::Finding};
use std::future::Future;

/// What a transform decided about one record.
#[derive(Debug)]
pub enum Verdict {
    /// Pass it on, changed or not.
    Keep(Record),
    /// Leave it out, on purpose; its offset counts as done.
    Drop,
    /// It cannot be transformed; `errors.tolerance` decides.
    Refuse(Error),
}

/// Changes or drops records, a batch at a time.
pub trait Transform: Send {
    /// Says once, before the first batch, whose records these are: for logs and metrics.
    fn placed(&mut self, connector: &str, task: u32) {
        let _ = (connector, task);
    }
    /// What is wrong with its config beyond what building it tells, by a look at what it needs; `connector` is the connector's name. Has no
    /// side effects. Asked before a config is stored, of a transform that is then thrown away.
    fn check(&mut self, connector: &str) -> impl Future<Output = Vec<Finding>> + Send {
        let _ = connector;
        std::future::ready(Vec::new())
    }
    /// One verdict per record, in order. Never fails as a whole.
    fn apply(&mut self, batch: Vec<Record>) -> impl Future<Output = Vec<Verdict>> + Send;
}

/// Decides which records a transform sees.
pub trait Predicate: Send {
    /// Whether the record matches.
    fn test(&self, record: &Record) -> bool;
}
