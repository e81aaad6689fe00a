//! The broker goes away and comes back. It is always an embedded one here: it must be stopped at will.

mod rig;

use longshore_broker::{Broker, Config};
use longshore_engine::ports::{Bus, Consumer, Inbox, Polled, Receipt, Ticket};
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
    // The new assignment waits for an answer: whether the group is left in time is not this test's matter.
    if let Err(error) = consumer.close().await {
        assert_eq!(error.kind(), ErrorKind::Transient, "{error}");
    }
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
