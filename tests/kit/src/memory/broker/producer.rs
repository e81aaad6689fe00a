//! Producers: a line that writes in order, with or without transactions.

use super::{BrokerBus, Fate, Slot};
use bytes::Bytes;
use longshore_engine::ports::{Producer, ProducerSpec, Receipt};
use longshore_sdk::{Datum, Error, ErrorKind, Record, Result, erased::Boxed};
use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};
use tokio::sync::{Notify, mpsc};

type Batch = Vec<(Record, Receipt)>;

/// How many batches may stand in line.
const LINE_MAX: usize = 100;

pub(super) struct BrokerProducer {
    bus: BrokerBus,
    offsets_topic: String,
    line: mpsc::Sender<Batch>,
    shared: Arc<Shared>,
    begun: bool,
}

struct Shared {
    bus: BrokerBus,
    id: Option<(String, u64)>,
    open: AtomicUsize,
    done: Notify,
    /// Why nothing is written any more.
    dead: Mutex<Option<(ErrorKind, &'static str)>>,
}

impl BrokerProducer {
    pub(super) async fn open(bus: BrokerBus, spec: ProducerSpec) -> Result<Self> {
        let id = match &spec.transactional_id {
            None => bus.link.call("connect", || Ok(None)).await?,
            Some(id) => {
                let init = || Ok(Some((id.clone(), bus.broker.init(id))));
                bus.link.call("init", init).await?
            }
        };
        let (line, batches) = mpsc::channel(LINE_MAX);
        let shared = Arc::new(Shared {
            bus: bus.clone(),
            id,
            open: AtomicUsize::new(0),
            done: Notify::new(),
            dead: Mutex::default(),
        });
        tokio::spawn(write(Arc::clone(&shared), batches));
        Ok(Self {
            bus,
            offsets_topic: spec.offsets_topic.unwrap_or_else(|| "offsets".to_owned()),
            line,
            shared,
            begun: false,
        })
    }
    async fn written(&self) {
        loop {
            let done = self.shared.done.notified();
            if self.shared.open.load(Ordering::Relaxed) == 0 {
                return;
            }
            done.await;
        }
    }
    async fn end(&self, commit: bool) -> Result<()> {
        let (id, epoch) = self.shared.id()?;
        let end = || self.bus.broker.end_transaction(id, epoch, commit);
        self.bus.link.call("end transaction", end).await
    }
    async fn try_commit(&self, offsets: Vec<(Bytes, Option<Bytes>)>) -> Result<()> {
        self.written().await;
        self.shared.alive("commit")?;
        let (id, epoch) = self.shared.id()?;
        let entries = offsets.into_iter().map(|(key, value)| {
            let slot = Slot {
                key: Some(key),
                value,
                request: None,
                worker: self.bus.link.number(),
                fate: Fate::Open,
            };
            (self.offsets_topic.clone(), 0, slot)
        });
        let entries: Vec<_> = entries.collect();
        if !entries.is_empty() {
            let append = || self.bus.broker.state().append_open(id, epoch, entries);
            self.bus.link.call("send offsets", append).await?;
        }
        self.end(true).await
    }
}

impl Shared {
    fn id(&self) -> Result<(&str, u64)> {
        let id = self.id.as_ref().map(|(id, epoch)| (id.as_str(), *epoch));
        id.ok_or_else(|| Error::bug("transaction", "a producer without a transactional id"))
    }
    fn alive(&self, op: &'static str) -> Result<()> {
        let dead = self.dead.lock().unwrap_or_else(PoisonError::into_inner);
        match *dead {
            None => Ok(()),
            Some((kind, why)) => Err(Error::new(kind, op, why)),
        }
    }
    fn die(&self, error: &Error) {
        let mut dead = self.dead.lock().unwrap_or_else(PoisonError::into_inner);
        let why = "this producer is dead: an earlier call failed or its outcome is unknown";
        dead.get_or_insert((error.kind(), why));
    }
    /// Writes a batch; each record's partition is the one that it names.
    fn write(&self, records: &[Record]) -> Result<()> {
        let bytes = |datum: &Datum| match datum {
            Datum::Bytes(bytes) => Some(bytes.clone()),
            _ => None,
        };
        let broker = &self.bus.broker;
        let mut state = broker.state();
        let mut entries = Vec::with_capacity(records.len());
        for record in records {
            let partitions = state.topic(&record.topic, 1).partitions.len();
            let partition = usize::try_from(record.partition.unwrap_or(0)).unwrap_or(0);
            let slot = Slot {
                key: bytes(&record.key),
                value: bytes(&record.value),
                request: None,
                worker: self.bus.link.number(),
                fate: Fate::Committed,
            };
            entries.push((
                record.topic.to_string(),
                partition.min(partitions - 1),
                slot,
            ));
        }
        if let Some((id, epoch)) = &self.id {
            return state.append_open(id, *epoch, entries).map(drop);
        }
        for (topic, partition, slot) in entries {
            broker.say(super::Seen::Durable(&topic, &slot));
            state.append(&topic, partition, slot);
            broker.tell(&mut state, &topic, partition);
        }
        Ok(())
    }
}

/// The line: writes batches in order.
async fn write(shared: Arc<Shared>, mut batches: mpsc::Receiver<Batch>) {
    while let Some(batch) = batches.recv().await {
        let (records, receipts): (Vec<Record>, Vec<Receipt>) = batch.into_iter().unzip();
        let written = match shared.alive("send") {
            Ok(()) => {
                let write = || shared.write(&records);
                shared.bus.link.call("send", write).await
            }
            dead => dead,
        };
        if let Err(error) = &written
            && shared.id.is_some()
        {
            shared.die(error);
        }
        for receipt in receipts {
            receipt.answer(match &written {
                Ok(()) => Ok(()),
                Err(error) => Err(Error::new(error.kind(), "send", error.message())),
            });
        }
        shared.open.fetch_sub(1, Ordering::Relaxed);
        shared.done.notify_waiters();
    }
}

impl Producer for BrokerProducer {
    fn send(&mut self, batch: Batch) -> Boxed<'_, Result<()>> {
        Box::pin(async move {
            self.shared.alive("send")?;
            if self.shared.id.is_some() && !self.begun {
                return Err(Error::bug("send", "no transaction was begun"));
            }
            self.shared.open.fetch_add(1, Ordering::Relaxed);
            let sent = self.line.send(batch).await;
            sent.map_err(|_| Error::bug("send", "the line has ended"))
        })
    }
    fn flush(&mut self) -> Boxed<'_, Result<()>> {
        Box::pin(async move {
            self.written().await;
            Ok(())
        })
    }
    fn begin(&mut self) -> Boxed<'_, Result<()>> {
        let begun = match self.shared.alive("begin") {
            Ok(()) if self.begun => Err(Error::bug("begin", "a transaction is open already")),
            other => other,
        };
        self.begun |= begun.is_ok();
        Box::pin(std::future::ready(begun))
    }
    fn commit(&mut self, offsets: Vec<(Bytes, Option<Bytes>)>) -> Boxed<'_, Result<()>> {
        Box::pin(async move {
            self.shared.alive("commit")?;
            if !std::mem::take(&mut self.begun) {
                return Err(Error::bug("commit", "no transaction was begun"));
            }
            let committed = self.try_commit(offsets).await;
            if let Err(error) = &committed {
                self.shared.die(error);
            }
            committed
        })
    }
    fn abort(&mut self) -> Boxed<'_, Result<()>> {
        Box::pin(async move {
            self.written().await;
            self.begun = false;
            self.shared.alive("abort")?;
            let aborted = self.end(false).await;
            if let Err(error) = &aborted {
                self.shared.die(error);
            }
            aborted
        })
    }
}
