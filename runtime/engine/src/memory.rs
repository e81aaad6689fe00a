//! Ports over memory, for this crate's tests.

use crate::ports::{
    Bus, Consumer, ConsumerSpec, Entry, KeyedLog, Lag, LogReader, Member, Membership, Polled,
    Producer, ProducerSpec, Receipt, Subscription, Tail, TopicSpec, Version, View,
};
use bytes::Bytes;
use longshore_sdk::{
    Error, Record, Result, SinkRecord, TopicOffset, TopicOffsets, TopicPartition, erased::Boxed,
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::sync::watch;

/// A log of one partition. Clones are the same log.
#[derive(Clone)]
pub(crate) struct MemoryLog(Arc<Log>);

struct Log {
    entries: Mutex<Vec<Entry>>,
    length: watch::Sender<usize>,
    away: watch::Sender<bool>,
    broken_reads: AtomicUsize,
}

impl MemoryLog {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Log {
            entries: Mutex::default(),
            length: watch::Sender::new(0),
            away: watch::Sender::new(false),
            broken_reads: AtomicUsize::new(0),
        }))
    }
    /// Writes wait while the broker is away.
    pub(crate) fn set_away(&self, away: bool) {
        self.0.away.send_replace(away);
    }
    /// The next so many reads fail.
    pub(crate) fn break_reads(&self, count: usize) {
        self.0.broken_reads.store(count, SeqCst);
        self.0.length.send_modify(|_| {});
    }
    pub(crate) fn append(&self, pairs: Vec<(Bytes, Option<Bytes>)>) -> Vec<Version> {
        let mut entries = self.0.entries.lock().expect("no panic");
        let mut versions = Vec::new();
        for (key, value) in pairs {
            let offset = i64::try_from(entries.len()).expect("small");
            let version = Version {
                partition: 0,
                offset,
            };
            entries.push(Entry {
                key,
                value,
                version,
            });
            versions.push(version);
        }
        self.0.length.send_replace(entries.len());
        versions
    }
    /// Everything in it, as text.
    pub(crate) fn texts(&self) -> Vec<(String, Option<String>)> {
        let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).expect("UTF-8");
        let entries = self.0.entries.lock().expect("no panic");
        entries
            .iter()
            .map(|entry| (text(&entry.key), entry.value.as_ref().map(text)))
            .collect()
    }
    /// The keys in it.
    pub(crate) fn keys(&self) -> Vec<String> {
        self.texts().into_iter().map(|(key, _)| key).collect()
    }
}

impl KeyedLog for MemoryLog {
    fn put(&self, entries: Vec<(Bytes, Option<Bytes>)>) -> Boxed<'_, Result<Vec<Version>>> {
        Box::pin(async move {
            let mut away = self.0.away.subscribe();
            away.wait_for(|away| !away).await.expect("the log lives");
            Ok(self.append(entries))
        })
    }
    fn end(&self) -> Boxed<'_, Result<Vec<Version>>> {
        let offset = i64::try_from(*self.0.length.borrow()).expect("small");
        Box::pin(std::future::ready(Ok(vec![Version {
            partition: 0,
            offset,
        }])))
    }
    fn reader(&self) -> Boxed<'_, Result<Box<dyn LogReader>>> {
        let reader = MemoryReader {
            length: self.0.length.subscribe(),
            log: self.clone(),
            next: 0,
        };
        Box::pin(std::future::ready(Ok(
            Box::new(reader) as Box<dyn LogReader>
        )))
    }
}

struct MemoryReader {
    log: MemoryLog,
    length: watch::Receiver<usize>,
    next: usize,
}

impl LogReader for MemoryReader {
    fn next(&mut self) -> Boxed<'_, Result<Tail>> {
        Box::pin(async move {
            loop {
                let broken = &self.log.0.broken_reads;
                if broken
                    .fetch_update(SeqCst, SeqCst, |count| count.checked_sub(1))
                    .is_ok()
                {
                    return Err(Error::transient("read", "planted"));
                }
                let entries = self.log.0.entries.lock().expect("no panic")[self.next..].to_vec();
                if !entries.is_empty() {
                    self.next += entries.len();
                    return Ok(Tail {
                        entries,
                        positions: Vec::new(),
                    });
                }
                self.length.changed().await.expect("the log lives");
            }
        })
    }
}

