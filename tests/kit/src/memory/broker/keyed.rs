//! Keyed logs of one partition: read committed, written plainly.

use super::{Broker, Fate, Link, Slot, version};
use bytes::Bytes;
use longshore_engine::ports::{Entry, KeyedLog, LogReader, Tail, Version};
use longshore_sdk::{Result, erased::Boxed};
use std::{sync::Arc, time::Duration};
use tokio::sync::Notify;

/// A keyed log at the other end of a worker's line.
#[derive(Clone)]
pub struct BrokerLog {
    broker: Broker,
    link: Link,
    topic: Arc<str>,
}

impl BrokerLog {
    /// The log in the topic `topic`.
    pub fn new(broker: &Broker, link: &Link, topic: &str) -> Self {
        broker.create(topic, 1);
        Self {
            broker: broker.clone(),
            link: link.clone(),
            topic: topic.into(),
        }
    }
}

impl KeyedLog for BrokerLog {
    fn put(&self, entries: Vec<(Bytes, Option<Bytes>)>) -> Boxed<'_, Result<Vec<Version>>> {
        let write = move || {
            let write = |(key, value)| {
                let slot = Slot {
                    key: Some(key),
                    value,
                    request: None,
                    worker: self.link.number(),
                    fate: Fate::Committed,
                };
                self.broker.append(&self.topic, 0, slot)
            };
            Ok(entries.into_iter().map(write).collect())
        };
        Box::pin(self.link.call("put", write))
    }
    fn end(&self) -> Boxed<'_, Result<Vec<Version>>> {
        Box::pin(self.link.call("end", || Ok(self.broker.end(&self.topic))))
    }
    fn reader(&self) -> Boxed<'_, Result<Box<dyn LogReader>>> {
        let reader = Reader {
            log: self.clone(),
            moved: self.broker.moved(&self.topic),
            next: 0,
        };
        Box::pin(std::future::ready(Ok(
            Box::new(reader) as Box<dyn LogReader>
        )))
    }
}

struct Reader {
    log: BrokerLog,
    moved: Arc<Notify>,
    next: usize,
}

impl Reader {
    fn read(&self) -> Option<(usize, Vec<Entry>)> {
        let mut state = self.log.broker.state();
        let partition = &state.topic(&self.log.topic, 1).partitions[0];
        let stable = partition.stable();
        if stable <= self.next {
            return None;
        }
        let slots = partition.slots[self.next..stable].iter().enumerate();
        let entries = slots.filter(|(_, slot)| slot.fate == Fate::Committed);
        let entries = entries.filter_map(|(at, slot)| {
            Some(Entry {
                key: slot.key.clone()?,
                value: slot.value.clone(),
                version: version(0, self.next + at),
                request: slot.request.clone(),
            })
        });
        Some((stable, entries.collect()))
    }
}

impl LogReader for Reader {
    fn next(&mut self) -> Boxed<'_, Result<Tail>> {
        Box::pin(async move {
            loop {
                let moved = Arc::clone(&self.moved);
                let moved = moved.notified();
                self.log.link.open().await;
                if self.read().is_some() {
                    // The way from the broker; a freeze or a cut may come in between.
                    tokio::time::sleep(Duration::from_micros(700)).await;
                    self.log.link.open().await;
                }
                if let Some((stable, entries)) = self.read() {
                    self.next = stable;
                    return Ok(Tail {
                        entries,
                        positions: vec![version(0, stable)],
                    });
                }
                moved.await;
            }
        })
    }
}
