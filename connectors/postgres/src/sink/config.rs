//! The sink's keys: those of Confluent's and Aiven's JDBC sinks, with Debezium's beside them.

use crate::client::ConnectionConfig;
use longshore_sdk::config::Finding;
use schemars::JsonSchema;
use serde::Deserialize;

/// Writes records into tables of Postgres. Keys of the JDBC sinks of Confluent, Aiven and Debezium are taken as they are; where two names
/// stand for the same, one of them may be set.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct SinkConfig {
    #[serde(flatten)]
    pub(crate) connection: ConnectionConfig,
    /// What becomes of a record: `insert` adds a row, `upsert` adds it or replaces the one with its key, `update` changes rows that are there.
    #[serde(default, rename = "insert.mode")]
    #[schemars(extend("x-importance" = "HIGH", "x-group" = "Writes"))]
    pub(crate) insert_mode: InsertMode,
    /// Whether a tombstone, or an envelope of a deletion, deletes the row of its key. Needs `pk.mode=record_key`.
    #[serde(default, rename = "delete.enabled")]
    #[schemars(extend("x-group" = "Writes"))]
    pub(crate) delete_enabled: bool,
    /// Whether an envelope of a truncation (`op` = `t`) empties the table; otherwise it is passed over.
    #[serde(default, rename = "truncate.enabled")]
    #[schemars(extend("x-group" = "Writes"))]
    pub(crate) truncate_enabled: bool,
    /// How many rows are written at a time. What one `put` brings is one transaction, however many pieces it has.
    #[serde(default = "batch_size", rename = "batch.size")]
    #[schemars(range(min = 1, max = 100_000), extend("x-group" = "Writes"))]
    pub(crate) batch_size: u32,
    /// The table of a topic: `table`, `schema.table` or `database.schema.table` with `${topic}` in any part. Dots of the topic are part of
    /// the name and separate nothing; a part in double quotes may hold dots of its own. `${topic}` unless set.
    #[serde(default, rename = "table.name.format")]
    #[schemars(extend("x-group" = "Tables"))]
    pub(crate) table_name_format: Option<String>,
    /// The same as `table.name.format`, as Debezium has it: dots of the topic become underscores.
    #[serde(default, rename = "collection.name.format")]
    #[schemars(extend("x-importance" = "LOW", "x-group" = "Tables"))]
    pub(crate) collection_name_format: Option<String>,
    /// Where a row's key comes from: `none`, `kafka` (topic, partition and offset), `record_key` or `record_value`. `none` unless set.
    #[serde(default, rename = "pk.mode")]
    #[schemars(extend("x-importance" = "HIGH", "x-group" = "Tables"))]
    pub(crate) pk_mode: Option<PkMode>,
    /// The same as `pk.mode`.
    #[serde(default, rename = "primary.key.mode")]
    #[schemars(extend("x-importance" = "LOW", "x-group" = "Tables"))]
    pub(crate) primary_key_mode: Option<PkMode>,
    /// The columns of the key. `kafka`: three names, `__connect_topic,__connect_partition,__connect_offset` unless set. `record_key`: the
    /// name for a key that is no struct, or the fields to take of one that is. `record_value`: the fields to take. Empty = all fields.
    #[serde(default, rename = "pk.fields")]
    #[schemars(extend("x-group" = "Tables"))]
    pub(crate) pk_fields: Vec<String>,
    /// The same as `pk.fields`.
    #[serde(default, rename = "primary.key.fields")]
    #[schemars(extend("x-importance" = "LOW", "x-group" = "Tables"))]
    pub(crate) primary_key_fields: Vec<String>,
    /// The fields of the value to write, `field` or `topic:field`; empty = all. Fields of the key are written in any case.
    #[serde(default, rename = "fields.whitelist")]
    #[schemars(extend("x-group" = "Tables"))]
    pub(crate) fields_whitelist: Vec<String>,
    /// The same as `fields.whitelist`.
    #[serde(default, rename = "field.include.list")]
    #[schemars(extend("x-importance" = "LOW", "x-group" = "Tables"))]
    pub(crate) field_include_list: Vec<String>,
    /// The fields of the value to leave out, `field` or `topic:field`.
    #[serde(default, rename = "field.exclude.list")]
    #[schemars(extend("x-group" = "Tables"))]
    pub(crate) field_exclude_list: Vec<String>,
    /// Whether a missing table is made. It takes records with a schema: plain JSON does not say what its columns are.
    #[serde(default, rename = "auto.create")]
    #[schemars(extend("x-group" = "Tables"))]
    pub(crate) auto_create: Option<bool>,
    /// Whether missing columns are added, always nullable, and columns are widened where a record's schema asks for it (smallint to integer to bigint,
    /// real to double precision, varchar to text, numeric to one without limits).
    #[serde(default, rename = "auto.evolve")]
    #[schemars(extend("x-group" = "Tables"))]
    pub(crate) auto_evolve: Option<bool>,
    /// `basic` is `auto.create` and `auto.evolve` together, `none` neither.
    #[serde(default, rename = "schema.evolution")]
    #[schemars(extend("x-importance" = "LOW", "x-group" = "Tables"))]
    pub(crate) schema_evolution: Option<Evolution>,
    /// `always` takes names of tables and columns as they are, `never` in lower case, as SQL does without quotes. `always` unless set.
    #[serde(default, rename = "quote.sql.identifiers")]
    #[schemars(extend("x-importance" = "LOW", "x-group" = "Tables"))]
    pub(crate) quote_sql_identifiers: Option<Quotes>,
    /// `true` is `quote.sql.identifiers=always`, `false` is `never`.
    #[serde(default, rename = "quote.identifiers")]
    #[schemars(extend("x-importance" = "LOW", "x-group" = "Tables"))]
    pub(crate) quote_identifiers: Option<bool>,
    /// The zone of times without one: only `UTC` is supported.
    #[serde(default, rename = "db.timezone")]
    #[schemars(extend("x-importance" = "LOW"))]
    pub(crate) db_timezone: Option<String>,
    /// The same as `db.timezone`.
    #[serde(default, rename = "use.time.zone")]
    #[schemars(extend("x-importance" = "LOW"))]
    pub(crate) use_time_zone: Option<String>,
    /// Only `PostgreSqlDatabaseDialect`, which is what it is without the key.
    #[serde(default, rename = "dialect.name")]
    #[schemars(extend("x-importance" = "LOW"))]
    pub(crate) dialect_name: Option<String>,
    #[serde(flatten)]
    #[allow(dead_code)]
    pub(crate) noted: Noted,
}

