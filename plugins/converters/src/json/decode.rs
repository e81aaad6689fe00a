//! JSON text to data, guided by a schema.

use super::schema::Cache;
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use longshore_sdk::{
    Datum, Decimal, Error, Field, Kind, Result, Schema, Value,
    json::{decimal_from_text, items, members, parse, parse_name},
    schema::logical,
};

fn bad(problem: impl Into<String>) -> Error {
    Error::data("json", problem)
}

pub(super) fn no_envelope() -> Error {
    bad(
        "JsonConverter with schemas.enable=true needs an object of exactly \"schema\" and \"payload\": set schemas.enable=false for plain JSON",
    )
}

/// Valid JSON text, kept as text.
pub(super) fn lazily(text: Bytes) -> Datum {
    if &text[..] == b"null" {
        Datum::Null
    } else {
        Datum::Json(text)
    }
}

/// `{"schema": .., "payload": ..}`.
pub(super) fn envelope(text: &Bytes, known: &mut Cache) -> Result<Datum> {
    let (mut schema, mut payload) = (None, None);
    for member in members(text).ok_or_else(no_envelope)? {
        let member = member?;
        if member.is(text, "schema") {
            schema = Some(member.value);
        } else if member.is(text, "payload") {
            payload = Some(member.value);
        } else {
            return Err(no_envelope());
        }
    }
    let (Some(schema), Some(payload)) = (schema, payload) else {
        return Err(no_envelope());
    };
    match known.get(&text[schema.clone()])? {
        None => Ok(lazily(text.slice(payload))),
        Some(found) => {
            let value = convert(&found, Some(&text[payload.clone()]), known.defaults)?;
            let plain = found.name.as_deref().is_none_or(|name| !is_logical(name));
            if schema.end < payload.start && plain && matches!(found.kind, Kind::Struct(_)) {
                known.remember(&text[..payload.start], &found);
            }
            Ok(Datum::Value(value, Some(found)))
        }
    }
}

fn is_logical(name: &str) -> bool {
    matches!(
        name,
        logical::DATE | logical::TIME | logical::TIMESTAMP | logical::DECIMAL
    )
}

/// An envelope that starts as the last one did, with a struct whose members come in the order of the fields: read in one pass. `None`: it is
/// another one, or something is wrong with it, which the long way tells.
pub(super) fn envelope_again(text: &[u8], known: &Cache) -> Option<Datum> {
    let (prefix, schema) = known.last.as_ref()?;
    let payload = text.strip_prefix(&prefix[..])?;
    let Kind::Struct(fields) = &schema.kind else {
        return None;
    };
    let mut values = Vec::with_capacity(fields.len());
    let mut members = members(payload)?;
    for field in fields {
        let member = members.next()?.ok()?;
        if !member.is(payload, &field.name) {
            return None;
        }
        let value = convert(&field.schema, Some(&payload[member.value]), known.defaults).ok()?;
        if value == Value::Null && !field.schema.optional {
            return None;
        }
        values.push(value);
    }
    if members.next().is_some() {
        return None;
    }
    // The struct's brace, and the envelope's.
    let end = members.at() + 1;
    let space = |byte: &&u8| matches!(byte, b' ' | b'\n' | b'\r' | b'\t');
    let closing = payload.get(end..)?.iter().find(|byte| !space(byte));
    if closing != Some(&b'}') || std::str::from_utf8(&payload[..end]).is_err() {
        return None;
    }
    Some(Datum::Value(Value::Struct(values), Some(schema.clone())))
}

/// The text of a JSON string; `None` if it is none.
pub(super) fn text_of(text: &[u8]) -> Option<String> {
    let inner = text.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    if !inner.contains(&b'\\')
        && let Ok(text) = std::str::from_utf8(inner)
    {
        return Some(text.to_owned());
    }
    Some(parse_name(inner))
}

