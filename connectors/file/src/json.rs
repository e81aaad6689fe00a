//! Decoded data as JSON text: exact numbers, RFC 3339 instants, base64 bytes.

use crate::render::base64;
use longshore_sdk::{Decimal, Error, Kind, Result, Schema, Value};
use num_bigint::BigInt;
use serde_json::to_writer;
use std::io::Write;
use time::{Date, Duration, OffsetDateTime, Time, format_description::well_known::Rfc3339};

/// Deeper data is refused: it would take the stack (I6).
const DEPTH_MAX: usize = 128;
/// Longer numbers are refused: a scale is one number that can ask for gigabytes of zeros (I6).
const DECIMAL_MAX: usize = 10_000;

/// Appends `value` as JSON text on one line. A struct takes its field names from the schema.
pub(crate) fn write(value: &Value, schema: Option<&Schema>, out: &mut Vec<u8>) -> Result<()> {
    nested(value, schema, DEPTH_MAX, out)
}

/// Appends `text` as a JSON string.
pub(crate) fn string(text: &str, out: &mut Vec<u8>) -> Result<()> {
    to_writer(out, text).map_err(|error| refused("the text cannot be written").because(error))
}

fn nested(value: &Value, schema: Option<&Schema>, depth: usize, out: &mut Vec<u8>) -> Result<()> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(refused("the value is nested deeper than 128 levels"));
    };
    match value {
        Value::String(text) => string(text, out),
        Value::Bytes(bytes) => {
            base64(bytes, out);
            Ok(())
        }
        Value::Array(items) => {
            let schema = match schema.map(|schema| &schema.kind) {
                Some(Kind::Array(item)) => Some(&**item),
                _ => None,
            };
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                comma(index, out);
                nested(item, schema, depth, out)?;
            }
            out.push(b']');
            Ok(())
        }
        Value::Map(entries) => {
            let schema = match schema.map(|schema| &schema.kind) {
                Some(Kind::Map(_, value)) => Some(&**value),
                _ => None,
            };
            out.push(b'{');
            for (index, (key, value)) in entries.iter().enumerate() {
                comma(index, out);
                name(key, out)?;
                out.push(b':');
                nested(value, schema, depth, out)?;
            }
            out.push(b'}');
            Ok(())
        }
        Value::Struct(values) => {
            let fields = schema.map_or(&[][..], Schema::fields);
            if fields.len() != values.len() {
                return Err(refused("a struct does not have the fields of its schema"));
            }
            out.push(b'{');
            for (index, (field, value)) in fields.iter().zip(values).enumerate() {
                comma(index, out);
                string(&field.name, out)?;
                out.push(b':');
                nested(value, Some(&field.schema), depth, out)?;
            }
            out.push(b'}');
            Ok(())
        }
        scalar => plain(scalar, out),
    }
}

/// Values that hold no others.
fn plain(value: &Value, out: &mut Vec<u8>) -> Result<()> {
    // Writing to memory does not fail.
    let _ = match value {
        Value::Null => out.write_all(b"null"),
        Value::Bool(flag) => write!(out, "{flag}"),
        Value::Int8(number) => write!(out, "{number}"),
        Value::Int16(number) => write!(out, "{number}"),
        Value::Int32(number) => write!(out, "{number}"),
        Value::Int64(number) => write!(out, "{number}"),
        Value::Float32(number) if number.is_finite() => to_writer(out, number).map_err(Into::into),
        Value::Float64(number) if number.is_finite() => to_writer(out, number).map_err(Into::into),
        // JSON has no such numbers.
        Value::Float32(number) => write!(out, "\"{number}\""),
        Value::Float64(number) => write!(out, "\"{number}\""),
        Value::Decimal(decimal) => write!(out, "{}", digits(decimal)?),
        Value::Date(ms) => write!(out, "\"{}\"", instant(*ms)?.date()),
        Value::Time(ms) => {
            let time = Time::MIDNIGHT + Duration::milliseconds(*ms);
            write!(
                out,
                "\"{:02}:{:02}:{:02}.{:03}\"",
                time.hour(),
                time.minute(),
                time.second(),
                time.millisecond()
            )
        }
        Value::Timestamp(ms) => {
            let text = instant(*ms)?
                .format(&Rfc3339)
                .map_err(|error| refused("a timestamp lies outside the calendar").because(error))?;
            write!(out, "\"{text}\"")
        }
        Value::String(_) | Value::Bytes(_) | Value::Array(_) | Value::Map(_) | Value::Struct(_) => {
            Ok(())
        }
    };
    Ok(())
}

/// A map's key: JSON knows strings only.
fn name(key: &Value, out: &mut Vec<u8>) -> Result<()> {
    match key {
        Value::String(text) => string(text, out),
        Value::Bool(_) | Value::Int8(_) | Value::Int16(_) | Value::Int32(_) | Value::Int64(_) => {
            out.push(b'"');
            plain(key, out)?;
            out.push(b'"');
            Ok(())
        }
        _ => Err(refused(
            "a map has keys that are neither strings nor whole numbers",
        )),
    }
}

