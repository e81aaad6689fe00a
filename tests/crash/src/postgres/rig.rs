//! Topics that a proof fills and connectors that it runs, with a client of its own.

use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::executor::block_on;
use longshore_kit::servers::Postgres;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::Value;

use crate::Worker;

const PATIENCE: Duration = Duration::from_secs(60);

/// Makes a topic; a broker that was started a moment ago may take some tries.
pub(crate) fn create_topic(bootstrap: &str, topic: &str, partitions: i32) -> Result<()> {
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .create()?;
    let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
    let start = Instant::now();
    loop {
        let made = block_on(admin.create_topics([&new], &AdminOptions::new()));
        match made.map(|mut made| made.pop()) {
            Ok(Some(Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)))) => return Ok(()),
            failed => ensure!(
                start.elapsed() < PATIENCE,
                "the topic {topic} cannot be created: {failed:?}"
            ),
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Writes records in turns to the partitions of a topic that has those before them: number n has offset n / partitions in partition n % partitions.
pub(super) fn fill(
    bootstrap: &str,
    topic: &str,
    partitions: u64,
    records: Range<u64>,
    value: impl Fn(u64) -> String,
) -> Result<()> {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("linger.ms", "20")
        .set("enable.idempotence", "true")
        .set("queue.buffering.max.messages", "100000")
        .create()?;
    for number in records {
        let value = value(number);
        let mut record = BaseRecord::<(), str>::to(topic)
            .partition(i32::try_from(number % partitions)?)
            .payload(&value);
        while let Err((error, again)) = producer.send(record) {
            match error {
                KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) => {
                    producer.poll(Duration::from_millis(50))
                }
                error => return Err(error.into()),
            };
            record = again;
        }
        if number % 1000 == 0 {
            producer.poll(Duration::ZERO);
        }
    }
    producer.flush(PATIENCE)?;
    ensure!(
        producer.in_flight_count() == 0,
        "{} records were never acknowledged",
        producer.in_flight_count()
    );
    Ok(())
}

/// Creates a connector or changes it, as soon as the worker is through with its internal topics. Errors: it is refused, with the answer.
pub(super) fn put_connector(worker: &Worker, name: &str, config: &Value) -> Result<()> {
    let path = format!("/connectors/{name}/config");
    let start = Instant::now();
    loop {
        match worker.rest("PUT", &path, Some(config)) {
            Err(error) if error.to_string().contains(": 503 ") && start.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(100));
            }
            answer => return answer.map(drop),
        }
    }
}

/// The first column of the first row.
pub(super) fn one(postgres: &Postgres, database: &str, sql: &str) -> Result<String> {
    let rows = postgres.query(database, sql)?;
    rows.into_iter()
        .next()
        .with_context(|| format!("no row: {sql}"))
}

/// The same as a number.
pub(super) fn number(postgres: &Postgres, database: &str, sql: &str) -> Result<u64> {
    let text = one(postgres, database, sql)?;
    text.parse()
        .with_context(|| format!("no number but {text}: {sql}"))
}
