//! The broker is killed again and again while clients work: what it acknowledged is there, what was not decided is not seen.

#[path = "durability/child.rs"]
mod child;
#[path = "conformance/kafka.rs"]
#[allow(
    dead_code,
    reason = "shared with the conformance suite, which needs more of it"
)]
mod kafka;
#[path = "durability/workload.rs"]
mod workload;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use longshore_broker::{Broker, Config, Error};
use rdkafka::Offset;
use rdkafka::consumer::Consumer;
use rdkafka::producer::Producer;

use child::Child;
use kafka::{Kafka, PATIENCE, eventually, unique};
use workload::{GROUP, Outcome, TRANSACTED_GROUP};

const KILLS: usize = 7;

#[test]
fn nothing_acknowledged_is_lost_however_often_the_broker_is_killed() -> Result<()> {
    child::serve_if_asked();
    let dir = tempfile::tempdir()?;
    let mut broker = Child::start(
        "nothing_acknowledged_is_lost_however_often_the_broker_is_killed",
        dir.path(),
    )?;
    let kafka = broker.kafka();
    for topic in [workload::PLAIN, workload::TRANSACTED, workload::CONSUMED] {
        kafka.create_topic(topic, 2, &[])?;
    }
    let configs = [
        ("cleanup.policy", "compact"),
        ("segment.ms", "150"),
        ("min.cleanable.dirty.ratio", "0.01"),
    ];
    kafka.create_topic(workload::COMPACTED, 2, &configs)?;
    let stop = AtomicBool::new(false);
    let (plain, compacted, transactions, committed) = std::thread::scope(|scope| -> Result<_> {
        let plain = scope.spawn(|| workload::write_numbers(&kafka, workload::PLAIN, &stop));
        let compacted = scope.spawn(|| workload::write_numbers(&kafka, workload::COMPACTED, &stop));
        let transactions = scope.spawn(|| workload::write_transactions(&kafka, &stop));
        let committed = scope.spawn(|| workload::commit_offsets(&kafka, &stop));
        let mut kill_all = || -> Result<()> {
            for n in 0..KILLS {
                std::thread::sleep(Duration::from_millis(rand::random_range(300..1200)));
                broker.kill()?;
                if n % 2 == 1 {
                    child::append_garbage(dir.path())?;
                }
                broker.restart()?;
            }
            std::thread::sleep(Duration::from_millis(500));
            Ok(())
        };
        let killed = kill_all();
        stop.store(true, Ordering::SeqCst);
        let panicked = || anyhow!("a client panicked");
        let results = (
            plain.join().map_err(|_| panicked())??,
            compacted.join().map_err(|_| panicked())??,
            transactions.join().map_err(|_| panicked())??,
            committed.join().map_err(|_| panicked())??,
        );
        killed?;
        Ok(results)
    })?;
    // Once more, so that the end is checked from the disk alone.
    broker.kill()?;
    broker.restart()?;
    check_plain(&kafka, &plain)?;
    check_compacted(&kafka, &compacted)?;
    check_transactions(&kafka, &transactions)?;
    let found = kafka.committed(GROUP, workload::CONSUMED, 0)?;
    ensure!(
        matches!(found, Offset::Offset(o) if o >= committed),
        "offset {committed} was acknowledged, {found:?} is there"
    );
    ensure!(
        plain.len() > 200 && transactions.len() > 10 && committed > 10,
        "too little happened: {} {} {committed}",
        plain.len(),
        transactions.len()
    );
    Ok(())
}

/// Every acknowledged record once, in order.
fn check_plain(kafka: &Kafka, acknowledged: &BTreeSet<u64>) -> Result<()> {
    let (records, _) = kafka.read_all(workload::PLAIN, 2, "read_committed")?;
    let mut seen = BTreeMap::new();
    for partition in 0..2 {
        let numbers = records
            .iter()
            .filter(|r| r.partition == partition)
            .filter_map(|r| r.value.as_ref()?.parse::<u64>().ok());
        let numbers: Vec<_> = numbers.collect();
        ensure!(numbers.is_sorted(), "partition {partition} is out of order");
        for number in numbers {
            *seen.entry(number).or_insert(0) += 1;
        }
    }
    let lost: Vec<_> = acknowledged
        .iter()
        .filter(|n| !seen.contains_key(n))
        .collect();
    ensure!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    let twice: Vec<_> = seen.iter().filter(|(_, count)| **count > 1).collect();
    ensure!(twice.is_empty(), "written more than once: {twice:?}");
    Ok(())
}

