//! One worker: its own URL, its session, its broker.

use crate::{
    rig::{Cluster, unique},
    workers::{Joining, Says, leader, now, prepared, until, urls, worker},
};
use longshore_broker::{Broker, Config};
use longshore_engine::ports::Membership;
use longshore_kafka::{Admin, InternalTopic};
use longshore_sdk::ErrorKind;
use std::{path::Path, sync::atomic::Ordering, time::Duration};

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_worker_leads_at_once_while_its_dead_self_is_listed() {
    let cluster = Cluster::start().await;
    let group = prepared(&cluster).await;
    let dead = Joining::new(&group, "a:8083").session(30_000);
    // It stays a member all along, as a killed one does for 30 s.
    let dead = dead.join(&cluster.settings).await.expect("join");
    let again = Joining::new(&group, "a:8083");
    let started = std::time::Instant::now();
    let next = again.join(&cluster.settings).await.expect("join");
    assert!(
        started.elapsed().as_secs() < 25,
        "it waited for the dead one"
    );
    assert_eq!(again.asked.load(Ordering::Relaxed), 1);
    let view = now(&next);
    assert!(view.leading(), "{view:?}");
    assert_eq!(view.members, std::slice::from_ref(&view.me));
    // With somebody else there, the broker has to move the lead first; nobody takes it meanwhile.
    let other = worker(&cluster, &group, "b:8083").await;
    let view = until(&next, "an election", |v| v.leader.is_none()).await;
    assert_eq!(urls(&view), ["a:8083", "b:8083"]);
    // Whoever is not of that URL cannot tell which of the two is dead.
    until(&other, "three members and the old leader", |v| {
        v.members.len() == 3 && leader(v) == Some("a:8083")
    })
    .await;
    dead.leave().await.expect("leave");
    let view = until(&next, "a leader", |v| v.leader.is_some()).await;
    let chosen = view.leader;
    until(&other, "the same leader", |v| {
        v.members.len() == 2 && v.leader == chosen
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_worker_at_the_same_url_refuses_it() {
    let cluster = Cluster::start().await;
    let group = prepared(&cluster).await;
    let first = worker(&cluster, &group, "a:8083").await;
    let second = Joining::new(&group, "a:8083").says(Says::Another);
    let error = second.join(&cluster.settings).await.err().expect("refused");
    assert_eq!(error.kind(), ErrorKind::Config);
    let text = error.to_string();
    for part in [
        "http://a:8083",
        "rest.advertised.host.name",
        "rest.advertised.port",
        "listeners",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(urls(&now(&first)), ["a:8083"], "it did not join");
    // A URL that does not answer is only warned about: there may be nobody.
    let third = Joining::new(&group, "a:8083").says(Says::Nothing);
    third.join(&cluster.settings).await.expect("join");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_timeout_below_the_brokers_minimum_is_raised() {
    let cluster = Cluster::start().await;
    let group = prepared(&cluster).await;
    let short = Joining::new(&group, "a:8083").session(100);
    let member = short.join(&cluster.settings).await.expect("join");
    assert!(now(&member).leading());
}

async fn broker(data: &Path, listen: &str) -> Broker {
    let config = Config {
        listen: listen.to_owned(),
        data_dir: Some(data.to_owned()),
        ..Config::default()
    };
    Broker::start(config).await.expect("a broker")
}

/// The broker forgets all members when it ends; it is always an embedded one here.
#[tokio::test(flavor = "multi_thread")]
async fn workers_find_each_other_again_after_the_broker_was_away() {
    let data = tempfile::tempdir().expect("a folder");
    let first = broker(data.path(), "127.0.0.1:0").await;
    let address = first.address().to_string();
    let cluster = Cluster::at(address.clone(), None);
    let group = unique("workers");
    let admin = Admin::connect(&cluster.settings).await.expect("connect");
    let topic = InternalTopic::coordination(&group);
    admin.ensure_internal(&[topic]).await.expect("the topic");
    let short = |url| Joining::new(&group, url).session(1500);
    let a = short("a:1").join(&cluster.settings).await.expect("join");
    let b = short("b:1").join(&cluster.settings).await.expect("join");
    for member in [&a, &b] {
        until(member, "both", |v| v.members.len() == 2).await;
    }
    first.shutdown().await;
    for member in [&a, &b] {
        let view = until(member, "nobody", |v| v.members.is_empty()).await;
        assert_eq!(view.leader, None);
    }
    let second = broker(data.path(), &address).await;
    let view = until(&a, "both again", |v| {
        v.members.len() == 2 && v.leader.is_some()
    });
    let leader = view.await.leader;
    until(&b, "the same leader", |v| {
        v.members.len() == 2 && v.leader == leader
    })
    .await;
    drop((a, b, admin, cluster));
    second.shutdown().await;
}

/// A start that fails elsewhere, or that somebody gives up: no member stays behind that nobody knows of.
#[tokio::test(flavor = "multi_thread")]
async fn a_join_that_is_given_up_leaves_nobody_behind() {
    let cluster = Cluster::start().await;
    let group = prepared(&cluster).await;
    for millis in [1, 5, 20, 60, 150] {
        let given_up = Joining::new(&group, "gone:8083");
        let join = given_up.join(&cluster.settings);
        // Whether it has joined by then is all the same.
        drop(tokio::time::timeout(Duration::from_millis(millis), join).await);
    }
    let stays = worker(&cluster, &group, "a:8083").await;
    until(&stays, "nobody else", |v| {
        urls(v) == ["a:8083"] && leader(v) == Some("a:8083")
    })
    .await;
}
