//! HoistField.

use crate::{
    settings,
    side::{Change, Each, Side, both_sides, opened},
    splice::{Name, Scratch},
    structs::Schemas,
};
use bytes::BufMut;
use longshore_sdk::{
    Datum, Error, Field, Kind, Record, Result, Schema, Value, config::Flat, erased::DynTransform,
};
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// Settings of HoistField.
#[derive(Debug, Deserialize, JsonSchema)]
struct Config {
    /// The name of the only field of what comes out.
    field: String,
}

both_sides!(
    "HoistField",
    "Wraps the data in a struct, or a map if it has no schema, of one field.",
    &[],
    Config,
    build
);

fn build(flat: &Flat, side: Side) -> Result<Box<dyn DynTransform>> {
    let config: Config = settings(flat)?;
    Ok(Box::new(Each(HoistField {
        side,
        name: Name::new(config.field),
        schemas: Schemas::default(),
        scratch: Scratch::default(),
    })))
}

struct HoistField {
    side: Side,
    name: Name,
    schemas: Schemas,
    scratch: Scratch,
}

/// The schema of what comes out, by that of what goes in.
fn hoisted(name: &Name, schema: &Arc<Schema>) -> Result<Schema> {
    if name.text.is_empty() {
        let problem = "HoistField: a struct's field needs a name, and field is empty";
        return Err(Error::data("transform", problem));
    }
    Ok(Schema::new(Kind::Struct(vec![Field {
        name: name.text.clone(),
        schema: schema.clone(),
    }])))
}

impl Change for HoistField {
    fn change(&mut self, record: &mut Record) -> Result<()> {
        let datum = self.side.of(record);
        if let Datum::Json(text) = datum {
            let out = self.scratch.start(text.len() + self.name.json.len());
            out.put_u8(b'{');
            out.put_slice(&self.name.json);
            out.put_slice(text);
            out.put_u8(b'}');
            *datum = Datum::Json(self.scratch.finish());
            return Ok(());
        }
        let (value, schema) = opened(datum)?;
        let Some(schema) = schema else {
            let key = Value::String(self.name.text.to_string());
            *datum = Datum::Value(Value::Map(vec![(key, value)]), None);
            return Ok(());
        };
        if value == Value::Null && !schema.optional {
            let problem = "HoistField: the data is null, but its schema requires a value";
            return Err(Error::data("transform", problem));
        }
        let name = &self.name;
        let hoisted = self.schemas.get(&schema, |_| hoisted(name, &schema))?;
        *datum = Datum::Value(Value::Struct(vec![value]), Some(hoisted));
        Ok(())
    }
}
