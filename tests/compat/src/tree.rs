//! Typed trees and JSON schemas of a recording as data, and when two pieces of data are the same.

use anyhow::{Context, Result, bail};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use longshore_sdk::{
    Datum, Decimal, Field, Kind, Schema, Value,
    json::{decimal_from_text, parse},
    schema::logical,
};
use serde_json::Value as Json;
use std::sync::Arc;

/// A part of a record, or what stands on the data side of a converter.
pub(crate) fn datum(schema_json: &Json, tree: &Json) -> Result<Datum> {
    let schema = schema(schema_json)?;
    Ok(match (value(tree, schema.as_deref())?, schema) {
        (Value::Null, None) => Datum::Null,
        (value, schema) => Datum::Value(value, schema),
    })
}

/// `None`: no schema, or an array or map whose parts have no common type, which the reference gives a schema that lacks a part.
pub(crate) fn schema(json: &Json) -> Result<Option<Arc<Schema>>> {
    if json.is_null() {
        return Ok(None);
    }
    let part = |name: &str| schema(&json[name]);
    let kind = match json["type"].as_str().context("a schema without a type")? {
        "boolean" => Kind::Bool,
        "int8" => Kind::Int8,
        "int16" => Kind::Int16,
        "int32" => Kind::Int32,
        "int64" => Kind::Int64,
        "float" => Kind::Float32,
        "double" => Kind::Float64,
        "string" => Kind::String,
        "bytes" => Kind::Bytes,
        "array" => match part("items")? {
            Some(items) => Kind::Array(items),
            None => return Ok(None),
        },
        "map" => match (part("keys")?, part("values")?) {
            (Some(keys), Some(values)) => Kind::Map(keys, values),
            _ => return Ok(None),
        },
        "struct" => {
            let mut fields = Vec::new();
            for field in json["fields"]
                .as_array()
                .context("a struct without fields")?
            {
                let Some(schema) = schema(field)? else {
                    return Ok(None);
                };
                let name = field["field"].as_str().context("a field without a name")?;
                fields.push(Field {
                    name: name.into(),
                    schema,
                });
            }
            Kind::Struct(fields)
        }
        other => bail!("unknown type {other}"),
    };
    let text = |name: &str| json[name].as_str().map(Arc::from);
    let mut schema = Schema::new(kind);
    schema.optional = json["optional"] == true;
    schema.name = text("name");
    schema.doc = text("doc");
    schema.version = json["version"].as_i64().map(|version| version as i32);
    for (key, value) in json["parameters"].as_object().into_iter().flatten() {
        let value = value.as_str().context("a parameter is no text")?;
        schema.parameters.push((key.clone(), value.to_owned()));
    }
    schema.default = default(&schema, &json["default"])?;
    Ok(Some(Arc::new(schema)))
}

/// A default value, as JsonConverter writes it.
fn default(schema: &Schema, json: &Json) -> Result<Option<Value>> {
    let number = || json.as_i64().context("a default is no integer");
    let bytes = || {
        STANDARD
            .decode(json.as_str().unwrap_or_default())
            .context("base64")
    };
    let float = || json.as_f64().context("a default is no number");
    Ok(Some(match (&schema.kind, schema.name.as_deref()) {
        _ if json.is_null() => return Ok(None),
        (_, Some(logical::TIMESTAMP)) => Value::Timestamp(number()?),
        (_, Some(logical::TIME)) => Value::Time(number()?),
        (_, Some(logical::DATE)) => Value::Date(number()? * 86_400_000),
        (_, Some(logical::DECIMAL)) => Value::Decimal(Decimal {
            unscaled: bytes()?.into(),
            scale: schema.parameters[0].1.parse()?,
        }),
        (Kind::Bool, _) => Value::Bool(json.as_bool().context("a default is no boolean")?),
        (Kind::Int8, _) => Value::Int8(number()? as i8),
        (Kind::Int16, _) => Value::Int16(number()? as i16),
        (Kind::Int32, _) => Value::Int32(number()? as i32),
        (Kind::Int64, _) => Value::Int64(number()?),
        (Kind::Float32, _) => Value::Float32(float()? as f32),
        (Kind::Float64, _) => Value::Float64(float()?),
        (Kind::String, _) => Value::String(json.as_str().context("a default is no text")?.into()),
        (Kind::Bytes, _) => Value::Bytes(bytes()?.into()),
        (Kind::Array(items), _) => {
            let list = json.as_array().into_iter().flatten();
            let list = list.map(|item| Ok(default(items, item)?.unwrap_or(Value::Null)));
            Value::Array(list.collect::<Result<_>>()?)
        }
        (Kind::Map(_, values), _) => {
            let entries = json.as_object().into_iter().flatten();
            let entries = entries.map(|(key, value)| {
                let value = default(values, value)?.unwrap_or(Value::Null);
                Ok((Value::String(key.clone()), value))
            });
            Value::Map(entries.collect::<Result<_>>()?)
        }
        (Kind::Struct(fields), _) => {
            let list = fields.iter().map(|field| {
                Ok(default(&field.schema, &json[&*field.name])?.unwrap_or(Value::Null))
            });
            Value::Struct(list.collect::<Result<_>>()?)
        }
    }))
}

