//! What the tests of this crate share: a cluster, names that nobody else uses, short ways to write and read.
#![allow(dead_code, unreachable_pub)]

use bytes::Bytes;
use longshore_engine::ports::{
    Answer, Bus, Consumer, ConsumerSpec, Entry, Inbox, LogReader, Polled, Producer, ProducerSpec,
    Receipt, Subscription, Ticket, TopicSpec, Version,
};
use longshore_kafka::{ClientSettings, KafkaBus};
use longshore_sdk::{Datum, Record, Result, SinkRecord, Topic, TopicOffsets};
use rdkafka::{
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

/// Generous: a test fails by it only when something is stuck.
pub const LONG: Duration = Duration::from_secs(60);

/// A cluster: the one at KAFKA_BOOTSTRAP, else an embedded broker of this test's own.
pub struct Cluster {
    pub settings: ClientSettings,
    pub bus: KafkaBus,
    pub bootstrap: String,
    _embedded: Option<longshore_broker::Broker>,
}

impl Cluster {
    pub async fn start() -> Self {
        let (bootstrap, embedded) = match std::env::var("KAFKA_BOOTSTRAP") {
            Ok(bootstrap) => (bootstrap, None),
            Err(_) => {
                let config = longshore_broker::Config {
                    listen: "127.0.0.1:0".into(),
                    data_dir: None,
                    ..Default::default()
                };
                let broker = longshore_broker::Broker::start(config)
                    .await
                    .expect("an embedded broker");
                (broker.bootstrap(), Some(broker))
            }
        };
        Self::at(bootstrap, embedded)
    }
    pub fn at(bootstrap: String, embedded: Option<longshore_broker::Broker>) -> Self {
        Self {
            _embedded: embedded,
            ..Self::with(ClientSettings::new(bootstrap))
        }
    }
    /// The cluster that the settings name.
    pub fn with(settings: ClientSettings) -> Self {
        Self {
            bus: KafkaBus::new(settings.clone()),
            bootstrap: settings.bootstrap().to_owned(),
            settings,
            _embedded: None,
        }
    }
    /// A new topic.
    pub async fn topic(&self, partitions: i32) -> Topic {
        let name = unique("topic");
        self.create(&name, partitions, &[]).await;
        name.into()
    }
    pub async fn create(&self, name: &str, partitions: i32, config: &[(&str, &str)]) {
        let spec = TopicSpec {
            name: name.to_owned(),
            partitions: Some(partitions),
            replication: Some(1),
            config: map(config),
        };
        assert!(self.bus.ensure_topic(spec).await.expect("create a topic"));
    }
    pub async fn delete(&self, topic: &str) {
        let mut config = rdkafka::ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap);
        let admin: AdminClient<DefaultClientContext> = config.create().expect("a client");
        let deleted = admin.delete_topics(&[topic], &AdminOptions::new()).await;
        for result in deleted.expect("an answer") {
            result.expect("deleted");
        }
        while self
            .bus
            .admin()
            .await
            .expect("an admin")
            .partitions(topic)
            .await
            .expect("topics")
            .is_some()
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    pub async fn producer(&self, overrides: &[(&str, &str)]) -> Box<dyn Producer> {
        let spec = ProducerSpec {
            client_id: "test-producer".to_owned(),
            overrides: map(overrides),
            ..ProducerSpec::default()
        };
        self.bus.producer(spec).await.expect("a producer")
    }
    pub async fn transactional(&self, id: &str, offsets_topic: &str) -> Result<Box<dyn Producer>> {
        let spec = ProducerSpec {
            client_id: "test-producer".to_owned(),
            transactional_id: Some(id.to_owned()),
            offsets_topic: Some(offsets_topic.to_owned()),
            ..ProducerSpec::default()
        };
        self.bus.producer(spec).await
    }
    pub async fn consumer(
        &self,
        group: &str,
        topics: &[&Topic],
        overrides: &[(&str, &str)],
    ) -> Box<dyn Consumer> {
        let spec = ConsumerSpec {
            client_id: unique("test-consumer"),
            group: group.to_owned(),
            subscription: Subscription::Topics(topics.iter().map(|t| t.to_string()).collect()),
            overrides: map(overrides),
            buffer_bytes: None,
        };
        self.bus.consumer(spec).await.expect("a consumer")
    }
}

pub fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect()
}