/// Records as they were sent, by topic, and committed offsets by group. Topics have one partition.
#[derive(Default)]
pub(crate) struct MemoryBus {
    topics: Mutex<BTreeMap<String, Vec<Record>>>,
    committed: Mutex<BTreeMap<String, TopicOffsets>>,
    clients: Mutex<Vec<String>>,
    created: Mutex<BTreeMap<String, TopicSpec>>,
    asked: AtomicUsize,
    refused: AtomicUsize,
}

impl MemoryBus {
    pub(crate) fn records(&self, topic: &str) -> Vec<Record> {
        self.topics
            .lock()
            .expect("no panic")
            .get(topic)
            .cloned()
            .unwrap_or_default()
    }
    pub(crate) fn clients(&self) -> Vec<String> {
        self.clients.lock().expect("no panic").clone()
    }
    /// How a topic was asked for.
    pub(crate) fn created(&self, topic: &str) -> Option<TopicSpec> {
        self.created.lock().expect("no panic").get(topic).cloned()
    }
    /// What a group has committed of the partitions that it reads, summed up.
    pub(crate) fn committed_of(&self, group: &str) -> Option<i64> {
        let committed = self.committed.lock().expect("no panic");
        Some(committed.get(group)?.values().sum())
    }
    /// The next so many requests for topics are refused for a while.
    pub(crate) fn refuse_topics(&self, count: usize) {
        self.refused.store(count, SeqCst);
    }
    /// How many topics were asked for.
    pub(crate) fn topics_asked(&self) -> usize {
        self.asked.load(SeqCst)
    }
    pub(crate) fn send(&self, record: Record) {
        let mut topics = self.topics.lock().expect("no panic");
        topics
            .entry(record.topic.to_string())
            .or_default()
            .push(record);
    }
}

/// The bus as the engine takes it.
#[derive(Clone, Default)]
pub(crate) struct SharedMemoryBus(pub(crate) Arc<MemoryBus>);

impl Bus for SharedMemoryBus {
    fn producer(&self, spec: ProducerSpec) -> Boxed<'_, Result<Box<dyn Producer>>> {
        self.0
            .clients
            .lock()
            .expect("no panic")
            .push(spec.client_id);
        let producer = Box::new(MemoryProducer(Arc::clone(&self.0)));
        Box::pin(std::future::ready(Ok(producer as Box<dyn Producer>)))
    }
    fn consumer(&self, spec: ConsumerSpec) -> Boxed<'_, Result<Box<dyn Consumer>>> {
        self.0
            .clients
            .lock()
            .expect("no panic")
            .push(format!("{} in {}", spec.client_id, spec.group));
        let Subscription::Topics(topics) = spec.subscription else {
            return Box::pin(std::future::ready(Err(Error::bug(
                "consumer",
                "no patterns here",
            ))));
        };
        let consumer = MemoryConsumer {
            bus: Arc::clone(&self.0),
            group: spec.group,
            topics,
            at: None,
            paused: false,
        };
        Box::pin(std::future::ready(Ok(
            Box::new(consumer) as Box<dyn Consumer>
        )))
    }
    fn ensure_topic(&self, topic: TopicSpec) -> Boxed<'_, Result<bool>> {
        self.0.asked.fetch_add(1, SeqCst);
        let refused = &self.0.refused;
        let refuse = refused.fetch_update(SeqCst, SeqCst, |count| count.checked_sub(1));
        if refuse.is_ok() {
            let error = Error::transient("create topic", "planted");
            return Box::pin(std::future::ready(Err(error)));
        }
        let mut created = self.0.created.lock().expect("no panic");
        let before = created.insert(topic.name.clone(), topic);
        Box::pin(std::future::ready(Ok(before.is_none())))
    }
    fn committed<'a>(&'a self, group: &'a str) -> Boxed<'a, Result<TopicOffsets>> {
        let committed = self
            .0
            .committed
            .lock()
            .expect("no panic")
            .get(group)
            .cloned();
        Box::pin(std::future::ready(Ok(committed.unwrap_or_default())))
    }
    fn cluster_id(&self) -> Boxed<'_, Result<String>> {
        Box::pin(std::future::ready(Ok("memory".to_owned())))
    }
}

struct MemoryProducer(Arc<MemoryBus>);

