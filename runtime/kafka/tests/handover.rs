//! Partitions change hands and places while records stand in the client's queue.

mod rig;

use longshore_engine::ports::{Bus, Consumer, ConsumerSpec, Polled, Subscription};
use longshore_sdk::{Topic, TopicOffsets, TopicPartition};
use rig::{Cluster, LONG, all_ok, record, send, step, unique};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

const PARTITIONS: i32 = 6;
const EACH: i64 = 2000;

/// What the group has read; each partition's next offset.
#[derive(Default)]
struct Read(BTreeMap<TopicPartition, i64>);

impl Read {
    fn next(&self, at: &TopicPartition) -> i64 {
        self.0.get(at).copied().unwrap_or(0)
    }
    fn of(&self, at: &[TopicPartition]) -> TopicOffsets {
        at.iter().map(|at| (at.clone(), self.next(at))).collect()
    }
    fn done(&self) -> bool {
        self.0.len() == PARTITIONS as usize && self.0.values().all(|next| *next == EACH)
    }
}

struct Member {
    consumer: Box<dyn Consumer>,
    owned: BTreeSet<TopicPartition>,
}

impl Member {
    async fn join(cluster: &Cluster, group: &str, topic: &Topic, assignor: &str) -> Self {
        // Small batches: most records stand in the queue when something happens.
        let overrides = [
            ("max.poll.records", "37"),
            ("partition.assignment.strategy", assignor),
        ];
        Self {
            consumer: cluster.consumer(group, &[topic], &overrides).await,
            owned: BTreeSet::new(),
        }
    }
    /// One poll. Each record is the next one of its partition, whoever had it before.
    async fn step(&mut self, read: &mut Read) {
        let polled = self.consumer.poll(Duration::from_millis(20)).await;
        match polled.expect("poll") {
            Polled::Batch(batch) => {
                for record in batch {
                    let at = TopicPartition::new(record.at.topic, record.at.partition);
                    assert!(self.owned.contains(&at), "{at} is not this member's");
                    assert_eq!(record.at.offset, read.next(&at), "{at}: lost, or again");
                    read.0.insert(at, record.at.offset + 1);
                }
            }
            Polled::Assigned(at) => {
                self.owned.extend(at);
                self.consumer
                    .start(&TopicOffsets::new())
                    .await
                    .expect("start");
            }
            Polled::Revoked(at) => {
                self.consumer.commit(&read.of(&at)).await.expect("commit");
                self.consumer.release().await.expect("release");
                self.owned.retain(|mine| !at.contains(mine));
            }
            Polled::Lost(at) => panic!("nothing is lost here: {at:?}"),
        }
    }
    /// Goes back a little, as after a failed flush.
    async fn back(&mut self, read: &mut Read) {
        let Some(at) = self.owned.iter().next().cloned() else {
            return;
        };
        let offset = (read.next(&at) - 20).max(0);
        let back = TopicOffsets::from([(at.clone(), offset)]);
        self.consumer.seek(&back).await.expect("seek");
        read.0.insert(at, offset);
    }
    async fn leave(mut self, read: &Read) {
        let owned: Vec<_> = self.owned.iter().cloned().collect();
        self.consumer
            .commit(&read.of(&owned))
            .await
            .expect("commit");
        self.consumer.close().await.expect("close");
    }
}

async fn hand_over(assignor: &str) {
    let cluster = Cluster::start().await;
    let topic = cluster.topic(PARTITIONS).await;
    let mut producer = cluster.producer(&[]).await;
    let records = (0..EACH)
        .flat_map(|n| (0..PARTITIONS).map(move |p| (p, n)))
        .map(|(p, n)| record(&topic, p, &n.to_string()));
    all_ok(&send(&mut producer, records.collect()).await);
    let group = unique("g");
    let mut read = Read::default();
    let mut stays = Member::join(&cluster, &group, &topic, assignor).await;
    let mut other: Option<Member> = None;
    let mut handed = 0;
    let all = async {
        let mut turn = 0;
        while !read.done() {
            turn += 1;
            stays.step(&mut read).await;
            if let Some(other) = &mut other {
                other.step(&mut read).await;
            }
            if turn % 13 == 0 {
                stays.back(&mut read).await;
            }
            let gone = match &other {
                Some(member) if turn % 10 == 0 && !member.owned.is_empty() => other.take(),
                Some(_) => None,
                None if turn % 10 == 0 => {
                    other = Some(Member::join(&cluster, &group, &topic, assignor).await);
                    None
                }
                None => None,
            };
            if let Some(gone) = gone {
                handed += 1;
                gone.leave(&read).await;
            }
        }
    };
    if tokio::time::timeout(LONG, all).await.is_err() {
        panic!("read up to {:?}", read.0);
    }
    assert!(handed > 3, "partitions changed hands");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_record_is_read_once_and_in_order_across_members() {
    hand_over("cooperative-sticky").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_record_is_read_once_and_in_order_across_members_of_the_eager_protocol() {
    hand_over("range").await;
}

/// A slow sink and full queues: each partition has its own as long as the buffer has room for one, and its turn.
#[tokio::test(flavor = "multi_thread")]
async fn no_partition_is_left_behind_by_a_slow_reader() {
    const PARTITIONS: i32 = 4;
    const EACH: usize = 1500;
    let cluster = Cluster::start().await;
    let topic = cluster.topic(PARTITIONS).await;
    let mut producer = cluster.producer(&[]).await;
    let value = "x".repeat(4000);
    for partition in 0..PARTITIONS {
        let records = (0..EACH)
            .map(|_| record(&topic, partition, &value))
            .collect();
        all_ok(&send(&mut producer, records).await);
    }
    let spec = ConsumerSpec {
        client_id: unique("c"),
        group: unique("g"),
        subscription: Subscription::Topics(vec![topic.to_string()]),
        overrides: rig::map(&[("max.poll.records", "100")]),
        buffer_bytes: Some(6 << 20),
    };
    let mut consumer = cluster.bus.consumer(spec).await.expect("a consumer");
    let mut counts = vec![0; PARTITIONS as usize];
    while counts.iter().sum::<usize>() < EACH * PARTITIONS as usize / 2 {
        for record in step(&mut consumer, Duration::from_millis(200)).await {
            counts[record.at.partition as usize] += 1;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
    consumer.close().await.expect("close");
}
