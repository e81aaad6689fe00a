//! The broker goes away and comes back. It is always an embedded one here: it must be stopped at will.

mod rig;

use longshore_broker::{Broker, Config};
use longshore_engine::ports::{
    Bus, Consumer, ConsumerSpec, Inbox, Polled, Receipt, Subscription, Ticket,
};
use longshore_sdk::{ErrorKind, Topic, TopicOffsets, TopicPartition};
use rig::{Cluster, LONG, all_ok, answers, bytes, read, record, send, unique};
use std::{path::Path, sync::Arc, time::Duration};

async fn broker(data: &Path, listen: &str) -> Broker {
    let config = Config {
        listen: listen.to_owned(),
        data_dir: Some(data.to_owned()),
        ..Config::default()
    };
    Broker::start(config).await.expect("a broker")
}

async fn until(consumer: &mut Box<dyn Consumer>, wanted: impl Fn(&Polled) -> bool) -> Polled {
    let next = async {
        loop {
            let polled = consumer
                .poll(Duration::from_millis(200))
                .await
                .expect("poll");
            if wanted(&polled) {
                return polled;
            }
        }
    };
    tokio::time::timeout(LONG, next).await.expect("the event")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_assignment_is_told_and_nothing_of_it_is_committed() {
    let data = tempfile::tempdir().expect("a folder");
    let first = broker(data.path(), "127.0.0.1:0").await;
    let address = first.address().to_string();
    let cluster = Cluster::at(address.clone(), None);
    let topic = cluster.topic(1).await;
    let mut producer = cluster.producer(&[]).await;
    let records = (0..10).map(|n| record(&topic, 0, &n.to_string())).collect();
    all_ok(&send(&mut producer, records).await);
    let session = [("session.timeout.ms", "1500")];
    let group = unique("g");
    let mut consumer = cluster.consumer(&group, &[&topic], &session).await;
    read(&mut consumer, 10).await;
    let at = TopicPartition::new(Topic::clone(&topic), 0);
    let four = TopicOffsets::from([(at.clone(), 4)]);
    consumer.commit(&four).await.expect("commit");
    first.shutdown().await;
    let lost = until(&mut consumer, |p| !matches!(p, Polled::Batch(_))).await;
    let Polled::Lost(lost) = lost else {
        panic!("the session has ended: {lost:?}");
    };
    assert_eq!(lost, std::slice::from_ref(&at));
    // I4: it may be somebody else's by now, so this goes nowhere, and does not wait for a broker either.
    let nine = TopicOffsets::from([(at.clone(), 9)]);
    consumer.commit(&nine).await.expect("left out");
    let second = broker(data.path(), &address).await;
    let back = until(&mut consumer, |p| !matches!(p, Polled::Batch(_))).await;
    assert!(matches!(back, Polled::Assigned(_)), "{back:?}");
    consumer.start(&TopicOffsets::new()).await.expect("start");
    let again = read(&mut consumer, 6).await;
    assert_eq!(again[0].at.offset, 4);
    consumer.close().await.expect("close");
    second.shutdown().await;
}

/// The member is busy while it loses its partitions and joins anew: the broker would take its commit, whoever has them now.
#[tokio::test(flavor = "multi_thread")]
async fn a_loss_that_was_not_seen_yet_counts_for_commits() {
    let data = tempfile::tempdir().expect("a folder");
    let first = broker(data.path(), "127.0.0.1:0").await;
    let address = first.address().to_string();
    let cluster = Cluster::at(address.clone(), None);
    let topic = cluster.topic(1).await;
    let mut producer = cluster.producer(&[]).await;
    let records = (0..10).map(|n| record(&topic, 0, &n.to_string())).collect();
    all_ok(&send(&mut producer, records).await);
    let session = [("session.timeout.ms", "1500")];
    let group = unique("g");
    let mut consumer = cluster.consumer(&group, &[&topic], &session).await;
    read(&mut consumer, 10).await;
    let at = TopicPartition::new(Topic::clone(&topic), 0);
    let four = TopicOffsets::from([(at.clone(), 4)]);
    consumer.commit(&four).await.expect("commit");
    first.shutdown().await;
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let second = broker(data.path(), &address).await;
    // Long enough to be in the group again.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let nine = TopicOffsets::from([(at.clone(), 9)]);
    consumer.commit(&nine).await.expect("left out");
    let committed = cluster.bus.committed(&group).await.expect("committed");
    assert_eq!(committed.get(&at), Some(&4), "I4");
    let next = until(&mut consumer, |p| !matches!(p, Polled::Batch(_))).await;
    assert!(matches!(next, Polled::Lost(_)), "{next:?}");
    // The new assignment waits for an answer: the group is left all the same.
    consumer.close().await.expect("close");
    second.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_wait_for_the_broker_and_arrive_in_order() {
    let data = tempfile::tempdir().expect("a folder");
    let first = broker(data.path(), "127.0.0.1:0").await;
    let address = first.address().to_string();
    let cluster = Cluster::at(address.clone(), None);
    let topic = cluster.topic(1).await;
    let mut producer = cluster.producer(&[]).await;
    all_ok(&send(&mut producer, vec![record(&topic, 0, "0")]).await);
    first.shutdown().await;
    let inbox = Inbox::new();
    let batch = (1..500)
        .map(|n| {
            let receipt = Receipt::new(Arc::clone(&inbox), Ticket(n));
            (record(&topic, 0, &n.to_string()), receipt)
        })
        .collect();
    producer.send(batch).await.expect("room");
    let second = broker(data.path(), &address).await;
    all_ok(&answers(&inbox, 499).await);
    let mut consumer = cluster.consumer(&unique("g"), &[&topic], &[]).await;
    for (n, record) in read(&mut consumer, 500).await.iter().enumerate() {
        assert_eq!(record.record.value, bytes(&n.to_string()));
    }
    consumer.close().await.expect("close");
    second.shutdown().await;
}

/// A commit whose answer does not come may have been done or not: the producer cannot tell, and must not try again.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_without_an_answer_leaves_the_producer_dead() {
    let data = tempfile::tempdir().expect("a folder");
    let first = broker(data.path(), "127.0.0.1:0").await;
    let address = first.address().to_string();
    let cluster = Cluster::at(address.clone(), None);
    let topic = cluster.topic(1).await;
    let id = unique("tx");
    let mut producer = cluster.transactional(&id, &topic).await.expect("init");
    producer.begin().await.expect("begin");
    all_ok(&send(&mut producer, vec![record(&topic, 0, "doubtful")]).await);
    first.shutdown().await;
    let error = producer.commit(Vec::new()).await.expect_err("no answer");
    assert_eq!(error.kind(), ErrorKind::Transient, "{error:?}");
    let second = broker(data.path(), &address).await;
    // I4: it stays dead when the broker is back.
    for answer in [
        producer.begin().await,
        producer.commit(Vec::new()).await,
        producer.abort().await,
    ] {
        let error = answer.expect_err("dead");
        assert_eq!(error.kind(), ErrorKind::Transient, "{error:?}");
    }
    let mut next = cluster.transactional(&id, &topic).await.expect("init");
    next.begin().await.expect("begin");
    all_ok(&send(&mut next, vec![record(&topic, 0, "next")]).await);
    next.commit(Vec::new()).await.expect("commit");
    let mut consumer = cluster.consumer(&unique("g"), &[&topic], &[]).await;
    assert_eq!(read(&mut consumer, 1).await[0].record.value, bytes("next"));
    consumer.close().await.expect("close");
    drop((producer, next));
    second.shutdown().await;
}

/// A task that stops while its producer waits for the broker: the next owner of the id, wherever it runs, is not fenced by it later.
#[tokio::test(flavor = "multi_thread")]
async fn an_opening_that_was_given_up_fences_nobody_when_the_broker_is_back() {
    let data = tempfile::tempdir().expect("a folder");
    let first = broker(data.path(), "127.0.0.1:0").await;
    let address = first.address().to_string();
    let cluster = Cluster::at(address.clone(), None);
    let topic = cluster.topic(1).await;
    let id = unique("tx");
    first.shutdown().await;
    for _ in 0..3 {
        let open = cluster.transactional(&id, &topic);
        let given_up = tokio::time::timeout(Duration::from_millis(300), open).await;
        assert!(given_up.is_err(), "no broker answers");
    }
    let second = broker(data.path(), &address).await;
    let mut next = cluster.transactional(&id, &topic).await.expect("init");
    next.begin().await.expect("begin");
    all_ok(&send(&mut next, vec![record(&topic, 0, "next")]).await);
    // Long enough for the others to find the broker again.
    tokio::time::sleep(Duration::from_secs(4)).await;
    next.commit(Vec::new()).await.expect("still the owner");
    drop(next);
    second.shutdown().await;
}

/// What is there when the broker is gone was fetched ahead. The library's own limits are per queue: one for each partition would hold all of it.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_fetched_ahead_does_not_grow_with_the_partitions() {
    const PARTITIONS: i32 = 40;
    const BUFFER: usize = 3 << 20;
    const RECORD: usize = 64 << 10;
    let data = tempfile::tempdir().expect("a folder");
    let broker = broker(data.path(), "127.0.0.1:0").await;
    let cluster = Cluster::at(broker.address().to_string(), None);
    let topic = cluster.topic(PARTITIONS).await;
    let mut producer = cluster.producer(&[]).await;
    let value = "x".repeat(RECORD);
    for partition in 0..PARTITIONS {
        let records = (0..16).map(|_| record(&topic, partition, &value)).collect();
        all_ok(&send(&mut producer, records).await);
    }
    let open = |group: String| {
        cluster.bus.consumer(ConsumerSpec {
            client_id: unique("c"),
            group,
            subscription: Subscription::Topics(vec![topic.to_string()]),
            overrides: Default::default(),
            buffer_bytes: Some(BUFFER),
        })
    };
    // Small as it is, everything comes through it, a fair part of each partition's at a time.
    let mut all = open(unique("all")).await.expect("a consumer");
    let records = read(&mut all, 16 * PARTITIONS as usize).await;
    let early: std::collections::BTreeSet<i32> =
        records[..320].iter().map(|r| r.at.partition).collect();
    assert!(early.len() > 10, "{early:?}");
    drop((all, records));
    let mut consumer = open(unique("some")).await.expect("a consumer");
    until(&mut consumer, |p| matches!(p, Polled::Assigned(_))).await;
    consumer.start(&TopicOffsets::new()).await.expect("start");
    // Long enough to fetch whatever it would; less makes the test easier to pass, never harder.
    tokio::time::sleep(Duration::from_secs(3)).await;
    broker.shutdown().await;
    let mut ahead = 0;
    while let Polled::Batch(batch) = consumer
        .poll(Duration::from_millis(200))
        .await
        .expect("poll")
    {
        let bytes: usize = batch.iter().map(|r| r.record.size()).sum();
        assert!(bytes <= BUFFER * 2 / 3, "{bytes} in one batch");
        ahead += bytes;
        if batch.is_empty() {
            break;
        }
    }
    assert!(ahead >= RECORD, "nothing was fetched");
    // Two queues of a third of it each, and a batch of the producer, which comes whole, in each.
    let batch = 16 * RECORD + RECORD;
    assert!(ahead <= BUFFER + 2 * batch, "{ahead} of {BUFFER}");
}
