//! Producing, fetching, offsets.

use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Result, anyhow, bail, ensure};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, Message, OwnedHeaders};
use rdkafka::producer::BaseRecord;
use rdkafka::{Offset, TopicPartitionList};

use crate::kafka::{Kafka, PATIENCE, unique};

fn now_ms() -> Result<i64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as i64)
}

/// 1000 records over two partitions come back complete, in order, without a hole.
fn round_trip(kafka: &Kafka, settings: &[(&str, &str)]) -> Result<()> {
    let topic = unique("produce");
    kafka.create_topic(&topic, 2, &[])?;
    let sender = kafka.sender(settings)?;
    let padding = "x".repeat(100);
    for n in 0..1000 {
        sender.send(
            &topic,
            Some(n % 2),
            Some(&format!("k{n}")),
            Some(&format!("value-{n}-{padding}")),
        )?;
    }
    sender.flush(1000)?;
    let begun = Instant::now();
    let mut records = kafka.read_all(&topic, 2, "read_committed")?.0;
    // Without acknowledgements delivered means sent: the broker may still be at it.
    while settings.contains(&("acks", "0")) && records.len() < 1000 && begun.elapsed() < PATIENCE {
        records = kafka.read_all(&topic, 2, "read_committed")?.0;
    }
    ensure!(
        records.len() == 1000,
        "{settings:?}: {} records",
        records.len()
    );
    for partition in 0..2 {
        for (n, record) in records
            .iter()
            .filter(|r| r.partition == partition)
            .enumerate()
        {
            let key = format!("k{}", n * 2 + partition as usize);
            ensure!(
                record.offset == n as i64 && record.key.as_deref() == Some(&key),
                "{settings:?}: {record:?} in place of {n}"
            );
        }
    }
    Ok(())
}

#[test]
fn produce_with_every_acknowledgement_and_codec() -> Result<()> {
    let kafka = Kafka::get()?;
    for acks in ["0", "1", "all"] {
        round_trip(&kafka, &[("acks", acks)])?;
    }
    round_trip(&kafka, &[("enable.idempotence", "true")])?;
    for codec in ["gzip", "snappy", "lz4", "zstd"] {
        round_trip(&kafka, &[("compression.type", codec), ("linger.ms", "50")])?;
    }
    round_trip(
        &kafka,
        &[
            ("compression.type", "zstd"),
            ("enable.idempotence", "true"),
            ("linger.ms", "50"),
        ],
    )
}

#[test]
fn records_keep_headers_nulls_and_timestamps() -> Result<()> {
    let kafka = Kafka::get()?;
    let topic = unique("records");
    kafka.create_topic(&topic, 1, &[])?;
    let timestamp = now_ms()? - 12_345;
    let sender = kafka.sender(&[])?;
    let headers = OwnedHeaders::new()
        .insert(Header {
            key: "h1",
            value: Some("x"),
        })
        .insert(Header {
            key: "h2",
            value: Option::<&str>::None,
        });
    let first = BaseRecord::<str, str>::to(&topic)
        .key("a")
        .payload("v")
        .timestamp(timestamp)
        .headers(headers);
    sender.0.send(first).map_err(|(error, _)| error)?;
    sender.send(&topic, None, Some("a"), None)?;
    sender.send(&topic, None, None, Some("no key"))?;
    sender.send(&topic, None, Some(""), Some(""))?;
    sender.flush(4)?;
    let (records, positions) = kafka.read_all(&topic, 1, "read_uncommitted")?;
    ensure!(
        records.len() == 4 && positions.get(&0) == Some(&4),
        "{} records, {positions:?}",
        records.len()
    );
    ensure!(records[0].timestamp == Some(timestamp), "{:?}", records[0]);
    ensure!(
        records[0].headers
            == [
                ("h1".to_owned(), Some("x".to_owned())),
                ("h2".to_owned(), None)
            ],
        "{:?}",
        records[0]
    );
    let pairs: Vec<_> = records[1..]
        .iter()
        .map(|r| (r.key.as_deref(), r.value.as_deref()))
        .collect();
    ensure!(
        pairs
            == [
                (Some("a"), None),
                (None, Some("no key")),
                (Some(""), Some(""))
            ],
        "{pairs:?}"
    );
    Ok(())
}

#[test]
fn a_message_beyond_the_limit_is_refused() -> Result<()> {
    let kafka = Kafka::get()?;
    let topic = unique("big");
    kafka.create_topic(&topic, 1, &[])?;
    let sender = kafka.sender(&[("message.max.bytes", "10000000")])?;
    sender.send(&topic, Some(0), Some("k"), Some(&"z".repeat(900_000)))?;
    sender.flush(1)?;
    sender.send(&topic, Some(0), Some("k"), Some(&"z".repeat(5_000_000)))?;
    let refused = sender
        .flush(2)
        .expect_err("five times the default limit")
        .to_string();
    ensure!(
        refused.contains("MessageSizeTooLarge") || refused.contains("too large"),
        "{refused}"
    );
    let (records, _) = kafka.read_all(&topic, 1, "read_uncommitted")?;
    ensure!(
        records.len() == 1
            && records[0]
                .value
                .as_ref()
                .is_some_and(|v| v.len() == 900_000),
        "{} records",
        records.len()
    );
    Ok(())
}

