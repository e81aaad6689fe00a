//! A topic into a table under kills, by insert and by upsert, and the table back into a topic: every row once, equal at both ends.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use super::place::Systems;
use super::rig;
use crate::ids::Ids;
use crate::topic::each_value;
use crate::{Home, Worker};

/// Partitions of the topic.
const PARTITIONS: u64 = 4;
/// No row for this long is a fault.
const STANDSTILL: Duration = Duration::from_secs(120);
/// A million rows on a busy machine.
const TRANSFER_MAX: Duration = Duration::from_secs(1800);

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Records in the topic.
    pub rows: u64,
    /// Kills of a running transfer, for insert and for upsert each.
    pub kills: u32,
    /// Rows between a start and its kill, at least.
    pub step: u64,
    /// The source of every random choice.
    pub seed: u64,
    /// Starts an Apache Kafka where KAFKA_BOOTSTRAP names no broker; else `longshore broker`.
    pub apache: bool,
}

/// What was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Kills that hit a running transfer, of both modes.
    pub kills: u32,
    /// Rows in each table, and records in the topic at the end.
    pub rows: u64,
}

/// How rows are written.
#[derive(Clone, Copy, Debug)]
enum Mode {
    /// Into a table without any key: what is written twice is there twice.
    Insert,
    /// Into a table with a key, where a trigger counts rows that are written again.
    Upsert,
}

impl Mode {
    fn table(self) -> &'static str {
        match self {
            Self::Insert => "rows_insert",
            Self::Upsert => "rows_upsert",
        }
    }
}

/// Runs the proof and prints it. Errors: any breach, with what was seen.
pub fn prove(plan: &Plan) -> Result<Outcome> {
    let systems = Systems::start(plan.apache)?;
    println!(
        "prove postgres: seed {}, {} rows, {} kills, {}",
        plan.seed,
        plan.rows,
        plan.kills,
        systems.broker_name()
    );
    let database = systems.postgres.create_database()?;
    let topic = format!("rows-{}-{database}", std::process::id());
    let bootstrap = systems.bootstrap();
    rig::create_topic(&bootstrap, &topic, i32::try_from(PARTITIONS)?)?;
    rig::fill(&bootstrap, &topic, PARTITIONS, 0..plan.rows, |id| {
        value(id).to_string()
    })?;
    println!("  topic : {} records in {PARTITIONS} partitions", plan.rows);
    let proof = Proof {
        home: Home::with("rows", Some(bootstrap.clone()), &[])?,
        systems,
        database,
        topic,
        plan: plan.clone(),
    };
    let mut random = StdRng::seed_from_u64(plan.seed);
    let mut kills = 0;
    for mode in [Mode::Insert, Mode::Upsert] {
        kills += proof.transfer(mode, &mut random)?;
        proof.check(mode)?;
    }
    proof.back()?;
    println!(
        "prove postgres: {kills} kills of a running transfer, 0 lost, 0 duplicates, both ways equal"
    );
    Ok(Outcome {
        kills,
        rows: plan.rows,
    })
}

/// What everybody can compute of a row by its id, which is the record's number from 0.
fn value(id: u64) -> Value {
    json!({
        "id": id,
        "note": format!("note \"{id}\" ä€"),
        "amount": amount(id),
        "ratio": ratio(id),
        "paid": id.is_multiple_of(3),
    })
}

fn amount(id: u64) -> u64 {
    id * 7919 % 100_003
}

/// Eighths are exact in binary.
fn ratio(id: u64) -> f64 {
    id as f64 / 8.0
}

struct Proof {
    systems: Systems,
    home: Home,
    database: String,
    topic: String,
    plan: Plan,
}

impl Proof {
    fn one(&self, sql: &str) -> Result<String> {
        rig::one(&self.systems.postgres, &self.database, sql)
    }

    fn rows(&self, table: &str) -> Result<u64> {
        let sql = format!("SELECT count(*) FROM {table}");
        rig::number(&self.systems.postgres, &self.database, &sql)
    }

    fn create(&self, mode: Mode) -> Result<()> {
        let columns = "id bigint NOT NULL, note text NOT NULL, amount bigint NOT NULL, ratio double precision NOT NULL, paid boolean NOT NULL, \
            __connect_topic text NOT NULL, __connect_partition int NOT NULL, __connect_offset bigint NOT NULL";
        let sql = match mode {
            Mode::Insert => format!("CREATE TABLE rows_insert ({columns})"),
            Mode::Upsert => format!(
                "CREATE TABLE rows_upsert ({columns}, PRIMARY KEY (__connect_topic, __connect_partition, __connect_offset)); \
                 CREATE TABLE again (id bigint); \
                 CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                   INSERT INTO public.again VALUES (NEW.id); RETURN NULL; END $$; \
                 CREATE TRIGGER again AFTER UPDATE ON rows_upsert FOR EACH ROW EXECUTE FUNCTION again()"
            ),
        };
        self.systems.postgres.query(&self.database, &sql).map(drop)
    }

