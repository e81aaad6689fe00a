use super::*;
use crate::control::ControlErrorKind;

const CLASS: (&str, &str) = ("connector.class", "fake-source");
const TOPIC: (&str, &str) = ("topic", "t");

#[tokio::test]
async fn a_failed_task_stays_failed_until_somebody_acts() {
    let bench = Bench::new().await;
    bench
        .create("f", &[CLASS, TOPIC, ("fail.at", "poll:config")])
        .await;
    bench.create("ok", &[CLASS, TOPIC]).await;
    bench.shows("f", "RUNNING [FAILED]").await;
    let status = bench.control.task_status("f", 0).expect("a status");
    let trace = status.trace.expect("a trace");
    assert!(
        trace.starts_with("config error at fake: told to"),
        "{trace}"
    );
    // Through pause and resume.
    bench
        .control
        .set_target("f", TargetState::Paused)
        .await
        .expect("paused");
    bench.shows("f", "PAUSED [FAILED]").await;
    bench
        .control
        .set_target("f", TargetState::Started)
        .await
        .expect("resumed");
    bench.shows("f", "RUNNING [FAILED]").await;
    assert_eq!(bench.probe.opens("f-0"), 1);
    // Each kind of restart opens it once more.
    bench.control.restart_task("f", 0).await.expect("restarted");
    bench.has_opened("f-0", 2).await;
    bench.shows("f", "RUNNING [FAILED]").await;
    let answer = bench
        .control
        .restart("f", true, true)
        .await
        .expect("restarted")
        .expect("202");
    assert_eq!(
        (
            answer.connector.state.as_str(),
            answer.tasks[0].state.as_str()
        ),
        ("RUNNING", "RESTARTING")
    );
    assert!(answer.tasks[0].trace.is_some());
    bench.has_opened("f-0", 3).await;
    // Only what has failed: the healthy one is left alone.
    let answer = bench
        .control
        .restart("ok", true, true)
        .await
        .expect("restarted")
        .expect("202");
    assert_eq!(answer.tasks[0].state, "RUNNING");
    bench
        .control
        .restart("ok", true, false)
        .await
        .expect("restarted")
        .expect("202");
    bench.has_opened("ok-0", 2).await;
    assert_eq!(
        bench
            .control
            .restart("ok", false, false)
            .await
            .expect("restarted"),
        None
    );
    bench.shows("ok", "RUNNING [RUNNING]").await;
    assert_eq!(bench.probe.opens("ok-0"), 2);
    let keys = bench.config.keys();
    assert_eq!(
        keys.iter()
            .filter(|key| key.starts_with("restart-connector-"))
            .count(),
        3
    );
    // A changed config is a new chance.
    bench
        .control
        .patch_config("f", [("fail.at".to_owned(), None)].into())
        .await
        .expect("patched");
    bench.shows("f", "RUNNING [RUNNING]").await;
    bench.worker.shutdown().await;
}

#[tokio::test]
async fn old_restart_requests_are_nobodys_business() {
    let bench = Bench::new().await;
    bench.create("a", &[CLASS, TOPIC]).await;
    bench.shows("a", "RUNNING [RUNNING]").await;
    bench
        .control
        .restart("a", true, false)
        .await
        .expect("restarted");
    bench.has_opened("a-0", 2).await;
    let bench = bench.restarted().await;
    bench.has_opened("a-0", 3).await;
    bench.shows("a", "RUNNING [RUNNING]").await;
    bench
        .control
        .set_target("a", TargetState::Paused)
        .await
        .expect("paused");
    bench.shows("a", "PAUSED [PAUSED]").await;
    assert_eq!(bench.probe.opens("a-0"), 3);
    bench.worker.shutdown().await;
}

#[tokio::test]
async fn a_panic_ends_one_task() {
    let bench = Bench::new().await;
    bench.create("ok", &[CLASS, TOPIC]).await;
    for at in ["open", "poll"] {
        bench
            .create(at, &[CLASS, TOPIC, ("fail.at", &format!("{at}:panic"))])
            .await;
        bench.shows(at, "RUNNING [FAILED]").await;
        let trace = bench
            .control
            .task_status(at, 0)
            .expect("a status")
            .trace
            .expect("a trace");
        assert!(
            trace.contains("bug error") && trace.contains("told to panic"),
            "{trace}"
        );
    }
    bench
        .create("plan", &[CLASS, TOPIC, ("fail.at", "plan:panic")])
        .await;
    bench.shows("plan", "FAILED []").await;
    bench.shows("ok", "RUNNING [RUNNING]").await;
    bench.worker.shutdown().await;
}

