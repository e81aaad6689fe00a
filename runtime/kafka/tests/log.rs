//! A compacted topic as a keyed log: put, replay, the true end.

mod rig;

use bytes::Bytes;
use longshore_engine::ports::{KeyedLog, Version};
use longshore_kafka::{Admin, KafkaLog, LogSpec};
use longshore_sdk::ErrorKind;
use rig::{Cluster, LONG, replay, unique};
use std::{collections::BTreeMap, time::Duration};

fn entry(key: &str, value: Option<&str>) -> (Bytes, Option<Bytes>) {
    let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    (bytes(key), value.map(bytes))
}

async fn open(cluster: &Cluster, topic: &str) -> KafkaLog {
    let spec = LogSpec {
        topic: topic.to_owned(),
        key: "config.storage.topic",
        client_id: unique("log"),
        ..LogSpec::default()
    };
    let admin = Admin::connect(&cluster.settings).await.expect("admin");
    KafkaLog::open(&admin, spec).await.expect("open")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_put_is_replayed_in_order_to_the_end_and_then_followed() {
    let cluster = Cluster::start().await;
    let topic = unique("log");
    cluster
        .create(&topic, 5, &[("cleanup.policy", "compact")])
        .await;
    let log = open(&cluster, &topic).await;
    let mut expected = BTreeMap::new();
    for n in 0..200 {
        let (key, value) = (format!("k{}", n % 20), format!("v{n}"));
        expected.insert(key.clone(), value.clone());
        let versions = log.put(vec![entry(&key, Some(&value))]).await.expect("put");
        assert_eq!(versions.len(), 1);
    }
    log.put(vec![entry("k3", None)]).await.expect("put");
    expected.remove("k3");
    let end = log.end().await.expect("end");
    assert_eq!(end.len(), 5);
    assert_eq!(end.iter().map(|v| v.offset).sum::<i64>(), 201);
    let mut reader = log.reader().await.expect("reader");
    let mut folded = BTreeMap::new();
    for entry in replay(&mut reader, &end).await {
        let key = String::from_utf8(entry.key.to_vec()).expect("text");
        match entry.value {
            Some(value) => folded.insert(key, String::from_utf8(value.to_vec()).expect("text")),
            None => folded.remove(&key),
        };
    }
    assert_eq!(folded, expected);
    let written = log.put(vec![entry("late", Some("x"))]).await.expect("put");
    let end: Vec<Version> = written
        .iter()
        .map(|v| Version {
            offset: v.offset + 1,
            ..*v
        })
        .collect();
    let late = replay(&mut reader, &end).await;
    assert_eq!(late.len(), 1);
    assert_eq!(late[0].version, written[0]);
}

/// Who waits for a write to be read looks at positions.
#[tokio::test(flavor = "multi_thread")]
async fn positions_are_never_behind_the_entries_that_came_with_them() {
    let cluster = Cluster::start().await;
    let topic = unique("log");
    cluster
        .create(&topic, 1, &[("cleanup.policy", "compact")])
        .await;
    let log = open(&cluster, &topic).await;
    let mut reader = log.reader().await.expect("reader");
    for n in 0..5 {
        log.put(vec![entry("early", Some("x"))]).await.expect("put");
        // Its end has been told, and nobody has looked.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let last = log.put(vec![entry("late", Some("x"))]).await.expect("put");
        tokio::time::sleep(Duration::from_millis(20)).await;
        let follow = async {
            loop {
                let tail = reader.next().await.expect("next");
                for entry in &tail.entries {
                    let next = entry.version.offset + 1;
                    let positions = &tail.positions;
                    assert!(
                        positions.iter().any(|at| at.offset >= next),
                        "round {n}: {positions:?} with an entry at {}",
                        entry.version.offset
                    );
                }
                if tail.entries.iter().any(|entry| entry.version == last[0]) {
                    break;
                }
            }
        };
        let followed = tokio::time::timeout(LONG, follow).await;
        followed.expect("what was put is read");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_topic_is_named() {
    let cluster = Cluster::start().await;
    let spec = LogSpec {
        topic: unique("missing"),
        key: "config.storage.topic",
        client_id: "log".to_owned(),
        ..LogSpec::default()
    };
    let admin = Admin::connect(&cluster.settings).await.expect("admin");
    let error = KafkaLog::open(&admin, spec).await.err().expect("missing");
    assert_eq!(error.kind(), ErrorKind::Config);
    let text = error.to_string();
    assert!(text.contains("config.storage.topic"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_deleted_and_made_anew_ends_its_reader_and_is_read_again() {
    let cluster = Cluster::start().await;
    let topic = unique("log");
    let compacted = [("cleanup.policy", "compact")];
    cluster.create(&topic, 1, &compacted).await;
    let log = open(&cluster, &topic).await;
    for n in 0..5 {
        log.put(vec![entry("k", Some(&n.to_string()))])
            .await
            .expect("put");
    }
    let mut reader = log.reader().await.expect("reader");
    let end = log.end().await.expect("end");
    replay(&mut reader, &end).await;
    cluster.delete(&topic).await;
    let gone = log.end().await.expect_err("no topic");
    assert_eq!(gone.kind(), ErrorKind::Config);
    assert!(gone.to_string().contains("config.storage.topic"), "{gone}");
    assert_eq!(
        log.reader().await.err().expect("none").kind(),
        ErrorKind::Config
    );
    cluster.create(&topic, 1, &compacted).await;
    let lost = async {
        loop {
            if let Err(error) = reader.next().await {
                return error;
            }
        }
    };
    let lost = tokio::time::timeout(LONG, lost).await.expect("it notices");
    assert!(lost.to_string().contains(&topic), "{lost}");
    // The old writer knows a topic that is no more; it finds the new one.
    log.put(vec![entry("k", Some("new"))]).await.expect("put");
    let mut reader = log.reader().await.expect("reader");
    let end = log.end().await.expect("end");
    let entries = replay(&mut reader, &end).await;
    assert_eq!(entries.len(), 1);
}
