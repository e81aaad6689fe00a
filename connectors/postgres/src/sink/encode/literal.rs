//! Text, bytes and uuids; and values as the text that the server reads, arrays included.

use super::{Cell, Fit, Form, JSON, Unfit, misfit, numeric, time, wire::Element};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::BytesMut;
use longshore_sdk::{
    Kind, Schema, Value,
    json::{decimal_text, items, print},
};

const NO_UUID: Unfit = Unfit::because("a text is no uuid");
const NO_BASE64: Unfit = Unfit::because("a text is neither base64 nor hex with \\x in front");
const NUL: Unfit = Unfit::because("a text holds a NUL character, which Postgres cannot store");
/// How deep arrays may nest: Postgres knows six dimensions.
const DIMENSIONS_MAX: u32 = 6;

/// Characters; what is no text appears as it would in JSON.
pub(super) fn text(cell: &Cell<'_>, out: &mut Vec<u8>) -> Fit {
    let start = out.len();
    match cell {
        Cell::Text(text) | Cell::JsonText(text) => out.extend_from_slice(text.as_bytes()),
        Cell::Number(text) => out.extend_from_slice(text.as_bytes()),
        Cell::Json(text) => out.extend_from_slice(text),
        Cell::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        Cell::Int(number) => {
            out.extend_from_slice(itoa::Buffer::new().format(*number).as_bytes());
        }
        Cell::Float(number) => out.extend_from_slice(float_text(*number).as_bytes()),
        Cell::Double(number) => out.extend_from_slice(double_text(*number).as_bytes()),
        Cell::Decimal(decimal) => {
            let mut printed = BytesMut::new();
            decimal_text(decimal, &mut printed).map_err(|_| super::number::RANGE)?;
            out.extend_from_slice(&printed);
        }
        Cell::Bytes(bytes) => {
            let text = std::str::from_utf8(bytes)
                .map_err(|_| Unfit::because("bytes that are not UTF-8 do not fit a text column"))?;
            out.extend_from_slice(text.as_bytes());
        }
        Cell::Date(days) => put(time::date_text(*days), out)?,
        Cell::Time(micros) => out.extend_from_slice(time::clock_text(*micros).as_bytes()),
        Cell::Timestamp(micros) => put(time::timestamp_text(*micros), out)?,
        Cell::Infinity { negative } => {
            out.extend_from_slice(if *negative { b"-infinity" } else { b"infinity" });
        }
        Cell::Duration(micros) => put(Some(format!("{micros} microseconds")), out)?,
        Cell::Nested(value, schema) => {
            let mut printed = BytesMut::new();
            print(value, *schema, JSON, &mut printed)
                .map_err(|_| Unfit::because("the value has no form in JSON"))?;
            out.extend_from_slice(&printed);
        }
        Cell::Null => {}
    }
    if memchr::memchr(0, &out[start..]).is_some() {
        return Err(NUL);
    }
    Ok(())
}

fn put(text: Option<String>, out: &mut Vec<u8>) -> Fit {
    let text = text.ok_or(Unfit::because("a date or time is out of range"))?;
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

fn double_text(number: f64) -> String {
    if number.is_finite() {
        ryu::Buffer::new().format_finite(number).to_owned()
    } else {
        word(number).to_owned()
    }
}

fn float_text(number: f32) -> String {
    if number.is_finite() {
        ryu::Buffer::new().format_finite(number).to_owned()
    } else {
        word(f64::from(number)).to_owned()
    }
}

fn word(number: f64) -> &'static str {
    match number {
        number if number.is_nan() => "NaN",
        number if number > 0.0 => "Infinity",
        _ => "-Infinity",
    }
}

/// Bytes; text is base64, as Connect's JSON has it, or hex with `\x` in front, as Postgres prints it.
pub(super) fn bytes(cell: &Cell<'_>, out: &mut Vec<u8>) -> Fit {
    match cell {
        Cell::Bytes(bytes) => out.extend_from_slice(bytes),
        Cell::Decimal(decimal) => out.extend_from_slice(&decimal.unscaled),
        Cell::Text(text) => match text.strip_prefix("\\x") {
            Some(hex) => unhex(hex.as_bytes(), out).ok_or(NO_BASE64)?,
            None => STANDARD
                .decode_vec(text.as_bytes(), out)
                .map_err(|_| NO_BASE64)?,
        },
        _ => return Err(misfit(cell, "bytea")),
    }
    Ok(())
}

fn hex(byte: u8) -> [u8; 2] {
    [byte >> 4, byte & 15].map(|digit| b"0123456789abcdef"[usize::from(digit)])
}

fn unhex(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = text.chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return None;
    }
    for pair in pairs {
        out.push((digit(pair[0])? << 4 | digit(pair[1])?) as u8);
    }
    Some(())
}

