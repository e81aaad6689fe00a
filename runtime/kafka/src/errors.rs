//! The client's errors, turned into the contract's kinds. This is the only place where that is decided.

use longshore_sdk::{Error, ErrorKind};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

/// The kind that decides what the engine does about `code`.
pub(crate) fn kind(code: Code) -> ErrorKind {
    match code {
        Code::Authentication
        | Code::SaslAuthenticationFailed
        | Code::SSL
        | Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed
        | Code::DelegationTokenAuthorizationFailed
        | Code::DelegationTokenExpired
        | Code::UnacceptableCredential => ErrorKind::Auth,
        Code::MessageSizeTooLarge
        | Code::InvalidMessageSize
        | Code::InvalidMessage
        | Code::InvalidRecord
        | Code::InvalidTimestamp
        | Code::InvalidDifferentRecord => ErrorKind::Data,
        Code::ProducerFenced
        | Code::InvalidProducerEpoch
        | Code::TransactionCoordinatorFenced
        | Code::Fenced
        | Code::FencedInstanceId
        | Code::FencedMemberEpoch
        | Code::InvalidProducerIdMapping => ErrorKind::Fenced,
        Code::ThrottlingQuotaExceeded => ErrorKind::Throttled(None),
        Code::UnknownTopic
        | Code::UnknownTopicOrPartition
        | Code::UnknownPartition
        | Code::InvalidTopic
        | Code::InvalidPartitions
        | Code::InvalidReplicationFactor
        | Code::InvalidConfig
        | Code::InvalidSessionTimeout
        | Code::InvalidTransactionTimeout
        | Code::InvalidGroupId
        | Code::InconsistentGroupProtocol
        | Code::PolicyViolation
        | Code::UnsupportedSASLMechanism
        | Code::UnsupportedCompressionType
        | Code::UnsupportedVersion
        | Code::UnsupportedFeature
        | Code::AutoOffsetReset
        | Code::OffsetMetadataTooLarge
        | Code::InvalidArgument => ErrorKind::Config,
        Code::State | Code::Conflict => ErrorKind::Bug,
        _ => ErrorKind::Transient,
    }
}

/// Whether a broker did not let us in, rather than a right that is missing.
pub(crate) fn is_login(code: Code) -> bool {
    matches!(code, Code::Authentication | Code::SaslAuthenticationFailed)
}

/// What a broker says of a client's certificate that it does not take, as the library quotes it.
const CERTIFICATE_ALERTS: [&str; 6] = [
    "alert certificate required",
    "alert bad certificate",
    "alert unknown ca",
    "alert certificate expired",
    "alert certificate revoked",
    "alert certificate unknown",
];

/// Whether an event of the client means that we are not let in, as the code that says so. Two things the library's own code has not: since TLS
/// 1.3 a broker refuses a certificate after the handshake, which looks like a lost connection; and a connection that is lost amid a login looks
/// like a refusal.
pub(crate) fn refusal(code: Code, reason: &str) -> Option<Code> {
    match code {
        Code::BrokerTransportFailure => {
            let refused = CERTIFICATE_ALERTS
                .iter()
                .any(|alert| reason.contains(alert));
            refused.then_some(Code::SSL)
        }
        _ if is_login(code) && reason.contains("handshake failed: Local: ") => None,
        _ => (kind(code) == ErrorKind::Auth).then_some(code),
    }
}