/// A value of a class that Connect's data API does not have. No data here can hold it, which is to say: it is refused.
#[derive(Debug)]
pub(crate) struct Foreign(String);

impl std::fmt::Display for Foreign {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "no value here is of the class {}", self.0)
    }
}
impl std::error::Error for Foreign {}

fn decimal(digits: &str) -> Result<Decimal> {
    decimal_from_text(digits).map_err(|error| anyhow::anyhow!("{error}"))
}

/// A typed tree.
pub(crate) fn value(tree: &Json, schema: Option<&Schema>) -> Result<Value> {
    let v = &tree["v"];
    let number = || v.as_i64().context("no integer");
    let text = |name: &str| tree[name].as_str().context("no text");
    let bits = || Ok::<_, anyhow::Error>(u64::from_str_radix(text("bits")?, 16)?);
    let list = || v.as_array().into_iter().flatten();
    let kind = schema.map(|schema| &schema.kind);
    Ok(match text("t")? {
        "null" => Value::Null,
        "boolean" => Value::Bool(v.as_bool().context("no boolean")?),
        "int8" => Value::Int8(number()? as i8),
        "int16" => Value::Int16(number()? as i16),
        "int32" => Value::Int32(number()? as i32),
        "int64" => Value::Int64(number()?),
        "float32" => Value::Float32(f32::from_bits(bits()? as u32)),
        "float64" => Value::Float64(f64::from_bits(bits()?)),
        "string" => Value::String(text("v")?.to_owned()),
        "bytes" => Value::Bytes(Bytes::from(STANDARD.decode(text("b64")?)?)),
        "array" => {
            let items = match kind {
                Some(Kind::Array(items)) => Some(&**items),
                _ => None,
            };
            Value::Array(
                list()
                    .map(|item| value(item, items))
                    .collect::<Result<_>>()?,
            )
        }
        "map" => {
            let (keys, values) = match kind {
                Some(Kind::Map(keys, values)) => (Some(&**keys), Some(&**values)),
                _ => (None, None),
            };
            let entries = list().map(|pair| Ok((value(&pair[0], keys)?, value(&pair[1], values)?)));
            Value::Map(entries.collect::<Result<_>>()?)
        }
        "struct" => {
            let fields = schema.map_or(&[][..], Schema::fields).iter();
            let values = list().zip(fields);
            let values = values.map(|(pair, field)| value(&pair[1], Some(&field.schema)));
            Value::Struct(values.collect::<Result<_>>()?)
        }
        "java.util.Date" => {
            let ms = tree["ms"].as_i64().context("no milliseconds")?;
            match schema.and_then(|schema| schema.name.as_deref()) {
                Some(logical::DATE) => Value::Date(ms),
                Some(logical::TIME) => Value::Time(ms),
                _ => Value::Timestamp(ms),
            }
        }
        "java.math.BigDecimal" => Value::Decimal(Decimal {
            unscaled: decimal(text("unscaled")?)?.unscaled,
            scale: tree["scale"].as_i64().context("no scale")? as i32,
        }),
        // An integer of any length is a decimal without a fraction.
        "java.math.BigInteger" => Value::Decimal(decimal(text("v")?)?),
        other => return Err(Foreign(other.to_owned()).into()),
    })
}

/// Whether two pieces of data are the same: in type and value, not in the order of maps' entries, and NaN is NaN.
pub(crate) fn same(left: &Datum, right: &Datum) -> bool {
    part(left) == part(right)
}

fn part(datum: &Datum) -> (Value, Option<Arc<Schema>>) {
    match datum {
        Datum::Null => (Value::Null, None),
        Datum::Value(value, schema) => (normal(value, schema.is_none()), schema.clone()),
        Datum::Json(text) => (normal(&parse(text).unwrap_or(Value::Null), true), None),
        Datum::Text(text) => (
            Value::String(String::from_utf8_lossy(text).into_owned()),
            None,
        ),
        Datum::Bytes(bytes) => (Value::Bytes(bytes.clone()), None),
    }
}

/// Without a schema all dates are one type on a JVM.
fn normal(value: &Value, schemaless: bool) -> Value {
    match value {
        Value::Map(entries) => {
            let normal = |value| normal(value, schemaless);
            let entries = entries
                .iter()
                .map(|(key, value)| (normal(key), normal(value)));
            let mut entries: Vec<_> = entries.collect();
            entries.sort_by_key(|(key, _)| format!("{key:?}"));
            Value::Map(entries)
        }
        Value::Array(items) => {
            Value::Array(items.iter().map(|item| normal(item, schemaless)).collect())
        }
        Value::Struct(items) => {
            Value::Struct(items.iter().map(|item| normal(item, schemaless)).collect())
        }
        Value::Float64(number) if number.is_nan() => Value::String("a NaN".into()),
        Value::Float32(number) if number.is_nan() => Value::String("a NaN".into()),
        Value::Date(ms) | Value::Time(ms) if schemaless => Value::Timestamp(*ms),
        other => other.clone(),
    }
}
