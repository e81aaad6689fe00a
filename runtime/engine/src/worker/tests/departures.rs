//! Workers that shut down in order, alone and all at once.

use super::{
    cluster::{Cluster, SINK, SOURCE, TOPIC},
    *,
};
use crate::memory::Line;
use tokio::time::Instant;

/// Two connectors of three tasks each, one of each worker.
async fn three() -> Cluster {
    let cluster = Cluster::of(3).await;
    let source = [SOURCE, TOPIC, ("tasks.max", "3")];
    cluster.create("s", &source).await;
    let sink = [SINK, ("topics", "t"), ("tasks.max", "3")];
    cluster.create("k", &sink).await;
    for name in ["s", "k"] {
        let shares = [("w:1", 1), ("w:2", 1), ("w:3", 1)];
        cluster.shares(name, &shares).await;
    }
    cluster
}

/// How often nobody had one of the sink's tasks.
fn gaps(cluster: &Cluster) -> Vec<usize> {
    let gaps = (0..3).map(|task| cluster.probe.gaps(&format!("k-{task}")));
    gaps.collect()
}

/// So many tasks of both run on the workers that are left, as the status says at this moment.
fn run_on(cluster: &Cluster, worker_id: &str, others: &[&str]) {
    for name in ["s", "k"] {
        let seen = cluster.seen_by(worker_id, name);
        let run = seen.split_whitespace().filter(|task| {
            let at = task.strip_prefix("RUNNING@");
            at.is_some_and(|at| others.contains(&at))
        });
        assert_eq!(run.count(), 3, "{name}: {seen}");
    }
}