/// What to do about `code`; empty if the client's own words say it.
fn advice(code: Code) -> &'static str {
    match code {
        Code::MessageSizeTooLarge => {
            "raise max.request.size of the producer (producer.override.max.request.size) and max.message.bytes of the topic (message.max.bytes of the broker), or write smaller records"
        }
        Code::UnknownTopic | Code::UnknownTopicOrPartition => {
            "create the topic, or let the broker create topics"
        }
        Code::UnknownPartition => {
            "the topic has fewer partitions than the record asks for: add partitions"
        }
        Code::Authentication | Code::SaslAuthenticationFailed => {
            "check security.protocol, sasl.mechanism and the credentials"
        }
        Code::SSL => "check security.protocol and the ssl.* keys",
        Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed => "grant the principal the missing right",
        Code::AllBrokersDown | Code::BrokerTransportFailure | Code::Resolve => {
            "check bootstrap.servers and the network"
        }
        Code::OffsetMetadataTooLarge => {
            "raise offset.metadata.max.bytes of the brokers: a sink's state, of up to 3 KiB, stands beside its offset"
        }
        Code::InvalidRecord => "a compacted topic takes no record without a key",
        Code::AutoOffsetReset => {
            "there is no committed offset and auto.offset.reset says error: set it, or set the group's offsets"
        }
        Code::InconsistentGroupProtocol => {
            "the group is used by another kind of member: stop it first or take another group.id"
        }
        _ => "",
    }
}

/// `code` as an error of the operation `op`; `detail` is the client's or broker's own text.
pub(crate) fn coded(op: &'static str, code: Code, detail: &str) -> Error {
    let mut text = if detail.is_empty() {
        code.to_string()
    } else {
        detail.to_owned()
    };
    let advice = advice(code);
    if !advice.is_empty() {
        text.push_str(": ");
        text.push_str(advice);
    }
    Error::new(kind(code), op, text).with("code", format!("{code:?}"))
}

/// Any error of the client library.
pub(crate) fn from_client(op: &'static str, error: KafkaError) -> Error {
    match error {
        KafkaError::ClientConfig(_, description, key, _) => {
            // The value may be a secret (I8), and the library's description quotes most of them.
            let range = description
                .find("outside allowed range")
                .map(|at| &description[at..]);
            let problem = range.unwrap_or("the client does not take this value");
            Error::config(op, format!("{key}: {problem}")).with("key", key)
        }
        KafkaError::ClientCreation(text) => Error::config(op, text),
        KafkaError::Nul(_) => Error::config(op, "a name holds a NUL character"),
        KafkaError::Transaction(inner) => {
            let code = inner.code();
            let error = coded(op, code, &inner.string());
            // A fatal error that names no fence still leaves the producer unusable: the caller builds a new one.
            if inner.is_fatal() && error.kind() == ErrorKind::Bug {
                return Error::transient(op, inner.string()).with("code", format!("{code:?}"));
            }
            error
        }
        other => match other.rdkafka_error_code() {
            Some(code) => coded(op, code, ""),
            None => Error::transient(op, other.to_string()),
        },
    }
}

/// Why a transactional id could not be had, as far as somebody can do something about it. `error` comes from opening or using the id `id`.
pub(crate) fn transactional(error: Error, id: &str) -> Error {
    let op = error.op();
    let (kind, text) = match code(&error) {
        Some("TransactionalIdAuthorizationFailed") => (
            ErrorKind::Auth,
            format!(
                "the principal may not use the transactional id {id}: grant it Write and Describe on TransactionalId {id} (kafka-acls.sh --add --allow-principal User:.. --operation Write --operation Describe --transactional-id {id})"
            ),
        ),
        Some("ClusterAuthorizationFailed") => (
            ErrorKind::Auth,
            format!(
                "the principal may not write with the transactional id {id}: brokers before Kafka 2.8 want IdempotentWrite on the Cluster as well"
            ),
        ),
        Some("UnsupportedFeature" | "UnsupportedVersion") => (
            ErrorKind::Config,
            format!(
                "the brokers know no transactions, which the transactional id {id} needs: Kafka 0.11 or newer, or a compatible broker with transactions"
            ),
        ),
        Some("InvalidTransactionTimeout") => (
            ErrorKind::Config,
            "transaction.timeout.ms is larger than the brokers' transaction.max.timeout.ms: lower it"
                .to_owned(),
        ),
        // The library asks again and again until its time is over.
        Some("OperationTimedOut" | "CoordinatorNotAvailable") if op == "init" => (
            ErrorKind::Transient,
            format!(
                "the brokers' coordinator for the transactional id {id} does not answer: a broker may be down, or the cluster has fewer brokers than its transaction.state.log.replication.factor (3 by default) or transaction.state.log.min.isr want"
            ),
        ),
        _ => return error,
    };
    Error::new(kind, op, text)
        .with("transactional.id", id)
        .because(error)
}