    fn sink(&self, mode: Mode) -> Value {
        json!({
            "connector.class": "postgres-sink", "tasks.max": "2", "topics": self.topic,
            "connection.url": self.systems.postgres.url(&self.database), "table.name.format": mode.table(),
            "insert.mode": match mode { Mode::Insert => "insert", Mode::Upsert => "upsert" },
            "pk.mode": "kafka",
            // Some transactions between two kills: one in the middle of which the kill comes, and others that are over.
            "consumer.override.max.poll.records": (self.plan.step / 10).max(1).to_string(),
            "key.converter": "org.apache.kafka.connect.storage.StringConverter",
            "value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": "false",
        })
    }

    /// The whole topic into the table, killed on the way; how many kills hit.
    fn transfer(&self, mode: Mode, random: &mut StdRng) -> Result<u32> {
        let (table, rows) = (mode.table(), self.plan.rows);
        self.create(mode)?;
        let mut worker = self.home.start(&["worker", "worker.yaml"], None)?;
        worker.ready()?;
        rig::put_connector(&worker, table, &self.sink(mode))?;
        let mut had = 0;
        for number in 1..=self.plan.kills {
            worker.within(STANDSTILL, "further rows", || {
                Ok(self.moved(table, had)? >= had + self.plan.step)
            })?;
            std::thread::sleep(Duration::from_millis(random.random_range(0..30)));
            worker.kill()?;
            // What the server had in hand is committed or rolled back as soon as it notices.
            let now = self.quiet(table)?;
            println!("  {table} kill {number:>3}: {now} rows, {} more", now - had);
            ensure!(
                now < rows,
                "kill {number} hit no running transfer: all {now} rows are there"
            );
            had = now;
            worker = self.home.start(&["worker", "worker.yaml"], None)?;
        }
        worker.within(TRANSFER_MAX, "every row", || Ok(self.rows(table)? >= rows))?;
        self.at_rest(&mut worker, table)?;
        worker.rest("PUT", &format!("/connectors/{table}/stop"), None)?;
        worker.stop()?;
        Ok(self.plan.kills)
    }

    /// How many rows there are, as the ledger has it: counting a large table would take so long that a fast transfer is over before it is killed.
    fn moved(&self, table: &str, had: u64) -> Result<u64> {
        if had == 0 {
            // The ledger's table may not be there yet.
            return self.rows(table);
        }
        let sum = format!(
            "SELECT coalesce(sum(next_offset), 0) FROM longshore_offsets WHERE topic = '{}' AND consumer_group LIKE '%{table}%'",
            self.topic
        );
        Ok(self.one(&sum)?.parse()?)
    }

    /// Rows once no session of a worker is left.
    fn quiet(&self, table: &str) -> Result<u64> {
        let sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'longshore%' AND datname = current_database()";
        let ended = longshore_kit::servers::wait_until(Duration::from_secs(30), || {
            Ok(self.one(sessions)? == "0")
        })?;
        ensure!(
            ended,
            "sessions of a killed worker are still there after 30 s"
        );
        self.rows(table)
    }

    /// The sink has nothing more to do, and does nothing more: late repetitions get their time.
    fn at_rest(&self, worker: &mut Worker, table: &str) -> Result<()> {
        worker.ready()?;
        worker.settled(table)?;
        let rows = self.rows(table)?;
        ensure!(
            rows == self.plan.rows,
            "{table} holds {rows} rows for {} records",
            self.plan.rows
        );
        Ok(())
    }

    /// Every topic-partition-offset once, with its own content, and the ledger at the end of each partition.
    fn check(&self, mode: Mode) -> Result<()> {
        let (table, rows) = (mode.table(), self.plan.rows);
        let counted = self.one(&format!(
            "SELECT concat_ws(' ', count(*), count(DISTINCT (__connect_topic, __connect_partition, __connect_offset)), count(DISTINCT id), \
             sum(id), sum(id * id % 1000003), count(*) FILTER (WHERE id % {PARTITIONS} <> __connect_partition OR id / {PARTITIONS} <> __connect_offset \
             OR __connect_topic <> '{}' OR note <> 'note \"' || id || '\" ä€' OR amount <> id * 7919 % 100003 OR ratio <> id / 8.0::float8 \
             OR paid <> (id % 3 = 0))) FROM {table}",
            self.topic
        ))?;
        println!("  {table}: rows, places, ids, sum, checksum, wrong rows: {counted}");
        let (sum, checksum) = sums(0..rows);
        let expected = format!("{rows} {rows} {rows} {sum} {checksum} 0");
        ensure!(
            counted == expected,
            "{table} holds {counted} instead of {expected}"
        );
        if matches!(mode, Mode::Upsert) {
            let again = self.one("SELECT count(*) FROM again")?;
            ensure!(again == "0", "{again} rows were written again");
        }
        let ledger = self.systems.postgres.query(
            &self.database,
            &format!(
                "SELECT concat_ws(' ', partition, next_offset, epoch) FROM longshore_offsets \
                 WHERE topic = '{}' AND consumer_group LIKE '%{table}%' ORDER BY partition",
                self.topic
            ),
        )?;
        println!("  ledger (partition, offset, epoch): {}", ledger.join(", "));
        let mut offsets = 0;
        for row in &ledger {
            let offset = row.split(' ').nth(1).context("no offset in the ledger")?;
            offsets += offset.parse::<u64>()?;
        }
        ensure!(
            offsets == rows && ledger.len() as u64 == PARTITIONS,
            "the ledger covers {offsets} of {rows} records"
        );
        Ok(())
    }

