//! The contract between Longshore and a connector, a transform or a converter.
//!
//! Plain data and traits: no engine, no broker client, no clock, no async runtime. A connector crate depends on this crate alone.
//! Kafka Connect's words are used throughout; *lane* is its source partition and *share* is one task's part of the work.

#![warn(missing_docs)]

pub mod calendar;
pub mod config;
pub mod connector;
pub mod converter;
#[doc(hidden)]
pub mod crash_point;
pub mod erased;
pub mod error;
pub mod json;
pub mod literal;
#[doc(hidden)]
pub mod mutant;
pub mod offset;
pub mod record;
pub mod schema;
pub mod secret;
pub mod sink;
pub mod source;
pub mod stop;
pub mod transform;
pub mod value;

pub use connector::{
    Capabilities, Direction, Guarantee, Level, Plugin, Share, SinkConnector, SourceConnector,
};
pub use converter::Converter;
pub use error::{Error, ErrorKind, Refused, Result};
pub use offset::{
    Offset, Offsets, Partition, STATE_MAX, TopicOffset, TopicOffsets, TopicPartition, TopicStates,
};
pub use record::{Datum, Header, Headers, Record, SinkRecord, SourceRecord, Topic};
pub use schema::{Field, Kind, Schema};
pub use secret::Secret;
pub use sink::{Sink, SinkContext};
pub use source::{Source, SourceContext};
pub use stop::Stop;
pub use transform::{Predicate, Transform, Verdict};
pub use value::{Decimal, Value};
