//! A compacted topic as a keyed log.

use crate::{
    admin::Admin,
    blocking::{Bounded, run},
    client::{ClientSettings, Properties},
    errors, producer,
    reader::{Reader, Start},
    writer::{Delivery, LogProducer, configured},
};
use bytes::Bytes;
use longshore_engine::ports::{Entry, KeyedLog, LogReader, Tail, Version};
use longshore_sdk::{Datum, Error, ErrorKind, Result, TopicPartition, erased::Boxed};
use rdkafka::producer::Producer;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};
use tokio::sync::Mutex;

const TRANSACTION_MAX: Duration = Duration::from_secs(30);
/// Nothing to read for this long = ask again.
const READ_MAX: Duration = Duration::from_secs(30);

type KeyValue = (Bytes, Option<Bytes>);

/// Which topic, and how it is written.
#[derive(Clone, Debug, Default)]
pub struct LogSpec {
    /// The topic; it must exist (see [`Admin::ensure_internal`]).
    pub topic: String,
    /// `client.id` of its clients.
    pub client_id: String,
    /// `transactional.id`: set = each put is one transaction, and opening the log fences the former owner.
    /// The leader's is `connect-cluster-<group.id>`.
    pub transactional_id: Option<String>,
}

/// A compacted topic; see [`KeyedLog`].
pub struct KafkaLog {
    settings: ClientSettings,
    spec: LogSpec,
    admin: Admin,
    writer: Mutex<Writer>,
}

enum Writer {
    Open(Arc<LogProducer>),
    /// After a doubtful transactional call or a fatal error: the next put opens another one.
    Doubtful,
    /// Another has taken the transactional id: it is not taken back.
    Fenced,
}

impl KafkaLog {
    /// Opens the writer (a transactional one is initialised, so that its predecessor's open transaction ends). Questions go through `admin`,
    /// whose settings the log's own clients start from. Err (Config): there is no such topic.
    pub async fn open(admin: &Admin, spec: LogSpec) -> Result<Self> {
        Self::open_after(admin, spec, std::future::ready(())).await
    }

    /// The same, but the former owner of the transactional id is fenced only after `allowed`; what can be done before is done meanwhile.
    pub async fn open_after(
        admin: &Admin,
        spec: LogSpec,
        allowed: impl Future<Output = ()>,
    ) -> Result<Self> {
        let log = Self {
            writer: Mutex::new(open_writer(&admin.settings, &spec, allowed).await?),
            settings: admin.settings.clone(),
            spec,
            admin: admin.clone(),
        };
        log.partitions().await?;
        Ok(log)
    }

    async fn partitions(&self) -> Result<i32> {
        let topic = &self.spec.topic;
        let partitions = self.admin.partitions(topic).await?;
        partitions.ok_or_else(|| {
            Error::config("open", "the topic does not exist: create it, compacted")
                .with("topic", topic)
        })
    }

    async fn put(&self, entries: Vec<KeyValue>) -> Result<Vec<Version>> {
        // Held for the whole put: one transaction at a time.
        let mut writer = self.writer.lock().await;
        if let Writer::Doubtful = *writer {
            let now = std::future::ready(());
            *writer = open_writer(&self.settings, &self.spec, now).await?;
        }
        let Writer::Open(producer) = &*writer else {
            return Err(Error::fenced(
                "put",
                "another worker has taken over the writing of this topic",
            )
            .with("topic", &self.spec.topic));
        };
        let producer = Arc::clone(producer);
        if self.spec.transactional_id.is_none() {
            let written = self.write(&producer, &entries).await;
            if written.is_err() && producer::fatal("put", producer.client()).is_some() {
                *writer = Writer::Doubtful;
            }
            return written;
        }
        // Dropped amid the call, the outcome would be unknown.
        *writer = Writer::Doubtful;
        let result = self.transaction(&producer, &entries).await;
        // A record that was purged for a fence says only that it was purged.
        let result =
            result.map_err(|error| producer::fatal("put", producer.client()).unwrap_or(error));
        match &result {
            Ok(_) => *writer = Writer::Open(producer),
            Err(error) if error.kind() == ErrorKind::Fenced => *writer = Writer::Fenced,
            Err(_) => {}
        }
        result
    }

