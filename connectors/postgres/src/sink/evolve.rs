//! Tables made, and made wider, as records' schemas ask for it.

use super::{
    config::PkMode,
    record::{Fault, Object, Wish},
    settings::Settings,
};
use crate::client::{Table, TableName, numeric_limits, quote};
use longshore_sdk::{Datum, Field, Kind, Schema, SinkRecord, schema::logical};
use std::borrow::Cow;

/// The statement that makes a table for a record. Errors say why none can be made.
pub(super) fn create(
    name: &TableName,
    key: &[String],
    settings: &Settings,
    record: &SinkRecord,
) -> Result<String, Fault> {
    let no_schema = || -> Fault {
        Cow::Owned(format!(
            "there is no table {name}, and auto.create needs records with a schema to know its columns: make the table, or send schemas (JsonConverter with schemas.enable=true)"
        ))
    };
    let mut columns: Vec<(String, String)> = Vec::new();
    let mut add = |column: String, kind: &str, required: bool| {
        if columns.iter().all(|(known, _)| *known != column) {
            let not_null = if required { " NOT NULL" } else { "" };
            columns.push((
                column.clone(),
                format!("{} {kind}{not_null}", quote(&column)),
            ));
        }
    };
    match (settings.pk, &record.record.key) {
        (PkMode::Kafka, _) => {
            for (column, kind) in key.iter().zip(["text", "integer", "bigint"]) {
                add(column.clone(), kind, true);
            }
        }
        (PkMode::RecordKey, datum) => match Object::of(datum) {
            Ok(Object::Struct(_, schema)) => {
                for field in schema.fields() {
                    let column = settings.name(&field.name);
                    if key.contains(&column) {
                        add(column, &kind(&field.schema)?, true);
                    }
                }
            }
            Ok(_) => return Err(no_schema()),
            Err(_) => {
                let [column] = key else {
                    return Err(no_schema());
                };
                match datum {
                    Datum::Value(_, Some(schema)) => add(column.clone(), &kind(schema)?, true),
                    // A string needs no schema to be known for one.
                    Datum::Text(_) | Datum::Value(longshore_sdk::Value::String(_), None) => {
                        add(column.clone(), "text", true)
                    }
                    _ => return Err(no_schema()),
                }
            }
        },
        _ => {}
    }
    let fields = match Wish::of(&record.record.value)? {
        Wish::Write(Object::Struct(_, schema), _) => schema.fields(),
        _ => return Err(no_schema()),
    };
    for field in fields {
        let column = settings.name(&field.name);
        let part_of_key = key.contains(&column);
        if part_of_key || settings.takes(&record.record.topic, &field.name) {
            add(
                column,
                &kind(&field.schema)?,
                part_of_key || !field.schema.optional,
            );
        }
    }
    let mut parts: Vec<String> = columns.into_iter().map(|(_, part)| part).collect();
    if !key.is_empty() {
        let key: Vec<_> = key.iter().map(|name| quote(name)).collect();
        parts.push(format!("PRIMARY KEY ({})", key.join(", ")));
    }
    Ok(format!(
        "CREATE TABLE IF NOT EXISTS {} ({})",
        name.sql(),
        parts.join(", ")
    ))
}

/// The statement that makes room for values of a schema; `None`: there is room.
pub(super) fn alter(
    table: &Table,
    settings: &Settings,
    topic: &str,
    schema: &Schema,
) -> Result<Option<String>, Fault> {
    let mut parts = Vec::new();
    for field in schema.fields() {
        let name = settings.name(&field.name);
        match table.column(&name) {
            None if settings.takes(topic, &field.name) => {
                // Nullable whatever the schema says: the rows that are there have no value for it.
                parts.push(format!(
                    "ADD COLUMN IF NOT EXISTS {} {}",
                    quote(&name),
                    kind(&field.schema)?
                ));
            }
            Some(column) if !column.generated => {
                if let Some(wider) = wider(
                    &column.kind.base().name,
                    column.kind.base().modifier.max(column.kind.modifier),
                    field,
                ) {
                    parts.push(format!("ALTER COLUMN {} TYPE {wider}", quote(&name)));
                }
            }
            _ => {}
        }
    }
    if parts.is_empty() {
        return Ok(None);
    }
    Ok(Some(format!(
        "ALTER TABLE {} {}",
        table.name.sql(),
        parts.join(", ")
    )))
}

