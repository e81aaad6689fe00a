//! A producer: a line that writes in order, and answers when it likes.

use super::MemoryBus;
use crate::faults::{At, Fault};
use bytes::Bytes;
use longshore_engine::ports::{Producer, ProducerSpec, Receipt};
use longshore_sdk::{Datum, Error, Record, Result, erased::Boxed};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::{Notify, mpsc};

type Batch = Vec<(Record, Receipt)>;

/// How long the broker takes for a batch.
const LATENCY: Duration = Duration::from_millis(2);
/// How many batches may stand in line.
const LINE_MAX: usize = 1000;

pub(super) struct MemoryProducer {
    bus: MemoryBus,
    me: u64,
    spec: ProducerSpec,
    epoch: u64,
    line: mpsc::Sender<Batch>,
    open: Arc<Open>,
    transaction: Option<Vec<Record>>,
}

/// Batches that are not fully answered.
#[derive(Default)]
struct Open {
    batches: AtomicUsize,
    done: Notify,
}

impl MemoryProducer {
    pub(super) fn open(bus: MemoryBus, spec: ProducerSpec) -> Self {
        let me = bus.handle();
        let mut epoch = 0;
        if let Some(id) = &spec.transactional_id {
            let mut state = bus.state();
            let newest = state.epochs.entry(id.clone()).or_default();
            *newest += 1;
            epoch = *newest;
        }
        let (line, batches) = mpsc::channel(LINE_MAX);
        let open = Arc::<Open>::default();
        tokio::spawn(write(bus.clone(), me, batches, open.clone()));
        Self {
            bus,
            me,
            spec,
            epoch,
            line,
            open,
            transaction: None,
        }
    }
    fn check_epoch(&self, op: &'static str) -> Result<()> {
        let Some(id) = &self.spec.transactional_id else {
            return Ok(());
        };
        if self.bus.state().epochs.get(id) == Some(&self.epoch) {
            return Ok(());
        }
        Err(Error::fenced(
            op,
            "another producer has the transactional id",
        ))
    }
}

/// The line: writes batches in order; late answers do not hold up what stands behind them.
async fn write(bus: MemoryBus, me: u64, mut batches: mpsc::Receiver<Batch>, open: Arc<Open>) {
    while let Some(batch) = batches.recv().await {
        tokio::time::sleep(LATENCY).await;
        for (record, receipt) in batch {
            match bus.faults.next(At::Send) {
                None => receipt.answer(bus.write(record, me)),
                Some(Fault::Hold(time)) => answer_later(time, bus.write(record, me), receipt),
                Some(Fault::FailAfterWrite) => {
                    let written = bus.write(record, me);
                    receipt.answer(written.and_then(|()| {
                        Err(Error::transient(
                            "send",
                            "failed after the write, by the fault plan",
                        ))
                    }));
                }
                Some(Fault::LoseReply(time)) => {
                    let written = bus.write(record, me);
                    let lost = written.and_then(|()| {
                        Err(Error::transient(
                            "send",
                            "the reply was lost, by the fault plan",
                        ))
                    });
                    answer_later(time, lost, receipt);
                }
                Some(Fault::Refuse | Fault::Throttle(_)) => {
                    receipt.answer(Err(Error::transient("send", "refused by the fault plan")))
                }
                Some(Fault::Silence) => drop(receipt),
            }
        }
        bus.changed();
        open.batches.fetch_sub(1, Ordering::Relaxed);
        open.done.notify_waiters();
    }
}

fn answer_later(time: Duration, answer: Result<()>, receipt: Receipt) {
    tokio::spawn(async move {
        tokio::time::sleep(time).await;
        receipt.answer(answer);
    });
}

impl Producer for MemoryProducer {
    fn send(&mut self, batch: Batch) -> Boxed<'_, Result<()>> {
        Box::pin(async move {
            self.check_epoch("send")?;
            if let Some(transaction) = &mut self.transaction {
                for (record, receipt) in batch {
                    transaction.push(record);
                    receipt.answer(Ok(()));
                }
                return Ok(());
            }
            self.open.batches.fetch_add(1, Ordering::Relaxed);
            self.line
                .send(batch)
                .await
                .map_err(|_| Error::bug("send", "the line has ended"))
        })
    }
    fn flush(&mut self) -> Boxed<'_, Result<()>> {
        Box::pin(async move {
            loop {
                let done = self.open.done.notified();
                if self.open.batches.load(Ordering::Relaxed) == 0 {
                    return Ok(());
                }
                done.await;
            }
        })
    }
    fn begin(&mut self) -> Boxed<'_, Result<()>> {
        self.transaction = Some(Vec::new());
        Box::pin(std::future::ready(self.check_epoch("begin")))
    }
    fn commit(&mut self, offsets: Vec<(Bytes, Option<Bytes>)>) -> Boxed<'_, Result<()>> {
        Box::pin(async move {
            self.check_epoch("commit")?;
            let records = self
                .transaction
                .take()
                .ok_or_else(|| Error::bug("commit", "no transaction was begun"))?;
            let topic: Arc<str> = self
                .spec
                .offsets_topic
                .clone()
                .unwrap_or_else(|| "offsets".to_owned())
                .into();
            let offsets = offsets.into_iter().map(|(key, value)| {
                let mut record = Record::new(topic.clone());
                record.key = Datum::Bytes(key);
                record.value = value.map_or(Datum::Null, Datum::Bytes);
                record
            });
            for record in records.into_iter().chain(offsets) {
                self.bus.write(record, self.me)?;
            }
            self.bus.changed();
            Ok(())
        })
    }
    fn abort(&mut self) -> Boxed<'_, Result<()>> {
        self.transaction = None;
        Box::pin(std::future::ready(self.check_epoch("abort")))
    }
}
