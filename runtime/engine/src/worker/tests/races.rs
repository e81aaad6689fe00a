//! What happens at the same time, at any rate, or at the wrong moment.

use super::*;
use crate::control::ControlErrorKind;

const CLASS: (&str, &str) = ("connector.class", "fake-source");
const TOPIC: (&str, &str) = ("topic", "t");

/// A task set behind the tombstone of its connector would be the next connector's of that name, with the configs of the deleted one.
#[tokio::test]
async fn a_plan_writes_nothing_behind_the_deletion() {
    let bench = Bench::new().await;
    for round in 0..20 {
        *bench.probe.shares.lock().expect("no panic") = 1;
        let name = format!("d{round}");
        let config = [CLASS, TOPIC, ("tasks.max", "4"), ("shares", "probe")];
        bench.create(&name, &config).await;
        bench.shows(&name, "RUNNING [RUNNING]").await;
        *bench.probe.shares.lock().expect("no panic") = 2;
        let plans = || *bench.probe.plans.lock().expect("no panic");
        let before = plans();
        // The broker is slow: the deletion and the task set of a new plan are on their way together.
        bench.config.set_away(true);
        let (control, deleted) = (bench.control.clone(), name.clone());
        let delete = tokio::spawn(async move { control.delete(&deleted).await });
        tokio::task::yield_now().await;
        let (control, restarted) = (bench.control.clone(), name.clone());
        let restart = tokio::spawn(async move { control.restart(&restarted, false, false).await });
        eventually("it has planned", || plans() > before, String::new).await;
        tokio::task::yield_now().await;
        bench.config.set_away(false);
        delete.await.expect("no panic").expect("deleted");
        // Whether it was restarted before it was deleted does not matter.
        drop(restart.await.expect("no panic"));
    }
    bench.worker.shutdown().await;
    let keys = bench.config.texts();
    for round in 0..20 {
        let name = format!("d{round}");
        let deleted = format!("connector-{name}");
        let tombstone = keys
            .iter()
            .position(|(key, value)| *key == deleted && value.is_none())
            .expect("deleted");
        let orphan = keys[tombstone..]
            .iter()
            .find(|(key, _)| key.starts_with(&format!("task-{name}-")));
        assert_eq!(orphan, None, "round {round}");
    }
}

#[tokio::test]
async fn a_task_that_asks_for_plans_all_the_time_is_heard_once_in_a_while() {
    let bench = Bench::new().await;
    bench.create("r", &[CLASS, TOPIC]).await;
    bench.shows("r", "RUNNING [RUNNING]").await;
    let replan = bench
        .probe
        .replan
        .lock()
        .expect("no panic")
        .clone()
        .expect("opened");
    let plans = || *bench.probe.plans.lock().expect("no panic");
    let before = plans();
    for _ in 0..100 {
        replan();
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    eventually("it was heard", || plans() > before, String::new).await;
    assert!(plans() <= before + 5, "I6: {} plans", plans() - before);
    bench.worker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_blocks_its_thread_does_not_hold_up_the_end() {
    let settings = WorkerSettings {
        grace: Duration::from_millis(100),
        ..settings()
    };
    let (config, offset, status) = (MemoryLog::new(), MemoryLog::new(), MemoryLog::new());
    let bus = SharedMemoryBus::default();
    let bench = Bench::told(settings, config, offset, status, bus, Arc::default()).await;
    let (held, is_held) = std::sync::mpsc::channel();
    let (done, wait) = std::sync::mpsc::channel::<()>();
    let probe = Arc::clone(&bench.probe);
    let gate = std::thread::spawn(move || {
        let gate = probe.gate.lock().expect("no panic");
        held.send(()).expect("the test waits");
        // Until the test has what it wants, or has failed.
        let _ = wait.recv();
        drop(gate);
    });
    is_held.recv().expect("held");
    bench.create("b", &[CLASS, TOPIC, ("count", "gate")]).await;
    bench.has_opened("b-0", 1).await;
    let ended = tokio::time::timeout(Duration::from_secs(120), bench.worker.shutdown()).await;
    drop(done);
    gate.join().expect("no panic");
    ended.expect("I6: the end has a limit");
}

#[tokio::test(start_paused = true)]
async fn a_task_that_does_not_open_is_opened_again() {
    let bench = Bench::new().await;
    bench.create("h", &[CLASS, TOPIC, ("count", "hang")]).await;
    bench.has_opened("h-0", 1).await;
    tokio::time::sleep(Duration::from_secs(301)).await;
    let status = bench.control.task_status("h", 0).expect("a status");
    assert_eq!(status.state, "RESTARTING", "{status:?}");
    let trace = status.trace.expect("a trace");
    assert!(trace.contains("did not open within 300 s"), "{trace}");
    bench.has_opened("h-0", 2).await;
    bench.worker.shutdown().await;
}

/// A sink plans as many tasks as it may: as a config of all workers, more than memory holds would end each of them at its start.
#[tokio::test]
async fn a_plan_fits_into_memory_whatever_the_config_says() {
    let bench = Bench::new().await;
    let config = [
        ("connector.class", "fake-sink"),
        ("topics", "t"),
        ("tasks.max", "2147483647"),
        // It fails behind its plan.
        ("fail.at", "planned:config"),
    ];
    bench.create("m", &config).await;
    bench.shows("m", "FAILED []").await;
    assert_eq!(*bench.probe.plans.lock().expect("no panic"), 1_000, "I6");
    bench.worker.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_cannot_be_created_yet_is_asked_for_with_backoff() {
    let bench = Bench::new().await;
    bench.bus.0.refuse_topics(1_000_000);
    let config = [
        CLASS,
        TOPIC,
        ("topic.creation.default.partitions", "1"),
        ("topic.creation.default.replication.factor", "1"),
    ];
    bench.create("c", &config).await;
    bench.shows("c", "RUNNING [RUNNING]").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let asked = bench.bus.0.topics_asked();
    assert!((2..20).contains(&asked), "I6: asked {asked} times");
    bench.bus.0.refuse_topics(0);
    let arrived = || bench.bus.0.records("t").len() == 3;
    eventually("its records are there", arrived, String::new).await;
    bench.worker.shutdown().await;
}

/// Legal, and common in configs that were switched to errors.tolerance=none for a while.
#[tokio::test]
async fn a_dead_letter_queue_without_tolerance_is_not_used() {
    let bench = Bench::new().await;
    let config = [
        ("connector.class", "fake-sink"),
        ("topics", "t"),
        ("errors.deadletterqueue.topic.name", "dlq"),
    ];
    bench.create("q", &config).await;
    bench.shows("q", "RUNNING [RUNNING]").await;
    bench.worker.shutdown().await;
}

#[tokio::test]
async fn a_sink_whose_consumer_cannot_be_opened_is_closed() {
    let bench = Bench::new().await;
    // The bus of these tests knows no patterns.
    let config = [("connector.class", "fake-sink"), ("topics.regex", "t.*")];
    bench.create("s", &config).await;
    bench.shows("s", "RUNNING [FAILED]").await;
    assert_eq!(*bench.probe.closed.lock().expect("no panic"), 1);
    bench.worker.shutdown().await;
}

#[test]
fn a_record_that_the_topic_does_not_take_is_too_large() {
    let error = longshore_sdk::Error::data("put", "Broker: Message size too large: raise it");
    let error = crate::control::ControlError::of_log("Failed", &error);
    assert_eq!(error.kind, ControlErrorKind::TooLarge);
}
