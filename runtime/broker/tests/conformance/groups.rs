//! Consumer groups, classic protocol.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use crate::kafka::{Kafka, PATIENCE, Sender, eventually, options, unique, wait_for};
use crate::member::{Member, split};

/// The role of a process that a test starts in order to kill it: "bootstrap topic group".
const VICTIM: &str = "LONGSHORE_TEST_VICTIM";

fn burst(sender: &Sender, topic: &str, sent: &mut u64, count: u64) -> Result<()> {
    for n in 0..count {
        sender.send(
            topic,
            Some((n % 4) as i32),
            Some("k"),
            Some(&(*sent + n).to_string()),
        )?;
    }
    *sent += count;
    sender.flush(*sent)
}

/// One member, two, one again, none, one: each time the partitions are shared out, and nothing is read anew after a commit.
fn lifecycle(strategy: &str) -> Result<()> {
    let kafka = Kafka::get()?;
    let (topic, group) = (unique("lifecycle"), unique(strategy));
    let strategy = [("partition.assignment.strategy", strategy)];
    kafka.create_topic(&topic, 4, &[])?;
    let (sender, mut sent) = (kafka.sender(&[])?, 0);
    burst(&sender, &topic, &mut sent, 400)?;
    let a = Member::start(&kafka, &topic, &group, &strategy)?;
    split(&[&a], &[4])?;
    eventually("the first 400", || Ok(a.records().len() == 400))?;
    let b = Member::start(&kafka, &topic, &group, &strategy)?;
    split(&[&a, &b], &[2, 2])?;
    std::thread::sleep(Duration::from_secs(1));
    ensure!(
        (a.assigned(), b.assigned()) == (2, 2),
        "the split does not last"
    );
    burst(&sender, &topic, &mut sent, 400)?;
    eventually("the next 400", || {
        let all: BTreeSet<_> = a
            .records()
            .iter()
            .chain(&b.records())
            .map(|r| (r.partition, r.offset))
            .collect();
        Ok(all.len() == 800)
    })?;
    b.stop()?;
    split(&[&a], &[4])?;
    burst(&sender, &topic, &mut sent, 400)?;
    eventually("the third 400", || {
        let late = |p| {
            a.records()
                .iter()
                .any(|r| r.partition == p && r.offset == 299)
        };
        Ok((0..4).all(late))
    })?;
    a.stop()?;
    burst(&sender, &topic, &mut sent, 40)?;
    let c = Member::start(&kafka, &topic, &group, &strategy)?;
    eventually("the last 40", || Ok(c.records().len() >= 40))?;
    std::thread::sleep(Duration::from_millis(500));
    let again = c.records().len();
    c.stop()?;
    ensure!(
        again == 40,
        "{again} records after the restart: some were committed before"
    );
    Ok(())
}

#[test]
fn range_group_shares_and_resumes() -> Result<()> {
    lifecycle("range")
}

#[test]
fn roundrobin_group_shares_and_resumes() -> Result<()> {
    lifecycle("roundrobin")
}

#[test]
fn cooperative_group_shares_and_resumes() -> Result<()> {
    lifecycle("cooperative-sticky")
}

const COOPERATIVE: [(&str, &str); 1] = [("partition.assignment.strategy", "cooperative-sticky")];

#[test]
fn cooperative_group_grows_to_three() -> Result<()> {
    let kafka = Kafka::get()?;
    let (topic, group) = (unique("three"), unique("three"));
    kafka.create_topic(&topic, 6, &[])?;
    let a = Member::start(&kafka, &topic, &group, &COOPERATIVE)?;
    split(&[&a], &[6])?;
    let b = Member::start(&kafka, &topic, &group, &COOPERATIVE)?;
    let c = Member::start(&kafka, &topic, &group, &COOPERATIVE)?;
    split(&[&a, &b, &c], &[2, 2, 2])?;
    [a, b, c].into_iter().try_for_each(Member::stop)
}

#[test]
fn six_members_join_at_once() -> Result<()> {
    let kafka = Kafka::get()?;
    let (topic, group) = (unique("six"), unique("six"));
    kafka.create_topic(&topic, 12, &[])?;
    let members = (0..6)
        .map(|_| Member::start(&kafka, &topic, &group, &COOPERATIVE))
        .collect::<Result<Vec<_>>>()?;
    split(&members.iter().collect::<Vec<_>>(), &[2; 6])?;
    members.into_iter().try_for_each(Member::stop)
}

