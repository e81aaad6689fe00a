//! MaskField.

use crate::{
    settings,
    side::{Change, Each, Side, as_struct, both_sides},
    splice::{Name, Scratch},
    structs::{change_entry, copied},
    unfit, yes,
};
use bytes::{BufMut, Bytes, BytesMut};
use longshore_sdk::{
    Datum, Decimal, Error, Record, Result, Value,
    config::Flat,
    erased::DynTransform,
    json::{decimal_from_text, double_text, print_string},
};
use schemars::JsonSchema;
use serde::Deserialize;

/// Settings of MaskField.
#[derive(Debug, Deserialize, JsonSchema)]
struct Config {
    /// The fields to mask.
    fields: Vec<String>,
    /// What numbers and strings become; without it they become 0 and the empty string.
    replacement: Option<String>,
    /// Whether a null of a struct becomes its field's default value, where there is one.
    #[serde(rename = "replace.null.with.default", default = "yes")]
    defaults: bool,
}

both_sides!(
    "MaskField",
    "Replaces fields by a value of their type that says nothing.",
    &[],
    Config,
    build
);

fn build(flat: &Flat, side: Side) -> Result<Box<dyn DynTransform>> {
    let config: Config = settings(flat)?;
    if config.fields.is_empty() {
        return Err(unfit("fields", "no field is listed"));
    }
    if config.replacement.as_ref().is_some_and(String::is_empty) {
        return Err(unfit(
            "replacement",
            "it may not be empty: leave it out for an empty string",
        ));
    }
    let replacement = config.replacement.map(Replacement::new);
    Ok(Box::new(Each(MaskField {
        side,
        names: config.fields.into_iter().map(Name::new).collect(),
        replacement,
        defaults: config.defaults,
        scratch: Scratch::default(),
    })))
}

struct MaskField {
    side: Side,
    names: Vec<Name>,
    replacement: Option<Replacement>,
    defaults: bool,
    scratch: Scratch,
}

/// The setting, and what it is as JSON where it stands for a number or a string.
struct Replacement {
    text: String,
    string: Bytes,
    integer: Option<Bytes>,
    float: Option<Bytes>,
}

impl Replacement {
    fn new(text: String) -> Self {
        let mut string = BytesMut::new();
        print_string(&text, &mut string);
        let float = text.parse().ok().map(|number: f64| {
            let mut float = BytesMut::new();
            double_text(number, &mut float);
            // JSON has no such number; the reference's converter writes it as a string.
            if number.is_finite() {
                float.freeze()
            } else {
                Bytes::from([b"\"", &float[..], b"\""].concat())
            }
        });
        Self {
            integer: text
                .parse()
                .ok()
                .map(|number: i64| Bytes::from(number.to_string())),
            float,
            string: string.freeze(),
            text,
        }
    }
    fn no_number(&self, kind: &str) -> Error {
        let length = self.text.chars().count();
        Error::data(
            "transform",
            format!(
                "the replacement of {length} characters is no {kind}: MaskField cannot put it for one"
            ),
        )
    }
    fn parse<N: std::str::FromStr>(&self, kind: &str) -> Result<N> {
        self.text.parse().map_err(|_| self.no_number(kind))
    }
    fn value(&self, value: &Value) -> Result<Value> {
        let kind = value.name();
        Ok(match value {
            Value::Int8(_) => Value::Int8(self.parse(kind)?),
            Value::Int16(_) => Value::Int16(self.parse(kind)?),
            Value::Int32(_) => Value::Int32(self.parse(kind)?),
            Value::Int64(_) => Value::Int64(self.parse(kind)?),
            Value::Float32(_) => Value::Float32(self.parse(kind)?),
            Value::Float64(_) => Value::Float64(self.parse(kind)?),
            Value::Decimal(_) => {
                let decimal = decimal_from_text(&self.text);
                Value::Decimal(decimal.map_err(|_| self.no_number(kind))?)
            }
            Value::String(_) => Value::String(self.text.clone()),
            _ => return Err(no_mask(kind, " with a replacement")),
        })
    }
    fn json(&self, old: &[u8], out: &mut BytesMut) -> Result<()> {
        match old.first() {
            Some(b'"') => out.put_slice(&self.string),
            Some(b'-' | b'0'..=b'9') if is_integer(old) => {
                let number = self.integer.as_ref();
                out.put_slice(number.ok_or_else(|| self.no_number("int64"))?);
            }
            Some(b'-' | b'0'..=b'9') => {
                out.put_slice(
                    self.float
                        .as_ref()
                        .ok_or_else(|| self.no_number("double"))?,
                );
            }
            Some(b'n') => out.put_slice(b"null"),
            Some(b'{') => return Err(no_mask("map", " with a replacement")),
            Some(b'[') => return Err(no_mask("array", " with a replacement")),
            _ => return Err(no_mask("boolean", " with a replacement")),
        }
        Ok(())
    }
}

