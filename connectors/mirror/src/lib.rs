//! Copies topics of another Kafka cluster, undecoded.
