//! A task's order to stop, as its plugin sees it.

use longshore_sdk::Stop;
use std::sync::Arc;
use tokio::{sync::watch, task::AbortHandle};

/// Whether a task is to stop. Clones share one state; it never goes back.
#[derive(Clone, Debug)]
pub struct Stopping(Arc<watch::Sender<bool>>);

impl Default for Stopping {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }
}

impl Stopping {
    /// The task is to stop: waits in the host end.
    pub fn set(&self) {
        self.0.send_replace(true);
    }
    /// Whether it is to stop.
    pub fn is_set(&self) -> bool {
        *self.0.borrow()
    }
    /// Returns once it is to stop.
    pub async fn wait(&self) {
        // The sender lives as long as this: there is no error.
        let _ = self.0.subscribe().wait_for(|stop| *stop).await;
    }
}

/// A task's order to stop that follows the engine's, also while a call is being made, whose waits end then. It ends with the task.
#[derive(Debug)]
pub(crate) struct Following {
    stopping: Stopping,
    follow: AbortHandle,
}

impl Following {
    pub(crate) fn new(stop: &Stop) -> Self {
        let (signalled, stopping) = (stop.signalled(), Stopping::default());
        let set = stopping.clone();
        let follow = tokio::spawn(async move {
            signalled.await;
            set.set();
        });
        let follow = follow.abort_handle();
        Self { stopping, follow }
    }
    /// What the store of the task is given.
    pub(crate) fn stopping(&self) -> Stopping {
        self.stopping.clone()
    }
    /// The task is to stop, whatever the engine says.
    pub(crate) fn set(&self) {
        self.stopping.set();
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.follow.abort();
    }
}
