//! Connectors: their task sets are planned, their own states shown.

use super::{Supervisor, state, task_set};
use crate::{
    ports::Version,
    task::TaskId,
    views::{
        config::{Connector as Wanted, RestartRequest, TargetState},
        status::State,
    },
    worker::PlanId,
};
use longshore_sdk::{Error, ErrorKind, Result, config::Flat};
use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};
use tokio::{sync::oneshot, time::Instant};

/// A connector of this worker.
#[derive(Default)]
pub(super) struct ConnectorRun {
    /// What the last plan was made for, and what it gave.
    planned: Option<Planned>,
    /// The hash of the config that is being planned for.
    planning: Option<(PlanId, u64)>,
    /// Why the last plan failed.
    trouble: Option<Trouble>,
    /// Asked to plan again although nothing changed.
    replan: bool,
    /// A task asked for the same. Tasks may ask at any rate; they are heard once in a while (I6).
    pub(super) asked: bool,
    /// When the last plan began.
    begun: Option<Instant>,
    /// The last request to restart that was carried out.
    restarted: Option<Version>,
    target: TargetState,
    attempt: u32,
    waiting: Vec<oneshot::Sender<std::result::Result<(), String>>>,
    /// Since when tasks that are not wanted any more are on their way out.
    pub(super) leaving: Option<Instant>,
}

/// Hashes of a config and of the task set planned for it. Both are compared with the view: a task set that is gone (the connector was stopped and
/// resumed, or deleted and created again, before anybody looked) is planned again.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Planned {
    config: u64,
    tasks: u64,
}

struct Trouble {
    trace: String,
    retry: Option<Instant>,
    hash: u64,
}

/// How long the task set stands at least before a task's wish for another one is heard.
const REPLAN_MIN: Duration = Duration::from_secs(1);
/// The shortest and the longest wait before a plan that failed for a while is tried again.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));

impl Supervisor {
    /// Requests to restart that were there before this worker started are not its business.
    pub(super) fn skip_old_restarts(&mut self) {
        let cx = Arc::clone(&self.cx);
        cx.config.read(|configs| {
            for name in configs.names() {
                let run = self.connectors.entry(name.into()).or_default();
                run.restarted = configs.restart(name).map(|request| request.version);
            }
        });
    }

    pub(super) fn reconcile_connector(
        &mut self,
        name: &Arc<str>,
        wanted: &Wanted,
        now: Instant,
    ) -> Option<Instant> {
        let request = self.cx.config.read(|configs| configs.restart(name));
        if let Some(request) = request {
            self.carry_out(name, request);
        }
        let run = self.connectors.get_mut(name)?;
        if run.target != wanted.target {
            if wanted.target == TargetState::Started {
                // Resuming a connector that could not plan tries again.
                run.replan |= run.trouble.is_some();
            }
            run.target = wanted.target;
        }
        if run.asked && run.hears_again().is_none_or(|at| at <= now) {
            run.asked = false;
            run.replan = true;
        }
        if wanted.target == TargetState::Stopped {
            run.planned = None;
            run.trouble = None;
            run.replan = false;
            run.asked = false;
            run.waiting
                .drain(..)
                .for_each(|answer| drop(answer.send(Ok(()))));
        } else if self.cx.leading.is_held() && run.is_due(wanted, now) {
            let plan = task_set::plan(
                Arc::clone(&self.cx),
                self.line.clone(),
                !run.waiting.is_empty(),
                Arc::clone(name),
                wanted.clone(),
            );
            let id = self.crew.plan(name, plan);
            run.begin(id, state::hash(&wanted.config), now);
        }
        let left = self.cx.leading.is_held().then(|| {
            self.show(name, wanted);
            self.clear_leftovers(name, wanted, now)
        });
        let run = self.connectors.get(name)?;
        let retry = run.trouble.as_ref().and_then(|trouble| trouble.retry);
        let mut wake = retry.filter(|at| *at > now);
        super::earlier(&mut wake, left.flatten());
        super::earlier(&mut wake, run.hears_again().filter(|_| run.asked));
        wake
    }

    /// A plan has ended; its task set is in the config view already.
    pub(super) fn planned(
        &mut self,
        name: &Arc<str>,
        id: PlanId,
        planned: Result<Option<Vec<Flat>>>,
    ) {
        let Some(run) = self.connectors.get_mut(name) else {
            return;
        };
        // A deleted connector's plan says nothing of the one that has its name now.
        let Some((_, hash)) = run.planning.take_if(|(planning, _)| *planning == id) else {
            return;
        };
        let answer = match planned {
            // The next plan is due at once; who waits, waits for that.
            Ok(None) => {
                (run.planned, run.trouble) = (None, None);
                return;
            }
            Ok(Some(tasks)) => {
                tracing::info!(connector = %name, tasks = tasks.len(), "planned");
                run.planned = Some(Planned {
                    config: hash,
                    tasks: set_hash(tasks.iter()),
                });
                run.trouble = None;
                run.attempt = 0;
                Ok(())
            }
            // It is the next leader's to plan, or this worker's own in its next term.
            Err(error) if !self.cx.leading.is_held() => {
                tracing::info!(connector = %name, %error, "not planned, this worker does not lead any more");
                run.planned = None;
                Err(error.trace())
            }
            Err(error) => {
                tracing::warn!(connector = %name, %error, "planning failed");
                let trouble = run.failed(&error, hash, self.cx.dice.jitter());
                Err(trouble)
            }
        };
        for waiting in run.waiting.drain(..) {
            // Who asked may have gone.
            let _ = waiting.send(answer.clone());
        }
    }

