//! SetSchemaMetadata.

use crate::{
    settings,
    side::{Change, Each, Side, both_sides},
    structs::{Schemas, copied},
    unfit, yes,
};
use longshore_sdk::{
    Datum, Error, Kind, Record, Result, Schema, Value, config::Flat, erased::DynTransform,
};
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// Settings of SetSchemaMetadata; at least one of name and version.
#[derive(Debug, Deserialize, JsonSchema)]
struct Config {
    /// The schema's new name.
    #[serde(rename = "schema.name")]
    name: Option<String>,
    /// The schema's new version.
    #[serde(rename = "schema.version")]
    version: Option<i32>,
    /// Whether a null of a struct becomes its field's default value, where there is one.
    #[serde(rename = "replace.null.with.default", default = "yes")]
    defaults: bool,
}

both_sides!(
    "SetSchemaMetadata",
    "Sets the name and version of a struct's schema.",
    &[],
    Config,
    build
);

fn build(flat: &Flat, side: Side) -> Result<Box<dyn DynTransform>> {
    let config: Config = settings(flat)?;
    if config.name.is_none() && config.version.is_none() {
        let problem =
            "neither a name nor a version is set: set schema.name, schema.version or both";
        return Err(unfit("schema.name", problem));
    }
    Ok(Box::new(Each(SetSchemaMetadata {
        side,
        name: config.name.map(Arc::from),
        version: config.version,
        defaults: config.defaults,
        schemas: Schemas::default(),
    })))
}

struct SetSchemaMetadata {
    side: Side,
    name: Option<Arc<str>>,
    version: Option<i32>,
    defaults: bool,
    schemas: Schemas,
}

impl SetSchemaMetadata {
    fn renamed(&mut self, schema: &Arc<Schema>) -> Result<Arc<Schema>> {
        let (name, version) = (&self.name, self.version);
        self.schemas.get(schema, |old| {
            // The reference asks every schema for its fields, and only structs have them.
            if !matches!(old.kind, Kind::Struct(_)) {
                let kind = old.kind.name();
                let problem =
                    format!("SetSchemaMetadata needs a struct, but the schema is of type {kind}");
                return Err(Error::data("transform", problem));
            }
            Ok(Schema {
                name: name.clone().or_else(|| old.name.clone()),
                version: version.or(old.version),
                ..old.clone()
            })
        })
    }
}

impl Change for SetSchemaMetadata {
    fn change(&mut self, record: &mut Record) -> Result<()> {
        let side = self.side;
        let datum = side.of(record);
        let Datum::Value(value, Some(schema)) = datum else {
            if datum.is_null() {
                return Ok(());
            }
            let name = side.name();
            let problem = format!(
                "SetSchemaMetadata needs a schema, but the {name} has none: use a converter that reads schemas (JsonConverter with schemas.enable=true)"
            );
            return Err(Error::data("transform", problem));
        };
        let new = self.renamed(schema)?;
        if let Value::Struct(values) = value {
            for (field, value) in schema.fields().iter().zip(values) {
                if *value == Value::Null {
                    *value = copied(field, value, self.defaults)?;
                }
            }
        }
        *schema = new;
        Ok(())
    }
}
