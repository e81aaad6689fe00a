//! Calls from worker to worker.

use super::Link;
use bytes::Bytes;
use longshore_engine::ports::{Member, Peers};
use longshore_sdk::{Error, Result, erased::Boxed};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// How long a caller waits.
const ASK_MAX: Duration = Duration::from_secs(5);

/// Answers a request: the key that it is signed with, and its body.
pub type Answers = Arc<dyn Fn(Bytes, Bytes) -> Boxed<'static, Result<Bytes>> + Send + Sync>;

/// Who answers at which address. Clones are the same.
#[derive(Clone, Default)]
pub struct Switchboard(Arc<Mutex<BTreeMap<String, (Link, Answers)>>>);

impl Switchboard {
    /// From now on this worker answers at its address.
    pub fn connect(&self, worker_id: &str, link: &Link, answers: Answers) {
        let mut routes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        routes.insert(worker_id.to_owned(), (link.clone(), answers));
    }
    fn route(&self, worker_id: &str) -> Option<(Link, Answers)> {
        let routes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        routes.get(worker_id).cloned()
    }
}

/// The calls of one worker.
pub struct PeerCalls {
    board: Switchboard,
    link: Link,
}

impl PeerCalls {
    /// Calls over `board`.
    pub fn new(board: &Switchboard, link: &Link) -> Self {
        Self {
            board: board.clone(),
            link: link.clone(),
        }
    }
    async fn asked(&self, to: &Member, key: Bytes, body: Bytes) -> Result<Bytes> {
        let refused = || Error::transient("ask", format!("no worker answers at {}", to.worker_id));
        self.link.call_aside("ask", || Ok(())).await?;
        let (link, answers) = self.board.route(&to.worker_id).ok_or_else(refused)?;
        if link.is_dead() {
            return Err(refused());
        }
        let work = async {
            link.thawed().await;
            let answer = answers(key, body).await;
            link.thawed().await;
            self.link.thawed().await;
            answer
        };
        // A server may drop the work of a client that has gone: both are true of real ones.
        let work = tokio::time::timeout(ASK_MAX, work).await;
        work.unwrap_or_else(|_| Err(Error::transient("ask", "no answer in time")))
    }
}

impl Peers for PeerCalls {
    fn ask<'a>(&'a self, to: &'a Member, key: &'a [u8], body: Bytes) -> Boxed<'a, Result<Bytes>> {
        let key = Bytes::copy_from_slice(key);
        Box::pin(self.asked(to, key, body))
    }
}
