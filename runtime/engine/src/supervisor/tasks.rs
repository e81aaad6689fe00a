//! Tasks: started, stopped, started again.

use super::{
    Request, Supervisor,
    state::{self, Phase, Step, TaskRun, Wanted as TaskWanted},
};
use crate::{
    ports::View,
    task::{Failure, Outcome, Pace, Reaction, TaskId},
    views::{
        config::{Connector as Wanted, TargetState},
        status::State,
    },
    worker::{Launch, RestartPolicy},
};
use longshore_sdk::config::Flat;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;

/// So many managed restarts in a row are shown as RESTARTING; after them the task is shown as FAILED, and is still started again.
const QUIET: u32 = 5;

impl Supervisor {
    pub(super) fn reconcile_tasks(
        &mut self,
        wanted: &BTreeMap<String, Wanted>,
        view: &View,
        now: Instant,
    ) -> Option<Instant> {
        let ids: BTreeSet<TaskId> = self
            .tasks
            .keys()
            .chain(self.assignment.keys())
            .cloned()
            .collect();
        let mut wake = None;
        for id in ids {
            // I4: one live task per id; it is placed here, or it is stopped.
            let mine = self.assignment.get(&id) == Some(&view.me);
            let connector = wanted.get(&*id.connector).filter(|_| mine);
            let config = connector.and_then(|connector| connector.tasks.get(id.task as usize));
            self.reconcile_task(&id, connector.zip(config), now);
            if let Some(Phase::Waiting(at)) = self.tasks.get(&id).map(|task| task.phase) {
                super::earlier(&mut wake, Some(at).filter(|at| *at > now));
            }
        }
        wake
    }

    fn reconcile_task(&mut self, id: &TaskId, wanted: Option<(&Wanted, &Arc<Flat>)>, now: Instant) {
        let target = wanted.map(|(connector, config)| TaskWanted {
            hash: state::hash(config),
            pace: pace(connector.target),
        });
        if target.is_none() && !self.tasks.contains_key(id) {
            return;
        }
        let fresh = || TaskRun::new(target.map_or(0, |target| target.hash), now);
        let task = self.tasks.entry(id.clone()).or_insert_with(fresh);
        match (task.next(target, now), wanted, target) {
            (Step::Keep, _, Some(target)) => self.crew.pace(id, target.pace),
            (Step::Launch, Some((connector, config)), Some(target)) => {
                task.launched(target.hash, now);
                self.launch(id, connector, config, target.pace);
            }
            (Step::Rest, Some((connector, _)), Some(target)) => {
                task.phase = Phase::Idle;
                task.hash = target.hash;
                task.restart = false;
                self.cx.live.forget(id);
                let version = self.cx.plugin_version(&connector.config);
                self.cx
                    .status
                    .set_task(id, self.cx.says(State::Paused, version, None));
            }
            (Step::Stop, ..) => {
                task.phase = Phase::Stopping;
                self.crew.stop(id);
            }
            (Step::Forget, ..) => {
                self.tasks.remove(id);
                self.cx.live.forget(id);
                // It may have moved to another worker, whose word then counts; if it is not wanted at all, nobody has one.
                let placed = self.assignment.contains_key(id);
                if !placed {
                    self.cx.status.forget_task(id);
                }
            }
            (Step::Keep | Step::Launch | Step::Rest, ..) => {}
        }
    }

    fn launch(&mut self, id: &TaskId, connector: &Wanted, config: &Arc<Flat>, pace: Pace) {
        tracing::info!(task = %id, "starting");
        self.cx.live.opening(id);
        let (cx, connector, config) = (
            Arc::clone(&self.cx),
            Arc::clone(&connector.config),
            Arc::clone(config),
        );
        let name = id.clone();
        self.crew.launch(id, pace, |pace, stop| Launch {
            cx,
            id: name,
            connector,
            config,
            pace,
            stop,
        });
    }

    pub(super) fn task_ended(&mut self, id: &TaskId, outcome: Outcome) {
        self.cx.live.forget(id);
        let Some(task) = self.tasks.get_mut(id) else {
            return;
        };
        // It was told to stop: however it ended, what comes next is decided by what is wanted now.
        if task.phase == Phase::Stopping {
            if let Outcome::Failed(failure) = &outcome {
                tracing::warn!(task = %id, error = %failure.error, "the task failed while it stopped");
            }
            task.phase = Phase::Idle;
            return;
        }
        match outcome {
            Outcome::Stopped => task.phase = Phase::Idle,
            Outcome::Finished => {
                tracing::info!(task = %id, "finished");
                task.phase = Phase::Finished;
                self.cx.live.finished(id);
                self.say(id, State::Paused, None);
            }
            Outcome::Failed(failure) => self.task_failed(id, &failure),
        }
    }

    fn task_failed(&mut self, id: &TaskId, failure: &Failure) {
        let trace = format!("{}\n{}", failure.error.trace(), failure.advice);
        let policy = self.cx.settings.restart_policy;
        let after = match (failure.reaction, policy) {
            (_, RestartPolicy::Never) | (Reaction::Fail, RestartPolicy::OnTransient) => None,
            (Reaction::Reopen(after), _) => Some(after),
            (Reaction::Fail, RestartPolicy::Always) => Some(Duration::ZERO),
        };
        let Some(task) = self.tasks.get_mut(id) else {
            return;
        };
        let Some(after) = after else {
            tracing::error!(task = %id, op = failure.op, error = %failure.error, "failed");
            task.phase = Phase::Failed;
            self.say(id, State::Failed, Some(trace));
            return;
        };
        let at = task.back_off(Instant::now(), after, rand::random());
        let attempt = task.attempt;
        let in_ms = at.saturating_duration_since(Instant::now()).as_millis();
        tracing::warn!(task = %id, op = failure.op, error = %failure.error, attempt, in_ms, "failed, it is started again");
        self.cx
            .live
            .restarts(id, attempt, at, failure.error.to_string());
        let state = if attempt > QUIET {
            State::Failed
        } else {
            State::Restarting
        };
        self.say(id, state, Some(trace));
    }

    fn say(&self, id: &TaskId, state: State, trace: Option<String>) {
        let config = self.cx.config.read(|configs| configs.get(&id.connector));
        let version = config.and_then(|connector| self.cx.plugin_version(&connector.config));
        self.cx
            .status
            .set_task(id, self.cx.says(state, version, trace));
    }

    pub(super) fn requested(&mut self, request: Request) {
        match request {
            Request::RestartConnector(name, answer) => self.restart_connector(&name, answer),
            Request::RestartTask(id, answer) => {
                if let Some(task) = self.tasks.get_mut(&id) {
                    task.restart = true;
                }
                // Who asked may have gone.
                let _ = answer.send(());
            }
        }
    }
}

impl TaskRun {
    /// Whether a restart of what has failed means this task, too.
    pub(super) fn is_failed(&self) -> bool {
        matches!(self.phase, Phase::Failed | Phase::Waiting(_))
    }
}

fn pace(target: TargetState) -> Pace {
    match target {
        TargetState::Started => Pace::Run,
        // A stopped connector has no tasks; what still runs is on its way out.
        TargetState::Paused | TargetState::Stopped => Pace::Pause,
    }
}
