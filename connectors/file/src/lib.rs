//! Lines of files, as a source and as a sink.
//!
//! Every call that touches the disk runs on tokio's blocking threads, once per batch: a read that the page cache answers takes some
//! microseconds, but a network file system or a full write-back queue may hold a thread for seconds, which the runtime's own
//! threads cannot afford. (`block_in_place` would need the multi-threaded runtime and saves little at one call per batch.)

mod claim;
mod client;
mod config;
mod json;
mod ledger;
mod lines;
mod render;
mod sink;
mod source;
mod tail;
mod target;

pub use config::{Format, SinkConfig, SourceConfig};
pub use sink::{FileSink, FileSinkTask};
pub use source::{FileSource, FileSourceTask};
