//! Schemas as JSON, the way the reference embeds them in every message.

use super::decode::{convert, last_member, text_of};
use bytes::{BufMut, Bytes, BytesMut};
use longshore_sdk::{
    Error, Field, Kind, Result, Schema,
    json::{Style, items, members, parse, print, print_string},
};
use longshore_sdk::{Value, json::parse_name};
use std::{collections::HashMap, sync::Arc};

/// Schemas by their text; it is emptied when it is full.
pub(super) struct Cache {
    schemas: HashMap<Bytes, Option<Arc<Schema>>>,
    max: usize,
    /// The text of the last envelope up to its payload, and the schema in it: the next one mostly starts with the same bytes.
    pub(super) last: Option<(Bytes, Arc<Schema>)>,
    pub(super) defaults: bool,
}

impl Cache {
    pub(super) fn new(max: usize, defaults: bool) -> Self {
        Self {
            schemas: HashMap::new(),
            max,
            last: None,
            defaults,
        }
    }
    pub(super) fn get(&mut self, text: &[u8]) -> Result<Option<Arc<Schema>>> {
        if let Some(schema) = self.schemas.get(text) {
            return Ok(schema.clone());
        }
        let schema = read_schema(text, self.defaults)?;
        if self.schemas.len() >= self.max {
            self.schemas.clear();
        }
        if self.max > 0 {
            self.schemas
                .insert(Bytes::copy_from_slice(text), schema.clone());
        }
        Ok(schema)
    }
    /// Notes how the last envelope started.
    pub(super) fn remember(&mut self, start: &[u8], schema: &Arc<Schema>) {
        let known =
            |(text, known): &(Bytes, Arc<Schema>)| text == start && Arc::ptr_eq(known, schema);
        if self.max > 0 && !self.last.as_ref().is_some_and(known) {
            // A copy, so that no batch's buffer is kept for it.
            self.last = Some((Bytes::copy_from_slice(start), schema.clone()));
        }
    }
}

fn bad(problem: impl Into<String>) -> Error {
    Error::data("json", problem)
}

/// The schema that a valid JSON text describes; `null` is none.
fn read_schema(text: &[u8], defaults: bool) -> Result<Option<Arc<Schema>>> {
    if text == b"null" {
        return Ok(None);
    }
    let named = last_member(text, "type")?.and_then(text_of);
    let named = named.ok_or_else(|| bad("a schema has no text \"type\""))?;
    let kind = read_kind(&named, text, defaults)?;
    let mut schema = Schema::new(kind);
    schema.optional = last_member(text, "optional")? == Some(b"true");
    schema.name = last_member(text, "name")?.and_then(text_of).map(Arc::from);
    schema.doc = last_member(text, "doc")?.and_then(text_of).map(Arc::from);
    if let Some(version) = last_member(text, "version")?
        && let Value::Int64(version) = parse(version)?
    {
        schema.version = Some(version as i32);
    }
    if let Some(parameters) = last_member(text, "parameters")? {
        schema.parameters = read_parameters(parameters)?;
    }
    if let Some(default) = last_member(text, "default")? {
        schema.default = match convert(&schema, Some(default), defaults)? {
            Value::Null => None,
            value => Some(value),
        };
    }
    Ok(Some(Arc::new(schema)))
}

fn read_kind(named: &str, text: &[u8], defaults: bool) -> Result<Kind> {
    let part = |name: &str, missing: &str| -> Result<Arc<Schema>> {
        let part = last_member(text, name)?.ok_or_else(|| bad(missing))?;
        read_schema(part, defaults)?.ok_or_else(|| bad(missing))
    };
    Ok(match named {
        "boolean" => Kind::Bool,
        "int8" => Kind::Int8,
        "int16" => Kind::Int16,
        "int32" => Kind::Int32,
        "int64" => Kind::Int64,
        "float" => Kind::Float32,
        "double" => Kind::Float64,
        "string" => Kind::String,
        "bytes" => Kind::Bytes,
        "array" => Kind::Array(part("items", "an array's schema has no \"items\"")?),
        "map" => Kind::Map(
            part("keys", "a map's schema has no \"keys\"")?,
            part("values", "a map's schema has no \"values\"")?,
        ),
        "struct" => Kind::Struct(read_fields(text, defaults)?),
        _ => return Err(bad(format!("a schema has the unknown type {named:?}"))),
    })
}

