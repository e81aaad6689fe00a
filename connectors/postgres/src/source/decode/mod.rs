//! From Postgres' binary forms to values.
//!
//! What becomes of which type stands in [`super::mapping`]; here is how. Nothing is lost: what a Connect type cannot hold is text that
//! Postgres itself reads back.

mod array;
mod number;
mod text;
mod time;

pub(super) use array::Shape;
pub(super) use time::Instant;

use bytes::Bytes;
use longshore_sdk::Value;
use number::Numeric;

/// Why a value cannot be decoded; who reports it adds table and column.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) problem: String,
    /// The value is fine, but not for the type that was asked for; else the bytes are not what the type says.
    pub(super) unfit: bool,
}

impl Wrong {
    fn broken() -> Self {
        Self {
            problem: "its bytes are not of its type".to_owned(),
            unfit: false,
        }
    }
    fn because(problem: impl Into<String>) -> Self {
        Self {
            problem: problem.into(),
            unfit: true,
        }
    }
}

/// How a column's bytes become a value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Form {
    /// bool.
    Bool,
    /// smallint, int, bigint.
    Int2,
    Int4,
    Int8,
    /// oid and its like: 32 bits without a sign.
    Oid,
    /// real, double precision.
    Float4,
    Float8,
    /// Anything that is UTF-8 on the wire.
    Text,
    /// A byte that says the version, then UTF-8.
    Jsonb,
    /// bytea.
    Bytes,
    /// numeric, as text.
    Numeric,
    /// numeric, as a decimal of this scale.
    Decimal(usize),
    /// numeric, as a number of this many bytes; 0 is a double.
    Number(u8),
    /// date, as text or as Connect's date.
    DateText,
    Date,
    /// time, as text or as Connect's time.
    TimeText,
    Time,
    /// timetz, as text or, at UTC, as Connect's time.
    TimetzText,
    Timetz,
    /// timestamp without a zone, as text; with one, as text.
    LocalText,
    InstantText,
    /// Any timestamp as Connect's, in milliseconds.
    Timestamp,
    /// Any timestamp as a count since the Unix epoch: nanoseconds per unit, and whether as text.
    Count {
        nanos: i64,
        text: bool,
    },
    /// Any timestamp as ISO 8601 with this many digits behind the second.
    Iso(usize),
    /// interval.
    Interval,
    /// uuid.
    Uuid,
    /// inet and cidr.
    Inet,
    /// macaddr and macaddr8.
    Mac,
    /// bit and varbit.
    Bits,
    /// pg_lsn.
    Lsn,
    /// An array of such items.
    Array(Box<Form>),
}

impl Form {
    /// The value of a column that is no array.
    pub(super) fn decode(&self, raw: &[u8]) -> Result<Value, Wrong> {
        Ok(match self {
            Self::Bool => Value::Bool(fixed::<1>(raw)? != [0]),
            Self::Int2 => Value::Int16(i16::from_be_bytes(fixed(raw)?)),
            Self::Int4 => Value::Int32(i32::from_be_bytes(fixed(raw)?)),
            Self::Int8 => Value::Int64(i64::from_be_bytes(fixed(raw)?)),
            Self::Oid => Value::Int64(i64::from(u32::from_be_bytes(fixed(raw)?))),
            Self::Float4 => Value::Float32(f32::from_be_bytes(fixed(raw)?)),
            Self::Float8 => Value::Float64(f64::from_be_bytes(fixed(raw)?)),
            Self::Text => Value::String(utf8(raw)?),
            Self::Jsonb => match raw.split_first() {
                Some((1, text)) => Value::String(utf8(text)?),
                _ => return Err(Wrong::broken()),
            },
            Self::Bytes => Value::Bytes(Bytes::copy_from_slice(raw)),
            Self::Numeric => Value::String(Numeric::read(raw)?.text()),
            Self::Decimal(scale) => Value::Decimal(Numeric::read(raw)?.decimal(*scale)?),
            Self::Number(bytes) => number(*bytes, &Numeric::read(raw)?)?,
            Self::Interval => {
                let raw: [u8; 16] = fixed(raw)?;
                let (micros, rest) = raw.split_at(8);
                let (days, months) = rest.split_at(4);
                Value::String(time::interval_text(
                    i64::from_be_bytes(fixed(micros)?),
                    i32::from_be_bytes(fixed(days)?),
                    i32::from_be_bytes(fixed(months)?),
                ))
            }
            Self::Uuid => Value::String(text::uuid(&fixed(raw)?)),
            Self::Inet => Value::String(text::inet(raw)?),
            Self::Mac => Value::String(text::mac(raw)),
            Self::Bits => Value::String(text::bits(raw)?),
            Self::Lsn => Value::String(text::lsn(u64::from_be_bytes(fixed(raw)?))),
            Self::Array(_) => return Err(Wrong::broken()),
            temporal => temporal.time(raw)?,
        })
    }

