//! Tasks: started, stopped, started again.

use super::{
    Request, Supervisor, handover,
    state::{self, Phase, Step, TaskRun, Wanted as TaskWanted},
};
use crate::{
    mutant::mutant,
    ports::View,
    task::{Failure, Outcome, Pace, Reaction, TaskId},
    views::{
        assignment::Placement,
        config::{Connector as Wanted, TargetState},
        status::State,
    },
    worker::{Launch, RestartPolicy},
};
use longshore_sdk::{Direction, config::Flat};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;

/// So many managed restarts in a row are shown as RESTARTING; after them the task is shown as FAILED, and is still started again.
const QUIET: u32 = 8;

/// A task that has been opening for so long may be started anew by somebody who asks for it.
const RESTART_MAX: Duration = Duration::from_secs(20);

/// How long a task may open before nobody says any more that it runs, whatever its former life has said.
pub(crate) const OPENING: Duration = Duration::from_secs(2);

/// A task's connector and its own config.
type Configured<'a> = (&'a Wanted, &'a Arc<Flat>);

impl Supervisor {
    /// Compares the tasks that are placed here with those that run here. Returns when to look again.
    pub(super) fn reconcile_tasks(
        &mut self,
        wanted: &BTreeMap<String, Wanted>,
        view: &View,
        now: Instant,
    ) -> Option<Instant> {
        let placements: BTreeMap<TaskId, Placement> = self.cx.assignments.read(|placed| {
            let all = placed.all().iter();
            let ours = all.filter(|(id, placement)| {
                placement.is_on(&view.me) || self.tasks.contains_key(*id)
            });
            ours.map(|(id, placement)| (id.clone(), placement.clone()))
                .collect()
        });
        let ids: BTreeSet<&TaskId> = self.tasks.keys().chain(placements.keys()).collect();
        let ids: Vec<TaskId> = ids.into_iter().cloned().collect();
        let mut wake = None;
        for id in ids {
            let connector = wanted.get(&*id.connector);
            let config = connector.and_then(|connector| connector.tasks.get(id.task as usize));
            // I4: one live task per id; it is placed here, or it is on its way out.
            let again = match (connector.zip(config), placements.get(&id)) {
                (Some(wanted), Some(placement)) if placement.is_on(&view.me) => {
                    self.run_here(&id, wanted, placement, view, now)
                }
                (Some(wanted), Some(placement)) => {
                    self.hand_over(&id, wanted, placement, view, now)
                }
                (wanted, _) => {
                    self.close(&id, wanted.is_some(), now);
                    None
                }
            };
            super::earlier(&mut wake, again.filter(|at| *at > now));
            if let Some(Phase::Waiting(at)) = self.tasks.get(&id).map(|task| task.phase) {
                super::earlier(&mut wake, Some(at).filter(|at| *at > now));
            }
        }
        wake
    }

    /// A task that is placed here.
    fn run_here(
        &mut self,
        id: &TaskId,
        wanted: Configured<'_>,
        placement: &Placement,
        view: &View,
        now: Instant,
    ) -> Option<Instant> {
        if self.departing.is_some() && !self.tasks.contains_key(id) {
            return None;
        }
        let (connector, config) = wanted;
        let target = TaskWanted {
            hash: state::hash(config),
            pace: pace(connector.target),
        };
        let sink = self.is_sink(connector);
        let patience = self.cx.settings.grace * 2;
        let fresh = || TaskRun::new(target.hash, now);
        let task = self.tasks.entry(id.clone()).or_insert_with(fresh);
        let step = task.next(Some(target), now);
        if !sink && task.phase == Phase::Idle && task.generation != placement.generation {
            let said = self.cx.status.task(id);
            let waits = task
                .handover
                .waits(placement, view, said.as_ref(), patience, now);
            if waits.is_some() {
                return waits;
            }
        }
        task.generation = placement.generation;
        self.cx.status.own(id, placement.status_generation());
        match step {
            Step::Launch => {
                task.launched(target.hash, now);
                self.launch(id, connector, config, target.pace);
                Some(now + OPENING)
            }
            Step::Rest => {
                task.phase = Phase::Idle;
                task.hash = target.hash;
                task.restart = false;
                self.cx.live.forget(id);
                self.say(id, State::Paused, None);
                None
            }
            Step::Stop => {
                task.phase = Phase::Stopping;
                self.crew.stop(id);
                None
            }
            Step::Keep => {
                let opening = (task.phase == Phase::Running).then_some(task.started + OPENING);
                self.crew.pace(id, target.pace);
                let opening = opening.filter(|_| {
                    // A sink's former owner runs it until this one does.
                    let said = self.cx.status.task(id);
                    let said = said.filter(|said| sink && said.state.is_live());
                    let elsewhere = said.is_some_and(|said| {
                        let mut members = view.members.iter().filter(|one| **one != view.me);
                        members.any(|member| member.worker_id == said.worker_id)
                    });
                    !elsewhere && self.cx.status.is_unsaid(id)
                });
                if opening.is_some_and(|until| until <= now) {
                    self.say(id, State::Unassigned, None);
                }
                opening
            }
            Step::Forget => None,
        }
    }

