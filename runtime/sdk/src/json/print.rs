//! A value to JSON text.

use super::{
    number::{decimal_text, double_text, float_text},
    scan::{DEPTH_MAX, NUMBER_MAX, plain_until},
};
use crate::{Error, Kind, Result, Schema, Value, schema::logical};
use bytes::{BufMut, BytesMut};

/// How values are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Decimals as numbers (`NUMERIC`), else as base64 of their unscaled bytes.
    pub numeric: bool,
    /// A null prints as the schema's default, where there is one.
    pub defaults: bool,
    /// The text's reader does not see the schema: a text whose schema says that it is a number ([`logical::NUMERIC`]) prints as one.
    pub bare: bool,
}

impl Default for Style {
    fn default() -> Self {
        Self {
            numeric: false,
            defaults: true,
            bare: false,
        }
    }
}

/// Appends `value` as JSON text. Times and decimals need a schema that says so, as in the reference; a value that does not fit its schema
/// is an error of kind Data, and `out` then ends in the middle of the text.
pub fn print(
    value: &Value,
    schema: Option<&Schema>,
    style: Style,
    out: &mut BytesMut,
) -> Result<()> {
    Printer { style, out }.any(value, schema, 0)
}

/// Appends `text` as a JSON string. Characters beyond 16 bits are written as two escapes.
pub fn print_string(text: &str, out: &mut BytesMut) {
    let bytes = text.as_bytes();
    out.reserve(bytes.len() + 2);
    out.put_u8(b'"');
    let mut at = 0;
    while at < bytes.len() {
        let end = plain_until(bytes, at, true);
        out.put_slice(&bytes[at..end]);
        at = end;
        match bytes.get(at) {
            None => break,
            Some(0xF0..) => at += escape_astral(&text[at..], out),
            Some(&byte) => {
                escape(byte, out);
                at += 1;
            }
        }
    }
    out.put_u8(b'"');
}

fn escape(byte: u8, out: &mut BytesMut) {
    let short = match byte {
        b'"' => b'"',
        b'\\' => b'\\',
        0x08 => b'b',
        0x0C => b'f',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        _ => return escape_unit(u16::from(byte), out),
    };
    out.put_slice(&[b'\\', short]);
}

fn escape_unit(unit: u16, out: &mut BytesMut) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.put_slice(b"\\u");
    for shift in [12, 8, 4, 0] {
        out.put_u8(DIGITS[usize::from(unit >> shift & 0xF)]);
    }
}

fn escape_astral(text: &str, out: &mut BytesMut) -> usize {
    let Some(character) = text.chars().next() else {
        return 1;
    };
    for unit in character.encode_utf16(&mut [0; 2]) {
        escape_unit(*unit, out);
    }
    character.len_utf8()
}

/// Appends base64 with padding, without quotes.
pub fn print_base64(bytes: &[u8], out: &mut BytesMut) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    out.reserve(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits = [0, 1, 2].iter().fold(0u32, |bits, at| {
            bits << 8 | u32::from(chunk.get(*at).copied().unwrap_or_default())
        });
        for at in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * at) & 0x3F) as usize];
            out.put_u8(if at <= chunk.len() { digit } else { b'=' });
        }
    }
}

struct Printer<'a> {
    style: Style,
    out: &'a mut BytesMut,
}

