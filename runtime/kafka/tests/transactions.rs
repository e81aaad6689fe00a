//! Transactions: whole or not at all, and one owner per id.

mod rig;

use bytes::Bytes;
use longshore_sdk::{Datum, ErrorKind};
use rig::{Cluster, all_ok, bytes, read, record, send, unique};

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_shows_records_and_offsets_and_an_abort_hides_both() {
    let cluster = Cluster::start().await;
    let data = cluster.topic(1).await;
    let offsets = cluster.topic(3).await;
    let id = unique("tx");
    let mut producer = cluster.transactional(&id, &offsets).await.expect("init");
    producer.begin().await.expect("begin");
    all_ok(&send(&mut producer, vec![record(&data, 0, "aborted")]).await);
    producer.abort().await.expect("abort");
    producer.begin().await.expect("begin");
    let answers = send(&mut producer, vec![record(&data, 0, "committed")]).await;
    all_ok(&answers);
    let lane = Bytes::from_static(b"[\"c\",{\"file\":\"f\"}]");
    let offset = Bytes::from_static(b"{\"position\":1}");
    let entries = vec![
        (lane.clone(), Some(offset.clone())),
        (Bytes::from_static(b"old"), None),
    ];
    producer.commit(entries).await.expect("commit");
    let mut consumer = cluster.consumer(&unique("g"), &[&data], &[]).await;
    let seen = read(&mut consumer, 1).await;
    assert_eq!(seen[0].record.value, bytes("committed"));
    let mut consumer = cluster.consumer(&unique("g"), &[&offsets], &[]).await;
    let mut seen = read(&mut consumer, 2).await;
    seen.sort_by_key(|r| r.record.value.is_null());
    assert_eq!(seen[0].record.key, Datum::Bytes(lane));
    assert_eq!(seen[0].record.value, Datum::Bytes(offset));
    assert_eq!(seen[1].record.value, Datum::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_to_open_an_id_owns_it() {
    let cluster = Cluster::start().await;
    let data = cluster.topic(1).await;
    let id = unique("tx");
    let mut zombie = cluster.transactional(&id, &data).await.expect("init");
    zombie.begin().await.expect("begin");
    all_ok(&send(&mut zombie, vec![record(&data, 0, "zombie")]).await);
    let mut owner = cluster.transactional(&id, &data).await.expect("init");
    // I4: the fenced producer learns it, and stays dead.
    let answers = send(&mut zombie, vec![record(&data, 0, "zombie")]).await;
    let committed = zombie.commit(Vec::new()).await.expect_err("fenced");
    assert_eq!(
        committed.kind(),
        ErrorKind::Fenced,
        "{committed:?} after {answers:?}"
    );
    let again = zombie.begin().await.expect_err("dead");
    assert_eq!(again.kind(), ErrorKind::Fenced);
    let unsent = send(&mut zombie, vec![record(&data, 0, "zombie")]).await;
    assert!(unsent[0].1.is_err());
    owner.begin().await.expect("begin");
    all_ok(&send(&mut owner, vec![record(&data, 0, "owner")]).await);
    owner.commit(Vec::new()).await.expect("commit");
    let mut consumer = cluster.consumer(&unique("g"), &[&data], &[]).await;
    assert_eq!(read(&mut consumer, 1).await[0].record.value, bytes("owner"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_outside_of_a_transaction_is_refused() {
    let cluster = Cluster::start().await;
    let data = cluster.topic(1).await;
    let mut producer = cluster
        .transactional(&unique("tx"), &data)
        .await
        .expect("init");
    let answers = send(&mut producer, vec![record(&data, 0, "early")]).await;
    assert!(answers[0].1.is_err());
}
