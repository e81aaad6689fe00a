//! What any Kafka broker must do for librdkafka clients. Runs against the embedded broker, or with `KAFKA_BOOTSTRAP` against a real one
//! (log.retention.check.interval.ms=1000, log.cleaner.backoff.ms=500, group.initial.rebalance.delay.ms=0, group.min.session.timeout.ms=500).

#[path = "conformance/groups.rs"]
mod groups;
#[path = "conformance/kafka.rs"]
mod kafka;
#[path = "conformance/member.rs"]
mod member;
#[path = "conformance/records.rs"]
mod records;
#[path = "conformance/topics.rs"]
mod topics;
#[path = "conformance/transactions.rs"]
mod transactions;
