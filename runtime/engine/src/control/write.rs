//! Requests that change what is wanted. Each answers once this worker's view has read its own write back.

use super::{
    ConnectorInfo, ConnectorStateInfo, Control, ControlError, ControlErrorKind, ControlResult,
    Extra, Stored, TargetState, read::numbers,
};
use crate::{
    supervisor::Request,
    task::TaskId,
    views::config::{
        Connector,
        records::{self, Pair},
    },
};
use longshore_sdk::config::Flat;
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::oneshot;

impl Control {
    /// Creates a connector. `name` is trimmed; `config` may hold the same name or none.
    pub async fn create(
        &self,
        name: &str,
        config: Flat,
        initial: TargetState,
    ) -> ControlResult<ConnectorInfo> {
        let name = name.trim();
        let config = named(name, config)?;
        let x = self.judge(&config).await?;
        self.in_time("creating a connector", async {
            let _writing = self.cx.writing.lock().await;
            if self.cx.config.read(|configs| configs.contains(name)) {
                let text = format!("Connector {name} already exists");
                return Err(ControlError::new(ControlErrorKind::Conflict, text));
            }
            let target =
                (initial != TargetState::Started).then(|| records::target_state(name, initial));
            let record = records::connector(name, records::entries(&config));
            self.put(target.into_iter().chain([record]).collect())
                .await?;
            Ok(ConnectorInfo {
                name: name.to_owned(),
                tasks: Vec::new(),
                kind: self.kind(&config),
                config: config.clone(),
                x,
            })
        })
        .await
    }
    /// Creates or replaces a connector's config; an unchanged one does nothing.
    pub async fn put_config(&self, name: &str, config: Flat) -> ControlResult<Stored> {
        let config = named(name, config)?;
        let before = self.cx.config.read(|configs| configs.get(name));
        if let Some(same) = before.filter(|before| *before.config == config) {
            let mut info = self.info_of(name, &same);
            info.x = Extra::of(&self.report(&config).warnings);
            return Ok(Stored {
                created: false,
                info,
            });
        }
        let x = self.judge(&config).await?;
        self.in_time("writing a connector's config", async {
            let _writing = self.cx.writing.lock().await;
            let mut stored = self.store(name, &config).await?;
            stored.info.x = x;
            Ok(stored)
        })
        .await
    }
    /// Changes some keys; `None` removes one.
    pub async fn patch_config(
        &self,
        name: &str,
        patch: BTreeMap<String, Option<String>>,
    ) -> ControlResult<ConnectorInfo> {
        let patched = |before: &Connector| {
            let mut config = before.config.as_ref().clone();
            for (key, value) in patch.clone() {
                match value {
                    Some(value) => config.insert(key, value),
                    None => config.remove(&key),
                };
            }
            named(name, config)
        };
        let unknown = || format!("Connector {name} not found");
        let config = patched(&self.find(name, unknown)?)?;
        let x = self.judge(&config).await?;
        self.in_time("writing a connector's config", async {
            let _writing = self.cx.writing.lock().await;
            // Somebody may have written since: the patch is laid over what is there now, and that was not judged.
            let now = patched(&self.find(name, unknown)?)?;
            if now != config {
                let text = "Cannot complete request momentarily due to stale configuration (typically caused by a concurrent config change)";
                return Err(ControlError::new(ControlErrorKind::Conflict, text));
            }
            let mut info = self.store(name, &config).await?.info;
            info.x = x;
            Ok(info)
        })
        .await
    }
    async fn store(&self, name: &str, config: &Flat) -> ControlResult<Stored> {
        let created = !self.cx.config.read(|configs| configs.contains(name));
        self.put(vec![records::connector(name, records::entries(config))])
            .await?;
        let mut info = match self.cx.config.read(|configs| configs.get(name)) {
            Some(connector) => self.info_of(name, &connector),
            // Deleted by somebody else at once.
            None => {
                return Err(ControlError::not_found(format!(
                    "Connector {name} not found"
                )));
            }
        };
        if created {
            info.tasks.clear();
        }
        Ok(Stored { created, info })
    }
    /// Deletes a connector; its offsets stay.
    pub async fn delete(&self, name: &str) -> ControlResult<()> {
        self.in_time("deleting a connector", async {
            let _writing = self.cx.writing.lock().await;
            self.find(name, || format!("Connector {name} not found"))?;
            self.put(records::deletion(name)).await
        })
        .await
    }
    /// pause, resume, stop.
    pub async fn set_target(&self, name: &str, target: TargetState) -> ControlResult<()> {
        self.in_time("writing a target state", async {
            let _writing = self.cx.writing.lock().await;
            self.find(name, || format!("Unknown connector {name}"))?;
            let mut entries = Vec::new();
            if target == TargetState::Stopped {
                entries.push(records::commit(name, 0));
            }
            entries.push(records::target_state(name, target));
            self.put(entries).await
        })
        .await
    }
    /// Restarts a connector, and tasks where asked. `None` = 204; `Some` = 202 with this body.
    pub async fn restart(
        &self,
        name: &str,
        include_tasks: bool,
        only_failed: bool,
    ) -> ControlResult<Option<ConnectorStateInfo>> {
        let connector = self.find(name, || format!("Unknown connector: {name}"))?;
        if !include_tasks && !only_failed {
            self.restart_alone(name).await?;
            return Ok(None);
        }
        let before = self.status(name).map_err(|_| {
            ControlError::not_found(format!("Status for connector {name} not found"))
        })?;
        self.in_time("writing a restart request", async {
            self.put(vec![records::restart(name, include_tasks, only_failed)])
                .await
        })
        .await?;
        Ok(Some(restarting(
            before,
            &connector,
            include_tasks,
            only_failed,
        )))
    }
    /// Without flags the outcome is waited for.
    async fn restart_alone(&self, name: &str) -> ControlResult<()> {
        let (answer, outcome) = oneshot::channel();
        self.in_time("restarting a connector", async {
            let request = Request::RestartConnector(Arc::from(name), answer);
            self.cx
                .requests
                .ask(request)
                .await
                .map_err(|()| shut_down())?;
            match outcome.await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(_)) => {
                    let text = format!("Failed to start connector: {name}");
                    Err(ControlError::new(ControlErrorKind::Bug, text)
                        .suggest("its status shows why"))
                }
                // It was deleted meanwhile, or the worker shuts down.
                Err(_) => Err(ControlError::not_found(format!(
                    "Unknown connector: {name}"
                ))),
            }
        })
        .await
    }
    /// Restarts one task.
    pub async fn restart_task(&self, name: &str, task: i32) -> ControlResult<()> {
        let connector = self.find(name, || format!("Unknown connector: {name}"))?;
        let unknown = || ControlError::not_found(format!("Unknown task: {name}-{task}"));
        let number = u32::try_from(task).map_err(|_| unknown())?;
        if !numbers(&connector).any(|known| known == number) {
            return Err(unknown());
        }
        let (answer, outcome) = oneshot::channel();
        self.in_time("restarting a task", async {
            let request = Request::RestartTask(TaskId::new(name, number), answer);
            self.cx
                .requests
                .ask(request)
                .await
                .map_err(|()| shut_down())?;
            outcome.await.map_err(|_| shut_down())
        })
        .await
    }
    /// Forgets the topics that a connector used.
    pub async fn topics_reset(&self, name: &str) -> ControlResult<()> {
        if !self.topic_tracking() || !self.topic_tracking_reset() {
            let text = if self.topic_tracking() {
                "Topic tracking reset is disabled."
            } else {
                "Topic tracking is disabled."
            };
            return Err(ControlError::invalid(text));
        }
        self.cx.status.reset_topics(name);
        // Shown at once, written behind.
        std::future::ready(Ok(())).await
    }

    async fn put(&self, entries: Vec<Pair>) -> ControlResult<()> {
        let written = self.cx.config.put(entries).await;
        let text = "Failed to write to config topic; this may be due to a transient error and the request can be safely retried";
        written.map_err(|error| ControlError::of_log(text, &error))
    }
}

