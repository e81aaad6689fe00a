//! The broker under test, and the clients the tests speak with.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail, ensure};
use longshore_broker::{Broker, Config};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{ClientContext, Offset, TopicPartitionList};

/// For everything that should be quick; generous, so that a busy machine does not fail a test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The embedded broker all tests share; stops, and its folder goes, with the last of them.
struct Embedded {
    bootstrap: String,
    running: Option<(tokio::runtime::Runtime, Broker)>,
    _dir: tempfile::TempDir,
}

impl Embedded {
    fn start() -> Result<Embedded> {
        let dir = tempfile::tempdir()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        let config = Config {
            data_dir: Some(dir.path().join("data")),
            log_check_interval: Duration::from_millis(500),
            ..Default::default()
        };
        let broker = runtime.block_on(Broker::start(config))?;
        Ok(Embedded {
            bootstrap: broker.bootstrap(),
            running: Some((runtime, broker)),
            _dir: dir,
        })
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        if let Some((runtime, broker)) = self.running.take() {
            runtime.block_on(broker.shutdown());
        }
    }
}

static SHARED: Mutex<Weak<Embedded>> = Mutex::new(Weak::new());

/// The broker under test.
#[derive(Clone)]
pub(crate) struct Kafka {
    pub(crate) bootstrap: String,
    _embedded: Option<Arc<Embedded>>,
}

impl Kafka {
    pub(crate) fn get() -> Result<Kafka> {
        if let Ok(bootstrap) = std::env::var("KAFKA_BOOTSTRAP") {
            return Ok(Kafka {
                bootstrap,
                _embedded: None,
            });
        }
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        let embedded = match shared.upgrade() {
            Some(embedded) => embedded,
            None => Arc::new(Embedded::start()?),
        };
        *shared = Arc::downgrade(&embedded);
        Ok(Kafka {
            bootstrap: embedded.bootstrap.clone(),
            _embedded: Some(embedded),
        })
    }

    /// A broker that another process runs.
    pub(crate) fn at(bootstrap: String) -> Kafka {
        Kafka {
            bootstrap,
            _embedded: None,
        }
    }

    pub(crate) fn config(&self, extra: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap);
        for (key, value) in extra {
            config.set(*key, *value);
        }
        config
    }

    pub(crate) fn admin(&self) -> Result<AdminClient<DefaultClientContext>> {
        Ok(self.config(&[]).create()?)
    }

    /// A consumer without a subscription, for look-ups.
    pub(crate) fn inspector(&self, group: &str) -> Result<BaseConsumer> {
        Ok(self
            .config(&[("group.id", group), ("enable.auto.commit", "false")])
            .create()?)
    }

    pub(crate) fn create_topic(
        &self,
        name: &str,
        partitions: i32,
        configs: &[(&str, &str)],
    ) -> Result<()> {
        let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        for (key, value) in configs {
            topic = topic.set(key, value);
        }
        for outcome in wait_for(self.admin()?.create_topics([&topic], &options()))? {
            outcome.map_err(|(topic, error)| anyhow!("creating {topic}: {error}"))?;
        }
        Ok(())
    }

    pub(crate) fn sender(&self, extra: &[(&str, &str)]) -> Result<Sender> {
        let mut config = self.config(&[("message.timeout.ms", "30000")]);
        for (key, value) in extra {
            config.set(*key, *value);
        }
        Ok(Sender(config.create_with_context(Deliveries::default())?))
    }

    /// Everything in a topic as `isolation` shows it, to the present end of each partition; and the positions there.
    pub(crate) fn read_all(
        &self,
        topic: &str,
        partitions: i32,
        isolation: &str,
    ) -> Result<(Vec<Record>, BTreeMap<i32, i64>)> {
        let settings = [
            ("group.id", "reader"),
            ("enable.partition.eof", "true"),
            ("enable.auto.commit", "false"),
            ("isolation.level", isolation),
            ("auto.offset.reset", "error"),
            ("fetch.wait.max.ms", "100"),
        ];
        let consumer: BaseConsumer = self.config(&settings).create()?;
        let mut start = TopicPartitionList::new();
        for partition in 0..partitions {
            start.add_partition_offset(topic, partition, Offset::Beginning)?;
        }
        consumer.assign(&start)?;
        let (mut records, mut ended, begun) = (Vec::new(), BTreeSet::new(), Instant::now());
        while ended.len() < partitions as usize {
            ensure!(
                begun.elapsed() < PATIENCE,
                "{topic}: read {} records, ends of {ended:?} only",
                records.len()
            );
            match consumer.poll(Duration::from_millis(200)) {
                None => {}
                Some(Ok(message)) => records.push(Record::of(&message)),
                Some(Err(KafkaError::PartitionEOF(partition))) => drop(ended.insert(partition)),
                Some(Err(error)) => bail!("reading {topic}: {error}"),
            }
        }
        let mut positions = BTreeMap::new();
        for element in consumer.position()?.elements() {
            if let Offset::Offset(offset) = element.offset() {
                positions.insert(element.partition(), offset);
            }
        }
        Ok((records, positions))
    }

    pub(crate) fn committed(&self, group: &str, topic: &str, partition: i32) -> Result<Offset> {
        let mut asked = TopicPartitionList::new();
        asked.add_partition(topic, partition);
        // read_uncommitted: do not wait until pending offsets of a transaction are decided.
        let consumer: BaseConsumer = self
            .config(&[("group.id", group), ("isolation.level", "read_uncommitted")])
            .create()?;
        let answer = consumer.committed_offsets(asked, PATIENCE)?;
        Ok(answer
            .find_partition(topic, partition)
            .ok_or_else(|| anyhow!("no answer for {topic}-{partition}"))?
            .offset())
    }
}

