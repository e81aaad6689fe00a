//! InsertField.

use crate::{
    settings,
    side::{Change, Each, Side, as_struct, both_sides},
    splice::{Name, Scratch},
    structs::{Schemas, copied, with_fields},
    unfit, yes,
};
use bytes::Bytes;
use longshore_sdk::{
    Datum, Error, Field, Kind, Record, Result, Schema, Topic, Value, config::Flat,
    erased::DynTransform, json::print_string, schema::logical,
};
use schemars::JsonSchema;
use serde::Deserialize;
use std::{fmt::Write, sync::Arc};

/// Settings of InsertField. A field's name may end with `!` (required) or `?` (optional, as without).
#[derive(Debug, Deserialize, JsonSchema)]
struct Config {
    /// The field for the record's topic.
    #[serde(rename = "topic.field")]
    topic: Option<String>,
    /// The field for the record's partition.
    #[serde(rename = "partition.field")]
    partition: Option<String>,
    /// The field for the offset that the record was read at; sinks only.
    #[serde(rename = "offset.field")]
    offset: Option<String>,
    /// The field for the record's timestamp.
    #[serde(rename = "timestamp.field")]
    timestamp: Option<String>,
    /// The field for `static.value`.
    #[serde(rename = "static.field")]
    static_field: Option<String>,
    /// The text for `static.field`.
    #[serde(rename = "static.value")]
    static_value: Option<String>,
    /// Whether a null of a struct becomes its field's default value, where there is one.
    #[serde(rename = "replace.null.with.default", default = "yes")]
    defaults: bool,
}

both_sides!(
    "InsertField",
    "Adds fields with the record's topic, partition, offset or timestamp, or with a fixed text.",
    &[],
    Config,
    build
);

fn build(flat: &Flat, side: Side) -> Result<Box<dyn DynTransform>> {
    let config: Config = settings(flat)?;
    let mut inserts = Vec::new();
    let mut push = |name: Option<String>, what: What| {
        inserts.extend(name.map(|name| Insert::new(&name, what)));
    };
    push(config.topic, What::Topic);
    push(config.partition, What::Partition);
    push(config.offset, What::Offset);
    push(config.timestamp, What::Timestamp);
    match (config.static_field, config.static_value) {
        (Some(_), None) => return Err(unfit("static.value", "static.field has no value")),
        (Some(field), Some(value)) => push(Some(field), What::Static(value)),
        (None, _) => {}
    }
    if inserts.is_empty() {
        return Err(unfit(
            "topic.field",
            "no field is named: set topic.field, partition.field, offset.field, timestamp.field or static.field",
        ));
    }
    Ok(Box::new(Each(InsertField {
        side,
        inserts,
        defaults: config.defaults,
        schemas: Schemas::default(),
        scratch: Scratch::default(),
        names: Vec::new(),
        values: Vec::new(),
    })))
}

#[derive(Debug)]
enum What {
    Topic,
    Partition,
    Offset,
    Timestamp,
    Static(String),
}

struct Insert {
    name: Name,
    field: Arc<str>,
    schema: Arc<Schema>,
    what: What,
}

impl Insert {
    fn new(name: &str, what: What) -> Self {
        let (name, optional) = match name.strip_suffix('!') {
            Some(name) => (name, false),
            None => (name.strip_suffix('?').unwrap_or(name), true),
        };
        let mut schema = Schema::new(match what {
            What::Topic | What::Static(_) => Kind::String,
            What::Partition => Kind::Int32,
            What::Offset | What::Timestamp => Kind::Int64,
        });
        if matches!(what, What::Timestamp) {
            schema = schema.named(logical::TIMESTAMP);
            schema.version = Some(1);
        }
        schema.optional = optional;
        Self {
            name: Name::new(name),
            field: name.into(),
            schema: Arc::new(schema),
            what,
        }
    }
    /// What is inserted; a partition or timestamp that is not known is left out.
    fn value(&self, source: &Origin) -> Option<Value> {
        match &self.what {
            What::Topic => Some(Value::String(source.topic.to_string())),
            What::Partition => source.partition.map(Value::Int32),
            What::Offset => source.offset.map(Value::Int64),
            What::Timestamp => source.timestamp.map(Value::Timestamp),
            What::Static(text) => Some(Value::String(text.clone())),
        }
    }
}

