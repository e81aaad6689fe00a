//! ByteArrayConverter, BooleanConverter and the converters of single numbers.

use crate::{NoConfig, settings, tag};
use bytes::Bytes;
use longshore_sdk::{
    Datum, Error, Kind, Result, Schema, Value,
    config::{Definition, Flat},
    converter::Codec,
    erased::{ConverterPlugin, DynConverter},
    json::parse,
};
use std::sync::Arc;

/// One primitive type on the wire: big-endian numbers, a boolean as one byte, bytes as they are.
#[derive(Clone, Copy)]
enum Form {
    Bytes,
    Bool,
    Int16,
    Int32,
    Int64,
    Float32,
    Float64,
}

pub(crate) fn plugins() -> Vec<ConverterPlugin> {
    macro_rules! plugin {
        ($name:literal, $class:literal, $form:expr, $about:literal) => {
            ConverterPlugin {
                plugin: tag(
                    $name,
                    &[concat!("org.apache.kafka.connect.converters.", $class)],
                    $about,
                    &[],
                ),
                definition: Arc::new(Definition::of::<NoConfig>),
                headers: true,
                data: true,
                build: Arc::new(|flat, _| build(flat, $form)),
            }
        };
    }
    vec![
        plugin!(
            "bytes",
            "ByteArrayConverter",
            Form::Bytes,
            "Bytes, passed on untouched."
        ),
        plugin!(
            "boolean",
            "BooleanConverter",
            Form::Bool,
            "One byte: 1 is true, 0 is false."
        ),
        plugin!(
            "short",
            "ShortConverter",
            Form::Int16,
            "16-bit integers, big-endian."
        ),
        plugin!(
            "integer",
            "IntegerConverter",
            Form::Int32,
            "32-bit integers, big-endian."
        ),
        plugin!(
            "long",
            "LongConverter",
            Form::Int64,
            "64-bit integers, big-endian."
        ),
        plugin!(
            "float",
            "FloatConverter",
            Form::Float32,
            "Single precision numbers, big-endian."
        ),
        plugin!(
            "double",
            "DoubleConverter",
            Form::Float64,
            "Double precision numbers, big-endian."
        ),
    ]
}

fn build(flat: &Flat, form: Form) -> Result<Box<dyn DynConverter>> {
    let NoConfig {} = settings(flat)?;
    let kind = form.kind();
    let schema = Arc::new(Schema::new(kind).optional());
    Ok(Box::new(Primitive { form, schema }))
}

impl Form {
    fn kind(self) -> Kind {
        match self {
            Self::Bytes => Kind::Bytes,
            Self::Bool => Kind::Bool,
            Self::Int16 => Kind::Int16,
            Self::Int32 => Kind::Int32,
            Self::Int64 => Kind::Int64,
            Self::Float32 => Kind::Float32,
            Self::Float64 => Kind::Float64,
        }
    }
    fn decode(self, bytes: &[u8]) -> Option<Value> {
        Some(match self {
            Self::Bytes => return None,
            Self::Bool => match bytes {
                [0] => Value::Bool(false),
                [1] => Value::Bool(true),
                _ => return None,
            },
            Self::Int16 => Value::Int16(i16::from_be_bytes(bytes.try_into().ok()?)),
            Self::Int32 => Value::Int32(i32::from_be_bytes(bytes.try_into().ok()?)),
            Self::Int64 => Value::Int64(i64::from_be_bytes(bytes.try_into().ok()?)),
            Self::Float32 => Value::Float32(f32::from_be_bytes(bytes.try_into().ok()?)),
            Self::Float64 => Value::Float64(f64::from_be_bytes(bytes.try_into().ok()?)),
        })
    }
    fn encode(self, value: &Value) -> Option<Bytes> {
        Some(match (self, value) {
            (Self::Bytes, Value::Bytes(bytes)) => bytes.clone(),
            (Self::Bool, Value::Bool(true)) => Bytes::from_static(&[1]),
            (Self::Bool, Value::Bool(false)) => Bytes::from_static(&[0]),
            (Self::Int16, Value::Int16(number)) => Bytes::copy_from_slice(&number.to_be_bytes()),
            (Self::Int32, Value::Int32(number)) => Bytes::copy_from_slice(&number.to_be_bytes()),
            (Self::Int64, Value::Int64(number)) => Bytes::copy_from_slice(&number.to_be_bytes()),
            (Self::Float32, Value::Float32(number)) => {
                Bytes::copy_from_slice(&number.to_be_bytes())
            }
            (Self::Float64, Value::Float64(number)) => {
                Bytes::copy_from_slice(&number.to_be_bytes())
            }
            _ => return None,
        })
    }
    /// Bytes and booleans hold the schema against their type; numbers look at the value alone, as in the reference.
    fn accepts(self, schema: &Schema) -> bool {
        match self {
            Self::Bytes | Self::Bool => schema.kind == self.kind(),
            _ => true,
        }
    }
}

struct Primitive {
    form: Form,
    schema: Arc<Schema>,
}

impl Primitive {
    fn misfit(&self, found: &str) -> Error {
        let wanted = self.form.kind();
        let wanted = wanted.name();
        Error::data(
            "encode",
            format!("data of type {found} cannot be written as {wanted}: use another converter"),
        )
    }
}

impl Codec for Primitive {
    fn decode(&mut self, _: &str, bytes: Option<Bytes>) -> Result<Datum> {
        let Some(bytes) = bytes else {
            return Ok(Datum::Null);
        };
        if matches!(self.form, Form::Bytes) {
            return Ok(Datum::Bytes(bytes));
        }
        match self.form.decode(&bytes) {
            Some(value) => Ok(Datum::Value(value, Some(self.schema.clone()))),
            None => {
                let wanted = self.schema.kind.name();
                Err(Error::data(
                    "decode",
                    format!("{} bytes are no {wanted}", bytes.len()),
                ))
            }
        }
    }
    fn encode(&mut self, _: &str, datum: Datum) -> Result<Option<Bytes>> {
        let (value, schema) = match datum {
            Datum::Null => return Ok(None),
            Datum::Bytes(bytes) => return Ok(Some(bytes)),
            Datum::Text(_) => return Err(self.misfit("string")),
            Datum::Json(json) => (parse(&json)?, None),
            Datum::Value(value, schema) => (value, schema),
        };
        if let Some(schema) = schema.filter(|schema| !self.form.accepts(schema)) {
            return Err(self.misfit(schema.kind.name()));
        }
        if value == Value::Null {
            return Ok(None);
        }
        let encoded = self.form.encode(&value);
        encoded.map(Some).ok_or_else(|| self.misfit(value.name()))
    }
}
