//! The source: records out of rows, by polling.
//!
//! * [`mapping`]: what becomes of which type; [`columns`]: a table's columns as a struct; [`decode`]: how.
//! * [`window`]: why no row is lost to a transaction that commits late.
//! * [`offset`]: the reference's form of offsets.
//! * [`lane`], [`read`], [`reader`]: a table, a statement, a task's turn among them; [`cursor`] writes the SQL.
//! * [`plan`], [`check`]: which tables, and whether they can be read.

mod check;
mod columns;
mod config;
mod cursor;
mod decode;
mod lane;
mod mapping;
mod offset;
mod plan;
mod read;
mod reader;
mod window;

pub use config::SourceConfig;

use config::{Late, Mode};
use lane::{Lane, Subject};
use longshore_sdk::{
    Capabilities, Error, Guarantee, Level, Partition, Plugin, Result, Share, Source,
    SourceConnector, SourceContext, SourceRecord, config::Finding,
};
use offset::Position;
use reader::Reader;
use std::{future::Future, pin::Pin, time::Duration};
use tokio::time::Instant;

/// The `postgres-source` connector.
#[derive(Debug)]
pub struct PostgresSource;

impl SourceConnector for PostgresSource {
    const PLUGIN: Plugin = Plugin {
        name: "postgres-source",
        aliases: &[
            "io.confluent.connect.jdbc.JdbcSourceConnector",
            "io.aiven.connect.jdbc.JdbcSourceConnector",
        ],
        version: env!("CARGO_PKG_VERSION"),
        about: "Reads tables, views or a query of Postgres by polling.",
        unsupported: &[
            "table.monitoring.startup.polling.limit.ms",
            "timestamp.columns.mapping",
            "incrementing.column.mapping",
            "timestamp.initial.ms",
            "timestamp.fields.list",
            "query.masked",
            "query.retry.attempts",
            "sql.quote.identifiers",
            "table.names.qualify",
            "topic.naming.strategy",
            "trim.sensitive.log",
            "date.timezone",
            "date.calendar.system",
        ],
        capabilities: Capabilities {
            ends: false,
            idempotent: false,
            keeps_offsets: false,
            refuses: false,
        },
    };
    type Config = SourceConfig;
    type Task = PostgresSourceTask;

    fn guarantee(config: &SourceConfig) -> Guarantee {
        let (level, method) = match (config.mode, config.late) {
            (Mode::Bulk, _) => (
                Level::AtLeastOnce,
                "every poll reads all rows again; there is no place to go on from",
            ),
            (_, Late::Ignore) => (
                Level::AtLeastOnce,
                "for rows that are committed in the order of their column only: longshore.late.commits=ignore loses what is committed later",
            ),
            (Mode::Timestamp, Late::Wait) => (
                Level::AtLeastOnce,
                "the stored offset is the last timestamp whose rows are all delivered: a restart between rows of one timestamp repeats them. Rows wait for open transactions, so none is lost to a late commit; a timestamp must not lie before its transaction. Not waited for: on a primary, a transaction that writes nothing for longshore.late.commits.idle.ms; on a standby, one that has not written yet; foreign and replicated tables, whose transactions are elsewhere",
            ),
            (Mode::Incrementing | Mode::Both, Late::Wait) => (
                Level::ExactlyOnce,
                "the stored offset is the row's own column. Rows wait for open transactions, so none is lost to a late commit; ids and timestamps must be taken inside the transaction that writes the row. Not waited for: on a primary, a transaction that writes nothing for longshore.late.commits.idle.ms; on a standby, one that has not written yet; foreign and replicated tables, whose transactions are elsewhere",
            ),
        };
        Guarantee {
            level,
            method: method.into(),
        }
    }

    async fn check(config: &SourceConfig) -> Vec<Finding> {
        Box::pin(check::check(config)).await
    }

    async fn plan(config: &SourceConfig, tasks_max: u32) -> Result<Vec<Share>> {
        config.judged()?;
        plan::Selection::new(config)?;
        if config.query().is_some() {
            // One query, one order: one task.
            return Ok(vec![Share::new()]);
        }
        let cx = SourceContext::detached("plan", 0, longshore_sdk::Offsets::new());
        let mut reader = reader(config.clone(), cx, None)?;
        let session = Box::pin(reader.connect()).await?;
        let (tables, missing) = plan::chosen(session, config).await?;
        for name in &missing {
            tracing::warn!(table = %name, "a table of table.whitelist is not there yet");
        }
        plan::deal(&tables, tasks_max)
    }

