//! Transactions: isolation, offsets, fencing, timeouts.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail, ensure};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::Producer;
use rdkafka::{Offset, TopicPartitionList};

use crate::kafka::{Kafka, PATIENCE, Record, Sender, eventually, unique};

fn transactional(kafka: &Kafka, id: &str) -> Result<Sender> {
    let sender = kafka.sender(&[
        ("transactional.id", id),
        ("transaction.timeout.ms", "60000"),
        ("linger.ms", "5"),
    ])?;
    sender.0.init_transactions(PATIENCE)?;
    Ok(sender)
}

fn values(records: &[Record]) -> Vec<String> {
    records.iter().filter_map(|r| r.value.clone()).collect()
}

fn send_ten(sender: &Sender, topic: &str, prefix: &str) -> Result<()> {
    (0..10)
        .try_for_each(|n| sender.send(topic, Some(n % 2), Some("k"), Some(&format!("{prefix}{n}"))))
}

#[test]
fn only_committed_records_are_seen() -> Result<()> {
    let kafka = Kafka::get()?;
    let topic = unique("isolation");
    kafka.create_topic(&topic, 2, &[])?;
    let sender = transactional(&kafka, &unique("id"))?;
    let seen = |isolation: &str| -> Result<Vec<String>> {
        Ok(values(&kafka.read_all(&topic, 2, isolation)?.0))
    };
    sender.0.begin_transaction()?;
    send_ten(&sender, &topic, "committed")?;
    sender.0.commit_transaction(PATIENCE)?;
    ensure!(seen("read_committed")?.len() == 10);
    sender.0.begin_transaction()?;
    send_ten(&sender, &topic, "aborted")?;
    sender.0.flush(PATIENCE)?;
    ensure!(
        seen("read_committed")?.len() == 10,
        "records of an open transaction are seen"
    );
    ensure!(seen("read_uncommitted")?.len() == 20);
    sender.0.abort_transaction(PATIENCE)?;
    ensure!(
        seen("read_committed")?.len() == 10,
        "aborted records are seen"
    );
    sender.0.begin_transaction()?;
    send_ten(&sender, &topic, "later")?;
    sender.0.commit_transaction(PATIENCE)?;
    let all = seen("read_committed")?;
    ensure!(
        all.len() == 20 && !all.iter().any(|v| v.starts_with("aborted")),
        "{all:?}"
    );
    Ok(())
}

#[test]
fn offsets_move_with_their_transaction() -> Result<()> {
    let kafka = Kafka::get()?;
    let (input, output, group) = (unique("input"), unique("output"), unique("offsets"));
    kafka.create_topic(&input, 1, &[])?;
    kafka.create_topic(&output, 1, &[])?;
    let plain = kafka.sender(&[])?;
    for n in 0..20 {
        plain.send(&input, Some(0), Some("k"), Some(&n.to_string()))?;
    }
    plain.flush(20)?;
    let settings = [
        ("group.id", group.as_str()),
        ("enable.auto.commit", "false"),
        ("auto.offset.reset", "earliest"),
    ];
    let consumer: BaseConsumer = kafka.config(&settings).create()?;
    consumer.subscribe(&[&input])?;
    let sender = transactional(&kafka, &unique("id"))?;
    let copy_ten = |upto: i64| -> Result<()> {
        sender.0.begin_transaction()?;
        let (mut taken, begun) = (0, Instant::now());
        while taken < 10 {
            ensure!(begun.elapsed() < PATIENCE, "only {taken} records came");
            let Some(message) = consumer.poll(Duration::from_millis(100)) else {
                continue;
            };
            let record = Record::of(&message?);
            sender.send(&output, Some(0), Some("k"), record.value.as_deref())?;
            taken += 1;
        }
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(&input, 0, Offset::Offset(upto))?;
        let member = consumer
            .group_metadata()
            .ok_or_else(|| anyhow!("not in a group"))?;
        Ok(sender
            .0
            .send_offsets_to_transaction(&offsets, &member, PATIENCE)?)
    };
    copy_ten(10)?;
    ensure!(
        kafka.committed(&group, &input, 0)? == Offset::Invalid,
        "the offset is seen before the commit"
    );
    sender.0.commit_transaction(PATIENCE)?;
    eventually("the offset of the commit", || {
        Ok(kafka.committed(&group, &input, 0)? == Offset::Offset(10))
    })?;
    copy_ten(20)?;
    sender.0.abort_transaction(PATIENCE)?;
    std::thread::sleep(Duration::from_millis(200));
    let after = kafka.committed(&group, &input, 0)?;
    ensure!(
        after == Offset::Offset(10),
        "the offset of an aborted transaction is seen: {after:?}"
    );
    ensure!(kafka.read_all(&output, 1, "read_committed")?.0.len() == 10);
    Ok(())
}