fn no_mask(kind: &str, how: &str) -> Error {
    Error::data(
        "transform",
        format!("MaskField cannot mask a field of type {kind}{how}"),
    )
}

fn is_integer(number: &[u8]) -> bool {
    !number.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E'))
}

/// The value of the same type that says nothing.
fn blank(value: &Value) -> Result<Value> {
    Ok(match value {
        Value::Null => Value::Null,
        Value::Bool(_) => Value::Bool(false),
        Value::Int8(_) => Value::Int8(0),
        Value::Int16(_) => Value::Int16(0),
        Value::Int32(_) => Value::Int32(0),
        Value::Int64(_) => Value::Int64(0),
        Value::Float32(_) => Value::Float32(0.0),
        Value::Float64(_) => Value::Float64(0.0),
        Value::String(_) => Value::String(String::new()),
        Value::Decimal(_) => Value::Decimal(Decimal {
            unscaled: Bytes::from_static(&[0]),
            scale: 0,
        }),
        Value::Date(_) => Value::Date(0),
        Value::Time(_) => Value::Time(0),
        Value::Timestamp(_) => Value::Timestamp(0),
        Value::Array(_) => Value::Array(Vec::new()),
        Value::Map(_) => Value::Map(Vec::new()),
        Value::Bytes(_) | Value::Struct(_) => return Err(no_mask(value.name(), "")),
    })
}

fn blank_json(old: &[u8], out: &mut BytesMut) {
    out.put_slice(match old.first() {
        Some(b'"') => b"\"\"",
        Some(b'-' | b'0'..=b'9') if is_integer(old) => b"0",
        Some(b'-' | b'0'..=b'9') => b"0.0",
        Some(b'{') => b"{}",
        Some(b'[') => b"[]",
        Some(b't' | b'f') => b"false",
        _ => b"null",
    });
}

impl MaskField {
    fn masked(&self, value: &Value) -> Result<Value> {
        match &self.replacement {
            Some(replacement) if *value != Value::Null => replacement.value(value),
            _ => blank(value),
        }
    }
    fn listed(&self, name: &str) -> bool {
        self.names.iter().any(|listed| *listed.text == *name)
    }
    fn json(&mut self, text: &Bytes) -> Result<Option<Bytes>> {
        let replacement = self.replacement.as_ref();
        // As in the reference, a field that is missing is added as null.
        self.scratch.set(text, &self.names, |_, old, out| {
            let old = old.unwrap_or(b"null");
            match replacement {
                Some(replacement) => replacement.json(old, out),
                None => {
                    blank_json(old, out);
                    Ok(())
                }
            }
        })
    }
    fn map(&self, entries: &mut Vec<(Value, Value)>) -> Result<()> {
        for name in &self.names {
            change_entry(entries, &name.text, |value| self.masked(value))?;
        }
        Ok(())
    }
}

impl Change for MaskField {
    fn change(&mut self, record: &mut Record) -> Result<()> {
        let side = self.side;
        let datum = side.of(record);
        if let Datum::Json(text) = datum
            && let Some(masked) = self.json(text)?
        {
            *datum = Datum::Json(masked);
            return Ok(());
        }
        if let Datum::Value(Value::Map(entries), None) = datum {
            return self.map(entries);
        }
        let Some((values, schema)) = as_struct(datum) else {
            return Err(side.no_fields("MaskField", datum));
        };
        let mut masked = Vec::with_capacity(values.len());
        for (field, value) in schema.fields().iter().zip(values) {
            let value = copied(field, value, self.defaults)?;
            masked.push(if self.listed(&field.name) {
                self.masked(&value)?
            } else {
                value
            });
        }
        *datum = Datum::Value(Value::Struct(masked), Some(schema.clone()));
        Ok(())
    }
}
