//! The source task: one loop, one owner, at its own pace.

mod delivery;
mod end;
mod offsets;
mod transaction;

use super::{
    Call, Chain, Failure, Ledger, OffsetStore, Outcome, Pace, Progress, TaskId, TaskSettings,
    TopicObserver,
    flow::Flow,
    outcome::within_grace,
    reaction::{Next, Place, react},
    retry::{DELAY_MAX, Limits, Retry},
};
use crate::{
    budget::Credit,
    crash_point::crash_point,
    metrics::{Count, Level, Sample, TaskMeters},
    ports::{Answer, Inbox, Producer, Ticket},
};
use longshore_sdk::{Error, Offsets, SourceRecord, Topic, erased::DynSource};
use rand::{SeedableRng, rngs::StdRng};
use std::{collections::HashSet, sync::Arc, time::Duration};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;
use transaction::Transactions;

/// A source task, ready to run.
pub struct SourceTask {
    /// Its name.
    pub id: TaskId,
    /// What it reads.
    pub source: Box<dyn DynSource>,
    /// Transforms and converters.
    pub chain: Chain,
    /// Where records go, and the offsets with them where the settings say transactions.
    pub producer: Box<dyn Producer>,
    /// Where offsets go without transactions.
    pub offsets: Arc<dyn OffsetStore>,
    /// Limits and intervals.
    pub settings: TaskSettings,
    /// Its metrics.
    pub meters: Arc<TaskMeters>,
    /// What the status view shows.
    pub progress: Arc<Progress>,
    /// Told of each topic before its first record.
    pub topics: Arc<dyn TopicObserver>,
    /// Paused or not. A sender that is gone leaves it as it is.
    pub pace: watch::Receiver<Pace>,
    /// Cancelled = drain, store, close, within the grace period.
    pub stop: CancellationToken,
    /// Its part in the worker's memory.
    pub credit: Credit,
    /// Seeds the jitter of retries: any number in production, a fixed one in simulation.
    pub seed: u64,
}

impl SourceTask {
    /// Runs until stopped, finished or failed. A panic of the connector passes through: the caller catches it.
    pub async fn run(self) -> Outcome {
        let (stop, grace, id) = (self.stop.clone(), self.settings.grace, self.id.clone());
        within_grace(Box::pin(Running::new(self).run()), stop, grace, &id).await
    }
}

/// A batch between poll and send.
struct Work {
    flow: Flow,
    /// By ordinal.
    tickets: Vec<Ticket>,
}

/// Why the loop ended, when nothing failed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Stopped,
    Finished,
}

struct Running {
    task: SourceTask,
    ledger: Ledger,
    inbox: Arc<Inbox>,
    answers: Vec<Answer>,
    /// Records sent and not answered yet.
    outstanding: usize,
    work: Option<Work>,
    known: HashSet<Topic>,
    /// Safe, and not stored yet.
    unstored: Offsets,
    /// Stored, and the source does not know yet.
    untold: Offsets,
    /// The rough size of both.
    uncommitted: usize,
    commit_at: Instant,
    /// Where there are any.
    transactions: Option<Transactions>,
    polls: Retry,
    sends: Retry,
    commits: Retry,
    rng: StdRng,
    finishing: bool,
}

impl Running {
    fn new(task: SourceTask) -> Self {
        Self {
            ledger: Ledger::new(
                task.settings.in_flight_max,
                task.settings.in_flight_bytes_max,
            ),
            inbox: Inbox::new(),
            answers: Vec::new(),
            outstanding: 0,
            work: None,
            known: HashSet::new(),
            unstored: Offsets::new(),
            untold: Offsets::new(),
            uncommitted: 0,
            commit_at: Instant::now() + task.settings.commit_interval,
            polls: Retry::default(),
            sends: Retry::default(),
            commits: Retry::default(),
            rng: StdRng::seed_from_u64(task.seed),
            transactions: task.settings.transactions.clone().map(Transactions::new),
            finishing: false,
            task,
        }
    }