/// The 16 bytes of a uuid: text with or without hyphens and braces, or bytes.
pub(super) fn uuid(cell: &Cell<'_>, out: &mut Vec<u8>) -> Fit {
    match cell {
        Cell::Bytes(bytes) if bytes.len() == 16 => out.extend_from_slice(bytes),
        Cell::Text(text) => {
            let text = text.trim();
            let text = text
                .strip_prefix('{')
                .and_then(|text| text.strip_suffix('}'))
                .unwrap_or(text);
            let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b'-').take(33).collect();
            if digits.len() != 32 || text.len() > 39 {
                return Err(NO_UUID);
            }
            unhex(&digits, out).ok_or(NO_UUID)?;
        }
        _ => return Err(misfit(cell, "uuid")),
    }
    Ok(())
}

/// A value as the text that the server casts to the column's type.
pub(super) fn write(cell: &Cell<'_>, form: Form, out: &mut Vec<u8>) -> Fit {
    match (form, cell) {
        (Form::Array(element), Cell::Json(_) | Cell::Nested(Value::Array(_), _)) => {
            array(cell, element, 1, out)
        }
        // A literal of Postgres, bounds and all.
        (Form::Array(_), Cell::Text(text)) if text.starts_with(['{', '[']) => self::text(cell, out),
        (Form::Array(_), _) => Err(misfit(cell, "array")),
        (Form::One(element), _) => one(cell, element, out),
    }
}

fn one(cell: &Cell<'_>, element: Element, out: &mut Vec<u8>) -> Fit {
    match element {
        Element::Bytea => {
            let mut raw = Vec::new();
            bytes(cell, &mut raw)?;
            out.extend_from_slice(b"\\x");
            for byte in raw {
                out.extend(hex(byte));
            }
            Ok(())
        }
        Element::Json => super::json(cell, out),
        Element::Date => {
            let days = match cell {
                Cell::Int(days) => *days,
                Cell::Number(_) => super::number::integer(cell)?,
                _ => return text(cell, out),
            };
            put(time::date_text(days), out)
        }
        Element::Time | Element::Timestamp => {
            let ms = match cell {
                Cell::Int(ms) => *ms,
                Cell::Number(_) => super::number::integer(cell)?,
                _ => return text(cell, out),
            };
            let micros = ms.checked_mul(1000).ok_or(super::number::RANGE)?;
            match element {
                Element::Time => put(Some(time::clock_text(micros.clamp(0, i64::MAX))), out),
                _ => put(time::timestamp_text(micros), out),
            }
        }
        Element::Numeric => {
            if let Cell::Decimal(decimal) = cell {
                let digits = numeric::Digits::of_decimal(decimal)?;
                return put(Some(digits.plain()), out);
            }
            text(cell, out)
        }
        Element::Plain => text(cell, out),
    }
}

/// An array as Postgres's literal: `{"a",NULL,{..}}`; every element stands in quotes.
fn array(cell: &Cell<'_>, element: Element, depth: u32, out: &mut Vec<u8>) -> Fit {
    if depth > DIMENSIONS_MAX {
        return Err(Unfit::because("an array has more than 6 dimensions"));
    }
    out.push(b'{');
    let mut first = true;
    match cell {
        Cell::Json(text) => {
            let items = items(text).ok_or_else(|| misfit(cell, "array"))?;
            for item in items {
                let span = item.map_err(|_| Unfit::because("an array is no valid JSON"))?;
                comma(&mut first, out);
                item_of(&Cell::of_json(&text[span]), element, depth, out)?;
            }
        }
        Cell::Nested(Value::Array(values), schema) => {
            let inner = schema.and_then(element_schema);
            for value in values {
                comma(&mut first, out);
                item_of(&Cell::of_value(value, inner), element, depth, out)?;
            }
        }
        _ => return Err(misfit(cell, "array")),
    }
    out.push(b'}');
    Ok(())
}

fn element_schema(schema: &Schema) -> Option<&Schema> {
    match &schema.kind {
        Kind::Array(inner) => Some(inner),
        _ => None,
    }
}

fn comma(first: &mut bool, out: &mut Vec<u8>) {
    if !std::mem::replace(first, false) {
        out.push(b',');
    }
}

fn item_of(cell: &Cell<'_>, element: Element, depth: u32, out: &mut Vec<u8>) -> Fit {
    let nested = matches!(
        cell,
        Cell::Json([b'[', ..]) | Cell::Nested(Value::Array(_), _)
    );
    // Elements of json arrays may be arrays themselves.
    if nested && !matches!(element, Element::Json) {
        return array(cell, element, depth + 1, out);
    }
    if matches!(cell, Cell::Null) {
        out.extend_from_slice(b"NULL");
        return Ok(());
    }
    let mut plain = Vec::new();
    one(cell, element, &mut plain)?;
    out.push(b'"');
    for byte in plain {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
    Ok(())
}
