//! Whole or not at all, and one owner per id.

use crate::rig::{Cluster, all_ok, bytes, read, record, send, unique};
use bytes::Bytes;
use longshore_sdk::{Datum, ErrorKind};

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

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_fails_fails_its_transaction_and_an_abort_goes_on() {
    let cluster = Cluster::start().await;
    let data = cluster.topic(1).await;
    let mut producer = cluster
        .transactional(&unique("tx"), &data)
        .await
        .expect("init");
    producer.begin().await.expect("begin");
    let huge = record(&data, 0, &"x".repeat(3 << 20));
    let answers = send(&mut producer, vec![record(&data, 0, "beside"), huge]).await;
    assert!(answers[0].1.is_ok());
    let refused = answers[1].1.as_ref().expect_err("too large");
    assert_eq!(refused.kind(), ErrorKind::Data, "{refused:?}");
    producer.abort().await.expect("abort");
    producer.begin().await.expect("begin");
    all_ok(&send(&mut producer, vec![record(&data, 0, "next")]).await);
    producer.commit(Vec::new()).await.expect("commit");
    let mut consumer = cluster.consumer(&unique("g"), &[&data], &[]).await;
    assert_eq!(read(&mut consumer, 1).await[0].record.value, bytes("next"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_init_wins_whichever_way_round() {
    let cluster = Cluster::start().await;
    let data = cluster.topic(1).await;
    let id = unique("tx");
    let mut first = cluster.transactional(&id, &data).await.expect("init");
    let mut second = cluster.transactional(&id, &data).await.expect("init");
    // A task that was fenced while it is still ours opens anew, and fences the other: nothing but its assignment tells who is right.
    let begun = first.begin().await;
    let answers = send(&mut first, vec![record(&data, 0, "first")]).await;
    let fenced = first.commit(Vec::new()).await.expect_err("fenced");
    assert_eq!(
        fenced.kind(),
        ErrorKind::Fenced,
        "{fenced:?} after {begun:?}, {answers:?}"
    );
    let mut third = cluster.transactional(&id, &data).await.expect("init");
    let begun = second.begin().await;
    let answers = send(&mut second, vec![record(&data, 0, "second")]).await;
    let fenced = second.commit(Vec::new()).await.expect_err("fenced");
    assert_eq!(
        fenced.kind(),
        ErrorKind::Fenced,
        "{fenced:?} after {begun:?}, {answers:?}"
    );
    third.begin().await.expect("begin");
    all_ok(&send(&mut third, vec![record(&data, 0, "third")]).await);
    third.commit(Vec::new()).await.expect("commit");
    let mut consumer = cluster.consumer(&unique("g"), &[&data], &[]).await;
    assert_eq!(read(&mut consumer, 1).await[0].record.value, bytes("third"));
}
