//! The settings of the source.

use crate::client::ConnectionConfig;
use longshore_sdk::{Error, config::Finding};
use schemars::JsonSchema;
use serde::Deserialize;

/// Reads tables, views or a query of Postgres by polling: new rows by a growing column, changed ones by a timestamp.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct SourceConfig {
    #[serde(flatten)]
    pub(crate) connection: ConnectionConfig,
    /// The class as it was asked for: the reference's names bring the reference's types (`numeric.mapping`, `timestamp.granularity`).
    #[serde(rename = "connector.class", default)]
    #[schemars(extend("x-importance" = "LOW"))]
    pub(crate) class: Option<String>,
    /// What is read at each poll: `bulk` everything, `incrementing` rows above the highest `incrementing.column.name` so far, `timestamp` rows
    /// after the latest `timestamp.column.name` so far, `timestamp+incrementing` rows after the latest pair of both.
    #[schemars(extend("x-importance" = "HIGH", "x-group" = "Mode"))]
    pub(crate) mode: Mode,
    /// The column that grows with every new row: an integer, or a numeric without digits behind the point. Unique.
    #[serde(rename = "incrementing.column.name", default)]
    #[schemars(extend("x-group" = "Mode"))]
    pub(crate) incrementing_column: Option<String>,
    /// The columns that say when a row was written, in order: the first that is not NULL counts.
    #[serde(rename = "timestamp.column.name", default)]
    #[schemars(extend("x-group" = "Mode"))]
    pub(crate) timestamp_columns: Vec<String>,
    /// Where a table without a stored offset starts, in milliseconds since the Unix epoch: rows after it. -1 is now; without it all rows come.
    #[serde(rename = "timestamp.initial", default)]
    #[schemars(extend("x-importance" = "LOW", "x-group" = "Mode"))]
    pub(crate) timestamp_initial: Option<i64>,
    /// Rows younger than this by their timestamp wait, in milliseconds. It helps against clocks that differ, where programs set the
    /// timestamps; rows that are committed late need no delay (`longshore.late.commits`). Less than 500 counts as 500.
    #[serde(rename = "timestamp.delay.interval.ms", default)]
    #[schemars(range(min = 0, max = 9_223_372_036_854_775i64), extend("x-group" = "Mode"))]
    pub(crate) timestamp_delay_ms: i64,
    /// How timestamps are written: `connect_logical` as Connect's Timestamp, in milliseconds; `micros_long`, `nanos_long` and the same with
    /// `_string` as a count since 1970; `micros_iso_datetime_string` and `nanos_iso_datetime_string` as text at UTC; `native` as text that
    /// keeps everything (RFC 3339, `infinity`), and dates and times likewise. `native` unless the class is the reference's.
    #[serde(rename = "timestamp.granularity", default)]
    #[schemars(extend("x-importance" = "LOW", "x-group" = "Values"))]
    pub(crate) granularity: Option<Granularity>,
    /// Refuse tables whose columns for `mode` may hold NULL. Without it such rows are not read.
    #[serde(rename = "validate.non.null", default = "yes")]
    #[schemars(extend("x-importance" = "LOW", "x-group" = "Mode"))]
    pub(crate) validate_non_null: bool,
    /// A SELECT to read instead of tables; the conditions of `mode` are put around it.
    #[serde(default)]
    #[schemars(extend("x-group" = "Mode"))]
    pub(crate) query: Option<String>,
    /// What is put behind every statement that reads rows, such as `LIMIT 1000`; sessions are read-only.
    #[serde(rename = "query.suffix", default)]
    #[schemars(extend("x-importance" = "LOW", "x-group" = "Mode"))]
    pub(crate) query_suffix: Option<String>,
    /// The tables to read: `table`, `schema.table` or `database.schema.table`; a part with dots stands in double quotes.
    #[serde(rename = "table.whitelist", default)]
    #[schemars(extend("x-group" = "Tables"))]
    pub(crate) whitelist: Vec<String>,
    /// The tables to leave out, named as in `table.whitelist`.
    #[serde(rename = "table.blacklist", default)]
    #[schemars(extend("x-group" = "Tables"))]
    pub(crate) blacklist: Vec<String>,
    /// The tables to read, as regular expressions for `schema.table` or `database.schema.table` as a whole.
    #[serde(rename = "table.include.list", default)]
    #[schemars(extend("x-group" = "Tables"))]
    pub(crate) include: Vec<String>,
    /// The tables to leave out, as in `table.include.list`.
    #[serde(rename = "table.exclude.list", default)]
    #[schemars(extend("x-group" = "Tables"))]
    pub(crate) exclude: Vec<String>,
    /// The schemas to look for tables in: a name, `%` stands for any characters and `_` for one.
    #[serde(rename = "schema.pattern", default)]
    #[schemars(extend("x-group" = "Tables"))]
    pub(crate) schema_pattern: Option<String>,
    /// The databases to look for tables in, as a pattern; Postgres shows the one that is connected to.
    #[serde(rename = "catalog.pattern", default)]
    #[schemars(extend("x-importance" = "LOW", "x-group" = "Tables"))]
    pub(crate) catalog_pattern: Option<String>,
    /// What is read: `TABLE`, `PARTITIONED TABLE`, `VIEW`, `MATERIALIZED VIEW`, `FOREIGN TABLE`. Partitions come with their table.
    #[serde(rename = "table.types", default = "table_types")]
    #[schemars(extend("x-importance" = "LOW", "x-group" = "Tables"))]
    pub(crate) table_types: Vec<String>,
    /// How often to look for tables that appeared or went, in milliseconds.
    #[serde(rename = "table.poll.interval.ms", default = "table_poll")]
    #[schemars(range(min = 1, max = 9_223_372_036_854_775i64), extend("x-importance" = "LOW", "x-group" = "Tables"))]
    pub(crate) table_poll_ms: u64,
    /// Put before a table's name it makes the topic; with `query` it is the topic.
    #[serde(rename = "topic.prefix")]
    #[schemars(extend("x-importance" = "HIGH"))]
    pub(crate) topic_prefix: String,
    /// How often a table is asked for new rows, in milliseconds. It is asked again at once while there are more.
    #[serde(rename = "poll.interval.ms", default = "poll_interval")]
    #[schemars(range(min = 1, max = 9_223_372_036_854_775i64), extend("x-importance" = "HIGH"))]
    pub(crate) poll_interval_ms: u64,
    /// The most rows of a batch. The reference's 100 would pay for a round through the worker every 100 rows; a batch never exceeds 4 MiB,
    /// so large rows need no small number. More than 5000 count as 5000.
    #[serde(rename = "batch.max.rows", default = "batch_rows")]
    #[schemars(range(min = 1, max = 2_147_483_647), extend("x-importance" = "LOW"))]
    pub(crate) batch_rows: u32,
    /// What `numeric` becomes: `none` Connect's Decimal; `precision_only` an integer where no digits are behind the point and it fits, else
    /// Decimal; `best_fit` also a double where it fits; `best_fit_eager_double` a double whenever there are digits behind the point; `native`
    /// exact text, which JSON without schemas shows as a number. `native` unless the class is the reference's. A numeric without a scale of its own is
    /// exact text in all of them.
    #[serde(rename = "numeric.mapping", default)]
    #[schemars(extend("x-importance" = "LOW", "x-group" = "Values"))]
    pub(crate) numeric: Option<NumericMapping>,
    /// The reference's older form: `true` is `numeric.mapping=precision_only`.
    #[serde(rename = "numeric.precision.mapping", default)]
    #[schemars(extend("x-importance" = "LOW", "x-group" = "Values"))]
    pub(crate) numeric_precision: bool,
    /// The time zone that `timestamp` and `date` columns mean.
    #[serde(rename = "db.timezone", default = "utc")]
    #[schemars(extend("x-group" = "Values"))]
    pub(crate) timezone: String,
    /// `never`: the column names of this config may differ from the table's in case, as in SQL without quotes.
    #[serde(rename = "quote.sql.identifiers", default)]
    #[schemars(extend("x-importance" = "LOW"))]
    pub(crate) quote: Quote,
    /// The isolation of statements that read.
    #[serde(rename = "transaction.isolation.mode", default)]
    #[schemars(extend("x-importance" = "LOW"))]
    pub(crate) isolation: Isolation,
    /// The reference's dialect: empty or `PostgreSqlDatabaseDialect`.
    #[serde(rename = "dialect.name", default)]
    #[schemars(extend("x-importance" = "LOW"))]
    pub(crate) dialect: Option<String>,
    /// `wait`: rows are read only when every transaction that may still commit rows before them is over, so that none is lost. `ignore`: rows
    /// are read at once, as the reference does, and those that a slower transaction commits later are lost.
    #[serde(rename = "longshore.late.commits", default)]
    #[schemars(extend("x-group" = "Mode"))]
    pub(crate) late: Late,
    /// How long to wait for an open transaction that has not written anything yet, in milliseconds; it may write later with an id or a time
    /// that it took before. One that has written, or has locked a table to write, is always waited for.
    #[serde(rename = "longshore.late.commits.idle.ms", default = "late_idle")]
    #[schemars(range(min = 0, max = 86_400_000), extend("x-importance" = "LOW", "x-group" = "Mode"))]
    pub(crate) late_idle_ms: u64,
}

