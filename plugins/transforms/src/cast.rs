//! Cast.

mod spec;
mod value;

use crate::{
    settings,
    side::{Change, Each, Side, as_struct, both_sides, opened},
    splice::{Name, Scratch},
    structs::{Schemas, change_entry, copied, with_fields},
    yes,
};
use bytes::Bytes;
use longshore_sdk::{
    Datum, Error, Field, Kind, Record, Result, Schema, Value,
    config::Flat,
    erased::DynTransform,
    json::{Style, parse, print},
};
use schemars::JsonSchema;
use serde::Deserialize;
use spec::{Spec, Target};
use std::sync::Arc;
use value::cast;

/// Settings of Cast.
#[derive(Debug, Deserialize, JsonSchema)]
struct Config {
    /// Fields and their new types, `field:type`, or one type for the data as a whole. Types: int8, int16, int32, int64, float32, float64,
    /// boolean, string.
    spec: Vec<String>,
    /// Whether a null of a struct becomes its field's default value, where there is one.
    #[serde(rename = "replace.null.with.default", default = "yes")]
    defaults: bool,
}

both_sides!(
    "Cast",
    "Gives fields, or the data as a whole, another primitive type.",
    &[],
    Config,
    build
);

fn build(flat: &Flat, side: Side) -> Result<Box<dyn DynTransform>> {
    let config: Config = settings(flat)?;
    Ok(match Spec::new(&config.spec)? {
        Spec::Whole(target) => Box::new(Each(CastWhole {
            side,
            target,
            schemas: Schemas::default(),
        })),
        Spec::Fields(fields) => {
            let (names, targets) = fields
                .into_iter()
                .map(|(name, target)| (Name::new(name), target))
                .unzip();
            Box::new(Each(CastFields {
                side,
                names,
                targets,
                defaults: config.defaults,
                schemas: Schemas::default(),
                scratch: Scratch::default(),
            }))
        }
    })
}

struct CastWhole {
    side: Side,
    target: Target,
    schemas: Schemas,
}

impl CastWhole {
    /// The schema keeps name, version and parameters, as in the reference, though they may say nothing of the new type.
    fn schema(target: Target, old: &Schema) -> Result<Schema> {
        let default = old.default.as_ref();
        Ok(Schema {
            kind: target.kind(),
            default: default
                .map(|default| cast(default, Some(old), target))
                .transpose()?,
            ..old.clone()
        })
    }
}

impl Change for CastWhole {
    fn change(&mut self, record: &mut Record) -> Result<()> {
        let target = self.target;
        let datum = self.side.of(record);
        if datum.is_null() {
            return Ok(());
        }
        let (value, schema) = opened(datum)?;
        let new = match &schema {
            None => None,
            Some(schema) => Some(self.schemas.get(schema, |old| Self::schema(target, old))?),
        };
        *datum = Datum::Value(cast(&value, schema.as_deref(), target)?, new);
        Ok(())
    }
}

struct CastFields {
    side: Side,
    names: Vec<Name>,
    targets: Vec<Target>,
    defaults: bool,
    schemas: Schemas,
    scratch: Scratch,
}

impl CastFields {
    fn target(&self, name: &str) -> Option<Target> {
        let at = self.names.iter().position(|known| *known.text == *name)?;
        Some(self.targets[at])
    }
    /// As in the reference, a field that is missing is added as null.
    fn json(&mut self, text: &Bytes) -> Result<Option<Bytes>> {
        let targets = &self.targets;
        self.scratch.set(text, &self.names, |at, old, out| {
            let value = cast(&parse(old.unwrap_or(b"null"))?, None, targets[at])?;
            print(&value, None, Style::default(), out)
        })
    }
    fn map(&self, entries: &mut Vec<(Value, Value)>) -> Result<()> {
        for (name, target) in self.names.iter().zip(&self.targets) {
            change_entry(entries, &name.text, |value| cast(value, None, *target))?;
        }
        Ok(())
    }
    fn schema(&self, old: &Schema) -> Result<Schema> {
        let fields = old.fields().iter().map(|field| {
            let Some(target) = self.target(&field.name) else {
                return Ok(field.clone());
            };
            let default = field.schema.default.as_ref();
            let default = default.map(|default| cast(default, Some(&field.schema), target));
            let schema = Schema {
                optional: field.schema.optional,
                default: default.transpose()?,
                ..Schema::new(target.kind())
            };
            Ok(Field {
                name: field.name.clone(),
                schema: Arc::new(schema),
            })
        });
        let fields: Vec<Field> = fields.collect::<Result<_>>()?;
        if old.default.is_some() {
            // The reference casts the default of the struct itself, which no struct allows.
            let problem = "Cast: a struct with a default value cannot be cast";
            return Err(Error::data("transform", problem));
        }
        Ok(Schema {
            optional: old.optional,
            ..with_fields(old, fields)?
        })
    }
    fn fields(&mut self, values: &[Value], schema: &Arc<Schema>) -> Result<Datum> {
        let mut schemas = std::mem::take(&mut self.schemas);
        let new = schemas.get(schema, |old| self.schema(old));
        self.schemas = schemas;
        let new = new?;
        let mut all = Vec::with_capacity(values.len());
        for (field, value) in schema.fields().iter().zip(values) {
            let value = copied(field, value, self.defaults)?;
            all.push(match self.target(&field.name) {
                Some(target) => cast(&value, Some(&field.schema), target)?,
                None => value,
            });
        }
        Ok(Datum::Value(Value::Struct(all), Some(new)))
    }
}

impl Change for CastFields {
    fn change(&mut self, record: &mut Record) -> Result<()> {
        let side = self.side;
        let datum = side.of(record);
        match datum {
            datum if datum.is_null() => return Ok(()),
            Datum::Json(text) => {
                if let Some(text) = self.json(text)? {
                    *datum = Datum::Json(text);
                    return Ok(());
                }
            }
            Datum::Value(Value::Map(entries), None) => return self.map(entries),
            _ => {}
        }
        let Some((values, schema)) = as_struct(datum) else {
            return Err(side.no_fields("Cast", datum));
        };
        *datum = self.fields(values, schema)?;
        Ok(())
    }
}

impl Target {
    fn kind(self) -> Kind {
        match self {
            Self::Int8 => Kind::Int8,
            Self::Int16 => Kind::Int16,
            Self::Int32 => Kind::Int32,
            Self::Int64 => Kind::Int64,
            Self::Float32 => Kind::Float32,
            Self::Float64 => Kind::Float64,
            Self::Boolean => Kind::Bool,
            Self::String => Kind::String,
        }
    }
}
