//! Producers over memory. With a transactional id: invisible until the commit, and the last to open an id owns it.

use super::{MemoryBus, MemoryLog};
use crate::ports::{Producer, ProducerSpec, Receipt};
use bytes::Bytes;
use longshore_sdk::{Error, Record, Result, erased::Boxed};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};
use tokio::sync::watch;

type Offsets = Vec<(Bytes, Option<Bytes>)>;

/// What transactional producers share.
#[derive(Default)]
pub(crate) struct Transactional {
    /// Opened so often, by id.
    epochs: Mutex<BTreeMap<String, usize>>,
    /// Where the offsets of transactions go, beside the list of what was committed.
    pub(crate) offsets: OnceLock<MemoryLog>,
    /// Offsets and values of records of each committed transaction.
    committed: Mutex<Vec<(Vec<String>, usize)>>,
    aborted: AtomicUsize,
    /// Calls on a handle whose earlier call failed.
    pub(crate) after_death: AtomicUsize,
    /// The next so many commits take place, and the answer is lost.
    pub(crate) lose_replies: AtomicUsize,
    /// The next so many records in transactions are not delivered.
    pub(crate) refuse_records: AtomicUsize,
    /// What the next openings say.
    pub(crate) refuse_init: Mutex<Vec<Error>>,
    /// What the next commits say; they do not take place.
    pub(crate) refuse_commit: Mutex<Vec<Error>>,
    /// Openings wait while it is true.
    pub(crate) hold_init: watch::Sender<bool>,
}

impl Transactional {
    /// Another owner opens the id.
    pub(crate) fn fence(&self, id: &str) -> usize {
        let mut epochs = self.epochs.lock().expect("no panic");
        let epoch = epochs.entry(id.to_owned()).or_default();
        *epoch += 1;
        *epoch
    }
    /// How often each id was opened.
    pub(crate) fn opened(&self) -> BTreeMap<String, usize> {
        self.epochs.lock().expect("no panic").clone()
    }
    /// By transaction: the offset entries, and how many records.
    pub(crate) fn committed(&self) -> Vec<(Vec<String>, usize)> {
        self.committed.lock().expect("no panic").clone()
    }
    pub(crate) fn aborted(&self) -> usize {
        self.aborted.load(SeqCst)
    }
}

fn take(count: &AtomicUsize) -> bool {
    count
        .fetch_update(SeqCst, SeqCst, |count| count.checked_sub(1))
        .is_ok()
}

pub(super) struct MemoryProducer {
    bus: Arc<MemoryBus>,
    /// Its transactional id, and which opening of it this is.
    id: Option<(String, usize)>,
    transaction: Option<Vec<Record>>,
    spoilt: bool,
    dead: bool,
}

impl MemoryProducer {
    pub(super) async fn open(bus: Arc<MemoryBus>, spec: ProducerSpec) -> Result<Self> {
        let mut id = None;
        if let Some(name) = spec.transactional_id {
            let mut held = bus.transactional.hold_init.subscribe();
            held.wait_for(|held| !held).await.expect("the bus lives");
            let refused = bus
                .transactional
                .refuse_init
                .lock()
                .expect("no panic")
                .pop();
            if let Some(error) = refused {
                return Err(error);
            }
            let epoch = bus.transactional.fence(&name);
            id = Some((name, epoch));
        }
        bus.producers.fetch_add(1, SeqCst);
        Ok(Self {
            bus,
            id,
            transaction: None,
            spoilt: false,
            dead: false,
        })
    }
    /// Err: this handle is dead, or has been fenced.
    fn alive(&mut self, op: &'static str) -> Result<()> {
        let shared = &self.bus.transactional;
        if self.dead {
            shared.after_death.fetch_add(1, SeqCst);
            return Err(Error::transient(op, "this producer is dead"));
        }
        if let Some((name, epoch)) = &self.id
            && shared.epochs.lock().expect("no panic").get(name) != Some(epoch)
        {
            self.dead = true;
            return Err(Error::fenced(
                op,
                "another producer has the transactional id",
            ));
        }
        Ok(())
    }
    fn sent(&mut self, batch: Vec<(Record, Receipt)>) -> Result<()> {
        self.alive("send")?;
        if self.id.is_none() {
            for (record, receipt) in batch {
                self.bus.send(record);
                receipt.answer(Ok(()));
            }
            return Ok(());
        }
        for (record, receipt) in batch {
            let Some(transaction) = &mut self.transaction else {
                receipt.answer(Err(Error::bug("send", "no transaction was begun")));
                continue;
            };
            if take(&self.bus.transactional.refuse_records) {
                self.spoilt = true;
                receipt.answer(Err(Error::data("send", "refused by the plan")));
            } else {
                transaction.push(record);
                receipt.answer(Ok(()));
            }
        }
        Ok(())
    }
    fn committed(&mut self, offsets: Offsets) -> Result<()> {
        self.alive("commit")?;
        let bus = Arc::clone(&self.bus);
        let shared = &bus.transactional;
        let Some(records) = self.transaction.take().filter(|_| !self.spoilt) else {
            self.dead = true;
            return Err(Error::bug(
                "commit",
                "there is nothing that can be committed",
            ));
        };
        if let Some(error) = shared.refuse_commit.lock().expect("no panic").pop() {
            self.dead = true;
            return Err(error);
        }
        let text = |(key, value): &(Bytes, Option<Bytes>)| {
            let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
            format!(
                "{}={}",
                text(key),
                value.as_ref().map(text).unwrap_or_default()
            )
        };
        let entry = (offsets.iter().map(text).collect(), records.len());
        shared.committed.lock().expect("no panic").push(entry);
        records.into_iter().for_each(|record| bus.send(record));
        if let Some(log) = shared.offsets.get() {
            log.append(offsets);
        }
        if take(&shared.lose_replies) {
            self.dead = true;
            return Err(Error::transient("commit", "no answer, by the plan"));
        }
        Ok(())
    }
    fn begun(&mut self) -> Result<()> {
        self.alive("begin")?;
        if self.transaction.replace(Vec::new()).is_some() {
            return Err(Error::bug("begin", "a transaction is open"));
        }
        Ok(())
    }
    fn aborted(&mut self) -> Result<()> {
        self.alive("abort")?;
        self.transaction = None;
        self.spoilt = false;
        self.bus.transactional.aborted.fetch_add(1, SeqCst);
        Ok(())
    }
}

impl Drop for MemoryProducer {
    fn drop(&mut self) {
        self.bus.producers.fetch_sub(1, SeqCst);
    }
}

impl Producer for MemoryProducer {
    fn send(&mut self, batch: Vec<(Record, Receipt)>) -> Boxed<'_, Result<()>> {
        Box::pin(std::future::ready(self.sent(batch)))
    }
    fn flush(&mut self) -> Boxed<'_, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }
    fn begin(&mut self) -> Boxed<'_, Result<()>> {
        Box::pin(std::future::ready(self.begun()))
    }
    fn commit(&mut self, offsets: Offsets) -> Boxed<'_, Result<()>> {
        Box::pin(std::future::ready(self.committed(offsets)))
    }
    fn abort(&mut self) -> Boxed<'_, Result<()>> {
        Box::pin(std::future::ready(self.aborted()))
    }
}
