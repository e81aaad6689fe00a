//! One cell: both systems in turns, each round checked and measured.

use std::fs::File;
use std::hash::Hasher;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use longshore_kit::servers::Kafka;
use serde_json::Value;

use crate::cells::{self, Cell, Kind};
use crate::meter::{Meter, Parties, Used};
use crate::report;
use crate::system::System;
use crate::tables::{Before, Database};
use crate::topics::{Content, Topics};

/// A round may take this long; the slowest first round of a cold JVM takes a fifth of it.
const ROUND_MAX: Duration = Duration::from_secs(300);

/// What a JVM moves before a round of it counts.
pub(crate) const WARM_RECORDS: u64 = 2_000_000;

/// The rounds of one system.
pub(crate) struct Rounds {
    pub(crate) name: &'static str,
    pub(crate) used: Vec<Used>,
    pub(crate) void: u32,
}

/// What both systems work with.
pub(crate) struct Stage<'a> {
    pub(crate) kafka: &'a Kafka,
    pub(crate) topics: Topics,
    pub(crate) database: Option<&'a Database>,
}

impl Stage<'_> {
    fn database(&self) -> Result<&Database> {
        self.database.context("no database was started")
    }
}

/// Runs a cell and prints it; the number of void figures.
pub(crate) fn run(cell: &Cell, systems: &[System], stage: &Stage<'_>, rounds: u32) -> Result<u32> {
    let expected = Expected::of(cell, &stage.topics)?;
    let systems: Vec<&System> = systems
        .iter()
        .filter(|system| system.is_longshore() || cell.kind.has_peer())
        .collect();
    let mut all: Vec<Rounds> = systems
        .iter()
        .map(|system| Rounds {
            name: system.name,
            used: Vec::new(),
            void: 0,
        })
        .collect();
    // The first rounds warm caches and compilers; a JVM is given as many records as its compiler needs to settle.
    let warm = |system: &System| {
        if system.is_longshore() {
            1
        } else {
            WARM_RECORDS.div_ceil(cell.records).max(1)
        }
    };
    for (system, rounds) in systems.iter().zip(&mut all) {
        for round in 0..warm(system) {
            let (_, equal) = one(cell, system, stage, &expected, &format!("w{round}"))?;
            rounds.void += u32::from(!equal);
        }
    }
    for round in 1..=rounds {
        for (system, rounds) in systems.iter().zip(&mut all) {
            let (used, equal) = one(cell, system, stage, &expected, &round.to_string())?;
            rounds.void += u32::from(!equal);
            rounds.used.push(used);
        }
    }
    report::cell(cell, &all);
    Ok(all.iter().map(|rounds| u32::from(rounds.void > 0)).sum())
}

/// One round of one system: what it used, and whether the output is right.
fn one(
    cell: &Cell,
    system: &System,
    stage: &Stage<'_>,
    expected: &Expected,
    round: &str,
) -> Result<(Used, bool)> {
    let dir = tempfile::Builder::new()
        .prefix("longshore-bench-")
        .tempdir()?;
    let output = dir.path().join("out");
    let name = name_of(cell, system, dir.path(), round);
    let topics = &stage.topics;
    let (config, topic) = connector(cell, system, stage, &name, &output)?;
    if !topic.is_empty() {
        topics.create(&topic)?;
    }
    match cell.kind {
        Kind::Table { before, .. } => stage.database()?.prepare(before)?,
        Kind::Rows => stage.database()?.prepare(Before::Rows)?,
        Kind::Mirror { .. } | Kind::Sink { .. } | Kind::Source { .. } => {}
    }
    system.create_stopped(&name, &config)?;
    let meter = Meter::start(Parties {
        worker: system.pid,
        broker: stage.kafka.pid(),
        database: stage.database.map(Database::pid),
    })?;
    system.resume(&name)?;
    let mut lines = Lines::of(&output);
    let read = match cell.kind {
        Kind::Table { topic, .. } => topic,
        _ => "",
    };
    // A query would be work of the database; what the group has committed costs it nothing.
    let group = topics.group(&format!("connect-{name}"), read)?;
    wait(system, &name, cell.records, || match cell.kind {
        Kind::Table { .. } => group.committed(),
        Kind::Sink { .. } => lines.count(),
        Kind::Mirror { .. } | Kind::Source { .. } | Kind::Rows => topics.end(&topic),
    })?;
    let used = meter.stop()?;
    system.check_alive(&name)?;
    // A stop in between lets the sink write what it still holds, and shows records too many.
    system.delete(&name)?;
    let equal = equal(cell, system, stage, (&topic, &output), expected)?;
    if !topic.is_empty() {
        topics.delete(&topic)?;
    }
    Ok((used, equal))
}

/// A connector's name that no other round has.
fn name_of(cell: &Cell, system: &System, dir: &Path, round: &str) -> String {
    let short = if system.is_longshore() {
        "longshore"
    } else {
        "connect"
    };
    format!(
        "{}-{short}-{round}-{}",
        cell.workload.to_lowercase(),
        dir.file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default()
            .trim_start_matches("longshore-bench-")
            .to_lowercase()
    )
}

