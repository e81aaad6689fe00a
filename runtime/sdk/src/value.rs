//! Decoded data.

use bytes::Bytes;

/// A decoded value. Which logical type is meant stands in the value itself, so that schemaless data keeps it.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Null.
    Null,
    /// A boolean.
    Bool(bool),
    /// 8 bits, signed.
    Int8(i8),
    /// 16 bits, signed.
    Int16(i16),
    /// 32 bits, signed.
    Int32(i32),
    /// 64 bits, signed.
    Int64(i64),
    /// Single precision.
    Float32(f32),
    /// Double precision.
    Float64(f64),
    /// UTF-8 text.
    String(String),
    /// Bytes.
    Bytes(Bytes),
    /// Items in order.
    Array(Vec<Value>),
    /// Entries in order; keys of schemaless JSON are strings.
    Map(Vec<(Value, Value)>),
    /// Field values in the order of the schema's fields.
    Struct(Vec<Value>),
    /// `org.apache.kafka.connect.data.Decimal`.
    Decimal(Decimal),
    /// `org.apache.kafka.connect.data.Date`: milliseconds since the Unix epoch, at midnight UTC.
    Date(i64),
    /// `org.apache.kafka.connect.data.Time`: milliseconds since midnight.
    Time(i64),
    /// `org.apache.kafka.connect.data.Timestamp`: milliseconds since the Unix epoch.
    Timestamp(i64),
}

/// An exact decimal: `unscaled * 10^-scale`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decimal {
    /// The unscaled integer, big-endian two's complement, at least one byte.
    pub unscaled: Bytes,
    /// Digits after the decimal point; may be negative.
    pub scale: i32,
}

impl Value {
    /// The name of its type, for messages; the words are those of [`crate::Kind::name`].
    pub fn name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Int8(_) => "int8",
            Self::Int16(_) => "int16",
            Self::Int32(_) => "int32",
            Self::Int64(_) => "int64",
            Self::Float32(_) => "float",
            Self::Float64(_) => "double",
            Self::String(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::Array(_) => "array",
            Self::Map(_) => "map",
            Self::Struct(_) => "struct",
            Self::Decimal(_) => "decimal",
            Self::Date(_) => "date",
            Self::Time(_) => "time",
            Self::Timestamp(_) => "timestamp",
        }
    }
    /// The entry of a map whose key is the string `name`.
    pub fn get(&self, name: &str) -> Option<&Value> {
        let Self::Map(entries) = self else {
            return None;
        };
        entries
            .iter()
            .find(|(key, _)| matches!(key, Self::String(text) if text == name))
            .map(|(_, value)| value)
    }
    /// A rough size in bytes, for limits.
    pub fn size(&self) -> usize {
        match self {
            Self::Null | Self::Bool(_) | Self::Int8(_) => 1,
            Self::Int16(_) => 2,
            Self::Int32(_) | Self::Float32(_) => 4,
            Self::Int64(_)
            | Self::Float64(_)
            | Self::Date(_)
            | Self::Time(_)
            | Self::Timestamp(_) => 8,
            Self::String(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            Self::Decimal(decimal) => decimal.unscaled.len() + 4,
            Self::Array(items) | Self::Struct(items) => items.iter().map(Self::size).sum(),
            Self::Map(entries) => entries
                .iter()
                .map(|(key, value)| key.size() + value.size())
                .sum(),
        }
    }
}
