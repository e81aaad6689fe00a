//! TimestampConverter.

mod convert;

use crate::{
    date_format::DateFormat,
    settings,
    side::{Change, Each, Side, as_struct, both_sides, opened},
    splice::{Name, Scratch},
    structs::{Schemas, change_entry, copied, with_fields},
    unfit, yes,
};
use bytes::Bytes;
use convert::{Conversion, Form, Precision};
use longshore_sdk::{
    Datum, Error, Field, Kind, Record, Result, Schema, Value,
    config::Flat,
    erased::DynTransform,
    json::{Style, parse, print},
};
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// Settings of TimestampConverter.
#[derive(Debug, Deserialize, JsonSchema)]
struct Config {
    /// The field; empty for the data as a whole.
    #[serde(default)]
    field: String,
    /// What comes out: text, a number since the Unix epoch, or a logical type.
    #[serde(rename = "target.type")]
    target: Form,
    /// How texts are read and printed: a pattern of Java's SimpleDateFormat, in UTC. `target.type=string` needs it, and so do texts that come in.
    #[serde(default)]
    format: String,
    /// What numbers count.
    #[serde(rename = "unix.precision", default)]
    precision: Precision,
    /// Whether a null of a struct becomes its field's default value, where there is one.
    #[serde(rename = "replace.null.with.default", default = "yes")]
    defaults: bool,
}

both_sides!(
    "TimestampConverter",
    "Converts timestamps between text, numbers and logical types.",
    &[],
    Config,
    build
);

fn build(flat: &Flat, side: Side) -> Result<Box<dyn DynTransform>> {
    let config: Config = settings(flat)?;
    let blank = config.format.trim().is_empty();
    if blank && config.target == Form::String {
        return Err(unfit("format", "target.type=string needs a format"));
    }
    let format = if blank {
        None
    } else {
        Some(DateFormat::new("format", &config.format)?)
    };
    let conversion = Conversion {
        target: config.target,
        precision: config.precision,
        format,
    };
    Ok(if config.field.is_empty() {
        Box::new(Each(ConvertWhole { side, conversion }))
    } else {
        Box::new(Each(ConvertField {
            side,
            names: [Name::new(config.field)],
            conversion,
            defaults: config.defaults,
            schemas: Schemas::default(),
            scratch: Scratch::default(),
        }))
    })
}

struct ConvertWhole {
    side: Side,
    conversion: Conversion,
}

impl Change for ConvertWhole {
    fn change(&mut self, record: &mut Record) -> Result<()> {
        let datum = self.side.of(record);
        if matches!(datum, Datum::Null) {
            return Ok(());
        }
        let (value, schema) = opened(datum)?;
        let source = schema.as_deref().map(Form::of).transpose()?;
        let value = self.conversion.of(&value, source)?;
        let schema = schema.map(|old| Arc::new(self.conversion.target.schema(old.optional)));
        *datum = Datum::Value(value, schema);
        Ok(())
    }
}

struct ConvertField {
    side: Side,
    /// The field.
    names: [Name; 1],
    conversion: Conversion,
    defaults: bool,
    schemas: Schemas,
    scratch: Scratch,
}

impl ConvertField {
    fn is_field(&self, name: &str) -> bool {
        *self.names[0].text == *name
    }
    /// As in the reference, a field that is missing is added as null.
    fn json(&mut self, text: &Bytes) -> Result<Option<Datum>> {
        if self.conversion.target.is_logical() {
            // JSON text has no form for what comes out.
            let Value::Map(mut entries) = parse(text)? else {
                return Ok(None);
            };
            self.map(&mut entries)?;
            return Ok(Some(Datum::Value(Value::Map(entries), None)));
        }
        let conversion = &mut self.conversion;
        let text = self.scratch.set(text, &self.names, |_, old, out| {
            let value = conversion.of(&parse(old.unwrap_or(b"null"))?, None)?;
            print(&value, None, Style::default(), out)
        })?;
        Ok(text.map(Datum::Json))
    }
    fn map(&mut self, entries: &mut Vec<(Value, Value)>) -> Result<()> {
        let conversion = &self.conversion;
        change_entry(entries, &self.names[0].text, |value| {
            conversion.of(value, None)
        })
    }
    fn schema(&mut self, old: &Schema) -> Result<Schema> {
        let mut fields = old.fields().to_vec();
        for field in &mut fields {
            if self.is_field(&field.name) {
                let schema = self.conversion.target.schema(field.schema.optional);
                field.schema = Arc::new(schema);
            }
        }
        let default = match &old.default {
            Some(Value::Struct(values)) => Some(self.values(values, old.fields())?),
            _ => None,
        };
        Ok(Schema {
            optional: old.optional,
            default,
            ..with_fields(old, fields)?
        })
    }
    fn values(&mut self, values: &[Value], fields: &[Field]) -> Result<Value> {
        let mut all = Vec::with_capacity(values.len());
        for (field, value) in fields.iter().zip(values) {
            let value = copied(field, value, self.defaults)?;
            all.push(if self.is_field(&field.name) {
                self.conversion.of(&value, Some(Form::of(&field.schema)?))?
            } else {
                value
            });
        }
        Ok(Value::Struct(all))
    }
    fn new_schema(&mut self, schema: &Arc<Schema>) -> Result<Arc<Schema>> {
        let mut schemas = std::mem::take(&mut self.schemas);
        let new = schemas.get(schema, |old| self.schema(old));
        self.schemas = schemas;
        new
    }
}

impl Change for ConvertField {
    fn change(&mut self, record: &mut Record) -> Result<()> {
        let side = self.side;
        let datum = side.of(record);
        match datum {
            Datum::Null | Datum::Value(Value::Null, None) => return Ok(()),
            Datum::Json(text) => {
                if let Some(converted) = self.json(text)? {
                    *datum = converted;
                    return Ok(());
                }
            }
            Datum::Value(Value::Map(entries), None) => return self.map(entries),
            Datum::Value(Value::Null, Some(schema)) => {
                if !matches!(schema.kind, Kind::Struct(_)) {
                    let kind = schema.kind.name();
                    let problem = format!("TimestampConverter finds no fields in type {kind}");
                    return Err(Error::data("transform", problem));
                }
                *schema = self.new_schema(schema)?;
                return Ok(());
            }
            _ => {}
        }
        let Some((values, schema)) = as_struct(datum) else {
            return Err(side.no_fields("TimestampConverter", datum));
        };
        let new = self.new_schema(schema)?;
        let values = self.values(values, schema.fields())?;
        *datum = Datum::Value(values, Some(new));
        Ok(())
    }
}
