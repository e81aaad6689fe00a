//! Who led before changes nothing any more.

use super::*;

/// Frozen before it wrote, a leader finds another one in its place when it wakes.
#[tokio::test]
async fn a_former_leader_writes_nothing_and_forwards_nothing() {
    let cluster = Cluster::new(3).await;
    cluster.create(1, "a").await;
    // Only the third worker knows that it leads now: it has taken the pen.
    let third = cluster.workers[2].member.clone();
    cluster.workers[2]
        .group
        .change(|view| view.leader = Some(third.clone()));
    eventually(
        "the third has taken over",
        || cluster.at(2).leads(),
        String::new,
    )
    .await;
    let sent = cluster.peers.bodies().len();
    let control = cluster.at(1).clone();
    let delete = tokio::spawn(async move { control.delete("a").await });
    // The first worker was asked, tried, was fenced, and says so: it does not pass the command on.
    eventually(
        "the former leader was asked",
        || cluster.peers.bodies().len() > sent && !cluster.at(0).leads(),
        String::new,
    )
    .await;
    assert_eq!(cluster.records("connector-a").len(), 1);
    let all_of_one = || {
        let bodies = cluster.peers.bodies();
        let of_one =
            |body: &bytes::Bytes| String::from_utf8_lossy(body).contains(r#""from":"w:1""#);
        bodies[sent..].iter().all(of_one)
    };
    assert!(all_of_one());
    cluster.lead(Some(2));
    delete.await.expect("no panic").expect("deleted");
    assert!(all_of_one());
    cluster.shutdown().await;
}

/// It was away, and has not read yet what its successor wrote: that its own old config is "there already" would be no true answer.
#[tokio::test]
async fn a_former_leader_does_not_take_an_old_config_for_the_one_that_is_there() {
    let cluster = Cluster::new(3).await;
    cluster.create(0, "a").await;
    cluster.workers[0].config.hold_reads(true);
    let third = cluster.workers[2].member.clone();
    cluster.workers[2]
        .group
        .change(|view| view.leader = Some(third.clone()));
    eventually("the third leads", || cluster.at(2).leads(), String::new).await;
    let newer = cluster.at(2).put_config("a", config(&[("count", "9")]));
    newer.await.expect("stored");
    let control = cluster.at(0).clone();
    let put = tokio::spawn(async move { control.put_config("a", config(&[])).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    cluster.workers[0].config.hold_reads(false);
    cluster.lead(Some(2));
    put.await.expect("no panic").expect("stored");
    let now = cluster.at(2).config("a").expect("there");
    assert!(!now.contains_key("count"), "it was answered: it holds");
    cluster.shutdown().await;
}

/// A connector with a stored offset, STOPPED, its tasks gone.
async fn stopped(cluster: &Cluster, name: &str) {
    cluster.create(1, name).await;
    let stored = || !cluster.offset.texts().is_empty();
    eventually("an offset is stored", stored, String::new).await;
    let stop = cluster.at(0).set_target(name, TargetState::Stopped);
    stop.await.expect("stopped");
    // One that is refused for its shape changes nothing, and tells when the tasks have gone.
    let mut shapeless = to(0);
    shapeless.offsets[0].offset = json!(0);
    while kind(cluster.at(0).alter_offsets(name, shapeless.clone()).await)
        == ControlErrorKind::Conflict
    {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn to(n: u64) -> ConnectorOffsets {
    let entry = ConnectorOffset {
        partition: json!({ "share": "0" }),
        offset: json!({ "n": n }),
    };
    ConnectorOffsets {
        offsets: vec![entry],
    }
}

/// I4: its successor may have started the tasks already.
#[tokio::test]
async fn a_former_leader_changes_no_offsets() {
    let cluster = Cluster::new(3).await;
    stopped(&cluster, "a").await;
    let before = cluster.offset.texts();
    // Only the third worker knows that it leads now: it has taken the pen.
    let third = cluster.workers[2].member.clone();
    let group = &cluster.workers[2].group;
    group.change(|view| view.leader = Some(third.clone()));
    let leads = || cluster.at(2).leads();
    eventually("the third has taken over", leads, String::new).await;
    for reset in [false, true] {
        let control = cluster.at(0).clone();
        let asked = tokio::spawn(async move {
            match reset {
                false => control.alter_offsets("a", to(1)).await,
                true => control.reset_offsets("a").await,
            }
        });
        if !reset {
            let fenced = || !cluster.at(0).leads();
            eventually("the former leader was fenced", fenced, String::new).await;
            assert_eq!(cluster.offset.texts(), before, "it has written nothing");
            assert!(!asked.is_finished());
            cluster.lead(Some(2));
        }
        asked
            .await
            .expect("no panic")
            .expect("the successor did it");
    }
    let written = cluster.offset.texts().split_off(before.len());
    let values: Vec<Option<&str>> = written.iter().map(|(_, value)| value.as_deref()).collect();
    assert_eq!(values, [Some(r#"{"n":1}"#), None]);
    cluster.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn changed_offsets_in_doubt_are_written_once() {
    for fault in [Fault::AnswerLost, Fault::Lost] {
        let cluster = Cluster::new(2).await;
        stopped(&cluster, "a").await;
        let before = cluster.offset.texts().len();
        for asked in [0, 1] {
            cluster.leadership.plant(&[fault]);
            let altered = cluster.at(asked).alter_offsets("a", to(2)).await;
            altered.expect("altered");
            cluster.leadership.plant(&[fault]);
            let reset = cluster.at(asked).reset_offsets("a").await;
            reset.expect("reset");
        }
        assert_eq!(cluster.offset.texts().len(), before + 4, "{fault:?}");
        cluster.shutdown().await;
    }
}
