//! The behaviour suite, in the modes that go on from a place.

use super::server::Database;
use longshore_kit::behaviour::{
    Fault,
    source::{self, SourceRig},
};
use longshore_postgres::PostgresSource;
use longshore_sdk::{
    config::Flat,
    erased::{self, DynSourceConnector},
};

struct Rig {
    database: Database,
    mode: &'static str,
}

impl Rig {
    fn new(mode: &'static str) -> Self {
        let database = Database::new(
            "CREATE TABLE items (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, \
             at timestamptz NOT NULL DEFAULT clock_timestamp(), name text); \
             DO $$ BEGIN CREATE ROLE reader LOGIN PASSWORD 'parole-7'; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$; \
             GRANT SELECT ON items TO reader",
        );
        Self { database, mode }
    }
}

impl SourceRig for Rig {
    fn connector(&self) -> Box<dyn DynSourceConnector> {
        erased::source::<PostgresSource>()
    }
    fn config(&self) -> Flat {
        self.database.config(&[
            ("mode", self.mode),
            ("connection.user", "reader"),
            ("connection.password", "parole-7"),
            ("incrementing.column.name", "id"),
            ("timestamp.column.name", "at"),
        ])
    }
    fn secrets(&self) -> Vec<String> {
        vec!["parole-7".to_owned()]
    }
    async fn seed(&mut self, count: usize) {
        // Each row at a time of its own, as the mode timestamp wants it; in the past, so that no margin delays them.
        self.database.sql(&format!(
            "INSERT INTO items (at, name) SELECT now() - interval '1 hour' \
             + (coalesce((SELECT max(id) FROM items), 0) + n) * interval '1 microsecond', 'näme ' || n FROM generate_series(1, {count}) n"
        ));
    }
    async fn fault(&mut self, fault: Fault) -> bool {
        let name = &self.database.name;
        match fault {
            Fault::Unavailable => self.database.server.query(
                "postgres",
                &format!(
                    "ALTER DATABASE {name} ALLOW_CONNECTIONS false; \
                     SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
                ),
            ),
            Fault::Healed => self.database.server.query(
                "postgres",
                &format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true"),
            ),
            Fault::AnswerLost => return false,
        }
        .expect("a fault");
        true
    }
}

#[tokio::test]
async fn behaves_with_growing_ids() {
    source::run(async || Rig::new("incrementing")).await;
}

#[tokio::test]
async fn behaves_with_times_and_ids() {
    source::run(async || Rig::new("timestamp+incrementing")).await;
}

#[tokio::test]
async fn behaves_with_times() {
    source::run(async || Rig::new("timestamp")).await;
}
