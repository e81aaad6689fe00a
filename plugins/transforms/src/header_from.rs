//! HeaderFrom.

use crate::{
    settings,
    side::{Change, Each, Side, as_struct, both_sides},
    splice::Scratch,
    structs::{Schemas, copied, with_fields},
    unfit, yes,
};
use bytes::{BufMut, Bytes};
use longshore_sdk::{
    Datum, Error, Header, Headers, Record, Result, Schema, Value,
    config::Flat,
    erased::DynTransform,
    json::{members, parse_name},
};
use schemars::JsonSchema;
use serde::Deserialize;
use std::{ops::Range, sync::Arc};

/// Settings of HeaderFrom.
#[derive(Debug, Deserialize, JsonSchema)]
struct Config {
    /// The fields whose values go into headers.
    fields: Vec<String>,
    /// The headers' names, in the order of `fields`.
    headers: Vec<String>,
    /// Whether a field stays where it was (`copy`) or not (`move`).
    operation: Operation,
    /// Whether a null of a struct becomes its field's default value, where there is one.
    #[serde(rename = "replace.null.with.default", default = "yes")]
    defaults: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Operation {
    Move,
    Copy,
}

both_sides!(
    "HeaderFrom",
    "Moves or copies fields into headers.",
    &[],
    Config,
    build
);

fn build(flat: &Flat, side: Side) -> Result<Box<dyn DynTransform>> {
    let config: Config = settings(flat)?;
    for (key, list) in [("fields", &config.fields), ("headers", &config.headers)] {
        if list.is_empty() {
            return Err(unfit(key, "the list is empty"));
        }
    }
    if config.fields.len() != config.headers.len() {
        let (fields, headers) = (config.fields.len(), config.headers.len());
        let problem =
            format!("{headers} headers stand for {fields} fields: name one header for each field");
        return Err(unfit("headers", &problem));
    }
    let headers = config.headers.into_iter().map(Arc::from);
    Ok(Box::new(Each(HeaderFrom {
        side,
        spans: vec![None; config.fields.len()],
        headers: config.fields.into_iter().zip(headers).collect(),
        moves: config.operation == Operation::Move,
        defaults: config.defaults,
        schemas: Schemas::default(),
        scratch: Scratch::default(),
    })))
}

struct HeaderFrom {
    side: Side,
    /// Fields and the headers that they become.
    headers: Vec<(String, Arc<str>)>,
    moves: bool,
    defaults: bool,
    schemas: Schemas,
    scratch: Scratch,
    /// Where each field stands in the text of the record at hand.
    spans: Vec<Option<Range<usize>>>,
}

impl HeaderFrom {
    fn takes(&self, name: &str) -> bool {
        self.headers.iter().any(|(field, _)| field == name)
    }
    /// `false`: the text is no object.
    fn json(&mut self, text: &mut Bytes, headers: &mut Headers) -> Result<bool> {
        let Some(members) = members(text) else {
            return Ok(false);
        };
        self.spans.fill(None);
        self.scratch.start(text.len());
        let (mut separator, mut moved) = (b'{', false);
        for member in members {
            let member = member?;
            let mut taken = false;
            for ((field, _), span) in self.headers.iter().zip(&mut self.spans) {
                if member.is(text, field) {
                    *span = Some(member.value.clone());
                    taken = true;
                }
            }
            moved |= taken;
            if self.moves && !taken {
                let out = &mut self.scratch.out;
                out.put_u8(separator);
                separator = b',';
                out.put_slice(&text[member.name.start - 1..=member.name.end]);
                out.put_u8(b':');
                out.put_slice(&text[member.value]);
            }
        }
        for ((_, header), span) in self.headers.iter().zip(&self.spans) {
            headers.push(Header {
                key: header.clone(),
                value: span.clone().map_or(Datum::Null, |span| part(text, span)),
            });
        }
        if self.moves && moved {
            let out = &mut self.scratch.out;
            out.put_slice(if separator == b'{' { b"{}" } else { b"}" });
            *text = self.scratch.finish();
        }
        Ok(true)
    }
    fn map(&self, entries: &mut Vec<(Value, Value)>, headers: &mut Headers) {
        for (field, header) in &self.headers {
            let named = |key: &Value| matches!(key, Value::String(key) if key == field);
            let found = entries.iter().rev().find(|(key, _)| named(key));
            let value = found.map_or(Datum::Null, |(_, value)| match value {
                Value::Null => Datum::Null,
                value => Datum::Value(value.clone(), None),
            });
            headers.push(Header {
                key: header.clone(),
                value,
            });
        }
        if self.moves {
            entries.retain(|(key, _)| !matches!(key, Value::String(key) if self.takes(key)));
        }
    }
    /// What stays of a struct; `None`: all of it.
    fn fields(
        &mut self,
        values: &[Value],
        schema: &Arc<Schema>,
        headers: &mut Headers,
    ) -> Result<Option<Datum>> {
        let defaulted = |at: usize| match (&values[at], &schema.fields()[at].schema.default) {
            (Value::Null, Some(default)) if self.defaults => default.clone(),
            (value, _) => value.clone(),
        };
        for (field, header) in &self.headers {
            let (at, field) = schema.field(field).ok_or_else(|| {
                let problem = format!("HeaderFrom: the struct has no field {field:?}");
                Error::data("transform", problem)
            })?;
            headers.push(Header {
                key: header.clone(),
                value: Datum::Value(defaulted(at), Some(field.schema.clone())),
            });
        }
        if !self.moves {
            return Ok(None);
        }
        let mut schemas = std::mem::take(&mut self.schemas);
        let rest = schemas.get(schema, |old| {
            let fields = old.fields().iter();
            let rest = fields.filter(|field| !self.takes(&field.name));
            with_fields(old, rest.cloned().collect())
        });
        self.schemas = schemas;
        let rest = rest?;
        let mut kept = Vec::with_capacity(rest.fields().len());
        for (field, value) in schema.fields().iter().zip(values) {
            if !self.takes(&field.name) {
                kept.push(copied(field, value, self.defaults)?);
            }
        }
        Ok(Some(Datum::Value(Value::Struct(kept), Some(rest))))
    }
}

/// A value within JSON text, without copying it where that can be.
fn part(text: &Bytes, span: Range<usize>) -> Datum {
    match &text[span.clone()] {
        b"null" => Datum::Null,
        [b'"', inner @ .., b'"'] if inner.contains(&b'\\') => Datum::string(parse_name(inner)),
        [b'"', .., b'"'] => Datum::Text(text.slice(span.start + 1..span.end - 1)),
        _ => Datum::Json(text.slice(span)),
    }
}

impl Change for HeaderFrom {
    fn change(&mut self, record: &mut Record) -> Result<()> {
        let Record {
            key,
            value,
            headers,
            ..
        } = record;
        let datum = match self.side {
            Side::Key => key,
            Side::Value => value,
        };
        match datum {
            Datum::Json(text) => {
                if self.json(text, headers)? {
                    return Ok(());
                }
            }
            Datum::Value(Value::Map(entries), None) => {
                self.map(entries, headers);
                return Ok(());
            }
            _ => {
                if let Some((values, schema)) = as_struct(datum) {
                    if let Some(rest) = self.fields(values, schema, headers)? {
                        *datum = rest;
                    }
                    return Ok(());
                }
            }
        }
        Err(self.side.no_fields("HeaderFrom", datum))
    }
}
