//! Positions: of a source in its lanes, of a consumer in its partitions.

use crate::{Error, Result, Topic};
use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use std::{collections::BTreeMap, fmt};

/// A lane of a source within which order holds (a file, a table, a shard): Kafka Connect's source partition.
///
/// It is compact JSON text (an object) in the connector's own field order: the bytes are the key in the offsets topic.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition(Bytes);

impl Partition {
    /// The lane that `value` serializes to; `value` must serialize to a JSON object.
    pub fn new(value: &impl Serialize) -> Result<Self> {
        to_json(value, "partition").map(Self)
    }
    /// The lane whose JSON text is given byte for byte, as it was stored.
    pub fn from_json(json: Bytes) -> Self {
        Self(json)
    }
    /// The compact JSON text.
    pub fn json(&self) -> &Bytes {
        &self.0
    }
    /// Reads the lane as a typed value.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T> {
        parse(&self.0, "partition")
    }
}

impl fmt::Debug for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

/// Where a lane stands: opaque to the engine, stored and handed back, never interpreted.
#[derive(Clone)]
pub struct Offset(Repr);

/// A counter is printed only when it is stored, once per commit instead of once per record.
#[derive(Clone)]
enum Repr {
    Json(Bytes),
    Counter(&'static str, u64),
}

impl Offset {
    /// The offset that `value` serializes to; `value` must serialize to a JSON object.
    pub fn new(value: &impl Serialize) -> Result<Self> {
        Ok(Self(Repr::Json(to_json(value, "offset")?)))
    }
    /// `{"<field>":<position>}`, without an allocation per record.
    pub fn counter(field: &'static str, position: u64) -> Self {
        Self(Repr::Counter(field, position))
    }
    /// The offset whose JSON text is given byte for byte, as it was stored.
    pub fn from_json(json: Bytes) -> Self {
        Self(Repr::Json(json))
    }
    /// The compact JSON text.
    pub fn json(&self) -> Bytes {
        match &self.0 {
            Repr::Json(json) => json.clone(),
            Repr::Counter(field, position) => Bytes::from(format!("{{\"{field}\":{position}}}")),
        }
    }
    /// A rough size in bytes, for limits.
    pub fn size(&self) -> usize {
        // The longest position has 20 digits.
        match &self.0 {
            Repr::Json(json) => json.len(),
            Repr::Counter(field, _) => field.len() + 25,
        }
    }
    /// Reads the offset as a typed value.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T> {
        parse(&self.json(), "offset")
    }
}

impl PartialEq for Offset {
    fn eq(&self, other: &Self) -> bool {
        self.json() == other.json()
    }
}
impl Eq for Offset {}

impl fmt::Debug for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.json()))
    }
}

/// The newest safe offset of each lane.
pub type Offsets = BTreeMap<Partition, Offset>;

/// A partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic.
    pub topic: Topic,
    /// The partition's number.
    pub partition: i32,
}

impl TopicPartition {
    /// `topic`-`partition`.
    pub fn new(topic: impl Into<Topic>, partition: i32) -> Self {
        Self {
            topic: topic.into(),
            partition,
        }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// A record's place in a topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicOffset {
    /// The topic it was read from.
    pub topic: Topic,
    /// The partition it was read from.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
}

impl TopicOffset {
    /// The partition without the offset.
    pub fn topic_partition(&self) -> TopicPartition {
        TopicPartition {
            topic: self.topic.clone(),
            partition: self.partition,
        }
    }
}

impl fmt::Display for TopicOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}@{}", self.topic, self.partition, self.offset)
    }
}

/// For each partition the offset of the *next* record to read, as Kafka commits it.
pub type TopicOffsets = BTreeMap<TopicPartition, i64>;

/// The longest state of a partition, in bytes. Brokers take 4,096 of metadata with an offset by default (`offset.metadata.max.bytes`).
pub const STATE_MAX: usize = 3 * 1024;

/// For some partitions the state that a sink keeps with the committed offset: text of at most [`STATE_MAX`] bytes; an empty one is none.
pub type TopicStates = BTreeMap<TopicPartition, String>;

fn to_json(value: &impl Serialize, op: &'static str) -> Result<Bytes> {
    match serde_json::to_vec(value) {
        Ok(json) if json.first() == Some(&b'{') => Ok(Bytes::from(json)),
        Ok(_) => Err(Error::bug(op, "it must serialize to a JSON object")),
        Err(error) => Err(Error::bug(op, "it does not serialize to JSON").because(error)),
    }
}

fn parse<T: DeserializeOwned>(json: &[u8], op: &'static str) -> Result<T> {
    serde_json::from_slice(json).map_err(|error| {
        let text = String::from_utf8_lossy(json);
        Error::config(
            op,
            format!(
                "the stored {op} {text} has another shape: alter or reset the connector's offsets"
            ),
        )
        .because(error)
    })
}
