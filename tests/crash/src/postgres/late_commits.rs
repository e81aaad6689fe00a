//! Writers whose transactions stay open and commit out of id order, read by the source as they commit: the topic holds every committed id,
//! and none that was rolled back.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use longshore_kit::servers::{Postgres, wait_until};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;

use super::place::Systems;
use super::rig;
use crate::ids::Ids;
use crate::topic::ids_of_topic;
use crate::{Home, Worker};

/// From the last commit to the last record.
const PATIENCE: Duration = Duration::from_secs(90);

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Sessions that write at the same time.
    pub writers: u64,
    /// For how long they write.
    pub lasts: Duration,
    /// The longest that a transaction stays open after its first row.
    pub open_max: Duration,
    /// The source of every random choice.
    pub seed: u64,
    /// Starts an Apache Kafka where KAFKA_BOOTSTRAP names no broker; else `longshore broker`.
    pub apache: bool,
}

impl Plan {
    /// 20 writers for two minutes, transactions of up to 10 s.
    pub fn long(seed: u64) -> Self {
        Self {
            writers: 20,
            lasts: Duration::from_secs(120),
            open_max: Duration::from_secs(10),
            seed,
            apache: true,
        }
    }
}

/// What was counted.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// Rows that were committed.
    pub committed: usize,
    /// Rows that were committed after one with a higher id: what a plain cursor may lose.
    pub late: u64,
}

/// Runs the proof and prints it. Errors: any breach, with what was seen.
pub fn prove(plan: &Plan) -> Result<Outcome> {
    let mut systems = Systems::start(plan.apache)?;
    println!(
        "prove postgres --late-commits: seed {}, {} writers for {} s, transactions of up to {} s, {}",
        plan.seed,
        plan.writers,
        plan.lasts.as_secs(),
        plan.open_max.as_secs(),
        systems.broker_name()
    );
    // To count, at the end, how often the order was broken.
    systems
        .postgres
        .query("postgres", "ALTER SYSTEM SET track_commit_timestamp = on")?;
    systems.postgres.restart()?;
    let database = systems.postgres.create_database()?;
    systems.postgres.query(
        &database,
        "CREATE TABLE events (id bigserial PRIMARY KEY, writer int NOT NULL)",
    )?;
    let bootstrap = systems.bootstrap();
    let home = Home::with("late", Some(bootstrap.clone()), &[])?;
    let mut worker = home.start(&["worker", "worker.yaml"], None)?;
    worker.ready()?;
    let prefix = format!("late-{}-{database}-", std::process::id());
    let topic = format!("{prefix}events");
    rig::create_topic(&bootstrap, &topic, 1)?;
    run_source(&worker, &systems.postgres.url(&database), &prefix)?;

    write(&systems.postgres, &database, plan)?;
    let committed = committed(&systems.postgres, &database)?;
    let late = late(&systems.postgres, &database)?;
    let missing = |ids: &Ids| {
        let missing = committed.iter().filter(|id| ids.sightings(**id) == 0);
        missing.copied().collect::<Vec<u64>>()
    };
    let mut ids = Ids::default();
    let start = Instant::now();
    while ids.total() == 0 || (!missing(&ids).is_empty() && start.elapsed() < PATIENCE) {
        ids = ids_of_topic(&bootstrap, &topic)?;
        std::thread::sleep(Duration::from_millis(200));
        ensure!(
            start.elapsed() < PATIENCE * 2,
            "nothing comes:\n{}",
            worker.log_tail()
        );
    }
    worker.stop()?;
    let lost = missing(&ids);
    let phantoms = (1..=ids.max() as u64)
        .filter(|id| ids.sightings(*id) > 0 && !committed.contains(id))
        .count();
    println!(
        "  table : {} ids committed up to {}, {late} of them after a higher one\n  topic : {} records, {} lost, {phantoms} of transactions that were rolled back, {} duplicates",
        committed.len(),
        committed.last().copied().unwrap_or(0),
        ids.total(),
        lost.len(),
        ids.duplicates()
    );
    ensure!(
        late > 0,
        "no transaction committed out of order: nothing is proved"
    );
    ensure!(
        lost.is_empty(),
        "{} committed ids are not in the topic, the first: {:?}",
        lost.len(),
        &lost[..lost.len().min(10)]
    );
    ensure!(phantoms == 0, "{phantoms} ids were never committed");
    ensure!(ids.duplicates() == 0, "{} duplicates", ids.duplicates());
    println!("prove postgres --late-commits: every committed id is there, once");
    Ok(Outcome {
        committed: committed.len(),
        late,
    })
}

fn run_source(worker: &Worker, url: &str, prefix: &str) -> Result<()> {
    let config = json!({
        "connector.class": "postgres-source", "tasks.max": "1", "connection.url": url,
        "mode": "incrementing", "incrementing.column.name": "id", "table.whitelist": "events",
        "topic.prefix": prefix, "poll.interval.ms": "50",
        "key.converter": "org.apache.kafka.connect.storage.StringConverter",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": "false",
    });
    rig::put_connector(worker, "late", &config)?;
    let runs = wait_until(Duration::from_secs(60), || {
        let all = worker.rest("GET", "/connectors?expand=status", None)?;
        Ok(all["late"]["status"]["tasks"][0]["state"] == "RUNNING")
    })?;
    ensure!(runs, "the source does not run:\n{}", worker.log_tail());
    Ok(())
}

/// Lets all writers write, until their time is over.
fn write(postgres: &Postgres, database: &str, plan: &Plan) -> Result<()> {
    let end = Instant::now() + plan.lasts;
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..plan.writers)
            .map(|writer| {
                let random = StdRng::seed_from_u64(plan.seed.wrapping_add(writer));
                scope.spawn(move || write_one(postgres, database, writer, plan, end, random))
            })
            .collect();
        for writer in writers {
            let written = writer.join();
            written.map_err(|_| anyhow::anyhow!("a writer panicked"))??;
        }
        Ok(())
    })
}

/// One session's transactions: some rows, a while, some more rows, and mostly a commit.
fn write_one(
    postgres: &Postgres,
    database: &str,
    writer: u64,
    plan: &Plan,
    end: Instant,
    mut random: StdRng,
) -> Result<()> {
    let insert = |rows: u32| {
        format!("INSERT INTO events (writer) SELECT {writer} FROM generate_series(1, {rows});")
    };
    while Instant::now() < end {
        let open = plan.open_max.mul_f64(random.random()).as_secs_f64();
        let close = if random.random_bool(0.1) {
            "ROLLBACK"
        } else {
            "COMMIT"
        };
        let (first, second) = (random.random_range(1..=5), random.random_range(0..=2));
        let sql = format!(
            "BEGIN; {} SELECT pg_sleep({open}); {} {close}",
            insert(first),
            insert(second)
        );
        postgres.query(database, &sql)?;
    }
    Ok(())
}

fn committed(postgres: &Postgres, database: &str) -> Result<BTreeSet<u64>> {
    let rows = postgres.query(database, "SELECT id FROM events ORDER BY id")?;
    rows.iter()
        .map(|row| row.parse().with_context(|| format!("no id: {row}")))
        .collect()
}

/// How many rows were committed after one with a higher id.
fn late(postgres: &Postgres, database: &str) -> Result<u64> {
    rig::number(
        postgres,
        database,
        "SELECT count(*) FROM (SELECT pg_xact_commit_timestamp(xmin) AS at, \
           min(pg_xact_commit_timestamp(xmin)) OVER (ORDER BY id DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS first_above \
         FROM events) AS rows WHERE at > first_above",
    )
}
