//! Records out, each with a receipt; transactions.

use crate::{
    alive::Alive,
    blocking::{Bounded, run},
    client::ClientSettings,
    errors,
    native::{Line, Topics},
    oauth::{self, Bearer},
    refusal::{REFUSED_MAX, Refusal},
    writer::{POLL, configured},
};
use bytes::Bytes;
use longshore_engine::ports::{self, ProducerSpec, Receipt};
use longshore_sdk::{Datum, Error, ErrorKind, Record, Result, Topic, erased::Boxed};
use rdkafka::{
    ClientContext, Message,
    client::Client,
    config::{FromClientConfigAndContext, RDKafkaLogLevel},
    error::{KafkaError, RDKafkaErrorCode as Code},
    producer::{BaseProducer, DeliveryResult, Producer as _, ProducerContext, PurgeConfig},
    types::RDKafka,
};
use std::{
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::Notify;

/// A transactional call without an answer for this long leaves the producer dead.
const TRANSACTION_MAX: Duration = Duration::from_secs(30);

/// The error that ended a producer for good, if one has.
pub(crate) fn fatal<C: ClientContext>(op: &'static str, client: &Client<C>) -> Option<Error> {
    let (code, text) = client.fatal_error()?;
    let error = errors::coded(op, code, &text);
    Some(match error.kind() {
        ErrorKind::Fenced | ErrorKind::Auth | ErrorKind::Config => error,
        _ => Error::transient(op, format!("the producer cannot go on: {text}")),
    })
}

/// Where delivery reports arrive, on the serving thread.
pub(crate) struct Deliveries {
    /// The client's name, for log lines.
    name: String,
    line: Line,
    moved: Notify,
    client: OnceLock<Weak<Inner>>,
    refusal: Refusal,
    _alive: Alive,
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        crate::handle::log_line(&self.name, level, facility, line);
    }
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", client = self.name, error = %error, "{reason}");
        self.refusal.note(&error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = usize;
    fn delivery(&self, result: &DeliveryResult<'_>, place: usize) {
        // The payload is let go at the end, so that the message may still be looked at.
        let waiting = self.line.leave(place);
        if let Some((Some(receipt), _payload)) = waiting {
            receipt.answer(match result {
                Ok(_) => {
                    self.refusal.over();
                    Ok(())
                }
                Err((error, message)) => Err(self.refused(error, message)),
            });
        }
        self.moved.notify_one();
    }
}

impl Deliveries {
    fn refused(&self, error: &KafkaError, message: &impl Message) -> Error {
        let code = error.rdkafka_error_code().unwrap_or(Code::Unknown);
        let inner = self.client.get().and_then(Weak::upgrade);
        // What is purged after a fatal error failed for that error's reason.
        let victim = matches!(code, Code::Fatal | Code::PurgeQueue | Code::PurgeInflight);
        let fatal = inner.filter(|_| victim);
        let error = match fatal.and_then(|inner| inner.fatal("send")) {
            Some(fatal) => fatal,
            None if code == Code::MessageSizeTooLarge => {
                let part = |part: Option<&[u8]>| part.map_or(0, <[u8]>::len);
                let size = part(message.payload()) + part(message.key());
                return errors::too_large(message.topic(), size);
            }
            None if victim || code == Code::MessageTimedOut => {
                self.refusal.explain(errors::coded("send", code, ""))
            }
            None => errors::coded("send", code, ""),
        };
        error
            .with("topic", message.topic())
            .with("partition", message.partition())
    }
}

pub(crate) struct Inner {
    producer: BaseProducer<Deliveries>,
    stop: AtomicBool,
}

impl Inner {
    fn fatal(&self, op: &'static str) -> Option<Error> {
        fatal(op, self.producer.client())
    }

    fn serve(&self) {
        let mut stuck: Option<Instant> = None;
        while !self.stop.load(Ordering::Acquire) {
            self.producer.poll(POLL);
            let deliveries = self.deliveries();
            if !deliveries.refusal.is() || deliveries.line.len() == 0 {
                stuck = None;
            } else if stuck.get_or_insert_with(Instant::now).elapsed() > REFUSED_MAX {
                // Without this each record would wait for the whole of delivery.timeout.ms.
                let all = PurgeConfig::default().queue().inflight();
                self.producer.purge(all);
            }
        }
        // Whoever waits for these records gets an error now: they may have been written or not.
        self.producer
            .purge(PurgeConfig::default().queue().inflight());
        let _ = self.producer.flush(Duration::from_secs(1));
    }
}

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
        let config = resolved.config();
        let context = Deliveries {
            name: spec.client_id.clone(),
            line: Line::default(),
            moved: Notify::new(),
            client: OnceLock::new(),
            refusal: Refusal::of(&config),
            _alive: Alive::default(),
        };
        let producer = BaseProducer::from_config_and_context(&config, context)
            .map_err(|error| errors::from_client("open", error))?;
        let inner = Arc::new(Inner {
            producer,
            stop: AtomicBool::new(false),
        });
        // Set once, right after creation.
        let _ = inner.deliveries().client.set(Arc::downgrade(&inner));
        oauth::attach(&config, &inner);
        let served = Arc::clone(&inner);
        std::thread::Builder::new()
            .name("kafka produce".to_owned())
            .stack_size(256 * 1024)
            .spawn(move || served.serve())
            .map_err(|error| Error::transient("open", "no thread for a producer").because(error))?;
        let mut producer = Self {
            inner,
            topics: Topics::new(),
            offsets_topic: spec.offsets_topic.as_deref().map(Topic::from),
            transactional: transactional_id.is_some(),
            dead: None,
        };
        if producer.transactional {
            let init = |p: &BaseProducer<Deliveries>| p.init_transactions(TRANSACTION_MAX);
            let deliveries = Arc::clone(producer.inner.deliveries());
            let init = producer.transact("init", init);
            deliveries.refusal.or_refused("init", init).await?;
        }
        Ok(producer)
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
        self.transact("commit", |p| p.commit_transaction(TRANSACTION_MAX))
            .await
    }
}

