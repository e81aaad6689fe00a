//! The sink: records into rows, exactly once.
//!
//! | room | holds |
//! |---|---|
//! | `config`, `settings` | the keys, and what they mean together |
//! | `record`, `route` | what a record asks for, and its fields into the columns of its table |
//! | `encode` | values in Postgres's binary form |
//! | `batch` | a table's rows reduced to one change per key, in order |
//! | `table`, `write` | the SQL, and the rows into it; halving finds what the database refuses |
//! | `link`, `ledger` | the connection and its transaction; the offsets in it |
//! | `evolve` | tables made and widened |
//! | `task`, `check` | the calls of the engine; live validation |

mod batch;
mod check;
mod config;
mod encode;
mod evolve;
mod ledger;
mod link;
mod record;
mod route;
mod settings;
mod table;
mod task;
mod unavailable;
mod write;

pub use config::SinkConfig;
pub use task::PostgresSinkTask;

use crate::client::Purpose;
use ledger::Ledger;
use link::Link;
use longshore_sdk::{
    Capabilities, Error, Guarantee, Level, Plugin, Result, Share, SinkConnector, SinkContext,
    config::Finding,
};
use settings::Settings;

/// Why a record is refused.
#[derive(Debug)]
pub(crate) struct Refusal(pub(crate) Error);

/// The `postgres-sink` connector.
#[derive(Debug)]
pub struct PostgresSink;

impl SinkConnector for PostgresSink {
    const PLUGIN: Plugin = Plugin {
        name: "postgres-sink",
        aliases: &[
            "io.confluent.connect.jdbc.JdbcSinkConnector",
            "io.debezium.connector.jdbc.JdbcSinkConnector",
            "io.aiven.connect.jdbc.JdbcSinkConnector",
        ],
        version: env!("CARGO_PKG_VERSION"),
        about: "Writes records into tables of Postgres, exactly once.",
        unsupported: config::UNSUPPORTED,
        capabilities: Capabilities {
            ends: false,
            idempotent: false,
            keeps_offsets: true,
            refuses: true,
        },
    };
    type Config = SinkConfig;
    type Task = PostgresSinkTask;

    fn guarantee(_: &SinkConfig) -> Guarantee {
        Guarantee {
            level: Level::ExactlyOnce,
            method: "the offsets move in the rows' own transaction, in the table longshore_offsets; every task claims its partitions there".into(),
        }
    }

    async fn check(config: &SinkConfig) -> Vec<Finding> {
        Box::pin(check::check(config)).await
    }

    async fn plan(config: &SinkConfig, tasks_max: u32) -> Result<Vec<Share>> {
        settings(config)?;
        Ok((0..tasks_max).map(|_| Share::new()).collect())
    }

    async fn open(config: SinkConfig, _: Share, cx: SinkContext) -> Result<PostgresSinkTask> {
        let settings = settings(&config)?;
        let purpose = Purpose::write(&cx.connector, cx.task, cx.exactly_once);
        let mut link = Link::new(settings.target.clone(), purpose);
        link.connect("open").await?;
        let ledger = cx.exactly_once.then(|| Ledger::new(cx.group));
        Ok(PostgresSinkTask::new(settings, link, ledger))
    }
}

fn settings(config: &SinkConfig) -> Result<Settings> {
    Settings::of(config).map_err(|findings| {
        let text: Vec<String> = findings.iter().map(ToString::to_string).collect();
        Error::config("config", text.join("; "))
    })
}