/// The values' schema of a record that is to be written, out of its envelope.
pub(super) fn schema_of(record: &SinkRecord) -> Option<&Schema> {
    match Wish::of(&record.record.value) {
        Ok(Wish::Write(Object::Struct(_, schema), _)) => Some(schema),
        _ => None,
    }
}

/// The type that a column is widened to, if values of the field may not fit it.
fn wider(column: &str, modifier: i32, field: &Field) -> Option<&'static str> {
    let schema = &field.schema;
    if schema.name.is_some() && schema.name.as_deref() != Some(logical::DECIMAL) {
        return None;
    }
    match (column, &schema.kind) {
        ("int2", Kind::Int32) => Some("integer"),
        ("int2" | "int4", Kind::Int64) => Some("bigint"),
        ("float4", Kind::Float64) => Some("double precision"),
        ("varchar" | "bpchar", Kind::String) if modifier >= 0 => Some("text"),
        // Precision and scale limit a numeric; a decimal's schema has a scale and no precision.
        ("numeric", Kind::Bytes) => {
            let (_, scale) = numeric_limits(modifier)?;
            let wanted = schema
                .parameters
                .iter()
                .find(|(name, _)| name == "scale")?
                .1
                .parse::<i32>()
                .ok()?;
            (wanted > scale).then_some("numeric")
        }
        _ => None,
    }
}

/// The type of a column for values of a schema.
fn kind(schema: &Schema) -> Result<Cow<'static, str>, Fault> {
    if let Some(name) = schema.name.as_deref()
        && let Some(known) = semantic(name)
    {
        return Ok(Cow::Borrowed(known));
    }
    Ok(Cow::Borrowed(match &schema.kind {
        Kind::Bool => "boolean",
        Kind::Int8 | Kind::Int16 => "smallint",
        Kind::Int32 => "integer",
        Kind::Int64 => "bigint",
        Kind::Float32 => "real",
        Kind::Float64 => "double precision",
        Kind::String => "text",
        Kind::Bytes => "bytea",
        Kind::Map(..) | Kind::Struct(_) => "jsonb",
        Kind::Array(inner) => match &inner.kind {
            Kind::Array(_) => return kind(inner),
            Kind::Map(..) | Kind::Struct(_)
                if inner.name.as_deref().and_then(semantic).is_none() =>
            {
                "jsonb"
            }
            _ => return Ok(Cow::Owned(format!("{}[]", kind(inner)?))),
        },
    }))
}

fn semantic(name: &str) -> Option<&'static str> {
    Some(match name {
        logical::DECIMAL | logical::NUMERIC | "io.debezium.data.VariableScaleDecimal" => "numeric",
        logical::DATE | "io.debezium.time.Date" | "io.debezium.time.IsoDate" => "date",
        logical::TIME
        | "io.debezium.time.Time"
        | "io.debezium.time.MicroTime"
        | "io.debezium.time.NanoTime"
        | "io.debezium.time.IsoTime" => "time",
        logical::TIMESTAMP
        | "io.debezium.time.Timestamp"
        | "io.debezium.time.MicroTimestamp"
        | "io.debezium.time.NanoTimestamp"
        | "io.debezium.time.IsoTimestamp" => "timestamp",
        "io.debezium.time.ZonedTimestamp" => "timestamptz",
        "io.debezium.time.ZonedTime" => "timetz",
        "io.debezium.time.MicroDuration" | "io.debezium.time.Interval" => "interval",
        "io.debezium.data.Uuid" => "uuid",
        "io.debezium.data.Json" => "jsonb",
        "io.debezium.data.Xml" => "xml",
        _ => return None,
    })
}
