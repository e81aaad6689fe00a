//! The producer of a keyed log: few records, each answered with its place. And what all producers have in common.

use crate::{
    alive::Alive,
    client::{ClientSettings, Properties, Resolved, Role},
    errors,
    oauth::{self, Bearer},
    refusal::Refusal,
};
use longshore_engine::ports::Version;
use longshore_sdk::{Error, Result};
use rdkafka::{
    ClientContext, Message,
    config::{FromClientConfigAndContext, RDKafkaLogLevel},
    error::{KafkaError, RDKafkaErrorCode as Code},
    message::{Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext},
    types::RDKafka,
};
use std::{
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::oneshot;

/// One round of the serving thread. The library's end of each round spins for up to a millisecond, so rounds are long.
pub(crate) const POLL: Duration = Duration::from_secs(1);
/// How long after it was full the line is tried again.
const LINE_FULL: Duration = Duration::from_millis(20);

/// What every producer of ours has in common; users may change it.
pub(crate) fn configured(
    settings: &ClientSettings,
    client_id: &str,
    transactional_id: Option<&str>,
    overrides: &Properties,
) -> Result<Resolved> {
    let mut resolved = settings.resolve(Role::Producer, overrides)?;
    resolved.preset("client.id", client_id);
    resolved.preset("linger.ms", 5);
    resolved.preset("message.max.bytes", 1 << 20);
    resolved.preset("queue.buffering.max.kbytes", 64 * 1024);
    resolved.quick_to_connect();
    // Java's partitioner: the same key goes to the same partition whoever writes it.
    resolved.preset("partitioner", "murmur2_random");
    match transactional_id {
        None => resolved.preset("message.timeout.ms", 120_000),
        Some(id) => {
            resolved.force("transactional.id", id);
            resolved.force("enable.idempotence", true);
            resolved.force("acks", "all");
            // Bounds how long a dead writer's open transaction hides what stands behind it.
            resolved.preset("transaction.timeout.ms", 10_000);
            // The client refuses a record timeout beyond the transaction's.
            resolved.native.remove("message.timeout.ms");
        }
    }
    Ok(resolved)
}

/// The record header that says which request wrote an entry.
pub(crate) const REQUEST: &str = "longshore.request";

/// An entry to be written.
pub(crate) struct Line<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) request: Option<&'a [u8]>,
}

type Answer = Result<Version, KafkaError>;

/// A record's delivery, some time later.
pub(crate) struct Delivery(oneshot::Receiver<Answer>);

impl Delivery {
    /// Where the record stands, once it is durable.
    pub(crate) async fn place(self) -> Result<Version> {
        match self.0.await {
            Ok(Ok(version)) => Ok(version),
            Ok(Err(error)) => Err(errors::from_client("put", error)),
            Err(_) => Err(Error::transient("put", "the writer was closed")),
        }
    }
}

/// Sends each answer to whoever waits for it.
pub(crate) struct Answers {
    /// The client's id, for logs.
    name: String,
    refusal: Refusal,
    _alive: Alive,
}

impl Answers {
    /// Whether it was let in.
    pub(crate) fn refusal(&self) -> &Refusal {
        &self.refusal
    }
}

impl ClientContext for Answers {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        crate::handle::log_line(&self.name, level, facility, line);
    }
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", client = self.name, error = %error, "{reason}");
        self.refusal.note(&error, reason);
    }
}

impl Bearer for BaseProducer<Answers> {
    fn native(&self) -> *mut RDKafka {
        self.client().native_ptr()
    }
    fn shut_out(&self, error: Error) {
        self.context().refusal.shut_out(error.message());
    }
}

impl ProducerContext for Answers {
    type DeliveryOpaque = Box<oneshot::Sender<Answer>>;
    fn delivery(&self, result: &DeliveryResult<'_>, asker: Self::DeliveryOpaque) {
        let answer = match result {
            Ok(message) => {
                self.refusal.over();
                Ok(Version {
                    partition: message.partition(),
                    offset: message.offset(),
                })
            }
            Err((error, _)) => Err(error.clone()),
        };
        // Nobody may be waiting any more.
        let _ = asker.send(answer);
    }
}

/// A producer with a thread that serves it until it is dropped. Calls that block hold a share of it: a commit waits for reports to be served.
pub(crate) struct LogProducer {
    producer: Arc<BaseProducer<Answers>>,
    stop: Arc<AtomicBool>,
}

impl LogProducer {
    pub(crate) fn open(resolved: &Resolved, name: &str) -> Result<Self> {
        let config = resolved.config();
        let answers = Answers {
            name: name.to_owned(),
            refusal: Refusal::of(&config),
            _alive: Alive::default(),
        };
        let producer = BaseProducer::from_config_and_context(&config, answers)
            .map_err(|error| errors::from_client("open", error))?;
        let producer = Arc::new(producer);
        oauth::attach(&config, &producer);
        let stop = Arc::new(AtomicBool::new(false));
        let (served, stopped) = (Arc::clone(&producer), Arc::clone(&stop));
        std::thread::Builder::new()
            .name("kafka log".to_owned())
            .stack_size(256 * 1024)
            .spawn(move || {
                while !stopped.load(Ordering::Acquire) {
                    served.poll(POLL);
                }
            })
            .map_err(|error| Error::transient("open", "no thread for a producer").because(error))?;
        Ok(Self { producer, stop })
    }

    /// The client, for calls that block a thread.
    pub(crate) fn shared(&self) -> &Arc<BaseProducer<Answers>> {
        &self.producer
    }

    /// True once it was dropped: for calls that block a thread longer than it lives.
    pub(crate) fn closed(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    /// Whether it was let in.
    pub(crate) fn refusal(&self) -> &Refusal {
        &self.context().refusal
    }

    /// Puts an entry in line, waiting for room.
    pub(crate) async fn enqueue(&self, topic: &str, line: &Line<'_>) -> Result<Delivery> {
        loop {
            if let Some(delivery) = self.send(topic, line)? {
                return Ok(delivery);
            }
            tokio::time::sleep(LINE_FULL).await;
        }
    }

    /// `Ok(None)` = the line is full.
    fn send(&self, topic: &str, line: &Line<'_>) -> Result<Option<Delivery>> {
        let (asker, delivery) = oneshot::channel();
        let mut record = BaseRecord::<[u8], [u8], _>::with_opaque_to(topic, Box::new(asker));
        record.key = Some(line.key);
        record.payload = line.value;
        record.headers = line.request.map(|request| {
            OwnedHeaders::new_with_capacity(1).insert(Header {
                key: REQUEST,
                value: Some(request),
            })
        });
        match self.producer.send(record) {
            Ok(()) => Ok(Some(Delivery(delivery))),
            Err((KafkaError::MessageProduction(Code::QueueFull), _)) => Ok(None),
            Err((error, _)) => Err(errors::from_client("put", error).with("topic", topic)),
        }
    }
}

impl Deref for LogProducer {
    type Target = BaseProducer<Answers>;
    fn deref(&self) -> &Self::Target {
        &self.producer
    }
}

impl Drop for LogProducer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}