    async fn transaction(
        &self,
        producer: &Arc<LogProducer>,
        entries: &[KeyValue],
    ) -> Result<Vec<Version>> {
        producer
            .begin_transaction()
            .map_err(|error| errors::from_client("put", error))?;
        let written = self.write(producer, entries).await;
        let ending = Arc::clone(producer);
        let commit = written.is_ok();
        let ended = run("put", Bounded(TRANSACTION_MAX * 2), move || {
            let result = if commit {
                ending.commit_transaction(TRANSACTION_MAX)
            } else {
                ending.abort_transaction(TRANSACTION_MAX)
            };
            result.map_err(|error| errors::from_client("put", error))
        })
        .await;
        let versions = written?;
        ended.map(|()| versions)
    }

    async fn write(&self, producer: &LogProducer, entries: &[KeyValue]) -> Result<Vec<Version>> {
        let mut versions = Vec::with_capacity(entries.len());
        let mut waiting: VecDeque<Delivery> = VecDeque::new();
        for (key, value) in entries {
            loop {
                if let Some(delivery) = producer.send(&self.spec.topic, key, value.as_deref())? {
                    break waiting.push_back(delivery);
                }
                match waiting.pop_front() {
                    Some(delivery) => versions.push(delivery.place().await?),
                    None => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        }
        for delivery in waiting {
            versions.push(delivery.place().await?);
        }
        Ok(versions)
    }

    async fn end(&self) -> Result<Vec<Version>> {
        let ends = self
            .admin
            .ends(&self.spec.topic, self.partitions().await?)
            .await?;
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
        let isolation = ("isolation.level".to_owned(), "read_committed".to_owned());
        let reader = Reader::open(
            &self.settings,
            &self.spec.client_id,
            &Properties::from([isolation]),
            starts,
            true,
        )
        .await?;
        Ok(Tailing {
            reader,
            positions: BTreeMap::new(),
        })
    }
}

async fn open_writer(
    settings: &ClientSettings,
    spec: &LogSpec,
    allowed: impl Future<Output = ()>,
) -> Result<Writer> {
    let id = spec.transactional_id.as_deref();
    let mut resolved = configured(settings, &spec.client_id, id, &Properties::new())?;
    // An acknowledged config or offset must be durable, whatever the records' own producers do.
    resolved.force("acks", "all");
    resolved.force("enable.idempotence", true);
    // A person waits for most of these writes.
    resolved.force("linger.ms", 0);
    let producer = Arc::new(LogProducer::open(&resolved, &spec.client_id)?);
    if id.is_some() {
        let (connect, init) = (Arc::clone(&producer), Arc::clone(&producer));
        let connected = run("init", Bounded(TRANSACTION_MAX * 2), move || {
            // Without a connection the library looks for the coordinator only every half second: connect first.
            // Whether that works is seen by the init itself.
            let _ = connect.client().fetch_metadata(None, TRANSACTION_MAX);
            Ok(())
        });
        let (connected, ()) = tokio::join!(connected, allowed);
        connected?;
        let init = run("init", Bounded(TRANSACTION_MAX * 2), move || {
            init.init_transactions(TRANSACTION_MAX)
                .map_err(|error| init.refusal().explain(errors::from_client("init", error)))
        });
        producer.refusal().or_refused("init", init).await?;
    }
    Ok(Writer::Open(producer))
}

/// Follows the log, read_committed.
struct Tailing {
    reader: Reader,
    positions: BTreeMap<i32, i64>,
}

impl Tailing {
    async fn next(&mut self) -> Result<Tail> {
        loop {
            // Nothing is awaited after this, so that a dropped future loses nothing.
            let taken = self.reader.poll(READ_MAX).await?;
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
            self.positions.extend(&moved);
            let positions = moved
                .into_iter()
                .map(|(partition, offset)| Version { partition, offset })
                .collect();
            return Ok(Tail { entries, positions });
        }
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
