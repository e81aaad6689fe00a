//! What connectors and tasks are doing: the status view, and what the workers that run the tasks know beyond it. It answers whether or not the broker does.

use super::{
    ConnectorState, ConnectorStateInfo, Control, ControlError, ControlResult, TaskStateInfo,
    read::numbers,
    told::{Others, Silence},
};
use crate::{
    guarantee::{self, Delivery, Promise},
    providers::scrub,
    supervisor::OPENING,
    task::TaskId,
    views::{
        config::Connector,
        status::{State, Status},
    },
};
use longshore_sdk::config::Flat;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

impl Control {
    /// What a connector and its tasks are doing, as any worker of the group shows it: what only the workers that run the tasks know, they are asked
    /// for, side by side and for a second at most. Of a task whose worker does not answer, `x.progress.unknown` says so.
    pub async fn whole_status(&self, name: &str) -> ControlResult<ConnectorStateInfo> {
        // Unknown ones are refused before anybody is asked.
        let (connector, _) = self.with_status(name)?;
        let others = self.others_of(name, &connector, None);
        let others = self.ask(Some(name), others).await;
        self.status_with(name, &others)
    }
    /// The same of all connectors, by one question to each other worker.
    pub async fn whole_statuses(&self) -> BTreeMap<String, ConnectorStateInfo> {
        let all = self.cx.config.read(crate::views::config::Configs::all);
        let others = all
            .iter()
            .flat_map(|(name, connector)| self.others_of(name, connector, None))
            .collect();
        let others = self.ask(None, others).await;
        let statuses = self.connectors().into_iter();
        statuses
            .filter_map(|name| {
                let status = self.status_with(&name, &others).ok()?;
                Some((name, status))
            })
            .collect()
    }
    /// What one task is doing. Any number may be asked for.
    pub async fn whole_task_status(&self, name: &str, task: i32) -> ControlResult<TaskStateInfo> {
        let (connector, number, _) = self.task_with_status(name, task)?;
        let others = self.others_of(name, &connector, Some(number));
        let others = self.ask(Some(name), others).await;
        self.task_status_with(name, task, &others)
    }

    /// What a connector and its tasks are doing, as this worker alone knows it: of other workers' tasks their records in the status topic.
    pub fn status(&self, name: &str) -> ControlResult<ConnectorStateInfo> {
        self.status_with(name, &Others::not_asked())
    }
    /// The same of one task. Any number may be asked for.
    pub fn task_status(&self, name: &str, task: i32) -> ControlResult<TaskStateInfo> {
        self.task_status_with(name, task, &Others::not_asked())
    }

    fn with_status(&self, name: &str) -> ControlResult<(Connector, Status)> {
        let unknown = || format!("No status found for connector {name}");
        let connector = self.find(name, unknown)?;
        let status = self.cx.status.connector(name);
        let status = status.ok_or_else(|| ControlError::not_found(unknown()))?;
        Ok((connector, status))
    }
    fn task_with_status(&self, name: &str, task: i32) -> ControlResult<(Connector, u32, Status)> {
        let unknown = || ControlError::not_found(format!("No status found for task {name}-{task}"));
        let number = u32::try_from(task).map_err(|_| unknown())?;
        let connector = self.cx.config.read(|configs| configs.get(name));
        let connector = connector.ok_or_else(unknown)?;
        let wanted = numbers(&connector).any(|wanted| wanted == number);
        let status = self.task_statuses(name).remove(&number);
        let status = status.filter(|_| wanted).ok_or_else(unknown)?;
        Ok((connector, number, status))
    }
    /// The statuses of a connector's tasks by number. One that is placed, and of which nobody has said anything yet, is UNASSIGNED.
    pub(super) fn task_statuses(&self, name: &str) -> BTreeMap<u32, Status> {
        let mut statuses = self.cx.status.tasks(name);
        let connector = self.cx.config.read(|configs| configs.get(name));
        self.cx.assignments.read(|assigned| {
            for task in connector.iter().flat_map(numbers) {
                if statuses.contains_key(&task) {
                    continue;
                }
                if let Some(placement) = assigned.of(&TaskId::new(name, task)) {
                    let status = Status {
                        state: State::Unassigned,
                        trace: None,
                        worker_id: placement.worker_id.clone(),
                        generation: placement.status_generation(),
                        version: None,
                    };
                    statuses.insert(task, status);
                }
            }
        });
        statuses
    }
    /// The other workers that say how a connector's tasks are, or how one of them is.
    fn others_of(&self, name: &str, connector: &Connector, only: Option<u32>) -> BTreeSet<String> {
        let mut statuses = self.task_statuses(name);
        let tasks = numbers(connector).filter(|task| only.is_none_or(|only| only == *task));
        let mut workers: BTreeSet<String> = tasks
            .filter_map(|task| Some(statuses.remove(&task)?.worker_id))
            .collect();
        if only.is_none() && self.out().is_some() {
            // Out of the group nobody is told who leads: the one that did is asked whether it is out, too.
            let leader = self.cx.status.connector(name);
            workers.extend(leader.map(|status| status.worker_id));
        }
        workers.remove(&self.cx.settings.worker_id);
        workers
    }