    /// A task that runs here and is placed elsewhere.
    fn hand_over(
        &mut self,
        id: &TaskId,
        wanted: Configured<'_>,
        placement: &Placement,
        view: &View,
        now: Instant,
    ) -> Option<Instant> {
        let (connector, config) = wanted;
        let sink = self.is_sink(connector);
        let task = self.tasks.get_mut(id)?;
        if task.next(None, now) != Step::Stop {
            self.close(id, true, now);
            return None;
        }
        if !handover::awaits(placement, &view.me, task.generation) {
            // This worker was taken to be gone: what a source would store now would be stored over its new owner's. A sink's group decides for it.
            self.cx.status.silence(id);
            if !sink && !mutant!("store-after-loss") {
                task.phase = Phase::Stopping;
                self.crew.cut(id);
                return None;
            }
        } else if sink && !task.restart && task.hash == state::hash(config) {
            let said = self.cx.status.task(id);
            let until = task.handover.runs_on(placement, view, said.as_ref(), now);
            if until.is_some() {
                self.cx.status.silence(id);
                self.crew.pace(id, pace(connector.target));
                return until;
            }
        }
        self.close(id, true, now);
        None
    }

    /// A task that is not to run here. `wanted`: another worker has it, or will.
    fn close(&mut self, id: &TaskId, wanted: bool, now: Instant) {
        let Some(task) = self.tasks.get_mut(id) else {
            return;
        };
        if !wanted {
            // Its statuses are the leader's to remove.
            self.cx.status.silence(id);
        }
        match task.next(None, now) {
            Step::Stop => {
                task.phase = Phase::Stopping;
                self.crew.stop(id);
            }
            Step::Forget => {
                let was_here = task.generation > 0;
                self.tasks.remove(id);
                self.cx.live.forget(id);
                self.cx.lowered.let_go(id);
                // Also of one that nobody wants: until then the leader takes it to be on its way out.
                if was_here {
                    let status = self.cx.says(State::Unassigned, None, None);
                    self.cx.status.let_go(id, status);
                } else {
                    self.cx.status.disown(id);
                }
            }
            Step::Keep | Step::Launch | Step::Rest => {}
        }
    }

    fn is_sink(&self, connector: &Wanted) -> bool {
        let plugin = self.cx.connector(&connector.config);
        plugin.is_some_and(|plugin| plugin.direction() == Direction::Sink)
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
        let moved = self.cx.live.forget(id);
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
            Outcome::Failed(failure) => self.task_failed(id, &failure, moved),
        }
    }

    fn task_failed(&mut self, id: &TaskId, failure: &Failure, moved: bool) {
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
        if std::mem::take(&mut task.once_more) && task.started.elapsed() < RESTART_MAX {
            task.restart = true;
        }
        let Some(after) = after else {
            tracing::error!(task = %id, op = failure.op, error = %failure.error, "failed");
            task.phase = Phase::Failed;
            self.say(id, State::Failed, Some(trace));
            return;
        };
        let probe = !moved && failure.reaction != Reaction::Fail;
        let at = task.back_off(Instant::now(), after, self.cx.dice.jitter(), probe);
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
                self.restart_task(&id, false);
                // Who asked may have gone.
                let _ = answer.send(());
            }
        }
    }

    /// Somebody wants the task to start anew, or only if it has failed. One that is being started, and has not said yet that it runs, is about to: who
    /// asks again and again until it runs must not end it each time.
    pub(super) fn restart_task(&mut self, id: &TaskId, only_failed: bool) {
        let shown = || self.cx.status.task(id).map(|said| said.state);
        let opening = || {
            let runs = matches!(shown(), Some(State::Running | State::Paused));
            self.cx.live.opening_for(id).is_some() || !runs
        };
        let Some(task) = self.tasks.get(id) else {
            return;
        };
        let young = task.started.elapsed() < RESTART_MAX;
        if only_failed && !task.is_failed() {
            return;
        }
        let under_way = task.phase == Phase::Running && young && opening();
        if let Some(task) = self.tasks.get_mut(id) {
            task.restart = !under_way;
            // What it opens with may be from before what the person has mended.
            task.once_more = under_way;
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
