//! A compacted topic as a keyed log.

use crate::{
    admin::Admin,
    client::Properties,
    errors, producer,
    reader::{Reader, Start},
    writer::{Line, LogProducer, REQUEST, configured},
};
use bytes::Bytes;
use longshore_engine::ports::{Entry, KeyedLog, LogReader, Tail, Version};
use longshore_sdk::{Datum, Error, ErrorKind, Headers, Result, TopicPartition, erased::Boxed};
use rdkafka::producer::Producer;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Mutex;

/// Nothing to read for this long = look whether the topic is still there.
const READ_MAX: Duration = Duration::from_secs(5);

/// How long a topic that was created a moment before it is opened may be unknown to one or another of the brokers, and how often they are asked.
const KNOWN_MAX: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// How long a broker keeps a reader that is at the end waiting. Behind a transaction the end is seen by the answer that follows, and that is empty.
const WAIT_MS: &str = "100";
const WAIT_PROMPT_MS: &str = "50";

type KeyValue = (Bytes, Option<Bytes>);

/// Which topic, and how it is written.
#[derive(Clone, Debug, Default)]
pub struct LogSpec {
    /// The topic; it must exist (see [`Admin::ensure_internal`]).
    pub topic: String,
    /// The worker key that names it, for messages; empty if there is none.
    pub key: &'static str,
    /// `client.id` of its clients.
    pub client_id: String,
    /// Somebody waits for its true end whenever a task is opened: it is seen sooner, for twice the questions of a reader that has nothing to read.
    pub prompt: bool,
}

/// A compacted topic; see [`KeyedLog`].
pub struct KafkaLog {
    spec: LogSpec,
    admin: Admin,
    /// None before the first put, since most workers never write most of their logs, and after an error that it does not survive.
    writer: Mutex<Option<Arc<LogProducer>>>,
    opened: Instant,
}

impl KafkaLog {
    /// Nothing is opened yet but for the question whether the topic is there. Questions go through `admin`, whose settings the log's own clients start from. Err (Config): there is no such topic.
    pub async fn open(admin: &Admin, spec: LogSpec) -> Result<Self> {
        let log = Self {
            writer: Mutex::default(),
            spec,
            admin: admin.clone(),
            opened: Instant::now(),
        };
        log.partitions().await?;
        Ok(log)
    }

    async fn partitions(&self) -> Result<i32> {
        loop {
            let partitions = self.admin.partitions(&self.spec.topic).await?;
            match partitions {
                Some(partitions) => return Ok(partitions),
                None if self.opened.elapsed() > KNOWN_MAX => return Err(self.spec.missing("open")),
                None => tokio::time::sleep(LOOK_AGAIN).await,
            }
        }
    }

    async fn put(&self, entries: Vec<KeyValue>) -> Result<Vec<Version>> {
        let producer = {
            let mut writer = self.writer.lock().await;
            match &*writer {
                Some(producer) => Arc::clone(producer),
                None => Arc::clone(writer.insert(open_writer(&self.admin, &self.spec)?)),
            }
        };
        let error = match self.write(&producer, &entries).await {
            Ok(versions) => return Ok(versions),
            Err(error) => error,
        };
        if producer::fatal("put", producer.client()).is_some() {
            let mut writer = self.writer.lock().await;
            // Another put may have replaced it.
            writer.take_if(|open| Arc::ptr_eq(open, &producer));
        }
        if is_unknown(&error) {
            return Err(self.spec.missing("put").because(error));
        }
        Err(self.admin.why_unwritten(error, &self.spec.topic).await)
    }

    async fn write(&self, producer: &LogProducer, entries: &[KeyValue]) -> Result<Vec<Version>> {
        let mut waiting = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let line = Line {
                key,
                value: value.as_deref(),
                request: None,
            };
            waiting.push(producer.enqueue(&self.spec.topic, &line).await?);
        }
        let mut versions = Vec::with_capacity(waiting.len());
        for delivery in waiting {
            versions.push(delivery.place().await?);
        }
        Ok(versions)
    }

    async fn end(&self) -> Result<Vec<Version>> {
        let ends = loop {
            let partitions = self.partitions().await?;
            match self.admin.ends(&self.spec.topic, partitions).await {
                Ok(ends) => break ends,
                // Their leaders do not know yet that they lead.
                Err(error) if is_unknown(&error) && self.opened.elapsed() < KNOWN_MAX => {
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
                Err(error) if is_unknown(&error) => {
                    return Err(self.spec.missing("read").because(error));
                }
                Err(error) => return Err(error),
            }
        };
        let ends = ends.into_iter().zip(0..);
        Ok(ends
            .map(|(offset, partition)| Version { partition, offset })
            .collect())
    }

    async fn reader(&self) -> Result<Tailing> {
        let partitions = self.partitions().await?;
        let starts = (0..partitions)
            .map(|p| (TopicPartition::new(&*self.spec.topic, p), Start::Beginning))
            .collect();
        let wait = match self.spec.prompt {
            true => WAIT_PROMPT_MS,
            false => WAIT_MS,
        };
        // Whatever the settings say for sinks: a log is read from its beginning, and not behind an open transaction, and people wait for it.
        let forced = [
            ("fetch.max.wait.ms", wait),
            ("fetch.min.bytes", "1"),
            ("isolation.level", "read_committed"),
            ("auto.offset.reset", "earliest"),
        ];
        let forced = forced.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let reader = Reader::open(
            &self.admin.settings,
            &self.spec.client_id,
            &Properties::from(forced),
            starts,
            true,
        )
        .await?;
        Ok(Tailing {
            admin: self.admin.clone(),
            spec: self.spec.clone(),
            reader,
            positions: BTreeMap::new(),
        })
    }
}

