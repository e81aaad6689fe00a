//! SimpleHeaderConverter.

use crate::{NoConfig, settings, tag, text};
use bytes::{BufMut, Bytes, BytesMut};
use longshore_sdk::{
    Datum, Error, Kind, Result, Schema, Value,
    calendar::civil,
    config::{Definition, Flat},
    converter::{Codec, Part},
    erased::{ConverterPlugin, DynConverter},
    json::{DEPTH_MAX, parse},
    literal::guess,
};
use std::sync::Arc;

pub(crate) fn plugin() -> ConverterPlugin {
    ConverterPlugin {
        plugin: tag(
            "simple-header",
            &["org.apache.kafka.connect.storage.SimpleHeaderConverter"],
            "Headers as text, whose type is guessed when they are read.",
            &[],
        ),
        definition: Arc::new(Definition::of::<NoConfig>),
        headers: true,
        data: false,
        build: Arc::new(build),
    }
}

fn build(flat: &Flat, _: Part) -> Result<Box<dyn DynConverter>> {
    let NoConfig {} = settings(flat)?;
    Ok(Box::new(SimpleHeaderConverter {
        out: BytesMut::new(),
    }))
}

struct SimpleHeaderConverter {
    out: BytesMut,
}

impl Codec for SimpleHeaderConverter {
    fn decode(&mut self, _: &str, bytes: Option<Bytes>) -> Result<Datum> {
        let Some(bytes) = bytes else {
            return Ok(Datum::Null);
        };
        Ok(guess(&String::from_utf8_lossy(&bytes)))
    }
    fn encode(&mut self, _: &str, datum: Datum) -> Result<Option<Bytes>> {
        let (value, schema) = match datum {
            Datum::Null | Datum::Value(Value::Null, _) => return Ok(None),
            Datum::Bytes(bytes) | Datum::Text(bytes) => return Ok(Some(bytes)),
            Datum::Value(Value::String(text), _) => return Ok(Some(Bytes::from(text))),
            Datum::Json(json) => match parse(&json)? {
                Value::String(text) => return Ok(Some(Bytes::from(text))),
                value => (value, None),
            },
            Datum::Value(value, schema) => (value, schema),
        };
        if let Err(error) = print(&value, schema.as_deref(), 0, &mut self.out) {
            self.out.clear();
            return Err(error);
        }
        Ok(Some(self.out.split().freeze()))
    }
}

/// Appends the form that [`guess`] reads: JSON with bare dates, and with keys of any type.
fn print(value: &Value, schema: Option<&Schema>, depth: u32, out: &mut BytesMut) -> Result<()> {
    if depth > DEPTH_MAX {
        return Err(Error::data("header", "the value nests more than 128 deep"));
    }
    match value {
        Value::String(text) => {
            out.put_u8(b'"');
            for byte in text.bytes() {
                if matches!(byte, b'"' | b'\\') {
                    out.put_u8(b'\\');
                }
                out.put_u8(byte);
            }
            out.put_u8(b'"');
        }
        Value::Date(ms) | Value::Time(ms) | Value::Timestamp(ms) => time(*ms, out),
        Value::Array(items) => {
            let part = match schema.map(|schema| &schema.kind) {
                Some(Kind::Array(part)) => Some(&**part),
                _ => None,
            };
            out.put_u8(b'[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.put_u8(b',');
                }
                print(item, part, depth + 1, out)?;
            }
            out.put_u8(b']');
        }
        Value::Map(entries) => {
            let (keys, values) = match schema.map(|schema| &schema.kind) {
                Some(Kind::Map(keys, values)) => (Some(&**keys), Some(&**values)),
                _ => (None, None),
            };
            out.put_u8(b'{');
            for (at, (key, value)) in entries.iter().enumerate() {
                if at > 0 {
                    out.put_u8(b',');
                }
                print(key, keys, depth + 1, out)?;
                out.put_u8(b':');
                print(value, values, depth + 1, out)?;
            }
            out.put_u8(b'}');
        }
        Value::Struct(values) => {
            let fields = schema.map_or(&[][..], Schema::fields);
            out.put_u8(b'{');
            for (at, (field, value)) in fields.iter().zip(values).enumerate() {
                if at > 0 {
                    out.put_u8(b',');
                }
                print(&Value::String(field.name.to_string()), None, depth + 1, out)?;
                out.put_u8(b':');
                let value = match (value, &field.schema.default) {
                    (Value::Null, Some(default)) => default,
                    (value, _) => value,
                };
                print(value, Some(&field.schema), depth + 1, out)?;
            }
            out.put_u8(b'}');
        }
        // Base64 stands bare only at the top.
        Value::Bytes(_) if depth > 0 => {
            out.put_u8(b'"');
            text::print(value, None, out)?;
            out.put_u8(b'"');
        }
        scalar => text::print(scalar, None, out)?,
    }
    Ok(())
}

/// As in the reference the number alone decides: what lies before the second day is a time, whole days are dates, the rest are timestamps.
fn time(ms: i64, out: &mut BytesMut) {
    const DAY: i64 = 86_400_000;
    let (year, month, day) = civil(ms.div_euclid(DAY));
    let rest = ms.rem_euclid(DAY);
    let date = format!("{year:04}-{month:02}-{day:02}");
    let (hour, minute, second) = (rest / 3_600_000, rest / 60_000 % 60, rest / 1000 % 60);
    let clock = format!("{hour:02}:{minute:02}:{second:02}.{:03}Z", rest % 1000);
    let text = match ms {
        ..DAY => clock,
        _ if rest == 0 => date,
        _ => format!("{date}T{clock}"),
    };
    out.put_slice(text.as_bytes());
}
