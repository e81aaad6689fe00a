//! Requests that read the views. They answer whether or not the broker does.

use super::{
    ActiveTopics, ConnectorInfo, Control, ControlError, ControlResult, TaskInfo, TaskName,
    TopicList,
};
use crate::views::config::Connector;
use longshore_sdk::config::Flat;
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
