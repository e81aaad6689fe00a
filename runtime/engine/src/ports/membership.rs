//! Who is in the cluster, and who leads.

use longshore_sdk::{Result, erased::Boxed};
use tokio::sync::watch;

/// A worker.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    /// Its advertised host and port, as `worker_id` shows it.
    pub worker_id: String,
    /// Which start of that worker: a restarted one has another.
    pub incarnation: String,
    /// Whether its REST API is reached by https.
    pub https: bool,
}

impl Member {
    /// Where its REST API is: `http://host:port`.
    pub fn url(&self) -> String {
        let scheme = if self.https { "https" } else { "http" };
        format!("{scheme}://{}", self.worker_id)
    }
}

/// The cluster as this worker sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// This worker.
    pub me: Member,
    /// The leader; `None` during an election.
    pub leader: Option<Member>,
    /// Everybody, sorted.
    pub members: Vec<Member>,
    /// Counts the changes.
    pub generation: i32,
}

impl View {
    /// Whether this worker leads.
    pub fn leading(&self) -> bool {
        self.leader.as_ref() == Some(&self.me)
    }
}

/// Membership in the group of workers.
pub trait Membership: Send + Sync {
    /// The current view and its changes.
    fn view(&self) -> watch::Receiver<View>;
    /// Why the broker does not list this worker, in words, where that is known and as long as it is so.
    fn trouble(&self) -> Option<String> {
        None
    }
    /// Leaves the group, so that others take over at once.
    fn leave(&self) -> Boxed<'_, Result<()>>;
}
