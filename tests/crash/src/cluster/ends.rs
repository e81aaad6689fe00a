//! The two ends that are no topics: a file that grows, and a table.

use std::fs::OpenOptions;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use longshore_kit::servers::Postgres;
use serde_json::{Value, json};

use super::held::Held;

/// Pause between two lines.
const LINE_EVERY: Duration = Duration::from_millis(8);

/// Appends numbered lines to a file.
pub(super) struct Feeder {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<u64>>,
}

impl Feeder {
    /// Goes on after the lines that are there.
    pub(super) fn start(path: &Path) -> Result<Self> {
        let before = match path.exists() {
            true => Held::by_file(path)?.total(),
            false => 0,
        };
        let mut file = BufWriter::new(OpenOptions::new().create(true).append(true).open(path)?);
        let stop = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut number = before;
            while !until.load(Ordering::Relaxed) {
                number += 1;
                writeln!(file, "{{\"id\":{number}}}")?;
                file.flush()?;
                std::thread::sleep(LINE_EVERY);
            }
            Ok(number)
        });
        Ok(Self { stop, thread })
    }

    /// Ends it; how many lines the file has.
    pub(super) fn stop(self) -> Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread
            .join()
            .map_err(|_| anyhow!("the feeder panicked"))?
    }
}

/// A table that takes everything, of a database of this run.
pub(super) struct Table {
    postgres: Postgres,
    database: String,
    pub(super) connector: String,
}

impl Table {
    pub(super) fn start(group: &str, run: u64) -> Result<Self> {
        let postgres = Postgres::start()?;
        let database = postgres.create_database()?;
        // No key: what is written twice is there twice.
        postgres.query(
            &database,
            "CREATE TABLE numbers (share bigint NOT NULL, id bigint NOT NULL)",
        )?;
        Ok(Self {
            postgres,
            database,
            // A name of its own, because its consumer group has to begin where its table does.
            connector: format!("{group}-table-{run}"),
        })
    }

    pub(super) fn config(&self, topic: &str) -> Value {
        json!({
            "connector.class": "postgres-sink", "tasks.max": "2", "topics": topic,
            "connection.url": self.postgres.url(&self.database), "table.name.format": "numbers",
            "insert.mode": "insert", "pk.mode": "none", "fields.whitelist": "share,id",
            "consumer.override.max.poll.records": "200",
        })
    }

    pub(super) fn rows(&self) -> Result<u64> {
        let rows = self
            .postgres
            .query(&self.database, "SELECT count(*) FROM numbers")?;
        rows.first().context("a count")?.parse().context("a number")
    }

    pub(super) fn held(&self) -> Result<Held> {
        let mut held = Held::default();
        for row in self
            .postgres
            .query(&self.database, "SELECT share || ' ' || id FROM numbers")?
        {
            let (share, id) = row.split_once(' ').context("two columns")?;
            held.add_row(share.parse()?, id.parse()?)?;
        }
        Ok(held)
    }
}
