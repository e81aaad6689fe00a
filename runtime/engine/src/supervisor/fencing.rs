//! Fencing rounds: before the tasks of a new task set of an exactly-once source run, no producer of the sets before can write any more.

use crate::{
    connector_config::ConnectorConfig,
    guarantee::{self, Delivery},
    ports::ProducerSpec,
    task::TaskId,
    views::config::{
        Connector as Wanted,
        records::{self, Pair},
    },
    worker::Context,
};
use longshore_sdk::{Direction, Error, ErrorKind, Result};
use std::{collections::BTreeMap, time::Duration};
use tokio::task::JoinSet;

/// So many ids are fenced at once.
const AT_ONCE: usize = 16;
/// How long a round may take (I6).
const ROUND_MAX: Duration = Duration::from_secs(300);
/// How long writing it down may take: whoever else writes waits meanwhile (I6).
const WRITE_MAX: Duration = Duration::from_secs(90);

/// The transactional id of a task: Kafka Connect's.
pub(crate) fn transactional_id(cx: &Context, id: &TaskId) -> String {
    format!("{}-{id}", cx.settings.group_id)
}

/// Makes up the round that a connector's task set lacks, if it lacks one: fences, then writes `tasks-fencing-<name>`, behind which its tasks may start.
/// A leader that comes after one that died amid a round finds it lacking, too.
pub(super) async fn round(cx: &Context, name: &str) -> Result<()> {
    let Some(before) = lacking(cx, name) else {
        return Ok(());
    };
    let count = left_behind(before.producers, before.tasks.len());
    if !fence_former(cx, name, &before, count).await? {
        return Ok(());
    }
    let _writing = cx.writing.lock().await;
    // A later set has its own round.
    match lacking(cx, name) {
        Some(now) if now.generation == before.generation => {
            let record = records::fencing(name, now.tasks.len());
            let written = tokio::time::timeout(WRITE_MAX, cx.put_config(vec![record], None)).await;
            let late = |_| Error::transient("fence", "the round could not be written in time");
            written.map_err(late)?.map(drop)
        }
        _ => Ok(()),
    }
}

/// Fences the first `count` ids of a source; false = it has no transactions. Err where its plugin is not here: only that tells whether it has (I4).
async fn fence_former(cx: &Context, name: &str, wanted: &Wanted, count: u32) -> Result<bool> {
    let connector = cx.needed(&wanted.config)?;
    if connector.direction() == Direction::Sink {
        return Ok(false);
    }
    let resolved = cx.resolve(&wanted.config).await?;
    let fenced = async {
        let support = cx.settings.exactly_once_sources;
        let delivery = guarantee::delivery(connector, &resolved.config, support)?;
        let Delivery::Transactions { insisted } = delivery else {
            return Ok(false);
        };
        let worker = &cx.settings.converters;
        let config = ConnectorConfig::read(&resolved.config, worker, Direction::Source)?;
        match fence(cx, name, count, &config.producer_overrides).await {
            // The tasks will meet the same, and deliver at least once.
            Err(error)
                if !insisted && matches!(error.kind(), ErrorKind::Auth | ErrorKind::Config) =>
            {
                tracing::warn!(connector = name, %error, "the former tasks cannot be fenced");
                Ok(true)
            }
            fenced => fenced.map(|()| true),
        }
    };
    let late = |_| {
        let text = format!(
            "fencing the former tasks took longer than {} s",
            ROUND_MAX.as_secs()
        );
        Err(Error::transient("fence", text))
    };
    let fenced = tokio::time::timeout(ROUND_MAX, fenced).await;
    fenced
        .unwrap_or_else(late)
        .map_err(|error| resolved.about(error))
}

/// Whether the tasks of a connector wait for rounds.
pub(super) async fn is_needed(cx: &Context, name: &str, wanted: &Wanted) -> Result<bool> {
    fence_former(cx, name, wanted, 0).await
}

/// The record of a round that has nothing to fence: it may stand right behind the task set's commit, in the same transaction.
pub(super) fn done_already(name: &str, producers: Option<u32>, tasks: usize) -> Option<Pair> {
    (tasks > 0 && left_behind(producers, tasks) == 0).then(|| records::fencing(name, tasks))
}

/// The connector, if its tasks wait for a round.
fn lacking(cx: &Context, name: &str) -> Option<Wanted> {
    let now = cx.config.read(|configs| configs.get(name))?;
    (!now.fenced && !now.torn && !now.tasks.is_empty()).then_some(now)
}

/// How many ids the sets before may have left behind. No round before this one: none. One task, and one again: it fences itself when it opens.
fn left_behind(producers: Option<u32>, tasks: usize) -> u32 {
    match (producers, tasks) {
        (Some(1), 1) | (None, _) => 0,
        (Some(producers), _) => producers,
    }
}

/// Inits the ids of tasks `0..count`, and closes them: whoever had one is fenced, and its open transaction aborted.
async fn fence(
    cx: &Context,
    name: &str,
    count: u32,
    overrides: &BTreeMap<String, String>,
) -> Result<()> {
    let mut inits = JoinSet::new();
    for task in 0..count {
        if inits.len() >= AT_ONCE
            && let Some(done) = inits.join_next().await
        {
            ended(done)?;
        }
        let id = TaskId::new(name, task);
        let spec = ProducerSpec {
            client_id: format!("connector-fencer-{id}"),
            transactional_id: Some(transactional_id(cx, &id)),
            overrides: overrides.clone(),
            offsets_topic: None,
        };
        let bus = cx.bus.clone();
        inits.spawn(async move { bus.producer(spec).await.map(drop) });
    }
    while let Some(done) = inits.join_next().await {
        ended(done)?;
    }
    if count > 0 {
        tracing::info!(
            connector = name,
            producers = count,
            "fenced the former tasks"
        );
    }
    Ok(())
}

fn ended(done: std::result::Result<Result<()>, tokio::task::JoinError>) -> Result<()> {
    done.unwrap_or_else(|error| Err(Error::bug("fence", "an init ended abnormally").because(error)))
}

impl Context {
    /// Fences every producer that a source's tasks may have left behind: whoever is about to change its offsets must not be overridden by a zombie (I4).
    pub(crate) async fn fence_source(&self, name: &str) -> Result<()> {
        let Some(wanted) = self.config.read(|configs| configs.get(name)) else {
            return Ok(());
        };
        let count = wanted.producers.unwrap_or(0);
        fence_former(self, name, &wanted, count).await.map(drop)
    }
}
