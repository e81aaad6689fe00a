//! The leader's pen: one transactional id, so that the last who took it writes.

use super::{Broker, Fate, Link, Slot};
use longshore_engine::ports::{Leadership, Term, TermEntry, TermLog, Version};
use longshore_sdk::{Error, Result, erased::Boxed};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

const ID: &str = "connect-cluster";

/// The leadership as one worker reaches it.
pub struct BrokerLeadership {
    pen: Pen,
}

#[derive(Clone)]
struct Pen {
    broker: Broker,
    link: Link,
    config: Arc<str>,
    coordination: Arc<str>,
    offset: Arc<str>,
}

impl BrokerLeadership {
    /// The right to write the topics of configs, assignments and offsets, in this order.
    pub fn new(broker: &Broker, link: &Link, topics: [&str; 3]) -> Self {
        let [config, coordination, offset] = topics.map(Arc::from);
        Self {
            pen: Pen {
                broker: broker.clone(),
                link: link.clone(),
                config,
                coordination,
                offset,
            },
        }
    }
}

impl Leadership for BrokerLeadership {
    fn take(&self) -> Boxed<'_, Result<Arc<dyn Term>>> {
        let init = || {
            Ok(Arc::new(BrokerTerm {
                pen: self.pen.clone(),
                epoch: self.pen.broker.init(ID),
                one: tokio::sync::Mutex::default(),
                over: AtomicBool::new(false),
            }) as Arc<dyn Term>)
        };
        Box::pin(self.pen.link.call("init", init))
    }
}

struct BrokerTerm {
    pen: Pen,
    epoch: u64,
    /// One transaction at a time.
    one: tokio::sync::Mutex<()>,
    over: AtomicBool,
}

impl BrokerTerm {
    async fn write(&self, entries: Vec<TermEntry>) -> Result<Vec<Version>> {
        let slots = entries.into_iter().map(|entry| {
            let topic = match entry.log {
                TermLog::Config => &self.pen.config,
                TermLog::Coordination => &self.pen.coordination,
                TermLog::Offset => &self.pen.offset,
            };
            let slot = Slot {
                key: Some(entry.key),
                value: entry.value,
                request: entry.request,
                worker: self.pen.link.number(),
                fate: Fate::Open,
            };
            (topic.to_string(), 0, slot)
        });
        let slots = slots.collect();
        let broker = &self.pen.broker;
        let append = || broker.state().append_open(ID, self.epoch, slots);
        let versions = self.pen.link.call("put", append).await?;
        let end = || broker.end_transaction(ID, self.epoch, true);
        self.pen.link.call("commit", end).await?;
        Ok(versions)
    }
}

impl Term for BrokerTerm {
    fn put(&self, entries: Vec<TermEntry>) -> Boxed<'_, Result<Vec<Version>>> {
        Box::pin(async move {
            let _one = self.one.lock().await;
            // Dropped amid its calls it is over, too: nobody knows what became of them.
            if self.over.swap(true, Ordering::AcqRel) {
                return Err(Error::fenced("put", "this term is over"));
            }
            let written = self.write(entries).await;
            self.over.store(written.is_err(), Ordering::Release);
            written
        })
    }
}
