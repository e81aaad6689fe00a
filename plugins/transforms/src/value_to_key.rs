//! ValueToKey.

use crate::{
    settings,
    side::{Change, Each, Side, as_struct},
    splice::{Name, Scratch},
    structs::{Schemas, copied, with_fields},
    tag, unfit, yes,
};
use bytes::{BufMut, Bytes};
use longshore_sdk::{
    Datum, Error, Field, Kind, Record, Result, Schema, Value,
    config::{Definition, Flat},
    erased::{DynTransform, TransformPlugin},
    json::members,
};
use schemars::JsonSchema;
use serde::Deserialize;
use std::{ops::Range, sync::Arc};

/// Settings of ValueToKey.
#[derive(Debug, Deserialize, JsonSchema)]
struct Config {
    /// The fields of the value that the key is made of.
    fields: Vec<String>,
    /// Whether a null of a struct becomes its field's default value, where there is one.
    #[serde(rename = "replace.null.with.default", default = "yes")]
    defaults: bool,
}

pub(crate) fn plugin() -> TransformPlugin {
    TransformPlugin {
        plugin: tag(
            "ValueToKey",
            &["org.apache.kafka.connect.transforms.ValueToKey"],
            "Makes the key of fields of the value.",
            &[],
        ),
        definition: Arc::new(Definition::of::<Config>),
        build: Arc::new(build),
    }
}

fn build(flat: &Flat) -> Result<Box<dyn DynTransform>> {
    let config: Config = settings(flat)?;
    if config.fields.is_empty() {
        return Err(unfit("fields", "no field is listed"));
    }
    Ok(Box::new(Each(ValueToKey {
        spans: vec![None; config.fields.len()],
        names: config.fields.into_iter().map(Name::new).collect(),
        defaults: config.defaults,
        schemas: Schemas::default(),
        scratch: Scratch::default(),
    })))
}

struct ValueToKey {
    names: Vec<Name>,
    defaults: bool,
    schemas: Schemas,
    scratch: Scratch,
    /// Where each field stands in the text of the record at hand.
    spans: Vec<Option<Range<usize>>>,
}

impl ValueToKey {
    /// `None`: the text is no object.
    fn json(&mut self, text: &Bytes) -> Result<Option<Bytes>> {
        let Some(members) = members(text) else {
            return Ok(None);
        };
        self.spans.fill(None);
        for member in members {
            let member = member?;
            for (name, span) in self.names.iter().zip(&mut self.spans) {
                if member.is(text, &name.text) {
                    *span = Some(member.value.clone());
                }
            }
        }
        let out = self.scratch.start(text.len());
        let mut separator = b'{';
        for (at, (name, span)) in self.names.iter().zip(&self.spans).enumerate() {
            // A field that is listed twice is one field of the key.
            if self.names[..at].iter().any(|known| known.text == name.text) {
                continue;
            }
            out.put_u8(separator);
            separator = b',';
            out.put_slice(&name.json);
            out.put_slice(span.clone().map_or(b"null", |span| &text[span]));
        }
        out.put_u8(b'}');
        Ok(Some(self.scratch.finish()))
    }
    fn map(&self, entries: &[(Value, Value)]) -> Datum {
        let mut key: Vec<(Value, Value)> = Vec::with_capacity(self.names.len());
        for name in &self.names {
            let named = |key: &Value| matches!(key, Value::String(key) if **key == *name.text);
            if key.iter().any(|(known, _)| named(known)) {
                continue;
            }
            let found = entries.iter().rev().find(|(key, _)| named(key));
            let value = found.map_or(Value::Null, |(_, value)| value.clone());
            key.push((Value::String(name.text.to_string()), value));
        }
        Datum::Value(Value::Map(key), None)
    }
    fn fields(&mut self, values: &[Value], schema: &Arc<Schema>) -> Result<Datum> {
        let names = &self.names;
        let key = self.schemas.get(schema, |value| {
            let fields = names.iter().map(|name| {
                let (_, field) = value.field(&name.text).ok_or_else(|| unknown(name))?;
                Ok(field.clone())
            });
            let fields: Vec<Field> = fields.collect::<Result<_>>()?;
            with_fields(&Schema::new(Kind::Struct(Vec::new())), fields)
        })?;
        let mut parts = Vec::with_capacity(names.len());
        for name in names {
            let (at, field) = schema.field(&name.text).ok_or_else(|| unknown(name))?;
            parts.push(copied(field, &values[at], self.defaults)?);
        }
        Ok(Datum::Value(Value::Struct(parts), Some(key)))
    }
}

fn unknown(name: &Name) -> Error {
    let problem = format!("ValueToKey: the value has no field {:?}", name.text);
    Error::data("transform", problem)
}

impl Change for ValueToKey {
    fn change(&mut self, record: &mut Record) -> Result<()> {
        let key = match &record.value {
            Datum::Json(text) => self.json(text)?.map(Datum::Json),
            Datum::Value(Value::Map(entries), None) => Some(self.map(entries)),
            datum => match as_struct(datum) {
                Some((values, schema)) => Some(self.fields(values, schema)?),
                None => None,
            },
        };
        let Some(key) = key else {
            return Err(Side::Value.no_fields("ValueToKey", &record.value));
        };
        record.key = key;
        Ok(())
    }
}