impl Producer for MemoryProducer {
    fn send(&mut self, batch: Vec<(Record, Receipt)>) -> Boxed<'_, Result<()>> {
        for (record, receipt) in batch {
            self.0.send(record);
            receipt.answer(Ok(()));
        }
        Box::pin(std::future::ready(Ok(())))
    }
    fn flush(&mut self) -> Boxed<'_, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }
    fn begin(&mut self) -> Boxed<'_, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }
    fn commit(&mut self, _: Vec<(Bytes, Option<Bytes>)>) -> Boxed<'_, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }
    fn abort(&mut self) -> Boxed<'_, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// The only member of its group.
struct MemoryConsumer {
    bus: Arc<MemoryBus>,
    group: String,
    topics: Vec<String>,
    at: Option<TopicOffsets>,
    paused: bool,
}

impl MemoryConsumer {
    fn partitions(&self) -> Vec<TopicPartition> {
        self.topics
            .iter()
            .map(|topic| TopicPartition::new(topic.as_str(), 0))
            .collect()
    }
    fn batch(&mut self) -> Vec<SinkRecord> {
        let mut batch = Vec::new();
        for (at, next) in self.at.iter_mut().flatten() {
            let records = self.bus.records(&at.topic);
            let from = usize::try_from(*next).expect("an offset");
            for (offset, record) in records.into_iter().enumerate().skip(from) {
                let offset = i64::try_from(offset).expect("small");
                let at = TopicOffset {
                    topic: at.topic.clone(),
                    partition: 0,
                    offset,
                };
                batch.push(SinkRecord { record, at });
                *next = offset + 1;
            }
        }
        batch
    }
}

impl Consumer for MemoryConsumer {
    fn poll(&mut self, max_wait: Duration) -> Boxed<'_, Result<Polled>> {
        Box::pin(async move {
            if self.at.is_none() {
                self.at = Some(TopicOffsets::new());
                return Ok(Polled::Assigned(self.partitions()));
            }
            let batch = if self.paused {
                Vec::new()
            } else {
                self.batch()
            };
            if batch.is_empty() {
                tokio::time::sleep(max_wait).await;
            }
            Ok(Polled::Batch(batch))
        })
    }
    fn start(&mut self, at: &TopicOffsets) -> Boxed<'_, Result<()>> {
        let committed = self
            .bus
            .committed
            .lock()
            .expect("no panic")
            .get(&self.group)
            .cloned()
            .unwrap_or_default();
        let from = |partition: &TopicPartition| {
            at.get(partition)
                .or(committed.get(partition))
                .copied()
                .unwrap_or(0)
        };
        self.at = Some(
            self.partitions()
                .into_iter()
                .map(|partition| (partition.clone(), from(&partition)))
                .collect(),
        );
        Box::pin(std::future::ready(Ok(())))
    }
    fn release(&mut self) -> Boxed<'_, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }
    fn commit<'a>(&'a mut self, offsets: &'a TopicOffsets) -> Boxed<'a, Result<()>> {
        let mut committed = self.bus.committed.lock().expect("no panic");
        committed
            .entry(self.group.clone())
            .or_default()
            .extend(offsets.clone());
        Box::pin(std::future::ready(Ok(())))
    }
    fn pause(&mut self) -> Result<()> {
        self.paused = true;
        Ok(())
    }
    fn resume(&mut self) -> Result<()> {
        self.paused = false;
        Ok(())
    }
    fn seek<'a>(&'a mut self, at: &'a TopicOffsets) -> Boxed<'a, Result<()>> {
        self.at.get_or_insert_default().extend(at.clone());
        Box::pin(std::future::ready(Ok(())))
    }
    fn lag(&self) -> Vec<Lag> {
        Vec::new()
    }
    fn close(self: Box<Self>) -> Boxed<'static, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// A group of one.
pub(crate) struct Alone(watch::Sender<View>);

impl Alone {
    pub(crate) fn new(worker_id: &str) -> Arc<Self> {
        let me = Member {
            worker_id: worker_id.to_owned(),
            incarnation: "1".to_owned(),
        };
        let view = View {
            leader: Some(me.clone()),
            members: vec![me.clone()],
            me,
            generation: 1,
        };
        Arc::new(Self(watch::Sender::new(view)))
    }
    pub(crate) fn change(&self, change: impl FnOnce(&mut View)) {
        self.0.send_modify(change);
    }
}

impl Membership for Alone {
    fn view(&self) -> watch::Receiver<View> {
        self.0.subscribe()
    }
    fn leave(&self) -> Boxed<'_, Result<()>> {
        self.change(|view| view.members.clear());
        Box::pin(std::future::ready(Ok(())))
    }
}
