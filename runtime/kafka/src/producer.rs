//! Records out, each with a receipt; transactions.

mod deliveries;

use crate::{
    blocking::{Bounded, run},
    client::ClientSettings,
    errors,
    native::Topics,
    writer::configured,
};
use bytes::Bytes;
use deliveries::{Deliveries, Inner};
pub(crate) use deliveries::{commit, connect, fatal, init};
use longshore_engine::ports::{self, ProducerSpec, Receipt};
use longshore_sdk::{Datum, Error, ErrorKind, Record, Result, Topic, erased::Boxed};
use rdkafka::{
    error::{KafkaError, RDKafkaErrorCode as Code},
    producer::{BaseProducer, Producer as _, PurgeConfig},
};
use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

/// A transactional call without an answer for this long leaves the producer dead.
pub(crate) const TRANSACTION_MAX: Duration = Duration::from_secs(30);

/// A producer; see [`ports::Producer`].
pub(crate) struct KafkaProducer {
    inner: Arc<Inner>,
    topics: Topics,
    offsets_topic: Option<Topic>,
    transactional: bool,
    dead: Option<ErrorKind>,
}

impl KafkaProducer {
    /// Opens a client; with a transactional id it fences the former owner.
    pub(crate) async fn open(settings: &ClientSettings, spec: ProducerSpec) -> Result<Self> {
        let transactional_id = spec.transactional_id.as_deref();
        let resolved = configured(settings, &spec.client_id, transactional_id, &spec.overrides)?;
        let inner = Inner::open(&resolved.config(), &spec.client_id)?;
        let mut producer = Self {
            inner,
            topics: Topics::new(),
            offsets_topic: spec.offsets_topic.as_deref().map(Topic::from),
            transactional: transactional_id.is_some(),
            dead: None,
        };
        if let Some(id) = transactional_id {
            let init = producer.init().await;
            init.map_err(|error| errors::transactional(error, id))?;
        }
        Ok(producer)
    }

    /// Fences the former owner of the transactional id, and ends his open transaction.
    async fn init(&mut self) -> Result<()> {
        let deliveries = Arc::clone(self.inner.deliveries());
        let topic = self.offsets_topic.clone();
        let inner = Arc::clone(&self.inner);
        let init = self.transact("init", move |producer| {
            let started = Instant::now();
            connect(producer.client(), topic.as_deref(), TRANSACTION_MAX / 2);
            let connected = started.elapsed();
            tracing::debug!(
                connected_ms = connected.as_millis(),
                "a producer is connected"
            );
            let left = TRANSACTION_MAX.saturating_sub(connected);
            init(producer, left, || inner.stop.load(Ordering::Acquire))
        });
        deliveries.refusal.or_refused("init", init).await
    }

    /// Puts one record in line, waiting for room. Err: the producer is dead; the receipt is still in `receipt`.
    async fn enqueue(&mut self, record: &Record, receipt: &mut Option<Receipt>) -> Result<()> {
        loop {
            let inner = &self.inner;
            let client = inner.producer.client();
            let line = &inner.deliveries().line;
            let Err(code) = self.topics.produce(client, line, record, receipt) else {
                return Ok(());
            };
            let error = match code {
                Code::QueueFull => {
                    let moved = inner.deliveries().moved.notified();
                    // The bound only guards against a report that came between the call and here; it costs no record its place.
                    let _ = tokio::time::timeout(Duration::from_millis(100), moved).await;
                    continue;
                }
                Code::Fatal | Code::Fenced | Code::State | Code::DestroyBroker => {
                    return Err(self.died("send", code));
                }
                Code::MessageSizeTooLarge => errors::too_large(&record.topic, record.size()),
                Code::ValueSerialization => {
                    Error::bug("send", "a record was not converted to bytes")
                }
                other => errors::coded("send", other, "").with("topic", &record.topic),
            };
            return match receipt.take() {
                Some(receipt) => {
                    receipt.answer(Err(error));
                    Ok(())
                }
                // An offsets entry: the transaction cannot be whole without it.
                None => Err(error),
            };
        }
    }

    fn died(&mut self, op: &'static str, code: Code) -> Error {
        let error = self.inner.fatal(op).unwrap_or_else(|| match code {
            Code::State if self.transactional => Error::transient(
                op,
                "the transaction cannot take the record: it has failed, or none was begun",
            ),
            _ => errors::coded(op, code, ""),
        });
        self.dead = Some(error.kind());
        error
    }

