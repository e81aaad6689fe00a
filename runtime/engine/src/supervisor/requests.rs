//! What the supervisor is asked beyond what the config topic says.

use crate::task::TaskId;
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::{Notify, mpsc, oneshot};

/// A request to this worker.
pub(crate) enum Request {
    /// Plan a connector anew; the answer is the trace of a failure.
    RestartConnector(Arc<str>, oneshot::Sender<Result<(), String>>),
    /// Start a task anew; the answer comes once it is on its way.
    RestartTask(TaskId, oneshot::Sender<()>),
}

/// The supervisor's door.
pub(crate) struct Requests {
    queue: mpsc::Sender<Request>,
    replans: Mutex<BTreeSet<Arc<str>>>,
    wake: Notify,
}

/// How many requests may wait (I6).
const QUEUE_MAX: usize = 64;

impl Requests {
    pub(crate) fn new() -> (Self, mpsc::Receiver<Request>) {
        let (queue, receiver) = mpsc::channel(QUEUE_MAX);
        let requests = Self {
            queue,
            replans: Mutex::default(),
            wake: Notify::new(),
        };
        (requests, receiver)
    }
    /// Asks; `Err` = the worker has shut down.
    pub(crate) async fn ask(&self, request: Request) -> Result<(), ()> {
        self.queue.send(request).await.map_err(drop)
    }
    /// A connector's work has changed. Asking twice is asking once, so there is no queue to fill.
    pub(crate) fn replan(&self, name: &Arc<str>) {
        let mut replans = self.replans.lock().unwrap_or_else(PoisonError::into_inner);
        replans.insert(Arc::clone(name));
        drop(replans);
        self.wake.notify_one();
    }
    /// What the supervisor looks at beside its views has changed.
    pub(crate) fn look_again(&self) {
        self.wake.notify_one();
    }
    /// Returns once there are replans to take.
    pub(super) async fn replans(&self) {
        self.wake.notified().await;
    }
    pub(super) fn take_replans(&self) -> BTreeSet<Arc<str>> {
        std::mem::take(&mut *self.replans.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
