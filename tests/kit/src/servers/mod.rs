//! Real servers for tests and benches: fetched once into the build cache, started on free loopback ports, gone when dropped.

mod connect;
mod http;
mod jars;
mod kafka;
mod leash;
mod port;

pub use connect::{Connect, ConnectOptions};
pub use http::{Answer, http, http_status};
pub use jars::kafka_jars;
pub use kafka::{Kafka, KafkaOptions};
pub use leash::{Leashed, Signal, command};
pub use port::{free_port, wait_until};