/// The last number of every key and partition, in order, and few of the others.
fn check_compacted(kafka: &Kafka, acknowledged: &BTreeSet<u64>) -> Result<()> {
    let (records, _) = kafka.read_all(workload::COMPACTED, 2, "read_committed")?;
    let mut last = BTreeMap::new();
    for record in &records {
        let number: u64 = record.value.as_deref().unwrap_or_default().parse()?;
        let before = last.insert((record.partition, record.key.clone()), number);
        ensure!(before < Some(number), "{record:?} after {before:?}");
    }
    let mut wanted = BTreeMap::new();
    for number in acknowledged {
        let key = (number % workload::KEYS).to_string();
        wanted.insert(((number % 2) as i32, Some(key)), *number);
    }
    ensure!(
        last == wanted,
        "the last values are {last:?}, acknowledged were {wanted:?}"
    );
    ensure!(
        records.len() < acknowledged.len() / 2,
        "{} of {} records: nothing was compacted",
        records.len(),
        acknowledged.len()
    );
    Ok(())
}

/// All of a committed transaction, nothing of an aborted one, all or nothing where the client never learnt; offsets along with it.
fn check_transactions(kafka: &Kafka, outcomes: &BTreeMap<u64, Outcome>) -> Result<()> {
    eventually("open transactions to be decided", || {
        let positions = kafka
            .read_all(workload::TRANSACTED, 2, "read_uncommitted")?
            .1;
        Ok(positions == kafka.read_all(workload::TRANSACTED, 2, "read_committed")?.1)
    })?;
    let (records, _) = kafka.read_all(workload::TRANSACTED, 2, "read_committed")?;
    let mut seen: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
    for value in records.iter().filter_map(|r| r.value.clone()) {
        let number = value
            .split('-')
            .next()
            .and_then(|n| n.parse().ok())
            .ok_or_else(|| anyhow!("stray record {value}"))?;
        ensure!(
            seen.entry(number).or_default().insert(value.clone()),
            "{value} was written twice"
        );
    }
    for (number, outcome) in outcomes {
        let count = seen.get(number).map_or(0, BTreeSet::len);
        let right = match outcome {
            Outcome::Committed => count == workload::RECORDS,
            Outcome::Aborted => count == 0,
            Outcome::Unknown => count == 0 || count == workload::RECORDS,
        };
        ensure!(
            right,
            "transaction {number} was {outcome:?}, {count} of its {} records are seen",
            workload::RECORDS
        );
    }
    let last = seen
        .iter()
        .filter(|(_, values)| values.len() == workload::RECORDS)
        .map(|(number, _)| *number as i64)
        .max();
    let found = kafka.committed(TRANSACTED_GROUP, workload::CONSUMED, 0)?;
    ensure!(
        Some(found) == last.map(Offset::Offset),
        "the last committed transaction is {last:?}, the group is at {found:?}"
    );
    Ok(())
}

