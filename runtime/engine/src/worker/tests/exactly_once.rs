//! Sources that write their records and offsets in transactions.

mod idle;

use super::*;
use crate::{
    guarantee::SourceSupport,
    task::TaskId,
    views::assignment::{self, Placement},
};
use bytes::Bytes;
use longshore_sdk::{Datum, Error, ErrorKind};
use std::sync::atomic::Ordering::SeqCst;

const SOURCE: [(&str, &str); 3] = [
    ("connector.class", "FakeSource"),
    ("topic", "t"),
    ("guarantee", "exactly"),
];

fn told(support: SourceSupport) -> WorkerSettings {
    WorkerSettings {
        exactly_once_sources: support,
        ..settings()
    }
}

async fn bench(support: SourceSupport) -> Bench {
    over(support, MemoryLog::new(), SharedMemoryBus::default()).await
}

async fn over(support: SourceSupport, config: MemoryLog, bus: SharedMemoryBus) -> Bench {
    let (offset, status) = (MemoryLog::new(), MemoryLog::new());
    Bench::told(told(support), config, offset, status, bus, Arc::default()).await
}

fn with<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    SOURCE.iter().chain(more).copied().collect()
}

impl Bench {
    /// What readers of committed records see.
    fn values(&self) -> Vec<String> {
        let text = |record: longshore_sdk::Record| match record.value {
            Datum::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            other => format!("{other:?}"),
        };
        self.bus.0.records("t").into_iter().map(text).collect()
    }
    async fn has_values(&self, values: &[&str]) {
        eventually(
            "the records are there",
            || self.values() == values,
            || format!("{:?}", self.values()),
        )
        .await;
    }
    /// How often each task's id was opened.
    fn inits(&self) -> Vec<(String, usize)> {
        self.bus.0.transactional.opened().into_iter().collect()
    }
    async fn has_inits(&self, inits: &[(&str, usize)]) {
        let owned = |(id, times): &(&str, usize)| (format!("longshore-{id}"), *times);
        let wanted: Vec<_> = inits.iter().map(owned).collect();
        let now = || format!("{:?}", self.inits());
        eventually(
            &format!("inits are {wanted:?}"),
            || self.inits() == wanted,
            now,
        )
        .await;
    }
    fn guarantee(&self, name: &str) -> serde_json::Value {
        let status = self.control.status(name).expect("a status");
        status.connector.x.expect("something of ours")["guarantee"].clone()
    }
    /// Lets the runtime do whatever it can.
    async fn settle(&self) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    /// Waits until the task's producer is being opened, which waits.
    async fn is_opening(&self, task: &str) {
        let client = format!("connector-producer-{task}");
        let asked = || self.bus.0.clients().contains(&client);
        eventually("the producer is asked for", asked, String::new).await;
    }
}