impl LogSpec {
    fn named(&self) -> String {
        match self.key {
            "" => self.topic.clone(),
            key => format!("{} ({key})", self.topic),
        }
    }
    /// It was not there, or it is gone.
    fn missing(&self, op: &'static str) -> Error {
        Error::config(
            op,
            format!(
                "the topic {} does not exist: it was deleted. Put it back with what it held, or create it empty with cleanup.policy=compact and restart all workers of the group",
                self.named()
            ),
        )
        .with("topic", &self.topic)
    }
    fn made_anew(&self) -> Error {
        Error::transient(
            "read",
            format!("the topic {} was cut or made anew", self.named()),
        )
        .with("topic", &self.topic)
    }
}

fn is_unknown(error: &Error) -> bool {
    matches!(
        errors::code(error),
        Some("UnknownTopic" | "UnknownTopicOrPartition")
    )
}

fn open_writer(admin: &Admin, spec: &LogSpec) -> Result<Arc<LogProducer>> {
    let mut resolved = configured(&admin.settings, &spec.client_id, None, &Properties::new())?;
    // An acknowledged config or offset must be durable, whatever the records' own producers do.
    resolved.force("acks", "all");
    resolved.force("enable.idempotence", true);
    // A person waits for most of these writes.
    resolved.force("linger.ms", 0);
    // One that was deleted must not come back empty, and not compacted.
    resolved.force("allow.auto.create.topics", false);
    LogProducer::open(&resolved, &spec.client_id).map(Arc::new)
}

/// The request that an entry was written for.
fn request(headers: &Headers) -> Option<Bytes> {
    let mut headers = headers.iter();
    let header = headers.find(|header| &*header.key == REQUEST)?;
    match &header.value {
        Datum::Bytes(request) => Some(request.clone()),
        _ => None,
    }
}

/// Follows the log, read_committed.
struct Tailing {
    admin: Admin,
    spec: LogSpec,
    reader: Reader,
    positions: BTreeMap<i32, i64>,
}

impl Tailing {
    async fn next(&mut self) -> Result<Tail> {
        loop {
            // Nothing that was taken is held over an await, so that a dropped future loses nothing.
            let taken = self.reader.poll(READ_MAX).await?;
            if taken.records.is_empty() && taken.ends.is_empty() {
                self.look().await?;
                continue;
            }
            let mut moved: BTreeMap<i32, i64> = BTreeMap::new();
            let mut entries = Vec::with_capacity(taken.records.len());
            for record in taken.records {
                let version = Version {
                    partition: record.at.partition,
                    offset: record.at.offset,
                };
                moved.insert(version.partition, version.offset + 1);
                if let Datum::Bytes(key) = record.record.key {
                    let value = match record.record.value {
                        Datum::Bytes(value) => Some(value),
                        _ => None,
                    };
                    entries.push(Entry {
                        key,
                        value,
                        version,
                        request: request(&record.record.headers),
                    });
                }
            }
            for (at, end) in taken.ends {
                moved.insert(at.partition, end);
            }
            moved.retain(|partition, offset| self.positions.get(partition) != Some(offset));
            if moved.is_empty() {
                continue;
            }
            let behind = |(partition, offset): (&i32, &i64)| {
                let before = self.positions.get(partition);
                before.is_some_and(|before| offset < before)
            };
            if moved.iter().any(behind) {
                return Err(self.spec.made_anew());
            }
            self.positions.extend(&moved);
            let positions = moved
                .into_iter()
                .map(|(partition, offset)| Version { partition, offset })
                .collect();
            return Ok(Tail { entries, positions });
        }
    }

    /// The library waits for a topic that is gone as if it were down, and says so to nobody.
    async fn look(&self) -> Result<()> {
        let topic = &self.spec.topic;
        let partitions = match self.admin.partitions(topic).await {
            Ok(Some(partitions)) => partitions,
            Ok(None) => return Err(self.spec.missing("read")),
            // No broker answers: the library tries on.
            Err(error) => {
                tracing::debug!(topic, error = %error, "a log cannot be looked at");
                return Ok(());
            }
        };
        let ends = match self.admin.ends(topic, partitions).await {
            Ok(ends) => ends,
            Err(error) if error.kind() == ErrorKind::Config => return Err(error),
            Err(_) => return Ok(()),
        };
        for (end, partition) in ends.into_iter().zip(0..) {
            if self.positions.get(&partition).is_some_and(|at| end < *at) {
                return Err(self.spec.made_anew());
            }
        }
        Ok(())
    }
}

impl LogReader for Tailing {
    fn next(&mut self) -> Boxed<'_, Result<Tail>> {
        Box::pin(Tailing::next(self))
    }
}

impl KeyedLog for KafkaLog {
    fn put(&self, entries: Vec<KeyValue>) -> Boxed<'_, Result<Vec<Version>>> {
        Box::pin(KafkaLog::put(self, entries))
    }
    fn end(&self) -> Boxed<'_, Result<Vec<Version>>> {
        Box::pin(KafkaLog::end(self))
    }
    fn reader(&self) -> Boxed<'_, Result<Box<dyn LogReader>>> {
        Box::pin(async move {
            let reader = KafkaLog::reader(self).await?;
            Ok(Box::new(reader) as Box<dyn LogReader>)
        })
    }
}
