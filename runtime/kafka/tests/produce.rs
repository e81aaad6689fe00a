//! Receipts: every one is answered once, whatever becomes of its record (I5); order is kept.

mod rig;

use bytes::Bytes;
use longshore_engine::ports::{Inbox, Receipt, Ticket};
use longshore_sdk::{Datum, ErrorKind, Header, Record, Topic};
use rig::{Cluster, all_ok, answers, bytes, read, record, send, unique};
use std::sync::Arc;

#[tokio::test(flavor = "multi_thread")]
async fn records_arrive_in_order_and_every_receipt_is_answered() {
    let cluster = Cluster::start().await;
    let topic = cluster.topic(2).await;
    let mut producer = cluster.producer(&[]).await;
    let records = (0..20_000)
        .map(|n| record(&topic, n % 2, &n.to_string()))
        .collect();
    let answers = send(&mut producer, records).await;
    assert_eq!(answers.len(), 20_000);
    all_ok(&answers);
    let mut consumer = cluster.consumer(&unique("g"), &[&topic], &[]).await;
    let read = read(&mut consumer, 20_000).await;
    let mut next = [0, 1];
    for record in &read {
        let lane = usize::try_from(record.at.partition).expect("0 or 1");
        assert_eq!(record.record.value, bytes(&next[lane].to_string()));
        next[lane] += 2;
    }
    consumer.close().await.expect("close");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_waits_and_drops_nothing() {
    let cluster = Cluster::start().await;
    let topic = cluster.topic(1).await;
    let mut producer = cluster
        .producer(&[("queue.buffering.max.messages", "50"), ("linger.ms", "1")])
        .await;
    let records = (0..2_000)
        .map(|n| record(&topic, 0, &n.to_string()))
        .collect();
    all_ok(&send(&mut producer, records).await);
    let mut consumer = cluster.consumer(&unique("g"), &[&topic], &[]).await;
    let read = read(&mut consumer, 2_000).await;
    for (n, record) in read.iter().enumerate() {
        assert_eq!(record.record.value, bytes(&n.to_string()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_too_large_fails_alone_and_says_what_to_raise() {
    let cluster = Cluster::start().await;
    let topic = cluster.topic(1).await;
    let mut producer = cluster.producer(&[("max.request.size", "100000")]).await;
    let mut large = record(&topic, 0, "");
    large.value = Datum::Bytes(Bytes::from(vec![b'x'; 200_000]));
    let batch = vec![record(&topic, 0, "a"), large, record(&topic, 0, "b")];
    let answers = send(&mut producer, batch).await;
    assert!(answers[0].1.is_ok() && answers[2].1.is_ok(), "{answers:?}");
    let error = answers[1].1.as_ref().expect_err("too large");
    assert_eq!(error.kind(), ErrorKind::Data);
    let text = error.to_string();
    for part in ["200000", "max.request.size", "max.message.bytes"] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_broker_refuses_a_record_and_the_receipt_tells() {
    let cluster = Cluster::start().await;
    let name = unique("small");
    cluster
        .create(&name, 1, &[("max.message.bytes", "20000")])
        .await;
    let topic: Topic = name.into();
    let mut producer = cluster.producer(&[]).await;
    let mut large = record(&topic, 0, "");
    large.value = Datum::Bytes(Bytes::from(vec![b'x'; 50_000]));
    let answers = send(&mut producer, vec![large]).await;
    let error = answers[0].1.as_ref().expect_err("too large for the topic");
    assert_eq!(error.kind(), ErrorKind::Data, "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_does_not_exist_is_an_error_of_the_config() {
    let cluster = Cluster::start().await;
    let topic = cluster.topic(1).await;
    let mut producer = cluster.producer(&[]).await;
    all_ok(&send(&mut producer, vec![record(&topic, 0, "a")]).await);
    let answers = send(&mut producer, vec![record(&topic, 9, "b")]).await;
    let error = answers[0].1.as_ref().expect_err("no such partition");
    assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_producer_answers_what_is_in_flight() {
    let cluster = Cluster::start().await;
    let topic = cluster.topic(1).await;
    // A linger that the test does not wait for: the records are still in the client when it is dropped.
    let mut producer = cluster.producer(&[("linger.ms", "60000")]).await;
    let inbox = Inbox::new();
    let batch = (0..100)
        .map(|n| {
            let receipt = Receipt::new(Arc::clone(&inbox), Ticket(n));
            (record(&topic, 0, "x"), receipt)
        })
        .collect();
    producer.send(batch).await.expect("room");
    drop(producer);
    for (_, answer) in answers(&inbox, 100).await {
        let error = answer.expect_err("not acknowledged");
        assert_eq!(error.kind(), ErrorKind::Transient);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_of_a_record_survives_the_way_there_and_back() {
    let cluster = Cluster::start().await;
    let topic = cluster.topic(1).await;
    let mut producer = cluster.producer(&[("compression.type", "lz4")]).await;
    let header = |key: &str, value| Header {
        key: key.into(),
        value,
    };
    let mut full = record(&topic, 0, "value");
    full.key = bytes("key");
    full.timestamp = Some(1_700_000_000_123);
    full.headers = vec![
        header("a", bytes("1")),
        header("a", bytes("")),
        header("ü", Datum::Null),
    ];
    let mut tombstone = record(&topic, 0, "");
    tombstone.key = bytes("gone");
    tombstone.value = Datum::Null;
    let mut empty = record(&topic, 0, "");
    empty.key = bytes("");
    let mut large = record(&topic, 0, "");
    let body: Vec<u8> = (0..1_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    large.value = Datum::Bytes(Bytes::from(body));
    large.key = bytes("large");
    let mut nothing = Record::new(Topic::clone(&topic));
    nothing.partition = Some(0);
    let sent = vec![full, tombstone, empty, large, nothing];
    all_ok(&send(&mut producer, sent.clone()).await);
    let mut consumer = cluster.consumer(&unique("g"), &[&topic], &[]).await;
    let read = read(&mut consumer, sent.len()).await;
    drop(consumer);
    for (offset, (sent, read)) in sent.iter().zip(&read).enumerate() {
        assert_eq!(read.record.key, sent.key);
        assert_eq!(read.record.value, sent.value);
        assert_eq!(read.record.headers, sent.headers);
        assert_eq!(Some(read.at.offset), i64::try_from(offset).ok());
        match sent.timestamp {
            Some(_) => assert_eq!(read.record.timestamp, sent.timestamp),
            None => assert!(
                read.record
                    .timestamp
                    .is_some_and(|ms| ms > 1_700_000_000_000)
            ),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_go_where_java_sends_them() {
    let cluster = Cluster::start().await;
    let topic = cluster.topic(10).await;
    let mut producer = cluster.producer(&[]).await;
    // Murmur2 of the Java client, modulo 10: computed with Kafka's own Utils.toPositive(Utils.murmur2(key)) % 10.
    let keyed = |key: &str| {
        let mut record = Record::new(Topic::clone(&topic));
        record.key = bytes(key);
        record.value = bytes(key);
        record
    };
    all_ok(&send(&mut producer, vec![keyed("21"), keyed("foobar")]).await);
    let mut consumer = cluster.consumer(&unique("g"), &[&topic], &[]).await;
    let read = read(&mut consumer, 2).await;
    for record in read {
        // murmur2("21") = -973932308 and murmur2("foobar") = -790332482 are the known answers of Kafka's own test.
        let hash: i32 = match &record.record.key {
            key if *key == bytes("21") => -973_932_308,
            _ => -790_332_482,
        };
        assert_eq!(record.at.partition, (hash & 0x7fff_ffff) % 10);
    }
}
