//! ReplaceField.

use crate::{
    settings,
    side::{Change, Each, Side, as_struct, both_sides},
    splice::{Name, Scratch},
    structs::{Schemas, copied, with_fields},
    unfit, yes,
};
use bytes::{BufMut, Bytes};
use longshore_sdk::{
    Datum, Field, Record, Result, Schema, Value,
    config::Flat,
    erased::DynTransform,
    json::{Member, members, parse_name},
};
use schemars::JsonSchema;
use serde::Deserialize;
use std::{borrow::Cow, sync::Arc};

/// Settings of ReplaceField.
#[derive(Debug, Deserialize, JsonSchema)]
struct Config {
    /// The fields to leave out; goes before `include`.
    #[serde(default)]
    exclude: Vec<String>,
    /// The fields to keep; empty keeps all.
    #[serde(default)]
    include: Vec<String>,
    /// New names: `old:new,old2:new2`.
    #[serde(default)]
    renames: Vec<String>,
    /// Whether a null of a struct becomes its field's default value, where there is one.
    #[serde(rename = "replace.null.with.default", default = "yes")]
    defaults: bool,
}

both_sides!(
    "ReplaceField",
    "Leaves fields out, or renames them.",
    // Kafka 4.0 took them away; an old config that still has them would let fields pass that it meant to drop.
    &["whitelist", "blacklist"],
    Config,
    build
);

fn build(flat: &Flat, side: Side) -> Result<Box<dyn DynTransform>> {
    let config: Config = settings(flat)?;
    let mut renames = Vec::new();
    for rename in &config.renames {
        match rename.split(':').collect::<Vec<_>>()[..] {
            [old, new] => renames.push((old.to_owned(), Name::new(new))),
            _ => {
                let problem = format!("{rename:?} is no renaming: write old:new");
                return Err(unfit("renames", &problem));
            }
        }
    }
    Ok(Box::new(Each(ReplaceField {
        side,
        exclude: config.exclude,
        include: config.include,
        renames,
        defaults: config.defaults,
        schemas: Schemas::default(),
        scratch: Scratch::default(),
    })))
}

struct ReplaceField {
    side: Side,
    exclude: Vec<String>,
    include: Vec<String>,
    renames: Vec<(String, Name)>,
    defaults: bool,
    schemas: Schemas,
    scratch: Scratch,
}

impl ReplaceField {
    fn keeps(&self, name: &str) -> bool {
        let listed = |list: &[String]| list.iter().any(|listed| listed == name);
        !listed(&self.exclude) && (self.include.is_empty() || listed(&self.include))
    }
    fn renamed(&self, name: &str) -> Option<&Name> {
        self.renames
            .iter()
            .find(|(old, _)| old == name)
            .map(|(_, new)| new)
    }
    /// `None`: the text is no object. The text itself comes back where nothing changes.
    fn json(&mut self, text: &Bytes) -> Result<Option<Bytes>> {
        let Some(list) = members(text) else {
            return Ok(None);
        };
        self.scratch.start(text.len());
        let (mut count, mut changed) = (0, false);
        for member in list {
            let member = member?;
            let name = decoded(&member, text);
            if !self.keeps(&name) {
                changed = true;
                continue;
            }
            let new = self
                .renames
                .iter()
                .find(|(old, _)| *old == name)
                .map(|(_, new)| new);
            let out = &mut self.scratch.out;
            out.put_u8(if count == 0 { b'{' } else { b',' });
            match new {
                Some(new) => {
                    changed = true;
                    out.put_slice(&new.json);
                }
                None => {
                    out.put_slice(&text[member.name.start - 1..=member.name.end]);
                    out.put_u8(b':');
                }
            }
            out.put_slice(&text[member.value]);
            count += 1;
        }
        if !changed {
            return Ok(Some(text.clone()));
        }
        self.scratch
            .out
            .put_slice(if count == 0 { b"{}" } else { b"}" });
        Ok(Some(self.scratch.finish()))
    }
    fn map(&self, entries: &mut Vec<(Value, Value)>) {
        let old = std::mem::take(entries);
        for (key, value) in old {
            let Value::String(name) = &key else {
                entries.push((key, value));
                continue;
            };
            if !self.keeps(name) {
                continue;
            }
            let key = self
                .renamed(name)
                .map_or(key.clone(), |new| Value::String(new.text.to_string()));
            match entries.iter_mut().find(|(known, _)| *known == key) {
                Some((_, known)) => *known = value,
                None => entries.push((key, value)),
            }
        }
    }
    fn fields(&mut self, values: &[Value], schema: &Arc<Schema>) -> Result<Datum> {
        let mut schemas = std::mem::take(&mut self.schemas);
        let new = schemas.get(schema, |old| {
            let kept = old.fields().iter().filter(|field| self.keeps(&field.name));
            let fields = kept.map(|field| Field {
                name: self
                    .renamed(&field.name)
                    .map_or(field.name.clone(), |new| new.text.clone()),
                schema: field.schema.clone(),
            });
            with_fields(old, fields.collect())
        });
        self.schemas = schemas;
        let new = new?;
        let mut kept = Vec::with_capacity(new.fields().len());
        for (field, value) in schema.fields().iter().zip(values) {
            if self.keeps(&field.name) {
                kept.push(copied(field, value, self.defaults)?);
            }
        }
        Ok(Datum::Value(Value::Struct(kept), Some(new)))
    }
}

/// A member's name with its escapes resolved: a name that is spelled in escapes is left out all the same.
fn decoded<'a>(member: &Member, text: &'a [u8]) -> Cow<'a, str> {
    let raw = &text[member.name.clone()];
    if member.escaped {
        Cow::Owned(parse_name(raw))
    } else {
        String::from_utf8_lossy(raw)
    }
}

impl Change for ReplaceField {
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
            Datum::Value(Value::Map(entries), None) => {
                self.map(entries);
                return Ok(());
            }
            _ => {}
        }
        let Some((values, schema)) = as_struct(datum) else {
            return Err(side.no_fields("ReplaceField", datum));
        };
        *datum = self.fields(values, schema)?;
        Ok(())
    }
}
