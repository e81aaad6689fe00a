//! The futures of a worker: its tasks and its connectors' plans. The one place that spawns; a panic ends one of them, as Bug.

use super::launch::Launch;
use crate::{
    providers::scrub,
    task::{Outcome, Pace, TaskId},
};
use longshore_sdk::{Error, Result, config::Flat};
use std::{
    any::Any,
    collections::{BTreeMap, HashMap},
    future::Future,
    sync::Arc,
};
use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// Which of a worker's plans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PlanId(u64);

/// What ended.
pub(crate) enum Ended {
    /// A task.
    Task(TaskId, Outcome),
    /// A connector's plan: the configs of its tasks. None: it was void.
    Plan(Arc<str>, PlanId, Result<Option<Vec<Flat>>>),
    /// The leadership was taken, or not.
    Taken(Result<()>),
    /// Placements were written, or not.
    Placed(Result<()>),
    /// Back in its group, the worker has read what it missed, or not.
    Returned(Result<()>),
}

#[derive(Clone)]
enum What {
    Task(TaskId),
    Plan(Arc<str>, PlanId),
    Taking,
    Placing,
    Returning,
}

struct Running {
    stop: CancellationToken,
    pace: watch::Sender<Pace>,
    abort: tokio::task::AbortHandle,
}

/// Everything that this worker has spawned. At most one future per task and one plan per connector: the supervisor sees to it (I4).
#[derive(Default)]
pub(crate) struct Crew {
    futures: JoinSet<Ended>,
    names: HashMap<tokio::task::Id, What>,
    running: BTreeMap<TaskId, Running>,
    plans: u64,
}

impl Crew {
    /// Starts a task; `launch` makes its future of its pace and its stop token.
    pub(crate) fn launch(
        &mut self,
        id: &TaskId,
        pace: Pace,
        launch: impl FnOnce(watch::Receiver<Pace>, CancellationToken) -> Launch,
    ) {
        let (pace, watched) = watch::channel(pace);
        let stop = CancellationToken::new();
        let run = launch(watched, stop.clone());
        let name = id.clone();
        // At this level it is there whatever is logged: each line says which task it is about.
        let span = tracing::error_span!("task", connector = %id.connector, id = id.task);
        let work = async move { Ended::Task(name, run.run().await) };
        let abort = self.futures.spawn(work.instrument(span));
        self.names.insert(abort.id(), What::Task(id.clone()));
        let running = Running { stop, pace, abort };
        self.running.insert(id.clone(), running);
    }
    /// Starts a connector's plan. One of a connector that was deleted meanwhile may still be under way: they are told apart by their ids.
    pub(crate) fn plan(
        &mut self,
        name: &Arc<str>,
        plan: impl Future<Output = Result<Option<Vec<Flat>>>> + Send + 'static,
    ) -> PlanId {
        let of = Arc::clone(name);
        let span = tracing::error_span!("plan", connector = %name);
        self.plans += 1;
        let id = PlanId(self.plans);
        let work = async move { Ended::Plan(of, id, plan.await) };
        let handle = self.futures.spawn(work.instrument(span));
        self.names
            .insert(handle.id(), What::Plan(Arc::clone(name), id));
        id
    }
    /// Takes the leadership; at most one at a time.
    pub(crate) fn lead(&mut self, take: impl Future<Output = Result<()>> + Send + 'static) {
        let work = async move { Ended::Taken(take.await) };
        let handle = self.futures.spawn(work);
        self.names.insert(handle.id(), What::Taking);
    }
    /// Writes placements; at most one at a time.
    pub(crate) fn place(&mut self, place: impl Future<Output = Result<()>> + Send + 'static) {
        let work = async move { Ended::Placed(place.await) };
        let handle = self.futures.spawn(work);
        self.names.insert(handle.id(), What::Placing);
    }
    /// Reads what was missed; at most one at a time.
    pub(crate) fn read(&mut self, read: impl Future<Output = Result<()>> + Send + 'static) {
        let work = async move { Ended::Returned(read.await) };
        let handle = self.futures.spawn(work);
        self.names.insert(handle.id(), What::Returning);
    }
    /// Ends a task on the spot: it writes and stores nothing more. Its end comes through [`Crew::ended`].
    pub(crate) fn cut(&self, id: &TaskId) {
        if let Some(running) = self.running.get(id) {
            running.abort.abort();
        }
    }
    /// Tells a task to stop; its end comes through [`Crew::ended`].
    pub(crate) fn stop(&self, id: &TaskId) {
        if let Some(running) = self.running.get(id) {
            running.stop.cancel();
        }
    }
    /// Tells a task its pace.
    pub(crate) fn pace(&self, id: &TaskId, pace: Pace) {
        if let Some(running) = self.running.get(id) {
            running
                .pace
                .send_if_modified(|now| std::mem::replace(now, pace) != pace);
        }
    }
    /// How many tasks run.
    pub(crate) fn tasks(&self) -> usize {
        self.running.len()
    }
    /// Waits for the next end; for ever if nothing runs. Cancel safe.
    pub(crate) async fn ended(&mut self) -> Ended {
        loop {
            let Some(joined) = self.futures.join_next_with_id().await else {
                std::future::pending::<()>().await;
                continue;
            };
            let (id, ended) = match joined {
                Ok((id, ended)) => (id, Ok(ended)),
                Err(error) => (error.id(), Err(error)),
            };
            let Some(what) = self.names.remove(&id) else {
                continue;
            };
            if let What::Task(id) = &what {
                self.running.remove(id);
            }
            return match (ended, what) {
                (Ok(ended), _) => ended,
                (Err(error), What::Task(id)) if error.is_cancelled() => {
                    Ended::Task(id, Outcome::Stopped)
                }
                (Err(error), What::Task(id)) => {
                    Ended::Task(id, Outcome::failed(panicked(error, "run"), "run"))
                }
                (Err(error), What::Plan(name, id)) => {
                    Ended::Plan(name, id, Err(panicked(error, "plan")))
                }
                (Err(error), What::Taking) => Ended::Taken(Err(panicked(error, "lead"))),
                (Err(error), What::Placing) => Ended::Placed(Err(panicked(error, "place"))),
                (Err(error), What::Returning) => Ended::Returned(Err(panicked(error, "read"))),
            };
        }
    }
}

fn panicked(error: tokio::task::JoinError, op: &'static str) -> Error {
    let text = match error.try_into_panic() {
        // I8: it may quote what it stumbled over.
        Ok(panic) => scrub(&said(panic.as_ref())).into_owned(),
        Err(_) => "it was cancelled".to_owned(),
    };
    Error::bug(op, format!("the connector panicked: {text}"))
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "without a text".to_owned())
}
