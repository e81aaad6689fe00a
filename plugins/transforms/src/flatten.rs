//! Flatten.

mod text;

use crate::{
    settings,
    side::{Change, Each, Side, as_struct, both_sides},
    structs::{Schemas, with_fields},
};
use longshore_sdk::{
    Datum, Error, Field, Kind, Record, Result, Schema, Value, config::Flat, erased::DynTransform,
    json::DEPTH_MAX,
};
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;
use text::FlatText;

/// Settings of Flatten.
#[derive(Debug, Deserialize, JsonSchema)]
struct Config {
    /// What stands between the names of the levels.
    #[serde(default = "dot")]
    delimiter: String,
}

fn dot() -> String {
    ".".into()
}

both_sides!(
    "Flatten",
    "Lifts fields of nested structs or maps to the top, with joined names; arrays stay as they are.",
    &[],
    Config,
    build
);

fn build(flat: &Flat, side: Side) -> Result<Box<dyn DynTransform>> {
    let config: Config = settings(flat)?;
    Ok(Box::new(Each(Flatten {
        side,
        text: FlatText::new(&config.delimiter),
        delimiter: config.delimiter,
        schemas: Schemas::default(),
    })))
}

struct Flatten {
    side: Side,
    delimiter: String,
    text: FlatText,
    schemas: Schemas,
}

impl Flatten {
    fn name(&self, prefix: &str, name: &str) -> String {
        if prefix.is_empty() {
            name.to_owned()
        } else {
            [prefix, &self.delimiter, name].concat()
        }
    }
    fn map(
        &self,
        entries: Vec<(Value, Value)>,
        prefix: &str,
        flat: &mut Vec<(Value, Value)>,
    ) -> Result<()> {
        for (key, value) in entries {
            let Value::String(key) = key else {
                let problem = format!("Flatten: a map's key is of type {}, not string", key.name());
                return Err(Error::data("transform", problem));
            };
            let name = self.name(prefix, &key);
            match value {
                Value::Map(entries) => self.map(entries, &name, flat)?,
                Value::Struct(_)
                | Value::Decimal(_)
                | Value::Date(_)
                | Value::Time(_)
                | Value::Timestamp(_) => {
                    let kind = value.name();
                    let problem =
                        format!("Flatten takes no {kind} without a schema (field {name:?})");
                    return Err(Error::data("transform", problem));
                }
                value => {
                    let name = Value::String(name);
                    match flat.iter_mut().find(|(known, _)| *known == name) {
                        Some((_, known)) => *known = value,
                        None => flat.push((name, value)),
                    }
                }
            }
        }
        Ok(())
    }
    fn schema(&self, old: &Schema) -> Result<Schema> {
        let mut fields = Vec::new();
        let default = parts(old.default.as_ref());
        self.lift(old, "", old.optional, default, &mut fields)?;
        with_fields(old, fields)
    }
    /// Appends the fields of `schema`. They are optional where one of the structs around them is, and take their default from it.
    fn lift(
        &self,
        schema: &Schema,
        prefix: &str,
        optional: bool,
        defaults: Option<&[Value]>,
        fields: &mut Vec<Field>,
    ) -> Result<()> {
        for (at, field) in schema.fields().iter().enumerate() {
            let name = self.name(prefix, &field.name);
            let optional = optional || field.schema.optional;
            let inherited = defaults.and_then(|values| match values.get(at) {
                None | Some(Value::Null) => None,
                value => value,
            });
            let default = field.schema.default.as_ref().or(inherited);
            match &field.schema.kind {
                Kind::Struct(_) => {
                    self.lift(&field.schema, &name, optional, parts(default), fields)?;
                }
                Kind::Map(..) => {
                    let problem = format!("Flatten takes no map with a schema (field {name:?})");
                    return Err(Error::data("transform", problem));
                }
                _ => fields.push(Field {
                    name: name.into(),
                    schema: Arc::new(Schema {
                        optional,
                        default: default.cloned(),
                        ..(*field.schema).clone()
                    }),
                }),
            }
        }
        Ok(())
    }
}

fn parts(default: Option<&Value>) -> Option<&[Value]> {
    match default {
        Some(Value::Struct(values)) => Some(values),
        _ => None,
    }
}

/// Appends the values of a struct, or as many nulls as there would be.
fn spread(schema: &Schema, values: Option<&[Value]>, flat: &mut Vec<Value>) {
    for (at, field) in schema.fields().iter().enumerate() {
        let value = values.and_then(|values| values.get(at));
        if let Kind::Struct(_) = field.schema.kind {
            spread(&field.schema, parts(value), flat);
            continue;
        }
        flat.push(match (value, &field.schema.default) {
            // A null of a struct that is there becomes its default; what is missing as a whole stays null.
            (Some(Value::Null), Some(default)) => default.clone(),
            (value, _) => value.cloned().unwrap_or(Value::Null),
        });
    }
}

/// Whether maps nest deeper than anything here does.
fn too_deep(value: &Value, left: u32) -> bool {
    match value {
        Value::Map(_) if left == 0 => true,
        Value::Map(entries) => entries.iter().any(|(_, value)| too_deep(value, left - 1)),
        _ => false,
    }
}

impl Change for Flatten {
    fn change(&mut self, record: &mut Record) -> Result<()> {
        let side = self.side;
        let datum = side.of(record);
        match datum {
            datum if datum.is_null() => return Ok(()),
            Datum::Json(text) => {
                if let Some(flat) = self.text.flat(text)? {
                    *text = flat;
                    return Ok(());
                }
            }
            Datum::Value(value @ Value::Map(_), None) => {
                if too_deep(value, DEPTH_MAX) {
                    return Err(Error::data(
                        "transform",
                        "Flatten: maps nest more than 128 deep",
                    ));
                }
                if let Value::Map(entries) = std::mem::replace(value, Value::Null) {
                    let mut flat = Vec::with_capacity(entries.len());
                    self.map(entries, "", &mut flat)?;
                    *value = Value::Map(flat);
                }
                return Ok(());
            }
            _ => {}
        }
        let Some((values, schema)) = as_struct(datum) else {
            return Err(side.no_fields("Flatten", datum));
        };
        let mut schemas = std::mem::take(&mut self.schemas);
        let new = schemas.get(schema, |old| self.schema(old));
        self.schemas = schemas;
        let new = new?;
        let mut flat = Vec::with_capacity(new.fields().len());
        spread(schema, Some(values), &mut flat);
        *datum = Datum::Value(Value::Struct(flat), Some(new));
        Ok(())
    }
}
