//! The leader's pen: whole transactions over two topics, the last who takes it has it, and "read to the end" sees what it wrote.

use crate::rig::{self, Cluster, LONG, replay, unique};
use bytes::Bytes;
use longshore_engine::ports::{Entry, KeyedLog, Leadership, Term, TermEntry, TermLog, Version};
use longshore_kafka::{Admin, KafkaLeadership, KafkaLog, LeadershipSpec, LogSpec};
use longshore_sdk::ErrorKind;
use std::{collections::BTreeSet, sync::Arc};

struct Group {
    cluster: Cluster,
    admin: Admin,
    spec: LeadershipSpec,
}

impl Group {
    async fn start() -> Self {
        let cluster = Cluster::start().await;
        let group = unique("workers");
        let spec = LeadershipSpec {
            config_topic: format!("{group}-configs"),
            coordination_topic: format!("{group}-coordination"),
            offset_topic: format!("{group}-offsets"),
            group,
        };
        for topic in [&spec.config_topic, &spec.coordination_topic] {
            cluster
                .create(topic, 1, &[("cleanup.policy", "compact")])
                .await;
        }
        cluster
            .create(&spec.offset_topic, 5, &[("cleanup.policy", "compact")])
            .await;
        Self {
            admin: Admin::connect(&cluster.settings).await.expect("connect"),
            cluster,
            spec,
        }
    }
    async fn worker(&self) -> KafkaLeadership {
        let prepared = KafkaLeadership::prepare(&self.admin, self.spec.clone()).await;
        prepared.expect("prepare")
    }
    async fn log(&self, topic: &str) -> KafkaLog {
        let spec = LogSpec {
            topic: topic.to_owned(),
            key: "config.storage.topic",
            client_id: unique("log"),
            ..LogSpec::default()
        };
        KafkaLog::open(&self.admin, spec).await.expect("open")
    }
    async fn configs(&self) -> KafkaLog {
        self.log(&self.spec.config_topic).await
    }
}

fn entry(log: TermLog, key: &str) -> TermEntry {
    TermEntry {
        log,
        key: Bytes::copy_from_slice(key.as_bytes()),
        value: Some(Bytes::from_static(b"{}")),
        request: None,
    }
}

fn config(key: &str) -> Vec<TermEntry> {
    vec![entry(TermLog::Config, key)]
}

fn keys(entries: &[Entry]) -> Vec<&str> {
    let keys = entries.iter().map(|e| std::str::from_utf8(&e.key));
    keys.map(|key| key.expect("text")).collect()
}

/// A read to the end, from the beginning.
async fn all(log: &KafkaLog) -> Vec<Entry> {
    let end = log.end().await.expect("end");
    let mut reader = log.reader().await.expect("reader");
    replay(&mut reader, &end).await
}

