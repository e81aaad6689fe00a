//! What a table looks like, out of the server's catalogue.

use super::{
    column_type::{ColumnType, Types},
    failure::Outcome,
    name::TableName,
    session::Session,
};
use tokio_postgres::{
    Row,
    types::{ToSql, Type},
};

/// A table, or what can be read like one.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    /// Its id: another one for a table of the same name that was made anew.
    pub(crate) oid: u32,
    /// Schema and name, as the catalogue has them; the search path is settled.
    pub(crate) name: TableName,
    /// What it is.
    pub(crate) relation: Relation,
    /// The columns in their order, dropped ones left out.
    pub(crate) columns: Vec<Column>,
    /// The names of the primary key's columns, in the key's order; empty without one.
    pub(crate) primary_key: Vec<String>,
    /// Unique constraints and indexes over plain columns without a condition, the primary key first.
    pub(crate) unique: Vec<Unique>,
    /// What the session's user may do.
    pub(crate) rights: Rights,
}

/// A kind of relation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relation {
    /// A table, a partition among them.
    Table,
    /// A table that partitions hold.
    Partitioned,
    /// A view.
    View,
    /// A materialized view.
    Materialized,
    /// A table of another server.
    Foreign,
    /// A sequence, an index, a type.
    Other,
}

/// What a user may do with a table. Reading and writing count when they are granted for some column at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)]
pub(crate) struct Rights {
    /// SELECT.
    pub(crate) select: bool,
    /// INSERT.
    pub(crate) insert: bool,
    /// UPDATE.
    pub(crate) update: bool,
    /// DELETE.
    pub(crate) delete: bool,
    /// TRUNCATE.
    pub(crate) truncate: bool,
    /// ALTER: the owner's.
    pub(crate) alter: bool,
}

/// A unique constraint or index that `ON CONFLICT` can name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unique {
    /// The index.
    pub(crate) name: String,
    /// Its columns in its order.
    pub(crate) columns: Vec<String>,
    /// Whether it is the primary key.
    pub(crate) primary: bool,
    /// Whether it may be checked at the end of a transaction: `ON CONFLICT` refuses those.
    pub(crate) deferrable: bool,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    /// Its name.
    pub(crate) name: String,
    /// Its type.
    pub(crate) kind: ColumnType,
    /// Whether it takes NULL.
    pub(crate) nullable: bool,
    /// Whether it fills itself where an INSERT leaves it out: a default, an identity.
    pub(crate) default: bool,
    /// Whether only the server writes it: `GENERATED ALWAYS`, as an expression or as an identity.
    pub(crate) generated: bool,
}

impl Table {
    /// The column of this name.
    pub(crate) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
    /// The unique constraint over exactly these columns, in whatever order, that `ON CONFLICT` can name.
    pub(crate) fn unique_over(&self, columns: &[&str]) -> Option<&Unique> {
        self.unique.iter().find(|unique| {
            !unique.deferrable
                && unique.columns.len() == columns.len()
                && unique
                    .columns
                    .iter()
                    .all(|name| columns.contains(&name.as_str()))
        })
    }
}

/// One table of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    /// Schema and name.
    pub(crate) name: TableName,
    /// What it is.
    pub(crate) relation: Relation,
    /// Whether it is a partition of another table.
    pub(crate) partition: bool,
    /// Whether the user may read some column of it.
    pub(crate) readable: bool,
}

const RELATION: &str = "SELECT c.oid, n.nspname::text, c.relname::text, c.relkind::text, \
    has_any_column_privilege(c.oid, 'SELECT'), has_any_column_privilege(c.oid, 'INSERT'), \
    has_any_column_privilege(c.oid, 'UPDATE'), has_table_privilege(c.oid, 'DELETE'), \
    has_table_privilege(c.oid, 'TRUNCATE'), pg_has_role(c.relowner, 'USAGE') \
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass($1)";

const COLUMNS: &str = "SELECT attname::text, atttypid, atttypmod, format_type(atttypid, atttypmod), attnotnull, \
    atthasdef, attidentity::text, attgenerated::text \
    FROM pg_attribute WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped ORDER BY attnum";

const UNIQUE: &str = "SELECT x.relname::text, i.indisprimary, NOT i.indimmediate, \
      ARRAY(SELECT a.attname::text FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k(number, place) \
        JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number \
        WHERE k.place <= i.indnkeyatts ORDER BY k.place) \
    FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid \
    WHERE i.indrelid = $1 AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL \
    ORDER BY i.indisprimary DESC, x.relname";

const LISTING: &str = "SELECT n.nspname::text, c.relname::text, c.relkind::text, c.relispartition, \
    has_any_column_privilege(c.oid, 'SELECT') AND has_schema_privilege(n.oid, 'USAGE') \
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%' \
    ORDER BY n.nspname, c.relname LIMIT $1";

