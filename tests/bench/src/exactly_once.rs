//! W9: what exactly-once costs a source. The same records once with transactions and once without, in turns.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use longshore_kit::servers::Kafka;
use serde_json::{Value, json};

use crate::cells;
use crate::meter::{Meter, Parties, Used};
use crate::system::System;
use crate::topics::Topics;
use crate::transfer::{hash_of, hash_of_values};

/// How much more CPU time a record may take.
const GOAL_PERCENT: f64 = 25.0;
/// A round may take this long.
const ROUND_MAX: Duration = Duration::from_secs(300);

/// What moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Lines,
    MadeUp,
}

/// A worker with transactions or without.
struct Party {
    system: System,
    exactly_once: bool,
    used: Vec<Used>,
}

struct Bench<'a> {
    kafka: &'a Kafka,
    topics: Topics,
    file: PathBuf,
    records: u64,
    rounds: u32,
}

/// Runs W9 and prints it. Errors: the output of a round differs.
pub(crate) fn run(kafka: &Kafka, records: u64, rounds: u32, peer: bool) -> Result<()> {
    let dir = tempfile::Builder::new()
        .prefix("longshore-bench-")
        .tempdir()?;
    let file = dir.path().join("lines.txt");
    write_lines(&file, records)?;
    let bench = Bench {
        kafka,
        topics: Topics::new(&kafka.bootstrap())?,
        file,
        records,
        rounds,
    };
    let support = "exactly.once.source.support";
    let mut own = Vec::new();
    for (exactly_once, value) in [(false, "disabled"), (true, "enabled")] {
        let system = System::longshore_with(&kafka.bootstrap(), &[(support, value)])?;
        own.push(Party {
            system,
            exactly_once,
            used: Vec::new(),
        });
    }
    for what in [What::Lines, What::MadeUp] {
        let cost = bench.compare(what, &mut own, 1)?;
        let verdict = if cost <= GOAL_PERCENT {
            "met"
        } else {
            "missed"
        };
        println!("  goal <= {GOAL_PERCENT} % more CPU time a record: {verdict}");
    }
    drop(own);
    if peer {
        let mut peers = Vec::new();
        for (exactly_once, value) in [(false, "disabled"), (true, "enabled")] {
            let system = System::connect_with(&kafka.bootstrap(), None, &[(support, value)])?;
            peers.push(Party {
                system,
                exactly_once,
                used: Vec::new(),
            });
        }
        let warm = u32::try_from(crate::transfer::WARM_RECORDS.div_ceil(records))?;
        bench.compare(What::Lines, &mut peers, warm)?;
    }
    Ok(())
}

impl Bench<'_> {
    /// Both parties in turns, after `warm` rounds that do not count; what exactly-once costs in percent of the CPU time of a record.
    fn compare(&self, what: What, parties: &mut [Party], warm: u32) -> Result<f64> {
        println!(
            "W9 {} of {} ({} records a round)",
            match what {
                What::Lines => "file -> Kafka, lines of 100 B",
                What::MadeUp => "datagen -> Kafka, as fast as it goes",
            },
            parties.first().map_or("nobody", |party| party.system.name),
            self.records
        );
        for party in parties.iter_mut() {
            party.used.clear();
        }
        for round in 0..warm + self.rounds {
            for party in parties.iter_mut() {
                let used = self.round(what, party, round)?;
                if round >= warm {
                    party.used.push(used);
                }
            }
        }
        let mut figures = Vec::new();
        for party in parties.iter() {
            let best = party
                .used
                .iter()
                .min_by(|a, b| a.worker.total_cmp(&b.worker));
            let Some(best) = best else { continue };
            let micros = |seconds: f64| seconds * 1e6 / self.records as f64;
            let rate = self.records as f64 / best.wall.as_secs_f64();
            println!(
                "  {:<14} {:>6.2} us/record  {rate:>9.0} records/s  broker {:>5.2} us  peak {:>7.1} MB",
                if party.exactly_once {
                    "exactly once"
                } else {
                    "at least once"
                },
                micros(best.worker),
                micros(best.broker),
                best.peak_mb
            );
            figures.push((micros(best.worker), rate));
        }
        let [(without, slow), (with, fast)] = figures[..] else {
            bail!("no two figures to compare")
        };
        let (cost, throughput) = ((with / without - 1.0) * 100.0, (fast / slow - 1.0) * 100.0);
        println!(
            "  exactly once takes {cost:+.0} % CPU time a record, {throughput:+.0} % records/s"
        );
        Ok(cost)
    }

    fn round(&self, what: What, party: &Party, round: u32) -> Result<Used> {
        let (system, records) = (&party.system, self.records);
        let kind = if party.exactly_once { "eos" } else { "alo" };
        let name = format!("w9-{}-{what:?}-{kind}-{round}", &system.name[..1]).to_lowercase();
        self.topics.create(&name)?;
        system.create_stopped(&name, &self.config(what, party, &name))?;
        let meter = Meter::start(Parties {
            worker: system.pid,
            broker: self.kafka.pid(),
            database: None,
        })?;
        system.resume(&name)?;
        let arrived = self
            .topics
            .arrived(&name, records, ROUND_MAX, |key, value| match what {
                What::Lines => value.starts_with(start_of(records - 1).as_bytes()),
                What::MadeUp => key == Some(records.to_string().as_bytes()),
            })?;
        let used = meter.stop()?;
        ensure!(
            arrived,
            "{name}: not all records arrive within {ROUND_MAX:?}\n{}",
            system.log_tail()
        );
        system.check_alive(&name)?;
        system.delete(&name)?;
        ensure!(
            self.is_right(what, &name)?,
            "void: {name} holds other records than it should"
        );
        self.topics.delete(&name)?;
        Ok(used)
    }

    fn config(&self, what: What, party: &Party, topic: &str) -> Value {
        let mut config = match what {
            What::Lines => cells::source(&self.file.to_string_lossy(), topic),
            What::MadeUp => json!({
                "connector.class": "datagen", "tasks.max": "1", "topic": topic, "count": self.records.to_string(),
                "producer.override.compression.type": "none",
            }),
        };
        if party.exactly_once {
            let mut more = json!({ "exactly.once.support": "required" });
            if !party.system.is_longshore() {
                // Connect's own interval, a minute, is longer than a transaction may last.
                cells::merge(
                    &mut more,
                    json!({ "transaction.boundary": "interval", "transaction.boundary.interval.ms": "500" }),
                );
            }
            cells::merge(&mut config, more);
        }
        config
    }

    /// Every record once, in order.
    fn is_right(&self, what: What, topic: &str) -> Result<bool> {
        if what == What::Lines {
            let expected = (self.records, hash_of(&self.file)?);
            return Ok(hash_of_values(&self.topics, topic)? == expected);
        }
        let (mut next, mut right) = (1_u64, true);
        let there = self.topics.read(topic, |key, _| {
            right &= key == Some(next.to_string().as_bytes());
            next += 1;
        })?;
        Ok(right && there == self.records)
    }
}

/// How line `number` of the file begins.
fn start_of(number: u64) -> String {
    format!("{number:012} ")
}

/// Lines of 100 bytes, each of which begins with its number.
fn write_lines(path: &Path, records: u64) -> Result<()> {
    let filler = "abcdefghijklmnopqrstuvwxyz0123456789".repeat(3);
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    for number in 0..records {
        let start = start_of(number);
        writeln!(file, "{start}{}", &filler[..100 - start.len()])?;
    }
    file.flush()?;
    Ok(())
}