    async fn run(mut self) -> Outcome {
        loop {
            match self.turn().await {
                Ok(None) => tokio::task::coop::consume_budget().await,
                Ok(Some(end)) => return self.end(end).await,
                Err(failure) => return self.fail(failure).await,
            }
        }
    }

    /// One turn: take what has arrived, do what is due, then move one batch or wait.
    async fn turn(&mut self) -> Result<Option<End>, Failure> {
        self.settle()?;
        self.task.credit.hold(self.ledger.bytes());
        if self.task.stop.is_cancelled() {
            return Ok(Some(End::Stopped));
        }
        // Asked once: time goes on between two looks, and a commit before the last receipt would hold records whose offsets come after it.
        if self.transaction_due() || self.commit_due() {
            if self.in_transaction() && self.outstanding > 0 {
                // What goes on meanwhile would belong to the next transaction.
                self.await_receipts().await;
                return Ok(None);
            }
            self.commit().await?;
        }
        if self.work.is_some() && self.sends.due() {
            self.move_on().await?;
            return Ok(None);
        }
        if self.finishing && self.work.is_none() && self.outstanding == 0 && !self.owes_commit() {
            return Ok(Some(End::Finished));
        }
        let paused = *self.task.pace.borrow_and_update() != Pace::Run;
        self.task.progress.set_paused(paused);
        if paused {
            self.task.credit.rest();
        }
        let rest_at = self.rest_producer();
        let poll_at = self.polls.at().filter(|_| !self.polls.due());
        if self.work.is_some()
            || self.finishing
            || paused
            || !self.has_room()
            || poll_at.is_some()
            || !self.task.credit.may_fetch()
        {
            self.wait(poll_at, rest_at).await;
            return Ok(None);
        }
        self.poll().await?;
        Ok(None)
    }

    /// Whether another batch may be polled (I6).
    fn has_room(&self) -> bool {
        self.ledger.has_room() && !self.commit_presses()
    }

    /// Waits for whatever could let the loop go on. All of it is cancel safe: nothing of the connector is waited for here (I7).
    async fn wait(&mut self, poll_at: Option<Instant>, rest_at: Option<Instant>) {
        // The last commit waits for no interval, only for its next attempt.
        let commit_at = if self.finishing {
            self.commits.at()
        } else {
            Some(self.commit_at)
        };
        let commit_at = commit_at.filter(|_| self.owes_commit() || self.in_transaction());
        let send_at = self.work.as_ref().and(self.sends.at());
        let times = [commit_at, send_at, poll_at, rest_at];
        let timer = times.into_iter().flatten().min();
        let starved = self.outstanding > 0 && !self.ledger.has_room();
        let memory = self.work.is_none() && self.has_room() && self.task.credit.waits();
        if starved {
            self.task.progress.enter(Call::Receipts);
        } else if memory {
            self.task.progress.enter(Call::Memory);
        }
        tokio::select! {
            biased;
            () = self.task.stop.cancelled() => {}
            () = self.inbox.arrived() => {}
            () = sleep_until(timer) => {}
            () = changed(&mut self.task.pace) => {}
            () = self.task.credit.granted() => {}
        }
        if starved || memory {
            self.task.progress.leave(false);
        }
    }

    /// Lets the producer rest while there is nothing for it to do. When it is to be told again, should nothing wake the loop before.
    fn rest_producer(&mut self) -> Option<Instant> {
        let idle = self.outstanding == 0 && self.work.is_none() && !self.in_transaction();
        if idle {
            self.task.producer.rest()
        } else {
            None
        }
    }

    async fn poll(&mut self) -> Result<(), Failure> {
        crash_point("before-poll");
        let (started, wait) = (Instant::now(), self.poll_wait());
        self.task.progress.enter(Call::Poll);
        let polled = self.task.source.poll(wait).await;
        self.task.progress.leave(polled.is_ok());
        crash_point("after-poll");
        match polled {
            Ok(batch) => {
                self.recovered(Place::Poll);
                let empty = batch.is_empty();
                if !empty {
                    self.task
                        .meters
                        .sample_time(Sample::Poll, started.elapsed());
                    self.open(batch);
                }
                self.advance();
                if empty {
                    rest(started, wait, &self.task.stop).await;
                }
                Ok(())
            }
            Err(error) => match self.retry(Place::Poll, "poll", error)? {
                Next::Finish => {
                    self.advance();
                    self.finishing = true;
                    Ok(())
                }
                _ => Ok(()),
            },
        }
    }