#[test]
fn a_killed_member_is_evicted() -> Result<()> {
    if let Ok(role) = std::env::var(VICTIM) {
        let [bootstrap, topic, group] = role.split(' ').collect::<Vec<_>>()[..] else {
            return Err(anyhow!("bad role '{role}'"));
        };
        let _member = Member::start(&Kafka::at(bootstrap.to_owned()), topic, group, &[])?;
        loop {
            std::thread::park();
        }
    }
    let kafka = Kafka::get()?;
    let (topic, group) = (unique("killed"), unique("killed"));
    kafka.create_topic(&topic, 4, &[])?;
    let survivor = Member::start(&kafka, &topic, &group, &[])?;
    split(&[&survivor], &[4])?;
    let mut victim = Command::new(std::env::current_exe()?)
        .args(["--exact", "groups::a_killed_member_is_evicted"])
        .env(VICTIM, format!("{} {topic} {group}", kafka.bootstrap))
        .stdout(Stdio::null())
        .spawn()?;
    let shared = split(&[&survivor], &[2]);
    victim.kill()?;
    victim.wait()?;
    shared?;
    split(&[&survivor], &[4])?;
    survivor.stop()
}

#[test]
fn a_static_member_comes_back_without_a_rebalance() -> Result<()> {
    let kafka = Kafka::get()?;
    let (topic, group) = (unique("static"), unique("static"));
    kafka.create_topic(&topic, 4, &[])?;
    let a = Member::start(&kafka, &topic, &group, &[("group.instance.id", "a")])?;
    split(&[&a], &[4])?;
    let b = Member::start(&kafka, &topic, &group, &[("group.instance.id", "b")])?;
    split(&[&a, &b], &[2, 2])?;
    let before = a.revocations();
    b.stop()?;
    std::thread::sleep(Duration::from_secs(1));
    let b = Member::start(&kafka, &topic, &group, &[("group.instance.id", "b")])?;
    split(&[&a, &b], &[2, 2])?;
    ensure!(a.revocations() == before, "the other member was disturbed");
    a.stop()?;
    b.stop()
}

#[test]
fn groups_are_listed_described_and_deleted() -> Result<()> {
    let kafka = Kafka::get()?;
    let (topic, group) = (unique("listed"), unique("listed"));
    kafka.create_topic(&topic, 2, &[])?;
    let member = Member::start(&kafka, &topic, &group, &[])?;
    split(&[&member], &[2])?;
    let consumer = kafka.inspector("x")?;
    let list = consumer.fetch_group_list(Some(&group), PATIENCE)?;
    let found: Vec<_> = list
        .groups()
        .iter()
        .map(|g| (g.name(), g.state(), g.members().len()))
        .collect();
    ensure!(found == [(group.as_str(), "Stable", 1)], "{found:?}");
    ensure!(
        consumer
            .fetch_group_list(None, PATIENCE)?
            .groups()
            .iter()
            .any(|g| g.name() == group)
    );
    let delete = || -> Result<bool> {
        let outcomes = wait_for(kafka.admin()?.delete_groups(&[&group], &options()))?;
        Ok(outcomes.iter().all(Result::is_ok))
    };
    ensure!(!delete()?, "a group with members was deleted");
    member.stop()?;
    eventually("the empty group to be deleted", delete)
}

#[test]
fn an_offset_keeps_its_metadata() -> Result<()> {
    let kafka = Kafka::get()?;
    let (topic, group) = (unique("metadata"), unique("metadata"));
    kafka.create_topic(&topic, 1, &[])?;
    let consumer = kafka.inspector(&group)?;
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset(&topic, 0, Offset::Offset(7))?;
    offsets
        .find_partition(&topic, 0)
        .ok_or_else(|| anyhow!("just added"))?
        .set_metadata("hello");
    consumer.commit(&offsets, CommitMode::Sync)?;
    let mut asked = TopicPartitionList::new();
    asked.add_partition(&topic, 0);
    let answer = consumer.committed_offsets(asked, PATIENCE)?;
    let element = answer
        .find_partition(&topic, 0)
        .ok_or_else(|| anyhow!("no answer"))?;
    ensure!(
        (element.offset(), element.metadata()) == (Offset::Offset(7), "hello"),
        "{:?} {:?}",
        element.offset(),
        element.metadata()
    );
    Ok(())
}