    /// The table of the inserts into a fresh topic, and what it holds.
    fn back(&self) -> Result<()> {
        // What no key enforced holds: this fails on a duplicate.
        self.one("CREATE UNIQUE INDEX ON rows_insert (id); SELECT 1")?;
        let prefix = format!("back-{}-{}-", std::process::id(), self.database);
        let topic = format!("{prefix}rows_insert");
        let bootstrap = self.systems.bootstrap();
        rig::create_topic(&bootstrap, &topic, i32::try_from(PARTITIONS)?)?;
        let mut worker = self.home.start(&["worker", "worker.yaml"], None)?;
        worker.ready()?;
        let config = json!({
            "connector.class": "postgres-source", "tasks.max": "1",
            "connection.url": self.systems.postgres.url(&self.database),
            "mode": "incrementing", "incrementing.column.name": "id",
            "table.whitelist": "rows_insert", "topic.prefix": prefix,
            "poll.interval.ms": "200", "batch.max.rows": "5000",
            "key.converter": "org.apache.kafka.connect.storage.StringConverter",
            "value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": "false",
        });
        rig::put_connector(&worker, "rows-back", &config)?;
        let mut seen = Back::default();
        worker.within(TRANSFER_MAX, "every row in the topic", || {
            seen = Back::of(&bootstrap, &topic)?;
            Ok(seen.records >= self.plan.rows)
        })?;
        worker.stop()?;
        seen = Back::of(&bootstrap, &topic)?;
        let (sum, checksum) = sums(0..self.plan.rows);
        println!(
            "  back  : {} records, {} ids, sum {}, checksum {}, {} wrong",
            seen.records,
            seen.ids.max() - seen.ids.missing().len(),
            seen.sum,
            seen.checksum,
            seen.wrong
        );
        seen.ids.without_gap("the topic")?;
        ensure!(
            seen.ids.duplicates() == 0 && seen.records == self.plan.rows && seen.wrong == 0,
            "{} records, {} duplicates, {} wrong ones for {} rows",
            seen.records,
            seen.ids.duplicates(),
            seen.wrong,
            self.plan.rows
        );
        ensure!(
            (seen.sum, seen.checksum) == (sum, checksum),
            "the sums differ: expected {sum} and {checksum}"
        );
        Ok(())
    }
}

/// The sum of the ids, and one that a swap of two cannot keep.
fn sums(ids: std::ops::Range<u64>) -> (u64, u64) {
    ids.fold((0, 0), |(sum, checksum), id| {
        (sum + id, checksum + id * id % 1_000_003)
    })
}

/// What came back into a topic.
#[derive(Default)]
struct Back {
    records: u64,
    /// Counted from 1.
    ids: Ids,
    sum: u64,
    checksum: u64,
    wrong: u64,
}

impl Back {
    fn of(bootstrap: &str, topic: &str) -> Result<Self> {
        let mut back = Self::default();
        each_value(bootstrap, topic, |bytes| back.add(bytes))?;
        Ok(back)
    }

    fn add(&mut self, bytes: &[u8]) -> Result<()> {
        let mut row: Value = serde_json::from_slice(bytes)
            .with_context(|| format!("no JSON: {}", String::from_utf8_lossy(bytes)))?;
        let row = row.as_object_mut().context("no object")?;
        let id = row.get("id").and_then(Value::as_u64).context("no id")?;
        let place = |key| row.get(key).and_then(Value::as_u64);
        let placed = place("__connect_partition") == Some(id % PARTITIONS)
            && place("__connect_offset") == Some(id / PARTITIONS);
        row.retain(|key, _| !key.starts_with("__connect_"));
        let equal = Value::Object(row.clone()) == value(id);
        self.wrong += u64::from(!(placed && equal));
        self.records += 1;
        self.ids.add(id + 1)?;
        let (sum, checksum) = sums(id..id + 1);
        (self.sum, self.checksum) = (self.sum + sum, self.checksum + checksum);
        Ok(())
    }
}
