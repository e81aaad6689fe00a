//! The sink task: rebalances arrive in band, offsets move only behind a flush.

mod batch;
mod offsets;
mod rebalance;
mod states;
mod work;

use super::{
    Call, Chain, Failure, Outcome, Pace, Progress, TaskId, TaskSettings, TopicObserver,
    dead_letter::DeadLetters,
    outcome::within_grace,
    reaction::{Next, Place, react},
    retry::{DELAY_MAX, Limits, Retry},
};
use crate::{
    budget::Credit,
    crash_point::crash_point,
    metrics::{Count, Level, Sample, TaskMeters},
    ports::{Consumer, Polled, Producer},
};
use batch::Batch;
use longshore_sdk::{Error, ErrorKind, Topic, TopicOffsets, TopicPartition, erased::DynSink};
use rand::{SeedableRng, rngs::StdRng};
use states::States;
use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

/// How often the lag is read from the client.
const LAG_INTERVAL: Duration = Duration::from_secs(1);

/// A sink task, ready to run.
pub struct SinkTask {
    /// Its name.
    pub id: TaskId,
    /// The connector's class, as dead letters of refused records give it.
    pub class: Arc<str>,
    /// What it reads.
    pub consumer: Box<dyn Consumer>,
    /// Converters and transforms.
    pub chain: Chain,
    /// What it writes.
    pub sink: Box<dyn DynSink>,
    /// Writes the dead letter queue; used if the settings name one. Its topic exists already.
    pub dead_letters: Option<Box<dyn Producer>>,
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
    /// Cancelled = flush, commit, close, within the grace period.
    pub stop: CancellationToken,
    /// Its part in the worker's memory.
    pub credit: Credit,
    /// Seeds the jitter of retries: any number in production, a fixed one in simulation.
    pub seed: u64,
}

impl SinkTask {
    /// Runs until stopped or failed. A panic of the connector passes through: the caller catches it.
    pub async fn run(self) -> Outcome {
        let (stop, grace, id) = (self.stop.clone(), self.settings.grace, self.id.clone());
        let running = match Running::new(self) {
            Ok(running) => running,
            Err(failure) => return Outcome::Failed(failure),
        };
        within_grace(Box::pin(running.run()), stop, grace, &id).await
    }
}

struct Running {
    id: TaskId,
    class: Arc<str>,
    consumer: Box<dyn Consumer>,
    chain: Chain,
    sink: Box<dyn DynSink>,
    dead: Option<DeadLetters>,
    settings: TaskSettings,
    meters: Arc<TaskMeters>,
    progress: Arc<Progress>,
    topics: Arc<dyn TopicObserver>,
    pace: watch::Receiver<Pace>,
    stop: CancellationToken,
    credit: Credit,
    /// The batch at hand. There is one at most: while it waits, the consumer is paused (I6).
    batch: Option<Batch>,
    owned: BTreeSet<TopicPartition>,
    /// The target keeps the offsets: every put is flushed at once.
    keeps: bool,
    /// Next offsets behind what was taken, left out or refused, and not flushed yet.
    taken: TopicOffsets,
    /// Flushed, and not committed yet.
    flushed: TopicOffsets,
    /// What goes with them.
    states: States,
    known: HashSet<Topic>,
    commit_at: Instant,
    commit_seq: i64,
    lag_at: Instant,
    held: bool,
    polls: Retry,
    puts: Retry,
    commits: Retry,
    rng: StdRng,
}

impl Running {
    fn new(task: SinkTask) -> Result<Self, Failure> {
        // Without tolerance nothing is left out, so that the queue has no letters.
        let errors = &task.settings.errors;
        let queue = errors.dead_letter.as_ref().filter(|_| errors.tolerance_all);
        let dead = match (task.dead_letters, queue) {
            (Some(producer), Some(spec)) => Some(DeadLetters::new(
                producer,
                spec.clone(),
                task.id.clone(),
                task.meters.clone(),
            )),
            (None, Some(_)) => {
                let error = Error::bug(
                    "open",
                    "the settings name a dead letter queue, and there is no producer for it",
                );
                return Err(Failure::new("open", error, Next::Fail));
            }
            (_, None) => None,
        };
        Ok(Self {
            dead,
            batch: None,
            owned: BTreeSet::new(),
            keeps: false,
            taken: TopicOffsets::new(),
            flushed: TopicOffsets::new(),
            states: States::default(),
            known: HashSet::new(),
            commit_at: Instant::now() + task.settings.commit_interval,
            commit_seq: 0,
            lag_at: Instant::now(),
            held: false,
            polls: Retry::default(),
            puts: Retry::default(),
            commits: Retry::default(),
            rng: StdRng::seed_from_u64(task.seed),
            id: task.id,
            class: task.class,
            consumer: task.consumer,
            chain: task.chain,
            sink: task.sink,
            settings: task.settings,
            meters: task.meters,
            progress: task.progress,
            topics: task.topics,
            pace: task.pace,
            stop: task.stop,
            credit: task.credit,
        })
    }

    async fn run(mut self) -> Outcome {
        while !self.stop.is_cancelled() {
            if let Err(failure) = self.turn().await {
                return self.fail(failure).await;
            }
            tokio::task::coop::consume_budget().await;
        }
        self.end().await
    }

