//! Topics and their care: metadata, configs, admin requests, compaction, retention.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use rdkafka::TopicPartitionList;
use rdkafka::admin::{
    AlterConfig, ConfigResource, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::Offset;

use crate::kafka::{Kafka, PATIENCE, eventually, options, unique, wait_for};

fn describe(kafka: &Kafka, what: &ResourceSpecifier<'_>) -> Result<ConfigResource> {
    let mut answers = wait_for(kafka.admin()?.describe_configs([what], &options()))?;
    Ok(answers.pop().ok_or_else(|| anyhow!("no answer"))??)
}

fn partitions(kafka: &Kafka, topic: &str) -> Result<usize> {
    let metadata = kafka
        .inspector("x")?
        .fetch_metadata(Some(topic), PATIENCE)?;
    Ok(metadata
        .topics()
        .iter()
        .find(|t| t.name() == topic)
        .map_or(0, |t| t.partitions().len()))
}

#[test]
fn metadata_names_the_cluster_and_its_broker() -> Result<()> {
    let kafka = Kafka::get()?;
    let consumer: BaseConsumer = kafka.config(&[]).create()?;
    let metadata = consumer.fetch_metadata(None, PATIENCE)?;
    ensure!(!metadata.brokers().is_empty());
    ensure!(
        consumer
            .client()
            .fetch_cluster_id(PATIENCE)
            .is_some_and(|id| !id.is_empty())
    );
    Ok(())
}

#[test]
fn a_topic_is_created_with_its_configs_and_only_once() -> Result<()> {
    let kafka = Kafka::get()?;
    let topic = unique("compact");
    kafka.create_topic(
        &topic,
        3,
        &[
            ("cleanup.policy", "compact"),
            ("min.compaction.lag.ms", "0"),
            ("segment.ms", "1000"),
        ],
    )?;
    ensure!(partitions(&kafka, &topic)? == 3);
    let configs = describe(&kafka, &ResourceSpecifier::Topic(&topic))?;
    let policy = configs.get("cleanup.policy").and_then(|e| e.value.clone());
    ensure!(policy.as_deref() == Some("compact"), "{policy:?}");
    ensure!(
        configs.get("retention.ms").is_some(),
        "defaults are told too"
    );
    let again = kafka
        .create_topic(&topic, 3, &[])
        .expect_err("it is there")
        .to_string();
    ensure!(again.contains("TopicAlreadyExists"), "{again}");
    Ok(())
}

#[test]
fn the_broker_tells_its_configs() -> Result<()> {
    let kafka = Kafka::get()?;
    let id = kafka
        .inspector("x")?
        .fetch_metadata(None, PATIENCE)?
        .brokers()[0]
        .id();
    let configs = describe(&kafka, &ResourceSpecifier::Broker(id))?;
    ensure!(
        configs
            .get("num.partitions")
            .and_then(|e| e.value.clone())
            .is_some()
    );
    Ok(())
}

#[test]
fn an_unknown_topic_is_created_when_it_is_written_to() -> Result<()> {
    let kafka = Kafka::get()?;
    let topic = unique("auto");
    let sender = kafka.sender(&[])?;
    sender.send(&topic, None, Some("k"), Some("v"))?;
    sender.flush(1)?;
    ensure!(partitions(&kafka, &topic)? >= 1);
    Ok(())
}

#[test]
fn topics_are_altered_grown_emptied_and_deleted() -> Result<()> {
    let kafka = Kafka::get()?;
    let topic = unique("admin");
    kafka.create_topic(&topic, 2, &[])?;
    let admin = kafka.admin()?;
    let sender = kafka.sender(&[])?;
    for n in 0..100 {
        sender.send(&topic, Some(0), Some(&format!("k{n}")), Some("v"))?;
    }
    sender.flush(100)?;
    let consumer = kafka.inspector("x")?;

    let mut before = TopicPartitionList::new();
    before.add_partition_offset(&topic, 0, Offset::Offset(50))?;
    for element in wait_for(admin.delete_records(&before, &options()))?.elements() {
        element.error()?;
    }
    ensure!(consumer.fetch_watermarks(&topic, 0, PATIENCE)? == (50, 100));
    let left = kafka.read_all(&topic, 2, "read_uncommitted")?.0.len();
    ensure!(left == 50, "{left} records after half were deleted");

    for outcome in wait_for(admin.create_partitions([&NewPartitions::new(&topic, 5)], &options()))?
    {
        outcome.map_err(|(topic, error)| anyhow!("{topic}: {error}"))?;
    }
    eventually("five partitions", || Ok(partitions(&kafka, &topic)? == 5))?;

    let change = AlterConfig::new(ResourceSpecifier::Topic(&topic))
        .set("cleanup.policy", "compact")
        .set("retention.ms", "12345");
    for outcome in wait_for(admin.alter_configs([&change], &options()))? {
        outcome.map_err(|(resource, error)| anyhow!("{resource:?}: {error}"))?;
    }
    eventually("the altered config", || {
        let configs = describe(&kafka, &ResourceSpecifier::Topic(&topic))?;
        Ok(configs.get("retention.ms").and_then(|e| e.value.as_deref()) == Some("12345"))
    })?;

    for outcome in wait_for(admin.delete_topics(&[&topic], &options()))? {
        outcome.map_err(|(topic, error)| anyhow!("{topic}: {error}"))?;
    }
    let observer: BaseConsumer = kafka
        .config(&[("allow.auto.create.topics", "false")])
        .create()?;
    eventually("the topic to be gone", || {
        Ok(!observer
            .fetch_metadata(None, PATIENCE)?
            .topics()
            .iter()
            .any(|t| t.name() == topic))
    })?;
    kafka.create_topic(&topic, 1, &[])?;
    eventually("the new topic to be empty", || {
        Ok(observer
            .fetch_watermarks(&topic, 0, PATIENCE)
            .is_ok_and(|w| w == (0, 0)))
    })?;
    Ok(())
}

#[test]
fn impossible_topics_are_refused() -> Result<()> {
    let kafka = Kafka::get()?;
    let bad = kafka
        .create_topic(&unique("config"), 1, &[("cleanup.policy", "bogus")])
        .expect_err("no such policy")
        .to_string();
    ensure!(bad.contains("InvalidConfig"), "{bad}");
    let name = unique("replicas");
    let topic = NewTopic::new(&name, 1, TopicReplication::Fixed(3));
    let outcome = wait_for(kafka.admin()?.create_topics([&topic], &options()))?
        .pop()
        .ok_or_else(|| anyhow!("no answer"))?;
    ensure!(
        outcome
            .as_ref()
            .is_err_and(|(_, e)| format!("{e:?}").contains("InvalidReplicationFactor")),
        "{outcome:?}"
    );
    Ok(())
}

#[test]
fn a_compacted_topic_refuses_records_without_a_key() -> Result<()> {
    let kafka = Kafka::get()?;
    for codec in ["none", "zstd"] {
        let topic = unique("keyless");
        kafka.create_topic(&topic, 1, &[("cleanup.policy", "compact")])?;
        let sender = kafka.sender(&[("compression.type", codec)])?;
        sender.send(&topic, Some(0), None, Some(&"x".repeat(200)))?;
        let refused = sender.flush(1).expect_err("no key").to_string();
        ensure!(
            refused.contains("InvalidRecord")
                || refused.contains("Broker failed to validate record"),
            "{refused}"
        );
    }
    Ok(())
}

/// Compaction takes superseded records and, later, tombstones; never the last value of a key, never the end offset.
#[test]
fn compaction_keeps_the_last_value_of_every_key() -> Result<()> {
    let kafka = Kafka::get()?;
    let topic = unique("compaction");
    let configs = [
        ("cleanup.policy", "compact"),
        ("min.cleanable.dirty.ratio", "0.01"),
        ("segment.ms", "500"),
        ("segment.bytes", "1048576"),
        ("max.compaction.lag.ms", "1000"),
        ("min.compaction.lag.ms", "0"),
        ("delete.retention.ms", "100"),
    ];
    kafka.create_topic(&topic, 1, &configs)?;
    let sender = kafka.sender(&[("linger.ms", "2"), ("compression.type", "lz4")])?;
    let mut sent = 0;
    for round in 0..40 {
        for key in 0..10 {
            sender.send(
                &topic,
                Some(0),
                Some(&format!("key{key}")),
                Some(&format!("round{round}")),
            )?;
            sent += 1;
        }
        sender.flush(sent)?;
    }
    for key in 5..10 {
        sender.send(&topic, Some(0), Some(&format!("key{key}")), None)?;
        sent += 1;
    }
    sender.flush(sent)?;
    eventually("compaction", || {
        let (records, _) = kafka.read_all(&topic, 1, "read_committed")?;
        let state: HashMap<_, _> = records
            .iter()
            .map(|r| (r.key.clone().unwrap_or_default(), r.value.clone()))
            .collect();
        for key in 0..5 {
            let value = state.get(&format!("key{key}"));
            ensure!(
                value == Some(&Some("round39".to_owned())),
                "key{key} lost: {value:?}"
            );
        }
        for key in 5..10 {
            let value = state.get(&format!("key{key}")).cloned().flatten();
            ensure!(value.is_none(), "key{key} came back: {value:?}");
        }
        let end = kafka
            .inspector("x")?
            .fetch_watermarks(&topic, 0, PATIENCE)?
            .1;
        ensure!(
            end == sent as i64,
            "the end moved to {end}, {sent} were written"
        );
        if records.len() <= 40 {
            return Ok(true);
        }
        // Only inactive segments are compacted: another record lets the active one roll.
        std::thread::sleep(Duration::from_millis(600));
        sender.send(&topic, Some(0), Some("key0"), Some("round39"))?;
        sent += 1;
        sender.flush(sent)?;
        Ok(false)
    })
}

#[test]
fn retention_deletes_what_is_too_old() -> Result<()> {
    let kafka = Kafka::get()?;
    let topic = unique("retention");
    kafka.create_topic(
        &topic,
        1,
        &[
            ("cleanup.policy", "delete"),
            ("retention.ms", "2000"),
            ("segment.ms", "500"),
        ],
    )?;
    let sender = kafka.sender(&[])?;
    for n in 0..100 {
        sender.send(&topic, Some(0), None, Some(&n.to_string()))?;
    }
    sender.flush(100)?;
    let consumer = kafka.inspector("x")?;
    eventually("all to be deleted", || {
        Ok(consumer.fetch_watermarks(&topic, 0, PATIENCE)? == (100, 100))
    })
}