#[test]
fn bytes_cut_from_the_tail_cost_the_last_batch_only() -> Result<()> {
    child::serve_if_asked();
    let dir = tempfile::tempdir()?;
    let mut broker = Child::start(
        "bytes_cut_from_the_tail_cost_the_last_batch_only",
        dir.path(),
    )?;
    let kafka = broker.kafka();
    let topic = unique("torn");
    kafka.create_topic(&topic, 1, &[])?;
    let send = |from: u64, to: u64| -> Result<()> {
        let sender = kafka.sender(&[("linger.ms", "0")])?;
        for n in from..to {
            sender.send(&topic, Some(0), Some("k"), Some(&n.to_string()))?;
            sender.flush(n - from + 1)?;
        }
        Ok(())
    };
    send(0, 50)?;
    broker.kill()?;
    child::cut_tail(dir.path(), 5)?;
    broker.restart()?;
    ensure!(
        kafka
            .inspector("x")?
            .fetch_watermarks(&topic, 0, PATIENCE)?
            == (0, 49)
    );
    send(49, 60)?;
    let values: Vec<_> = kafka
        .read_all(&topic, 1, "read_uncommitted")?
        .0
        .into_iter()
        .filter_map(|r| r.value)
        .collect();
    ensure!(
        values.iter().map(String::as_str).eq((0..60)
            .map(|n| n.to_string())
            .collect::<Vec<_>>()
            .iter()
            .map(String::as_str)),
        "{values:?}"
    );
    Ok(())
}

#[test]
fn a_transaction_left_open_by_a_kill_is_rolled_back() -> Result<()> {
    child::serve_if_asked();
    let dir = tempfile::tempdir()?;
    let mut broker = Child::start(
        "a_transaction_left_open_by_a_kill_is_rolled_back",
        dir.path(),
    )?;
    let kafka = broker.kafka();
    let leave_open = |topic: &str, id: &str, timeout: &str| -> Result<()> {
        kafka.create_topic(topic, 1, &[])?;
        let sender = kafka.sender(&[
            ("transactional.id", id),
            ("transaction.timeout.ms", timeout),
            ("message.timeout.ms", timeout),
        ])?;
        sender.0.init_transactions(PATIENCE)?;
        sender.0.begin_transaction()?;
        sender.send(topic, Some(0), Some("k"), Some("open"))?;
        sender.0.flush(PATIENCE)?;
        // Forgotten, not dropped: a producer that is dropped may say good-bye.
        std::mem::forget(sender);
        Ok(())
    };
    leave_open("by-timeout", "timed", "3000")?;
    leave_open("by-successor", "succeeded", "60000")?;
    broker.kill()?;
    broker.restart()?;
    for topic in ["by-timeout", "by-successor"] {
        ensure!(
            kafka.read_all(topic, 1, "read_uncommitted")?.0.len() == 1,
            "{topic}: the record is acknowledged"
        );
        ensure!(
            kafka.read_all(topic, 1, "read_committed")?.0.is_empty(),
            "{topic}: the record is not committed"
        );
    }
    let successor = kafka.sender(&[("transactional.id", "succeeded")])?;
    successor.0.init_transactions(PATIENCE)?;
    for topic in ["by-timeout", "by-successor"] {
        let plain = kafka.sender(&[])?;
        plain.send(topic, Some(0), Some("k"), Some("plain"))?;
        plain.flush(1)?;
        eventually("readers to get past the open transaction", || {
            let records = kafka.read_all(topic, 1, "read_committed")?.0;
            ensure!(
                !records.iter().any(|r| r.value.as_deref() == Some("open")),
                "{topic}: uncommitted data is seen"
            );
            Ok(records.len() == 1)
        })?;
    }
    Ok(())
}

#[test]
fn two_brokers_never_share_a_folder_and_a_stopped_one_gives_it_free() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let config = || Config {
        data_dir: Some(dir.path().to_owned()),
        ..Default::default()
    };
    tokio::runtime::Runtime::new()?.block_on(async {
        let first = Broker::start(config()).await?;
        let second = Broker::start(config()).await;
        ensure!(matches!(second, Err(Error::Locked { .. })), "{second:?}");
        let kafka = Kafka::at(first.bootstrap());
        let written = tokio::task::spawn_blocking(move || -> Result<()> {
            let sender = kafka.sender(&[])?;
            sender.send("kept", None, Some("k"), Some("v"))?;
            sender.flush(1)
        });
        written.await??;
        first.shutdown().await;
        let third = Broker::start(config()).await?;
        let kafka = Kafka::at(third.bootstrap());
        let read = tokio::task::spawn_blocking(move || kafka.read_all("kept", 1, "read_committed"));
        ensure!(read.await??.0.len() == 1);
        third.shutdown().await;
        Ok(())
    })
}
