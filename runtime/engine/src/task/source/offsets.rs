//! From settled records to durable offsets to the source.

use super::{Call, Count, Failure, Place, Running, Sample, transaction};
use crate::{crash_point::crash_point, mutant::mutant, task::ledger};
use longshore_sdk::Error;
use tokio::time::Instant;

impl Running {
    /// Whether something is safe that is not stored, or stored and the source does not know.
    pub(super) fn owes_commit(&self) -> bool {
        self.ledger.has_safe() || !self.unstored.is_empty() || !self.untold.is_empty()
    }

    /// Whether so much waits for a commit that nothing is polled before it (I6): a source may have any number of lanes between two commits. It is
    /// true only while a commit is owed, which is due then, or has its time after an error; so it always ends.
    pub(super) fn commit_presses(&self) -> bool {
        self.ledger.safe_bytes() + self.uncommitted >= self.task.settings.offsets_bytes_max
            && self.owes_commit()
    }

    pub(super) fn commit_due(&self) -> bool {
        (Instant::now() >= self.commit_at || self.finishing || self.commit_presses())
            && self.commits.due()
            && self.owes_commit()
    }

    /// Stores what became safe, then tells the source. A retryable error leaves the rest for the next time.
    pub(super) async fn commit(&mut self) -> Result<(), Failure> {
        let started = Instant::now();
        self.commit_at = started + self.task.settings.commit_interval;
        let tried = self.try_commit().await;
        // Nothing, unless it failed.
        self.uncommitted = ledger::size(&self.unstored) + ledger::size(&self.untold);
        match tried {
            Ok(()) => {
                self.task.meters.add(Count::Stored, 1);
                self.task
                    .meters
                    .sample_time(Sample::Commit, started.elapsed());
                self.recovered(Place::Commit);
                Ok(())
            }
            Err((op, error)) => {
                self.task.meters.add(Count::StoreFailed, 1);
                if op == transaction::OP {
                    return Err(transaction::over(error));
                }
                self.retry(Place::Commit, op, error)?;
                self.commit_at = self.commits.at().unwrap_or(self.commit_at);
                Ok(())
            }
        }
    }

    pub(super) async fn try_commit(&mut self) -> Result<(), (&'static str, Error)> {
        self.unstored.extend(self.ledger.take_safe());
        if mutant!("source-commit-before-store") {
            drop(self.task.source.commit(&self.unstored).await);
        }
        if self.transactions.is_some() {
            let committed = self.commit_transaction().await;
            committed.map_err(|error| (transaction::OP, error))?;
            self.untold.append(&mut self.unstored);
        } else if !self.unstored.is_empty() {
            crash_point("before-offset-store");
            self.task.progress.enter(Call::Store);
            let stored = self.task.offsets.put(&self.unstored).await;
            self.task.progress.leave(stored.is_ok());
            stored.map_err(|error| ("store", error))?;
            crash_point("after-offset-store");
            self.untold.append(&mut self.unstored);
        }
        if !self.untold.is_empty() {
            // I2: only offsets that the store has acknowledged come this far.
            self.task.progress.enter(Call::Commit);
            let told = self.task.source.commit(&self.untold).await;
            self.task.progress.leave(told.is_ok());
            told.map_err(|error| ("commit", error))?;
            self.untold.clear();
            crash_point("after-commit");
        }
        Ok(())
    }
}
