//! How a task ended.

use super::{
    ErrorPolicy,
    reaction::{Next, Place, REOPEN, advice, react},
};
use longshore_sdk::Error;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How a task ended. Its source or sink is closed, its clients are gone.
#[derive(Debug)]
pub enum Outcome {
    /// It was told to stop.
    Stopped,
    /// The source said End: everything is delivered and stored.
    Finished,
    /// It failed.
    Failed(Failure),
}

/// Why a task failed, and what should follow.
#[derive(Debug)]
pub struct Failure {
    /// The error.
    pub error: Error,
    /// The operation of the loop that failed: `poll`, `transform`, `convert`, `send`, `store`, `put`, `flush`, ..
    pub op: &'static str,
    /// What a person can do about it.
    pub advice: String,
    /// What the supervisor should do.
    pub reaction: Reaction,
}

/// What should follow a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// FAILED, until a person or a config change acts.
    Fail,
    /// Open the task again after this time at the earliest, if it is still assigned here: managed restart.
    Reopen(Duration),
}

impl Outcome {
    /// A failure outside the loop.
    pub(crate) fn failed(error: Error, op: &'static str) -> Self {
        let next = react(Place::Rebalance, error.kind(), &ErrorPolicy::default());
        Self::Failed(Failure::new(op, error, next))
    }
}

impl Failure {
    /// The failure that follows from the table's word about an error.
    pub(super) fn new(op: &'static str, error: Error, next: Next) -> Self {
        let reaction = match next {
            Next::Reopen(after) | Next::Wait(after) => Reaction::Reopen(after),
            Next::Again => Reaction::Reopen(REOPEN),
            Next::DeadLetter | Next::Skip | Next::Finish | Next::Fail => Reaction::Fail,
        };
        Self {
            op,
            advice: advice(error.kind()).to_owned(),
            error,
            reaction,
        }
    }
}

/// Runs a loop, and drops it when it has not ended one grace period after it was told to (I6): the task is over, so nothing that is resumed is lost (I7).
pub(super) async fn within_grace(
    work: impl Future<Output = Outcome>,
    stop: CancellationToken,
    grace: Duration,
    task: &super::TaskId,
) -> Outcome {
    let overdue = async {
        stop.cancelled().await;
        tokio::time::sleep(grace).await;
    };
    tokio::select! {
        biased;
        outcome = work => outcome,
        () = overdue => {
            tracing::warn!(%task, grace_ms = grace.as_millis(), "task did not end in time and is dropped");
            Outcome::Stopped
        }
    }
}