    fn alive(&self, op: &'static str) -> Result<()> {
        match self.dead {
            None => Ok(()),
            Some(kind) => Err(Error::new(
                kind,
                op,
                "this producer is dead since an earlier error: open another one",
            )),
        }
    }

    async fn send(&mut self, batch: Vec<(Record, Receipt)>) -> Result<()> {
        let mut failed = self.alive("send").err();
        for (record, receipt) in batch {
            let mut receipt = Some(receipt);
            if failed.is_none() {
                failed = self.enqueue(&record, &mut receipt).await.err();
            }
            if let (Some(error), Some(receipt)) = (&failed, receipt) {
                receipt.answer(Err(Error::new(error.kind(), "send", error.message())));
            }
        }
        failed.map_or(Ok(()), Err)
    }

    async fn flush(&mut self) -> Result<()> {
        let deliveries = self.inner.deliveries();
        while deliveries.line.len() > 0 {
            let moved = deliveries.moved.notified();
            let _ = tokio::time::timeout(Duration::from_millis(100), moved).await;
        }
        Ok(())
    }

    /// One transactional call, on a blocking thread. The library knows no second attempt after a doubtful answer: any error but Config ends the
    /// producer (I4).
    async fn transact(
        &mut self,
        op: &'static str,
        call: impl FnOnce(&BaseProducer<Deliveries>) -> Result<(), KafkaError> + Send + 'static,
    ) -> Result<()> {
        self.alive(op)?;
        if !self.transactional {
            return Err(Error::bug(op, "the producer has no transactional id"));
        }
        // Should this future be dropped, the outcome is unknown: dead until the answer is here.
        self.dead = Some(ErrorKind::Transient);
        let inner = Arc::clone(&self.inner);
        let bound = Bounded(TRANSACTION_MAX + Duration::from_secs(5));
        let result = run(op, bound, move || {
            call(&inner.producer).map_err(|error| errors::from_client(op, error))
        })
        .await;
        let result = result.map_err(|error| match error.kind() {
            ErrorKind::Fenced | ErrorKind::Auth | ErrorKind::Config => error,
            _ => {
                let refusal = &self.inner.deliveries().refusal;
                let fatal = self.inner.fatal(op);
                fatal.unwrap_or_else(|| refusal.explain(error))
            }
        });
        self.dead = result.as_ref().err().map(Error::kind);
        result
    }

    async fn commit(&mut self, offsets: Vec<(Bytes, Option<Bytes>)>) -> Result<()> {
        self.alive("commit")?;
        if !offsets.is_empty() {
            let Some(topic) = self.offsets_topic.clone() else {
                return Err(Error::bug("commit", "the producer has no offsets topic"));
            };
            let mut record = Record::new(topic);
            for (key, value) in offsets {
                record.key = Datum::Bytes(key);
                record.value = value.map_or(Datum::Null, Datum::Bytes);
                if let Err(error) = self.enqueue(&record, &mut None).await {
                    self.dead = Some(error.kind());
                    return Err(error);
                }
            }
        }
        self.transact("commit", |producer| commit(producer, TRANSACTION_MAX))
            .await
    }
}

impl Drop for KafkaProducer {
    fn drop(&mut self) {
        self.topics.clear();
        self.inner.stop.store(true, Ordering::Release);
        // Reports of what is still in line wake the thread.
        let all = PurgeConfig::default().queue().inflight();
        self.inner.producer.purge(all.non_blocking());
    }
}

impl ports::Producer for KafkaProducer {
    fn send(&mut self, batch: Vec<(Record, Receipt)>) -> Boxed<'_, Result<()>> {
        Box::pin(KafkaProducer::send(self, batch))
    }
    fn flush(&mut self) -> Boxed<'_, Result<()>> {
        Box::pin(KafkaProducer::flush(self))
    }
    fn begin(&mut self) -> Boxed<'_, Result<()>> {
        Box::pin(self.transact("begin", |producer| producer.begin_transaction()))
    }
    fn commit(&mut self, offsets: Vec<(Bytes, Option<Bytes>)>) -> Boxed<'_, Result<()>> {
        Box::pin(KafkaProducer::commit(self, offsets))
    }
    fn abort(&mut self) -> Boxed<'_, Result<()>> {
        Box::pin(self.transact("abort", |producer| {
            producer.abort_transaction(TRANSACTION_MAX)
        }))
    }
}