/// Tables in one listing (I6): more than this are a mistake of the pattern, or a server that serves thousands.
const TABLES_MAX: i64 = 100_000;

/// A table by its name, found by the search path where the name has no schema; `None` where there is none.
/// The part for the database is not looked at: see [`super::check::database`].
pub(crate) async fn table(
    session: &Session,
    op: &'static str,
    name: &TableName,
) -> Outcome<Option<Table>> {
    let sql = name.sql();
    let client = session.client();
    let all = async {
        let found = client.query_typed(RELATION, &[(&sql, Type::TEXT)]).await?;
        let Some(found) = found.into_iter().next() else {
            return Ok(None);
        };
        let oid: u32 = found.try_get(0)?;
        let of_it: [(&(dyn ToSql + Sync), Type); 1] = [(&oid, Type::OID)];
        let (columns, unique) = tokio::try_join!(
            client.query_typed(COLUMNS, &of_it),
            client.query_typed(UNIQUE, &of_it),
        )?;
        let mut needed: Vec<u32> = Vec::with_capacity(columns.len());
        for column in &columns {
            needed.push(column.try_get(1)?);
        }
        let types = Types::of(client, &needed).await?;
        assembled(&found, &columns, &unique, &types).map(Some)
    };
    // Boxed: four statements make a large future.
    session.bounded(op, Box::pin(all)).await
}

/// Tables, views and the like of all schemas but the server's own, by schema and name.
pub(crate) async fn tables(session: &Session, op: &'static str) -> Outcome<Vec<Listed>> {
    let client = session.client();
    let all = async {
        let rows = client
            .query_typed(LISTING, &[(&TABLES_MAX, Type::INT8)])
            .await?;
        let mut listed = Vec::with_capacity(rows.len());
        for row in rows {
            let (schema, table): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            listed.push(Listed {
                name: TableName::new(Some(&schema), &table),
                relation: relation(row.try_get(2)?),
                partition: row.try_get(3)?,
                readable: row.try_get(4)?,
            });
        }
        Ok(listed)
    };
    session.bounded(op, Box::pin(all)).await
}

/// Whether the user may make tables in a schema: the first of the search path where none is named. `None`: there is no such schema.
pub(crate) async fn may_create(
    session: &Session,
    op: &'static str,
    schema: Option<&str>,
) -> Outcome<Option<bool>> {
    let client = session.client();
    let asked = async {
        let sql = "SELECT has_schema_privilege(n.oid, 'CREATE') FROM pg_namespace n WHERE n.nspname = coalesce($1, current_schema()::text)";
        let row = client.query_typed(sql, &[(&schema, Type::TEXT)]).await?;
        row.first().map(|row| row.try_get(0)).transpose()
    };
    session.bounded(op, Box::pin(asked)).await
}

type Answer<T> = Result<T, tokio_postgres::Error>;

fn assembled(found: &Row, columns: &[Row], unique: &[Row], types: &Types) -> Answer<Table> {
    let (schema, name): (String, String) = (found.try_get(1)?, found.try_get(2)?);
    let mut table = Table {
        oid: found.try_get(0)?,
        name: TableName::new(Some(&schema), &name),
        relation: relation(found.try_get(3)?),
        columns: Vec::with_capacity(columns.len()),
        primary_key: Vec::new(),
        unique: Vec::with_capacity(unique.len()),
        rights: Rights {
            select: found.try_get(4)?,
            insert: found.try_get(5)?,
            update: found.try_get(6)?,
            delete: found.try_get(7)?,
            truncate: found.try_get(8)?,
            alter: found.try_get(9)?,
        },
    };
    for row in columns {
        let (not_null, has_default): (bool, bool) = (row.try_get(4)?, row.try_get(5)?);
        let (identity, generated): (String, String) = (row.try_get(6)?, row.try_get(7)?);
        let kind = types.column(row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
        table.columns.push(Column {
            name: row.try_get(0)?,
            kind,
            nullable: !not_null,
            default: has_default || !identity.is_empty(),
            generated: identity == "a" || !generated.is_empty(),
        });
    }
    for row in unique {
        let one = Unique {
            name: row.try_get(0)?,
            primary: row.try_get(1)?,
            deferrable: row.try_get(2)?,
            columns: row.try_get(3)?,
        };
        if one.primary {
            table.primary_key.clone_from(&one.columns);
        }
        table.unique.push(one);
    }
    Ok(table)
}

fn relation(kind: &str) -> Relation {
    match kind {
        "r" => Relation::Table,
        "p" => Relation::Partitioned,
        "v" => Relation::View,
        "m" => Relation::Materialized,
        "f" => Relation::Foreign,
        _ => Relation::Other,
    }
}
