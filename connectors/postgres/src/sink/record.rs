//! What a record asks for: a row to write, a key to delete, or nothing.

use super::encode::Cell;
use longshore_sdk::{
    Datum, Schema, Value,
    json::{members, parse_name},
};
use std::borrow::Cow;

/// Named values, in whatever form they came.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Object<'a> {
    /// The text of a JSON object.
    Json(&'a [u8]),
    /// A schemaless map.
    Map(&'a [(Value, Value)]),
    /// A struct and its schema.
    Struct(&'a [Value], &'a Schema),
}

/// What a value asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wish<'a> {
    /// A row of these fields; `true`: out of an envelope.
    Write(Object<'a>, bool),
    /// The row of the record's key to go.
    Delete,
    /// The table to be emptied.
    Truncate,
    /// Nothing: a message of the source that is no row.
    Nothing,
}

/// Why a record is refused before the database sees it; it names no values.
pub(crate) type Fault = Cow<'static, str>;

impl<'a> Object<'a> {
    /// Named values, or what it is instead.
    pub(crate) fn of(datum: &'a Datum) -> Result<Self, &'static str> {
        match datum {
            Datum::Null => Err("null"),
            Datum::Json(text) => Self::of_json(text).ok_or("JSON that is no object"),
            Datum::Text(_) => Err("string"),
            Datum::Bytes(_) => Err("bytes that no converter has decoded"),
            Datum::Value(value, schema) => {
                Self::of_value(value, schema.as_deref()).ok_or(value.name())
            }
        }
    }
    fn of_json(text: &'a [u8]) -> Option<Self> {
        (text.first() == Some(&b'{')).then_some(Self::Json(text))
    }
    fn of_value(value: &'a Value, schema: Option<&'a Schema>) -> Option<Self> {
        match (value, schema) {
            (Value::Struct(values), Some(schema)) if schema.fields().len() == values.len() => {
                Some(Self::Struct(values, schema))
            }
            (Value::Map(entries), _) => Some(Self::Map(entries)),
            _ => None,
        }
    }

    /// Calls `each` with the turn, the name and the value of every field; of names that occur twice the last counts.
    pub(crate) fn each(
        self,
        mut each: impl FnMut(usize, &[u8], Cell<'a>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        match self {
            Self::Json(text) => {
                for (turn, member) in members(text).into_iter().flatten().enumerate() {
                    let member = member.map_err(|_| Cow::Borrowed("the JSON is not valid"))?;
                    let cell = Cell::of_json(&text[member.value]);
                    let raw = &text[member.name];
                    if member.escaped {
                        each(turn, parse_name(raw).as_bytes(), cell)?;
                    } else {
                        each(turn, raw, cell)?;
                    }
                }
            }
            Self::Map(entries) => {
                for (turn, (name, value)) in entries.iter().enumerate() {
                    let Value::String(name) = name else {
                        return Err(Cow::Borrowed("a field's name is no string"));
                    };
                    each(turn, name.as_bytes(), Cell::of_value(value, None))?;
                }
            }
            Self::Struct(values, schema) => {
                for (turn, (field, value)) in schema.fields().iter().zip(values).enumerate() {
                    let cell = Cell::of_value(value, Some(&field.schema));
                    each(turn, field.name.as_bytes(), cell)?;
                }
            }
        }
        Ok(())
    }

    /// The parts of a change event, if it is one: by its schema's name, or by its shape.
    fn envelope(self) -> Result<Option<Envelope<'a>>, Fault> {
        if let Self::Struct(_, schema) = self {
            let named = schema
                .name
                .as_deref()
                .is_some_and(|name| name.ends_with(".Envelope"));
            let shaped = schema.field("op").is_some()
                && schema.field("source").is_some()
                && (schema.field("after").is_some() || schema.field("before").is_some());
            if !named && !shaped {
                return Ok(None);
            }
        }
        if let Self::Json(text) = self
            && memchr::memmem::find(text, b"\"op\"").is_none()
        {
            return Ok(None);
        }
        let mut envelope = Envelope::default();
        let mut row = false;
        match self {
            Self::Json(text) => {
                for member in members(text).into_iter().flatten() {
                    let member = member.map_err(|_| Cow::Borrowed("the JSON is not valid"))?;
                    let value = &text[member.value.clone()];
                    match &text[member.name] {
                        b"op" => {
                            let Some(op) = letter(value) else {
                                return Ok(None);
                            };
                            envelope.op = Some(op);
                        }
                        b"before" => row = true,
                        b"after" => (envelope.after, row) = (Self::of_json(value), true),
                        b"source" => envelope.source = value.first() == Some(&b'{'),
                        _ => {}
                    }
                }
            }
            Self::Map(entries) => {
                for (name, value) in entries {
                    match (name, value) {
                        (Value::String(name), Value::String(op)) if name == "op" => {
                            envelope.op = op.bytes().next().filter(|_| op.len() == 1);
                        }
                        (Value::String(name), _) if name == "before" => row = true,
                        (Value::String(name), value) if name == "after" => {
                            (envelope.after, row) = (Self::of_value(value, None), true)
                        }
                        (Value::String(name), value) if name == "source" => {
                            envelope.source = matches!(value, Value::Map(_))
                        }
                        _ => {}
                    }
                }
            }
            Self::Struct(values, schema) => {
                for (field, value) in schema.fields().iter().zip(values) {
                    match (&*field.name, value) {
                        ("op", Value::String(op)) => {
                            envelope.op = op.bytes().next().filter(|_| op.len() == 1)
                        }
                        ("after", value) => {
                            envelope.after = Self::of_value(value, Some(&field.schema))
                        }
                        _ => {}
                    }
                }
                (envelope.source, row) = (true, true);
            }
        }
        let truncation = matches!(envelope.op, Some(b't' | b'm'));
        let whole = envelope.op.is_some() && envelope.source && (row || truncation);
        Ok(whole.then_some(envelope))
    }
}

#[derive(Debug, Default)]
struct Envelope<'a> {
    op: Option<u8>,
    after: Option<Object<'a>>,
    source: bool,
}

/// The letter that a JSON string of one letter holds.
fn letter(text: &[u8]) -> Option<u8> {
    match text {
        [b'"', letter, b'"'] => Some(*letter),
        _ => None,
    }
}

impl<'a> Wish<'a> {
    /// Reads a value. Errors say what it is instead of a row.
    pub(crate) fn of(value: &'a Datum) -> Result<Self, Fault> {
        if value.is_null() {
            return Ok(Self::Delete);
        }
        let object = Object::of(value).map_err(|instead| {
            Cow::Owned(format!("the value is no object but {instead}: rows need named fields (JsonConverter, or a transform such as HoistField)"))
        })?;
        let Some(envelope) = object.envelope()? else {
            return Ok(Self::Write(object, false));
        };
        match envelope.op {
            Some(b'c' | b'u' | b'r') => match envelope.after {
                Some(after) => Ok(Self::Write(after, true)),
                None => Err(Cow::Borrowed(
                    "the envelope of a written row has no \"after\"",
                )),
            },
            Some(b'd') => Ok(Self::Delete),
            Some(b't') => Ok(Self::Truncate),
            Some(b'm') => Ok(Self::Nothing),
            _ => Err(Cow::Borrowed(
                "the envelope's \"op\" is none of c, u, d, r, t, m",
            )),
        }
    }
}
