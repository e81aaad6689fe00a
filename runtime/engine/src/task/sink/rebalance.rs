//! Partitions come and go.

use super::{Batch, Call, Failure, Level, Place, Running};
use crate::{crash_point::crash_point, mutant::mutant};
use longshore_sdk::{Error, TopicOffsets, TopicPartition};
use tokio::time::timeout;

impl Running {
    /// Partitions came: the sink may claim them and say where to start; only then does the consumer read them.
    pub(super) async fn assigned(&mut self, at: &[TopicPartition]) -> Result<(), Failure> {
        crash_point("on-assign");
        self.progress.enter(Call::Assigned);
        self.restore(at).await?;
        let claimed = self.sink.assigned(at).await;
        self.progress.leave(claimed.is_ok());
        let claimed = claimed.map_err(|error| self.failure(Place::Rebalance, "assigned", error))?;
        self.keeps |= claimed.is_some();
        self.owned.extend(at.iter().cloned());
        self.show_partitions();
        tracing::info!(task = %self.id, partitions = at.len(), owned = self.owned.len(), "partitions assigned");
        let claimed = claimed.unwrap_or_default();
        let started = self.consumer.start(&claimed).await;
        // What the target says it has is durable (I3): the group is told, even if nothing more ever comes.
        self.flushed.extend(
            claimed
                .into_iter()
                .filter(|(partition, _)| at.contains(partition)),
        );
        started.map_err(|error| self.failure(Place::Rebalance, "start", error))
    }

    /// Partitions are to go: what was taken is flushed and committed, what was not is left to their next owner.
    pub(super) async fn revoked(&mut self, at: &[TopicPartition]) -> Result<(), Failure> {
        crash_point("on-revoke");
        self.forget(at);
        // The group waits for this answer; a flush that takes longer ends the task (I6).
        let Ok(committed) = timeout(self.settings.grace, self.commit()).await else {
            let error = Error::transient(
                "flush",
                "flush took longer than the grace period of a revocation",
            );
            return Err(self.failure(Place::Flush, "flush", error));
        };
        committed?;
        self.gone(at).await?;
        let released = self.consumer.release().await;
        released.map_err(|error| self.failure(Place::Rebalance, "release", error))
    }

    /// Partitions are gone: another member may have them. No flush, no commit on their account.
    pub(super) async fn lost(&mut self, at: &[TopicPartition]) -> Result<(), Failure> {
        tracing::warn!(task = %self.id, partitions = at.len(), "partitions lost; records taken since the last commit may come again elsewhere");
        if mutant!("lost-kept") {
            return Ok(());
        }
        self.forget(at);
        self.gone(at).await
    }

    /// Throws away records of partitions that went away.
    fn forget(&mut self, at: &[TopicPartition]) {
        match &mut self.batch {
            Some(Batch::Converting(converting)) => converting.forget(at),
            Some(Batch::Putting(putting)) => {
                putting.forget(at);
                putting.advance(0, &mut self.taken);
                if putting.rest().is_empty() {
                    self.batch = None;
                    self.recovered(Place::Put);
                }
            }
            None => {}
        }
    }

    async fn gone(&mut self, at: &[TopicPartition]) -> Result<(), Failure> {
        let keep =
            |offsets: &mut TopicOffsets| offsets.retain(|partition, _| !at.contains(partition));
        keep(&mut self.taken);
        if !mutant!("unowned-commit") {
            keep(&mut self.flushed);
            self.states.forget(at);
        }
        self.owned.retain(|partition| !at.contains(partition));
        self.show_partitions();
        self.progress.enter(Call::Revoked);
        let told = self.sink.revoked(at).await;
        self.progress.leave(told.is_ok());
        told.map_err(|error| self.failure(Place::Rebalance, "revoked", error))
    }

    fn show_partitions(&self) {
        self.progress.set_partitions(self.owned.len());
        self.meters.set(
            Level::Partitions,
            i64::try_from(self.owned.len()).unwrap_or(i64::MAX),
        );
    }
}
