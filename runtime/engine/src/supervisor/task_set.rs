//! A connector's task set: the connector plans it, the leader writes it.

use super::fencing;
use crate::{
    connector_config::ConnectorConfig,
    registry::Connector,
    validate::stands_in,
    views::config::{Connector as Wanted, TargetState, records},
    worker::Context,
};
use longshore_sdk::{Error, Result, Share, config::Flat};
use std::{future::Future, sync::Arc, time::Duration};
use tokio::sync::Semaphore;

/// No connector is asked to plan more tasks, whatever tasks.max says: the plan of one number must not be more than memory holds (I6).
const TASKS_MAX: u32 = 1_000;
/// How long a plan may take.
const PLAN_MAX: Duration = Duration::from_secs(90);
/// So many connectors plan at once: each may open a connection for it, and a new leader plans all there are.
const AT_ONCE: usize = 16;
/// A plan that takes longer lets the next one begin: those whose systems do not answer must not hold up the others.
const GIVES_WAY: Duration = Duration::from_secs(5);

/// Those who wait to plan, first come, first served.
#[derive(Clone)]
pub(super) struct PlanLine(Arc<Semaphore>);

impl Default for PlanLine {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl PlanLine {
    /// Begins `work` when its turn has come. `at_once`: a person waits for it, and they are few (the door has that many seats).
    async fn pass<T>(&self, at_once: bool, work: impl Future<Output = T>) -> T {
        if at_once {
            return work.await;
        }
        // It is never closed: without a place there is no line.
        let place = self.0.acquire().await.ok();
        tokio::pin!(work);
        if let Ok(done) = tokio::time::timeout(GIVES_WAY, &mut work).await {
            return done;
        }
        drop(place);
        work.await
    }
}

/// Plans a connector and writes its task set if it differs from the stored one. None: the plan is void, its config has changed meanwhile.
pub(super) async fn plan(
    cx: Arc<Context>,
    line: PlanLine,
    at_once: bool,
    name: Arc<str>,
    wanted: Wanted,
) -> Result<Option<Vec<Flat>>> {
    // Its turn may come late.
    let planned = line.pass(at_once, async {
        match standing(&cx, &name, &wanted) {
            None => Ok(None),
            Some(_) if !cx.leading.is_held() => {
                Err(Error::fenced("plan", "this worker does not lead the group"))
            }
            Some(_) => in_time(tasks(&cx, &name, &wanted.config)).await.map(Some),
        }
    });
    let Some(tasks) = planned.await? else {
        return Ok(None);
    };
    // What it cannot tell now the round tells.
    let in_transactions = fencing::is_needed(&cx, &name, &wanted)
        .await
        .unwrap_or(false);
    // Held until the task set is written: behind a tombstone that comes in between it would be the next connector's of this name.
    let writing = cx.writing.lock().await;
    let Some(now) = standing(&cx, &name, &wanted) else {
        return Ok(None);
    };
    let stored = now.tasks.iter().map(AsRef::as_ref);
    if now.torn || now.generation == 0 || !stored.eq(tasks.iter()) {
        let mut entries = records::task_set(&name, &tasks);
        if in_transactions {
            entries.extend(fencing::done_already(&name, now.producers, tasks.len()));
        }
        let late = |_| Error::transient("plan", "the task set could not be written in time");
        let written = tokio::time::timeout(PLAN_MAX, cx.put_config(entries, None)).await;
        written.map_err(late)??;
    }
    drop(writing);
    fencing::round(&cx, &name).await?;
    Ok(Some(tasks))
}

/// The connector as it is now, if a plan for `wanted` is still one for it.
fn standing(cx: &Context, name: &str, wanted: &Wanted) -> Option<Wanted> {
    let now = cx.config.read(|configs| configs.get(name));
    now.filter(|now| now.config == wanted.config && now.target != TargetState::Stopped)
}

async fn in_time(tasks: impl Future<Output = Result<Vec<Flat>>>) -> Result<Vec<Flat>> {
    let planned = tokio::time::timeout(PLAN_MAX, tasks).await;
    planned.unwrap_or_else(|_| {
        let text = format!("the connector did not plan within {} s", PLAN_MAX.as_secs());
        Err(Error::transient("plan", text))
    })
}

/// The configs of a connector's tasks: its own, each with a share laid over it.
async fn tasks(cx: &Context, name: &str, config: &Flat) -> Result<Vec<Flat>> {
    let connector = cx.needed(config)?;
    if let Some(odd) = stands_in(connector.plugin(), config, "connector.plugin.version") {
        tracing::warn!(
            connector = name,
            key = odd.key,
            problem = odd.problem,
            "another version of a plugin is used"
        );
    }
    let resolved = cx.resolve(config).await?;
    let shares = shares(cx, name, connector, &resolved.config).await;
    // I8: what could not be read of the config may be quoted.
    let shares = shares.map_err(|error| resolved.about(error))?;
    let task_class = task_class(connector.plugin());
    let lay = |mut share: Share| {
        // I8: a connector may hand its settings on; in the config topic those keep their placeholders.
        share.retain(|key, value| resolved.config.get(key) != Some(value));
        let mut task = config.clone();
        task.extend(share);
        task.insert("task.class".to_owned(), task_class.clone());
        task
    };
    Ok(shares.into_iter().map(lay).collect())
}

async fn shares(
    cx: &Context,
    name: &str,
    connector: &Connector,
    resolved: &Flat,
) -> Result<Vec<Share>> {
    let framework =
        ConnectorConfig::read(resolved, &cx.settings.converters, connector.direction())?;
    let tasks_max = framework.tasks_max.min(TASKS_MAX);
    let shares = connector.plan(resolved, tasks_max).await?;
    if framework.tasks_max_enforce && shares.len() > framework.tasks_max as usize {
        return Err(too_many(name, shares.len(), framework.tasks_max));
    }
    Ok(shares)
}

fn too_many(name: &str, generated: usize, max: u32) -> Error {
    Error::config(
        "plan",
        format!(
            "The connector {name} has generated {generated} tasks, which is greater than {max}, the maximum number of tasks it is configured to create. \
         This behaviour should be considered a bug and is disallowed. If necessary, it can be permitted by reconfiguring the connector \
         with 'tasks.max.enforce' set to false; however, this option will be removed in a future release of Kafka Connect."
        ),
    )
}

/// Kafka Connect stores the class of the tasks; one that takes over plans anew, so the name serves people only.
fn task_class(plugin: longshore_sdk::Plugin) -> String {
    let class = plugin.aliases.first().copied().unwrap_or(plugin.name);
    match class.strip_suffix("Connector") {
        Some(stem) => format!("{stem}Task"),
        None => format!("{class}-task"),
    }
}
