//! Types of columns, out of the server's catalogue.

use std::collections::BTreeMap;
use tokio_postgres::{Client, types::Type};

/// A type as a column has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ColumnType {
    /// Its id; those of built-in types never change.
    pub(crate) oid: u32,
    /// Its schema.
    pub(crate) schema: String,
    /// Its name in `pg_type`: `int4`, `_text` for an array.
    pub(crate) name: String,
    /// The modifier: length or precision; -1 without one. For a domain that of its base type stands with the base.
    pub(crate) modifier: i32,
    /// As `format_type` prints it: `numeric(10,2)`, `text[]`; the bare name for inner types.
    pub(crate) shown: String,
    /// What it is made of.
    pub(crate) made_of: TypeKind,
}

/// What a type is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TypeKind {
    /// Nothing else.
    Base,
    /// One of these labels.
    Enum(Vec<String>),
    /// Another type with conditions.
    Domain(Box<ColumnType>),
    /// A range of another type.
    Range(Box<ColumnType>),
    /// Several ranges.
    Multirange,
    /// Any number of another type.
    Array(Box<ColumnType>),
    /// Fields of its own.
    Composite,
}

impl ColumnType {
    /// The type below all domains.
    pub(crate) fn base(&self) -> &Self {
        match &self.made_of {
            TypeKind::Domain(inner) => inner.base(),
            _ => self,
        }
    }
}

/// Precision and scale of a numeric's modifier; `None` without limits.
pub(crate) fn numeric_limits(modifier: i32) -> Option<(i32, i32)> {
    let limits = modifier.checked_sub(4).filter(|limits| *limits >= 0)?;
    // The scale has eleven bits, with a sign.
    Some((limits >> 16 & 0xFFFF, (limits & 0x7FF ^ 0x400) - 0x400))
}

const TYPES: &str = "WITH RECURSIVE needed(oid) AS (\
      SELECT unnest($1) UNION \
      SELECT inner_type.oid FROM needed JOIN pg_type t ON t.oid = needed.oid LEFT JOIN pg_range r ON r.rngtypid = t.oid \
      CROSS JOIN LATERAL (VALUES (t.typbasetype), (CASE WHEN t.typcategory = 'A' THEN t.typelem END), (r.rngsubtype)) AS inner_type(oid) \
      WHERE inner_type.oid <> 0) \
    SELECT t.oid, n.nspname::text, t.typname::text, t.typtype::text, t.typbasetype, t.typtypmod, \
      CASE WHEN t.typcategory = 'A' THEN t.typelem ELSE 0::oid END, coalesce(r.rngsubtype, 0::oid), \
      ARRAY(SELECT e.enumlabel::text FROM pg_enum e WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder) \
    FROM pg_type t JOIN needed ON needed.oid = t.oid JOIN pg_namespace n ON n.oid = t.typnamespace \
    LEFT JOIN pg_range r ON r.rngtypid = t.oid";

/// A row of `pg_type`.
struct TypeRow {
    schema: String,
    name: String,
    kind: String,
    base: u32,
    base_modifier: i32,
    element: u32,
    range_of: u32,
    labels: Vec<String>,
}

/// The types of one table's columns, and those that they are made of.
pub(super) struct Types(BTreeMap<u32, TypeRow>);

impl Types {
    /// Looks up these types.
    pub(super) async fn of(client: &Client, oids: &[u32]) -> Result<Self, tokio_postgres::Error> {
        let rows = client
            .query_typed(TYPES, &[(&oids, Type::OID_ARRAY)])
            .await?;
        let mut types = BTreeMap::new();
        for row in rows {
            let read = TypeRow {
                schema: row.try_get(1)?,
                name: row.try_get(2)?,
                kind: row.try_get(3)?,
                base: row.try_get(4)?,
                base_modifier: row.try_get(5)?,
                element: row.try_get(6)?,
                range_of: row.try_get(7)?,
                labels: row.try_get(8)?,
            };
            types.insert(row.try_get(0)?, read);
        }
        Ok(Self(types))
    }
    /// A column's type.
    pub(super) fn column(&self, oid: u32, modifier: i32, shown: String) -> ColumnType {
        let mut kind = column_type(&self.0, oid, modifier, DEPTH_MAX);
        kind.shown = shown;
        kind
    }
}

/// Domains of domains of arrays: nobody nests deeper.
const DEPTH_MAX: usize = 16;

fn column_type(
    types: &BTreeMap<u32, TypeRow>,
    oid: u32,
    modifier: i32,
    depth: usize,
) -> ColumnType {
    let Some(found) = types.get(&oid).filter(|_| depth > 0) else {
        let name = format!("type {oid}");
        return ColumnType {
            oid,
            schema: String::new(),
            shown: name.clone(),
            name,
            modifier,
            made_of: TypeKind::Base,
        };
    };
    let inner = |oid, modifier| Box::new(column_type(types, oid, modifier, depth - 1));
    let made_of = match found.kind.as_str() {
        "e" => TypeKind::Enum(found.labels.clone()),
        "d" => TypeKind::Domain(inner(found.base, found.base_modifier)),
        "r" => TypeKind::Range(inner(found.range_of, -1)),
        "m" => TypeKind::Multirange,
        "c" => TypeKind::Composite,
        // numeric(10,2)[]: the modifier belongs to the elements.
        _ if found.element != 0 => TypeKind::Array(inner(found.element, modifier)),
        _ => TypeKind::Base,
    };
    ColumnType {
        oid,
        schema: found.schema.clone(),
        name: found.name.clone(),
        modifier,
        shown: found.name.clone(),
        made_of,
    }
}

#[cfg(test)]
mod tests {
    use super::numeric_limits;

    #[test]
    fn a_scale_may_be_negative() {
        let modifier = |precision: i32, scale: i32| (precision << 16 | scale & 0x7FF) + 4;
        for limits in [(10, 2), (1000, 1000), (5, -2), (3, -1000), (1, 0)] {
            assert_eq!(numeric_limits(modifier(limits.0, limits.1)), Some(limits));
        }
        assert_eq!(numeric_limits(-1), None);
    }
}