fn digits(decimal: &Decimal) -> Result<String> {
    let scale = decimal.scale;
    if decimal.unscaled.len() > DECIMAL_MAX || scale.unsigned_abs() as usize > DECIMAL_MAX {
        return Err(refused("a decimal is longer than 10000 digits"));
    }
    let text = BigInt::from_signed_bytes_be(&decimal.unscaled).to_string();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", &*text),
    };
    if scale <= 0 {
        let zeros = if digits == "0" {
            0
        } else {
            scale.unsigned_abs() as usize
        };
        return Ok(format!("{sign}{digits}{}", "0".repeat(zeros)));
    }
    let scale = scale.unsigned_abs() as usize;
    let padded = format!("{digits:0>width$}", width = scale + 1);
    let (whole, part) = padded.split_at(padded.len() - scale);
    Ok(format!("{sign}{whole}.{part}"))
}

fn instant(ms: i64) -> Result<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000)
        .map_err(|error| refused("a date or timestamp lies outside the calendar").because(error))
        .and_then(|at| {
            // RFC 3339 and ISO 8601 dates have four digits for the year.
            if (Date::MIN.year().max(0)..=9999).contains(&at.year()) {
                Ok(at)
            } else {
                Err(refused("a date or timestamp lies outside the calendar"))
            }
        })
}

fn comma(index: usize, out: &mut Vec<u8>) {
    if index > 0 {
        out.push(b',');
    }
}

fn refused(message: &str) -> Error {
    Error::data("put", message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use longshore_sdk::Field;
    use std::sync::Arc;

    fn text(value: &Value, schema: Option<&Schema>) -> Result<String> {
        let mut out = Vec::new();
        write(value, schema, &mut out)?;
        Ok(String::from_utf8(out).expect("UTF-8"))
    }

    fn decimal(unscaled: &'static [u8], scale: i32) -> Value {
        let unscaled = Bytes::from_static(unscaled);
        Value::Decimal(Decimal { unscaled, scale })
    }

    #[test]
    fn values_are_the_json_that_people_expect() {
        for (value, wanted) in [
            (Value::Null, "null"),
            (Value::Float64(0.1), "0.1"),
            (Value::Float64(f64::NAN), "\"NaN\""),
            (Value::Int64(i64::MIN), "-9223372036854775808"),
            (Value::String("a\"\n".into()), "\"a\\\"\\n\""),
            (Value::Bytes(Bytes::from_static(b"ab")), "\"YWI=\""),
            (Value::Date(1_735_689_600_000), "\"2025-01-01\""),
            (Value::Time(3_723_004), "\"01:02:03.004\""),
            (Value::Timestamp(-1), "\"1969-12-31T23:59:59.999Z\""),
            (decimal(&[0xff, 0x85], 2), "-1.23"),
            (decimal(&[5], 3), "0.005"),
            (decimal(&[5], -2), "500"),
            (decimal(&[0], -2), "0"),
            (
                Value::Map(vec![
                    (
                        Value::String("a".into()),
                        Value::Array(vec![Value::Bool(true), Value::Null]),
                    ),
                    (Value::Int32(7), Value::Map(vec![])),
                ]),
                "{\"a\":[true,null],\"7\":{}}",
            ),
        ] {
            assert_eq!(text(&value, None).expect("JSON"), wanted, "{value:?}");
        }
    }

    #[test]
    fn a_struct_takes_its_names_from_the_schema_at_every_depth() {
        let field = |name: &str, kind| Field {
            name: name.into(),
            schema: Arc::new(Schema::new(kind)),
        };
        let inner = Kind::Struct(vec![field("x", Kind::Int32)]);
        let outer = Kind::Struct(vec![field(
            "list",
            Kind::Array(Arc::new(Schema::new(inner))),
        )]);
        let row = Value::Struct(vec![Value::Int32(1)]);
        let value = Value::Struct(vec![Value::Array(vec![row])]);
        let schema = Schema::new(outer);
        assert_eq!(
            text(&value, Some(&schema)).expect("JSON"),
            "{\"list\":[{\"x\":1}]}"
        );
        assert!(text(&value, None).is_err(), "no names, no struct");
    }

    #[test]
    fn what_would_take_the_stack_or_the_memory_is_refused() {
        let deep = (0..200).fold(Value::Null, |value, _| Value::Array(vec![value]));
        for value in [
            deep,
            decimal(&[1], i32::MIN),
            decimal(&[1], 20_000),
            Value::Date(i64::MAX),
        ] {
            let error = text(&value, None).expect_err("refused");
            assert_eq!(error.kind(), longshore_sdk::ErrorKind::Data);
        }
    }
}
