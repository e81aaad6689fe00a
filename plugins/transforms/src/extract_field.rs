//! ExtractField.

use crate::{
    field_path::FieldPath,
    settings,
    side::{Change, Each, Side, as_struct, both_sides},
    yes,
};
use bytes::Bytes;
use longshore_sdk::{
    Datum, Error, Kind, Record, Result, Schema, Value, config::Flat, erased::DynTransform,
    json::members,
};
use schemars::JsonSchema;
use serde::Deserialize;
use std::{ops::Range, sync::Arc};

/// Settings of ExtractField.
#[derive(Debug, Deserialize, JsonSchema)]
struct Config {
    /// The field, or with V2 the path to it.
    field: String,
    /// `V1`: `field` is a name. `V2`: it is a path, with dots between names and backticks around names that hold dots.
    #[serde(rename = "field.syntax.version", default = "v1")]
    syntax: String,
    /// Whether a null of a struct becomes its field's default value, where there is one.
    #[serde(rename = "replace.null.with.default", default = "yes")]
    defaults: bool,
}

fn v1() -> String {
    "V1".into()
}

both_sides!(
    "ExtractField",
    "Replaces the data by one of its fields.",
    &[],
    Config,
    build
);

fn build(flat: &Flat, side: Side) -> Result<Box<dyn DynTransform>> {
    let config: Config = settings(flat)?;
    Ok(Box::new(Each(ExtractField {
        side,
        path: FieldPath::new(&config.field, &config.syntax)?,
        defaults: config.defaults,
    })))
}

struct ExtractField {
    side: Side,
    path: FieldPath,
    defaults: bool,
}

fn no_object() -> Error {
    Error::data(
        "transform",
        "ExtractField finds data without fields on the way to its field",
    )
}

impl ExtractField {
    /// The field's span; of names that occur twice the last one. `None`: it is missing.
    fn span(&self, text: &[u8]) -> Result<Option<Range<usize>>> {
        let mut inside = 0..text.len();
        for (depth, step) in self.path.steps.iter().enumerate() {
            let object = &text[inside.clone()];
            if depth > 0 && object == b"null" {
                return Ok(None);
            }
            let mut found = None;
            for member in members(object).ok_or_else(no_object)? {
                let member = member?;
                if member.is(object, step) {
                    found =
                        Some(inside.start + member.value.start..inside.start + member.value.end);
                }
            }
            match found {
                Some(span) => inside = span,
                None => return Ok(None),
            }
        }
        Ok(Some(inside))
    }
    fn json(&self, text: &Bytes) -> Result<Datum> {
        Ok(match self.span(text)? {
            Some(span) if &text[span.clone()] != b"null" => Datum::Json(text.slice(span)),
            _ => Datum::Null,
        })
    }
    fn map(&self, entries: &mut Vec<(Value, Value)>) -> Result<Datum> {
        let mut entries = std::mem::take(entries);
        let mut steps = self.path.steps.iter().peekable();
        while let Some(step) = steps.next() {
            let found = entries
                .iter()
                .rposition(|(key, _)| matches!(key, Value::String(key) if key == step));
            let Some(found) = found else {
                return Ok(Datum::Null);
            };
            let value = entries.swap_remove(found).1;
            entries = match value {
                Value::Null => return Ok(Datum::Null),
                value if steps.peek().is_none() => return Ok(Datum::Value(value, None)),
                Value::Map(entries) => entries,
                _ => return Err(no_object()),
            };
        }
        Ok(Datum::Null)
    }
    fn unknown(&self) -> Error {
        let problem = format!("ExtractField: the struct has no field {:?}", self.path.text);
        Error::data("transform", problem)
    }
    /// The field's schema, whether or not there is a value.
    fn schema(&self, schema: &Arc<Schema>) -> Result<Arc<Schema>> {
        let mut schema = schema.clone();
        for step in &self.path.steps {
            if !matches!(schema.kind, Kind::Struct(_)) {
                return Err(no_object());
            }
            let (_, field) = schema.field(step).ok_or_else(|| self.unknown())?;
            schema = field.schema.clone();
        }
        Ok(schema)
    }
    fn value(&self, values: &[Value], schema: &Schema) -> Value {
        let (mut values, mut schema) = (values, schema);
        let mut steps = self.path.steps.iter().peekable();
        while let Some((at, field)) = steps.next().and_then(|step| schema.field(step)) {
            let value = match (&values[at], &field.schema.default) {
                (Value::Null, Some(default)) if self.defaults => default,
                (value, _) => value,
            };
            match value {
                value if steps.peek().is_none() => return value.clone(),
                Value::Struct(inner) => (values, schema) = (inner, &field.schema),
                _ => return Value::Null,
            }
        }
        Value::Null
    }
}

impl Change for ExtractField {
    fn change(&mut self, record: &mut Record) -> Result<()> {
        let side = self.side;
        let datum = side.of(record);
        let extracted = match datum {
            Datum::Null | Datum::Value(Value::Null, None) => Datum::Null,
            Datum::Json(text) if text.first() == Some(&b'{') => self.json(text)?,
            Datum::Value(Value::Map(entries), None) => self.map(entries)?,
            Datum::Value(Value::Null, Some(schema)) => {
                Datum::Value(Value::Null, Some(self.schema(schema)?))
            }
            _ => {
                let Some((values, schema)) = as_struct(datum) else {
                    return Err(side.no_fields("ExtractField", datum));
                };
                let field = self.schema(schema)?;
                Datum::Value(self.value(values, schema), Some(field))
            }
        };
        *datum = extracted;
        Ok(())
    }
}