#[test]
fn a_newer_producer_fences_the_older() -> Result<()> {
    let kafka = Kafka::get()?;
    let (topic, id) = (unique("fence"), unique("id"));
    kafka.create_topic(&topic, 1, &[])?;
    let older = transactional(&kafka, &id)?;
    older.0.begin_transaction()?;
    older.send(&topic, Some(0), Some("k"), Some("zombie"))?;
    older.0.flush(PATIENCE)?;
    let newer = transactional(&kafka, &id)?;
    let late = older
        .send(&topic, Some(0), Some("k"), Some("zombie again"))
        .and_then(|()| Ok(older.0.commit_transaction(PATIENCE)?));
    ensure!(late.is_err(), "the fenced producer committed");
    newer.0.begin_transaction()?;
    newer.send(&topic, Some(0), Some("k"), Some("good"))?;
    newer.0.commit_transaction(PATIENCE)?;
    let seen = values(&kafka.read_all(&topic, 1, "read_committed")?.0);
    ensure!(seen == ["good"], "{seen:?}");
    Ok(())
}

#[test]
fn a_hung_transaction_holds_readers_back_until_its_timeout() -> Result<()> {
    let kafka = Kafka::get()?;
    let topic = unique("hung");
    kafka.create_topic(&topic, 1, &[])?;
    let id = unique("id");
    let hung = kafka.sender(&[
        ("transactional.id", &id),
        ("transaction.timeout.ms", "3000"),
        ("message.timeout.ms", "3000"),
    ])?;
    hung.0.init_transactions(PATIENCE)?;
    hung.0.begin_transaction()?;
    hung.send(&topic, Some(0), Some("k"), Some("hung"))?;
    hung.0.flush(PATIENCE)?;
    let plain = kafka.sender(&[])?;
    plain.send(&topic, Some(0), Some("k"), Some("plain"))?;
    plain.flush(1)?;
    eventually("the broker to abort", || {
        let seen = values(&kafka.read_all(&topic, 1, "read_committed")?.0);
        ensure!(
            !seen.contains(&"hung".to_owned()),
            "records of the hung transaction are seen"
        );
        Ok(seen == ["plain"])
    })
}

#[test]
fn interleaved_transactions_stay_apart() -> Result<()> {
    let kafka = Kafka::get()?;
    let topic = unique("interleaved");
    kafka.create_topic(&topic, 1, &[])?;
    let senders = (0..3)
        .map(|_| transactional(&kafka, &unique("id")))
        .collect::<Result<Vec<_>>>()?;
    let mut wanted = BTreeSet::new();
    for round in 0..10 {
        senders.iter().try_for_each(|s| s.0.begin_transaction())?;
        for n in 0..5 {
            for (who, sender) in senders.iter().enumerate() {
                let value = format!("{round}-{who}-{n}");
                sender.send(&topic, Some(0), Some("k"), Some(&value))?;
                if (round + who) % 3 != 0 {
                    wanted.insert(value);
                }
            }
        }
        senders.iter().try_for_each(|s| s.0.flush(PATIENCE))?;
        for (who, sender) in senders.iter().enumerate() {
            match (round + who) % 3 {
                0 => sender.0.abort_transaction(PATIENCE)?,
                _ => sender.0.commit_transaction(PATIENCE)?,
            }
        }
    }
    let seen = values(&kafka.read_all(&topic, 1, "read_committed")?.0);
    if seen.len() != wanted.len() || !seen.iter().all(|v| wanted.contains(v)) {
        bail!("{} records, {} wanted", seen.len(), wanted.len());
    }
    Ok(())
}
