//! What the status view shows of a running task: written by its loop, read by anybody, without waiting for each other.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

/// The call that a loop is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Call {
    /// None: between calls, or waiting for time to pass.
    None,
    /// `Source::poll` or the consumer's.
    Poll,
    /// Transforms and converters.
    Chain,
    /// `Producer::send`.
    Send,
    /// Receipts of records in flight.
    Receipts,
    /// `OffsetStore::put`.
    Store,
    /// `Source::commit` or the consumer's commit.
    Commit,
    /// `Sink::put`.
    Put,
    /// `Sink::flush`.
    Flush,
    /// `Sink::assigned`.
    Assigned,
    /// `Sink::revoked`.
    Revoked,
    /// The dead letter queue's acknowledgements.
    DeadLetters,
    /// None: the worker's memory budget has no room for another batch.
    Memory,
    /// `close`.
    Close,
}

const CALLS: [(Call, &str); 14] = [
    (Call::None, ""),
    (Call::Poll, "poll"),
    (Call::Chain, "transforms and converters"),
    (Call::Send, "send"),
    (Call::Receipts, "delivery of records in flight"),
    (Call::Store, "storing offsets"),
    (Call::Commit, "commit"),
    (Call::Put, "put"),
    (Call::Flush, "flush"),
    (Call::Assigned, "claiming partitions"),
    (Call::Revoked, "releasing partitions"),
    (Call::DeadLetters, "delivery of dead letters"),
    (Call::Memory, "memory"),
    (Call::Close, "close"),
];

/// A task's counters and its present call: cheap atomics.
#[derive(Debug)]
pub struct Progress {
    born: Instant,
    records: AtomicU64,
    bytes: AtomicU64,
    last_ok_ms: AtomicU64,
    /// When records last moved, plus one; 0 = never.
    moved_ms: AtomicU64,
    call: AtomicU8,
    call_ms: AtomicU64,
    /// The partitions that a sink owns; -1 = not a sink.
    partitions: AtomicI64,
    given_up: Notify,
    lag: AtomicI64,
    paused: AtomicBool,
    trouble: Mutex<Option<String>>,
    /// The topics of a sink that do not exist.
    missing: Mutex<Vec<String>>,
}

/// How many missing topics are named.
const NAMED_MAX: usize = 5;
/// A task whose records moved so lately is at work, whatever it does at the moment.
const BUSY: Duration = Duration::from_secs(1);

