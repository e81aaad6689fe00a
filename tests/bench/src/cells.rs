//! What is moved: the data, and the connectors of each workload in both systems' words.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use anyhow::Result;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::tables::{self, Before, Database};
use crate::topics::Topics;

/// One figure to measure.
pub(crate) struct Cell {
    pub(crate) workload: &'static str,
    pub(crate) name: &'static str,
    pub(crate) records: u64,
    /// The goal: CPU microseconds of the worker per record.
    pub(crate) goal_us: f64,
    /// The goal for the database's, where one takes part.
    pub(crate) goal_database_us: Option<f64>,
    pub(crate) kind: Kind,
}

pub(crate) enum Kind {
    /// From this topic into another one.
    Mirror { topic: &'static str },
    /// From this topic into a file, as text, or as parsed JSON.
    Sink { topic: &'static str, json: bool },
    /// From this file into a topic.
    Source { file: PathBuf },
    /// From this topic into a table.
    Table {
        topic: &'static str,
        upsert: bool,
        before: Before,
    },
    /// From a table into a topic; Kafka Connect's registry has no connector for it.
    Rows,
}

impl Kind {
    /// Whether there is a connector of the peer for it.
    pub(crate) fn has_peer(&self) -> bool {
        !matches!(self, Self::Rows)
    }
}

/// Topics and files, filled once.
pub(crate) struct Data {
    dir: TempDir,
    records: u64,
    pub(crate) database: Option<Database>,
}

const STRING: &str = "org.apache.kafka.connect.storage.StringConverter";
const BYTES: &str = "org.apache.kafka.connect.converters.ByteArrayConverter";
pub(crate) const JSON: &str = "org.apache.kafka.connect.json.JsonConverter";

impl Data {
    pub(crate) fn prepare(
        bootstrap: &str,
        records: u64,
        workloads: &[String],
        peer: bool,
    ) -> Result<Self> {
        let mut data = Self {
            dir: tempfile::Builder::new()
                .prefix("longshore-bench-")
                .tempdir()?,
            records,
            database: None,
        };
        let asked = |names: &[&str]| {
            workloads
                .iter()
                .any(|workload| names.contains(&workload.as_str()))
        };
        let topics = Topics::new(bootstrap)?;
        if asked(&["W1", "W2"]) {
            let lines = lines(100);
            topics.fill("text-100", records, |number, value| {
                pick(&lines, number, value)
            })?;
        }
        if asked(&["W1"]) {
            let lines = lines(1024);
            topics.fill("text-1k", records / 4, |number, value| {
                pick(&lines, number, value)
            })?;
        }
        if asked(&["W2"]) {
            for (topic, size, records) in
                [("json-100", 100, records), ("json-1k", 1024, records / 4)]
            {
                let documents = documents(size);
                topics.fill(topic, records, |number, value| {
                    pick(&documents, number, value)
                })?;
            }
        }
        if asked(&["W2b"]) {
            let lines = lines(100);
            let mut file = BufWriter::with_capacity(1 << 20, File::create(data.lines_file())?);
            let mut line = Vec::new();
            for number in 0..records {
                line.clear();
                pick(&lines, number, &mut line);
                line.push(b'\n');
                file.write_all(&line)?;
            }
            file.flush()?;
        }
        if asked(&["W5"]) {
            topics.fill("orders-140", data.rows(), tables::record)?;
        }
        if asked(&["W5", "W5s"]) {
            data.database = Some(Database::start(data.rows(), peer && asked(&["W5"]))?);
        }
        Ok(data)
    }

    /// Rows of a round: a database takes longer for one than a file.
    fn rows(&self) -> u64 {
        self.records / 8
    }

    fn lines_file(&self) -> PathBuf {
        self.dir.path().join("lines.txt")
    }

    /// All cells, with the goals of the first release.
    pub(crate) fn cells(&self) -> Vec<Cell> {
        let mut cells = self.plain_cells();
        cells.extend(self.database_cells());
        cells
    }

    fn database_cells(&self) -> Vec<Cell> {
        let cell = |workload, name, goal_us, kind| Cell {
            workload,
            name,
            records: self.rows(),
            goal_us,
            goal_database_us: matches!(kind, Kind::Table { .. }).then_some(8.0),
            kind,
        };
        let table = |upsert, before| Kind::Table {
            topic: "orders-140",
            upsert,
            before,
        };
        vec![
            cell(
                "W5",
                "Kafka -> Postgres, insert, rows of 140 B",
                5.0,
                table(false, Before::Nothing),
            ),
            cell(
                "W5",
                "Kafka -> Postgres, upsert of new rows of 140 B",
                6.0,
                table(true, Before::Nothing),
            ),
            cell(
                "W5",
                "Kafka -> Postgres, upsert of rows of 140 B that are there",
                6.0,
                table(true, Before::EveryKey),
            ),
            cell(
                "W5s",
                "Postgres -> Kafka, polled, rows of 140 B",
                1e6 / 150_000.0,
                Kind::Rows,
            ),
        ]
    }

    fn plain_cells(&self) -> Vec<Cell> {
        let (many, few) = (self.records, self.records / 4);
        let cell = |workload, name, records, goal_us, kind| Cell {
            workload,
            name,
            records,
            goal_us,
            goal_database_us: None,
            kind,
        };
        vec![
            cell(
                "W1",
                "Kafka -> Kafka, bytes, 100 B",
                many,
                2.4,
                Kind::Mirror { topic: "text-100" },
            ),
            cell(
                "W1",
                "Kafka -> Kafka, bytes, 1 KiB",
                few,
                5.0,
                Kind::Mirror { topic: "text-1k" },
            ),
            cell(
                "W2",
                "Kafka -> file, lines, 100 B",
                many,
                1.1,
                Kind::Sink {
                    topic: "text-100",
                    json: false,
                },
            ),
            cell(
                "W2",
                "Kafka -> file, JSON parsed, 100 B",
                many,
                1.6,
                Kind::Sink {
                    topic: "json-100",
                    json: true,
                },
            ),
            cell(
                "W2",
                "Kafka -> file, JSON parsed, 1 KiB",
                few,
                3.0,
                Kind::Sink {
                    topic: "json-1k",
                    json: true,
                },
            ),
            cell(
                "W2b",
                "file -> Kafka, lines, 100 B",
                many,
                1.9,
                Kind::Source {
                    file: self.lines_file(),
                },
            ),
        ]
    }
}

/// The connector of a mirror and the topic it writes. The two systems name their own differently; everything else is the same.
pub(crate) fn mirror(
    longshore: bool,
    bootstrap: &str,
    topic: &str,
    round: &str,
) -> (Value, String) {
    let mut config = json!({
        "tasks.max": "1", "topics": topic, "source.cluster.bootstrap.servers": bootstrap,
        "key.converter": BYTES, "value.converter": BYTES, "producer.override.compression.type": "none",
    });
    let target = format!("{round}.{topic}");
    let own = if longshore {
        json!({ "connector.class": "mirror", "target.topic": target })
    } else {
        json!({
            "connector.class": "org.apache.kafka.connect.mirror.MirrorSourceConnector",
            "source.cluster.alias": round, "target.cluster.alias": "target", "target.cluster.bootstrap.servers": bootstrap,
            "replication.factor": "1", "offset-syncs.topic.replication.factor": "1", "header.converter": BYTES,
            "sync.topic.acls.enabled": "false", "sync.topic.configs.enabled": "false",
        })
    };
    merge(&mut config, own);
    (config, target)
}

/// The connector that writes a file: the same in both systems.
pub(crate) fn sink(topic: &str, file: &str, json: bool) -> Value {
    let mut config = json!({
        "connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector", "tasks.max": "1",
        "topics": topic, "file": file, "key.converter": STRING,
    });
    merge(
        &mut config,
        if json {
            json!({ "value.converter": JSON, "value.converter.schemas.enable": "false" })
        } else {
            json!({ "value.converter": STRING })
        },
    );
    config
}

/// The connector that reads a file: the same in both systems.
pub(crate) fn source(file: &str, topic: &str) -> Value {
    json!({
        "connector.class": "org.apache.kafka.connect.file.FileStreamSourceConnector", "tasks.max": "1",
        "topic": topic, "file": file, "key.converter": STRING, "value.converter": STRING, "producer.override.compression.type": "none",
    })
}

pub(crate) fn merge(config: &mut Value, more: Value) {
    if let (Some(config), Value::Object(more)) = (config.as_object_mut(), more) {
        config.extend(more);
    }
}

fn pick(lines: &[Vec<u8>], number: u64, into: &mut Vec<u8>) {
    into.extend_from_slice(&lines[usize::try_from(number).unwrap_or(usize::MAX) % lines.len()]);
}

/// A thousand different lines of `size` bytes.
fn lines(size: usize) -> Vec<Vec<u8>> {
    let filler = "abcdefghijklmnopqrstuvwxyz0123456789".repeat(size / 36 + 1);
    (0..1000)
        .map(|number| format!("{number:010} {filler}").into_bytes())
        .map(|mut line| {
            line.truncate(size);
            line
        })
        .collect()
}

/// A thousand different JSON objects of about `size` bytes.
fn documents(size: usize) -> Vec<Vec<u8>> {
    let letters: Vec<char> = "the quick brown fox jumps over the lazy dog "
        .chars()
        .collect();
    (0..1000_u64).map(|number| {
        // Spread like random numbers, and the same in every run.
        let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 16;
        let base = json!({
            "id": mixed % 1_000_000_000, "ts": 1_790_000_000_000_u64 + mixed % 1_000_000_000, "u": format!("user{:05}", mixed % 100_000),
            "amt": (mixed % 100_000) as f64 / 100.0, "ok": number % 2 == 1, "note": "",
        });
        let room = size.saturating_sub(base.to_string().len()).max(1);
        let mut document = base;
        document["note"] = letters.iter().cycle().skip(usize::try_from(number % 44).unwrap_or(0)).take(room).collect::<String>().into();
        document.to_string().into_bytes()
    }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_has_the_size_it_claims() {
        for size in [100, 1024] {
            assert!(lines(size).iter().all(|line| line.len() == size));
            assert!(
                documents(size)
                    .iter()
                    .all(|document| document.len().abs_diff(size) <= 4),
                "{size}"
            );
        }
    }
}