    /// One turn: one event or batch, then whatever is due.
    async fn turn(&mut self) -> Result<(), Failure> {
        self.hold()?;
        match self.poll().await? {
            Polled::Batch(records) => self.accept(records)?,
            Polled::Assigned(at) => self.assigned(&at).await?,
            Polled::Revoked(at) => self.revoked(&at).await?,
            Polled::Lost(at) => self.lost(&at).await?,
        }
        if self.batch.is_some() && self.puts.due() {
            self.work().await?;
        }
        if self.batch.is_none() {
            self.credit.hold(0);
        }
        if let Some(dead) = &mut self.dead {
            dead.rest();
        }
        let now = Instant::now();
        if now >= self.commit_at {
            self.commit().await?;
        }
        if now >= self.lag_at {
            self.lag_at = now + LAG_INTERVAL;
            self.show_lag();
            self.progress.set_missing(self.consumer.missing());
        }
        Ok(())
    }

    /// While a batch waits, or the connector is paused, polls bring events only.
    fn hold(&mut self) -> Result<(), Failure> {
        let paused = *self.pace.borrow_and_update() != Pace::Run;
        self.progress.set_paused(paused);
        let hold = paused || self.batch.is_some();
        if hold != self.held {
            let changed = if hold {
                self.consumer.pause()
            } else {
                self.consumer.resume()
            };
            changed.map_err(|error| self.failure(Place::Rebalance, "pause", error))?;
            self.held = hold;
        }
        Ok(())
    }

    async fn poll(&mut self) -> Result<Polled, Failure> {
        let mut wait = self.settings.poll_wait;
        if let Some(at) = self.puts.at() {
            wait = wait.min(at.saturating_duration_since(Instant::now()));
        }
        crash_point("before-poll");
        self.progress.enter(Call::Poll);
        let polled = self.consumer.poll(wait).await;
        // That nothing came is fine only where nothing was to come.
        let nothing = matches!(&polled, Ok(Polled::Batch(records)) if records.is_empty());
        self.progress
            .leave(polled.is_ok() && !(nothing && self.has_work()));
        crash_point("after-poll");
        match polled {
            Ok(polled) => {
                self.recovered(Place::Poll);
                Ok(polled)
            }
            Err(error) => {
                self.retry(Place::Poll, "poll", error)?;
                // A broker that is away is asked again after the backoff, not at once.
                tokio::select! {
                    biased;
                    () = self.stop.cancelled() => {}
                    () = super::source::sleep_until(self.polls.at()) => {}
                }
                Ok(Polled::Batch(Vec::new()))
            }
        }
    }

    fn has_work(&self) -> bool {
        let behind = self.progress.lag().is_some_and(|lag| lag > 0);
        !self.progress.paused() && (self.batch.is_some() || behind)
    }

    /// Ends in order. A batch that waits for another attempt is thrown away: nothing of it is committed.
    async fn end(mut self) -> Outcome {
        self.batch = None;
        if let Err(failure) = self.commit().await {
            tracing::warn!(task = %self.id, op = failure.op, error = %failure.error, "last commit failed; some records will come again");
        }
        self.close().await;
        Outcome::Stopped
    }

    async fn fail(mut self, failure: Failure) -> Outcome {
        // Only where the sink had no part in the failure may it be asked for anything more.
        let sound =
            matches!(failure.op, "poll" | "transform") && failure.error.kind() != ErrorKind::Fenced;
        if sound && let Ok(Err(second)) = timeout(self.settings.grace, self.commit()).await {
            tracing::warn!(task = %self.id, op = second.op, error = %second.error, "last commit failed; some records will come again");
        }
        self.close().await;
        Outcome::Failed(failure)
    }

    async fn close(mut self) {
        self.progress.enter(Call::Close);
        match timeout(self.settings.grace, self.sink.close()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(task = %self.id, %error, "close failed"),
            Err(_) => tracing::warn!(task = %self.id, "close took too long"),
        }
        match timeout(self.settings.grace, self.consumer.close()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(task = %self.id, %error, "leaving the group failed"),
            Err(_) => tracing::warn!(task = %self.id, "leaving the group took too long"),
        }
        self.progress.leave(true);
    }

    fn show_lag(&self) {
        let lags = self.consumer.lag();
        if lags.is_empty() && !self.owned.is_empty() {
            return;
        }
        let behind = |lag: &crate::ports::Lag| (lag.end - lag.position).max(0);
        self.progress.set_lag(lags.iter().map(behind).sum());
        self.meters
            .set(Level::Lag, lags.iter().map(behind).max().unwrap_or(0));
    }

    /// The failure that the table says follows an error that is not retried.
    fn failure(&self, place: Place, op: &'static str, error: Error) -> Failure {
        let next = react(place, error.kind(), &self.settings.errors);
        Failure::new(op, error, next)
    }

    /// Asks the table about an error: `Ok` = the call is scheduled again.
    fn retry(&mut self, place: Place, op: &'static str, error: Error) -> Result<(), Failure> {
        let errors = &self.settings.errors;
        let next = react(place, error.kind(), errors);
        let mut limits = Limits {
            timeout: self.settings.retry_timeout,
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
            _ => &mut self.puts,
        };
        if hopeless && let Next::Wait(after) = next {
            return Err(Failure::new(op, error, Next::Reopen(after)));
        }
        if let Some(next) = retry.schedule(next, limits, &mut self.rng) {
            return Err(Failure::new(op, error, next));
        }
        if retry.tells() {
            tracing::warn!(task = %self.id, op, %error, attempts = retry.attempts(), "call failed and is made again");
        }
        self.meters.add(Count::Retries, 1);
        self.progress
            .trouble(Some(format!("{op} is retried after: {error}")));
        Ok(())
    }

    /// The call succeeded: its attempts are forgotten.
    fn recovered(&mut self, place: Place) {
        let retry = match place {
            Place::Poll => &mut self.polls,
            Place::Commit => &mut self.commits,
            _ => &mut self.puts,
        };
        if retry.pending() {
            retry.clear();
            self.progress.trouble(None);
        }
    }
}