/// An object's member; of names that occur twice the last. Absent, or `text` no object: `None`.
pub(super) fn last_member<'a>(text: &'a [u8], name: &str) -> Result<Option<&'a [u8]>> {
    let mut found = None;
    for member in members(text).into_iter().flatten() {
        let member = member?;
        if member.is(text, name) {
            found = Some(&text[member.value]);
        }
    }
    Ok(found)
}

/// Reads valid JSON text (`None`: it is missing) as `schema` says. As in the reference, a scalar of another type reads as 0, false or null.
pub(super) fn convert(schema: &Schema, text: Option<&[u8]>, defaults: bool) -> Result<Value> {
    let Some(text) = text.filter(|text| *text != b"null") else {
        return match &schema.default {
            Some(default) if defaults => Ok(default.clone()),
            _ if schema.optional => Ok(Value::Null),
            _ => Err(required(schema)),
        };
    };
    if let Some(name) = schema.name.as_deref()
        && let Some(value) = convert_logical(name, schema, text)?
    {
        return Ok(value);
    }
    match &schema.kind {
        Kind::Array(schema) => convert_array(schema, text, defaults),
        Kind::Map(keys, values) => convert_map(keys, values, text, defaults),
        Kind::Struct(fields) => convert_struct(fields, text, defaults),
        Kind::String => Ok(text_of(text).map_or(Value::Null, Value::String)),
        Kind::Bytes => match text_of(text) {
            None => Ok(Value::Null),
            Some(text) => Ok(Value::Bytes(base64(&text)?)),
        },
        Kind::Bool => Ok(Value::Bool(text == b"true")),
        Kind::Int8 => Ok(Value::Int8(integer(text)? as i8)),
        Kind::Int16 => Ok(Value::Int16(integer(text)? as i16)),
        Kind::Int32 => Ok(Value::Int32(integer(text)? as i32)),
        Kind::Int64 => Ok(Value::Int64(integer(text)?)),
        Kind::Float32 => Ok(Value::Float32(float(text)? as f32)),
        Kind::Float64 => Ok(Value::Float64(float(text)?)),
    }
}

fn required(schema: &Schema) -> Error {
    bad(format!("null stands for a required {}", schema.kind.name()))
}

fn base64(text: &str) -> Result<Bytes> {
    let bytes = STANDARD.decode(text);
    Ok(Bytes::from(bytes.map_err(|error| {
        bad("a bytes field is no base64 text").because(error)
    })?))
}

fn is_number(text: &[u8]) -> bool {
    matches!(text.first(), Some(b'-' | b'0'..=b'9'))
}

fn integer(text: &[u8]) -> Result<i64> {
    Ok(match parse_number(text)? {
        Value::Int64(number) => number,
        Value::Float64(number) => number as i64,
        _ => 0,
    })
}

fn float(text: &[u8]) -> Result<f64> {
    // What is no number in JSON is printed as text; the reference reads it back as 0, and so loses it.
    match text {
        b"\"NaN\"" => return Ok(f64::NAN),
        b"\"Infinity\"" => return Ok(f64::INFINITY),
        b"\"-Infinity\"" => return Ok(f64::NEG_INFINITY),
        _ => {}
    }
    // An integer may be longer than 64 bits here.
    let number = std::str::from_utf8(text).ok().filter(|_| is_number(text));
    Ok(number.and_then(|text| text.parse().ok()).unwrap_or(0.0))
}

fn parse_number(text: &[u8]) -> Result<Value> {
    if is_number(text) {
        parse(text)
    } else {
        Ok(Value::Null)
    }
}

