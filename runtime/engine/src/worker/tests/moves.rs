//! Tasks that move between living workers, and workers that are out for a while.

use super::{
    cluster::{Cluster, SINK, SOURCE, TOPIC},
    *,
};
use std::collections::BTreeMap;

#[tokio::test(start_paused = true)]
async fn tasks_move_to_a_new_worker_one_at_a_time_and_never_run_twice() {
    let mut cluster = Cluster::of(1).await;
    cluster
        .create("s", &[SOURCE, TOPIC, ("tasks.max", "6")])
        .await;
    cluster.shares("s", &[("w:1", 6)]).await;
    cluster.stop("w:1").await;
    // For balance tasks move once the group has been the same for a while.
    cluster.rebalance_delay = Duration::from_secs(60);
    cluster.start("w:1").await;
    cluster.start("w:2").await;
    cluster.shares("s", &[("w:1", 6)]).await;
    tokio::time::sleep(Duration::from_secs(40)).await;
    cluster.shares("s", &[("w:1", 6)]).await;
    cluster.start("w:3").await;
    tokio::time::sleep(Duration::from_secs(40)).await;
    cluster.shares("s", &[("w:1", 6)]).await;
    tokio::time::sleep(Duration::from_secs(21)).await;
    cluster
        .shares("s", &[("w:1", 2), ("w:2", 2), ("w:3", 2)])
        .await;
    // The probe fails a source that is opened twice at a time; each moved once at most.
    let mut opens = cluster.opens("s", 6);
    opens.sort_unstable();
    assert_eq!(opens, [2, 2, 3, 3, 3, 3]);
    cluster.stop_all().await;
}

#[tokio::test(start_paused = true)]
async fn a_sink_joins_where_it_goes_before_it_leaves_where_it_was() {
    let mut cluster = Cluster::of(1).await;
    cluster.rebalance_delay = Duration::from_secs(1);
    cluster
        .create("k", &[SINK, ("topics", "t"), ("tasks.max", "2")])
        .await;
    cluster.shares("k", &[("w:1", 2)]).await;
    cluster.stop("w:1").await;
    cluster.start("w:1").await;
    cluster.start("w:2").await;
    cluster.shares("k", &[("w:1", 1), ("w:2", 1)]).await;
    let most = [cluster.probe.most("k-0"), cluster.probe.most("k-1")];
    assert_eq!(
        most.iter().max(),
        Some(&2),
        "it was in both places for a while"
    );
    eventually(
        "each is open once",
        || cluster.probe.open_now() == ["k-0", "k-1"],
        || format!("{:?}", cluster.probe.open_now()),
    )
    .await;
    cluster.shares("k", &[("w:1", 1), ("w:2", 1)]).await;
    cluster.stop_all().await;
}