impl Bearer for Inner {
    fn native(&self) -> *mut RDKafka {
        self.producer.client().native_ptr()
    }
    fn shut_out(&self, error: Error) {
        self.deliveries().refusal.shut_out(error.message());
    }
}

impl Inner {
    fn deliveries(&self) -> &Arc<Deliveries> {
        self.producer.context()
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

impl Drop for Deliveries {
    fn drop(&mut self) {
        // The client is gone: no report will come (I5).
        for receipt in self.line.abandoned() {
            receipt.answer(Err(Error::transient(
                "send",
                "the producer was closed before the record was acknowledged",
            )));
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use rdkafka::{Timestamp, message::OwnedMessage};

    #[test]
    fn records_that_wait_for_a_login_in_vain_say_so() {
        let deliveries = Deliveries {
            name: String::new(),
            line: Line::default(),
            moved: Notify::new(),
            client: OnceLock::new(),
            refusal: Refusal::default(),
            _alive: Alive::default(),
        };
        let late = KafkaError::MessageProduction(Code::MessageTimedOut);
        let place = ("t".to_owned(), 0, 0);
        let record = OwnedMessage::new(
            None,
            None,
            place.0,
            Timestamp::NotAvailable,
            place.1,
            place.2,
            None,
        );
        let kind = || deliveries.refused(&late, &record).kind();
        assert_eq!(kind(), ErrorKind::Transient);
        deliveries.error(KafkaError::Global(Code::BrokerTransportFailure), "gone");
        assert_eq!(kind(), ErrorKind::Transient);
        deliveries.error(
            KafkaError::Global(Code::Authentication),
            "SASL authentication failed",
        );
        assert_eq!(kind(), ErrorKind::Auth, "time does not heal it");
        let refused = deliveries.refused(&late, &record).to_string();
        assert!(refused.contains("SASL authentication failed"), "{refused}");
        deliveries.error(KafkaError::Global(Code::BrokerTransportFailure), "gone");
        assert_eq!(kind(), ErrorKind::Transient, "the network, this time");
    }
}
