//! A compacted topic as a keyed log: put, replay, the true end.

mod rig;

use bytes::Bytes;
use longshore_engine::ports::{Entry, KeyedLog, LogReader, Version};
use longshore_kafka::{Admin, KafkaLog, LogSpec};
use longshore_sdk::ErrorKind;
use rig::{Cluster, LONG, unique};
use std::collections::BTreeMap;

fn entry(key: &str, value: Option<&str>) -> (Bytes, Option<Bytes>) {
    let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    (bytes(key), value.map(bytes))
}

async fn open(cluster: &Cluster, topic: &str, transactional_id: Option<&str>) -> KafkaLog {
    let spec = LogSpec {
        topic: topic.to_owned(),
        client_id: unique("log"),
        transactional_id: transactional_id.map(str::to_owned),
    };
    let admin = Admin::connect(&cluster.settings).await.expect("admin");
    KafkaLog::open(&admin, spec).await.expect("open")
}

/// Reads until the positions have reached `end`.
async fn replay(reader: &mut Box<dyn LogReader>, end: &[Version]) -> Vec<Entry> {
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

#[tokio::test(flavor = "multi_thread")]
async fn what_was_put_is_replayed_in_order_to_the_end_and_then_followed() {
    let cluster = Cluster::start().await;
    let topic = unique("log");
    cluster
        .create(&topic, 5, &[("cleanup.policy", "compact")])
        .await;
    let log = open(&cluster, &topic, None).await;
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

#[tokio::test(flavor = "multi_thread")]
async fn positions_pass_transaction_markers() {
    let cluster = Cluster::start().await;
    let topic = unique("log");
    cluster
        .create(&topic, 1, &[("cleanup.policy", "compact")])
        .await;
    let log = open(&cluster, &topic, Some(&unique("id"))).await;
    log.put(vec![entry("a", Some("1")), entry("b", Some("2"))])
        .await
        .expect("put");
    log.put(vec![entry("c", Some("3"))]).await.expect("put");
    // Three entries and a marker for each of the two transactions: the last entry is not the end. The broker writes the last marker when it
    // likes to.
    let marked = async {
        loop {
            let end = log.end().await.expect("end");
            if end[0].offset == 5 {
                return end;
            }
            assert_eq!(end[0].offset, 4);
        }
    };
    let end = tokio::time::timeout(LONG, marked)
        .await
        .expect("the last marker");
    let mut reader = log.reader().await.expect("reader");
    let entries = replay(&mut reader, &end).await;
    let keys: Vec<_> = entries.iter().map(|e| e.key.as_ref()).collect();
    assert_eq!(keys, [b"a", b"b", b"c"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_shows_what_stands_behind_a_dead_writers_open_transaction() {
    let cluster = Cluster::start().await;
    let topic = unique("log");
    cluster
        .create(&topic, 1, &[("cleanup.policy", "compact")])
        .await;
    let id = unique("id");
    let mut dead = cluster.transactional(&id, &topic).await.expect("init");
    dead.begin().await.expect("begin");
    let name = topic.clone().into();
    let mut never = rig::record(&name, 0, "never");
    never.key = rig::bytes("never");
    rig::all_ok(&rig::send(&mut dead, vec![never]).await);
    let plain = open(&cluster, &topic, None).await;
    plain
        .put(vec![entry("behind", Some("1"))])
        .await
        .expect("put");
    // A read_committed reader sees nothing yet; the end must say that there is more.
    assert_eq!(plain.end().await.expect("end")[0].offset, 2);
    let mut reader = plain.reader().await.expect("reader");
    // The next writer of that id ends the dead one's transaction.
    let heir = open(&cluster, &topic, Some(&id)).await;
    let end = heir.end().await.expect("end");
    let entries = replay(&mut reader, &end).await;
    let keys: Vec<_> = entries.iter().map(|e| e.key.as_ref()).collect();
    assert_eq!(keys, [b"behind"], "the aborted record is not shown");
    drop(dead);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fenced_writer_stays_fenced() {
    let cluster = Cluster::start().await;
    let topic = unique("log");
    cluster
        .create(&topic, 1, &[("cleanup.policy", "compact")])
        .await;
    let id = unique("id");
    let old = open(&cluster, &topic, Some(&id)).await;
    old.put(vec![entry("a", Some("1"))]).await.expect("put");
    let new = open(&cluster, &topic, Some(&id)).await;
    for _ in 0..2 {
        // I4: it must not take the id back.
        let error = old
            .put(vec![entry("a", Some("2"))])
            .await
            .expect_err("fenced");
        assert_eq!(error.kind(), ErrorKind::Fenced, "{error:?}");
    }
    new.put(vec![entry("a", Some("3"))]).await.expect("put");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_topic_is_named() {
    let cluster = Cluster::start().await;
    let spec = LogSpec {
        topic: unique("missing"),
        client_id: "log".to_owned(),
        transactional_id: None,
    };
    let admin = Admin::connect(&cluster.settings).await.expect("admin");
    let error = KafkaLog::open(&admin, spec).await.err().expect("missing");
    assert_eq!(error.kind(), ErrorKind::Config);
}