#[tokio::test]
async fn a_connector_that_cannot_plan_fails() {
    let bench = Bench::new().await;
    bench
        .create("c", &[CLASS, TOPIC, ("fail.at", "plan:config")])
        .await;
    bench.shows("c", "FAILED []").await;
    let status = bench.control.status("c").expect("a status");
    assert!(
        status
            .connector
            .trace
            .is_some_and(|trace| trace.contains("told to"))
    );
    let failed = bench
        .control
        .restart("c", false, false)
        .await
        .expect_err("it fails again");
    assert_eq!(
        (failed.kind, failed.message.as_str()),
        (ControlErrorKind::Bug, "Failed to start connector: c")
    );
    bench
        .control
        .set_target("c", TargetState::Paused)
        .await
        .expect("paused");
    bench.shows("c", "PAUSED []").await;
    bench
        .control
        .set_target("c", TargetState::Started)
        .await
        .expect("resumed");
    bench.shows("c", "FAILED []").await;
    // More tasks than it may have.
    bench
        .create("many", &[CLASS, TOPIC, ("tasks.max", "2"), ("shares", "3")])
        .await;
    bench.shows("many", "FAILED []").await;
    let trace = bench
        .control
        .status("many")
        .expect("a status")
        .connector
        .trace
        .expect("a trace");
    assert!(
        trace.contains(
            "The connector many has generated 3 tasks, which is greater than 2, the maximum number"
        ),
        "{trace}"
    );
    bench
        .control
        .patch_config(
            "many",
            [("tasks.max.enforce".to_owned(), Some("false".to_owned()))].into(),
        )
        .await
        .expect("patched");
    bench
        .shows("many", "RUNNING [RUNNING RUNNING RUNNING]")
        .await;
    bench.worker.shutdown().await;
}

#[tokio::test]
async fn passing_failures_mend_themselves() {
    let bench = Bench::new().await;
    bench
        .probe
        .trouble
        .lock()
        .expect("no panic")
        .push(longshore_sdk::Error::fenced("poll", "another has it"));
    bench.create("m", &[CLASS, TOPIC]).await;
    bench.has_opened("m-0", 2).await;
    bench.shows("m", "RUNNING [RUNNING]").await;
    eventually(
        "its records are there",
        || bench.bus.0.records("t").len() == 3,
        || "not yet".to_owned(),
    )
    .await;
    // One that does not mend is shown, with when it is tried again.
    bench
        .create("o", &[CLASS, TOPIC, ("fail.at", "open:transient")])
        .await;
    bench.shows("o", "RUNNING [RESTARTING]").await;
    let status = bench.control.task_status("o", 0).expect("a status");
    let extra = status.x.expect("x");
    assert_eq!(extra["restart"]["attempt"], 1);
    assert_eq!(
        extra["restart"]["reason"],
        "transient error at fake: told to"
    );
    bench.worker.shutdown().await;
}

#[tokio::test]
async fn a_finished_source_shows_it() {
    let bench = Bench::new().await;
    bench.create("e", &[CLASS, TOPIC, ("shares", "1")]).await;
    bench.shows("e", "PAUSED [PAUSED]").await;
    let status = bench.control.status("e").expect("a status");
    let finished = serde_json::json!({ "finished": true });
    assert_eq!(status.tasks[0].x, Some(finished));
    let connector = status.connector.x.expect("x");
    assert_eq!(connector["finished"], serde_json::json!(true));
    assert_eq!(bench.bus.0.records("t").len(), 3);
    bench.control.restart_task("e", 0).await.expect("restarted");
    bench.has_opened("e-0", 2).await;
    bench.shows("e", "PAUSED [PAUSED]").await;
    bench.worker.shutdown().await;
}

#[tokio::test]
async fn a_replan_moves_what_changed() {
    let bench = Bench::new().await;
    *bench.probe.shares.lock().expect("no panic") = 1;
    bench
        .create(
            "r",
            &[CLASS, TOPIC, ("tasks.max", "4"), ("shares", "probe")],
        )
        .await;
    bench.shows("r", "RUNNING [RUNNING]").await;
    *bench.probe.shares.lock().expect("no panic") = 2;
    let replan = bench
        .probe
        .replan
        .lock()
        .expect("no panic")
        .clone()
        .expect("opened");
    replan();
    bench.shows("r", "RUNNING [RUNNING RUNNING]").await;
    assert_eq!((bench.probe.opens("r-0"), bench.probe.opens("r-1")), (1, 1));
    // The same plan again writes nothing.
    let records = bench.config.keys().len();
    replan();
    bench
        .control
        .restart("r", false, false)
        .await
        .expect("restarted");
    assert_eq!(bench.config.keys().len(), records);
    bench.worker.shutdown().await;
}

