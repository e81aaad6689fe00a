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

/// Ends with the task that it was made for.
#[derive(Debug)]
pub struct Following(AbortHandle);

impl Drop for Following {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Stopping {
    /// Is set once the engine says so: also while a call is being made, whose waits end then.
    pub fn follow(&self, stop: &Stop) -> Following {
        let (signalled, stopping) = (stop.signalled(), self.clone());
        let follow = tokio::spawn(async move {
            signalled.await;
            stopping.set();
        });
        Following(follow.abort_handle())
    }
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
