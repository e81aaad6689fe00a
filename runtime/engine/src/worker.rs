//! A worker: views, a supervisor, and the tasks that it runs.

mod build;
mod context;
mod crew;
mod launch;
mod live;
mod lowered;
mod ownership;
mod settings;
mod topics;

pub use crate::views::assignment::agree;
pub(crate) use context::Context;
pub use context::{Logs, Ports};
pub(crate) use crew::{Crew, Ended, PlanId};
pub(crate) use launch::Launch;
pub use settings::{InternalTopics, RestartPolicy, WorkerSettings};

use crate::{
    budget::Budget,
    control::{Control, keep_session_key},
    metrics::Metrics,
    registry::Registry,
    supervisor::{DEPART_MAX, Departures, Leading, Requests, Supervisor, Whereabouts},
    views::{
        assignment::AssignmentView, config::ConfigView, fold::Loss, offset::OffsetView,
        status::StatusView,
    },
};
use context::Dice;
use live::Live;
use lowered::Lowered;
use std::{sync::Arc, time::Duration};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

/// How long a worker that shuts down waits for its own parts, beyond its tasks: last statuses and leaving the group are in it. A connector
/// that blocks a thread may hold up whatever was to run on it next (I6).
const END_MAX: Duration = Duration::from_secs(9);
/// The same for its views, which wait for nothing.
const VIEWS_END_MAX: Duration = Duration::from_secs(1);

/// A running worker. Dropped without [`Worker::shutdown`] it stops without a word, as a killed process does.
pub struct Worker {
    control: Control,
    depart: CancellationToken,
    stop: CancellationToken,
    supervisor: Option<JoinHandle<()>>,
    grace: Duration,
    /// The views' readers and the status writer. Dropped = ended.
    followers: JoinSet<()>,
}

impl Worker {
    /// Starts a worker inside a tokio runtime. It answers at once; [`Control::health`] says when it is ready.
    pub fn start(
        settings: WorkerSettings,
        ports: Ports,
        registry: Arc<Registry>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let (requests, asked) = Requests::new();
        let grace = settings.grace;
        let logs = ports.logs;
        let budget = Budget::new(settings.memory, Arc::clone(&metrics));
        let topics = &settings.topics;
        let config = format!("{} (config.storage.topic)", topics.config);
        let offset = format!("{} (offset.storage.topic)", topics.offset);
        let coordination = format!("{}-coordination (group.id)", settings.group_id);
        let cx = Arc::new(Context {
            dice: Dice::new(settings.seed),
            settings,
            budget,
            bus: ports.bus,
            config: Arc::new(ConfigView::new(config, Loss::Keep, logs.config)),
            offsets: Arc::new(OffsetView::new(offset, Loss::Keep, logs.offset)),
            status: StatusView::new(logs.status),
            assignments: Arc::new(AssignmentView::new(
                coordination,
                Loss::Keep,
                logs.coordination,
            )),
            leading: Leading::new(ports.leadership),
            peers: ports.peers,
            membership: ports.membership,
            registry,
            metrics,
            live: Live::default(),
            lowered: Lowered::default(),
            whereabouts: Whereabouts::default(),
            requests,
            departures: Departures::default(),
            writing: tokio::sync::Mutex::default(),
        });
        let mut followers = JoinSet::new();
        let (config, offsets, reader, writer) = (cx.clone(), cx.clone(), cx.clone(), cx.clone());
        followers.spawn(async move { config.config.follow().await });
        let assignments = cx.clone();
        followers.spawn(async move { assignments.assignments.follow().await });
        followers.spawn(async move { offsets.offsets.follow().await });
        followers.spawn(async move { reader.status.follow().await });
        followers.spawn(async move { writer.status.write().await });
        followers.spawn(keep_session_key(Arc::clone(&cx)));
        let watched = Arc::clone(&cx);
        followers.spawn(async move {
            let (stall, call_max) = (watched.settings.stall_timeout, watched.settings.call_max());
            watched.live.watch(stall, call_max, &watched.metrics).await;
        });
        let (depart, stop) = (CancellationToken::new(), CancellationToken::new());
        let supervisor = Supervisor::new(Arc::clone(&cx), asked);
        let supervisor = tokio::spawn(supervisor.run(depart.clone(), stop.clone()));
        Self {
            control: Control::new(cx),
            depart,
            stop,
            supervisor: Some(supervisor),
            grace,
            followers,
        }
    }
    /// The door to this worker.
    pub fn control(&self) -> Control {
        self.control.clone()
    }
    /// Stops taking work, hands its tasks over to other workers where there are any, drains what is left within the grace period, says UNASSIGNED,
    /// leaves the group. It takes [`DEPART_MAX`] for the first part at most, and for the rest two grace periods and a few seconds.
    pub async fn shutdown(mut self) {
        if let Some(mut supervisor) = self.supervisor.take() {
            self.depart.cancel();
            let handed_over = tokio::select! {
                ended = &mut supervisor => Some(ended),
                () = self.control.take_leave() => None,
                () = tokio::time::sleep(DEPART_MAX) => None,
            };
            self.stop.cancel();
            let limit = self.grace * 2 + END_MAX;
            let ended = match handed_over {
                Some(ended) => Ok(ended),
                None => tokio::time::timeout(limit, &mut supervisor).await,
            };
            match ended {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(%error, "the supervisor ended badly"),
                Err(_) => {
                    tracing::error!(
                        "the supervisor did not end in time: a connector blocks its threads"
                    );
                    supervisor.abort();
                }
            }
        }
        if tokio::time::timeout(VIEWS_END_MAX, self.followers.shutdown())
            .await
            .is_err()
        {
            tracing::error!("the views did not end in time: a connector blocks their threads");
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some(supervisor) = self.supervisor.take() {
            supervisor.abort();
        }
    }
}

#[cfg(test)]
mod tests;
