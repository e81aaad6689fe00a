//! Workloads of the release binary beside Kafka Connect, on one Apache Kafka, in turns, and a cluster in trouble. `cargo xtask bench` runs this.
//!
//! The figure is CPU time of the worker process per record, because wall time on shared cores is noise; the broker's CPU time stands
//! beside it, so that moving work there cannot look like a win. Output that differs voids a figure. A bench is no test: it fails only
//! when a figure is void; `failover` fails when a goal is missed, too.

mod cells;
mod density;
mod exactly_once;
mod failover;
mod footprint;
mod meter;
mod plugins;
mod report;
mod system;
mod tables;
mod topics;
mod transfer;

use anyhow::{Context, Result, bail};
use clap::Parser;
use longshore_kit::servers::{Kafka, KafkaOptions};

use cells::Data;
use system::System;
use topics::Topics;
use transfer::Stage;

/// Workloads beside Kafka Connect.
#[derive(Parser)]
#[command(name = "cargo xtask bench")]
struct Cli {
    /// W1 (Kafka to Kafka), W2 (Kafka to file), W2b (file to Kafka), W5 (Kafka to Postgres), W5s (Postgres to Kafka), W9 (what exactly-once costs), W10 (WASM
    /// plugins), W11 (idle connectors), start, idle, failover (a cluster of three workers).
    #[arg(required = true)]
    workloads: Vec<String>,
    /// Longshore alone.
    #[arg(long)]
    no_peer: bool,
    /// Kafka Connect alone, in W1, W2, W2b and W5.
    #[arg(long, conflicts_with = "no_peer")]
    peer_only: bool,
    /// Records of about 100 bytes in a round; a quarter of it of 1 KiB, an eighth of it in a database.
    #[arg(long, default_value_t = 2_000_000)]
    records: u64,
    /// Counted rounds, after some that only warm up; the best one is reported.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    #[command(flatten)]
    failover: failover::Options,
}

const WORKLOADS: [&str; 11] = [
    "W1", "W2", "W2b", "W5", "W5s", "W9", "W10", "W11", "start", "idle", "failover",
];

fn main() -> Result<()> {
    let cli = Cli::parse();
    for workload in &cli.workloads {
        if !WORKLOADS.contains(&workload.as_str()) {
            bail!("no workload {workload}; there are {}", WORKLOADS.join(", "));
        }
    }
    let asked = |name: &str| cli.workloads.iter().any(|workload| workload == name);
    if asked("failover") {
        failover::run(&cli.failover)?;
    }
    if asked("W10") {
        plugins::run(cli.rounds)?;
    }
    let alone = ["failover", "W10"];
    if cli
        .workloads
        .iter()
        .all(|workload| alone.contains(&workload.as_str()))
    {
        return Ok(());
    }
    // The broker's cleaners, quick in tests, would disturb a measurement.
    let quiet = [
        ("log.retention.check.interval.ms", "300000"),
        ("log.cleaner.backoff.ms", "15000"),
    ];
    let settings = quiet
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .to_vec();
    let kafka = Kafka::start_with(&KafkaOptions {
        heap: "1g".into(),
        settings,
        ..KafkaOptions::default()
    })?;
    println!(
        "Apache Kafka 4.1.0 at {}; load average {}",
        kafka.bootstrap(),
        meter::load()?
    );
    if asked("start") {
        footprint::start(&kafka.bootstrap(), !cli.no_peer)?;
    }
    if asked("idle") {
        footprint::idle(&kafka.bootstrap(), !cli.no_peer)?;
    }
    if asked("W9") {
        exactly_once::run(&kafka, cli.records, cli.rounds, !cli.no_peer)?;
    }
    if asked("W11") {
        density::run(&kafka.bootstrap(), !cli.no_peer)?;
    }
    let data = Data::prepare(
        &kafka.bootstrap(),
        cli.records,
        &cli.workloads,
        !cli.no_peer,
    )?;
    let cells: Vec<cells::Cell> = data
        .cells()
        .into_iter()
        .filter(|cell| asked(cell.workload))
        .collect();
    if cells.is_empty() {
        return Ok(());
    }
    let mut systems = Vec::new();
    if !cli.peer_only {
        systems.push(System::longshore(&kafka.bootstrap())?);
    }
    if !cli.no_peer {
        let plugins = data
            .database
            .as_ref()
            .and_then(|database| database.plugins());
        systems.push(System::connect(&kafka.bootstrap(), plugins)?);
    }
    let stage = Stage {
        kafka: &kafka,
        topics: Topics::new(&kafka.bootstrap())?,
        database: data.database.as_ref(),
    };
    let mut void = 0;
    for cell in &cells {
        void += transfer::run(cell, &systems, &stage, cli.rounds)
            .with_context(|| format!("{} {}", cell.workload, cell.name))?;
    }
    println!("load average {}", meter::load()?);
    if void > 0 {
        bail!("{void} figures are void: the output differs");
    }
    Ok(())
}
