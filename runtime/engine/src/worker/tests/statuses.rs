//! What statuses show of tasks of other workers, and of workers that are out of their group: the same whole truth on whichever worker is asked.

use super::{
    cluster::{Cluster, SINK, SOURCE, TOPIC},
    *,
};
use crate::{
    control::{ConnectorStateInfo, TaskStateInfo},
    guarantee::SourceSupport,
    memory::Line,
};
use longshore_sdk::{Error, ErrorKind};
use serde_json::{Value, json};
use std::future::Future;

const ALL: [&str; 3] = ["w:1", "w:2", "w:3"];

impl Cluster {
    async fn whole(&self, at: &str, name: &str) -> ConnectorStateInfo {
        let status = self.worker(at).whole_status(name).await;
        status.expect("a status")
    }
}

fn x(task: &TaskStateInfo) -> &Value {
    task.x.as_ref().unwrap_or(&Value::Null)
}

fn of_connector(status: &ConnectorStateInfo) -> &Value {
    status.connector.x.as_ref().unwrap_or(&Value::Null)
}

/// Waits, generously.
async fn soon<F: Future<Output = Result<(), String>>>(what: &str, mut look: impl FnMut() -> F) {
    let mut now = String::new();
    for _ in 0..2000 {
        match look().await {
            Ok(()) => return,
            Err(seen) => now = seen,
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("waited in vain until {what}; it is {now}");
}

#[tokio::test(start_paused = true)]
async fn every_worker_shows_the_progress_of_all_tasks_by_one_call_to_each_other_worker() {
    let cluster = Cluster::of(3).await;
    for name in ["a", "b", "c", "d"] {
        cluster
            .create(name, &[SOURCE, TOPIC, ("tasks.max", "3")])
            .await;
    }
    for name in ["a", "b", "c", "d"] {
        cluster
            .shares(name, &[("w:1", 1), ("w:2", 1), ("w:3", 1)])
            .await;
    }
    for at in ALL {
        soon("all show their three records", || async {
            let status = cluster.whole(at, "a").await;
            let moved = |task: &TaskStateInfo| x(task)["progress"]["records"] == 3;
            let all = status.tasks.len() == 3 && status.tasks.iter().all(moved);
            all.then_some(()).ok_or(format!("{status:?}"))
        })
        .await;
    }
    let calls = || cluster.peers.bodies().len();
    let before = calls();
    let statuses = cluster.worker("w:2").whole_statuses().await;
    assert_eq!(statuses.len(), 4);
    for status in statuses.values() {
        let all = status.tasks.iter();
        assert!(all.map(x).all(|x| x["progress"]["records"] == 3));
    }
    assert_eq!(calls() - before, 2, "one call to each other worker");
    let before = calls();
    cluster.whole("w:3", "a").await;
    assert_eq!(calls() - before, 2);
    // One task: its worker alone is asked, and nobody where it is this worker's own.
    for task in 0..3 {
        let before = calls();
        let status = cluster.worker("w:1").whole_task_status("a", task).await;
        let status = status.expect("a status");
        assert_eq!(x(&status)["progress"]["records"], 3);
        assert_eq!(
            calls() - before,
            usize::from(status.worker_id != "w:1"),
            "{status:?}"
        );
    }
    let before = calls();
    let unknown = cluster.worker("w:1").whole_status("x").await;
    let unknown = unknown.expect_err("there is none");
    assert_eq!(unknown.message, "No status found for connector x");
    let unknown = cluster.worker("w:1").whole_task_status("a", 7).await;
    assert_eq!(
        unknown.expect_err("there is none").message,
        "No status found for task a-7"
    );
    assert_eq!(calls(), before);
    cluster.stop_all().await;
}

#[tokio::test(start_paused = true)]
async fn every_worker_shows_an_end_a_restart_and_a_lowered_guarantee() {
    let cluster = Cluster::with(2, SourceSupport::Possible).await;
    let exactly = ("guarantee", "exactly");
    cluster.create("first", &[SOURCE, TOPIC, exactly]).await;
    let runs = |name: &str| cluster.seen_by("w:1", name).starts_with("RUNNING@");
    eventually("it runs", || runs("first"), String::new).await;
    let refused = Error::new(ErrorKind::Auth, "init", "no right to the id");
    let refuse = &cluster.bus.0.transactional.refuse_init;
    refuse.lock().expect("no panic").push(refused);
    cluster.create("low", &[SOURCE, TOPIC, exactly]).await;
    eventually("it runs", || runs("low"), String::new).await;
    let owner = cluster.seen_by("w:1", "low").replace("RUNNING@", "");
    assert_ne!(cluster.seen_by("w:1", "first"), format!("RUNNING@{owner}"));
    let other = if owner == "w:1" { "w:2" } else { "w:1" };
    for at in ["w:1", "w:2"] {
        let high = cluster.whole(at, "first").await;
        assert_eq!(of_connector(&high)["guarantee"]["level"], "exactly-once");
        let low = cluster.whole(at, "low").await;
        let guarantee = &of_connector(&low)["guarantee"];
        assert_eq!(guarantee["level"], "at-least-once", "{at}");
        let reason = guarantee["reason"].as_str().expect("a reason");
        assert!(reason.contains("no right to the id"), "{reason}");
    }
    // Of a task that is not asked it is not known.
    cluster.peers.set(Line::Cut);
    let doubt = cluster.whole(other, "low").await;
    let doubt = &of_connector(&doubt)["guarantee"]["unknown"];
    assert!(
        doubt
            .as_str()
            .is_some_and(|doubt| doubt.contains(&format!("http://{owner}"))),
        "{doubt}"
    );
    cluster.peers.set(Line::Whole);

    let fails = [
        SOURCE,
        TOPIC,
        ("fail.at", "open:transient"),
        ("tasks.max", "2"),
    ];
    cluster.create("restarts", &fails).await;
    for at in ["w:1", "w:2"] {
        soon("both restarts are shown", || async {
            let status = cluster.worker(at).whole_status("restarts").await;
            let status = status.map_err(|error| error.message)?;
            let both = status.tasks.iter();
            let restart = |task: &TaskStateInfo| x(task)["restart"]["attempt"].is_u64();
            (both.filter(|task| restart(task)).count() == 2)
                .then_some(())
                .ok_or(format!("{status:?}"))
        })
        .await;
    }
    let end = [SOURCE, TOPIC, ("shares", "1")];
    for name in ["end-1", "end-2"] {
        cluster.create(name, &end).await;
    }
    for (at, name) in [
        ("w:1", "end-1"),
        ("w:1", "end-2"),
        ("w:2", "end-1"),
        ("w:2", "end-2"),
    ] {
        soon("the end is shown", || async {
            let status = cluster.worker(at).whole_status(name).await;
            let status = status.map_err(|error| error.message)?;
            let ended = of_connector(&status)["finished"] == true
                && x(&status.tasks[0])["finished"] == true;
            ended.then_some(()).ok_or(format!("{status:?}"))
        })
        .await;
    }
    cluster.stop_all().await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_does_not_answer_leaves_its_own_tasks_unknown_and_nothing_else() {
    let cluster = Cluster::of(3).await;
    cluster
        .create("s", &[SOURCE, TOPIC, ("tasks.max", "3")])
        .await;
    cluster
        .shares("s", &[("w:1", 1), ("w:2", 1), ("w:3", 1)])
        .await;
    let shows = |status: &ConnectorStateInfo, why: &str| {
        for task in &status.tasks {
            let progress = &x(task)["progress"];
            assert_eq!(task.state, "RUNNING");
            if task.worker_id == "w:3" {
                assert_eq!(progress, &json!({ "unknown": why }));
            } else {
                assert!(progress["records"].is_u64(), "{task:?}");
            }
        }
    };
    cluster.peers.silence("w:3", true);
    let started = tokio::time::Instant::now();
    let status = cluster.whole("w:1", "s").await;
    // The clock of the tests stands while anybody works: this is the limit itself.
    assert!(started.elapsed() <= Duration::from_millis(1100));
    shows(
        &status,
        "the worker at http://w:3 did not answer within 1 s",
    );
    cluster.peers.silence("w:3", false);
    let status = cluster.whole("w:1", "s").await;
    let known = |task: &TaskStateInfo| x(task)["progress"]["records"].is_u64();
    assert!(status.tasks.iter().all(known), "{status:?}");
    cluster.stop_all().await;
}

#[tokio::test(start_paused = true)]
async fn workers_out_of_their_group_say_so_and_go_on_where_they_are() {
    let cluster = Cluster::of(2).await;
    let config = [SOURCE, TOPIC, ("tasks.max", "4")];
    cluster.create("s", &config).await;
    cluster.create("p", &config).await;
    cluster.shares("s", &[("w:1", 2), ("w:2", 2)]).await;
    cluster.shares("p", &[("w:1", 2), ("w:2", 2)]).await;
    let pause = cluster
        .worker("w:1")
        .set_target("p", TargetState::Paused)
        .await;
    pause.expect("paused");
    let paused = |at: &str| cluster.seen_by(at, "p").matches("PAUSED@").count() == 4;
    let both = || paused("w:1") && paused("w:2");
    eventually("p is paused", both, || cluster.seen_by("w:1", "p")).await;
    let said = cluster.status.texts().len();
    // The broker is away: nobody can see anybody.
    cluster.group.all_out(true);
    for at in ["w:1", "w:2"] {
        soon("all are nobody's, and say why", || async {
            let status = cluster.whole(at, "s").await;
            let why = |x: &Value, worker: &str| {
                let reason = x["reason"].as_str().unwrap_or_default();
                reason.contains(&format!("the worker {worker} is out of its group"))
            };
            let told = |task: &TaskStateInfo| {
                task.state == "UNASSIGNED"
                    && why(x(task), &task.worker_id)
                    && x(task)["progress"]["progressing"] == false
            };
            let connector = status.connector.state == "UNASSIGNED"
                && why(of_connector(&status), &status.connector.worker_id);
            (connector && status.tasks.len() == 4 && status.tasks.iter().all(told))
                .then_some(())
                .ok_or(format!("{status:?}"))
        })
        .await;
        // What somebody paused is paused, and nothing else is said of it.
        let status = cluster.whole(at, "p").await;
        assert_eq!(status.connector.state, "PAUSED");
        for task in &status.tasks {
            assert_eq!(
                (task.state.as_str(), &x(task)["reason"]),
                ("PAUSED", &Value::Null)
            );
        }
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    cluster.group.all_out(false);
    cluster.shares("s", &[("w:1", 2), ("w:2", 2)]).await;
    cluster.shares_paused("p").await;
    assert_eq!(cluster.opens("s", 4), [1, 1, 1, 1], "nothing was restarted");
    let status = cluster.whole("w:1", "s").await;
    assert_eq!(status.connector.state, "RUNNING");
    assert_eq!(of_connector(&status)["reason"], Value::Null);
    let later = cluster.status.texts();
    let tasks = later[said..].iter();
    let tasks: Vec<_> = tasks
        .filter(|(key, _)| key.starts_with("status-task"))
        .collect();
    assert!(tasks.is_empty(), "what was said is true again: {tasks:?}");
    cluster.stop_all().await;
}

/// Paused by somebody while its worker was out: it goes from the one to the other without a word of RUNNING.
#[tokio::test(start_paused = true)]
async fn a_pause_that_was_asked_for_meanwhile_is_shown_when_the_worker_is_back() {
    let cluster = Cluster::of(2).await;
    cluster
        .create("s", &[SOURCE, TOPIC, ("tasks.max", "2")])
        .await;
    cluster.shares("s", &[("w:1", 1), ("w:2", 1)]).await;
    cluster.group.all_out(true);
    let out = || cluster.seen_by("w:1", "s").contains("UNASSIGNED@w:1");
    eventually("it is out", out, || cluster.seen_by("w:1", "s")).await;
    let paused = cluster
        .worker("w:1")
        .set_target("s", TargetState::Paused)
        .await;
    paused.expect("paused");
    tokio::time::sleep(Duration::from_secs(5)).await;
    cluster.group.all_out(false);
    cluster.shares_paused("s").await;
    cluster.stop_all().await;
}

impl Cluster {
    /// Waits until every worker shows that all tasks of a connector are paused.
    async fn shares_paused(&self, name: &str) {
        for at in ["w:1", "w:2"] {
            let all = || {
                let seen = self.seen_by(at, name);
                !seen.is_empty()
                    && seen
                        .split_whitespace()
                        .all(|one| one.starts_with("PAUSED@"))
            };
            eventually("all are paused", all, || self.seen_by(at, name)).await;
        }
    }
}

/// The topic says that its former start runs the task.
#[tokio::test(start_paused = true)]
async fn a_worker_that_was_started_anew_does_not_call_running_what_it_does_not_run() {
    let mut cluster = Cluster::of(2).await;
    cluster
        .create("s", &[SOURCE, TOPIC, ("tasks.max", "2")])
        .await;
    cluster.shares("s", &[("w:1", 1), ("w:2", 1)]).await;
    cluster.vanish("w:2").await;
    let of_second = async |cluster: &Cluster| {
        let tasks = cluster.whole("w:1", "s").await.tasks;
        let task = tasks.into_iter().find(|task| task.worker_id == "w:2");
        task.expect("it is there still")
    };
    let gone = of_second(&cluster).await;
    let unknown = &x(&gone)["progress"]["unknown"];
    assert_eq!(unknown, "nobody answers at http://w:2");
    cluster.start("w:2").await;
    let anew = of_second(&cluster).await;
    assert_eq!(anew.state, "UNASSIGNED");
    let reason = x(&anew)["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("started anew"), "{anew:?}");
    cluster.stop_all().await;
}

/// A task of which nobody has said a word, and one whose former owner has gone.
#[tokio::test(start_paused = true)]
async fn a_sink_that_does_not_open_is_shown_as_nobodys() {
    let mut cluster = Cluster::of(2).await;
    let hangs = [SINK, ("topics", "t"), ("count", "hang"), ("tasks.max", "2")];
    cluster.create("new", &hangs).await;
    for at in ["w:1", "w:2"] {
        soon("both are shown", || async {
            let status = cluster.worker(at).whole_status("new").await;
            let status = status.map_err(|error| error.message)?;
            let nobodys = |task: &&TaskStateInfo| task.state == "UNASSIGNED";
            (status.tasks.iter().filter(nobodys).count() == 2)
                .then_some(())
                .ok_or(format!("{status:?}"))
        })
        .await;
    }
    cluster
        .create("k", &[SINK, ("topics", "t"), ("tasks.max", "2")])
        .await;
    cluster.shares("k", &[("w:1", 1), ("w:2", 1)]).await;
    let leader = cluster.led().await;
    let hang = [("count".to_owned(), Some("hang".to_owned()))].into();
    leader.patch_config("k", hang).await.expect("stored");
    let open = || cluster.opens("k", 2) == [2, 2];
    eventually("both are opened again", open, String::new).await;
    cluster.kill("w:2").await;
    let nobodys = || cluster.seen_by("w:1", "k") == "UNASSIGNED@w:1 UNASSIGNED@w:1";
    eventually("no one runs them", nobodys, || cluster.seen_by("w:1", "k")).await;
    cluster.stop_all().await;
}
