//! One value of a record, whatever it came as: JSON text that nobody decoded, or decoded data with what its schema says.

use longshore_sdk::{Decimal, Schema, Value, json::parse_name, schema::logical};
use std::borrow::Cow;

/// A value, borrowed from the batch.
#[derive(Clone, Debug)]
pub(crate) enum Cell<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Float(f32),
    Double(f64),
    /// The text of a JSON number.
    Number(&'a str),
    Text(Cow<'a, str>),
    Bytes(&'a [u8]),
    Decimal(&'a Decimal),
    /// Days since the Unix epoch.
    Date(i64),
    /// Microseconds since midnight.
    Time(i64),
    /// Microseconds since the Unix epoch.
    Timestamp(i64),
    /// Later, or earlier, than every other time.
    Infinity {
        negative: bool,
    },
    /// Microseconds.
    Duration(i64),
    /// The text of a JSON object or array.
    Json(&'a [u8]),
    /// JSON text that came as a string.
    JsonText(Cow<'a, str>),
    /// An array, map or struct.
    Nested(&'a Value, Option<&'a Schema>),
}

impl<'a> Cell<'a> {
    /// Reads the text of one valid JSON value; strings are copied only if they hold escapes.
    pub(crate) fn of_json(text: &'a [u8]) -> Self {
        match text.first() {
            Some(b'"') => {
                let raw = &text[1..text.len() - 1];
                if memchr::memchr(b'\\', raw).is_some() {
                    return Self::Text(Cow::Owned(parse_name(raw)));
                }
                // The converter has checked the encoding; text of a careless source gets marks in place of what is broken.
                Self::Text(String::from_utf8_lossy(raw))
            }
            Some(b'{' | b'[') => Self::Json(text),
            Some(b't') => Self::Bool(true),
            Some(b'f') => Self::Bool(false),
            Some(b'-' | b'0'..=b'9') => match std::str::from_utf8(text) {
                Ok(number) => Self::Number(number),
                Err(_) => Self::Null,
            },
            _ => Self::Null,
        }
    }

    /// Reads decoded data; the schema's name tells what plain integers and strings mean.
    pub(crate) fn of_value(value: &'a Value, schema: Option<&'a Schema>) -> Self {
        if let Some(name) = schema.and_then(|schema| schema.name.as_deref())
            && let Some(cell) = Self::semantic(name, value)
        {
            return cell;
        }
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Int8(number) => Self::Int(i64::from(*number)),
            Value::Int16(number) => Self::Int(i64::from(*number)),
            Value::Int32(number) => Self::Int(i64::from(*number)),
            Value::Int64(number) => Self::Int(*number),
            Value::Float32(number) => Self::Float(*number),
            Value::Float64(number) => Self::Double(*number),
            Value::String(text) => Self::Text(Cow::Borrowed(text)),
            Value::Bytes(bytes) => Self::Bytes(bytes),
            Value::Array(_) | Value::Map(_) | Value::Struct(_) => Self::Nested(value, schema),
            Value::Decimal(decimal) => Self::Decimal(decimal),
            Value::Date(ms) => Self::Date(ms.div_euclid(86_400_000)),
            Value::Time(ms) => Self::micros(*ms, 1000, Self::Time),
            Value::Timestamp(ms) => Self::timestamp(*ms, 1000),
        }
    }

    /// Debezium's names for what Connect's types cannot say; `None`: the value is what it looks like.
    fn semantic(name: &str, value: &'a Value) -> Option<Self> {
        let number = match value {
            Value::Int32(number) => Some(i64::from(*number)),
            Value::Int64(number) => Some(*number),
            _ => None,
        };
        Some(match (name, number, value) {
            (logical::DATE | "io.debezium.time.Date", Some(days), _) => match days {
                // How drivers of the JVM write infinite dates.
                2_147_483_647 => Self::Infinity { negative: false },
                -2_147_483_648 => Self::Infinity { negative: true },
                days => Self::Date(days),
            },
            (logical::TIME | "io.debezium.time.Time", Some(ms), _) => {
                Self::micros(ms, 1000, Self::Time)
            }
            ("io.debezium.time.MicroTime", Some(us), _) => Self::Time(us),
            ("io.debezium.time.NanoTime", Some(ns), _) => Self::Time(ns.div_euclid(1000)),
            (logical::TIMESTAMP | "io.debezium.time.Timestamp", Some(ms), _) => {
                Self::timestamp(ms, 1000)
            }
            ("io.debezium.time.MicroTimestamp", Some(us), _) => Self::timestamp(us, 1),
            ("io.debezium.time.NanoTimestamp", Some(ns), _) => {
                Self::timestamp(ns.div_euclid(1000), 1)
            }
            ("io.debezium.time.MicroDuration", Some(us), _) => Self::Duration(us),
            ("io.debezium.data.Json", _, Value::String(text)) => {
                Self::JsonText(Cow::Borrowed(text))
            }
            ("io.debezium.data.VariableScaleDecimal", _, Value::Struct(parts)) => {
                return Self::variable_scale(parts);
            }
            _ => return None,
        })
    }

    /// `{scale, value}`: as text, which every numeric column reads.
    fn variable_scale(parts: &'a [Value]) -> Option<Self> {
        let scale = parts.iter().find_map(|part| match part {
            Value::Int32(scale) => Some(*scale),
            _ => None,
        })?;
        let unscaled = parts.iter().find_map(|part| match part {
            Value::Bytes(bytes) => Some(bytes),
            _ => None,
        })?;
        Some(Self::Text(Cow::Owned(super::numeric::scaled(
            unscaled, scale,
        )?)))
    }

    fn micros(number: i64, factor: i64, make: impl Fn(i64) -> Self) -> Self {
        // No time of day is negative: what does not fit 64 bits is out of range there.
        make(number.checked_mul(factor).unwrap_or(-1))
    }

    fn timestamp(number: i64, factor: i64) -> Self {
        // The largest and smallest numbers, and what drivers of the JVM and Debezium write for infinity.
        const FAR_MILLIS: i64 = 9_223_372_036_825_200_000;
        const FAR_MICROS: i64 = 9_223_371_331_200_000_000;
        match number {
            i64::MAX | FAR_MILLIS => return Self::Infinity { negative: false },
            FAR_MICROS if factor == 1 => return Self::Infinity { negative: false },
            i64::MIN | -9_223_372_036_832_400_000 => return Self::Infinity { negative: true },
            _ => {}
        }
        // What does not fit 64 bits of microseconds is out of range, and so is this.
        Self::Timestamp(number.checked_mul(factor).unwrap_or(i64::MIN + 1))
    }

    /// The type's name, for messages.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Int(_) | Self::Number(_) => "number",
            Self::Float(_) => "float",
            Self::Double(_) => "double",
            Self::Text(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::Decimal(_) => "decimal",
            Self::Date(_) => "date",
            Self::Time(_) => "time",
            Self::Timestamp(_) | Self::Infinity { .. } => "timestamp",
            Self::Duration(_) => "duration",
            Self::Json([b'[', ..]) | Self::Nested(Value::Array(_), _) => "array",
            Self::Json(_) | Self::Nested(..) => "object",
            Self::JsonText(_) => "json",
        }
    }
}
