//! A keyed log of one partition in memory.

use crate::faults::{At, Faults};
use bytes::Bytes;
use longshore_engine::ports::{Entry, KeyedLog, LogReader, Tail, Version};
use longshore_sdk::{Result, erased::Boxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// A keyed log in memory. Clones are handles of the same one; it survives the runtime that wrote it.
#[derive(Clone)]
pub struct MemoryLog {
    entries: Arc<Mutex<Vec<Entry>>>,
    changed: Arc<Notify>,
    faults: Arc<Faults>,
}

impl Default for MemoryLog {
    fn default() -> Self {
        Self::new(Faults::none())
    }
}

impl MemoryLog {
    /// An empty log that suffers `faults` at [`At::Log`].
    pub fn new(faults: Arc<Faults>) -> Self {
        Self {
            entries: Arc::default(),
            changed: Arc::default(),
            faults,
        }
    }
    /// Everything written so far.
    pub fn entries(&self) -> Vec<Entry> {
        self.lock().clone()
    }
    /// The newest value of a key, as compaction would leave it.
    pub fn value(&self, key: &[u8]) -> Option<Bytes> {
        self.lock()
            .iter()
            .rev()
            .find(|entry| entry.key == key)?
            .value
            .clone()
    }
    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn place(index: usize) -> Version {
    Version {
        partition: 0,
        offset: i64::try_from(index).unwrap_or(i64::MAX),
    }
}

impl KeyedLog for MemoryLog {
    fn put(&self, entries: Vec<(Bytes, Option<Bytes>)>) -> Boxed<'_, Result<Vec<Version>>> {
        Box::pin(async move {
            let after = self.faults.before(At::Log, "put").await?;
            let mut versions = Vec::with_capacity(entries.len());
            {
                let mut log = self.lock();
                for (key, value) in entries {
                    let version = place(log.len());
                    versions.push(version);
                    log.push(Entry {
                        key,
                        value,
                        version,
                        request: None,
                    });
                }
            }
            self.changed.notify_waiters();
            after.finish("put").await?;
            Ok(versions)
        })
    }
    fn end(&self) -> Boxed<'_, Result<Vec<Version>>> {
        let end = place(self.lock().len());
        Box::pin(std::future::ready(Ok(vec![end])))
    }
    fn reader(&self) -> Boxed<'_, Result<Box<dyn LogReader>>> {
        let reader = Reader {
            log: self.clone(),
            next: 0,
        };
        Box::pin(std::future::ready(Ok(
            Box::new(reader) as Box<dyn LogReader>
        )))
    }
}

struct Reader {
    log: MemoryLog,
    next: usize,
}

impl LogReader for Reader {
    fn next(&mut self) -> Boxed<'_, Result<Tail>> {
        Box::pin(async move {
            loop {
                let changed = self.log.changed.clone();
                let changed = changed.notified();
                let entries = self
                    .log
                    .lock()
                    .get(self.next..)
                    .unwrap_or_default()
                    .to_vec();
                if !entries.is_empty() {
                    self.next += entries.len();
                    return Ok(Tail {
                        entries,
                        positions: vec![place(self.next)],
                    });
                }
                changed.await;
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reader_sees_what_was_and_what_comes() {
        let log = MemoryLog::default();
        log.put(vec![("a".into(), Some("1".into())), ("b".into(), None)])
            .await
            .expect("written");
        let mut reader = log.reader().await.expect("a reader");
        let tail = reader.next().await.expect("a tail");
        assert_eq!(
            (tail.entries.len(), tail.positions),
            (2, log.end().await.expect("an end"))
        );
        let (tail, written) =
            tokio::join!(reader.next(), log.put(vec![("a".into(), Some("2".into()))]));
        assert_eq!(
            tail.expect("a tail").entries[0].version,
            written.expect("written")[0]
        );
        assert_eq!(log.value(b"a"), Some("2".into()));
    }
}