fn read_fields(text: &[u8], defaults: bool) -> Result<Vec<Field>> {
    let missing = || bad("a struct's schema has no list of \"fields\"");
    let list = last_member(text, "fields")?.ok_or_else(missing)?;
    let mut fields: Vec<Field> = Vec::new();
    for item in items(list).ok_or_else(missing)? {
        let field = &list[item?];
        let name = last_member(field, "field")?.and_then(text_of);
        let name = name.ok_or_else(|| bad("a field of a struct's schema has no text \"field\""))?;
        if fields.iter().any(|known| *known.name == *name) {
            return Err(bad(format!(
                "a struct's schema has the field {name:?} twice"
            )));
        }
        let schema = read_schema(field, defaults)?
            .ok_or_else(|| bad(format!("the field {name:?} has no schema")))?;
        let name = name.into();
        fields.push(Field { name, schema });
    }
    Ok(fields)
}

fn read_parameters(text: &[u8]) -> Result<Vec<(String, String)>> {
    let mut parameters: Vec<(String, String)> = Vec::new();
    for member in members(text).ok_or_else(|| bad("a schema's \"parameters\" are no object"))? {
        let member = member?;
        let value = text_of(&text[member.value])
            .ok_or_else(|| bad("a schema's parameters must be texts"))?;
        parameters.push((parse_name(&text[member.name]), value));
    }
    Ok(parameters)
}

/// Appends the JSON of a schema; `field` is the name of the struct's field that it belongs to.
pub(super) fn print_schema(
    schema: &Schema,
    field: Option<&str>,
    style: Style,
    out: &mut BytesMut,
) -> Result<()> {
    out.put_slice(b"{\"type\":");
    print_string(schema.kind.name(), out);
    match &schema.kind {
        Kind::Array(items) => {
            out.put_slice(b",\"items\":");
            print_schema(items, None, style, out)?;
        }
        Kind::Map(keys, values) => {
            out.put_slice(b",\"keys\":");
            print_schema(keys, None, style, out)?;
            out.put_slice(b",\"values\":");
            print_schema(values, None, style, out)?;
        }
        Kind::Struct(fields) => {
            out.put_slice(b",\"fields\":[");
            for (at, field) in fields.iter().enumerate() {
                if at > 0 {
                    out.put_u8(b',');
                }
                print_schema(&field.schema, Some(&field.name), style, out)?;
            }
            out.put_u8(b']');
        }
        _ => {}
    }
    out.put_slice(if schema.optional {
        b",\"optional\":true"
    } else {
        b",\"optional\":false"
    });
    print_text("name", schema.name.as_deref(), out);
    if let Some(version) = schema.version {
        out.put_slice(b",\"version\":");
        print(&Value::Int32(version), None, style, out)?;
    }
    print_text("doc", schema.doc.as_deref(), out);
    print_parameters(&schema.parameters, out);
    if let Some(default) = &schema.default {
        out.put_slice(b",\"default\":");
        print(default, Some(schema), style, out)?;
    }
    print_text("field", field, out);
    out.put_u8(b'}');
    Ok(())
}

fn print_text(name: &str, text: Option<&str>, out: &mut BytesMut) {
    if let Some(text) = text {
        out.put_u8(b',');
        print_string(name, out);
        out.put_u8(b':');
        print_string(text, out);
    }
}

fn print_parameters(parameters: &[(String, String)], out: &mut BytesMut) {
    if parameters.is_empty() {
        return;
    }
    out.put_slice(b",\"parameters\":");
    for (at, (name, value)) in parameters.iter().enumerate() {
        out.put_u8(if at == 0 { b'{' } else { b',' });
        print_string(name, out);
        out.put_u8(b':');
        print_string(value, out);
    }
    out.put_u8(b'}');
}