fn convert_logical(name: &str, schema: &Schema, text: &[u8]) -> Result<Option<Value>> {
    const DAY: i64 = 86_400_000;
    let integral = || match parse_number(text)? {
        Value::Int64(number) => Ok(number),
        _ => Err(bad(format!("a value of logical type {name} is no integer"))),
    };
    let short = || {
        let number = integral()?;
        let fits = i32::try_from(number).is_ok();
        fits.then_some(number).ok_or_else(|| {
            bad(format!(
                "a value of logical type {name} does not fit 32 bits"
            ))
        })
    };
    Ok(Some(match name {
        logical::DATE => Value::Date(short()? * DAY),
        logical::TIME => Value::Time(short()?),
        logical::TIMESTAMP => Value::Timestamp(integral()?),
        logical::DECIMAL => Value::Decimal(decimal(schema, text)?),
        _ => return Ok(None),
    }))
}

fn decimal(schema: &Schema, text: &[u8]) -> Result<Decimal> {
    if is_number(text) {
        return decimal_from_text(&String::from_utf8_lossy(text));
    }
    let encoded = text_of(text).ok_or_else(|| bad("a decimal is neither a number nor a text"))?;
    let scale = schema.parameters.iter().find(|(name, _)| name == "scale");
    let scale = scale
        .and_then(|(_, scale)| scale.parse().ok())
        .ok_or_else(|| bad("a decimal's schema has no parameter \"scale\""))?;
    let unscaled = base64(&encoded)?;
    if unscaled.is_empty() {
        return Err(bad("a decimal has no bytes"));
    }
    Ok(Decimal { unscaled, scale })
}

/// The reference iterates over whatever children there are: an object's values too, and none of a scalar.
fn convert_array(schema: &Schema, text: &[u8], defaults: bool) -> Result<Value> {
    let mut values = Vec::new();
    for item in items(text).into_iter().flatten() {
        values.push(convert(schema, Some(&text[item?]), defaults)?);
    }
    for member in members(text).into_iter().flatten() {
        values.push(convert(schema, Some(&text[member?.value]), defaults)?);
    }
    Ok(Value::Array(values))
}

fn convert_map(keys: &Schema, values: &Schema, text: &[u8], defaults: bool) -> Result<Value> {
    let mut entries: Vec<(Value, Value)> = Vec::new();
    if keys.kind == Kind::String {
        let members =
            members(text).ok_or_else(|| bad("a map with string keys must be an object"))?;
        for member in members {
            let member = member?;
            let key = Value::String(parse_name(&text[member.name]));
            entries.push((key, convert(values, Some(&text[member.value]), defaults)?));
        }
        return Ok(Value::Map(entries));
    }
    for pair in
        items(text).ok_or_else(|| bad("a map whose keys are no strings must be an array"))?
    {
        let pair = &text[pair?];
        let parts = items(pair).ok_or_else(|| bad("an entry of a map must be an array"))?;
        let parts: Vec<_> = parts.take(3).collect::<Result<_>>()?;
        let [key, value] = &parts[..] else {
            return Err(bad(format!(
                "an entry of a map has {} parts instead of 2",
                parts.len()
            )));
        };
        let key = convert(keys, Some(&pair[key.clone()]), defaults)?;
        entries.push((key, convert(values, Some(&pair[value.clone()]), defaults)?));
    }
    Ok(Value::Map(entries))
}

fn convert_struct(fields: &[Field], text: &[u8], defaults: bool) -> Result<Value> {
    let members = members(text).ok_or_else(|| bad("a struct must be an object"))?;
    let mut spans = vec![None; fields.len()];
    for (turn, member) in members.enumerate() {
        let member = member?;
        // Members mostly come in the order of the fields.
        let at = match fields.get(turn) {
            Some(field) if member.is(text, &field.name) => Some(turn),
            _ => fields.iter().position(|field| member.is(text, &field.name)),
        };
        if let Some(at) = at {
            spans[at] = Some(member.value);
        }
    }
    let mut values = Vec::with_capacity(fields.len());
    for (field, span) in fields.iter().zip(spans) {
        let value = convert(&field.schema, span.map(|span| &text[span]), defaults)?;
        if value == Value::Null && !field.schema.optional {
            return Err(required(&field.schema).with("field", &field.name));
        }
        values.push(value);
    }
    Ok(Value::Struct(values))
}
