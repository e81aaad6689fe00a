//! The end of a source task: drain, last commit, close.

use super::{Call, End, Failure, Outcome, Running};
use longshore_sdk::ErrorKind;
use tokio::time::{Instant, timeout, timeout_at};

impl Running {
    /// Ends in order. What is still under way when half of the grace period has passed is not waited for: it will be read again.
    pub(super) async fn end(mut self, end: End) -> Outcome {
        self.drain().await;
        self.last_commit().await;
        self.close().await;
        match end {
            End::Stopped => Outcome::Stopped,
            End::Finished => Outcome::Finished,
        }
    }

    pub(super) async fn fail(mut self, failure: Failure) -> Outcome {
        // I4: a fenced task touches nothing any more. Any other stores what it can, so that less is read again.
        if failure.error.kind() != ErrorKind::Fenced && !self.producer_is_dead() {
            // Where sending is not what failed, what is on its way still arrives: waited for, it is not read again.
            if failure.op == "poll" || self.in_transaction() && failure.op != "send" {
                self.drain().await;
            }
            if let Err(second) = self.settle() {
                tracing::debug!(task = %self.task.id, error = %second.error, "another record failed");
            }
            if !matches!(failure.op, "store" | "commit") {
                self.last_commit().await;
            }
        }
        self.close().await;
        Outcome::Failed(failure)
    }

    /// Waits for the receipts of what was sent, for half the grace period.
    async fn drain(&mut self) {
        let half = Instant::now() + self.task.settings.grace / 2;
        while self.outstanding > 0 {
            self.task.progress.enter(Call::Receipts);
            if timeout_at(half, self.inbox.arrived()).await.is_err() {
                tracing::warn!(task = %self.task.id, records = self.outstanding, "ended before every record was delivered; they will be read again");
                break;
            }
            if let Err(failure) = self.settle() {
                tracing::warn!(task = %self.task.id, error = %failure.error, "a record was not delivered before the end; it will be read again");
            }
        }
    }

    async fn last_commit(&mut self) {
        if !self.transaction_is_whole() {
            return self.abort().await;
        }
        match timeout(self.task.settings.grace, self.try_commit()).await {
            Ok(Ok(())) => {}
            Ok(Err((op, error))) => {
                tracing::warn!(task = %self.task.id, op, %error, "last commit failed; some records will be read again")
            }
            Err(_) => {
                tracing::warn!(task = %self.task.id, "last commit took too long; some records may be read again")
            }
        }
    }

    async fn close(&mut self) {
        self.task.progress.enter(Call::Close);
        match timeout(self.task.settings.grace, self.task.source.close()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(task = %self.task.id, %error, "close failed"),
            Err(_) => tracing::warn!(task = %self.task.id, "close took too long"),
        }
        self.task.progress.leave(true);
    }
}
