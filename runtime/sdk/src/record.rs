//! Records as they travel through a task.

use crate::{Offset, Partition, Schema, TopicOffset, Value};
use bytes::Bytes;
use std::sync::Arc;

/// A topic's name; cloned without copying.
pub type Topic = Arc<str>;

/// A key, a value or a header's value. It is decoded only when something must look inside.
#[derive(Clone, Debug, PartialEq, Default)]
pub enum Datum {
    /// Nothing; as a value it is a tombstone.
    #[default]
    Null,
    /// Opaque bytes, as they are on the wire.
    Bytes(Bytes),
    /// Valid UTF-8 JSON text without a schema, kept as text: passed on, spliced or read lazily.
    /// It holds exactly one JSON value other than `null` (that is [`Datum::Null`]).
    Json(Bytes),
    /// Valid UTF-8 text: a schemaless string kept as a slice of the buffer that it was read into.
    Text(Bytes),
    /// Decoded data; a schema if the converter or source knows one.
    Value(Value, Option<Arc<Schema>>),
}

impl Datum {
    /// A schemaless string.
    pub fn string(text: impl Into<String>) -> Self {
        Self::Value(Value::String(text.into()), None)
    }
    /// True for [`Datum::Null`] and for a decoded null.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null | Self::Value(Value::Null, _))
    }
    /// A rough size in bytes, for limits.
    pub fn size(&self) -> usize {
        match self {
            Self::Null => 0,
            Self::Bytes(bytes) | Self::Json(bytes) | Self::Text(bytes) => bytes.len(),
            Self::Value(value, _) => value.size(),
        }
    }
}

/// One header; names may repeat, order is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    /// The header's name.
    pub key: Arc<str>,
    /// Its value; [`Datum::Bytes`] on the wire side of a header converter.
    pub value: Datum,
}

/// A record's headers in order; empty costs no allocation.
pub type Headers = Vec<Header>;

/// What is written to, or was read from, a topic.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The topic; transforms may change it.
    pub topic: Topic,
    /// The topic's partition; `None` lets the producer choose by key.
    pub partition: Option<i32>,
    /// The key.
    pub key: Datum,
    /// The value; null is a tombstone.
    pub value: Datum,
    /// The headers.
    pub headers: Headers,
    /// Milliseconds since the Unix epoch; `None` lets the broker or producer set it.
    pub timestamp: Option<i64>,
    /// The offset that it was read at, of a record on its way to a sink; `None` on its way to a topic.
    pub offset: Option<i64>,
}

impl Record {
    /// A record for `topic` with everything else empty.
    pub fn new(topic: Topic) -> Self {
        Self {
            topic,
            partition: None,
            key: Datum::Null,
            value: Datum::Null,
            headers: Headers::new(),
            timestamp: None,
            offset: None,
        }
    }
    /// A rough size in bytes, for limits.
    pub fn size(&self) -> usize {
        let headers: usize = self
            .headers
            .iter()
            .map(|h| h.key.len() + h.value.size())
            .sum();
        self.key.size() + self.value.size() + headers
    }
}

/// A record read from a source, with the place to go on from once it is delivered.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceRecord {
    /// The record.
    pub record: Record,
    /// Its lane: order holds within it.
    pub lane: Partition,
    /// Where reading goes on after this record.
    pub offset: Offset,
}

/// A record read from a topic, with the place it was read at.
#[derive(Clone, Debug, PartialEq)]
pub struct SinkRecord {
    /// The record; transforms may have changed its topic.
    pub record: Record,
    /// Where it was read: the original topic, partition and offset.
    pub at: TopicOffset,
}
