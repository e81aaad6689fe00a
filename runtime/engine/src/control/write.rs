//! Requests that change what is wanted, on whichever worker. Each answers once this worker's view has read the write back.

use super::{
    ConnectorInfo, ConnectorStateInfo, Control, ControlError, ControlResult, Stored, TargetState,
    command::Command, read::numbers,
};
use crate::views::config::{Connector, records};
use longshore_sdk::config::Flat;
use std::collections::BTreeMap;

/// Changes of some keys of a config; `None` removes one.
pub(super) type Changes = BTreeMap<String, Option<String>>;

impl Control {
    /// Creates a connector. `name` is trimmed; `config` may hold the same name or none.
    pub async fn create(
        &self,
        name: &str,
        config: Flat,
        initial: TargetState,
    ) -> ControlResult<ConnectorInfo> {
        let name = name.trim();
        let command = Command::Create {
            name: name.to_owned(),
            config: named(name, config)?,
            initial,
        };
        Ok(self.order(command).await?.into_stored()?.info)
    }
    /// Creates or replaces a connector's config; an unchanged one does nothing.
    pub async fn put_config(&self, name: &str, config: Flat) -> ControlResult<Stored> {
        let command = Command::Put {
            name: name.to_owned(),
            config: named(name, config)?,
        };
        self.order(command).await?.into_stored()
    }
    /// Changes some keys; `None` removes one.
    pub async fn patch_config(
        &self,
        name: &str,
        changes: BTreeMap<String, Option<String>>,
    ) -> ControlResult<ConnectorInfo> {
        let name = name.to_owned();
        let command = Command::Patch { name, changes };
        Ok(self.order(command).await?.into_stored()?.info)
    }
    /// Deletes a connector; its offsets stay.
    pub async fn delete(&self, name: &str) -> ControlResult<()> {
        let name = name.to_owned();
        self.order(Command::Delete { name }).await.map(drop)
    }
    /// pause, resume, stop. The first two are plain writes of any worker, as in Kafka Connect; a stop also takes the tasks away, as only the leader may.
    pub async fn set_target(&self, name: &str, target: TargetState) -> ControlResult<()> {
        if target == TargetState::Stopped {
            let name = name.to_owned();
            return self.order(Command::Stop { name }).await.map(drop);
        }
        self.in_time("writing a target state", async {
            let _writing = self.cx.writing.lock().await;
            self.find_now(name, || format!("Unknown connector {name}"))
                .await?;
            let record = records::target_state(name, target);
            let written = self.cx.config.put(vec![record]).await;
            let text = "Failed to write to config topic; this may be due to a transient error and the request can be safely retried";
            written.map_err(|error| ControlError::of_log(text, &error))
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
        let unknown = || format!("Unknown connector: {name}");
        let connector = self.find_now(name, unknown).await?;
        let called = name.to_owned();
        if !include_tasks && !only_failed {
            let command = Command::RestartAlone { name: called };
            self.order(command).await?;
            return Ok(None);
        }
        let before = self.status(name).map_err(|_| {
            ControlError::not_found(format!("Status for connector {name} not found"))
        })?;
        let command = Command::Restart {
            name: called,
            include_tasks,
            only_failed,
        };
        self.order(command).await?;
        Ok(Some(restarting(
            before,
            &connector,
            include_tasks,
            only_failed,
        )))
    }
    /// Restarts one task, on whichever worker it is.
    pub async fn restart_task(&self, name: &str, task: i32) -> ControlResult<()> {
        let connector = self
            .find_now(name, || format!("Unknown connector: {name}"))
            .await?;
        let unknown = || ControlError::not_found(format!("Unknown task: {name}-{task}"));
        let number = u32::try_from(task).map_err(|_| unknown())?;
        if !numbers(&connector).any(|known| known == number) {
            return Err(unknown());
        }
        let command = Command::RestartTask {
            name: name.to_owned(),
            task: number,
        };
        self.order(command).await.map(drop)
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
}

/// A config with changes laid over it.
pub(super) fn patched(name: &str, before: &Flat, changes: &Changes) -> ControlResult<Flat> {
    let mut config = before.clone();
    for (key, value) in changes {
        match value {
            Some(value) => config.insert(key.clone(), value.clone()),
            None => config.remove(key),
        };
    }
    named(name, config)
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