#[tokio::test]
async fn each_record_once_over_restarts() {
    let bench = bench(SourceSupport::Possible).await;
    bench.create("in", &SOURCE).await;
    bench.has_values(&["in-0:1", "in-0:2", "in-0:3"]).await;
    let keys = bench.config.keys();
    assert_eq!(
        keys.last().map(String::as_str),
        Some("tasks-fencing-in"),
        "{keys:?}"
    );
    assert_eq!(keys[keys.len() - 2], "commit-in");
    let shown = bench.guarantee("in");
    assert_eq!(shown["level"], "exactly-once", "{shown}");
    assert!(shown.get("reason").is_none(), "{shown}");
    let stored = bench.offset.texts();
    assert_eq!(
        stored.last().expect("stored").1.as_deref(),
        Some(r#"{"n":3}"#)
    );
    assert_eq!(bench.bus.0.transactional.committed().len(), stored.len());

    let Bench {
        worker,
        bus,
        config,
        offset,
        status,
        probe,
        ..
    } = bench;
    worker.shutdown().await;
    let told = told(SourceSupport::Possible);
    let bench = Bench::told(told, config, offset, status, bus, probe).await;
    bench.has_opened("in-0", 2).await;
    bench.settle().await;
    assert_eq!(bench.values().len(), 3);
}

#[tokio::test]
async fn a_task_that_moved_while_it_opened_its_producer_closes() {
    let bench = bench(SourceSupport::Enabled).await;
    bench.bus.0.transactional.hold_init.send_replace(true);
    bench.create("in", &SOURCE).await;
    bench.is_opening("in-0").await;
    // The placement is written, and this worker has not read it.
    bench.coordination.hold_reads(true);
    let elsewhere = Placement {
        worker_id: "w:2".to_owned(),
        incarnation: "1".to_owned(),
        generation: 99,
        former: None,
    };
    let record = assignment::record(&TaskId::new("in", 0), Some(&elsewhere));
    bench.coordination.append(vec![record]);
    bench.bus.0.transactional.hold_init.send_replace(false);
    bench.has_inits(&[("in-0", 1)]).await;
    bench.settle().await;
    // I4: the last init wins, so this one has fenced the owner; all it may do is close.
    assert_eq!(bench.probe.opens("in-0"), 0);
    assert_eq!(bench.values(), [""; 0]);
}

#[tokio::test]
async fn a_task_reads_its_lanes_after_it_has_fenced_its_former_life() {
    let bench = bench(SourceSupport::Enabled).await;
    bench.bus.0.transactional.hold_init.send_replace(true);
    bench.create("in", &SOURCE).await;
    bench.is_opening("in-0").await;
    // Its former life's last transaction, which this worker has not read.
    bench.offset.hold_reads(true);
    let stored = (
        Bytes::from_static(br#"["in",{"share":"0"}]"#),
        Some(Bytes::from_static(br#"{"n":2}"#)),
    );
    bench.offset.append(vec![stored]);
    bench.bus.0.transactional.hold_init.send_replace(false);
    bench.has_inits(&[("in-0", 1)]).await;
    bench.settle().await;
    bench.offset.hold_reads(false);
    bench.has_values(&["in-0:3"]).await;
    // A reader of uncommitted offsets must not go on from those of an aborted transaction.
    let first = &bench.bus.0.transactional.committed()[0].0;
    assert_eq!(first[0], r#"["in",{"share":"0"}]={"n":2}"#, "{first:?}");
}

#[tokio::test]
async fn the_producers_of_the_former_task_set_are_fenced_first() {
    let bench = bench(SourceSupport::Enabled).await;
    bench.create("in", &with(&[("tasks.max", "2")])).await;
    bench.has_inits(&[("in-0", 1), ("in-1", 1)]).await;
    bench.shows("in", "RUNNING [RUNNING RUNNING]").await;
    let more = [
        ("connector.class", "FakeSource"),
        ("topic", "t"),
        ("guarantee", "exactly"),
        ("tasks.max", "3"),
    ];
    bench
        .control
        .put_config("in", flat(&more))
        .await
        .expect("changed");
    bench.shows("in", "RUNNING [RUNNING RUNNING RUNNING]").await;
    // One init by the round, one by the task that comes after it; none is fenced by the round itself.
    bench
        .has_inits(&[("in-0", 3), ("in-1", 3), ("in-2", 1)])
        .await;
    let last = bench.config.texts().pop().expect("records");
    assert_eq!(last.0, "tasks-fencing-in");
    assert_eq!(last.1.as_deref(), Some(r#"{"task-count":3}"#));
}

#[tokio::test]
async fn one_task_after_one_task_needs_no_round() {
    let bench = bench(SourceSupport::Enabled).await;
    bench.create("in", &SOURCE).await;
    bench.has_inits(&[("in-0", 1)]).await;
    bench.shows("in", "RUNNING [RUNNING]").await;
    let changed = with(&[("count", "4")]);
    bench
        .control
        .put_config("in", flat(&changed))
        .await
        .expect("changed");
    bench
        .has_values(&["in-0:1", "in-0:2", "in-0:3", "in-0:4"])
        .await;
    bench.has_inits(&[("in-0", 2)]).await;
}

#[tokio::test]
async fn a_new_leader_makes_up_the_round_that_a_dead_one_left() {
    let properties = r#"{"properties":{"connector.class":"FakeSource","topic":"t","guarantee":"exactly","name":"in"}}"#;
    let task = r#"{"properties":{"connector.class":"FakeSource","topic":"t","guarantee":"exactly","name":"in","share":"0","task.class":"test.FakeSourceTask"}}"#;
    let config = MemoryLog::new();
    for (key, value) in [
        ("tasks-fencing-in", r#"{"task-count":2}"#),
        ("connector-in", properties),
        ("task-in-0", task),
        ("commit-in", r#"{"tasks":1}"#),
    ] {
        let pair = (
            Bytes::from_static(key.as_bytes()),
            Some(Bytes::copy_from_slice(value.as_bytes())),
        );
        config.append(vec![pair]);
    }
    let bench = over(SourceSupport::Enabled, config, SharedMemoryBus::default()).await;
    bench.has_values(&["in-0:1", "in-0:2", "in-0:3"]).await;
    bench.has_inits(&[("in-0", 2), ("in-1", 1)]).await;
    let keys = bench.config.keys();
    assert_eq!(keys[4..], ["tasks-fencing-in"], "the set itself stands");
}

#[tokio::test]
async fn without_the_right_it_delivers_at_least_once_and_says_so() {
    let refused = || Error::new(ErrorKind::Auth, "init", "no right to the transactional id");
    let bus = SharedMemoryBus::default();
    *bus.0.transactional.refuse_init.lock().expect("no panic") = vec![refused()];
    let bench = over(SourceSupport::Possible, MemoryLog::new(), bus).await;
    bench.create("in", &SOURCE).await;
    bench.has_values(&["in-0:1", "in-0:2", "in-0:3"]).await;
    let shown = bench.guarantee("in");
    assert_eq!(shown["level"], "at-least-once", "{shown}");
    let reason = shown["reason"].as_str().expect("a reason");
    assert!(
        reason.contains("no right to the transactional id"),
        "{reason}"
    );

    let bus = SharedMemoryBus::default();
    *bus.0.transactional.refuse_init.lock().expect("no panic") = vec![refused()];
    let bench = over(SourceSupport::Enabled, MemoryLog::new(), bus).await;
    bench.create("in", &SOURCE).await;
    bench.shows("in", "RUNNING [FAILED]").await;
    let trace = bench.control.status("in").expect("a status").tasks[0]
        .trace
        .clone();
    let trace = trace.expect("a trace");
    for named in ["longshore-in-0", "WRITE and DESCRIBE", "longshore-offsets"] {
        assert!(trace.contains(named), "{trace}");
    }
    assert_eq!(bench.values(), [""; 0]);
}

#[tokio::test]
async fn a_right_that_is_missing_at_the_commit_lowers_the_next_life() {
    let bus = SharedMemoryBus::default();
    let refused = Error::new(ErrorKind::Auth, "commit", "no right to the offsets topic");
    *bus.0.transactional.refuse_commit.lock().expect("no panic") = vec![refused];
    let bench = over(SourceSupport::Possible, MemoryLog::new(), bus).await;
    bench.create("in", &SOURCE).await;
    bench.has_values(&["in-0:1", "in-0:2", "in-0:3"]).await;
    let shown = bench.guarantee("in");
    assert_eq!(shown["level"], "at-least-once", "{shown}");
    assert!(
        bench.inits().iter().all(|(_, times)| *times == 1),
        "{:?}",
        bench.inits()
    );
}

#[tokio::test]
async fn a_task_that_is_fenced_while_it_is_placed_here_comes_back() {
    let bench = bench(SourceSupport::Enabled).await;
    bench.create("in", &SOURCE).await;
    bench.has_opened("in-0", 1).await;
    bench.bus.0.transactional.fence("longshore-in-0");
    bench.has_opened("in-0", 2).await;
    bench.has_values(&["in-0:1", "in-0:2", "in-0:3"]).await;
    assert_eq!(bench.bus.0.transactional.after_death.load(SeqCst), 0);
}

#[tokio::test]
async fn a_reply_that_is_lost_repeats_nothing() {
    let bus = SharedMemoryBus::default();
    bus.0.transactional.lose_replies.store(1, SeqCst);
    let bench = over(SourceSupport::Enabled, MemoryLog::new(), bus).await;
    bench.create("in", &SOURCE).await;
    bench.has_opened("in-0", 2).await;
    bench.settle().await;
    assert_eq!(bench.values(), ["in-0:1", "in-0:2", "in-0:3"]);
    assert_eq!(bench.bus.0.transactional.after_death.load(SeqCst), 0);
}

#[tokio::test]
async fn a_source_without_stable_positions_says_why_it_is_less() {
    let bench = bench(SourceSupport::Enabled).await;
    bench
        .create("in", &[("connector.class", "FakeSource"), ("topic", "t")])
        .await;
    bench.has_values(&["in-0:1", "in-0:2", "in-0:3"]).await;
    let shown = bench.guarantee("in");
    assert_eq!(
        (&shown["level"], &shown["reason"]),
        (&"at-least-once".into(), &"a fake".into())
    );
    assert_eq!(bench.inits(), []);
    let required = [
        ("connector.class", "FakeSource"),
        ("topic", "t"),
        ("exactly.once.support", "required"),
    ];
    let refused = bench
        .control
        .create("strict", flat(&required), TargetState::Started)
        .await;
    let message = refused.expect_err("refused").message;
    assert!(message.contains("a fake"), "{message}");
}

#[tokio::test]
async fn offsets_are_altered_once_the_former_tasks_are_fenced() {
    let bench = bench(SourceSupport::Enabled).await;
    bench.create("in", &with(&[("tasks.max", "2")])).await;
    bench.shows("in", "RUNNING [RUNNING RUNNING]").await;
    bench
        .control
        .set_target("in", TargetState::Stopped)
        .await
        .expect("stopped");
    eventually(
        "its tasks are gone",
        || bench.probe.open_now().is_empty(),
        String::new,
    )
    .await;
    let altered = eventually_reset(&bench).await;
    assert!(altered.contains("reset"), "{altered}");
    bench.has_inits(&[("in-0", 2), ("in-1", 2)]).await;
}

/// The tasks may still be on their way out for a moment.
async fn eventually_reset(bench: &Bench) -> String {
    for _ in 0..200 {
        match bench.control.reset_offsets("in").await {
            Ok(message) => return message,
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
    panic!("the offsets could not be reset");
}

#[tokio::test]
async fn a_record_that_is_refused_is_left_out_where_that_is_tolerated_and_nobody_insists() {
    for (support, states) in [
        (SourceSupport::Possible, "RUNNING [RUNNING]"),
        (SourceSupport::Enabled, "RUNNING [FAILED]"),
    ] {
        let bus = SharedMemoryBus::default();
        bus.0.transactional.refuse_records.store(1, SeqCst);
        let bench = over(support, MemoryLog::new(), bus).await;
        bench
            .create("in", &with(&[("errors.tolerance", "all")]))
            .await;
        if support == SourceSupport::Possible {
            // The memory bus refuses in transactions only, so that nothing is left out here.
            bench.has_values(&["in-0:1", "in-0:2", "in-0:3"]).await;
            let shown = bench.guarantee("in");
            let reason = shown["reason"].as_str().expect("a reason");
            assert!(reason.contains("errors.tolerance=all"), "{reason}");
        }
        bench.shows("in", states).await;
    }
}
