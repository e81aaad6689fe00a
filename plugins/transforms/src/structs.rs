//! What transforms of structs share: schemas that follow from others, and nulls.

use longshore_sdk::{Error, Field, Kind, Result, Schema, Value};
use std::sync::Arc;

/// How many schemas a transform remembers.
const KNOWN_MAX: usize = 16;

/// New schemas by the old ones that they were made of.
#[derive(Default)]
pub(crate) struct Schemas(Vec<(Arc<Schema>, Arc<Schema>)>);

impl Schemas {
    pub(crate) fn get(
        &mut self,
        old: &Arc<Schema>,
        make: impl FnOnce(&Schema) -> Result<Schema>,
    ) -> Result<Arc<Schema>> {
        let same = |known: &Arc<Schema>| Arc::ptr_eq(known, old) || known == old;
        if let Some((_, new)) = self.0.iter().find(|(known, _)| same(known)) {
            return Ok(new.clone());
        }
        let new = Arc::new(make(old)?);
        if self.0.len() == KNOWN_MAX {
            self.0.remove(0);
        }
        self.0.push((old.clone(), new.clone()));
        Ok(new)
    }
}

/// A schema with the names of `old` and other fields; it is required and has no default, whatever `old` was. A name that occurs twice, or is empty, is an error of kind Data, as in the reference.
pub(crate) fn with_fields(old: &Schema, fields: Vec<Field>) -> Result<Schema> {
    for (at, field) in fields.iter().enumerate() {
        if field.name.is_empty() {
            return Err(Error::data("transform", "a field's name is empty"));
        }
        if fields[..at].iter().any(|known| known.name == field.name) {
            let problem = format!("the struct would have the field {:?} twice", field.name);
            return Err(Error::data("transform", problem));
        }
    }
    Ok(Schema {
        kind: Kind::Struct(fields),
        optional: false,
        default: None,
        ..old.clone()
    })
}

/// Changes the entries of a map that have this name; where there is none it is added as null, as in the reference.
pub(crate) fn change_entry(
    entries: &mut Vec<(Value, Value)>,
    name: &str,
    change: impl Fn(&Value) -> Result<Value>,
) -> Result<()> {
    let mut found = false;
    for (key, value) in entries.iter_mut() {
        if matches!(key, Value::String(key) if key == name) {
            *value = change(value)?;
            found = true;
        }
    }
    if !found {
        entries.push((Value::String(name.to_owned()), Value::Null));
    }
    Ok(())
}

/// A field's value as the copy gets it: a null becomes the schema's default, if `defaults` says so and there is one.
pub(crate) fn copied(field: &Field, value: &Value, defaults: bool) -> Result<Value> {
    match (value, &field.schema.default) {
        (Value::Null, Some(default)) if defaults => Ok(default.clone()),
        (Value::Null, _) if !field.schema.optional => {
            let problem = format!("the required field {:?} is null", field.name);
            Err(Error::data("transform", problem))
        }
        (value, _) => Ok(value.clone()),
    }
}
