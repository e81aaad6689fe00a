//! What the status view shows of a running task: written by its loop, read by anybody, without waiting for each other.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time::Instant;

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
    /// `close`.
    Close,
}

const CALLS: [(Call, &str); 11] = [
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
    (Call::Close, "close"),
];

/// A task's counters and its present call: cheap atomics.
#[derive(Debug)]
pub struct Progress {
    born: Instant,
    records: AtomicU64,
    bytes: AtomicU64,
    last_ok_ms: AtomicU64,
    call: AtomicU8,
    lag: AtomicI64,
    paused: AtomicBool,
    trouble: Mutex<Option<String>>,
}

impl Progress {
    /// Of a task that starts now.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            born: Instant::now(),
            records: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            last_ok_ms: AtomicU64::new(0),
            call: AtomicU8::new(Call::None as u8),
            lag: AtomicI64::new(-1),
            paused: AtomicBool::new(false),
            trouble: Mutex::new(None),
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
    /// The call that is open, or the error that is being retried; `None` between calls.
    pub fn blocked_on(&self) -> Option<String> {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(trouble) = &*trouble {
            return Some(trouble.clone());
        }
        let call = usize::from(self.call.load(Relaxed));
        CALLS
            .get(call)
            .filter(|(call, _)| *call != Call::None)
            .map(|(_, name)| (*name).to_owned())
    }
    /// How many records a sink is behind, over its partitions, where known.
    pub fn lag(&self) -> Option<i64> {
        Some(self.lag.load(Relaxed)).filter(|lag| *lag >= 0)
    }
    /// Whether the task is paused.
    pub fn paused(&self) -> bool {
        self.paused.load(Relaxed)
    }

    pub(crate) fn moved(&self, records: usize, bytes: usize) {
        self.records.fetch_add(records as u64, Relaxed);
        self.bytes.fetch_add(bytes as u64, Relaxed);
    }
    pub(crate) fn enter(&self, call: Call) {
        self.call.store(call as u8, Relaxed);
    }
    /// The call is over; `ok` = it did what it should.
    pub(crate) fn leave(&self, ok: bool) {
        self.call.store(Call::None as u8, Relaxed);
        if ok {
            let age = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.last_ok_ms.store(age, Relaxed);
        }
    }
    /// Set while an error is retried.
    pub(crate) fn trouble(&self, text: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = text;
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

    #[tokio::test(start_paused = true)]
    async fn it_names_what_a_task_waits_for() {
        let progress = Progress::new();
        assert_eq!((progress.blocked_on(), progress.lag()), (None, None));
        for (call, name) in CALLS.iter().skip(1) {
            progress.enter(*call);
            assert_eq!(progress.blocked_on().as_deref(), Some(*name));
        }
        progress.trouble(Some("put is retried".to_owned()));
        assert_eq!(progress.blocked_on().as_deref(), Some("put is retried"));
        let before = progress.last_ok();
        tokio::time::advance(Duration::from_secs(3)).await;
        progress.leave(false);
        assert_eq!(progress.last_ok(), before);
        progress.leave(true);
        progress.trouble(None);
        assert_eq!(progress.last_ok(), before + Duration::from_secs(3));
        assert_eq!(progress.blocked_on(), None);
    }
}
