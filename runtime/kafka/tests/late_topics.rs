//! Topics that are created after the consumer that waits for them has started.

mod rig;

use longshore_engine::ports::{Bus, Consumer, ConsumerSpec, Subscription};
use longshore_sdk::Topic;
use rig::{Cluster, LONG, all_ok, read, record, send, step, unique};
use std::{collections::BTreeSet, time::Duration};

/// Longer than a consumer takes to join, so that it has seen that the topic is missing.
const LATE: Duration = Duration::from_secs(4);
const SHORT: Duration = Duration::from_millis(200);

async fn fill(cluster: &Cluster, topic: &str) {
    let topic: Topic = topic.to_owned().into();
    let mut producer = cluster.producer(&[]).await;
    all_ok(&send(&mut producer, vec![record(&topic, 0, "v")]).await);
}

/// Polls until exactly these topics are named as missing.
async fn missing(consumer: &mut Box<dyn Consumer>, topics: &[&Topic]) {
    let named = async {
        while consumer.missing().iter().ne(topics.iter().map(|t| &***t)) {
            step(consumer, SHORT).await;
        }
    };
    if tokio::time::timeout(LONG, named).await.is_err() {
        panic!("{:?} instead of {topics:?}", consumer.missing());
    }
}

/// Starts a consumer while `early` exist, creates `late` after a while, and expects a record of each.
async fn finds(cluster: &Cluster, subscription: Subscription, early: &[&str], late: &[&str]) {
    for name in early {
        cluster.create(name, 1, &[]).await;
        fill(cluster, name).await;
    }
    let spec = ConsumerSpec {
        client_id: unique("c"),
        group: unique("g"),
        subscription,
        overrides: Default::default(),
        buffer_bytes: None,
    };
    let mut consumer = cluster.bus.consumer(spec).await.expect("a consumer");
    read(&mut consumer, early.len()).await;
    let waiting = tokio::time::Instant::now() + LATE;
    while tokio::time::Instant::now() < waiting {
        step(&mut consumer, SHORT).await;
    }
    for name in late {
        cluster.create(name, 1, &[]).await;
        fill(cluster, name).await;
    }
    let found = read(&mut consumer, late.len()).await;
    let found: BTreeSet<&str> = found.iter().map(|r| &*r.at.topic).collect();
    assert_eq!(found, late.iter().copied().collect());
    consumer.close().await.expect("close");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_only_topic_may_come_later() {
    let cluster = Cluster::start().await;
    let late = unique("late");
    let subscription = Subscription::Topics(vec![late.clone()]);
    finds(&cluster, subscription, &[], &[&late]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_several_topics_may_come_later() {
    let cluster = Cluster::start().await;
    let (early, late, later) = (unique("early"), unique("late"), unique("later"));
    let subscription = Subscription::Topics(vec![early.clone(), late.clone(), later.clone()]);
    finds(&cluster, subscription, &[&early], &[&late, &later]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_a_regex_finds_may_come_later() {
    let cluster = Cluster::start().await;
    let stem = unique("rx");
    let (early, late) = (format!("{stem}-early"), format!("{stem}-late"));
    let subscription = Subscription::Regex(format!("{stem}-.*"));
    finds(&cluster, subscription, &[&early], &[&late]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_topic_that_a_regex_finds_may_come_later() {
    let cluster = Cluster::start().await;
    let stem = unique("rx");
    let late = format!("{stem}-late");
    let subscription = Subscription::Regex(format!("{stem}-.*"));
    finds(&cluster, subscription, &[], &[&late]).await;
}

/// Who says how often to ask is obeyed, and is told what is missing all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_asks_by_itself_learns_too() {
    let cluster = Cluster::start().await;
    let early = cluster.topic(1).await;
    let late: Topic = unique("late").into();
    let overrides = [("metadata.max.age.ms", "1000")];
    let mut consumer = cluster
        .consumer(&unique("g"), &[&early, &late], &overrides)
        .await;
    missing(&mut consumer, &[&late]).await;
    cluster.create(&late, 1, &[]).await;
    fill(&cluster, &late).await;
    read(&mut consumer, 1).await;
    missing(&mut consumer, &[]).await;
    consumer.close().await.expect("close");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_named_until_it_is_there() {
    let cluster = Cluster::start().await;
    let early = cluster.topic(1).await;
    let (late, never): (Topic, Topic) = (unique("late").into(), unique("never").into());
    let topics = [&early, &never, &late];
    let mut consumer = cluster.consumer(&unique("g"), &topics, &[]).await;
    missing(&mut consumer, &[&late, &never]).await;
    cluster.create(&late, 1, &[]).await;
    missing(&mut consumer, &[&never]).await;
    fill(&cluster, &late).await;
    read(&mut consumer, 1).await;
    consumer.close().await.expect("close");
}
