//! Groups that are somebody else's.

use crate::{
    connect::ConnectWorker,
    rig::{Cluster, LONG, step},
    workers::{Joining, now, prepared, worker},
};
use longshore_sdk::ErrorKind;

#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_ordinary_consumers_is_left_alone() {
    let cluster = Cluster::start().await;
    let topic = cluster.topic(1).await;
    let group = prepared(&cluster).await;
    let mut consumer = cluster.consumer(&group, &[&topic], &[]).await;
    step(&mut consumer, LONG).await;
    let joining = Joining::new(&group, "a:8083");
    let error = joining.join(&cluster.settings).await.err();
    let error = error.expect("not ours");
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("other consumers"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kafka_connect_cluster_and_we_refuse_each_other() {
    let cluster = Cluster::start().await;
    let group = prepared(&cluster).await;
    let mut connect = ConnectWorker::open(&cluster.bootstrap);
    connect.join(&group).expect("an empty group is anybody's");
    let joining = Joining::new(&group, "a:8083");
    let error = joining.join(&cluster.settings).await.err();
    let error = error.expect("not ours");
    assert_eq!(error.kind(), ErrorKind::Config);
    let text = format!("group {group} is used by a Kafka Connect cluster: stop it first");
    assert!(error.to_string().contains(&text), "{error}");
    // A group that it has left is taken over.
    connect.leave(&group);
    let ours = worker(&cluster, &group, "a:8083").await;
    assert!(now(&ours).leading());
    let refused = connect.join(&group).expect_err("it is ours now");
    assert_eq!(refused, ConnectWorker::INCONSISTENT_GROUP_PROTOCOL);
    assert!(now(&ours).leading());
}
