//! Keeps what runs in step with what is wanted. Level-triggered: whatever happens, the whole is compared again, and only what differs is touched (D4).

mod connector;
pub mod plan;
mod requests;
mod state;
mod tasks;

pub(crate) use requests::{Request, Requests};

use crate::{
    ports::View,
    task::{Pace, TaskId},
    views::config::Connector as Wanted,
    worker::{Context, Crew, Ended},
};
use connector::ConnectorRun;
use plan::{Assignment, Desired};
use state::TaskRun;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

/// The supervisor of one worker.
pub(crate) struct Supervisor {
    cx: Arc<Context>,
    crew: Crew,
    requests: mpsc::Receiver<Request>,
    connectors: BTreeMap<Arc<str>, ConnectorRun>,
    tasks: BTreeMap<TaskId, TaskRun>,
    assignment: Assignment,
}

/// How long a worker that shuts down waits for its last statuses to be written.
const LAST_WORDS: Duration = Duration::from_secs(3);

impl Supervisor {
    pub(crate) fn new(cx: Arc<Context>, requests: mpsc::Receiver<Request>) -> Self {
        Self {
            cx,
            crew: Crew::default(),
            requests,
            connectors: BTreeMap::new(),
            tasks: BTreeMap::new(),
            assignment: Assignment::new(),
        }
    }

    /// Runs until `stop`, then stops everything that runs.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let ready = async {
            self.cx.config.ready().await;
            self.cx.status.log().ready().await;
        };
        tokio::select! {
            () = ready => self.supervise(&stop).await,
            () = stop.cancelled() => {}
        }
        self.shut_down().await;
    }

    async fn supervise(&mut self, stop: &CancellationToken) {
        let mut config = self.cx.config.changes();
        let mut members = self.cx.membership.view();
        self.skip_old_restarts();
        loop {
            config.borrow_and_update();
            members.borrow_and_update();
            let wake = self.reconcile();
            let cx = Arc::clone(&self.cx);
            tokio::select! {
                () = stop.cancelled() => return,
                ended = self.crew.ended() => self.ended(ended),
                Some(request) = self.requests.recv() => self.requested(request),
                () = cx.requests.replans() => {}
                // The senders live as long as the views that `cx` holds.
                Ok(()) = config.changed() => {}
                Ok(()) = members.changed() => {}
                () = until(wake) => {}
            }
        }
    }

    /// Compares all that is wanted with all that runs. Returns when it must be called again at the latest.
    fn reconcile(&mut self) -> Option<Instant> {
        let now = Instant::now();
        let view = self.cx.view();
        if !view.members.contains(&view.me) {
            // Out of the group, perhaps for a moment: others may take over, so nothing moves; nothing is closed before it is known.
            self.tasks
                .keys()
                .for_each(|id| self.crew.pace(id, Pace::Pause));
            return None;
        }
        let wanted = self.cx.config.read(crate::views::config::Configs::all);
        for name in self.cx.requests.take_replans() {
            if let Some(run) = self.connectors.get_mut(&name) {
                run.asked = true;
            }
        }
        self.assign(&wanted, &view);
        let mut wake = None;
        for (name, connector) in &wanted {
            let name: Arc<str> = name.as_str().into();
            self.connectors.entry(Arc::clone(&name)).or_default();
            earlier(
                &mut wake,
                self.reconcile_connector(&name, connector, &view, now),
            );
        }
        earlier(&mut wake, self.reconcile_tasks(&wanted, &view, now));
        self.remove_deleted(&wanted, &view);
        self.cx
            .metrics
            .set_worker(self.connectors.len(), self.crew.tasks());
        wake
    }

    fn assign(&mut self, wanted: &BTreeMap<String, Wanted>, view: &View) {
        let ids = wanted.iter().flat_map(|(name, connector)| {
            let count = u32::try_from(connector.tasks.len()).unwrap_or(u32::MAX);
            (0..count).map(move |task| TaskId::new(name.as_str(), task))
        });
        let desired: Desired = ids.collect();
        self.assignment = plan::plan(&desired, view, &self.assignment);
    }

    /// Forgets connectors that were deleted, once their tasks have ended; the leader also those that were deleted while nobody ran.
    fn remove_deleted(&mut self, wanted: &BTreeMap<String, Wanted>, view: &View) {
        let gone = |name: &str| {
            !wanted.contains_key(name) && !self.tasks.keys().any(|id| &*id.connector == name)
        };
        let names: Vec<Arc<str>> = self
            .connectors
            .keys()
            .filter(|name| gone(name))
            .cloned()
            .collect();
        for name in names {
            self.connectors.remove(&name);
            self.cx.status.forget(&name);
        }
        if view.leading() {
            let orphans = self.cx.status.names().into_iter();
            for name in orphans.filter(|name| gone(name)) {
                self.cx.status.forget(&name);
            }
        }
    }

    fn ended(&mut self, ended: Ended) {
        match ended {
            Ended::Task(id, outcome) => self.task_ended(&id, outcome),
            Ended::Plan(name, planned) => self.planned(&name, planned),
        }
    }

    async fn shut_down(mut self) {
        let running: Vec<TaskId> = self.tasks.keys().cloned().collect();
        running.iter().for_each(|id| self.crew.stop(id));
        let grace = self.cx.settings.grace;
        // A task is dropped one grace period after it was told to stop; one that blocks its thread cannot even be dropped (I6).
        let overdue = Instant::now() + grace * 2 + Duration::from_secs(1);
        while self.crew.tasks() > 0 {
            let Ok(ended) = tokio::time::timeout_at(overdue, self.crew.ended()).await else {
                let tasks = self.crew.tasks();
                tracing::error!(tasks, "some tasks block their threads and are left behind");
                break;
            };
            if let Ended::Task(id, outcome) = ended {
                self.task_ended(&id, outcome);
            }
        }
        self.say_unassigned();
        if tokio::time::timeout(LAST_WORDS, self.cx.status.settled())
            .await
            .is_err()
        {
            tracing::warn!("the last statuses could not be written in time");
        }
        if let Err(error) = self.cx.membership.leave().await {
            tracing::warn!(%error, "leaving the group failed, others wait for this worker's session to end");
        }
    }
}

async fn until(wake: Option<Instant>) {
    match wake {
        Some(wake) => tokio::time::sleep_until(wake).await,
        None => std::future::pending().await,
    }
}

fn earlier(wake: &mut Option<Instant>, other: Option<Instant>) {
    *wake = match (*wake, other) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
}
