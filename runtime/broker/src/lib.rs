//! The embedded development broker: one node that speaks Kafka's protocol over TCP, for a quick start and for tests.
//! Never for production: there is one replica, no authentication, and data reaches the disk when the system sees fit.
//!
//! ```no_run
//! # async fn f() -> Result<(), longshore_broker::Error> {
//! let broker = longshore_broker::Broker::start(longshore_broker::Config {
//!     data_dir: Some("data/broker".into()),
//!     ..Default::default()
//! })
//! .await?;
//! println!("bootstrap.servers={}", broker.bootstrap());
//! broker.shutdown().await;
//! # Ok(()) }
//! ```

mod api;
mod cleaner;
mod clock;
mod config;
mod dispatch;
mod groups;
mod log;
mod node;
mod server;
mod settings;
mod shape;
mod start;
mod store;
mod topics;
mod txn;

pub use config::{Config, Limits};
pub use start::{Broker, Error};