impl Progress {
    /// Of a task that starts now.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            born: Instant::now(),
            records: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            last_ok_ms: AtomicU64::new(0),
            moved_ms: AtomicU64::new(0),
            call: AtomicU8::new(Call::None as u8),
            call_ms: AtomicU64::new(0),
            partitions: AtomicI64::new(-1),
            given_up: Notify::new(),
            lag: AtomicI64::new(-1),
            paused: AtomicBool::new(false),
            trouble: Mutex::new(None),
            missing: Mutex::default(),
        })
    }
    /// Records delivered (source) or taken (sink).
    pub fn records(&self) -> u64 {
        self.records.load(Relaxed)
    }
    /// Their rough size.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }
    /// When a call last succeeded; the start at first.
    pub fn last_ok(&self) -> Instant {
        self.born + Duration::from_millis(self.last_ok_ms.load(Relaxed))
    }
    /// The error that is being retried, or the call that is open; `None` between calls. A poll that waits for records is no obstacle, unless nothing has
    /// succeeded for `timeout`, or for a second while records are known to be there.
    pub fn blocked_on(&self, timeout: Duration) -> Option<String> {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(trouble) = &*trouble {
            return Some(trouble.clone());
        }
        let (call, name) = self.call();
        let patience = if self.is_behind() { BUSY } else { timeout };
        let waits = call == Call::Poll && self.last_ok().elapsed() < patience;
        (call != Call::None && !waits).then(|| name.to_owned())
    }
    /// What a task without an obstacle waits for: topics that do not exist, or `records`. `None` = it is at work, or blocked, or paused.
    pub fn waiting_for(&self, timeout: Duration) -> Option<String> {
        if self.paused() || self.blocked_on(timeout).is_some() {
            return None;
        }
        let missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        if !missing.is_empty() {
            let named = &missing[..missing.len().min(NAMED_MAX)];
            let text = format!("topics that do not exist: {}", named.join(", "));
            return Some(match missing.len() - named.len() {
                0 => text,
                more => format!("{text} and {more} more"),
            });
        }
        let busy = self.since_moved().is_some_and(|since| since < BUSY);
        (!busy && !self.is_behind()).then(|| "records".to_owned())
    }
    /// How long records have not moved; `None` = they never did.
    pub fn since_moved(&self) -> Option<Duration> {
        let at = self.moved_ms.load(Relaxed).checked_sub(1)?;
        Some(Duration::from_millis(self.age_ms().saturating_sub(at)))
    }
    /// Whether the task has something to do, a call that is open included, and nothing of it has succeeded for so long.
    pub fn stalled(&self, timeout: Duration) -> bool {
        let waiting = self.blocked_on(timeout).is_some() || self.is_behind();
        waiting && !self.paused() && self.last_ok().elapsed() >= timeout
    }
    /// How many partitions a sink owns; `None` for a source.
    pub fn partitions(&self) -> Option<usize> {
        usize::try_from(self.partitions.load(Relaxed)).ok()
    }
    /// How many records a sink is behind, over its partitions, where known.
    pub fn lag(&self) -> Option<i64> {
        Some(self.lag.load(Relaxed)).filter(|lag| *lag >= 0)
    }
    fn is_behind(&self) -> bool {
        self.lag().is_some_and(|lag| lag > 0)
    }
    /// Whether the task is paused.
    pub fn paused(&self) -> bool {
        self.paused.load(Relaxed)
    }

    pub(crate) fn moved(&self, records: usize, bytes: usize) {
        if records > 0 {
            self.moved_ms.store(self.age_ms() + 1, Relaxed);
        }
        self.records.fetch_add(records as u64, Relaxed);
        self.bytes.fetch_add(bytes as u64, Relaxed);
    }
    pub(crate) fn enter(&self, call: Call) {
        self.call_ms.store(self.age_ms(), Relaxed);
        self.call.store(call as u8, Relaxed);
    }
    /// The call is over; `ok` = it did what it should.
    pub(crate) fn leave(&self, ok: bool) {
        self.call.store(Call::None as u8, Relaxed);
        if ok {
            self.last_ok_ms.store(self.age_ms(), Relaxed);
        }
    }
    /// Gives the task up if it has been in one call for longer than `max`. Waits of the loop itself have ends of their own.
    pub(crate) fn give_up_after(&self, max: Duration) {
        let call = self.call().0;
        let own = matches!(
            call,
            Call::None | Call::Receipts | Call::Memory | Call::Close
        );
        let since = Duration::from_millis(self.call_ms.load(Relaxed));
        if !own && self.born.elapsed().saturating_sub(since) > max {
            self.given_up.notify_one();
        }
    }
    /// When the task was given up: the name of the call that did not return, and how long it has been open. Cancel safe.
    pub(crate) async fn given_up(&self) -> (&'static str, Duration) {
        self.given_up.notified().await;
        let since = Duration::from_millis(self.call_ms.load(Relaxed));
        let name = self.call().1;
        (name, self.born.elapsed().saturating_sub(since))
    }
    fn call(&self) -> (Call, &'static str) {
        let call = usize::from(self.call.load(Relaxed));
        CALLS.get(call).copied().unwrap_or(CALLS[0])
    }
    fn age_ms(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
    /// Set while an error is retried.
    pub(crate) fn trouble(&self, text: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }
    pub(crate) fn set_partitions(&self, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.partitions.store(count, Relaxed);
    }
    pub(crate) fn set_missing(&self, topics: Vec<String>) {
        *self.missing.lock().unwrap_or_else(PoisonError::into_inner) = topics;
    }
    pub(crate) fn set_lag(&self, lag: i64) {
        self.lag.store(lag, Relaxed);
    }
    pub(crate) fn set_paused(&self, paused: bool) {
        self.paused.store(paused, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STALL: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn it_names_what_a_task_is_blocked_on() {
        let progress = Progress::new();
        let blocked = || progress.blocked_on(STALL);
        assert_eq!((blocked(), progress.lag()), (None, None));
        for (call, name) in CALLS.iter().skip(1).filter(|(call, _)| *call != Call::Poll) {
            progress.enter(*call);
            assert_eq!(blocked().as_deref(), Some(*name));
        }
        progress.trouble(Some("put is retried".to_owned()));
        assert_eq!(blocked().as_deref(), Some("put is retried"));
        let before = progress.last_ok();
        tokio::time::advance(Duration::from_secs(3)).await;
        progress.leave(false);
        assert_eq!(progress.last_ok(), before);
        progress.leave(true);
        progress.trouble(None);
        assert_eq!(progress.last_ok(), before + Duration::from_secs(3));
        assert_eq!(blocked(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn to_wait_for_records_is_not_to_be_blocked() {
        let progress = Progress::new();
        let shown = || (progress.blocked_on(STALL), progress.waiting_for(STALL));
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(shown(), (None, text("records")));
        progress.enter(Call::Poll);
        assert_eq!(shown(), (None, text("records")));
        progress.set_lag(5);
        assert_eq!(shown(), (None, None), "records are there");
        tokio::time::advance(BUSY).await;
        assert_eq!(shown(), (text("poll"), None), "and they do not come");
        progress.set_lag(0);
        progress.set_paused(true);
        assert_eq!(shown(), (None, None));
        progress.set_paused(false);
        tokio::time::advance(STALL).await;
        assert_eq!(shown(), (text("poll"), None), "it should have returned");
        assert!(progress.stalled(STALL));
        progress.leave(true);
        progress.moved(1, 9);
        assert_eq!(shown(), (None, None), "at work");
        tokio::time::advance(BUSY).await;
        assert_eq!(shown(), (None, text("records")));
        progress.enter(Call::Put);
        assert_eq!(shown(), (text("put"), None));
    }

    #[tokio::test(start_paused = true)]
    async fn topics_that_a_sink_misses_are_named() {
        let progress = Progress::new();
        let names: Vec<String> = ('a'..='g').map(String::from).collect();
        for (count, text) in [
            (1, "topics that do not exist: a"),
            (5, "topics that do not exist: a, b, c, d, e"),
            (7, "topics that do not exist: a, b, c, d, e and 2 more"),
            (0, "records"),
        ] {
            progress.set_missing(names[..count].to_vec());
            for call in [Call::None, Call::Poll] {
                progress.enter(call);
                assert_eq!(progress.waiting_for(STALL).as_deref(), Some(text));
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_does_not_return_is_given_up() {
        let (progress, max) = (Progress::new(), Duration::from_secs(10));
        let given_up = || tokio::time::timeout(Duration::from_secs(1), progress.given_up());
        progress.enter(Call::Memory);
        tokio::time::advance(max * 2).await;
        progress.give_up_after(max);
        given_up().await.expect_err("a wait of the loop's own");
        progress.enter(Call::Put);
        tokio::time::advance(max).await;
        progress.give_up_after(max);
        given_up().await.expect_err("not yet");
        progress.give_up_after(max);
        let (call, open) = given_up().await.expect("given up");
        assert_eq!((call, open), ("put", max + Duration::from_secs(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stall_is_work_without_success() {
        let (progress, timeout) = (Progress::new(), Duration::from_secs(60));
        tokio::time::advance(timeout).await;
        assert!(!progress.stalled(timeout), "there is nothing to do");
        progress.set_lag(1);
        assert!(progress.stalled(timeout));
        progress.set_paused(true);
        assert!(!progress.stalled(timeout));
        progress.set_paused(false);
        progress.leave(true);
        assert!(!progress.stalled(timeout));
        assert_eq!(progress.since_moved(), None);
        progress.moved(0, 0);
        assert_eq!(progress.since_moved(), None);
        progress.moved(1, 9);
        tokio::time::advance(timeout).await;
        assert_eq!(progress.since_moved(), Some(timeout));
    }
}
