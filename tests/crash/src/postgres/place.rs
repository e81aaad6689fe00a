//! Where records become rows: a broker of its own, a Postgres, a table that takes everything, and what must be in it at the end.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use longshore_kit::servers::{Postgres, wait_until};
use serde_json::{Value, json};

use super::rig::{create_topic, fill};
use crate::broker::Broker;

/// Partitions of the topic.
pub(crate) const PARTITIONS: u32 = 4;
const PATIENCE: Duration = Duration::from_secs(60);

/// Broker and database, which outlive every fault of a proof but those that it is about.
pub(crate) struct Systems {
    broker: Broker,
    pub(crate) postgres: Postgres,
}

impl Systems {
    pub(crate) fn start(apache: bool) -> Result<Self> {
        Ok(Self {
            broker: Broker::start(apache)?,
            postgres: Postgres::start()?,
        })
    }

    /// The same on a broker that may be stopped.
    pub(crate) fn start_own(apache: bool) -> Result<Self> {
        Ok(Self {
            broker: Broker::start_own(apache, &[])?,
            postgres: Postgres::start()?,
        })
    }

    /// The broker to be stopped, the database to be looked at meanwhile.
    pub(crate) fn parts(&mut self) -> (&mut Broker, &Postgres) {
        (&mut self.broker, &self.postgres)
    }

    pub(crate) fn bootstrap(&self) -> String {
        self.broker.bootstrap()
    }

    pub(crate) fn broker_name(&self) -> &'static str {
        self.broker.name()
    }
}

/// A topic, and the database with the table that it goes to.
pub(crate) struct Place {
    /// The connector's name, and so its consumer group's, whoever runs it. No other place on the same broker has it.
    pub(crate) connector: String,
    bootstrap: String,
    topic: String,
    database: String,
    fed: u64,
}

impl Place {
    /// An empty topic and an empty table. The table has no key: what is written twice is there twice.
    pub(crate) fn new(systems: &Systems) -> Result<Self> {
        Self::at(&systems.bootstrap(), &systems.postgres)
    }

    /// The same where broker and database are looked after apart.
    pub(crate) fn at(bootstrap: &str, postgres: &Postgres) -> Result<Self> {
        let database = postgres.create_database()?;
        postgres.query(
            &database,
            // Its default tells in which order rows came; a number of a transaction that was rolled back is not given again.
            "CREATE TABLE orders (id bigint NOT NULL, note text, part int NOT NULL, off bigint NOT NULL, arrival bigserial); \
             CREATE INDEX ON orders (part, off)",
        )?;
        // Databases of two servers have the same names: a place is told apart by its own number.
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let topic = format!("orders-{}-{number}", std::process::id());
        create_topic(bootstrap, &topic, i32::try_from(PARTITIONS)?)?;
        Ok(Self {
            connector: topic.clone(),
            bootstrap: bootstrap.to_owned(),
            topic,
            database,
            fed: 0,
        })
    }

    /// The database's URL by this port, for the superuser.
    pub(crate) fn url(&self, port: u16) -> String {
        self.url_of("postgres", port)
    }

    /// The same for another user.
    pub(crate) fn url_of(&self, user: &str, port: u16) -> String {
        format!("postgresql://{user}@127.0.0.1:{port}/{}", self.database)
    }

    /// Makes two users who may write each other's tables, and may not end each other's connections.
    pub(crate) fn create_writers(&self, postgres: &Postgres) -> Result<[&'static str; 2]> {
        let writers = ["writer_a", "writer_b"];
        for writer in writers {
            let there = self.one(
                postgres,
                &format!("SELECT count(*) FROM pg_roles WHERE rolname = '{writer}'"),
            )?;
            if there == "0" {
                postgres.query(&self.database, &format!("CREATE ROLE {writer} LOGIN"))?;
            }
        }
        postgres.query(
            &self.database,
            "GRANT ALL ON orders TO writer_a, writer_b; GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO writer_a, writer_b; GRANT ALL ON SCHEMA public TO writer_a, writer_b; \
             ALTER DEFAULT PRIVILEGES FOR ROLE writer_a GRANT ALL ON TABLES TO writer_b",
        )?;
        Ok(writers)
    }

    /// The connector that writes the table by this URL. Batches are small, so that there are many transactions.
    pub(crate) fn connector(&self, url: &str) -> Value {
        json!({ "name": self.connector, "config": {
            "connector.class": "postgres-sink", "tasks.max": "1", "topics": self.topic,
            "connection.url": url, "table.name.format": "orders", "insert.mode": "insert", "pk.mode": "none",
            "consumer.override.max.poll.records": "200",
            "key.converter": "org.apache.kafka.connect.storage.StringConverter",
            "value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": "false",
            "transforms": "place", "transforms.place.type": "org.apache.kafka.connect.transforms.InsertField$Value",
            "transforms.place.partition.field": "part", "transforms.place.offset.field": "off",
        } })
    }

    /// Appends this many records to the topic, in turns to its partitions: `id` = 0, 1, 2, ..
    pub(crate) fn feed(&mut self, records: u64) -> Result<()> {
        let ids = self.fed..self.fed + records;
        fill(&self.bootstrap, &self.topic, PARTITIONS.into(), ids, |id| {
            value(id).to_string()
        })?;
        self.fed += records;
        Ok(())
    }

    /// The topic that it is fed by.
    pub(crate) fn topic(&self) -> &str {
        &self.topic
    }