/// Where a record is from.
struct Origin {
    topic: Topic,
    partition: Option<i32>,
    offset: Option<i64>,
    timestamp: Option<i64>,
}

struct InsertField {
    side: Side,
    inserts: Vec<Insert>,
    defaults: bool,
    schemas: Schemas,
    scratch: Scratch,
    names: Vec<Name>,
    values: Vec<usize>,
}

impl InsertField {
    fn json(&mut self, text: &Bytes, origin: &Origin) -> Result<Option<Bytes>> {
        self.names.clear();
        self.values.clear();
        for (at, insert) in self.inserts.iter().enumerate() {
            let absent = match insert.what {
                What::Partition => origin.partition.is_none(),
                What::Timestamp => origin.timestamp.is_none(),
                What::Topic | What::Offset | What::Static(_) => false,
            };
            if !absent {
                self.names.push(insert.name.clone());
                self.values.push(at);
            }
        }
        let (inserts, values) = (&self.inserts, &self.values);
        self.scratch.set(text, &self.names, |at, _, out| {
            let number = match &inserts[values[at]].what {
                What::Topic => {
                    print_string(&origin.topic, out);
                    return Ok(());
                }
                What::Static(text) => {
                    print_string(text, out);
                    return Ok(());
                }
                What::Partition => origin.partition.map(i64::from),
                What::Offset => origin.offset,
                What::Timestamp => origin.timestamp,
            };
            write!(out, "{}", number.unwrap_or_default())
                .map_err(|error| Error::bug("transform", "the output is full").because(error))
        })
    }
    fn map(&self, entries: &mut Vec<(Value, Value)>, origin: &Origin) {
        for insert in &self.inserts {
            let Some(value) = insert.value(origin) else {
                continue;
            };
            // Without a schema nothing says that the number is a timestamp.
            let value = if let Value::Timestamp(ms) = value {
                Value::Int64(ms)
            } else {
                value
            };
            let known = entries
                .iter_mut()
                .find(|(key, _)| matches!(key, Value::String(key) if **key == *insert.name.text));
            match known {
                Some((_, old)) => *old = value,
                None => entries.push((Value::String(insert.name.text.to_string()), value)),
            }
        }
    }
    fn fields(&mut self, values: &[Value], schema: &Arc<Schema>, origin: &Origin) -> Result<Datum> {
        let inserts = &self.inserts;
        let new = self.schemas.get(schema, |old| {
            let mut fields = old.fields().to_vec();
            fields.extend(inserts.iter().map(|insert| Field {
                name: insert.field.clone(),
                schema: insert.schema.clone(),
            }));
            with_fields(old, fields)
        })?;
        let mut all = Vec::with_capacity(new.fields().len());
        for (field, value) in schema.fields().iter().zip(values) {
            all.push(copied(field, value, self.defaults)?);
        }
        all.extend(
            inserts
                .iter()
                .map(|insert| insert.value(origin).unwrap_or(Value::Null)),
        );
        Ok(Datum::Value(Value::Struct(all), Some(new)))
    }
}

impl Change for InsertField {
    fn change(&mut self, record: &mut Record) -> Result<()> {
        let origin = Origin {
            topic: record.topic.clone(),
            partition: record.partition,
            offset: record.offset,
            timestamp: record.timestamp,
        };
        let side = self.side;
        let datum = side.of(record);
        match datum {
            datum if datum.is_null() => return Ok(()),
            _ if origin.offset.is_none()
                && self.inserts.iter().any(|i| matches!(i.what, What::Offset)) =>
            {
                let text = "only records on their way to a sink have an offset: take offset.field out of this source's InsertField";
                return Err(Error::data("transform", text));
            }
            Datum::Json(text) => {
                if let Some(text) = self.json(text, &origin)? {
                    *datum = Datum::Json(text);
                    return Ok(());
                }
            }
            Datum::Value(Value::Map(entries), None) => {
                self.map(entries, &origin);
                return Ok(());
            }
            _ => {}
        }
        let Some((values, schema)) = as_struct(datum) else {
            return Err(side.no_fields("InsertField", datum));
        };
        *datum = self.fields(values, schema, &origin)?;
        Ok(())
    }
}