/// The library's name for what went wrong.
pub(crate) fn code(error: &Error) -> Option<&str> {
    let mut context = error.context().iter();
    let (_, value) = context.find(|(name, _)| *name == "code")?;
    Some(value)
}

/// A record that is larger than the client or broker takes.
pub(crate) fn too_large(topic: &str, size: usize) -> Error {
    coded("send", Code::MessageSizeTooLarge, "the record is too large")
        .with("topic", topic)
        .with("size", size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rdkafka::{config::FromClientConfig, consumer::BaseConsumer};

    #[test]
    fn a_lost_connection_is_no_refusal_and_a_refused_certificate_is() {
        let lost = "SASL PLAIN mechanism handshake failed: Local: Broker transport failure: broker's supported mechanisms: (n/a)";
        assert_eq!(refusal(Code::Authentication, lost), None);
        assert_eq!(refusal(Code::BrokerTransportFailure, "Disconnected"), None);
        let wrong = "SASL authentication error: Authentication failed";
        assert_eq!(
            refusal(Code::Authentication, wrong),
            Some(Code::Authentication)
        );
        let alert = "Receive failed: error:0A000412:SSL routines::sslv3 alert bad certificate: SSL alert number 42";
        assert_eq!(
            refusal(Code::BrokerTransportFailure, alert),
            Some(Code::SSL)
        );
    }

    #[test]
    fn a_setting_that_the_client_refuses_is_named_without_its_value() {
        let opened = |key: &str, value: &str| {
            let mut config = rdkafka::ClientConfig::new();
            config.set(key, value);
            let error =
                BaseConsumer::<rdkafka::consumer::DefaultConsumerContext>::from_config(&config);
            from_client("open", error.err().expect("refused"))
        };
        for key in [
            "fetch.min.bytes",
            "isolation.level",
            "check.crcs",
            "client.dns.lookup",
        ] {
            let error = opened(key, "canary-5ecret");
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.message().starts_with(key), "{error}");
            assert!(
                !format!("{error:?}").contains("canary-5ecret"),
                "I8: {error:?}"
            );
        }
        let error = opened("session.timeout.ms", "0");
        assert!(
            error.message().contains("outside allowed range 1..3600000"),
            "{error}"
        );
    }

    #[test]
    fn a_transactional_id_that_cannot_be_had_is_named_with_what_to_do() {
        let id = "connect-cluster-g";
        let told = |op, code| transactional(coded(op, code, ""), id);
        for (op, code, kind, part) in [
            (
                "init",
                Code::TransactionalIdAuthorizationFailed,
                ErrorKind::Auth,
                "Write and Describe",
            ),
            (
                "init",
                Code::ClusterAuthorizationFailed,
                ErrorKind::Auth,
                "IdempotentWrite",
            ),
            (
                "init",
                Code::UnsupportedFeature,
                ErrorKind::Config,
                "know no transactions",
            ),
            (
                "init",
                Code::InvalidTransactionTimeout,
                ErrorKind::Config,
                "transaction.max.timeout.ms",
            ),
            (
                "init",
                Code::OperationTimedOut,
                ErrorKind::Transient,
                "transaction.state.log",
            ),
        ] {
            let error = told(op, code);
            assert_eq!(error.kind(), kind);
            assert!(error.message().contains(part), "{error}");
            assert!(error.to_string().contains(id), "{error}");
        }
        let fenced = told("commit", Code::ProducerFenced);
        assert_eq!(fenced.kind(), ErrorKind::Fenced);
        let late = told("commit", Code::OperationTimedOut);
        assert!(!late.message().contains("transaction.state.log"), "{late}");
    }
}