    /// Somebody else has appended the records below `fed` to the topic.
    pub(crate) fn was_fed(&mut self, fed: u64) {
        self.fed = fed;
    }

    /// How far each partition has come in the table: the offset after its highest.
    pub(crate) fn marks(&self, postgres: &Postgres) -> Result<Vec<u64>> {
        let mark =
            |part| format!("(SELECT coalesce(max(off) + 1, 0) FROM orders WHERE part = {part})");
        let marks: Vec<String> = (0..PARTITIONS).map(mark).collect();
        let text = self.one(
            postgres,
            &format!("SELECT concat_ws(' ', {})", marks.join(", ")),
        )?;
        text.split(' ')
            .map(|mark| mark.parse().with_context(|| format!("no mark: {text}")))
            .collect()
    }

    /// How many records were fed.
    pub(crate) fn fed(&self) -> u64 {
        self.fed
    }

    /// How many rows are committed.
    pub(crate) fn rows(&self, postgres: &Postgres) -> Result<u64> {
        let count = self.one(postgres, "SELECT count(*) FROM orders")?;
        count.parse().context("count(*) is no number")
    }

    /// The first column of the first row.
    fn one(&self, postgres: &Postgres, sql: &str) -> Result<String> {
        let rows = postgres.query(&self.database, sql)?;
        rows.into_iter()
            .next()
            .with_context(|| format!("no row: {sql}"))
    }

    /// From now on every change of the ledger is recorded, in the transaction that makes it. Waits until the sink has made its ledger.
    pub(crate) fn watch_ledger(&self, postgres: &Postgres) -> Result<()> {
        let there = wait_until(PATIENCE, || {
            Ok(self.one(
                postgres,
                "SELECT to_regclass('longshore_offsets') IS NOT NULL",
            )? == "t")
        })?;
        ensure!(there, "the sink makes no table longshore_offsets");
        postgres.query(
            &self.database,
            "CREATE TABLE seen (number bigserial, was jsonb, is_now jsonb); \
             CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN \
               INSERT INTO public.seen (was, is_now) VALUES (to_jsonb(OLD), to_jsonb(NEW)); RETURN NULL; END $$; \
             CREATE TRIGGER see AFTER UPDATE OR DELETE ON longshore_offsets FOR EACH ROW EXECUTE FUNCTION see()",
        )?;
        Ok(())
    }

    /// Every record is there once, and the ledger says so, having never gone back. Prints what was counted.
    pub(crate) fn check(&self, postgres: &Postgres) -> Result<()> {
        let fed = self.fed;
        let counted = self.one(
            postgres,
            "SELECT concat_ws(' ', count(*), count(DISTINCT (part, off)), count(DISTINCT id), sum(id), \
             count(*) FILTER (WHERE id % 4 <> part OR id / 4 <> off OR note <> 'note ' || id), count(*) FILTER (WHERE off < former)) \
             FROM (SELECT *, lag(off) OVER (PARTITION BY part ORDER BY arrival) AS former FROM orders) AS rows",
        )?;
        println!(
            "  table : {fed} records fed; rows, places, ids, sum of ids, wrong rows, out of order: {counted}"
        );
        let expected = format!("{fed} {fed} {fed} {} 0 0", fed * fed.saturating_sub(1) / 2);
        ensure!(
            counted == expected,
            "the table holds {counted} instead of {expected}"
        );
        let ledger = self.one(
            postgres,
            "SELECT concat_ws(' ', count(*), sum(next_offset), min(epoch), max(epoch)) FROM longshore_offsets",
        )?;
        let changes = self.one(
            postgres,
            "SELECT concat_ws(' ', count(*), count(*) FILTER (WHERE is_now IS NULL OR (is_now->>'next_offset')::bigint < (was->>'next_offset')::bigint \
             OR (is_now->>'epoch')::bigint < (was->>'epoch')::bigint)) FROM seen",
        )?;
        println!(
            "  ledger: partitions, sum of offsets, epochs from, to: {ledger}; changes, of them back: {changes}"
        );
        ensure!(
            ledger.starts_with(&format!("{PARTITIONS} {fed} ")),
            "the ledger says {ledger} for {fed} records in {PARTITIONS} partitions"
        );
        let (all, back) = changes.split_once(' ').context("two counts")?;
        ensure!(all != "0", "no change of the ledger was seen");
        ensure!(back == "0", "the ledger went back {back} times");
        Ok(())
    }

    /// Every record is there, perhaps more than once; rows beyond the first of each. Prints what was counted.
    pub(crate) fn check_none_lost(&self, postgres: &Postgres) -> Result<u64> {
        let fed = self.fed;
        let counted = self.one(
            postgres,
            "SELECT concat_ws(' ', count(DISTINCT (part, off)), count(DISTINCT id), \
             count(*) FILTER (WHERE id % 4 <> part OR id / 4 <> off OR note <> 'note ' || id)) FROM orders",
        )?;
        let rows = self.rows(postgres)?;
        println!("  table : {fed} records fed; {rows} rows; places, ids, wrong rows: {counted}");
        ensure!(
            counted == format!("{fed} {fed} 0"),
            "I1: the table holds {counted} instead of {fed} {fed} 0"
        );
        Ok(rows - fed)
    }
}

/// What everybody can compute of a record by its number.
pub(crate) fn value(id: u64) -> Value {
    json!({ "id": id, "note": format!("note {id}") })
}