/// Where its new owner cannot say that it runs, the old one does not run for ever.
#[tokio::test(start_paused = true)]
async fn a_sink_that_does_not_open_elsewhere_ends_here_after_a_while() {
    let mut cluster = Cluster::of(1).await;
    cluster.rebalance_delay = Duration::from_secs(1);
    cluster
        .create("k", &[SINK, ("topics", "t"), ("tasks.max", "2")])
        .await;
    cluster.shares("k", &[("w:1", 2)]).await;
    cluster.stop("w:1").await;
    cluster.start("w:1").await;
    cluster.shares("k", &[("w:1", 2)]).await;
    cluster.start("w:2").await;
    // It dies at the moment when the first one is placed there.
    let placed = || {
        let placed = cluster.coordination.texts();
        placed.iter().any(|(_, value)| {
            value
                .as_deref()
                .is_some_and(|value| value.contains(r#"{"worker":"w:2""#))
        })
    };
    eventually("one is placed there", placed, String::new).await;
    cluster.kill("w:2").await;
    cluster.shares("k", &[("w:1", 2)]).await;
    cluster.stop_all().await;
}

/// Twelve connectors with forty tasks.
async fn forty(cluster: &Cluster) -> Vec<(String, u32)> {
    let mut tasks = Vec::new();
    for number in 0..12 {
        let (name, count) = (format!("c{number:02}"), if number < 8 { 4 } else { 2 });
        cluster
            .create(&name, &[SOURCE, TOPIC, ("tasks.max", &count.to_string())])
            .await;
        tasks.extend((0..count).map(|task| (name.clone(), task)));
    }
    tasks
}

#[tokio::test(start_paused = true)]
async fn a_rolling_restart_with_a_spare_worker_moves_each_task_once() {
    let mut cluster = Cluster::of(3).await;
    let tasks = forty(&cluster).await;
    let all_run = |cluster: &Cluster| {
        let running = |worker_id: &str| {
            let of = |name: &String| cluster.seen_by(worker_id, name);
            let names: std::collections::BTreeSet<&String> =
                tasks.iter().map(|(name, _)| name).collect();
            let seen: String = names.into_iter().map(|name| of(name) + " ").collect();
            seen.matches("RUNNING@").count()
        };
        let leader = cluster.group.leader().expect("a leader");
        running(&leader) == 40 && cluster.probe.open_now().len() == 40
    };
    let now = |cluster: &Cluster| format!("{:?}", cluster.probe.open_now());
    eventually("all run", || all_run(&cluster), || now(&cluster)).await;
    cluster.start("w:4").await;
    for worker_id in ["w:1", "w:2", "w:3"] {
        cluster.stop(worker_id).await;
        eventually("all run", || all_run(&cluster), || now(&cluster)).await;
        cluster.start(worker_id).await;
        tokio::time::sleep(Duration::from_secs(20)).await;
    }
    eventually("all run", || all_run(&cluster), || now(&cluster)).await;
    let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
    for (name, task) in &tasks {
        let opens = cluster.probe.opens(&format!("{name}-{task}"));
        *counts.entry(opens).or_default() += 1;
    }
    assert_eq!(
        counts,
        BTreeMap::from([(2, 40)]),
        "each was opened twice: at first, and where it moved"
    );
    cluster.stop_all().await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_comes_back_closes_what_is_anothers_by_then() {
    let cluster = Cluster::of(2).await;
    let config = [SOURCE, TOPIC, ("tasks.max", "2")];
    cluster.create("s", &config).await;
    cluster
        .create("k", &[SINK, ("topics", "x"), ("tasks.max", "2")])
        .await;
    cluster.shares("s", &[("w:1", 1), ("w:2", 1)]).await;
    cluster.shares("k", &[("w:1", 1), ("w:2", 1)]).await;
    // The tests' probe knows no workers: two of one source would be a breach elsewhere; here one is paused.
    cluster.probe.allow_twice();
    // What is decided meanwhile it reads late: it does not go on before it has.
    let coordination = cluster.coordination_of("w:2");
    coordination.hide_from(0);
    cluster.group.put_out("w:2", true);
    cluster.shares("s", &[("w:1", 2)]).await;
    cluster.shares("k", &[("w:1", 2)]).await;
    cluster.group.put_out("w:2", false);
    tokio::time::sleep(Duration::from_secs(1)).await;
    cluster.bus.0.send(longshore_sdk::Record {
        value: longshore_sdk::Datum::Bytes("late".into()),
        ..longshore_sdk::Record::new("x".into())
    });
    tokio::time::sleep(Duration::from_secs(5)).await;
    let taken = cluster.probe.taken();
    let late = taken.iter().filter(|value| **value == "late").count();
    assert_eq!(
        late, 2,
        "only the two sinks of the first worker move records"
    );
    assert_eq!(
        cluster.probe.open_now().len(),
        6,
        "paused, not closed, before it is known"
    );
    coordination.hide_from(usize::MAX);
    let open = || cluster.probe.open_now();
    eventually(
        "they are closed",
        || open().len() == 4,
        || format!("{:?}", open()),
    )
    .await;
    cluster.shares("s", &[("w:1", 2)]).await;
    cluster.shares("k", &[("w:1", 2)]).await;
    cluster.stop_all().await;
}

/// It does not know yet that it was taken to be gone, and has sent what it has not stored: its new owner sends that again, and it alone stores.
#[tokio::test(start_paused = true)]
async fn a_source_whose_worker_was_taken_to_be_gone_stores_nothing_more() {
    let cluster = Cluster::of(2).await;
    cluster.offset.set_away(true);
    cluster.create("s", &[SOURCE, TOPIC]).await;
    cluster.shares("s", &[("w:1", 1)]).await;
    let sent = || cluster.bus.0.records("t").len();
    eventually("all is sent", || sent() == 3, || sent().to_string()).await;
    cluster.probe.allow_twice();
    cluster.group.put_to_sleep("w:1", true);
    let runs = || cluster.seen_by("w:2", "s") == "RUNNING@w:2";
    eventually("it runs elsewhere", runs, || cluster.seen_by("w:2", "s")).await;
    eventually("all is sent again", || sent() == 6, || sent().to_string()).await;
    cluster.offset.set_away(false);
    let stored = || cluster.offset.texts().len();
    eventually("it is stored", || stored() > 0, String::new).await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(stored(), 1, "{:?}", cluster.offset.texts());
    cluster.stop_all().await;
}

/// What it stores on its way out must not stand over what somebody is told to be the offset now.
#[tokio::test(start_paused = true)]
async fn offsets_are_not_changed_while_a_task_of_another_worker_is_on_its_way_out() {
    use crate::control::{ConnectorOffset, ConnectorOffsets, ControlErrorKind};
    let cluster = Cluster::of(2).await;
    cluster.create("other", &[SOURCE, TOPIC]).await;
    cluster.shares("other", &[("w:1", 1)]).await;
    cluster
        .create("s", &[SOURCE, TOPIC, ("count", "never")])
        .await;
    cluster.shares("s", &[("w:2", 1)]).await;
    let leader = cluster.led().await;
    let stopped = leader.set_target("s", TargetState::Stopped);
    stopped.await.expect("stopped");
    let entry = ConnectorOffset {
        partition: serde_json::json!({ "share": "0" }),
        offset: serde_json::json!({ "n": 1 }),
    };
    let offsets = ConnectorOffsets {
        offsets: vec![entry],
    };
    let mut refused = 0;
    while let Err(error) = leader.alter_offsets("s", offsets.clone()).await {
        assert_eq!(error.kind, ControlErrorKind::Conflict, "{error}");
        refused += 1;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(refused > 0, "its poll does not return at once");
    assert_eq!(cluster.probe.open_now(), ["other-0"]);
    cluster.stop_all().await;
}

/// A status that nobody takes back does not forbid it for ever.
#[tokio::test(start_paused = true)]
async fn i6_the_status_of_a_task_that_nobody_has_goes_after_a_while() {
    let cluster = Cluster::of(2).await;
    cluster.create("s", &[SOURCE, TOPIC]).await;
    cluster.shares("s", &[("w:1", 1)]).await;
    let ghost =
        r#"{"state":"RUNNING","trace":null,"worker_id":"w:2","generation":1,"version":"1"}"#;
    cluster
        .status
        .append(vec![("status-task-s-7".into(), Some(ghost.into()))]);
    let gone = || {
        let last = cluster.status.texts().into_iter().rev();
        let mut last = last.filter(|(key, _)| key == "status-task-s-7");
        last.next().is_some_and(|(_, value)| value.is_none())
    };
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(!gone(), "its worker is there");
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(gone());
    cluster.stop_all().await;
}

/// What was written is never read back, as of a topic that was deleted and made anew: the leader takes his part again, and reads to the end first.
#[tokio::test(start_paused = true)]
async fn i6_placements_that_are_not_read_back_are_not_waited_for_for_ever() {
    let cluster = Cluster::of(1).await;
    let terms = cluster.leadership.terms();
    cluster.coordination_of("w:1").hold_reads(true);
    cluster.create("s", &[SOURCE, TOPIC]).await;
    tokio::time::sleep(Duration::from_secs(200)).await;
    assert!(cluster.leadership.terms() > terms, "it is taken again");
    cluster.coordination_of("w:1").hold_reads(false);
    cluster.shares("s", &[("w:1", 1)]).await;
    cluster.create("later", &[SOURCE, TOPIC]).await;
    cluster.shares("later", &[("w:1", 1)]).await;
    cluster.stop_all().await;
}

/// Taken off and wanted again, it has no placement to come from; its status tells who has it.
#[tokio::test(start_paused = true)]
async fn a_source_that_is_taken_off_and_wanted_again_at_once_never_runs_twice() {
    for deleted in [false, true] {
        let cluster = Cluster::of(2).await;
        let config = [SOURCE, TOPIC, ("count", "never")];
        cluster.create("other", &[SOURCE, TOPIC]).await;
        cluster.shares("other", &[("w:1", 1)]).await;
        cluster.create("s", &config).await;
        cluster.shares("s", &[("w:2", 1)]).await;
        let leader = cluster.led().await;
        leader.delete("other").await.expect("deleted");
        if deleted {
            leader.delete("s").await.expect("deleted");
            tokio::time::sleep(Duration::from_millis(100)).await;
            cluster.create("s", &config).await;
        } else {
            let stopped = leader.set_target("s", TargetState::Stopped);
            stopped.await.expect("stopped");
            let resumed = leader.set_target("s", TargetState::Started);
            resumed.await.expect("resumed");
        }
        // The probe fails a source that is opened twice at a time.
        cluster.shares("s", &[("w:1", 1)]).await;
        assert_eq!(cluster.opens("s", 1), [2]);
        leader.delete("s").await.expect("deleted");
        let statuses = || {
            let mut last = BTreeMap::new();
            last.extend(cluster.status.texts());
            last.retain(|_, value: &mut Option<String>| value.is_some());
            last.into_keys().collect::<Vec<_>>()
        };
        let none = || statuses().is_empty();
        eventually("no status is left", none, || format!("{:?}", statuses())).await;
        cluster.stop_all().await;
    }
}