pub fn unique(what: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let since = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .expect("after 1970");
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{what}-{}-{next}", since.as_nanos())
}

pub fn bytes(text: &str) -> Datum {
    Datum::Bytes(Bytes::copy_from_slice(text.as_bytes()))
}

pub fn record(topic: &Topic, partition: i32, value: &str) -> Record {
    let mut record = Record::new(Topic::clone(topic));
    record.partition = Some(partition);
    record.value = bytes(value);
    record
}

/// Sends records and waits for the answers, in the order of the records.
pub async fn send(producer: &mut Box<dyn Producer>, records: Vec<Record>) -> Vec<Answer> {
    let inbox = Inbox::new();
    let count = records.len();
    let batch = records.into_iter().zip(0..);
    let batch = batch
        .map(|(record, n)| (record, Receipt::new(Arc::clone(&inbox), Ticket(n))))
        .collect();
    // An error of the producer itself is seen in the answers too.
    let _ = producer.send(batch).await;
    answers(&inbox, count).await
}

pub async fn answers(inbox: &Inbox, count: usize) -> Vec<Answer> {
    let mut all = Vec::new();
    let mut some = Vec::new();
    while all.len() < count {
        tokio::time::timeout(LONG, inbox.arrived())
            .await
            .expect("every receipt is answered");
        inbox.drain(&mut some);
        all.append(&mut some);
    }
    all.sort_by_key(|(ticket, _)| *ticket);
    all
}

pub fn all_ok(answers: &[Answer]) {
    for (ticket, answer) in answers {
        assert!(answer.is_ok(), "{ticket:?}: {answer:?}");
    }
}

/// Reads until `count` records are there, answering every rebalance at the committed offsets.
pub async fn read(consumer: &mut Box<dyn Consumer>, count: usize) -> Vec<SinkRecord> {
    let mut records = Vec::new();
    let all = async {
        while records.len() < count {
            records.extend(step(consumer, Duration::from_millis(500)).await);
        }
    };
    if tokio::time::timeout(LONG, all).await.is_err() {
        panic!("{} of {count} records arrived", records.len());
    }
    records
}

/// One poll, with rebalances answered.
pub async fn step(consumer: &mut Box<dyn Consumer>, wait: Duration) -> Vec<SinkRecord> {
    match consumer.poll(wait).await.expect("poll") {
        Polled::Batch(batch) => return batch,
        Polled::Assigned(_) => consumer.start(&TopicOffsets::new()).await.expect("start"),
        Polled::Revoked(_) => consumer.release().await.expect("release"),
        Polled::Lost(_) => {}
    }
    Vec::new()
}

/// Reads until the positions have reached `end`.
pub async fn replay(reader: &mut Box<dyn LogReader>, end: &[Version]) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut positions: BTreeMap<i32, i64> = BTreeMap::new();
    let reached = |positions: &BTreeMap<i32, i64>| {
        let at = |v: &Version| positions.get(&v.partition).copied().unwrap_or(0);
        end.iter().all(|v| at(v) >= v.offset)
    };
    let all = async {
        while !reached(&positions) {
            let tail = reader.next().await.expect("next");
            entries.extend(tail.entries);
            for version in tail.positions {
                let before = positions.insert(version.partition, version.offset);
                assert!(
                    before.is_none_or(|b| b < version.offset),
                    "positions go forward"
                );
            }
        }
    };
    if tokio::time::timeout(LONG, all).await.is_err() {
        panic!("read up to {positions:?} of {end:?}");
    }
    entries
}
