//! A member of a group: rebalances in band, commits of what is owned only, positions.

mod rig;

use longshore_engine::ports::{Bus, Consumer, ConsumerSpec, Polled, Subscription};
use longshore_sdk::{ErrorKind, STATE_MAX, Topic, TopicOffsets, TopicPartition, TopicStates};
use rig::{Cluster, LONG, all_ok, bytes, read, record, send, step, unique};
use std::{collections::BTreeSet, time::Duration};

const SHORT: Duration = Duration::from_millis(200);

async fn fill(cluster: &Cluster, topic: &Topic, partitions: i32, each: i32) {
    let mut producer = cluster.producer(&[]).await;
    let records = (0..partitions)
        .flat_map(|p| (0..each).map(move |n| (p, n)))
        .map(|(p, n)| record(topic, p, &n.to_string()))
        .collect();
    all_ok(&send(&mut producer, records).await);
}

fn at(topic: &Topic, partition: i32) -> TopicPartition {
    TopicPartition::new(Topic::clone(topic), partition)
}

/// Polls until the next rebalance event.
async fn event(consumer: &mut Box<dyn Consumer>) -> Polled {
    let next = async {
        loop {
            match consumer.poll(SHORT).await.expect("poll") {
                Polled::Batch(_) => {}
                event => return event,
            }
        }
    };
    tokio::time::timeout(LONG, next).await.expect("an event")
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_delivered_before_start_and_start_decides_where() {
    let cluster = Cluster::start().await;
    let topic = cluster.topic(2).await;
    fill(&cluster, &topic, 2, 10).await;
    let mut consumer = cluster.consumer(&unique("g"), &[&topic], &[]).await;
    let Polled::Assigned(assigned) = event(&mut consumer).await else {
        panic!("the first event is an assignment");
    };
    assert_eq!(assigned.len(), 2);
    let Polled::Batch(early) = consumer.poll(SHORT).await.expect("poll") else {
        panic!("no second event before the answer");
    };
    assert!(early.is_empty());
    let claimed = TopicOffsets::from([(at(&topic, 1), 7)]);
    consumer.start(&claimed).await.expect("start");
    let records = read(&mut consumer, 13).await;
    let first = |p| {
        records
            .iter()
            .find(|r| r.at.partition == p)
            .map(|r| r.at.offset)
    };
    assert_eq!((first(0), first(1)), (Some(0), Some(7)));
    consumer
        .seek(&TopicOffsets::from([(at(&topic, 0), 4)]))
        .await
        .expect("seek");
    let again = read(&mut consumer, 6).await;
    assert_eq!(again[0].at.offset, 4);
    let lags = consumer.lag();
    assert_eq!(lags.len(), 2, "{lags:?}");
    for lag in lags {
        assert_eq!((lag.position, lag.end), (10, 10));
    }
    consumer.close().await.expect("close");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_member_gets_its_part_only_after_release_and_commits_are_filtered() {
    let cluster = Cluster::start().await;
    let topic = cluster.topic(4).await;
    fill(&cluster, &topic, 4, 10).await;
    let group = unique("g");
    let mut first = cluster.consumer(&group, &[&topic], &[]).await;
    read(&mut first, 40).await;
    let all: TopicOffsets = (0..4).map(|p| (at(&topic, p), 10)).collect();
    first.commit(&all).await.expect("commit");
    let mut second = cluster.consumer(&group, &[&topic], &[]).await;
    // The second member must be polled by nobody for its thread to join.
    let Polled::Revoked(revoked) = event(&mut first).await else {
        panic!("some partitions are to go");
    };
    assert_eq!(revoked.len(), 2);
    // Still ours: the last commit before the release counts.
    let last: TopicOffsets = revoked.iter().map(|p| (p.clone(), 8)).collect();
    first.commit(&last).await.expect("commit");
    first.release().await.expect("release");
    let gained: BTreeSet<_> = loop {
        step(&mut first, SHORT).await;
        if let Polled::Assigned(assigned) = second.poll(SHORT).await.expect("poll") {
            second.start(&TopicOffsets::new()).await.expect("start");
            break assigned.into_iter().collect();
        }
    };
    assert_eq!(gained, revoked.iter().cloned().collect());
    // I4: the former owner cannot move what it gave away.
    let stolen: TopicOffsets = (0..4).map(|p| (at(&topic, p), 3)).collect();
    first.commit(&stolen).await.expect("filtered, not refused");
    let committed = cluster.bus.committed(&group).await.expect("committed");
    for partition in 0..4 {
        let place = at(&topic, partition);
        let expected = if gained.contains(&place) { 8 } else { 3 };
        assert_eq!(committed.get(&place), Some(&expected), "{place}");
    }
    // The new owner goes on at what was committed last.
    let records = read(&mut second, 4).await;
    assert!(records.iter().all(|r| r.at.offset >= 8));
    first.close().await.expect("close");
    // What the first gave back at leaving comes to the second at once, not after a session timeout.
    let Polled::Assigned(rest) = event(&mut second).await else {
        panic!("the rest is assigned");
    };
    assert_eq!(rest.len(), 2);
    second.start(&TopicOffsets::new()).await.expect("start");
    second.close().await.expect("close");
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_goes_with_the_offsets_to_the_next_owner() {
    let cluster = Cluster::start().await;
    let topic = cluster.topic(2).await;
    fill(&cluster, &topic, 2, 5).await;
    let group = unique("g");
    let mut first = cluster.consumer(&group, &[&topic], &[]).await;
    read(&mut first, 10).await;
    let both = [at(&topic, 0), at(&topic, 1)];
    let none = first.metadata(&both).await.expect("asked");
    assert_eq!(none, TopicStates::new());
    let offsets: TopicOffsets = both.iter().map(|at| (at.clone(), 3)).collect();
    // The longest state with its mark, in letters that take two bytes each.
    let long = "é".repeat(STATE_MAX / 2) + "a mark of some bytes";
    let texts: TopicStates = [
        (both[0].clone(), "{\"rows\":3}".to_owned()),
        (both[1].clone(), long),
    ]
    .into();
    first.commit_with(&offsets, &texts).await.expect("commit");
    assert_eq!(first.metadata(&both).await.expect("asked"), texts);
    first.close().await.expect("close");

    let mut second = cluster.consumer(&group, &[&topic], &[]).await;
    let Polled::Assigned(assigned) = event(&mut second).await else {
        panic!("the first event is an assignment");
    };
    // As a sink task asks: before it answers the assignment.
    let found = second.metadata(&assigned).await.expect("asked");
    assert_eq!(found, texts);
    second.start(&TopicOffsets::new()).await.expect("start");
    let records = read(&mut second, 4).await;
    assert!(records.iter().all(|record| record.at.offset >= 3));
    // A commit without it takes it away, for its partitions alone.
    let one: TopicOffsets = [(both[1].clone(), 5)].into();
    second.commit(&one).await.expect("commit");
    let left = second.metadata(&both).await.expect("asked");
    assert_eq!(left.keys().collect::<Vec<_>>(), [&both[0]]);
    second.close().await.expect("close");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_eager_protocol_works_too() {
    let cluster = Cluster::start().await;
    let topic = cluster.topic(2).await;
    fill(&cluster, &topic, 2, 5).await;
    let group = unique("g");
    let range = [(
        "partition.assignment.strategy",
        "org.apache.kafka.clients.consumer.RangeAssignor",
    )];
    let mut first = cluster.consumer(&group, &[&topic], &range).await;
    read(&mut first, 10).await;
    let all: TopicOffsets = (0..2).map(|p| (at(&topic, p), 5)).collect();
    first.commit(&all).await.expect("commit");
    let mut second = cluster.consumer(&group, &[&topic], &range).await;
    let Polled::Revoked(revoked) = event(&mut first).await else {
        panic!("everything is to go");
    };
    assert_eq!(revoked.len(), 2);
    first.release().await.expect("release");
    let Polled::Assigned(kept) = event(&mut first).await else {
        panic!("a part comes back");
    };
    first.start(&TopicOffsets::new()).await.expect("start");
    let Polled::Assigned(gained) = event(&mut second).await else {
        panic!("the other part");
    };
    second.start(&TopicOffsets::new()).await.expect("start");
    assert_eq!((kept.len(), gained.len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_member_keeps_its_partitions_and_delivers_nothing() {
    let cluster = Cluster::start().await;
    let topic = cluster.topic(1).await;
    fill(&cluster, &topic, 1, 10).await;
    let mut consumer = cluster.consumer(&unique("g"), &[&topic], &[]).await;
    read(&mut consumer, 10).await;
    consumer.pause().expect("pause");
    fill(&cluster, &topic, 1, 10).await;
    for _ in 0..10 {
        match consumer.poll(SHORT).await.expect("poll") {
            Polled::Batch(batch) => assert!(batch.is_empty()),
            event => panic!("{event:?}"),
        }
    }
    consumer.resume().expect("resume");
    let records = read(&mut consumer, 10).await;
    assert_eq!(records[0].at.offset, 10);
    let offsets = TopicOffsets::from([(at(&topic, 0), 20)]);
    consumer.commit(&offsets).await.expect("still a member");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_nobody_polls_stays_and_answers_late() {
    let cluster = Cluster::start().await;
    let topic = cluster.topic(1).await;
    fill(&cluster, &topic, 1, 3).await;
    let overrides = [
        ("session.timeout.ms", "6000"),
        ("max.poll.interval.ms", "6000"),
    ];
    let mut consumer = cluster.consumer(&unique("g"), &[&topic], &overrides).await;
    read(&mut consumer, 3).await;
    // Longer than both: the client's thread polls, whatever the sink does.
    tokio::time::sleep(Duration::from_secs(7)).await;
    let offsets = TopicOffsets::from([(at(&topic, 0), 3)]);
    consumer.commit(&offsets).await.expect("still a member");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_regex_finds_its_topics() {
    let cluster = Cluster::start().await;
    let stem = unique("rx").replace('-', "_");
    for name in [
        format!("{stem}_a1"),
        format!("{stem}_b2"),
        format!("{stem}_other"),
    ] {
        cluster.create(&name, 1, &[]).await;
        fill(&cluster, &name.into(), 1, 2).await;
    }
    let spec = ConsumerSpec {
        client_id: unique("c"),
        group: unique("g"),
        subscription: Subscription::Regex(format!("{stem}_(?:a|b)[\\d.-]")),
        overrides: Default::default(),
        buffer_bytes: None,
    };
    let mut consumer = cluster.bus.consumer(spec).await.expect("a consumer");
    let topics: BTreeSet<String> = read(&mut consumer, 4)
        .await
        .iter()
        .map(|r| r.at.topic.to_string())
        .collect();
    assert_eq!(topics, [format!("{stem}_a1"), format!("{stem}_b2")].into());
    let more = step(&mut consumer, SHORT).await;
    assert!(more.is_empty(), "{more:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_regex_does_not_find_what_the_broker_keeps_for_itself() {
    let cluster = Cluster::start().await;
    let topic = cluster.topic(1).await;
    // A real cluster has it already.
    let internal = longshore_engine::ports::TopicSpec {
        name: "__consumer_offsets".to_owned(),
        partitions: Some(1),
        replication: Some(1),
        config: Default::default(),
    };
    drop(cluster.bus.ensure_topic(internal).await);
    let spec = ConsumerSpec {
        client_id: unique("c"),
        group: unique("g"),
        subscription: Subscription::Regex(".*".to_owned()),
        overrides: Default::default(),
        buffer_bytes: None,
    };
    let mut consumer = cluster.bus.consumer(spec).await.expect("a consumer");
    let Polled::Assigned(assigned) = event(&mut consumer).await else {
        panic!("the first event is an assignment");
    };
    assert!(assigned.contains(&at(&topic, 0)), "{assigned:?}");
    let internal = assigned.iter().find(|at| at.topic.starts_with("__"));
    assert_eq!(internal, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_hold_what_single_reads_hold_across_compressions_and_sizes() {
    let cluster = Cluster::start().await;
    let topic = cluster.topic(1).await;
    let mut expected = Vec::new();
    for (n, codec) in ["none", "gzip", "snappy", "lz4", "zstd"].iter().enumerate() {
        let mut producer = cluster.producer(&[("compression.type", codec)]).await;
        let records: Vec<_> = (0..200_usize)
            .map(|i| {
                let size = [0, 1, 100, 4095, 4096, 4097, 20_000][(i + n) % 7];
                let mut record = record(&topic, 0, &"v".repeat(size));
                record.key = bytes(&"k".repeat(i));
                record
            })
            .collect();
        expected.extend(records.iter().map(|r| (r.key.clone(), r.value.clone())));
        all_ok(&send(&mut producer, records).await);
    }
    let overrides = [("max.poll.records", "64")];
    let mut consumer = cluster.consumer(&unique("g"), &[&topic], &overrides).await;
    let mut got = Vec::new();
    while got.len() < expected.len() {
        let batch = step(&mut consumer, Duration::from_secs(1)).await;
        assert!(batch.len() <= 64);
        got.extend(batch.into_iter().map(|r| (r.record.key, r.record.value)));
    }
    // The records outlive their consumer.
    consumer.close().await.expect("close");
    assert!(got == expected, "contents differ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_refuses_the_group_says_why() {
    let cluster = Cluster::start().await;
    let topic = cluster.topic(1).await;
    let overrides = [("session.timeout.ms", "5"), ("heartbeat.interval.ms", "1")];
    let mut consumer = cluster.consumer(&unique("g"), &[&topic], &overrides).await;
    let error = tokio::time::timeout(LONG, async {
        loop {
            if let Err(error) = consumer.poll(SHORT).await {
                return error;
            }
        }
    });
    let error = error.await.expect("refused");
    assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
}
