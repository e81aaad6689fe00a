//! Clients that work while the broker is killed, and remember what was acknowledged to them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerGroupMetadata};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{ClientContext, Offset, TopicPartitionList};

use crate::kafka::{Kafka, PATIENCE, Sender};

pub(crate) const PLAIN: &str = "plain";
pub(crate) const COMPACTED: &str = "compacted";
pub(crate) const TRANSACTED: &str = "transacted";
pub(crate) const CONSUMED: &str = "consumed";
/// Keys that the numbers are written under in turn.
pub(crate) const KEYS: u64 = 7;
pub(crate) const GROUP: &str = "committer";
pub(crate) const TRANSACTED_GROUP: &str = "transacted-group";
/// Records of one transaction.
pub(crate) const RECORDS: usize = 6;

/// What a client knows about a transaction of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Committed,
    Aborted,
    /// The answer was lost.
    Unknown,
}

/// Remembers the numbers of acknowledged records.
#[derive(Default)]
struct Acknowledged(Mutex<BTreeSet<u64>>);

impl ClientContext for Acknowledged {
    fn error(&self, _: KafkaError, _: &str) {}
    fn log(&self, _: rdkafka::config::RDKafkaLogLevel, _: &str, _: &str) {}
}

impl ProducerContext for Acknowledged {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let number: Option<u64> = result
            .as_ref()
            .ok()
            .and_then(|m| std::str::from_utf8(m.payload()?).ok()?.parse().ok());
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(number);
    }
}

/// An idempotent producer that goes through all restarts; returns what was acknowledged.
pub(crate) fn write_numbers(
    kafka: &Kafka,
    topic: &str,
    stop: &AtomicBool,
) -> Result<BTreeSet<u64>> {
    let settings = [
        ("enable.idempotence", "true"),
        ("message.timeout.ms", "120000"),
        ("linger.ms", "1"),
        ("reconnect.backoff.max.ms", "200"),
    ];
    let producer: ThreadedProducer<Acknowledged> = kafka
        .config(&settings)
        .create_with_context(Acknowledged::default())?;
    let mut number = 0u64;
    while !stop.load(Ordering::SeqCst) {
        let (text, key) = (number.to_string(), (number % KEYS).to_string());
        let record = BaseRecord::<str, str>::to(topic)
            .partition((number % 2) as i32)
            .key(&key)
            .payload(&text);
        match producer.send(record) {
            Ok(()) => number += 1,
            Err((KafkaError::MessageProduction(_), _)) => {
                std::thread::sleep(Duration::from_millis(5))
            }
            Err((error, _)) => return Err(error.into()),
        }
        std::thread::sleep(Duration::from_micros(500));
    }
    producer.flush(PATIENCE * 2)?;
    let acknowledged = producer
        .context()
        .0
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    ensure!(
        acknowledged.len() as u64 == number,
        "{} of {number} records were delivered in the end",
        acknowledged.len()
    );
    Ok(acknowledged)
}

/// Commits ever greater offsets; returns the last that was acknowledged. A commit must never be followed by a smaller offset.
pub(crate) fn commit_offsets(kafka: &Kafka, stop: &AtomicBool) -> Result<i64> {
    let settings = [
        ("group.id", GROUP),
        ("enable.auto.commit", "false"),
        ("reconnect.backoff.max.ms", "200"),
        ("socket.timeout.ms", "5000"),
    ];
    let consumer: BaseConsumer = kafka.config(&settings).create()?;
    let mut asked = TopicPartitionList::new();
    asked.add_partition(CONSUMED, 0);
    let (mut last, mut next) = (0, 1);
    while !stop.load(Ordering::SeqCst) {
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(CONSUMED, 0, Offset::Offset(next))?;
        if consumer.commit(&offsets, CommitMode::Sync).is_ok() {
            last = next;
        }
        if let Ok(found) = consumer.committed_offsets(asked.clone(), Duration::from_secs(5)) {
            let found = found
                .find_partition(CONSUMED, 0)
                .ok_or_else(|| anyhow!("no answer"))?
                .offset();
            let back = !matches!(found, Offset::Offset(o) if o >= last) && last > 0;
            ensure!(
                !back,
                "the group went back to {found:?} after {last} was acknowledged"
            );
        }
        next += 1;
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(last)
}

/// One transaction after another under one id, every third rolled back; returns what became of each.
pub(crate) fn write_transactions(
    kafka: &Kafka,
    stop: &AtomicBool,
) -> Result<BTreeMap<u64, Outcome>> {
    let settings = [
        ("group.id", TRANSACTED_GROUP),
        ("enable.auto.commit", "false"),
    ];
    let consumer: BaseConsumer = kafka.config(&settings).create()?;
    let group = consumer
        .group_metadata()
        .ok_or_else(|| anyhow!("no group"))?;
    let (mut outcomes, mut number, mut sender) = (BTreeMap::new(), 0, None);
    while !stop.load(Ordering::SeqCst) {
        number += 1;
        let with = match sender.take() {
            Some(sender) => sender,
            None => producer(kafka)?,
        };
        let (outcome, usable) = transaction(&with, number, &group);
        outcomes.insert(number, outcome);
        sender = usable.then_some(with);
    }
    // The successor decides what the last one left open.
    drop(sender);
    drop(producer(kafka)?);
    Ok(outcomes)
}

fn producer(kafka: &Kafka) -> Result<Sender> {
    let settings = [
        ("transactional.id", "writer"),
        ("transaction.timeout.ms", "60000"),
        ("linger.ms", "1"),
        ("reconnect.backoff.max.ms", "200"),
    ];
    let begun = Instant::now();
    loop {
        let sender = kafka.sender(&settings)?;
        match sender.0.init_transactions(Duration::from_secs(10)) {
            Ok(()) => return Ok(sender),
            Err(error) => ensure!(begun.elapsed() < PATIENCE * 2, "no producer: {error}"),
        }
    }
}

/// Does one transaction; tells what is known of it, and whether the producer can go on.
fn transaction(sender: &Sender, number: u64, group: &ConsumerGroupMetadata) -> (Outcome, bool) {
    let write = || -> Result<()> {
        sender.0.begin_transaction()?;
        for n in 0..RECORDS {
            sender.send(
                TRANSACTED,
                Some((n % 2) as i32),
                Some("k"),
                Some(&format!("{number}-{n}")),
            )?;
        }
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(CONSUMED, 0, Offset::Offset(number as i64))?;
        Ok(retried(|| {
            sender
                .0
                .send_offsets_to_transaction(&offsets, group, Duration::from_secs(10))
        })?)
    };
    if write().is_err() || number.is_multiple_of(3) {
        let aborted = retried(|| sender.0.abort_transaction(Duration::from_secs(10)));
        return if aborted.is_ok() {
            (Outcome::Aborted, true)
        } else {
            (Outcome::Unknown, false)
        };
    }
    match retried(|| sender.0.commit_transaction(Duration::from_secs(10))) {
        Ok(()) => (Outcome::Committed, true),
        Err(_) => (Outcome::Unknown, false),
    }
}

/// Repeats what the client says may be repeated.
fn retried(mut call: impl FnMut() -> Result<(), KafkaError>) -> Result<(), KafkaError> {
    let begun = Instant::now();
    loop {
        match call() {
            Err(KafkaError::Transaction(error))
                if error.is_retriable() && begun.elapsed() < PATIENCE => {}
            outcome => return outcome,
        }
    }
}
