//! A column: how it is selected, decoded, and described by a schema. What becomes of which type stands in [`super::mapping`].

use super::{
    decode::{Form, Shape, Wrong},
    mapping::{Cast, Mapping, array_item, scalar, text},
};
use crate::client::{Column, TypeKind, quote, quote_literal};
use longshore_sdk::{Error, Field, Kind, Result, Schema, Value};
use std::{collections::HashMap, sync::Arc};
use tokio_postgres::{
    Row,
    types::{FromSql, Type},
};

/// One column.
#[derive(Clone, Debug)]
struct Planned {
    name: Arc<str>,
    form: Form,
    select: String,
    /// The type that the statement must answer with, so that a column altered meanwhile is noticed.
    oid: u32,
    schema: Arc<Schema>,
}

/// The columns of a table as they are now.
#[derive(Debug)]
pub(super) struct Columns {
    table: String,
    name: Option<Arc<str>>,
    planned: Vec<Planned>,
    schema: Arc<Schema>,
    /// Schemas of rows whose arrays are of other shapes.
    others: HashMap<Vec<(usize, Shape)>, Arc<Schema>>,
}

/// Schemas of rows with unusual arrays that are kept; more begin anew (I6).
const OTHERS_MAX: usize = 64;

/// A column's bytes, whatever its type.
struct Raw<'a>(&'a [u8]);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(raw))
    }
    fn accepts(_: &Type) -> bool {
        true
    }
}

impl Columns {
    /// Plans the columns of a table; a query has no name.
    pub(super) fn plan(
        table: &str,
        name: Option<&str>,
        columns: &[Column],
        mapping: &Mapping,
    ) -> Self {
        let planned: Vec<Planned> = columns.iter().map(|column| plan(column, mapping)).collect();
        let name: Option<Arc<str>> = name.map(Arc::from);
        let schema = structure(name.as_ref(), &planned, &[]);
        Self {
            table: table.to_owned(),
            name,
            planned,
            schema,
            others: HashMap::new(),
        }
    }
    /// What a SELECT lists.
    pub(super) fn select(&self) -> String {
        let selects: Vec<&str> = self.planned.iter().map(|one| one.select.as_str()).collect();
        selects.join(", ")
    }
    pub(super) fn len(&self) -> usize {
        self.planned.len()
    }
    /// Whether the statement answered with the types that were planned.
    pub(super) fn fit(&self, row: &Row) -> bool {
        self.planned.len() <= row.len()
            && self
                .planned
                .iter()
                .zip(row.columns())
                .all(|(one, got)| got.type_().oid() == one.oid)
    }
    /// Decodes a row. Errors are of kind Data and name table and column.
    pub(super) fn decode(&mut self, row: &Row) -> Result<(Value, Arc<Schema>)> {
        let mut values = Vec::with_capacity(self.planned.len());
        let mut shapes: Vec<(usize, Shape)> = Vec::new();
        for (at, one) in self.planned.iter().enumerate() {
            let raw: Option<Raw<'_>> = row.try_get(at).map_err(|error| {
                Error::bug("poll", "a column cannot be taken out of a row").because(error)
            })?;
            let value = match (raw, &one.form) {
                (None, _) => Ok(Value::Null),
                (Some(Raw(raw)), Form::Array(item)) => {
                    item.decode_array(raw).map(|(value, shape)| {
                        if shape != Shape::Flat {
                            shapes.push((at, shape));
                        }
                        value
                    })
                }
                (Some(Raw(raw)), form) => form.decode(raw),
            };
            values.push(value.map_err(|wrong| self.wrong(&one.name, &wrong))?);
        }
        let schema = if shapes.is_empty() {
            self.schema.clone()
        } else {
            self.other(shapes)
        };
        Ok((Value::Struct(values), schema))
    }
    fn other(&mut self, shapes: Vec<(usize, Shape)>) -> Arc<Schema> {
        if let Some(schema) = self.others.get(&shapes) {
            return schema.clone();
        }
        if self.others.len() >= OTHERS_MAX {
            self.others.clear();
        }
        let schema = structure(self.name.as_ref(), &self.planned, &shapes);
        self.others.insert(shapes, schema.clone());
        schema
    }
    fn wrong(&self, column: &str, wrong: &Wrong) -> Error {
        let problem = format!(
            "a value of column {column} of {} cannot be read: {}{}",
            self.table,
            wrong.problem,
            if wrong.unfit {
                ". Set numeric.mapping and timestamp.granularity to native, which hold every value, or cast the column in a query"
            } else {
                ". The table was altered under way, perhaps: restart the task"
            }
        );
        Error::data("poll", problem)
            .with("table", &self.table)
            .with("column", column)
    }
}