    fn status_with(&self, name: &str, others: &Others) -> ControlResult<ConnectorStateInfo> {
        let (connector, status) = self.with_status(name)?;
        let mut statuses = self.task_statuses(name);
        let out = self.out();
        let tasks: Vec<TaskStateInfo> = numbers(&connector)
            .filter_map(|task| {
                let status = statuses.remove(&task)?;
                Some(self.task_state(name, task, status, others, out.as_deref()))
            })
            .collect();
        let finished = !tasks.is_empty()
            && status.state == State::Paused
            && tasks
                .iter()
                .all(|task| is_true(task.x.as_ref(), "finished"));
        let (state, reason) = self.connector_state(&status, others, out.as_deref());
        let mut extra = self.guarantee(name, &connector.config, &tasks, others);
        if finished {
            extra.insert("finished".to_owned(), json!(true));
        }
        if let Some(reason) = reason {
            extra.insert("reason".to_owned(), json!(reason));
        }
        Ok(ConnectorStateInfo {
            name: name.to_owned(),
            connector: ConnectorState {
                state: state.name().to_owned(),
                worker_id: status.worker_id,
                version: status.version,
                trace: shown(status.trace),
                x: (!extra.is_empty()).then(|| Value::Object(extra)),
            },
            tasks,
            kind: self.kind(&connector.config),
        })
    }
    /// A connector is looked after by the leader that says so: it is nobody's while that one is out of the group.
    fn connector_state(
        &self,
        status: &Status,
        others: &Others,
        out: Option<&str>,
    ) -> (State, Option<String>) {
        let state = status.state;
        if !matches!(state, State::Running | State::Unassigned) {
            return (state, None);
        }
        let leader_out = match others.of(&status.worker_id) {
            _ if status.worker_id == self.cx.settings.worker_id => out,
            Some(Ok(told)) => told.out(),
            // It may lead still, or not.
            Some(Err(_)) => return (state, out.map(str::to_owned)),
            None => None,
        };
        match leader_out {
            Some(reason) => (State::Unassigned, Some(reason.to_owned())),
            None => (state, None),
        }
    }
    /// What is promised of a connector. A source whose tasks found that the brokers do not allow it says so on whichever worker.
    fn guarantee(
        &self,
        name: &str,
        config: &Flat,
        tasks: &[TaskStateInfo],
        others: &Others,
    ) -> Map<String, Value> {
        let mut extra = Map::new();
        let support = self.cx.settings.exactly_once_sources;
        let Some(connector) = self.plugin(config) else {
            return extra;
        };
        // Of a config that cannot be read without its placeholders nothing is promised.
        let Ok(mut promise) = Promise::of(connector, config, support) else {
            return extra;
        };
        let lowered = self.cx.lowered.of(name);
        let lowered = lowered.map(|reason| scrub(&reason).into_owned());
        let mut doubt = None;
        if let Some(reason) = lowered.or_else(|| others.lowered(name)) {
            promise = Promise::lowered(reason);
        } else if guarantee::delivery(connector, config, support)
            .is_ok_and(|delivery| delivery == Delivery::Transactions { insisted: false })
        {
            let mut workers = tasks.iter().filter_map(|task| others.of(&task.worker_id));
            doubt = workers.find_map(|told| Some(told.err()?.words()));
        }
        let mut shown = promise.json();
        if let Some(doubt) = doubt {
            shown["unknown"] = json!(format!("its tasks there may give less: {doubt}"));
        }
        extra.insert("guarantee".to_owned(), shown);
        extra
    }

