//! One timestamp, from form to form.

use crate::date_format::DateFormat;
use longshore_sdk::{Error, Kind, Result, Schema, Value, schema::logical};
use schemars::JsonSchema;
use serde::Deserialize;

const DAY_MS: i64 = 86_400_000;

/// What a timestamp is kept in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub(super) enum Form {
    #[serde(rename = "string")]
    String,
    #[serde(rename = "unix")]
    Unix,
    Date,
    Time,
    Timestamp,
}

/// What numbers count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Precision {
    Seconds,
    #[default]
    Milliseconds,
    Microseconds,
    Nanoseconds,
}

impl Form {
    /// The form that a schema says.
    pub(super) fn of(schema: &Schema) -> Result<Self> {
        Ok(match (schema.name.as_deref(), &schema.kind) {
            (Some(logical::TIMESTAMP), _) => Self::Timestamp,
            (Some(logical::DATE), _) => Self::Date,
            (Some(logical::TIME), _) => Self::Time,
            (_, Kind::String) => Self::String,
            (_, Kind::Int64) => Self::Unix,
            (_, kind) => return Err(no_timestamp(kind.name())),
        })
    }
    pub(super) fn is_logical(self) -> bool {
        matches!(self, Self::Date | Self::Time | Self::Timestamp)
    }
    pub(super) fn schema(self, optional: bool) -> Schema {
        let (kind, name) = match self {
            Self::String => (Kind::String, None),
            Self::Unix => (Kind::Int64, None),
            Self::Date => (Kind::Int32, Some(logical::DATE)),
            Self::Time => (Kind::Int32, Some(logical::TIME)),
            Self::Timestamp => (Kind::Int64, Some(logical::TIMESTAMP)),
        };
        let mut schema = Schema::new(kind);
        if let Some(name) = name {
            schema = schema.named(name);
            schema.version = Some(1);
        }
        schema.optional = optional;
        schema
    }
}

fn no_timestamp(kind: &str) -> Error {
    let problem = format!("TimestampConverter: data of type {kind} is no timestamp");
    Error::data("transform", problem)
}

pub(super) struct Conversion {
    pub(super) target: Form,
    pub(super) precision: Precision,
    pub(super) format: Option<DateFormat>,
}

impl Conversion {
    /// `value` in the target form; `source` is what its schema says, if there is one. Null stays null.
    pub(super) fn of(&self, value: &Value, source: Option<Form>) -> Result<Value> {
        let ms = match (value, source) {
            (Value::Null, _) => return Ok(Value::Null),
            (Value::String(text), None | Some(Form::String)) => self.read(text)?,
            (Value::Int64(number), None | Some(Form::Unix)) => self.precision.ms(*number),
            (
                Value::Date(ms) | Value::Time(ms) | Value::Timestamp(ms),
                None | Some(Form::Date | Form::Time | Form::Timestamp),
            ) => *ms,
            (value, _) => return Err(no_timestamp(value.name())),
        };
        Ok(match (self.target, &self.format) {
            (Form::String, Some(format)) => {
                let mut text = String::new();
                format.print(ms, &mut text);
                Value::String(text)
            }
            (Form::String, None) => {
                return Err(Error::bug(
                    "transform",
                    "target.type=string came without a format",
                ));
            }
            (Form::Unix, _) => Value::Int64(self.precision.number(ms)),
            (Form::Date, _) => Value::Date(ms.saturating_sub(ms.rem_euclid(DAY_MS))),
            (Form::Time, _) => Value::Time(ms.rem_euclid(DAY_MS)),
            (Form::Timestamp, _) => Value::Timestamp(ms),
        })
    }
    fn read(&self, text: &str) -> Result<i64> {
        let Some(format) = &self.format else {
            let problem =
                "TimestampConverter finds a text and has no format to read it by: set format";
            return Err(Error::data("transform", problem));
        };
        format.read(text).ok_or_else(|| {
            let (length, pattern) = (text.chars().count(), format.pattern());
            let problem = format!(
                "TimestampConverter: a text of {length} characters does not fit the format {pattern:?}"
            );
            Error::data("transform", problem)
        })
    }
}

impl Precision {
    /// Milliseconds of a number. Beyond 64 bits they stay at the bound.
    fn ms(self, number: i64) -> i64 {
        match self {
            Self::Seconds => number.saturating_mul(1000),
            Self::Milliseconds => number,
            Self::Microseconds => number / 1000,
            Self::Nanoseconds => number / 1_000_000,
        }
    }
    fn number(self, ms: i64) -> i64 {
        match self {
            Self::Seconds => ms / 1000,
            Self::Milliseconds => ms,
            Self::Microseconds => ms.saturating_mul(1000),
            Self::Nanoseconds => ms.saturating_mul(1_000_000),
        }
    }
}
