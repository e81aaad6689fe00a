//! What runs on the cluster: numbers that are made up, copied, written to a file and to a table, and lines of a file that grows.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use longshore_kit::servers::wait_until;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use serde_json::{Value, json};

use super::ends::{Feeder, Table};
use super::held::Held;
use super::state::State;
use crate::Fleet;
use crate::postgres::create_topic;

/// Partitions of the numbers' topic and of its copy.
const PARTITIONS: i32 = 2;
/// A topic that has grown by this has got records, not only the marks of transactions.
const GROWN: u64 = 20;
/// Everything has arrived long before.
const DRAIN_MAX: Duration = Duration::from_secs(120);
const STRING: &str = "org.apache.kafka.connect.storage.StringConverter";
const BYTES: &str = "org.apache.kafka.connect.converters.ByteArrayConverter";

/// The running transfers.
pub(super) struct Transfers {
    group: String,
    bootstrap: String,
    lines: PathBuf,
    kept: PathBuf,
    connectors: Vec<(String, Value)>,
    feeder: Option<Feeder>,
    table: Option<Table>,
    watcher: BaseConsumer,
}

/// How far each transfer is.
pub(super) type Progress = Vec<u64>;

impl Transfers {
    /// Makes the topics and connectors, or goes on with those of an earlier run.
    pub(super) fn start(
        fleet: &Fleet,
        state: &State,
        bootstrap: &str,
        postgres: bool,
    ) -> Result<Self> {
        let group = state.group();
        let mut transfers = Self {
            bootstrap: bootstrap.to_owned(),
            lines: state.folder().join("lines.txt"),
            kept: state.folder().join("kept.ndjson"),
            connectors: Vec::new(),
            feeder: None,
            table: postgres
                .then(|| Table::start(&group, state.runs()))
                .transpose()?,
            watcher: ClientConfig::new()
                .set("bootstrap.servers", bootstrap)
                .set("group.id", "crash-watch")
                .create()?,
            group,
        };
        for (topic, partitions) in [
            ("numbers", PARTITIONS),
            ("copied", PARTITIONS),
            ("lines", 1),
        ] {
            create_topic(bootstrap, &transfers.name(topic), partitions)?;
        }
        transfers.feeder = Some(Feeder::start(&transfers.lines)?);
        transfers.connectors = transfers.configs();
        let old = fleet.rest("GET", "/connectors", None)?;
        for name in old
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
        {
            if !transfers.connectors.iter().any(|(known, _)| known == name) {
                fleet.rest("DELETE", &format!("/connectors/{name}"), None)?;
            }
        }
        for (name, config) in &transfers.connectors {
            fleet.rest("PUT", &format!("/connectors/{name}/config"), Some(config))?;
            fleet.rest("PUT", &format!("/connectors/{name}/resume"), None)?;
        }
        Ok(transfers)
    }

    /// A name that nobody else has on the broker.
    pub(super) fn name(&self, what: &str) -> String {
        format!("{}-{what}", self.group)
    }

    pub(super) fn connectors(&self) -> &[(String, Value)] {
        &self.connectors
    }

    /// The source of the numbers.
    pub(super) fn numbers(&self) -> String {
        self.name("make")
    }

    /// The mirror of the numbers.
    pub(super) fn copy(&self) -> String {
        self.name("copy")
    }

    fn configs(&self) -> Vec<(String, Value)> {
        let (numbers, copied) = (self.name("numbers"), self.name("copied"));
        let mut all = vec![
            (
                self.numbers(),
                json!({ "connector.class": "datagen", "tasks.max": "2", "topic": numbers, "rate": "200" }),
            ),
            (
                self.copy(),
                json!({
                    "connector.class": "mirror", "tasks.max": "2", "topics": numbers, "target.topic": copied,
                    "source.cluster.bootstrap.servers": self.bootstrap,
                    "key.converter": BYTES, "value.converter": BYTES, "header.converter": BYTES,
                }),
            ),
            (
                self.name("read"),
                json!({
                    "connector.class": "file-source", "tasks.max": "1", "file": self.lines.display().to_string(),
                    "topic": self.name("lines"), "key.converter": STRING, "value.converter": STRING,
                }),
            ),
            (
                self.name("keep"),
                json!({
                    "connector.class": "file-sink", "tasks.max": "1", "file": self.kept.display().to_string(),
                    "topics": numbers, "key.converter": STRING, "value.converter": STRING,
                }),
            ),
        ];
        all.extend(
            self.table
                .as_ref()
                .map(|table| (table.connector.clone(), table.config(&numbers))),
        );
        all
    }

    /// How far each transfer is. Errors: the broker does not answer.
    pub(super) fn progress(&self, fleet: &mut Fleet) -> Result<Progress> {
        let mut now = None;
        fleet.until("the broker to say where topics end", |_| {
            now = self.ends().ok();
            Ok(now.is_some())
        })?;
        now.context("they end somewhere")
    }

    /// Whether every transfer has moved records since.
    pub(super) fn moved_since(&self, before: &Progress, _fleet: &Fleet) -> Result<bool> {
        // A broker that is just coming back does not answer.
        let Ok(now) = self.ends() else {
            return Ok(false);
        };
        Ok(now
            .iter()
            .zip(before)
            .all(|(now, before)| *now > before + GROWN))
    }