/// Keys that say what this sink does in any case, or tune what it does not have.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[allow(dead_code)]
pub(crate) struct Noted {
    /// No effect: retries go on until `longshore.retry.timeout.ms`.
    #[serde(default, rename = "max.retries")]
    #[schemars(extend("x-importance" = "LOW", "x-group" = "Without effect"))]
    max_retries: Option<i64>,
    /// No effect: the pause between retries grows by itself.
    #[serde(default, rename = "retry.backoff.ms")]
    #[schemars(extend("x-importance" = "LOW", "x-group" = "Without effect"))]
    retry_backoff: Option<i64>,
    /// No effect: as `max.retries`.
    #[serde(default, rename = "flush.max.retries")]
    #[schemars(extend("x-importance" = "LOW", "x-group" = "Without effect"))]
    flush_max_retries: Option<i64>,
    /// No effect: as `retry.backoff.ms`.
    #[serde(default, rename = "flush.retry.delay.ms")]
    #[schemars(extend("x-importance" = "LOW", "x-group" = "Without effect"))]
    flush_retry_delay: Option<i64>,
    /// No effect: a connection that broke is always opened again.
    #[serde(default, rename = "connection.restart.on.errors")]
    #[schemars(extend("x-importance" = "LOW", "x-group" = "Without effect"))]
    restart_on_errors: Option<bool>,
    /// No effect: a task has one connection.
    #[serde(default, rename = "connection.pool.min_size")]
    #[schemars(extend("x-importance" = "LOW", "x-group" = "Without effect"))]
    pool_min_size: Option<i64>,
    /// No effect: a task has one connection.
    #[serde(default, rename = "connection.pool.max_size")]
    #[schemars(extend("x-importance" = "LOW", "x-group" = "Without effect"))]
    pool_max_size: Option<i64>,
    /// No effect: a task has one connection.
    #[serde(default, rename = "connection.pool.acquire_increment")]
    #[schemars(extend("x-importance" = "LOW", "x-group" = "Without effect"))]
    pool_acquire_increment: Option<i64>,
    /// No effect: a task has one connection.
    #[serde(default, rename = "connection.pool.timeout")]
    #[schemars(extend("x-importance" = "LOW", "x-group" = "Without effect"))]
    pool_timeout: Option<i64>,
    /// No effect: rows are always written many at a time.
    #[serde(default, rename = "dialect.postgres.unnest.insert.enabled")]
    #[schemars(extend("x-importance" = "LOW", "x-group" = "Without effect"))]
    unnest: Option<bool>,
    /// No effect: of several changes to a row in a batch the last one is written.
    #[serde(default, rename = "use.reduction.buffer")]
    #[schemars(extend("x-importance" = "LOW", "x-group" = "Without effect"))]
    reduction_buffer: Option<bool>,
    /// No effect: values of records are never logged.
    #[serde(default, rename = "trim.sensitive.log")]
    #[schemars(extend("x-importance" = "LOW", "x-group" = "Without effect"))]
    trim_sensitive_log: Option<bool>,
}

/// Keys of the JDBC sinks that this one does not have: refused by name.
pub(crate) const UNSUPPORTED: &[&str] = &[
    "collection.naming.strategy",
    "collection.table.format",
    "column.naming.strategy",
    "connection.provider",
    "date.calendar.system",
    "date.timezone",
    "dialect.postgres.postgis.schema",
    "keyed.message.batch.mode",
    "mssql.use.merge.holdlock",
    "replace.null.with.default",
    "string.output.value.column.name",
    "table.naming.strategy",
    "table.types",
    "timestamp.fields.list",
    "timestamp.precision.mode",
];

/// `insert.mode`.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum InsertMode {
    /// A row per record.
    #[default]
    Insert,
    /// A row per key.
    Upsert,
    /// Changes to rows that are there.
    Update,
}

/// `pk.mode`.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PkMode {
    /// Rows have no key that we know of.
    #[default]
    None,
    /// Topic, partition and offset.
    Kafka,
    /// The record's key.
    RecordKey,
    /// Fields of the record's value.
    RecordValue,
}

/// `quote.sql.identifiers`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Quotes {
    /// Names as they are.
    Always,
    /// Names in lower case.
    Never,
}

/// `schema.evolution`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Evolution {
    /// Tables stay as they are.
    None,
    /// Tables are made and columns are added.
    Basic,
}

fn batch_size() -> u32 {
    3000
}

/// The one value of two keys that mean the same.
pub(super) fn one_of<T: PartialEq + Clone>(
    (key, first): (&str, Option<T>),
    (other, second): (&str, Option<T>),
    findings: &mut Vec<Finding>,
) -> Option<T> {
    if let (Some(first), Some(second)) = (&first, &second)
        && first != second
    {
        let problem = format!("{key} says something else, and both mean the same");
        findings.push(Finding::new(other, problem).suggest(format!("keep {key} only")));
    }
    first.or(second)
}