/// A round's configuration, and the topic that it writes; no name where it writes none.
fn connector(
    cell: &Cell,
    system: &System,
    stage: &Stage<'_>,
    name: &str,
    output: &Path,
) -> Result<(Value, String)> {
    Ok(match &cell.kind {
        Kind::Mirror { topic } => {
            let bootstrap = stage.kafka.bootstrap();
            cells::mirror(system.is_longshore(), &bootstrap, topic, name)
        }
        Kind::Sink { topic, json } => (
            cells::sink(topic, &output.to_string_lossy(), *json),
            String::new(),
        ),
        Kind::Source { file } => (
            cells::source(&file.to_string_lossy(), name),
            name.to_owned(),
        ),
        Kind::Table { topic, upsert, .. } => (
            stage
                .database()?
                .sink(system.is_longshore(), topic, *upsert),
            String::new(),
        ),
        Kind::Rows => stage.database()?.source(name),
    })
}

/// Waits until `moved` says that all records have arrived.
fn wait(
    system: &System,
    name: &str,
    records: u64,
    mut moved: impl FnMut() -> Result<u64>,
) -> Result<()> {
    let start = Instant::now();
    let mut looked = Instant::now();
    loop {
        let now = moved()?;
        if now >= records {
            return Ok(());
        }
        if looked.elapsed() > Duration::from_secs(2) {
            system.check_alive(name)?;
            looked = Instant::now();
        }
        ensure!(
            start.elapsed() < ROUND_MAX,
            "{name} on {} has moved {now} of {records} records after {ROUND_MAX:?}:\n{}",
            system.name,
            system.log_tail()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What the output must be: the content of a topic, or the hash of its values as lines.
enum Expected {
    Topic(Content),
    Lines(u64),
    /// The database knows it.
    Rows,
}

impl Expected {
    fn of(cell: &Cell, topics: &Topics) -> Result<Self> {
        Ok(match &cell.kind {
            Kind::Mirror { topic } => Self::Topic(topics.content(topic)?),
            Kind::Sink { topic, .. } => Self::Lines(hash_of_values(topics, topic)?.1),
            Kind::Source { file } => Self::Lines(hash_of(file)?),
            Kind::Table { .. } | Kind::Rows => Self::Rows,
        })
    }
}

fn equal(
    cell: &Cell,
    system: &System,
    stage: &Stage<'_>,
    (topic, file): (&str, &Path),
    expected: &Expected,
) -> Result<bool> {
    let topics = &stage.topics;
    let (what, equal) = match (&cell.kind, expected) {
        (_, Expected::Topic(content)) => ("topic", topics.content(topic)? == *content),
        (Kind::Source { .. }, Expected::Lines(hash)) => (
            "topic",
            hash_of_values(topics, topic)? == (cell.records, *hash),
        ),
        // Connect prints a parsed object in Java's words: its lines can be counted, not compared.
        (Kind::Sink { json: true, .. }, _) if !system.is_longshore() => {
            ("file", Lines::of(file).count()? == cell.records)
        }
        (Kind::Rows, _) => ("topic", stage.database()?.all_in(topics, topic)?),
        (_, Expected::Rows) => ("table", stage.database()?.holds_all()?),
        (_, Expected::Lines(hash)) => ("file", hash_of(file)? == *hash),
    };
    if !equal {
        println!(
            "void: the {what} that {} wrote differs ({} {})",
            system.name, cell.workload, cell.name
        );
    }
    Ok(equal)
}

/// The number of a topic's records, and the hash of their values with a line end after each.
pub(crate) fn hash_of_values(topics: &Topics, topic: &str) -> Result<(u64, u64)> {
    let mut hash = std::hash::DefaultHasher::new();
    let records = topics.read(topic, |_, value| {
        hash.write(value);
        hash.write(b"\n");
    })?;
    Ok((records, hash.finish()))
}

pub(crate) fn hash_of(path: &Path) -> Result<u64> {
    let mut hash = std::hash::DefaultHasher::new();
    let mut reader = BufReader::with_capacity(1 << 20, File::open(path)?);
    loop {
        let bytes = reader.fill_buf()?;
        if bytes.is_empty() {
            return Ok(hash.finish());
        }
        hash.write(bytes);
        let length = bytes.len();
        reader.consume(length);
    }
}

/// Counts the lines of a file that grows, reading every byte once.
struct Lines<'a> {
    path: &'a Path,
    read: u64,
    lines: u64,
}

impl<'a> Lines<'a> {
    fn of(path: &'a Path) -> Self {
        Self {
            path,
            read: 0,
            lines: 0,
        }
    }

    fn count(&mut self) -> Result<u64> {
        let mut file = match File::open(self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
            Err(error) => bail!("{}: {error}", self.path.display()),
        };
        file.seek(SeekFrom::Start(self.read))?;
        let mut buffer = vec![0; 1 << 18];
        loop {
            let length = file.read(&mut buffer)?;
            if length == 0 {
                return Ok(self.lines);
            }
            self.read += length as u64;
            self.lines += buffer[..length]
                .iter()
                .filter(|byte| **byte == b'\n')
                .count() as u64;
        }
    }
}
