//! The Postgres of the bench: tables filled, emptied and compared, and the records that carry the same rows.

use std::collections::HashMap;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use longshore_kit::servers::{Postgres, PostgresOptions, debezium_jdbc_plugins};
use serde_json::{Value, json};

use crate::cells::{JSON, merge};
use crate::topics::Topics;

/// The table that sinks write and sources read.
pub(crate) const TABLE: &str = "orders";

/// The server, with the settings of a database that takes a load, and the rows as they must be.
pub(crate) struct Database {
    server: Postgres,
    rows: u64,
    /// Count and hash of the rows, made by SQL from the same rule as the records.
    expected: String,
    plugins: Option<PathBuf>,
}

const DATABASE: &str = "postgres";

/// What a table holds before a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Before {
    Nothing,
    /// Every key, with other values.
    EveryKey,
    /// The rows that are to be read.
    Rows,
}

impl Database {
    /// A fresh server; with the peer's jars where the peer takes part.
    pub(crate) fn start(rows: u64, peer: bool) -> Result<Self> {
        let settings = [
            ("shared_buffers", "512MB"),
            ("max_wal_size", "8GB"),
            ("checkpoint_timeout", "30min"),
            ("autovacuum", "off"),
        ];
        let server = Postgres::start_with(&PostgresOptions {
            settings: settings
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .to_vec(),
            ..PostgresOptions::default()
        })?;
        server.query(
            DATABASE,
            &format!("CREATE TABLE expected AS {}", rule(rows, "0")),
        )?;
        let expected = hash(&server, "expected")?;
        Ok(Self {
            server,
            rows,
            expected,
            plugins: peer.then(debezium_jdbc_plugins).transpose()?,
        })
    }

    /// The process id of the postmaster.
    pub(crate) fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// What a Connect worker needs in `plugin.path`.
    pub(crate) fn plugins(&self) -> Option<&PathBuf> {
        self.plugins.as_ref()
    }

    /// Makes the table anew, and lets the server write out what it still holds.
    pub(crate) fn prepare(&self, before: Before) -> Result<()> {
        let rows = match before {
            Before::Nothing => String::new(),
            Before::EveryKey => format!("INSERT INTO {TABLE} {};", rule(self.rows, "1")),
            Before::Rows => format!("INSERT INTO {TABLE} {};", rule(self.rows, "0")),
        };
        self.server.query(
            DATABASE,
            &format!(
                "DROP TABLE IF EXISTS {TABLE}; \
                 CREATE TABLE {TABLE} (id bigint PRIMARY KEY, customer text, amount float8, updated_at timestamp, note text); {rows}"
            ),
        )?;
        self.server.query(DATABASE, "CHECKPOINT")?;
        Ok(())
    }

    /// Whether the table holds every row as it must be, and nothing else.
    pub(crate) fn holds_all(&self) -> Result<bool> {
        Ok(hash(&self.server, TABLE)? == self.expected)
    }

    /// The sink's configuration: the peer's keys for both, which Longshore takes as they are.
    pub(crate) fn sink(&self, longshore: bool, topic: &str, upsert: bool) -> Value {
        let mut config = json!({
            "connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector", "tasks.max": "1", "topics": topic,
            "connection.username": "postgres", "connection.password": "x",
            "insert.mode": if upsert { "upsert" } else { "insert" }, "primary.key.mode": "record_value", "primary.key.fields": "id",
            "schema.evolution": "none", "collection.name.format": TABLE,
            "batch.size": "3000", "consumer.override.max.poll.records": "3000",
            "value.converter": JSON, "value.converter.schemas.enable": "true",
        });
        let url = format!(
            "jdbc:postgresql://127.0.0.1:{}/{DATABASE}",
            self.server.port()
        );
        // The driver's own batching: without it the peer is slower.
        let url = if longshore {
            url
        } else {
            format!("{url}?reWriteBatchedInserts=true")
        };
        merge(&mut config, json!({ "connection.url": url }));
        config
    }

    /// The polling source's configuration, and the topic it writes.
    pub(crate) fn source(&self, round: &str) -> (Value, String) {
        let config = json!({
            "connector.class": "postgres-source", "tasks.max": "1", "connection.url": self.server.url(DATABASE),
            "mode": "incrementing", "incrementing.column.name": "id", "table.whitelist": TABLE, "topic.prefix": format!("{round}-"),
            "poll.interval.ms": "100", "batch.max.rows": "3000",
            "value.converter": JSON, "value.converter.schemas.enable": "false", "producer.override.compression.type": "none",
        });
        (config, format!("{round}-{TABLE}"))
    }