/// A name nobody used before.
pub(crate) fn unique(prefix: &str) -> String {
    format!("{prefix}-{:08x}", rand::random::<u32>())
}

pub(crate) fn options() -> AdminOptions {
    AdminOptions::new()
        .operation_timeout(Some(PATIENCE))
        .request_timeout(Some(PATIENCE))
}

pub(crate) fn wait_for<F: Future>(future: F) -> F::Output {
    futures::executor::block_on(future)
}

/// Checks again and again until it is so.
pub(crate) fn eventually(what: &str, mut check: impl FnMut() -> Result<bool>) -> Result<()> {
    let begun = Instant::now();
    while !check()? {
        ensure!(begun.elapsed() < PATIENCE * 2, "waited in vain for: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// A record as a consumer saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) key: Option<String>,
    pub(crate) value: Option<String>,
    pub(crate) timestamp: Option<i64>,
    pub(crate) headers: Vec<(String, Option<String>)>,
}

impl Record {
    pub(crate) fn of(message: &BorrowedMessage<'_>) -> Record {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let headers = message.headers().map(|h| {
            h.iter()
                .map(|h| (h.key.to_owned(), h.value.map(text)))
                .collect()
        });
        Record {
            partition: message.partition(),
            offset: message.offset(),
            key: message.key().map(text),
            value: message.payload().map(text),
            timestamp: message.timestamp().to_millis(),
            headers: headers.unwrap_or_default(),
        }
    }
}

/// Counts what was delivered.
#[derive(Default)]
pub(crate) struct Deliveries {
    delivered: AtomicU64,
    failed: AtomicU64,
    last_error: Mutex<Option<String>>,
}

impl ClientContext for Deliveries {
    fn error(&self, _: KafkaError, _: &str) {}
    fn log(&self, _: rdkafka::config::RDKafkaLogLevel, _: &str, _: &str) {}
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(_) => drop(self.delivered.fetch_add(1, Ordering::SeqCst)),
            Err((error, _)) => {
                self.failed.fetch_add(1, Ordering::SeqCst);
                *self
                    .last_error
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
            }
        }
    }
}

/// A producer that counts.
pub(crate) struct Sender(pub(crate) ThreadedProducer<Deliveries>);

impl Sender {
    pub(crate) fn send(
        &self,
        topic: &str,
        partition: Option<i32>,
        key: Option<&str>,
        value: Option<&str>,
    ) -> Result<()> {
        loop {
            let mut record = BaseRecord::<str, str>::to(topic);
            record.partition = partition;
            record.key = key;
            record.payload = value;
            match self.0.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                    std::thread::sleep(Duration::from_millis(2))
                }
                Err((error, _)) => return Err(error.into()),
            }
        }
    }

    /// Waits until everything sent so far is answered; `count` records in all must have been delivered, none refused.
    pub(crate) fn flush(&self, count: u64) -> Result<()> {
        self.0.flush(PATIENCE)?;
        let counts = self.0.context();
        let (delivered, failed) = (
            counts.delivered.load(Ordering::SeqCst),
            counts.failed.load(Ordering::SeqCst),
        );
        let last = counts
            .last_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        ensure!(
            failed == 0 && delivered == count,
            "delivered {delivered} of {count}, refused {failed}, last error {last:?}"
        );
        Ok(())
    }
}
