//! While nobody leads, and when somebody else does.

use super::*;

#[tokio::test]
async fn during_an_election_a_request_waits() {
    let cluster = Cluster::new(3).await;
    cluster.create(1, "before").await;
    cluster.lead(None);
    let (one, two) = (cluster.at(1).clone(), cluster.at(2).clone());
    let create = async move { one.create("a", config(&[]), TargetState::Started).await };
    let create = tokio::spawn(create);
    let delete = tokio::spawn(async move { two.delete("before").await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!create.is_finished() && !delete.is_finished());
    // A plain write needs no leader.
    let paused = cluster
        .at(1)
        .set_target("before", TargetState::Paused)
        .await;
    paused.expect("paused");
    cluster.lead(Some(2));
    create.await.expect("no panic").expect("created");
    delete.await.expect("no panic").expect("deleted");
    cluster.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn without_a_leader_for_long_the_answer_is_not_now() {
    let cluster = Cluster::new(2).await;
    cluster.create(1, "a").await;
    cluster.lead(None);
    let refused = cluster.at(1).delete("a").await.expect_err("nobody leads");
    assert_eq!(refused.kind, ControlErrorKind::Unavailable);
    assert!(refused.message.contains("no known leader URL"), "{refused}");
    // A leader that does not answer is the same.
    cluster.lead(Some(0));
    cluster.peers.set(Line::Cut);
    let refused = cluster.at(1).delete("a").await.expect_err("nobody answers");
    assert_eq!(refused.kind, ControlErrorKind::Unavailable);
    assert!(refused.message.contains("http://w:0"), "{refused}");
    cluster.peers.set(Line::Whole);
    cluster.at(1).delete("a").await.expect("deleted");
    cluster.shutdown().await;
}

/// One that was written although the leader saw an error, and one that was not.
#[tokio::test(start_paused = true)]
async fn a_write_in_doubt_is_tried_again_and_done_once() {
    for fault in [Fault::AnswerLost, Fault::Lost] {
        for asked in [0, 1] {
            let cluster = Cluster::new(2).await;
            cluster.leadership.plant(&[fault]);
            let created = cluster
                .at(asked)
                .create("a", config(&[]), TargetState::Started)
                .await;
            let created = created.expect("no 409 for the own write");
            assert_eq!(created.config["topic"], "t");
            assert_eq!(cluster.records("connector-a").len(), 1, "{fault:?}");
            cluster.leadership.plant(&[fault]);
            let put = config(&[("count", "5")]);
            let stored = cluster.at(asked).put_config("a", put).await;
            assert!(!stored.expect("stored").created);
            assert_eq!(cluster.records("connector-a").len(), 2, "{fault:?}");
            cluster.leadership.plant(&[fault]);
            let put = config(&[("count", "6")]);
            let stored = cluster.at(asked).put_config("new", put).await;
            assert!(stored.expect("stored").created, "it was not there before");
            cluster.leadership.plant(&[fault]);
            let stopped = cluster.at(asked).set_target("a", TargetState::Stopped);
            stopped.await.expect("stopped");
            assert_eq!(cluster.records("target-state-a").len(), 1, "{fault:?}");
            cluster.leadership.plant(&[fault]);
            let deleted = cluster.at(asked).delete("a").await;
            deleted.expect("no 404 for the own deletion");
            let last = cluster.records("connector-a").pop();
            assert_eq!(
                (last, cluster.records("connector-a").len()),
                (Some(None), 3)
            );
            cluster.shutdown().await;
        }
    }
}

/// The answer of the leader gets lost after it has written, and he is gone.
#[tokio::test]
async fn what_the_former_leader_wrote_is_found_by_the_next_one() {
    let cluster = Cluster::new(3).await;
    cluster.create(0, "old").await;
    cluster.peers.set(Line::AnswersLost);
    let control = cluster.at(2).clone();
    let put = tokio::spawn(async move {
        let config = config(&[("count", "1")]);
        control.put_config("old", config).await
    });
    eventually(
        "it is written",
        || cluster.records("connector-old").len() == 2,
        String::new,
    )
    .await;
    // Somebody else writes over it before it is tried again: the newer write stays.
    let newer = config(&[("count", "2")]);
    cluster
        .at(0)
        .put_config("old", newer.clone())
        .await
        .expect("stored");
    cluster.lead(Some(1));
    cluster.peers.set(Line::Whole);
    let stored = put.await.expect("no panic").expect("stored");
    assert_eq!(stored.info.config["count"], "1");
    assert_eq!(cluster.records("connector-old").len(), 3);
    assert_eq!(cluster.at(2).config("old").expect("there")["count"], "2");
    cluster.shutdown().await;
}

#[tokio::test]
async fn changes_at_the_same_time_through_all_workers_lose_nothing() {
    let cluster = Cluster::new(3).await;
    cluster.create(0, "p").await;
    let mut changes = tokio::task::JoinSet::new();
    for number in 0..30 {
        let control = cluster.at(number % 3).clone();
        changes.spawn(async move {
            let change = [(format!("transforms.k{number}.x"), Some("1".to_owned()))];
            control.patch_config("p", change.into()).await
        });
    }
    while let Some(changed) = changes.join_next().await {
        changed.expect("no panic").expect("no conflict");
    }
    let config = cluster.at(0).config("p").expect("there");
    let kept = (0..30).filter(|number| config.contains_key(&format!("transforms.k{number}.x")));
    assert_eq!(kept.count(), 30);
    cluster.shutdown().await;
}

/// Many clients of all workers, while leaders change and writes end in doubt: everything that was answered holds, nothing is refused for an election.
#[tokio::test]
async fn clients_of_all_workers_see_no_election() {
    let cluster = Cluster::new(3).await;
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..12 {
        let controls: Vec<Control> = cluster.workers.iter().map(|w| w.control.clone()).collect();
        clients.spawn(async move {
            let name = format!("c{client}");
            for round in 0..4 {
                let at = |step: usize| &controls[(client + round + step) % 3];
                let created = at(0).create(&name, config(&[]), TargetState::Paused).await;
                created.expect("created");
                let count = round.to_string();
                let stored = at(1).put_config(&name, config(&[("count", &count)])).await;
                assert!(!stored.expect("stored").created);
                let change = [("tasks.max".to_owned(), Some("2".to_owned()))];
                let patched = at(2)
                    .patch_config(&name, change.into())
                    .await
                    .expect("patched");
                assert_eq!(patched.config["count"], count, "no update is lost");
                at(0)
                    .set_target(&name, TargetState::Started)
                    .await
                    .expect("resumed");
                if round < 3 || client % 2 == 0 {
                    at(1).delete(&name).await.expect("deleted");
                }
            }
        });
    }
    let trouble = async {
        for election in 1..10 {
            tokio::time::sleep(Duration::from_millis(150)).await;
            cluster.leadership.plant(&[Fault::AnswerLost, Fault::Lost]);
            cluster.peers.set(Line::AnswersLost);
            cluster.lead(None);
            tokio::time::sleep(Duration::from_millis(50)).await;
            cluster.lead(Some(election % 3));
            cluster.peers.set(Line::Whole);
        }
        std::future::pending::<()>().await;
    };
    let all = async {
        while let Some(done) = clients.join_next().await {
            done.expect("no client was refused");
        }
    };
    tokio::select! {
        () = all => {}
        () = trouble => {}
    }
    let left: Vec<String> = (0..12)
        .filter(|client| client % 2 == 1)
        .map(|client| format!("c{client}"))
        .collect();
    for worker in 0..3 {
        let now = || {
            let mut names = cluster.at(worker).connectors();
            names.sort_by_key(|name| name[1..].parse::<u32>().expect("a number"));
            names
        };
        eventually(
            "the views are equal",
            || now() == left,
            || format!("{:?}", now()),
        )
        .await;
        for name in &left {
            let config = cluster.at(worker).config(name).expect("there");
            assert_eq!(
                (config["count"].as_str(), config["tasks.max"].as_str()),
                ("3", "2")
            );
        }
    }
    cluster.shutdown().await;
}
