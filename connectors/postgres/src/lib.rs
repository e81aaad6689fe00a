//! Tables of Postgres, as a source and as a sink.
//!
//! What both directions need of a server lives in `client`: settings, sessions, errors, names and the catalogue.

mod client;
mod config;
mod sink;
mod source;

pub use config::{SinkConfig, SourceConfig};
pub use sink::{PostgresSink, PostgresSinkTask};
pub use source::{PostgresSource, PostgresSourceTask};