    fn time(&self, raw: &[u8]) -> Result<Value, Wrong> {
        Ok(match self {
            Self::DateText => Value::String(Instant::date_text(i32::from_be_bytes(fixed(raw)?))),
            Self::Date => {
                let days = Instant::of_days(i32::from_be_bytes(fixed(raw)?));
                let days = days.ok_or_else(|| Wrong::because("infinity is no Connect Date"))?;
                Value::Date(days * 86_400_000)
            }
            Self::TimeText => Value::String(time::time_text(i64::from_be_bytes(fixed(raw)?))?),
            // Connect's time ends before midnight.
            Self::Time => Value::Time((i64::from_be_bytes(fixed(raw)?) / 1000).min(86_399_999)),
            Self::TimetzText | Self::Timetz => {
                let raw: [u8; 12] = fixed(raw)?;
                let (micros, west) = raw.split_at(8);
                let micros = i64::from_be_bytes(fixed(micros)?);
                let west = i32::from_be_bytes(fixed(west)?);
                if *self == Self::TimetzText {
                    Value::String(time::timetz_text(micros, west)?)
                } else {
                    let ms = micros / 1000 + i64::from(west) * 1000;
                    Value::Time(ms.rem_euclid(86_400_000))
                }
            }
            _ => self.instant(Instant::of_postgres(i64::from_be_bytes(fixed(raw)?)))?,
        })
    }

    fn instant(&self, instant: Instant) -> Result<Value, Wrong> {
        // What the reference's driver gives for infinity, in milliseconds.
        const FUTURE: i64 = 9_223_372_036_825_200_000;
        const PAST: i64 = -9_223_372_036_832_400_000;
        Ok(match self {
            Self::LocalText => Value::String(instant.text("")),
            Self::InstantText => Value::String(instant.text("Z")),
            Self::Iso(digits) => Value::String(text::iso(instant, *digits)),
            Self::Timestamp => Value::Timestamp(instant.unix_ms().unwrap_or(match instant {
                Instant::Past => PAST,
                _ => FUTURE,
            })),
            Self::Count { nanos, text } => {
                let count = instant
                    .unix()
                    .and_then(|micros| micros.checked_mul(1000 / nanos));
                let count = count.ok_or_else(|| {
                    Wrong::because("infinity, or a year too far away, does not fit 64 bits")
                })?;
                if *text {
                    Value::String(count.to_string())
                } else {
                    Value::Int64(count)
                }
            }
            _ => return Err(Wrong::broken()),
        })
    }
}

fn number(bytes: u8, numeric: &Numeric<'_>) -> Result<Value, Wrong> {
    let text = numeric.text();
    if bytes == 0 {
        let text = text.replace("Infinity", "inf");
        return text
            .parse()
            .map(Value::Float64)
            .map_err(|_| Wrong::broken());
    }
    let number: i64 = text
        .parse()
        .map_err(|_| Wrong::because(format!("{text} is no integer")))?;
    let unfit = || {
        Wrong::because(format!(
            "{number} does not fit {} bits",
            u32::from(bytes) * 8
        ))
    };
    Ok(match bytes {
        1 => Value::Int8(number.try_into().map_err(|_| unfit())?),
        2 => Value::Int16(number.try_into().map_err(|_| unfit())?),
        4 => Value::Int32(number.try_into().map_err(|_| unfit())?),
        _ => Value::Int64(number),
    })
}

fn utf8(raw: &[u8]) -> Result<String, Wrong> {
    // Postgres checks its texts; a database of encoding SQL_ASCII does not.
    match std::str::from_utf8(raw) {
        Ok(text) => Ok(text.to_owned()),
        Err(error) => Err(Wrong::because(format!(
            "it is no UTF-8 from byte {} on: the database's encoding lets anything in",
            error.valid_up_to()
        ))),
    }
}

pub(super) fn fixed<const N: usize>(raw: &[u8]) -> Result<[u8; N], Wrong> {
    raw.try_into().map_err(|_| Wrong::broken())
}
