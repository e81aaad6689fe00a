//! Topics of the bench: made, filled, watched, hashed.

use std::cell::RefCell;
use std::hash::Hasher;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};

const PATIENCE: Duration = Duration::from_secs(60);

/// Clients of one broker.
pub(crate) struct Topics {
    bootstrap: String,
    admin: AdminClient<DefaultClientContext>,
    watcher: RefCell<BaseConsumer>,
}

/// The number of records, and a hash over (key, value) in the order of offsets, of a topic with one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) records: u64,
    pub(crate) hash: u64,
}

impl Topics {
    pub(crate) fn new(bootstrap: &str) -> Result<Self> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", bootstrap);
        Ok(Self {
            bootstrap: bootstrap.into(),
            admin: config.create()?,
            watcher: RefCell::new(watcher(bootstrap)?),
        })
    }

    /// A topic with one partition that keeps everything.
    pub(crate) fn create(&self, name: &str) -> Result<()> {
        let topic = NewTopic::new(name, 1, TopicReplication::Fixed(1)).set("retention.ms", "-1");
        for result in
            futures::executor::block_on(self.admin.create_topics([&topic], &AdminOptions::new()))?
        {
            match result {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((name, code)) => bail!("the topic {name} cannot be created: {code}"),
            }
        }
        Ok(())
    }

    pub(crate) fn delete(&self, name: &str) -> Result<()> {
        for result in
            futures::executor::block_on(self.admin.delete_topics(&[name], &AdminOptions::new()))?
        {
            match result {
                Ok(_) | Err((_, RDKafkaErrorCode::UnknownTopicOrPartition)) => {}
                Err((name, code)) => bail!("the topic {name} cannot be deleted: {code}"),
            }
        }
        Ok(())
    }

    /// Makes and fills a topic with values that `value` writes by number.
    pub(crate) fn fill(
        &self,
        name: &str,
        records: u64,
        value: impl Fn(u64, &mut Vec<u8>),
    ) -> Result<()> {
        self.create(name)?;
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .set("linger.ms", "50")
            .set("batch.num.messages", "10000")
            .set("queue.buffering.max.messages", "500000")
            .create()?;
        let mut bytes = Vec::new();
        for number in 0..records {
            bytes.clear();
            value(number, &mut bytes);
            let mut record = BaseRecord::<(), [u8]>::to(name).payload(&bytes);
            while let Err((error, again)) = producer.send(record) {
                match error {
                    KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) => {
                        producer.poll(Duration::from_millis(50))
                    }
                    error => return Err(error.into()),
                };
                record = again;
            }
        }
        producer.flush(PATIENCE)?;
        let end = self.end(name)?;
        if end != records {
            bail!("{name} holds {end} records instead of {records}");
        }
        Ok(())
    }

    /// The end offset of the topic's one partition; 0 while it does not exist.
    pub(crate) fn end(&self, name: &str) -> Result<u64> {
        let asked = self.watcher.borrow().fetch_watermarks(name, 0, PATIENCE);
        match asked {
            Ok((_, end)) => Ok(u64::try_from(end)?),
            // A client that has once not found a new topic believes so for minutes: the next question goes through another one.
            Err(KafkaError::MetadataFetch(
                RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownPartition
                | RDKafkaErrorCode::UnknownTopic,
            )) => {
                self.watcher.replace(watcher(&self.bootstrap)?);
                Ok(0)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until a topic of one partition holds `records` committed records; the last one is the one that `is_last` knows by key and value.
    /// The end offset does not tell, because the marks of transactions count in it. False: not within `limit`.
    pub(crate) fn arrived(
        &self,
        name: &str,
        records: u64,
        limit: Duration,
        is_last: impl Fn(Option<&[u8]>, &[u8]) -> bool,
    ) -> Result<bool> {
        let start = Instant::now();
        while self.end(name)? < records {
            if start.elapsed() > limit {
                return Ok(false);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .set("group.id", "bench-tail")
            .set("enable.auto.commit", "false")
            .set("isolation.level", "read_committed")
            .create()?;
        let mut list = TopicPartitionList::new();
        // Without any mark the last one has this offset, with marks a greater one.
        list.add_partition_offset(name, 0, Offset::Offset(i64::try_from(records)? - 1))?;
        consumer.assign(&list)?;
        while start.elapsed() < limit {
            if let Some(message) = consumer.poll(Duration::from_millis(20)) {
                let message = message?;
                if is_last(message.key(), message.payload().unwrap_or_default()) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Watches what a consumer group commits for the one partition of a topic.
    pub(crate) fn group(&self, group: &str, topic: &str) -> Result<Group> {
        let asked = ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .create()?;
        let mut partition = TopicPartitionList::new();
        partition.add_partition(topic, 0);
        Ok(Group { asked, partition })
    }

    /// Reads a topic from its beginning to its end and feeds each key and value to `see`.
    pub(crate) fn read(
        &self,
        name: &str,
        mut see: impl FnMut(Option<&[u8]>, &[u8]),
    ) -> Result<u64> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .set("group.id", "bench-read")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .create()?;
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(name, 0, Offset::Beginning)?;
        consumer.assign(&list)?;
        let (mut records, mut heard) = (0, Instant::now());
        loop {
            match consumer.poll(Duration::from_millis(200)) {
                Some(Ok(message)) => {
                    see(message.key(), message.payload().unwrap_or_default());
                    records += 1;
                    heard = Instant::now();
                }
                Some(Err(KafkaError::PartitionEOF(_))) => return Ok(records),
                Some(Err(error)) => return Err(error.into()),
                None if heard.elapsed() > PATIENCE => {
                    bail!("{name} yields nothing for {PATIENCE:?}")
                }
                None => {}
            }
        }
    }

    pub(crate) fn content(&self, name: &str) -> Result<Content> {
        let mut hash = std::hash::DefaultHasher::new();
        let records = self.read(name, |key, value| {
            // Lengths keep ("a", "bc") and ("ab", "c") apart; a missing key is no empty one.
            hash.write_usize(key.map_or(usize::MAX, <[u8]>::len));
            hash.write(key.unwrap_or_default());
            hash.write_usize(value.len());
            hash.write(value);
        })?;
        Ok(Content {
            records,
            hash: hash.finish(),
        })
    }
}

/// A consumer group, seen from outside.
pub(crate) struct Group {
    asked: BaseConsumer,
    partition: TopicPartitionList,
}

impl Group {
    /// The committed offset; 0 while there is none.
    pub(crate) fn committed(&self) -> Result<u64> {
        let committed = self
            .asked
            .committed_offsets(self.partition.clone(), PATIENCE)?;
        let offset = committed
            .elements()
            .first()
            .and_then(|partition| partition.offset().to_raw());
        // Without a commit the number is negative.
        Ok(offset
            .and_then(|offset| u64::try_from(offset).ok())
            .unwrap_or(0))
    }
}

fn watcher(bootstrap: &str) -> Result<BaseConsumer> {
    Ok(ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "bench-watch")
        .set("enable.auto.commit", "false")
        .create()?)
}