impl Printer<'_> {
    fn any(&mut self, value: &Value, schema: Option<&Schema>, depth: u32) -> Result<()> {
        if depth > DEPTH_MAX {
            return Err(Error::data("json", "the value nests more than 128 deep"));
        }
        if matches!(value, Value::Null) {
            return self.null(schema, depth);
        }
        match schema {
            None => self.schemaless(value, depth),
            Some(schema) => self.fitting(value, schema, depth),
        }
    }
    fn null(&mut self, schema: Option<&Schema>, depth: u32) -> Result<()> {
        match schema {
            Some(Schema {
                default: Some(default),
                ..
            }) if self.style.defaults => self.any(default, schema, depth + 1),
            Some(Schema {
                optional: false, ..
            }) => Err(Error::data(
                "json",
                "null stands where the schema requires a value and has no default",
            )),
            _ => {
                self.out.put_slice(b"null");
                Ok(())
            }
        }
    }
    fn schemaless(&mut self, value: &Value, depth: u32) -> Result<()> {
        match value {
            Value::Array(items) => self.array(items, None, depth),
            Value::Map(entries) => {
                let named = entries
                    .iter()
                    .all(|(key, _)| matches!(key, Value::String(_)));
                self.map(entries, (None, None), named, depth)
            }
            Value::Struct(_) => Err(Error::bug("json", "a struct came without its schema")),
            Value::Decimal(_) | Value::Date(_) | Value::Time(_) | Value::Timestamp(_) => {
                let problem = format!("a {} without a schema has no JSON form", value.name());
                Err(Error::data("json", problem))
            }
            scalar => {
                self.scalar(scalar);
                Ok(())
            }
        }
    }
    fn fitting(&mut self, value: &Value, schema: &Schema, depth: u32) -> Result<()> {
        match (&schema.kind, value) {
            (Kind::Array(items), Value::Array(values)) => self.array(values, Some(items), depth),
            (Kind::Map(keys, values), Value::Map(entries)) => {
                let named = matches!(keys.kind, Kind::String);
                self.map(entries, (Some(keys), Some(values)), named, depth)
            }
            (Kind::Struct(fields), Value::Struct(values)) if fields.len() == values.len() => {
                self.out.put_u8(b'{');
                for (at, (field, value)) in fields.iter().zip(values).enumerate() {
                    if at > 0 {
                        self.out.put_u8(b',');
                    }
                    print_string(&field.name, self.out);
                    self.out.put_u8(b':');
                    self.any(value, Some(&field.schema), depth + 1)?;
                }
                self.out.put_u8(b'}');
                Ok(())
            }
            (_, Value::Decimal(_) | Value::Date(_) | Value::Time(_) | Value::Timestamp(_)) => {
                self.logical(value, schema)
            }
            (Kind::String, Value::String(text))
                if self.style.bare
                    && schema.name.as_deref() == Some(logical::NUMERIC)
                    && is_number(text) =>
            {
                self.out.put_slice(text.as_bytes());
                Ok(())
            }
            (Kind::Bool, Value::Bool(_))
            | (Kind::Int8, Value::Int8(_))
            | (Kind::Int16, Value::Int16(_))
            | (Kind::Int32, Value::Int32(_))
            | (Kind::Int64, Value::Int64(_))
            | (Kind::Float32, Value::Float32(_))
            | (Kind::Float64, Value::Float64(_))
            | (Kind::String, Value::String(_))
            | (Kind::Bytes, Value::Bytes(_)) => {
                self.scalar(value);
                Ok(())
            }
            _ => Err(misfit(value, schema)),
        }
    }
    fn logical(&mut self, value: &Value, schema: &Schema) -> Result<()> {
        const DAY: i64 = 86_400_000;
        match (schema.name.as_deref(), value) {
            (Some(logical::DECIMAL), Value::Decimal(decimal)) if self.style.numeric => {
                return decimal_text(decimal, self.out);
            }
            (Some(logical::DECIMAL), Value::Decimal(decimal)) => {
                let scale = schema.parameters.iter().find(|(name, _)| name == "scale");
                if scale.and_then(|(_, scale)| scale.parse().ok()) != Some(decimal.scale) {
                    let problem = format!(
                        "a decimal of scale {} does not fit its schema",
                        decimal.scale
                    );
                    return Err(Error::data("json", problem));
                }
                self.out.put_u8(b'"');
                print_base64(&decimal.unscaled, self.out);
                self.out.put_u8(b'"');
            }
            (Some(logical::DATE), Value::Date(ms)) if ms % DAY != 0 => {
                return Err(Error::data("json", "a date has a time of day"));
            }
            (Some(logical::DATE), Value::Date(ms)) => self.integer(ms / DAY),
            (Some(logical::TIME), Value::Time(ms))
            | (Some(logical::TIMESTAMP), Value::Timestamp(ms)) => self.integer(*ms),
            _ => return Err(misfit(value, schema)),
        }
        Ok(())
    }
    fn integer(&mut self, number: i64) {
        self.out
            .put_slice(itoa::Buffer::new().format(number).as_bytes());
    }
    fn scalar(&mut self, value: &Value) {
        match value {
            Value::Bool(true) => self.out.put_slice(b"true"),
            Value::Bool(false) => self.out.put_slice(b"false"),
            Value::Int8(number) => self.integer(i64::from(*number)),
            Value::Int16(number) => self.integer(i64::from(*number)),
            Value::Int32(number) => self.integer(i64::from(*number)),
            Value::Int64(number) => self.integer(*number),
            Value::Float32(number) => {
                let quote = !number.is_finite();
                self.quoted(quote, |out| float_text(*number, out));
            }
            Value::Float64(number) => {
                let quote = !number.is_finite();
                self.quoted(quote, |out| double_text(*number, out));
            }
            Value::String(text) => print_string(text, self.out),
            Value::Bytes(bytes) => self.quoted(true, |out| print_base64(bytes, out)),
            _ => self.out.put_slice(b"null"),
        }
    }
    fn quoted(&mut self, quote: bool, write: impl FnOnce(&mut BytesMut)) {
        if quote {
            self.out.put_u8(b'"');
        }
        write(self.out);
        if quote {
            self.out.put_u8(b'"');
        }
    }
    fn array(&mut self, items: &[Value], schema: Option<&Schema>, depth: u32) -> Result<()> {
        self.out.put_u8(b'[');
        for (at, item) in items.iter().enumerate() {
            if at > 0 {
                self.out.put_u8(b',');
            }
            self.any(item, schema, depth + 1)?;
        }
        self.out.put_u8(b']');
        Ok(())
    }
    /// An object where keys are strings, else a list of pairs.
    fn map(
        &mut self,
        entries: &[(Value, Value)],
        (keys, values): (Option<&Schema>, Option<&Schema>),
        named: bool,
        depth: u32,
    ) -> Result<()> {
        self.out.put_u8(if named { b'{' } else { b'[' });
        for (at, (key, value)) in entries.iter().enumerate() {
            if at > 0 {
                self.out.put_u8(b',');
            }
            match key {
                Value::String(name) if named => print_string(name, self.out),
                Value::Null if named => self.out.put_slice(b"\"null\""),
                _ if named => return Err(misfit_key(key)),
                _ => {
                    self.out.put_u8(b'[');
                    self.any(key, keys, depth + 1)?;
                }
            }
            self.out.put_u8(if named { b':' } else { b',' });
            self.any(value, values, depth + 1)?;
            if !named {
                self.out.put_u8(b']');
            }
        }
        self.out.put_u8(if named { b'}' } else { b']' });
        Ok(())
    }
}

/// Whether a text is a number as JSON writes them, without an exponent, and short enough to be read back.
fn is_number(text: &str) -> bool {
    if text.len() > NUMBER_MAX {
        return false;
    }
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole) && digits(fraction) && (whole == "0" || !whole.starts_with('0'))
}

fn misfit(value: &Value, schema: &Schema) -> Error {
    let kind = schema.kind.name();
    Error::data(
        "json",
        format!(
            "a value of type {} does not fit its schema {kind}",
            value.name()
        ),
    )
}

fn misfit_key(key: &Value) -> Error {
    Error::data(
        "json",
        format!(
            "a map's key of type {} does not fit its schema string",
            key.name()
        ),
    )
}