#[test]
fn idempotent_producers_in_parallel_write_everything_once() -> Result<()> {
    let kafka = Kafka::get()?;
    let topic = unique("idempotent");
    kafka.create_topic(&topic, 3, &[])?;
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let (kafka, topic) = (&kafka, &topic);
                scope.spawn(move || -> Result<()> {
                    let sender = kafka.sender(&[
                        ("enable.idempotence", "true"),
                        ("linger.ms", "1"),
                        ("batch.num.messages", "50"),
                    ])?;
                    for n in 0..5000 {
                        let text = format!("{writer}-{n}");
                        sender.send(topic, None, Some(&text), Some(&text))?;
                    }
                    sender.flush(5000)
                })
            })
            .collect();
        writers
            .into_iter()
            .try_for_each(|w| w.join().map_err(|_| anyhow!("a writer panicked"))?)
    })?;
    let (records, _) = kafka.read_all(&topic, 3, "read_committed")?;
    let distinct: BTreeSet<_> = records.iter().map(|r| &r.value).collect();
    ensure!(
        records.len() == 20_000 && distinct.len() == 20_000,
        "{} records, {} distinct",
        records.len(),
        distinct.len()
    );
    Ok(())
}

#[test]
fn offsets_are_found_by_end_and_by_time() -> Result<()> {
    let kafka = Kafka::get()?;
    let topic = unique("offsets");
    kafka.create_topic(&topic, 1, &[])?;
    let begin = now_ms()? - 60_000;
    let sender = kafka.sender(&[])?;
    for n in 0..10 {
        let record = BaseRecord::<str, str>::to(&topic)
            .key("k")
            .payload("v")
            .timestamp(begin + n * 1000);
        sender.0.send(record).map_err(|(error, _)| error)?;
        sender.flush(n as u64 + 1)?;
    }
    let consumer = kafka.inspector("times")?;
    let watermarks = consumer.fetch_watermarks(&topic, 0, PATIENCE)?;
    ensure!(watermarks == (0, 10), "{watermarks:?}");
    let at = |time: i64| -> Result<Offset> {
        let mut asked = TopicPartitionList::new();
        asked.add_partition_offset(&topic, 0, Offset::Offset(time))?;
        Ok(consumer
            .offsets_for_times(asked, PATIENCE)?
            .find_partition(&topic, 0)
            .ok_or_else(|| anyhow!("no answer"))?
            .offset())
    };
    ensure!(
        at(begin + 4500)? == Offset::Offset(5),
        "between the fifth and the sixth: {:?}",
        at(begin + 4500)?
    );
    ensure!(
        at(begin + 100_000_000)? == Offset::End,
        "beyond the end: {:?}",
        at(begin + 100_000_000)?
    );
    Ok(())
}

#[test]
fn a_fetch_may_start_within_a_batch() -> Result<()> {
    let kafka = Kafka::get()?;
    let topic = unique("within");
    kafka.create_topic(&topic, 1, &[])?;
    let sender = kafka.sender(&[("linger.ms", "200")])?;
    for n in 0..20 {
        sender.send(&topic, Some(0), Some("k"), Some(&n.to_string()))?;
    }
    sender.flush(20)?;
    let consumer: BaseConsumer = kafka
        .config(&[("group.id", "within"), ("enable.partition.eof", "true")])
        .create()?;
    let mut start = TopicPartitionList::new();
    start.add_partition_offset(&topic, 0, Offset::Offset(13))?;
    consumer.assign(&start)?;
    let (mut got, begun) = (Vec::new(), Instant::now());
    while begun.elapsed() < PATIENCE {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => got.push(message.offset()),
            Some(Err(KafkaError::PartitionEOF(_))) => break,
            Some(Err(error)) => bail!(error),
            None => {}
        }
    }
    ensure!(got == (13..20).collect::<Vec<_>>(), "{got:?}");
    Ok(())
}

#[test]
fn a_fetch_beyond_the_end_is_out_of_range() -> Result<()> {
    let kafka = Kafka::get()?;
    let topic = unique("range");
    kafka.create_topic(&topic, 1, &[])?;
    let sender = kafka.sender(&[])?;
    sender.send(&topic, Some(0), None, Some("x"))?;
    sender.flush(1)?;
    let consumer: BaseConsumer = kafka
        .config(&[("group.id", "range"), ("auto.offset.reset", "error")])
        .create()?;
    let mut start = TopicPartitionList::new();
    start.add_partition_offset(&topic, 0, Offset::Offset(999))?;
    consumer.assign(&start)?;
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Err(_)) => return Ok(()),
            Some(Ok(message)) => bail!("a message at {}", message.offset()),
            None => {}
        }
    }
    bail!("nothing was reported")
}
