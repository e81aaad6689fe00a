//! The behaviour suite over the mirror source, and what is particular to it.

use bytes::Bytes;
use longshore_kafka::{ClientSettings, KafkaBus};
use longshore_kit::behaviour::source::{SourceRig, run};
use longshore_kit::ports::{Bus, Inbox, ProducerSpec, Receipt, Ticket, TopicSpec};
use longshore_mirror::Mirror;
use longshore_sdk::{
    Datum, Header, Offset, Offsets, Partition, Record, SourceContext, SourceRecord, Topic,
    config::Flat,
    erased::{self, DynSource, DynSourceConnector},
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

const WAIT: Duration = Duration::from_millis(500);
const LONG: Duration = Duration::from_secs(60);

/// The cluster that is read: the one at KAFKA_BOOTSTRAP, else an embedded broker.
struct Upstream {
    bootstrap: String,
    bus: KafkaBus,
    topic: Topic,
    seeded: usize,
    _embedded: Option<longshore_broker::Broker>,
}

impl Upstream {
    async fn start(partitions: i32) -> Self {
        let (bootstrap, embedded) = match std::env::var("KAFKA_BOOTSTRAP") {
            Ok(bootstrap) => (bootstrap, None),
            Err(_) => {
                let broker = longshore_broker::Broker::start(longshore_broker::Config::default())
                    .await
                    .expect("an embedded broker");
                (broker.bootstrap(), Some(broker))
            }
        };
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let since = std::time::SystemTime::UNIX_EPOCH
            .elapsed()
            .expect("after 1970");
        let name = format!(
            "mirrored-{}-{}",
            since.as_nanos(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let upstream = Self {
            bus: KafkaBus::new(ClientSettings::new(bootstrap.clone())),
            bootstrap,
            topic: name.as_str().into(),
            seeded: 0,
            _embedded: embedded,
        };
        upstream.create(&name, partitions).await;
        upstream
    }
    async fn create(&self, name: &str, partitions: i32) {
        let spec = TopicSpec {
            name: name.to_owned(),
            partitions: Some(partitions),
            replication: Some(1),
            // The suite's records are years old: a broker's retention would delete them between two steps.
            config: BTreeMap::from([("retention.ms".to_owned(), "-1".to_owned())]),
        };
        assert!(self.bus.ensure_topic(spec).await.expect("a topic"));
    }
    async fn send(&self, records: Vec<Record>) {
        let spec = ProducerSpec {
            client_id: "seed".to_owned(),
            ..ProducerSpec::default()
        };
        let mut producer = self.bus.producer(spec).await.expect("a producer");
        let inbox = Inbox::new();
        let batch = records.into_iter().zip(0..);
        let batch = batch
            .map(|(record, n)| (record, Receipt::new(Arc::clone(&inbox), Ticket(n))))
            .collect();
        producer.send(batch).await.expect("room");
        producer.flush().await.expect("flush");
        let mut answers = Vec::new();
        inbox.drain(&mut answers);
        for (_, answer) in answers {
            answer.expect("acknowledged");
        }
    }
    fn config(&self) -> Flat {
        let entries = [
            ("source.cluster.bootstrap.servers", self.bootstrap.as_str()),
            ("source.cluster.sasl.password", "hunter2"),
            ("topics", &self.topic),
        ];
        let entries = entries.iter();
        entries
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    }
}

impl SourceRig for Upstream {
    fn connector(&self) -> Box<dyn DynSourceConnector> {
        erased::source::<Mirror>()
    }
    fn config(&self) -> Flat {
        Upstream::config(self)
    }
    async fn seed(&mut self, count: usize) {
        // One partition: the suite wants the same order at every reading.
        let records = (self.seeded..self.seeded + count).map(|n| {
            let mut record = Record::new(Topic::clone(&self.topic));
            record.partition = Some(0);
            record.value = Datum::Bytes(Bytes::from(format!("record {n}")));
            record
        });
        self.send(records.collect()).await;
        self.seeded += count;
    }
    fn secrets(&self) -> Vec<String> {
        vec!["hunter2".to_owned()]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn behaves_as_a_source() {
    run(async || Upstream::start(1).await).await;
}

async fn open(upstream: &Upstream, config: &Flat, cx: SourceContext) -> Box<dyn DynSource> {
    let connector = upstream.connector();
    let mut shares = connector.plan(config, 1).await.expect("a plan");
    connector
        .open(config, shares.remove(0), cx)
        .await
        .expect("open")
}

async fn read(task: &mut Box<dyn DynSource>, count: usize) -> Vec<SourceRecord> {
    let mut records = Vec::new();
    let all = async {
        while records.len() < count {
            records.extend(task.poll(WAIT).await.expect("poll"));
        }
    };
    if tokio::time::timeout(LONG, all).await.is_err() {
        panic!("{} of {count} records", records.len());
    }
    records
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_keeps_everything_but_the_topic() {
    let upstream = Upstream::start(2).await;
    let bytes = |text: &str| Datum::Bytes(Bytes::copy_from_slice(text.as_bytes()));
    let mut full = Record::new(Topic::clone(&upstream.topic));
    full.partition = Some(1);
    full.key = bytes("k");
    full.value = bytes("v");
    full.timestamp = Some(1_600_000_000_000);
    full.headers = vec![Header {
        key: "h".into(),
        value: bytes("1"),
    }];
    let mut tombstone = full.clone();
    tombstone.value = Datum::Null;
    upstream.send(vec![full.clone(), tombstone.clone()]).await;
    let mut config = upstream.config();
    config.insert("target.topic".into(), "copy.${topic}".into());
    config.insert("source.cluster.alias".into(), "east".into());
    let mut task = open(
        &upstream,
        &config,
        SourceContext::detached("c", 0, Offsets::new()),
    )
    .await;
    let records = read(&mut task, 2).await;
    let target: Topic = format!("copy.{}", upstream.topic).into();
    for (mut sent, copy) in [full, tombstone].into_iter().zip(&records) {
        sent.topic = Topic::clone(&target);
        assert_eq!(copy.record, sent);
    }
    // As MirrorMaker 2 stores them: the offset of the record itself.
    let lane = format!(
        r#"{{"cluster":"east","partition":1,"topic":"{}"}}"#,
        upstream.topic
    );
    assert_eq!(records[0].lane, Partition::from_json(lane.into()));
    assert_eq!(
        records[1].offset,
        Offset::from_json(Bytes::from_static(b"{\"offset\":1}"))
    );
    task.close().await.expect("close");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offset_of_mirror_maker_is_taken_over() {
    let mut upstream = Upstream::start(1).await;
    upstream.seed(10).await;
    // Another field order than ours.
    let lane = format!(
        r#"{{"topic":"{}","cluster":"source","partition":0}}"#,
        upstream.topic
    );
    let offset = Offset::from_json(Bytes::from_static(b"{\"offset\":6}"));
    let offsets = Offsets::from([(Partition::from_json(lane.into()), offset)]);
    let config = upstream.config();
    let mut task = open(&upstream, &config, SourceContext::detached("c", 0, offsets)).await;
    let first = &read(&mut task, 3).await[0];
    assert_eq!(
        first.record.value,
        Datum::Bytes(Bytes::from_static(b"record 7"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_topic_asks_for_a_new_plan() {
    let upstream = Upstream::start(1).await;
    let mut config = upstream.config();
    config.insert("topics".into(), format!("{}(-more)?", upstream.topic));
    config.insert("refresh.topics.interval.seconds".into(), "1".into());
    let asked = Arc::new(AtomicBool::new(false));
    let mut cx = SourceContext::detached("c", 0, Offsets::new());
    let tell = Arc::clone(&asked);
    cx.replan = Arc::new(move || tell.store(true, Ordering::Relaxed));
    let mut task = open(&upstream, &config, cx).await;
    for _ in 0..4 {
        task.poll(WAIT).await.expect("poll");
    }
    assert!(!asked.load(Ordering::Relaxed), "nothing is new yet");
    upstream
        .create(&format!("{}-more", upstream.topic), 2)
        .await;
    let noticed = async {
        while !asked.load(Ordering::Relaxed) {
            task.poll(WAIT).await.expect("poll");
        }
    };
    tokio::time::timeout(LONG, noticed)
        .await
        .expect("a request for a new plan");
    let shares = upstream.connector().plan(&config, 5).await.expect("a plan");
    assert_eq!(shares.len(), 3);
}