    async fn open(
        config: SourceConfig,
        share: Share,
        cx: SourceContext,
    ) -> Result<PostgresSourceTask> {
        config.judged()?;
        let watch = plan::Watch::new(&share, &config);
        let mut reader = reader(config.clone(), cx.clone(), watch)?;
        let database = Box::pin(reader.connect()).await?.database().to_owned();
        let mut subjects = Vec::new();
        match config.query() {
            Some(query) => subjects.push((Subject::Query(query.to_owned()), offset::query_lane()?)),
            None => {
                for name in plan::dealt(&share)? {
                    let schema = name.schema.clone().unwrap_or_default();
                    let lane = offset::table_lane(&cx, &database, &schema, &name.table)?;
                    subjects.push((Subject::Table(name), lane));
                }
            }
        }
        for (subject, partition) in subjects {
            let position = start(&mut reader, &config, &cx, &partition).await?;
            let topic = subject.topic(&config.topic_prefix).into();
            reader
                .lanes
                .push(Lane::new(subject, partition, topic, position));
        }
        Ok(PostgresSourceTask {
            work: Some(Work::Idle(Box::new(reader))),
        })
    }
}

fn reader(config: SourceConfig, cx: SourceContext, watch: Option<plan::Watch>) -> Result<Reader> {
    let target = config.connection.target().map_err(|findings| {
        let first = findings.first().map(ToString::to_string);
        Error::config("config", first.unwrap_or_default())
    })?;
    Ok(Reader::new(config, target, cx, watch))
}

/// Where a lane goes on: at its stored offset, else where the settings say.
async fn start(
    reader: &mut Reader,
    config: &SourceConfig,
    cx: &SourceContext,
    partition: &Partition,
) -> Result<Position> {
    if config.mode == Mode::Bulk {
        return Ok(Position::default());
    }
    let stored = match cx.offset(partition) {
        Some(offset) => Position::read(offset)?,
        None => Position::default(),
    };
    let stored = Position {
        time: stored.time.filter(|_| config.mode.by_time()),
        id: stored.id.filter(|_| config.mode.by_id()),
    };
    if stored != Position::default() {
        return Ok(stored);
    }
    let time = match config.timestamp_initial {
        Some(_) if !config.mode.by_time() => None,
        Some(-1) => Some(reader.clock().await?),
        Some(ms) => Some(ms.saturating_mul(1000)),
        None => None,
    };
    Ok(Position { time, id: None })
}

/// A task: reads the tables of one share, or the query.
pub struct PostgresSourceTask {
    /// `None` once closed.
    work: Option<Work>,
}

/// A step that outlives a poll is not dropped: the next poll goes on with it (D2). Its box is one per batch (D3).
type Step = Pin<Box<dyn Future<Output = (Box<Reader>, Result<Vec<SourceRecord>>)> + Send>>;

enum Work {
    Idle(Box<Reader>),
    Busy(Step),
}

impl Source for PostgresSourceTask {
    async fn poll(&mut self, max_wait: Duration) -> Result<Vec<SourceRecord>> {
        let until = Instant::now() + max_wait;
        loop {
            let mut step = match self.work.take() {
                None => return Ok(Vec::new()),
                Some(Work::Busy(step)) => step,
                Some(Work::Idle(reader)) => {
                    let due = reader.due();
                    if due > Instant::now() {
                        // Kept where it is while sleeping: nothing is lost should the engine end the task now.
                        self.work = Some(Work::Idle(reader));
                        tokio::time::sleep_until(due.min(until)).await;
                        if due > until {
                            return Ok(Vec::new());
                        }
                        continue;
                    }
                    step(reader)
                }
            };
            let Ok((reader, answer)) = tokio::time::timeout_at(until, &mut step).await else {
                self.work = Some(Work::Busy(step));
                return Ok(Vec::new());
            };
            self.work = Some(Work::Idle(reader));
            let records = answer?;
            if !records.is_empty() || Instant::now() >= until {
                return Ok(records);
            }
        }
    }

    async fn close(&mut self) -> Result<()> {
        if let Some(Work::Idle(mut reader)) = self.work.take() {
            reader.close().await;
        }
        Ok(())
    }
}

fn step(mut reader: Box<Reader>) -> Step {
    Box::pin(async move {
        let answer = reader.step().await;
        (reader, answer)
    })
}
