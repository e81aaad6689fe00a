//! Who is in the group of workers.

mod rig;

use longshore_engine::ports::Membership;
use longshore_kafka::{Admin, InternalTopic, KafkaMembership, MemberSpec};
use longshore_sdk::{ErrorKind, Result};
use rig::{Cluster, LONG, unique};

async fn prepared(cluster: &Cluster) -> String {
    let group = unique("workers");
    let admin = Admin::connect(&cluster.settings).await.expect("connect");
    let topic = InternalTopic::coordination(&group);
    admin.ensure_internal(&[topic]).await.expect("the topic");
    group
}

async fn join(cluster: &Cluster, group: &str, url: &str, session: u32) -> Result<KafkaMembership> {
    let spec = MemberSpec {
        group: group.to_owned(),
        worker_id: url.to_owned(),
        incarnation: unique("i"),
        session_timeout_ms: session,
    };
    let admin = Admin::connect(&cluster.settings).await?;
    KafkaMembership::join(&admin, spec).await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_worker_leads_and_a_second_url_is_refused_while_it_lives() {
    let cluster = Cluster::start().await;
    let group = prepared(&cluster).await;
    let first = join(&cluster, &group, "a:8083", 6000).await.expect("join");
    let view = first.view().borrow().clone();
    assert!(view.leading());
    assert_eq!(view.members.len(), 1);
    let refused = join(&cluster, &group, "b:8083", 1000).await;
    let error = refused.err().expect("one worker only");
    assert_eq!(error.kind(), ErrorKind::Config);
    let text = error.to_string();
    assert!(text.contains(&group) && text.contains("a:8083"), "{text}");
    assert!(first.view().borrow().leading());
    first.leave().await.expect("leave");
    // It left: nobody waits for its session to end.
    let next = join(&cluster, &group, "b:8083", 6000).await.expect("join");
    assert_eq!(next.view().borrow().me.worker_id, "b:8083");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_worker_is_accepted_while_its_dead_self_is_listed() {
    let cluster = Cluster::start().await;
    let group = prepared(&cluster).await;
    let dead = join(&cluster, &group, "a:8083", 30_000)
        .await
        .expect("join");
    // The first stays a member all along, as a killed one does for 30 s.
    let started = std::time::Instant::now();
    let next = join(&cluster, &group, "a:8083", 6000).await.expect("join");
    assert!(
        started.elapsed().as_secs() < 25,
        "it waited for the dead one"
    );
    let view = next.view().borrow().clone();
    assert!(view.leading(), "{view:?}");
    assert_eq!(view.members, std::slice::from_ref(&view.me));
    drop(dead);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_ordinary_consumers_is_left_alone() {
    let cluster = Cluster::start().await;
    let topic = cluster.topic(1).await;
    let group = prepared(&cluster).await;
    let mut consumer = cluster.consumer(&group, &[&topic], &[]).await;
    rig::step(&mut consumer, LONG).await;
    let refused = join(&cluster, &group, "a:8083", 6000).await;
    let error = refused.err().expect("not ours");
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("other consumers"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_timeout_below_the_brokers_minimum_is_raised() {
    let cluster = Cluster::start().await;
    let group = prepared(&cluster).await;
    let member = join(&cluster, &group, "a:8083", 100).await.expect("join");
    assert!(member.view().borrow().leading());
}