async fn fenced(term: &Arc<dyn Term>) {
    // Once and for all: nothing makes a term that is over write again (I4).
    for _ in 0..2 {
        let error = term.put(config("late")).await.expect_err("fenced");
        assert_eq!(error.kind(), ErrorKind::Fenced, "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_of_both_topics_are_one_transaction_and_carry_their_request() {
    let group = Group::start().await;
    let term = group.worker().await.take().await.expect("take");
    let mut asked = entry(TermLog::Config, "connector-a");
    asked.request = Some(Bytes::from_static(b"r-1"));
    let mut deleted = entry(TermLog::Config, "connector-b");
    deleted.value = None;
    let placed = entry(TermLog::Coordination, "task-a-0");
    let versions = term.put(vec![asked, placed, deleted]).await.expect("put");
    let offsets: Vec<i64> = versions.iter().map(|v| v.offset).collect();
    assert_eq!(offsets, [0, 0, 1], "in the order of the entries");
    let entries = all(&group.configs().await).await;
    assert_eq!(keys(&entries), ["connector-a", "connector-b"]);
    assert_eq!(entries[0].request.as_deref(), Some(&b"r-1"[..]));
    assert_eq!(entries[1].request, None);
    assert_eq!(entries[1].value, None);
    let placements = all(&group.log(&group.spec.coordination_topic).await).await;
    assert_eq!(keys(&placements), ["task-a-0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_who_takes_it_has_it() {
    let group = Group::start().await;
    let (first, second) = (group.worker().await, group.worker().await);
    let old = first.take().await.expect("take");
    old.put(config("a")).await.expect("put");
    let new = second.take().await.expect("take");
    fenced(&old).await;
    new.put(config("b")).await.expect("put");
    // Not the highest, not the first: a worker that was woken may take it back, and the other learns it.
    let again = first.take().await.expect("take");
    fenced(&new).await;
    again.put(config("c")).await.expect("put");
    assert_eq!(keys(&all(&group.configs().await).await), ["a", "b", "c"]);
}

/// Offsets that somebody changes: a leader that was frozen amid it changes nothing any more, and each key goes where tasks write it.
#[tokio::test(flavor = "multi_thread")]
async fn i4_a_former_leader_changes_no_offsets() {
    let group = Group::start().await;
    let (first, second) = (group.worker().await, group.worker().await);
    let old = first.take().await.expect("take");
    let offsets = group.log(&group.spec.offset_topic).await;
    let lanes: Vec<String> = (0..8).map(|n| format!(r#"["c",{{"lane":{n}}}]"#)).collect();
    let entries = |request: &'static str| -> Vec<TermEntry> {
        let entry = |lane: &String| TermEntry {
            request: Some(Bytes::from_static(request.as_bytes())),
            ..entry(TermLog::Offset, lane)
        };
        lanes.iter().map(entry).collect()
    };
    let by_leader = old.put(entries("first")).await.expect("put");
    let plain = entries("")
        .into_iter()
        .map(|entry| (entry.key, entry.value));
    let by_task = offsets.put(plain.collect()).await.expect("put");
    let partitions = |versions: &[Version]| -> Vec<i32> {
        versions.iter().map(|version| version.partition).collect()
    };
    assert_eq!(partitions(&by_leader), partitions(&by_task));
    second.take().await.expect("take");
    let error = old.put(entries("late")).await.expect_err("fenced");
    assert_eq!(error.kind(), ErrorKind::Fenced, "{error:?}");
    let requests: BTreeSet<_> = all(&offsets).await.into_iter().map(|e| e.request).collect();
    let first = Some(Bytes::from_static(b"first"));
    assert_eq!(requests, BTreeSet::from([None, first]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_former_leader_had_not_committed_never_shows() {
    let group = Group::start().await;
    let id = format!("connect-cluster-{}", group.spec.group);
    let topic = group.spec.config_topic.clone();
    // A leader that dies, or is frozen, amid its transaction.
    let mut dead = group
        .cluster
        .transactional(&id, &topic)
        .await
        .expect("init");
    dead.begin().await.expect("begin");
    let mut never = rig::record(&topic.into(), 0, "never");
    never.key = rig::bytes("never");
    rig::all_ok(&rig::send(&mut dead, vec![never.clone()]).await);
    // Pause and resume are written by any worker, at any time.
    let configs = group.configs().await;
    let key = Bytes::from_static(b"target-state-a");
    configs
        .put(vec![(key, Some(Bytes::from_static(b"{}")))])
        .await
        .expect("put");
    // The end tells what a read_committed end would hide behind the open transaction.
    assert_eq!(configs.end().await.expect("end")[0].offset, 2);
    let mut reader = configs.reader().await.expect("reader");
    let term = group.worker().await.take().await.expect("take");
    let end = configs.end().await.expect("end");
    assert!(end[0].offset >= 2);
    let entries = replay(&mut reader, &end).await;
    assert_eq!(
        keys(&entries),
        ["target-state-a"],
        "nothing is missed, nothing shows that was not committed"
    );
    term.put(config("new")).await.expect("put");
    rig::send(&mut dead, vec![never]).await;
    let error = dead.commit(Vec::new()).await.expect_err("fenced");
    assert_eq!(error.kind(), ErrorKind::Fenced, "{error:?}");
    assert_eq!(keys(&all(&configs).await), ["target-state-a", "new"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn positions_pass_transaction_markers() {
    let group = Group::start().await;
    let term = group.worker().await.take().await.expect("take");
    let two = vec![entry(TermLog::Config, "a"), entry(TermLog::Config, "b")];
    term.put(two).await.expect("put");
    term.put(config("c")).await.expect("put");
    let configs = group.configs().await;
    // Three entries and a marker for each of the two transactions: the last entry is not the end. The broker writes the last marker when it
    // likes to.
    let marked = async { while configs.end().await.expect("end")[0].offset < 5 {} };
    tokio::time::timeout(LONG, marked)
        .await
        .expect("the last marker");
    let entries = all(&configs).await;
    assert_eq!(keys(&entries), ["a", "b", "c"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_no_topic_takes_writes_nothing_and_leaves_the_term() {
    let group = Group::start().await;
    let term = group.worker().await.take().await.expect("take");
    let mut huge = entry(TermLog::Config, "huge");
    huge.value = Some(vec![b'x'; 3 << 20].into());
    let put = vec![entry(TermLog::Config, "beside"), huge];
    let error = term.put(put).await.expect_err("too large");
    assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
    assert!(error.to_string().contains("max.request.size"), "{error}");
    term.put(config("next")).await.expect("the term goes on");
    assert_eq!(keys(&all(&group.configs().await).await), ["next"]);
}
