//! The settings of both connectors; the keys of the connection, which they share, are in `client`.

pub use crate::{sink::SinkConfig, source::SourceConfig};