    fn task_status_with(
        &self,
        name: &str,
        task: i32,
        others: &Others,
    ) -> ControlResult<TaskStateInfo> {
        let (_, number, status) = self.task_with_status(name, task)?;
        Ok(self.task_state(name, number, status, others, self.out().as_deref()))
    }
    fn task_state(
        &self,
        name: &str,
        task: u32,
        status: Status,
        others: &Others,
        out: Option<&str>,
    ) -> TaskStateInfo {
        let mut shown = TaskStateInfo {
            id: task,
            state: status.state.name().to_owned(),
            worker_id: status.worker_id,
            version: status.version,
            trace: shown(status.trace),
            x: None,
        };
        if let Some(trouble) = self.halted(status.state) {
            shown.state = State::Failed.name().to_owned();
            shown.trace = Some(trouble);
        }
        if shown.worker_id == self.cx.settings.worker_id {
            let (state, x) = self.own_state(&TaskId::new(name, task), status.state, out);
            if self.halted(state).is_none() {
                shown.state = state.name().to_owned();
            }
            shown.x = x;
        } else if let Some(told) = others.of(&shown.worker_id) {
            match told.map(|told| told.of(name, task)) {
                Ok(Some(told)) => told.over(&mut shown),
                Ok(None) if status.state != State::Running => {}
                Ok(None) => {
                    let why = format!("the worker {} does not run it", shown.worker_id);
                    shown.x = Some(unknown(&why));
                }
                Err(Silence::Gone(why)) if status.state == State::Running => {
                    shown.state = State::Unassigned.name().to_owned();
                    shown.x = Some(json!({ "reason": why }));
                }
                Err(silence) => shown.x = Some(unknown(silence.words())),
            }
        }
        shown
    }
    /// How a task of this worker really is. `said` is its last word; out of the group, or started anew, it does not say another one.
    pub(super) fn own_state(
        &self,
        id: &TaskId,
        said: State,
        out: Option<&str>,
    ) -> (State, Option<Value>) {
        let me = &self.cx.settings.worker_id;
        let known = self.cx.live.extra(id, self.cx.settings.stall_timeout);
        let is_here = known.is_some();
        let x = known.flatten();
        let restarts = x.as_ref().is_some_and(|x| x.get("restart").is_some());
        let opening = self.cx.live.opening_for(id);
        let opening = opening.filter(|opening| *opening >= OPENING);
        let (state, reason) = match (said, out) {
            (State::Running | State::Unassigned, Some(out)) => (State::Unassigned, out.to_owned()),
            (said, Some(out)) if restarts => (said, out.to_owned()),
            (State::Running | State::Paused | State::Unassigned, None) if opening.is_some() => {
                let seconds = opening.unwrap_or_default().as_secs();
                let reason = format!("the worker {me} has been opening it for {seconds} s");
                (State::Unassigned, reason)
            }
            (State::Running, None) if !is_here => {
                let reason = format!(
                    "the worker {me} does not run it: it was started anew, or the task is to be started or moved"
                );
                (State::Unassigned, reason)
            }
            (said, _) => return (said, x),
        };
        let mut x = x.unwrap_or_else(|| json!({}));
        x["reason"] = json!(reason);
        (state, Some(x))
    }
    /// Why a task that should run stands still on this worker until somebody acts, whatever was said of it before: a topic is gone, and perhaps
    /// nothing can be said any more.
    pub(super) fn halted(&self, said: State) -> Option<String> {
        let runs = matches!(said, State::Running | State::Paused);
        let trouble = self.cx.halted().filter(|_| runs)?;
        Some(trouble.to_string())
    }
    /// Why this worker moves nothing; `None` = it is in its group, and up to date.
    pub(super) fn out(&self) -> Option<String> {
        let trouble = || self.cx.membership.trouble();
        let words = self
            .cx
            .whereabouts
            .words(&self.cx.settings.worker_id, trouble)?;
        Some(scrub(&words).into_owned())
    }
}

/// What stands for the progress of a task whose worker cannot be asked.
fn unknown(why: &str) -> Value {
    json!({ "progress": { "unknown": why } })
}

fn is_true(x: Option<&Value>, key: &str) -> bool {
    x.is_some_and(|x| x[key] == true)
}

/// Kafka Connect leaves an empty trace out.
fn shown(trace: Option<String>) -> Option<String> {
    trace.filter(|trace| !trace.is_empty())
}