/// The config with its name in it. A name of its own must be the same.
fn named(name: &str, mut config: Flat) -> ControlResult<Flat> {
    if let Some(own) = config
        .get("name")
        .filter(|own| !own.is_empty() && *own != name)
    {
        let text = format!(
            "Connector name configuration ({own}) doesn't match connector name in the URL ({name})"
        );
        return Err(ControlError::invalid(text).at("name"));
    }
    config.insert("name".to_owned(), name.to_owned());
    Ok(config)
}

fn shut_down() -> ControlError {
    ControlError::new(ControlErrorKind::Unavailable, "the worker shuts down")
}

/// The state that a restart answers: what it starts anew is RESTARTING, with the old trace, as in Kafka Connect.
fn restarting(
    mut state: ConnectorStateInfo,
    connector: &Connector,
    include_tasks: bool,
    only_failed: bool,
) -> ConnectorStateInfo {
    let restarts = |state: &str| !only_failed || state == "FAILED" || state == "RESTARTING";
    if restarts(&state.connector.state) {
        state.connector.state = "RESTARTING".to_owned();
    }
    let wanted = connector.tasks.len();
    let tasks = state
        .tasks
        .iter_mut()
        .filter(|task| include_tasks && (task.id as usize) < wanted);
    for task in tasks.filter(|task| restarts(&task.state)) {
        task.state = "RESTARTING".to_owned();
    }
    state
}