fn structure(
    name: Option<&Arc<str>>,
    planned: &[Planned],
    shapes: &[(usize, Shape)],
) -> Arc<Schema> {
    let field = |(at, one): (usize, &Planned)| {
        let shape = shapes.iter().find(|(column, _)| *column == at);
        Field {
            name: one.name.clone(),
            schema: match shape {
                Some((_, shape)) => Arc::new(shaped(&one.schema, *shape)),
                None => one.schema.clone(),
            },
        }
    };
    let mut schema = Schema::new(Kind::Struct(
        planned.iter().enumerate().map(field).collect(),
    ));
    schema.name = name.cloned();
    Arc::new(schema)
}

/// An array's schema for a value of another shape.
fn shaped(schema: &Schema, shape: Shape) -> Schema {
    let mut kind = match (&schema.kind, shape) {
        (_, Shape::Text) => Kind::String,
        (kind, _) => kind.clone(),
    };
    if let Shape::Nested(depth) = shape {
        for _ in 1..depth {
            kind = Kind::Array(Arc::new(Schema::new(kind)));
        }
    }
    Schema {
        kind,
        ..schema.clone()
    }
}

fn plan(column: &Column, mapping: &Mapping) -> Planned {
    let name = quote(&column.name);
    let base = column.kind.base();
    let (form, kind, named, cast) = match &base.made_of {
        // Vectors of the catalogue count from 0 and have a text of their own.
        TypeKind::Array(item)
            if base.oid != Type::INT2_VECTOR.oid() && base.oid != Type::OID_VECTOR.oid() =>
        {
            let (item, kind, named, cast) = array_item(item);
            let mut items = Schema::new(kind).optional();
            items.name = named.map(Arc::from);
            (
                Form::Array(Box::new(item)),
                Kind::Array(Arc::new(items)),
                None,
                cast,
            )
        }
        TypeKind::Base => scalar(base, mapping),
        _ => text(),
    };
    let mut schema = Schema::new(kind);
    schema.optional = column.nullable;
    schema.name = named.map(Arc::from);
    if let Form::Decimal(scale) = form {
        schema.version = Some(1);
        schema.parameters = vec![("scale".to_owned(), scale.to_string())];
    } else if named.is_some_and(|name| name.starts_with("org.apache.kafka")) {
        schema.version = Some(1);
    }
    let (select, oid) = match cast {
        Cast::None => (name, base.oid),
        Cast::To(target) => (format!("({name})::{}", target.name()), target.oid()),
        Cast::ToArray(target) => (
            format!("({name})::{}[]", target.name()),
            match target {
                Type::NUMERIC => Type::NUMERIC_ARRAY.oid(),
                _ => Type::TEXT_ARRAY.oid(),
            },
        ),
        Cast::AtZone => (
            format!(
                "(({name})::timestamp AT TIME ZONE {})",
                quote_literal(&mapping.timezone)
            ),
            Type::TIMESTAMPTZ.oid(),
        ),
    };
    Planned {
        name: column.name.as_str().into(),
        form,
        select,
        oid,
        schema: Arc::new(schema),
    }
}
