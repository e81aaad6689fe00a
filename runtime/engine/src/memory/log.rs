//! A keyed log over memory.

use crate::ports::{Entry, KeyedLog, LogReader, Tail, Version};
use bytes::Bytes;
use longshore_sdk::{Error, Result, erased::Boxed};
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering::SeqCst},
};
use tokio::sync::watch;

/// A log of one partition. Clones are the same log.
#[derive(Clone)]
pub(crate) struct MemoryLog(Arc<Log>, Arc<AtomicUsize>);

struct Log {
    entries: Mutex<Vec<Entry>>,
    length: watch::Sender<usize>,
    away: watch::Sender<bool>,
    broken_reads: AtomicUsize,
}

impl MemoryLog {
    pub(crate) fn new() -> Self {
        let log = Log {
            entries: Mutex::default(),
            length: watch::Sender::new(0),
            away: watch::Sender::new(false),
            broken_reads: AtomicUsize::new(0),
        };
        Self(Arc::new(log), Arc::new(AtomicUsize::new(usize::MAX)))
    }
    /// The same log, with readers that are held up on their own.
    pub(crate) fn apart(&self) -> Self {
        let hidden = Arc::new(AtomicUsize::new(usize::MAX));
        Self(Arc::clone(&self.0), hidden)
    }
    /// Writes wait while the broker is away.
    pub(crate) fn set_away(&self, away: bool) {
        self.0.away.send_replace(away);
    }
    /// Waits while the broker is away.
    pub(crate) async fn present(&self) {
        let mut away = self.0.away.subscribe();
        away.wait_for(|away| !away).await.expect("the log lives");
    }
    /// It is deleted, and another one, which is empty, has its name. Who reads it notices when `break_reads` lets it.
    pub(crate) fn make_anew(&self) {
        self.0.entries.lock().expect("no panic").clear();
        self.0.length.send_replace(0);
    }
    /// The next so many reads fail.
    pub(crate) fn break_reads(&self, count: usize) {
        self.0.broken_reads.store(count, SeqCst);
        self.0.length.send_modify(|_| {});
    }
    /// What stands there or behind is not delivered to this handle's readers: an open transaction is before it, or they are slow.
    pub(crate) fn hide_from(&self, offset: usize) {
        self.1.store(offset, SeqCst);
        self.0.length.send_modify(|_| {});
    }
    /// What is written from now on is not delivered to this handle's readers, until it is false.
    pub(crate) fn hold_reads(&self, hold: bool) {
        let length = *self.0.length.borrow();
        self.hide_from(if hold { length } else { usize::MAX });
    }
    pub(crate) fn append(&self, pairs: Vec<(Bytes, Option<Bytes>)>) -> Vec<Version> {
        let entries = pairs.into_iter();
        self.append_for(entries.map(|(key, value)| (key, value, None)).collect())
    }
    /// The same, each with the request that it is written for.
    pub(crate) fn append_for(
        &self,
        triples: Vec<(Bytes, Option<Bytes>, Option<Bytes>)>,
    ) -> Vec<Version> {
        let mut entries = self.0.entries.lock().expect("no panic");
        let mut versions = Vec::new();
        for (key, value, request) in triples {
            let offset = i64::try_from(entries.len()).expect("small");
            let version = Version {
                partition: 0,
                offset,
            };
            entries.push(Entry {
                key,
                value,
                version,
                request,
            });
            versions.push(version);
        }
        self.0.length.send_replace(entries.len());
        versions
    }
    /// Everything in it, as text.
    pub(crate) fn texts(&self) -> Vec<(String, Option<String>)> {
        let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).expect("UTF-8");
        let entries = self.0.entries.lock().expect("no panic");
        entries
            .iter()
            .map(|entry| (text(&entry.key), entry.value.as_ref().map(text)))
            .collect()
    }
    /// The keys in it.
    pub(crate) fn keys(&self) -> Vec<String> {
        self.texts().into_iter().map(|(key, _)| key).collect()
    }
}

impl KeyedLog for MemoryLog {
    fn put(&self, entries: Vec<(Bytes, Option<Bytes>)>) -> Boxed<'_, Result<Vec<Version>>> {
        Box::pin(async move {
            self.present().await;
            Ok(self.append(entries))
        })
    }
    fn end(&self) -> Boxed<'_, Result<Vec<Version>>> {
        let offset = i64::try_from(*self.0.length.borrow()).expect("small");
        Box::pin(std::future::ready(Ok(vec![Version {
            partition: 0,
            offset,
        }])))
    }
    fn reader(&self) -> Boxed<'_, Result<Box<dyn LogReader>>> {
        let reader = MemoryReader {
            length: self.0.length.subscribe(),
            log: self.clone(),
            next: 0,
        };
        Box::pin(std::future::ready(Ok(
            Box::new(reader) as Box<dyn LogReader>
        )))
    }
}

struct MemoryReader {
    log: MemoryLog,
    length: watch::Receiver<usize>,
    next: usize,
}

impl LogReader for MemoryReader {
    fn next(&mut self) -> Boxed<'_, Result<Tail>> {
        Box::pin(async move {
            loop {
                let broken = &self.log.0.broken_reads;
                if broken
                    .fetch_update(SeqCst, SeqCst, |count| count.checked_sub(1))
                    .is_ok()
                {
                    return Err(Error::transient("read", "planted"));
                }
                let entries: Vec<Entry> = {
                    let entries = self.log.0.entries.lock().expect("no panic");
                    let end = entries.len().min(self.log.1.load(SeqCst));
                    entries.get(self.next..end).unwrap_or_default().to_vec()
                };
                if !entries.is_empty() {
                    self.next += entries.len();
                    return Ok(Tail {
                        entries,
                        positions: Vec::new(),
                    });
                }
                self.length.changed().await.expect("the log lives");
            }
        })
    }
}
