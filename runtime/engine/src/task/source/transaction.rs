//! Exactly once: records and the offsets that follow from them stand in one transaction, so that a reader of committed records never sees the one without the other.

use super::{Call, Failure, Next, Pace, Running};
use crate::{
    crash_point::crash_point,
    mutant::mutant,
    ports::Receipt,
    task::{Boundary, TransactionSettings, reaction::REOPEN},
    views::offset,
};
use longshore_sdk::{Error, ErrorKind, Record, Result};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// The operation that a failed transactional call is told as.
pub(super) const OP: &str = "transaction";

/// The transactions of one task's life. They are made one after the other, by one producer.
pub(super) struct Transactions {
    settings: TransactionSettings,
    /// One is begun.
    open: bool,
    /// Bytes of records in it.
    bytes: usize,
    /// A record of it was not delivered: it can only be aborted.
    spoilt: bool,
    /// A call failed: whatever became of it, this producer is not used again (I4).
    dead: bool,
}

impl Transactions {
    pub(super) fn new(settings: TransactionSettings) -> Self {
        Self {
            settings,
            open: false,
            bytes: 0,
            spoilt: false,
            dead: false,
        }
    }
}

/// What follows a transactional call that failed: its outcome may be unknown, so the task is built anew from its first step, whatever time may mend.
pub(super) fn over(error: Error) -> Failure {
    let next = match error.kind() {
        ErrorKind::Config | ErrorKind::Auth | ErrorKind::Data | ErrorKind::End => Next::Fail,
        ErrorKind::Transient | ErrorKind::Throttled(_) | ErrorKind::Fenced | ErrorKind::Bug => {
            Next::Reopen(REOPEN)
        }
    };
    Failure::new(OP, error, next)
}

impl Running {
    pub(super) fn in_transaction(&self) -> bool {
        self.transactions.as_ref().is_some_and(|now| now.open)
    }
    pub(super) fn producer_is_dead(&self) -> bool {
        self.transactions.as_ref().is_some_and(|now| now.dead)
    }
    pub(super) fn producer_died(&mut self) {
        if let Some(now) = &mut self.transactions {
            now.dead = true;
        }
    }
    pub(super) fn spoil_transaction(&mut self) {
        if let Some(now) = &mut self.transactions {
            now.spoilt = true;
        }
    }
    /// Whether the open transaction takes no more records.
    pub(super) fn transaction_due(&self) -> bool {
        let Some(now) = self.transactions.as_ref().filter(|now| now.open) else {
            return false;
        };
        // A task that is paused must not hold up who reads committed records.
        self.finishing
            || *self.task.pace.borrow() != Pace::Run
            || now.settings.boundary == Boundary::Poll
            || now.bytes >= now.settings.bytes_max
            || Instant::now() >= self.commit_at
    }
    /// Whether all of it is delivered, so that it may be committed. True without transactions.
    pub(super) fn transaction_is_whole(&self) -> bool {
        let whole = |now: &Transactions| !now.dead && !now.spoilt && self.outstanding == 0;
        self.transactions.as_ref().is_none_or(whole)
    }
    /// A poll ends in time for the transaction's commit.
    pub(super) fn poll_wait(&self) -> Duration {
        let wait = self.task.settings.poll_wait;
        if self.in_transaction() {
            let left = self.commit_at.saturating_duration_since(Instant::now());
            return wait.min(left);
        }
        wait
    }

    /// Counts a batch into the transaction; the first one begins it.
    pub(super) async fn enlist(&mut self, batch: &[(Record, Receipt)]) -> Result<(), Failure> {
        if let Some(now) = &mut self.transactions {
            now.bytes += batch.iter().map(|(record, _)| record.size()).sum::<usize>();
            return self.begin().await.map_err(over);
        }
        Ok(())
    }

    async fn begin(&mut self) -> Result<()> {
        let Some(now) = self.transactions.as_mut().filter(|now| !now.open) else {
            return Ok(());
        };
        // Should the call be dropped, nobody knows how it went.
        now.dead = true;
        crash_point("txn-begin");
        // A client that was given up is opened again here, which takes its time.
        self.task.progress.enter(Call::Send);
        let begun = self.task.producer.begin().await;
        self.task.progress.leave(begun.is_ok());
        begun?;
        now.dead = false;
        now.open = true;
        self.commit_at = Instant::now() + now.settings.interval;
        Ok(())
    }

    /// Commits what was sent together with what became safe by it; all receipts are in. Offsets alone (of records that were left out, of
    /// progress without any) count, too.
    pub(super) async fn commit_transaction(&mut self) -> Result<()> {
        let alone = !self.in_transaction();
        if self.unstored.is_empty() && alone {
            return Ok(());
        }
        let next_at = self.commit_at;
        self.begin().await?;
        let Some(now) = &mut self.transactions else {
            return Ok(());
        };
        // Nobody waits for offsets alone: a source at rest that reports progress makes one transaction per commit interval (I6).
        self.commit_at = match alone {
            true => next_at.max(Instant::now()),
            false => Instant::now() + now.settings.interval,
        };
        let mut entries = std::mem::take(&mut now.settings.restated);
        entries.extend(offset::entries(&self.task.id.connector, &self.unstored));
        now.dead = true;
        crash_point("before-txn-commit");
        self.task.progress.enter(Call::Store);
        let copy = mutant!("ambiguous-commit-retried").then(|| entries.clone());
        let mut committed = self.task.producer.commit(entries).await;
        if let (Err(_), Some(entries)) = (&committed, copy) {
            committed = self.task.producer.commit(entries).await;
        }
        self.task.progress.leave(committed.is_ok());
        // I4: after any other answer this producer is not asked again, not even to abort.
        committed?;
        crash_point("after-txn-commit");
        now.dead = false;
        now.open = false;
        now.bytes = 0;
        Ok(())
    }

    /// Gives the open transaction up; what it holds will be read again. The next opening does the same where this does not succeed.
    pub(super) async fn abort(&mut self) {
        let Some(now) = self
            .transactions
            .as_mut()
            .filter(|now| now.open && !now.dead)
        else {
            return;
        };
        now.dead = true;
        let aborted = timeout(self.task.settings.grace, self.task.producer.abort()).await;
        match aborted {
            Ok(Ok(())) => {
                tracing::info!(task = %self.task.id, "ended before its transaction was whole, which is aborted; its records will be read again");
            }
            Ok(Err(error)) => {
                tracing::debug!(task = %self.task.id, %error, "an abort failed; the next opening aborts");
            }
            Err(_) => {
                tracing::debug!(task = %self.task.id, "an abort took too long; the next opening aborts");
            }
        }
    }

    /// Waits for the broker's answers, and for nothing else but the stop.
    pub(super) async fn await_receipts(&mut self) {
        self.task.progress.enter(Call::Receipts);
        tokio::select! {
            biased;
            () = self.task.stop.cancelled() => {}
            () = self.inbox.arrived() => {}
        }
        self.task.progress.leave(false);
    }
}
