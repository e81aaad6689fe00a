//! Clients over memory.

use super::producer::{MemoryProducer, Transactional};
use crate::ports::{
    Bus, Consumer, ConsumerSpec, Lag, Polled, Producer, ProducerSpec, Subscription, TopicSpec,
};
use longshore_sdk::{
    Error, Record, Result, SinkRecord, TopicOffset, TopicOffsets, TopicPartition, TopicStates,
    erased::Boxed,
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

/// Records as they were sent, by topic, and committed offsets by group. Topics have one partition.
#[derive(Default)]
pub(crate) struct MemoryBus {
    topics: Mutex<BTreeMap<String, Vec<Record>>>,
    committed: Mutex<BTreeMap<String, TopicOffsets>>,
    /// What was committed with the offsets, by group.
    metadata: Mutex<BTreeMap<String, TopicStates>>,
    clients: Mutex<Vec<String>>,
    created: Mutex<BTreeMap<String, TopicSpec>>,
    asked: AtomicUsize,
    /// Producers that are open now.
    pub(super) producers: AtomicUsize,
    /// What the next openings of producers say, whatever they are for.
    pub(crate) refuse_producers: Mutex<Vec<Error>>,
    refused: AtomicUsize,
    /// What producers with a transactional id did, and are told to do.
    pub(crate) transactional: Transactional,
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
    /// How many producers are open now.
    pub(crate) fn producers(&self) -> usize {
        self.producers.load(SeqCst)
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
    /// What a group has committed with its offsets.
    pub(crate) fn metadata_of(&self, group: &str) -> TopicStates {
        let kept = self.metadata.lock().expect("no panic");
        kept.get(group).cloned().unwrap_or_default()
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
        let client = spec.client_id.clone();
        self.0.clients.lock().expect("no panic").push(client);
        Box::pin(async move {
            let refused = self.0.refuse_producers.lock().expect("no panic").pop();
            if let Some(error) = refused {
                return Err(error);
            }
            let producer = MemoryProducer::open(Arc::clone(&self.0), spec).await?;
            Ok(Box::new(producer) as Box<dyn Producer>)
        })
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
    fn commit_with<'a>(
        &'a mut self,
        offsets: &'a TopicOffsets,
        metadata: &'a TopicStates,
    ) -> Boxed<'a, Result<()>> {
        let mut committed = self.bus.committed.lock().expect("no panic");
        committed
            .entry(self.group.clone())
            .or_default()
            .extend(offsets.clone());
        let mut kept = self.bus.metadata.lock().expect("no panic");
        let kept = kept.entry(self.group.clone()).or_default();
        kept.retain(|at, _| !offsets.contains_key(at));
        kept.extend(metadata.clone());
        Box::pin(std::future::ready(Ok(())))
    }
    fn metadata<'a>(&'a mut self, at: &'a [TopicPartition]) -> Boxed<'a, Result<TopicStates>> {
        let mut kept = self.bus.metadata_of(&self.group);
        kept.retain(|partition, _| at.contains(partition));
        Box::pin(std::future::ready(Ok(kept)))
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
