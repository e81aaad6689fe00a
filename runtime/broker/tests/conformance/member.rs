//! A group member on a thread of its own.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Result, anyhow};
use rdkafka::ClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::kafka::{Kafka, Record, eventually};

/// Counts revocations.
#[derive(Clone, Default)]
struct Rebalances(Arc<AtomicUsize>);

impl ClientContext for Rebalances {
    fn error(&self, _: KafkaError, _: &str) {}
    fn log(&self, _: rdkafka::config::RDKafkaLogLevel, _: &str, _: &str) {}
}

impl ConsumerContext for Rebalances {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if matches!(rebalance, Rebalance::Revoke(_)) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// What the thread tells.
#[derive(Default)]
struct Seen {
    records: Mutex<Vec<Record>>,
    assigned: AtomicUsize,
    stop: AtomicBool,
}

/// A member that polls until it is stopped; then it commits and leaves.
pub(crate) struct Member {
    seen: Arc<Seen>,
    rebalances: Rebalances,
    thread: JoinHandle<Result<()>>,
}

impl Member {
    pub(crate) fn start(
        kafka: &Kafka,
        topic: &str,
        group: &str,
        extra: &[(&str, &str)],
    ) -> Result<Member> {
        let mut config = kafka.config(&[
            ("group.id", group),
            ("auto.offset.reset", "earliest"),
            ("enable.auto.commit", "false"),
            ("session.timeout.ms", "6000"),
            ("heartbeat.interval.ms", "500"),
            ("fetch.wait.max.ms", "100"),
            ("topic.metadata.refresh.interval.ms", "2000"),
        ]);
        for (key, value) in extra {
            config.set(*key, *value);
        }
        let rebalances = Rebalances::default();
        let consumer: BaseConsumer<Rebalances> = config.create_with_context(rebalances.clone())?;
        consumer.subscribe(&[topic])?;
        let seen = Arc::new(Seen::default());
        let tells = seen.clone();
        let thread = std::thread::spawn(move || poll(&consumer, &tells));
        Ok(Member {
            seen,
            rebalances,
            thread,
        })
    }

    pub(crate) fn assigned(&self) -> usize {
        self.seen.assigned.load(Ordering::SeqCst)
    }

    pub(crate) fn revocations(&self) -> usize {
        self.rebalances.0.load(Ordering::SeqCst)
    }

    pub(crate) fn records(&self) -> Vec<Record> {
        self.seen
            .records
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn stop(self) -> Result<()> {
        self.seen.stop.store(true, Ordering::SeqCst);
        self.thread
            .join()
            .map_err(|_| anyhow!("a member panicked"))?
    }
}

fn poll(consumer: &BaseConsumer<Rebalances>, seen: &Seen) -> Result<()> {
    while !seen.stop.load(Ordering::SeqCst) {
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(50)) {
            seen.records
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(Record::of(&message));
        }
        seen.assigned
            .store(consumer.assignment()?.count(), Ordering::SeqCst);
    }
    match consumer.commit_consumer_state(CommitMode::Sync) {
        Ok(()) | Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => {}
        Err(error) => return Err(error.into()),
    }
    consumer.unsubscribe();
    Ok(())
}

/// Waits until the members hold exactly so many partitions.
pub(crate) fn split(members: &[&Member], shares: &[usize]) -> Result<()> {
    eventually(&format!("the split {shares:?}"), || {
        Ok(members
            .iter()
            .map(|m| m.assigned())
            .eq(shares.iter().copied()))
    })
}
