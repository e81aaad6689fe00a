//! Calls from worker to worker: whom they are for, and who may make them.

use super::*;

#[tokio::test]
async fn a_call_is_taken_once_and_only_by_whom_it_is_for() {
    use crate::control::Answered;
    let cluster = Cluster::new(2).await;
    cluster.create(1, "a").await;
    cluster.at(0).delete("a").await.expect("deleted");
    let call = cluster.peers.bodies().pop().expect("it was forwarded");
    // I5 of the API: a recorded call creates nothing.
    let replayed = cluster.at(0).answer(&call).await;
    assert!(matches!(replayed, Answered::Refused(_)));
    cluster.workers[0]
        .group
        .change(|view| view.me.incarnation = "2".to_owned());
    match cluster.at(0).answer(&call).await {
        Answered::Reply(_, forwarded) => {
            let forwarded = forwarded.expect("somebody asked for it");
            assert_eq!(forwarded.outcome, Err(None));
        }
        Answered::Refused(why) => panic!("{why}"),
    }
    let garbage = cluster.at(0).answer(b"{\"from\":1}").await;
    assert!(matches!(garbage, Answered::Refused(_)));
    assert_eq!(cluster.records("connector-a").len(), 2);
    cluster.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn i8_the_session_key_is_fresh_and_shown_nowhere() {
    let cluster = Cluster::told(
        2,
        WorkerSettings {
            session_key_ttl: Duration::from_secs(600),
            ..settings()
        },
    )
    .await;
    cluster.create(1, "a").await;
    let keys = || cluster.records("session-key");
    let first = keys().pop().flatten().expect("written");
    let parsed: serde_json::Value = serde_json::from_str(&first).expect("JSON");
    assert_eq!(parsed["algorithm"], "HmacSHA256");
    let held = cluster.at(1).session_keys();
    assert_eq!((held.len(), held[0].expose().len()), (1, 32));
    assert_eq!(format!("{held:?}"), "[SessionKey([hidden])]");
    tokio::time::sleep(Duration::from_secs(605)).await;
    eventually("another one is there", || keys().len() == 2, String::new).await;
    let both = || cluster.at(1).session_keys().len();
    eventually("both hold", || both() == 2, || both().to_string()).await;
    cluster.create(1, "b").await;
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(both(), 1, "the former one holds no longer");
    cluster.create(1, "c").await;
    let secret = parsed["key"].as_str().expect("text").to_owned();
    for body in cluster.peers.bodies() {
        assert!(!String::from_utf8_lossy(&body).contains(&secret));
    }
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_lone_worker_needs_no_session_key() {
    let bench = Bench::new().await;
    bench.create("a", &[CLASS, TOPIC]).await;
    bench.shows("a", "RUNNING [RUNNING]").await;
    assert!(!bench.config.keys().contains(&"session-key".to_owned()));
    bench.worker.shutdown().await;
}

#[test]
fn errors_go_from_worker_to_worker_as_they_are() {
    let error = ControlError::invalid("wrong").at("k").suggest("mend it");
    let text = serde_json::to_string(&error).expect("JSON");
    let again: ControlError = serde_json::from_str(&text).expect("an error");
    assert_eq!(
        (again.kind, again.message, again.path, again.suggestion),
        (error.kind, error.message, error.path, error.suggestion)
    );
}
