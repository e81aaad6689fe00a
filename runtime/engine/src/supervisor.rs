//! Keeps what runs in step with what is wanted. Level-triggered: whatever happens, the whole is compared again, and only what differs is touched (D4).

mod connector;
mod departing;
mod fencing;
mod handover;
mod leading;
mod leftovers;
mod placing;
pub mod plan;
mod presence;
mod requests;
mod state;
mod task_set;
mod tasks;

pub(crate) use departing::{DEPART_MAX, Departures};
pub(crate) use fencing::transactional_id;
pub(crate) use leading::Leading;
pub(crate) use presence::Whereabouts;
pub(crate) use requests::{Request, Requests};
pub(crate) use tasks::OPENING;

use crate::{
    task::TaskId,
    views::config::Connector as Wanted,
    worker::{Context, Crew, Ended},
};
use connector::ConnectorRun;
use leading::Lead;
use placing::Placing;
use presence::Presence;
use state::TaskRun;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use task_set::PlanLine;
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

/// The supervisor of one worker.
pub(crate) struct Supervisor {
    cx: Arc<Context>,
    crew: Crew,
    requests: mpsc::Receiver<Request>,
    connectors: BTreeMap<Arc<str>, ConnectorRun>,
    tasks: BTreeMap<TaskId, TaskRun>,
    lead: Lead,
    placing: Placing,
    presence: Presence,
    /// Since when it is to leave.
    departing: Option<Instant>,
    line: PlanLine,
}

/// How long changes of statuses are gathered before they are looked at: each task says something when many move.
const GATHER: Duration = Duration::from_millis(20);
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
            lead: Lead::default(),
            placing: Placing::default(),
            presence: Presence::default(),
            departing: None,
            line: PlanLine::default(),
        }
    }

    /// Runs until `stop`, then stops everything that runs. From `depart` on it takes nothing new, and ends once others have its tasks, or nobody takes them.
    pub(crate) async fn run(mut self, depart: CancellationToken, stop: CancellationToken) {
        let ready = async {
            self.cx.config.ready().await;
            self.cx.assignments.ready().await;
            self.cx.status.log().ready().await;
        };
        tokio::select! {
            () = ready => self.supervise(&depart, &stop).await,
            () = depart.cancelled() => {}
            () = stop.cancelled() => {}
        }
        self.shut_down().await;
    }

    async fn supervise(&mut self, depart: &CancellationToken, stop: &CancellationToken) {
        let mut config = self.cx.config.changes();
        let mut assignments = self.cx.assignments.changes();
        let mut leading = self.cx.leading.changes();
        let mut members = self.cx.membership.view();
        let mut statuses = self.cx.status.log().changes();
        let mut troubles = (
            self.cx.config.troubles(),
            self.cx.offsets.troubles(),
            self.cx.assignments.troubles(),
        );
        self.skip_old_restarts();
        loop {
            config.borrow_and_update();
            assignments.borrow_and_update();
            leading.borrow_and_update();
            members.borrow_and_update();
            troubles.0.borrow_and_update();
            troubles.1.borrow_and_update();
            troubles.2.borrow_and_update();
            let mut wake = self.reconcile();
            if let Some(since) = self.departing {
                let stays = self.stays(&self.cx.view(), since, Instant::now());
                if stays.is_none() {
                    return;
                }
                earlier(&mut wake, stays);
            }
            let cx = Arc::clone(&self.cx);
            tokio::select! {
                () = stop.cancelled() => return,
                () = depart.cancelled(), if self.departing.is_none() => self.departing = Some(Instant::now()),
                ended = self.crew.ended() => self.ended(ended),
                Some(request) = self.requests.recv() => self.requested(request),
                () = cx.requests.replans() => {}
                // The senders live as long as the views that `cx` holds.
                Ok(()) = config.changed() => {}
                Ok(()) = assignments.changed() => {}
                Ok(()) = leading.changed() => {}
                Ok(()) = members.changed() => {}
                Ok(()) = troubles.0.changed() => {}
                Ok(()) = troubles.1.changed() => {}
                Ok(()) = troubles.2.changed() => {}
                () = gathered(&mut statuses) => {}
                () = until(wake) => {}
            }
        }
    }

    /// Compares all that is wanted with all that runs. Returns when it must be called again at the latest.
    fn reconcile(&mut self) -> Option<Instant> {
        let now = Instant::now();
        let view = self.cx.view();
        self.placing.look(&view, now);
        let mut wake = self.lead(&view, now);
        if let Some(look_again) = self.absent(&view, now) {
            earlier(&mut wake, look_again);
            return wake;
        }
        // The topic's last word of this worker's tasks is this worker's.
        self.cx.status.say_again();
        let wanted = self.cx.config.read(crate::views::config::Configs::all);
        for name in self.cx.requests.take_replans() {
            if let Some(run) = self.connectors.get_mut(&name) {
                run.asked = true;
            }
        }
        earlier(&mut wake, self.place(&wanted, &view, now));
        for (name, connector) in &wanted {
            let name: Arc<str> = name.as_str().into();
            self.connectors.entry(Arc::clone(&name)).or_default();
            earlier(&mut wake, self.reconcile_connector(&name, connector, now));
        }
        earlier(&mut wake, self.reconcile_tasks(&wanted, &view, now));
        earlier(&mut wake, self.remove_deleted(&wanted, now));
        self.cx
            .metrics
            .set_worker(self.connectors.len(), self.crew.tasks());
        wake
    }

    /// Forgets connectors that were deleted, once their tasks have ended. Their statuses are the leader's to remove, also of those that were
    /// deleted while nobody ran. Returns when to look again.
    fn remove_deleted(
        &mut self,
        wanted: &BTreeMap<String, Wanted>,
        now: Instant,
    ) -> Option<Instant> {
        let leads = self.cx.leading.is_held();
        let mut wake = None;
        let tasks = &self.tasks;
        let gone = |name: &str| {
            !wanted.contains_key(name) && !tasks.keys().any(|id| &*id.connector == name)
        };
        let mut orphans = Vec::new();
        if leads {
            let names = self.cx.status.names().into_iter();
            orphans.extend(names.filter(|name| gone(name)));
        }
        let lowered = &self.cx.lowered;
        self.connectors.retain(|name, run| {
            let stays = !gone(name) || leads && run.leaving.is_some();
            if !stays {
                lowered.forget(name);
            }
            stays
        });
        for name in orphans {
            self.cx.status.forget(&name);
            earlier(&mut wake, self.clear_beyond(&name.into(), 0, now));
        }
        wake
    }

    fn ended(&mut self, ended: Ended) {
        match ended {
            Ended::Task(id, outcome) => self.task_ended(&id, outcome),
            Ended::Plan(name, id, planned) => self.planned(&name, id, planned),
            Ended::Taken(taken) => self.taken(taken),
            Ended::Placed(placed) => self.placed(placed),
            Ended::Returned(read) => self.returned(read),
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

async fn gathered(changes: &mut tokio::sync::watch::Receiver<u64>) {
    if changes.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
    tokio::time::sleep(GATHER).await;
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