    /// Enters a batch into the ledger and puts it before the chain.
    fn open(&mut self, batch: Vec<SourceRecord>) {
        let mut tickets = Vec::with_capacity(batch.len());
        let mut records = Vec::with_capacity(batch.len());
        for SourceRecord {
            record,
            lane,
            offset,
        } in batch
        {
            tickets.push(self.ledger.open(&lane, offset, record.size()));
            records.push(record);
        }
        self.task.meters.add(Count::Polled, records.len());
        #[allow(clippy::cast_precision_loss)]
        self.task.meters.sample(Sample::Batch, records.len() as f64);
        self.task.credit.hold(self.ledger.bytes());
        self.show_active();
        self.work = Some(Work {
            flow: Flow::new(records),
            tickets,
        });
    }

    /// Enters progress without records behind the records of the same poll. It waits for the commit interval like any other offset, so that a
    /// source at rest makes no commit per poll.
    fn advance(&mut self) {
        for (lane, offset) in self.task.source.advanced() {
            self.ledger.advance(&lane, offset);
        }
    }

    fn show_active(&self) {
        self.task.meters.set(
            Level::SourceActive,
            i64::try_from(self.ledger.len()).unwrap_or(i64::MAX),
        );
    }

    /// Asks the table about an error. Retried calls are scheduled; `Ok(Finish)` is for the caller; everything else fails the task.
    fn retry(&mut self, place: Place, op: &'static str, error: Error) -> Result<Next, Failure> {
        let errors = &self.task.settings.errors;
        let next = react(place, error.kind(), errors);
        if next == Next::Finish {
            return Ok(next);
        }
        let mut limits = Limits {
            timeout: self.task.settings.retry_timeout,
            delay_max: DELAY_MAX,
        };
        if place == Place::Chain {
            limits = Limits {
                timeout: errors.retry_timeout,
                delay_max: errors.retry_delay_max,
            };
        }
        // Without a retry timeout the chain keeps no copies to go on with.
        let hopeless = place == Place::Chain && errors.retry_timeout.is_zero();
        let retry = match place {
            Place::Poll => &mut self.polls,
            Place::Commit => &mut self.commits,
            _ => &mut self.sends,
        };
        if hopeless && let Next::Wait(after) = next {
            return Err(Failure::new(op, error, Next::Reopen(after)));
        }
        match retry.schedule(next, limits, &mut self.rng) {
            Some(next) => Err(Failure::new(op, error, next)),
            None => {
                if retry.tells() {
                    tracing::warn!(task = %self.task.id, op, %error, attempts = retry.attempts(), "call failed and is made again");
                }
                self.task.meters.add(Count::Retries, 1);
                self.task
                    .progress
                    .trouble(Some(format!("{op} is retried after: {error}")));
                Ok(next)
            }
        }
    }

    /// The call succeeded: its attempts are forgotten.
    fn recovered(&mut self, place: Place) {
        let retry = match place {
            Place::Poll => &mut self.polls,
            Place::Commit => &mut self.commits,
            _ => &mut self.sends,
        };
        if retry.pending() {
            retry.clear();
            self.task.progress.trouble(None);
        }
    }
}

/// At that time, or never.
pub(in crate::task) async fn sleep_until(timer: Option<Instant>) {
    match timer {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// When the pace has changed; never, once nobody can change it.
async fn changed(pace: &mut watch::Receiver<Pace>) {
    if pace.changed().await.is_err() {
        std::future::pending().await
    }
}

/// A poll that came back empty and at once would make this loop spin: it rests a little.
async fn rest(started: Instant, wait: Duration, stop: &CancellationToken) {
    let least = wait / 10;
    if started.elapsed() < least {
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = tokio::time::sleep(least) => {}
        }
    }
}

#[cfg(test)]
mod tests;