/// What is read at each poll.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    /// Everything.
    Bulk,
    /// Rows above the highest id so far.
    Incrementing,
    /// Rows after the latest time so far.
    Timestamp,
    /// Rows after the latest pair of both.
    #[serde(rename = "timestamp+incrementing")]
    Both,
}

impl Mode {
    pub(super) fn by_id(self) -> bool {
        matches!(self, Self::Incrementing | Self::Both)
    }
    pub(super) fn by_time(self) -> bool {
        matches!(self, Self::Timestamp | Self::Both)
    }
}

/// How timestamps are written.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub(crate) enum Granularity {
    Native,
    ConnectLogical,
    MicrosLong,
    MicrosString,
    MicrosIsoDatetimeString,
    NanosLong,
    NanosString,
    NanosIsoDatetimeString,
}

/// What `numeric` becomes.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub(crate) enum NumericMapping {
    Native,
    None,
    PrecisionOnly,
    BestFit,
    BestFitEagerDouble,
}

/// How names of this config find columns.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Quote {
    /// By their exact letters.
    #[default]
    Always,
    /// In any case.
    Never,
}

/// The isolation of statements that read.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs)]
pub(crate) enum Isolation {
    #[default]
    Default,
    ReadUncommitted,
    ReadCommitted,
    RepeatableRead,
    Serializable,
}

