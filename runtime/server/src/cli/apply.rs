//! `longshore plan` and `longshore apply`: what would change, and make it so.

use super::{
    Remote,
    client::{Rest, segment},
    lint, screen,
};
use crate::{
    plugins,
    settings::{Settings, WorkerSettings},
};
use anyhow::{Context, Result, bail};
use longshore_engine::{
    guarantee::{Promise, SourceSupport},
    providers::shown,
    registry::Registry,
};
use longshore_sdk::config::{Flat, info::HIDDEN};
use reqwest::Method;
use serde_json::{Value, json};
use std::{path::PathBuf, sync::Arc};

/// What becomes of one connector.
enum Change {
    Create(Flat),
    Update { config: Flat, before: Flat },
}

impl Change {
    fn config(&self) -> &Flat {
        match self {
            Self::Create(config) | Self::Update { config, .. } => config,
        }
    }
}

/// Shows what `apply` would do. True if it would do something.
pub(crate) async fn plan(files: &[PathBuf], remote: &Remote) -> Result<bool> {
    let (changes, promises) = changes(files, &Rest::of(remote)?).await?;
    if remote.json {
        screen::json(&Value::Array(
            changes
                .iter()
                .map(|(name, change)| as_json(name, change, &promises))
                .collect(),
        ));
    } else {
        for (name, change) in &changes {
            show(name, change, &promises);
        }
        if changes.is_empty() {
            screen::line("nothing to change");
        }
    }
    Ok(!changes.is_empty())
}

/// Creates and updates connectors until they are as the files say; goes on after a refused one and fails at the end.
pub(crate) async fn apply(files: &[PathBuf], remote: &Remote) -> Result<()> {
    let rest = Rest::of(remote)?;
    let mut refused = 0;
    let mut done = Vec::new();
    for (name, change) in changes(files, &rest).await?.0 {
        let (verb, config) = match &change {
            Change::Create(config) => ("created", config),
            Change::Update { config, .. } => ("updated", config),
        };
        match rest
            .call(
                Method::PUT,
                &format!("/connectors/{}/config", segment(&name)),
                Some(&json!(config)),
            )
            .await
        {
            Ok(_) => {
                if !remote.json {
                    screen::line(&format!("{verb} {name}"));
                }
                done.push(json!({ "name": name, "done": verb }));
            }
            Err(error) => {
                refused += 1;
                eprintln!("{name}: {error:#}");
            }
        }
    }
    if remote.json {
        screen::json(&Value::Array(done));
    } else if done.is_empty() && refused == 0 {
        screen::line("nothing to change");
    }
    if refused > 0 {
        bail!("{refused} connectors were refused");
    }
    Ok(())
}

/// What is promised of connectors, as far as the files tell: a worker section among them counts.
struct Promises {
    registry: Arc<Registry>,
    support: SourceSupport,
}

impl Promises {
    fn of(&self, config: &Flat) -> Option<Promise> {
        let connector = self.registry.connector_of(config).ok()?;
        // What cannot be read without its placeholders is not promised.
        Promise::of(connector, config, self.support).ok()
    }
}

async fn changes(files: &[PathBuf], rest: &Rest) -> Result<(Vec<(String, Change)>, Promises)> {
    let settings = match Settings::read(files) {
        Ok(settings) => settings,
        Err(problems) => {
            lint::print(&problems, false);
            bail!("the files have {} problems", problems.len());
        }
    };
    let worker = settings.worker.as_ref().map(WorkerSettings::read_offline);
    let mut worker = worker.and_then(Result::ok);
    if let Some((worker, _)) = &mut worker {
        worker.leave_to_its_user();
    }
    let promises = Promises {
        registry: match &worker {
            Some((worker, _)) => Arc::clone(&plugins::of(worker, plugins::Whose::Tool).registry),
            None => plugins::bundled(),
        },
        support: worker.map_or(SourceSupport::Possible, |(worker, _)| {
            worker.source_support()
        }),
    };
    let running = rest.get("/connectors?expand=info").await?;
    let mut changes = Vec::new();
    for (name, section) in settings.connectors {
        let config = section.config;
        let Some(entry) = running.get(&name) else {
            changes.push((name, Change::Create(config)));
            continue;
        };
        let mut before: Flat = serde_json::from_value(entry["info"]["config"].clone())
            .with_context(|| format!("the worker's config of {name} is no flat map"))?;
        not_shown(&name, &mut before, &config);
        if before != config {
            changes.push((name, Change::Update { config, before }));
        }
    }
    Ok((changes, promises))
}

/// Takes values that the caller's role does not show for equal to the file's: they cannot be compared.
fn not_shown(name: &str, before: &mut Flat, config: &Flat) {
    let mut hidden = 0;
    for (key, value) in before.iter_mut() {
        if let Some(wanted) = config.get(key)
            && value.contains(HIDDEN)
            && !wanted.contains(HIDDEN)
        {
            value.clone_from(wanted);
            hidden += 1;
        }
    }
    if hidden > 0 {
        eprintln!("{name}: {hidden} values are hidden from this role and were not compared");
    }
}

/// Keys that differ, with the old and the new value; secrets hidden (I8).
fn differences(before: &Flat, after: &Flat) -> Vec<(String, Option<String>, Option<String>)> {
    let keys: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    keys.into_iter()
        .filter(|key| before.get(*key) != after.get(*key))
        .map(|key| {
            (
                key.clone(),
                before.get(key).map(|value| shown(key, value)),
                after.get(key).map(|value| shown(key, value)),
            )
        })
        .collect()
}

fn show(name: &str, change: &Change, promises: &Promises) {
    let (mark, rows) = match change {
        Change::Create(config) => ("+", differences(&Flat::new(), config)),
        Change::Update { config, before } => ("~", differences(before, config)),
    };
    screen::line(&format!("{mark} {name}"));
    for (key, before, after) in rows {
        match (before, after) {
            (None, Some(after)) => screen::line(&format!("    + {key} = {after}")),
            (Some(before), None) => screen::line(&format!("    - {key} = {before}")),
            (Some(before), Some(after)) => {
                screen::line(&format!("    ~ {key} = {before} -> {after}"))
            }
            (None, None) => {}
        }
    }
    if let Some(promise) = promises.of(change.config()) {
        let why = promise.reason.unwrap_or(promise.method);
        screen::line(&format!("    {}: {why}", promise.level.name()));
    }
}

fn as_json(name: &str, change: &Change, promises: &Promises) -> Value {
    let (action, rows) = match change {
        Change::Create(config) => ("create", differences(&Flat::new(), config)),
        Change::Update { config, before } => ("update", differences(before, config)),
    };
    let keys: Vec<Value> = rows
        .into_iter()
        .map(|(key, before, after)| json!({ "key": key, "before": before, "after": after }))
        .collect();
    let promise = promises.of(change.config());
    json!({ "name": name, "action": action, "keys": keys, "guarantee": promise.map(|promise| promise.json()) })
}

#[cfg(test)]
mod tests {
    use super::differences;
    use longshore_sdk::config::Flat;

    #[test]
    fn a_plan_never_shows_a_secret() {
        let before = Flat::from([("connection.password".to_owned(), "old-secret".to_owned())]);
        let after = Flat::from([
            ("connection.password".to_owned(), "new-secret".to_owned()),
            ("topics".to_owned(), "a".to_owned()),
        ]);
        let rows = differences(&before, &after);
        assert_eq!(rows.len(), 2);
        assert!(!format!("{rows:?}").contains("-secret"), "{rows:?}");
    }
}