    /// Whether a topic holds every row once, as JSON.
    pub(crate) fn all_in(&self, topics: &Topics, topic: &str) -> Result<bool> {
        let mut seen = HashMap::new();
        let mut wrong = None;
        topics.read(topic, |_, value| {
            match serde_json::from_slice::<Value>(value)
                .map_err(anyhow::Error::from)
                .and_then(|row| is_row(&row))
            {
                Ok(id) => *seen.entry(id).or_insert(0) += 1,
                Err(error) => {
                    wrong.get_or_insert(format!("{error:#}: {}", String::from_utf8_lossy(value)));
                }
            }
        })?;
        if let Some(wrong) = wrong {
            println!("void: {wrong}");
            return Ok(false);
        }
        Ok(seen.len() as u64 == self.rows && seen.values().all(|count| *count == 1))
    }
}

/// The rows as SQL: the same that [`record`] says, each amount with `more` added.
fn rule(rows: u64, more: &str) -> String {
    format!(
        "SELECT i AS id, 'customer-' || lpad((i * 7919 % 100000)::text, 6, '0') AS customer, \
         ((i * 31 % 100000) / 100.0 + {more})::float8 AS amount, \
         (to_timestamp(1790000000) AT TIME ZONE 'UTC') + i * interval '1 millisecond' AS updated_at, \
         'note ' || i || ' ' || repeat('x', 60) AS note FROM generate_series(0::bigint, {rows} - 1) AS i"
    )
}

/// Count and hash of a table's rows, whatever their order.
fn hash(server: &Postgres, table: &str) -> Result<String> {
    let rows = server.query(
        DATABASE,
        &format!("SELECT count(*), sum(hashtextextended(row(id, customer, amount, updated_at, note)::text, 0)) FROM {table}"),
    )?;
    rows.into_iter().next().context("the hash has no row")
}

/// The payload of row `id`.
fn payload(id: u64) -> Value {
    json!({
        "id": id, "customer": format!("customer-{:06}", id * 7919 % 100_000), "amount": (id * 31 % 100_000) as f64 / 100.0,
        "updated_at": 1_790_000_000_000 + id, "note": format!("note {id} {}", "x".repeat(60)),
    })
}

/// Which row a JSON object is. Errors: it differs from the row of its id.
fn is_row(row: &Value) -> Result<u64> {
    let id = row["id"].as_u64().context("a row without id")?;
    let mut expected = payload(id);
    // Time as epoch milliseconds, or as text: the same instant, whose form is not this bench's business.
    if row["updated_at"].is_string() {
        expected["updated_at"] = row["updated_at"].clone();
    }
    ensure!(*row == expected, "row {id} differs");
    Ok(id)
}

/// Row `id` as JsonConverter writes it with its schema.
pub(crate) fn record(id: u64, into: &mut Vec<u8>) {
    const SCHEMA: &str = concat!(
        r#"{"schema":{"type":"struct","name":"orders","optional":false,"fields":["#,
        r#"{"type":"int64","optional":false,"field":"id"},"#,
        r#"{"type":"string","optional":true,"field":"customer"},"#,
        r#"{"type":"double","optional":true,"field":"amount"},"#,
        r#"{"type":"int64","optional":true,"field":"updated_at","name":"org.apache.kafka.connect.data.Timestamp","version":1},"#,
        r#"{"type":"string","optional":true,"field":"note"}]},"payload":"#
    );
    into.extend_from_slice(SCHEMA.as_bytes());
    into.extend_from_slice(payload(id).to_string().as_bytes());
    into.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_json_with_its_schema_and_a_changed_row_is_noticed() {
        let mut bytes = Vec::new();
        record(7, &mut bytes);
        let whole: Value = serde_json::from_slice(&bytes).expect("JSON");
        assert_eq!(whole["schema"]["fields"].as_array().map(Vec::len), Some(5));
        assert_eq!(is_row(&whole["payload"]).expect("the row"), 7);
        let mut other = whole["payload"].clone();
        other["amount"] = json!(1.0);
        assert!(is_row(&other).is_err());
    }
}
