//! Real servers for tests and benches: fetched once into the build cache, started on free loopback ports, gone when dropped.

mod certificates;
mod connect;
mod http;
mod jars;
mod kafka;
mod leash;
mod oidc;
mod port;
mod postgres;
mod proxy;
mod secured;

pub use certificates::{Authority, Identity};
pub use connect::{Connect, ConnectOptions};
pub use http::{Answer, http, http_status, http_with_head};
pub use jars::{debezium_jdbc_plugins, kafka_jars};
pub use kafka::{Kafka, KafkaOptions, Listener};
pub use leash::{Leashed, Signal, command};
pub use oidc::{TokenAnswer, TokenServer};
pub use port::{free_port, wait_until};
pub use postgres::{Postgres, PostgresOptions, PostgresTls};
pub use proxy::{Hold, Holding, Proxy};
pub use secured::SecuredKafka;