#[tokio::test]
async fn reads_answer_while_the_broker_is_away() {
    let bench = Bench::new().await;
    bench.create("a", &[CLASS, TOPIC]).await;
    bench.shows("a", "RUNNING [RUNNING]").await;
    bench.config.set_away(true);
    bench.status.set_away(true);
    let control = bench.control.clone();
    let pause = tokio::spawn(async move { control.set_target("a", TargetState::Paused).await });
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(!pause.is_finished());
    assert_eq!(bench.control.connectors(), ["a"]);
    assert_eq!(bench.states("a"), "RUNNING [RUNNING]");
    // It was not forgotten.
    bench.config.set_away(false);
    pause.await.expect("joined").expect("paused");
    // What is so is shown, although it cannot be written yet.
    bench.shows("a", "PAUSED [PAUSED]").await;
    bench.status.set_away(false);
    let written = || {
        bench.status.texts().iter().any(|(key, value)| {
            key == "status-task-a-0"
                && value
                    .as_deref()
                    .is_some_and(|value| value.contains("PAUSED"))
        })
    };
    eventually("the status is written", written, || "not yet".to_owned()).await;
    bench.worker.shutdown().await;
}

#[tokio::test]
async fn a_view_whose_reader_breaks_keeps_its_value() {
    let bench = Bench::new().await;
    bench.create("a", &[CLASS, TOPIC]).await;
    bench.shows("a", "RUNNING [RUNNING]").await;
    bench.config.break_reads(1);
    assert_eq!(bench.control.connectors(), ["a"]);
    bench.create("b", &[CLASS, TOPIC]).await;
    bench.shows("b", "RUNNING [RUNNING]").await;
    assert_eq!(bench.probe.opens("a-0"), 1);
    bench.worker.shutdown().await;
}

/// RUNNING means progressing: a call that does not return is shown, then given up, and the task gets another life (I6, I7).
#[tokio::test]
async fn a_call_that_does_not_return_is_shown_and_given_up() {
    let settings = WorkerSettings {
        stall_timeout: Duration::from_millis(300),
        retry_timeout: Duration::from_millis(2000),
        ..settings()
    };
    let logs = (MemoryLog::new(), MemoryLog::new(), MemoryLog::new());
    let bench = Bench::told(
        settings,
        logs.0,
        logs.1,
        logs.2,
        SharedMemoryBus::default(),
        Arc::default(),
    )
    .await;
    bench.create("a", &[CLASS, TOPIC, ("count", "never")]).await;
    bench.create("ok", &[CLASS, TOPIC]).await;
    let progress = |name: &str| {
        let status = bench.control.task_status(name, 0).ok()?;
        Some(status.x?["progress"].clone())
    };
    let stalled = || progress("a").is_some_and(|shown| shown["stalled"] == true);
    eventually("it is stalled", stalled, || format!("{:?}", progress("a"))).await;
    let shown = progress("a").expect("it still runs");
    assert_eq!(
        (&shown["blocked_on"], &shown["progressing"]),
        (&"poll".into(), &false.into())
    );
    assert_eq!(progress("ok").expect("it runs")["stalled"], false);
    bench.has_opened("a-0", 2).await;
    let status = bench.status.texts();
    let said = status.iter().filter_map(|(_, text)| text.as_deref());
    let mut said = said.filter(|text| text.contains("poll did not return within"));
    let said = said.next().expect("the reason is in the status");
    assert!(
        said.contains("RESTARTING") && said.contains("transient"),
        "{said}"
    );
    assert_eq!(bench.probe.opens("ok-0"), 1);
    bench.worker.shutdown().await;
}

/// Who asks each 50 ms until it runs must not end each start before it is through.
#[tokio::test(start_paused = true)]
async fn a_restart_that_is_asked_for_again_does_not_begin_anew() {
    let bench = Bench::new().await;
    bench.create("h", &[CLASS, TOPIC, ("count", "hang")]).await;
    bench.has_opened("h-0", 1).await;
    for _ in 0..20 {
        let asked = bench.control.restart("h", true, false).await;
        asked.expect("accepted");
        let asked = bench.control.restart_task("h", 0).await;
        asked.expect("accepted");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(bench.probe.opens("h-0"), 1);
    // One that does not open is another matter.
    tokio::time::sleep(Duration::from_secs(20)).await;
    bench.control.restart_task("h", 0).await.expect("accepted");
    bench.has_opened("h-0", 2).await;
    bench.worker.shutdown().await;
}
