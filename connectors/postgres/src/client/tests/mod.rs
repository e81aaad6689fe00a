//! Against a real Postgres.

mod catalogue;
mod errors;
mod sessions;
mod settings;
mod tls;

use super::{ConnectionConfig, Purpose, Session};
use longshore_kit::servers::Postgres;
use longshore_sdk::config::{Definition, Finding, read};
use schemars::JsonSchema;
use serde::Deserialize;

/// A connector's settings around the connection's.
#[derive(Debug, Deserialize, JsonSchema)]
struct Outer {
    #[serde(flatten)]
    connection: ConnectionConfig,
    #[serde(default, rename = "batch.size")]
    batch_size: u32,
    /// A key of a connector's own below the group of parameters.
    #[serde(default, rename = "connection.own")]
    own: Option<String>,
}

fn outer(entries: &[(&str, &str)]) -> Result<Outer, Vec<Finding>> {
    let flat = entries
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    read(&flat.collect())
}

fn settings(entries: &[(&str, &str)]) -> ConnectionConfig {
    outer(entries).expect("good settings").connection
}

fn definition() -> Definition {
    Definition::of::<Outer>()
}

/// The shared server, a database of one's own, and its URL.
fn place() -> (&'static Postgres, String, String) {
    let postgres = Postgres::shared().expect("Postgres starts");
    let database = postgres.create_database().expect("makes a database");
    let url = postgres.url(&database);
    (postgres, database, url)
}

async fn connect(entries: &[(&str, &str)]) -> super::Outcome<Session> {
    let target = settings(entries).target().expect("good settings");
    Session::open(&target, &Purpose::write("test", 0, false)).await
}