/// What becomes of rows that are committed late.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Late {
    /// They are waited for.
    #[default]
    Wait,
    /// They are lost.
    Ignore,
}

fn yes() -> bool {
    true
}
fn table_types() -> Vec<String> {
    vec!["TABLE".to_owned()]
}
fn table_poll() -> u64 {
    60_000
}
fn poll_interval() -> u64 {
    5000
}
fn batch_rows() -> u32 {
    2000
}
fn late_idle() -> u64 {
    60_000
}
fn utc() -> String {
    "UTC".to_owned()
}

impl SourceConfig {
    /// Whether the class is the reference's: then unset keys mean what they mean there.
    fn is_reference(&self) -> bool {
        let class = self.class.as_deref().unwrap_or_default();
        class.to_ascii_lowercase().contains("jdbc")
    }
    pub(super) fn numeric(&self) -> NumericMapping {
        match self.numeric {
            Some(mapping) => mapping,
            None if self.numeric_precision => NumericMapping::PrecisionOnly,
            None if self.is_reference() => NumericMapping::None,
            None => NumericMapping::Native,
        }
    }
    pub(super) fn granularity(&self) -> Granularity {
        match self.granularity {
            Some(granularity) => granularity,
            None if self.is_reference() => Granularity::ConnectLogical,
            None => Granularity::Native,
        }
    }
    /// The query without what would end it.
    pub(super) fn query(&self) -> Option<&str> {
        let query = self.query.as_deref()?.trim().trim_end_matches(';').trim();
        (!query.is_empty()).then_some(query)
    }
    /// The column that grows; an empty name is none, as in the reference.
    pub(super) fn id_column(&self) -> Option<&str> {
        let name = self.incrementing_column.as_deref()?.trim();
        (!name.is_empty() && self.mode.by_id()).then_some(name)
    }
    /// The columns that say when; empty unless the mode uses them.
    pub(super) fn time_columns(&self) -> Vec<&str> {
        let names = self.timestamp_columns.iter().map(String::as_str);
        names
            .filter(|name| !name.trim().is_empty() && self.mode.by_time())
            .collect()
    }
    /// What is wrong without looking at the server.
    pub(super) fn findings(&self) -> Vec<Finding> {
        let mut found = self.connection.target().err().unwrap_or_default();
        let mut add = |key: &str, problem: &str, advice: &str| {
            found.push(Finding::new(key, problem).suggest(advice));
        };
        if self.mode.by_id() && self.id_column().is_none() {
            add(
                "incrementing.column.name",
                "the mode needs it, but it is not set",
                "name the column that grows with every row",
            );
        }
        if self.mode.by_time() && self.time_columns().is_empty() {
            add(
                "timestamp.column.name",
                "the mode needs it, but it is not set",
                "name the column that says when a row was written",
            );
        }
        if self.query().is_some() {
            for (key, set) in [
                ("table.whitelist", !self.whitelist.is_empty()),
                ("table.blacklist", !self.blacklist.is_empty()),
                ("table.include.list", !self.include.is_empty()),
                ("table.exclude.list", !self.exclude.is_empty()),
            ] {
                if set {
                    add(
                        key,
                        "tables are chosen, but query is set, too",
                        "remove one of them",
                    );
                }
            }
        }
        if !self.whitelist.is_empty() && !self.include.is_empty() {
            add(
                "table.include.list",
                "tables are chosen by table.whitelist, too",
                "remove one of them",
            );
        }
        let dialect = self.dialect.as_deref().unwrap_or_default();
        if !["", "PostgreSqlDatabaseDialect"].contains(&dialect) {
            add(
                "dialect.name",
                "only Postgres is known",
                "remove it, or use PostgreSqlDatabaseDialect",
            );
        }
        if self.topic_prefix.is_empty() && self.query().is_some() {
            add(
                "topic.prefix",
                "it is empty, but with query it is the topic",
                "name the topic",
            );
        }
        if self.timezone.is_empty() || self.timezone.contains(['\0', '\'', '\\']) {
            add(
                "db.timezone",
                "it is no name of a time zone",
                "use a name such as UTC or Europe/Berlin",
            );
        }
        found
    }
    /// The same as one error of kind Config.
    pub(super) fn judged(&self) -> Result<(), Error> {
        match self.findings().first() {
            None => Ok(()),
            Some(finding) => Err(Error::config("config", finding.to_string())),
        }
    }
}