#[tokio::test(start_paused = true)]
async fn tasks_run_elsewhere_before_their_worker_leaves_whether_it_leads_or_not() {
    for (stops, others) in [("w:2", ["w:1", "w:3"]), ("w:1", ["w:2", "w:3"])] {
        let mut cluster = three().await;
        let before = Instant::now();
        cluster.stop(stops).await;
        let took = before.elapsed();
        assert!(took < Duration::from_secs(10), "{stops}: {took:?}");
        run_on(&cluster, others[0], &others);
        assert_eq!(gaps(&cluster), [0, 0, 0], "a sink's group is never empty");
        let opens = |cluster: &Cluster, name| cluster.opens(name, 3).iter().sum::<usize>();
        assert_eq!(
            (opens(&cluster, "s"), opens(&cluster, "k")),
            (4, 4),
            "only its tasks moved"
        );
        // It comes back, and they stay where they are.
        cluster.start(stops).await;
        tokio::time::sleep(Duration::from_secs(30)).await;
        run_on(&cluster, others[0], &others);
        assert_eq!((opens(&cluster, "s"), opens(&cluster, "k")), (4, 4));
        cluster.stop_all().await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_has_no_task_leaves_at_once() {
    let mut cluster = three().await;
    cluster.start("w:4").await;
    let before = Instant::now();
    cluster.stop("w:4").await;
    assert!(before.elapsed() < Duration::from_millis(500));
    cluster.stop_all().await;
}

#[tokio::test(start_paused = true)]
async fn where_all_stop_at_once_nobody_waits_for_another() {
    let cluster = three().await;
    let before = Instant::now();
    cluster.stop_together().await;
    let took = before.elapsed();
    assert!(took < Duration::from_secs(3), "{took:?}");
}

/// A task that was handed to one that leaves as well goes on to another, once its first owner, which takes its time, has let go (I4).
#[tokio::test(start_paused = true)]
async fn who_leaves_before_a_task_has_come_to_it_does_not_let_two_have_it() {
    for lag_ms in [0, 1, 5, 20, 50, 100, 300, 1000] {
        let mut cluster = Cluster::of(3).await;
        let source = [SOURCE, TOPIC, ("tasks.max", "6"), ("close.ms", "1500")];
        cluster.create("s", &source).await;
        let shares = [("w:1", 2), ("w:2", 2), ("w:3", 2)];
        cluster.shares("s", &shares).await;
        // It has nothing, so that it gets what the next one leaves, and may go at once itself.
        cluster.start("w:4").await;
        let before = Instant::now();
        let one = cluster.stopping("w:2");
        tokio::time::sleep(Duration::from_millis(lag_ms)).await;
        cluster.stop("w:4").await;
        one.await.expect("no panic");
        let took = before.elapsed();
        assert!(took < Duration::from_secs(12), "{lag_ms} ms: {took:?}");
        cluster.shares("s", &[("w:1", 3), ("w:3", 3)]).await;
        for task in 0..6 {
            assert_eq!(cluster.probe.most(&format!("s-{task}")), 1, "{lag_ms} ms");
        }
        cluster.stop_all().await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_one_stops_at_once() {
    let mut cluster = three().await;
    cluster.stop("w:1").await;
    cluster.stop("w:3").await;
    let before = Instant::now();
    cluster.stop("w:2").await;
    assert!(before.elapsed() < Duration::from_secs(1));
}

/// The leader cannot be reached, or is of a version that knows nothing of it: its tasks move once it has left.
#[tokio::test(start_paused = true)]
async fn without_a_leader_that_knows_of_it_a_worker_leaves_soon() {
    for (line, most) in [(Line::Cut, 5), (Line::AnswersLost, 10), (Line::Foreign, 2)] {
        let mut cluster = three().await;
        cluster.peers.set(line);
        let before = Instant::now();
        cluster.stop("w:2").await;
        let took = before.elapsed();
        assert!(took < Duration::from_secs(most), "{line:?}: {took:?}");
        for name in ["s", "k"] {
            let shares = [("w:1", 1), ("w:3", 2)];
            let other = [("w:1", 2), ("w:3", 1)];
            let on = |count| cluster.seen_by("w:1", name).matches("RUNNING@w:1").count() == count;
            eventually(
                "three run",
                || {
                    let seen = cluster.seen_by("w:1", name);
                    !seen.contains("w:2") && seen.matches("RUNNING@").count() == 3
                },
                || cluster.seen_by("w:1", name),
            )
            .await;
            cluster
                .shares(name, if on(2) { &other } else { &shares })
                .await;
        }
        cluster.stop_all().await;
    }
}

/// Who leads dies when it is told: the next leader hears of it, too.
#[tokio::test(start_paused = true)]
async fn the_next_leader_is_told_as_well() {
    let mut cluster = three().await;
    let coordination = cluster.coordination_of("w:1").clone();
    // The first leader learns nothing of what it writes itself: nothing is handed over by it.
    coordination.hold_reads(true);
    let leaving = cluster.stopping("w:2");
    tokio::time::sleep(Duration::from_secs(1)).await;
    cluster.kill("w:1").await;
    leaving.await.expect("no panic");
    run_on(&cluster, "w:3", &["w:3"]);
    assert!(cluster.probe.gaps("k-0") + cluster.probe.gaps("k-1") + cluster.probe.gaps("k-2") <= 1);
    cluster.stop_all().await;
}

/// Its own failed and paused tasks go as well, and do not hold it up.
#[tokio::test(start_paused = true)]
async fn a_task_that_does_not_run_is_no_reason_to_stay() {
    let mut cluster = three().await;
    let leader = cluster.led().await;
    leader
        .set_target("k", TargetState::Paused)
        .await
        .expect("paused");
    let failing = [
        SOURCE,
        TOPIC,
        ("tasks.max", "3"),
        ("fail.at", "poll:config"),
    ];
    cluster.create("f", &failing).await;
    let failed = || cluster.seen_by("w:1", "f").matches("FAILED@").count() == 3;
    eventually("all fail", failed, || cluster.seen_by("w:1", "f")).await;
    let before = Instant::now();
    cluster.stop("w:2").await;
    let took = before.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    let away = |name: &str| !cluster.seen_by("w:1", name).contains("@w:2");
    assert!(away("s") && away("k") && away("f"));
    cluster.stop_all().await;
}

/// Two of three die at once and are back before anybody else is there: what the third took goes back, one by one, once the group has been the same.
#[tokio::test(start_paused = true)]
async fn after_two_died_at_once_their_tasks_are_shared_again_in_time() {
    let mut cluster = Cluster::of(1).await;
    cluster.stop("w:1").await;
    cluster.rebalance_delay = Duration::from_secs(60);
    for worker_id in ["w:1", "w:2", "w:3"] {
        cluster.start(worker_id).await;
    }
    let sink = [SINK, ("topics", "t"), ("tasks.max", "2")];
    cluster.create("k", &sink).await;
    let on = |cluster: &Cluster, worker_id: &str| {
        let seen = cluster.seen_by("w:1", "k");
        seen.matches(&format!("RUNNING@{worker_id}")).count()
    };
    let run = || on(&cluster, "w:1") + on(&cluster, "w:2") + on(&cluster, "w:3") == 2;
    eventually("both run", run, || cluster.seen_by("w:1", "k")).await;
    cluster.kill("w:2").await;
    cluster.kill("w:3").await;
    cluster.shares("k", &[("w:1", 2)]).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    cluster.start("w:2").await;
    cluster.start("w:3").await;
    tokio::time::sleep(Duration::from_secs(55)).await;
    assert_eq!(on(&cluster, "w:1"), 2, "the contract is to wait");
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(on(&cluster, "w:1"), 1, "{}", cluster.seen_by("w:1", "k"));
    assert_eq!(on(&cluster, "w:2") + on(&cluster, "w:3"), 1);
    cluster.stop_all().await;
}