    /// Plans a connector anew for somebody who waits for it.
    pub(super) fn restart_connector(
        &mut self,
        name: &Arc<str>,
        answer: oneshot::Sender<std::result::Result<(), String>>,
    ) {
        match self.connectors.get_mut(name) {
            Some(run) => {
                run.replan = true;
                run.waiting.push(answer);
            }
            None => drop(answer.send(Ok(()))),
        }
    }

    /// Whether a source task has come to its end: that of another worker is paused although it should run.
    fn is_finished(&self, id: &TaskId) -> bool {
        if self.tasks.contains_key(id) {
            return self.cx.live.is_finished(id);
        }
        let said = self.cx.status.task(id);
        said.is_some_and(|said| said.state == State::Paused)
    }

    /// A term begins: another leader may have planned since what this worker could not. What it could is compared with what is there now.
    pub(super) fn accede(&mut self) {
        for run in self.connectors.values_mut() {
            (run.trouble, run.attempt, run.leaving) = (None, 0, None);
        }
    }

    /// A term is over: who waits for a plan is told so.
    pub(super) fn resign(&mut self) {
        for run in self.connectors.values_mut() {
            for waiting in run.waiting.drain(..) {
                // Who asked may have gone.
                let _ = waiting.send(Err("this worker does not lead the group".to_owned()));
            }
        }
    }

    fn carry_out(&mut self, name: &Arc<str>, request: RestartRequest) {
        let Some(run) = self.connectors.get_mut(name) else {
            return;
        };
        if run.restarted.is_some_and(|last| last >= request.version) {
            return;
        }
        run.restarted = Some(request.version);
        if !request.only_failed || run.trouble.is_some() {
            run.replan = true;
        }
        if request.include_tasks {
            let ids = self.tasks.keys().filter(|id| id.connector == *name);
            let ids: Vec<TaskId> = ids.cloned().collect();
            for id in ids {
                self.restart_task(&id, request.only_failed);
            }
        }
    }

    /// Says how the connector itself is.
    fn show(&self, name: &Arc<str>, wanted: &Wanted) {
        let Some(run) = self.connectors.get(name) else {
            return;
        };
        let finished = || {
            let count = u32::try_from(wanted.tasks.len()).unwrap_or(u32::MAX);
            count > 0
                && (0..count).all(|task| self.is_finished(&TaskId::new(Arc::clone(name), task)))
        };
        let (state, trace) = match (wanted.target, &run.trouble) {
            (TargetState::Stopped, _) => (State::Stopped, None),
            (TargetState::Paused, _) => (State::Paused, None),
            (TargetState::Started, Some(trouble)) => (State::Failed, Some(trouble.trace.clone())),
            (TargetState::Started, None) if run.planned.is_none() => return,
            (TargetState::Started, None) if finished() => (State::Paused, None),
            (TargetState::Started, None) => (State::Running, None),
        };
        let version = self.cx.plugin_version(&wanted.config);
        self.cx
            .status
            .set_connector(name, self.cx.says(state, version, trace));
    }

    /// The last word of a worker that leaves: of its tasks, and of the connectors if it led.
    pub(super) fn say_unassigned(&self) {
        let unassigned = || self.cx.says(State::Unassigned, None, None);
        if self.cx.leading.is_held() {
            for name in self.connectors.keys() {
                self.cx.status.set_connector(name, unassigned());
            }
        }
        // Of a task that only waited for its former owner there is nothing to say.
        let here = self.tasks.iter().filter(|(_, task)| task.generation > 0);
        for (id, _) in here {
            self.cx.status.let_go(id, unassigned());
        }
    }
}

impl ConnectorRun {
    fn is_due(&self, wanted: &Wanted, now: Instant) -> bool {
        if self.planning.is_some() {
            return false;
        }
        let hash = state::hash(&wanted.config);
        if let Some(trouble) = self.trouble.as_ref().filter(|trouble| trouble.hash == hash) {
            return self.replan || trouble.retry.is_some_and(|at| at <= now);
        }
        let now = Planned {
            config: hash,
            tasks: set_hash(wanted.tasks.iter().map(AsRef::as_ref)),
        };
        self.replan || wanted.torn || self.planned != Some(now)
    }
    fn begin(&mut self, id: PlanId, hash: u64, now: Instant) {
        self.planning = Some((id, hash));
        self.replan = false;
        self.begun = Some(now);
    }
    /// When a task's wish for another plan is heard; `None` = at once.
    fn hears_again(&self) -> Option<Instant> {
        self.begun.map(|begun| begun + REPLAN_MIN)
    }
    fn failed(&mut self, error: &Error, hash: u64, jitter: f64) -> String {
        let passing = matches!(error.kind(), ErrorKind::Transient | ErrorKind::Throttled(_));
        let wait = RETRY
            .0
            .saturating_mul(1 << self.attempt.min(10))
            .min(RETRY.1);
        self.attempt += 1;
        let jitter = 0.5 + jitter / 2.0;
        let trace = error.trace();
        self.trouble = Some(Trouble {
            trace: trace.clone(),
            retry: passing.then(|| Instant::now() + wait.mul_f64(jitter)),
            hash,
        });
        trace
    }
}

fn set_hash<'a>(tasks: impl Iterator<Item = &'a Flat>) -> u64 {
    let mut hasher = DefaultHasher::new();
    tasks.for_each(|task| state::hash(task).hash(&mut hasher));
    hasher.finish()
}
