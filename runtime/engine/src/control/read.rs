//! Requests that read the views. They answer whether or not the broker does.

use super::{
    ActiveTopics, ConnectorInfo, ConnectorState, ConnectorStateInfo, Control, ControlError,
    ControlResult, TaskInfo, TaskName, TaskStateInfo, TopicList,
};
use crate::{
    guarantee::Promise,
    providers::scrub,
    task::TaskId,
    views::{
        config::Connector,
        status::{State, Status},
    },
};
use longshore_sdk::config::Flat;
use serde_json::{Value, json};
use std::collections::BTreeMap;

impl Control {
    /// The names of all connectors, sorted.
    pub fn connectors(&self) -> Vec<String> {
        let names =
            |configs: &crate::views::config::Configs| configs.names().map(str::to_owned).collect();
        self.cx.config.read(names)
    }
    /// A connector with its config and tasks.
    pub fn info(&self, name: &str) -> ControlResult<ConnectorInfo> {
        let connector = self.find(name, || format!("Connector {name} not found"))?;
        Ok(self.info_of(name, &connector))
    }
    pub(super) fn info_of(&self, name: &str, connector: &Connector) -> ConnectorInfo {
        ConnectorInfo {
            name: name.to_owned(),
            config: connector.config.as_ref().clone(),
            tasks: numbers(connector)
                .map(|task| task_name(name, task))
                .collect(),
            kind: self.kind(&connector.config),
            x: None,
        }
    }
    /// The same with the config that a request wrote: somebody else may have written another one since, or deleted it.
    pub(super) fn info_with(&self, name: &str, config: &Flat) -> ConnectorInfo {
        let now = self.cx.config.read(|configs| configs.get(name));
        let tasks = now.iter().flat_map(numbers);
        ConnectorInfo {
            name: name.to_owned(),
            config: config.clone(),
            tasks: tasks.map(|task| task_name(name, task)).collect(),
            kind: self.kind(config),
            x: None,
        }
    }
    /// A connector's config, placeholders unresolved.
    pub fn config(&self, name: &str) -> ControlResult<Flat> {
        let connector = self.find(name, || format!("Connector {name} not found"))?;
        Ok(connector.config.as_ref().clone())
    }
    /// A connector's tasks with their configs.
    pub fn tasks(&self, name: &str) -> ControlResult<Vec<TaskInfo>> {
        let connector = self.find(name, || format!("Connector {name} not found"))?;
        let tasks = numbers(&connector).zip(&connector.tasks);
        let info = |(task, config): (u32, &std::sync::Arc<Flat>)| TaskInfo {
            id: task_name(name, task),
            config: config.as_ref().clone(),
        };
        Ok(tasks.map(info).collect())
    }
    /// What a connector and its tasks are doing.
    pub fn status(&self, name: &str) -> ControlResult<ConnectorStateInfo> {
        let unknown = || format!("No status found for connector {name}");
        let connector = self.find(name, unknown)?;
        let status = self
            .cx
            .status
            .connector(name)
            .ok_or_else(|| ControlError::not_found(unknown()))?;
        let statuses = self.cx.status.tasks(name);
        let tasks: Vec<TaskStateInfo> = numbers(&connector)
            .filter_map(|task| Some(self.task_state(name, task, statuses.get(&task)?.clone())))
            .collect();
        let finished = !tasks.is_empty()
            && status.state == State::Paused
            && tasks
                .iter()
                .all(|task| self.cx.live.is_finished(&TaskId::new(name, task.id)));
        Ok(ConnectorStateInfo {
            name: name.to_owned(),
            connector: ConnectorState {
                state: status.state.name().to_owned(),
                worker_id: status.worker_id,
                version: status.version,
                trace: shown(status.trace),
                x: self.connector_extra(name, &connector.config, finished),
            },
            tasks,
            kind: self.kind(&connector.config),
        })
    }
    /// What stands under `x` in a connector's status.
    fn connector_extra(&self, name: &str, config: &Flat, finished: bool) -> Option<Value> {
        let mut extra = serde_json::Map::new();
        let connector = self.plugin(config)?;
        let support = self.cx.settings.exactly_once_sources;
        // Of a config that cannot be read without its placeholders nothing is promised.
        if let Ok(mut promise) = Promise::of(connector, config, support) {
            if let Some(reason) = self.cx.lowered.of(name) {
                promise = Promise::lowered(scrub(&reason));
            }
            extra.insert("guarantee".to_owned(), promise.json());
        }
        if finished {
            extra.insert("finished".to_owned(), json!(true));
        }
        (!extra.is_empty()).then(|| Value::Object(extra))
    }
    fn task_state(&self, name: &str, task: u32, status: Status) -> TaskStateInfo {
        let id = TaskId::new(name, task);
        // What this worker knows is true only of what it runs itself.
        let mine = status.worker_id == self.cx.settings.worker_id;
        let extra = || self.cx.live.extra(&id, self.cx.settings.stall_timeout);
        TaskStateInfo {
            id: task,
            state: status.state.name().to_owned(),
            worker_id: status.worker_id,
            version: status.version,
            trace: shown(status.trace),
            x: mine.then(extra).flatten(),
        }
    }
    /// What one task is doing. Any number may be asked for.
    pub fn task_status(&self, name: &str, task: i32) -> ControlResult<TaskStateInfo> {
        let unknown = || ControlError::not_found(format!("No status found for task {name}-{task}"));
        let number = u32::try_from(task).map_err(|_| unknown())?;
        let connector = self
            .cx
            .config
            .read(|configs| configs.get(name))
            .ok_or_else(unknown)?;
        let wanted = numbers(&connector).any(|wanted| wanted == number);
        let status = self
            .cx
            .status
            .tasks(name)
            .remove(&number)
            .filter(|_| wanted);
        Ok(self.task_state(name, number, status.ok_or_else(unknown)?))
    }
    /// The topics that a connector used since the last reset; empty for an unknown one.
    pub fn topics(&self, name: &str) -> ControlResult<ActiveTopics> {
        if !self.topic_tracking() {
            return Err(ControlError::invalid("Topic tracking is disabled."));
        }
        let topics = self.cx.status.topics(name).into_iter().collect();
        Ok(BTreeMap::from([(name.to_owned(), TopicList { topics })]))
    }
}

/// The numbers of a connector's tasks.
pub(super) fn numbers(connector: &Connector) -> impl Iterator<Item = u32> + use<> {
    0..u32::try_from(connector.tasks.len()).unwrap_or(u32::MAX)
}

fn task_name(connector: &str, task: u32) -> TaskName {
    TaskName {
        connector: connector.to_owned(),
        task,
    }
}

/// Kafka Connect leaves an empty trace out.
fn shown(trace: Option<String>) -> Option<String> {
    trace.filter(|trace| !trace.is_empty())
}