    fn ends(&self) -> Result<Progress> {
        let end = |topic: &str, partitions| {
            let name = self.name(topic);
            (0..partitions).try_fold(0, |sum, partition| {
                let (_, end) =
                    self.watcher
                        .fetch_watermarks(&name, partition, Duration::from_secs(5))?;
                anyhow::Ok(sum + u64::try_from(end)?)
            })
        };
        let mut all = vec![
            end("numbers", PARTITIONS)?,
            end("copied", PARTITIONS)?,
            end("lines", 1)?,
            std::fs::metadata(&self.kept).map_or(0, |meta| meta.len()),
        ];
        if let Some(table) = &self.table {
            all.push(table.rows()?);
        }
        Ok(all)
    }

    /// Whether every connector and task runs, as every worker says.
    pub(super) fn all_run(&self, fleet: &Fleet) -> Result<bool> {
        for number in fleet.awake() {
            let Ok(all) = fleet.ask(number, "GET", "/connectors?expand=status", None) else {
                return Ok(false);
            };
            let runs = |(name, _): &(String, Value)| {
                let status = &all[name]["status"];
                let tasks = status["tasks"].as_array().map_or(&[][..], Vec::as_slice);
                status["connector"]["state"] == "RUNNING"
                    && !tasks.is_empty()
                    && tasks.iter().all(|task| task["state"] == "RUNNING")
            };
            if !self.connectors.iter().all(runs) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What keeps the transfers from being well, in words.
    pub(super) fn standing(&self, before: &Progress, fleet: &Fleet) -> String {
        let places = ["numbers", "copied", "lines", "kept", "table"];
        let mut words = Vec::new();
        for (place, (now, before)) in places
            .iter()
            .zip(self.ends().unwrap_or_default().iter().zip(before))
        {
            if *now <= before + GROWN {
                words.push(format!("{place} stands at {now}"));
            }
        }
        for number in fleet.awake() {
            match fleet.ask(number, "GET", "/connectors?expand=status", None) {
                Err(error) => words.push(format!("worker {number}: {error:#}")),
                Ok(all) => {
                    for (name, _) in &self.connectors {
                        let status = &all[name]["status"];
                        let tasks = status["tasks"].as_array().map_or(&[][..], Vec::as_slice);
                        let runs = |of: &&Value| of["state"] != "RUNNING";
                        if status["connector"]["state"] != "RUNNING"
                            || tasks.is_empty()
                            || tasks.iter().any(|task| runs(&task))
                        {
                            words.push(format!("worker {number} says {name}: {status}"));
                        }
                    }
                }
            }
        }
        words.join("\n  ")
    }

    /// Stops what makes records, and waits until everything has arrived.
    pub(super) fn drain(&mut self, fleet: &mut Fleet) -> Result<()> {
        let feeder = self.feeder.take().context("a feeder")?;
        let lines = feeder.stop()?;
        let make = self.numbers();
        fleet.rest("PUT", &format!("/connectors/{make}/stop"), None)?;
        fleet.until("the source of numbers to stop", |fleet| {
            let status = fleet.status(&make)?;
            let tasks = status["tasks"].as_array();
            Ok(status["connector"]["state"] == "STOPPED" && tasks.is_some_and(Vec::is_empty))
        })?;
        let numbers = Held::by_topic(&self.bootstrap, &self.name("numbers"))?.total();
        let mut arrived = Vec::new();
        let all = wait_until(DRAIN_MAX, || {
            arrived = vec![
                (
                    lines,
                    Held::by_topic(&self.bootstrap, &self.name("lines"))?.total(),
                ),
                (
                    numbers,
                    Held::by_topic(&self.bootstrap, &self.name("copied"))?.total(),
                ),
                (numbers, Held::by_file(&self.kept)?.total()),
            ];
            if let Some(table) = &self.table {
                arrived.push((numbers, table.rows()?));
            }
            Ok(arrived.iter().all(|(wanted, there)| there >= wanted))
        })?;
        ensure!(
            all,
            "not everything arrives within {DRAIN_MAX:?}; (wanted, there) of lines, copy, file, table: {arrived:?}\n{}",
            fleet.log_tails()
        );
        // Whatever comes twice comes now at the latest.
        std::thread::sleep(Duration::from_secs(2));
        Ok(())
    }

    /// Every record is everywhere once, in order, and the source's stored position is that of its last record. Returns the number of records.
    pub(super) fn check(&self, fleet: &Fleet) -> Result<u64> {
        let topic = |name: &str| Held::by_topic(&self.bootstrap, &self.name(name));
        let mut places = vec![
            ("numbers", topic("numbers")?),
            ("copied", topic("copied")?),
            ("kept", Held::by_file(&self.kept)?),
        ];
        if let Some(table) = &self.table {
            places.push(("table", table.held()?));
        }
        let lines = topic("lines")?;
        // All are printed before the first that is wrong ends it.
        let mut checked: Vec<Result<()>> = places
            .iter()
            .map(|(place, held)| held.check(place))
            .collect();
        checked.push(lines.check("lines"));
        checked.into_iter().collect::<Result<()>>()?;
        let made = places[0].1.ends();
        for (place, held) in &places {
            ensure!(
                held.ends() == made,
                "the numbers end with {made:?}, {place} with {:?}",
                held.ends()
            );
        }
        let path = format!("/connectors/{}/offsets", self.numbers());
        let offsets = fleet.rest("GET", &path, None)?;
        for entry in offsets["offsets"].as_array().context("offsets")? {
            let share = entry["partition"]["share"].as_u64().context("a share")?;
            let stored = entry["offset"]["id"].as_u64().context("an id")?;
            let end = made.get(&share).copied().unwrap_or(0) as u64;
            ensure!(
                stored == end,
                "counter {share}: the stored offset is {stored}, the last record {end}"
            );
        }
        Ok(places.iter().map(|(_, held)| held.total()).sum::<u64>() + lines.total())
    }
}
