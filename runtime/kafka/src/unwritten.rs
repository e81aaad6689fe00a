//! Why records could not be written in time: the library only says that their time is over.

use crate::{admin::Admin, errors};
use longshore_sdk::{Error, ErrorKind};
use rdkafka::admin::ResourceSpecifier;

const MINIMUM: &str = "min.insync.replicas";

impl Admin {
    /// A time-out of a write to `topic`, explained by what the brokers say of the topic now; any other error as it is.
    pub(crate) async fn why_unwritten(&self, error: Error, topic: &str) -> Error {
        let timed_out = matches!(
            errors::code(&error),
            Some(
                "MessageTimedOut"
                    | "PurgeQueue"
                    | "PurgeInflight"
                    | "NotEnoughReplicas"
                    | "NotEnoughReplicasAfterAppend"
                    // Of a transaction whose records, or the marks of whose end, are not taken.
                    | "OperationTimedOut"
                    | "ConcurrentTransactions"
            )
        );
        if error.kind() != ErrorKind::Transient || !timed_out {
            return error;
        }
        match self.fault(topic).await {
            Some(text) => Error::transient(error.op(), text)
                .with("topic", topic)
                .because(error),
            None => error,
        }
    }

    async fn fault(&self, topic: &str) -> Option<String> {
        let replicas = self.in_sync_replicas(topic).await.ok()??;
        let resource = ResourceSpecifier::Topic(topic);
        let minimum = self.config_value(resource, MINIMUM).await.ok()?;
        told(topic, replicas, minimum?.parse().ok()?)
    }
}

/// What keeps the topic from taking records; `replicas` are the in-sync ones, none = no leader.
fn told(topic: &str, replicas: Option<usize>, minimum: usize) -> Option<String> {
    match replicas {
        None => Some(format!(
            "a partition of the topic {topic} has no leader: the brokers that hold it are down"
        )),
        Some(replicas) if replicas < minimum => Some(format!(
            "the topic {topic} has {replicas} in-sync replicas and wants {minimum} ({MINIMUM}): bring the other brokers back, add replicas, or lower {MINIMUM} of the topic"
        )),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_that_are_away_are_told_and_nothing_else() {
        let few = told("configs", Some(1), 2).expect("too few");
        for part in ["configs", "1 in-sync", "wants 2", "min.insync.replicas"] {
            assert!(few.contains(part), "{few}");
        }
        assert_eq!(told("configs", Some(2), 2), None);
        assert!(
            told("configs", None, 1)
                .expect("none")
                .contains("no leader")
        );
    }
}
